/* Memory of the host that a card writes to: what it tells while it works, and is told. */
#ifndef PRONY_LLAMA_CUDA_MAILBOX_H
#define PRONY_LLAMA_CUDA_MAILBOX_H

#include "llama/cuda/card.h"

struct mailbox {
    volatile uint32_t *stop; /* not 0: enough */
    volatile int32_t *ids;   /* as they are made */
    cuda_pointer stop_at, ids_at;
    void *memory;
};

enum status mailbox_open(struct mailbox *mailbox, const struct card *card, size_t ids,
                         struct error *err);
void mailbox_close(struct mailbox *mailbox, const struct card *card);

#endif
