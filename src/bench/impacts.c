/* What a precision and what compiling change, each alone: a variant against the one of its engine
 * that differs in nothing else. */
#include <math.h>
#include <string.h>

#include "bench/summary_parts.h"
#include "engine/form.h"

enum { NONE = -1 };

/* What it computed in: on some devices that is not what the variant declares. */
static bool is_precision(const struct summary *summary, size_t variant, const char *precision)
{
    return strcmp(summary->variants[variant].precision, precision) == 0;
}

/* The first variant of the same engine with that precision and compiled so; NONE: there is none
 * that may be compared. */
static int partner(const struct summary *summary, size_t of, const char *precision, bool compiled)
{
    const struct record_variant *variants = summary->run->variants;
    for (size_t i = 0; i < summary->variant_count; i++)
        if (i != of && strcmp(variants[i].engine, variants[of].engine) == 0 &&
            is_precision(summary, i, precision) && summary->variants[i].compiled == compiled &&
            summary->variants[i].shard == summary->variants[of].shard &&
            !summary->variants[i].control && summary->variants[i].equivalence != EQUIVALENCE_FAILED)
            return (int)i;
    return NONE;
}

/* By block, how many times faster per token than the variant at base. */
static enum status ratio_make(struct summary *summary, const struct cells *cells, size_t index,
                              size_t base, struct estimate *impact, struct error *err)
{
    double *ratios = arena_array(&summary->arena, cells->blocks + 1, sizeof *ratios);
    if (!ratios)
        return error_no_memory(err, cells->blocks * sizeof *ratios);
    for (size_t block = 0; block < cells->blocks; block++)
        ratios[block] = exp(cells_log_ratio(cells, index, base, METRIC_TPOT, block));
    *impact = estimate_make(ratios, cells->blocks, true);
    impact->against = summary->run->variants[base].name;
    if (!impact->known)
        impact->why = arena_printf(
            &summary->arena, "no block in which both it and %s were measured", impact->against);
    return STATUS_OK;
}

static enum status precision_impact(struct summary *summary, const struct cells *cells,
                                    size_t index, struct error *err)
{
    struct summary_variant *variant = &summary->variants[index];
    struct estimate *impact = &variant->metrics[METRIC_PRECISION_IMPACT];
    /* Another float32 variant differs in something else. */
    int base = is_precision(summary, index, "float32")
                   ? (int)index
                   : partner(summary, index, "float32", variant->compiled);
    if (base != NONE)
        return ratio_make(summary, cells, index, (size_t)base, impact, err);
    impact->why = variant->compiled ? "needs a compiled float32 variant of its engine"
                                    : "needs an uncompiled float32 variant of its engine";
    return STATUS_OK;
}

static enum status compile_benefit(struct summary *summary, const struct cells *cells, size_t index,
                                   struct error *err)
{
    struct summary_variant *variant = &summary->variants[index];
    struct estimate *benefit = &variant->metrics[METRIC_COMPILE_BENEFIT];
    if (!variant->compiled)
        return STATUS_OK;
    int base = partner(summary, index, variant->precision, false);
    if (base != NONE)
        return ratio_make(summary, cells, index, (size_t)base, benefit, err);
    benefit->why = arena_printf(&summary->arena, "needs an uncompiled %s variant of its engine",
                                variant->precision);
    return STATUS_OK;
}

/* Whether two variants differ in nothing but the devices that they are split over. */
static bool same_unsplit(const struct summary *summary, size_t a, size_t b)
{
    const struct record_variant *variants = summary->run->variants;
    struct engine_form form_a, form_b;
    size_t length = form_parse(variants[a].name, &form_a);
    const char *quantize_a = summary->variants[a].quantize;
    const char *quantize_b = summary->variants[b].quantize;
    return length == form_parse(variants[b].name, &form_b) &&
           strncmp(variants[a].name, variants[b].name, length) == 0 &&
           strcmp(quantize_a ? quantize_a : "", quantize_b ? quantize_b : "") == 0;
}

static void exchange_reasons(struct summary_variant *variant)
{
    static const enum metric metrics[] = {METRIC_EXCHANGED, METRIC_EXCHANGE_TIME};
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++)
        if (!variant->metrics[metrics[i]].known)
            variant->metrics[metrics[i]].why = "the engine does not tell";
}

static enum status shard_efficiency(struct summary *summary, const struct cells *cells,
                                    size_t index, struct error *err)
{
    struct summary_variant *variant = &summary->variants[index];
    struct estimate *efficiency = &variant->metrics[METRIC_SHARD_EFFICIENCY];
    if (variant->shard == 1)
        return STATUS_OK;
    efficiency->why = "needs the same variant with --shard 1 beside it";
    for (size_t i = 0; i < summary->variant_count; i++) {
        if (summary->variants[i].shard > 1 || summary->variants[i].control ||
            !same_unsplit(summary, index, i))
            continue;
        enum status status = ratio_make(summary, cells, index, i, efficiency, err);
        double devices = summary->on_gpu ? variant->shard : 1;
        efficiency->value /= devices;
        efficiency->low /= devices;
        efficiency->high /= devices;
        return status;
    }
    return STATUS_OK;
}

enum status impacts_make(struct summary *summary, const struct cells *cells, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < summary->variant_count && !status; i++) {
        if (summary->variants[i].shard > 1)
            exchange_reasons(&summary->variants[i]);
        if (summary->variants[i].equivalence == EQUIVALENCE_FAILED) {
            summary->variants[i].metrics[METRIC_PRECISION_IMPACT].why = "it is not equivalent";
            summary->variants[i].metrics[METRIC_COMPILE_BENEFIT].why = "it is not equivalent";
            summary->variants[i].metrics[METRIC_SHARD_EFFICIENCY].why = "it is not equivalent";
            continue;
        }
        status = precision_impact(summary, cells, i, err);
        if (!status)
            status = compile_benefit(summary, cells, i, err);
        if (!status)
            status = shard_efficiency(summary, cells, i, err);
    }
    return status;
}
