#include "bench/limits.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "machine/bandwidth.h"
#include "machine/gpu.h"

enum { PROBE_MS = 300 };

enum status limits_init(struct limits *limits, const struct plan *plan, struct arena *arena,
                        struct error *err)
{
    *limits = (struct limits){0};
    for (size_t i = 0; i < plan->variant_count; i++)
        if (plan_on_cards(plan, i) && plan->variants[i].form.shard > limits->card_count)
            limits->card_count = plan->variants[i].form.shard;
    limits->cards = arena_array(arena, (size_t)limits->card_count + 1, sizeof *limits->cards);
    return limits->cards ? STATUS_OK : error_no_memory(err, limits->card_count);
}

static double gpu_rate(const char *device)
{
    struct bandwidth read;
    struct error ignored;
    return gpu_bandwidth(device, PROBE_MS, &read, &ignored) ? 0 : read.bytes_per_second;
}

static double cpu_rate(uint32_t threads)
{
    struct bandwidth read;
    struct error ignored;
    return bandwidth_probe(&read, threads, PROBE_MS, &ignored) ? 0 : read.bytes_per_second;
}

void limits_read(struct limits *limits, const struct plan *plan)
{
    for (uint32_t card = 0; card < limits->card_count; card++) {
        char device[24];
        snprintf(device, sizeof device, "cuda:%u", card);
        limits->cards[card] = gpu_rate(device);
    }
    if (!*plan->gpu.name)
        limits->device = cpu_rate(plan->threads);
    else if (limits->card_count > 0 && strcmp(plan->device, "cuda") == 0)
        limits->device = limits->cards[0];
    else
        limits->device = gpu_rate(plan->device);
}

double limits_of(const struct limits *limits, const struct plan *plan, size_t variant)
{
    uint32_t shard = plan->variants[variant].form.shard;
    double slowest = INFINITY;
    if (!plan_on_cards(plan, variant))
        return limits->device;
    for (uint32_t card = 0; card < shard; card++)
        slowest = fmin(slowest, limits->cards[card]);
    return shard * slowest;
}
