/* libllama with a toy model: each logit is a hash of all ids before it, so whatever is left of an
 * earlier prompt, or at a wrong position, shows. FAKE_LLAMA names what is to fail: "model",
 * "context", "decode", "device" (where it is to sample), "quantize". It ends the process where the
 * real one does: a chain that is put into a graph twice. */
#include "llama.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VOCABULARY = 512, BATCH = 32, OUTPUTS = 64 };

struct llama_model {
    uint64_t bytes;
    bool split;
};

struct llama_memory {
    uint32_t used;
    uint64_t history;
};

struct llama_context {
    struct llama_memory memory;
    struct llama_context_params params;
    struct llama_sampler *in_graph;
    float *logits; /* [OUTPUTS, VOCABULARY] */
    int32_t rows;
};

/* A chain is what was added to it. */
struct llama_sampler {
    float temperature;
    uint32_t seed;
    bool random, was_in_graph;
};

static ggml_log_callback log_callback;

static void complain(const char *text)
{
    if (log_callback)
        log_callback(GGML_LOG_LEVEL_ERROR, text, NULL);
}

static bool fails(const char *what)
{
    const char *named = getenv("FAKE_LLAMA");
    return named && strcmp(named, what) == 0;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15u;
    return x ^ (x >> 29);
}

void llama_backend_init(void)
{
}

void llama_log_set(ggml_log_callback callback, void *data)
{
    (void)data;
    log_callback = callback;
}

struct llama_model_params llama_model_default_params(void)
{
    return (struct llama_model_params){.n_gpu_layers = -1};
}

struct llama_context_params llama_context_default_params(void)
{
    return (struct llama_context_params){
        .n_batch = BATCH, .n_threads = 4, .flash_attn_type = LLAMA_FLASH_ATTN_TYPE_AUTO};
}

struct llama_sampler_chain_params llama_sampler_chain_default_params(void)
{
    return (struct llama_sampler_chain_params){.no_perf = true};
}

int32_t llama_split_path(char *path, size_t size, const char *prefix, int32_t part, int32_t parts)
{
    return snprintf(path, size, "%s-%05d-of-%05d.gguf", prefix, part + 1, parts);
}

int32_t llama_split_prefix(char *prefix, size_t size, const char *path, int32_t part, int32_t parts)
{
    char ending[64];
    size_t tail = (size_t)llama_split_path(ending, sizeof ending, "", part, parts);
    size_t bytes = strlen(path) - (strlen(path) < tail ? strlen(path) : tail);
    if (bytes == 0 || strcmp(path + bytes, ending) != 0)
        return 0;
    return snprintf(prefix, size, "%.*s", (int)bytes, path);
}

struct llama_model *llama_model_load_from_file(const char *path, struct llama_model_params params)
{
    size_t cards = 0;
    while (params.devices[cards])
        cards++;
    /* A card has all layers; several have each its part of every tensor. */
    bool split = params.split_mode != LLAMA_SPLIT_MODE_NONE;
    if (!fails("model") && (params.n_gpu_layers > 0) == (cards > 0) && split == (cards > 1)) {
        struct llama_model *model = calloc(1, sizeof *model);
        model->split = split;
        model->bytes = strstr(path, "q8_0") ? 2176 : 4096;
        return model;
    }
    complain("toy: tensor 'x' is not within the file bounds\n");
    return NULL;
}

struct llama_model_quantize_params llama_model_quantize_default_params(void)
{
    return (struct llama_model_quantize_params){.nthread = 0, .ftype = LLAMA_FTYPE_MOSTLY_F16};
}

/* A file that libggml here takes for one of Q8_0; half of one when it fails. */
uint32_t llama_model_quantize(const char *from, const char *to,
                              const struct llama_model_quantize_params *params)
{
    FILE *stream = fopen(to, "wb");
    if (!stream || params->ftype != LLAMA_FTYPE_MOSTLY_Q8_0 || params->nthread < 1 ||
        access(from, R_OK) != 0)
        abort();
    fputs("GGUF", stream);
    if (!fails("quantize"))
        fputs("q8_0", stream);
    fclose(stream);
    if (fails("quantize"))
        complain("toy: failed to quantize: basic_ios::clear: No space left on device\n");
    return fails("quantize");
}

void llama_model_free(struct llama_model *model)
{
    free(model);
}

const struct llama_vocab *llama_model_get_vocab(const struct llama_model *model)
{
    return (const struct llama_vocab *)model;
}

int32_t llama_vocab_n_tokens(const struct llama_vocab *vocab)
{
    (void)vocab;
    return VOCABULARY;
}

int32_t llama_model_n_layer(const struct llama_model *model)
{
    (void)model;
    return 3;
}

int32_t llama_model_n_head(const struct llama_model *model)
{
    (void)model;
    return 4;
}

int32_t llama_model_n_head_kv(const struct llama_model *model)
{
    (void)model;
    return 2;
}

int32_t llama_model_n_embd(const struct llama_model *model)
{
    (void)model;
    return 64;
}

uint64_t llama_model_size(const struct llama_model *model)
{
    return model->bytes;
}

int32_t llama_model_desc(const struct llama_model *model, char *text, size_t size)
{
    (void)model;
    return snprintf(text, size, "toy");
}

int32_t llama_model_meta_val_str(const struct llama_model *model, const char *key, char *text,
                                 size_t size)
{
    (void)model;
    if (strcmp(key, "general.architecture") == 0)
        return snprintf(text, size, "toy");
    text[0] = '\0';
    return -1;
}

#ifndef OLD
static void into_graph(struct llama_context *context, struct llama_sampler *sampler)
{
    if (sampler && sampler->was_in_graph)
        abort();
    if (sampler)
        sampler->was_in_graph = true;
    context->in_graph = sampler;
}
#endif

struct llama_context *llama_init_from_model(struct llama_model *model,
                                            struct llama_context_params params)
{
    if (fails("context") ||
        (model->split && params.flash_attn_type != LLAMA_FLASH_ATTN_TYPE_ENABLED)) {
        complain("toy: failed to allocate buffer for kv cache\n");
        return NULL;
    }
    struct llama_context *context = calloc(1, sizeof *context);
    context->params = params;
    context->logits = calloc(OUTPUTS * VOCABULARY, sizeof *context->logits);
#ifndef OLD
    if (params.n_samplers)
        into_graph(context, params.samplers[0].sampler);
#endif
    return context;
}

void llama_free(struct llama_context *context)
{
    free(context->logits);
    free(context);
}

uint32_t llama_n_batch(const struct llama_context *context)
{
    return context->params.n_batch;
}

llama_memory_t llama_get_memory(const struct llama_context *context)
{
    return (llama_memory_t)&context->memory;
}

void llama_memory_clear(llama_memory_t memory, bool data)
{
    (void)data;
    *memory = (struct llama_memory){0};
}

struct llama_batch llama_batch_get_one(llama_token *tokens, int32_t count)
{
    return (struct llama_batch){.n_tokens = count, .token = tokens};
}

struct llama_batch llama_batch_init(int32_t tokens, int32_t embedding, int32_t sequences)
{
    size_t n = (size_t)tokens;
    struct llama_batch batch = {.token = calloc(n, sizeof *batch.token),
                                .pos = calloc(n, sizeof *batch.pos),
                                .n_seq_id = calloc(n, sizeof *batch.n_seq_id),
                                .seq_id = calloc(n + 1, sizeof *batch.seq_id),
                                .logits = calloc(n, 1)};
    (void)embedding;
    for (size_t i = 0; i < n; i++)
        batch.seq_id[i] = calloc((size_t)sequences, sizeof **batch.seq_id);
    return batch;
}

void llama_batch_free(struct llama_batch batch)
{
    for (llama_seq_id **id = batch.seq_id; *id; id++)
        free(*id);
    free(batch.token);
    free(batch.pos);
    free(batch.n_seq_id);
    free(batch.seq_id);
    free(batch.logits);
}

static void row_write(struct llama_context *context)
{
    float *row = context->logits + (size_t)context->rows++ * VOCABULARY;
    for (uint32_t i = 0; i < VOCABULARY; i++)
        row[i] = (float)(mix(context->memory.history + i) >> 40) / (1 << 22);
}

int32_t llama_decode(struct llama_context *context, struct llama_batch batch)
{
    struct llama_memory *memory = &context->memory;
    /* Only what is asked of one at a time may be larger than the batch. */
    if (fails("decode") || batch.n_tokens > (batch.pos ? OUTPUTS : BATCH)) {
        complain("toy: it does not want to\n");
        return -1;
    }
    context->rows = 0;
    for (int32_t i = 0; i < batch.n_tokens; i++) {
        if (context->params.abort_callback(context->params.abort_callback_data))
            return 2;
        if (memory->used == context->params.n_ctx)
            return 1;
        if (batch.pos && batch.pos[i] != (llama_pos)memory->used)
            return -1;
        memory->history = mix(memory->history ^ (uint64_t)batch.token[i]) + ++memory->used;
        if (batch.logits ? batch.logits[i] : i == batch.n_tokens - 1)
            row_write(context);
    }
    return 0;
}

float *llama_get_logits_ith(struct llama_context *context, int32_t i)
{
    if (context->in_graph)
        return NULL; /* the graph ends in an id */
    return context->logits + (size_t)(i < 0 ? context->rows + i : i) * VOCABULARY;
}

struct llama_sampler *llama_sampler_chain_init(struct llama_sampler_chain_params params)
{
    (void)params;
    return calloc(1, sizeof(struct llama_sampler));
}

void llama_sampler_chain_add(struct llama_sampler *chain, struct llama_sampler *sampler)
{
    if (sampler->temperature > 0)
        chain->temperature = sampler->temperature;
    if (sampler->random) {
        chain->random = true;
        chain->seed = sampler->seed;
    }
    free(sampler);
}

static struct llama_sampler *sampler_of(struct llama_sampler sampler)
{
    struct llama_sampler *made = malloc(sizeof *made);
    *made = sampler;
    return made;
}

struct llama_sampler *llama_sampler_init_greedy(void)
{
    return sampler_of((struct llama_sampler){0});
}

struct llama_sampler *llama_sampler_init_dist(uint32_t seed)
{
    return sampler_of((struct llama_sampler){.random = true, .seed = seed});
}

struct llama_sampler *llama_sampler_init_temp(float temperature)
{
    return sampler_of((struct llama_sampler){.temperature = temperature});
}

struct llama_sampler *llama_sampler_init_top_k(int32_t k)
{
    (void)k;
    return sampler_of((struct llama_sampler){0});
}

struct llama_sampler *llama_sampler_init_top_p(float p, size_t keep)
{
    (void)p, (void)keep;
    return sampler_of((struct llama_sampler){0});
}

struct llama_sampler *llama_sampler_init_min_p(float p, size_t keep)
{
    (void)p, (void)keep;
    return sampler_of((struct llama_sampler){0});
}

llama_token llama_sampler_sample(struct llama_sampler *sampler, struct llama_context *context,
                                 int32_t i)
{
    const float *row = context->logits + (size_t)(i < 0 ? context->rows + i : i) * VOCABULARY;
    llama_token best = 0;
    if (sampler->random) {
        sampler->seed = (uint32_t)mix(sampler->seed + context->memory.history);
        return (llama_token)(sampler->seed % VOCABULARY);
    }
    for (llama_token id = 1; id < VOCABULARY; id++)
        if (row[id] > row[best])
            best = id;
    return best;
}

void llama_sampler_free(struct llama_sampler *sampler)
{
    free(sampler);
}

#ifndef OLD
const char *llama_version(void)
{
    return "toy-1";
}

llama_token llama_get_sampled_token_ith(struct llama_context *context, int32_t i)
{
    return fails("device") ? -1 : llama_sampler_sample(context->in_graph, context, i);
}

bool llama_set_sampler(struct llama_context *context, llama_seq_id sequence,
                       struct llama_sampler *sampler)
{
    (void)sequence;
    into_graph(context, sampler);
    return true;
}
#endif
