#include <zmq.h>

#if defined(__linux__)
// What an event loop needs beside the sockets and Swift's Glibc module leaves out: eventfd, and two calls that the
// system headers show under _GNU_SOURCE only.
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>

int ppoll(struct pollfd *descriptors, nfds_t count, const struct timespec *timeout, const sigset_t *mask);
int pthread_setname_np(pthread_t thread, const char *name);
#endif
