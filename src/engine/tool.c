#include "engine/tool.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "engine/link.h"

enum { SLICE_MS = 200, MAX_EXTRA = 64 };

/* The additions, and the name of each PYTHON* variable that we have, to take it away. Names are
 * malloc'd, from *names_from on. NULL when there is no memory. */
static const char **environment_clean(const char *const *additions, size_t *names_from)
{
    size_t count = 0, room = 0;
    while (environ[room])
        room++;
    const char **list = calloc(room + MAX_EXTRA + 1, sizeof *list);
    for (; list && additions && additions[count] && count < MAX_EXTRA; count++)
        list[count] = additions[count];
    *names_from = count;
    for (char **entry = environ; list && *entry; entry++)
        if (strncmp(*entry, "PYTHON", 6) == 0)
            list[count++] = strndup(*entry, strcspn(*entry, "="));
    return list;
}

static void environment_free(const char **list, size_t names_from)
{
    for (size_t i = names_from; list && list[i]; i++)
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
    size_t names_from;
    const char **clean = environment_clean(environment, &names_from);
    if (!clean)
        return error_no_memory(err, MAX_EXTRA);
    enum status status = child_start(
        &child,
        &(struct child_options){
            .argv = argv, .folder = tool->folder, .log_path = tool->log_path, .environment = clean},
        err);
    environment_free(clean, names_from);
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
