#include "bench/readings.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "machine/nvml.h"

const char *const reading_names[READING_COUNT] = {
    [READING_FOREIGN_CORES] = "foreign_cores",
    [READING_FOREIGN_SECONDS] = "foreign_s",
    [READING_STEAL_SHARE] = "steal_share",
    [READING_THROTTLED_SHARE] = "throttled_share",
    [READING_SWAPPED_BYTES] = "swapped_bytes",
    [READING_THERMAL_EVENTS] = "thermal_events",
    [READING_CLOCK_HZ] = "clock_hz",
    [READING_ENERGY_J] = "energy_j",
    [READING_ENERGY_SECONDS] = "energy_s",
    [READING_ENERGY_STEP] = "energy_step_s",
    [READING_IDLE_W] = "idle_w",
    [READING_PAGES_RESIDENT] = "pages_resident",
    [READING_GPU_FOREIGN] = "gpu_foreign",
    [READING_GPU_THROTTLE] = "gpu_throttle",
    [READING_GPU_THERMAL_SHARE] = "gpu_thermal_share",
    [READING_GPU_POWER_SHARE] = "gpu_power_share",
    [READING_GPU_CLOCK_HZ] = "gpu_clock_hz",
    [READING_EXCHANGED_BYTES] = "exchanged_bytes",
    [READING_EXCHANGED_SECONDS] = "exchanged_s",
};

/* docs/method.md gives the reasons. */
static const double foreign_cores_limit = 0.1, foreign_seconds_limit = 0.1, steal_limit = 0.1,
                    throttled_limit = 0.02, gpu_thermal_limit = 0.02, swapped_limit_bytes = 4 << 20,
                    clock_limit = 0.9;

void reading_add(struct record_process *process, enum reading reading, double value,
                 struct arena *arena)
{
    if (!process->readings)
        process->readings = arena_array(arena, READING_COUNT, sizeof *process->readings);
    if (process->readings && process->reading_count < READING_COUNT && isfinite(value))
        process->readings[process->reading_count++] =
            (struct record_reading){reading_names[reading], value};
}

void readings_add_watch(struct record_process *process, const struct watch_report *report,
                        struct arena *arena)
{
    reading_add(process, READING_FOREIGN_CORES, report->foreign_cores, arena);
    reading_add(process, READING_FOREIGN_SECONDS, report->foreign_seconds, arena);
    reading_add(process, READING_STEAL_SHARE, report->steal_share, arena);
    reading_add(process, READING_THROTTLED_SHARE, report->throttled_share, arena);
    reading_add(process, READING_SWAPPED_BYTES, report->swapped_bytes, arena);
    reading_add(process, READING_THERMAL_EVENTS, report->thermal_events, arena);
    reading_add(process, READING_CLOCK_HZ, report->clock_hz, arena);
}

void readings_add_gpu(struct record_process *process, const struct gpu_watch_report *report,
                      struct arena *arena)
{
    reading_add(process, READING_GPU_FOREIGN, report->foreign, arena);
    reading_add(process, READING_GPU_THROTTLE, report->throttle, arena);
    reading_add(process, READING_GPU_THERMAL_SHARE, report->thermal_share, arena);
    reading_add(process, READING_GPU_POWER_SHARE, report->power_share, arena);
    reading_add(process, READING_GPU_CLOCK_HZ, report->clock_hz, arena);
}

double reading_of(const struct record_process *process, enum reading reading)
{
    for (size_t i = 0; i < process->reading_count; i++)
        if (strcmp(process->readings[i].name, reading_names[reading]) == 0)
            return process->readings[i].value;
    return NAN;
}

void clocks_note(struct clocks *fastest, const struct record_process *process)
{
    fastest->cpu_hz = fmax(fastest->cpu_hz, reading_of(process, READING_CLOCK_HZ));
    fastest->gpu_hz = fmax(fastest->gpu_hz, reading_of(process, READING_GPU_CLOCK_HZ));
}

/* Comparisons with NaN are false: what is not known disturbs nobody. Both return NULL when there is
 * no memory, and for a text that is NULL. */
static const char *cpu_disturbances(const char *text, const struct record_process *process,
                                    double fastest_hz, struct arena *arena)
{
    const double foreign = reading_of(process, READING_FOREIGN_CORES);
    const double steal = reading_of(process, READING_STEAL_SHARE);
    const double throttled = reading_of(process, READING_THROTTLED_SHARE);
    const double swapped = reading_of(process, READING_SWAPPED_BYTES);
    const double clock_hz = reading_of(process, READING_CLOCK_HZ);
    if (foreign > foreign_cores_limit &&
        reading_of(process, READING_FOREIGN_SECONDS) > foreign_seconds_limit)
        text = arena_printf(arena, "%s, other programs used %.2f cores", text, foreign);
    if (text && steal > steal_limit)
        text = arena_printf(arena, "%s, the hypervisor took %.0f %% of the processors' time", text,
                            steal * 100);
    if (text && throttled > throttled_limit)
        text = arena_printf(arena, "%s, the control group was held back for %.0f %% of the time",
                            text, throttled * 100);
    if (text && swapped > swapped_limit_bytes)
        text = arena_printf(arena, "%s, %.0f MB were swapped", text, swapped * 1e-6);
    if (text && reading_of(process, READING_THERMAL_EVENTS) > 0)
        text = arena_printf(arena, "%s, a processor slowed down for its heat", text);
    if (text && clock_hz < clock_limit * fastest_hz)
        text = arena_printf(arena, "%s, the clock was %.2f GHz after %.2f", text, clock_hz * 1e-9,
                            fastest_hz * 1e-9);
    return text;
}

/* The power limit is the card's ordinary life under load: it shows in the clock where it matters.
 */
static const char *gpu_disturbances(const char *text, const struct record_process *process,
                                    double fastest_hz, struct arena *arena)
{
    const double foreign = reading_of(process, READING_GPU_FOREIGN);
    const double throttle = reading_of(process, READING_GPU_THROTTLE);
    const double thermal = reading_of(process, READING_GPU_THERMAL_SHARE);
    const double clock_hz = reading_of(process, READING_GPU_CLOCK_HZ);
    const uint64_t outside = NVML_THROTTLE_ANY & ~(uint64_t)NVML_THROTTLE_POWER_CAP;
    uint64_t slowed = throttle > 0 ? (uint64_t)throttle & outside : 0;
    char words[96];
    if (text && foreign > 0)
        text = arena_printf(arena, "%s, %.0f other program%s on the GPU", text, foreign,
                            foreign == 1 ? " was" : "s were");
    nvml_throttle_text(slowed, words, sizeof words);
    if (text && slowed)
        text = arena_printf(arena, "%s, the GPU slowed down (%s)", text, words);
    if (text && thermal > gpu_thermal_limit)
        text = arena_printf(arena, "%s, the GPU was held back for its heat for %.0f %% of the time",
                            text, thermal * 100);
    if (text && clock_hz < clock_limit * fastest_hz)
        text = arena_printf(arena, "%s, the GPU's clock was %.2f GHz after %.2f", text,
                            clock_hz * 1e-9, fastest_hz * 1e-9);
    return text;
}

const char *disturbance_of(const struct record_process *process, const struct clocks *fastest,
                           struct arena *arena)
{
    const char *text = cpu_disturbances("", process, fastest->cpu_hz, arena);
    text = gpu_disturbances(text, process, fastest->gpu_hz, arena);
    return text && *text ? text + strlen(", ") : NULL;
}
