#include "bench/solo.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/prompt.h"
#include "engine/presence.h"
#include "engine/worker.h"
#include "fit/copy.h"
#include "fit/fit.h"
#include "fit/loading.h"
#include "fit/quantised.h"
#include "machine/memory.h"
#include "model/model.h"
#include "model/quantisable.h"

enum { PROMPT_TOKENS = 64, CONTEXT_UNIT = 256 };

struct solo {
    const struct solo_request *request;
    FILE *stream;
    struct engine_catalogue catalogue;
    const struct engine *engine;
    const struct engine_variant *variant;
    struct model model;
    char source[PATH_MAX]; /* what the variant loads: the model, or a copy */
    struct fit_request fit;
    struct loading loading;
    struct worker *worker;
    int32_t prompt[PROMPT_TOKENS], *ids;
    int64_t *stamps_ns;
};

static double ms(int64_t from_ns, int64_t to_ns)
{
    return (double)(to_ns - from_ns) / 1e6;
}

static enum status choose(struct solo *solo, struct error *err)
{
    const char *name = solo->request->name, *device = solo->request->device;
    struct arena *arena = &solo->catalogue.arena;
    solo->variant = engine_variant_find(&solo->catalogue, name, &solo->engine);
    if (!solo->variant && (solo->engine = engine_find(&solo->catalogue, name)))
        solo->variant = &solo->engine->variants[0];
    if (!solo->variant) {
        error_set(err, STATUS_NOT_FOUND, "there is no engine or variant '%s'", name);
        return error_remedy(err, "'prony engines' lists those that are there.");
    }
    const char *obstacle =
        form_obstacle(&solo->catalogue, solo->variant, &solo->request->form, device, arena);
    obstacle = obstacle ? obstacle : engine_obstacle(solo->engine, solo->variant, device, arena);
    return obstacle ? error_set(err, STATUS_NOT_FOUND, "%s: %s", solo->variant->name, obstacle)
                    : STATUS_OK;
}

static enum status start(struct solo *solo, struct error *err)
{
    struct worker_hello hello;
    struct worker_options options = {.cancel_fd = solo->request->cancel_fd,
                                     .log_path = solo->request->log_path,
                                     .on_loading = loading_report,
                                     .on_loading_context = &solo->loading};
    enum status status = worker_start(&solo->worker, solo->engine, &options, &hello, err);
    if (!status)
        fprintf(solo->stream, "%-16s %10.1f ms  %s %s%s%s, on %s\n", "start",
                ms(hello.spawned_ns, hello.ready_ns), hello.engine, hello.version,
                *hello.stands_on ? "; " : "", hello.stands_on, hello.devices);
    return status;
}

/* Of a model that is split over processes an engine may tell of its own part alone. */
static void parts_memory(const struct solo *solo)
{
    struct memory_tree tree;
    memory_tree_read(worker_pid(solo->worker), &tree);
    if (tree.pss_bytes >= 0)
        fprintf(solo->stream, "%-16s host %.3f GB, peak %.3f  (%s)\n", "  all processes",
                (double)tree.pss_bytes / 1e9, (double)tree.peak_bytes / 1e9, memory_tree_method);
}

static enum status memory(struct solo *solo, const char *when, struct error *err)
{
    struct worker_memory told;
    enum status status = worker_memory(solo->worker, &told, err);
    if (status)
        return status;
    fprintf(solo->stream, "%-16s host %.3f GB, peak %.3f", when, (double)told.host_bytes / 1e9,
            (double)told.host_peak_bytes / 1e9);
    if (told.device_bytes > 0)
        fprintf(solo->stream, "; device %.3f GB, peak %.3f", (double)told.device_bytes / 1e9,
                (double)told.device_peak_bytes / 1e9);
    fprintf(solo->stream, "  (as the engine tells: %s)\n", told.method);
    if (solo->fit.form.shard > 1)
        parts_memory(solo);
    return STATUS_OK;
}

static enum status load(struct solo *solo, struct error *err)
{
    struct worker_loaded loaded;
    char kept[PATH_MAX];
    struct worker_load asked = {.model = solo->source,
                                .quantize = solo->fit.form.quantize,
                                .keep_at = kept,
                                .shard = solo->fit.form.shard,
                                .variant = solo->variant->name,
                                .device = solo->request->device,
                                .threads = solo->request->threads,
                                .context = solo->fit.context};
    enum status status =
        quantised_path(kept, solo->engine, solo->variant, &solo->fit.form, &solo->model, err);
    if (status)
        return status;
    loading_start(&solo->loading, fit_expected_bytes(&solo->fit));
    status = worker_load(solo->worker, &asked, &loaded, err);
    loading_end(&solo->loading);
    if (status)
        return status;
    if (copy_need(solo->variant, &solo->model) == COPY_NEEDED)
        copy_detail(loaded.detail, sizeof loaded.detail);
    for (size_t i = 0; i < loaded.phases; i++)
        fprintf(solo->stream, "  %-14s %10.1f ms\n", loaded.phase[i].name,
                ms(loaded.phase[i].start_ns, loaded.phase[i].end_ns));
    double load_ms = ms(loaded.asked_ns, loaded.ready_ns), gb = (double)loaded.weight_bytes / 1e9;
    fprintf(solo->stream, "%-16s %10.1f ms  %s, %u threads, %.3f GB of weights, %.2f GB/s%s%s\n",
            "load", load_ms, *loaded.precision ? loaded.precision : solo->variant->precision,
            loaded.threads, gb, gb / load_ms * 1e3, *loaded.detail ? "; " : "", loaded.detail);
    return STATUS_OK;
}

/* What is to be loaded, and whether it fits. */
static enum status size_up(struct solo *solo, struct error *err)
{
    const struct solo_request *request = solo->request;
    uint32_t needed = PROMPT_TOKENS + 1 + request->warmup + request->tokens;
    uint32_t rounded = (needed + CONTEXT_UNIT - 1) / CONTEXT_UNIT * CONTEXT_UNIT;
    solo->fit = (struct fit_request){.engine = solo->engine,
                                     .variant = solo->variant,
                                     .model = &solo->model,
                                     .form = form_of(solo->variant, &request->form),
                                     .context = request->context ? request->context : rounded,
                                     .least_context = needed,
                                     .threads = request->threads,
                                     .device = request->device,
                                     .pci = request->pci};
    return request->no_memory_check ? STATUS_OK : fit_check(&solo->fit, err);
}

static enum status generate(struct solo *solo, const char *title, uint32_t tokens,
                            struct worker_generated *generated, struct error *err)
{
    *generated = (struct worker_generated){.ids = solo->ids, .stamps_ns = solo->stamps_ns};
    enum status status =
        worker_generate(solo->worker, solo->prompt, PROMPT_TOKENS, tokens, generated, err);
    if (!status)
        fprintf(solo->stream, "%-16s %10.1f ms  after a prompt of %d\n", title,
                ms(generated->prompt_ns, generated->stamps_ns[0]), PROMPT_TOKENS);
    fflush(solo->stream);
    return status;
}

static void steps_print(const struct solo *solo, const struct worker_generated *generated)
{
    size_t first = solo->request->warmup + 1, count = generated->count - first;
    const int64_t *stamps = generated->stamps_ns;
    for (size_t i = 1; i < generated->count; i++)
        fprintf(solo->stream, "  %-14s %10.3f ms  id %d\n", i < first ? "warm-up" : "token",
                ms(stamps[i - 1], stamps[i]), generated->ids[i]);
    double mean = ms(stamps[first - 1], stamps[generated->count - 1]) / (double)count;
    fprintf(solo->stream, "%-16s %10.3f ms  %.1f tok/s, mean of %zu\n", "token", mean, 1000 / mean,
            count);
}

static enum status steps(struct solo *solo, struct error *err)
{
    const struct solo_request *request = solo->request;
    struct worker_generated generated;
    struct worker_traced traced;
    enum status status = generate(solo, "cold start", 2, &generated, err);
    if (!status && request->trace_path)
        status = worker_trace(solo->worker, request->trace_path, &traced, err);
    if (!status)
        status =
            generate(solo, "first token", 1 + request->warmup + request->tokens, &generated, err);
    if (!status)
        steps_print(solo, &generated);
    if (!status && request->trace_path)
        status = worker_trace(solo->worker, "", &traced, err);
    return status;
}

static enum status live(struct solo *solo, struct error *err)
{
    size_t room = 1 + (size_t)solo->request->warmup + solo->request->tokens + 1;
    bool synthetic;
    solo->ids = calloc(room, sizeof *solo->ids);
    solo->stamps_ns = calloc(room, sizeof *solo->stamps_ns);
    if (!solo->ids || !solo->stamps_ns)
        return error_no_memory(err, room * sizeof *solo->stamps_ns);
    enum status status = prompt_make(solo->model.path, solo->model.config.vocabulary, solo->prompt,
                                     PROMPT_TOKENS, &synthetic, err);
    if (!status)
        status = start(solo, err);
    if (!status)
        status = load(solo, err);
    if (!status)
        status = memory(solo, "memory, loaded", err);
    if (!status)
        status = steps(solo, err);
    return status ? status : memory(solo, "memory, at the end", err);
}

enum status solo_run(const struct solo_request *request, FILE *stream, struct error *err)
{
    struct solo solo = {.request = request, .stream = stream};
    enum status status = engine_catalogue_open(&solo.catalogue, err);
    if (!status)
        status = choose(&solo, err);
    if (!status)
        status = model_open(&solo.model, request->model_path, err);
    if (!status && request->form.quantize)
        status = model_check_quantize(&solo.model,
                                      form_method(solo.variant, request->form.quantize), err);
    if (!status)
        status = size_up(&solo, err);
    if (!status)
        status = copy_or_model(solo.variant, &solo.model, request->cancel_fd, solo.source, err);
    if (!status)
        status = live(&solo, err);
    worker_stop(solo.worker);
    free(solo.ids);
    free(solo.stamps_ns);
    model_close(&solo.model);
    engine_catalogue_close(&solo.catalogue);
    return status;
}
