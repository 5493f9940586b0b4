#include "bench/metrics.h"

const char *const metric_group_titles[GROUP_COUNT] = {
    [GROUP_LOADING] = "Loading",
    [GROUP_LATENCY] = "Latency",
    [GROUP_THROUGHPUT] = "Throughput",
    [GROUP_MEMORY] = "Memory",
    [GROUP_ENERGY] = "Energy",
    [GROUP_PRECISION] = "Precision",
    [GROUP_SHARDS] = "Shards",
    [GROUP_TRUST] = "Trust",
    [GROUP_STARTS] = "Start to First Token (s)",
    [GROUP_LENGTHS] = "By Length",
};

const struct metric_info metric_infos[METRIC_COUNT] = {
    [METRIC_MODEL_LOAD] = {"model_load_s", "Model Load (s)", "s", 1, 3, GROUP_LOADING, -1, true,
                           true,
                           "From the request to load until the engine is ready, without the "
                           "process's own start and imports."},
    [METRIC_PROCESS_START] = {"process_start_s", "Process Start (s)", "s", 1, 3, GROUP_LOADING, -1,
                              false, true,
                              "From the process's creation until it answers, and the imports that "
                              "it does later."},
    [METRIC_COLD_START] = {"cold_start_ms", "Cold Start (ms)", "ms", 1e3, 2, GROUP_LOADING, -1,
                           true, true,
                           "The first token of a freshly loaded process: compilation and warm-up "
                           "included."},
    [METRIC_START_TO_FIRST_TOKEN] = {"start_to_first_token_s", "Start to First Token (s)", "s", 1,
                                     3, GROUP_LOADING, -1, false, true,
                                     "From the process's creation to its first token: start, load "
                                     "and cold start together."},
    [METRIC_TTFT] = {"ttft_ms", "Time to First Token (ms)", "ms", 1e3, 2, GROUP_LATENCY, -1, true,
                     true, "From the prompt's hand-over to a warm engine until its first token."},
    [METRIC_PREFILL_RATE] = {"prefill_tokens_per_second", "Prefill Rate (tok/s)", "tok/s", 1, 1,
                             GROUP_THROUGHPUT, 1, false, true,
                             "Prompt tokens over the time to first token."},
    [METRIC_TPOT] = {"tpot_ms", "Steady-State Latency (ms)", "ms", 1e3, 2, GROUP_LATENCY, -1, true,
                     true, "Mean time of a token after the warm-up (TPOT)."},
    [METRIC_TPOT_MIN] = {"tpot_min_ms", "Fastest Token (ms)", "ms", 1e3, 2, GROUP_LATENCY, -1,
                         false, true, "The fastest token of all processes."},
    [METRIC_TPOT_MAX] = {"tpot_max_ms", "Slowest Token (ms)", "ms", 1e3, 2, GROUP_LATENCY, -1,
                         false, true, "The slowest token of all processes."},
    [METRIC_TPOT_MEDIAN] = {"tpot_median_ms", "Median Latency (ms)", "ms", 1e3, 2, GROUP_LATENCY,
                            -1, false, true, "Median time of a token, of each process."},
    [METRIC_TPOT_P90] = {"tpot_p90_ms", "p90 Latency (ms)", "ms", 1e3, 2, GROUP_LATENCY, -1, false,
                         true, "90th percentile over the tokens of all processes (64 or more)."},
    [METRIC_TPOT_P99] = {"tpot_p99_ms", "p99 Latency (ms)", "ms", 1e3, 2, GROUP_LATENCY, -1, false,
                         true, "99th percentile over the tokens of all processes (662 or more)."},
    [METRIC_THROUGHPUT] = {"throughput_tokens_per_second", "Average Throughput (tok/s)", "tok/s", 1,
                           1, GROUP_THROUGHPUT, 1, true, true, "1 / steady-state latency."},
    [METRIC_PEAK_THROUGHPUT] = {"peak_throughput_tokens_per_second", "Peak Throughput (tok/s)",
                                "tok/s", 1, 1, GROUP_THROUGHPUT, 1, true, true,
                                "Best window of 32 tokens in any process (all of its tokens, "
                                "where fewer are counted)."},
    [METRIC_TOTAL_TIME] = {"total_time_s", "Timed Generation (s)", "s", 1, 3, GROUP_LATENCY, -1,
                           false, true,
                           "The whole timed generation: prompt, warm-up and counted tokens."},
    [METRIC_WARMUP_IMPROVEMENT] = {"warmup_improvement", "Warm-up Improvement (x)", "x", 1, 2,
                                   GROUP_LOADING, 0, false, true,
                                   "Cold start over time to first token, of the same process."},
    [METRIC_WEIGHTS] = {"weights_gb", "Weights (GB)", "GB", 1e-9, 3, GROUP_MEMORY, -1, false, true,
                        "Bytes of the weights as the engine holds them."},
    [METRIC_MODEL_MEMORY] = {"model_memory_gb", "Model Memory (GB)", "GB", 1e-9, 3, GROUP_MEMORY,
                             -1, false, false, "Memory after the load less memory before it."},
    [METRIC_PEAK_MEMORY] = {"peak_memory_gb", "Peak Memory (GB)", "GB", 1e-9, 3, GROUP_MEMORY, -1,
                            true, true,
                            "Highest memory of the process: the device's where the weights are "
                            "there, else the host's."},
    [METRIC_MEMORY_OVERHEAD] = {"memory_overhead_gb", "Memory Overhead (GB)", "GB", 1e-9, 3,
                                GROUP_MEMORY, -1, false, false,
                                "Peak memory less the weights as held."},
    [METRIC_DEVICE_MEMORY] = {"device_memory_gb", "Device Memory (GB)", "GB", 1e-9, 3, GROUP_MEMORY,
                              -1, false, true, "Highest memory of the process on its device."},
    [METRIC_PRECISION_IMPACT] = {"precision_impact", "Precision Impact (x)", "x", 1, 2,
                                 GROUP_PRECISION, 1, false, true,
                                 "How many times faster per token than the same engine's float32 "
                                 "variant that is compiled or not as it is, by block."},
    [METRIC_COMPILE_BENEFIT] = {"compile_benefit", "Compile Benefit (x)", "x", 1, 2,
                                GROUP_PRECISION, 1, false, true,
                                "How many times faster per token than the same engine's uncompiled "
                                "variant of the same precision, by block."},
    [METRIC_SHARD_EFFICIENCY] = {"shard_efficiency_percent", "Shard Efficiency (%)", "%", 1e2, 0,
                                 GROUP_SHARDS, 1, false, true,
                                 "How many times faster per token than the same variant on one "
                                 "device, by block, over how many times the devices. On a CPU both "
                                 "have the same threads, so that it is the speed alone."},
    [METRIC_EXCHANGED] = {"exchanged_kb_per_token", "Exchanged per Token (kB)", "kB", 1e-3, 1,
                          GROUP_SHARDS, -1, false, true,
                          "Values that one of a split model's parts hands to the others, or is "
                          "handed, for a token."},
    [METRIC_EXCHANGE_TIME] = {"exchange_ms_per_token", "Exchange Time (ms)", "ms", 1e3, 2,
                              GROUP_SHARDS, -1, false, true,
                              "Time of a token in which its parts are exchanged, waiting for the "
                              "slowest part included; of native on GPUs what the exchanges take by "
                              "themselves."},
    [METRIC_BANDWIDTH] = {"bandwidth_gb_per_second", "Memory Bandwidth (GB/s)", "GB/s", 1e-9, 1,
                          GROUP_TRUST, 0, false, true,
                          "What Prony's own probe read from memory in the same blocks; of a model "
                          "split over cards the slowest one's by their number."},
    [METRIC_LIMIT_SHARE] = {"limit_percent", "% of Limit", "%", 1e2, 0, GROUP_TRUST, 1, true, true,
                            "Bytes that a token must read, over its latency and the bandwidth "
                            "that the probe read in the same block."},
    [METRIC_ENERGY] = {"energy_j_per_token", "Energy per Token (J)", "J", 1, 3, GROUP_ENERGY, -1,
                       false, false,
                       "Energy of the steps that count, less what the machine draws when idle, for "
                       "each token."},
    [METRIC_IDLE_POWER] = {"idle_power_w", "Idle Power (W)", "W", 1, 1, GROUP_ENERGY, 0, false,
                           false,
                           "What the same counters said in the same blocks with nothing running; "
                           "not in the energy per token."},
    [METRIC_TREND] = {"trend_percent", "Trend (%)", "%", 1e2, 1, GROUP_TRUST, 0, false, false,
                      "How much longer a token takes at the end of the counted ones than at their "
                      "beginning, as the slope of each process's own series has it; below 0 the "
                      "warm-up was not over."},
    [METRIC_KL_MEAN] = {"kl_mean_millinats", "Mean KL (1e-3 nat)", "1e-3 nat", 1e3, 4, GROUP_TRUST,
                        -1, false, false,
                        "Kullback-Leibler divergence from the float32 reference's next-id "
                        "distribution, over the positions of the equivalence gate."},
    [METRIC_KL_MOST] = {"kl_most_millinats", "Largest KL (1e-3 nat)", "1e-3 nat", 1e3, 4,
                        GROUP_TRUST, -1, false, false, "The same at the worst position."},
    [METRIC_TOP1] = {"top1_percent", "Top-1 Agreement (%)", "%", 1e2, 1, GROUP_TRUST, 1, false,
                     false, "Positions at which it would choose the reference's id."},
    [METRIC_LOGIT_ERROR] = {"logit_error_percent", "Largest Logit Error (%)", "%", 1e2, 4,
                            GROUP_TRUST, -1, false, false,
                            "Largest difference of a logit from the reference's, as a share of "
                            "the range of the reference's logits at that position."},
};
