/* A libnvidia-ml.so.1 without a GPU: one card, with errors on request.
 *
 * FAKE_NVML holds words: "nvmlDeviceGetPowerUsage=3" makes that function fail with that code;
 * "count=0" hides the card, "count=2" shows it twice; "used=BYTES" is the card's memory in use;
 * "pid=PID bytes=BYTES" lists a process; "tree=BYTES" lists each descendant of the caller that has
 * no children, and adds to the memory in use; "user=PID" was at work on the card in the last
 * second, as were those of "tree"; "heat=NS" and "cap=NS" are what each question adds to the time
 * for which clocks were held down, "clock=MHZ" the clocks, "power=W" what the energy counter counts
 * by, renewed every "step=MS" (100). Compiled with OLD, it lacks what newer drivers brought. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SETTINGS "FAKE_NVML"
#include "setting.h"

struct process {
    unsigned pid;
    unsigned long long bytes;
    unsigned instances[2];
};

/* Adds the descendants of pid that have no children. */
static unsigned leaves_add(struct process *list, unsigned count, unsigned room, int pid, int self)
{
    char path[64];
    int child, children = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    FILE *stream = fopen(path, "re");
    while (stream && fscanf(stream, "%d", &child) == 1) {
        count = leaves_add(list, count, room, child, self);
        children++;
    }
    if (stream)
        fclose(stream);
    if (children == 0 && pid != self && count < room)
        list[count++] =
            (struct process){.pid = (unsigned)pid, .bytes = (unsigned long long)setting("tree", 0)};
    return count;
}

static int processes(unsigned *count, struct process *list)
{
    unsigned found = 0, room = *count;
    if (setting("pid", 0))
        list[found++] = (struct process){.pid = (unsigned)setting("pid", 0),
                                         .bytes = (unsigned long long)setting("bytes", -1)};
    if (setting("tree", 0))
        found = leaves_add(list, found, room, getpid(), getpid());
    *count = found;
    return 0;
}

#ifndef OLD
struct use {
    unsigned pid;
    unsigned long long stamp_us;
    unsigned percents[4];
};

/* Samples of the last second, an empty one and an old one among them, as drivers have it. */
static unsigned uses(struct use *list, unsigned room)
{
    struct process tree[64];
    struct timespec now;
    unsigned found = 0,
             leaves = setting("tree", 0) ? leaves_add(tree, 0, 64, getpid(), getpid()) : 0;
    clock_gettime(CLOCK_REALTIME, &now);
    unsigned long long us =
        (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000;
    list[found++] = (struct use){.pid = 17};
    list[found++] = (struct use){.pid = 18, .stamp_us = us};
    list[found++] = (struct use){.pid = 19, .stamp_us = us - 5000000, .percents = {90, 90}};
    for (unsigned i = 0; i < leaves && found + 2 < room; i++)
        list[found++] = (struct use){.pid = tree[i].pid, .stamp_us = us, .percents = {80, 60}};
    for (int i = 0; i < 2 && setting("user", 0); i++)
        list[found++] =
            (struct use){.pid = (unsigned)setting("user", 0), .stamp_us = us, .percents = {0, 5}};
    return found;
}
#endif

/* Of a card that draws the same all the time. */
static long energy_mj(void)
{
    struct timespec now;
    long step_ms = setting("step", 100);
    clock_gettime(CLOCK_MONOTONIC, &now);
    long ms = now.tv_sec * 1000 + now.tv_nsec / 1000000;
    return setting("power", 0) * (ms / step_ms * step_ms);
}

#define NUMBER(name, number)                                                                       \
    EXPORT int name(void *device, unsigned *value);                                                \
    int name(void *device, unsigned *value)                                                        \
    {                                                                                              \
        (void)device;                                                                              \
        *value = number;                                                                           \
        return RESULT;                                                                             \
    }
#define KIND_NUMBER(name, number)                                                                  \
    EXPORT int name(void *device, int kind, unsigned *value);                                      \
    int name(void *device, int kind, unsigned *value)                                              \
    {                                                                                              \
        (void)device;                                                                              \
        *value = (unsigned)kind + (unsigned)(number);                                              \
        return RESULT;                                                                             \
    }
#define WIDE_NUMBER(name, number)                                                                  \
    EXPORT int name(void *device, unsigned long long *value);                                      \
    int name(void *device, unsigned long long *value)                                              \
    {                                                                                              \
        (void)device;                                                                              \
        *value = (unsigned long long)(number);                                                     \
        return RESULT;                                                                             \
    }
#define MODE(name, number)                                                                         \
    EXPORT int name(void *device, unsigned *now, unsigned *later);                                 \
    int name(void *device, unsigned *now, unsigned *later)                                         \
    {                                                                                              \
        (void)device;                                                                              \
        *now = number;                                                                             \
        *later = !(number);                                                                        \
        return RESULT;                                                                             \
    }
#define TEXT(name, text)                                                                           \
    EXPORT int name(void *device, char *value, unsigned size);                                     \
    int name(void *device, char *value, unsigned size)                                             \
    {                                                                                              \
        (void)device;                                                                              \
        snprintf(value, size, "%s", text);                                                         \
        return RESULT;                                                                             \
    }

NUMBER(nvmlDeviceGetPowerUsage, 350500)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, 700000)
NUMBER(nvmlDeviceGetPersistenceMode, 1)
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, 4)
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, 5)
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, 16)
KIND_NUMBER(nvmlDeviceGetClockInfo, setting("clock", 1000))
KIND_NUMBER(nvmlDeviceGetMaxClockInfo, 2000)
KIND_NUMBER(nvmlDeviceGetTemperature, 41)
WIDE_NUMBER(nvmlDeviceGetTotalEnergyConsumption, 1234500 + energy_mj())
MODE(nvmlDeviceGetEccMode, 1)
MODE(nvmlDeviceGetMigMode, 0)
TEXT(nvmlDeviceGetName, "Fake GPU")
TEXT(nvmlDeviceGetUUID, "GPU-0")
#ifndef OLD
WIDE_NUMBER(nvmlDeviceGetCurrentClocksEventReasons, setting("throttle", 1))
#else
WIDE_NUMBER(nvmlDeviceGetCurrentClocksThrottleReasons, setting("throttle", 1))
#endif

EXPORT int nvmlInit_v2(void);
int nvmlInit_v2(void)
{
    return RESULT;
}

EXPORT int nvmlShutdown(void);
int nvmlShutdown(void)
{
    return RESULT;
}

EXPORT int nvmlSystemGetDriverVersion(char *text, unsigned size);
int nvmlSystemGetDriverVersion(char *text, unsigned size)
{
    snprintf(text, size, "580.1");
    return RESULT;
}

EXPORT int nvmlSystemGetCudaDriverVersion_v2(int *version);
int nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    *version = 13000;
    return RESULT;
}

EXPORT int nvmlDeviceGetCount_v2(unsigned *count);
int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = (unsigned)setting("count", 1);
    return RESULT;
}

static char card;

EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    *device = &card;
    return index < (unsigned)setting("count", 1) ? RESULT : 2;
}

EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, void **device);
int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, void **device)
{
    *device = &card;
    return strcmp(pci, "0000:01:00.0") == 0 ? RESULT : 6;
}

EXPORT int nvmlDeviceGetPciInfo_v3(void *device, char *info);
int nvmlDeviceGetPciInfo_v3(void *device, char *info)
{
    (void)device;
    memcpy(info + 36, "00000000:01:00.0", 17);
    return RESULT;
}

EXPORT int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor);
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor)
{
    (void)device;
    *major = 9;
    *minor = 0;
    return RESULT;
}

EXPORT int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *info);
int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *info)
{
    struct process list[64];
    unsigned count = 64;
    (void)device;
    processes(&count, list);
    info[0] = 1ULL << 30;
    info[2] = (unsigned long long)setting("used", 0);
    for (unsigned i = 0; i < count && setting("tree", 0); i++)
        info[2] += list[i].bytes;
    if (setting("foreign", 0)) /* memory of a process that the list does not show */
        info[2] += setting("foreign", 0) * (long)leaves_add(list, 0, 64, getpid(), getpid());
    info[1] = info[0] - info[2];
    return RESULT;
}

EXPORT int nvmlDeviceGetViolationStatus(void *device, int policy, unsigned long long *times);
int nvmlDeviceGetViolationStatus(void *device, int policy, unsigned long long *times)
{
    static unsigned long long asked[2];
    (void)device;
    times[1] = ++asked[policy] * (unsigned long long)setting(policy ? "heat" : "cap", 0);
    return RESULT;
}

EXPORT int nvmlDeviceGetUtilizationRates(void *device, unsigned *rates);
int nvmlDeviceGetUtilizationRates(void *device, unsigned *rates)
{
    (void)device;
    rates[0] = 97;
    rates[1] = 60;
    return RESULT;
}

#ifndef OLD
EXPORT int nvmlDeviceGetProcessUtilization(void *device, struct use *list, unsigned *count,
                                           unsigned long long since_us);
int nvmlDeviceGetProcessUtilization(void *device, struct use *list, unsigned *count,
                                    unsigned long long since_us)
{
    enum { KEPT = 100, SMALL = 7 };
    (void)device;
    (void)since_us;
    if (RESULT)
        return RESULT;
    *count = list ? uses(list, KEPT) : KEPT;
    return list ? 0 : SMALL;
}

EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count,
                                                   struct process *list);
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process *list)
{
    (void)device;
    return RESULT ? RESULT : processes(count, list);
}
#endif
