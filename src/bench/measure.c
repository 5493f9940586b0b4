/* From one process's stamps to its metrics: the only place where stamps are subtracted. */
#include <math.h>
#include <string.h>

#include "bench/metrics.h"
#include "bench/readings.h"
#include "stats/stats.h"

enum { PEAK_WINDOW = 32 };

/* Seconds between two stamps; NaN unless both are there and in order. */
static double between(int64_t start_ns, int64_t end_ns)
{
    return start_ns > 0 && end_ns >= start_ns ? (double)(end_ns - start_ns) * 1e-9 : NAN;
}

static double bytes_or_nan(int64_t bytes)
{
    return bytes >= 0 ? (double)bytes : NAN;
}

size_t process_steps(const struct record_process *process, double *seconds)
{
    size_t count = 0;
    for (size_t i = (size_t)process->warmup_steps + 1; i < process->token_count; i++)
        seconds[count++] = (double)(process->stamps_ns[i] - process->stamps_ns[i - 1]) * 1e-9;
    return count;
}

/* Time spent importing within the load: part of the process's start, not of the load. */
static double import_seconds(const struct record_process *process)
{
    double sum = 0;
    for (size_t i = 0; i < process->phase_count; i++) {
        const struct record_phase *phase = &process->phases[i];
        double took = between(phase->start_ns, phase->end_ns);
        if (phase->name && strcmp(phase->name, "import") == 0 && took > 0)
            sum += took;
    }
    return sum;
}

static void loading(const struct record_process *process, double *values)
{
    double import = import_seconds(process);
    double start = between(process->spawned_ns, process->hello_ns);
    double load = between(process->load_asked_ns, process->load_ready_ns);
    /* From the host's own stamp: an engine cannot leave work out by stamping the prompt late. */
    double first = between(process->cold_asked_ns, process->cold_first_ns);
    values[METRIC_PROCESS_START] = start + import;
    values[METRIC_MODEL_LOAD] = load - import;
    values[METRIC_COLD_START] = between(process->cold_prompt_ns, process->cold_first_ns);
    values[METRIC_START_TO_FIRST_TOKEN] = start + load + first;
}

/* Bytes that a decode step must read, at the middle of the steps that count. */
static double bytes_per_token(const struct record_process *process)
{
    if (process->weight_bytes == 0 || process->weight_bytes < process->embedding_bytes)
        return NAN;
    double positions =
        process->prompt_tokens + ((double)process->warmup_steps + (double)process->token_count) / 2;
    return (double)(process->weight_bytes - process->embedding_bytes) +
           (double)process->kv_token_bytes * positions;
}

static void tokens(const struct record_process *process, double *values)
{
    size_t count = process->token_count, first = process->warmup_steps;
    const int64_t *stamps = process->stamps_ns;
    if (count == 0)
        return;
    values[METRIC_TTFT] = between(process->prompt_ns, stamps[0]);
    values[METRIC_TOTAL_TIME] = between(process->prompt_ns, stamps[count - 1]);
    values[METRIC_PREFILL_RATE] = process->prompt_tokens / values[METRIC_TTFT];
    values[METRIC_WARMUP_IMPROVEMENT] = values[METRIC_COLD_START] / values[METRIC_TTFT];
    if (first + 1 >= count)
        return;
    values[METRIC_TPOT] = between(stamps[first], stamps[count - 1]) / (double)(count - 1 - first);
    values[METRIC_THROUGHPUT] = 1 / values[METRIC_TPOT];
    values[METRIC_PEAK_THROUGHPUT] = stats_best_rate(stamps + first, count - first, PEAK_WINDOW);
    if (process->bandwidth > 0)
        values[METRIC_LIMIT_SHARE] =
            bytes_per_token(process) / values[METRIC_TPOT] / process->bandwidth;
}

static void memory(const struct record_process *process, double *values)
{
    bool on_device = process->device_peak > 0;
    double before = bytes_or_nan(on_device ? process->device_before : process->memory_before);
    double loaded = bytes_or_nan(on_device ? process->device_loaded : process->memory_loaded);
    double peak = bytes_or_nan(on_device ? process->device_peak : process->memory_peak);
    if (process->weight_bytes > 0) {
        values[METRIC_WEIGHTS] = (double)process->weight_bytes;
        values[METRIC_MEMORY_OVERHEAD] = peak - (double)process->weight_bytes;
    }
    values[METRIC_MODEL_MEMORY] = loaded - before;
    values[METRIC_PEAK_MEMORY] = peak;
    if (on_device)
        values[METRIC_DEVICE_MEMORY] = peak;
}

enum { ENERGY_RENEWALS = 20 }; /* of the counter: what it is coarse by is then below 5 % */

/* Of a run that did not record it: a GPU's, the slowest. */
static const double usual_step_s = 0.1;

static void energy(const struct record_process *process, double *values)
{
    double joules = reading_of(process, READING_ENERGY_J);
    double seconds = reading_of(process, READING_ENERGY_SECONDS);
    double idle_w = reading_of(process, READING_IDLE_W);
    double step = reading_of(process, READING_ENERGY_STEP);
    double least_s = ENERGY_RENEWALS * (isnan(step) ? usual_step_s : step);
    values[METRIC_IDLE_POWER] = idle_w;
    if (process->token_count > (size_t)process->warmup_steps + 1 && seconds >= least_s)
        values[METRIC_ENERGY] = (joules - idle_w * seconds) /
                                (double)(process->token_count - 1 - process->warmup_steps);
}

void process_metrics(const struct record_process *process, double values[METRIC_COUNT])
{
    for (size_t i = 0; i < METRIC_COUNT; i++)
        values[i] = NAN;
    loading(process, values);
    tokens(process, values);
    memory(process, values);
    energy(process, values);
    values[METRIC_EXCHANGED] = reading_of(process, READING_EXCHANGED_BYTES);
    values[METRIC_EXCHANGE_TIME] = reading_of(process, READING_EXCHANGED_SECONDS);
    if (process->bandwidth > 0)
        values[METRIC_BANDWIDTH] = process->bandwidth;
    /* A time of exactly 0 or an infinite rate is a broken stamp, not a fast engine. */
    for (size_t i = 0; i < METRIC_COUNT; i++)
        if (!isfinite(values[i]) || (metric_infos[i].ratio_scale && values[i] <= 0))
            values[i] = NAN;
}
