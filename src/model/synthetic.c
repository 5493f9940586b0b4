#include "model/synthetic.h"

#include <math.h>
#include <string.h>

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
};

bool synthetic_shape(const char *size, struct model_config *config)
{
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (strcmp(shapes[i].size, size) == 0) {
            *config = shapes[i].config;
            config->norm_eps = 1e-5F;
            config->rope_base = 500000;
            return true;
        }
    }
    return false;
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

/* Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators (2014), the SplitMix64
 * finaliser. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static uint64_t weight_key(uint64_t seed, const char *name)
{
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
    for (const char *p = name; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 0x100000001b3;
    return mix(hash ^ mix(seed));
}

/* Nearly normal with standard deviation 1/sqrt(3) * 65536: the sum of four uniform 16-bit numbers,
 * centred. */
static int32_t noise(uint64_t key, uint64_t index)
{
    uint64_t z = mix(key + index * 0x9e3779b97f4a7c15);
    return (int32_t)((z & 0xffff) + (z >> 16 & 0xffff) + (z >> 32 & 0xffff) + (z >> 48)) -
           2 * 0xffff;
}

static void generate_row(const void *context, const struct weight *weight, uint64_t row, float *out)
{
    const struct generator *generator = context;
    if (weight->role == WEIGHT_ROPE_FREQS) {
        rope_factors_make(generator->config, out);
        return;
    }
    uint64_t key = weight_key(generator->seed, weight->canonical), first = row * weight->columns;
    if (weight->n_dims == 1) {
        /* Around 1, and on a grid that every precision has: GGUF keeps vectors in float32. */
        for (uint64_t i = 0; i < weight->columns; i++)
            out[i] = 1 + roundf((float)noise(key, first + i) / 16384) / 64;
        return;
    }
    /* Inputs of variance 1 give outputs of variance 1. */
    float scale = sqrtf(3.0F / (float)weight->columns) / 65536;
    for (uint64_t i = 0; i < weight->columns; i++)
        out[i] = (float)noise(key, first + i) * scale;
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
