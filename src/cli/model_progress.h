/* One line on the terminal while a model is written, and Ctrl-C that leaves nothing behind. */
#ifndef PRONY_CLI_MODEL_PROGRESS_H
#define PRONY_CLI_MODEL_PROGRESS_H

#include <stdint.h>

#include "base/work_line.h"
#include "model/weights_write.h"

struct model_progress {
    struct work_line line;
};

/* Until model_progress_end SIGINT and SIGTERM stop the work in order instead of ending the process.
 * progress lives until then. */
struct weight_progress model_progress_start(struct model_progress *progress, const char *doing);
void model_progress_end(struct model_progress *progress);
/* What was written, how fast, and where, on standard output. */
void model_progress_summary(const struct model_progress *progress, const char *path,
                            uint64_t bytes);

#endif
