/* Memory of the machine, and of a process with all its descendants. */
#ifndef PRONY_MACHINE_MEMORY_H
#define PRONY_MACHINE_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

/* Bytes; -1 where the system does not say. */
struct memory_tree {
    int64_t pss_bytes;  /* now: resident, shared pages divided among those that share them */
    int64_t peak_bytes; /* highest resident set of each process so far (VmHWM), added up */
};

/* Reads /proc for a process and its descendants. */
void memory_tree_read(pid_t pid, struct memory_tree *tree);
/* What the figures are, for people. */
extern const char memory_tree_method[];

int64_t memory_total_bytes(void);
int64_t memory_free_bytes(void); /* available without swapping */
int64_t memory_swap_bytes(void);

#endif
