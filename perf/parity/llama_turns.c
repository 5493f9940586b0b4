/* What a token costs in the llamacpp engine beside llama-bench's loop: the two in turns, token by
 * token, in one process and on the same weights, so that neither the machine's other work nor where
 * the weights happen to lie comes into it.
 *
 *     B=~/.cache/prony/engines/llamacpp/0.3.36/built-...
 *     cc -O2 -rdynamic perf/parity/llama_turns.c -Iinclude -Iengines/llamacpp -I$B/include -L$B/lib
 * \ -lllama -lggml -lggml-base -ldl -Wl,-rpath,$B/lib -o /tmp/llama_turns /tmp/llama_turns
 * $B/engine.so MODEL.gguf llamacpp THREADS TOKENS ROUNDS
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "llamacpp.h"

enum { PROMPT = 72, CONTEXT = 256, MOST = 100000 };

/* What load-engine has for the engine. */
int64_t prony_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int prony_fail(struct prony_error *error, const char *code, const char *hint, const char *message,
               ...)
{
    va_list list;
    (void)error, (void)code, (void)hint;
    va_start(list, message);
    vfprintf(stderr, message, list);
    va_end(list);
    exit(1);
}

struct turns {
    struct llama_context *bench;
    int32_t vocabulary;
    size_t tokens, count, pairs;
    int64_t resumed_ns;
    double engine_ms[MOST], bench_ms[MOST];
};

/* A token of llama-bench's: decode a random id, wait. */
static double bench_token(struct turns *turns)
{
    llama_token id = rand() % turns->vocabulary;
    int64_t start_ns = prony_now_ns();
    llama_decode(turns->bench, llama_batch_get_one(&id, 1));
    llama_synchronize(turns->bench);
    return (double)(prony_now_ns() - start_ns) / 1e6;
}

static int on_token(void *context, int32_t id)
{
    struct turns *turns = context;
    double ms = (double)(prony_now_ns() - turns->resumed_ns) / 1e6;
    (void)id;
    double bench_ms = bench_token(turns);
    if (turns->count > 0 && turns->pairs < MOST) {
        turns->engine_ms[turns->pairs] = ms;
        turns->bench_ms[turns->pairs++] = bench_ms;
    }
    turns->resumed_ns = prony_now_ns();
    return ++turns->count > turns->tokens;
}

static int cancelled(void *context)
{
    (void)context;
    return 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

/* The pairs of all rounds but the first, which warms up. */
static void measure(struct turns *turns, const struct prony_engine *engine, void *state, int rounds)
{
    int32_t prompt[PROMPT];
    struct prony_error error;
    const struct prony_generate generate = {.prompt = prompt,
                                            .prompt_count = PROMPT,
                                            .tokens = turns->tokens + 1,
                                            .top_p = 1,
                                            .on_token = on_token,
                                            .cancelled = cancelled,
                                            .on_token_context = turns};
    for (int i = 0; i < PROMPT; i++)
        prompt[i] = (i * 7919 + 13) % turns->vocabulary;
    for (int round = 0; round <= rounds; round++) {
        llama_memory_clear(llama_get_memory(turns->bench), true);
        llama_decode(turns->bench, llama_batch_get_one(prompt, PROMPT));
        turns->count = 0;
        engine->generate(state, &generate, &error);
        if (round == 0)
            turns->pairs = 0;
    }
}

int main(int argc, char **argv)
{
    static struct turns turns;
    static double difference[MOST], ratio[MOST];
    struct prony_error error;
    struct prony_loaded loaded = {0};
    void *state, *object = argc == 7 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (!object) {
        fprintf(stderr, "%s\n", argc == 7 ? dlerror() : "see the head of the source");
        return 1;
    }
    const struct prony_engine *engine =
        ((const struct prony_engine *(*)(void))dlsym(object, "prony_engine_open"))();
    int threads = atoi(argv[4]);
    struct prony_load load = {argv[2], argv[3], "cpu", "", "", 1, (uint32_t)threads, CONTEXT, "{}"};
    engine->load(&state, &load, &loaded, &error);
    struct llama_model *model = ((struct state *)state)->model;
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = CONTEXT;
    params.n_threads = params.n_threads_batch = threads;
    turns.bench = llama_init_from_model(model, params);
    turns.vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
    turns.tokens = (size_t)atoi(argv[5]);
    measure(&turns, engine, state, atoi(argv[6]));
    for (size_t i = 0; i < turns.pairs; i++) {
        difference[i] = turns.engine_ms[i] - turns.bench_ms[i];
        ratio[i] = turns.engine_ms[i] / turns.bench_ms[i];
    }
    printf("%s, %d threads, %zu pairs, medians: engine %.3f ms, llama-bench's loop %.3f ms, "
           "difference %.3f ms, ratio %.4f\n",
           argv[3], threads, turns.pairs, median(turns.engine_ms, turns.pairs),
           median(turns.bench_ms, turns.pairs), median(difference, turns.pairs),
           median(ratio, turns.pairs));
    return 0;
}
