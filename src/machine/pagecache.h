/* The kernel's cache of a file's pages: how much of a file is there, taking it out, bringing it in.
 */
#ifndef PRONY_MACHINE_PAGECACHE_H
#define PRONY_MACHINE_PAGECACHE_H

#include "base/error.h"

/* Share of the file's pages that are in memory, by mincore(); 1 for an empty file, and where the
 * kernel does not tell because the file is somebody else's. */
enum status pagecache_share(const char *path, double *share, struct error *err);
/* Asks the kernel to drop them (posix_fadvise), after writing back what is dirty and unmapping what
 * this process holds. What stays shows in pagecache_share: all of a file on a tmpfs, and what
 * another process has mapped. */
enum status pagecache_drop(const char *path, struct error *err);
/* Reads the file once. */
enum status pagecache_fill(const char *path, struct error *err);

#endif
