#include "session.h"

FATBIN_DECLARE(step);

static enum status kernels_find(struct card *card, struct error *err)
{
    const struct cuda *cuda = &card->cuda;
    const struct fatbin fatbin = FATBIN(step);
    enum status status = cuda_module_load(cuda, &fatbin, &card->device, &card->module, err);
    if (!status)
        status =
            cuda_check(cuda, cuda->ModuleGetFunction(&card->append, card->module, "step_append"),
                       err, "find the kernel step_append");
    if (!status)
        status =
            cuda_check(cuda, cuda->ModuleGetFunction(&card->advance, card->module, "step_advance"),
                       err, "find the kernel step_advance");
    return status;
}

enum status card_open(struct card *card, const char *device, struct error *err)
{
    *card = (struct card){0};
    enum status status = cuda_open(&card->cuda, err);
    if (status)
        return status;
    status = cuda_device_find(&card->cuda, device, &card->device, err);
    if (!status)
        status = cuda_context_use(&card->cuda, &card->device, err);
    if (!status) {
        card->in_context = true;
        status = cuda_check(&card->cuda,
                            card->cuda.StreamCreate(&card->stream, CUDA_STREAM_NON_BLOCKING), err,
                            "make a stream on %s", card->device.name);
    }
    if (!status)
        status = kernels_find(card, err);
    if (status)
        card_close(card);
    return status;
}

void card_close(struct card *card)
{
    if (card->module)
        card->cuda.ModuleUnload(card->module);
    if (card->stream)
        card->cuda.StreamDestroy(card->stream);
    if (card->in_context)
        card->cuda.DevicePrimaryCtxRelease(card->device.device);
    cuda_close(&card->cuda);
    *card = (struct card){0};
}
