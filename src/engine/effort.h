/* How many threads of a process and its descendants compute, by what the kernel counts for each of
 * them: the time that it ran, and that it was ready to run and waited for a processor. Both
 * together do not depend on what else the machine does. */
#ifndef PRONY_ENGINE_EFFORT_H
#define PRONY_ENGINE_EFFORT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct effort_thread {
    int64_t id, ran_ns, waited_ns;
};

struct effort {
    pid_t pid;
    int64_t start_ns;
    struct effort_thread *threads;
    size_t count, room;
};

/* Threads count that ran for at least a quarter of the time of the busiest one. */
struct effort_report {
    int64_t busiest_ns; /* for which that one ran */
    double at_once;     /* of them that ran or were ready to, on average over the time */
    size_t threads;     /* how many these are */
};

/* STATUS_UNSUPPORTED where the kernel does not count. */
enum status effort_check(struct error *err);

enum status effort_begin(struct effort *effort, pid_t pid, struct error *err);
/* Ends it and frees. A thread that has ended since the beginning does not count. */
enum status effort_end(struct effort *effort, struct effort_report *report, struct error *err);

#endif
