#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/guard.h"

enum { KILL_LIMIT_MS = 5000 };

static bool same_name(const char *a, const char *b)
{
    size_t length = strcspn(a, "=");
    return strcspn(b, "=") == length && strncmp(a, b, length) == 0;
}

/* Our environment with the additions in place of entries of the same name. The array is malloc'd,
 * the strings are borrowed. */
static char **environment_make(const char *const *additions)
{
    static const char fd_in[] = "PRONY_FD_IN=3", fd_out[] = "PRONY_FD_OUT=4";
    const char *const fixed[] = {fd_in, fd_out, NULL};
    const char *const *const sources[] = {(const char *const *)environ, additions, fixed};
    size_t count = 0, used = 0;
    for (size_t s = 0; s < 3; s++)
        for (size_t i = 0; sources[s] && sources[s][i]; i++)
            count++;
    char **result = calloc(count + 1, sizeof *result);
    if (!result)
        return NULL;
    for (size_t s = 0; s < 3; s++) {
        for (size_t i = 0; sources[s] && sources[s][i]; i++) {
            const char *entry = sources[s][i];
            size_t at = 0;
            while (at < used && !same_name(result[at], entry))
                at++;
            if (strchr(entry, '=')) {
                result[at] = (char *)entry;
                used += at == used;
            } else if (at < used) {
                result[at] = result[--used];
            }
        }
    }
    result[used] = NULL;
    return result;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Everything the guard needs, opened here, where an error can still be told. */
struct spawn {
    int to_child[2], from_child[2], sockets[2];
    int null_fd, log_fd, folder_fd;
    char **envp;
};

static enum status spawn_open(struct spawn *spawn, const struct child_options *options,
                              struct error *err)
{
    spawn->folder_fd = open(options->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (spawn->folder_fd < 0) {
        error_errno(err, "open the engine's folder");
        return error_where(err, "%s", options->folder);
    }
    spawn->log_fd =
        open(options->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (spawn->log_fd < 0) {
        error_errno(err, "create the log of a worker");
        return error_where(err, "%s", options->log_path);
    }
    spawn->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (spawn->null_fd < 0)
        return error_errno(err, "open /dev/null");
    if (pipe2(spawn->to_child, O_CLOEXEC) != 0 || pipe2(spawn->from_child, O_CLOEXEC) != 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, spawn->sockets) != 0 ||
        fcntl(spawn->to_child[1], F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(spawn->from_child[0], F_SETFL, O_NONBLOCK) != 0)
        return error_errno(err, "make the pipes of a worker");
    spawn->envp = environment_make(options->environment);
    return spawn->envp ? STATUS_OK : error_no_memory(err, sizeof(char *));
}

static void spawn_close(struct spawn *spawn)
{
    int *fds[] = {&spawn->to_child[0],   &spawn->to_child[1], &spawn->from_child[0],
                  &spawn->from_child[1], &spawn->sockets[0],  &spawn->sockets[1],
                  &spawn->null_fd,       &spawn->log_fd,      &spawn->folder_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        close_fd(fds[i]);
    free(spawn->envp);
}

static bool report_receive(int socket_fd, struct guard_report *report)
{
    ssize_t got;
    do
        got = recv(socket_fd, report, sizeof *report, 0);
    while (got < 0 && errno == EINTR);
    return got == sizeof *report;
}

static enum status start_failed(struct error *err, const struct child_options *options, int code)
{
    errno = code;
    error_errno(err, "start '%s'", options->argv[0]);
    error_where(err, "%s", options->folder);
    if (code == ENOENT)
        return error_remedy(err, "Install it, or correct \"command\" in the folder's engine.json.");
    if (code == EACCES || code == ENOEXEC)
        return error_remedy(err, "Is it a program, and may it be executed (chmod +x)?");
    return err->status;
}

enum status child_start(struct child *child, const struct child_options *options, struct error *err)
{
    struct spawn spawn = {{-1, -1}, {-1, -1}, {-1, -1}, -1, -1, -1, NULL};
    struct guard_report report = {0};
    *child = (struct child){.to_fd = -1, .from_fd = -1, .guard_fd = -1};

    enum status status = spawn_open(&spawn, options, err);
    if (status)
        goto cleanup;
    child->guard_pid = fork();
    if (child->guard_pid < 0) {
        status = error_errno(err, "start a process");
        goto cleanup;
    }
    if (child->guard_pid == 0) {
        close(spawn.sockets[0]);
        guard_run(&(struct guard_task){.socket_fd = spawn.sockets[1],
                                       .null_fd = spawn.null_fd,
                                       .log_fd = spawn.log_fd,
                                       .in_fd = spawn.to_child[0],
                                       .out_fd = spawn.from_child[1],
                                       .folder_fd = spawn.folder_fd,
                                       .argv = (char *const *)options->argv,
                                       .envp = spawn.envp,
                                       .scratch = options->scratch});
    }
    close_fd(&spawn.sockets[1]);
    if (!report_receive(spawn.sockets[0], &report) || report.kind != GUARD_STARTED) {
        waitpid(child->guard_pid, NULL, 0);
        status = start_failed(err, options, report.kind == GUARD_FAILED ? report.value : ECHILD);
        goto cleanup;
    }
    child->pid = report.value;
    child->to_fd = spawn.to_child[1];
    child->from_fd = spawn.from_child[0];
    child->guard_fd = spawn.sockets[0];
    spawn.to_child[1] = spawn.from_child[0] = spawn.sockets[0] = -1;
cleanup:
    spawn_close(&spawn);
    return status;
}

bool child_wait(struct child *child, int64_t limit_ms)
{
    int64_t end_ns = clock_now_ns() + limit_ms * 1000000;
    while (!child->ended && child->guard_fd >= 0) {
        struct pollfd fd = {.fd = child->guard_fd, .events = POLLIN};
        int64_t left_ms = (end_ns - clock_now_ns()) / 1000000;
        left_ms = left_ms < 0 ? 0 : left_ms > INT_MAX ? INT_MAX : left_ms;
        int ready = poll(&fd, 1, (int)left_ms);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return false;
        struct guard_report report;
        bool known = report_receive(child->guard_fd, &report);
        child->ended = true;
        child->wait_status = known ? report.value : -1;
        child->survivors = known ? report.survivors : 0;
        waitpid(child->guard_pid, NULL, 0);
    }
    return child->ended;
}

void child_kill(struct child *child)
{
    if (child->guard_fd < 0)
        return;
    close_fd(&child->to_fd);
    close_fd(&child->from_fd);
    if (!child_wait(child, 0)) {
        child->killed = true;
        shutdown(child->guard_fd, SHUT_WR);
        child_wait(child, KILL_LIMIT_MS);
    }
    close_fd(&child->guard_fd);
}

void child_status_text(const struct child *child, char *text, size_t size)
{
    if (!child->ended)
        snprintf(text, size, "still running");
    else if (child->wait_status == -1)
        snprintf(text, size, "ended, nobody saw how");
    else if (WIFSIGNALED(child->wait_status))
        snprintf(text, size, "killed by signal %d (%s)", WTERMSIG(child->wait_status),
                 strsignal(WTERMSIG(child->wait_status)));
    else
        snprintf(text, size, "exited with status %d", WEXITSTATUS(child->wait_status));
}
