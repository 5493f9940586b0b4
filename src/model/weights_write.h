/* Fills files with weights: every thread computes a block of rows and writes it where it belongs,
 * so that no more than a few megabytes a thread are in memory. */
#ifndef PRONY_MODEL_WEIGHTS_WRITE_H
#define PRONY_MODEL_WEIGHTS_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "model/layout.h"
#include "model/weights_files.h"

/* Where the values come from. */
struct weight_source {
    /* Writes one row, weight->columns values, rows of q and k in safetensors' order. Called by
     * several threads at once. */
    void (*row)(const void *context, const struct weight *weight, uint64_t row, float *out);
    /* Rows that are not read again soon; NULL: nobody cares. Called by several threads at once. */
    void (*done)(const void *context, const struct weight *weight, uint64_t row, uint64_t rows);
    const void *context;
};

/* Called on the caller's thread, before the work and some ten times a second; false stops it. */
struct weight_progress {
    bool (*report)(void *context, uint64_t done_bytes, uint64_t total_bytes);
    void *context;
};

struct weights_job {
    const struct weights_files *files; /* open, their heads written */
    const struct weight *weights;      /* with their parts and offsets */
    size_t count;
    struct weight_source source;
    uint32_t interleave_head_size; /* GGUF: the head size, to reorder q and k by; else 0 */
    uint32_t threads;              /* 0: the cores that this process may run on */
    struct weight_progress progress;
};

/* STATUS_UNSUPPORTED names the weight that has a value too large for its type;
 * STATUS_INTERRUPTED when progress said stop. */
enum status weights_write(const struct weights_job *job, struct error *err);

#endif
