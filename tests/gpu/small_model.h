/* Small models of every kind, made for a test, and how far logits of them may be from the CPU's. */
#ifndef PRONY_TESTS_SMALL_MODEL_H
#define PRONY_TESTS_SMALL_MODEL_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "llama/llama.h"
#include "model/synthetic.h"

enum { IDS = 150 };

struct kind {
    const char *name;
    uint32_t hidden, layers, heads, kv_heads, head_size, ffn, vocabulary;
    bool tied;
    enum model_format format;
};

static const enum tensor_type stored[] = {
    [LLAMA_F32] = TENSOR_F32, [LLAMA_F16] = TENSOR_F16, [LLAMA_BF16] = TENSOR_BF16};

struct fixture {
    char path[128];
    struct model model;
    int32_t ids[IDS];
};

static void fixture_open(struct fixture *f, const struct kind *kind, enum llama_precision precision)
{
    struct error err;
    uint64_t bytes;
    struct model_config config;
    assert_true(synthetic_shape("tiny", &config));
    config.hidden_size = kind->hidden;
    config.layers = kind->layers;
    config.heads = kind->heads;
    config.kv_heads = kind->kv_heads;
    config.head_size = kind->head_size;
    config.ffn_size = kind->ffn;
    config.vocabulary = kind->vocabulary;
    config.context = 1024;
    config.tied = kind->tied;
    synthetic_scale_rope(&config);
    snprintf(f->path, sizeof f->path, "/tmp/test_llama_cuda.%d.%s", (int)getpid(),
             kind->format == MODEL_GGUF ? "gguf" : "safetensors");
    struct model_output output = {
        .path = f->path, .format = kind->format, .precision = stored[precision], .threads = 2};
    if (synthetic_write(&config, "tiny", 3, &output, &bytes, &err) != STATUS_OK ||
        model_open(&f->model, f->path, &err) != STATUS_OK)
        fail_msg("%s", err.what);
    for (uint32_t i = 0; i < IDS; i++)
        f->ids[i] = (int32_t)((i * 37 + 11) % kind->vocabulary);
}

static void fixture_close(struct fixture *f)
{
    char command[256];
    model_close(&f->model);
    snprintf(command, sizeof command, "rm -rf '%s'", f->path);
    if (system(command) != 0)
        fail_msg("cannot remove %s", f->path);
}

/* ||a - b|| / ||b|| over all logits. */
static double distance(const float *a, const float *b, size_t count)
{
    double above = 0, below = 0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)a[i] - (double)b[i];
        above += d * d;
        below += (double)b[i] * (double)b[i];
    }
    return sqrt(above / below);
}

/* float32 sums in another order, and for the 16-bit types prompts whose activations are rounded to
 * the type where they meet the tensor cores: nothing that is wrong stays below this. */
static double bound(enum llama_precision precision)
{
    static const double bounds[] = {[LLAMA_F32] = 1e-5, [LLAMA_F16] = 2e-3, [LLAMA_BF16] = 1.5e-2};
    return bounds[precision];
}

#endif
