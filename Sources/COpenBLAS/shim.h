#include <cblas.h>

// LAPACK's Fortran symbols, which OpenBLAS contains; lapacke.h is another package.
void dpotrf_(const char *triangle, const int *order, double *matrix, const int *stride, int *status);
void dpotri_(const char *triangle, const int *order, double *matrix, const int *stride, int *status);
