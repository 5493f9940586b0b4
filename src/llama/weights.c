#include "llama/weights.h"

#include <stdlib.h>
#include <string.h>

#include "llama/quantize.h"
#include "llama/row.h"

enum { ALIGN_BYTES = 64 };

/* One tensor on its way into the weights. */
struct job {
    const struct tensor *tensor;
    struct part rows, columns; /* what of it this process holds */
    enum llama_precision precision;
    const void **to;
    const float **scales_to; /* NULL: it is no matrix */
    unsigned char *copy;     /* where the converted rows go; NULL when it is borrowed */
    float *scales;
};

struct loading {
    const struct kernels *kernels;
    struct pool *pool;
    const struct ranks *ranks;
    bool q8_0; /* matrices are rounded first */
    struct job *job;
    size_t jobs;
    size_t columns; /* of the widest tensor */
    float *row;     /* [threads, columns] */
};

size_t matrix_row_bytes(enum llama_precision precision, size_t columns)
{
    return precision == LLAMA_INT8  ? columns
           : precision == LLAMA_NF4 ? columns / 2
                                    : columns * llama_precision_bytes(precision);
}

size_t matrix_row_scales(enum llama_precision precision, size_t columns)
{
    return precision == LLAMA_INT8 ? 1 : precision == LLAMA_NF4 ? columns / NF4_BLOCK : 0;
}

static size_t rows_held(const struct job *job)
{
    return job->rows.end - job->rows.begin;
}

static size_t columns_held(const struct job *job)
{
    return job->columns.end - job->columns.begin;
}

static size_t element_bytes(const struct job *job)
{
    return rows_held(job) * matrix_row_bytes(job->precision, columns_held(job));
}

static size_t scale_bytes(const struct job *job)
{
    return rows_held(job) * matrix_row_scales(job->precision, columns_held(job)) * sizeof(float);
}

/* int8 and Q8_0 need a row as a whole. */
static struct part columns_read(const struct loading *loading, const struct job *job)
{
    bool whole = job->precision == LLAMA_INT8 || loading->q8_0;
    return whole ? (struct part){0, tensor_columns(job->tensor)} : job->columns;
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
    return precision <= LLAMA_BF16 && tensor->type == types[precision] &&
           (uintptr_t)tensor->data % llama_precision_bytes(precision) == 0;
}

/* What is held of a row; of int8 that is cut by columns it has the scale of the whole row. */
static void row_convert(const struct loading *loading, const struct job *job, size_t row,
                        const float *whole)
{
    size_t columns = columns_held(job);
    const float *held = whole + job->columns.begin;
    unsigned char *to = job->copy + row * matrix_row_bytes(job->precision, columns);
    float *scales = job->scales + row * matrix_row_scales(job->precision, columns);
    if (job->precision == LLAMA_INT8) {
        *scales = loading->kernels->int8_scale(whole, tensor_columns(job->tensor));
        loading->kernels->int8_codes((int8_t *)to, *scales, held, columns);
    } else if (job->precision == LLAMA_NF4) {
        loading->kernels->nf4_codes(to, scales, held, columns);
    } else {
        loading->kernels->narrow[job->precision](to, held, columns);
    }
}

/* Each thread converts, or makes present, its share of each tensor's rows: the rows that it will
 * multiply later, so that on a machine of several memory nodes they lie near it. */
static void load_share(void *context, uint32_t thread)
{
    const struct loading *loading = context;
    float *row = loading->row + thread * loading->columns;
    for (size_t i = 0; i < loading->jobs; i++) {
        const struct job *job = &loading->job[i];
        size_t row_bytes = matrix_row_bytes(job->precision, columns_held(job));
        struct share share = pool_share(loading->pool, thread, rows_held(job), 1);
        struct part read = columns_read(loading, job);
        if (!job->copy) {
            pages_populate(borrowed_data(job) + share.begin * row_bytes,
                           (share.end - share.begin) * row_bytes, 0);
            continue;
        }
        for (size_t r = share.begin; r < share.end; r++) {
            row_f32(loading->kernels, job->tensor, job->rows.begin + r, read, row);
            if (loading->q8_0 && job->scales_to)
                quantize_q8_0(row, tensor_columns(job->tensor));
            row_convert(loading, job, r, row);
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

static void matrix_add(struct loading *loading, const struct tensor *tensor,
                       enum llama_precision precision, struct part rows, struct part columns,
                       struct matrix *matrix)
{
    matrix->rows = rows.end - rows.begin;
    matrix->columns = columns.end - columns.begin;
    matrix->precision = precision;
    job_add(loading, tensor, rows, columns, &matrix->data, precision);
    loading->job[loading->jobs - 1].scales_to = &matrix->scales;
}

/* A matrix of which each rank has some rows, all columns. */
static void rows_add(struct loading *loading, enum llama_precision precision,
                     const struct tensor *tensor, struct matrix *matrix)
{
    matrix_add(loading, tensor, precision, ranks_part(loading->ranks, tensor_rows(tensor)),
               (struct part){0, tensor_columns(tensor)}, matrix);
}

/* A matrix of which each rank has some columns, all rows. */
static void columns_add(struct loading *loading, enum llama_precision precision,
                        const struct tensor *tensor, struct matrix *matrix)
{
    matrix_add(loading, tensor, precision, (struct part){0, tensor_rows(tensor)},
               ranks_part(loading->ranks, tensor_columns(tensor)), matrix);
}

/* Norms are float32 whatever the precision: they are few, and every token passes all of them. */
static void norm_add(struct loading *loading, const struct tensor *tensor, const float **norm)
{
    job_add(loading, tensor, (struct part){0, tensor_rows(tensor)},
            (struct part){0, tensor_columns(tensor)}, (const void **)norm, LLAMA_F32);
}

static void layer_add(struct loading *loading, enum llama_precision precision,
                      const struct model_layer *from, struct weights_layer *to)
{
    norm_add(loading, &from->attn_norm, &to->attn_norm);
    rows_add(loading, precision, &from->wq, &to->wq);
    rows_add(loading, precision, &from->wk, &to->wk);
    rows_add(loading, precision, &from->wv, &to->wv);
    columns_add(loading, precision, &from->wo, &to->wo);
    norm_add(loading, &from->ffn_norm, &to->ffn_norm);
    rows_add(loading, precision, &from->w_gate, &to->w_gate);
    rows_add(loading, precision, &from->w_up, &to->w_up);
    columns_add(loading, precision, &from->w_down, &to->w_down);
}

/* As the files have them: a disk reads one after the other, from front to back. */
static int compare_places(const void *a, const void *b)
{
    const struct tensor *x = ((const struct job *)a)->tensor, *y = ((const struct job *)b)->tensor;
    const char *p = x->data, *q = y->data;
    return x->part != y->part ? (x->part > y->part) - (x->part < y->part) : (p > q) - (p < q);
}

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
}

/* Whether the file has it as it is to be held. */
static bool borrowed(const struct loading *loading, const struct job *job)
{
    return !loading->q8_0 && stored_as(job->tensor, job->precision) &&
           columns_held(job) == tensor_columns(job->tensor);
}

/* Lays the copies out in one block of huge pages. */
static enum status copies_place(struct loading *loading, struct weights *weights, struct error *err)
{
    size_t bytes = 0, offset = 0;
    for (size_t i = 0; i < loading->jobs; i++) {
        if (!borrowed(loading, &loading->job[i]))
            bytes +=
                aligned(element_bytes(&loading->job[i])) + aligned(scale_bytes(&loading->job[i]));
    }
    if (bytes > memory_available_bytes())
        return error_no_memory(err, bytes);
    if (bytes > 0 && pages_map(&weights->converted, bytes, err) != STATUS_OK)
        return err->status;
    for (size_t i = 0; i < loading->jobs; i++) {
        struct job *job = &loading->job[i];
        if (borrowed(loading, job)) {
            *job->to = borrowed_data(job);
            continue;
        }
        job->copy = (unsigned char *)weights->converted.data + offset;
        *job->to = job->copy;
        offset += aligned(element_bytes(job));
        if (!scale_bytes(job))
            continue;
        void *scales = (unsigned char *)weights->converted.data + offset;
        *job->scales_to = job->scales = scales;
        offset += aligned(scale_bytes(job));
    }
    return STATUS_OK;
}

static void bytes_count(struct weights *weights, const struct loading *loading, bool tied)
{
    for (size_t i = 0; i < loading->jobs; i++)
        weights->bytes += element_bytes(&loading->job[i]) + scale_bytes(&loading->job[i]);
    const struct matrix *embedding = &weights->embedding;
    size_t row = matrix_row_bytes(embedding->precision, embedding->columns) +
                 matrix_row_scales(embedding->precision, embedding->columns) * sizeof(float);
    weights->embedding_bytes = tied ? 0 : embedding->rows * row;
    weights->token_bytes = weights->bytes - weights->embedding_bytes + row;
}

enum status weights_load(struct weights *weights, const struct model *model,
                         const struct llama_options *options, const struct kernels *kernels,
                         struct pool *pool, struct error *err)
{
    enum { PER_LAYER = 9, OTHERS = 3 };
    enum llama_precision ends = options->quantize == LLAMA_INT8 ? LLAMA_INT8 : options->precision;
    enum llama_precision layer = options->quantize ? options->quantize : options->precision;
    size_t layers = model->config.layers;
    bool tied = model->config.tied || model->output.data == model->embedding.data;
    struct loading loading = {
        .kernels = kernels, .pool = pool, .ranks = options->ranks, .q8_0 = options->q8_0};
    enum status status = STATUS_OK;

    *weights = (struct weights){.precision = options->precision};
    weights->layer = calloc(layers, sizeof *weights->layer);
    loading.job = calloc(layers * PER_LAYER + OTHERS, sizeof *loading.job);
    if (!weights->layer || !loading.job) {
        status = error_no_memory(err, layers * PER_LAYER * sizeof *loading.job);
        goto cleanup;
    }
    rows_add(&loading, ends, &model->embedding, &weights->embedding);
    for (size_t i = 0; i < layers; i++)
        layer_add(&loading, layer, &model->layer[i], &weights->layer[i]);
    norm_add(&loading, &model->norm, &weights->norm);
    if (!tied)
        rows_add(&loading, ends, &model->output, &weights->output);
    qsort(loading.job, loading.jobs, sizeof *loading.job, compare_places);

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
