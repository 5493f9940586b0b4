#include "hub/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "hub/inventory.h"
#include "model/gguf/gguf_split.h"

/* What is counted, and perhaps removed, below a folder. */
struct sweep {
    struct hub_kept kept;
    const char *only; /* this model's file or files, and what a cut left; NULL: everything */
    bool remove;
};

static bool is_part(const char *path)
{
    return strstr(path_base(path), ".part.") != NULL;
}

/* Parts of one model have names of the same length. */
static bool is_wanted(const struct sweep *sweep, const char *path)
{
    char file[PATH_MAX];
    size_t length = sweep->only ? strlen(sweep->only) : 0;
    if (!sweep->only)
        return true;
    if (strlen(path) < length || (path[length] && strncmp(path + length, ".part.", 6) != 0))
        return false;
    snprintf(file, sizeof file, "%.*s", (int)length, path);
    gguf_part_first(file);
    return strcmp(file, sweep->only) == 0;
}

/* A file or link: counted and removed. What is Prony's own goes with the folder alone. */
static bool file_visit(struct sweep *sweep, const FTSENT *entry)
{
    bool own = entry->fts_level == 1 && (strcmp(entry->fts_name, ".lock") == 0 ||
                                         strcmp(entry->fts_name, INVENTORY_NAME) == 0);
    uint64_t bytes = S_ISREG(entry->fts_statp->st_mode) ? (uint64_t)entry->fts_statp->st_size : 0;
    if (!is_wanted(sweep, entry->fts_path))
        return true;
    if (!own && is_part(entry->fts_path)) {
        sweep->kept.part_files++;
        sweep->kept.part_bytes += bytes;
    } else if (!own) {
        sweep->kept.files++;
        sweep->kept.bytes += bytes;
    }
    return !sweep->remove || unlink(entry->fts_accpath) == 0;
}

/* Never follows a link out of the folder. */
static enum status sweep_run(struct sweep *sweep, const char *folder, struct error *err)
{
    char *const roots[] = {(char *)folder, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    enum status status = tree ? STATUS_OK : error_errno(err, "read the folder");
    for (FTSENT *entry; !status && (entry = fts_read(tree));) {
        bool good = true;
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS) {
            errno = entry->fts_errno;
            good = false;
        } else if (entry->fts_info == FTS_DP) {
            if (sweep->remove)
                rmdir(entry->fts_accpath); /* stays while something else is in it */
        } else if (entry->fts_info != FTS_D) {
            good = file_visit(sweep, entry);
        }
        if (!good) {
            error_errno(err, sweep->remove ? "remove the model" : "read the folder");
            status = error_where(err, "%s", entry->fts_path);
        }
    }
    if (tree)
        fts_close(tree);
    return status;
}

enum status hub_shelf_walk(void (*each)(void *context, const struct hub_kept *kept), void *context,
                           struct error *err)
{
    char cache[PATH_MAX];
    if (cache_folder(cache, sizeof cache, "models", err))
        return err->status;
    char *const roots[] = {cache, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    enum status status = tree ? STATUS_OK : error_errno(err, "read the folder %.300s", cache);
    for (FTSENT *entry; !status && (entry = fts_read(tree));) {
        if (entry->fts_info != FTS_D || entry->fts_level != 2)
            continue;
        struct sweep sweep = {.kept.repo = entry->fts_path + strlen(cache) + 1,
                              .kept.path = entry->fts_path};
        fts_set(tree, entry, FTS_SKIP);
        status = sweep_run(&sweep, entry->fts_path, err);
        if (!status && sweep.kept.files + sweep.kept.part_files > 0)
            each(context, &sweep.kept);
    }
    if (tree)
        fts_close(tree);
    return status;
}

static enum status not_here(const struct hub_name *name, const char *folder, struct error *err)
{
    error_set(err, STATUS_NOT_FOUND, "there is nothing of %s%s%.200s", name->repo,
              name->file[0] ? ":" : "", name->file);
    error_where(err, "%s", folder);
    return error_remedy(err, "'prony model list' says what there is.");
}

enum status hub_shelf_remove(const struct hub_name *name, uint64_t *bytes, struct error *err)
{
    char cache[PATH_MAX / 4], folder[PATH_MAX / 2], file[PATH_MAX], lock[PATH_MAX];
    char model[HUB_PATH_BYTES];
    struct sweep sweep = {.remove = true};
    *bytes = 0;
    if (cache_folder(cache, sizeof cache, "models", err))
        return err->status;
    snprintf(folder, sizeof folder, "%s/%s", cache, name->repo);
    snprintf(lock, sizeof lock, "%s/.lock", folder);
    hub_path_of_model(name->file, model);
    snprintf(file, sizeof file, "%s/%s", folder, model);
    if (name->file[0])
        sweep.only = file;
    if (!path_is_folder(folder))
        return not_here(name, folder, err);
    int lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    enum status status = STATUS_OK;
    if (lock_fd < 0) {
        status = error_errno(err, "lock %.300s", folder);
    } else if (flock(lock_fd, LOCK_EX | LOCK_NB) != 0) {
        error_set(err, STATUS_IO, "another process is fetching from %s", name->repo);
        status = error_remedy(err, "Stop it, or wait for it.");
    }
    if (!status)
        status = sweep_run(&sweep, folder, err);
    if (!status && sweep.kept.files + sweep.kept.part_files == 0)
        status = not_here(name, folder, err);
    if (lock_fd >= 0)
        close(lock_fd);
    *bytes = sweep.kept.bytes + sweep.kept.part_bytes;
    return status;
}
