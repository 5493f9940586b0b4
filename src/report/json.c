/* The whole run as one JSON document: docs/results.schema.json says what each member means. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "report/classic.h"
#include "report/facts.h"
#include "report/number.h"
#include "report/report.h"
#include "report/text.h"

enum { SCHEMA_VERSION = 1, REAL_DIGITS = 12 };

static const char *const verdict_names[] = {
    [VERDICT_FASTER] = "faster",       [VERDICT_SLOWER] = "slower", [VERDICT_SAME] = "same",
    [VERDICT_UNDECIDED] = "undecided", [VERDICT_NONE] = "none",
};

/* What the document's parts share. */
struct output {
    struct arena *arena;
    bool failed; /* a part could not be made: no memory */
};

static void put(struct output *out, json_t *object, const char *key, json_t *value)
{
    out->failed |= json_object_set_new(object, key, value) != 0;
}

static void push(struct output *out, json_t *array, json_t *value)
{
    out->failed |= json_array_append_new(array, value) != 0;
}

/* Any text as JSON: bytes that are not UTF-8 become U+FFFD, empty text null. */
static json_t *json_text(const char *text, struct output *out)
{
    if (!text || !*text)
        return json_null();
    json_t *value = json_string(text);
    return value ? value : json_string(text_clean(out->arena, text));
}

static json_t *json_finite(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *json_bytes(int64_t bytes)
{
    return bytes < 0 ? json_null() : json_integer(bytes);
}

/* Nanoseconds since the process was started; null where it did not get that far. */
static json_t *json_since(int64_t spawned_ns, int64_t stamp_ns)
{
    return spawned_ns > 0 && stamp_ns > 0 ? json_integer(stamp_ns - spawned_ns) : json_null();
}

static json_t *json_estimate(const struct estimate *estimate, double scale)
{
    return json_pack("{s:o, s:o, s:o, s:I}", "value", json_finite(estimate->value * scale), "low",
                     json_finite(estimate->low * scale), "high",
                     json_finite(estimate->high * scale), "blocks", (json_int_t)estimate->blocks);
}

static json_t *json_metrics(const struct summary_variant *variant, struct output *out)
{
    json_t *metrics = json_object();
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        const struct metric_info *info = &metric_infos[metric];
        const struct estimate *estimate = &variant->metrics[metric];
        json_t *value;
        if (estimate_usable(estimate)) {
            value = json_estimate(estimate, info->scale);
        } else {
            value = json_pack("{s:n, s:n, s:n, s:i}", "value", "low", "high", "blocks", 0);
            put(out, value, "why", json_text(estimate->why ? estimate->why : variant->why, out));
        }
        if (estimate->against)
            put(out, value, "against", json_text(estimate->against, out));
        put(out, value, "unit", json_string(info->unit));
        put(out, metrics, info->key, value);
    }
    return metrics;
}

static json_t *json_phases(const struct record_process *process, struct output *out)
{
    json_t *phases = json_array();
    for (size_t i = 0; i < process->phase_count; i++) {
        const struct record_phase *phase = &process->phases[i];
        push(out, phases,
             json_pack("{s:o, s:o, s:o}", "name", json_text(phase->name, out), "start_ns",
                       json_since(process->spawned_ns, phase->start_ns), "end_ns",
                       json_since(process->spawned_ns, phase->end_ns)));
    }
    return phases;
}

static json_t *json_readings(const struct record_process *process, struct output *out)
{
    json_t *readings = json_object();
    for (size_t i = 0; i < process->reading_count; i++)
        put(out, readings, process->readings[i].name, json_finite(process->readings[i].value));
    return readings;
}

static void put_tokens(struct output *out, json_t *object, const struct record_process *process)
{
    json_t *stamps = json_array(), *ids = json_array();
    for (size_t i = 0; i < process->token_count; i++) {
        push(out, stamps, json_since(process->spawned_ns, process->stamps_ns[i]));
        push(out, ids, json_integer(process->ids[i]));
    }
    put(out, object, "arrivals_ns", stamps);
    put(out, object, "ids", ids);
}

/* What the gate found: its verdict, and what that follows from. */
static json_t *json_equivalence(const struct summary *summary, size_t index, struct output *out)
{
    const struct summary_variant *variant = &summary->variants[index];
    const struct record_equivalence *found =
        variant->equivalence == EQUIVALENCE_UNKNOWN ? NULL : &summary->run->equivalence[index];
    json_t *object = json_object();
    put(out, object, "verdict", json_string(equivalence_names[variant->equivalence]));
    put(out, object, "reason", json_text(variant->equivalence_reason, out));
    if (!found || found->why)
        return object;
    enum { BY_IDS = 4 }; /* the first figures are of logits */
    const struct {
        const char *key;
        double value;
    } figures[] = {{"kl_mean", found->kl_mean},         {"kl_most", found->kl_most},
                   {"kl_bound", found->kl_bound},       {"error_most", found->error_most},
                   {"error_bound", found->error_bound}, {"greedy_margin", found->greedy_margin}};
    for (size_t i = equivalence_is_by_ids(found) ? BY_IDS : 0; i < sizeof figures / sizeof *figures;
         i++)
        put(out, object, figures[i].key, json_finite(figures[i].value));
    const struct {
        const char *key;
        int64_t value;
    } counts[] = {{"positions", found->positions},
                  {"not_finite", found->broken},
                  {"agreeing", found->agreeing},
                  {"ids_told", found->told},
                  {"greedy_ids", found->greedy_ids}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        put(out, object, counts[i].key, json_integer(counts[i].value));
    put(out, object, "judged_by",
        json_string(equivalence_is_by_ids(found) ? "ids"
                    : found->told                ? "probabilities"
                                                 : "logits"));
    put(out, object, "bounds_of", json_text(found->precision, out));
    put(out, object, "first_divergence",
        found->first < 0 ? json_null() : json_integer(found->first));
    put(out, object, "first_divergence_margin",
        found->first < 0 ? json_null() : json_finite(found->first_margin));
    return object;
}

/* One process as it was recorded; times count from when it was started. */
static json_t *json_process(const struct record_process *process, struct output *out)
{
    int64_t spawned = process->spawned_ns;
    json_t *object = json_pack("{s:i, s:i, s:o, s:o}", "block", (int)process->block, "position",
                               (int)process->position, "failure", json_text(process->failure, out),
                               "log", json_text(process->log_tail, out));
    const struct {
        const char *key;
        int64_t stamp_ns;
    } stamps[] = {{"hello_ns", process->hello_ns},
                  {"load_asked_ns", process->load_asked_ns},
                  {"load_ready_ns", process->load_ready_ns},
                  {"cold_asked_ns", process->cold_asked_ns},
                  {"cold_prompt_ns", process->cold_prompt_ns},
                  {"cold_first_ns", process->cold_first_ns},
                  {"prompt_ns", process->prompt_ns}};
    for (size_t i = 0; i < sizeof stamps / sizeof stamps[0]; i++)
        put(out, object, stamps[i].key, json_since(spawned, stamps[i].stamp_ns));
    const struct {
        const char *key;
        int64_t bytes;
    } sizes[] = {{"memory_before_bytes", process->memory_before},
                 {"memory_loaded_bytes", process->memory_loaded},
                 {"memory_peak_bytes", process->memory_peak},
                 {"device_before_bytes", process->device_before},
                 {"device_loaded_bytes", process->device_loaded},
                 {"device_peak_bytes", process->device_peak}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        put(out, object, sizes[i].key, json_bytes(sizes[i].bytes));
    put(out, object, "memory_method", json_text(process->memory_method, out));
    put(out, object, "weight_bytes", json_integer((json_int_t)process->weight_bytes));
    put(out, object, "kv_token_bytes", json_integer((json_int_t)process->kv_token_bytes));
    put(out, object, "threads", json_integer(process->threads));
    put(out, object, "prompt_tokens", json_integer(process->prompt_tokens));
    put(out, object, "warmup_steps", json_integer(process->warmup_steps));
    put(out, object, "bandwidth_bytes_per_second",
        process->bandwidth > 0 ? json_finite(process->bandwidth) : json_null());
    put(out, object, "load_average", json_finite(process->load_average));
    put(out, object, "attempt", json_integer(process->attempt));
    put(out, object, "readings", json_readings(process, out));
    put(out, object, "phases", json_phases(process, out));
    put_tokens(out, object, process);
    return object;
}

static json_t *json_processes(const struct summary *summary, size_t index, struct output *out)
{
    json_t *list = json_array();
    for (size_t i = 0; i < summary->run->process_count; i++)
        if (summary->run->processes[i].variant == index)
            push(out, list, json_process(&summary->run->processes[i], out));
    return list;
}

static json_t *json_result(const struct summary *summary, size_t index, const char *model_size,
                           struct output *out)
{
    const struct summary_variant *row = &summary->variants[index];
    const struct record_variant *variant = row->variant;
    json_t *result =
        json_pack("{s:o, s:o, s:I}", "framework", json_text(variant->name, out), "model_size",
                  json_text(model_size, out), "iterations", (json_int_t)summary->iterations);
    for (size_t i = 0; i < CLASSIC_FIGURES; i++) {
        const struct estimate *estimate = &row->metrics[classic_figures[i].metric];
        put(out, result, classic_figures[i].key,
            estimate_usable(estimate) ? json_finite(estimate->value * classic_figures[i].scale)
                                      : json_null());
    }
    const struct {
        const char *key, *text;
    } texts[] = {{"title", variant->title},
                 {"engine", variant->engine},
                 {"precision", row->precision},
                 {"quantize", row->quantize},
                 {"about", variant->about},
                 {"engine_version", variant->engine_version},
                 {"stands_on", variant->stands_on},
                 {"detail", variant->detail},
                 {"unavailable", variant->unavailable},
                 {"failure", row->why}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        put(out, result, texts[i].key, json_text(texts[i].text, out));
    put(out, result, "shard", json_integer(row->shard));
    put(out, result, "threads", json_integer(row->threads));
    put(out, result, "processes", json_integer((json_int_t)row->processes));
    put(out, result, "failed_processes", json_integer((json_int_t)row->failures));
    put(out, result, "disturbed_processes", json_integer((json_int_t)row->disturbed));
    put(out, result, "steady",
        row->metrics[METRIC_TREND].known ? json_boolean(!row->falling) : json_null());
    put(out, result, "equivalence", json_equivalence(summary, index, out));
    put(out, result, "metrics", json_metrics(row, out));
    put(out, result, "samples", json_processes(summary, index, out));
    return result;
}

/* What a sweep and the load matrix measured: the metrics that are known there. */
static json_t *json_points(const struct summary *summary, struct output *out)
{
    json_t *list = json_array();
    for (size_t i = 0; i < summary->point_count; i++) {
        const struct summary_point *point = &summary->points[i];
        json_t *results = json_array();
        for (size_t v = 0; v < summary->variant_count; v++) {
            json_t *metrics = json_object();
            for (enum metric metric = 0; metric < METRIC_COUNT; metric++)
                if (estimate_usable(&point->metrics[v][metric]))
                    put(out, metrics, metric_infos[metric].key,
                        json_estimate(&point->metrics[v][metric], metric_infos[metric].scale));
            push(out, results,
                 json_pack("{s:o, s:o}", "framework",
                           json_text(summary->variants[v].variant->name, out), "metrics", metrics));
        }
        push(out, list,
             json_pack("{s:I, s:I, s:o, s:o, s:o, s:o}", "prompt_tokens",
                       (json_int_t)point->prompt_tokens, "context", (json_int_t)point->context,
                       "pages", json_text(point->pages, out), "compile_cache",
                       json_text(point->compile_cache, out), "pages_resident",
                       json_finite(point->resident), "results", results));
    }
    return list;
}

static json_t *json_comparisons(const struct summary *summary, struct output *out)
{
    json_t *list = json_array();
    for (size_t i = 0; i < summary->comparison_count; i++) {
        const struct comparison *comparison = &summary->comparisons[i];
        json_t *object = json_estimate(&comparison->ratio, 1);
        put(out, object, "a", json_text(summary->variants[comparison->a].variant->name, out));
        put(out, object, "b", json_text(summary->variants[comparison->b].variant->name, out));
        put(out, object, "metric", json_string(metric_infos[comparison->metric].key));
        put(out, object, "more_blocks",
            comparison->more_blocks ? json_integer((json_int_t)comparison->more_blocks)
                                    : json_null());
        put(out, object, "verdict", json_string(verdict_names[comparison->verdict]));
        push(out, list, object);
    }
    return list;
}

static json_t *json_failures(const struct summary *summary, struct output *out)
{
    json_t *list = json_array();
    for (size_t i = 0; i < summary->run->process_count; i++) {
        const struct record_process *process = &summary->run->processes[i];
        const struct record_variant *variant = &summary->run->variants[process->variant];
        if (process->failure)
            push(out, list,
                 json_pack("{s:o, s:i, s:o, s:o}", "framework", json_text(variant->name, out),
                           "block", (int)process->block, "reason", json_text(process->failure, out),
                           "log", json_text(process->log_tail, out)));
    }
    return list;
}

/* A JSON text of the record as part of the document; null where there is none. */
static enum status put_embedded(struct output *out, json_t *document, const char *key,
                                const char *text, struct error *err)
{
    json_t *value = text && *text ? json_parse(text, strlen(text), key, err) : json_null();
    if (!value)
        return err->status;
    put(out, document, key, value);
    return STATUS_OK;
}

static enum status document_fill(json_t *document, const struct summary *summary,
                                 struct output *out, struct error *err)
{
    const struct record_run *run = summary->run;
    put(out, document, "schema", json_string("prony-results"));
    put(out, document, "version", json_integer(SCHEMA_VERSION));
    put(out, document, "prony", json_string(PRONY_VERSION));
    put(out, document, "run",
        json_pack("{s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "id", (json_int_t)run->id,
                  "created", json_text(run->created, out), "state", json_text(run->state, out),
                  "blocks", (json_int_t)summary->blocks, "blocks_planned",
                  (json_int_t)summary->blocks_planned, "blocks_redone", (json_int_t)summary->redone,
                  "blocks_disturbed", (json_int_t)summary->disturbed, "iterations",
                  (json_int_t)summary->iterations, "prompt_tokens",
                  (json_int_t)summary->prompt_tokens));
    enum status status = put_embedded(out, document, "plan", run->plan, err);
    if (!status)
        status = put_embedded(out, document, "manifest", run->manifest, err);
    struct run_facts facts;
    if (!status)
        status = run_facts_make(&facts, run, out->arena, err);
    if (status)
        return status;
    json_t *results = json_array(), *notes = json_array();
    for (size_t i = 0; i < summary->variant_count; i++)
        push(out, results, json_result(summary, i, facts.model_size, out));
    for (size_t i = 0; i < summary->note_count; i++)
        push(out, notes, json_text(summary->notes[i], out));
    put(out, document, "results", results);
    put(out, document, "points", json_points(summary, out));
    put(out, document, "comparisons", json_comparisons(summary, out));
    put(out, document, "failures", json_failures(summary, out));
    put(out, document, "notes", notes);
    return STATUS_OK;
}

static enum status json_write(const struct summary *summary, const struct report_options *options,
                              FILE *stream, struct error *err)
{
    (void)options;
    struct arena arena = {0};
    struct output out = {.arena = &arena};
    json_t *document = json_object();
    enum status status = document_fill(document, summary, &out, err);
    if (!status && out.failed)
        status = error_no_memory(err, sizeof *document);
    if (!status && json_dumpf(document, stream, JSON_INDENT(2) | JSON_REAL_PRECISION(REAL_DIGITS)))
        status = error_errno(err, "write the JSON");
    if (!status && fputc('\n', stream) == EOF)
        status = error_errno(err, "write the JSON");
    json_decref(document);
    arena_free(&arena);
    return status;
}

const struct report_form report_json = {
    .name = "json",
    .extension = ".json",
    .about = "the whole run: figures, samples, comparisons, plan, manifest",
    .write = json_write,
};
