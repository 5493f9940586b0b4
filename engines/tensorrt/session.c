#include "session.h"

#include <stdlib.h>

#include "model/half.h"
#include "said.h"

enum { ALIGN = 256 }; /* what TensorRT wants of an address */

/* What a step has on the card, one after another in one piece of memory. */
struct buffers {
    cuda_pointer token, start, zero;   /* int32 each; zero is the row of a step's one id */
    cuda_pointer prompt, next, rows;   /* int32 [chunk], [rows], [rows] */
    cuda_pointer counting;             /* int32 [context]: 0, 1, 2 ... */
    cuda_pointer logits;               /* [rows, vocabulary] */
    cuda_pointer caches, fresh;        /* [2 layers][kv, context, d], [2 layers][kv, chunk, d] */
    uint64_t cache_bytes, fresh_bytes; /* of one of them */
};

struct session {
    const struct card *card;
    const struct trt *trt;
    const struct recipe *recipe;
    const struct model_config *config;
    uint32_t context, chunk, rows;
    struct trt_context *part[PARTS];
    cuda_pointer memory;
    struct buffers at;
    void *arrived; /* int32 in host memory, where the card puts what was chosen */
    cuda_pointer arrived_at;
    uint32_t position; /* ids in the cache */
    bool warm;         /* a step has been computed: the next one can be captured */
    struct cuda_graph_run *graph;
    uint16_t *halves; /* [vocabulary] */
};

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static cuda_pointer piece(uint64_t *used, uint64_t bytes)
{
    uint64_t at = *used;
    *used += aligned(bytes);
    return at;
}

static uint64_t element_bytes(const struct session *s)
{
    return s->recipe->type == TRT_FLOAT ? sizeof(float) : sizeof(uint16_t);
}

/* Lays the buffers out from address on; returns how much memory they take. */
static uint64_t buffers_place(struct session *s, cuda_pointer address)
{
    const struct model_config *c = s->config;
    uint64_t used = address, element = element_bytes(s), word = sizeof(int32_t);
    uint64_t row = (uint64_t)c->kv_heads * c->head_size * element, count = 2ull * c->layers;
    struct buffers *at = &s->at;
    at->cache_bytes = aligned(row * s->context);
    at->fresh_bytes = s->recipe->fused ? 0 : aligned(row * s->chunk);
    at->token = piece(&used, word);
    at->start = piece(&used, word);
    at->zero = piece(&used, word);
    at->prompt = piece(&used, s->chunk * word);
    at->next = piece(&used, s->rows * word);
    at->rows = piece(&used, s->rows * word);
    at->counting = piece(&used, s->context * word);
    at->logits = piece(&used, (uint64_t)s->rows * c->vocabulary * element);
    at->caches = piece(&used, at->cache_bytes * count);
    at->fresh = piece(&used, at->fresh_bytes * count);
    return used - address;
}

static enum status fault(const struct session *s, cuda_result result, const char *doing,
                         struct error *err)
{
    return cuda_check(&s->card->cuda, result, err, "%s on %s", doing, s->card->device.name);
}

/* Every byte is set, the caches included: what is masked must still be a number. */
static enum status memory_make(struct session *s, struct error *err)
{
    const struct cuda *cuda = &s->card->cuda;
    uint64_t bytes = buffers_place(s, 0);
    int32_t *numbers = malloc(s->context * sizeof *numbers);
    if (!numbers)
        return error_no_memory(err, s->context * sizeof *numbers);
    for (uint32_t i = 0; i < s->context; i++)
        numbers[i] = (int32_t)i;
    enum status status = cuda_memory_get(cuda, bytes + ALIGN, &s->memory, err);
    if (!status) {
        buffers_place(s, aligned(s->memory));
        status = fault(s, cuda->MemsetD8(s->memory, 0, bytes + ALIGN), "clear memory", err);
    }
    if (!status)
        status = fault(s, cuda->MemcpyHtoD(s->at.counting, numbers, s->context * sizeof *numbers),
                       "copy", err);
    free(numbers);
    if (!status)
        status = fault(s, cuda->MemHostAlloc(&s->arrived, ALIGN, CUDA_HOST_MAPPED),
                       "get host memory for what is chosen", err);
    if (!status)
        status = fault(s, cuda->MemHostGetDevicePointer(&s->arrived_at, s->arrived, 0),
                       "map host memory", err);
    return status;
}

static enum status bind(struct session *s, enum part part, const char *name, cuda_pointer address,
                        struct error *err)
{
    if (s->trt->context_bind(s->part[part], name, address) == 0)
        return STATUS_OK;
    return said_fail(err, "bind the network's %s", name);
}

/* Where each cache is, and where its new rows leave: in the cache itself where the network is
 * fused, since TensorRT then writes them there. */
static enum status caches_bind(struct session *s, enum part part, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint64_t i = 0; i < 2ull * s->config->layers && !status; i++) {
        char name[24];
        cuda_pointer cache = s->at.caches + i * s->at.cache_bytes;
        cuda_pointer rows = s->recipe->fused ? cache : s->at.fresh + i * s->at.fresh_bytes;
        network_cache_name(name, (uint32_t)i / 2, i % 2, "");
        status = bind(s, part, name, cache, err);
        network_cache_name(name, (uint32_t)i / 2, i % 2, "_new");
        if (!status)
            status = bind(s, part, name, rows, err);
    }
    return status;
}

static enum status size_set(struct session *s, enum part part, const char *input, int64_t size,
                            struct error *err)
{
    if (s->trt->context_size(s->part[part], input, size) == 0)
        return STATUS_OK;
    return said_fail(err, "take %lld as the size of %s", (long long)size, input);
}

static enum status sizes_set(struct session *s, enum part part, uint32_t tokens, uint32_t rows,
                             struct error *err)
{
    enum status status = size_set(s, part, "tokens", tokens, err);
    if (!status)
        status = size_set(s, part, "positions", tokens, err);
    return status ? status : size_set(s, part, "rows", rows, err);
}

/* What is bound for good. */
static enum status part_open(struct session *s, const struct plan *plan, enum part part,
                             struct error *err)
{
    bool step = part == PART_STEP;
    const struct {
        const char *name;
        cuda_pointer address;
    } bound[] = {{"tokens", step ? s->at.token : s->at.prompt},
                 {"positions", step ? s->at.start : s->at.counting},
                 {"start", s->at.start},
                 {"rows", step ? s->at.zero : s->at.rows},
                 {"logits", s->at.logits},
                 {"next", s->at.next}};
    enum status status = STATUS_OK;
    s->part[part] = s->trt->context_open(plan->engine, (int32_t)part, s->card->stream);
    if (!s->part[part])
        return said_fail(err, "make a context on %s", s->card->device.name);
    for (size_t i = 0; i < sizeof bound / sizeof bound[0] && !status; i++)
        status = bind(s, part, bound[i].name, bound[i].address, err);
    if (!status)
        status = caches_bind(s, part, err);
    return status || !step ? status : sizes_set(s, part, 1, 1, err);
}

enum status session_open(struct session **session, const struct card *card,
                         const struct plan_maker *maker, const struct plan *plan, struct error *err)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        return error_no_memory(err, sizeof *s);
    *s = (struct session){.card = card,
                          .trt = maker->trt,
                          .recipe = maker->recipe,
                          .config = &maker->model->config,
                          .context = maker->context,
                          .chunk = maker->context < PLAN_CHUNK ? maker->context : PLAN_CHUNK,
                          .rows = maker->context < PLAN_ROWS ? maker->context : PLAN_ROWS};
    s->halves = malloc(s->config->vocabulary * sizeof *s->halves);
    enum status status = s->halves ? memory_make(s, err)
                                   : error_no_memory(err, s->config->vocabulary * sizeof(uint16_t));
    said_begin();
    for (size_t i = 0; i < PARTS && !status; i++)
        status = part_open(s, plan, (enum part)i, err);
    if (status)
        session_close(s);
    else
        *session = s;
    return status;
}

void session_close(struct session *s)
{
    const struct cuda *cuda = &s->card->cuda;
    for (size_t i = 0; i < PARTS; i++)
        if (s->part[i])
            s->trt->context_close(s->part[i]);
    if (s->graph)
        cuda->GraphRunDestroy(s->graph);
    if (s->arrived)
        cuda->MemFreeHost(s->arrived);
    if (s->memory)
        cuda->MemFree(s->memory);
    free(s->halves);
    free(s);
}

uint64_t session_token_bytes(const struct session *s)
{
    const struct model_config *c = s->config;
    return 2ull * c->layers * c->kv_heads * c->head_size * element_bytes(s);
}

enum status session_reset(struct session *s, struct error *err)
{
    s->position = 0;
    return fault(s, s->card->cuda.MemsetD8Async(s->at.start, 0, sizeof(int32_t), s->card->stream),
                 "begin a sequence", err);
}

/* Starts the network, and the kernels that belong to it: everything that a step is. */
static enum status launch(struct session *s, enum part part, uint32_t tokens, struct error *err)
{
    const struct cuda *cuda = &s->card->cuda;
    const struct model_config *c = s->config;
    struct cuda_stream *stream = s->card->stream;
    uint64_t cache_stride = s->at.cache_bytes / 4, fresh_stride = s->at.fresh_bytes / 4;
    uint32_t words = (uint32_t)(c->head_size * element_bytes(s) / 4);
    int32_t count = (int32_t)tokens;
    void *append[] = {&s->at.caches, &s->at.fresh, &s->at.start, &cache_stride,
                      &fresh_stride, &s->context,  &words};
    void *advance[] = {&s->at.token, &s->at.start, &s->at.next, &count, &s->arrived_at};
    said_begin();
    if (s->trt->context_enqueue(s->part[part], stream) != 0)
        return said_fail(err, "compute on %s", s->card->device.name);
    cuda_result result = CUDA_SUCCESS;
    if (!s->recipe->fused)
        result = cuda->LaunchKernel(s->card->append, tokens, c->kv_heads, 2 * c->layers, 64, 1, 1,
                                    0, stream, append, NULL);
    if (!result)
        result = cuda->LaunchKernel(s->card->advance, 1, 1, 1, 1, 1, 1, 0, stream, advance, NULL);
    return fault(s, result, "start a kernel", err);
}

static enum status wait(struct session *s, struct error *err)
{
    return fault(s, s->card->cuda.StreamSynchronize(s->card->stream), "compute", err);
}

/* Puts the ids and their places in, and which rows are to have logits. */
static enum status prompt_launch(struct session *s, const int32_t *ids, uint32_t count,
                                 cuda_pointer rows, uint32_t row_count, struct error *err)
{
    const struct cuda *cuda = &s->card->cuda;
    cuda_pointer positions = s->at.counting + (uint64_t)s->position * sizeof(int32_t);
    enum status status =
        fault(s, cuda->MemcpyHtoDAsync(s->at.prompt, ids, count * sizeof *ids, s->card->stream),
              "copy ids", err);
    if (!status)
        status = sizes_set(s, PART_PROMPT, count, row_count, err);
    if (!status)
        status = bind(s, PART_PROMPT, "positions", positions, err);
    if (!status)
        status = bind(s, PART_PROMPT, "rows", rows, err);
    if (!status)
        status = launch(s, PART_PROMPT, count, err);
    s->position += count;
    return status ? status : wait(s, err);
}

enum status session_prompt(struct session *s, const int32_t *ids, uint32_t count, int32_t *next,
                           struct error *err)
{
    int32_t last = (int32_t)count - 1;
    enum status status =
        fault(s, s->card->cuda.MemcpyHtoDAsync(s->at.rows, &last, sizeof last, s->card->stream),
              "copy ids", err);
    if (!status)
        status = prompt_launch(s, ids, count, s->at.rows, 1, err);
    *next = *(volatile int32_t *)s->arrived;
    return status;
}

/* From now on a step is one launch. TensorRT wants one step before that, for which it sets itself
 * up. */
static enum status graph_capture(struct session *s, struct error *err)
{
    const struct cuda *cuda = &s->card->cuda;
    struct cuda_graph *graph = NULL;
    struct error ignored;
    enum status status =
        fault(s, cuda->StreamBeginCapture(s->card->stream, CUDA_CAPTURE_THREAD_LOCAL),
              "capture a step", err);
    if (status)
        return status;
    status = launch(s, PART_STEP, 1, err);
    cuda_result ended = cuda->StreamEndCapture(s->card->stream, &graph);
    if (fault(s, ended, "capture a step", status ? &ignored : err) && !status)
        status = err->status;
    if (!status)
        status =
            fault(s, cuda->GraphInstantiate(&s->graph, graph, 0), "make a graph of a step", err);
    if (graph)
        cuda->GraphDestroy(graph);
    return status;
}

enum status session_step(struct session *s, int32_t *next, struct error *err)
{
    enum status status = STATUS_OK;
    if (s->recipe->graph && s->warm && !s->graph)
        status = graph_capture(s, err);
    if (!status && s->graph)
        status = fault(s, s->card->cuda.GraphLaunch(s->graph, s->card->stream), "compute", err);
    else if (!status)
        status = launch(s, PART_STEP, 1, err);
    if (!status)
        status = wait(s, err);
    s->warm = true;
    s->position++;
    *next = *(volatile int32_t *)s->arrived;
    return status;
}

static void widen(const struct session *s, const uint16_t *from, float *to)
{
    for (uint32_t i = 0; i < s->config->vocabulary; i++)
        to[i] = s->recipe->type == TRT_HALF ? half_to_float(from[i]) : bfloat_to_float(from[i]);
}

enum status session_logits(struct session *s, const int32_t *ids, uint32_t count, float *logits,
                           struct error *err)
{
    const struct cuda *cuda = &s->card->cuda;
    uint64_t row_bytes = s->config->vocabulary * element_bytes(s);
    bool wide = s->recipe->type == TRT_FLOAT;
    enum status status = prompt_launch(s, ids, count, s->at.counting, count, err);
    for (uint32_t i = 0; i < count && !status; i++) {
        float *row = logits + (uint64_t)i * s->config->vocabulary;
        status = fault(s,
                       cuda->MemcpyDtoH(wide ? (void *)row : s->halves,
                                        s->at.logits + i * row_bytes, row_bytes),
                       "copy logits", err);
        if (!wide && !status)
            widen(s, s->halves, row);
    }
    return status;
}
