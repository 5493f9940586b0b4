#include "llama/cuda/prefill.h"

#include <stdio.h>

/* As prefill.cu has them. */
enum {
    DEPTH = 64,
    QUERIES = 64,
    LARGE = 128, /* tokens and rows of a block; of the small one's, the tokens */
    SMALL_ROWS = 32,
    LARGE_SHARED = 3 * (LARGE + LARGE) * DEPTH * 2,
    SMALL_SHARED = 4 * (LARGE + SMALL_ROWS) * DEPTH * 2,
    THREADS = 256,
    ATTEND_THREADS = 128,
    MOST_TOKENS = 2048,
    MOST_PARTS = 8,
    LEAST_STEPS = 8 /* of DEPTH columns in a part */
};
enum { PRODUCT_STORE, PRODUCT_ADD, PRODUCT_SWIGLU };

FATBIN_DECLARE(prefill);

static bool shape_fits(const struct device_model *model, const struct card *card)
{
    const struct cuda_shape *s = &model->shape;
    uint32_t query = s->heads * s->head_size;
    return model->element == 2 && (s->head_size == 64 || s->head_size == 128) &&
           s->hidden % DEPTH == 0 && query % DEPTH == 0 && s->ffn % DEPTH == 0 &&
           s->vocabulary % 2 == 0 && card->device.shared_bytes >= LARGE_SHARED;
}

static enum status kernels_find(struct prefill *p, struct card *card,
                                const struct device_model *model, struct error *err)
{
    struct cuda_module *module;
    struct fatbin fatbin = FATBIN(prefill);
    char attend[16];
    snprintf(attend, sizeof attend, "attend_%u", model->shape.head_size);
    const struct {
        const char *name;
        struct cuda_function **to;
        uint32_t shared;
        int type;
    } kernels[] = {{"product_small", &p->small, SMALL_SHARED, (int)model->precision},
                   {"norm", &p->norm, 0, (int)model->precision},
                   {"parts_add", &p->parts_add, 0, -1},
                   {attend, &p->attend, p->attend_shared, (int)model->precision},
                   {"product_large", &p->large, LARGE_SHARED, (int)model->precision}};
    enum status status = card_load(card, &fatbin, &module, err);
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0] && status == STATUS_OK; i++) {
        status = card_kernel(card, module, kernels[i].name, kernels[i].type, kernels[i].to, err);
        if (status == STATUS_OK && kernels[i].shared)
            status = cuda_check(&card->cuda,
                                card->cuda.FuncSetAttribute(*kernels[i].to,
                                                            CUDA_FUNCTION_MAX_DYNAMIC_SHARED_BYTES,
                                                            (int)kernels[i].shared),
                                err, "prepare the kernel %s", kernels[i].name);
    }
    return status;
}

enum status prefill_open(struct prefill *p, struct card *card, const struct device_model *model,
                         struct error *err)
{
    enum { ALIGN_BYTES = 256 };
    const struct cuda_shape *s = &model->shape;
    uint64_t query = (uint64_t)s->heads * s->head_size, total = 0;
    *p = (struct prefill){.multiprocessors = (uint32_t)card->device.multiprocessors};
    if (!shape_fits(model, card))
        return STATUS_OK;
    p->most = s->context < MOST_TOKENS ? s->context : MOST_TOKENS;
    /* as many parts as fill the card with tiles, of products that have fewer */
    p->parts_bytes = (uint64_t)2 * p->multiprocessors * LARGE * LARGE * sizeof(float);
    p->attend_shared = 5 * QUERIES * s->head_size * 2;
    const struct {
        cuda_pointer *to;
        uint64_t row;
    } parts[] = {
        {&p->ids, sizeof(int32_t)},
        {&p->x, s->hidden * sizeof(float)},
        {&p->qkv, qkv_rows(s) * sizeof(float)},
        {&p->normed, s->hidden * model->element},
        {&p->mixed, query * model->element},
        {&p->ffn, s->ffn * model->element},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *parts[i].to = total;
        total += (p->most * parts[i].row + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    }
    p->parts = total;
    enum status status = kernels_find(p, card, model, err);
    if (status == STATUS_OK)
        status = cuda_memory_get(&card->cuda, total + p->parts_bytes, &p->memory, err);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        *parts[i].to += p->memory;
    p->parts += p->memory;
    return status;
}

void prefill_close(struct prefill *p, struct card *card)
{
    if (p->memory)
        card->cuda.MemFree(p->memory);
    *p = (struct prefill){0};
}

/* One pass under way. */
struct pass {
    const struct prefill *p;
    const struct card *card;
    const struct device_model *model;
    uint32_t count, position;
    struct error *err;
};

static enum status norm(const struct pass *pass, cuda_pointer x, const float *weight,
                        uint32_t count)
{
    cuda_pointer out = pass->p->normed;
    uint32_t hidden = pass->model->shape.hidden;
    float eps = pass->model->shape.eps;
    void *arguments[] = {&out, &x, &weight, &hidden, &eps};
    return card_launch(pass->card, pass->p->norm, count, 1, THREADS, 0, arguments, pass->err);
}

/* Parts of the columns that a product of so many large tiles is cut into, so that no multiprocessor
 * is idle. */
static uint32_t parts_of(const struct pass *pass, uint32_t tiles, uint32_t rows, uint32_t columns,
                         uint32_t count)
{
    uint32_t parts = pass->p->multiprocessors / tiles, most = columns / DEPTH / LEAST_STEPS;
    uint64_t room = pass->p->parts_bytes / ((uint64_t)count * rows * sizeof(float));
    parts = parts < MOST_PARTS ? parts : MOST_PARTS;
    parts = parts < most ? parts : most;
    parts = parts < room ? parts : (uint32_t)room;
    return parts > 0 ? parts : 1;
}

/* Large tiles do more for each byte; a few tokens need no such. */
static enum status product(const struct pass *pass, cuda_pointer out, const void *weights,
                           cuda_pointer x, uint32_t rows, uint32_t columns, uint32_t count,
                           uint32_t kind)
{
    enum { FEW = 8 };
    const struct prefill *p = pass->p;
    bool large = count > FEW;
    uint32_t each = large ? LARGE : SMALL_ROWS;
    uint32_t grid[3] = {(count + LARGE - 1) / LARGE, (rows + each - 1) / each, 1};
    if (large && kind != PRODUCT_SWIGLU && rows % 4 == 0)
        grid[2] = parts_of(pass, grid[0] * grid[1], rows, columns, count);
    bool parts = grid[2] > 1;
    uint32_t stored = parts ? PRODUCT_STORE : kind, add = kind == PRODUCT_ADD, sums = count * rows;
    cuda_pointer to = parts ? p->parts : out, from = p->parts;
    void *arguments[] = {&to, &x, &weights, &count, &rows, &columns, &stored};
    void *sum[] = {&out, &from, &grid[2], &sums, &add};
    enum status status = card_launch_3d(pass->card, large ? p->large : p->small, grid, THREADS,
                                        large ? LARGE_SHARED : SMALL_SHARED, arguments, pass->err);
    if (status != STATUS_OK || !parts)
        return status;
    return card_launch(pass->card, p->parts_add, (sums / 4 + THREADS - 1) / THREADS, 1, THREADS, 0,
                       sum, pass->err);
}

static enum status attention(const struct pass *pass, const struct portable *portable,
                             uint32_t layer)
{
    const struct device_model *m = pass->model;
    struct cuda_shape s = m->shape;
    uint64_t at = (uint64_t)layer * s.kv_heads * s.context * s.head_size * m->cache_element;
    cuda_pointer qkv = pass->p->qkv, keys = m->keys + at, values = m->values + at;
    cuda_pointer frequency = m->frequency, mixed = pass->p->mixed;
    uint32_t position = pass->position, count = pass->count;
    void *rotate[] = {&qkv, &keys, &values, &frequency, &s, &position};
    void *mix[] = {&mixed, &qkv, &keys, &values, &s, &count, &position};
    enum status status =
        card_launch(pass->card, portable->rope, s.kv_heads, count, THREADS, 0, rotate, pass->err);
    if (status != STATUS_OK)
        return status;
    return card_launch(pass->card, pass->p->attend, (count + QUERIES - 1) / QUERIES, s.heads,
                       ATTEND_THREADS, pass->p->attend_shared, mix, pass->err);
}

static enum status layer_compute(const struct pass *pass, const struct portable *portable,
                                 uint32_t i)
{
    const struct prefill *p = pass->p;
    const struct cuda_shape *s = &pass->model->shape;
    const struct cuda_weights *w = &pass->model->weights;
    const char *layer = w->layers + i * w->layer_bytes;
    const float *norms = w->norms + (size_t)2 * i * s->hidden;
    uint32_t count = pass->count;
    enum status status = norm(pass, p->x, norms, count);
    if (status == STATUS_OK)
        status =
            product(pass, p->qkv, layer, p->normed, qkv_rows(s), s->hidden, count, PRODUCT_STORE);
    if (status == STATUS_OK)
        status = attention(pass, portable, i);
    if (status == STATUS_OK)
        status = product(pass, p->x, layer + w->wo, p->mixed, s->hidden, s->heads * s->head_size,
                         count, PRODUCT_ADD);
    if (status == STATUS_OK)
        status = norm(pass, p->x, norms + s->hidden, count);
    if (status == STATUS_OK)
        status = product(pass, p->ffn, layer + w->gate_up, p->normed, 2 * s->ffn, s->hidden, count,
                         PRODUCT_SWIGLU);
    if (status == STATUS_OK)
        status =
            product(pass, p->x, layer + w->down, p->ffn, s->hidden, s->ffn, count, PRODUCT_ADD);
    return status;
}

enum status prefill_forward(const struct prefill *prefill, const struct portable *portable,
                            const struct card *card, const struct device_model *model,
                            cuda_pointer ids, uint32_t count, uint32_t position,
                            cuda_pointer logits, uint32_t rows, struct error *err)
{
    const struct cuda_shape *s = &model->shape;
    struct pass pass = {prefill, card, model, count, position, err};
    cuda_pointer x = prefill->x;
    const void *embedding = model->weights.embedding;
    uint32_t hidden = s->hidden;
    void *arguments[] = {&x, &embedding, &ids, &hidden};
    enum status status = card_launch(card, portable->embed, count, 1, THREADS, 0, arguments, err);
    for (uint32_t i = 0; i < s->layers && status == STATUS_OK; i++)
        status = layer_compute(&pass, portable, i);
    if (status != STATUS_OK || !logits)
        return status;
    status = norm(&pass, x + (uint64_t)(count - rows) * hidden * sizeof(float),
                  model->weights.norms + (size_t)2 * s->layers * hidden, rows);
    if (status != STATUS_OK)
        return status;
    return product(&pass, logits, model->weights.output, prefill->normed, s->vocabulary, hidden,
                   rows, PRODUCT_STORE);
}
