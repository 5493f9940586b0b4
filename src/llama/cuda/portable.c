#include "llama/cuda/portable.h"

/* As portable.cu has them. */
enum {
    WARPS = 8,
    THREADS = 32 * WARPS,
    TOKENS = 8, /* that a block of matmul has; more are computed by tiles */
    TILE_TOKENS = 64,
    TILE_ROWS = 32,
    MOST_HEAD_SIZE = 256,
    CHOOSE_BLOCKS = 64
};

_Static_assert((int)CHOOSE_BLOCKS <= (int)PORTABLE_TOKENS, "bests has room for one of each block");

FATBIN_DECLARE(portable);

static enum status kernels_find(struct portable *portable, struct card *card,
                                const struct device_model *model, struct error *err)
{
    struct cuda_module *module;
    struct fatbin fatbin = FATBIN(portable);
    int weights = (int)model->precision;
    int cache = model->precision == LLAMA_F32 ? LLAMA_F32 : LLAMA_F16;
    bool coded = model->form.ends != CODES_NONE;
    const struct {
        const char *name;
        int type;
        struct cuda_function **to;
    } kernels[] = {
        {coded ? "embed_int8" : "embed", coded ? -1 : weights, &portable->embed},
        {"rmsnorm", -1, &portable->rmsnorm},
        {"matmul", weights, &portable->matmul},
        {"matmul_tiles", weights, &portable->matmul_tiles},
        {"rope", cache, &portable->rope},
        {"attend", cache, &portable->attend},
        {"swiglu", -1, &portable->swiglu},
        {"choose", -1, &portable->choose},
    };
    enum status status = card_load(card, &fatbin, &module, err);
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0] && status == STATUS_OK; i++)
        status = card_kernel(card, module, kernels[i].name, kernels[i].type, kernels[i].to, err);
    return status;
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
        {&portable->bests, 2}, /* one uint64 for each block */
        {&portable->x, s->hidden},
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

static enum status norm(const struct pass *pass, cuda_pointer x, const float *weight,
                        uint32_t count)
{
    const struct cuda_shape *s = &pass->model->shape;
    cuda_pointer out = pass->p->normed;
    uint32_t hidden = s->hidden;
    float eps = s->eps;
    void *arguments[] = {&out, &x, &weight, &hidden, &eps};
    return card_launch(pass->card, pass->p->rmsnorm, count, 1, THREADS, 0, arguments, pass->err);
}

/* out [count, rows], or added to it. */
static enum status product(const struct pass *pass, enum codes_kind kind, cuda_pointer out,
                           const void *weights, cuda_pointer x, uint32_t rows, uint32_t columns,
                           uint32_t count, uint32_t add)
{
    if (kind != CODES_NONE)
        return codes_multiply(&pass->model->codes, pass->card, kind, false, out, x, weights, rows,
                              columns, count, add, pass->err);
    void *arguments[] = {&out, &weights, &x, &rows, &columns, &count, &add};
    if (count > TOKENS && columns % 4 == 0)
        return card_launch(pass->card, pass->p->matmul_tiles,
                           (count + TILE_TOKENS - 1) / TILE_TOKENS,
                           (rows + TILE_ROWS - 1) / TILE_ROWS, THREADS, 0, arguments, pass->err);
    return card_launch(pass->card, pass->p->matmul, (rows + WARPS - 1) / WARPS,
                       (count + TOKENS - 1) / TOKENS, THREADS, 0, arguments, pass->err);
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

static enum status feed_forward(const struct pass *pass, const char *layer)
{
    const struct portable *p = pass->p;
    const struct cuda_shape *s = &pass->model->shape;
    const struct cuda_weights *w = &pass->model->weights;
    cuda_pointer out = p->ffn, in = p->gate_up;
    uint64_t count = (uint64_t)pass->count * s->ffn;
    void *arguments[] = {&out, &in, &count};
    enum status status = product(pass, pass->model->form.layers, p->gate_up, layer + w->gate_up,
                                 p->normed, 2 * s->ffn, s->hidden, pass->count, 0);
    if (status == STATUS_OK)
        status = card_launch(pass->card, p->swiglu, (uint32_t)((count + THREADS - 1) / THREADS), 1,
                             THREADS, 0, arguments, pass->err);
    if (status == STATUS_OK)
        status = product(pass, pass->model->form.layers, p->x, layer + w->down, p->ffn, s->hidden,
                         s->ffn, pass->count, 1);
    return status;
}

static enum status layer_compute(const struct pass *pass, uint32_t i)
{
    const struct portable *p = pass->p;
    const struct cuda_shape *s = &pass->model->shape;
    const struct cuda_weights *w = &pass->model->weights;
    const char *layer = w->layers + i * w->layer_bytes;
    const float *norms = w->norms + (size_t)2 * i * s->hidden;
    enum status status = norm(pass, p->x, norms, pass->count);
    if (status == STATUS_OK)
        status = product(pass, pass->model->form.layers, p->qkv, layer, p->normed, qkv_rows(s),
                         s->hidden, pass->count, 0);
    if (status == STATUS_OK)
        status = attention(pass, i);
    if (status == STATUS_OK)
        status = product(pass, pass->model->form.layers, p->x, layer + w->wo, p->mixed, s->hidden,
                         s->heads * s->head_size, pass->count, 1);
    if (status == STATUS_OK)
        status = norm(pass, p->x, norms + s->hidden, pass->count);
    return status == STATUS_OK ? feed_forward(pass, layer) : status;
}

enum status portable_forward(const struct portable *portable, const struct card *card,
                             const struct device_model *model, cuda_pointer ids, uint32_t count,
                             uint32_t position, cuda_pointer logits, uint32_t rows,
                             struct error *err)
{
    const struct cuda_shape *s = &model->shape;
    struct pass pass = {portable, card, model, count, position, err};
    cuda_pointer x = portable->x;
    const void *embedding = model->weights.embedding;
    uint32_t hidden = s->hidden;
    void *arguments[] = {&x, &embedding, &ids, &hidden};
    enum status status = card_launch(card, portable->embed, count, 1, THREADS, 0, arguments, err);
    for (uint32_t i = 0; i < s->layers && status == STATUS_OK; i++)
        status = layer_compute(&pass, i);
    if (status != STATUS_OK || !logits)
        return status;
    status = norm(&pass, x + (uint64_t)(count - rows) * hidden * sizeof(float),
                  model->weights.norms + (size_t)2 * s->layers * hidden, rows);
    if (status != STATUS_OK)
        return status;
    return product(&pass, model->form.ends, logits, model->weights.output, portable->normed,
                   s->vocabulary, hidden, rows, 0);
}

enum status portable_choose(const struct portable *portable, const struct card *card,
                            struct draw draw, cuda_pointer next, cuda_pointer told,
                            cuda_pointer logits, uint32_t count, struct error *err)
{
    cuda_pointer bests = portable->bests, ended = portable->ended;
    void *arguments[] = {&next, &told, &bests, &ended, &logits, &count, &draw};
    return card_launch(card, portable->choose, CHOOSE_BLOCKS, 1, THREADS, 0, arguments, err);
}
