#include "bench/coldness.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "fit/quantised.h"
#include "machine/pagecache.h"

enum { VARIANTS = sizeof((struct coldness *)0)->warmed };

void coldness_begin(struct coldness *coldness, const struct plan *plan)
{
    *coldness = (struct coldness){.plan = plan};
}

/* Caches of sessions that were killed: their names begin with the process's number. */
static void leftovers_remove(const char *folder)
{
    char path[PATH_MAX + 256];
    DIR *entries = opendir(folder);
    struct error ignored;
    const struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid <= 0 || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        folder_remove(path, &ignored);
    }
    if (entries)
        closedir(entries);
}

static enum status root_make(struct coldness *coldness, struct error *err)
{
    char folder[PATH_MAX];
    if (*coldness->root)
        return STATUS_OK;
    if (cache_folder(folder, sizeof folder, "cold", err))
        return err->status;
    leftovers_remove(folder);
    if (snprintf(coldness->root, sizeof coldness->root, "%s/%ld-XXXXXX", folder, (long)getpid()) >=
            (int)sizeof coldness->root ||
        !mkdtemp(coldness->root)) {
        *coldness->root = '\0';
        error_errno(err, "make a folder for compile caches");
        return error_where(err, "%s", folder);
    }
    return STATUS_OK;
}

/* A folder of this session, in the arena. */
static enum status cache_make(const struct coldness *coldness, const char *name, const char **path,
                              struct arena *arena, struct error *err)
{
    *path = arena_printf(arena, "%s/%s", coldness->root, name);
    return *path ? folder_make(*path, err) : error_no_memory(err, strlen(name));
}

/* An empty folder for this process, or the variant's that an earlier process has filled. */
static enum status compile_cache_choose(struct coldness *coldness, struct process_task *task,
                                        struct arena *arena, struct error *err)
{
    char name[32];
    if (root_make(coldness, err))
        return err->status;
    if (task->point->compile_cold) {
        if (cache_make(coldness, "fresh", &task->compile_cache, arena, err))
            return err->status;
        snprintf(coldness->fresh, sizeof coldness->fresh, "%s", task->compile_cache);
        return STATUS_OK;
    }
    snprintf(name, sizeof name, "warm-%u", task->variant);
    enum status status = cache_make(coldness, name, &task->compile_cache, arena, err);
    if (status || (task->variant < VARIANTS && coldness->warmed[task->variant]))
        return status;
    struct record_process ignored = {.variant = task->variant};
    struct process_versions versions;
    status = process_measure(task, &ignored, &versions, arena, err);
    if (!status && task->variant < VARIANTS)
        coldness->warmed[task->variant] = true;
    return status;
}

/* The file that a variant reads in the model's place; "": the model's own. */
static void other_file(const struct plan *plan, const struct plan_variant *variant,
                       char path[PATH_MAX])
{
    struct error shown_later;
    if (variant->copied)
        snprintf(path, PATH_MAX, "%s/model.safetensors", plan->copy);
    else
        quantised_path(path, variant->engine, variant->variant, &variant->form, &plan->model,
                       &shown_later);
}

/* What cannot be dropped is measured as it is; the share that stayed is recorded. */
static void pages_prepare(const struct plan *plan, struct process_task *task)
{
    size_t count;
    double share, sum = 0;
    char other[PATH_MAX];
    struct error ignored;
    const char *const *paths = model_paths(&plan->model, &count);
    const char *others[] = {other};
    other_file(plan, &plan->variants[task->variant], other);
    if (*other) {
        paths = others;
        count = 1;
    }
    for (size_t i = 0; i < count && task->point->start_only; i++) {
        if (task->point->pages_cold)
            pagecache_drop(paths[i], &ignored);
        else
            pagecache_fill(paths[i], &ignored);
    }
    for (size_t i = 0; i < count; i++)
        sum += pagecache_share(paths[i], &share, &ignored) ? NAN : share;
    task->pages_resident = sum / (double)count;
}

enum status coldness_prepare(struct coldness *coldness, struct process_task *task,
                             struct arena *arena, struct error *err)
{
    task->pages_resident = NAN;
    enum status status =
        task->point->start_only ? compile_cache_choose(coldness, task, arena, err) : STATUS_OK;
    if (!status)
        pages_prepare(coldness->plan, task);
    return status;
}

void coldness_tidy(struct coldness *coldness)
{
    struct error ignored;
    if (*coldness->fresh)
        folder_remove(coldness->fresh, &ignored);
    *coldness->fresh = '\0';
}

void coldness_end(struct coldness *coldness)
{
    struct error ignored;
    if (*coldness->root)
        folder_remove(coldness->root, &ignored);
    *coldness->root = '\0';
}
