// What the processor has and what this build may use: facts that Swift cannot ask for.
#ifndef GLTA_CPROCESSOR_H
#define GLTA_CPROCESSOR_H

#include "AdamStep.h"
#include "ByteProduct.h"
#include "ByteTile.h"
#include "LayerRows.h"
#include "MicroTile.h"
#include "QuantizedPanel.h"
#include "RowGather.h"
#include "RowGroups.h"
#include "Selection.h"

/// Nonzero where the running CPU has 512-bit vectors.
static inline int glta_cpu_has_avx512(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
#else
  return 0;
#endif
}

/// Nonzero where the running CPU fuses multiply and add.
static inline int glta_cpu_has_fma(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2");
#elif defined(__aarch64__)
  return 1;
#else
  return 0;
#endif
}

/// Nonzero where the compiler was told that 512-bit vectors may be used (-march).
static inline int glta_build_uses_avx512(void) {
#if defined(__AVX512F__)
  return 1;
#else
  return 0;
#endif
}

/// Nonzero where the compiler was told that multiply and add may be fused (-march).
static inline int glta_build_uses_fma(void) {
#if defined(__FMA__) || defined(__aarch64__)
  return 1;
#else
  return 0;
#endif
}

/// Tells the processor that this thread only waits for another one to write.
static inline void glta_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __builtin_arm_yield();
#endif
}

#endif
