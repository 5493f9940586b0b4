#include "llama/weights.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN_BYTES = 64 };

/* One tensor on its way into the weights. */
struct job {
    const struct tensor *tensor;
    struct part rows, columns; /* what of it this process holds */
    enum llama_precision precision;
    const void **to;
    unsigned char *copy; /* where the converted rows go; NULL when it is borrowed */
};

struct loading {
    const struct kernels *kernels;
    struct pool *pool;
    const struct ranks *ranks;
    struct job *job;
    size_t jobs;
    size_t columns; /* of the widest tensor */
    float *row;     /* [threads, columns] */
};

static size_t rows_held(const struct job *job)
{
    return job->rows.end - job->rows.begin;
}

static size_t job_bytes(const struct job *job)
{
    return rows_held(job) * (job->columns.end - job->columns.begin) *
           llama_precision_bytes(job->precision);
}

/* Where what is held lies in the file, which has it as it is to be held. */
static const unsigned char *borrowed_data(const struct job *job)
{
    size_t row_bytes = tensor_columns(job->tensor) * llama_precision_bytes(job->precision);
    return (const unsigned char *)job->tensor->data + job->rows.begin * row_bytes;
}

static bool stored_as(const struct tensor *tensor, enum llama_precision precision)
{
    static const enum tensor_type types[] = {
        [LLAMA_F32] = TENSOR_F32, [LLAMA_F16] = TENSOR_F16, [LLAMA_BF16] = TENSOR_BF16};
    return tensor->type == types[precision] &&
           (uintptr_t)tensor->data % llama_precision_bytes(precision) == 0;
}

static void row_widen(const struct loading *loading, const struct tensor *tensor, size_t row,
                      float *out)
{
    size_t columns = tensor_columns(tensor);
    enum llama_precision type;
    switch (tensor->type) {
    case TENSOR_F32:
        type = LLAMA_F32;
        break;
    case TENSOR_F16:
        type = LLAMA_F16;
        break;
    case TENSOR_BF16:
        type = LLAMA_BF16;
        break;
    default:
        tensor_row_f32(tensor, row, out);
        return;
    }
    size_t row_bytes = columns * llama_precision_bytes(type);
    const unsigned char *data = (const unsigned char *)tensor->data + row * row_bytes;
    if ((uintptr_t)data % llama_precision_bytes(type) == 0)
        loading->kernels->widen[type](out, data, columns);
    else
        tensor_row_f32(tensor, row, out);
}

/* Each thread converts, or makes present, its share of each tensor's rows: the rows that it will
 * multiply later, so that on a machine of several memory nodes they lie near it. */
static void load_share(void *context, uint32_t thread)
{
    const struct loading *loading = context;
    float *row = loading->row + thread * loading->columns;
    for (size_t i = 0; i < loading->jobs; i++) {
        const struct job *job = &loading->job[i];
        size_t columns = job->columns.end - job->columns.begin;
        size_t row_bytes = columns * llama_precision_bytes(job->precision);
        struct share share = pool_share(loading->pool, thread, rows_held(job), 1);
        if (!job->copy) {
            pages_populate(borrowed_data(job) + share.begin * row_bytes,
                           (share.end - share.begin) * row_bytes, 0);
            continue;
        }
        for (size_t r = share.begin; r < share.end; r++) {
            row_widen(loading, job->tensor, job->rows.begin + r, row);
            loading->kernels->narrow[job->precision](job->copy + r * row_bytes,
                                                     row + job->columns.begin, columns);
        }
        tensor_rows_drop(job->tensor, job->rows.begin + share.begin, share.end - share.begin);
    }
}

static void job_add(struct loading *loading, const struct tensor *tensor, struct part rows,
                    struct part columns, const void **to, enum llama_precision precision)
{
    loading->job[loading->jobs++] = (struct job){
        .tensor = tensor, .rows = rows, .columns = columns, .to = to, .precision = precision};
    if (tensor_columns(tensor) > loading->columns)
        loading->columns = tensor_columns(tensor);
}

static void matrix_add(struct loading *loading, struct weights *weights,
                       const struct tensor *tensor, struct part rows, struct part columns,
                       struct matrix *matrix)
{
    matrix->rows = rows.end - rows.begin;
    matrix->columns = columns.end - columns.begin;
    job_add(loading, tensor, rows, columns, &matrix->data, weights->precision);
}

/* A matrix of which each rank has some rows, all columns. */
static void rows_add(struct loading *loading, struct weights *weights, const struct tensor *tensor,
                     struct matrix *matrix)
{
    matrix_add(loading, weights, tensor, ranks_part(loading->ranks, tensor_rows(tensor)),
               (struct part){0, tensor_columns(tensor)}, matrix);
}

/* A matrix of which each rank has some columns, all rows. */
static void columns_add(struct loading *loading, struct weights *weights,
                        const struct tensor *tensor, struct matrix *matrix)
{
    matrix_add(loading, weights, tensor, (struct part){0, tensor_rows(tensor)},
               ranks_part(loading->ranks, tensor_columns(tensor)), matrix);
}

/* Norms are float32 whatever the precision: they are few, and every token passes all of them. */
static void norm_add(struct loading *loading, const struct tensor *tensor, const float **norm)
{
    job_add(loading, tensor, (struct part){0, tensor_rows(tensor)},
            (struct part){0, tensor_columns(tensor)}, (const void **)norm, LLAMA_F32);
}

static void layer_add(struct loading *loading, struct weights *weights,
                      const struct model_layer *from, struct weights_layer *to)
{
    norm_add(loading, &from->attn_norm, &to->attn_norm);
    rows_add(loading, weights, &from->wq, &to->wq);
    rows_add(loading, weights, &from->wk, &to->wk);
    rows_add(loading, weights, &from->wv, &to->wv);
    columns_add(loading, weights, &from->wo, &to->wo);
    norm_add(loading, &from->ffn_norm, &to->ffn_norm);
    rows_add(loading, weights, &from->w_gate, &to->w_gate);
    rows_add(loading, weights, &from->w_up, &to->w_up);
    columns_add(loading, weights, &from->w_down, &to->w_down);
}

static size_t job_room(const struct job *job)
{
    return (job_bytes(job) + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
}

/* Whether the file has it as it is to be held. */
static bool borrowed(const struct job *job)
{
    return stored_as(job->tensor, job->precision) &&
           job->columns.end - job->columns.begin == tensor_columns(job->tensor);
}

/* Lays the copies out in one block of huge pages. */
static enum status copies_place(struct loading *loading, struct weights *weights, struct error *err)
{
    size_t bytes = 0, offset = 0;
    for (size_t i = 0; i < loading->jobs; i++) {
        if (!borrowed(&loading->job[i]))
            bytes += job_room(&loading->job[i]);
    }
    if (bytes > memory_available_bytes())
        return error_no_memory(err, bytes);
    if (bytes > 0 && pages_map(&weights->converted, bytes, err) != STATUS_OK)
        return err->status;
    for (size_t i = 0; i < loading->jobs; i++) {
        struct job *job = &loading->job[i];
        if (borrowed(job)) {
            *job->to = borrowed_data(job);
            continue;
        }
        job->copy = (unsigned char *)weights->converted.data + offset;
        *job->to = job->copy;
        offset += job_room(job);
    }
    return STATUS_OK;
}

static void bytes_count(struct weights *weights, const struct loading *loading, bool tied)
{
    for (size_t i = 0; i < loading->jobs; i++)
        weights->bytes += job_bytes(&loading->job[i]);
    size_t element = llama_precision_bytes(weights->precision);
    size_t row = weights->embedding.columns * element;
    weights->token_bytes = weights->bytes + row;
    if (!tied)
        weights->token_bytes -= weights->embedding.rows * row;
}

enum status weights_load(struct weights *weights, const struct model *model,
                         enum llama_precision precision, const struct kernels *kernels,
                         struct pool *pool, const struct ranks *ranks, struct error *err)
{
    enum { PER_LAYER = 9, OTHERS = 3 };
    size_t layers = model->config.layers;
    bool tied = model->config.tied || model->output.data == model->embedding.data;
    struct loading loading = {.kernels = kernels, .pool = pool, .ranks = ranks};
    enum status status = STATUS_OK;

    *weights = (struct weights){.precision = precision};
    weights->layer = calloc(layers, sizeof *weights->layer);
    loading.job = calloc(layers * PER_LAYER + OTHERS, sizeof *loading.job);
    if (!weights->layer || !loading.job) {
        status = error_no_memory(err, layers * PER_LAYER * sizeof *loading.job);
        goto cleanup;
    }
    rows_add(&loading, weights, &model->embedding, &weights->embedding);
    for (size_t i = 0; i < layers; i++)
        layer_add(&loading, weights, &model->layer[i], &weights->layer[i]);
    norm_add(&loading, &model->norm, &weights->norm);
    if (!tied)
        rows_add(&loading, weights, &model->output, &weights->output);

    loading.row = calloc(pool_threads(pool) * loading.columns, sizeof *loading.row);
    if (!loading.row) {
        status = error_no_memory(err, pool_threads(pool) * loading.columns * sizeof *loading.row);
        goto cleanup;
    }
    status = copies_place(&loading, weights, err);
    if (status != STATUS_OK)
        goto cleanup;
    if (tied)
        weights->output = weights->embedding;
    pool_run(pool, load_share, &loading);
    bytes_count(weights, &loading, tied);

cleanup:
    free(loading.job);
    free(loading.row);
    if (status != STATUS_OK)
        weights_free(weights);
    return status;
}

void weights_free(struct weights *weights)
{
    pages_free(&weights->converted);
    free(weights->layer);
    *weights = (struct weights){0};
}
