// Rows of sixteen-bit whole numbers, each worth as many times a unit as it says. Four of them can be added before a sum
// needs more bits, so a row of 64 columns costs two or three instructions where bf16 takes eight; and sums of whole
// numbers do not depend on their order.
#ifndef GLTA_FIXED_POINT_H
#define GLTA_FIXED_POINT_H

#include "RowGather.h"

#pragma clang assume_nonnull begin

/// The largest number of a row: four times that has sixteen bits still.
#define GLTA_FIXED_LIMIT 8191
/// How many rows are added in sixteen bits.
#define GLTA_FIXED_ROWS 4
/// The most rows of a sum of thirty-two bits.
#define GLTA_FIXED_LONGEST (0x7fffffff / GLTA_FIXED_LIMIT)

typedef short glta_shorts __attribute__((ext_vector_type(32), aligned(4)));
typedef int glta_ints __attribute__((ext_vector_type(16), aligned(4)));
/// Numbers of rows, several in a word that scalar instructions take apart: left alone, compilers load four into a vector
/// and pick them out of it one by one, which takes longer than the sums.
typedef unsigned long glta_numbers __attribute__((aligned(2), may_alias));

/// Adds the lower halves of sixteen words to one sum, the upper halves to the other.
static inline __attribute__((always_inline)) void glta_add_halves(
    const glta_shorts *halves, glta_ints *lower, glta_ints *upper) {
#if defined(__AVX512VNNI__)
  typedef int words __attribute__((vector_size(64), aligned(4), may_alias));
  *lower = (glta_ints)__builtin_ia32_vpdpwssd512((words)*lower, *(const words *)halves, (words)(glta_ints)1);
  *upper = (glta_ints)__builtin_ia32_vpdpwssd512((words)*upper, *(const words *)halves, (words)(glta_ints)0x10000);
#else
  *lower += (glta_ints)*halves << 16 >> 16;
  *upper += (glta_ints)*halves >> 16;
#endif
}

#define GLTA_FIXED_ROW(row) (*(const glta_shorts *)(source + (row) * stride + 16 * block))

/// Adds four rows of 32 x `blocks` columns to `total`, which has two vectors for each block: word j of a block holds column
/// j in its lower and column j + 16 in its upper half. Rows lie `stride` words apart.
static inline __attribute__((always_inline)) void glta_add_fixed_four(
    const int blocks, long a, long b, long c, long d, const unsigned *source, long stride, glta_ints *total) {
#pragma clang loop unroll(full)
  for (int block = 0; block < blocks; block++) {
    const glta_shorts sum = (GLTA_FIXED_ROW(a) + GLTA_FIXED_ROW(b)) + (GLTA_FIXED_ROW(c) + GLTA_FIXED_ROW(d));
    glta_add_halves(&sum, total + 2 * block, total + 2 * block + 1);
  }
}

/// Adds any number of rows.
static inline __attribute__((always_inline)) void glta_add_fixed_rows(
    const int blocks, const int *rows, long count, const unsigned *source, long stride, const int looks_ahead,
    glta_ints *total) {
  long k = 0;
  for (; k + GLTA_FIXED_ROWS <= count; k += GLTA_FIXED_ROWS) {
#pragma clang loop unroll(full)
    for (int j = 0; looks_ahead && j < GLTA_FIXED_ROWS; j++)
#pragma clang loop unroll(full)
      for (int block = 0; block < blocks; block++)
        __builtin_prefetch(&GLTA_FIXED_ROW((long)rows[k + GLTA_GATHER_AHEAD + j]), 0, 3);
    const unsigned long ab = *(const glta_numbers *)(rows + k), cd = *(const glta_numbers *)(rows + k + 2);
    glta_add_fixed_four(blocks, ab & 0xffffffff, ab >> 32, cd & 0xffffffff, cd >> 32, source, stride, total);
  }
  for (; k < count; k++)
#pragma clang loop unroll(full)
    for (int block = 0; block < blocks; block++)
      glta_add_halves(&GLTA_FIXED_ROW((long)rows[k]), total + 2 * block, total + 2 * block + 1);
}

#undef GLTA_FIXED_ROW

static inline __attribute__((always_inline)) void glta_gather_fixed_columns(
    const int blocks, const int *rows, long count, const unsigned *source, long stride, float unit,
    const int looks_ahead, float *sums) {
  glta_row sum[4] = {0};
  for (long done = 0; done < count; done += GLTA_FIXED_LONGEST) {
    const long left = count - done;
    glta_ints total[4] = {0};
    glta_add_fixed_rows(
        blocks, rows + done, left < GLTA_FIXED_LONGEST ? left : GLTA_FIXED_LONGEST, source, stride, looks_ahead,
        total);
#pragma clang loop unroll(full)
    for (int j = 0; j < 2 * blocks; j++) sum[j] += __builtin_convertvector(total[j], glta_row);
  }
#pragma clang loop unroll(full)
  for (int j = 0; j < 2 * blocks; j++) *(glta_row *)(sums + 16 * j) = sum[j] * unit;
}

/// Sums of rows of `columns` fixed-point numbers, a multiple of 32, as floats; rows lie `columns` apart.
///
/// Where a source is larger than a processor's second cache, to look ahead saves a fifth; elsewhere it costs a fifth.
static inline __attribute__((always_inline)) void glta_gather_fixed(
    const int *rows, long count, const unsigned *source, long columns, float unit, const int looks_ahead, float *sums) {
  long done = 0;
  for (; done + 64 <= columns; done += 64)
    glta_gather_fixed_columns(2, rows, count, source + done / 2, columns / 2, unit, looks_ahead, sums + done);
  if (columns > done)
    glta_gather_fixed_columns(1, rows, count, source + done / 2, columns / 2, unit, looks_ahead, sums + done);
}

/// Stores scale * values, a multiple of 32 columns, as whole numbers in the order that `glta_gather_fixed` reads: rounded
/// to nearest, ties to even, and cut off at the limit.
static inline __attribute__((always_inline)) void glta_store_fixed(
    const float *values, float scale, long columns, unsigned *out) {
  const glta_row limit = (glta_row)GLTA_FIXED_LIMIT;
  for (long done = 0; done < columns; done += 32) {
    glta_words halves[2];
#pragma clang loop unroll(full)
    for (int half = 0; half < 2; half++) {
      const glta_row value = *(const glta_row *)(values + done + 16 * half) * scale;
      const glta_row cut = __builtin_elementwise_max(__builtin_elementwise_min(value, limit), -limit);
      halves[half] = (glta_words)__builtin_convertvector(__builtin_elementwise_roundeven(cut), glta_ints);
    }
    *(glta_words *)(out + done / 2) = (halves[0] & 0xffffu) | (halves[1] << 16);
  }
}

/// The largest magnitude of `count` values, a multiple of 16.
static inline float glta_largest(const float *values, long count) {
  glta_row largest = 0;
  for (long done = 0; done < count; done += 16)
    largest = __builtin_elementwise_max(largest, __builtin_elementwise_abs(*(const glta_row *)(values + done)));
  return __builtin_reduce_max(largest);
}

#pragma clang assume_nonnull end

#endif
