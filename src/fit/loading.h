/* The line on a terminal while a model is loaded: how much of what it will take is there by now. */
#ifndef PRONY_FIT_LOADING_H
#define PRONY_FIT_LOADING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct loading {
    uint64_t expected_bytes; /* at the end; 0: not known */
    int64_t start_ns;
    bool terminal, shown;
};

/* Where standard error is no terminal nothing is shown. */
void loading_start(struct loading *loading, uint64_t expected_bytes);
/* context: the loading (struct worker_options' on_loading). */
void loading_report(void *context, pid_t worker);
/* Takes the line away. */
void loading_end(struct loading *loading);

#endif
