/* Ctrl-C and a polite kill as something to wait for, so that no moment is a bad one for them. */
#ifndef PRONY_BASE_CANCEL_H
#define PRONY_BASE_CANCEL_H

#include "base/error.h"

/* Blocks SIGINT, SIGTERM and SIGHUP for this process; *fd (a signalfd, non-blocking, the caller's
 * to close) becomes readable when one comes. On failure *fd is -1. */
enum status cancel_open(int *fd, struct error *err);

#endif
