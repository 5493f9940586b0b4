/* Prony worker SDK: write a benchmark engine in C.
 *
 * Fill a struct prony_engine with your functions and call prony_worker_main() from main(); it
 * speaks the worker protocol (docs/protocol.md) on the pipes named by PRONY_FD_IN and
 * PRONY_FD_OUT. engines/null is the example to copy. */
#ifndef PRONY_WORKER_H
#define PRONY_WORKER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PRONY_PROTOCOL 1

/* Why a request failed; returned by the engine's functions. The codes that the host knows are
 * "bad_request", "not_found", "bad_model", "unsupported" and "no_memory". */
struct prony_error {
    char code[32];     /* one of those, or the engine's own word */
    char message[512]; /* what happened */
    char hint[384];    /* what the user can do; may be empty */
};

/* Fills an error and returns -1, so that a function can end with `return prony_fail(...)`. */
int prony_fail(struct prony_error *error, const char *code, const char *hint, const char *message,
               ...) __attribute__((format(printf, 4, 5)));

/* CLOCK_MONOTONIC in nanoseconds: what every stamp is. */
int64_t prony_now_ns(void);

struct prony_load {
    const char *model;     /* path of a GGUF file, or of a safetensors file or folder */
    const char *variant;   /* "native-f16" */
    const char *device;    /* "cpu", "cuda", "cuda:1" */
    const char *precision; /* "float32", ..., or "" for the variant's own */
    const char *quantize;  /* "" or "int8", "nf4", "float16", "q8_0" */
    uint32_t shard;        /* 1: not sharded */
    uint32_t threads;      /* 0: the engine's own choice */
    uint32_t context;      /* positions the KV cache must hold */
    const char *options;   /* the variant's "options" in engine.json: a JSON object, "{}" */
    const char *request;   /* as it came, JSON: for prony_worker_resume in another process */
    void *given;           /* what prony_worker_resume was given; else NULL */
    /* Path of a file that is to hold what q8_0 makes of the model. Where it is there, it is what is
     * to be loaded; else it is made, under another name until it is whole. "" for other forms. */
    const char *keep_at;
};

enum { PRONY_MAX_PHASES = 16 };

/* What a load did: named phases with their start and end, and what it holds. */
struct prony_loaded {
    struct {
        const char *name; /* "import", "read", "to_device", "compile" */
        int64_t start_ns, end_ns;
    } phase[PRONY_MAX_PHASES];
    size_t phases;
    uint64_t weight_bytes;   /* weights as held for inference */
    uint64_t kv_token_bytes; /* KV cache bytes that one position adds */
    /* Of them, the input embedding's when that is a matrix of its own (a token reads one row of
     * it); 0: the host works it out from the model and the precision, which for nf4 it cannot. */
    uint64_t embedding_bytes;
    uint32_t vocabulary;
    uint32_t threads;      /* actually used */
    const char *precision; /* of the weights as held; what quantize asks for, if it does */
    const char *detail;    /* free text: kernels picked, device's name; may be NULL */
};

/* Adds a phase; there is room for PRONY_MAX_PHASES. name stays the caller's. */
void prony_phase_add(struct prony_loaded *loaded, const char *name, int64_t start_ns,
                     int64_t end_ns);

/* Arrival of one id. Call it as each id is in host memory; it only stores the stamp (and, when
 * the host asked for a stream, sends an event). Returns non-zero when generation should end:
 * enough tokens are there, this one was a stop id, or the host cancelled. */
typedef int prony_on_token(void *context, int32_t id);

/* prompt_count and tokens are at least 1, their sum is at most the context that load was asked for,
 * and all ids are inside the vocabulary: the SDK has checked. */
struct prony_generate {
    const int32_t *prompt;
    size_t prompt_count;
    size_t tokens; /* how many to generate; end-of-text does not end it, on_token does */
    /* Sampling, for talking to a model; temperature 0 is greedy. Timed runs are always greedy.
     * top_p 1, min_p 0 and top_k 0 leave nothing out. */
    double temperature, top_p, min_p;
    uint32_t top_k;
    uint64_t seed;
    prony_on_token *on_token;
    /* Returns non-zero when the host has cancelled. For long prompts: between their parts, so that
     * nobody waits for a first token that is not wanted any more. It costs next to nothing. */
    int (*cancelled)(void *context);
    void *on_token_context; /* of both */
};

struct prony_memory {
    int64_t host_bytes, host_peak_bytes;     /* -1: not known */
    int64_t device_bytes, device_peak_bytes; /* -1: not known or no device */
    const char *method;                      /* how they were measured */
};

enum { PRONY_MAX_OPERATIONS = 64 };

/* Where the time of what was traced went; all of it optional. */
struct prony_traced {
    uint64_t prompts, tokens;    /* traced; a prompt's time goes up to its first token, */
    int64_t prompt_ns, token_ns; /* and that of tokens is what lies between them */
    struct {
        const char *name; /* "attention" */
        int64_t prompt_ns, token_ns;
    } operation[PRONY_MAX_OPERATIONS]; /* of the thread that hands tokens over: they add up */
    size_t operations;
    uint64_t dropped; /* events that the trace had no room for */
};

struct prony_engine {
    const char *name;    /* "native" */
    const char *version; /* of the engine itself */
    /* Text such as "CUDA 13.0, cuBLAS 13.1"; may be NULL. */
    const char *stands_on;
    /* NULL-terminated list: "cpu", "cuda:0", ... */
    const char *const *(*devices)(void);
    /* Each returns 0, or -1 with *error filled. state is *the engine's own*: load sets it. */
    int (*load)(void **state, const struct prony_load *request, struct prony_loaded *result,
                struct prony_error *error);
    /* A fresh sequence every time: nothing of an earlier prompt may be reused. An engine without
     * sampling fails with "unsupported" when temperature is above 0. */
    int (*generate)(void *state, const struct prony_generate *request, struct prony_error *error);
    /* Optional. Writes [count, vocabulary] float32, row-major, native byte order, to path. Row i
     * holds the logits after ids[0..i]. */
    int (*logits)(void *state, const int32_t *ids, size_t count, const char *path,
                  struct prony_error *error);
    /* Optional; by default the SDK reports the process's PSS and VmHWM. */
    int (*memory)(void *state, struct prony_memory *result, struct prony_error *error);
    /* Optional. Chrome trace JSON of what follows, until the next trace ("" stops). What a trace
     * that ends now came to may be put in *ended, which is zeroed. */
    int (*trace)(void *state, const char *path, struct prony_traced *ended,
                 struct prony_error *error);
    void (*unload)(void *state); /* frees what load made */
    /* Optional, for engines that split a model: what this process has exchanged with the others
     * since load, the bytes of the values alone, and the time that it took, waiting included (0: it
     * cannot tell). It is asked between tokens. */
    void (*exchanged)(void *state, uint64_t *bytes, int64_t *ns);
};

/* Serves requests until bye or end of file. Returns main()'s exit status. */
int prony_worker_main(const struct prony_engine *engine);

/* The same in place of a process that got this request and must not read its pipes any more: it is
 * answered first. given is put into every prony_load. */
int prony_worker_resume(const struct prony_engine *engine, const char *request, void *given);

#ifdef __cplusplus
}
#endif

#endif
