#include "machine/gpu_watch.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "machine/memory.h"
#include "machine/nvml.h"

enum { TREE = 512 };

/* A moment of what slows a card down; NaN where it does not say. */
struct moment {
    int64_t stamp_ns;
    double clock_hz, throttle, thermal_s, power_s;
};

struct gpu_watch {
    struct nvml *nvml;
    struct nvml_device *device;
    struct moment begin, end;
    double foreign; /* the most so far */
};

static double known_or_nan(struct nvml_value value)
{
    return value.known ? value.value : NAN;
}

static bool contains(const pid_t *list, size_t count, pid_t pid)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == pid)
            return true;
    return false;
}

/* With a worker (not 0) only where the driver lists one of its processes: in a container it has
 * other numbers, and then nobody can tell whose they are. */
static void foreign_count(struct gpu_watch *watch, pid_t worker)
{
    pid_t tree[TREE];
    struct nvml_processes processes;
    size_t own = 0, count = worker ? memory_tree_pids(worker, tree, TREE) : 0;
    nvml_processes_read(watch->nvml, watch->device, &processes);
    if (processes.why)
        return;
    for (size_t i = 0; i < processes.count; i++)
        own += contains(tree, count, processes.list[i].pid);
    if (!worker || own)
        watch->foreign = fmax(watch->foreign, (double)(processes.count - own));
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
    watch->foreign = NAN;
    foreign_count(watch, 0);
    *opened = watch;
    return STATUS_OK;
}

void gpu_watch_begin(struct gpu_watch *watch)
{
    moment_read(watch, &watch->begin);
}

void gpu_watch_end(struct gpu_watch *watch, pid_t worker)
{
    moment_read(watch, &watch->end);
    foreign_count(watch, worker);
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
    foreign_count(watch, 0);
    const struct moment *begin = &watch->begin, *end = &watch->end;
    report->foreign = watch->foreign;
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
