#include "llama/forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "llama/attention.h"
#include "llama/quantize.h"

enum {
    ROWS_UNIT = 8,    /* threads share rows in multiples of what a kernel takes at once */
    ALIGN_FLOATS = 16 /* a cache line */
};

static enum status scratch_init(struct scratch *scratch, const struct model_config *config,
                                size_t context, size_t threads, struct error *err)
{
    size_t hidden = config->hidden_size, ffn = config->ffn_size, half = config->head_size / 2;
    size_t query = (size_t)config->heads * config->head_size;
    size_t kv = (size_t)config->kv_heads * config->head_size;
    size_t group = config->heads / config->kv_heads;
    const struct {
        float **to;
        size_t count;
    } parts[] = {
        {&scratch->x, BLOCK_TOKENS * hidden},     {&scratch->normed, BLOCK_TOKENS * hidden},
        {&scratch->q, BLOCK_TOKENS * query},      {&scratch->k, BLOCK_TOKENS * kv},
        {&scratch->v, BLOCK_TOKENS * kv},         {&scratch->mixed, BLOCK_TOKENS * query},
        {&scratch->gate, BLOCK_TOKENS * ffn},     {&scratch->up, BLOCK_TOKENS * ffn},
        {&scratch->delta, BLOCK_TOKENS * hidden}, {&scratch->cosine, BLOCK_TOKENS * half},
        {&scratch->sine, BLOCK_TOKENS * half},    {&scratch->scores, threads * group * context},
    };
    enum { PARTS = sizeof parts / sizeof parts[0] };
    size_t total = 0;
    for (size_t i = 0; i < PARTS; i++)
        total += (parts[i].count + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
    if (pages_map(&scratch->pages, total * sizeof(float), err) != STATUS_OK)
        return err->status;
    pages_populate(scratch->pages.data, total * sizeof(float), 1);
    float *next = scratch->pages.data;
    for (size_t i = 0; i < PARTS; i++) {
        *parts[i].to = next;
        next += (parts[i].count + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
    }
    return STATUS_OK;
}

enum status forward_init(struct forward *forward, const struct model *model, struct error *err)
{
    forward->rope_interleaved = model->rope_interleaved;
    forward->frequency = calloc(forward->config.head_size / 2 + 1, sizeof *forward->frequency);
    if (!forward->frequency)
        return error_no_memory(err, forward->config.head_size * sizeof *forward->frequency);
    model_rope_frequencies(model, forward->frequency);
    return scratch_init(&forward->scratch, &forward->config, forward->cache->context,
                        pool_threads(forward->pool), err);
}

void forward_free(struct forward *forward)
{
    pages_free(&forward->scratch.pages);
    free(forward->frequency);
}

/* What the threads work on together. */
struct block {
    struct forward *forward;
    const int32_t *ids;
    uint32_t count, position;
    float *logits;
    uint32_t logit_rows;
};

/* Each thread computes its share of a matrix's rows for all tokens: out [count, rows]. */
static struct share product(const struct forward *f, uint32_t thread, const struct matrix *matrix,
                            const float *x, size_t count, float *out)
{
    struct share share = pool_share(f->pool, thread, matrix->rows, ROWS_UNIT);
    enum llama_precision type = matrix->precision;
    size_t columns = matrix->columns, rows = share.end - share.begin, stride = matrix->rows;
    const unsigned char *data =
        (const unsigned char *)matrix->data + share.begin * matrix_row_bytes(type, columns);
    size_t scale = share.begin * matrix_row_scales(type, columns);
    float *to = out + share.begin;
    if (type == LLAMA_INT8)
        f->kernels->matmul_int8(to, stride, (const int8_t *)data, matrix->scales + scale, rows,
                                columns, x, count);
    else if (type == LLAMA_NF4)
        f->kernels->matmul_nf4(to, stride, data, matrix->scales + scale, rows, columns, x, count);
    else
        f->kernels->matmul[type](to, stride, data, rows, columns, x, count);
    for (size_t t = 0; f->rounded && t < count; t++)
        forward_round(f, out + t * matrix->rows + share.begin, share.end - share.begin);
    return share;
}

/* The end of an operation, where all threads meet before the next one. */
static void meet(const struct forward *f, uint32_t thread, enum operation operation, int32_t layer)
{
    profile_mark(f->profile, thread, operation, layer);
    pool_barrier(f->pool);
    profile_mark(f->profile, thread, OPERATION_WAIT, layer);
}

/* Where the model is split, data becomes the sum of what all ranks have. Thread 0 sees to it. */
static void exchange(const struct forward *f, uint32_t thread, float *data, size_t count,
                     enum operation before, int32_t layer)
{
    if (!f->ranks)
        return;
    meet(f, thread, before, layer);
    if (thread == 0)
        ranks_sum(f->ranks, data, count);
    meet(f, thread, OPERATION_EXCHANGE, layer);
}

/* Blocks are of a token's row, of which a thread has made whatever was its own: shared anew. */
static void input_round(const struct forward *f, uint32_t thread, float *input, size_t count,
                        size_t columns)
{
    struct share share = pool_share(f->pool, thread, count, 1);
    for (size_t t = share.begin; t < share.end; t++)
        quantize_q8_0(input + t * columns, columns);
    pool_barrier(f->pool);
}

/* x += matrix * input: each thread adds the rows that it has computed. */
static void product_add(const struct forward *f, uint32_t thread, const struct matrix *matrix,
                        float *input, size_t count, enum operation operation, int32_t layer)
{
    const struct scratch *s = &f->scratch;
    if (f->q8_0)
        input_round(f, thread, input, count, matrix->columns);
    struct share share = product(f, thread, matrix, input, count, s->delta);
    exchange(f, thread, s->delta, count * matrix->rows, operation, layer);
    for (size_t t = 0; t < count; t++) {
        size_t at = t * matrix->rows + share.begin;
        f->kernels->add(s->x + at, s->delta + at, share.end - share.begin);
        forward_round(f, s->x + at, share.end - share.begin);
    }
    meet(f, thread, operation, layer);
}

static void norm(const struct forward *f, uint32_t thread, const float *weight, size_t first,
                 size_t count)
{
    const struct scratch *s = &f->scratch;
    size_t hidden = f->config.hidden_size;
    struct share share = pool_share(f->pool, thread, count, 1);
    for (size_t t = first + share.begin; t < first + share.end; t++) {
        f->kernels->rmsnorm(s->normed + t * hidden, s->x + t * hidden, weight, hidden,
                            f->config.norm_eps);
        forward_round(f, s->normed + t * hidden, hidden);
        if (f->q8_0)
            quantize_q8_0(s->normed + t * hidden, hidden);
    }
}

/* SwiGLU: x += down(silu(gate(normed)) * up(normed)). */
static void feed_forward(const struct forward *f, uint32_t thread, int32_t index, size_t count)
{
    const struct scratch *s = &f->scratch;
    const struct weights_layer *layer = &f->weights->layer[index];
    struct share share = product(f, thread, &layer->w_gate, s->normed, count, s->gate);
    product(f, thread, &layer->w_up, s->normed, count, s->up);
    for (size_t t = 0; t < count; t++) {
        size_t at = t * f->config.ffn_size + share.begin;
        f->kernels->silu_mul(s->gate + at, s->up + at, share.end - share.begin);
        forward_round(f, s->gate + at, share.end - share.begin);
    }
    meet(f, thread, OPERATION_GATE_UP, index);
    product_add(f, thread, &layer->w_down, s->gate, count, OPERATION_DOWN, index);
}

/* A token's embedding; nothing where another rank has it: the sum of all is the embedding. */
static void embed_token(const struct forward *f, int32_t id, float *out)
{
    const struct matrix *embedding = &f->weights->embedding;
    enum llama_precision type = embedding->precision;
    size_t columns = embedding->columns;
    size_t row = (size_t)id - (f->ranks ? f->ranks->rank * embedding->rows : 0);
    if (row >= embedding->rows) /* below 0 as well */
        memset(out, 0, columns * sizeof *out);
    else if (type == LLAMA_INT8)
        f->kernels->widen_int8(out, (const int8_t *)embedding->data + row * columns,
                               embedding->scales[row], columns);
    else
        f->kernels->widen[type](out,
                                (const unsigned char *)embedding->data +
                                    row * columns * llama_precision_bytes(type),
                                columns);
}

static void embed(const struct block *b, uint32_t thread)
{
    struct forward *f = b->forward;
    size_t half = f->config.head_size / 2, columns = f->config.hidden_size;
    struct share share = pool_share(f->pool, thread, b->count, 1);
    for (size_t t = share.begin; t < share.end; t++) {
        embed_token(f, b->ids[t], f->scratch.x + t * columns);
        for (size_t i = 0; i < half; i++) {
            float angle = (float)(b->position + t) * f->frequency[i];
            f->scratch.cosine[t * half + i] = cosf(angle);
            f->scratch.sine[t * half + i] = sinf(angle);
        }
    }
}

static void block_work(void *context, uint32_t thread)
{
    const struct block *b = context;
    struct forward *f = b->forward;
    const struct scratch *s = &f->scratch;
    profile_begin(f->profile, thread);
    embed(b, thread);
    exchange(f, thread, s->x, (size_t)b->count * f->config.hidden_size, OPERATION_EMBED, -1);
    meet(f, thread, OPERATION_EMBED, -1);
    for (int32_t i = 0; i < (int32_t)f->config.layers; i++) {
        const struct weights_layer *layer = &f->weights->layer[i];
        norm(f, thread, layer->attn_norm, 0, b->count);
        meet(f, thread, OPERATION_NORM, i);
        product(f, thread, &layer->wq, s->normed, b->count, s->q);
        product(f, thread, &layer->wk, s->normed, b->count, s->k);
        product(f, thread, &layer->wv, s->normed, b->count, s->v);
        meet(f, thread, OPERATION_QKV, i);
        attention_rotate(f, thread, (size_t)i, b->count, b->position);
        meet(f, thread, OPERATION_ROPE, i);
        attention_mix(f, thread, (size_t)i, b->count, b->position);
        meet(f, thread, OPERATION_ATTENTION, i);
        product_add(f, thread, &layer->wo, s->mixed, b->count, OPERATION_ATTENTION_OUT, i);
        norm(f, thread, layer->ffn_norm, 0, b->count);
        meet(f, thread, OPERATION_NORM, i);
        feed_forward(f, thread, i, b->count);
    }
    if (!b->logits)
        return;
    size_t first = b->count - b->logit_rows;
    norm(f, thread, f->weights->norm, first, b->logit_rows);
    meet(f, thread, OPERATION_NORM, -1);
    product(f, thread, &f->weights->output, s->normed + first * f->config.hidden_size,
            b->logit_rows, b->logits);
    profile_mark(f->profile, thread, OPERATION_LOGITS, -1);
}

void forward_block(struct forward *forward, const int32_t *ids, uint32_t count, uint32_t position,
                   float *logits, uint32_t logit_rows)
{
    struct block block = {forward, ids, count, position, logits, logit_rows};
    pool_run(forward->pool, block_work, &block);
    profile_mark(forward->profile, 0, OPERATION_WAIT, -1);
}
