#include "machine/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/cores.h"
#include "machine/text.h"

static void features_read(struct cpu *cpu)
{
    static const char *const wanted[] = {"sse4_2",      "avx",      "avx2",     "fma",
                                         "f16c",        "avx512f",  "avx512bw", "avx512_vnni",
                                         "avx512_bf16", "amx_bf16", "asimd",    "asimdhp",
                                         "asimddp",     "bf16",     "sve",      "sve2"};
    char flags[8192], word[32];
    if (!text_field("/proc/cpuinfo", "flags", flags, sizeof flags) &&
        !text_field("/proc/cpuinfo", "Features", flags, sizeof flags))
        return;
    size_t used = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        size_t length = strlen(wanted[i]);
        snprintf(word, sizeof word, "%s", wanted[i]);
        for (const char *at = strstr(flags, word); at; at = strstr(at + length, word)) {
            bool starts = at == flags || at[-1] == ' ';
            if (!starts || (at[length] != ' ' && at[length] != '\0'))
                continue;
            if (used + length + 2 < sizeof cpu->features)
                used += (size_t)sprintf(cpu->features + used, "%s%s", used ? " " : "", wanted[i]);
            break;
        }
    }
}

static void hypervisor_read(struct cpu *cpu)
{
    char flags[8192], vendor[48] = "";
    bool flagged =
        text_field("/proc/cpuinfo", "flags", flags, sizeof flags) && strstr(flags, " hypervisor");
    text_line("/sys/hypervisor/type", vendor, sizeof vendor);
    if (!*vendor)
        text_line("/sys/class/dmi/id/sys_vendor", vendor, sizeof vendor);
    if (flagged)
        snprintf(cpu->hypervisor, sizeof cpu->hypervisor, "%s", *vendor ? vendor : "yes");
}

uint64_t cpu_cache_bytes(unsigned level)
{
    for (unsigned index = 0;; index++) {
        char path[96], text[32];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%u/level", index);
        if (!text_line(path, text, sizeof text))
            return 0;
        if (strtoul(text, NULL, 10) != level)
            continue;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%u/type", index);
        if (!text_line(path, text, sizeof text) || strcmp(text, "Instruction") == 0)
            continue;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%u/size", index);
        return text_line(path, text, sizeof text) ? strtoull(text, NULL, 10) * 1024 : 0;
    }
}

void cpu_read(struct cpu *cpu)
{
    struct cores *cores = malloc(sizeof *cores);
    struct utsname system;
    *cpu = (struct cpu){.cores_allowed = 1, .cpus_allowed = 1};
    if (cores) {
        cores_read(cores);
        cpu->cores_allowed = cores->count;
        cpu->cpus_allowed = cores->cpu_count;
        cpu->nodes = nodes_read(text_sysfs(), cores);
        free(cores);
    }
    if (uname(&system) == 0)
        snprintf(cpu->architecture, sizeof cpu->architecture, "%.31s", system.machine);
    if (!text_field("/proc/cpuinfo", "model name", cpu->model, sizeof cpu->model))
        text_field("/proc/cpuinfo", "CPU part", cpu->model, sizeof cpu->model);
    text_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", cpu->governor,
              sizeof cpu->governor);
    features_read(cpu);
    hypervisor_read(cpu);
    cpu->l1d_bytes = cpu_cache_bytes(1);
    cpu->l2_bytes = cpu_cache_bytes(2);
    cpu->l3_bytes = cpu_cache_bytes(3);
}
