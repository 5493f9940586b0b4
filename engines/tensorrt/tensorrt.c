/* The TensorRT engine's worker. The library is C++ and differs from machine to machine, so what is
 * between is compiled at installation (shim.cpp): its path is this program's only argument. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <prony/worker.h>

#include "failure.h"
#include "model/model.h"
#include "plan.h"
#include "said.h"
#include "session.h"

struct tensorrt {
    struct recipe recipe;
    struct card card;
    struct model model;
    struct plan plan;
    struct session *session;
    float *logits; /* [PLAN_ROWS, vocabulary] */
    char detail[200];
};

static const struct trt *trt; /* of the shim, which stays */

static void tensorrt_unload(void *state)
{
    struct tensorrt *self = state;
    if (self->session)
        session_close(self->session);
    plan_close(&self->plan, trt);
    model_close(&self->model);
    if (self->card.cuda.library)
        card_close(&self->card);
    free(self->logits);
    free(self);
}

static int precision_choose(struct recipe *recipe, const char *name, struct prony_error *error)
{
    static const struct {
        const char *name;
        enum trt_type type;
        enum tensor_type stored;
    } known[] = {{"float32", TRT_FLOAT, TENSOR_F32},
                 {"float16", TRT_HALF, TENSOR_F16},
                 {"bfloat16", TRT_BFLOAT, TENSOR_BF16}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].name, name) == 0) {
            recipe->type = known[i].type;
            recipe->stored = known[i].stored;
            recipe->precision = known[i].name;
            return 0;
        }
    return prony_fail(error, "unsupported", "There are float32, float16 and bfloat16.",
                      "the TensorRT engine does not compute in \"%s\"", name);
}

/* The variant's options, and what was asked for. */
static int recipe_read(struct recipe *recipe, const struct prony_load *request,
                       struct prony_error *error)
{
    json_error_t ignored;
    int level, graph, fused, timing_cache;
    const char *precision;
    if (*request->quantize || request->shard > 1)
        return prony_fail(error, "unsupported", "",
                          "the TensorRT engine can neither quantise nor shard");
    json_t *options = json_loads(request->options, 0, &ignored);
    if (json_unpack(options, "{s:s, s:i, s:b, s:b, s:b}", "precision", &precision, "level", &level,
                    "graph", &graph, "fused", &fused, "timing_cache", &timing_cache) != 0) {
        json_decref(options);
        return prony_fail(error, "bad_request", "",
                          "the variant's options are incomplete: precision, level, graph, fused "
                          "and timing_cache are needed");
    }
    *recipe = (struct recipe){.level = level,
                              .graph = graph,
                              .fused = fused && trt->layers->rotate,
                              .timing_cache = timing_cache};
    int failed =
        precision_choose(recipe, *request->precision ? request->precision : precision, error);
    json_decref(options);
    return failed;
}

/* Phases: reading the model, building the plan or loading it, the rest. */
static enum status parts_open(struct tensorrt *self, const struct prony_load *request,
                              struct prony_loaded *result, struct error *err)
{
    const char *folder = getenv("PRONY_ENGINE_CACHE");
    struct plan_maker maker = {.trt = trt,
                               .model = &self->model,
                               .device = &self->card.device,
                               .recipe = &self->recipe,
                               .context = request->context,
                               .folder = folder};
    if (!folder || !*folder)
        return error_set(err, STATUS_USAGE, "PRONY_ENGINE_CACHE names no folder for plans");
    int64_t start_ns = prony_now_ns();
    enum status status = card_open(&self->card, request->device, err);
    if (status)
        return status;
    prony_phase_add(result, "card", start_ns, prony_now_ns());
    start_ns = prony_now_ns();
    status = model_open(&self->model, request->model, err);
    if (status)
        return status;
    prony_phase_add(result, "read", start_ns, prony_now_ns());
    start_ns = prony_now_ns();
    status = plan_open(&self->plan, &maker, err);
    if (status)
        return status;
    if (self->plan.built)
        prony_phase_add(result, "build", self->plan.build_start_ns, self->plan.build_end_ns);
    else
        prony_phase_add(result, "plan", start_ns, prony_now_ns());
    start_ns = prony_now_ns();
    status = session_open(&self->session, &self->card, &maker, &self->plan, err);
    prony_phase_add(result, "to_device", start_ns, prony_now_ns());
    return status;
}

static void describe(struct tensorrt *self, struct prony_loaded *result)
{
    const struct recipe *recipe = &self->recipe;
    snprintf(self->detail, sizeof self->detail, "%s, %s layers, %s%s, plan %s",
             self->card.device.name, recipe->fused ? "fused" : "plain",
             recipe->graph ? "a graph for each step" : "enqueueV3 for each step",
             recipe->level < 0 ? "" : ", optimised most",
             self->plan.built ? "built" : "from the cache");
    result->weight_bytes = trt_weights_bytes(&self->model, recipe->stored);
    result->kv_token_bytes = session_token_bytes(self->session);
    result->vocabulary = self->model.config.vocabulary;
    result->threads = 1;
    result->precision = recipe->precision;
    result->detail = self->detail;
}

static int tensorrt_load(void **state, const struct prony_load *request,
                         struct prony_loaded *result, struct prony_error *error)
{
    struct error err;
    struct tensorrt *self = calloc(1, sizeof *self);
    if (!self)
        return prony_fail(error, "no_memory", "", "no memory for the engine itself");
    if (recipe_read(&self->recipe, request, error)) {
        free(self);
        return -1;
    }
    enum status status = parts_open(self, request, result, &err);
    size_t values = (size_t)PLAN_ROWS * self->model.config.vocabulary;
    if (!status && !(self->logits = malloc(values * sizeof *self->logits)))
        status = error_no_memory(&err, values * sizeof *self->logits);
    if (status) {
        tensorrt_unload(self);
        return failure_answer(error, &err);
    }
    describe(self, result);
    *state = self;
    return 0;
}

static int tensorrt_generate(void *state, const struct prony_generate *request,
                             struct prony_error *error)
{
    struct tensorrt *self = state;
    struct error err;
    int32_t next = 0;
    if (request->temperature > 0)
        return prony_fail(error, "unsupported", "Use temperature 0.",
                          "the TensorRT engine takes the likeliest token, and does not sample");
    enum status status = session_reset(self->session, &err);
    for (size_t done = 0; done < request->prompt_count && !status;) {
        size_t part = request->prompt_count - done;
        part = part < PLAN_CHUNK ? part : PLAN_CHUNK;
        if (request->cancelled(request->on_token_context))
            return 0;
        status = session_prompt(self->session, request->prompt + done, (uint32_t)part, &next, &err);
        done += part;
    }
    while (!status && !request->on_token(request->on_token_context, next))
        status = session_step(self->session, &next, &err);
    return status ? failure_answer(error, &err) : 0;
}

static int tensorrt_logits(void *state, const int32_t *ids, size_t count, const char *path,
                           struct prony_error *error)
{
    struct tensorrt *self = state;
    struct error err;
    FILE *stream = fopen(path, "wbe");
    enum status status = stream ? session_reset(self->session, &err)
                                : error_errno(&err, "write the logits to %s", path);
    for (size_t done = 0; done < count && !status;) {
        size_t part = count - done < PLAN_ROWS ? count - done : PLAN_ROWS;
        size_t values = part * self->model.config.vocabulary;
        status = session_logits(self->session, ids + done, (uint32_t)part, self->logits, &err);
        if (!status && fwrite(self->logits, sizeof *self->logits, values, stream) != values)
            status = error_errno(&err, "write the logits to %s", path);
        done += part;
    }
    if (stream && fclose(stream) != 0 && !status)
        status = error_errno(&err, "write the logits to %s", path);
    return status ? failure_answer(error, &err) : 0;
}

static const char *const *tensorrt_devices(void)
{
    static const char *const cuda[] = {"cuda", NULL};
    return cuda;
}

/* The shim, and with it TensorRT. */
static bool shim_open(const char *path)
{
    const struct trt *(*open)(trt_on_log * on_log);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, "prony_tensorrt_open") : NULL;
    if (!symbol) {
        fprintf(stderr,
                "Error: TensorRT cannot be loaded (%s). Run: prony engines install tensorrt\n",
                dlerror());
        return false;
    }
    memcpy(&open, &symbol, sizeof open);
    trt = open(said_add);
    if (trt->interface == TRT_INTERFACE)
        return true;
    fprintf(stderr, "Error: %s was made for another Prony. Run: prony engines install tensorrt\n",
            path);
    return false;
}

int main(int argc, char **argv)
{
    static char version[32], headers[48];
    static const struct prony_engine engine = {
        .name = "tensorrt",
        .version = version,
        .stands_on = headers,
        .devices = tensorrt_devices,
        .load = tensorrt_load,
        .generate = tensorrt_generate,
        .logits = tensorrt_logits,
        .unload = tensorrt_unload,
    };
    if (argc != 2) {
        fprintf(stderr, "Error: usage: %s SHIM.so\n", argv[0]);
        return 1;
    }
    if (!shim_open(argv[1]))
        return 1;
    snprintf(version, sizeof version, "%d.%d.%d", trt->version / 10000, trt->version / 100 % 100,
             trt->version % 100);
    snprintf(headers, sizeof headers, "headers %d.%d.%d", trt->headers / 10000,
             trt->headers / 100 % 100, trt->headers % 100);
    return prony_worker_main(&engine);
}
