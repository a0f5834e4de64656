// Runs of rows of a layer as in LayerRows.h, four rows at a time: a neighbour that several of the four share is read once.
// On dense graphs that is a third of all reads less.
#ifndef GLTA_ROW_GROUPS_H
#define GLTA_ROW_GROUPS_H

#include "LayerRows.h"

#pragma clang assume_nonnull begin

/// Groups of up to four rows that follow one another.
struct glta_row_groups {
  long count;
  /// count + 1: where each group's rows begin.
  const int *rows;
  /// Sixteen for each group: how many neighbours exactly those rows have whose bits the index has. For fixed point filled
  /// up to multiples of GLTA_FIXED_ROWS, with nodes whose rows are zeros: the ends of short loops cost more than those.
  const int *counts;
  /// The neighbours of the groups, in that order; they are read ahead like lists of rows. In sixteen bits because a whole
  /// layer's do not fit in the second cache: twice the bytes took 7 % longer on ml-1m.
  const unsigned short *neighbours;
};

// All fifteen sets, spelt out, or sums would be in memory: compilers unroll a loop over loops too late to see that they
// need not be.
#define GLTA_EACH_SET(visit)                                                                                           \
  visit(1) visit(2) visit(3) visit(4) visit(5) visit(6) visit(7) visit(8) visit(9) visit(10) visit(11) visit(12)       \
      visit(13) visit(14) visit(15)

// What the rows of a set have in common, floats or whole numbers, to each one's total.
#define GLTA_ADD_PART(set, vectors, part, total)                                                                       \
  _Pragma("clang loop unroll(full)") for (int row = 0; row < 4; row++)                                                 \
  _Pragma("clang loop unroll(full)") for (int j = 0; (set) >> row & 1 && j < (vectors); j++) total[row][j] += part[j]

/// Adds the neighbours that exactly the rows of a set have to these rows' totals; returns where the next set's begin.
static inline __attribute__((always_inline)) const unsigned short *glta_add_set(
    const int set, const int blocks, const int is_bf16, int count, const unsigned short *neighbours, const void *source,
    long stride, glta_row (*total)[4]) {
  if (count == 0) return neighbours;
  glta_row part[4] = {0};
  for (const unsigned short *const end = neighbours + count; neighbours < end; neighbours++) {
    if (is_bf16) {
      const unsigned *row = (const unsigned *)source + neighbours[0] * (stride / 2);
      const unsigned *ahead = (const unsigned *)source + neighbours[GLTA_GATHER_AHEAD] * (stride / 2);
#pragma clang loop unroll(full)
      for (int block = 0; block < blocks / 2; block++) {
        __builtin_prefetch(ahead + 16 * block, 0, 3);
        const glta_words words = *(const glta_words *)(row + 16 * block);
        part[2 * block] += (glta_row)(words << 16);
        part[2 * block + 1] += (glta_row)(words & 0xffff0000u);
      }
    } else {
      const float *row = (const float *)source + neighbours[0] * stride;
      const float *ahead = (const float *)source + neighbours[GLTA_GATHER_AHEAD] * stride;
#pragma clang loop unroll(full)
      for (int block = 0; block < blocks; block++) {
        __builtin_prefetch(ahead + 16 * block, 0, 3);
        part[block] += *(const glta_row *)(row + 16 * block);
      }
    }
  }
  GLTA_ADD_PART(set, blocks, part, total);
  return neighbours;
}

/// The sums of the neighbours of up to four rows, 16 x `blocks` columns of each, `stride` apart.
static inline __attribute__((always_inline)) void glta_sum_group_columns(
    const int blocks, const int is_bf16, const int *counts, const unsigned short *neighbours, const void *source,
    long stride, int rows, float *sums) {
  glta_row total[4][4] = {0};
#define GLTA_VISIT(set) neighbours = glta_add_set(set, blocks, is_bf16, counts[set], neighbours, source, stride, total);
  GLTA_EACH_SET(GLTA_VISIT)
#undef GLTA_VISIT
#pragma clang loop unroll(full)
  for (int row = 0; row < 4; row++) {
    if (row >= rows) return;
#pragma clang loop unroll(full)
    for (int block = 0; block < blocks; block++) *(glta_row *)(sums + row * stride + 16 * block) = total[row][block];
  }
}

/// `glta_add_set` in fixed point, 32 x `blocks` columns.
static inline __attribute__((always_inline)) const unsigned short *glta_add_fixed_set(
    const int set, const int blocks, int count, const unsigned short *neighbours, const unsigned *source, long stride,
    glta_ints (*total)[4]) {
  if (count == 0) return neighbours;
  glta_ints part[4] = {0};
  for (const unsigned short *const end = neighbours + count; neighbours < end; neighbours += GLTA_FIXED_ROWS) {
    const unsigned long abcd = *(const glta_numbers *)neighbours;
    glta_add_fixed_four(
        blocks, abcd & 0xffff, abcd >> 16 & 0xffff, abcd >> 32 & 0xffff, abcd >> 48, source, stride, part);
  }
  GLTA_ADD_PART(set, 2 * blocks, part, total);
  return neighbours;
}

/// `glta_sum_group_columns` in fixed point, 32 x `blocks` columns; rows have no more than GLTA_FIXED_LONGEST neighbours.
static inline __attribute__((always_inline)) void glta_sum_fixed_group_columns(
    const int blocks, const int *counts, const unsigned short *neighbours, const unsigned *source, long stride, float unit,
    int rows, float *sums) {
  glta_ints total[4][4] = {0};
#define GLTA_VISIT(set) neighbours = glta_add_fixed_set(set, blocks, counts[set], neighbours, source, stride / 2, total);
  GLTA_EACH_SET(GLTA_VISIT)
#undef GLTA_VISIT
#pragma clang loop unroll(full)
  for (int row = 0; row < 4; row++) {
    if (row >= rows) return;
#pragma clang loop unroll(full)
    for (int j = 0; j < 2 * blocks; j++)
      *(glta_row *)(sums + row * stride + 16 * j) = __builtin_convertvector(total[row][j], glta_row) * unit;
  }
}

static inline __attribute__((always_inline)) void glta_sum_group(
    const struct glta_layer_rows *t, const long columns, const enum glta_layer_kind kind, const int *counts,
    const unsigned short *neighbours, int rows, float *sums) {
  const char *const layer = (const char *)t->source;
  const long bytes = kind == GLTA_LAYER_F32 ? 4 : 2;
  for (long done = 0; done < columns;) {
    const long left = columns - done;
    const int blocks = left >= 64 ? 4 : left >= 32 ? 2 : 1;
    const void *const source = layer + done * bytes;
    // Spelt out, so that the number of blocks is a constant of each loop.
#define GLTA_SUM_GROUP(blocks)                                                                                         \
  if (kind == GLTA_LAYER_FIXED)                                                                                        \
    glta_sum_fixed_group_columns(                                                                                      \
        (blocks) / 2, counts, neighbours, (const unsigned *)source, columns, t->unit, rows, sums + done);              \
  else glta_sum_group_columns(blocks, kind == GLTA_LAYER_BF16, counts, neighbours, source, columns, rows, sums + done)
    if (blocks == 4) {
      GLTA_SUM_GROUP(4);
    } else if (blocks == 2) {
      GLTA_SUM_GROUP(2);
    } else {
      GLTA_SUM_GROUP(1);
    }
#undef GLTA_SUM_GROUP
    done += 16 * blocks;
  }
}

static inline __attribute__((always_inline)) void glta_forward_groups_of(
    const struct glta_layer_rows *t, const long columns, const enum glta_layer_kind kind,
    const struct glta_row_groups *groups, float *output) {
  const unsigned short *neighbours = groups->neighbours;
  for (long group = 0; group < groups->count; group++) {
    const int *counts = groups->counts + 16 * group;
    const int first = groups->rows[group], rows = groups->rows[group + 1] - first;
    glta_sum_group(t, columns, kind, counts, neighbours, rows, t->sums);
    for (int row = 0; row < rows; row++)
      glta_finish_forward(t, columns, kind, first + row, t->sums + row * columns, output);
    for (int set = 1; set < 16; set++) neighbours += counts[set];
  }
}

static inline __attribute__((always_inline)) void glta_backward_groups_of(
    const struct glta_layer_rows *t, const long columns, const enum glta_layer_kind kind,
    const struct glta_row_groups *groups, const float *gradient, float share) {
  const unsigned short *neighbours = groups->neighbours;
  for (long group = 0; group < groups->count; group++) {
    const int *counts = groups->counts + 16 * group;
    const int first = groups->rows[group], rows = groups->rows[group + 1] - first;
    float *const sums = t->target ? t->sums : t->sums + (first - t->first) * columns;
    glta_sum_group(t, columns, kind, counts, neighbours, rows, sums);
    for (int row = 0; row < rows; row++)
      glta_finish_backward(t, columns, kind, first + row, sums + row * columns, gradient, share);
    for (int set = 1; set < 16; set++) neighbours += counts[set];
  }
}

/// `glta_forward_rows` of all rows of some groups; `sums` has room for four. Of `t`, lists are not read.
static inline void glta_forward_groups(
    const struct glta_layer_rows *t, const struct glta_row_groups *groups, float *output) {
  GLTA_FOR_COLUMNS(t, glta_forward_groups_of, groups, output);
}

/// `glta_backward_rows` of all rows of some groups; `sums` has room for four, or for all. Of `t`, lists are not read.
static inline void glta_backward_groups(
    const struct glta_layer_rows *t, const struct glta_row_groups *groups, const float *gradient, float share) {
  GLTA_FOR_COLUMNS(t, glta_backward_groups_of, groups, gradient, share);
}

#pragma clang assume_nonnull end

#endif
