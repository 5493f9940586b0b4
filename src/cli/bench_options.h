/* The options of prony bench, and the request that they make. */
#ifndef PRONY_CLI_BENCH_OPTIONS_H
#define PRONY_CLI_BENCH_OPTIONS_H

#include "bench/plan.h"
#include "cli/command.h"

struct bench_options {
    struct option_list framework, output, context, prompt_tokens, quantize, shard;
    const char *model_type, *model_path, *device;
    int64_t iterations, warmup, blocks, threads, gate_context;
    bool quick, resume, dry_run, wide, control, redo, cold, fair_comparison, pytorch_no_compile,
        pytorch_no_half, memory_check;
};

extern const struct bench_options bench_defaults;
extern const struct option bench_option_table[];

/* Options that contradict each other: silence would be a wrong measurement. */
enum status bench_options_check(const struct bench_options *options, struct error *err);
/* Lays what the user gave over a request: over nothing, or over that of a stored run. */
enum status bench_request_overlay(struct plan_request *request, const struct bench_options *options,
                                  struct error *err);

#endif
