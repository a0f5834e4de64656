// What is left of many scores by one comparison each: the first step of every selection of the best.
//
// C because Swift has no way to ask a vector of comparisons for its bits, and because this may use AVX-512 in a build
// for any x86-64 processor.
#ifndef GLTA_SELECTION_H
#define GLTA_SELECTION_H

#include "MicroTile.h"

#pragma clang assume_nonnull begin

/// One bit a lane.
typedef _Bool glta_lanes __attribute__((ext_vector_type(16)));

/// Vectors of comparisons as the bits of a number: lane 0 is the lowest.
#define GLTA_LANES(comparison) ({ \
    const glta_lanes lanes = __builtin_convertvector(comparison, glta_lanes); \
    unsigned short bits; \
    __builtin_memcpy(&bits, &lanes, sizeof bits); \
    (unsigned)bits; \
  })

/// A score and an index as one number, greater for a higher score and among equal ones for a smaller index. Zero has no
/// sign here.
static inline unsigned long long glta_selection_key(float score, unsigned index) {
  const float unsigned_zero = score + 0.0f;
  int bits;
  __builtin_memcpy(&bits, &unsigned_zero, sizeof bits);
  const unsigned ordered = (unsigned)bits ^ ((unsigned)(bits >> 31) | 0x80000000u);
  return (unsigned long long)ordered << 32 | (0xffffffffu - index);
}

static inline __attribute__((always_inline)) long glta_collect_body(
    const float *scores, long count, float threshold, const unsigned short *_Nullable allowed, unsigned first,
    unsigned long long *keys) {
  long found = 0;
  for (long at = 0; at < count; at += 16) {
    unsigned above = 0;
    if (count - at >= 16) {
      above = GLTA_LANES(*(const glta_row *)(scores + at) > (glta_row)threshold);
    } else {
      for (long lane = 0; lane < count - at; lane++) above |= (unsigned)(scores[at + lane] > threshold) << lane;
    }
    if (__builtin_expect(above == 0, 1)) continue;
    if (allowed) above &= allowed[at / 16];
    for (; above; above &= above - 1) {
      const long index = at + __builtin_ctz(above);
      keys[found++] = glta_selection_key(scores[index], first + (unsigned)index);
    }
  }
  return found;
}

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma"), min_vector_width(512), noinline)) static long
glta_collect_wide(
    const float *scores, long count, float threshold, const unsigned short *_Nullable allowed, unsigned first,
    unsigned long long *keys) {
  return glta_collect_body(scores, count, threshold, allowed, first, keys);
}
#endif

/// Writes the keys of the scores above `threshold`, in their order, and returns how many; NaN is above nothing.
///
/// `allowed` has a bit for each score, sixteen a word; null: all are. The index of scores[i] is first + i. `keys` has
/// room for `count`.
static inline long glta_collect_above(
    int wide, const float *scores, long count, float threshold, const unsigned short *_Nullable allowed,
    unsigned first, unsigned long long *keys) {
#if defined(__x86_64__)
  if (wide) return glta_collect_wide(scores, count, threshold, allowed, first, keys);
#endif
  return glta_collect_body(scores, count, threshold, allowed, first, keys);
}

#pragma clang assume_nonnull end

#endif
