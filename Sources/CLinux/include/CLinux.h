// System calls that Swift's own view of the C library leaves out.
#ifndef GLTA_CLINUX_H
#define GLTA_CLINUX_H

/// Exchanges the names of two files or directories in one step. Returns 0, or -1 with errno; ENOSYS where there is no
/// such call.
int glta_exchange_names(const char *first, const char *second);

#endif
