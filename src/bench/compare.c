/* Every pair of variants against each other, block by block. */
#include <math.h>

#include "bench/gate.h"
#include "bench/summary_parts.h"
#include "stats/stats.h"

static const double indifference = 0.02;

static const enum metric compared[] = {METRIC_TPOT,
                                       METRIC_TTFT,
                                       METRIC_COLD_START,
                                       METRIC_MODEL_LOAD,
                                       METRIC_START_TO_FIRST_TOKEN,
                                       METRIC_PEAK_MEMORY};
enum { COMPARED = sizeof compared / sizeof compared[0] };

/* Log ratios of the blocks in which both were measured; returns how many. */
static size_t paired_logs(const struct cells *cells, size_t a, size_t b, enum metric metric,
                          double *logs)
{
    size_t known = 0;
    for (size_t block = 0; block < cells->blocks; block++) {
        double log_ratio = cells_log_ratio(cells, a, b, metric, block);
        if (isfinite(log_ratio))
            logs[known++] = log_ratio;
    }
    return known;
}

static struct estimate ratio_make(double *logs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        logs[i] = exp(logs[i]);
    return estimate_make(logs, count, true);
}

/* What a variant differs from itself by is no difference: the zone is no smaller than that. */
static struct control control_make(const struct summary *summary, const struct cells *cells,
                                   enum metric metric, double *logs)
{
    struct control control = {.zone = log1p(indifference)};
    if (!summary->control)
        return control;
    size_t known = paired_logs(cells, summary->control_of, summary->control, metric, logs);
    control.ratio = ratio_make(logs, known);
    if (known > 1)
        control.zone = fmax(control.zone, log(control.ratio.high / control.ratio.low) / 2);
    return control;
}

/* The control is compared with what it repeats alone; what computes something else, with nothing.
 */
static bool is_left_out(const struct summary_variant *variant)
{
    return variant->control || variant->equivalence == EQUIVALENCE_FAILED;
}

/* All pairs by one metric: a family of hypotheses, whose p values Holm adjusts together. */
static size_t compare_metric(struct summary *summary, const struct cells *cells, enum metric metric,
                             double *logs, double *p)
{
    struct comparison *family = &summary->comparisons[summary->comparison_count];
    size_t pairs = 0;
    double zone = (summary->controls[metric] = control_make(summary, cells, metric, logs)).zone;
    for (size_t a = 0; a < cells->variants; a++) {
        for (size_t b = a + 1; b < cells->variants; b++) {
            if (is_left_out(&summary->variants[a]) || is_left_out(&summary->variants[b]))
                continue;
            size_t known = paired_logs(cells, a, b, metric, logs);
            if (!known)
                continue;
            p[pairs] = stats_zone_p(logs, known, zone);
            family[pairs++] = (struct comparison){
                .a = a, .b = b, .metric = metric, .ratio = ratio_make(logs, known)};
        }
    }
    double *adjusted = p + pairs;
    stats_holm(p, pairs, adjusted);
    for (size_t i = 0; i < pairs; i++) {
        struct estimate *ratio = &family[i].ratio;
        family[i].verdict = verdict_of(ratio, zone, adjusted[i]);
        /* Beyond the zone's nearer edge, or inside it: what the estimate is closer to. */
        if (family[i].verdict == VERDICT_UNDECIDED)
            family[i].more_blocks = gate_blocks_missing(ratio, copysign(zone, log(ratio->value)));
    }
    return pairs;
}

enum status compare_all(struct summary *summary, const struct cells *cells, struct error *err)
{
    size_t pairs = cells->variants * (cells->variants - (cells->variants > 0)) / 2;
    summary->comparisons =
        arena_array(&summary->arena, pairs * COMPARED + 1, sizeof(struct comparison));
    double *logs = arena_array(&summary->arena, cells->blocks + 1, sizeof *logs);
    double *p = arena_array(&summary->arena, 2 * pairs + 1, sizeof *p);
    if (!summary->comparisons || !logs || !p)
        return error_no_memory(err, pairs * COMPARED * sizeof(struct comparison));
    for (size_t i = 0; i < COMPARED; i++)
        summary->comparison_count += compare_metric(summary, cells, compared[i], logs, p);
    return STATUS_OK;
}
