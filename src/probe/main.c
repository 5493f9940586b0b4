/* prony-probe-cuda: what a GPU is, and how fast it reads its memory, as one line of JSON. A program
 * of its own, so that no CUDA context and no crash of a driver gets into Prony itself.
 *
 *     prony-probe-cuda describe DEVICE
 *     prony-probe-cuda bandwidth DEVICE MILLISECONDS
 *
 * The line goes to the pipe whose number is in PRONY_FD_OUT, else to stdout. On failure it is
 * {"error": {"what", "where", "remedy"}}, and the exit status is 1. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe/stream.h"

static json_t *describe(const struct cuda *cuda, const struct cuda_device *device)
{
    return json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "name", device->name, "pci", device->pci,
        "total_bytes", (json_int_t)device->total_bytes, "l2_bytes", (json_int_t)device->l2_bytes,
        "multiprocessors", (json_int_t)device->multiprocessors, "compute_major",
        (json_int_t)device->compute_major, "compute_minor", (json_int_t)device->compute_minor,
        "cuda_version", (json_int_t)cuda->driver_version);
}

static json_t *bandwidth(const struct cuda *cuda, const struct cuda_device *device,
                         uint32_t budget_ms, struct error *err)
{
    struct stream_result result = {0};
    enum status status = cuda_context_use(cuda, device, err);
    if (status)
        return NULL;
    status = stream_probe(cuda, device, budget_ms, &result, err);
    cuda->DevicePrimaryCtxRelease(device->device);
    return status ? NULL
                  : json_pack("{s:f, s:I, s:I, s:s}", "bytes_per_second", result.bytes_per_second,
                              "bytes", (json_int_t)result.bytes, "passes",
                              (json_int_t)result.passes, "kernel", result.kernel);
}

static json_t *answer(int argc, char **argv, struct error *err)
{
    struct cuda cuda;
    struct cuda_device device;
    json_t *object = NULL;
    bool timed = argc == 4 && strcmp(argv[1], "bandwidth") == 0;
    long budget_ms = timed ? strtol(argv[3], NULL, 10) : 0;
    if (!timed && (argc != 3 || strcmp(argv[1], "describe") != 0)) {
        error_set(err, STATUS_USAGE, "wrong arguments");
        error_remedy(err, "Usage: prony-probe-cuda describe DEVICE, or bandwidth DEVICE "
                          "MILLISECONDS.");
        return NULL;
    }
    if (cuda_open(&cuda, err))
        return NULL;
    if (!cuda_device_find(&cuda, argv[2], &device, err))
        object = timed ? bandwidth(&cuda, &device, budget_ms > 0 ? (uint32_t)budget_ms : 0, err)
                       : describe(&cuda, &device);
    cuda_close(&cuda);
    return object;
}

int main(int argc, char **argv)
{
    struct error err = {.status = STATUS_NO_MEMORY, .what = "out of memory"};
    const char *fd = getenv("PRONY_FD_OUT");
    FILE *stream = fd ? fdopen(atoi(fd), "w") : stdout;
    json_t *object = answer(argc, argv, &err);
    int status = object ? EXIT_SUCCESS : EXIT_FAILURE;
    if (!object)
        object = json_pack("{s:{s:s, s:s, s:s}}", "error", "what", err.what, "where", err.where,
                           "remedy", err.remedy);
    if (!stream || !object || json_dumpf(object, stream, JSON_COMPACT) ||
        fputc('\n', stream) == EOF || fflush(stream))
        status = EXIT_FAILURE;
    json_decref(object);
    return status;
}
