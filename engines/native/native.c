/* The native engine's worker: src/llama behind the protocol. */
#include "native.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "failure.h"
#include "job.h"
#include "llama/sample.h"

enum {
    PROMPT_AT_ONCE = 64
}; /* ids computed before the host is asked whether it still wants them */

/* Where tokens go, through the trace. */
struct delivery {
    struct native *native;
    const struct prony_generate *request;
};

static int deliver(void *context, int32_t id)
{
    const struct delivery *delivery = context;
    struct profile *profile = delivery->native->trace.profile;
    profile_token(profile);
    int ended = delivery->request->on_token(delivery->request->on_token_context, id);
    profile_mark(profile, 0, OPERATION_HAND_OVER, -1);
    return ended;
}

/* Computes all but the end of a long prompt, unless the host does not want it any more. A card does
 * it faster whole. */
static enum status prompt_begin(struct native *native, const struct prony_generate *request,
                                const int32_t **ids, uint32_t *count, bool *cancelled,
                                struct error *err)
{
    enum status status = STATUS_OK;
    *ids = request->prompt;
    *count = (uint32_t)request->prompt_count;
    *cancelled = false;
    while (!status && *count > PROMPT_AT_ONCE && !llama_device(native->llama)) {
        status = llama_forward(native->llama, *ids, PROMPT_AT_ONCE, NULL, 0, err);
        *cancelled = request->cancelled(request->on_token_context);
        if (*cancelled)
            break;
        *ids += PROMPT_AT_ONCE;
        *count -= PROMPT_AT_ONCE;
    }
    return status;
}

static int native_generate(void *state, const struct prony_generate *request,
                           struct prony_error *error)
{
    struct native *native = state;
    struct delivery delivery = {native, request};
    struct llama_sampler sampler = {.temperature = request->temperature,
                                    .top_p = request->top_p,
                                    .min_p = request->min_p,
                                    .top_k = request->top_k,
                                    .random = request->seed};
    struct error err;
    const int32_t *ids;
    uint32_t count;
    bool cancelled;
    llama_reset(native->llama);
    profile_answer(native->trace.profile);
    enum status status = prompt_begin(native, request, &ids, &count, &cancelled, &err);
    if (!status && !cancelled)
        status = llama_generate(native->llama, request->temperature > 0 ? &sampler : NULL, ids,
                                count, (uint32_t)request->tokens, deliver, &delivery, &err);
    return status ? failure_answer(error, &err) : 0;
}

static int native_logits(void *state, const int32_t *ids, size_t count, const char *path,
                         struct prony_error *error)
{
    struct native *native = state;
    struct error err;
    size_t vocabulary = native->model.config.vocabulary;
    FILE *stream = fopen(path, "wbe");
    enum status status = stream ? STATUS_OK : error_errno(&err, "write the logits to %s", path);
    llama_reset(native->llama);
    profile_answer(native->trace.profile);
    for (size_t done = 0; done < count && !status;) {
        size_t rows = count - done < LOGITS_AT_ONCE ? count - done : LOGITS_AT_ONCE;
        status = llama_forward(native->llama, ids + done, (uint32_t)rows, native->logits, 1, &err);
        if (!status && fwrite(native->logits, sizeof(float) * vocabulary, rows, stream) != rows)
            status = error_errno(&err, "write the logits to %s", path);
        done += rows;
    }
    if (stream && fclose(stream) != 0 && !status)
        status = error_errno(&err, "write the logits to %s", path);
    return status ? failure_answer(error, &err) : 0;
}

static int native_trace(void *state, const char *path, struct prony_traced *ended,
                        struct prony_error *error)
{
    struct native *native = state;
    struct error err;
    enum status status = trace_end(&native->trace, native->llama, ended, &err);
    if (!status && *path)
        status = trace_begin(&native->trace, native->llama, path, &err);
    return status ? failure_answer(error, &err) : 0;
}

/* Whether there is a card is seen from its device file: waking the driver takes time and memory,
 * and this is a part of every process's start. load asks the driver. */
static const char *const *native_devices(void)
{
    static const char *const cpu[] = {"cpu", NULL}, *const both[] = {"cpu", "cuda", NULL};
    return access("/dev/nvidiactl", F_OK) == 0 ? both : cpu;
}

static void native_exchanged(void *state, uint64_t *bytes, int64_t *ns)
{
    const struct native *native = state;
    if (native->team) {
        *bytes = native->team->ranks->bytes;
        *ns = native->team->ranks->ns;
    } else {
        llama_exchanged(native->llama, bytes, ns);
    }
}

/* The host measures a process on one card by itself. On several, nothing is given back before the
 * model is, so that the peak is what there is. */
static int native_memory(void *state, struct prony_memory *result, struct prony_error *error)
{
    struct native *native = state;
    struct error err;
    uint64_t used;
    if (native->cards < 2)
        return 0;
    if (llama_device_used(native->llama, &used, &err))
        return failure_answer(error, &err);
    result->device_bytes = result->device_peak_bytes = used;
    result->method = "PSS from /proc/self/smaps_rollup, peak VmHWM; device: all that is in use on "
                     "the cards, by the CUDA driver";
    return 0;
}

static const struct prony_engine engine = {
    .name = "native",
    .version = PRONY_VERSION,
    .devices = native_devices,
    .load = native_load,
    .generate = native_generate,
    .logits = native_logits,
    .memory = native_memory,
    .trace = native_trace,
    .unload = native_unload,
    .exchanged = native_exchanged,
};

/* A process that mpirun has started. */
static int rank_main(const struct job_rank *rank)
{
    struct team team;
    struct team_task task;
    struct error err;
    char *request = NULL;
    if (team_open(&team, &err) || (team.ranks->rank == 0 && job_take_over(rank, &request, &err))) {
        error_print(&err, stderr);
        return 1;
    }
    int status = team.ranks->rank == 0 ? prony_worker_resume(&engine, request, &team) : 0;
    if (team.ranks->rank > 0)
        for (team_wait(&team, &task); task.load; team_wait(&team, &task))
            native_follow(&team, &task);
    free(request);
    team_close(&team);
    fflush(stderr);
    _exit(status); /* what Open MPI has not freed is not ours to look for */
}

int main(int argc, char **argv)
{
    struct job_rank rank;
    return job_is_rank(argc, argv, &rank) ? rank_main(&rank) : prony_worker_main(&engine);
}
