#include "engine/packages.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "engine/cause.h"
#include "engine/tool.h"

enum { MAX_MARK = 1 << 20, ROOM = PATH_MAX + 128 };

struct watch {
    const struct packages *packages;
    const char *doing, *folder;
    uint64_t total_bytes;
};

static void progress_tell(const struct packages *packages, const char *doing, const char *folder,
                          uint64_t total_bytes)
{
    char how_far[80];
    snprintf(how_far, sizeof how_far, "%.0f of about %.0f MB", (double)folder_bytes(folder) / 1e6,
             (double)total_bytes / 1e6);
    packages->progress(packages->context, doing, -1, how_far);
}

static void watch_progress(void *context)
{
    const struct watch *watch = context;
    progress_tell(watch->packages, watch->doing, watch->folder, watch->total_bytes);
}

static enum status text_write(const char *path, const char *text, struct error *err)
{
    struct file_writer writer;
    enum status status = file_writer_open(&writer, path, err);
    if (status)
        return status;
    fputs(text, writer.stream);
    status = file_writer_commit(&writer, err);
    file_writer_abort(&writer);
    return status;
}

/* Whether an earlier call fetched exactly this. */
static bool is_kept(const char *mark, const struct requirement *requirement)
{
    char *text;
    size_t bytes;
    struct error ignored;
    if (file_read(mark, MAX_MARK, &text, &bytes, &ignored))
        return false;
    bool same = strcmp(text, requirement->text) == 0;
    free(text);
    return same;
}

/* The mark beside the files says which requirement they are for; it is written after them. */
static enum status download(const struct packages *packages, const struct requirement *requirement,
                            const char *doing, struct error *err)
{
    char mark[ROOM], wanted[ROOM], temporary[ROOM];
    snprintf(mark, sizeof mark, "%s/%.100s.done", packages->downloads, requirement->name);
    if (is_kept(mark, requirement))
        return STATUS_OK;
    snprintf(wanted, sizeof wanted, "%s/wanted.txt", packages->folder);
    snprintf(temporary, sizeof temporary, "TMPDIR=%s", packages->downloads);
    const char *const environment[] = {temporary, NULL};
    const char *const argv[] = {packages->python,
                                "-I",
                                "-m",
                                "pip",
                                "download",
                                "--disable-pip-version-check",
                                "--no-input",
                                "--no-cache-dir",
                                "--progress-bar=off",
                                "--no-deps",
                                "--only-binary=:all:",
                                "--dest",
                                packages->downloads,
                                "--requirement",
                                wanted,
                                requirement->hashed ? "--require-hashes" : NULL,
                                NULL};
    struct watch watch = {packages, doing, packages->downloads, packages->download_bytes};
    struct tool tool = {.folder = packages->folder,
                        .log_path = packages->log_path,
                        .cancel_fd = packages->cancel_fd,
                        .watch = watch_progress,
                        .context = &watch};
    char what[200];
    enum status status = text_write(wanted, requirement->text, err);
    if (status)
        return status;
    status = tool_run(&tool, argv, environment, err);
    snprintf(what, sizeof what, "download %.100s", requirement->name);
    return status ? cause_find(packages->log_path, what, "pip", err)
                  : text_write(mark, requirement->text, err);
}

enum status packages_download(const struct packages *packages, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < packages->count && !status; i++) {
        char doing[160];
        snprintf(doing, sizeof doing, "Downloading %zu of %zu, %.100s", i + 1, packages->count,
                 packages->list[i].name);
        progress_tell(packages, doing, packages->downloads, packages->download_bytes);
        status = download(packages, &packages->list[i], doing, err);
    }
    return status;
}

/* Those with a hash, or those without, as a file for pip; NULL path: there are none. */
static enum status chosen_write(const struct packages *packages, bool hashed, const char *path,
                                bool *some, struct error *err)
{
    struct file_writer writer;
    enum status status = file_writer_open(&writer, path, err);
    *some = false;
    for (size_t i = 0; i < packages->count && !status; i++)
        if (packages->list[i].hashed == hashed) {
            fprintf(writer.stream, "%s\n", packages->list[i].text);
            *some = true;
        }
    if (!status)
        status = file_writer_commit(&writer, err);
    file_writer_abort(&writer);
    return status;
}

static enum status install_chosen(const struct packages *packages, bool hashed, struct error *err)
{
    /* Nothing of the user's settings: they may send the packages into another environment. */
    static const char *const clean[] = {"PIP_CONFIG_FILE=/dev/null", NULL};
    char chosen[ROOM];
    bool some;
    snprintf(chosen, sizeof chosen, "%s/wanted.txt", packages->folder);
    const char *const argv[] = {packages->python,
                                "-I",
                                "-m",
                                "pip",
                                "install",
                                "--disable-pip-version-check",
                                "--no-input",
                                "--no-cache-dir",
                                "--progress-bar=off",
                                "--no-index",
                                "--find-links",
                                packages->downloads,
                                "--no-deps",
                                "--only-binary=:all:",
                                "--requirement",
                                chosen,
                                hashed ? "--require-hashes" : NULL,
                                NULL};
    struct watch watch = {packages, "Installing", packages->environment, packages->disk_bytes};
    struct tool tool = {.folder = packages->folder,
                        .log_path = packages->log_path,
                        .cancel_fd = packages->cancel_fd,
                        .no_pip_settings = true,
                        .watch = watch_progress,
                        .context = &watch};
    enum status status = chosen_write(packages, hashed, chosen, &some, err);
    if (status || !some)
        return status;
    status = tool_run(&tool, argv, clean, err);
    return status ? cause_find(packages->log_path, "install the packages", "pip", err) : STATUS_OK;
}

enum status packages_install(const struct packages *packages, struct error *err)
{
    enum status status = install_chosen(packages, true, err);
    if (!status)
        status = install_chosen(packages, false, err);
    /* Files that were damaged after they had arrived: the next try must not take them again. */
    struct error ignored;
    if (status == STATUS_FORMAT)
        folder_remove(packages->downloads, &ignored);
    return status;
}
