#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

enum { MOST_WORDS = 40, RANKS_MOST = 64 };

static const char rank_word[] = "rank";

int job_is_rank(int argc, char **argv, struct job_rank *rank)
{
    if (argc != 6 || strcmp(argv[1], rank_word) != 0)
        return 0;
    *rank = (struct job_rank){argv[2], argv[3], argv[4], argv[5]};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return 1;
}

/* Opens a pipe that another process of ours has; its number is what the variable says from now on.
 */
static enum status pipe_open(const char *pid, const char *number, int flags, const char *variable,
                             struct error *err)
{
    char path[64], text[16];
    snprintf(path, sizeof path, "/proc/%s/fd/%s", pid, number);
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0) {
        error_errno(err, "open the host's pipe %s", path);
        return error_remedy(err,
                            "Rank 0 has to run on the machine where Prony does: name that first "
                            "in the host file.");
    }
    snprintf(text, sizeof text, "%d", fd);
    setenv(variable, text, 1);
    return STATUS_OK;
}

enum status job_take_over(const struct job_rank *rank, char **request, struct error *err)
{
    enum { MOST = 1 << 20 };
    size_t bytes;
    if (pipe_open(rank->pid, rank->in_fd, O_RDONLY, "PRONY_FD_IN", err) ||
        pipe_open(rank->pid, rank->out_fd, O_WRONLY, "PRONY_FD_OUT", err))
        return err->status;
    return file_read(rank->request, MOST, request, &bytes, err);
}

/* Everything that a job keeps in files is in this process's scratch folder, which goes with it. */
struct job {
    char count[16], pid[16], program[PATH_MAX], request[PATH_MAX];
    const char *scratch, *hosts;
    const char *word[MOST_WORDS];
    size_t words;
};

static void word(struct job *job, const char *text)
{
    job->word[job->words++] = text;
}

static void option(struct job *job, const char *name, const char *value)
{
    word(job, name);
    word(job, value);
}

static void parameter(struct job *job, const char *name, const char *value)
{
    word(job, "--mca");
    option(job, name, value);
}

static int request_write(struct job *job, const char *request, struct prony_error *error)
{
    snprintf(job->request, sizeof job->request, "%s/load.json", job->scratch);
    FILE *stream = fopen(job->request, "wbe");
    int good = stream && fputs(request, stream) >= 0;
    if (stream && fclose(stream) == 0 && good)
        return 0;
    return prony_fail(error, "io", "", "cannot write %s: %s", job->request, strerror(errno));
}

static int job_prepare(struct job *job, const struct prony_load *request, struct prony_error *error)
{
    job->scratch = getenv("PRONY_ENGINE_SCRATCH");
    job->hosts = getenv("PRONY_MPI_HOSTS");
    const char *in = getenv("PRONY_FD_IN"), *out = getenv("PRONY_FD_OUT");
    ssize_t length = readlink("/proc/self/exe", job->program, sizeof job->program - 1);
    if (!job->scratch || !in || !out || length < 0)
        return prony_fail(error, "failed", "", "this worker was not started by Prony");
    if (job->hosts && access(job->hosts, R_OK) != 0)
        return prony_fail(error, "not_found", "PRONY_MPI_HOSTS is a file in mpirun's form.",
                          "cannot read %s: %s", job->hosts, strerror(errno));
    if (request_write(job, request->request, error))
        return -1;
    snprintf(job->count, sizeof job->count, "%u", request->shard);
    snprintf(job->pid, sizeof job->pid, "%d", (int)getpid());
    word(job, "mpirun");
    option(job, "-n", job->count);
    option(job, "--bind-to", "none"); /* threads are pinned by the engine */
    word(job, "--oversubscribe"); /* a rank may have any number of threads, so slots say nothing */
    if (geteuid() == 0)
        word(job, "--allow-run-as-root");
    if (job->hosts)
        option(job, "--hostfile", job->hosts);
    parameter(job, "orte_tmpdir_base", job->scratch);
    parameter(job, "btl_vader_backing_directory", job->scratch);
    option(job, "-x", "PRONY_SHARD_TIMEOUT");
    word(job, job->program);
    word(job, rank_word);
    option(job, job->pid, in);
    option(job, out, job->request);
    return 0;
}

/* The child that becomes mpirun. */
static _Noreturn void become(const struct job *job, int output, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    setenv("PRONY_SHARD_TIMEOUT", "60",
           0); /* mpirun warns of what it is to hand on and is not there */
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execvp(job->word[0], (char *const *)job->word);
    fprintf(stderr, "Error: cannot start mpirun: %s. On Debian: apt-get install openmpi-bin\n",
            strerror(errno));
    _exit(127);
}

static volatile sig_atomic_t mpirun_pid;

static void mpirun_kill(int number)
{
    (void)number;
    kill(mpirun_pid, SIGKILL);
}

/* Gives mpirun time to end by itself, then kills it. That of Open MPI 4.1.4 with PMIx 4.2.2 does
 * not always: it was seen waiting for a lock for ever as it ended, after 3 of some 130 killed
 * ranks. */
static void end_within_grace(void)
{
    enum { GRACE_S = 10 };
    struct sigaction action = {.sa_handler = mpirun_kill, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    alarm(GRACE_S);
}

/* Puts what mpirun and the ranks say into the log, without mpirun's frames of dashes, and keeps for
 * its end what names a culprit: our own word, or mpirun's, which has the rank of a process that was
 * killed. */
static void listen_to(FILE *said, char *reason, size_t size)
{
    char *line = NULL;
    size_t room = 0;
    bool ours = false;
    while (getline(&line, &room, said) > 0) {
        bool error = strncmp(line, "Error: ", strlen("Error: ")) == 0;
        if (ours || (!error && !strstr(line, "process rank "))) {
            if (line[strspn(line, "-")] != '\n')
                fputs(line, stderr);
            continue;
        }
        fputs(reason, stderr); /* what was kept before says less */
        if (!*reason)
            end_within_grace();
        snprintf(reason, size, "%s%s", error ? "" : "Error: ", line);
        ours = error;
    }
    free(line);
}

int job_run(const struct prony_load *request, struct prony_error *error)
{
    struct job job = {.words = 0};
    char reason[512] = "";
    int output[2], status = 0;
    if (request->shard > RANKS_MOST)
        return prony_fail(error, "unsupported", "", "the native engine has at most %d ranks",
                          RANKS_MOST);
    if (job_prepare(&job, request, error))
        return -1;
    if (pipe2(output, O_CLOEXEC) != 0)
        return prony_fail(error, "io", "", "cannot make a pipe: %s", strerror(errno));
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return prony_fail(error, "io", "", "cannot start mpirun: %s", strerror(errno));
    if (pid == 0)
        become(&job, output[1], parent);
    mpirun_pid = pid;
    close(output[1]);
    FILE *said = fdopen(output[0], "re");
    listen_to(said, reason, sizeof reason);
    fclose(said);
    siginfo_t ended;
    while (waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
    }
    alarm(0); /* while the pid is still mpirun's */
    waitpid(pid, &status, 0);
    if (status == 0)
        exit(0);
    /* Where the host looks. Open MPI's own word can be lost on a rank that dies as it starts. */
    fputs(*reason ? reason
                  : "Error: a rank ended as it started, and mpirun does not say which. Is there "
                    "memory for all of them?\n",
          stderr);
    exit(1);
}
