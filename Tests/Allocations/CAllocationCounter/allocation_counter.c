#define _GNU_SOURCE
#include "allocation_counter.h"

#include <stddef.h>

#if defined(__GLIBC__)

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

enum { unknown, yes, no };

static atomic_uint_fast64_t total;
static atomic_bool traces;
static const char *_Atomic prefix;
static atomic_uint generation;

static __thread bool counts_this_thread;
static __thread int is_named;
static __thread unsigned named_generation;
static __thread bool is_inside;

static struct { uintptr_t start, end; } foreign[8];
static int foreign_count;

static int note_foreign(struct dl_phdr_info *library, size_t size, void *unused) {
  const char *name = library->dlpi_name;
  if (!strstr(name, "libzmq") && !strstr(name, "libstdc++") && !strstr(name, "libdispatch")) return 0;
  for (int i = 0; i < library->dlpi_phnum && foreign_count < 8; i++) {
    const ElfW(Phdr) *segment = &library->dlpi_phdr[i];
    if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X)) continue;
    foreign[foreign_count].start = library->dlpi_addr + segment->p_vaddr;
    foreign[foreign_count].end = foreign[foreign_count].start + segment->p_memsz;
    foreign_count++;
  }
  return 0;
}

static bool is_foreign(uintptr_t caller) {
  for (int i = 0; i < foreign_count; i++)
    if (caller >= foreign[i].start && caller < foreign[i].end) return true;
  return false;
}

static bool counts_by_name(void) {
  const char *wanted = atomic_load(&prefix);
  if (!wanted) return false;
  unsigned now = atomic_load(&generation);
  if (is_named == unknown || named_generation != now) {
    char name[16] = "";
    pthread_getname_np(pthread_self(), name, sizeof name);
    is_named = strncmp(name, wanted, strlen(wanted)) == 0 ? yes : no;
    named_generation = now;
  }
  return is_named == yes;
}

static void note(void *caller) {
  if (is_inside) return;
  is_inside = true;
  if (counts_this_thread || (counts_by_name() && !is_foreign((uintptr_t)caller))) {
    atomic_fetch_add(&total, 1);
    if (atomic_load(&traces)) {
      void *frames[24];
      int depth = backtrace(frames, 24);
      backtrace_symbols_fd(frames + 2, depth - 2, 2);
      (void)!write(2, "\n", 1);
    }
  }
  is_inside = false;
}

void *malloc(size_t size) {
  note(__builtin_return_address(0));
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  note(__builtin_return_address(0));
  return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
  note(__builtin_return_address(0));
  return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  note(__builtin_return_address(0));
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
  note(__builtin_return_address(0));
  *block = __libc_memalign(alignment, size);
  return *block ? 0 : ENOMEM;
}

bool allocation_counter_works(void) { return true; }
void allocation_counter_count_this_thread(bool counts) { counts_this_thread = counts; }
void allocation_counter_count_threads_named(const char *name) {
  if (foreign_count == 0) dl_iterate_phdr(note_foreign, NULL);
  atomic_store(&prefix, name);
  atomic_fetch_add(&generation, 1);
}
uint64_t allocation_counter_total(void) { return atomic_load(&total); }
void allocation_counter_trace(bool on) { atomic_store(&traces, on); }

#else

bool allocation_counter_works(void) { return false; }
void allocation_counter_count_this_thread(bool counts) {}
void allocation_counter_count_threads_named(const char *name) {}
uint64_t allocation_counter_total(void) { return 0; }
void allocation_counter_trace(bool on) {}

#endif
