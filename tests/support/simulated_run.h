/* Runs of engines whose true speeds are known, on machines that misbehave in known ways: a record
 * as `prony bench` would have stored it, for tests of what is concluded from it. */
#ifndef PRONY_TESTS_SIMULATED_RUN_H
#define PRONY_TESTS_SIMULATED_RUN_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "bench/schedule.h"
#include "store/record.h"

enum { SIM_VARIANTS = 4, SIM_BLOCKS = 10, SIM_WARMUP = 8, SIM_TOKENS = 1 + SIM_WARMUP + 20 };

/* How a machine disturbs what it runs. Deviations are of logarithms: 0.01 is about 1 %. */
struct sim_machine {
    const char *name;
    double process_sd;  /* from process to process: where its memory came to lie, and the like */
    double step_sd;     /* from token to token */
    double drift_sd;    /* of the machine over the run, as AR(1) from process to process */
    double drift_keeps; /* its coefficient */
    double spike_share; /* of tokens that take 3 to 10 times as long */
    double slow_share;  /* of the time that the clock runs slow */
    double slow_log;    /* by how much */
    double tail_log;    /* first token's excess, at most; falls by a fifth with each token */
};

struct sim_run {
    struct record_run run;
    struct record_variant variants[SIM_VARIANTS];
    struct record_process processes[SIM_VARIANTS * SIM_BLOCKS];
    int64_t stamps[SIM_VARIANTS * SIM_BLOCKS][SIM_TOKENS];
    int32_t ids[SIM_TOKENS];
};

/* splitmix64 (Steele, Lea, Flood 2014): the same numbers on every machine. */
static inline double sim_uniform(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

/* Box and Muller. */
static inline double sim_normal(uint64_t *state)
{
    double radius = sqrt(-2 * log(sim_uniform(state)));
    return radius * cos(6.283185307179586 * sim_uniform(state));
}

/* A process's stamps: its true step, times what the machine did to it at that moment. */
static inline void sim_stamps(int64_t *stamps_ns, const struct sim_machine *machine, double step_ns,
                              double drift, uint64_t *state)
{
    double level = log(step_ns) + drift + machine->process_sd * sim_normal(state);
    double tail = machine->tail_log * sim_uniform(state);
    /* The clock switches about once in ten tokens, so a process can see one mode or both. */
    int slow = sim_uniform(state) < machine->slow_share;
    double now = 1e9;
    for (size_t i = 0; i < SIM_TOKENS; i++) {
        if (sim_uniform(state) < 0.1)
            slow = sim_uniform(state) < machine->slow_share;
        double step = exp(level + machine->step_sd * sim_normal(state) + tail +
                          (slow ? machine->slow_log : 0));
        if (sim_uniform(state) < machine->spike_share)
            step *= 3 + 7 * sim_uniform(state);
        tail *= 0.8;
        now += step;
        stamps_ns[i] = (int64_t)now;
    }
}

/* Every variant v takes steps_ns[v] for a token, but for the machine. Blocks in Williams order, as
 * bench/run.h has them. The record lives in *sim. */
static inline void sim_run_make(struct sim_run *sim, const struct sim_machine *machine,
                                const double *steps_ns, size_t variants, uint32_t blocks,
                                uint64_t *state)
{
    static const char *const names[SIM_VARIANTS] = {"a", "b", "c", "d"};
    double keeps = machine->drift_keeps, drift = machine->drift_sd * sim_normal(state);
    sim->run = (struct record_run){.id = 1,
                                   .created = "2026-01-31T12:00:00Z",
                                   .state = "complete",
                                   .plan = "{}",
                                   .manifest = "{}",
                                   .variants = sim->variants,
                                   .variant_count = variants,
                                   .processes = sim->processes,
                                   .process_count = variants * blocks};
    for (size_t i = 0; i < variants; i++)
        sim->variants[i] = (struct record_variant){.name = names[i],
                                                   .title = names[i],
                                                   .engine = names[i],
                                                   .precision = "mixed",
                                                   .about = ""};
    size_t at = 0;
    for (uint32_t block = 0; block < blocks; block++) {
        uint32_t order[SIM_VARIANTS];
        schedule_order(variants, block, order);
        for (uint32_t place = 0; place < variants; place++, at++) {
            sim->processes[at] = (struct record_process){.block = block,
                                                         .position = place,
                                                         .variant = order[place],
                                                         .stamps_ns = sim->stamps[at],
                                                         .ids = sim->ids,
                                                         .token_count = SIM_TOKENS,
                                                         .warmup_steps = SIM_WARMUP,
                                                         .memory_before = -1,
                                                         .memory_loaded = -1,
                                                         .memory_peak = -1,
                                                         .device_before = -1,
                                                         .device_loaded = -1,
                                                         .device_peak = -1,
                                                         .memory_method = ""};
            sim_stamps(sim->stamps[at], machine, steps_ns[order[place]], drift, state);
            drift = keeps * drift + machine->drift_sd * sqrt(1 - keeps * keeps) * sim_normal(state);
        }
    }
}

#endif
