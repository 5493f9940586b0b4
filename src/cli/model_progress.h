/* One line on the terminal while a model is written, and Ctrl-C that leaves nothing behind. */
#ifndef PRONY_CLI_MODEL_PROGRESS_H
#define PRONY_CLI_MODEL_PROGRESS_H

#include <stdint.h>

#include "model/weights_write.h"

struct model_progress {
    const char *doing; /* "Writing" */
    int64_t start_ns, shown_ns;
    uint64_t resumed_bytes; /* there before the start: no part of the rate */
    bool terminal, shown;
};

/* Until model_progress_end SIGINT and SIGTERM stop the work in order instead of ending the process.
 * progress lives until then. */
struct weight_progress model_progress_start(struct model_progress *progress, const char *doing);
/* Takes the line away, until there is news. */
void model_progress_clear(const struct model_progress *progress);
void model_progress_end(struct model_progress *progress);
/* What was written, how fast, and where, on standard output. */
void model_progress_summary(const struct model_progress *progress, const char *path,
                            uint64_t bytes);

#endif
