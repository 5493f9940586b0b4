/* A process and all that it has started, and what these have. */
#ifndef PRONY_BASE_DESCENDANTS_H
#define PRONY_BASE_DESCENDANTS_H

#include <stddef.h>
#include <sys/types.h>

enum { DESCENDANTS_MAX = 512 };

/* Itself first; returns how many, at most room. */
size_t descendants_list(pid_t pid, pid_t *list, size_t room);

#endif
