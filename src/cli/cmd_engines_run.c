/* prony engines run: one worker by itself, for whoever writes an engine. */
#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/file.h"
#include "bench/solo.h"
#include "cli/command.h"
#include "cli/form_options.h"
#include "cli/memory_option.h"
#include "cli/model_progress.h"
#include "machine/gpu.h"
#include "model/model.h"
#include "model/synthetic.h"

enum { TOKENS = 8, BENCHMARK_TOKENS = 20, BENCHMARK_WARMUP = 8, FOLLOW_US = 50000 };

struct run_options {
    const char *model, *size, *device, *trace, *quantize;
    int64_t threads, context, shard;
    bool benchmark, memory_check;
};

static const struct run_options defaults = {.device = "cpu", .memory_check = true};

#define FIELD(name) offsetof(struct run_options, name)

static const struct option options[] = {
    {.name = "model",
     .letter = 'm',
     .kind = OPTION_STRING,
     .metavar = "PATH",
     .help = "The model: a GGUF file, or a folder with one or with safetensors.",
     .offset = FIELD(model)},
    {.name = "size",
     .kind = OPTION_CHOICE,
     .choices = "tiny 1b 8b 1B 8B",
     .help = "Without --model: a synthetic one of that shape, made once. With it: what it must be.",
     .offset = FIELD(size)},
    {.name = "benchmark",
     .kind = OPTION_FLAG,
     .help = "20 timed tokens after 8 of warm-up, instead of 8 and none.",
     .offset = FIELD(benchmark)},
    {.name = "threads",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1024,
     .help = "Threads; by default the engine's own choice.",
     .offset = FIELD(threads)},
    {.name = "device",
     .kind = OPTION_STRING,
     .metavar = "DEVICE",
     .help = "Where the model runs: cpu, cuda or cuda:N.",
     .offset = FIELD(device)},
    OPTION_QUANTIZE(OPTION_CHOICE, FIELD(quantize), ""),
    OPTION_SHARD(OPTION_INT, FIELD(shard), ""),
    {.name = "context",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 100000000,
     .help = "Positions that the KV cache holds; by default what the tokens need, rounded up.",
     .offset = FIELD(context)},
    OPTION_MEMORY_CHECK(FIELD(memory_check)),
    {.name = "trace",
     .kind = OPTION_STRING,
     .metavar = "FILE",
     .help = "Write a profile of the timed tokens in Chrome's trace format, if the engine can.",
     .offset = FIELD(trace)},
    {0},
};

/* Copies what the worker writes to stderr, while it runs. */
struct follower {
    pthread_t thread;
    int fd;
    bool stop;
};

static void *follow(void *context)
{
    struct follower *follower = context;
    char bytes[4096];
    for (bool last = false; !last;) {
        ssize_t got;
        last = __atomic_load_n(&follower->stop, __ATOMIC_ACQUIRE);
        while ((got = read(follower->fd, bytes, sizeof bytes)) > 0)
            fwrite(bytes, 1, (size_t)got, stderr);
        if (!last)
            usleep(FOLLOW_US);
    }
    return NULL;
}

static enum status synthetic_model(const char *size, char *path, size_t room, struct error *err)
{
    struct model_config config;
    struct model_progress progress;
    char folder[PATH_MAX - 64];
    enum status status = cache_folder(folder, sizeof folder, "models", err);
    if (status)
        return status;
    snprintf(path, room, "%s/synthetic-%s.f16.gguf", folder, size);
    if (path_is_file(path))
        return STATUS_OK;
    fprintf(stderr, "Making a synthetic model, once: %s\n", path);
    synthetic_shape(size, &config);
    struct model_output output = {.path = path, .format = MODEL_GGUF, .precision = TENSOR_F16};
    output.progress = model_progress_start(&progress, "Making");
    status = synthetic_write(&config, "Synthetic", 1, &output, NULL, err);
    model_progress_end(&progress);
    return status;
}

/* Whether the model is of the shape that its user says it is. */
static enum status size_check(const char *path, const char *size, struct error *err)
{
    struct model_config config;
    struct model model;
    synthetic_shape(size, &config);
    enum status status = model_open(&model, path, err);
    if (status)
        return status;
    bool same = model.config.layers == config.layers &&
                model.config.hidden_size == config.hidden_size &&
                model.config.ffn_size == config.ffn_size;
    model_close(&model);
    if (same)
        return STATUS_OK;
    error_set(err, STATUS_USAGE, "the model is not of the size %s", size);
    error_where(err, "%s", path);
    return error_remedy(err, "Leave --size or --model out.");
}

static enum status model_choose(const struct run_options *o, char *path, size_t room,
                                struct error *err)
{
    char size[8] = "";
    for (size_t i = 0; o->size && o->size[i] && i + 1 < sizeof size; i++)
        size[i] = (char)tolower((unsigned char)o->size[i]);
    if (!o->model && !o->size) {
        error_set(err, STATUS_USAGE, "no model: --model or --size is missing");
        return error_remedy(err, "Add --model PATH, or --size 1b for a synthetic one.");
    }
    if (!o->model)
        return synthetic_model(size, path, room, err);
    enum status status = model_locate(o->model, path, room, err);
    return status || !*size ? status : size_check(path, size, err);
}

static enum status run_followed(const struct solo_request *asked, struct error *err)
{
    struct solo_request request = *asked;
    char log[] = "/tmp/prony-run-XXXXXX";
    struct follower follower = {.fd = mkostemp(log, O_CLOEXEC)};
    if (follower.fd < 0)
        return error_errno(err, "create a temporary log for a worker");
    request.log_path = log;
    enum status status = STATUS_OK;
    if (pthread_create(&follower.thread, NULL, follow, &follower) != 0) {
        status = error_no_memory(err, sizeof follower);
    } else {
        status = solo_run(&request, stdout, err);
        __atomic_store_n(&follower.stop, true, __ATOMIC_RELEASE);
        pthread_join(follower.thread, NULL);
    }
    close(follower.fd);
    unlink(log);
    if (strstr(err->remedy, log)) /* the log was shown, and is gone */
        err->remedy[0] = '\0';
    return status;
}

static int run(const void *given, const struct option_list *args)
{
    const struct run_options *o = given;
    char path[PATH_MAX], trace[PATH_MAX];
    struct gpu gpu;
    struct error err = {0};
    struct solo_request request = {.name = args->items[0],
                                   .model_path = path,
                                   .device = o->device,
                                   .pci = gpu.pci,
                                   .no_memory_check = !o->memory_check,
                                   .form = form_asked(o->quantize, o->shard),
                                   .threads = (uint32_t)o->threads,
                                   .context = (uint32_t)o->context,
                                   .tokens = o->benchmark ? BENCHMARK_TOKENS : TOKENS,
                                   .warmup = o->benchmark ? BENCHMARK_WARMUP : 0,
                                   .cancel_fd = -1};
    enum status status = gpu_check(o->device, &gpu, &err);
    if (!status)
        status = model_choose(o, path, sizeof path, &err);
    if (!status && o->trace) { /* the worker runs in another folder */
        FILE *file = fopen(o->trace, "ae");
        if (!file || !realpath(o->trace, trace))
            status = error_errno(&err, "write %.300s", o->trace);
        if (file)
            fclose(file);
        request.trace_path = trace;
    }
    if (!status)
        status = cancel_open(&request.cancel_fd, &err);
    if (!status)
        status = run_followed(&request, &err);
    if (request.cancel_fd >= 0)
        close(request.cancel_fd);
    if (status)
        error_print(&err, stderr);
    return !status ? EXIT_PASS : status == STATUS_INTERRUPTED ? EXIT_INTERRUPTED : EXIT_ERROR;
}

const struct command command_engines_run = {
    .name = "engines run",
    .summary = "Runs one worker by itself, for whoever writes an engine.",
    .positional = "NAME[-VARIANT][@VERSION]",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .options_bytes = sizeof(struct run_options),
    .defaults = &defaults,
    .details = "Prints how long the start, each phase of the load, the first token and each token "
               "took; what the worker writes goes to stderr as it comes. Nothing is stored, and no "
               "figure is for comparing: that is what 'prony bench' does.\n\n"
               "Examples:\n\n"
               "  prony engines run mine --size tiny\n"
               "  prony engines run pytorch-opt --benchmark --model model.gguf --trace t.json",
    .exits = 1u << EXIT_PASS,
    .run = run,
};
