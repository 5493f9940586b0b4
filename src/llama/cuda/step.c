#include "llama/cuda/step.h"

#include <stdio.h>

/* As step.cu has them. */
enum { WARPS = 8, THREADS = 32 * WARPS, NORM_THREADS = 1024, ROWS_MANY = 4, WIDEST = 256 };

FATBIN_DECLARE(step);

/* Elements of a head that a lane has. */
static uint32_t lane_parts(uint32_t head_size)
{
    return head_size <= 64 ? 2 : head_size <= 128 ? 4 : 8;
}

/* Rows are read 16 bytes at a time, and codes of gate and up multiplied by a vector in shared
 * memory. */
static bool shape_fits(const struct card *card, const struct device_model *model)
{
    const struct cuda_shape *s = &model->shape;
    enum codes_kind kind = model->form.layers;
    if (kind != CODES_NONE && !codes_vector_fits(card, kind, s->hidden))
        return false;
    uint32_t pack = 16 / (uint32_t)model->element;
    return s->head_size <= WIDEST && s->head_size % lane_parts(s->head_size) == 0 &&
           s->hidden % pack == 0 && s->heads * s->head_size % pack == 0 && s->ffn % pack == 0;
}

static enum status kernels_find(struct step *step, struct card *card,
                                const struct device_model *model, struct error *err)
{
    struct fatbin fatbin = FATBIN(step);
    char attend[24];
    int weights = (int)model->precision;
    int cache = model->precision == LLAMA_F32 ? LLAMA_F32 : LLAMA_F16;
    snprintf(attend, sizeof attend, "step_attend_%u", 32 * lane_parts(model->shape.head_size));
    const struct card_kernel_row kernels[] = {
        {"step_norm", -1, &step->norm},
        {"step_product_1", weights, &step->product_few},
        {"step_product_4", weights, &step->product_many},
        {"step_gated", weights, &step->gated},
        {attend, cache, &step->attend},
    };
    return card_kernels(card, &fatbin, kernels, sizeof kernels / sizeof kernels[0], err);
}

enum status step_open(struct step *step, struct card *card, const struct device_model *model,
                      struct error *err)
{
    enum { LEAST = 64, ALIGN_BYTES = 256 }; /* positions of a block, as step.cu has them */
    const struct cuda_shape *s = &model->shape;
    uint32_t multiprocessors = (uint32_t)card->device.multiprocessors;
    *step = (struct step){0};
    if (!shape_fits(card, model))
        return STATUS_OK;
    uint32_t most = (s->context + LEAST - 1) / LEAST;
    step->splits = (2 * multiprocessors + s->heads - 1) / s->heads;
    step->splits = step->splits < most ? step->splits : most;
    step->few = 2 * multiprocessors * WARPS * ROWS_MANY;
    enum status status = kernels_find(step, card, model, err);
    if (status == STATUS_OK && model->form.layers != CODES_NONE)
        status = codes_vector_open(&step->vector, card, err);
    uint64_t ended = (s->heads * sizeof(uint32_t) + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    uint64_t parts = (uint64_t)s->heads * step->splits * (s->head_size + 2) * sizeof(float);
    if (status == STATUS_OK)
        status = cuda_memory_get(&card->cuda, ended + parts, &step->memory, err);
    step->ended = step->memory;
    step->parts = step->memory + ended;
    step->fits = status == STATUS_OK;
    return status == STATUS_OK ? cuda_check(&card->cuda, card->cuda.MemsetD8(step->ended, 0, ended),
                                            err, "clear memory on %s", card->device.name)
                               : status;
}

void step_close(struct step *step, struct card *card)
{
    if (step->recorded)
        card->cuda.GraphRunDestroy(step->recorded);
    if (step->memory)
        card->cuda.MemFree(step->memory);
    *step = (struct step){0};
}

/* One step under way. */
struct pass {
    const struct step *step;
    const struct portable *p;
    const struct card *card;
    const struct device_model *model;
    struct error *err;
};

/* The norm i of x, to which what has not been added yet is added. */
static enum status norm(const struct pass *pass, uint32_t i)
{
    const struct cuda_shape *s = &pass->model->shape;
    const float *weight = pass->model->weights.norms + (size_t)i * s->hidden;
    cuda_pointer out = pass->p->normed, x = pass->p->x, delta = i == 0 ? 0 : pass->p->delta;
    uint32_t hidden = s->hidden;
    float eps = s->eps;
    void *arguments[] = {&out, &x, &delta, &weight, &hidden, &eps};
    return card_launch(pass->card, pass->step->norm, 1, 1, NORM_THREADS, 0, arguments, pass->err);
}

/* out [rows] = weights [rows, columns] x */
static enum status product(const struct pass *pass, enum codes_kind kind, cuda_pointer out,
                           const void *weights, cuda_pointer x, uint32_t rows, uint32_t columns)
{
    if (kind != CODES_NONE && codes_vector_fits(pass->card, kind, columns))
        return codes_vector(&pass->step->vector, pass->card, kind, false, out, x, weights, rows,
                            columns, pass->err);
    if (kind != CODES_NONE)
        return codes_multiply(&pass->model->codes, pass->card, kind, false, out, x, weights, rows,
                              columns, 1, pass->err);
    bool few = rows < pass->step->few;
    uint32_t each = few ? WARPS : WARPS * ROWS_MANY;
    void *arguments[] = {&out, &weights, &x, &rows, &columns};
    return card_launch_early(pass->card, few ? pass->step->product_few : pass->step->product_many,
                             (const uint32_t[]){(rows + each - 1) / each, 1, 1}, THREADS, 0,
                             arguments, pass->err);
}

/* What is to be added to x, of which each card has some of the columns. */
static enum status product_delta(const struct pass *pass, const void *weights, cuda_pointer x,
                                 uint32_t columns)
{
    uint32_t hidden = pass->model->shape.hidden;
    enum status status =
        product(pass, pass->model->form.layers, pass->p->delta, weights, x, hidden, columns);
    return status == STATUS_OK
               ? exchange_sum(pass->model->exchange, pass->card, pass->p->delta, hidden, pass->err)
               : status;
}

/* Rotates, puts key and value into the cache, and attends. */
static enum status attention(const struct pass *pass, uint32_t layer)
{
    const struct device_model *m = pass->model;
    const struct step *step = pass->step;
    struct cuda_shape s = m->shape;
    uint64_t at = (uint64_t)layer * s.kv_heads * s.context * s.head_size * m->cache_element;
    cuda_pointer mixed = pass->p->mixed, parts = step->parts, ended = step->ended;
    cuda_pointer qkv = pass->p->qkv, keys = m->keys + at, values = m->values + at;
    cuda_pointer frequency = m->frequency, state = pass->p->state;
    void *arguments[] = {&mixed, &parts, &ended, &qkv, &keys, &values, &frequency, &s, &state};
    return card_launch_early(pass->card, step->attend, (const uint32_t[]){s.heads, step->splits, 1},
                             THREADS, 0, arguments, pass->err);
}

static enum status gate_up(const struct pass *pass, const void *weights)
{
    const struct cuda_shape *s = &pass->model->shape;
    cuda_pointer out = pass->p->ffn, x = pass->p->normed;
    uint32_t rows = 2 * s->ffn, columns = s->hidden, each = WARPS * ROWS_MANY;
    void *arguments[] = {&out, &weights, &x, &rows, &columns};
    enum codes_kind kind = pass->model->form.layers;
    if (kind == CODES_NONE)
        return card_launch_early(pass->card, pass->step->gated,
                                 (const uint32_t[]){(rows + each - 1) / each, 1, 1}, THREADS, 0,
                                 arguments, pass->err);
    return codes_vector(&pass->step->vector, pass->card, kind, true, out, x, weights, rows, columns,
                        pass->err);
}

static enum status layer_compute(const struct pass *pass, uint32_t i)
{
    const struct portable *p = pass->p;
    const struct cuda_shape *s = &pass->model->shape;
    const struct cuda_weights *w = &pass->model->weights;
    const char *layer = w->layers + i * w->layer_bytes;
    enum status status = norm(pass, 2 * i);
    if (status == STATUS_OK)
        status = product(pass, pass->model->form.layers, p->qkv, layer, p->normed, qkv_rows(s),
                         s->hidden);
    if (status == STATUS_OK)
        status = attention(pass, i);
    if (status == STATUS_OK)
        status = product_delta(pass, layer + w->wo, p->mixed, s->heads * s->head_size);
    if (status == STATUS_OK)
        status = norm(pass, 2 * i + 1);
    if (status == STATUS_OK)
        status = gate_up(pass, layer + w->gate_up);
    return status == STATUS_OK ? product_delta(pass, layer + w->down, p->ffn, s->ffn) : status;
}

static enum status compute(const struct pass *pass, cuda_pointer next, cuda_pointer ids,
                           cuda_pointer logits)
{
    const struct device_model *m = pass->model;
    const struct cuda_shape *s = &m->shape;
    enum status status = portable_embed(pass->p, pass->card, m, next, 1, pass->err);
    for (uint32_t i = 0; i < s->layers && status == STATUS_OK; i++)
        status = layer_compute(pass, i);
    if (status == STATUS_OK)
        status = norm(pass, 2 * s->layers);
    if (status == STATUS_OK)
        status = product(pass, m->form.ends, logits, m->weights.output, pass->p->normed,
                         s->vocabulary, s->hidden);
    return status == STATUS_OK ? portable_choose(pass->p, pass->card, m, (struct draw){0}, next,
                                                 ids, pass->p->state, logits, pass->err)
                               : status;
}

/* Has the step written down instead of done. */
static enum status record(struct step *step, const struct pass *pass, cuda_pointer next,
                          cuda_pointer ids, cuda_pointer logits)
{
    struct exchange *exchange = pass->model->exchange;
    uint64_t before = exchange ? exchange->bytes : 0;
    enum status status = card_record_begin(pass->card, pass->err);
    if (status != STATUS_OK)
        return status;
    status =
        card_record_end(pass->card, compute(pass, next, ids, logits), &step->recorded, pass->err);
    if (exchange) {
        step->exchanged = exchange->bytes - before;
        exchange->bytes = before;
    }
    return status;
}

enum status step_start(struct step *step, const struct portable *portable, const struct card *card,
                       const struct device_model *model, cuda_pointer next, cuda_pointer ids,
                       cuda_pointer logits, struct error *err)
{
    const struct pass pass = {step, portable, card, model, err};
    if (!step->warm) { /* what is done for the first time may not be recorded */
        step->warm = true;
        return compute(&pass, next, ids, logits);
    }
    enum status status = step->recorded ? STATUS_OK : record(step, &pass, next, ids, logits);
    if (status != STATUS_OK)
        return status;
    if (model->exchange)
        model->exchange->bytes += step->exchanged;
    return cuda_check(&card->cuda, card->cuda.GraphLaunch(step->recorded, card->stream), err,
                      "start a step on %s", card->device.name);
}
