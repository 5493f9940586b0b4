/* A model that llama.cpp has loaded, and the context that it computes in. */
#ifndef PRONY_LLAMACPP_H
#define PRONY_LLAMACPP_H

#include <ggml-backend.h>
#include <llama.h>
#include <prony/worker.h>

enum { SAID = 256 };

struct state {
    struct llama_model *model;
    struct llama_context *context;
    struct llama_sampler *greedy; /* a chain */
    int on_device;                /* greedy can be a part of the graph, */
    int attached;                 /* and is */
    int no_amx;                   /* its kernels are not used, though they are there */
    int32_t vocabulary;
    const struct prony_generate *request; /* that is computed; NULL: none */
    char detail[256];
};

/* The last error that the library has logged, which is all that it says of why it failed. */
extern char llamacpp_said[SAID];
void llamacpp_on_log(enum ggml_log_level level, const char *text, void *context);

/* "cuda:1" is the device that the library calls CUDA1; NULL: it has none of that name. */
ggml_backend_dev_t llamacpp_device(const char *name);

/* Has the greedy choice be a part of the graph, or not, where the build can do that and the variant
 * asks for it. */
void llamacpp_attach(struct state *state, int attached);

/* Whether a tensor is one of the matrices that decide how exact the model is. */
int llamacpp_is_matrix(const char *name);

/* Has the model as Q8_0 at request->keep_at, which is made where it is not there. */
int llamacpp_keep(const struct prony_load *request, int32_t threads, struct prony_loaded *result,
                  struct prony_error *error);

int llamacpp_load(void **pointer, const struct prony_load *request, struct prony_loaded *result,
                  struct prony_error *error);
void llamacpp_unload(void *pointer);

#endif
