/* llama.cpp behind Prony's protocol. `build` compiles these files on the user's machine against the
 * llama.h that belongs to its library, since parameters change from version to version, into a
 * shared object that engines/sdk/load-engine takes up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "llamacpp.h"

enum { LOGITS_AT_ONCE = 64 };

/* 0; 1 when the host has cancelled; -1 with *error filled. */
static int decode(struct state *state, const int32_t *ids, size_t count, struct prony_error *error)
{
    size_t most = llama_n_batch(state->context);
    for (size_t done = 0; done < count;) {
        size_t part = count - done < most ? count - done : most;
        int32_t status = llama_decode(
            state->context, llama_batch_get_one((llama_token *)ids + done, (int32_t)part));
        if (status == 2)
            return 1;
        if (status != 0)
            return prony_fail(error, "failed", "", "llama_decode failed with status %d: %s", status,
                              llamacpp_said);
        done += part;
    }
    return 0;
}

/* Prony's order: temperature, then top-k, min-p and top-p. */
static struct llama_sampler *sampler_make(const struct prony_generate *request)
{
    struct llama_sampler *chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    uint32_t seed = (uint32_t)(request->seed ^ (request->seed >> 32));
    llama_sampler_chain_add(chain, llama_sampler_init_temp((float)request->temperature));
    if (request->top_k > 0)
        llama_sampler_chain_add(chain, llama_sampler_init_top_k((int32_t)request->top_k));
    if (request->min_p > 0)
        llama_sampler_chain_add(chain, llama_sampler_init_min_p((float)request->min_p, 1));
    if (request->top_p < 1)
        llama_sampler_chain_add(chain, llama_sampler_init_top_p((float)request->top_p, 1));
    /* The library's LLAMA_DEFAULT_SEED is another one each time. */
    seed -= seed == LLAMA_DEFAULT_SEED;
    llama_sampler_chain_add(chain, llama_sampler_init_dist(seed));
    return chain;
}

/* The next id; the library must not fall back to another way of choosing it without a word. */
static llama_token next_choose(struct state *state, struct llama_sampler *sampler)
{
#ifdef HAVE_BACKEND_SAMPLERS
    if (state->attached)
        return llama_get_sampled_token_ith(state->context, -1);
#endif
    return llama_sampler_sample(sampler, state->context, -1);
}

static int generate(struct state *state, const struct prony_generate *request,
                    struct llama_sampler *sampler, struct prony_error *error)
{
    const int32_t *ids = request->prompt;
    size_t count = request->prompt_count;
    for (;;) {
        int status = decode(state, ids, count, error);
        if (status)
            return status > 0 ? 0 : -1;
        llama_token next = next_choose(state, sampler);
        if (next < 0)
            return prony_fail(error, "unsupported", "", "llama.cpp chose no token%s: %s",
                              state->attached ? " on the device" : "", llamacpp_said);
        if (request->on_token(request->on_token_context, next))
            return 0;
        ids = &next;
        count = 1;
    }
}

/* Nothing of an earlier prompt stays. */
static void begin(struct state *state, const struct prony_generate *request, int greedy)
{
    llamacpp_said[0] = '\0';
    llama_memory_clear(llama_get_memory(state->context), true);
    llamacpp_attach(state, greedy);
    state->request = request;
}

static int llamacpp_generate(void *pointer, const struct prony_generate *request,
                             struct prony_error *error)
{
    struct state *state = pointer;
    int greedy = request->temperature <= 0;
    begin(state, request, greedy);
    struct llama_sampler *sampler = greedy ? state->greedy : sampler_make(request);
    int status = generate(state, request, sampler, error);
    state->request = NULL;
    if (!greedy)
        llama_sampler_free(sampler);
    return status;
}

/* Rows of logits for all ids of the batch. */
static int rows_write(struct state *state, struct llama_batch *batch, const int32_t *ids,
                      int32_t count, int32_t position, FILE *stream, struct prony_error *error)
{
    batch->n_tokens = count;
    for (int32_t i = 0; i < count; i++) {
        batch->token[i] = ids[i];
        batch->pos[i] = position + i;
        batch->n_seq_id[i] = 1;
        batch->seq_id[i][0] = 0;
        batch->logits[i] = 1;
    }
    if (llama_decode(state->context, *batch) != 0)
        return prony_fail(error, "failed", "", "llama_decode failed: %s", llamacpp_said);
    for (int32_t i = 0; i < count; i++) {
        const float *row = llama_get_logits_ith(state->context, i);
        if (!row)
            return prony_fail(error, "failed", "", "llama.cpp has no logits for an id");
        if (fwrite(row, sizeof *row, (size_t)state->vocabulary, stream) !=
            (size_t)state->vocabulary)
            return prony_fail(error, "io", "", "cannot write the logits");
    }
    return 0;
}

static int llamacpp_logits(void *pointer, const int32_t *ids, size_t count, const char *path,
                           struct prony_error *error)
{
    struct state *state = pointer;
    int failed = 0;
    FILE *stream = fopen(path, "wbe");
    if (!stream)
        return prony_fail(error, "io", "", "cannot write the logits to %s", path);
    struct llama_batch batch = llama_batch_init(LOGITS_AT_ONCE, 0, 1);
    begin(state, NULL, 0);
    for (size_t done = 0; done < count && !failed; done += LOGITS_AT_ONCE) {
        size_t rows = count - done < LOGITS_AT_ONCE ? count - done : LOGITS_AT_ONCE;
        failed = rows_write(state, &batch, ids + done, (int32_t)rows, (int32_t)done, stream, error);
    }
    llama_batch_free(batch);
    if (fclose(stream) != 0 && !failed)
        failed = prony_fail(error, "io", "", "cannot write the logits to %s", path);
    return failed;
}

/* "cpu", and the GPUs that the library was built for and finds. */
static const char *const *llamacpp_devices(void)
{
    enum { MOST = 16 };
    static char names[MOST][16];
    static const char *list[MOST + 2] = {"cpu"};
    for (size_t i = 0; i < MOST; i++) {
        snprintf(names[i], sizeof names[i], "cuda:%zu", i);
        list[i + 1] = llamacpp_device(names[i]) ? names[i] : NULL;
        if (!list[i + 1])
            break;
    }
    return list;
}

/* Called once by load-engine. */
const struct prony_engine *prony_engine_open(void);

const struct prony_engine *prony_engine_open(void)
{
    static struct prony_engine engine = {
        .name = "llamacpp",
        .version = "unknown",
        .stands_on = STANDS_ON,
        .devices = llamacpp_devices,
        .load = llamacpp_load,
        .generate = llamacpp_generate,
        .logits = llamacpp_logits,
        .unload = llamacpp_unload,
    };
    /* A failed assertion should end the log, not what a debugger says of the process. */
    setenv("GGML_NO_BACKTRACE", "1", 1);
    llama_log_set(llamacpp_on_log, NULL);
    ggml_backend_load_all();
    llama_backend_init();
#ifdef HAVE_VERSION
    engine.version = llama_version();
#endif
    return &engine;
}
