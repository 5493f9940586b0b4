#include "llama/cuda/cuda_llama.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "llama/cpu/kernels.h"
#include "llama/cuda/decode.h"
#include "llama/cuda/mailbox.h"
#include "llama/cuda/portable.h"
#include "llama/cuda/prefill.h"
#include "llama/cuda/step.h"
#include "llama/cuda/upload.h"
#include "llama/shard.h"

enum {
    LOGIT_ROWS = 32, /* of logits in device memory at a time */
    ASK_NS = 200000, /* between two questions whether the card still works */
    NO_ID = -1
};

struct cuda_llama {
    struct card card;
    struct device_weights weights;
    struct device_model model;
    struct portable portable;
    struct prefill prefill;
    struct decode decode; /* of these two at most one has kernels */
    struct step step;
    struct mailbox mailbox;
    cuda_pointer cache, logits, frequency, next;
    uint64_t position_bytes;
    uint32_t vocabulary; /* of the whole model */
};

static enum status cache_get(struct cuda_llama *l, struct error *err)
{
    const struct cuda_shape *s = &l->model.shape;
    uint64_t half = (uint64_t)s->kv_heads * s->head_size * l->model.cache_element * s->layers;
    l->position_bytes = 2 * half;
    if (__builtin_mul_overflow(half, s->context, &half) || half > SIZE_MAX / 4) {
        error_set(err, STATUS_NO_MEMORY, "no memory for the keys and values of %u positions",
                  s->context);
        return error_remedy(err, "Ask for a smaller context.");
    }
    enum status status = cuda_memory_get(&l->card.cuda, 2 * half, &l->cache, err);
    l->model.keys = l->cache;
    l->model.values = l->cache + half;
    return status;
}

/* Rope's frequencies, the logits and the next id. */
static enum status buffers_get(struct cuda_llama *l, const struct model *model, struct error *err)
{
    enum { ALIGN_BYTES = 256 };
    size_t half = model->config.head_size / 2;
    size_t logits = (size_t)LOGIT_ROWS * l->model.shape.vocabulary * sizeof(float);
    size_t frequencies = (half * sizeof(float) + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    float *frequency = calloc(half, sizeof *frequency);
    if (!frequency)
        return error_no_memory(err, half * sizeof *frequency);
    model_rope_frequencies(model, frequency);
    enum status status =
        cuda_memory_get(&l->card.cuda, frequencies + ALIGN_BYTES + logits, &l->frequency, err);
    if (status == STATUS_OK) {
        l->model.frequency = l->frequency;
        l->next = l->frequency + frequencies;
        l->logits = l->next + ALIGN_BYTES;
        status =
            cuda_check(&l->card.cuda,
                       l->card.cuda.MemcpyHtoD(l->frequency, frequency, half * sizeof *frequency),
                       err, "copy to %s", l->card.device.name);
    }
    free(frequency);
    return status;
}

/* Codes have kernels beside float16 alone. */
static enum status quantise_check(const struct llama_options *options, struct error *err)
{
    if (codes_kind_of(options->quantize) == CODES_NONE || options->precision == LLAMA_F16)
        return STATUS_OK;
    error_set(err, STATUS_UNSUPPORTED,
              "on a GPU, only what is computed in float16 can be quantised");
    return error_remedy(err, "Use native-f16.");
}

static struct device_model described(const struct model *model, const struct llama_options *options,
                                     struct exchange *exchange)
{
    struct model_config c = shard_config(&model->config, options->ranks);
    return (struct device_model){
        .shape = {c.hidden_size, c.layers, c.heads, c.kv_heads, c.head_size, c.ffn_size,
                  c.vocabulary, options->context, c.norm_eps},
        .exchange = exchange,
        .first_word = options->ranks ? options->ranks->rank * c.vocabulary : 0,
        .precision = options->precision,
        .form = {(uint32_t)llama_precision_bytes(options->precision),
                 codes_kind_of(options->quantize),
                 options->quantize == LLAMA_INT8 ? CODES_INT8 : CODES_NONE},
        .element = llama_precision_bytes(options->precision),
        .cache_element = options->precision == LLAMA_F32 ? 4 : 2,
    };
}

/* The kernels that make tokens: the one that stays on the card cannot exchange with others. */
static enum status kernels_open(struct cuda_llama *l, struct error *err)
{
    enum status status = portable_open(&l->portable, &l->card, &l->model, err);
    if (status == STATUS_OK)
        status = prefill_open(&l->prefill, &l->card, &l->model, err);
    if (status == STATUS_OK && !l->model.exchange)
        status = decode_open(&l->decode, &l->card, &l->model, err);
    if (status == STATUS_OK && !l->decode.kernel)
        status = step_open(&l->step, &l->card, &l->model, err);
    return status;
}

enum status cuda_llama_load(struct cuda_llama **out, const struct model *model,
                            const struct llama_options *options, struct exchange *exchange,
                            struct error *err)
{
    *out = NULL;
    struct cuda_llama *l = calloc(1, sizeof *l);
    if (!l)
        return error_no_memory(err, sizeof *l);
    l->model = described(model, options, exchange);
    l->vocabulary = model->config.vocabulary;
    enum status status = quantise_check(options, err);
    if (status == STATUS_OK)
        status = card_open(&l->card, options->device, err);
    if (status == STATUS_OK)
        status = weights_upload(&l->weights, &l->card, model, options, err);
    if (status == STATUS_OK && l->model.form.layers != CODES_NONE)
        status = codes_open(&l->model.codes, &l->card, err);
    if (status == STATUS_OK)
        status = cache_get(l, err);
    if (status == STATUS_OK)
        status = buffers_get(l, model, err);
    if (status == STATUS_OK)
        status = mailbox_open(&l->mailbox, &l->card, options->context + 1, err);
    l->model.weights = l->weights.at;
    if (status == STATUS_OK)
        status = kernels_open(l, err);
    if (status != STATUS_OK) {
        cuda_llama_free(l);
        return status;
    }
    *out = l;
    return STATUS_OK;
}

enum status cuda_llama_enter(struct cuda_llama *l, struct error *err)
{
    return cuda_context_use(&l->card.cuda, &l->card.device, err);
}

void cuda_llama_leave(struct cuda_llama *l)
{
    l->card.cuda.DevicePrimaryCtxRelease(l->card.device.device);
}

void cuda_llama_free(struct cuda_llama *l)
{
    struct error ignored;
    if (!l)
        return;
    if (l->card.in_context && cuda_llama_enter(l, &ignored) == STATUS_OK) {
        step_close(&l->step, &l->card);
        decode_close(&l->decode, &l->card);
        prefill_close(&l->prefill, &l->card);
        portable_close(&l->portable, &l->card);
        weights_release(&l->weights, &l->card);
        if (l->cache)
            l->card.cuda.MemFree(l->cache);
        if (l->frequency)
            l->card.cuda.MemFree(l->frequency);
        mailbox_close(&l->mailbox, &l->card);
        cuda_llama_leave(l);
        card_close(&l->card);
    }
    free(l);
}

enum status cuda_llama_used(struct cuda_llama *l, uint64_t *bytes, struct error *err)
{
    size_t free_bytes = 0, total_bytes = 0;
    cuda_result result = l->card.cuda.MemGetInfo(&free_bytes, &total_bytes);
    *bytes = total_bytes - free_bytes;
    return cuda_check(&l->card.cuda, result, err, "ask %s for its memory", l->card.device.name);
}

struct cuda_llama_facts cuda_llama_facts(const struct cuda_llama *l)
{
    return (struct cuda_llama_facts){
        .kernels = l->decode.kernel ? "cuda persistent"
                   : l->step.fits   ? "cuda steps"
                                    : "cuda portable",
        .device = l->card.device.name,
        .weight_bytes = l->weights.bytes,
        .token_bytes = l->weights.token_bytes,
        .position_bytes = l->position_bytes,
        .embedding_bytes = l->weights.embedding_bytes,
    };
}

static enum status ids_send(struct cuda_llama *l, cuda_pointer to, const int32_t *ids,
                            uint32_t count, struct error *err)
{
    return cuda_check(&l->card.cuda,
                      l->card.cuda.MemcpyHtoDAsync(to, ids, count * sizeof *ids, l->card.stream),
                      err, "send ids to %s", l->card.device.name);
}

/* Rows of logits, of which this card has some of the words. */
static enum status logits_fetch(struct cuda_llama *l, float *logits, uint32_t rows,
                                struct error *err)
{
    size_t words = l->model.shape.vocabulary;
    bool whole = words == l->vocabulary;
    size_t bytes = (whole ? rows : 1) * words * sizeof *logits;
    cuda_result result = CUDA_SUCCESS;
    for (uint32_t row = 0; row < (whole ? 1 : rows) && !result; row++)
        result =
            l->card.cuda.MemcpyDtoHAsync(logits + (size_t)row * l->vocabulary + l->model.first_word,
                                         l->logits + row * bytes, bytes, l->card.stream);
    enum status status =
        cuda_check(&l->card.cuda, result, err, "fetch logits from %s", l->card.device.name);
    return status == STATUS_OK ? card_wait(&l->card, err) : status;
}

/* Ids that are computed together. */
static uint32_t block_most(const struct cuda_llama *l)
{
    return l->prefill.fits ? l->prefill.most : PORTABLE_TOKENS;
}

/* Starts the computation of a block of ids. */
static enum status block_start(struct cuda_llama *l, const int32_t *ids, uint32_t count,
                               uint32_t position, uint32_t rows, struct error *err)
{
    cuda_pointer logits = rows ? l->logits : 0;
    cuda_pointer to = l->prefill.fits ? l->prefill.ids : l->portable.ids;
    enum status status = ids_send(l, to, ids, count, err);
    if (status != STATUS_OK)
        return status;
    if (l->prefill.fits)
        return prefill_forward(&l->prefill, &l->card, &l->model, to, count, position, logits, rows,
                               err);
    return portable_forward(&l->portable, &l->card, &l->model, to, count, position, logits, rows,
                            err);
}

/* Where the host is told ids: by one card alone. */
static cuda_pointer told(const struct cuda_llama *l)
{
    return l->model.exchange && l->model.exchange->rank > 0 ? 0 : l->mailbox.ids_at;
}

/* Starts the computation of one id's logits by the kernels that make tokens. */
static enum status token_start(struct cuda_llama *l, const int32_t *id, uint32_t position,
                               struct error *err)
{
    cuda_pointer to = l->decode.kernel ? l->portable.ids : l->next;
    enum status status = ids_send(l, to, id, 1, err);
    *l->mailbox.stop = 0;
    if (status == STATUS_OK && l->decode.kernel)
        return decode_start(&l->decode, &l->card, (struct draw){0}, position, 1, to,
                            l->mailbox.ids_at, l->mailbox.stop_at, l->logits, err);
    if (status == STATUS_OK)
        status = portable_state_set(&l->portable, &l->card, position, (struct draw){0}, err);
    return status == STATUS_OK ? step_start(&l->step, &l->portable, &l->card, &l->model, l->next,
                                            told(l), l->logits, err)
                               : status;
}

enum status cuda_llama_forward(struct cuda_llama *l, const int32_t *ids, uint32_t count,
                               uint32_t position, float *logits, int all_logits, struct error *err)
{
    enum status status = STATUS_OK;
    if (count == 1 && logits && (l->decode.kernel || l->step.fits)) {
        status = token_start(l, ids, position, err);
        return status == STATUS_OK ? logits_fetch(l, logits, 1, err) : status;
    }
    uint32_t most = logits && all_logits ? LOGIT_ROWS : block_most(l);
    for (uint32_t done = 0; done < count && status == STATUS_OK;) {
        uint32_t block = count - done < most ? count - done : most;
        bool last = done + block == count;
        uint32_t rows = !logits ? 0 : all_logits ? block : last;
        status = block_start(l, ids + done, block, position + done, rows, err);
        if (status == STATUS_OK && rows) {
            status = logits_fetch(l, logits, rows, err);
            logits += (size_t)rows * l->vocabulary;
        }
        done += block;
    }
    return status == STATUS_OK && !logits ? card_wait(&l->card, err) : status;
}

enum status cuda_llama_take(struct cuda_llama *l, uint32_t i, int32_t *id, struct error *err)
{
    const struct cuda *cuda = &l->card.cuda;
    int64_t ask = clock_now_ns() + ASK_NS;
    for (uint32_t spins = 0;; spins++) {
        *id = l->mailbox.ids[i];
        if (*id != NO_ID)
            return STATUS_OK;
        if (spins % 256 != 0 || clock_now_ns() < ask)
            continue;
        cuda_result result = cuda->StreamQuery(l->card.stream);
        *id = l->mailbox.ids[i];
        if (*id != NO_ID)
            return STATUS_OK;
        if (result == CUDA_SUCCESS) {
            error_set(err, STATUS_WORKER, "%s ended without token %u", l->card.device.name, i + 1);
            return error_remedy(err, "Please report this.");
        }
        if (result != CUDA_NOT_READY)
            return cuda_check(cuda, result, err, "compute token %u on %s", i + 1,
                              l->card.device.name);
        ask = clock_now_ns() + ASK_NS;
    }
}

enum status cuda_llama_step(struct cuda_llama *l, uint32_t position, struct error *err)
{
    if (l->step.fits)
        return step_start(&l->step, &l->portable, &l->card, &l->model, l->next, told(l), l->logits,
                          err);
    enum status status = portable_forward(&l->portable, &l->card, &l->model, l->next, 1, position,
                                          l->logits, 1, err);
    return status == STATUS_OK
               ? portable_choose(&l->portable, &l->card, &l->model, (struct draw){0}, l->next,
                                 told(l), l->portable.state, l->logits, err)
               : status;
}

/* Computes the prompt; its first id goes to l->next and ids[0]. */
static enum status prompt_start(struct cuda_llama *l, struct draw draw, const int32_t *ids,
                                uint32_t count, uint32_t position, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t done = 0; done < count && status == STATUS_OK;) {
        uint32_t block = count - done < block_most(l) ? count - done : block_most(l);
        status = block_start(l, ids + done, block, position + done, done + block == count, err);
        done += block;
    }
    if (status != STATUS_OK)
        return status;
    return portable_choose(&l->portable, &l->card, &l->model, draw, l->next, told(l),
                           l->decode.kernel ? 0 : l->portable.state, l->logits, err);
}

enum status cuda_llama_begin(struct cuda_llama *l, struct draw draw, const int32_t *ids,
                             uint32_t count, uint32_t position, uint32_t tokens, struct error *err)
{
    enum status status = STATUS_OK;
    *l->mailbox.stop = 0;
    for (uint32_t i = 0; i < tokens; i++)
        l->mailbox.ids[i] = NO_ID;
    if (!l->decode.kernel) /* the first id is the last of the prompt's positions' */
        status = portable_state_set(&l->portable, &l->card, position + count - 1, draw, err);
    if (status == STATUS_OK)
        status = prompt_start(l, draw, ids, count, position, err);
    if (status == STATUS_OK && tokens > 1 && l->decode.kernel)
        status =
            decode_start(&l->decode, &l->card, draw_after(draw, 1), position + count, tokens - 1,
                         l->next, l->mailbox.ids_at + sizeof(int32_t), l->mailbox.stop_at, 0, err);
    return status;
}

enum status cuda_llama_end(struct cuda_llama *l, struct error *err)
{
    *l->mailbox.stop = 1; /* and whatever it is still doing ends with this token */
    return card_wait(&l->card, err);
}

enum status cuda_llama_exchange_time(struct cuda_llama *l, int64_t *ns, struct error *err)
{
    const struct exchange_token token = {.sums = 2 * l->model.shape.layers + 1,
                                         .data = l->portable.delta,
                                         .count = l->model.shape.hidden,
                                         .largest = l->portable.found};
    return exchange_time(l->model.exchange, &l->card, &token, ns, err);
}

bool cuda_llama_loops(const struct cuda_llama *l)
{
    return l->decode.kernel;
}
