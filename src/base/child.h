/* A child process that cannot outlive this one, talked to over two pipes.
 *
 * Between us and the child stands a guard: a small fork of ours that adopts every descendant of
 * the child (PR_SET_CHILD_SUBREAPER), sleeps, and kills them all when we end, however we end:
 * kill -9 closes our end of its socket too. When the guard itself is killed, the child goes with
 * it (PR_SET_PDEATHSIG). */
#ifndef PRONY_BASE_CHILD_H
#define PRONY_BASE_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* The pipes' numbers inside the child, also told to it in PRONY_FD_IN and PRONY_FD_OUT. */
enum { CHILD_FD_IN = 3, CHILD_FD_OUT = 4 };

struct child {
    pid_t pid;          /* leader of a session and process group of its own */
    int to_fd, from_fd; /* our ends, non-blocking; -1 when closed */
    bool ended;         /* wait_status and survivors are known */
    bool killed;        /* child_kill() ended it, not the child itself */
    int wait_status;    /* as waitpid() gives it; -1: unknown, the guard was killed */
    unsigned survivors; /* descendants that were still there after the child's own end */
    pid_t guard_pid;    /* private */
    int guard_fd;       /* private */
};

struct child_options {
    const char *const *argv; /* argv[0] is looked up in PATH when it has no slash */
    const char *folder;      /* working folder; argv[0] may be relative to it */
    const char *log_path;    /* gets stdout and stderr; emptied first. stdin is /dev/null */
    /* "NAME=value" to set, "NAME" to take away, ended by NULL; the rest is ours. */
    const char *const *environment;
    /* A folder that is removed, with all in it, when the child and its descendants have ended,
     * however that was, or when the child could not be started; NULL: none. */
    const char *scratch;
};

/* Returns once the program runs. STATUS_NOT_FOUND and others name the program and the folder. On
 * failure nothing is left to clean up. */
enum status child_start(struct child *child, const struct child_options *options,
                        struct error *err);

/* Waits at most limit_ms for the child's end; true when it has ended. */
bool child_wait(struct child *child, int64_t limit_ms);

/* Closes the pipes, kills the child and all its descendants, and reaps them. Safe to repeat, and
 * needed after the child's own end as well. */
void child_kill(struct child *child);

/* How it ended, in words: "exited with status 3", "killed by signal 9 (Killed)". */
void child_status_text(const struct child *child, char *text, size_t size);

#endif
