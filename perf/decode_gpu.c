/* Decode and prefill of a model by the native engine on a GPU:
 *
 *   build/release/perf/decode_gpu MODEL [PRECISION [CONTEXT...]]
 *
 * PRECISION is f32, f16, f16+int8, f16+nf4 or bf16 (the default), with x2 behind it of a model
 * split over two cards, whose limit is twice the first one's. For each context the prompt is that
 * long, and what is shown is the time from the prompt's hand-over to the first id, with the
 * prompt's floating-point operations over it and their share of the tensor cores' peak (NVIDIA's
 * 989.5 TFLOP/s of an H100 or H200, dense, 16 bits); and the mean time of a token after it, three
 * runs each, with the bytes that must be read for it over that time, and with ids that are drawn
 * (temperature 1) instead of the best ones; on two cards also what a token's exchanges take by
 * themselves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "llama/llama.h"
#include "llama/sample.h"
#include "probe/stream.h"

enum { RUNS = 3, TOKENS = 65 };
static const double PEAK_TFLOPS = 989.5;

static const struct precision {
    const char *name;
    enum llama_precision held, quantize;
} precisions[] = {
    {"bf16", LLAMA_BF16, 0},
    {"f16", LLAMA_F16, 0},
    {"f32", LLAMA_F32, 0},
    {"f16+int8", LLAMA_F16, LLAMA_INT8},
    {"f16+nf4", LLAMA_F16, LLAMA_NF4},
};

struct stamps {
    int64_t ns[TOKENS];
    uint32_t count;
};

static int stamp(void *context, int32_t id)
{
    struct stamps *stamps = context;
    (void)id;
    stamps->ns[stamps->count++] = clock_now_ns();
    return 0;
}

/* Of a prompt: products, causal attention, and the last token's logits. */
static double tera_operations(const struct model_config *c, uint32_t prompt)
{
    double hidden = c->hidden_size, query = (double)c->heads * c->head_size, n = prompt;
    double kv = (double)c->kv_heads * c->head_size;
    double weights = hidden * (2 * query + 2 * kv + 3 * (double)c->ffn_size);
    double layer = 2 * n * weights + 2 * n * (n + 1) * query;
    return (layer * c->layers + 2 * hidden * c->vocabulary) / 1e12;
}

/* Bytes per second that this card reads now. */
static enum status limit_probe(double *bytes_per_second, struct error *err)
{
    enum { BUDGET_MS = 300 };
    struct cuda cuda;
    struct cuda_device device;
    struct stream_result result = {0};
    enum status status = cuda_open(&cuda, err);
    if (status != STATUS_OK)
        return status;
    status = cuda_device_find(&cuda, "cuda", &device, err);
    if (status == STATUS_OK)
        status = cuda_context_use(&cuda, &device, err);
    if (status == STATUS_OK) {
        status = stream_probe(&cuda, &device, BUDGET_MS, &result, err);
        cuda.DevicePrimaryCtxRelease(device.device);
    }
    cuda_close(&cuda);
    *bytes_per_second = result.bytes_per_second;
    return status;
}

/* A prompt and the tokens after it: milliseconds to the first one, and for each of the others. */
static enum status generate(struct llama *llama, struct llama_sampler *sampler, const int32_t *ids,
                            uint32_t prompt, double *first, double *token, struct error *err)
{
    struct stamps s = {.ns = {0}};
    llama_reset(llama);
    int64_t begin = clock_now_ns();
    enum status status = llama_generate(llama, sampler, ids, prompt, TOKENS, stamp, &s, err);
    *first = (double)(s.ns[0] - begin) / 1e6;
    *token = (double)(s.ns[TOKENS - 1] - s.ns[0]) / (TOKENS - 1) / 1e6;
    return status;
}

/* That the tokens so far have taken. */
static double exchange_ms(const struct llama *llama)
{
    uint64_t bytes;
    int64_t ns;
    llama_exchanged(llama, &bytes, &ns);
    return (double)ns / 1e6;
}

static enum status measure(struct llama *llama, const struct model_config *config, double limit,
                           double peak, const int32_t *ids, uint32_t prompt, struct error *err)
{
    for (int run = 0; run <= RUNS; run++) {
        struct llama_sampler sampler = {.temperature = 1, .top_p = 1, .random = 1};
        double first, ms, first_drawn, drawn, exchanged = exchange_ms(llama);
        if (generate(llama, NULL, ids, prompt, &first, &ms, err) != STATUS_OK ||
            generate(llama, &sampler, ids, prompt, &first_drawn, &drawn, err) != STATUS_OK)
            return err->status;
        uint64_t bytes = llama_bytes_per_token(llama, prompt + TOKENS / 2);
        double tflops = tera_operations(config, prompt) / first * 1e3;
        exchanged = (exchange_ms(llama) - exchanged) / (2 * (TOKENS - 1));
        if (run > 0)
            printf("%8u %9.2f ms %6.1f TFLOP/s %3.0f %% %9.4f ms/token %8.1f tok/s %8.1f GB/s "
                   "%3.0f %% %9.4f drawn %9.4f exchanges\n",
                   prompt, first, tflops, 100 * tflops / peak, ms, 1e3 / ms,
                   (double)bytes / ms / 1e6, (double)bytes / ms * 1e5 / limit, drawn, exchanged);
        fflush(stdout);
    }
    return STATUS_OK;
}

static enum status run(const char *path, const struct precision *precision, uint32_t cards,
                       int contexts, char **list, struct error *err)
{
    struct model model;
    struct llama *llama;
    enum status status = model_open(&model, path, err);
    if (status != STATUS_OK)
        return status;
    uint32_t most = 0;
    for (int i = 0; i < contexts; i++) {
        uint32_t prompt = (uint32_t)strtoul(list[i], NULL, 10);
        most = prompt > most ? prompt : most;
    }
    int32_t *ids = calloc(most + 1, sizeof *ids);
    for (uint32_t i = 0; ids && i < most; i++)
        ids[i] = (int32_t)((i * 7919u + 13) % model.config.vocabulary);
    struct llama_options options = {.precision = precision->held,
                                    .quantize = precision->quantize,
                                    .context = most + TOKENS,
                                    .cards = cards,
                                    .device = "cuda"};
    double limit = 0;
    status = limit_probe(&limit, err);
    limit *= cards;
    int64_t begin = clock_now_ns();
    if (status == STATUS_OK)
        status = llama_load(&llama, &model, &options, err);
    double seconds = (double)(clock_now_ns() - begin) / 1e9;
    if (status == STATUS_OK) {
        printf("%u x %s, %s: %.3f GB of weights in %.3f s (%.2f GB/s)\n", cards,
               llama_device(llama), llama_kernels(llama), (double)llama_weight_bytes(llama) / 1e9,
               seconds, (double)llama_weight_bytes(llama) / 1e9 / seconds);
        printf("limit %.1f GB/s\n  prompt  first token          of peak         decode\n",
               limit / 1e9);
        for (int i = 0; i < contexts && status == STATUS_OK; i++)
            status = measure(llama, &model.config, limit, cards * PEAK_TFLOPS, ids,
                             (uint32_t)strtoul(list[i], NULL, 10), err);
        llama_free(llama);
    }
    free(ids);
    model_close(&model);
    return status;
}

static const struct precision *precision_of(const char *name, uint32_t *cards)
{
    size_t length = strcspn(name, "x");
    *cards = name[length] ? (uint32_t)strtoul(name + length + 1, NULL, 10) : 1;
    for (size_t i = 0; i < sizeof precisions / sizeof precisions[0]; i++)
        if (strncmp(name, precisions[i].name, length) == 0 && !precisions[i].name[length])
            return &precisions[i];
    return NULL;
}

int main(int argc, char **argv)
{
    char small[] = "128", medium[] = "1024", large[] = "4096", huge[] = "16384";
    char *contexts[] = {small, medium, large, huge};
    struct error err;
    uint32_t cards;
    const struct precision *precision = precision_of(argc > 2 ? argv[2] : "bf16", &cards);
    if (argc < 2 || !precision || cards == 0) {
        fputs("usage: decode_gpu MODEL [f32|f16|f16+int8|f16+nf4|bf16[xN] [CONTEXT...]]\n", stderr);
        return 1;
    }
    enum status status = argc > 3 ? run(argv[1], precision, cards, argc - 3, argv + 3, &err)
                                  : run(argv[1], precision, cards, 4, contexts, &err);
    if (status != STATUS_OK)
        error_print(&err, stderr);
    return status == STATUS_OK ? 0 : 1;
}
