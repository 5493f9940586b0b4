#include "machine/watch.h"

#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cores.h"
#include "machine/text.h"

enum {
    SAMPLE_MS = 250,
    CLOCKS_MAX = 16 /* processors whose clock is read: enough to find one that works */
};

/* All counters at one moment; NaN where there is none. */
struct counters {
    int64_t now_ns;
    double idle_s, steal_s; /* of the processors that may be used, summed */
    double own_s;           /* this process and the children it has reaped */
    double throttled_s, swapped_bytes, thermal_events;
};

struct watch {
    struct watch_roots roots;
    struct cores cores;
    struct counters start;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool sampling, ending; /* ending: under the lock */
    double clock_sum_hz;   /* the thread's, until it is joined */
    size_t clocks;
};

static bool cores_have(const struct cores *cores, unsigned cpu)
{
    for (uint32_t i = 0; i < cores->cpu_count; i++)
        if (cores->cpu[i] == cpu)
            return true;
    return false;
}

/* Idle time is exact to a tick; user and system time are guesses by the tick, so what is not idle
 * counts as busy (Documentation/admin-guide/cpu-load.rst). */
static void read_stat(const struct watch *watch, struct counters *counters)
{
    char path[PATH_MAX], line[512];
    double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    snprintf(path, sizeof path, "%s/stat", watch->roots.proc);
    FILE *stream = fopen(path, "re");
    if (!stream)
        return;
    counters->idle_s = counters->steal_s = 0;
    while (fgets(line, sizeof line, stream)) {
        unsigned cpu;
        unsigned long long user, nice, system, idle, iowait, irq, softirq, steal = 0;
        if (sscanf(line, "cpu%u %llu %llu %llu %llu %llu %llu %llu %llu", &cpu, &user, &nice,
                   &system, &idle, &iowait, &irq, &softirq, &steal) < 6 ||
            !cores_have(&watch->cores, cpu))
            continue;
        counters->idle_s += (double)(idle + iowait) * tick;
        counters->steal_s += (double)steal * tick;
    }
    fclose(stream);
}

static double seconds_of(const struct rusage *usage)
{
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1e-6;
}

static double own_seconds(void)
{
    struct rusage self, children;
    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &children);
    return seconds_of(&self) + seconds_of(&children);
}

/* A field "name value" of a file of such lines; NaN when it is not there. */
static double number_in(const char *path, const char *name)
{
    char line[256], word[64];
    double value, found = NAN;
    FILE *stream = fopen(path, "re");
    while (stream && isnan(found) && fgets(line, sizeof line, stream))
        if (sscanf(line, "%63s %lf", word, &value) == 2 && strcmp(word, name) == 0)
            found = value;
    if (stream)
        fclose(stream);
    return found;
}

/* Of our own control group, of version 2 (a line "0::PATH") or 1 ("4:cpu,cpuacct:PATH"); inside a
 * container the path is often not visible and the root is the group. */
static double throttled_seconds(const struct watch *watch)
{
    char path[PATH_MAX], line[1024];
    double found = NAN;
    snprintf(path, sizeof path, "%s/self/cgroup", watch->roots.proc);
    FILE *stream = fopen(path, "re");
    while (stream && isnan(found) && fgets(line, sizeof line, stream)) {
        line[strcspn(line, "\n")] = '\0';
        char *kind = strchr(line, ':'), *group = kind ? strchr(kind + 1, ':') : NULL;
        if (!group)
            continue;
        *kind++ = *group++ = '\0';
        bool second = *kind == '\0';
        if (!second && strncmp(kind, "cpu", 3) != 0)
            continue;
        const char *mounts[] = {second ? "" : "/cpu", second ? "/unified" : "/cpu,cpuacct"};
        const char *groups[] = {group, ""};
        for (int i = 0; i < 4 && isnan(found); i++) {
            snprintf(path, sizeof path, "%s/fs/cgroup%s%s/cpu.stat", watch->roots.sys,
                     mounts[i / 2], groups[i % 2]);
            found = second ? number_in(path, "throttled_usec") * 1e-6
                           : number_in(path, "throttled_time") * 1e-9;
        }
    }
    if (stream)
        fclose(stream);
    return found;
}

static double swapped_bytes(const struct watch *watch)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/vmstat", watch->roots.proc);
    return (number_in(path, "pswpin") + number_in(path, "pswpout")) * (double)sysconf(_SC_PAGESIZE);
}

/* A number that is the whole file; NaN when there is none. */
static double number_of(const char *path)
{
    char text[64], *end;
    if (!text_line(path, text, sizeof text))
        return NAN;
    double value = strtod(text, &end);
    return end == text ? NAN : value;
}

static double thermal_events(const struct watch *watch)
{
    static const char *const names[] = {"core_throttle_count", "package_throttle_count"};
    double sum = NAN;
    for (uint32_t i = 0; i < watch->cores.cpu_count; i++)
        for (size_t j = 0; j < sizeof names / sizeof names[0]; j++) {
            char path[PATH_MAX];
            snprintf(path, sizeof path, "%s/devices/system/cpu/cpu%u/thermal_throttle/%s",
                     watch->roots.sys, watch->cores.cpu[i], names[j]);
            double count = number_of(path);
            if (!isnan(count))
                sum = isnan(sum) ? count : sum + count;
        }
    return sum;
}

static void counters_read(const struct watch *watch, struct counters *counters)
{
    *counters = (struct counters){.idle_s = NAN, .steal_s = NAN};
    counters->throttled_s = throttled_seconds(watch);
    counters->swapped_bytes = swapped_bytes(watch);
    counters->thermal_events = thermal_events(watch);
    counters->own_s = own_seconds();
    read_stat(watch, counters);
    counters->now_ns = clock_now_ns();
}

/* The fastest of the clocks: idle processors rest at the lowest. NaN where none is shown. */
static double clock_hz(const struct watch *watch)
{
    double fastest = NAN;
    for (uint32_t i = 0; i < watch->cores.cpu_count && i < CLOCKS_MAX; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/devices/system/cpu/cpu%u/cpufreq/scaling_cur_freq",
                 watch->roots.sys, watch->cores.cpu[i]);
        fastest = fmax(fastest, number_of(path) * 1e3);
    }
    return fastest;
}

static void *sample_main(void *argument)
{
    struct watch *watch = argument;
    pthread_mutex_lock(&watch->lock);
    while (!watch->ending) {
        struct timespec until;
        double now_hz = clock_hz(watch);
        if (!isnan(now_hz)) {
            watch->clock_sum_hz += now_hz;
            watch->clocks++;
        }
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += SAMPLE_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&watch->wake, &watch->lock, &until);
    }
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}

enum status watch_start(struct watch **started, const struct watch_roots *roots, struct error *err)
{
    struct watch *watch = calloc(1, sizeof *watch);
    pthread_condattr_t monotonic;
    *started = watch;
    if (!watch)
        return error_no_memory(err, sizeof *watch);
    watch->roots = roots ? *roots : (struct watch_roots){"/proc", "/sys"};
    cores_read(&watch->cores);
    pthread_mutex_init(&watch->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    /* Without clocks to look at there is no thread, which costs nothing at all. */
    if (!isnan(clock_hz(watch)))
        watch->sampling = pthread_create(&watch->thread, NULL, sample_main, watch) == 0;
    counters_read(watch, &watch->start);
    return STATUS_OK;
}

void watch_end(struct watch *watch, struct watch_report *report)
{
    struct counters end;
    counters_read(watch, &end);
    if (watch->sampling) {
        pthread_mutex_lock(&watch->lock);
        watch->ending = true;
        pthread_cond_signal(&watch->wake);
        pthread_mutex_unlock(&watch->lock);
        pthread_join(watch->thread, NULL);
    }
    double seconds = (double)(end.now_ns - watch->start.now_ns) * 1e-9;
    double available = seconds * watch->cores.cpu_count;
    double stolen = end.steal_s - watch->start.steal_s;
    double busy = available - (end.idle_s - watch->start.idle_s) - stolen;
    double foreign = fmax(busy - (end.own_s - watch->start.own_s), 0);
    *report = (struct watch_report){
        .seconds = seconds,
        .foreign_cores = isnan(busy) ? NAN : foreign / seconds,
        .foreign_seconds = isnan(busy) ? NAN : foreign,
        .steal_share = stolen / available,
        .throttled_share = (end.throttled_s - watch->start.throttled_s) / seconds,
        .swapped_bytes = end.swapped_bytes - watch->start.swapped_bytes,
        .thermal_events = end.thermal_events - watch->start.thermal_events,
        .clock_hz = watch->clocks ? watch->clock_sum_hz / (double)watch->clocks : NAN};
    pthread_cond_destroy(&watch->wake);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}
