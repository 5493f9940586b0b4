#include "engine/install_work.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"

enum { LINE = 700 };

void work_say(const struct work *work, const char *format, ...)
{
    char line[LINE];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);
    work->request->say(work->request->context, line);
}

enum status work_name_check(const char *name, struct error *err)
{
    if (name[0] >= 'a' && name[0] <= 'z' && strlen(name) < 32 &&
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == strlen(name))
        return STATUS_OK;
    error_set(err, STATUS_USAGE, "'%s' cannot name what is yours", name);
    return error_remedy(err, "Begin with a small letter; small letters, digits, . and - may "
                             "follow: NAME@nightly.");
}

enum status work_greet(struct work *work, const struct installation *installation,
                       struct worker_hello *hello, struct error *err)
{
    struct engine engine = *work->engine;
    struct worker_options options = {.cancel_fd = work->request->cancel_fd};
    struct worker *worker;
    enum status status = installation_use(&engine, installation, &work->arena, err);
    if (!status)
        status = worker_start(&worker, &engine, &options, hello, err);
    if (!status)
        worker_stop(worker);
    return status;
}

enum status work_space_check(const struct work *work, uint64_t need, struct error *err)
{
    uint64_t there, have = folder_bytes(work->downloads);
    need -= have < need ? have : need;
    enum status status = disk_free_bytes(work->folder, &there, err);
    if (status || there >= need)
        return status;
    error_set(err, STATUS_IO,
              "%s %s needs %.2f GB of disk while it is installed, and %.2f GB are "
              "free",
              work->engine->base, work->name, (double)need / 1e9, (double)there / 1e9);
    error_where(err, "%s", work->folder);
    return error_remedy(err, "Free some space, or set PRONY_CACHE to a folder on another disk.");
}

enum status work_flush(const struct work *work, struct error *err)
{
    enum status status = STATUS_OK;
    int fd = open(work->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || syncfs(fd) != 0)
        status = error_errno(err, "write %s", work->folder);
    if (fd >= 0)
        close(fd);
    return status;
}
