// The innermost loop of our matrix products: a tile of C, up to twelve rows of sixteen columns, that stays in registers.
//
// C because the rows must be a constant of the loop: one body, stamped out for every height, where Swift would need it
// written out twelve times; and because a function here may use AVX-512 in a build for any x86-64 processor. The
// header-only form lets the flags of the Swift build (-march) reach the other functions.
#ifndef GLTA_MICRO_TILE_H
#define GLTA_MICRO_TILE_H

#pragma clang assume_nonnull begin

/// Sixteen floats at any address: one AVX-512 register, two of AVX or four of NEON.
typedef float glta_row __attribute__((ext_vector_type(16), aligned(4)));

/// C = start + A · B, a panel of sixteen columns of B wide.
struct glta_tile {
  /// Terms of each sum.
  long depth;
  /// A[i, k] = a[i * row_stride + k * column_stride]: read where it lies.
  const float *a;
  long row_stride;
  long column_stride;
  /// depth x 16.
  const float *b;
  /// What the sums start from, rows `start_stride` apart (0: one row for all); null: zero.
  const float *_Nullable start;
  long start_stride;
  float *c;
  long stride;
  /// What the caller reads next: fetched from afar meanwhile, `next_step` floats with each k.
  const float *next;
  long next_step;
};

/// Each sum takes its terms in order of k and fuses each multiply with its add: no height, thread or processor changes
/// a bit of it.
static inline __attribute__((always_inline)) void glta_multiply_rows(const int rows, const struct glta_tile *t) {
  const float *_Nullable const start = t->start;
  const long start_stride = t->start_stride;
  glta_row sums[12];
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) sums[i] = start ? *(const glta_row *)(start + i * start_stride) : (glta_row)0;
  // A base for every three rows: within them, addresses are base + {0, 1, 2} * stride, which instructions can say.
  const long row_stride = t->row_stride, column_stride = t->column_stride, next_step = t->next_step;
  const float *_Nonnull a[4];
#pragma clang loop unroll(full)
  for (int group = 0; group < 4; group++) a[group] = t->a + 3 * group * row_stride;
  const float *b = t->b, *next = t->next;
  for (long k = t->depth; k > 0; k--) {
    const glta_row row = *(const glta_row *)b;
    __builtin_prefetch(next, 0, 2);
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
      sums[i] = __builtin_elementwise_fma((glta_row)a[i / 3][i % 3 * row_stride], row, sums[i]);
#pragma clang loop unroll(full)
    for (int group = 0; group < 4; group++) a[group] += column_stride;
    b += 16;
    next += next_step;
  }
  float *const c = t->c;
  const long stride = t->stride;
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) *(glta_row *)(c + i * stride) = sums[i];
}

#define GLTA_TILE(name, attributes, rows) \
  attributes __attribute__((noinline)) static void name##_##rows(const struct glta_tile *tile) { \
    glta_multiply_rows(rows, tile); \
  }

/// Tiles of 1 to 6 rows: twelve of the sixteen registers of AVX, or 24 of the 32 of NEON.
#define GLTA_TILES_TO_6(name, attributes) \
  GLTA_TILE(name, attributes, 1) GLTA_TILE(name, attributes, 2) GLTA_TILE(name, attributes, 3) \
  GLTA_TILE(name, attributes, 4) GLTA_TILE(name, attributes, 5) GLTA_TILE(name, attributes, 6)

GLTA_TILES_TO_6(glta_tile, )

static inline void glta_multiply_tile(int rows, const struct glta_tile *tile) {
  switch (rows) {
  case 1: return glta_tile_1(tile);
  case 2: return glta_tile_2(tile);
  case 3: return glta_tile_3(tile);
  case 4: return glta_tile_4(tile);
  case 5: return glta_tile_5(tile);
  default: return glta_tile_6(tile);
  }
}

#if defined(__x86_64__)
/// Whatever the build is for. The second attribute stops LLVM from halving the vectors of processors that it takes to
/// run slower on wide ones.
#define GLTA_WIDE __attribute__((target("avx512f,avx512vl,avx512dq,fma"), min_vector_width(512)))
GLTA_TILES_TO_6(glta_wide_tile, GLTA_WIDE)
GLTA_TILE(glta_wide_tile, GLTA_WIDE, 7)
GLTA_TILE(glta_wide_tile, GLTA_WIDE, 8)
GLTA_TILE(glta_wide_tile, GLTA_WIDE, 9)
GLTA_TILE(glta_wide_tile, GLTA_WIDE, 10)
GLTA_TILE(glta_wide_tile, GLTA_WIDE, 11)
GLTA_TILE(glta_wide_tile, GLTA_WIDE, 12)
#endif

/// The same for up to twelve rows, on processors with AVX-512 only.
static inline void glta_multiply_wide_tile(int rows, const struct glta_tile *tile) {
#if defined(__x86_64__)
  switch (rows) {
  case 1: return glta_wide_tile_1(tile);
  case 2: return glta_wide_tile_2(tile);
  case 3: return glta_wide_tile_3(tile);
  case 4: return glta_wide_tile_4(tile);
  case 5: return glta_wide_tile_5(tile);
  case 6: return glta_wide_tile_6(tile);
  case 7: return glta_wide_tile_7(tile);
  case 8: return glta_wide_tile_8(tile);
  case 9: return glta_wide_tile_9(tile);
  case 10: return glta_wide_tile_10(tile);
  case 11: return glta_wide_tile_11(tile);
  default: return glta_wide_tile_12(tile);
  }
#else
  glta_multiply_tile(rows, tile);
#endif
}

#pragma clang assume_nonnull end

#endif
