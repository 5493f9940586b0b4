/* The guard process of base/child.h: starts the program, waits, and leaves no descendant. */
#ifndef PRONY_BASE_GUARD_H
#define PRONY_BASE_GUARD_H

#include <stdint.h>

/* What the guard sends over its socket: one STARTED or FAILED, after STARTED one ENDED. */
struct guard_report {
    enum { GUARD_STARTED, GUARD_FAILED, GUARD_ENDED } kind;
    int32_t value;      /* STARTED: the child's pid; FAILED: errno; ENDED: its wait status */
    uint32_t survivors; /* ENDED: descendants that were still there */
};

struct guard_task {
    int socket_fd; /* reports go out; end of file means: kill everything */
    int null_fd, log_fd, in_fd, out_fd, folder_fd;
    char *const *argv, *const *envp;
    const char *scratch; /* removed with all in it when nothing runs any more; NULL: none */
};

/* Runs in a process forked for it and never returns. Uses async-signal-safe calls only, because
 * the host may have threads. */
_Noreturn void guard_run(const struct guard_task *task);

#endif
