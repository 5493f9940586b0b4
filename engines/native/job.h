/* The process that the host started, once a model is to be split: it has mpirun start the ranks,
 * the first of which answers the host in its place, and sees to it that they end together. */
#ifndef NATIVE_JOB_H
#define NATIVE_JOB_H

#include <prony/worker.h>

#include "base/error.h"

/* What the command line of a rank says. */
struct job_rank {
    const char *pid, *in_fd, *out_fd; /* of the process that the host talks to */
    const char *request;              /* the file with the load that is to be answered */
};

/* Starts as many ranks as the request has shards, and exits with them. Returns only when they
 * cannot be started, with *error filled. */
int job_run(const struct prony_load *request, struct prony_error *error);

/* Whether this process was started as a rank. If so it ends with what started it. */
int job_is_rank(int argc, char **argv, struct job_rank *rank);

/* Rank 0 gets the pipes to the host, and the request that is to be answered; malloc'd. */
enum status job_take_over(const struct job_rank *rank, char **request, struct error *err);

#endif
