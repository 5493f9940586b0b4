/* Records made by hand, whose summaries are known, and what tests ask of those. */
#ifndef PRONY_TESTS_SUMMARY_FIXTURE_H
#define PRONY_TESTS_SUMMARY_FIXTURE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/summary.h"

enum { TOKENS = 25, WARMUP = 4, MS = 1000000 };

struct fixture {
    struct record_run run;
    struct record_variant variants[4];
    struct record_process processes[64];
    int64_t stamps[64][TOKENS];
    int32_t ids[TOKENS];
};

static inline struct fixture *fixture_new(size_t variants)
{
    static const struct record_variant kinds[4] = {
        {.name = "e-f32", .title = "E-F32", .engine = "e", .precision = "float32", .about = ""},
        {.name = "e-f16", .title = "E-F16", .engine = "e", .precision = "float16", .about = ""},
        {.name = "other", .title = "Other", .engine = "o", .precision = "mixed", .about = ""},
        {.name = "gone",
         .title = "Gone",
         .engine = "g",
         .precision = "mixed",
         .about = "",
         .unavailable = "not installed"}};
    struct fixture *fixture = calloc(1, sizeof *fixture);
    memcpy(fixture->variants, kinds, sizeof kinds);
    fixture->run = (struct record_run){.id = 1,
                                       .created = "2026-01-31T12:00:00Z",
                                       .state = "complete",
                                       .plan = "{\"blocks\": 6, \"iterations\": 20,"
                                               " \"prompt_tokens\": 64}",
                                       .manifest = "{}",
                                       .variants = fixture->variants,
                                       .variant_count = variants,
                                       .processes = fixture->processes};
    return fixture;
}

/* A process whose every step takes step_ns, and whose other times are multiples of it. */
static inline struct record_process *add(struct fixture *fixture, uint32_t block, uint32_t variant,
                                         int64_t step_ns)
{
    size_t at = fixture->run.process_count++;
    int64_t now = (int64_t)(at + 1) * 1000000000000;
    struct record_process *process = &fixture->processes[at];
    *process = (struct record_process){
        .block = block,
        .variant = variant,
        .spawned_ns = now,
        .hello_ns = now + step_ns,
        .load_asked_ns = now + 2 * step_ns,
        .load_ready_ns = now + 12 * step_ns,
        .weight_bytes = 1000000,
        .kv_token_bytes = 100,
        .threads = 2,
        .precision = fixture->variants[variant].precision,
        .cold_asked_ns = now + 15 * step_ns,
        .cold_prompt_ns = now + 16 * step_ns,
        .cold_first_ns = now + 24 * step_ns,
        .prompt_tokens = 64,
        .prompt_ns = now + 100 * step_ns,
        .stamps_ns = fixture->stamps[at],
        .ids = fixture->ids,
        .token_count = TOKENS,
        .warmup_steps = WARMUP,
        .memory_before = 5000000,
        .memory_loaded = 6000000,
        .memory_peak = 7000000,
        .device_before = -1,
        .device_loaded = -1,
        .device_peak = -1,
        .memory_method = "",
        .bandwidth = 1e9,
    };
    for (int64_t i = 0; i < TOKENS; i++)
        fixture->stamps[at][i] = process->prompt_ns + (4 + i) * step_ns;
    return process;
}

static inline void close_to(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-6 * fabs(expected)))
        fail_msg("%.12g is not %.12g", value, expected);
}

static inline const struct comparison *find(const struct summary *summary, size_t a, size_t b,
                                            enum metric metric)
{
    for (size_t i = 0; i < summary->comparison_count; i++) {
        const struct comparison *comparison = &summary->comparisons[i];
        if (comparison->a == a && comparison->b == b && comparison->metric == metric)
            return comparison;
    }
    return NULL;
}

static inline bool has_note(const struct summary *summary, const char *part)
{
    for (size_t i = 0; i < summary->note_count; i++)
        if (strstr(summary->notes[i], part))
            return true;
    return false;
}

#endif
