// Scores from eight bits a number: up to twelve queries against panels of sixteen items, and which of them may matter.
//
// A score comes with a bound on its error, so that whoever rescores what is left over has the exact best. C for the
// reasons of MicroTile.h, and for AVX-512 VNNI: four products and their sum in each of sixteen lanes by one instruction.
#ifndef GLTA_BYTE_TILE_H
#define GLTA_BYTE_TILE_H

#include "MicroTile.h"
#include "Selection.h"

#pragma clang assume_nonnull begin

typedef int glta_integers __attribute__((ext_vector_type(16), aligned(4)));

/// An item whose score lies within [lower, upper].
struct glta_candidate {
  float lower;
  float upper;
  int item;
};

/// One of the queries of a tile.
struct glta_byte_query {
  /// -128 times the sum of its codes: items are stored 128 too high, since VNNI wants one side unsigned.
  int offset;
  /// What a code stands for.
  float scale;
  /// Its length: what an item's error is multiplied with.
  float norm;
  /// The length of its own error: what an item's length is multiplied with.
  float error;
  /// Items that cannot reach this are left out.
  float threshold;
  /// A bit for each item of the block; null: all are allowed.
  const unsigned short *_Nullable allowed;
  /// Where candidates go: room for every item of the block.
  struct glta_candidate *candidates;
  /// The candidates that were written.
  long count;
};

/// Some panels of items. A panel is sixteen scales, sixteen errors, sixteen lengths (floats), and `groups` times sixteen
/// items with four numbers each (bytes).
struct glta_byte_block {
  const unsigned char *panels;
  long panel_count;
  long groups;
  int first_item;
  /// groups x rows, four codes each.
  const int *codes;
};

/// sums + the products of four unsigned and four signed bytes in each lane.
static inline __attribute__((always_inline)) glta_integers glta_dot_bytes(
    glta_integers sums, glta_integers items, int codes) {
#pragma clang loop unroll(full)
  for (int byte = 0; byte < 4; byte++)
    sums += ((items >> (8 * byte)) & 255) * (glta_integers)(int)(signed char)(codes >> (8 * byte));
  return sums;
}

/// Numbers that no product here reaches the least digit of: floats round below it in their own ways.
#define GLTA_BYTE_FLOOR 0x1p-100f

static inline __attribute__((always_inline)) void glta_keep_candidates(
    struct glta_byte_query *query, glta_integers sums, const float *panel, long index, int first_item) {
  const glta_row scale = *(const glta_row *)panel * query->scale;
  const glta_row score = __builtin_convertvector(sums, glta_row) * scale;
  const glta_row ours = __builtin_elementwise_fma(
      *(const glta_row *)(panel + 32), (glta_row)query->error, (glta_row)GLTA_BYTE_FLOOR);
  const glta_row error = __builtin_elementwise_fma(*(const glta_row *)(panel + 16), (glta_row)query->norm, ours);
  // Lanes without an item have NaN for an error and are at or above nothing.
  unsigned kept = GLTA_LANES(score + error >= (glta_row)query->threshold);
  if (__builtin_expect(kept == 0, 1)) return;
  if (query->allowed) kept &= query->allowed[index];
  const glta_row lower = score - error, upper = score + error;
  for (; kept; kept &= kept - 1) {
    const int lane = __builtin_ctz(kept);
    query->candidates[query->count++] =
        (struct glta_candidate){lower[lane], upper[lane], first_item + (int)index * 16 + lane};
  }
}

#define GLTA_BYTE_TILE(name, attributes, dot, rows) \
  attributes __attribute__((noinline)) static void name##_##rows( \
      struct glta_byte_query *queries, const struct glta_byte_block *block) { \
    const long groups = block->groups; \
    const unsigned char *panel = block->panels; \
    for (long index = 0; index < block->panel_count; index++) { \
      const int *codes = block->codes; \
      const unsigned char *items = panel + 192; \
      glta_integers sums[rows]; \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < rows; i++) sums[i] = (glta_integers)queries[i].offset; \
      for (long group = 0; group < groups; group++, items += 64, codes += rows) { \
        const glta_integers four = *(const glta_integers *)items; \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < rows; i++) sums[i] = dot(sums[i], four, codes[i]); \
      } \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < rows; i++) \
        glta_keep_candidates(&queries[i], sums[i], (const float *)panel, index, block->first_item); \
      panel = items; \
    } \
  }

#define GLTA_BYTE_TILES(name, attributes, dot) \
  GLTA_BYTE_TILE(name, attributes, dot, 1) GLTA_BYTE_TILE(name, attributes, dot, 2) \
  GLTA_BYTE_TILE(name, attributes, dot, 3) GLTA_BYTE_TILE(name, attributes, dot, 4) \
  GLTA_BYTE_TILE(name, attributes, dot, 5) GLTA_BYTE_TILE(name, attributes, dot, 6) \
  GLTA_BYTE_TILE(name, attributes, dot, 7) GLTA_BYTE_TILE(name, attributes, dot, 8) \
  GLTA_BYTE_TILE(name, attributes, dot, 9) GLTA_BYTE_TILE(name, attributes, dot, 10) \
  GLTA_BYTE_TILE(name, attributes, dot, 11) GLTA_BYTE_TILE(name, attributes, dot, 12)

#define GLTA_BYTE_CASES(name) \
  switch (rows) { \
  case 1: return name##_1(queries, block); \
  case 2: return name##_2(queries, block); \
  case 3: return name##_3(queries, block); \
  case 4: return name##_4(queries, block); \
  case 5: return name##_5(queries, block); \
  case 6: return name##_6(queries, block); \
  case 7: return name##_7(queries, block); \
  case 8: return name##_8(queries, block); \
  case 9: return name##_9(queries, block); \
  case 10: return name##_10(queries, block); \
  case 11: return name##_11(queries, block); \
  default: return name##_12(queries, block); \
  }

GLTA_BYTE_TILES(glta_byte_tile, , glta_dot_bytes)

#if defined(__x86_64__)
#define GLTA_DOT_VNNI(sums, items, codes) __builtin_ia32_vpdpbusd512(sums, items, (glta_integers)(codes))
GLTA_BYTE_TILES(
    glta_vnni_tile, __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx512vnni,fma"), min_vector_width(512))),
    GLTA_DOT_VNNI)
#endif

/// Nonzero where the running CPU multiplies and sums bytes by one instruction.
static inline int glta_cpu_has_vnni(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw");
#else
  return 0;
#endif
}

/// Adds to each query the items of the block that may reach its threshold. Sums are whole numbers, so both ways give the
/// same.
static inline void glta_scan_bytes(
    int vnni, int rows, struct glta_byte_query *queries, const struct glta_byte_block *block) {
#if defined(__x86_64__)
  if (vnni) GLTA_BYTE_CASES(glta_vnni_tile)
#endif
  GLTA_BYTE_CASES(glta_byte_tile)
}

#pragma clang assume_nonnull end

#endif
