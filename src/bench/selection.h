/* Which of a run's processes count: those of each block's last attempt. */
#ifndef PRONY_BENCH_SELECTION_H
#define PRONY_BENCH_SELECTION_H

#include "base/arena.h"
#include "base/error.h"
#include "store/record.h"

struct selection {
    struct record_run run; /* the processes that count, at one point; the rest is the record's */
    size_t redone;         /* attempts that do not count, of all blocks */
};

/* An attempt that was broken off counts only where there is no whole one. Lives in the arena. */
enum status selection_make(struct selection *selection, const struct record_run *run,
                           uint32_t point, struct arena *arena, struct error *err);

#endif
