#include "engine/tool.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "engine/link.h"

enum { SLICE_MS = 200 };

static bool is_kept_away(const struct tool *tool, const char *entry)
{
    return strncmp(entry, "PYTHON", 6) == 0 ||
           (tool->no_pip_settings && strncmp(entry, "PIP_", 4) == 0);
}

/* The names of what is kept away, which are malloc'd, then the additions. NULL when there is no
 * memory. */
static const char **environment_clean(const struct tool *tool, const char *const *additions,
                                      size_t *names)
{
    size_t count = 0, room = 0;
    while (environ[room])
        room++;
    for (size_t i = 0; additions && additions[i]; i++)
        room++;
    const char **list = calloc(room + 1, sizeof *list);
    for (char **entry = environ; list && *entry; entry++)
        if (is_kept_away(tool, *entry) &&
            (list[count] = strndup(*entry, strcspn(*entry, "="))) != NULL)
            count++;
    *names = count;
    for (; list && additions && *additions; additions++)
        list[count++] = *additions;
    return list;
}

static void environment_free(const char **list, size_t names)
{
    for (size_t i = 0; i < names; i++)
        free((char *)list[i]);
    free(list);
}

static enum status wait_for(const struct tool *tool, struct child *child, struct error *err)
{
    while (!child_wait(child, SLICE_MS)) {
        struct pollfd fd = {.fd = tool->cancel_fd, .events = POLLIN};
        if (tool->watch)
            tool->watch(tool->context);
        if (poll(&fd, 1, 0) > 0)
            return error_set(err, STATUS_INTERRUPTED, "interrupted");
    }
    return STATUS_OK;
}

enum status tool_run(const struct tool *tool, const char *const *argv,
                     const char *const *environment, struct error *err)
{
    struct child child;
    char how[80], tail[360];
    size_t names;
    const char **clean = environment_clean(tool, environment, &names);
    if (!clean)
        return error_no_memory(err, sizeof *clean);
    enum status status = child_start(
        &child,
        &(struct child_options){
            .argv = argv, .folder = tool->folder, .log_path = tool->log_path, .environment = clean},
        err);
    environment_free(clean, names);
    if (status)
        return status;
    status = wait_for(tool, &child, err);
    child_kill(&child);
    if (status || (child.ended && child.wait_status == 0))
        return status;
    child_status_text(&child, how, sizeof how);
    link_log_tail(tool->log_path, tail, sizeof tail);
    error_set(err, STATUS_WORKER, "%s %s", argv[0], how);
    return *tail ? error_where(err, "it said: %s", tail) : err->status;
}
