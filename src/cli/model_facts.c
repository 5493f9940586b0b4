#include "cli/model_facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/printable.h"
#include "model/rope_factors.h"
#include "model/safetensors/json_write.h"
#include "model/tensor_walk.h"

enum { KV_ELEMENT_BYTES = 2 };

static enum status read_rope(struct model_facts *facts, struct error *err)
{
    const struct tensor *freqs = &facts->model->rope_freqs;
    if (!freqs->data)
        return STATUS_OK;
    float *factors = malloc(tensor_columns(freqs) * sizeof *factors);
    if (!factors)
        return error_no_memory(err, tensor_columns(freqs) * sizeof *factors);
    tensor_row_f32(freqs, 0, factors);
    facts->rope_unknown = !rope_factors_explain(&facts->config, factors);
    free(factors);
    return STATUS_OK;
}

enum status model_facts_read(struct model_facts *facts, const struct model *model, bool hash,
                             struct error *err)
{
    const struct model_config *c = &model->config;
    const struct tensor *tensor;
    *facts = (struct model_facts){.model = model, .config = *c};
    for (uint64_t i = 0; (tensor = model_tensor(model, i)); i++) {
        struct type_count *count = &facts->types[tensor->type];
        count->tensors++;
        count->elements += tensor_elements(tensor);
        count->bytes += tensor->bytes;
    }
    facts->kv_bytes_per_token =
        (uint64_t)2 * c->layers * c->kv_heads * c->head_size * KV_ELEMENT_BYTES;
    token_list_of_model(&facts->tokens, &facts->arena, model, &facts->tokens_error);
    enum status status = read_rope(facts, err);
    return !status && hash ? model_hash(model, facts->sha256, err) : status;
}

void model_facts_free(struct model_facts *facts)
{
    arena_free(&facts->arena);
}

static void print_format(const struct model *model)
{
    size_t files;
    model_paths(model, &files);
    printf("%-14s%s", "format",
           model->format == MODEL_GGUF ? "GGUF" : model_format_name(model->format));
    if (files > 1)
        printf(" in %zu files", files);
    puts(", architecture llama");
}

static const char *rope_name(const struct model_facts *facts)
{
    static const char *const names[] = {[ROPE_SCALING_NONE] = "none",
                                        [ROPE_SCALING_LINEAR] = "linear",
                                        [ROPE_SCALING_LLAMA3] = "llama3"};
    return facts->rope_unknown ? "own factors" : names[facts->config.rope.kind];
}

static void print_types(const struct model_facts *facts)
{
    printf("%-14s", "weights");
    for (int type = 0, first = 1; type < TENSOR_TYPES; type++) {
        const struct type_count *count = &facts->types[type];
        if (count->tensors == 0)
            continue;
        printf("%s%s: %" PRIu64 " tensors, %.1f M elements, %.1f MB\n",
               first ? "" : "              ", tensor_type_name((enum tensor_type)type),
               count->tensors, (double)count->elements / 1e6, (double)count->bytes / 1e6);
        first = 0;
    }
}

static void print_rope(const struct model_facts *facts)
{
    const struct rope_scaling *rope = &facts->config.rope;
    printf("%-14sbase %g, scaling %s", "rope", (double)facts->config.rope_base, rope_name(facts));
    if (rope->kind != ROPE_SCALING_NONE)
        printf(" (factor %g", (double)rope->factor);
    if (rope->kind == ROPE_SCALING_LLAMA3)
        printf(", low %g, high %g, original context %u", (double)rope->low_freq_factor,
               (double)rope->high_freq_factor, rope->original_context);
    puts(rope->kind != ROPE_SCALING_NONE ? ")" : "");
}

static void print_tokens(const struct model_facts *facts)
{
    const struct token_list *tokens = &facts->tokens;
    char pre[64];
    if (facts->tokens_error.status) {
        printf("%-14snone: %s\n", "tokenizer", facts->tokens_error.what);
        return;
    }
    printf("%-14sbyte-level BPE, %s; %u tokens, %u merges; bos %d, eos %d%s\n", "tokenizer",
           printable(pre, sizeof pre, tokens->pre, strlen(tokens->pre)), tokens->count,
           tokens->merge_count, tokens->bos, tokens->eos,
           tokens->chat_template ? "; with a chat template" : "");
}

void model_facts_print(const struct model_facts *facts)
{
    const struct model *model = facts->model;
    const struct model_config *c = &facts->config;
    printf("%-14s%s\n", "name", model->name);
    print_format(model);
    printf("%-14s%.1f M\n", "parameters", (double)model->parameters / 1e6);
    printf("%-14s%.1f MB\n", "size", (double)model->weight_bytes / 1e6);
    print_types(facts);
    printf("%-14s%u layers, width %u, feed-forward %u\n", "shape", c->layers, c->hidden_size,
           c->ffn_size);
    printf("%-14s%u query heads, %u key-value heads (%u to one), head size %u\n", "attention",
           c->heads, c->kv_heads, c->heads / c->kv_heads, c->head_size);
    printf("%-14s%u, output matrix %s\n", "vocabulary", c->vocabulary,
           c->tied ? "tied to the embedding" : "of its own");
    printf("%-14s%u positions\n", "context", c->context);
    print_rope(facts);
    print_tokens(facts);
    printf("%-14s%.1f KiB a token in 16 bits, %.1f MB for the whole context\n", "KV cache",
           (double)facts->kv_bytes_per_token / 1024,
           (double)facts->kv_bytes_per_token * c->context / 1e6);
    if (facts->sha256[0])
        printf("%-14s%s\n", "SHA-256", facts->sha256);
}

static json_t *types_json(const struct model_facts *facts)
{
    json_t *types = json_object();
    for (int type = 0; type < TENSOR_TYPES; type++) {
        const struct type_count *count = &facts->types[type];
        if (count->tensors > 0)
            json_object_set_new(types, tensor_type_name((enum tensor_type)type),
                                json_pack("{s:I,s:I,s:I}", "tensors", (json_int_t)count->tensors,
                                          "elements", (json_int_t)count->elements, "bytes",
                                          (json_int_t)count->bytes));
    }
    return types;
}

static json_t *rope_json(const struct model_facts *facts)
{
    const struct rope_scaling *rope = &facts->config.rope;
    json_t *json = json_pack("{s:o,s:s}", "base", json_float(facts->config.rope_base), "scaling",
                             rope_name(facts));
    if (rope->kind != ROPE_SCALING_NONE)
        json_object_set_new(json, "factor", json_float(rope->factor));
    if (rope->kind == ROPE_SCALING_LLAMA3) {
        json_object_set_new(json, "low_freq_factor", json_float(rope->low_freq_factor));
        json_object_set_new(json, "high_freq_factor", json_float(rope->high_freq_factor));
        json_object_set_new(json, "original_context", json_integer(rope->original_context));
    }
    return json;
}

static json_t *tokens_json(const struct model_facts *facts)
{
    const struct token_list *tokens = &facts->tokens;
    char pre[64];
    if (facts->tokens_error.status)
        return json_null();
    return json_pack("{s:s,s:s,s:I,s:I,s:i,s:i,s:b,s:b}", "kind", "byte-level BPE", "pre",
                     printable(pre, sizeof pre, tokens->pre, strlen(tokens->pre)), "tokens",
                     (json_int_t)tokens->count, "merges", (json_int_t)tokens->merge_count, "bos",
                     tokens->bos, "eos", tokens->eos, "add_bos", tokens->add_bos, "chat_template",
                     tokens->chat_template != NULL);
}

/* A path need not be UTF-8, and JSON must. */
static json_t *path_json(const char *path)
{
    char text[512];
    json_t *json = json_string(path);
    return json ? json : json_string(printable(text, sizeof text, path, strlen(path)));
}

json_t *model_facts_json(const struct model_facts *facts)
{
    const struct model *model = facts->model;
    const struct model_config *c = &facts->config;
    size_t files;
    model_paths(model, &files);
    json_t *json = json_pack(
        "{s:s,s:o,s:o,s:I,s:s,s:s,s:I,s:I,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:o,s:o,s:I}",
        "name", model->name, "path", path_json(model->path), "weights", path_json(model->weights),
        "files", (json_int_t)files, "format", model_format_name(model->format), "architecture",
        "llama", "parameters", (json_int_t)model->parameters, "weight_bytes",
        (json_int_t)model->weight_bytes, "types", types_json(facts), "layers",
        (json_int_t)c->layers, "hidden_size", (json_int_t)c->hidden_size, "ffn_size",
        (json_int_t)c->ffn_size, "heads", (json_int_t)c->heads, "kv_heads", (json_int_t)c->kv_heads,
        "head_size", (json_int_t)c->head_size, "vocabulary", (json_int_t)c->vocabulary, "context",
        (json_int_t)c->context, "tied", c->tied, "rope", rope_json(facts), "tokenizer",
        tokens_json(facts), "kv_bytes_per_token", (json_int_t)facts->kv_bytes_per_token);
    if (facts->sha256[0])
        json_object_set_new(json, "sha256", json_string(facts->sha256));
    return json;
}
