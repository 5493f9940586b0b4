/* What the native engine traces, from the request that begins it to the next one. */
#ifndef PRONY_NATIVE_TRACE_H
#define PRONY_NATIVE_TRACE_H

#include <prony/worker.h>

#include "base/error.h"
#include "base/file.h"
#include "llama/llama.h"

/* Zero-initialise: nothing is traced. */
struct trace {
    struct profile *profile; /* NULL: none */
    struct file_writer file;
};

/* A path that cannot be written is an error now, not when there is something to write. */
enum status trace_begin(struct trace *trace, struct llama *llama, const char *path,
                        struct error *err);
/* Writes what was traced and fills *ended; nothing to do when nothing is. */
enum status trace_end(struct trace *trace, struct llama *llama, struct prony_traced *ended,
                      struct error *err);

#endif
