#include "llama/cuda/exchange.h"

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
