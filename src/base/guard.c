#include "base/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/child.h"

enum {
    FIRST_FREE_FD = 16, /* above every fixed number, so that dup2() never overwrites a source */
    GRACE_MS = 300      /* for helpers that end by themselves when they see their parent gone */
};

/* In the process that becomes the program: fds 0-4, default signals, death with the guard. */
static _Noreturn void program_run(const struct guard_task *task, pid_t guard, int failure_fd)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t none;
    int fds[] = {task->null_fd, task->log_fd, task->log_fd, task->in_fd, task->out_fd};
    const int count = sizeof fds / sizeof fds[0];

    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != guard)
        _exit(127);
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &standard, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    for (int i = 0; i < count; i++)
        if ((fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FIRST_FREE_FD)) < 0)
            goto fail;
    if ((failure_fd = fcntl(failure_fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD)) < 0)
        _exit(127);
    if (fchdir(task->folder_fd) != 0)
        goto fail;
    for (int i = 0; i < count; i++)
        if (dup2(fds[i], i) < 0)
            goto fail;
    close_range((unsigned)count, ~0U, CLOSE_RANGE_CLOEXEC);
    execvpe(task->argv[0], task->argv, task->envp);
fail:;
    int code = errno;
    if (write(failure_fd, &code, sizeof code) < 0)
        _exit(126);
    _exit(127);
}

/* Forks the program; 0, or the errno that kept it from running. */
static int program_start(const struct guard_task *task, pid_t *pid)
{
    int pipe_fds[2], code = 0;
    pid_t guard = getpid();
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return errno;
    *pid = fork();
    if (*pid == 0)
        program_run(task, guard, pipe_fds[1]);
    if (*pid < 0)
        code = errno;
    close(pipe_fds[1]);
    if (*pid > 0) {
        /* End of file means that exec() closed the pipe: it runs. */
        ssize_t got;
        do
            got = read(pipe_fds[0], &code, sizeof code);
        while (got < 0 && errno == EINTR);
        if (got != sizeof code)
            code = 0;
        else
            waitpid(*pid, NULL, 0);
    }
    close(pipe_fds[0]);
    return code;
}

static void report_send(int socket_fd, int kind, int value, unsigned survivors)
{
    struct guard_report report = {.kind = kind, .value = value, .survivors = survivors};
    if (send(socket_fd, &report, sizeof report, MSG_NOSIGNAL) < 0)
        return; /* the host is gone; it will not miss the report */
}

static void sleep_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* Reaps what has ended; keeps the program's status. False when no child is left. */
static bool reap(pid_t pid, int *wait_status, bool *ended)
{
    for (;;) {
        int status;
        pid_t got = waitpid(-1, &status, WNOHANG);
        if (got == pid) {
            *wait_status = status;
            *ended = true;
        }
        if (got == 0)
            return true;
        if (got < 0)
            return errno != ECHILD;
    }
}

/* Kills each child that the kernel lists for us: adopted orphans included. Returns how many. */
static unsigned children_kill(void)
{
    char text[4096];
    unsigned count = 0;
    pid_t pid = 0;
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text) : -1;
    if (fd >= 0)
        close(fd);
    for (ssize_t i = 0; i < got; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            pid = pid * 10 + (text[i] - '0');
        } else if (pid > 0) {
            count += kill(pid, SIGKILL) == 0;
            pid = 0;
        }
    }
    return count;
}

/* Kills until nothing is left. Descendants become our children as their parents die. */
static unsigned sweep(pid_t pid, int *wait_status, bool *ended)
{
    unsigned survivors = 0;
    while (reap(pid, wait_status, ended)) {
        unsigned killed = children_kill();
        if (killed == 0) /* no /proc to tell us */
            kill(-pid, SIGKILL);
        survivors = killed > survivors ? killed : survivors;
        sleep_ms(1);
    }
    return survivors;
}

/* Removes the folder with all in it: by rm, since walking folders is not async-signal-safe. */
static void scratch_remove(const char *scratch)
{
    if (!scratch || rmdir(scratch) == 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", "--", scratch, (char *)NULL);
        _exit(127);
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
}

/* Sleeps until the program ends or the host closes the socket; true for the host. */
static bool watch(const struct guard_task *task, int signal_fd, pid_t pid, int *wait_status)
{
    bool ended = false;
    for (;;) {
        struct pollfd fds[] = {{.fd = task->socket_fd, .events = POLLIN},
                               {.fd = signal_fd, .events = POLLIN}};
        reap(pid, wait_status, &ended);
        if (ended)
            return false;
        poll(fds, 2, -1);
        if (fds[0].revents) /* the host never writes: this is its end */
            return true;
        struct signalfd_siginfo info;
        if (fds[1].revents && read(signal_fd, &info, sizeof info) < 0 && errno != EINTR)
            return true;
    }
}

_Noreturn void guard_run(const struct guard_task *task)
{
    sigset_t all;
    pid_t pid = -1;
    bool ended = false;
    int wait_status = SIGKILL;

    setsid(); /* Ctrl-C in the host's terminal is the host's to handle */
    prctl(PR_SET_NAME, "prony-guard");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&all);
    sigaddset(&all, SIGCHLD);
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigaction(SIGCHLD, &standard, NULL); /* ignored, it would reap by itself */

    int code = program_start(task, &pid);
    if (code) {
        scratch_remove(task->scratch);
        report_send(task->socket_fd, GUARD_FAILED, code, 0);
        _exit(1);
    }
    /* Nothing of the host's may stay open here: not the pipes, not another child's socket. */
    dup2(task->socket_fd, 0);
    close_range(1, ~0U, 0);
    struct guard_task mine = {.socket_fd = 0, .scratch = task->scratch};
    int signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);

    report_send(mine.socket_fd, GUARD_STARTED, pid, 0);
    bool asked = watch(&mine, signal_fd, pid, &wait_status);
    if (!asked)
        for (int ms = 0; ms < GRACE_MS && reap(pid, &wait_status, &ended); ms += 10)
            sleep_ms(10);
    unsigned survivors = sweep(pid, &wait_status, &ended);
    scratch_remove(mine.scratch);
    report_send(mine.socket_fd, GUARD_ENDED, wait_status, asked ? 0 : survivors);
    _exit(0);
}
