#include "base/folder.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* NULL when there is nothing, or no memory. */
static FTS *walk(const char *path)
{
    char *const paths[] = {(char *)path, NULL};
    return fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
}

uint64_t folder_bytes(const char *path)
{
    uint64_t bytes = 0;
    FTS *tree = walk(path);
    for (FTSENT *entry; tree && (entry = fts_read(tree));)
        if (entry->fts_info == FTS_F || entry->fts_info == FTS_D || entry->fts_info == FTS_SL)
            bytes += (uint64_t)entry->fts_statp->st_blocks * 512;
    if (tree)
        fts_close(tree);
    return bytes;
}

enum status folder_remove(const char *path, struct error *err)
{
    enum status status = STATUS_OK;
    FTS *tree = walk(path);
    for (FTSENT *entry; tree && !status && (entry = fts_read(tree));) {
        if (entry->fts_info == FTS_D)
            continue; /* it comes again, as FTS_DP, when it is empty */
        int bad =
            entry->fts_info == FTS_DP ? rmdir(entry->fts_accpath) : unlink(entry->fts_accpath);
        if (bad && errno != ENOENT) {
            status = error_errno(err, "remove the folder");
            error_where(err, "%s", entry->fts_path);
        }
    }
    if (tree)
        fts_close(tree);
    return status;
}
