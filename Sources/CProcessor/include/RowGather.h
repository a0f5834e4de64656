// The innermost loop of a sparse-dense product: the sum of some rows of a matrix, which stays in registers meanwhile.
//
// C because the columns must be a constant of the loop, and because a row that is needed soon can be fetched from afar:
// rows of a graph lie anywhere, and without it every one of them is waited for. Twenty-four rows ahead was the best of
// 0, 8, 16, 24 and 32 on Gowalla.
#ifndef GLTA_ROW_GATHER_H
#define GLTA_ROW_GATHER_H

#include "MicroTile.h"

#pragma clang assume_nonnull begin

/// Lists of rows are read this far beyond their end; what stands there must be a row number.
#define GLTA_GATHER_AHEAD 24

typedef unsigned glta_words __attribute__((ext_vector_type(16), aligned(4)));

/// sums[j] = sum over k of source[rows[k], j], or of weight[rows[k]] times that, in order of k.
static inline __attribute__((always_inline)) void glta_gather_floats(
    const int blocks, const int *rows, long count, const float *source, long stride, const float *_Nullable weights,
    float *sums) {
  glta_row total[4] = {0, 0, 0, 0};
  for (long k = 0; k < count; k++) {
    const float *ahead = source + (long)rows[k + GLTA_GATHER_AHEAD] * stride;
    const float *row = source + (long)rows[k] * stride;
    const float weight = weights ? weights[rows[k]] : 1;
#pragma clang loop unroll(full)
    for (int block = 0; block < blocks; block++) {
      __builtin_prefetch(ahead + 16 * block, 0, 3);
      const glta_row values = *(const glta_row *)(row + 16 * block);
      if (weights) total[block] = __builtin_elementwise_fma((glta_row)weight, values, total[block]);
      else total[block] += values;
    }
  }
#pragma clang loop unroll(full)
  for (int block = 0; block < blocks; block++) *(glta_row *)(sums + 16 * block) = total[block];
}

/// The same over bf16: word j of a block of 32 columns holds column j in its lower and column j + 16 in its upper half,
/// so that both halves become floats by one instruction each.
static inline __attribute__((always_inline)) void glta_gather_halves(
    const int blocks, const int *rows, long count, const unsigned *source, long stride, float *sums) {
  glta_row total[4] = {0, 0, 0, 0};
  for (long k = 0; k < count; k++) {
    const unsigned *ahead = source + (long)rows[k + GLTA_GATHER_AHEAD] * stride;
    const unsigned *row = source + (long)rows[k] * stride;
#pragma clang loop unroll(full)
    for (int block = 0; block < blocks; block++) {
      __builtin_prefetch(ahead + 16 * block, 0, 3);
      const glta_words words = *(const glta_words *)(row + 16 * block);
      total[2 * block] += (glta_row)(words << 16);
      total[2 * block + 1] += (glta_row)(words & 0xffff0000u);
    }
  }
#pragma clang loop unroll(full)
  for (int block = 0; block < 2 * blocks; block++) *(glta_row *)(sums + 16 * block) = total[block];
}

/// Sums of rows of `columns` floats, a multiple of 16; rows lie `columns` apart.
static inline __attribute__((always_inline)) void glta_gather_f32(
    const int *rows, long count, const float *source, long columns, const float *_Nullable weights, float *sums) {
  long done = 0;
  for (; done + 64 <= columns; done += 64)
    glta_gather_floats(4, rows, count, source + done, columns, weights, sums + done);
  switch ((columns - done) / 16) {
  case 1: return glta_gather_floats(1, rows, count, source + done, columns, weights, sums + done);
  case 2: return glta_gather_floats(2, rows, count, source + done, columns, weights, sums + done);
  case 3: return glta_gather_floats(3, rows, count, source + done, columns, weights, sums + done);
  }
}

/// Sums of rows of `columns` bf16 values, a multiple of 32, in f32; rows lie `columns` apart.
static inline __attribute__((always_inline)) void glta_gather_bf16(
    const int *rows, long count, const unsigned *source, long columns, float *sums) {
  long done = 0;
  for (; done + 64 <= columns; done += 64)
    glta_gather_halves(2, rows, count, source + done / 2, columns / 2, sums + done);
  if (columns > done) glta_gather_halves(1, rows, count, source + done / 2, columns / 2, sums + done);
}

/// values = start + scale * values, or scale * values; `columns` is a multiple of 16.
static inline void glta_scale_and_add(float *values, const float *_Nullable start, float scale, long columns) {
  for (long done = 0; done < columns; done += 16) {
    const glta_row row = *(glta_row *)(values + done);
    *(glta_row *)(values + done) =
        start ? __builtin_elementwise_fma(row, (glta_row)scale, *(const glta_row *)(start + done)) : row * scale;
  }
}

/// out += scale * values; `columns` is a multiple of 16.
static inline void glta_add_scaled(const float *values, float scale, long columns, float *out) {
  for (long done = 0; done < columns; done += 16)
    *(glta_row *)(out + done) = __builtin_elementwise_fma(
        *(const glta_row *)(values + done), (glta_row)scale, *(const glta_row *)(out + done));
}

/// Stores scale * values; `columns` is a multiple of 16.
static inline void glta_store_f32(const float *values, float scale, long columns, float *out) {
  for (long done = 0; done < columns; done += 16)
    *(glta_row *)(out + done) = *(const glta_row *)(values + done) * scale;
}

/// Stores scale * values, a multiple of 32 columns, as bf16 in the order that `glta_gather_bf16` reads; rounded to
/// nearest, ties to even.
static inline void glta_store_bf16(const float *values, float scale, long columns, unsigned *out) {
  for (long done = 0; done < columns; done += 32) {
    glta_words low = (glta_words)(*(const glta_row *)(values + done) * scale);
    glta_words high = (glta_words)(*(const glta_row *)(values + done + 16) * scale);
    low += 0x7fffu + ((low >> 16) & 1);
    high += 0x7fffu + ((high >> 16) & 1);
    *(glta_words *)(out + done / 2) = (low >> 16) | (high & 0xffff0000u);
  }
}

/// Copies the rows that are marked, in order, and returns how many; 'kept' has room for `count`.
static inline long glta_keep_marked(const int *rows, long count, const unsigned char *marks, int *kept) {
  long n = 0;
  for (long k = 0; k < count; k++) {
    kept[n] = rows[k];
    n += marks[rows[k]] != 0;
  }
  return n;
}

#pragma clang assume_nonnull end

#endif
