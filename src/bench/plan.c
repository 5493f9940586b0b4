#include "bench/plan.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cores.h"
#include "base/file.h"
#include "bench/equivalence.h"
#include "bench/plan_memory.h"
#include "bench/prompt.h"
#include "bench/summary.h"
#include "bench/variants.h"
#include "fit/copy.h"
#include "machine/free_memory.h"
#include "model/detect.h"
#include "model/quantisable.h"
#include "model/shards.h"
#include "model/synthetic.h"

enum {
    ITERATIONS = 20,
    WARMUP = 8,
    PROMPT_TOKENS = 64,
    SINGLE_BLOCKS = 3,
    CONTEXT_UNIT = 256,
    LOAD_MATRIX = 4
};

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

/* The type that the user expects, or llama, which is what engines are given. */
static enum status type_check(const struct plan_request *request, const char *path,
                              struct error *err)
{
    const char *name = request->model_type ? request->model_type : "llama";
    enum model_type expected = model_type_parse(name);
    if (expected == MODEL_TYPE_UNKNOWN) {
        error_set(err, STATUS_USAGE, "there is no model type '%s'", name);
        return error_remedy(err, "Types are llama and gpt.");
    }
    enum status status = model_check_type(path, expected, err);
    if (!status && expected != MODEL_TYPE_LLAMA) {
        error_set(err, STATUS_UNSUPPORTED, "models of type '%s' cannot be benchmarked", name);
        error_where(err, "%s", path);
        status = error_remedy(err, "Use a model of the Llama architecture.");
    }
    return status;
}

static enum status model_find(struct plan *plan, const struct plan_request *request,
                              struct error *err)
{
    char found[PATH_MAX], resolved[PATH_MAX];
    if (!request->model_path) {
        error_set(err, STATUS_USAGE, "no model: --model-path is missing");
        return error_remedy(err, "Add --model-path with a GGUF file or a safetensors folder.");
    }
    enum status status = type_check(request, request->model_path, err);
    if (!status)
        status = model_locate(request->model_path, found, sizeof found, err);
    if (status)
        return status;
    if (synthetic_is_name(found)) {
        snprintf(resolved, sizeof resolved, "%s", found);
    } else if (!path_resolve(found, resolved)) {
        error_errno(err, "find the model");
        return error_where(err, "%s", found);
    }
    plan->model_path = arena_strdup(&plan->arena, resolved);
    return plan->model_path ? STATUS_OK : error_no_memory(err, strlen(resolved));
}

static enum status device_check(struct plan *plan, const struct plan_request *request,
                                struct error *err)
{
    const char *device = request->device ? request->device : "cpu";
    plan->device = arena_strdup(&plan->arena, device);
    return plan->device ? gpu_check(device, &plan->gpu, err) : error_no_memory(err, strlen(device));
}

static enum status context_choose(const struct plan *plan, uint32_t prompt_tokens, uint32_t asked,
                                  uint32_t *context, struct error *err)
{
    uint64_t needed = (uint64_t)prompt_tokens + plan_tokens(plan);
    uint32_t trained = plan->model.config.context ? plan->model.config.context : UINT32_MAX;
    if (asked && asked < needed) {
        error_set(err, STATUS_USAGE, "a context of %u does not hold %u prompt tokens and %u more",
                  asked, prompt_tokens, plan_tokens(plan));
        return error_remedy(err, "Use --context %llu or more, or fewer tokens.",
                            (unsigned long long)needed);
    }
    if (needed > trained || asked > trained) {
        error_set(err, STATUS_USAGE, "the model was made for a context of %u; this needs %llu",
                  trained, (unsigned long long)(needed > trained ? needed : asked));
        error_where(err, "%s", plan->model_path);
        return error_remedy(err, "Use a smaller --prompt-tokens, --iterations or --context.");
    }
    uint64_t rounded = (needed + CONTEXT_UNIT - 1) / CONTEXT_UNIT * CONTEXT_UNIT;
    *context = asked ? asked : (uint32_t)(rounded > trained ? trained : rounded);
    return STATUS_OK;
}

static enum status points_choose(struct plan *plan, const struct plan_request *request,
                                 struct error *err)
{
    const struct plan_lengths usual = {{PROMPT_TOKENS}, 1}, needed = {{0}, 1};
    const struct plan_lengths *prompts =
        request->prompt_tokens.count ? &request->prompt_tokens : &usual;
    const struct plan_lengths *contexts = request->context.count ? &request->context : &needed;
    plan->points = arena_array(&plan->arena, prompts->count * contexts->count + LOAD_MATRIX,
                               sizeof *plan->points);
    if (!plan->points)
        return error_no_memory(err, prompts->count * contexts->count);
    for (size_t i = 0; i < prompts->count; i++)
        for (size_t j = 0; j < contexts->count; j++) {
            struct plan_point *point = &plan->points[plan->point_count++];
            point->prompt_tokens = prompts->value[i];
            if (context_choose(plan, point->prompt_tokens, contexts->value[j], &point->context,
                               err))
                return err->status;
        }
    for (size_t i = 0; request->cold && i < LOAD_MATRIX; i++) {
        struct plan_point *point = &plan->points[plan->point_count++];
        *point = plan->points[0];
        point->start_only = true;
        point->pages_cold = i % 2;
        point->compile_cold = i / 2;
    }
    plan->contexts = request->context;
    plan->prompt_tokens = plan->points[0].prompt_tokens;
    plan->context = plan->points[0].context;
    return STATUS_OK;
}

/* Without a fair comparison it is what the engine has by itself, if that does. */
static uint32_t variant_context(const struct plan *plan, const struct plan_variant *variant)
{
    uint32_t trained = plan->model.config.context, own = variant->variant->context;
    uint32_t needed = plan->prompt_tokens + plan_tokens(plan);
    if (!plan->own_defaults)
        return plan->context;
    own = own && (!trained || own < trained) ? own : trained;
    return own > needed ? own : needed;
}

/* As many positions as the gate wants, and the model has. */
static enum status stream_choose(struct plan *plan, const struct plan_request *request,
                                 struct error *err)
{
    uint32_t trained = plan->model.config.context ? plan->model.config.context : UINT32_MAX;
    if (request->gate_context > trained) {
        error_set(err, STATUS_USAGE, "the model was made for a context of %u; the gate's is %u",
                  trained, request->gate_context);
        error_where(err, "%s", plan->model_path);
        return error_remedy(err, "Use a smaller --gate-context.");
    }
    if (plan->own_defaults) /* there is nothing to be fair about */
        return STATUS_OK;
    plan->stream_tokens = or_default(request->gate_context, EQUIVALENCE_POSITIONS);
    if (plan->stream_tokens > trained)
        plan->stream_tokens = trained;
    return STATUS_OK;
}

static enum status numbers_choose(struct plan *plan, const struct plan_request *request,
                                  struct error *err)
{
    struct cores *cores = malloc(sizeof *cores);
    if (!cores)
        return error_no_memory(err, sizeof *cores);
    cores_read(cores);
    plan->own_defaults = request->own_defaults;
    plan->threads = or_default(request->threads, cores->count);
    free(cores);
    plan->iterations = or_default(request->iterations, ITERATIONS);
    plan->warmup = or_default(request->warmup, WARMUP);
    const char *redo = getenv("PRONY_REDO");
    plan->redo = !request->no_redo && !(redo && strcmp(redo, "0") == 0);
    plan->blocks =
        or_default(request->blocks, plan->variant_count > 1 ? VERDICT_BLOCKS : SINGLE_BLOCKS);
    enum status status = stream_choose(plan, request, err);
    if (!status)
        status = points_choose(plan, request, err);
    for (size_t i = 0; i < plan->variant_count && !status; i++)
        plan->variants[i].context = variant_context(plan, &plan->variants[i]);
    return status;
}

/* The ids that engines are given: the timed prompt, and the stream of the gate. */
static enum status ids_make(struct plan *plan, struct error *err)
{
    uint32_t vocabulary = plan->model.config.vocabulary;
    uint32_t longest = 0;
    for (size_t i = 0; i < plan->point_count; i++)
        if (plan->points[i].prompt_tokens > longest)
            longest = plan->points[i].prompt_tokens;
    plan->prompt = arena_array(&plan->arena, longest, sizeof *plan->prompt);
    plan->stream = arena_array(&plan->arena, plan->stream_tokens + 1, sizeof *plan->stream);
    if (!plan->prompt || !plan->stream)
        return error_no_memory(err, longest * sizeof *plan->prompt);
    enum status status = prompt_make(plan->model_path, vocabulary, plan->prompt, longest,
                                     &plan->prompt_synthetic, err);
    return status || !plan->stream_tokens
               ? status
               : prompt_make(plan->model_path, vocabulary, plan->stream, plan->stream_tokens,
                             &plan->prompt_synthetic, err);
}

/* What is quantised on load is quantised from the numbers that all engines have. */
static enum status weights_check(const struct plan *plan, const struct plan_request *request,
                                 struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < request->quantize_count && !status; i++) {
        struct engine_form asked = form_asked(request->quantize[i], 1);
        if (asked.quantize)
            status = model_check_quantize(&plan->model, asked.quantize, err);
    }
    for (size_t i = 0; i < plan->variant_count && !status; i++)
        if (plan->variants[i].form.quantize)
            status = model_check_quantize(&plan->model, plan->variants[i].form.quantize, err);
    return status;
}

/* Devices that a model may be split over: on a CPU its threads, else the cards that NVML shows. */
static uint32_t devices_of(const struct plan *plan)
{
    if (strcmp(plan->device, "cpu") == 0)
        return plan->threads;
    uint32_t cards = free_memory_card_count();
    return cards ? cards : UINT32_MAX;
}

static enum status shards_fit(const struct plan *plan, struct error *err)
{
    uint32_t devices = devices_of(plan);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < plan->variant_count && !status; i++) {
        const struct engine_form *form = &plan->variants[i].form;
        if (plan->variants[i].unavailable)
            continue;
        status = shards_check(&plan->model.config, form->shard, devices, err);
        if (!status)
            status = shards_check_blocks(&plan->model.config, form->quantize, form->shard, err);
    }
    return status;
}

/* Where the copy is that variants load which cannot read the model itself; nothing is made. */
static enum status copy_find(struct plan *plan, struct error *err)
{
    char path[PATH_MAX];
    enum status status = copy_path(plan->model_hash, path, err);
    if (status)
        return status;
    plan->copy = arena_strdup(&plan->arena, path);
    return plan->copy ? STATUS_OK : error_no_memory(err, strlen(path));
}

static enum status fill(struct plan *plan, const struct plan_request *request, struct error *err)
{
    enum status status = model_find(plan, request, err);
    if (!status)
        status = device_check(plan, request, err);
    if (!status)
        status = model_open(&plan->model, plan->model_path, err);
    if (!status)
        status = engine_catalogue_open(&plan->catalogue, err);
    if (!status)
        status = variants_choose(plan, request, err);
    if (!status)
        status = weights_check(plan, request, err);
    if (!status)
        status = numbers_choose(plan, request, err);
    if (!status)
        status = shards_fit(plan, err);
    if (!status)
        status = plan_memory_check(plan, request, err);
    if (status)
        return status;
    status = ids_make(plan, err);
    if (!status)
        status = model_hash(&plan->model, plan->model_hash, err);
    return status ? status : copy_find(plan, err);
}

enum status plan_make(struct plan *plan, const struct plan_request *request, struct error *err)
{
    *plan = (struct plan){0};
    enum status status = fill(plan, request, err);
    if (status)
        plan_free(plan);
    return status;
}

void plan_free(struct plan *plan)
{
    model_close(&plan->model);
    engine_catalogue_close(&plan->catalogue);
    arena_free(&plan->arena);
    *plan = (struct plan){0};
}

bool plan_needs_copy(const struct plan *plan)
{
    bool needed = false;
    for (size_t i = 0; i < plan->variant_count; i++)
        needed = needed || (plan->variants[i].copied && !plan->variants[i].unavailable);
    return needed && !copy_is_made(plan->copy);
}

const char *plan_source(const struct plan *plan, const struct plan_variant *variant)
{
    return variant->copied ? plan->copy : plan->model_path;
}

const char *plan_precision(const struct plan_variant *variant)
{
    return variant->form.quantize ? variant->form.quantize : variant->variant->precision;
}

bool plan_on_cards(const struct plan *plan, size_t variant)
{
    return *plan->gpu.pci && plan->variants[variant].form.shard > 1;
}

bool plan_quantises(const struct plan *plan)
{
    for (size_t i = 0; i < plan->variant_count; i++)
        if (plan->variants[i].form.quantize)
            return true;
    return false;
}

uint32_t plan_tokens(const struct plan *plan)
{
    return 1 + plan->warmup + plan->iterations;
}
