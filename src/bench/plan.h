/* What a run will do, fully resolved before anything is started: the model, the variants that can
 * run here and why others cannot, the prompt's ids, and every number. */
#ifndef PRONY_BENCH_PLAN_H
#define PRONY_BENCH_PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/error.h"
#include "engine/form.h"
#include "engine/manifest.h"
#include "machine/gpu.h"
#include "model/model.h"

enum { PLAN_LENGTHS = 16 }; /* values of an option that sweeps */

struct plan_lengths {
    uint32_t value[PLAN_LENGTHS];
    size_t count;
};

/* Where a process is measured. Point 0 is the run's own; others belong to a sweep over lengths, or
 * to the load matrix of --cold, whose processes end with their first token. */
struct plan_point {
    uint32_t prompt_tokens, context;
    bool start_only;               /* of the load matrix */
    bool pages_cold, compile_cold; /* the model's pages, and the engine's compile cache */
};

/* A variant that did not fit when the run was begun. */
struct plan_too_large {
    const char *name, *why;
};

/* What the user asked for; 0 and NULL: the default. Strings are borrowed. */
struct plan_request {
    const char *const *frameworks; /* engines and variants by name; none: all installed */
    size_t framework_count;
    const char *model_path, *model_type, *device;
    const char *const *quantize; /* each with each of shard is a variant of its own; "none" */
    size_t quantize_count;
    struct plan_lengths shard;
    uint32_t iterations, warmup, blocks, threads;
    struct plan_lengths prompt_tokens, context; /* each with each is a point */
    bool cold;                                  /* measure the load matrix */
    uint32_t gate_context;                      /* positions that the equivalence gate covers */
    bool own_defaults; /* each engine's own threads and context: no fair comparison */
    bool pytorch_no_compile, pytorch_no_half; /* another corner in place of pytorch-opt */
    bool control;                             /* run the yardstick twice, as two variants */
    bool no_redo;                             /* keep disturbed blocks as they are */
    bool no_memory_check; /* start what is not expected to fit into the memory that is free */
    bool resumed;         /* of a run that was begun, which left out: */
    struct plan_too_large *too_large;
    size_t too_large_count;
};

struct plan_variant {
    const struct engine *engine;
    const struct engine_variant *variant;
    struct engine_form form;  /* that it is to hold the model in */
    const char *name, *title; /* the variant's own and the form's, but for a control */
    const char *control_of;   /* name of the variant that this one repeats; NULL: none */
    uint32_t context;         /* positions that its cache is to hold */
    bool copied;              /* it does not read this GGUF, and loads a copy in safetensors */
    const char *unavailable;  /* why it cannot run here, and what mends it; NULL: it can */
    bool too_large;           /* it is for want of memory */
};

struct plan {
    struct plan_variant *variants;
    size_t variant_count;
    const char *model_path; /* absolute: what engines load */
    char model_hash[65];
    const char *copy;       /* the folder that a copy in safetensors is or will be in */
    struct model model;     /* open: shapes, format */
    const char *device;     /* "cpu", "cuda", "cuda:N" */
    struct gpu gpu;         /* what the device is, when it is none of the CPU */
    int32_t *prompt;        /* the longest point's; the others take its beginning */
    uint32_t prompt_tokens; /* of point 0, as is context */
    bool prompt_synthetic;  /* the model has no tokenizer: ids that mean nothing */
    int32_t *stream;        /* [stream_tokens]: what the equivalence gate gives to all */
    uint32_t stream_tokens;
    uint32_t iterations; /* decode steps that count, in each process */
    uint32_t warmup;     /* decode steps before them that do not */
    uint32_t blocks, context, threads;
    bool own_defaults; /* then threads are the engine's choice, and context is the variant's */
    bool redo;         /* disturbed blocks are done again */
    struct plan_point *points; /* [point_count] */
    size_t point_count;
    struct plan_lengths contexts; /* as they were asked for; none: what each point needs */
    struct engine_catalogue catalogue;
    struct arena arena;
};

/* Checks the model's type before anything else. On failure nothing is left to free. */
enum status plan_make(struct plan *plan, const struct plan_request *request, struct error *err);
void plan_free(struct plan *plan);

/* Whether a variant that can run here loads a copy of the model, and it is not there yet. */
bool plan_needs_copy(const struct plan *plan);
/* The path of what a variant loads. */
const char *plan_source(const struct plan *plan, const struct plan_variant *variant);
/* The precision that a variant is to hold weights in. */
const char *plan_precision(const struct plan_variant *variant);
/* Whether a variant is split over several cards. The plan's GPU is the first of them: what is read
 * of it alone says nothing of the others. */
bool plan_on_cards(const struct plan *plan, size_t variant);
/* Whether any variant quantises. */
bool plan_quantises(const struct plan *plan);

/* Tokens that the timed generate makes: the prompt's, warm-up and counted ones. */
uint32_t plan_tokens(const struct plan *plan);

/* As it is stored; the caller's reference, NULL when there is no memory. */
json_t *plan_json(const struct plan *plan);
/* The request that leads to a stored plan again. Strings live in the arena. */
enum status plan_request_parse(struct plan_request *request, const json_t *stored,
                               struct arena *arena, struct error *err);
/* STATUS_USAGE names what differs between a stored plan and this one. */
enum status plan_same(const json_t *stored, const json_t *now, struct error *err);
/* For --dry-run. */
void plan_print(const struct plan *plan, FILE *stream);

#endif
