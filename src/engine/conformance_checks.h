/* What the parts of the conformance test share. */
#ifndef PRONY_ENGINE_CONFORMANCE_CHECKS_H
#define PRONY_ENGINE_CONFORMANCE_CHECKS_H

#include <jansson.h>

#include "engine/conformance.h"
#include "engine/link.h"
#include "engine/worker.h"

enum { CONFORMANCE_PROMPT = 8, CONFORMANCE_TOKENS = 16 };

struct conformance {
    const struct engine *engine;
    const struct conformance_options *options;
    const struct engine_variant *variant; /* NULL while no model is needed */
    struct engine_form form;              /* that the model is held in */
    const char *model;                    /* that is loaded, */
    uint32_t threads;                     /* for so many threads; 0: the engine's own choice */
    struct worker_loaded loaded;          /* what the last load came to */
    uint64_t plain_bytes;                 /* weights of this variant in its plain form */
    const char *subject;                  /* name of what is checked */
    struct worker *worker;                /* NULL: the next check starts one */
    uint32_t vocabulary;                  /* 0: nothing is loaded */
    int32_t prompt[CONFORMANCE_CONTEXT];  /* ids from all over the vocabulary, or of text */
    int32_t other[CONFORMANCE_PROMPT];    /* another prompt, which begins with the same id */
    int32_t greedy[CONFORMANCE_TOKENS];   /* what follows the first CONFORMANCE_PROMPT of them */
};

struct conformance_check {
    const char *name; /* "refuses ..." */
    enum status (*run)(struct conformance *test, struct error *err);
};

/* Ended by a NULL name. The first ones are for an engine, the others for each variant, the last for
 * each form that a variant declares. */
extern const struct conformance_check conformance_engine_checks[];
extern const struct conformance_check conformance_variant_checks[];
extern const struct conformance_check conformance_form_checks[];

enum status conformance_start(struct conformance *test, struct error *err);
enum status conformance_load(struct conformance *test, struct error *err);

/* Whether a variant computes with as many threads as it is told; by workers of its own, the last of
 * which it leaves behind. counted false: it computes too little to tell, as err says then. */
enum status conformance_heeds_threads(struct conformance *test, bool *counted, struct error *err);
/* STATUS_UNSUPPORTED where that cannot be seen. */
enum status conformance_counts_threads(const struct conformance *test, struct error *reason);

/* A request as it is; the reference is taken. *reply is the caller's. */
enum status conformance_ask(struct conformance *test, const char *doing, json_t *request,
                            json_t **reply, struct error *err);
/* Sends a request that must end in an error reply, and not in anything worse. */
enum status conformance_refuses(struct conformance *test, const char *what, json_t *request,
                                struct error *err);
/* The process must end by itself, with status 0, and leave nothing behind. */
enum status conformance_ends(struct conformance *test, bool by_bye, struct error *err);

#endif
