#include "machine/energy.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "machine/nvml.h"
#include "machine/text.h"

enum { LOOK_US = 500, STILL_MS = 1000 }; /* counters that rest so long do not move at all */
enum { DOMAINS = 32, PATH_BYTES = PATH_MAX + 300 };

/* A counter in microjoules that wraps. */
struct domain {
    char path[PATH_BYTES];
    double range_uj, last_uj, sum_uj;
};

struct energy {
    struct domain domains[DOMAINS];
    size_t count;
    struct nvml *nvml;
    struct nvml_device *device;
    char source[128];
};

static double number_in(const char *path)
{
    char text[64], *end;
    if (!text_line(path, text, sizeof text))
        return NAN;
    double value = strtod(text, &end);
    return end == text ? NAN : value;
}

/* Packages hold their cores and graphics, so those are not added; memory is beside them. "psys",
 * the whole board, would count all of it again. */
static bool domain_counts(const char *name)
{
    return strncmp(name, "package", 7) == 0 || strcmp(name, "dram") == 0;
}

/* Adds a zone that counts; denied says that one could not be read. */
static void zone_add(struct energy *energy, const char *folder, const char *zone, bool *denied)
{
    char path[PATH_BYTES], name[32];
    struct domain *domain = &energy->domains[energy->count];
    snprintf(path, sizeof path, "%s/%s/name", folder, zone);
    if (energy->count == DOMAINS || !text_line(path, name, sizeof name) || !domain_counts(name))
        return;
    snprintf(path, sizeof path, "%s/%s/max_energy_range_uj", folder, zone);
    *domain = (struct domain){.range_uj = number_in(path)};
    snprintf(domain->path, sizeof domain->path, "%s/%s/energy_uj", folder, zone);
    domain->last_uj = number_in(domain->path);
    if (isnan(domain->last_uj)) {
        *denied = *denied || access(domain->path, R_OK) != 0;
        return;
    }
    size_t used = strlen(energy->source);
    snprintf(energy->source + used, sizeof energy->source - used, "%s%s", used ? ", " : "RAPL (",
             name);
    energy->count++;
}

static enum status rapl_open(struct energy *energy, const char *sys, struct error *err)
{
    char folder[PATH_MAX];
    bool denied = false;
    snprintf(folder, sizeof folder, "%s/class/powercap", sys);
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    /* "intel-rapl:0", "intel-rapl:0:2"; AMD's processors have the same names. The same counters
     * again, through memory-mapped registers, are "intel-rapl-mmio:0". */
    while (entries && (entry = readdir(entries)))
        if (strncmp(entry->d_name, "intel-rapl:", 11) == 0)
            zone_add(energy, folder, entry->d_name, &denied);
    if (entries)
        closedir(entries);
    if (energy->count) {
        strncat(energy->source, ")", sizeof energy->source - strlen(energy->source) - 1);
        return STATUS_OK;
    }
    if (denied) {
        error_set(err, STATUS_UNSUPPORTED, "the processors' energy counters may not be read");
        return error_remedy(err, "Run: sudo chmod -R a+r %s/intel-rapl*/energy_uj", folder);
    }
    return error_set(err, STATUS_UNSUPPORTED,
                     "this machine shows no energy counters of its processors (RAPL); virtual "
                     "machines rarely do");
}

static enum status gpu_open(struct energy *energy, const char *pci, struct error *err)
{
    if (nvml_open_card(&energy->nvml, pci, &energy->device, err))
        return err->status;
    struct nvml_value now = nvml_energy_j(energy->nvml, energy->device);
    if (!now.known)
        return error_set(err, STATUS_UNSUPPORTED, "the GPU does not tell its energy: %s", now.why);
    snprintf(energy->source, sizeof energy->source, "NVML");
    return STATUS_OK;
}

enum status energy_open(struct energy **opened, const char *sys, const char *pci, struct error *err)
{
    struct energy *energy = calloc(1, sizeof *energy);
    *opened = NULL;
    if (!energy)
        return error_no_memory(err, sizeof *energy);
    enum status status = *pci ? gpu_open(energy, pci, err) : rapl_open(energy, sys, err);
    if (status)
        energy_close(energy);
    else
        *opened = energy;
    return status;
}

double energy_joules(struct energy *energy)
{
    double sum_uj = 0;
    if (energy->device) {
        struct nvml_value now = nvml_energy_j(energy->nvml, energy->device);
        return now.known ? now.value : NAN;
    }
    for (size_t i = 0; i < energy->count; i++) {
        struct domain *domain = &energy->domains[i];
        double now_uj = number_in(domain->path), passed_uj = now_uj - domain->last_uj;
        if (passed_uj < 0)
            passed_uj += domain->range_uj; /* NaN where the range is not told */
        domain->sum_uj += passed_uj;
        domain->last_uj = now_uj;
        sum_uj += domain->sum_uj;
    }
    return sum_uj * 1e-6;
}

struct energy_moment energy_moment(struct energy *energy)
{
    const struct timespec pause = {.tv_nsec = LOOK_US * 1000L};
    double before = energy_joules(energy), now = before;
    int64_t stamp_ns = clock_now_ns(), last_ns = stamp_ns + (int64_t)STILL_MS * 1000000;
    while (now == before && stamp_ns < last_ns) {
        nanosleep(&pause, NULL);
        now = energy_joules(energy);
        stamp_ns = clock_now_ns();
    }
    return (struct energy_moment){now == before ? NAN : now, stamp_ns};
}

struct energy_idle energy_idle(struct energy *energy, uint32_t ms)
{
    struct energy_moment first = energy_moment(energy), last = first;
    size_t renewals = 0;
    while (!isnan(last.joules) && last.stamp_ns - first.stamp_ns < (int64_t)ms * 1000000) {
        last = energy_moment(energy);
        renewals++;
    }
    double seconds = (double)(last.stamp_ns - first.stamp_ns) * 1e-9;
    if (isnan(last.joules) || renewals == 0)
        return (struct energy_idle){NAN, NAN};
    return (struct energy_idle){(last.joules - first.joules) / seconds, seconds / (double)renewals};
}

const char *energy_source(const struct energy *energy)
{
    return energy->source;
}

void energy_close(struct energy *energy)
{
    if (!energy)
        return;
    nvml_close(energy->nvml);
    free(energy);
}
