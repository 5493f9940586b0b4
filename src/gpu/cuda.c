#include "gpu/cuda.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/library.h"

enum { OLDEST_DRIVER = 12000, OLDEST_COMPUTE = 8 };

static const struct library_function functions[] = {
#define CUDA_ROW(name, symbol, parameters) {symbol, offsetof(struct cuda, name)},
    CUDA_FUNCTIONS(CUDA_ROW)
#undef CUDA_ROW
};

static enum status no_driver(struct error *err)
{
    const char *why = dlerror();
    error_set(err, STATUS_UNSUPPORTED, "no NVIDIA driver is installed");
    error_where(err, "%s", why ? why : "libcuda.so.1");
    return error_remedy(err, "Install NVIDIA's driver (580 or newer; in a container, start it "
                             "with the GPUs passed in), or use --device cpu.");
}

static enum status driver_too_old(struct error *err, const char *why)
{
    error_set(err, STATUS_UNSUPPORTED, "the NVIDIA driver is too old: %s", why);
    return error_remedy(err, "Install NVIDIA's driver 580 or newer, or use --device cpu.");
}

static enum status functions_find(struct cuda *cuda, struct error *err)
{
    char why[96];
    const char *missing =
        library_functions(cuda->library, functions, sizeof functions / sizeof functions[0], cuda);
    if (!missing)
        return STATUS_OK;
    snprintf(why, sizeof why, "it has no %s", missing);
    return driver_too_old(err, why);
}

static enum status initialise(struct cuda *cuda, struct error *err)
{
    char why[96];
    enum status status = cuda_check(cuda, cuda->Init(0), err, "start the NVIDIA driver");
    if (!status)
        status = cuda_check(cuda, cuda->DriverGetVersion(&cuda->driver_version), err,
                            "ask the NVIDIA driver for its version");
    if (status || cuda->driver_version >= OLDEST_DRIVER)
        return status;
    snprintf(why, sizeof why, "it knows CUDA %d.%d, and 12.0 is needed",
             cuda->driver_version / 1000, cuda->driver_version % 1000 / 10);
    return driver_too_old(err, why);
}

enum status cuda_open(struct cuda *cuda, struct error *err)
{
    *cuda = (struct cuda){.library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL)};
    if (!cuda->library)
        return no_driver(err);
    enum status status = functions_find(cuda, err);
    if (!status)
        status = initialise(cuda, err);
    if (status)
        cuda_close(cuda);
    return status;
}

void cuda_close(struct cuda *cuda)
{
    if (cuda->library)
        dlclose(cuda->library);
    *cuda = (struct cuda){0};
}

int cuda_device_parse(const char *text)
{
    char *end;
    if (strcmp(text, "cuda") == 0)
        return 0;
    if (strncmp(text, "cuda:", 5) != 0 || text[5] < '0' || text[5] > '9')
        return -1;
    long ordinal = strtol(text + 5, &end, 10);
    return *end == '\0' && ordinal < 1024 ? (int)ordinal : -1;
}

/* What the driver tells of a card. */
static enum status device_describe(const struct cuda *cuda, struct cuda_device *device,
                                   struct error *err)
{
    int l2_bytes = 0;
    size_t total = 0;
    const struct {
        int attribute, *value;
    } wanted[] = {{CUDA_ATTRIBUTE_COMPUTE_MAJOR, &device->compute_major},
                  {CUDA_ATTRIBUTE_COMPUTE_MINOR, &device->compute_minor},
                  {CUDA_ATTRIBUTE_MULTIPROCESSORS, &device->multiprocessors},
                  {CUDA_ATTRIBUTE_SHARED_BYTES_OPTIN, &device->shared_bytes},
                  {CUDA_ATTRIBUTE_L2_BYTES, &l2_bytes}};
    cuda_result result = cuda->DeviceGet(&device->device, device->ordinal);
    if (!result)
        result = cuda->DeviceGetName(device->name, sizeof device->name, device->device);
    if (!result)
        result = cuda->DeviceGetPCIBusId(device->pci, sizeof device->pci, device->device);
    if (!result)
        result = cuda->DeviceTotalMem(&total, device->device);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0] && !result; i++)
        result = cuda->DeviceGetAttribute(wanted[i].value, wanted[i].attribute, device->device);
    device->total_bytes = total;
    device->l2_bytes = (uint64_t)l2_bytes;
    return cuda_check(cuda, result, err, "describe cuda:%d", device->ordinal);
}

enum status cuda_device_find(const struct cuda *cuda, const char *text, struct cuda_device *device,
                             struct error *err)
{
    int count = 0;
    *device = (struct cuda_device){.ordinal = cuda_device_parse(text)};
    if (device->ordinal < 0) {
        error_set(err, STATUS_USAGE, "there is no device '%s'", text);
        return error_remedy(err, "Devices are cpu, cuda and cuda:N.");
    }
    enum status status = cuda_check(cuda, cuda->DeviceGetCount(&count), err, "count the GPUs");
    if (status)
        return status;
    if (device->ordinal >= count) {
        error_set(err, STATUS_UNSUPPORTED, "there is no cuda:%d: the driver shows %d GPU%s",
                  device->ordinal, count, count == 1 ? "" : "s");
        return error_remedy(err, count ? "Use a smaller number; CUDA_VISIBLE_DEVICES hides cards."
                                       : "Use --device cpu, or see whether nvidia-smi shows a "
                                         "card and CUDA_VISIBLE_DEVICES hides it.");
    }
    status = device_describe(cuda, device, err);
    if (status || device->compute_major >= OLDEST_COMPUTE)
        return status;
    error_set(err, STATUS_UNSUPPORTED,
              "%s has compute capability %d.%d: there are kernels for 8.0 (Ampere) and newer",
              device->name, device->compute_major, device->compute_minor);
    return error_remedy(err, "Use --device cpu, or a newer card.");
}

enum status cuda_context_use(const struct cuda *cuda, const struct cuda_device *device,
                             struct error *err)
{
    struct cuda_context *context;
    cuda_result result = cuda->DevicePrimaryCtxRetain(&context, device->device);
    if (!result) {
        result = cuda->CtxSetCurrent(context);
        if (result)
            cuda->DevicePrimaryCtxRelease(device->device);
    }
    return cuda_check(cuda, result, err, "open a context on cuda:%d (%s)", device->ordinal,
                      device->name);
}

enum status cuda_module_load(const struct cuda *cuda, const struct fatbin *fatbin,
                             const struct cuda_device *device, struct cuda_module **module,
                             struct error *err)
{
    if (fatbin->bytes == 0) {
        error_set(err, STATUS_UNSUPPORTED, "this Prony was built without CUDA");
        return error_remedy(err, "Run scripts/find-nvcc to see what the build lacks, then build "
                                 "again; or use --device cpu.");
    }
    return cuda_check(cuda, cuda->ModuleLoadData(module, fatbin->image), err,
                      "load the kernels '%s' on %s (compute capability %d.%d, driver for CUDA "
                      "%d.%d)",
                      fatbin->name, device->name, device->compute_major, device->compute_minor,
                      cuda->driver_version / 1000, cuda->driver_version % 1000 / 10);
}

enum status cuda_memory_get(const struct cuda *cuda, size_t bytes, cuda_pointer *address,
                            struct error *err)
{
    size_t free_bytes = 0, total_bytes = 0;
    cuda_result result = cuda->MemAlloc(address, bytes);
    if (result == CUDA_NO_MEMORY && !cuda->MemGetInfo(&free_bytes, &total_bytes)) {
        error_set(err, STATUS_NO_MEMORY,
                  "out of GPU memory: %.3f GB were asked for, %.3f of %.3f GB are free",
                  (double)bytes / 1e9, (double)free_bytes / 1e9, (double)total_bytes / 1e9);
        return error_remedy(err, "End other programs on the GPU (nvidia-smi lists them), or use a "
                                 "smaller model or --context.");
    }
    return cuda_check(cuda, result, err, "get %.3f GB of GPU memory", (double)bytes / 1e9);
}
