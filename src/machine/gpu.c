#include "machine/gpu.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/json.h"

enum { ANSWER_BYTES = 4096, ANSWER_MS = 60000, END_MS = 5000 };

static const char PROGRAM[] = "prony-probe-cuda";

/* Beside this program in a build folder, in libexec of an installation. */
static enum status program_find(char *path, size_t size, struct error *err)
{
    static const char *const places[] = {"", "../" PRONY_LIBEXEC "/"};
    char binary[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", binary, sizeof binary - 1);
    if (length < 0)
        return error_errno(err, "read /proc/self/exe");
    binary[length] = '\0';
    strrchr(binary, '/')[1] = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        int needed = snprintf(path, size, "%s%s%s", binary, places[i], PROGRAM);
        if ((size_t)needed < size && access(path, X_OK) == 0)
            return STATUS_OK;
    }
    error_set(err, STATUS_NOT_FOUND, "%s, which asks the GPU, is missing", PROGRAM);
    error_where(err, "%s", binary);
    return error_remedy(err, "Build or install Prony again.");
}

/* All that the child writes until it closes its end; false when it takes too long or writes more
 * than fits. */
static bool answer_read(struct child *child, char *text, size_t size, size_t *bytes)
{
    int64_t end_ns = clock_now_ns() + (int64_t)ANSWER_MS * 1000000;
    *bytes = 0;
    for (;;) {
        struct pollfd fd = {.fd = child->from_fd, .events = POLLIN};
        int64_t left_ms = (end_ns - clock_now_ns()) / 1000000;
        int ready = left_ms > 0 ? poll(&fd, 1, (int)left_ms) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0 || *bytes == size)
            return false;
        ssize_t got = read(child->from_fd, text + *bytes, size - *bytes);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got <= 0)
            return got == 0;
        *bytes += (size_t)got;
    }
}

static enum status told_error(const json_t *told, struct error *err)
{
    const char *what = "", *where = "", *remedy = "";
    struct error wrong;
    if (json_get_string_or(told, "what", "it failed", &what, &wrong) ||
        json_get_string_or(told, "where", "", &where, &wrong) ||
        json_get_string_or(told, "remedy", "", &remedy, &wrong)) {
        *err = wrong;
        return err->status;
    }
    error_set(err, STATUS_UNSUPPORTED, "%s", what);
    error_where(err, "%s", where);
    return error_remedy(err, "%s", remedy);
}

/* Why there is no answer: a driver can bring the program down. */
static enum status no_answer(struct child *child, bool hung, struct error *err)
{
    char how[80];
    if (!hung)
        child_wait(child, END_MS);
    child_kill(child);
    child_status_text(child, how, sizeof how);
    error_set(err, STATUS_WORKER, "the NVIDIA driver did not answer: %s %s", PROGRAM,
              hung ? "took too long" : how);
    return error_remedy(err, "See whether nvidia-smi works and what the kernel's log says (dmesg, "
                             "lines with Xid), or use --device cpu.");
}

/* Runs the program with these arguments (then NULL); its answer, the caller's reference. */
static json_t *ask(const char *const *arguments, struct error *err)
{
    char path[PATH_MAX], text[ANSWER_BYTES];
    const char *argv[5] = {path};
    struct child child;
    size_t bytes = 0;
    if (program_find(path, sizeof path, err))
        return NULL;
    for (size_t i = 0; i < 3 && arguments[i]; i++)
        argv[i + 1] = arguments[i];
    struct child_options options = {.argv = argv, .folder = "/", .log_path = "/dev/null"};
    if (child_start(&child, &options, err))
        return NULL;
    bool ended = answer_read(&child, text, sizeof text, &bytes);
    if (!ended || bytes == 0) {
        no_answer(&child, !ended, err);
        return NULL;
    }
    child_kill(&child);
    json_t *object = json_parse(text, bytes, PROGRAM, err);
    const json_t *told = json_object_get(object, "error");
    if (!told)
        return object;
    told_error(told, err);
    json_decref(object);
    return NULL;
}

static enum status text_take(const json_t *object, const char *key, char *text, size_t size,
                             struct error *err)
{
    const char *value;
    enum status status = json_get_string(object, key, &value, err);
    if (!status)
        snprintf(text, size, "%s", value);
    return status;
}

static enum status gpu_parse(const json_t *object, struct gpu *gpu, struct error *err)
{
    int64_t total = 0, l2 = 0, numbers[4] = {0};
    static const char *const names[] = {"multiprocessors", "compute_major", "compute_minor",
                                        "cuda_version"};
    enum status status = text_take(object, "name", gpu->name, sizeof gpu->name, err);
    if (!status)
        status = text_take(object, "pci", gpu->pci, sizeof gpu->pci, err);
    if (!status)
        status = json_get_int(object, "total_bytes", 0, INT64_MAX, &total, err);
    if (!status)
        status = json_get_int(object, "l2_bytes", 0, INT64_MAX, &l2, err);
    for (size_t i = 0; i < 4 && !status; i++)
        status = json_get_int(object, names[i], 0, UINT32_MAX, &numbers[i], err);
    gpu->total_bytes = (uint64_t)total;
    gpu->l2_bytes = (uint64_t)l2;
    gpu->multiprocessors = (uint32_t)numbers[0];
    gpu->compute_major = (uint32_t)numbers[1];
    gpu->compute_minor = (uint32_t)numbers[2];
    gpu->cuda_version = (uint32_t)numbers[3];
    return status;
}

enum status gpu_check(const char *device, struct gpu *gpu, struct error *err)
{
    *gpu = (struct gpu){0};
    if (strcmp(device, "cpu") == 0)
        return STATUS_OK;
    if (strncmp(device, "cuda", 4) != 0 || (device[4] != '\0' && device[4] != ':')) {
        error_set(err, STATUS_USAGE, "there is no device '%s'", device);
        return error_remedy(err, "Devices are cpu, cuda and cuda:N.");
    }
    json_t *object = ask((const char *const[]){"describe", device, NULL}, err);
    if (!object)
        return err->status;
    enum status status = gpu_parse(object, gpu, err);
    json_decref(object);
    return status;
}

enum status gpu_bandwidth(const char *device, uint32_t budget_ms, struct bandwidth *result,
                          struct error *err)
{
    char budget[16];
    int64_t bytes = 0;
    const char *kernel = "";
    *result = (struct bandwidth){0};
    snprintf(budget, sizeof budget, "%u", budget_ms);
    json_t *object = ask((const char *const[]){"bandwidth", device, budget, NULL}, err);
    if (!object)
        return err->status;
    enum status status =
        json_get_number(object, "bytes_per_second", &result->bytes_per_second, err);
    if (!status)
        status = json_get_int(object, "bytes", 0, INT64_MAX, &bytes, err);
    if (!status)
        status = json_get_string(object, "kernel", &kernel, err);
    result->bytes = (uint64_t)bytes;
    result->kernel = strcmp(kernel, "bulk") == 0 ? "bulk" : "plain";
    json_decref(object);
    return status;
}
