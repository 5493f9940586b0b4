#include "engine/link.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "engine/surroundings.h"

enum {
    DEATH_MS = 2000, /* between the end of the pipe and the process's own end */
    CANCEL_MS = 10000,
    TICK_MS = 100,
    TAIL_BYTES = 4096
};

static char *temporary_log(void)
{
    const char *folder = getenv("TMPDIR");
    char *path = NULL;
    if (asprintf(&path, "%s/prony-worker-XXXXXX", folder && *folder ? folder : "/tmp") < 0)
        return NULL;
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        free(path);
        return NULL;
    }
    close(fd);
    return path;
}

enum status link_open(struct link *link, const struct engine *engine, const char *log_path,
                      int cancel_fd, struct error *err)
{
    struct surroundings around = {0};
    *link = (struct link){.engine = engine, .cancel_fd = cancel_fd};
    if (engine->install && !engine->python && !engine->built) {
        error_set(err, STATUS_NOT_FOUND, "%s is not installed", engine->name);
        return error_remedy(err, "Run: prony engines install %s", engine->name);
    }
    link->log_temporary = log_path == NULL;
    link->log_path = log_path ? strdup(log_path) : temporary_log();
    if (!link->log_path)
        return error_errno(err, "create a temporary log for a worker");
    const char **argv = surroundings_command(engine);
    enum status status =
        argv ? surroundings_make(&around, engine, err) : error_no_memory(err, sizeof *argv);
    link->scratch = status ? NULL : strdup(surroundings_scratch(&around));
    if (!status)
        status = child_start(&link->child,
                             &(struct child_options){.argv = argv,
                                                     .folder = engine->folder,
                                                     .log_path = link->log_path,
                                                     .environment = around.list,
                                                     .scratch = link->scratch},
                             err);
    surroundings_free(&around);
    free(argv);
    if (status)
        link_close(link);
    return status;
}

void link_log_tail(const char *log_path, char *text, size_t size)
{
    char bytes[TAIL_BYTES];
    *text = '\0';
    int fd = open(log_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    struct stat st;
    off_t at = fstat(fd, &st) == 0 && st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0;
    ssize_t got = pread(fd, bytes, sizeof bytes, at);
    close(fd);
    size_t end = got > 0 ? (size_t)got : 0;
    while (end > 0 && (bytes[end - 1] == '\n' || bytes[end - 1] == ' '))
        end--;
    /* The last whole lines that fit: the reason stands at the end. */
    size_t start = end;
    while (start > 0 && end - start + 8 < size)
        start--;
    const char *newline = start > 0 ? memchr(bytes + start, '\n', end - start) : NULL;
    if (newline && newline + 1 < bytes + end)
        start = (size_t)(newline + 1 - bytes);
    protocol_clean(text, size, bytes + start, end - start);
}

enum status link_fail(struct link *link, struct error *err)
{
    char tail[360];
    child_kill(&link->child);
    if (!link->dead) {
        char what[sizeof err->what + 64]; /* cleaned again: cutting may have split a character */
        int length = snprintf(what, sizeof what, "%s: %s", link->engine->name, err->what);
        protocol_clean(err->what, sizeof err->what, what, (size_t)length);
        link_log_tail(link->log_path, tail, sizeof tail);
        if (*tail && !err->where[0] && err->status != STATUS_INTERRUPTED)
            error_where(err, "its log ends: %s", tail);
        if (!link->log_temporary && !err->remedy[0])
            error_remedy(err, "Its log is %s.", link->log_path);
        link->failure = *err;
        link->dead = true;
    }
    *err = link->failure;
    return err->status;
}

/* The pipe has come to its end: says how the process did. */
static enum status ended(struct link *link, const char *doing, struct error *err)
{
    char how[80];
    struct child *child = &link->child;
    if (!child_wait(child, DEATH_MS)) {
        error_set(err, STATUS_PROTOCOL, "it closed its pipe when it should %s, and still runs",
                  doing);
        return link_fail(link, err);
    }
    child_status_text(child, how, sizeof how);
    error_set(err, STATUS_WORKER, "the worker ended when it should %s: %s", doing, how);
    if (child->wait_status != -1 && WIFSIGNALED(child->wait_status) &&
        WTERMSIG(child->wait_status) == SIGKILL)
        error_remedy(err, "Somebody killed it; the kernel does when memory runs out.");
    return link_fail(link, err);
}

/* write() without the SIGPIPE that a dead worker would bring. */
static ssize_t quiet_write(int fd, const char *bytes, size_t count)
{
    sigset_t pipe_signal, old;
    struct timespec now = {0};
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &old);
    ssize_t wrote = write(fd, bytes, count);
    int code = errno;
    if (wrote < 0 && code == EPIPE && !sigismember(&old, SIGPIPE))
        while (sigtimedwait(&pipe_signal, NULL, &now) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = code;
    return wrote;
}

/* Whether a cancellation is to be heeded. A second one is by a stream whose first was taken. */
static bool listens(const struct link *link, const struct link_call *call)
{
    return !call->cancelled || (call->cancel_softly && link->on_cancel);
}

/* Sleeps until the worker's pipe has something (or takes something). Nothing else happens here,
 * unless the call ticks: this is where the host is while tokens are timed. */
static enum status sleep_until(struct link *link, struct link_call *call, bool writing,
                               struct error *err)
{
    for (;;) {
        struct pollfd fds[] = {
            {.fd = writing ? link->child.to_fd : link->child.from_fd,
             .events = writing ? POLLOUT : POLLIN},
            {.fd = listens(link, call) ? link->cancel_fd : -1, .events = POLLIN},
        };
        int64_t left_ms = (call->deadline_ns - clock_now_ns() + 999999) / 1000000;
        left_ms = left_ms < 0 ? 0 : left_ms > INT_MAX ? INT_MAX : left_ms;
        bool ticks = call->on_tick && left_ms > TICK_MS;
        int ready = poll(fds, 2, ticks ? TICK_MS : (int)left_ms);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready == 0 && ticks) {
            call->on_tick(call->tick_context);
            continue;
        }
        if (ready < 0) {
            error_errno(err, "wait for the worker");
            return link_fail(link, err);
        }
        if (ready == 0) {
            error_set(err, STATUS_TIMEOUT, "the worker did not %s within %g s", call->doing,
                      (double)call->limit_ms / 1000);
            return link_fail(link, err);
        }
        if (!fds[1].revents)
            return STATUS_OK;
        if (link->on_cancel)
            link->on_cancel(link->on_cancel_context);
        if (!call->cancel_softly || call->cancelled || writing) {
            error_set(err, STATUS_INTERRUPTED, "interrupted when it should %s", call->doing);
            return link_fail(link, err);
        }
        enum status status = link_cancel(link, call, err);
        if (status)
            return status;
    }
}

static enum status send_line(struct link *link, struct link_call *call, const char *line,
                             size_t count, struct error *err)
{
    while (count > 0) {
        ssize_t wrote = quiet_write(link->child.to_fd, line, count);
        if (wrote > 0) {
            line += wrote;
            count -= (size_t)wrote;
        } else if (wrote < 0 && errno == EAGAIN) {
            enum status status = sleep_until(link, call, true, err);
            if (status)
                return status;
        } else if (wrote < 0 && errno != EINTR) {
            return ended(link, call->doing, err);
        }
    }
    return STATUS_OK;
}

/* Reads what is there. */
static enum status receive(struct link *link, const char *doing, struct error *err)
{
    char *room;
    size_t bytes;
    if (protocol_lines_room(&link->lines, &room, &bytes, err))
        return link_fail(link, err);
    ssize_t got = read(link->child.from_fd, room, bytes);
    if (got > 0)
        protocol_lines_add(&link->lines, (size_t)got);
    else if (got == 0)
        return ended(link, doing, err);
    else if (errno != EAGAIN && errno != EINTR) {
        error_errno(err, "read from the worker");
        return link_fail(link, err);
    }
    return STATUS_OK;
}

/* A worker speaks only when it is asked. */
static enum status silence_check(struct link *link, const char *doing, struct error *err)
{
    struct pollfd fd = {.fd = link->child.from_fd, .events = POLLIN};
    if (poll(&fd, 1, 0) > 0) {
        enum status status = receive(link, doing, err);
        if (status)
            return status;
    }
    size_t left = protocol_lines_left(&link->lines);
    if (left == 0)
        return STATUS_OK;
    char shown[80];
    protocol_clean(shown, sizeof shown, link->lines.bytes + link->lines.start, left);
    error_set(err, STATUS_PROTOCOL, "it sent more than was asked for: \"%s\"", shown);
    return link_fail(link, err);
}

/* Handles the lines that have arrived; *reply is set by the one that ends the call. */
static enum status dispatch(struct link *link, struct link_call *call, json_t **reply,
                            struct error *err)
{
    const char *line;
    size_t length;
    while (!*reply && (line = protocol_lines_take(&link->lines, &length))) {
        json_t *message;
        bool event = false;
        enum status status = protocol_parse(line, length, link->last_id, &message, &event, err);
        if (status == STATUS_PROTOCOL)
            return link_fail(link, err);
        if (status)
            return status;
        if (!event) {
            *reply = message;
            break;
        }
        if (call->on_event)
            status = call->on_event(call->context, message, err);
        else
            status = error_set(err, STATUS_PROTOCOL, "it sent an event that nobody asked for");
        json_decref(message);
        if (status)
            return link_fail(link, err);
    }
    return STATUS_OK;
}

/* The request with its number as a line, malloc'd; NULL when there is no memory for it. */
static char *request_lines(struct link *link, struct link_call *call, json_t *request)
{
    long long id = ++link->last_id;
    char *lines = NULL;
    json_object_set_new(request, "id", json_integer(id));
    char *text = json_dumps(request, JSON_COMPACT);
    call->cancelled = call->cancelled || call->cancel_at_once;
    int length = !text ? -1
                 : call->cancel_at_once
                     ? asprintf(&lines, "%s\n{\"op\":\"cancel\",\"id\":%lld}\n", text, id)
                     : asprintf(&lines, "%s\n", text);
    free(text);
    return length < 0 ? NULL : lines;
}

enum status link_ask(struct link *link, struct link_call *call, json_t *request, json_t **reply,
                     struct error *err)
{
    char *line = NULL;
    enum status status = STATUS_OK;
    *reply = NULL;
    if (link->dead) {
        *err = link->failure;
        status = err->status;
        goto cleanup;
    }
    status = silence_check(link, call->doing, err);
    if (status)
        goto cleanup;
    line = request_lines(link, call, request);
    size_t length = line ? strlen(line) : 0;
    if (!line || length > PROTOCOL_MAX_LINE) {
        status = error_set(err, STATUS_USAGE, "the request is too long for a worker");
        goto cleanup;
    }
    call->asked_ns = clock_now_ns();
    call->deadline_ns = call->asked_ns + call->limit_ms * 1000000;
    status = send_line(link, call, line, length, err);
    while (!status && !*reply) {
        status = sleep_until(link, call, false, err);
        call->received_ns = clock_now_ns();
        if (!status)
            status = receive(link, call->doing, err);
        if (!status)
            status = dispatch(link, call, reply, err);
    }
cleanup:
    free(line);
    json_decref(request);
    return status;
}

enum status link_cancel(struct link *link, struct link_call *call, struct error *err)
{
    char line[64];
    if (call->cancelled)
        return STATUS_OK;
    call->cancelled = true;
    int length =
        snprintf(line, sizeof line, "{\"op\":\"cancel\",\"id\":%lld}\n", (long long)link->last_id);
    int64_t soon_ns = clock_now_ns() + (int64_t)CANCEL_MS * 1000000;
    if (call->deadline_ns > soon_ns)
        call->deadline_ns = soon_ns;
    return send_line(link, call, line, (size_t)length, err);
}

bool link_hang_up(struct link *link, int64_t limit_ms)
{
    if (link->child.to_fd >= 0)
        close(link->child.to_fd);
    link->child.to_fd = -1;
    return child_wait(&link->child, limit_ms);
}

void link_close(struct link *link)
{
    struct error ignored;
    if (link->child.pid)
        child_kill(&link->child);
    protocol_lines_free(&link->lines);
    if (link->log_temporary && link->log_path)
        unlink(link->log_path);
    if (link->scratch)
        folder_remove(link->scratch, &ignored); /* the guard did, unless it was killed itself */
    free(link->log_path);
    free(link->scratch);
    link->log_path = link->scratch = NULL;
}
