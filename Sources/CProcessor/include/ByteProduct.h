// Products of bytes: up to twelve rows of signed bytes against a panel of codes of eight bits or of four, a scale for
// each 32 terms of both.
//
// The sum of 32 products of bytes is a whole number, exact in every way of computing it; scales come after it, in order
// of the units. So neither rows, threads nor processors change a bit. C for the reasons of ByteTile.h.
#ifndef GLTA_BYTE_PRODUCT_H
#define GLTA_BYTE_PRODUCT_H

#include "ByteTile.h"
#include "QuantizedPanel.h"

#pragma clang assume_nonnull begin

/// C = start + A · B for a panel of B, some units of the sums.
struct glta_byte_product {
  /// GLTA_8, or a form of four bits in which a unit has one scale.
  enum glta_form form;
  long first_unit;
  long units;
  /// The panel of B: its scales.
  const unsigned char *panel;
  /// The codes of the first unit.
  const unsigned char *codes;
  /// Bytes from the start of the panel to its codes.
  long scale_bytes;
  /// How far ahead to fetch, as `glta_fetch_ahead` has it; zero where another tile does.
  long ahead;
  const int *_Nullable groups;
  /// Codes of A, rows `row_stride` bytes apart; for four bits in the order of GLTA_NIBBLE_ORDER.
  const signed char *a;
  long row_stride;
  /// For each row and unit of A the scale, -128 times the sum of the codes, and the sum times the scale; rows are
  /// `unit_stride` apart.
  const float *a_scales;
  const int *a_offsets;
  const float *a_sums;
  long unit_stride;
  /// What the sums start from, rows `start_stride` apart (0: one row for all); null: zero.
  const float *_Nullable start;
  long start_stride;
  float *c;
  long stride;
};

/// Eight codes of four bits in a word: the lower halves of its bytes are those of even terms, the upper ones of odd.
#define GLTA_NIBBLE_ORDER 0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15

/// Adds the products of a unit to whole[rows].
#define GLTA_BYTE_UNIT(dot, rows, nibbles) \
  if (nibbles) { \
    _Pragma("clang loop unroll(full)") for (int word = 0; word < GLTA_UNIT / 8; word++, codes += 64) { \
      const glta_integers both = *(const glta_integers *)codes; \
      const glta_integers even = both & 0x0F0F0F0F, odd = both >> 4 & 0x0F0F0F0F; \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < rows; i++) \
          whole[i] = dot(whole[i], even, *(const int *)(a[i / 3] + i % 3 * row_stride + 8 * word)); \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < rows; i++) \
          whole[i] = dot(whole[i], odd, *(const int *)(a[i / 3] + i % 3 * row_stride + 8 * word + 4)); \
    } \
  } else { \
    _Pragma("clang loop unroll(full)") for (int word = 0; word < GLTA_UNIT / 4; word++, codes += 64) { \
      const glta_integers four = *(const glta_integers *)codes; \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < rows; i++) \
          whole[i] = dot(whole[i], four, *(const int *)(a[i / 3] + i % 3 * row_stride + 4 * word)); \
    } \
  }

#define GLTA_BYTE_PRODUCT(name, attributes, dot, nibbles, rows) \
  attributes __attribute__((noinline)) static void name##_##rows(const struct glta_byte_product *p) { \
    const long row_stride = p->row_stride, unit_stride = p->unit_stride, units = p->units; \
    const float *_Nullable const start = p->start; \
    const unsigned char *codes = p->codes; \
    const signed char *_Nonnull a[4]; \
    _Pragma("clang loop unroll(full)") for (int group = 0; group < 4; group++) \
        a[group] = p->a + 3 * group * row_stride; \
    const float *a_scales = p->a_scales, *a_sums = p->a_sums; \
    const int *a_offsets = p->a_offsets; \
    glta_row sums[rows]; \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < rows; i++) \
        sums[i] = start ? *(const glta_row *)(start + i * p->start_stride) : (glta_row)0; \
    const long ahead = p->ahead; \
    for (long unit = 0; unit < units; unit++) { \
      if (ahead) \
        glta_fetch_unit( \
            nibbles ? GLTA_4 : GLTA_8, p->panel, p->scale_bytes, codes, p->first_unit + unit, ahead); \
      glta_integers whole[rows]; \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < rows; i++) \
          whole[i] = (glta_integers)(nibbles ? 0 : a_offsets[i * unit_stride]); \
      GLTA_BYTE_UNIT(dot, rows, nibbles) \
      const struct glta_scales scales = \
          glta_read_scales(nibbles ? (int)p->form : GLTA_8, p->panel, p->groups, (p->first_unit + unit) * GLTA_UNIT); \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < rows; i++) { \
        sums[i] = __builtin_elementwise_fma( \
            __builtin_convertvector(whole[i], glta_row), scales.scale * (glta_row)a_scales[i * unit_stride], sums[i]); \
        if (nibbles) \
          sums[i] = __builtin_elementwise_fma(scales.shift, (glta_row)a_sums[i * unit_stride], sums[i]); \
      } \
      _Pragma("clang loop unroll(full)") for (int group = 0; group < 4; group++) a[group] += GLTA_UNIT; \
      a_scales++; \
      a_offsets++; \
      a_sums++; \
    } \
    float *const c = p->c; \
    const long stride = p->stride; \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < rows; i++) *(glta_row *)(c + i * stride) = sums[i]; \
  }

#define GLTA_BYTE_PRODUCTS(name, attributes, dot, nibbles) \
  GLTA_BYTE_PRODUCT(name, attributes, dot, nibbles, 1) GLTA_BYTE_PRODUCT(name, attributes, dot, nibbles, 2) \
  GLTA_BYTE_PRODUCT(name, attributes, dot, nibbles, 3) GLTA_BYTE_PRODUCT(name, attributes, dot, nibbles, 4) \
  GLTA_BYTE_PRODUCT(name, attributes, dot, nibbles, 5) GLTA_BYTE_PRODUCT(name, attributes, dot, nibbles, 6) \
  GLTA_BYTE_PRODUCT(name, attributes, dot, nibbles, 7) GLTA_BYTE_PRODUCT(name, attributes, dot, nibbles, 8) \
  GLTA_BYTE_PRODUCT(name, attributes, dot, nibbles, 9) GLTA_BYTE_PRODUCT(name, attributes, dot, nibbles, 10) \
  GLTA_BYTE_PRODUCT(name, attributes, dot, nibbles, 11) GLTA_BYTE_PRODUCT(name, attributes, dot, nibbles, 12)

#define GLTA_BYTE_PRODUCT_CASES(name) \
  switch (rows) { \
  case 1: return name##_1(product); \
  case 2: return name##_2(product); \
  case 3: return name##_3(product); \
  case 4: return name##_4(product); \
  case 5: return name##_5(product); \
  case 6: return name##_6(product); \
  case 7: return name##_7(product); \
  case 8: return name##_8(product); \
  case 9: return name##_9(product); \
  case 10: return name##_10(product); \
  case 11: return name##_11(product); \
  default: return name##_12(product); \
  }

GLTA_BYTE_PRODUCTS(glta_byte_product, , glta_dot_bytes, 0)
GLTA_BYTE_PRODUCTS(glta_nibble_product, , glta_dot_bytes, 1)
#if defined(__x86_64__)
#define GLTA_VNNI \
  __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx512vnni,fma"), min_vector_width(512)))
GLTA_BYTE_PRODUCTS(glta_vnni_product, GLTA_VNNI, GLTA_DOT_VNNI, 0)
GLTA_BYTE_PRODUCTS(glta_vnni_nibble_product, GLTA_VNNI, GLTA_DOT_VNNI, 1)
#endif

/// Whether products of bytes are made with panels of a form.
static inline int glta_form_is_bytes(enum glta_form form) {
  return form == GLTA_8 || form == GLTA_4 || form == GLTA_4_SHIFT || form == GLTA_4_SUPER || form == GLTA_4_GROUPS;
}

/// One tile of C, with `vnni` by the instruction that sums four products of bytes.
static inline void glta_multiply_bytes(int vnni, int rows, const struct glta_byte_product *product) {
  if (product->form == GLTA_8) {
#if defined(__x86_64__)
    if (vnni) GLTA_BYTE_PRODUCT_CASES(glta_vnni_product)
#endif
    GLTA_BYTE_PRODUCT_CASES(glta_byte_product)
  }
#if defined(__x86_64__)
  if (vnni) GLTA_BYTE_PRODUCT_CASES(glta_vnni_nibble_product)
#endif
  GLTA_BYTE_PRODUCT_CASES(glta_nibble_product)
}

/// Rounds a row to signed bytes, a scale for each unit: row[k] is about codes[k] * scales[k / 32]. Codes fill their
/// last unit with zeros; with `nibbles` they stand in the order of GLTA_NIBBLE_ORDER.
static inline void glta_round_to_bytes(
    const float *row, long count, int nibbles, signed char *codes, float *scales, int *offsets, float *sums) {
  // 1.5 * 2^23 leaves no bits for fractions: a float is rounded to even by adding it, and ends in the whole number.
  const glta_row magic = (glta_row)12582912.0f;
  float tail[GLTA_UNIT];
  for (long k = 0; k < count; k += GLTA_UNIT, row += GLTA_UNIT, codes += GLTA_UNIT, scales++, offsets++, sums++) {
    const float *unit = row;
    if (count - k < GLTA_UNIT) {
      for (long i = 0; i < GLTA_UNIT; i++) tail[i] = i < count - k ? row[i] : 0;
      unit = tail;
    }
    const glta_row first = *(const glta_row *)unit, second = *(const glta_row *)(unit + 16);
    const float largest = __builtin_reduce_max(
        __builtin_elementwise_max(__builtin_elementwise_abs(first), __builtin_elementwise_abs(second)));
    const float inverse = largest > 0 ? 127 / largest : 0;
    glta_integers low = (glta_integers)__builtin_elementwise_fma(first, (glta_row)inverse, magic);
    glta_integers high = (glta_integers)__builtin_elementwise_fma(second, (glta_row)inverse, magic);
    // Each carries the bits of the magic number; what is left is the sum of the codes.
    const int sum = __builtin_reduce_add((low - (glta_integers)magic) + (high - (glta_integers)magic));
    if (nibbles) {
      low = __builtin_shufflevector(low, low, GLTA_NIBBLE_ORDER);
      high = __builtin_shufflevector(high, high, GLTA_NIBBLE_ORDER);
    }
    *(glta_lane_signed *)codes = __builtin_convertvector(low, glta_lane_signed);
    *(glta_lane_signed *)(codes + 16) = __builtin_convertvector(high, glta_lane_signed);
    *scales = largest / 127;
    *offsets = (int)(-128u * (unsigned)sum);
    *sums = (float)sum * *scales;
  }
}

#pragma clang assume_nonnull end

#endif
