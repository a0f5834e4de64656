// Adam on a run of elements. C because Swift takes the square roots of a vector one by one.
#ifndef GLTA_ADAM_STEP_H
#define GLTA_ADAM_STEP_H

#include "MicroTile.h"

#pragma clang assume_nonnull begin

/// The constants of one step.
struct glta_adam_step {
  float rate;
  float correction;
  float epsilon;
  float beta1;
  float beta2;
};

/// x -= rate * m / (sqrt(v) * correction + epsilon) after the moments m and v have taken in the gradient g.
static inline void glta_adam(
    const struct glta_adam_step *t, long count, float *x, const float *g, float *m, float *v) {
#pragma clang fp contract(off)
  const glta_row rest1 = 1 - t->beta1, rest2 = 1 - t->beta2;
  long k = 0;
  for (; k + 16 <= count; k += 16) {
    const glta_row gradient = *(const glta_row *)(g + k);
    const glta_row first = *(glta_row *)(m + k) * t->beta1 + gradient * rest1;
    const glta_row second = *(glta_row *)(v + k) * t->beta2 + gradient * gradient * rest2;
    *(glta_row *)(m + k) = first;
    *(glta_row *)(v + k) = second;
    *(glta_row *)(x + k) -= t->rate * first / (__builtin_elementwise_sqrt(second) * t->correction + t->epsilon);
  }
  for (; k < count; k++) {
    const float first = m[k] * t->beta1 + g[k] * rest1[0];
    const float second = v[k] * t->beta2 + g[k] * g[k] * rest2[0];
    m[k] = first;
    v[k] = second;
    x[k] -= t->rate * first / (__builtin_elementwise_sqrt(second) * t->correction + t->epsilon);
  }
}

#pragma clang assume_nonnull end

#endif
