#include "report/classic.h"

const struct classic_figure classic_figures[CLASSIC_FIGURES] = {
    {"total_time", METRIC_TOTAL_TIME, 1},
    {"first_token_time", METRIC_TTFT, 1},
    {"avg_token_time", METRIC_TPOT, 1},
    {"min_token_time", METRIC_TPOT_MIN, 1},
    {"max_token_time", METRIC_TPOT_MAX, 1},
    {"avg_tokens_per_second", METRIC_THROUGHPUT, 1},
    {"peak_tokens_per_second", METRIC_PEAK_THROUGHPUT, 1},
    {"peak_memory_gb", METRIC_PEAK_MEMORY, 1e-9},
    {"model_memory_gb", METRIC_MODEL_MEMORY, 1e-9},
};
