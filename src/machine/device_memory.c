#include "machine/device_memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/descendants.h"
#include "machine/nvml.h"

enum { INTERVAL_MS = 20 };

static const char BY_PROCESS[] =
    "device: NVML, memory of the process, CUDA context included; peak: "
    "highest reading, every 20 ms but while tokens are timed";
static const char BY_DIFFERENCE[] = "device: NVML, difference of the card's memory in use, because "
                                    "it does not list this process (in a container it lists other "
                                    "numbers): other programs' changes get into it";

struct reading {
    int64_t own;  /* of the worker and its descendants; -1: the list is unknown */
    int64_t used; /* of the card; -1 unknown */
};

struct device_memory {
    struct nvml *nvml;
    struct nvml_device *device;
    pid_t worker;
    int64_t baseline; /* used, before the worker was there */
    pthread_t thread;
    bool watching;
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t wake;
    bool stop;
    bool listed; /* NVML has shown the worker or a descendant once */
    struct reading moment[DEVICE_MEMORY_MOMENTS];
    struct reading peak; /* of each member by itself */
};

static int64_t used_bytes(const struct device_memory *memory)
{
    struct nvml_value used = nvml_used_bytes(memory->nvml, memory->device);
    return used.known ? (int64_t)used.value : -1;
}

static bool contains(const pid_t *list, size_t count, pid_t pid)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == pid)
            return true;
    return false;
}

/* Sums what the worker's processes hold. */
static int64_t own_bytes(struct device_memory *memory)
{
    pid_t tree[DESCENDANTS_MAX];
    struct nvml_processes processes;
    int64_t sum = 0;
    nvml_processes_read(memory->nvml, memory->device, &processes);
    if (processes.why)
        return -1;
    size_t count = descendants_list(memory->worker, tree, DESCENDANTS_MAX);
    for (size_t i = 0; i < processes.count; i++) {
        if (!contains(tree, count, processes.list[i].pid))
            continue;
        if (processes.list[i].bytes < 0)
            return -1;
        memory->listed = true;
        sum += processes.list[i].bytes;
    }
    return sum;
}

/* With the lock held. */
static struct reading reading_take(struct device_memory *memory)
{
    struct reading now = {.own = own_bytes(memory), .used = used_bytes(memory)};
    if (now.own > memory->peak.own)
        memory->peak.own = now.own;
    if (now.used > memory->peak.used)
        memory->peak.used = now.used;
    return now;
}

static void *watch_main(void *argument)
{
    struct device_memory *memory = argument;
    pthread_mutex_lock(&memory->lock);
    for (reading_take(memory); !memory->stop; reading_take(memory)) {
        struct timespec next;
        clock_gettime(CLOCK_MONOTONIC, &next);
        next.tv_nsec += INTERVAL_MS * 1000000L;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&memory->wake, &memory->lock, &next);
    }
    pthread_mutex_unlock(&memory->lock);
    return NULL;
}

enum status device_memory_open(struct device_memory **opened, const char *pci, struct error *err)
{
    pthread_condattr_t clock;
    struct device_memory *memory = calloc(1, sizeof *memory);
    *opened = NULL;
    if (!memory)
        return error_no_memory(err, sizeof *memory);
    enum status status = nvml_open_card(&memory->nvml, pci, &memory->device, err);
    if (status) {
        free(memory);
        return status;
    }
    memory->baseline = used_bytes(memory);
    memory->peak = (struct reading){-1, -1};
    for (size_t i = 0; i < DEVICE_MEMORY_MOMENTS; i++)
        memory->moment[i] = (struct reading){-1, -1};
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&memory->wake, &clock);
    pthread_condattr_destroy(&clock);
    pthread_mutex_init(&memory->lock, NULL);
    *opened = memory;
    return STATUS_OK;
}

enum status device_memory_watch(struct device_memory *memory, pid_t worker, struct error *err)
{
    memory->worker = worker;
    memory->stop = false;
    errno = pthread_create(&memory->thread, NULL, watch_main, memory);
    memory->watching = errno == 0;
    return memory->watching ? STATUS_OK : error_errno(err, "start a thread");
}

void device_memory_pause(struct device_memory *memory)
{
    if (!memory->watching)
        return;
    pthread_mutex_lock(&memory->lock);
    memory->stop = true;
    pthread_cond_signal(&memory->wake);
    pthread_mutex_unlock(&memory->lock);
    pthread_join(memory->thread, NULL);
    memory->watching = false;
}

void device_memory_note(struct device_memory *memory, enum device_memory_moment moment)
{
    pthread_mutex_lock(&memory->lock);
    memory->moment[moment] = reading_take(memory);
    pthread_mutex_unlock(&memory->lock);
}

static int64_t above(int64_t used, int64_t baseline)
{
    if (used < 0 || baseline < 0)
        return -1;
    return used > baseline ? used - baseline : 0;
}

void device_memory_end(struct device_memory *memory, struct device_memory_result *result)
{
    const struct reading *before = &memory->moment[DEVICE_MEMORY_BEFORE],
                         *loaded = &memory->moment[DEVICE_MEMORY_LOADED];
    device_memory_pause(memory);
    reading_take(memory);
    if (memory->listed)
        *result =
            (struct device_memory_result){before->own, loaded->own, memory->peak.own, BY_PROCESS};
    else
        *result = (struct device_memory_result){
            above(before->used, memory->baseline), above(loaded->used, memory->baseline),
            above(memory->peak.used, memory->baseline), BY_DIFFERENCE};
}

void device_memory_close(struct device_memory *memory)
{
    if (!memory)
        return;
    device_memory_pause(memory);
    pthread_cond_destroy(&memory->wake);
    pthread_mutex_destroy(&memory->lock);
    nvml_close(memory->nvml);
    free(memory);
}
