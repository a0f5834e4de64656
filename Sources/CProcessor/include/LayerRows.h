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
  /// Room for a row.
  float *sums;
};

static inline __attribute__((always_inline)) void glta_sum_row(
    const struct glta_layer_rows *t, const long columns, const int is_bf16, long row, float *sums) {
  const long start = t->offsets[row - t->first];
  const long count = t->offsets[row - t->first + 1] - start;
  if (is_bf16) glta_gather_bf16(t->neighbours + start, count, (const unsigned *)t->source, columns, sums);
  else glta_gather_f32(t->neighbours + start, count, (const float *)t->source, columns, 0, sums);
}

static inline __attribute__((always_inline)) void glta_store_row(
    void *layer, const long columns, const int is_bf16, long row, const float *values, float scale) {
  if (is_bf16) glta_store_bf16(values, scale, columns, (unsigned *)layer + row * (columns / 2));
  else glta_store_f32(values, scale, columns, (float *)layer + row * columns);
}

static inline __attribute__((always_inline)) void glta_forward_rows_of(
    const struct glta_layer_rows *t, const long columns, const int is_bf16, const unsigned char *_Nullable wanted,
    float *output) {
  for (long row = t->first; row < t->last; row++) {
    if (wanted && !wanted[row]) continue;
    const float scale = t->scale[row];
    glta_sum_row(t, columns, is_bf16, row, t->sums);
    if (t->target) glta_store_row(t->target, columns, is_bf16, row, t->sums, scale * scale);
    if (t->slots[row] >= 0) glta_add_scaled(t->sums, scale, columns, output + t->slots[row] * columns);
  }
}

static inline __attribute__((always_inline)) void glta_backward_rows_of(
    const struct glta_layer_rows *t, const long columns, const int is_bf16, const float *gradient, float share,
    float *_Nullable out) {
  for (long row = t->first; row < t->last; row++) {
    const float scale = t->scale[row];
    float *const sums = out ? out + (row - t->first) * columns : t->sums;
    glta_sum_row(t, columns, is_bf16, row, sums);
    glta_scale_and_add(sums, t->slots[row] >= 0 ? gradient + t->slots[row] * columns : 0, scale, columns);
    if (out) glta_scale_and_add(sums, 0, share, columns);
    else if (t->target) glta_store_row(t->target, columns, is_bf16, row, sums, scale);
  }
}

/// target = the layer after `source`, scaled; the layer itself is added to the rows of `output` that `slots` names. Rows
/// that are not `wanted` are left out.
static inline void glta_forward_rows(
    const struct glta_layer_rows *t, const unsigned char *_Nullable wanted, float *output) {
  // 64 columns are what most graphs have; as a constant they make addresses cheaper.
  if (t->is_bf16) {
    if (t->columns == 64) glta_forward_rows_of(t, 64, 1, wanted, output);
    else glta_forward_rows_of(t, t->columns, 1, wanted, output);
  } else {
    if (t->columns == 64) glta_forward_rows_of(t, 64, 0, wanted, output);
    else glta_forward_rows_of(t, t->columns, 0, wanted, output);
  }
}

/// One layer on the way back: the sums plus the rows of `gradient` that `slots` names. Scaled into `target`, or times
/// `share` into `out`, whose first row is row `first` of the graph.
static inline void glta_backward_rows(
    const struct glta_layer_rows *t, const float *gradient, float share, float *_Nullable out) {
  if (t->is_bf16) {
    if (t->columns == 64) glta_backward_rows_of(t, 64, 1, gradient, share, out);
    else glta_backward_rows_of(t, t->columns, 1, gradient, share, out);
  } else {
    if (t->columns == 64) glta_backward_rows_of(t, 64, 0, gradient, share, out);
    else glta_backward_rows_of(t, t->columns, 0, gradient, share, out);
  }
}

/// layer = rows `first` to `last` - 1 of a matrix, each times its factor; `values` is row `first`.
static inline void glta_store_rows(
    long first, long last, const float *values, const float *scale, long columns, int is_bf16, void *layer) {
  for (long row = first; row < last; row++)
    glta_store_row(layer, columns, is_bf16, row, values + (row - first) * columns, scale[row]);
}

#pragma clang assume_nonnull end

#endif
