#include "llama/cuda/prefill.h"

/* As token.cu has them, and the largest of prefill.cu. */
enum {
    TOKEN_THREADS = 256,
    LEAST_SHARED = 98304, /* bytes of a block of the largest kernel */
    MOST_TOKENS = 2048
};

FATBIN_DECLARE(prefill);
FATBIN_DECLARE(token);

static bool shape_fits(const struct device_model *model, const struct card *card)
{
    const struct cuda_shape *s = &model->shape;
    uint32_t query = s->heads * s->head_size;
    return model->element == 2 && (s->head_size == 64 || s->head_size == 128) &&
           s->hidden % PRODUCT_DEPTH == 0 && query % PRODUCT_DEPTH == 0 &&
           s->ffn % PRODUCT_DEPTH == 0 && s->vocabulary % 2 == 0 &&
           card->device.shared_bytes >= LEAST_SHARED;
}

static enum status kernels_find(struct prefill *p, struct card *card, struct cuda_module **products,
                                const struct device_model *model, struct error *err)
{
    const struct fatbin tensor = FATBIN(prefill), tokens = FATBIN(token);
    int type = (int)model->precision;
    bool coded = model->form.ends != CODES_NONE;
    const struct card_kernel_row rows[] = {
        {coded ? "token_begin_int8" : "token_begin", coded ? -1 : type, &p->begin},
        {"token_add", type, &p->add},
        {"token_sum", -1, &p->sum},
        {"token_rotate", -1, &p->rotate},
    };
    enum status status = card_load(card, &tensor, products, err);
    if (status == STATUS_OK)
        status = product_open(&p->kernels, card, *products, model->precision, err);
    return status == STATUS_OK
               ? card_kernels(card, &tokens, rows, sizeof rows / sizeof rows[0], err)
               : status;
}

/* Bytes of a layer's largest matrix, where it has to be unpacked. */
static uint64_t scratch_bytes(const struct device_model *model)
{
    const struct cuda_shape *s = &model->shape;
    uint64_t query = (uint64_t)s->heads * s->head_size;
    const uint64_t elements[] = {(uint64_t)qkv_rows(s) * s->hidden, query * s->hidden,
                                 2 * (uint64_t)s->ffn * s->hidden};
    uint64_t most = 0;
    for (size_t i = 0; i < sizeof elements / sizeof elements[0]; i++)
        most = elements[i] > most ? elements[i] : most;
    return model->form.layers == CODES_NONE ? 0 : most * model->element;
}

/* The buffers, in one piece of memory. */
static enum status buffers_get(struct prefill *p, struct card *card,
                               const struct device_model *model, struct error *err)
{
    enum { ALIGN_BYTES = 1024 };
    const struct cuda_shape *s = &model->shape;
    uint64_t query = (uint64_t)s->heads * s->head_size, most = p->most, total = 0;
    uint32_t rows = qkv_rows(s) > s->hidden ? qkv_rows(s) : s->hidden;
    const struct {
        cuda_pointer *to;
        uint64_t bytes;
    } parts[] = {
        {&p->ids, most * sizeof(int32_t)},
        {&p->x, most * s->hidden * sizeof(float)},
        {&p->angles, most * s->head_size * sizeof(float)},
        {&p->query, most * query * 2},
        {&p->normed, most * s->hidden * model->element},
        {&p->mixed, most * query * model->element},
        {&p->gated, most * s->ffn * model->element},
        {&p->sums, product_out_bytes(p->most, rows, p->kernels.multiprocessors)},
        {&p->scratch, scratch_bytes(model)},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *parts[i].to = total;
        total += (parts[i].bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    }
    enum status status = cuda_memory_get(&card->cuda, total, &p->memory, err);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        *parts[i].to += p->memory;
    return status;
}

static enum status products_describe(struct prefill *p, const struct card *card,
                                     const struct device_model *model, struct error *err)
{
    const struct cuda_shape *s = &model->shape;
    const struct cuda_weights *w = &model->weights;
    uint32_t query = s->heads * s->head_size;
    const struct {
        struct product *to;
        cuda_pointer x;
        uint64_t at;
        uint32_t rows, columns;
        bool gated;
    } products[] = {{&p->qkv, p->normed, 0, qkv_rows(s), s->hidden, false},
                    {&p->out, p->mixed, w->wo, s->hidden, query, false},
                    {&p->gate_up, p->normed, w->gate_up, 2 * s->ffn, s->hidden, true},
                    {&p->down, p->gated, w->down, s->hidden, s->ffn, false}};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof products / sizeof products[0] && status == STATUS_OK; i++) {
        *products[i].to = (struct product){.x = products[i].x,
                                           .weights = w->layers + products[i].at,
                                           .layer_bytes = w->layer_bytes,
                                           .rows = products[i].rows,
                                           .columns = products[i].columns,
                                           .gated = products[i].gated,
                                           .codes = model->form.layers,
                                           .scratch = p->scratch,
                                           .unpack = &model->codes};
        status = product_describe(products[i].to, &p->kernels, card, p->most, s->layers, err);
    }
    return status;
}

enum status prefill_open(struct prefill *p, struct card *card, const struct device_model *model,
                         struct error *err)
{
    const struct cuda_shape *s = &model->shape;
    struct cuda_module *products = NULL;
    *p = (struct prefill){0};
    if (!shape_fits(model, card))
        return STATUS_OK;
    p->most = s->context < MOST_TOKENS ? s->context : MOST_TOKENS;
    enum status status = kernels_find(p, card, &products, model, err);
    if (status == STATUS_OK)
        status = buffers_get(p, card, model, err);
    if (status == STATUS_OK)
        status = products_describe(p, card, model, err);
    if (status == STATUS_OK)
        status = attention_open(&p->attention, card, products, model, p->query, p->most, err);
    p->fits = status == STATUS_OK;
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
    uint32_t first; /* of the tokens, the first one that is still computed */
    uint32_t count, position;
    uint32_t parts; /* that the last product made */
    struct error *err;
};

static enum status tokens_start(const struct pass *pass, struct cuda_function *kernel,
                                void **arguments)
{
    return card_launch_early(pass->card, kernel, (const uint32_t[]){pass->count, 1, 1},
                             TOKEN_THREADS, 0, arguments, pass->err);
}

/* Adds the last product to the residual stream, and computes the norm i of it. */
static enum status add(const struct pass *pass, uint32_t i)
{
    uint32_t parts = pass->parts, hidden = pass->model->shape.hidden;
    cuda_pointer normed = pass->p->normed, sums = pass->p->sums;
    cuda_pointer x = pass->p->x + (uint64_t)pass->first * hidden * sizeof(float);
    const float *weight = pass->model->weights.norms + (size_t)i * hidden;
    float eps = pass->model->shape.eps;
    void *arguments[] = {&normed, &x, &sums, &parts, &weight, &hidden, &eps};
    return tokens_start(pass, pass->p->add, arguments);
}

/* The embedding, and the first norm: of a split model once the cards' embeddings are summed. */
static enum status begin(struct pass *pass, cuda_pointer ids)
{
    const struct device_model *m = pass->model;
    cuda_pointer normed = pass->p->normed, x = pass->p->x, angles = pass->p->angles;
    cuda_pointer frequency = m->frequency;
    const void *embedding = m->weights.embedding;
    const float *weight = m->weights.norms;
    uint32_t hidden = m->shape.hidden, half = m->shape.head_size / 2, position = pass->position;
    uint32_t first = m->first_word, words = m->shape.vocabulary;
    float eps = m->shape.eps;
    void *arguments[] = {&normed, &x,    &angles,   &embedding, &ids,   &frequency, &weight,
                         &hidden, &half, &position, &eps,       &first, &words};
    enum status status = card_launch(pass->card, pass->p->begin, pass->count, 1, TOKEN_THREADS, 0,
                                     arguments, pass->err);
    if (status != STATUS_OK || !m->exchange)
        return status;
    status = exchange_sum(m->exchange, pass->card, x, (size_t)pass->count * hidden, pass->err);
    pass->parts = 0; /* nothing is added but the norm */
    return status == STATUS_OK ? add(pass, 0) : status;
}

/* q, k and v of the last product to where attention takes them. */
static enum status rotate(const struct pass *pass, uint32_t layer)
{
    const struct device_model *m = pass->model;
    struct cuda_shape s = m->shape;
    uint64_t at = (uint64_t)layer * s.kv_heads * s.context * s.head_size * m->cache_element;
    cuda_pointer query = pass->p->query, keys = m->keys + at, values = m->values + at;
    cuda_pointer sums = pass->p->sums, angles = pass->p->angles;
    uint32_t position = pass->position, parts = pass->parts;
    void *arguments[] = {&query, &keys, &values, &sums, &parts, &angles, &s, &position};
    return tokens_start(pass, pass->p->rotate, arguments);
}

static enum status multiply(struct pass *pass, const struct product *product, uint32_t layer)
{
    const struct prefill *p = pass->p;
    return product_start(product, &p->kernels, pass->card, layer, pass->count,
                         product->gated ? p->gated : p->sums, &pass->parts, pass->err);
}

/* Sums what the cards have of the last product. */
static enum status exchange(struct pass *pass)
{
    struct exchange *cards = pass->model->exchange;
    cuda_pointer sums = pass->p->sums;
    uint32_t parts = pass->parts;
    uint64_t elements = (uint64_t)pass->count * pass->model->shape.hidden;
    uint32_t blocks = (uint32_t)((elements / 4 + TOKEN_THREADS - 1) / TOKEN_THREADS);
    void *arguments[] = {&sums, &parts, &elements};
    if (!cards)
        return STATUS_OK;
    pass->parts = 1;
    enum status status = STATUS_OK;
    if (parts > 1)
        status = card_launch_early(pass->card, pass->p->sum, (const uint32_t[]){blocks, 1, 1},
                                   TOKEN_THREADS, 0, arguments, pass->err);
    return status == STATUS_OK ? exchange_sum(cards, pass->card, sums, elements, pass->err)
                               : status;
}

/* The keys and values are there: what follows is for the last `rows` tokens alone. */
static void cut(struct pass *pass, uint32_t rows)
{
    pass->first = pass->count - rows;
    pass->position += pass->first;
    pass->count = rows;
}

/* For `rows` tokens from attention on. */
static enum status layer_compute(struct pass *pass, uint32_t i, uint32_t rows)
{
    const struct prefill *p = pass->p;
    enum status status = multiply(pass, &p->qkv, i);
    if (status == STATUS_OK)
        status = rotate(pass, i);
    cut(pass, rows);
    if (status != STATUS_OK || rows == 0)
        return status;
    status = attention_start(&p->attention, pass->card, pass->model, i, pass->first, rows,
                             pass->position, p->mixed, pass->err);
    if (status == STATUS_OK)
        status = multiply(pass, &p->out, i);
    if (status == STATUS_OK)
        status = exchange(pass);
    if (status == STATUS_OK)
        status = add(pass, 2 * i + 1);
    if (status == STATUS_OK)
        status = multiply(pass, &p->gate_up, i);
    if (status == STATUS_OK)
        status = multiply(pass, &p->down, i);
    if (status == STATUS_OK)
        status = exchange(pass);
    return status == STATUS_OK ? add(pass, 2 * i + 2) : status;
}

enum status prefill_forward(const struct prefill *p, const struct card *card,
                            const struct device_model *model, cuda_pointer ids, uint32_t count,
                            uint32_t position, cuda_pointer logits, uint32_t rows,
                            struct error *err)
{
    const struct cuda_shape *s = &model->shape;
    struct pass pass = {p, card, model, 0, count, position, 1, err};
    enum status status = begin(&pass, ids);
    uint32_t kept = count <= PRODUCT_TOKENS ? count : rows; /* of the last layer */
    for (uint32_t i = 0; i < s->layers && status == STATUS_OK; i++)
        status = layer_compute(&pass, i, i + 1 < s->layers ? count : kept);
    if (status != STATUS_OK || !logits)
        return status;
    cuda_pointer last = p->normed + (uint64_t)(pass.count - rows) * s->hidden * model->element;
    if (model->form.ends != CODES_NONE)
        return codes_multiply(&model->codes, card, model->form.ends, true, logits, last,
                              model->weights.output, s->vocabulary, s->hidden, rows, err);
    return product_start_plain(&p->kernels, card, last, model->weights.output, s->vocabulary,
                               s->hidden, rows, false, 1, logits, err);
}
