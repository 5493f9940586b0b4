/* A model as Q8_0: a file, which the library makes of another, and which is kept. */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <gguf.h>

#include "llamacpp.h"

static int failed(struct prony_error *error, const char *doing, const char *path)
{
    return prony_fail(error, "io", "Free some disk space, or set PRONY_CACHE to another disk.",
                      "cannot %s %s: %m", doing, path);
}

/* What it holds is on the disk before it has its name. */
static int whole(const char *part, const char *path, struct prony_error *error)
{
    int fd = open(part, O_RDONLY | O_CLOEXEC);
    int lost = fd < 0 || fsync(fd) != 0;
    if (fd >= 0)
        close(fd);
    return lost || rename(part, path) != 0 ? failed(error, "write", path) : 0;
}

static int make(const struct prony_load *request, int32_t threads, struct prony_error *error)
{
    char part[PATH_MAX + 8];
    struct llama_model_quantize_params params = llama_model_quantize_default_params();
    params.ftype = LLAMA_FTYPE_MOSTLY_Q8_0;
    params.nthread = threads;
    snprintf(part, sizeof part, "%s.part", request->keep_at);
    int status = 0;
    if (llama_model_quantize(request->model, part, &params) != 0)
        status =
            prony_fail(error, "failed", "Is there room on the disk of the cache folder?",
                       "llama.cpp cannot quantise %s to Q8_0: %s", request->model, llamacpp_said);
    if (!status)
        status = whole(part, request->keep_at, error);
    if (status)
        unlink(part);
    return status;
}

/* One process makes it; the others wait for it. */
static int make_alone(const struct prony_load *request, int32_t threads, struct prony_error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", request->keep_at);
    const char *folder = dirname(path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), status = 0;
    if (fd < 0 || flock(fd, LOCK_EX) != 0)
        status = failed(error, "lock", folder);
    if (!status && access(request->keep_at, F_OK) != 0)
        status = make(request, threads, error);
    if (fd >= 0)
        close(fd);
    return status;
}

/* The library leaves rows that are no whole number of blocks as they are. */
static int all_q8_0(const char *path, struct prony_error *error)
{
    struct gguf_init_params params = {.no_alloc = true};
    struct gguf_context *file = gguf_init_from_file(path, params);
    int status = 0;
    if (!file)
        return prony_fail(error, "bad_model", "Remove it, and it is made anew.",
                          "%s is no GGUF file that llama.cpp can read: %s", path, llamacpp_said);
    for (int64_t i = 0; i < gguf_get_n_tensors(file) && !status; i++) {
        const char *name = gguf_get_tensor_name(file, i);
        enum ggml_type type = gguf_get_tensor_type(file, i);
        if (llamacpp_is_matrix(name) && type != GGML_TYPE_Q8_0)
            status = prony_fail(error, "unsupported", "",
                                "llama.cpp holds %s of the quantised model as %s", name,
                                ggml_type_name(type));
    }
    gguf_free(file);
    return status;
}

int llamacpp_keep(const struct prony_load *request, int32_t threads, struct prony_loaded *result,
                  struct prony_error *error)
{
    int64_t start_ns = prony_now_ns();
    if (!*request->keep_at)
        return prony_fail(error, "bad_request", "", "\"keep_at\" names no file for the Q8_0 model");
    if (access(request->keep_at, F_OK) != 0) {
        if (make_alone(request, threads, error))
            return -1;
        prony_phase_add(result, "quantise", start_ns, prony_now_ns());
    }
    result->precision = "q8_0";
    return all_q8_0(request->keep_at, error);
}
