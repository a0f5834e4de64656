// Products of bytes: up to twelve rows of signed bytes against a panel of GLTA_8, a scale for each 32 terms of both.
//
// The sum of 32 products of bytes is a whole number, exact in every way of computing it; scales come after it, in order of
// the units. So neither rows, threads nor processors change a bit. C for the reasons of ByteTile.h.
#ifndef GLTA_BYTE_PRODUCT_H
#define GLTA_BYTE_PRODUCT_H

#include "ByteTile.h"
#include "QuantizedPanel.h"

#pragma clang assume_nonnull begin

/// C = start + A · B for a panel of B, some units of the sums.
struct glta_byte_product {
  long units;
  /// Scales of B, f16: units x 16.
  const unsigned char *scales;
  /// Codes of B, 128 too high: units x 8 x 16 x 4.
  const unsigned char *codes;
  /// Codes of A, rows `row_stride` bytes apart.
  const signed char *a;
  long row_stride;
  /// For each row and unit of A the scale, and -128 times the sum of the codes; rows `unit_stride` apart.
  const float *a_scales;
  const int *a_offsets;
  long unit_stride;
  /// What the sums start from, rows `start_stride` apart (0: one row for all); null: zero.
  const float *_Nullable start;
  long start_stride;
  float *c;
  long stride;
};

#define GLTA_BYTE_PRODUCT(name, attributes, dot, rows) \
  attributes __attribute__((noinline)) static void name##_##rows(const struct glta_byte_product *p) { \
    const long row_stride = p->row_stride, unit_stride = p->unit_stride, units = p->units; \
    const float *_Nullable const start = p->start; \
    const unsigned char *codes = p->codes, *scales = p->scales; \
    const signed char *_Nonnull a[4]; \
    _Pragma("clang loop unroll(full)") for (int group = 0; group < 4; group++) a[group] = p->a + 3 * group * row_stride; \
    const float *a_scales = p->a_scales; \
    const int *a_offsets = p->a_offsets; \
    glta_row sums[rows]; \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < rows; i++) \
        sums[i] = start ? *(const glta_row *)(start + i * p->start_stride) : (glta_row)0; \
    for (long unit = 0; unit < units; unit++) { \
      glta_integers whole[rows]; \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < rows; i++) \
          whole[i] = (glta_integers)a_offsets[i * unit_stride]; \
      _Pragma("clang loop unroll(full)") for (int word = 0; word < GLTA_UNIT / 4; word++, codes += 64) { \
        const glta_integers four = *(const glta_integers *)codes; \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < rows; i++) \
            whole[i] = dot(whole[i], four, *(const int *)(a[i / 3] + i % 3 * row_stride + 4 * word)); \
      } \
      const glta_row scale = glta_read_halves(scales); \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < rows; i++) \
          sums[i] = __builtin_elementwise_fma( \
              __builtin_convertvector(whole[i], glta_row), scale * (glta_row)a_scales[i * unit_stride], sums[i]); \
      _Pragma("clang loop unroll(full)") for (int group = 0; group < 4; group++) a[group] += GLTA_UNIT; \
      scales += 32; \
      a_scales++; \
      a_offsets++; \
    } \
    float *const c = p->c; \
    const long stride = p->stride; \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < rows; i++) *(glta_row *)(c + i * stride) = sums[i]; \
  }

#define GLTA_BYTE_PRODUCTS(name, attributes, dot) \
  GLTA_BYTE_PRODUCT(name, attributes, dot, 1) GLTA_BYTE_PRODUCT(name, attributes, dot, 2) \
  GLTA_BYTE_PRODUCT(name, attributes, dot, 3) GLTA_BYTE_PRODUCT(name, attributes, dot, 4) \
  GLTA_BYTE_PRODUCT(name, attributes, dot, 5) GLTA_BYTE_PRODUCT(name, attributes, dot, 6) \
  GLTA_BYTE_PRODUCT(name, attributes, dot, 7) GLTA_BYTE_PRODUCT(name, attributes, dot, 8) \
  GLTA_BYTE_PRODUCT(name, attributes, dot, 9) GLTA_BYTE_PRODUCT(name, attributes, dot, 10) \
  GLTA_BYTE_PRODUCT(name, attributes, dot, 11) GLTA_BYTE_PRODUCT(name, attributes, dot, 12)

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

GLTA_BYTE_PRODUCTS(glta_byte_product, , glta_dot_bytes)
#if defined(__x86_64__)
GLTA_BYTE_PRODUCTS(
    glta_vnni_product,
    __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx512vnni,fma"), min_vector_width(512))), GLTA_DOT_VNNI)
#endif

/// One tile of C, with `vnni` by the instruction that sums four products of bytes.
static inline void glta_multiply_bytes(int vnni, int rows, const struct glta_byte_product *product) {
#if defined(__x86_64__)
  if (vnni) GLTA_BYTE_PRODUCT_CASES(glta_vnni_product)
#endif
  GLTA_BYTE_PRODUCT_CASES(glta_byte_product)
}

/// Rounds a row to signed bytes, a scale for each unit: row[k] is about codes[k] * scales[k / 32]. Codes fill their last
/// unit with zeros.
static inline void glta_round_to_bytes(
    const float *row, long count, signed char *codes, float *scales, int *offsets) {
  // 1.5 * 2^23 leaves no bits for fractions: a float is rounded to even by adding it, and ends in the whole number.
  const glta_row magic = (glta_row)12582912.0f;
  float tail[GLTA_UNIT];
  for (long k = 0; k < count; k += GLTA_UNIT, row += GLTA_UNIT, codes += GLTA_UNIT, scales++, offsets++) {
    const float *unit = row;
    if (count - k < GLTA_UNIT) {
      for (long i = 0; i < GLTA_UNIT; i++) tail[i] = i < count - k ? row[i] : 0;
      unit = tail;
    }
    const glta_row first = *(const glta_row *)unit, second = *(const glta_row *)(unit + 16);
    const glta_row size = __builtin_elementwise_max(__builtin_elementwise_abs(first), __builtin_elementwise_abs(second));
    const float largest = __builtin_reduce_max(size);
    const float inverse = largest > 0 ? 127 / largest : 0;
    const glta_integers low = (glta_integers)__builtin_elementwise_fma(first, (glta_row)inverse, magic);
    const glta_integers high = (glta_integers)__builtin_elementwise_fma(second, (glta_row)inverse, magic);
    *(glta_lane_signed *)codes = __builtin_convertvector(low, glta_lane_signed);
    *(glta_lane_signed *)(codes + 16) = __builtin_convertvector(high, glta_lane_signed);
    // Each carries the bits of the magic number; what is left is the sum of the codes.
    *offsets = -128 * (__builtin_reduce_add(low - (glta_integers)magic) + __builtin_reduce_add(high - (glta_integers)magic));
    *scales = largest / 127;
  }
}

#pragma clang assume_nonnull end

#endif
