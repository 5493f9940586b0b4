#ifdef __x86_64__
#include <cpuid.h>
#endif
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <gguf.h>

#include "llamacpp.h"

enum { MOST_CARDS = 16 }; /* ggml's own limit */

char llamacpp_said[SAID];

void llamacpp_on_log(enum ggml_log_level level, const char *text, void *context)
{
    (void)context;
    if (level == GGML_LOG_LEVEL_WARN || level == GGML_LOG_LEVEL_ERROR)
        fputs(text, stderr);
    if (level != GGML_LOG_LEVEL_ERROR)
        return;
    snprintf(llamacpp_said, sizeof llamacpp_said, "%s", text);
    llamacpp_said[strcspn(llamacpp_said, "\n")] = '\0';
}

/* The header that this was compiled against must still be that of the user's library. */
static int header_check(struct prony_error *error)
{
#ifdef OWN_HEADER
    struct stat now;
    if (stat(OWN_HEADER, &now) != 0 || now.st_size != OWN_HEADER_BYTES ||
        now.st_mtime != OWN_HEADER_TIME)
        return prony_fail(error, "stale", "Run again: prony engines install llamacpp --own PATH",
                          "%s has changed since this engine was installed", OWN_HEADER);
#endif
    (void)error;
    return 0;
}

void llamacpp_unload(void *pointer)
{
    struct state *state = pointer;
    if (state->context)
        llama_free(state->context);
    llama_sampler_free(state->greedy);
    if (state->model)
        llama_model_free(state->model);
    free(state);
}

ggml_backend_dev_t llamacpp_device(const char *name)
{
    char theirs[32];
    const char *number = strchr(name, ':');
    snprintf(theirs, sizeof theirs, "CUDA%.16s", number ? number + 1 : "0");
    return ggml_backend_dev_by_name(theirs);
}

static bool on_cpu(const struct prony_load *request)
{
    return strcmp(request->device, "cpu") == 0;
}

/* The library makes one device of several cards, on which each has its part of every matrix. */
static int split_check(const struct prony_load *request, struct prony_error *error)
{
#ifdef HAVE_SPLIT_TENSOR
    if (on_cpu(request))
        return prony_fail(error, "unsupported", "--device cuda can.",
                          "llama.cpp splits a model over GPUs alone");
    if (request->shard > MOST_CARDS)
        return prony_fail(error, "unsupported", "", "llama.cpp splits a model over %d GPUs at most",
                          MOST_CARDS);
    if (strcmp(request->variant, "llamacpp") != 0)
        return prony_fail(error, "unsupported", "Use llamacpp.",
                          "the graph of a split model does not choose tokens");
    return 0;
#else
    (void)request;
    return prony_fail(error, "unsupported",
                      "Use a newer one, or: prony engines install "
                      "llamacpp@0.3.36",
                      "this llama.cpp cannot split a model by its tensors");
#endif
}

static int request_check(const struct prony_load *request, struct prony_error *error)
{
    if (*request->quantize && strcmp(request->quantize, "q8_0") != 0)
        return prony_fail(error, "unsupported", "Use --quantize q8_0.",
                          "llama.cpp has nothing that is %s", request->quantize);
    return request->shard > 1 && split_check(request, error) ? -1 : header_check(error);
}

int llamacpp_is_matrix(const char *name)
{
    return !strstr(name, "norm") && !strstr(name, ".bias") && !strstr(name, "rope_freqs");
}

/* Types of matrices that a model has. */
struct types {
    int float32, bfloat16;
};

static int types_note(const struct gguf_context *file, struct types *types,
                      struct prony_error *error)
{
    int failed = 0;
    for (int64_t i = 0; i < gguf_get_n_tensors(file) && !failed; i++) {
        enum ggml_type type = gguf_get_tensor_type(file, i);
        const char *name = gguf_get_tensor_name(file, i);
        if (type != GGML_TYPE_F32 && type != GGML_TYPE_F16 && type != GGML_TYPE_BF16)
            failed = prony_fail(error, "unsupported",
                                "Convert it: prony model convert --precision float16",
                                "%s is quantised (%s): llama.cpp would compute with that, and the "
                                "other engines with what it stands for",
                                name, ggml_type_name(type));
        if (llamacpp_is_matrix(name)) {
            types->float32 |= type == GGML_TYPE_F32;
            types->bfloat16 |= type == GGML_TYPE_BF16;
        }
    }
    return failed;
}

/* In how many files the model is, by the first of them. */
static int32_t parts_of(const struct gguf_context *first)
{
    int64_t key = gguf_find_key(first, "split.count");
    bool told = key >= 0 && gguf_get_kv_type(first, key) == GGUF_TYPE_UINT16;
    return told ? gguf_get_val_u16(first, key) : 1;
}

/* The path of one of the parts, from 0 on; the first is at path. */
static void part_path(char *part, size_t size, const char *path, int32_t number, int32_t parts)
{
    char prefix[PATH_MAX];
    snprintf(part, size, "%s", path);
    if (number > 0 && llama_split_prefix(prefix, sizeof prefix, path, 0, parts) > 0)
        llama_split_path(part, size, prefix, number, parts);
}

/* What is computed in, from the types of the files' matrices and from the KV cache, which is
 * float16. */
static int precision_read(const char *path, const char **precision, struct prony_error *error)
{
    struct gguf_init_params params = {.no_alloc = true};
    struct types types = {0};
    int32_t parts = 1;
    int failed = 0;
    for (int32_t i = 0; i < parts && !failed; i++) {
        char part[PATH_MAX];
        part_path(part, sizeof part, path, i, parts);
        struct gguf_context *file = gguf_init_from_file(part, params);
        if (!file)
            return prony_fail(error, "bad_model", "",
                              "%s is no GGUF file that llama.cpp can read: %s", part,
                              llamacpp_said);
        parts = i == 0 ? parts_of(file) : parts;
        failed = types_note(file, &types, error);
        gguf_free(file);
    }
    *precision = types.bfloat16 ? "bfloat16" : types.float32 ? "mixed" : "float16";
    return failed;
}

/* Whether ggml would take its AMX kernels for blocks of codes. Where gcc has compiled them, the
 * first ends the process: it leaves the tiles' shape out (llama.cpp's pull request 26954). F16 has
 * others. */
static int has_amx(void)
{
#ifdef __x86_64__
    enum { AMX_TILE = 1 << 24 };
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & AMX_TILE);
#else
    return 0;
#endif
}

/* The card that is named, or as many as the model is split over, from the first. */
static int cards_find(const struct prony_load *request, ggml_backend_dev_t *cards,
                      struct prony_error *error)
{
    char name[16];
    for (uint32_t i = 0; i < request->shard; i++) {
        snprintf(name, sizeof name, "cuda:%u", i);
        const char *card = request->shard > 1 ? name : request->device;
        cards[i] = llamacpp_device(card);
        if (!cards[i])
            return prony_fail(error, "unsupported",
                              "Install nvcc and run again: prony engines install llamacpp",
                              "this build of llama.cpp has no device %s", card);
    }
    return 0;
}

static int model_load(struct state *state, const struct prony_load *request,
                      struct prony_error *error)
{
    const char *path = *request->quantize ? request->keep_at : request->model;
    ggml_backend_dev_t devices[MOST_CARDS + 1] = {NULL};
    struct llama_model_params params = llama_model_default_params();
    if (!on_cpu(request) && cards_find(request, devices, error))
        return -1;
    params.devices = devices;
    params.n_gpu_layers = devices[0] ? 9999 : 0;
    params.split_mode = LLAMA_SPLIT_MODE_NONE;
#ifdef HAVE_SPLIT_TENSOR
    if (request->shard > 1)
        params.split_mode = LLAMA_SPLIT_MODE_TENSOR;
#endif
    state->no_amx = *request->quantize && !devices[0] && has_amx();
    if (state->no_amx)
        params.use_extra_bufts = false;
    state->model = llama_model_load_from_file(path, params);
    if (!state->model)
        return prony_fail(error, strstr(llamacpp_said, "alloc") ? "no_memory" : "bad_model", "",
                          "llama.cpp cannot load %s: %s", path, llamacpp_said);
    state->vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(state->model));
    return 0;
}

static bool on_abort(void *pointer)
{
    const struct state *state = pointer;
    return state->request && state->request->cancelled(state->request->on_token_context);
}

/* Bytes that one position adds to the KV cache: keys and values, of 2 bytes. */
static uint64_t kv_token_bytes(const struct llama_model *model)
{
    char text[32], key[96] = "", architecture[48] = "";
    int32_t heads = llama_model_n_head(model), width = 0;
    llama_model_meta_val_str(model, "general.architecture", architecture, sizeof architecture);
    snprintf(key, sizeof key, "%s.attention.key_length", architecture);
    if (llama_model_meta_val_str(model, key, text, sizeof text) > 0)
        width = atoi(text);
    if (width <= 0)
        width = heads > 0 ? llama_model_n_embd(model) / heads : 0;
    return 2 * sizeof(uint16_t) * (uint64_t)llama_model_n_layer(model) *
           (uint64_t)llama_model_n_head_kv(model) * (uint64_t)width;
}

/* The library fills the whole cache at once: where the memory is not there, the kernel would end
 * this process, or another one. */
static int memory_check(const struct state *state, const struct prony_load *request,
                        struct prony_error *error)
{
    char line[128];
    unsigned long long kilobytes = 0;
    uint64_t need = kv_token_bytes(state->model) * request->context;
    FILE *stream = fopen("/proc/meminfo", "re");
    while (stream && !kilobytes && fgets(line, sizeof line, stream))
        if (sscanf(line, "MemAvailable: %llu", &kilobytes) != 1)
            kilobytes = 0;
    if (stream)
        fclose(stream);
    if (!kilobytes || need / 1024 < kilobytes)
        return 0;
    return prony_fail(error, "no_memory", "Ask for a smaller --context.",
                      "a KV cache of %u positions takes %.1f GB, and %.1f GB of memory are free",
                      request->context, (double)need / 1e9, (double)kilobytes * 1024 / 1e9);
}

static struct llama_sampler *greedy_make(void)
{
    struct llama_sampler *chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    llama_sampler_chain_add(chain, llama_sampler_init_greedy());
    return chain;
}

void llamacpp_attach(struct state *state, int attached)
{
#ifdef HAVE_BACKEND_SAMPLERS
    if (!state->on_device || state->attached == attached)
        return;
    llama_set_sampler(state->context, 0, NULL);
    if (attached) { /* a chain can be put into a graph once */
        llama_sampler_free(state->greedy);
        state->greedy = greedy_make();
        llama_set_sampler(state->context, 0, state->greedy);
    }
    state->attached = attached;
#else
    (void)state, (void)attached;
#endif
}

static int context_make(struct state *state, const struct prony_load *request, int32_t threads,
                        int fast, struct prony_error *error)
{
    struct llama_context_params params = llama_context_default_params();
    state->greedy = greedy_make();
    params.n_ctx = request->context;
    params.n_threads = params.n_threads_batch = threads;
    params.abort_callback = on_abort;
    params.abort_callback_data = state;
    if (fast || request->shard > 1) /* the library splits no other attention */
        params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
#ifdef HAVE_BACKEND_SAMPLERS
    struct llama_sampler_seq_config sampler = {.seq_id = 0, .sampler = state->greedy};
    if (fast) {
        params.samplers = &sampler;
        params.n_samplers = 1;
        state->on_device = state->attached = 1;
    }
#endif
    state->context = llama_init_from_model(state->model, params);
    if (!state->context)
        return prony_fail(error, "no_memory", "Ask for a smaller --context.",
                          "llama.cpp cannot make a context of %u positions: %s", request->context,
                          llamacpp_said);
    return 0;
}

/* As many as this process may run on, when nobody says how many. */
static int32_t threads_of(const struct prony_load *request)
{
    cpu_set_t set;
    if (request->threads)
        return (int32_t)request->threads;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* What the file is, before all of it is read; of what is to be Q8_0, that there is such a file. */
static int model_check(const struct prony_load *request, struct prony_loaded *result,
                       struct prony_error *error)
{
    if (precision_read(request->model, &result->precision, error))
        return -1;
    if (*request->precision && strcmp(request->precision, result->precision) != 0)
        return prony_fail(error, "unsupported",
                          "Convert the model: prony model convert --precision",
                          "llama.cpp computes this file in %s, and %s was asked for",
                          result->precision, request->precision);
    return *request->quantize ? llamacpp_keep(request, (int32_t)result->threads, result, error) : 0;
}

/* How cuBLAS adds up a prompt's products of F16: by itself in F16, which the gate refuses. */
static const char compute_type[] = "GGML_CUDA_CUBLAS_COMPUTE_TYPE";

static int parts_load(struct state *state, const struct prony_load *request,
                      struct prony_loaded *result, struct prony_error *error)
{
    int fast = strcmp(request->variant, "llamacpp-fa") == 0;
    int64_t start_ns = prony_now_ns();
    result->threads = (uint32_t)threads_of(request);
    if (model_check(request, result, error))
        return -1;
    if (*request->quantize) /* which is a phase of its own */
        start_ns = prony_now_ns();
    if (model_load(state, request, error))
        return -1;
    prony_phase_add(result, "read", start_ns, prony_now_ns());
    start_ns = prony_now_ns();
    if (on_cpu(request) && memory_check(state, request, error))
        return -1;
    if (fast && !on_cpu(request))
        setenv(compute_type, "f32", 0);
    if (context_make(state, request, (int32_t)result->threads, fast, error))
        return -1;
    prony_phase_add(result, "context", start_ns, prony_now_ns());
    return 0;
}

int llamacpp_load(void **pointer, const struct prony_load *request, struct prony_loaded *result,
                  struct prony_error *error)
{
    llamacpp_said[0] = '\0';
    if (request_check(request, error))
        return -1;
    struct state *state = calloc(1, sizeof *state);
    if (!state)
        return prony_fail(error, "no_memory", "", "no memory for the engine itself");
    if (parts_load(state, request, result, error)) {
        llamacpp_unload(state);
        return -1;
    }
    char model[96] = "", split[48] = "", sums[64] = "";
    const char *type = on_cpu(request) ? NULL : getenv(compute_type);
    llama_model_desc(state->model, model, sizeof model);
    if (type)
        snprintf(sums, sizeof sums, ", %s=%.16s", compute_type, type);
    if (request->shard > 1)
        snprintf(split, sizeof split, ", split by tensor over %u cards", request->shard);
    snprintf(state->detail, sizeof state->detail, "%s, KV cache float16, %s, %u threads%s%s%s",
             model, state->on_device ? "sampling in the graph" : "sampling on the CPU",
             result->threads, state->no_amx ? ", without AMX" : "", split, sums);
    result->weight_bytes = llama_model_size(state->model);
    result->kv_token_bytes = kv_token_bytes(state->model);
    result->vocabulary = (uint32_t)state->vocabulary;
    result->detail = state->detail;
    *pointer = state;
    return 0;
}
