#include "CProcessor.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

int glta_cpu_has_matrix_units(void) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  // Leaf 7: AMX for bf16 is bit 22, its tiles are bit 24.
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d >> 22 & 1) == 0 || (d >> 24 & 1) == 0) return 0;
  if (!glta_cpu_has_avx512()) return 0;
  // Their registers are so large that Linux keeps them only for a process that asks: ARCH_REQ_XCOMP_PERM of XTILEDATA.
  return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}
#else
int glta_cpu_has_matrix_units(void) { return 0; }
#endif
