#include "llama/cuda/exchange.h"

#include "base/clock.h"

static enum status reduce(struct exchange *e, const struct card *card, cuda_pointer data,
                          size_t count, int type, int operation, struct error *err)
{
    void *at = (void *)(uintptr_t)data;
    e->bytes += count * (type == NCCL_UINT64 ? sizeof(uint64_t) : sizeof(float));
    return nccl_check(e->nccl,
                      e->nccl->AllReduce(at, at, count, type, operation, e->comm, card->stream),
                      err, "exchange with the other cards");
}

enum status exchange_sum(struct exchange *e, const struct card *card, cuda_pointer data,
                         size_t count, struct error *err)
{
    return e ? reduce(e, card, data, count, NCCL_FLOAT32, NCCL_SUM, err) : STATUS_OK;
}

enum status exchange_largest(struct exchange *e, const struct card *card, cuda_pointer data,
                             struct error *err)
{
    return e ? reduce(e, card, data, 1, NCCL_UINT64, NCCL_MAX, err) : STATUS_OK;
}

static enum status token_exchange(struct exchange *e, const struct card *card,
                                  const struct exchange_token *token, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < token->sums && status == STATUS_OK; i++)
        status = exchange_sum(e, card, token->data, token->count, err);
    return status == STATUS_OK ? exchange_largest(e, card, token->largest, err) : status;
}

static enum status repeat(const struct card *card, struct cuda_graph_run *run, int times,
                          struct error *err)
{
    cuda_result result = CUDA_SUCCESS;
    for (int i = 0; i < times && !result; i++)
        result = card->cuda.GraphLaunch(run, card->stream);
    enum status status =
        cuda_check(&card->cuda, result, err, "start exchanges on %s", card->device.name);
    return status == STATUS_OK ? card_wait(card, err) : status;
}

enum status exchange_time(struct exchange *e, const struct card *card,
                          const struct exchange_token *token, int64_t *ns, struct error *err)
{
    enum { BATCHES = 5, TIMES = 8 }; /* the first only has all cards begin together */
    uint64_t bytes = e->bytes;
    struct cuda_graph_run *run = NULL;
    enum status status = card_record_begin(card, err);
    if (status == STATUS_OK)
        status = card_record_end(card, token_exchange(e, card, token, err), &run, err);
    e->bytes = bytes;
    for (int i = 0; i < BATCHES && status == STATUS_OK; i++) {
        int64_t start_ns = clock_now_ns();
        status = repeat(card, run, TIMES, err);
        int64_t each_ns = (clock_now_ns() - start_ns) / TIMES;
        *ns = i < 2 || each_ns < *ns ? each_ns : *ns;
    }
    if (run)
        card->cuda.GraphRunDestroy(run);
    return status;
}
