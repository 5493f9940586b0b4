#include "machine/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "machine/cpu.h"
#include "machine/memory.h"
#include "machine/text.h"

static json_t *cpu_describe(void)
{
    struct cpu cpu;
    cpu_read(&cpu);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "model",
                     cpu.model, "architecture", cpu.architecture, "features", cpu.features,
                     "governor", cpu.governor, "hypervisor", cpu.hypervisor, "cores_allowed",
                     (json_int_t)cpu.cores_allowed, "cpus_allowed", (json_int_t)cpu.cpus_allowed,
                     "memory_nodes", (json_int_t)cpu.nodes.count, "memory_nodes_used",
                     (json_int_t)cpu.nodes.used, "l1d_bytes", (json_int_t)cpu.l1d_bytes, "l2_bytes",
                     (json_int_t)cpu.l2_bytes, "l3_bytes", (json_int_t)cpu.l3_bytes);
}

static json_t *memory_describe(void)
{
    char pages[64];
    text_line("/sys/kernel/mm/transparent_hugepage/enabled", pages, sizeof pages);
    return json_pack("{s:I, s:I, s:I, s:s}", "total_bytes", (json_int_t)memory_total_bytes(),
                     "available_bytes", (json_int_t)memory_free_bytes(), "swap_bytes",
                     (json_int_t)memory_swap_bytes(), "transparent_huge_pages", pages);
}

static json_t *system_describe(void)
{
    struct utsname system = {0};
    char name[128];
    uname(&system);
    if (!text_field("/etc/os-release", "PRETTY_NAME", name, sizeof name))
        snprintf(name, sizeof name, "%s", system.sysname);
    return json_pack("{s:s, s:s, s:s}", "name", name, "kernel", system.release, "host",
                     system.nodename);
}

/* What a container or a control group takes away. */
static json_t *limits_describe(void)
{
    char cpu[64], memory[64];
    text_line("/sys/fs/cgroup/cpu.max", cpu, sizeof cpu);
    text_line("/sys/fs/cgroup/memory.max", memory, sizeof memory);
    int container = access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0 ||
                    getenv("container") != NULL;
    return json_pack("{s:b, s:s, s:s}", "container", container, "cgroup_cpu_max", cpu,
                     "cgroup_memory_max", memory);
}

json_t *machine_describe(void)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:f}", "cpu", cpu_describe(), "memory",
                     memory_describe(), "system", system_describe(), "limits", limits_describe(),
                     "gpus", machine_describe_gpus(), "load_average", machine_load_average());
}

double machine_load_average(void)
{
    double average;
    return getloadavg(&average, 1) == 1 ? average : 0;
}
