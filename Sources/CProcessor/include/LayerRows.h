// A run of rows of a layer of propagation: sums of neighbours' rows, scaled, kept as the next layer. Rows have a few dozen
// neighbours at most places, so what is done between two sums costs as much as they do: all of it is one loop.
#ifndef GLTA_LAYER_ROWS_H
#define GLTA_LAYER_ROWS_H

#include "FixedPoint.h"
#include "RowGather.h"

#pragma clang assume_nonnull begin

/// How the elements of a layer are kept.
enum glta_layer_kind { GLTA_LAYER_F32, GLTA_LAYER_BF16, GLTA_LAYER_FIXED };

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
  /// Rows already scaled.
  const void *source;
  void *_Nullable target;
  long columns;
  enum glta_layer_kind kind;
  /// What one is worth in a fixed-point source, and how many ones a target's 1.0 is.
  float unit;
  float per_unit;
  /// Room for a row, or for what else a function says.
  float *sums;
};

/// The sum of some rows of a layer; `unit` and `looks_ahead` are for fixed point.
static inline __attribute__((always_inline)) void glta_gather_rows(
    const int *list, long count, const void *source, const long columns, const enum glta_layer_kind kind, float unit,
    const int looks_ahead, float *sums) {
  switch (kind) {
  case GLTA_LAYER_F32: return glta_gather_f32(list, count, (const float *)source, columns, 0, sums);
  case GLTA_LAYER_BF16: return glta_gather_bf16(list, count, (const unsigned *)source, columns, sums);
  case GLTA_LAYER_FIXED:
    return glta_gather_fixed(list, count, (const unsigned *)source, columns, unit, looks_ahead, sums);
  }
}

static inline __attribute__((always_inline)) void glta_sum_row(
    const struct glta_layer_rows *t, const long columns, const enum glta_layer_kind kind, long row, float *sums) {
  const long start = t->offsets[row - t->first];
  const long count = t->offsets[row - t->first + 1] - start;
  glta_gather_rows(t->neighbours + start, count, t->source, columns, kind, t->unit, 1, sums);
}

/// A row of a layer; `per_unit` is for fixed point.
static inline __attribute__((always_inline)) void glta_store_row(
    void *layer, const long columns, const enum glta_layer_kind kind, long row, const float *values, float scale,
    float per_unit) {
  switch (kind) {
  case GLTA_LAYER_F32: return glta_store_f32(values, scale, columns, (float *)layer + row * columns);
  case GLTA_LAYER_BF16: return glta_store_bf16(values, scale, columns, (unsigned *)layer + row * (columns / 2));
  case GLTA_LAYER_FIXED:
    return glta_store_fixed(values, scale * per_unit, columns, (unsigned *)layer + row * (columns / 2));
  }
}

static inline __attribute__((always_inline)) void glta_finish_forward(
    const struct glta_layer_rows *t, const long columns, const enum glta_layer_kind kind, long row, const float *sums,
    float *output) {
  const float scale = t->scale[row];
  if (t->target) glta_store_row(t->target, columns, kind, row, sums, scale * scale, t->per_unit);
  if (t->slots[row] >= 0) glta_add_scaled(sums, scale, columns, output + t->slots[row] * columns);
}

static inline __attribute__((always_inline)) void glta_finish_backward(
    const struct glta_layer_rows *t, const long columns, const enum glta_layer_kind kind, long row, float *sums,
    const float *gradient, float share) {
  const float scale = t->scale[row];
  glta_scale_and_add(sums, t->slots[row] >= 0 ? gradient + t->slots[row] * columns : 0, scale, columns);
  if (t->target) glta_store_row(t->target, columns, kind, row, sums, scale, t->per_unit);
  else glta_scale_and_add(sums, 0, share, columns);
}

static inline __attribute__((always_inline)) void glta_forward_rows_of(
    const struct glta_layer_rows *t, const long columns, const enum glta_layer_kind kind,
    const unsigned char *_Nullable wanted, float *output) {
  for (long row = t->first; row < t->last; row++) {
    if (wanted && !wanted[row]) continue;
    glta_sum_row(t, columns, kind, row, t->sums);
    glta_finish_forward(t, columns, kind, row, t->sums, output);
  }
}

static inline __attribute__((always_inline)) void glta_backward_rows_of(
    const struct glta_layer_rows *t, const long columns, const enum glta_layer_kind kind,
    const float *gradient, float share) {
  for (long row = t->first; row < t->last; row++) {
    float *const sums = t->target ? t->sums : t->sums + (row - t->first) * columns;
    glta_sum_row(t, columns, kind, row, sums);
    glta_finish_backward(t, columns, kind, row, sums, gradient, share);
  }
}

// 64 columns are what most graphs have; as a constant they make addresses cheaper.
#define GLTA_FOR_COLUMNS_OF(t, kind, function, ...)                                                                    \
  if ((t)->columns == 64) return function(t, 64, kind, __VA_ARGS__);                                                   \
  return function(t, (t)->columns, kind, __VA_ARGS__)

#define GLTA_FOR_COLUMNS(t, function, ...)                                                                             \
  switch ((t)->kind) {                                                                                                 \
  case GLTA_LAYER_F32: GLTA_FOR_COLUMNS_OF(t, GLTA_LAYER_F32, function, __VA_ARGS__);                                  \
  case GLTA_LAYER_BF16: GLTA_FOR_COLUMNS_OF(t, GLTA_LAYER_BF16, function, __VA_ARGS__);                                \
  case GLTA_LAYER_FIXED: GLTA_FOR_COLUMNS_OF(t, GLTA_LAYER_FIXED, function, __VA_ARGS__);                              \
  }

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

/// `glta_gather_rows` of any number of columns, of a layer that is near (in the second cache) or far.
static inline void glta_gather_layer(
    const int *list, long count, const void *source, long columns, enum glta_layer_kind kind, float unit, int is_far,
    float *sums) {
  if (columns == 64 && kind == GLTA_LAYER_FIXED && !is_far)
    return glta_gather_rows(list, count, source, 64, GLTA_LAYER_FIXED, unit, 0, sums);
  if (columns == 64) return glta_gather_rows(list, count, source, 64, kind, unit, 1, sums);
  glta_gather_rows(list, count, source, columns, kind, unit, 1, sums);
}

/// layer = rows `first` to `last` - 1 of a matrix, each times its factor; `values` is row `first`. Returns, of fixed-point
/// layers, the largest value times its factor.
static inline float glta_store_rows(
    long first, long last, const float *values, const float *scale, long columns, enum glta_layer_kind kind,
    float per_unit, void *layer) {
  float largest = 0;
  for (long row = first; row < last; row++, values += columns) {
    glta_store_row(layer, columns, kind, row, values, scale[row], per_unit);
    if (kind != GLTA_LAYER_FIXED) continue;
    const float value = glta_largest(values, columns) * scale[row];
    if (value > largest) largest = value;
  }
  return largest;
}

#pragma clang assume_nonnull end

#endif
