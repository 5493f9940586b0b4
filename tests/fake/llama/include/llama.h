/* The part of llama.cpp's interface that engines/llamacpp uses. What is between the lines that
 * name it is missing in older versions. */
#ifndef FAKE_LLAMA_H
#define FAKE_LLAMA_H

#include "ggml-backend.h"

#define LLAMA_DEFAULT_SEED 0xFFFFFFFF

typedef int32_t llama_token, llama_pos, llama_seq_id;
typedef struct llama_memory *llama_memory_t;
struct llama_model;
struct llama_context;
struct llama_vocab;
struct llama_sampler;

enum llama_split_mode {
    LLAMA_SPLIT_MODE_NONE = 0,
    /* newer { */
    LLAMA_SPLIT_MODE_TENSOR = 3,
    /* newer } */
};
enum llama_flash_attn_type { LLAMA_FLASH_ATTN_TYPE_AUTO = -1, LLAMA_FLASH_ATTN_TYPE_ENABLED = 1 };

struct llama_model_params {
    ggml_backend_dev_t *devices;
    int32_t n_gpu_layers;
    enum llama_split_mode split_mode;
    bool use_extra_bufts;
};

enum llama_ftype { LLAMA_FTYPE_MOSTLY_F16 = 1, LLAMA_FTYPE_MOSTLY_Q8_0 = 7 };

struct llama_model_quantize_params {
    int32_t nthread;
    enum llama_ftype ftype;
};

/* newer { */
struct llama_sampler_seq_config {
    llama_seq_id seq_id;
    struct llama_sampler *sampler;
};
/* newer } */

struct llama_context_params {
    uint32_t n_ctx, n_batch;
    int32_t n_threads, n_threads_batch;
    enum llama_flash_attn_type flash_attn_type;
    ggml_abort_callback abort_callback;
    void *abort_callback_data;
    /* newer { */
    struct llama_sampler_seq_config *samplers;
    size_t n_samplers;
    /* newer } */
};

struct llama_sampler_chain_params {
    bool no_perf;
};

struct llama_batch {
    int32_t n_tokens;
    llama_token *token;
    llama_pos *pos;
    int32_t *n_seq_id;
    llama_seq_id **seq_id;
    int8_t *logits;
};

void llama_backend_init(void);
void llama_log_set(ggml_log_callback callback, void *data);
struct llama_model_params llama_model_default_params(void);
struct llama_context_params llama_context_default_params(void);
struct llama_sampler_chain_params llama_sampler_chain_default_params(void);

int32_t llama_split_prefix(char *prefix, size_t size, const char *path, int32_t part,
                           int32_t parts);
int32_t llama_split_path(char *path, size_t size, const char *prefix, int32_t part, int32_t parts);
struct llama_model *llama_model_load_from_file(const char *path, struct llama_model_params params);
void llama_model_free(struct llama_model *model);
struct llama_model_quantize_params llama_model_quantize_default_params(void);
uint32_t llama_model_quantize(const char *from, const char *to,
                              const struct llama_model_quantize_params *params);
const struct llama_vocab *llama_model_get_vocab(const struct llama_model *model);
int32_t llama_vocab_n_tokens(const struct llama_vocab *vocab);
int32_t llama_model_n_layer(const struct llama_model *model);
int32_t llama_model_n_head(const struct llama_model *model);
int32_t llama_model_n_head_kv(const struct llama_model *model);
int32_t llama_model_n_embd(const struct llama_model *model);
uint64_t llama_model_size(const struct llama_model *model);
int32_t llama_model_desc(const struct llama_model *model, char *text, size_t size);
int32_t llama_model_meta_val_str(const struct llama_model *model, const char *key, char *text,
                                 size_t size);

struct llama_context *llama_init_from_model(struct llama_model *model,
                                            struct llama_context_params params);
void llama_free(struct llama_context *context);
uint32_t llama_n_batch(const struct llama_context *context);
llama_memory_t llama_get_memory(const struct llama_context *context);
void llama_memory_clear(llama_memory_t memory, bool data);
struct llama_batch llama_batch_get_one(llama_token *tokens, int32_t count);
struct llama_batch llama_batch_init(int32_t tokens, int32_t embedding, int32_t sequences);
void llama_batch_free(struct llama_batch batch);
int32_t llama_decode(struct llama_context *context, struct llama_batch batch);
float *llama_get_logits_ith(struct llama_context *context, int32_t i);

struct llama_sampler *llama_sampler_chain_init(struct llama_sampler_chain_params params);
void llama_sampler_chain_add(struct llama_sampler *chain, struct llama_sampler *sampler);
struct llama_sampler *llama_sampler_init_greedy(void);
struct llama_sampler *llama_sampler_init_dist(uint32_t seed);
struct llama_sampler *llama_sampler_init_temp(float temperature);
struct llama_sampler *llama_sampler_init_top_k(int32_t k);
struct llama_sampler *llama_sampler_init_top_p(float p, size_t keep);
struct llama_sampler *llama_sampler_init_min_p(float p, size_t keep);
llama_token llama_sampler_sample(struct llama_sampler *sampler, struct llama_context *context,
                                 int32_t i);
void llama_sampler_free(struct llama_sampler *sampler);
/* newer { */
const char *llama_version(void);
llama_token llama_get_sampled_token_ith(struct llama_context *context, int32_t i);
bool llama_set_sampler(struct llama_context *context, llama_seq_id sequence,
                       struct llama_sampler *sampler);
/* newer } */

#endif
