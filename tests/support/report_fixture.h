/* Summaries made by hand for the tests of reports: variants of known speed, with intervals and
 * verdicts that follow from it. */
#ifndef PRONY_TESTS_REPORT_FIXTURE_H
#define PRONY_TESTS_REPORT_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "bench/summary.h"

enum { FIXTURE_VARIANTS = 9, FIXTURE_TOKENS = 5, FIXTURE_POINTS = 6 };

struct fixture {
    struct record_variant variants[FIXTURE_VARIANTS];
    struct record_process processes[FIXTURE_VARIANTS];
    int64_t stamps[FIXTURE_VARIANTS][FIXTURE_TOKENS];
    int32_t ids[FIXTURE_VARIANTS][FIXTURE_TOKENS];
    struct record_phase phases[FIXTURE_VARIANTS];
    struct summary_variant rows[FIXTURE_VARIANTS];
    struct comparison comparisons[512];
    struct record_reading readings[2];
    const char *notes[4];
    struct record_equivalence equivalence[FIXTURE_VARIANTS];
    struct summary_point points[FIXTURE_POINTS];
    struct estimate at[FIXTURE_POINTS][FIXTURE_VARIANTS][METRIC_COUNT];
    struct record_run run;
    struct summary summary;
};

/* Seconds, bytes, rates and fractions of a variant of speed 1. */
static const double fixture_values[METRIC_COUNT] = {
    [METRIC_MODEL_LOAD] = 0.1834,  [METRIC_PROCESS_START] = 0.0121,
    [METRIC_COLD_START] = 0.05089, [METRIC_START_TO_FIRST_TOKEN] = 0.2464,
    [METRIC_TTFT] = 0.03311,       [METRIC_PREFILL_RATE] = 1933,
    [METRIC_TPOT] = 0.02443,       [METRIC_TPOT_MIN] = 0.02301,
    [METRIC_TPOT_MAX] = 0.04120,   [METRIC_TPOT_MEDIAN] = 0.02440,
    [METRIC_TPOT_P90] = 0.02567,   [METRIC_TPOT_P99] = 0.03104,
    [METRIC_THROUGHPUT] = 40.93,   [METRIC_PEAK_THROUGHPUT] = 42.17,
    [METRIC_TOTAL_TIME] = 0.4972,  [METRIC_WARMUP_IMPROVEMENT] = 1.54,
    [METRIC_WEIGHTS] = 538e6,      [METRIC_MODEL_MEMORY] = 541e6,
    [METRIC_PEAK_MEMORY] = 612e6,  [METRIC_MEMORY_OVERHEAD] = 74e6,
    [METRIC_PRECISION_IMPACT] = 1, [METRIC_BANDWIDTH] = 26.1e9,
    [METRIC_LIMIT_SHARE] = 0.843,
};

/* A variant that is `factor` times as fast and as small as one of speed 1. */
static inline void fixture_row(struct summary_variant *row, double factor, size_t blocks)
{
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        int better = metric_infos[metric].better;
        double value = fixture_values[metric];
        bool pooled = metric == METRIC_TPOT_MIN || metric == METRIC_TPOT_MAX ||
                      metric == METRIC_TPOT_P90 || metric == METRIC_PEAK_THROUGHPUT;
        if (metric != METRIC_LIMIT_SHARE)
            value *= better > 0 ? factor : better < 0 ? 1 / factor : 1;
        double half = blocks > 1 && !pooled ? value * 0.021 : 0;
        if (value > 0)
            row->metrics[metric] = (struct estimate){.known = true,
                                                     .value = value,
                                                     .low = value - half,
                                                     .high = value + half,
                                                     .blocks = blocks};
    }
    row->metrics[METRIC_TPOT_P99] = (struct estimate){.why = "needs 662 tokens, has 120"};
}

static inline void fixture_compare(struct fixture *fixture, size_t blocks)
{
    static const enum metric compared[] = {METRIC_TPOT,
                                           METRIC_TTFT,
                                           METRIC_COLD_START,
                                           METRIC_MODEL_LOAD,
                                           METRIC_START_TO_FIRST_TOKEN,
                                           METRIC_PEAK_MEMORY};
    struct summary *summary = &fixture->summary;
    for (size_t m = 0; m < sizeof compared / sizeof compared[0]; m++)
        for (size_t a = 0; a < summary->variant_count; a++)
            for (size_t b = a + 1; b < summary->variant_count; b++) {
                const struct estimate *own = &fixture->rows[a].metrics[compared[m]];
                const struct estimate *other = &fixture->rows[b].metrics[compared[m]];
                if (!own->known || !other->known)
                    continue;
                double ratio = other->value / own->value, half = blocks > 1 ? 0.015 : 0;
                fixture->comparisons[summary->comparison_count++] = (struct comparison){
                    .a = a,
                    .b = b,
                    .metric = compared[m],
                    .more_blocks = blocks >= 6 && !(ratio > 0.995 && ratio < 1.005) &&
                                           ratio > 0.97 && ratio < 1.03
                                       ? 9
                                       : 0,
                    .ratio = {true, ratio, ratio * (1 - half), ratio * (1 + half), blocks, NULL,
                              NULL},
                    .verdict = blocks < 6                       ? VERDICT_NONE
                               : ratio > 0.995 && ratio < 1.005 ? VERDICT_SAME
                               : ratio > 0.97 && ratio < 1.03   ? VERDICT_UNDECIDED
                               : ratio > 1                      ? VERDICT_FASTER
                                                                : VERDICT_SLOWER,
                };
            }
}

/* A process of 5 tokens, 25 ms apart, the second of which ends the warm-up. */
static inline void fixture_process(struct fixture *fixture, size_t index)
{
    const int64_t ms = 1000000;
    for (int i = 0; i < FIXTURE_TOKENS; i++) {
        fixture->stamps[index][i] = (533 + 25 * i) * ms;
        fixture->ids[index][i] = 100 + i;
    }
    fixture->phases[index] = (struct record_phase){"read", 115 * ms, 250 * ms};
    fixture->processes[index] = (struct record_process){
        .variant = (uint32_t)index,
        .position = (uint32_t)index,
        .spawned_ns = 100 * ms,
        .hello_ns = 112 * ms,
        .load_asked_ns = 113 * ms,
        .load_ready_ns = 296 * ms,
        .phases = &fixture->phases[index],
        .phase_count = 1,
        .weight_bytes = 538000000,
        .kv_token_bytes = 23040,
        .threads = 2,
        .precision = "float16",
        .cold_asked_ns = 299 * ms,
        .cold_prompt_ns = 300 * ms,
        .cold_first_ns = 350 * ms,
        .prompt_tokens = 64,
        .prompt_ns = 500 * ms,
        .stamps_ns = fixture->stamps[index],
        .ids = fixture->ids[index],
        .token_count = FIXTURE_TOKENS,
        .warmup_steps = 1,
        .memory_before = 8000000,
        .memory_loaded = 549000000,
        .memory_peak = 612000000,
        .device_before = -1,
        .device_loaded = -1,
        .device_peak = -1,
        .memory_method = "PSS",
        .bandwidth = 26.1e9,
        .load_average = 0.2,
        .readings = fixture->readings,
        .reading_count = 2,
    };
}

struct fixture_variant {
    const char *name, *engine, *precision;
    double factor; /* 0: it failed in every process */
};

/* Run 7: the variants, each in as many blocks. */
static inline void fixture_make(struct fixture *fixture, const struct fixture_variant *variants,
                                size_t count, size_t blocks)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->readings[0] = (struct record_reading){"foreign_cores", 0.03125};
    fixture->readings[1] = (struct record_reading){"steal_share", 0};
    fixture->run =
        (struct record_run){.id = 7,
                            .created = "2026-11-23T05:00:00Z",
                            .state = "complete",
                            .plan = "{\"iterations\": 20}",
                            .manifest = "{\"model\": {\"path\": \"/models/SmolLM2-135M-F16.gguf\", "
                                        "\"parameters\": 134515008}}",
                            .variants = fixture->variants,
                            .variant_count = count,
                            .processes = fixture->processes,
                            .process_count = count};
    fixture->summary = (struct summary){.run = &fixture->run,
                                        .variants = fixture->rows,
                                        .variant_count = count,
                                        .blocks = blocks,
                                        .blocks_planned = blocks,
                                        .iterations = 20,
                                        .prompt_tokens = 64,
                                        .notes = fixture->notes,
                                        .comparisons = fixture->comparisons};
    for (size_t i = 0; i < count; i++) {
        fixture->variants[i] = (struct record_variant){.name = variants[i].name,
                                                       .title = variants[i].name,
                                                       .engine = variants[i].engine,
                                                       .precision = variants[i].precision,
                                                       .about = "what it turns on",
                                                       .engine_version = "1.0",
                                                       .stands_on = "",
                                                       .detail = ""};
        fixture->rows[i] = (struct summary_variant){.variant = &fixture->variants[i],
                                                    .processes = blocks,
                                                    .precision = variants[i].precision,
                                                    .threads = 2,
                                                    .shard = 1};
        fixture_process(fixture, i);
        if (variants[i].factor > 0) {
            fixture_row(&fixture->rows[i], variants[i].factor, blocks);
            continue;
        }
        const char *why = "the worker was ended by signal 9 (Killed) while it loaded the model";
        const char *log = "reading the weights\nallocating 538 MB\nout of memory\n";
        fixture->rows[i].failures = blocks;
        fixture->rows[i].why = fixture->processes[i].failure = why;
        fixture->rows[i].log_tail = fixture->processes[i].log_tail = log;
        fixture->processes[i].token_count = 0;
        fixture->processes[i].cold_prompt_ns = fixture->processes[i].prompt_ns = 0;
    }
    /* What a precision changed is said against the engine's first float32 variant. */
    for (size_t i = 0; i < count; i++)
        for (size_t j = count; j-- > 0;)
            if (strcmp(variants[j].engine, variants[i].engine) == 0 &&
                strcmp(variants[j].precision, "float32") == 0)
                fixture->rows[i].metrics[METRIC_PRECISION_IMPACT].against = variants[j].name;
    fixture_compare(fixture, blocks);
    fixture->notes[fixture->summary.note_count++] =
        "The machine was not idle: its load average was 3.1 on 2 cores as the run began.";
}

static const struct fixture_variant fixture_three[] = {{"native-f32", "native", "float32", 1},
                                                       {"native-f16", "native", "float16", 1.9},
                                                       {"native-bf16", "native", "bfloat16", 1.87}};
static const struct fixture_variant fixture_failed[] = {{"pytorch-base", "pytorch", "float32", 0.9},
                                                        {"broken", "broken", "float16", 0},
                                                        {"native-f16", "native", "float16", 1.9}};
static const struct fixture_variant fixture_many[] = {
    {"tinygrad", "tinygrad", "mixed", 0.06},
    {"tinygrad-beam@0.14.0", "tinygrad", "mixed", 0.5},
    {"pytorch-base", "pytorch", "float32", 0.9},
    {"pytorch-opt", "pytorch", "float16", 1.9},
    {"native-f32", "native", "float32", 1},
    {"native-f16", "native", "float16", 1.9},
    {"ollama", "ollama", "float16", 1.7},
    {"llamacpp", "llamacpp", "float16", 1.88},
    {"onnxruntime-opt", "onnxruntime", "float16", 44}};
enum { THREE = 3, MANY = sizeof fixture_many / sizeof fixture_many[0] };

/* Prompts of four lengths in the context that each needs, or three of them in each of two contexts.
 */
static inline void fixture_sweep(struct fixture *fixture, bool grid)
{
    struct summary *summary = &fixture->summary;
    fixture_make(fixture, fixture_three, THREE, 6);
    summary->points = fixture->points;
    summary->point_count = grid ? 6 : 4;
    for (uint32_t i = 0; i < summary->point_count; i++) {
        uint32_t prompt = 64u << (2 * (grid ? i / 2 : i));
        fixture->points[i] = (struct summary_point){
            .prompt_tokens = prompt,
            .context = grid ? (i % 2 ? 4096 : 2048) : (prompt + 29 + 255) / 256 * 256,
            .metrics = fixture->at[i]};
        for (size_t v = 0; v < THREE; v++) {
            memcpy(fixture->at[i][v], fixture->rows[v].metrics, sizeof fixture->at[i][v]);
            for (int m = 0; m < 2; m++) {
                struct estimate *own = &fixture->at[i][v][m ? METRIC_TPOT : METRIC_TTFT];
                double factor = m ? 1 + prompt / 8192.0 : prompt / 64.0;
                *own = (struct estimate){true,
                                         own->value * factor,
                                         own->low * factor,
                                         own->high * factor,
                                         own->blocks,
                                         NULL,
                                         NULL};
            }
        }
    }
    fixture->at[1][2][METRIC_TPOT].known = false; /* a line with a gap */
}

/* --cold: each case takes longer than the one before; one variant failed in one of them. */
static inline void fixture_cold(struct fixture *fixture)
{
    struct summary *summary = &fixture->summary;
    fixture_make(fixture, fixture_three, THREE, 6);
    summary->points = fixture->points;
    summary->point_count = 5;
    for (size_t i = 0; i < summary->point_count; i++) {
        fixture->points[i] =
            (struct summary_point){.prompt_tokens = 64, .context = 256, .metrics = fixture->at[i]};
        if (i > 0) { /* point 0 is the run's own */
            fixture->points[i].pages = i % 2 ? "warm" : "cold";
            fixture->points[i].compile_cache = i > 2 ? "cold" : "warm";
        }
        for (size_t v = 0; v < THREE; v++) {
            struct estimate *own = &fixture->at[i][v][METRIC_START_TO_FIRST_TOKEN];
            *own = fixture->rows[v].metrics[METRIC_START_TO_FIRST_TOKEN];
            own->value *= (double)(i + 1);
            own->low *= (double)(i + 1);
            own->high *= (double)(i + 1);
        }
    }
    fixture->at[2][1][METRIC_START_TO_FIRST_TOKEN].known = false;
}

static const struct fixture_variant fixture_four[] = {
    {"native-f32", "native", "float32", 1},      {"native-f16", "native", "float16", 1.9},
    {"rival", "rival", "float16", 1.89},         {"careless", "careless", "float16", 2.4},
    {"overflowing", "careless", "float16", 1.2}, {"silent", "silent", "float16", 0.8},
    {"broken", "broken", "float16", 0}};
enum { GATED = sizeof fixture_four / sizeof fixture_four[0] };

/* The gate's verdicts of each kind, beside a variant that failed and one that is undecided. */
static inline void fixture_gate(struct fixture *fixture)
{
    static const struct record_equivalence found[GATED] = {
        {.precision = "float32", .kl_bound = 3.6e-9, .error_bound = 4e-6, .first = -1},
        {.precision = "float16",
         .kl_mean = 3e-7,
         .kl_bound = 5.9e-5,
         .kl_most = 1e-6,
         .error_most = 9e-4,
         .error_bound = 7.5e-3,
         .first = 90,
         .first_margin = 2e-4},
        {.precision = "float16",
         .kl_mean = 4.1e-7,
         .kl_bound = 5.9e-5,
         .kl_most = 3e-6,
         .error_most = 1.4e-3,
         .error_bound = 7.5e-3,
         .first = -1},
        {.precision = "float16",
         .kl_mean = 0.26,
         .kl_bound = 5.9e-5,
         .kl_most = 4.1,
         .error_most = 0.55,
         .error_bound = 7.5e-3,
         .first = 2,
         .first_margin = 0.31},
        {.precision = "float16",
         .broken = 128,
         .kl_bound = 5.9e-5,
         .error_bound = 7.5e-3,
         .first = -1},
        {.precision = "float16", .why = "it gives no logits", .first = -1},
        {.first = -1}};
    fixture_make(fixture, fixture_four, GATED, 6);
    fixture->run.equivalence = fixture->equivalence;
    for (size_t i = 0; i < GATED; i++) {
        struct record_equivalence *record = &fixture->equivalence[i];
        struct summary_variant *row = &fixture->rows[i];
        *record = found[i];
        record->positions = found[i].kl_bound > 0 ? 128 : 0;
        record->agreeing = record->broken ? 0 : found[i].first < 0 ? 128 : 121;
        record->greedy_ids = i < 4 ? 29 : 0;
        record->greedy_margin = found[i].error_most / 3;
        row->equivalence = equivalence_judge(record);
        if (row->equivalence == EQUIVALENCE_FAILED || row->equivalence == EQUIVALENCE_UNGATED)
            row->equivalence_reason = found[i].why ? found[i].why : "it computes something else";
    }
}

/* Titles, reasons and logs are a third party's: they may hold anything. */
static inline void fixture_hostile(struct fixture *fixture)
{
    fixture_make(fixture, fixture_failed, THREE, 6);
    fixture->variants[0].title = "\033[2Jclear|screen\n=HYPERLINK(1)";
    fixture->variants[1].title = "速い推論エンジン-0123456789-abcdefgh@1.2.3";
    fixture->variants[1].name = "=cmd|'/C calc'!A0";
    fixture->variants[2].title = NULL;
    fixture->rows[0].precision = "<b>`float32`</b>\xff";
    fixture->rows[1].why = fixture->processes[1].failure =
        "\"quoted\", comma\nand \033]0;title\a and \xff\xfe";
    fixture->rows[1].log_tail = fixture->processes[1].log_tail =
        "first\n\nsecond\r 50 %\r100 %\n\033[31mred\nan-unbroken-word-"
        "0123456789012345678901234567890123456789012345678901234567890123456789";
}

#endif
