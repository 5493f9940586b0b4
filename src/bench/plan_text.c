/* The plan as JSON, back again, and for people. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "bench/plan.h"
#include "bench/schedule.h"

static json_t *variants_json(const struct plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->variant_count; i++) {
        const struct plan_variant *variant = &plan->variants[i];
        json_t *json =
            json_pack("{s:s, s:s, s:b, s:s*, s:s*, s:s*}", "name", variant->name, "engine",
                      variant->engine->name, "compiled", variant->variant->compiled, "unavailable",
                      variant->unavailable, "control_of", variant->control_of, "quantize",
                      variant->form.quantize);
        if (json && variant->too_large)
            json_object_set_new(json, "too_large", json_true());
        if (json && variant->form.shard > 1)
            json_object_set_new(json, "shard", json_integer(variant->form.shard));
        json_array_append_new(list, json);
    }
    return list;
}

static const char *warmth(const struct plan_point *point, bool cold)
{
    return !point->start_only ? NULL : cold ? "cold" : "warm";
}

static json_t *points_json(const struct plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->point_count; i++) {
        const struct plan_point *point = &plan->points[i];
        json_array_append_new(list, json_pack("{s:I, s:I, s:s*, s:s*}", "prompt_tokens",
                                              (json_int_t)point->prompt_tokens, "context",
                                              (json_int_t)point->context, "pages",
                                              warmth(point, point->pages_cold), "compile_cache",
                                              warmth(point, point->compile_cold)));
    }
    return list;
}

static json_t *contexts_json(const struct plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->contexts.count; i++)
        json_array_append_new(list, json_integer(plan->contexts.value[i]));
    return list;
}

static json_t *prompt_json(const struct plan *plan)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < plan->prompt_tokens; i++)
        json_array_append_new(list, json_integer(plan->prompt[i]));
    return list;
}

json_t *plan_json(const struct plan *plan)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s*, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:s, s:o, s:o, s:o, s:o}",
        "model", plan->model_path, "model_sha256", plan->model_hash, "device", plan->device, "gpu",
        *plan->gpu.name ? plan->gpu.name : NULL, "threads", (json_int_t)plan->threads, "context",
        (json_int_t)plan->context, "blocks", (json_int_t)plan->blocks, "iterations",
        (json_int_t)plan->iterations, "warmup", (json_int_t)plan->warmup, "prompt_tokens",
        (json_int_t)plan->prompt_tokens, "redo", plan->redo, "prompt_source",
        plan->prompt_synthetic ? "synthetic" : "text", "variants", variants_json(plan),
        "contexts_asked", contexts_json(plan), "points", points_json(plan), "prompt",
        prompt_json(plan));
    if (json && plan->stream_tokens)
        json_object_set_new(json, "gate_context", json_integer((json_int_t)plan->stream_tokens));
    if (json && plan->own_defaults) /* plans of before there was a choice were fair */
        json_object_set_new(json, "fair_comparison", json_false());
    return json;
}

static enum status number(const json_t *stored, const char *key, uint32_t *value, struct error *err)
{
    int64_t wide = 0;
    enum status status = json_get_int(stored, key, 1, UINT32_MAX, &wide, err);
    *value = (uint32_t)wide;
    return status;
}

static enum status text(const json_t *stored, const char *key, const char **value,
                        struct arena *arena, struct error *err)
{
    enum status status = json_get_string(stored, key, value, err);
    if (status)
        return status;
    *value = arena_strdup(arena, *value);
    return *value ? STATUS_OK : error_no_memory(err, 0);
}

static void length_add(struct plan_lengths *lengths, const json_t *number)
{
    int64_t value = json_integer_value(number);
    for (size_t i = 0; i < lengths->count; i++)
        if (lengths->value[i] == value)
            return;
    if (lengths->count < PLAN_LENGTHS && value > 0 && value <= UINT32_MAX)
        lengths->value[lengths->count++] = (uint32_t)value;
}

/* The lengths that lead to the stored points; plan_same finds a plan that they do not lead to. */
static void points_parse(struct plan_request *request, const json_t *stored)
{
    const json_t *point, *context;
    size_t i;
    json_array_foreach(json_object_get(stored, "points"), i, point)
    {
        length_add(&request->prompt_tokens, json_object_get(point, "prompt_tokens"));
        request->cold = request->cold || json_object_get(point, "pages");
    }
    json_array_foreach(json_object_get(stored, "contexts_asked"), i, context)
    {
        length_add(&request->context, context);
    }
}

static enum status frameworks(struct plan_request *request, const json_t *stored,
                              struct arena *arena, struct error *err)
{
    const json_t *list = json_object_get(stored, "variants");
    size_t count = json_array_size(list);
    const char **names = arena_array(arena, count + 1, sizeof *names);
    if (!names)
        return error_no_memory(err, count * sizeof *names);
    enum status status = STATUS_OK;
    request->frameworks = names;
    for (size_t i = 0; i < count && !status; i++) {
        const json_t *variant = json_array_get(list, i);
        if (json_object_get(variant, "control_of"))
            request->control = true;
        else
            status = text(variant, "name", &names[request->framework_count++], arena, err);
    }
    return status;
}

/* What was left out for want of memory, which there may be more or less of by now. */
static enum status too_large(struct plan_request *request, const json_t *stored,
                             struct arena *arena, struct error *err)
{
    const json_t *list = json_object_get(stored, "variants"), *variant;
    size_t i;
    request->resumed = true;
    request->too_large = arena_array(arena, json_array_size(list) + 1, sizeof *request->too_large);
    if (!request->too_large)
        return error_no_memory(err, json_array_size(list) * sizeof *request->too_large);
    json_array_foreach(list, i, variant)
    {
        struct plan_too_large *left_out = &request->too_large[request->too_large_count];
        if (!json_is_true(json_object_get(variant, "too_large")))
            continue;
        if (text(variant, "name", &left_out->name, arena, err) ||
            text(variant, "unavailable", &left_out->why, arena, err))
            return err->status;
        request->too_large_count++;
    }
    return STATUS_OK;
}

enum status plan_request_parse(struct plan_request *request, const json_t *stored,
                               struct arena *arena, struct error *err)
{
    *request = (struct plan_request){0};
    enum status status = text(stored, "model", &request->model_path, arena, err);
    if (!status)
        status = text(stored, "device", &request->device, arena, err);
    if (!status)
        status = number(stored, "threads", &request->threads, err);
    if (!status)
        status = number(stored, "blocks", &request->blocks, err);
    if (!status)
        status = number(stored, "iterations", &request->iterations, err);
    if (!status)
        status = number(stored, "warmup", &request->warmup, err);
    if (!status && json_object_get(stored, "gate_context"))
        status = number(stored, "gate_context", &request->gate_context, err);
    points_parse(request, stored);
    request->own_defaults = json_is_false(json_object_get(stored, "fair_comparison"));
    request->no_redo = json_is_false(json_object_get(stored, "redo"));
    if (!status)
        status = too_large(request, stored, arena, err);
    return status ? status : frameworks(request, stored, arena, err);
}

enum status plan_same(const json_t *stored, const json_t *now, struct error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)now, key, value)
    {
        const json_t *before = json_object_get(stored, key);
        if (json_equal(before, value))
            continue;
        char *old_text = json_dumps(before, JSON_ENCODE_ANY | JSON_COMPACT);
        char *new_text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        error_set(err, STATUS_USAGE,
                  "the unfinished run had another plan: %s was %.160s, now %.160s", key,
                  old_text ? old_text : "absent", new_text ? new_text : "absent");
        free(old_text);
        free(new_text);
        return error_remedy(err, "Go on with `prony bench --resume` alone, or start a new run "
                                 "without --resume.");
    }
    return STATUS_OK;
}

static void order_print(const struct plan *plan, FILE *stream)
{
    uint32_t order[64];
    if (plan->variant_count > 64)
        return;
    for (uint32_t block = 0; block < plan->blocks && block < 24; block++) {
        schedule_order(plan->variant_count, block, order);
        fprintf(stream, "  block %-3u", block + 1);
        for (size_t i = 0; i < plan->variant_count; i++)
            if (!plan->variants[order[i]].unavailable)
                fprintf(stream, " %s", plan->variants[order[i]].name);
        fputc('\n', stream);
    }
    if (plan->blocks > 24)
        fprintf(stream, "  ... %u blocks\n", plan->blocks);
}

static void gate_print(const struct plan *plan, FILE *stream)
{
    if (!plan->stream_tokens) {
        fprintf(stream, "Gate      none: this is no fair comparison\n");
        return;
    }
    fprintf(stream,
            "Gate      %u positions of %s through every variant, and the ids that it generates, "
            "against native-f32\n",
            plan->stream_tokens, plan->prompt_synthetic ? "synthetic ids" : "text");
    const char *lead = "          not gated, since their engines give no logits: ";
    for (size_t i = 0; i < plan->variant_count; i++)
        if (!plan->variants[i].unavailable && !plan->variants[i].variant->logits &&
            !plan->variants[i].variant->text) {
            fprintf(stream, "%s%s", lead, plan->variants[i].name);
            lead = ", ";
        }
    if (strcmp(lead, ", ") == 0)
        fputc('\n', stream);
}

void plan_print(const struct plan *plan, FILE *stream)
{
    fprintf(stream, "Model     %s (%.1f M parameters, %.3f GB as stored)\n", plan->model_path,
            (double)plan->model.parameters / 1e6, (double)plan->model.weight_bytes / 1e9);
    fprintf(stream, "SHA-256   %s\n", plan->model_hash);
    fprintf(stream, "Prompt    %u tokens%s\n", plan->prompt_tokens,
            plan->prompt_synthetic ? " (synthetic: the model has no tokenizer)" : "");
    fprintf(stream, "Decode    %u steps of warm-up, %u counted, in each process\n", plan->warmup,
            plan->iterations);
    fprintf(stream, "Device    %s%s%s, %u thread%s, context %u\n", plan->device,
            *plan->gpu.name ? ": " : "", plan->gpu.name, plan->threads,
            plan->threads == 1 ? "" : "s", plan->context);
    if (plan->own_defaults)
        fprintf(stream, "Fairness  none: each engine has its own number of threads and its own "
                        "context\n");
    for (size_t i = 1; i < plan->point_count; i++) {
        const struct plan_point *point = &plan->points[i];
        if (point->start_only)
            fprintf(stream, "Besides   a start with %s pages and a %s compile cache\n",
                    warmth(point, point->pages_cold), warmth(point, point->compile_cold));
        else
            fprintf(stream, "Besides   a prompt of %u in a context of %u\n", point->prompt_tokens,
                    point->context);
    }
    gate_print(plan, stream);
    fprintf(stream, "Variants\n");
    for (size_t i = 0; i < plan->variant_count; i++) {
        const struct plan_variant *variant = &plan->variants[i];
        if (variant->unavailable)
            fprintf(stream, "  %-16s not available: %s\n", variant->name, variant->unavailable);
        else
            fprintf(stream, "  %-16s %-9s %s%s%s\n", variant->name, plan_precision(variant),
                    variant->variant->about,
                    variant->copied ? " Loads a copy in safetensors: " : "",
                    variant->copied ? plan->copy : "");
    }
    fprintf(stream, "Order     %u block%s, each variant in a fresh process\n", plan->blocks,
            plan->blocks == 1 ? "" : "s");
    order_print(plan, stream);
}
