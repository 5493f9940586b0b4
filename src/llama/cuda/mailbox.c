#include "llama/cuda/mailbox.h"

enum status mailbox_open(struct mailbox *mailbox, const struct card *card, size_t ids,
                         struct error *err)
{
    enum { IDS_OFFSET = 64 };
    size_t bytes = IDS_OFFSET + ids * sizeof(int32_t);
    cuda_pointer at = 0;
    cuda_result result = card->cuda.MemHostAlloc(&mailbox->memory, bytes, CUDA_HOST_MAPPED);
    if (!result)
        result = card->cuda.MemHostGetDevicePointer(&at, mailbox->memory, 0);
    if (result)
        return cuda_check(&card->cuda, result, err, "share %zu bytes with %s", bytes,
                          card->device.name);
    mailbox->stop = mailbox->memory;
    mailbox->ids = (volatile int32_t *)((char *)mailbox->memory + IDS_OFFSET);
    mailbox->stop_at = at;
    mailbox->ids_at = at + IDS_OFFSET;
    return STATUS_OK;
}

void mailbox_close(struct mailbox *mailbox, const struct card *card)
{
    if (mailbox->memory)
        card->cuda.MemFreeHost(mailbox->memory);
    *mailbox = (struct mailbox){0};
}
