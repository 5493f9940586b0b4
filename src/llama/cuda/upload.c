#include "llama/cuda/upload.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/cores.h"
#include "llama/cpu/kernels.h"
#include "llama/threads.h"
#include "model/narrow.h"
#include "model/tensor_walk.h"

enum {
    BUFFER_BYTES = 4 << 20,
    BUFFERS = 2, /* of a thread: one is filled while the card fetches the other */
    MOST_THREADS = 16,
    ALIGN_BYTES = 256,
    PER_LAYER = 4,
    OTHERS = 2
};

/* One matrix in the card's memory, and where its rows come from. */
struct part {
    enum { PLAIN, QKV, GATE_UP } kind;
    const struct tensor *tensor;     /* PLAIN */
    const struct model_layer *layer; /* the others */
    cuda_pointer to;
    size_t rows, columns;
};

/* Some rows of a part, no more than a buffer holds. */
struct piece {
    const struct part *part;
    size_t begin, rows;
};

struct upload {
    struct card *card;
    const struct model *model;
    enum llama_precision precision;
    struct part *part;
    size_t parts;
    struct piece *piece;
    size_t pieces;
    size_t columns; /* of the widest part */
    atomic_size_t next;
    atomic_bool failed;
    pthread_mutex_t lock;
    struct error *err; /* the first thread's that failed */
};

/* Files may pair a head's elements (2i, 2i + 1) for the rotation; the card has them half a head
 * apart. */
static size_t rotated_row(const struct model *model, size_t i)
{
    size_t half = model->config.head_size / 2;
    if (!model->rope_interleaved)
        return i;
    return i < half ? 2 * i : 2 * (i - half) + 1;
}

/* Which row of which tensor is row r of a part. */
static const struct tensor *row_source(const struct model *model, const struct part *part, size_t r,
                                       size_t *row)
{
    const struct model_config *config = &model->config;
    size_t size = config->head_size, group = config->heads / config->kv_heads;
    if (part->kind == PLAIN) {
        *row = r;
        return part->tensor;
    }
    if (part->kind == GATE_UP) {
        *row = r / 2;
        return r % 2 ? &part->layer->w_up : &part->layer->w_gate;
    }
    size_t kv = r / ((group + 2) * size), head = r / size % (group + 2), i = r % size;
    if (head == group + 1) {
        *row = kv * size + i;
        return &part->layer->wv;
    }
    *row = (head == group ? kv : kv * group + head) * size + rotated_row(model, i);
    return head == group ? &part->layer->wk : &part->layer->wq;
}

static enum tensor_type held_type(enum llama_precision precision)
{
    static const enum tensor_type types[] = {
        [LLAMA_F32] = TENSOR_F32, [LLAMA_F16] = TENSOR_F16, [LLAMA_BF16] = TENSOR_BF16};
    return types[precision];
}

static void piece_fill(const struct upload *u, const struct piece *piece, unsigned char *to,
                       float *wide)
{
    size_t bytes = piece->part->columns * llama_precision_bytes(u->precision);
    enum tensor_type type = held_type(u->precision);
    for (size_t i = 0; i < piece->rows; i++, to += bytes) {
        size_t row;
        const struct tensor *tensor = row_source(u->model, piece->part, piece->begin + i, &row);
        if (tensor->type == type) {
            memcpy(to, (const unsigned char *)tensor->data + row * bytes, bytes);
        } else {
            tensor_row_f32(tensor, row, wide);
            narrow(wide, piece->part->columns, type, to);
        }
    }
}

/* What one thread has. */
struct lane {
    void *buffer[BUFFERS];
    struct cuda_event *free[BUFFERS]; /* the card has fetched what was in it */
    struct cuda_stream *stream;
    float *wide;
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
    lane->wide = malloc(u->columns * sizeof *lane->wide);
    return result ? result : lane->wide ? CUDA_SUCCESS : CUDA_NO_MEMORY;
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
    free(lane->wide);
}

static cuda_result pieces_send(struct upload *u, struct lane *lane)
{
    const struct cuda *cuda = &u->card->cuda;
    size_t element = llama_precision_bytes(u->precision), n;
    for (size_t i = 0; (n = atomic_fetch_add(&u->next, 1)) < u->pieces; i++) {
        const struct piece *piece = &u->piece[n];
        size_t row = piece->part->columns * element;
        cuda_result result =
            i < BUFFERS ? CUDA_SUCCESS : cuda->EventSynchronize(lane->free[i % BUFFERS]);
        if (result)
            return result;
        piece_fill(u, piece, lane->buffer[i % BUFFERS], lane->wide);
        result = cuda->MemcpyHtoDAsync(piece->part->to + piece->begin * row,
                                       lane->buffer[i % BUFFERS], piece->rows * row, lane->stream);
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

static uint64_t part_place(struct upload *u, struct part part, uint64_t offset)
{
    u->part[u->parts] = part;
    u->part[u->parts++].to = offset;
    if (part.columns > u->columns)
        u->columns = part.columns;
    uint64_t bytes = (uint64_t)part.rows * part.columns * llama_precision_bytes(u->precision);
    return offset + (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
}

/* Lays the parts out, from offset 0; returns the bytes that they take. */
static uint64_t parts_place(struct upload *u, struct cuda_weights *at, bool tied)
{
    const struct model *model = u->model;
    const struct model_config *config = &model->config;
    size_t query = (size_t)config->heads * config->head_size;
    size_t key = (size_t)config->kv_heads * config->head_size, hidden = config->hidden_size;
    uint64_t end = 0, start = 0;
    for (uint32_t i = 0; i < config->layers; i++) {
        const struct model_layer *layer = &model->layer[i];
        start = end;
        end = part_place(u, (struct part){QKV, NULL, layer, 0, query + 2 * key, hidden}, end);
        at->wo = end - start;
        end = part_place(u, (struct part){PLAIN, &layer->wo, NULL, 0, hidden, query}, end);
        at->gate_up = end - start;
        end = part_place(
            u, (struct part){GATE_UP, NULL, layer, 0, 2 * (size_t)config->ffn_size, hidden}, end);
        at->down = end - start;
        end = part_place(u, (struct part){PLAIN, &layer->w_down, NULL, 0, hidden, config->ffn_size},
                         end);
        at->layer_bytes = end - start;
    }
    start = end;
    end = part_place(
        u, (struct part){PLAIN, &model->embedding, NULL, 0, config->vocabulary, hidden}, end);
    at->embedding = at->output = (const void *)(uintptr_t)start;
    if (!tied) {
        at->output = (const void *)(uintptr_t)end;
        end = part_place(
            u, (struct part){PLAIN, &model->output, NULL, 0, config->vocabulary, hidden}, end);
    }
    return end;
}

static enum status pieces_cut(struct upload *u, struct error *err)
{
    size_t element = llama_precision_bytes(u->precision), count = 0;
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < u->parts; i++) {
            const struct part *part = &u->part[i];
            size_t rows = BUFFER_BYTES / (part->columns * element);
            if (rows == 0) {
                error_set(err, STATUS_UNSUPPORTED, "a row of %zu columns is too wide",
                          part->columns);
                return error_where(err, "%s", u->model->path);
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
    const struct model *model = u->model;
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
    struct cores cores;
    enum status status = pieces_cut(u, err);
    cores_read(&cores);
    if (threads == 0)
        threads = cores.count;
    threads = threads < MOST_THREADS ? threads : MOST_THREADS;
    if (status == STATUS_OK)
        status = pool_open(&pool, threads, err);
    if (status != STATUS_OK)
        return status;
    u->err = err;
    pool_run(pool, upload_work, u);
    pool_close(pool);
    return atomic_load(&u->failed) ? err->status : STATUS_OK;
}

enum status weights_upload(struct device_weights *weights, struct card *card,
                           const struct model *model, enum llama_precision precision,
                           uint32_t threads, struct error *err)
{
    const struct model_config *config = &model->config;
    bool tied = config->tied || model->output.data == model->embedding.data;
    struct upload u = {.card = card, .model = model, .precision = precision};
    size_t norm_bytes;
    *weights = (struct device_weights){0};
    u.part = calloc((size_t)config->layers * PER_LAYER + OTHERS, sizeof *u.part);
    if (!u.part)
        return error_no_memory(err, config->layers * PER_LAYER * sizeof *u.part);
    uint64_t bytes = parts_place(&u, &weights->at, tied);
    norms_send(&u, 0, &norm_bytes, err);
    enum status status = cuda_memory_get(&card->cuda, bytes + norm_bytes, &weights->memory, err);
    if (status == STATUS_OK) {
        struct cuda_weights *at = &weights->at;
        at->layers = (const char *)(uintptr_t)weights->memory;
        at->embedding = moved(at->embedding, weights->memory);
        at->output = moved(at->output, weights->memory);
        at->norms = moved((const void *)(uintptr_t)bytes, weights->memory);
        for (size_t i = 0; i < u.parts; i++) {
            u.part[i].to += weights->memory;
            weights->bytes += u.part[i].rows * u.part[i].columns * llama_precision_bytes(precision);
        }
        weights->bytes += norm_bytes;
        size_t row = config->hidden_size * llama_precision_bytes(precision);
        weights->token_bytes = weights->bytes + row - (tied ? 0 : config->vocabulary * row);
        status = norms_send(&u, weights->memory + bytes, &norm_bytes, err);
    }
    if (status == STATUS_OK)
        status = upload_run(&u, threads, err);
    sources_drop(model);
    if (status != STATUS_OK)
        weights_release(weights, card);
    free(u.part);
    free(u.piece);
    return status;
}

void weights_release(struct device_weights *weights, struct card *card)
{
    if (weights->memory)
        card->cuda.MemFree(weights->memory);
    *weights = (struct device_weights){0};
}
