#include "model/synthetic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/noise.h"
#include "model/rope_factors.h"

static const struct shape {
    const char *size;
    struct model_config config;
} shapes[] = {
    {"tiny",
     {.hidden_size = 64,
      .layers = 2,
      .heads = 4,
      .kv_heads = 2,
      .head_size = 16,
      .ffn_size = 192,
      .vocabulary = 512,
      .context = 256}},
    {"1b",
     {.hidden_size = 2048,
      .layers = 16,
      .heads = 32,
      .kv_heads = 8,
      .head_size = 64,
      .ffn_size = 8192,
      .vocabulary = 128256,
      .context = 131072,
      .rope = {ROPE_SCALING_LLAMA3, 32, 1, 4, 8192},
      .tied = true}},
    {"8b",
     {.hidden_size = 4096,
      .layers = 32,
      .heads = 32,
      .kv_heads = 8,
      .head_size = 128,
      .ffn_size = 14336,
      .vocabulary = 128256,
      .context = 8192}},
    {"70b",
     {.hidden_size = 8192,
      .layers = 80,
      .heads = 64,
      .kv_heads = 8,
      .head_size = 128,
      .ffn_size = 28672,
      .vocabulary = 128256,
      .context = 131072,
      .rope = {ROPE_SCALING_LLAMA3, 8, 1, 4, 8192}}},
    {"405b",
     {.hidden_size = 16384,
      .layers = 126,
      .heads = 128,
      .kv_heads = 8,
      .head_size = 128,
      .ffn_size = 53248,
      .vocabulary = 128256,
      .context = 131072,
      .rope = {ROPE_SCALING_LLAMA3, 8, 1, 4, 8192}}},
};

bool synthetic_shape(const char *size, struct model_config *config)
{
    static const char family[] = "llama3-";
    if (strncmp(size, family, sizeof family - 1) == 0)
        size += sizeof family - 1;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (strcmp(shapes[i].size, size) == 0) {
            *config = shapes[i].config;
            config->bos = -1;
            config->norm_eps = 1e-5F;
            config->rope_base = 500000;
            return true;
        }
    }
    return false;
}

static const char name_start[] = "synthetic:";

bool synthetic_is_name(const char *path)
{
    return strncmp(path, name_start, sizeof name_start - 1) == 0;
}

enum status synthetic_name_parse(const char *path, struct model_config *config, uint64_t *seed,
                                 struct error *err)
{
    char size[32], *end = NULL;
    const char *text = path + sizeof name_start - 1;
    size_t length = strcspn(text, ":");
    snprintf(size, sizeof size, "%.*s", (int)(length < sizeof size ? length : sizeof size), text);
    if (!synthetic_shape(size, config)) {
        error_set(err, STATUS_USAGE, "there is no synthetic model '%.40s'", text);
        return error_remedy(err, "Shapes are " SYNTHETIC_SIZES ", as in synthetic:8b.");
    }
    *seed = 1;
    if (!text[length])
        return STATUS_OK;
    errno = 0;
    *seed = strtoull(text + length + 1, &end, 10);
    if (errno == 0 && end > text + length + 1 && !*end && text[length + 1] != '-')
        return STATUS_OK;
    error_set(err, STATUS_USAGE, "the seed of '%.60s' is no whole number", path);
    return error_remedy(err, "Write it as in synthetic:8b:7, or leave it out.");
}

enum status synthetic_has_no_tokenizer(const char *path, struct error *err)
{
    error_set(err, STATUS_NOT_FOUND, "a synthetic model without a file has no tokenizer");
    error_where(err, "%s", path);
    return error_remedy(err, "Write it with one: prony model make.");
}

/* Llama 3.1 was trained on 8192 positions and stretched eightfold; shorter contexts are shrunk so
 * that scaling does something within them. */
void synthetic_scale_rope(struct model_config *config)
{
    uint32_t original = 8192;
    while (original > 16 && original > config->context / 4)
        original /= 2;
    config->rope = (struct rope_scaling){ROPE_SCALING_LLAMA3, 8, 1, 4, original};
}

enum status synthetic_check(const struct model_config *config, struct error *err)
{
    if (config->vocabulary < TOKEN_LIST_LEAST)
        return error_set(err, STATUS_USAGE, "the vocabulary must have at least %d tokens, not %u",
                         TOKEN_LIST_LEAST, config->vocabulary);
    if (model_config_check(config, "the shape", err)) {
        err->status = STATUS_USAGE;
        return error_remedy(err, "Give --heads, --kv-heads and --head-size that fit together.");
    }
    return STATUS_OK;
}

struct generator {
    uint64_t seed;
    const struct model_config *config;
};

static void generate_row(const void *context, const struct weight *weight, uint64_t row, float *out)
{
    const struct generator *generator = context;
    if (weight->role == WEIGHT_ROPE_FREQS) {
        rope_factors_make(generator->config, out);
        return;
    }
    noise_row(noise_key(generator->seed, weight->canonical), weight->n_dims == 1, weight->columns,
              row, out);
}

enum status synthetic_write(const struct model_config *config, const char *name, uint64_t seed,
                            const struct model_output *output, uint64_t *bytes, struct error *err)
{
    struct arena arena = {0};
    struct token_list tokens;
    struct model_config complete = *config;
    enum status status = token_list_make(&tokens, &arena, config->vocabulary, err);
    if (!status) {
        complete.bos = tokens.bos;
        complete.eos[0] = tokens.eos;
        complete.eos[1] = tokens.eom;
        complete.eos_count = 2;
        struct generator generator = {seed, &complete};
        struct model_content content = {
            .name = name,
            .config = complete,
            .rope_freqs = config->rope.kind == ROPE_SCALING_LLAMA3,
            .tokens = &tokens,
            .source = {.row = generate_row, .context = &generator},
        };
        status = model_write(&content, output, bytes, err);
    }
    arena_free(&arena);
    return status;
}
