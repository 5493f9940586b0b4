/* What TensorRT logs, which is all that it says of why something failed. */
#ifndef PRONY_TENSORRT_SAID_H
#define PRONY_TENSORRT_SAID_H

#include "base/error.h"
#include "trt.h"

/* Forgets what was logged. */
void said_begin(void);
/* Warnings and errors go to stderr, errors are kept as well. For prony_tensorrt_open(). */
void said_add(enum trt_severity severity, const char *text);

/* "TensorRT cannot DOING", with what it said, or with what that means where it is known: no memory
 * left on the card, nothing for this kind of card, a plan that is another's. Returns the status. */
enum status said_fail(struct error *err, const char *doing, ...)
    __attribute__((format(printf, 2, 3)));

#endif
