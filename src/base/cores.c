#include "base/cores.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>

/* The lowest processor on the same core; cpu itself when the system does not say. */
static unsigned first_sibling(unsigned cpu)
{
    char path[96];
    unsigned first = cpu;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
    FILE *stream = fopen(path, "re");
    if (!stream)
        return cpu;
    if (fscanf(stream, "%u", &first) != 1)
        first = cpu;
    fclose(stream);
    return first;
}

void cores_read(struct cores *cores)
{
    cpu_set_t allowed;
    bool seen[CORES_MAX] = {false};
    uint16_t siblings[CORES_MAX];
    uint32_t sibling_count = 0;

    *cores = (struct cores){0};
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        CPU_ZERO(&allowed);
    for (unsigned cpu = 0; cpu < CORES_MAX && cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed))
            continue;
        unsigned core = first_sibling(cpu);
        if (core < CORES_MAX && seen[core]) {
            siblings[sibling_count++] = (uint16_t)cpu;
            continue;
        }
        if (core < CORES_MAX)
            seen[core] = true;
        cores->cpu[cores->count++] = (uint16_t)cpu;
    }
    if (cores->count == 0)
        cores->cpu[cores->count++] = 0;
    cores->cpu_count = cores->count;
    for (uint32_t i = 0; i < sibling_count; i++)
        cores->cpu[cores->cpu_count++] = siblings[i];
}

int cores_pin(const struct cores *cores, uint32_t index)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cores->cpu[index % cores->cpu_count], &set);
    return sched_setaffinity(0, sizeof set, &set);
}
