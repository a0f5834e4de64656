#ifndef GLTA_ALLOCATION_COUNTER_H
#define GLTA_ALLOCATION_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

/// Linked into a program, this module takes the place of glibc's malloc, calloc, realloc, posix_memalign and
/// aligned_alloc, and counts calls of threads that count. Elsewhere than with glibc it counts nothing.

/// Whether allocations are counted on this platform.
bool allocation_counter_works(void);

/// Counts from now on, or no longer, what the calling thread allocates.
void allocation_counter_count_this_thread(bool counts);

/// Counts from now on, or no longer, what threads whose name begins with `prefix` allocate; NULL counts none by name.
/// Left out are calls from within libzmq, the C++ library, which nobody else here uses, and libdispatch, which wakes the
/// task of whoever waits for an answer.
void allocation_counter_count_threads_named(const char *prefix);

/// Calls counted since the process began.
uint64_t allocation_counter_total(void);

/// Prints where each counted call comes from to standard error.
void allocation_counter_trace(bool traces);

#endif
