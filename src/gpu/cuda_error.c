/* What the driver's error codes mean for a user. */
#include <stdarg.h>

#include "gpu/cuda.h"

static const char *const NEWER_DRIVER = "Install NVIDIA's driver 580 or newer, or use --device "
                                        "cpu.";
static const char *const LOST = "The card or its driver failed: nvidia-smi and the kernel's log "
                                "(dmesg, lines with Xid) say more. Try again, or restart the "
                                "machine.";

/* Numbers of CUresult (cuda.h): they are part of the driver's binary interface. */
static const struct {
    cuda_result result;
    enum status status;
    const char *remedy;
} known[] = {
    {2, STATUS_NO_MEMORY,
     "End other programs on the GPU (nvidia-smi lists them), or use a smaller model or --context."},
    {34, STATUS_UNSUPPORTED, /* STUB_LIBRARY */
     "libcuda.so.1 is a stub: take its folder out of LD_LIBRARY_PATH, so that the driver's own is "
     "found."},
    {46, STATUS_UNSUPPORTED, /* DEVICE_UNAVAILABLE */
     "Another process has the card for itself; nvidia-smi shows which, and the compute mode."},
    {100, STATUS_UNSUPPORTED, /* NO_DEVICE */
     "See whether nvidia-smi shows a card and CUDA_VISIBLE_DEVICES does not hide it, or use "
     "--device cpu."},
    {101, STATUS_UNSUPPORTED, "nvidia-smi lists the cards; use --device cuda:N with one of them."},
    {200, STATUS_UNSUPPORTED, NULL}, /* INVALID_IMAGE */
    {209, STATUS_UNSUPPORTED, NULL}, /* NO_BINARY_FOR_GPU */
    {214, STATUS_WORKER, NULL},      /* ECC_UNCORRECTABLE */
    {218, STATUS_UNSUPPORTED, NULL}, /* INVALID_PTX */
    {220, STATUS_WORKER, NULL},      /* NVLINK_UNCORRECTABLE */
    {222, STATUS_UNSUPPORTED, NULL}, /* UNSUPPORTED_PTX_VERSION */
    {700, STATUS_WORKER, NULL},      /* ILLEGAL_ADDRESS */
    {702, STATUS_WORKER, NULL},      /* LAUNCH_TIMEOUT */
    {719, STATUS_WORKER, NULL},      /* LAUNCH_FAILED */
    {802, STATUS_UNSUPPORTED,        /* SYSTEM_NOT_READY */
     "The machine's GPUs are not ready: on NVSwitch systems nvidia-fabricmanager must run."},
    {803, STATUS_UNSUPPORTED, /* SYSTEM_DRIVER_MISMATCH */
     "The kernel module and libcuda.so.1 are of different versions: restart the machine after a "
     "driver's update."},
    {804, STATUS_UNSUPPORTED, NULL}, /* COMPAT_NOT_SUPPORTED_ON_DEVICE */
    {999, STATUS_WORKER, NULL},      /* UNKNOWN */
};

static const char *remedy_of(size_t i)
{
    if (known[i].remedy)
        return known[i].remedy;
    return known[i].status == STATUS_UNSUPPORTED ? NEWER_DRIVER : LOST;
}

enum status cuda_check(const struct cuda *cuda, cuda_result result, struct error *err,
                       const char *doing, ...)
{
    char text[256];
    const char *name = NULL, *meaning = NULL;
    va_list args;
    if (result == CUDA_SUCCESS)
        return STATUS_OK;
    va_start(args, doing);
    vsnprintf(text, sizeof text, doing, args);
    va_end(args);
    cuda->GetErrorName(result, &name);
    cuda->GetErrorString(result, &meaning);
    error_set(err, STATUS_IO, "cannot %s: %s (CUDA error %d: %s)", text,
              meaning ? meaning : "an error unknown to the driver", result, name ? name : "?");
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].result != result)
            continue;
        err->status = known[i].status;
        return error_remedy(err, "%s", remedy_of(i));
    }
    return err->status;
}
