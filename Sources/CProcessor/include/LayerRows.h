// A run of rows of a layer of propagation: sums of neighbours' rows, scaled, kept as the next layer. Rows have a few dozen
// neighbours at most places, so what is done between two sums costs as much as they do: all of it is one loop.
#ifndef GLTA_LAYER_ROWS_H
#define GLTA_LAYER_ROWS_H

#include "RowGather.h"

#pragma clang assume_nonnull begin

/// Rows `first` to `last` - 1 of a graph, and the layers that they are read from and written to.
struct glta_layer_rows {
  long first;
  long last;
  /// Neighbours of row `first` + i: offsets[i] up to offsets[i + 1].
  const long *offsets;
  const int *neighbours;
  /// A factor for each row of the graph.
  const float *scale;
  /// -1, or the row of the batch's matrix for each row of the graph.
  const int *slots;
  /// f32 or bf16, rows already scaled.
  const void *source;
  void *_Nullable target;
  long columns;
  int is_bf16;
  /// Room for a row, or for what else a function says.
  float *sums;
};

static inline __attribute__((always_inline)) void glta_sum_row(
    const struct glta_layer_rows *t, const long columns, const int is_bf16, long row, float *sums, const int adds) {
  const long start = t->offsets[row - t->first];
  const long count = t->offsets[row - t->first + 1] - start;
  const int *const list = t->neighbours + start;
  if (is_bf16) glta_gather_bf16_columns(list, count, (const unsigned *)t->source, columns, sums, adds);
  else glta_gather_f32_columns(list, count, (const float *)t->source, columns, 0, sums, adds);
}

static inline __attribute__((always_inline)) void glta_store_row(
    void *layer, const long columns, const int is_bf16, long row, const float *values, float scale) {
  if (is_bf16) glta_store_bf16(values, scale, columns, (unsigned *)layer + row * (columns / 2));
  else glta_store_f32(values, scale, columns, (float *)layer + row * columns);
}

static inline __attribute__((always_inline)) void glta_finish_forward(
    const struct glta_layer_rows *t, const long columns, const int is_bf16, long row, const float *sums,
    float *output) {
  const float scale = t->scale[row];
  if (t->target) glta_store_row(t->target, columns, is_bf16, row, sums, scale * scale);
  if (t->slots[row] >= 0) glta_add_scaled(sums, scale, columns, output + t->slots[row] * columns);
}

static inline __attribute__((always_inline)) void glta_finish_backward(
    const struct glta_layer_rows *t, const long columns, const int is_bf16, long row, float *sums,
    const float *gradient, float share) {
  const float scale = t->scale[row];
  glta_scale_and_add(sums, t->slots[row] >= 0 ? gradient + t->slots[row] * columns : 0, scale, columns);
  if (t->target) glta_store_row(t->target, columns, is_bf16, row, sums, scale);
  else glta_scale_and_add(sums, 0, share, columns);
}

static inline __attribute__((always_inline)) void glta_forward_rows_of(
    const struct glta_layer_rows *t, const long columns, const int is_bf16, const unsigned char *_Nullable wanted,
    float *output) {
  for (long row = t->first; row < t->last; row++) {
    if (wanted && !wanted[row]) continue;
    glta_sum_row(t, columns, is_bf16, row, t->sums, 0);
    glta_finish_forward(t, columns, is_bf16, row, t->sums, output);
  }
}

static inline __attribute__((always_inline)) void glta_backward_rows_of(
    const struct glta_layer_rows *t, const long columns, const int is_bf16, const float *gradient, float share) {
  for (long row = t->first; row < t->last; row++) {
    float *const sums = t->target ? t->sums : t->sums + (row - t->first) * columns;
    glta_sum_row(t, columns, is_bf16, row, sums, 0);
    glta_finish_backward(t, columns, is_bf16, row, sums, gradient, share);
  }
}

// 64 columns are what most graphs have; as a constant they make addresses cheaper.
#define GLTA_FOR_COLUMNS(t, function, ...)                                                                             \
  do {                                                                                                                 \
    if ((t)->is_bf16) {                                                                                                \
      if ((t)->columns == 64) function(t, 64, 1, __VA_ARGS__);                                                         \
      else function(t, (t)->columns, 1, __VA_ARGS__);                                                                  \
    } else {                                                                                                           \
      if ((t)->columns == 64) function(t, 64, 0, __VA_ARGS__);                                                         \
      else function(t, (t)->columns, 0, __VA_ARGS__);                                                                  \
    }                                                                                                                  \
  } while (0)

/// target = the layer after `source`, scaled; the layer itself is added to the rows of `output` that `slots` names. Rows
/// that are not `wanted` are left out.
static inline void glta_forward_rows(
    const struct glta_layer_rows *t, const unsigned char *_Nullable wanted, float *output) {
  GLTA_FOR_COLUMNS(t, glta_forward_rows_of, wanted, output);
}

/// One layer on the way back: the sums plus the rows of `gradient` that `slots` names. Scaled into `target`; or, without
/// one, times `share` into `sums`, which then has room for all rows.
static inline void glta_backward_rows(const struct glta_layer_rows *t, const float *gradient, float share) {
  GLTA_FOR_COLUMNS(t, glta_backward_rows_of, gradient, share);
}

/// layer = rows `first` to `last` - 1 of a matrix, each times its factor; `values` is row `first`.
static inline void glta_store_rows(
    long first, long last, const float *values, const float *scale, long columns, int is_bf16, void *layer) {
  for (long row = first; row < last; row++)
    glta_store_row(layer, columns, is_bf16, row, values + (row - first) * columns, scale[row]);
}

#pragma clang assume_nonnull end

#endif
