#include "machine/gpu_watch.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "base/descendants.h"
#include "machine/nvml.h"

enum {
    PIDS = 512,
    LAG_US = 1000000 /* a sample may be of what was up to a second before its stamp */
};

struct pids {
    size_t count;
    pid_t list[PIDS];
};

/* A moment of what slows a card down; NaN where it does not say. */
struct moment {
    int64_t stamp_ns;
    double clock_hz, throttle, thermal_s, power_s;
};

struct gpu_watch {
    struct nvml *nvml;
    struct nvml_device *device;
    struct moment begin, end;
    int64_t since_us;        /* CLOCK_REALTIME: what the driver sampled earlier is not of this */
    struct pids own, others; /* the worker's processes, and programs that were none of them */
    bool known;              /* whether there are others */
    bool numbered;           /* the driver has told of one of ours under its number: in a container
                              * it has others, and then nobody can tell whose they are */
};

static double known_or_nan(struct nvml_value value)
{
    return value.known ? value.value : NAN;
}

static bool contains(const struct pids *pids, pid_t pid)
{
    for (size_t i = 0; i < pids->count; i++)
        if (pids->list[i] == pid)
            return true;
    return false;
}

static void add(struct pids *pids, pid_t pid)
{
    if (pids->count < PIDS && !contains(pids, pid))
        pids->list[pids->count++] = pid;
}

static void own_note(struct gpu_watch *watch, pid_t worker)
{
    pid_t tree[DESCENDANTS_MAX];
    size_t count = descendants_list(worker, tree, DESCENDANTS_MAX);
    for (size_t i = 0; i < count; i++)
        add(&watch->own, tree[i]);
}

/* alone: no worker is there, so that all are others. */
static void others_note(struct gpu_watch *watch, const struct nvml_processes *processes, bool alone)
{
    if (processes->why)
        return;
    for (size_t i = 0; i < processes->count; i++)
        watch->numbered = watch->numbered || contains(&watch->own, processes->list[i].pid);
    if (!alone && !watch->numbered)
        return;
    watch->known = true;
    for (size_t i = 0; i < processes->count; i++)
        if (!contains(&watch->own, processes->list[i].pid))
            add(&watch->others, processes->list[i].pid);
}

/* Who is on the card. */
static void present_note(struct gpu_watch *watch, bool alone)
{
    struct nvml_processes processes;
    nvml_processes_read(watch->nvml, watch->device, &processes);
    others_note(watch, &processes, alone);
}

/* Who was at work on it since the watch began, and may have gone. */
static void past_note(struct gpu_watch *watch)
{
    struct nvml_processes users;
    nvml_users_read(watch->nvml, watch->device, watch->since_us, &users);
    others_note(watch, &users, false);
}

static void moment_read(const struct gpu_watch *watch, struct moment *moment)
{
    struct nvml_sample sample;
    nvml_sample_read(watch->nvml, watch->device, &sample);
    *moment = (struct moment){
        .stamp_ns = sample.stamp_ns,
        .clock_hz = known_or_nan(sample.sm_mhz) * 1e6,
        .throttle = known_or_nan(sample.throttle),
        .thermal_s =
            known_or_nan(nvml_held_back_s(watch->nvml, watch->device, NVML_POLICY_THERMAL)),
        .power_s = known_or_nan(nvml_held_back_s(watch->nvml, watch->device, NVML_POLICY_POWER))};
}

static int64_t realtime_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

enum status gpu_watch_open(struct gpu_watch **opened, const char *pci, struct error *err)
{
    struct gpu_watch *watch = calloc(1, sizeof *watch);
    *opened = NULL;
    if (!watch)
        return error_no_memory(err, sizeof *watch);
    enum status status = nvml_open_card(&watch->nvml, pci, &watch->device, err);
    if (status) {
        free(watch);
        return status;
    }
    watch->since_us = realtime_us() + LAG_US;
    present_note(watch, true);
    *opened = watch;
    return STATUS_OK;
}

void gpu_watch_begin(struct gpu_watch *watch, pid_t worker)
{
    own_note(watch, worker);
    moment_read(watch, &watch->begin);
}

void gpu_watch_end(struct gpu_watch *watch, pid_t worker)
{
    moment_read(watch, &watch->end);
    own_note(watch, worker);
    present_note(watch, false);
    past_note(watch);
}

static double both_bits(double a, double b)
{
    return isnan(a) || isnan(b) ? fmax(a, b) : (double)((uint64_t)a | (uint64_t)b);
}

void gpu_watch_close(struct gpu_watch *watch, struct gpu_watch_report *report)
{
    *report = (struct gpu_watch_report){NAN, NAN, NAN, NAN, NAN};
    if (!watch)
        return;
    present_note(watch, true);
    past_note(watch);
    const struct moment *begin = &watch->begin, *end = &watch->end;
    report->foreign = watch->known ? (double)watch->others.count : NAN;
    if (begin->stamp_ns && end->stamp_ns) {
        double seconds = (double)(end->stamp_ns - begin->stamp_ns) * 1e-9;
        report->throttle = both_bits(begin->throttle, end->throttle);
        report->thermal_share = (end->thermal_s - begin->thermal_s) / seconds;
        report->power_share = (end->power_s - begin->power_s) / seconds;
        report->clock_hz = fmin(begin->clock_hz, end->clock_hz);
    }
    nvml_close(watch->nvml);
    free(watch);
}
