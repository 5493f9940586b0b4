/* Progress on stderr: one line that is repainted on a terminal, whole lines elsewhere. It is
 * painted when a phase begins, never while something is timed. */
#ifndef PRONY_BENCH_PROGRESS_H
#define PRONY_BENCH_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct progress {
    FILE *stream; /* NULL: silent */
    bool terminal;
    int64_t start_ns, blocks_ns; /* of the session, and of its first block; 0: none has begun */
    size_t done, total;          /* processes of this session, and those it has to run */
    size_t block, blocks;        /* 1-based, as shown; block 0: none has begun */
};

void progress_start(struct progress *progress, FILE *stream, size_t total, size_t blocks);
/* A block begins, 1-based. */
void progress_block(struct progress *progress, size_t block);
/* A phase of a process begins. On a terminal only. */
void progress_phase(const struct progress *progress, const char *variant, const char *phase);
/* A process has ended; outcome is "14.21 ms/token, so far 14.30 (14.10–14.51)"
 * or its failure. */
void progress_process(struct progress *progress, const char *variant, const char *outcome);
/* A line of its own, about something that belongs to no block. */
void progress_note(const struct progress *progress, const char *subject, const char *name,
                   const char *text);
/* Removes the repainted line. */
void progress_end(const struct progress *progress);

#endif
