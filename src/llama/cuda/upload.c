#include "llama/cuda/upload.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "llama/cuda/parts.h"
#include "llama/threads.h"
#include "model/tensor_walk.h"

enum {
    BUFFER_BYTES = 2 << 20,
    BUFFERS = 2 /* of a thread: one is filled while the card fetches the other */
};

/* Some rows of a part, no more than a buffer holds; of codes whole groups, but for the last one. */
struct piece {
    const struct card_part *part;
    size_t begin, rows;
};

struct upload {
    struct card *card;
    cuda_pointer memory; /* where the first part begins */
    struct parts parts;
    struct piece *piece;
    size_t pieces;
    atomic_size_t next;
    atomic_bool failed;
    pthread_mutex_t lock;
    struct error *err; /* the first thread's that failed */
};

/* What one thread has. */
struct lane {
    void *buffer[BUFFERS];
    struct cuda_event *free[BUFFERS]; /* the card has fetched what was in it */
    struct cuda_stream *stream;
    struct part_room room;
};

static cuda_result lane_open(const struct upload *u, struct lane *lane)
{
    const struct cuda *cuda = &u->card->cuda;
    cuda_result result = cuda->StreamCreate(&lane->stream, CUDA_STREAM_NON_BLOCKING);
    for (size_t i = 0; i < BUFFERS && !result; i++) {
        result = cuda->MemHostAlloc(&lane->buffer[i], BUFFER_BYTES, 0);
        if (!result)
            result = cuda->EventCreate(&lane->free[i], CUDA_EVENT_DISABLE_TIMING);
    }
    bool there = part_room_get(&lane->room, &u->parts);
    return result ? result : there ? CUDA_SUCCESS : CUDA_NO_MEMORY;
}

static void lane_close(const struct upload *u, struct lane *lane)
{
    const struct cuda *cuda = &u->card->cuda;
    for (size_t i = 0; i < BUFFERS; i++) {
        if (lane->free[i])
            cuda->EventDestroy(lane->free[i]);
        if (lane->buffer[i])
            cuda->MemFreeHost(lane->buffer[i]);
    }
    if (lane->stream)
        cuda->StreamDestroy(lane->stream);
    part_room_free(&lane->room);
}

static cuda_result pieces_send(struct upload *u, struct lane *lane)
{
    const struct cuda *cuda = &u->card->cuda;
    size_t n;
    for (size_t i = 0; (n = atomic_fetch_add(&u->next, 1)) < u->pieces; i++) {
        const struct piece *piece = &u->piece[n];
        cuda_result result =
            i < BUFFERS ? CUDA_SUCCESS : cuda->EventSynchronize(lane->free[i % BUFFERS]);
        if (result)
            return result;
        const struct card_part *part = piece->part;
        part_fill(&u->parts, part, piece->begin, piece->rows, lane->buffer[i % BUFFERS],
                  &lane->room);
        result = cuda->MemcpyHtoDAsync(u->memory + part->at + part_bytes(part, piece->begin),
                                       lane->buffer[i % BUFFERS], part_bytes(part, piece->rows),
                                       lane->stream);
        if (!result)
            result = cuda->EventRecord(lane->free[i % BUFFERS], lane->stream);
        if (result || atomic_load(&u->failed))
            return result;
    }
    return cuda->StreamSynchronize(lane->stream);
}

static void upload_work(void *context, uint32_t thread)
{
    struct upload *u = context;
    struct lane lane = {0};
    struct error err;
    enum status status = STATUS_OK;
    if (thread > 0)
        status = cuda_context_use(&u->card->cuda, &u->card->device, &err);
    if (status == STATUS_OK) {
        cuda_result result = lane_open(u, &lane);
        if (!result)
            result = pieces_send(u, &lane);
        status = cuda_check(&u->card->cuda, result, &err, "copy the weights to %s",
                            u->card->device.name);
        lane_close(u, &lane);
        if (thread > 0)
            u->card->cuda.DevicePrimaryCtxRelease(u->card->device.device);
    }
    if (status != STATUS_OK && !atomic_exchange(&u->failed, true))
        *u->err = err;
}

/* Rows of a part that fit in a buffer. */
static size_t rows_fitting(const struct card_part *part)
{
    size_t unit = codes_kind_of(part->precision) == CODES_NONE ? 1 : CODES_ROWS;
    return BUFFER_BYTES / part_bytes(part, unit) * unit;
}

static enum status pieces_cut(struct upload *u, struct error *err)
{
    size_t count = 0;
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < u->parts.count; i++) {
            const struct card_part *part = &u->parts.part[i];
            size_t rows = rows_fitting(part);
            if (rows == 0) {
                error_set(err, STATUS_UNSUPPORTED, "a row of %zu columns is too wide",
                          part->columns);
                return error_where(err, "%s", u->parts.model->path);
            }
            for (size_t r = 0; r < part->rows; r += rows, count++) {
                if (pass == 1)
                    u->piece[u->pieces++] =
                        (struct piece){part, r, part->rows - r < rows ? part->rows - r : rows};
            }
        }
        if (pass == 0 && !(u->piece = calloc(count, sizeof *u->piece)))
            return error_no_memory(err, count * sizeof *u->piece);
    }
    return STATUS_OK;
}

static enum status norms_send(struct upload *u, cuda_pointer to, size_t *bytes, struct error *err)
{
    const struct model *model = u->parts.model;
    size_t hidden = model->config.hidden_size, count = 2 * (size_t)model->config.layers + 1;
    *bytes = count * hidden * sizeof(float);
    if (!to)
        return STATUS_OK;
    float *norms = malloc(*bytes);
    if (!norms)
        return error_no_memory(err, *bytes);
    for (uint32_t i = 0; i < model->config.layers; i++) {
        tensor_row_f32(&model->layer[i].attn_norm, 0, norms + 2 * i * hidden);
        tensor_row_f32(&model->layer[i].ffn_norm, 0, norms + (2 * i + 1) * hidden);
    }
    tensor_row_f32(&model->norm, 0, norms + (count - 1) * hidden);
    enum status status = cuda_check(&u->card->cuda, u->card->cuda.MemcpyHtoD(to, norms, *bytes),
                                    err, "copy the norms to %s", u->card->device.name);
    free(norms);
    return status;
}

/* Nobody will read the file again: its pages would be counted as the model's memory. */
static void sources_drop(const struct model *model)
{
    const struct tensor *tensor;
    for (uint64_t i = 0; (tensor = model_tensor(model, i)); i++)
        tensor_rows_drop(tensor, 0, tensor_rows(tensor));
}

static const void *moved(const void *offset, cuda_pointer base)
{
    return (const void *)((uintptr_t)offset + base);
}

static enum status upload_run(struct upload *u, uint32_t threads, struct error *err)
{
    struct pool *pool;
    enum status status = pieces_cut(u, err);
    if (status == STATUS_OK)
        status = pool_open(&pool, threads, err);
    if (status != STATUS_OK)
        return status;
    u->err = err;
    pool_run(pool, upload_work, u);
    pool_close(pool);
    return atomic_load(&u->failed) ? err->status : STATUS_OK;
}

/* What is where, and how much. */
static void weights_describe(struct device_weights *weights, const struct parts *parts,
                             size_t norm_bytes)
{
    struct cuda_weights *at = &weights->at;
    *at = parts->to;
    at->layers = (const char *)(uintptr_t)weights->memory;
    at->embedding = moved(at->embedding, weights->memory);
    at->output = moved(at->output, weights->memory);
    at->norms = (const float *)(uintptr_t)(weights->memory + parts->bytes);
    weights->bytes = parts->held_bytes + norm_bytes;
    weights->token_bytes = parts->token_bytes + norm_bytes;
    weights->embedding_bytes = parts->embedding_bytes;
}

enum status weights_upload(struct device_weights *weights, struct card *card,
                           const struct model *model, const struct llama_options *options,
                           struct error *err)
{
    struct upload u = {.card = card};
    size_t norm_bytes;
    *weights = (struct device_weights){0};
    enum status status = parts_place(&u.parts, model, options, err);
    if (status == STATUS_OK) {
        norms_send(&u, 0, &norm_bytes, err);
        status = cuda_memory_get(&card->cuda, u.parts.bytes + norm_bytes, &weights->memory, err);
    }
    if (status == STATUS_OK) {
        u.memory = weights->memory;
        weights_describe(weights, &u.parts, norm_bytes);
        status = norms_send(&u, weights->memory + u.parts.bytes, &norm_bytes, err);
    }
    if (status == STATUS_OK)
        status = upload_run(&u, options->threads, err);
    sources_drop(model);
    if (status != STATUS_OK)
        weights_release(weights, card);
    parts_free(&u.parts);
    free(u.piece);
    return status;
}

void weights_release(struct device_weights *weights, struct card *card)
{
    if (weights->memory)
        card->cuda.MemFree(weights->memory);
    *weights = (struct device_weights){0};
}
