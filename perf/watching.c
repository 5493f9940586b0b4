/* What watching costs: tokens while nothing looks, while the watch of the machine looks at the
 * clocks, and while memory is read all the time, which Prony itself never does inside a timed part.
 *
 *     watching [MODEL]
 *
 * The null engine at 1 ms a token, the same without waiting, and with MODEL the native engine with
 * all cores. The three take turns; ratios are of the mean token of each turn to that of the turn
 * beside it in which nothing looked, with a 95 % interval. */
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "engine/worker.h"
#include "machine/memory.h"
#include "machine/watch.h"
#include "stats/stats.h"

enum { TURNS = 20, CORES = 16, MEMORY_MS = 20 };
enum looking { NOTHING, WATCH, MEMORY, LOOKS };

static const char *const names[LOOKS] = {"nothing looks", "the watch, 4 times a second",
                                         "memory, 50 times a second"};

struct victim {
    const char *engine, *variant, *model;
    size_t tokens;
};

struct sampler {
    pid_t worker;
    atomic_bool ending;
    double look_s; /* mean time of one look */
};

static void *sampler_main(void *argument)
{
    struct sampler *sampler = argument;
    const struct timespec pause = {.tv_nsec = MEMORY_MS * 1000000L};
    int64_t spent_ns = 0, looks = 0;
    while (!atomic_load(&sampler->ending)) {
        struct memory_tree tree;
        int64_t before_ns = clock_now_ns();
        memory_tree_read(sampler->worker, &tree);
        spent_ns += clock_now_ns() - before_ns;
        looks++;
        nanosleep(&pause, NULL);
    }
    sampler->look_s = looks ? (double)spent_ns * 1e-9 / (double)looks : 0;
    return NULL;
}

/* Virtual machines show no clocks, and the watch has no thread then: these do. */
static enum status clocks_make(char *sys, size_t size, struct error *err)
{
    char folder[] = "/tmp/prony-watching-XXXXXX", path[PATH_MAX];
    if (!mkdtemp(folder))
        return error_errno(err, "make a folder in /tmp");
    snprintf(sys, size, "%s", folder);
    for (int i = 0; i < CORES; i++) {
        int length = snprintf(path, sizeof path, "%s/devices/system/cpu/cpu%d/cpufreq", sys, i);
        if (folder_make(path, err))
            return err->status;
        snprintf(path + length, sizeof path - (size_t)length, "/scaling_cur_freq");
        FILE *stream = fopen(path, "w");
        if (!stream)
            return error_errno(err, "write %s", path);
        fputs("2500000\n", stream);
        fclose(stream);
    }
    return STATUS_OK;
}

static void clocks_remove(const char *sys)
{
    char command[PATH_MAX + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", sys);
    if (system(command)) // NOLINT(cert-env33-c): a folder of our own
        fprintf(stderr, "%s stays\n", sys);
}

/* The mean step of one generation while something looks: what costs few tokens much is in it. */
static enum status turn(struct worker *worker, const struct victim *victim, enum looking looking,
                        const char *sys, int64_t *stamps_ns, int32_t *ids, double *step_s,
                        double *look_s, struct error *err)
{
    struct worker_generated generated = {.ids = ids, .stamps_ns = stamps_ns};
    struct sampler sampler = {.worker = worker_pid(worker)};
    struct watch_roots roots = {"/proc", sys};
    struct watch_report report;
    struct watch *watch = NULL;
    pthread_t thread;
    enum status status = looking == WATCH ? watch_start(&watch, &roots, err) : STATUS_OK;
    bool sampling = looking == MEMORY && !pthread_create(&thread, NULL, sampler_main, &sampler);
    if (!status)
        status = worker_generate(worker, (int32_t[]){1, 2}, 2, victim->tokens, &generated, err);
    if (watch)
        watch_end(watch, &report);
    atomic_store(&sampler.ending, true);
    if (sampling)
        pthread_join(thread, NULL);
    if (status)
        return status;
    *step_s = (double)(stamps_ns[victim->tokens - 1] - stamps_ns[0]) * 1e-9 /
              (double)(victim->tokens - 1);
    *look_s = fmax(*look_s, sampler.look_s);
    return STATUS_OK;
}

static void tell(const struct victim *victim, double logs[LOOKS][TURNS], double step_s,
                 double look_s)
{
    printf("%s: %.4g us a token while nothing looks\n", victim->variant, step_s * 1e6);
    for (int i = WATCH; i < LOOKS; i++) {
        struct stats_interval ratio = stats_mean_interval(logs[i], TURNS, 0.95);
        printf("  %-28s ratio %.4f (%.4f-%.4f)\n", names[i], exp(ratio.value), exp(ratio.low),
               exp(ratio.high));
    }
    printf("  one look at its memory takes %.0f us\n", look_s * 1e6);
}

static enum status measure(struct worker *worker, const struct victim *victim, const char *sys,
                           struct error *err)
{
    struct worker_loaded loaded;
    struct worker_load load = {.model = victim->model,
                               .variant = victim->variant,
                               .device = "cpu",
                               .context = (uint32_t)victim->tokens + 8};
    double logs[LOOKS][TURNS], sum_s = 0, look_s = 0;
    int32_t *ids = calloc(victim->tokens, sizeof *ids);
    int64_t *stamps_ns = calloc(victim->tokens, sizeof *stamps_ns);
    if (!ids || !stamps_ns) {
        free(ids);
        free(stamps_ns);
        return error_no_memory(err, victim->tokens * sizeof *stamps_ns);
    }
    enum status status = worker_load(worker, &load, &loaded, err);
    for (int i = 0; i < TURNS && !status; i++) {
        double step_s[LOOKS];
        for (int k = 0; k < LOOKS && !status; k++) {
            enum looking looking = (enum looking)((i + k) % LOOKS); /* each first in its turn */
            status =
                turn(worker, victim, looking, sys, stamps_ns, ids, &step_s[looking], &look_s, err);
        }
        for (int k = 0; k < LOOKS && !status; k++)
            logs[k][i] = log(step_s[k] / step_s[NOTHING]);
        sum_s += status ? 0 : step_s[NOTHING];
    }
    if (!status)
        tell(victim, logs, sum_s / TURNS, look_s);
    free(ids);
    free(stamps_ns);
    return status;
}

static enum status victim_run(const struct engine_catalogue *catalogue, const struct victim *victim,
                              const char *sys, struct error *err)
{
    struct worker *worker = NULL;
    struct worker_hello hello;
    const struct engine *engine = engine_find(catalogue, victim->engine);
    if (!engine)
        return error_set(err, STATUS_NOT_FOUND, "the engine %s is not there", victim->engine);
    enum status status =
        worker_start(&worker, engine, &(struct worker_options){.cancel_fd = -1}, &hello, err);
    if (!status)
        status = measure(worker, victim, sys, err);
    worker_stop(worker);
    return status;
}

int main(int argc, char **argv)
{
    const struct victim victims[] = {{"null", "null", "/proc/self/exe", 1000},
                                     {"null", "null-instant", "/proc/self/exe", 1000000},
                                     {"native", "native-f16", argc > 1 ? argv[1] : NULL, 100}};
    char path[PATH_MAX], engines[PATH_MAX + 16], sys[64] = "";
    struct engine_catalogue catalogue;
    struct error err;
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0)
        return 1;
    path[length] = '\0';
    *strrchr(path, '/') = '\0';
    snprintf(engines, sizeof engines, "%s/../engines", path);
    setenv("PRONY_ENGINE_PATH", engines, 0);
    enum status status = engine_catalogue_open(&catalogue, &err);
    if (!status)
        status = clocks_make(sys, sizeof sys, &err);
    for (size_t i = 0; i < (argc > 1 ? 3 : 2) && !status; i++)
        status = victim_run(&catalogue, &victims[i], sys, &err);
    if (*sys)
        clocks_remove(sys);
    if (status)
        error_print(&err, stderr);
    return status != STATUS_OK;
}
