// Runs of rows of a layer as in LayerRows.h, sixteen rows at a time: where many of the sixteen have edges to many of
// thirty-two nodes, their sums are a product of a matrix of ones and zeros with the nodes' rows, which processors with
// matrix units (AMX) have an instruction for. Edges elsewhere are summed from lists. bf16 only: products by one and sums
// in f32, as in lists, but in another order.
#ifndef GLTA_DENSE_BLOCKS_H
#define GLTA_DENSE_BLOCKS_H

#include "LayerRows.h"

#pragma clang assume_nonnull begin

/// Rows of a panel, and nodes of a block's other side.
#define GLTA_PANEL_ROWS 16
#define GLTA_BLOCK_NODES 32

/// Panels of up to sixteen rows that follow one another.
struct glta_dense_panels {
  long count;
  /// count + 1: where each panel's rows begin.
  const int *rows;
  /// count + 1: where each panel's blocks begin.
  const int *starts;
  /// Of each block, which thirty-two nodes it is over: where their rows lie in `pairs`.
  const int *places;
  /// Sixteen for each block: bit j of word i says whether row i has an edge to node j.
  const unsigned *bits;
  /// The source as `glta_pair_rows` makes it.
  const unsigned *pairs;
  /// Whether to use matrix units, which `glta_cpu_has_matrix_units` must have answered for.
  int has_units;
};

/// Rows `first` to `last` - 1 of a bf16 layer, thirty-two at most and zeros for the rest, as matrix units read them:
/// sixteen columns after sixteen columns, of each the rows in pairs, a word holding a column of both.
static inline void glta_pair_rows(long first, long last, const void *layer, long columns, unsigned *pairs) {
  const unsigned *rows = (const unsigned *)layer;
  for (long pair = 0; pair < GLTA_BLOCK_NODES / 2; pair++) {
    const long even = first + 2 * pair, odd = even + 1;
    for (long block = 0; block < columns / 32; block++) {
      const glta_words a = even < last ? *(const glta_words *)(rows + even * (columns / 2) + 16 * block) : (glta_words)0;
      const glta_words b = odd < last ? *(const glta_words *)(rows + odd * (columns / 2) + 16 * block) : (glta_words)0;
      unsigned *const out = pairs + 512 * block + 16 * pair;
      *(glta_words *)out = (a & 0xffffu) | (b << 16);
      *(glta_words *)(out + 256) = (a >> 16) | (b & 0xffff0000u);
    }
  }
}

#if defined(__x86_64__)

#define GLTA_UNITS __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw"), min_vector_width(512)))
typedef short glta_ones __attribute__((ext_vector_type(32), aligned(64)));
typedef short glta_short_vector __attribute__((vector_size(64)));

/// Eight tiles of sixteen rows of 64 bytes, for this thread until `glta_close_units`.
static inline GLTA_UNITS void glta_open_units(void) {
  struct {
    unsigned char palette, start, reserved[14];
    unsigned short bytes[16];
    unsigned char rows[16];
  } shape = {.palette = 1};
  for (int tile = 0; tile < 8; tile++) {
    shape.bytes[tile] = 64;
    shape.rows[tile] = 16;
  }
  __builtin_ia32_tile_loadconfig(&shape);
}

static inline GLTA_UNITS void glta_close_units(void) { __builtin_ia32_tilerelease(); }

/// Blocks whose ones and zeros are spread out before the first of them is multiplied: memory is not waited for then.
#define GLTA_BLOCKS_AHEAD 8

// Tiles have to be numbered by constants, so both widths are written out: four tiles of sums, or two.
#define GLTA_MULTIPLY_BLOCK(sum, next, place)                                                                          \
  __builtin_ia32_tileloadd64(next, (place), 64);                                                                       \
  __builtin_ia32_tdpbf16ps(sum, 4, next)

static inline GLTA_UNITS void glta_sum_blocks_by_units(
    const struct glta_dense_panels *t, long panel, const long columns, float *sums) {
  unsigned ones[GLTA_BLOCKS_AHEAD][256] __attribute__((aligned(64)));
  const long start = t->starts[panel], end = t->starts[panel + 1];
  for (long column = 0; column < columns; column += 64) {
    const int is_whole = columns - column >= 64;
    __builtin_ia32_tilezero(0);
    __builtin_ia32_tilezero(1);
    __builtin_ia32_tilezero(2);
    __builtin_ia32_tilezero(3);
    for (long first = start; first < end; first += GLTA_BLOCKS_AHEAD) {
      const long last = first + GLTA_BLOCKS_AHEAD < end ? first + GLTA_BLOCKS_AHEAD : end;
      for (long block = first; block < last; block++)
        for (long row = 0; row < GLTA_PANEL_ROWS; row++)
          *(glta_short_vector *)(ones[block - first] + 16 * row) = __builtin_ia32_selectw_512(
              t->bits[GLTA_PANEL_ROWS * block + row], (glta_short_vector)(glta_ones)0x3f80, (glta_short_vector){0});
      for (long block = first; block < last; block++) {
        const unsigned *const pairs = t->pairs + t->places[block] * (columns * 16) + column * 16;
        __builtin_ia32_tileloadd64(4, ones[block - first], 64);
        GLTA_MULTIPLY_BLOCK(0, 5, pairs);
        GLTA_MULTIPLY_BLOCK(1, 6, pairs + 256);
        if (!is_whole) continue;
        GLTA_MULTIPLY_BLOCK(2, 7, pairs + 512);
        GLTA_MULTIPLY_BLOCK(3, 5, pairs + 768);
      }
    }
    __builtin_ia32_tilestored64(0, sums + column, 4 * columns);
    __builtin_ia32_tilestored64(1, sums + column + 16, 4 * columns);
    if (!is_whole) continue;
    __builtin_ia32_tilestored64(2, sums + column + 32, 4 * columns);
    __builtin_ia32_tilestored64(3, sums + column + 48, 4 * columns);
  }
}

#endif

/// What matrix units do, on any processor.
static inline void glta_sum_blocks_by_bits(
    const struct glta_dense_panels *t, long panel, const long columns, float *sums) {
  for (long i = 0; i < GLTA_PANEL_ROWS * columns; i++) sums[i] = 0;
  for (long block = t->starts[panel]; block < t->starts[panel + 1]; block++) {
    const unsigned *const pairs = t->pairs + t->places[block] * (columns * 16);
    for (long row = 0; row < GLTA_PANEL_ROWS; row++) {
      for (long node = 0; node < GLTA_BLOCK_NODES; node++) {
        if ((t->bits[GLTA_PANEL_ROWS * block + row] >> node & 1) == 0) continue;
        for (long column = 0; column < columns; column += 16) {
          const glta_words words = *(const glta_words *)(pairs + column * 16 + node / 2 * 16);
          *(glta_row *)(sums + row * columns + column) += (glta_row)(node % 2 ? words & 0xffff0000u : words << 16);
        }
      }
    }
  }
}

/// Sixteen rows of sums over the blocks of a panel.
static inline void glta_sum_blocks(const struct glta_dense_panels *t, long panel, const long columns, float *sums) {
#if defined(__x86_64__)
  if (t->has_units) return glta_sum_blocks_by_units(t, panel, columns, sums);
#endif
  glta_sum_blocks_by_bits(t, panel, columns, sums);
}

static inline __attribute__((always_inline)) void glta_forward_panels_of(
    const struct glta_layer_rows *t, const long columns, const struct glta_dense_panels *panels, float *output) {
  for (long panel = 0; panel < panels->count; panel++) {
    const long first = panels->rows[panel];
    glta_sum_blocks(panels, panel, columns, t->sums);
    for (long row = first; row < panels->rows[panel + 1]; row++) {
      if (!t->target && t->slots[row] < 0) continue;
      float *const sums = t->sums + (row - first) * columns;
      glta_sum_row(t, columns, 1, row, sums, 1);
      glta_finish_forward(t, columns, 1, row, sums, output);
    }
  }
}

static inline __attribute__((always_inline)) void glta_backward_panels_of(
    const struct glta_layer_rows *t, const long columns, const struct glta_dense_panels *panels,
    const float *gradient, float share) {
  for (long panel = 0; panel < panels->count; panel++) {
    const long first = panels->rows[panel];
    float *const sums = t->target ? t->sums : t->sums + (first - t->first) * columns;
    glta_sum_blocks(panels, panel, columns, sums);
    for (long row = first; row < panels->rows[panel + 1]; row++) {
      glta_sum_row(t, columns, 1, row, sums + (row - first) * columns, 1);
      glta_finish_backward(t, columns, 1, row, sums + (row - first) * columns, gradient, share);
    }
  }
}

#if defined(__x86_64__)
#define GLTA_WITH_UNITS(panels, call)                                                                                  \
  do {                                                                                                                 \
    if ((panels)->has_units) glta_open_units();                                                                        \
    call;                                                                                                              \
    if ((panels)->has_units) glta_close_units();                                                                       \
  } while (0)
#else
#define GLTA_WITH_UNITS(panels, call) call
#endif

/// `glta_forward_rows` of all rows of some panels, of whose edges the lists of `t` have those outside of blocks; `sums`
/// has room for sixteen rows. The layers are bf16.
static inline void glta_forward_panels(
    const struct glta_layer_rows *t, const struct glta_dense_panels *panels, float *output) {
  if (t->columns == 64) GLTA_WITH_UNITS(panels, glta_forward_panels_of(t, 64, panels, output));
  else GLTA_WITH_UNITS(panels, glta_forward_panels_of(t, t->columns, panels, output));
}

/// `glta_backward_rows` in the same way; `sums` has room for all rows, and for sixteen of the last panel.
static inline void glta_backward_panels(
    const struct glta_layer_rows *t, const struct glta_dense_panels *panels, const float *gradient, float share) {
  if (t->columns == 64) GLTA_WITH_UNITS(panels, glta_backward_panels_of(t, 64, panels, gradient, share));
  else GLTA_WITH_UNITS(panels, glta_backward_panels_of(t, t->columns, panels, gradient, share));
}

#pragma clang assume_nonnull end

#endif
