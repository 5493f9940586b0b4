#include "llama/cuda/portable.h"

/* As portable.cu has them. */
enum {
    WARPS = 8,
    THREADS = 32 * WARPS,
    TOKENS = 8, /* that a block of matmul has; more are computed by tiles */
    TILE_TOKENS = 64,
    TILE_ROWS = 32,
    MOST_HEAD_SIZE = 256,
    ARGMAX_BLOCKS = 64
};

_Static_assert((int)ARGMAX_BLOCKS <= (int)PORTABLE_TOKENS, "bests has room for one of each block");

FATBIN_DECLARE(portable);

static enum status kernels_find(struct portable *portable, struct card *card,
                                const struct device_model *model, struct error *err)
{
    struct fatbin fatbin = FATBIN(portable);
    int weights = (int)model->precision;
    int cache = model->precision == LLAMA_F32 ? LLAMA_F32 : LLAMA_F16;
    bool coded = model->form.ends != CODES_NONE;
    const struct card_kernel_row kernels[] = {
        {coded ? "embed_int8" : "embed", coded ? -1 : weights, &portable->embed},
        {"rmsnorm", -1, &portable->rmsnorm},
        {"matmul", weights, &portable->matmul},
        {"matmul_tiles", weights, &portable->matmul_tiles},
        {"rope", cache, &portable->rope},
        {"attend", cache, &portable->attend},
        {"swiglu", -1, &portable->swiglu},
        {"argmax", -1, &portable->argmax},
        {"choose", -1, &portable->choose},
    };
    return card_kernels(card, &fatbin, kernels, sizeof kernels / sizeof kernels[0], err);
}

enum status portable_open(struct portable *portable, struct card *card,
                          const struct device_model *model, struct error *err)
{
    enum { ALIGN_FLOATS = 64 };
    const struct cuda_shape *s = &model->shape;
    uint64_t query = (uint64_t)s->heads * s->head_size, total = 0;
    const struct {
        cuda_pointer *to;
        uint64_t row;
    } parts[] = {
        {&portable->ids, 1},
        {&portable->ended, 1},
        {&portable->state, 1},
        {&portable->found, 1},
        {&portable->bests, 2}, /* one uint64 for each block */
        {&portable->x, s->hidden},
        {&portable->delta, s->hidden},
        {&portable->normed, s->hidden},
        {&portable->qkv, qkv_rows(s)},
        {&portable->mixed, query},
        {&portable->gate_up, 2 * (uint64_t)s->ffn},
        {&portable->ffn, s->ffn},
    };
    *portable = (struct portable){0};
    if (s->head_size > MOST_HEAD_SIZE)
        return error_set(err, STATUS_UNSUPPORTED, "on a GPU, heads may have %d elements, not %u",
                         MOST_HEAD_SIZE, s->head_size);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *parts[i].to = total * sizeof(float);
        total += (PORTABLE_TOKENS * parts[i].row + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
    }
    enum status status = kernels_find(portable, card, model, err);
    if (status == STATUS_OK)
        status = cuda_memory_get(&card->cuda, total * sizeof(float), &portable->memory, err);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        *parts[i].to += portable->memory;
    if (status != STATUS_OK)
        return status;
    return cuda_check(&card->cuda, card->cuda.MemsetD8(portable->ended, 0, sizeof(uint32_t)), err,
                      "clear memory on %s", card->device.name);
}

void portable_close(struct portable *portable, struct card *card)
{
    if (portable->memory)
        card->cuda.MemFree(portable->memory);
    *portable = (struct portable){0};
}

/* One pass under way. */
struct pass {
    const struct portable *p;
    const struct card *card;
    const struct device_model *model;
    uint32_t count, position;
    struct error *err;
};

/* The norm i of x, from token first on; what has not been added yet is added to x. */
static enum status norm(const struct pass *pass, uint32_t i, uint32_t first, uint32_t count)
{
    const struct cuda_shape *s = &pass->model->shape;
    uint64_t at = (uint64_t)first * s->hidden * sizeof(float);
    const float *weight = pass->model->weights.norms + (size_t)i * s->hidden;
    cuda_pointer out = pass->p->normed, x = pass->p->x + at;
    cuda_pointer delta = i == 0 ? 0 : pass->p->delta + at;
    uint32_t hidden = s->hidden;
    float eps = s->eps;
    void *arguments[] = {&out, &x, &delta, &weight, &hidden, &eps};
    return card_launch(pass->card, pass->p->rmsnorm, count, 1, THREADS, 0, arguments, pass->err);
}

/* out [count, rows] */
static enum status product(const struct pass *pass, enum codes_kind kind, cuda_pointer out,
                           const void *weights, cuda_pointer x, uint32_t rows, uint32_t columns,
                           uint32_t count)
{
    if (kind != CODES_NONE)
        return codes_multiply(&pass->model->codes, pass->card, kind, false, out, x, weights, rows,
                              columns, count, pass->err);
    void *arguments[] = {&out, &weights, &x, &rows, &columns, &count};
    if (count > TOKENS && columns % 4 == 0)
        return card_launch(pass->card, pass->p->matmul_tiles,
                           (count + TILE_TOKENS - 1) / TILE_TOKENS,
                           (rows + TILE_ROWS - 1) / TILE_ROWS, THREADS, 0, arguments, pass->err);
    return card_launch(pass->card, pass->p->matmul, (rows + WARPS - 1) / WARPS,
                       (count + TOKENS - 1) / TOKENS, THREADS, 0, arguments, pass->err);
}

/* What is to be added to x, of which each card has some of the columns. */
static enum status product_delta(const struct pass *pass, const void *weights, cuda_pointer x,
                                 uint32_t columns)
{
    uint32_t hidden = pass->model->shape.hidden;
    enum status status = product(pass, pass->model->form.layers, pass->p->delta, weights, x, hidden,
                                 columns, pass->count);
    return status == STATUS_OK ? exchange_sum(pass->model->exchange, pass->card, pass->p->delta,
                                              (size_t)pass->count * hidden, pass->err)
                               : status;
}

static enum status attention(const struct pass *pass, uint32_t layer)
{
    const struct device_model *m = pass->model;
    struct cuda_shape s = m->shape;
    uint64_t at = (uint64_t)layer * s.kv_heads * s.context * s.head_size * m->cache_element;
    cuda_pointer qkv = pass->p->qkv, keys = m->keys + at, values = m->values + at;
    cuda_pointer frequency = m->frequency, mixed = pass->p->mixed;
    uint32_t position = pass->position;
    void *rotate[] = {&qkv, &keys, &values, &frequency, &s, &position};
    void *mix[] = {&mixed, &qkv, &keys, &values, &s, &position};
    uint32_t shared = WARPS * (s.head_size + 2) * (uint32_t)sizeof(float);
    enum status status = card_launch(pass->card, pass->p->rope, s.kv_heads, pass->count, THREADS, 0,
                                     rotate, pass->err);
    if (status != STATUS_OK)
        return status;
    return card_launch(pass->card, pass->p->attend, s.heads, pass->count, THREADS, shared, mix,
                       pass->err);
}

/* ffn = silu(gate) * up */
static enum status swiglu(const struct pass *pass)
{
    cuda_pointer out = pass->p->ffn, in = pass->p->gate_up;
    uint64_t elements = (uint64_t)pass->count * pass->model->shape.ffn;
    void *arguments[] = {&out, &in, &elements};
    return card_launch(pass->card, pass->p->swiglu, (uint32_t)((elements + THREADS - 1) / THREADS),
                       1, THREADS, 0, arguments, pass->err);
}

static enum status feed_forward(const struct pass *pass, const char *layer)
{
    const struct portable *p = pass->p;
    const struct cuda_shape *s = &pass->model->shape;
    const struct cuda_weights *w = &pass->model->weights;
    enum status status = product(pass, pass->model->form.layers, p->gate_up, layer + w->gate_up,
                                 p->normed, 2 * s->ffn, s->hidden, pass->count);
    if (status == STATUS_OK)
        status = swiglu(pass);
    return status == STATUS_OK ? product_delta(pass, layer + w->down, p->ffn, s->ffn) : status;
}

static enum status layer_compute(const struct pass *pass, uint32_t i)
{
    const struct portable *p = pass->p;
    const struct cuda_shape *s = &pass->model->shape;
    const struct cuda_weights *w = &pass->model->weights;
    const char *layer = w->layers + i * w->layer_bytes;
    enum status status = norm(pass, 2 * i, 0, pass->count);
    if (status == STATUS_OK)
        status = product(pass, pass->model->form.layers, p->qkv, layer, p->normed, qkv_rows(s),
                         s->hidden, pass->count);
    if (status == STATUS_OK)
        status = attention(pass, i);
    if (status == STATUS_OK)
        status = product_delta(pass, layer + w->wo, p->mixed, s->heads * s->head_size);
    if (status == STATUS_OK)
        status = norm(pass, 2 * i + 1, 0, pass->count);
    return status == STATUS_OK ? feed_forward(pass, layer) : status;
}

enum status portable_embed(const struct portable *p, const struct card *card,
                           const struct device_model *model, cuda_pointer ids, uint32_t count,
                           struct error *err)
{
    cuda_pointer x = p->x;
    const void *embedding = model->weights.embedding;
    uint32_t hidden = model->shape.hidden, words = model->shape.vocabulary;
    uint32_t first = model->first_word;
    void *arguments[] = {&x, &embedding, &ids, &hidden, &first, &words};
    enum status status = card_launch(card, p->embed, count, 1, THREADS, 0, arguments, err);
    return status == STATUS_OK ? exchange_sum(model->exchange, card, x, (size_t)count * hidden, err)
                               : status;
}

enum status portable_forward(const struct portable *portable, const struct card *card,
                             const struct device_model *model, cuda_pointer ids, uint32_t count,
                             uint32_t position, cuda_pointer logits, uint32_t rows,
                             struct error *err)
{
    const struct cuda_shape *s = &model->shape;
    struct pass pass = {portable, card, model, count, position, err};
    enum status status = portable_embed(portable, card, model, ids, count, err);
    for (uint32_t i = 0; i < s->layers && status == STATUS_OK; i++)
        status = layer_compute(&pass, i);
    if (status == STATUS_OK && logits)
        status = norm(&pass, 2 * s->layers, count - rows, rows);
    if (status != STATUS_OK || !logits)
        return status;
    return product(&pass, model->form.ends, logits, model->weights.output, portable->normed,
                   s->vocabulary, s->hidden, rows);
}

enum status portable_state_set(const struct portable *portable, const struct card *card,
                               uint32_t position, struct draw draw, struct error *err)
{
    const struct token_state state = {position, 0, draw};
    return cuda_check(
        &card->cuda,
        card->cuda.MemcpyHtoDAsync(portable->state, &state, sizeof state, card->stream), err,
        "tell %s where it is", card->device.name);
}

enum status portable_choose(const struct portable *portable, const struct card *card,
                            const struct device_model *model, struct draw draw, cuda_pointer next,
                            cuda_pointer ids, cuda_pointer state, cuda_pointer logits,
                            struct error *err)
{
    struct chosen to = {(int32_t *)(uintptr_t)next, (volatile int32_t *)(uintptr_t)ids,
                        (struct token_state *)(uintptr_t)state};
    cuda_pointer found = model->exchange ? portable->found : 0;
    cuda_pointer bests = portable->bests, ended = portable->ended;
    uint32_t words = model->shape.vocabulary, first = model->first_word;
    void *arguments[] = {&to, &found, &bests, &ended, &logits, &words, &first, &draw};
    void *choose[] = {&to, &found};
    enum status status =
        card_launch(card, portable->argmax, ARGMAX_BLOCKS, 1, THREADS, 0, arguments, err);
    if (status != STATUS_OK || !found)
        return status;
    status = exchange_largest(model->exchange, card, found, err);
    return status == STATUS_OK ? card_launch(card, portable->choose, 1, 1, 1, 0, choose, err)
                               : status;
}
