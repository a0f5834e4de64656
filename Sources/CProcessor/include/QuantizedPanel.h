// Panels of a quantised matrix: back to floats, and times one row without them ever being written down.
//
// A panel is sixteen columns of B, as in PackedMatrix: first its scales, then its codes, in units of 32 terms. Every
// code stands for scale * code + shift; scales have so few bits that this is exact, or rounds once, in every form. So
// each product here has the bits of the product of the floats. C for the reasons of MicroTile.h.
#ifndef GLTA_QUANTIZED_PANEL_H
#define GLTA_QUANTIZED_PANEL_H

#include "ByteTile.h"
#include "MicroTile.h"
#include "RowGather.h"

#pragma clang assume_nonnull begin

/// Terms of a unit: codes are stored in so many, and no scale changes within half of them.
#define GLTA_UNIT 32

/// How numbers are stored. A lane is a column; a word is 32 bits of each lane, 64 bytes in all.
enum glta_form {
  /// The upper halves of floats, sixteen to a term.
  GLTA_BF16,
  /// IEEE 754 binary16, sixteen to a term.
  GLTA_F16,
  /// A scale f16 a unit; codes of four bits less 8, eight terms a word.
  GLTA_4,
  /// A scale f16 and a shift f16 a unit; codes of four bits.
  GLTA_4_SHIFT,
  /// A scale f16 a unit; codes of five bits less 16: after the words of the lower four, one has a bit for each term.
  GLTA_5,
  /// A scale f16 and a shift f16 a unit; codes of five bits.
  GLTA_5_SHIFT,
  /// A scale f16 a unit; codes of eight bits less 128, four terms a word.
  GLTA_8,
  /// For eight units a scale f16 and a shift f16, then for each of them a byte that multiplies the one and a byte that
  /// multiplies the other; codes of four bits, and the shift is taken away.
  GLTA_4_SUPER,
  /// The same with codes of five bits.
  GLTA_5_SUPER,
  /// For eight units a scale f16, then a signed byte for each sixteen terms that multiplies it; codes of six bits less
  /// 32: after the words of the lower four, two have two bits for each term.
  GLTA_6_SUPER,
  /// Groups of whole units, each with a scale f16 and a zero, a byte: scale * (code - zero), codes of four bits.
  GLTA_4_GROUPS,
  /// The same with a group for each term.
  GLTA_4_SCATTERED,
};

/// Panels that follow one another.
struct glta_panels {
  enum glta_form form;
  /// Terms of B: the length of the sums.
  long depth;
  const unsigned char *first;
  /// Bytes from panel to panel.
  long stride;
  /// Bytes from the start of a panel to its codes.
  long codes;
  /// The group of each unit, or of each term; null where the form has none.
  const int *_Nullable groups;
};

typedef unsigned char glta_lane_bytes __attribute__((ext_vector_type(16), aligned(1)));
typedef signed char glta_lane_signed __attribute__((ext_vector_type(16), aligned(1)));
typedef unsigned short glta_lane_shorts __attribute__((ext_vector_type(16), aligned(2)));
typedef _Float16 glta_lane_halves __attribute__((ext_vector_type(16), aligned(2)));

/// What the codes of some terms are multiplied with, and what is added then.
struct glta_scales {
  glta_row scale;
  glta_row shift;
};

#define GLTA_INLINE static inline __attribute__((always_inline))

GLTA_INLINE glta_row glta_read_halves(const unsigned char *at) {
  return __builtin_convertvector(*(const glta_lane_halves *)at, glta_row);
}

GLTA_INLINE glta_row glta_read_bytes(const unsigned char *at) {
  return __builtin_convertvector(__builtin_convertvector(*(const glta_lane_bytes *)at, glta_integers), glta_row);
}

GLTA_INLINE glta_row glta_read_signed(const unsigned char *at) {
  return __builtin_convertvector(__builtin_convertvector(*(const glta_lane_signed *)at, glta_integers), glta_row);
}

/// Bytes of codes in a unit of a panel.
GLTA_INLINE long glta_unit_bytes(const int form) {
  switch (form) {
  case GLTA_BF16:
  case GLTA_F16: return 1024;
  case GLTA_5:
  case GLTA_5_SHIFT:
  case GLTA_5_SUPER: return 320;
  case GLTA_6_SUPER: return 384;
  case GLTA_8: return 512;
  default: return 256;
  }
}

/// The scales of a term, given those of the panel.
GLTA_INLINE struct glta_scales glta_read_scales(
    const int form, const unsigned char *panel, const int *_Nullable groups, long term) {
  const long unit = term / GLTA_UNIT;
  switch (form) {
  case GLTA_4:
  case GLTA_5:
  case GLTA_8: {
    const glta_row scale = glta_read_halves(panel + 32 * unit);
    return (struct glta_scales){scale, scale * (glta_row)(form == GLTA_4 ? -8.0f : form == GLTA_5 ? -16.0f : -128.0f)};
  }
  case GLTA_4_SHIFT:
  case GLTA_5_SHIFT:
    return (struct glta_scales){glta_read_halves(panel + 64 * unit), glta_read_halves(panel + 64 * unit + 32)};
  case GLTA_4_SUPER:
  case GLTA_5_SUPER: {
    const unsigned char *block = panel + unit / 8 * 320, *factors = block + 64 + unit % 8 * 32;
    return (struct glta_scales){
        glta_read_halves(block) * glta_read_bytes(factors),
        -(glta_read_halves(block + 32) * glta_read_bytes(factors + 16))};
  }
  case GLTA_6_SUPER: {
    const unsigned char *block = panel + unit / 8 * 288;
    const glta_row scale = glta_read_halves(block) * glta_read_signed(block + 32 + term / 16 % 16 * 16);
    return (struct glta_scales){scale, scale * (glta_row)-32.0f};
  }
  case GLTA_4_GROUPS:
  case GLTA_4_SCATTERED: {
    const unsigned char *group = panel + 48l * groups[form == GLTA_4_GROUPS ? unit : term];
    const glta_row scale = glta_read_halves(group);
    return (struct glta_scales){scale, -(scale * glta_read_bytes(group + 32))};
  }
  default: return (struct glta_scales){0, 0};
  }
}

/// The floats of a term of a unit. With wide vectors four bits choose among sixteen floats, which spares a conversion.
GLTA_INLINE glta_row glta_read_numbers(
    const int form, const int wide, const unsigned char *codes, const unsigned term, struct glta_scales scales) {
  if (form == GLTA_BF16)
    return (glta_row)(__builtin_convertvector(*(const glta_lane_shorts *)(codes + 32 * term), glta_words) << 16);
  if (form == GLTA_F16) return glta_read_halves(codes + 32 * term);
  glta_row numbers;
  if (form == GLTA_8) {
    const glta_words word = *(const glta_words *)(codes + term / 4 * 64) >> (8 * (term % 4));
    numbers = __builtin_convertvector((glta_integers)(word & 255), glta_row);
  } else {
    const glta_words word = *(const glta_words *)(codes + term / 8 * 64) >> (4 * (term % 8));
    if (form == GLTA_5 || form == GLTA_5_SHIFT || form == GLTA_5_SUPER) {
      const glta_words upper = *(const glta_words *)(codes + 256) >> term & 1;
      numbers = __builtin_convertvector((glta_integers)((word & 15) | upper << 4), glta_row);
    } else if (form == GLTA_6_SUPER) {
      const glta_words upper = *(const glta_words *)(codes + 256 + term / 16 * 64) >> (2 * (term % 16)) & 3;
      numbers = __builtin_convertvector((glta_integers)((word & 15) | upper << 4), glta_row);
    } else if (wide) {
      const glta_row table = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
      numbers = __builtin_shufflevector(table, (glta_integers)word);
    } else {
      numbers = __builtin_convertvector((glta_integers)(word & 15), glta_row);
    }
  }
  return __builtin_elementwise_fma(scales.scale, numbers, scales.shift);
}

/// out = terms [from, from + count) of a panel, count x 16. `from` is a multiple of the unit.
GLTA_INLINE void glta_widen_terms(
    const int form, const int wide, const struct glta_panels *p, long panel, long from, long count, float *out) {
  const unsigned char *base = p->first + panel * p->stride;
  for (long term = from; term < from + count; term += GLTA_UNIT, out += 16 * GLTA_UNIT) {
    const unsigned char *codes = base + p->codes + term / GLTA_UNIT * glta_unit_bytes(form);
    struct glta_scales scales = glta_read_scales(form, base, p->groups, term);
    if (__builtin_expect(from + count - term >= GLTA_UNIT, 1)) {
#pragma clang loop unroll(full)
      for (int i = 0; i < GLTA_UNIT; i++) {
        if (form == GLTA_4_SCATTERED || (form == GLTA_6_SUPER && i == 16))
          scales = glta_read_scales(form, base, p->groups, term + i);
        *(glta_row *)(out + 16 * i) = glta_read_numbers(form, wide, codes, (unsigned)i, scales);
      }
    } else {
      for (int i = 0; i < from + count - term; i++) {
        scales = glta_read_scales(form, base, p->groups, term + i);
        *(glta_row *)(out + 16 * i) = glta_read_numbers(form, wide, codes, (unsigned)i, scales);
      }
    }
  }
}

/// How far ahead of what it reads one row fetches: the same places of the panels that come next, or of this one where
/// panels are long. By itself, memory would follow neither the step from scales to codes nor several panels at once.
GLTA_INLINE long glta_fetch_ahead(long stride, long width) {
  const long step = width * stride, least = 24576;
  return step > 4 * least ? least : (least - 1) / step * step + step;
}

/// Fetches what a unit has beside it `ahead` bytes further on, into the second-level cache. Floats follow one another
/// without scales, and memory follows them.
GLTA_INLINE void glta_fetch_unit(
    const int form, const unsigned char *panel, long scale_bytes, const unsigned char *codes, long unit, long ahead) {
  if (form == GLTA_BF16 || form == GLTA_F16) return;
  if (64 * unit < scale_bytes) __builtin_prefetch(panel + ahead + 64 * unit, 0, 2);
#pragma clang loop unroll(full)
  for (int line = 0; line < glta_unit_bytes(form) / 64; line++) __builtin_prefetch(codes + ahead + 64 * line, 0, 2);
}

/// out = start + row · B for `width` panels: sums in order of the terms, each multiply fused with its add, as in every
/// tile.
GLTA_INLINE void glta_multiply_row(
    const int form, const int wide, const int width, const struct glta_panels *p, long panel, const float *row,
    const float *_Nullable start, float *out) {
  const unsigned char *base = p->first + panel * p->stride;
  const long stride = p->stride, depth = p->depth, ahead = glta_fetch_ahead(stride, width);
  glta_row sums[4];
  struct glta_scales scales[4];
#pragma clang loop unroll(full)
  for (int j = 0; j < width; j++) sums[j] = start ? *(const glta_row *)(start + 16 * j) : (glta_row)0;
  for (long term = 0; term < depth; term += GLTA_UNIT) {
    const unsigned char *codes = base + p->codes + term / GLTA_UNIT * glta_unit_bytes(form);
    const long count = depth - term < GLTA_UNIT ? depth - term : GLTA_UNIT;
#pragma clang loop unroll(full)
    for (int j = 0; j < width; j++) {
      scales[j] = glta_read_scales(form, base + j * stride, p->groups, term);
      glta_fetch_unit(form, base + j * stride, p->codes, codes + j * stride, term / GLTA_UNIT, ahead);
    }
    if (__builtin_expect(count == GLTA_UNIT, 1)) {
#pragma clang loop unroll(full)
      for (int i = 0; i < GLTA_UNIT; i++) {
#pragma clang loop unroll(full)
        for (int j = 0; j < width; j++) {
          if (form == GLTA_4_SCATTERED || (form == GLTA_6_SUPER && i == 16))
            scales[j] = glta_read_scales(form, base + j * stride, p->groups, term + i);
          const glta_row numbers = glta_read_numbers(form, wide, codes + j * stride, (unsigned)i, scales[j]);
          sums[j] = __builtin_elementwise_fma((glta_row)row[term + i], numbers, sums[j]);
        }
      }
    } else {
      for (int i = 0; i < count; i++) {
#pragma clang loop unroll(full)
        for (int j = 0; j < width; j++) {
          scales[j] = glta_read_scales(form, base + j * stride, p->groups, term + i);
          const glta_row numbers = glta_read_numbers(form, wide, codes + j * stride, (unsigned)i, scales[j]);
          sums[j] = __builtin_elementwise_fma((glta_row)row[term + i], numbers, sums[j]);
        }
      }
    }
  }
#pragma clang loop unroll(full)
  for (int j = 0; j < width; j++) *(glta_row *)(out + 16 * j) = sums[j];
}

#define GLTA_PANEL_FORM(name, attributes, wide, form) \
  attributes __attribute__((noinline)) static void name##_widen_##form( \
      const struct glta_panels *p, long panel, long from, long count, float *out) { \
    glta_widen_terms(form, wide, p, panel, from, count, out); \
  } \
  attributes __attribute__((noinline)) static void name##_row_##form( \
      const struct glta_panels *p, long panel, const float *row, const float *_Nullable start, float *out) { \
    glta_multiply_row(form, wide, 1, p, panel, row, start, out); \
  } \
  attributes __attribute__((noinline)) static void name##_rows_##form( \
      const struct glta_panels *p, long panel, const float *row, const float *_Nullable start, float *out) { \
    glta_multiply_row(form, wide, 4, p, panel, row, start, out); \
  }

#define GLTA_PANEL_FORMS(each, ...) \
  each(__VA_ARGS__, GLTA_BF16) each(__VA_ARGS__, GLTA_F16) each(__VA_ARGS__, GLTA_4) each(__VA_ARGS__, GLTA_4_SHIFT) \
  each(__VA_ARGS__, GLTA_5) each(__VA_ARGS__, GLTA_5_SHIFT) each(__VA_ARGS__, GLTA_8) \
  each(__VA_ARGS__, GLTA_4_SUPER) each(__VA_ARGS__, GLTA_5_SUPER) each(__VA_ARGS__, GLTA_6_SUPER) \
  each(__VA_ARGS__, GLTA_4_GROUPS) each(__VA_ARGS__, GLTA_4_SCATTERED)

#define GLTA_PANEL_CASE(call, form) \
  case form: return call##_##form GLTA_PANEL_ARGUMENTS;

GLTA_PANEL_FORMS(GLTA_PANEL_FORM, glta_panel, , 0)
#if defined(__x86_64__)
GLTA_PANEL_FORMS(GLTA_PANEL_FORM, glta_wide_panel, GLTA_WIDE, 1)
#endif

/// out = terms [from, from + count) of a panel as floats, count x 16. `from` is a multiple of the unit.
static inline void glta_widen_panel(
    int wide, const struct glta_panels *p, long panel, long from, long count, float *out) {
#define GLTA_PANEL_ARGUMENTS (p, panel, from, count, out)
#if defined(__x86_64__)
  if (wide) switch (p->form) { GLTA_PANEL_FORMS(GLTA_PANEL_CASE, glta_wide_panel_widen) }
#endif
  switch (p->form) { GLTA_PANEL_FORMS(GLTA_PANEL_CASE, glta_panel_widen) }
#undef GLTA_PANEL_ARGUMENTS
}

/// out = start + row · B for one panel, or for four that follow one another; start null: zero.
static inline void glta_multiply_panels(
    int wide, int four, const struct glta_panels *p, long panel, const float *row, const float *_Nullable start,
    float *out) {
#define GLTA_PANEL_ARGUMENTS (p, panel, row, start, out)
#if defined(__x86_64__)
  if (wide && four) switch (p->form) { GLTA_PANEL_FORMS(GLTA_PANEL_CASE, glta_wide_panel_rows) }
  if (wide) switch (p->form) { GLTA_PANEL_FORMS(GLTA_PANEL_CASE, glta_wide_panel_row) }
#endif
  if (four) switch (p->form) { GLTA_PANEL_FORMS(GLTA_PANEL_CASE, glta_panel_rows) }
  switch (p->form) { GLTA_PANEL_FORMS(GLTA_PANEL_CASE, glta_panel_row) }
#undef GLTA_PANEL_ARGUMENTS
}

/// out[j * stride + i] = in[i * 16 + j]: sixteen rows of sixteen, rows become columns.
static inline void glta_transpose_16(const float *in, float *out, long stride) {
  glta_row rows[16];
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i++) rows[i] = *(const glta_row *)(in + 16 * i);
  // Four perfect shuffles: row i beside row i + 8, lane by lane.
#pragma clang loop unroll(full)
  for (int round = 0; round < 4; round++) {
    glta_row next[16];
#pragma clang loop unroll(full)
    for (int i = 0; i < 8; i++) {
      next[2 * i] = __builtin_shufflevector(
          rows[i], rows[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      next[2 * i + 1] = __builtin_shufflevector(
          rows[i], rows[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) rows[i] = next[i];
  }
#pragma clang loop unroll(full)
  for (int j = 0; j < 16; j++) *(glta_row *)(out + j * stride) = rows[j];
}

#pragma clang assume_nonnull end

#endif
