/* Does an engine keep to the protocol, and to what its engine.json says? A list of checks, each
 * against a process that lives, every finding in one line. docs/protocol.md says what is expected.
 */
#ifndef PRONY_ENGINE_CONFORMANCE_H
#define PRONY_ENGINE_CONFORMANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/form.h"

enum { CONFORMANCE_CONTEXT = 128 }; /* positions that the model must have */

struct conformance_options {
    const char *model;   /* a small model in a format that the engine reads */
    const int32_t *text; /* [CONFORMANCE_CONTEXT] ids of text, for variants that take no others */
    const char *variant; /* NULL: all of them */
    const char *device;  /* "cpu" */
    int64_t limit_ms;    /* for each request, hello and load included */
    /* Forms that the model can be held in; each variant is checked in those that it declares. */
    const struct engine_form *forms;
    size_t form_count;
    const char *keep_at; /* a file for an engine that keeps what it has quantised */
    /* Whether the logits after each of the ids, [CONFORMANCE_CONTEXT, vocabulary], of a variant
     * that holds the model in a form and calls it that precision are what they should be. */
    enum status (*judge)(void *context, const struct engine_form *form, const char *precision,
                         const int32_t *ids, uint32_t vocabulary, const float *logits,
                         struct error *err);
    /* Called once per check. subject is the engine's or the variant's name; problem is NULL when
     * the check passed. */
    void (*report)(void *context, const char *subject, const char *check,
                   const struct error *problem);
    /* What this machine cannot do, for want of something that the reason names. */
    void (*skip)(void *context, const char *subject, const struct error *reason);
    /* Path of a model whose products are worth a second thread, or NULL with *err set; NULL: the
     * model above is taken as it is. */
    const char *(*large_model)(void *context, struct error *err);
    void *context;
};

/* *failures counts the checks that failed. The status tells only whether the test could be run. */
enum status conformance_run(const struct engine *engine, const struct conformance_options *options,
                            size_t *failures, struct error *err);

#endif
