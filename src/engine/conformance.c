#include "engine/conformance.h"

#include <string.h>

#include "engine/conformance_checks.h"
#include "engine/supports.h"

static void report(struct conformance *test, const char *check, const struct error *problem)
{
    test->options->report(test->options->context, test->subject, check, problem);
}

static void stop(struct conformance *test)
{
    worker_stop(test->worker);
    test->worker = NULL;
    test->vocabulary = 0;
}

/* A model can be split only where there is something to split it by: MPI, more cards. */
static bool is_impossible_here(const struct conformance *test, enum status status)
{
    return status == STATUS_UNSUPPORTED && test->form.shard > 1 && worker_alive(test->worker);
}

/* Runs one list; what failed does not spoil the next check, which gets a new process. False when
 * the first check failed: without it the others can say nothing new. */
static bool run_list(struct conformance *test, const struct conformance_check *checks,
                     size_t *failures)
{
    for (const struct conformance_check *check = checks; check->name; check++) {
        struct error problem;
        enum status status = STATUS_OK;
        if (!test->worker)
            status = conformance_start(test, &problem);
        if (!status && test->variant && test->vocabulary == 0) {
            status = conformance_load(test, &problem);
            if (is_impossible_here(test, status)) {
                test->options->skip(test->options->context, test->subject, &problem);
                return false;
            }
        }
        if (!status)
            status = check->run(test, &problem);
        report(test, check->name, status ? &problem : NULL);
        if (status) {
            stop(test);
            ++*failures;
            if (check == checks)
                return false;
        }
    }
    return true;
}

static bool is_declared(const struct conformance *test, const struct engine_form *asked)
{
    /* It has that precision anyway, or in int8's place what it is asked for by its own name. */
    bool again = asked->quantize &&
                 (!test->form.quantize || strcmp(asked->quantize, test->form.quantize) != 0);
    return !again && !form_is_plain(&test->form) &&
           form_can(test->variant, &test->form, test->options->device);
}

/* An engine that waits and computes nothing, say. */
static void weightless(struct conformance *test)
{
    struct error reason;
    error_set(&reason, STATUS_UNSUPPORTED, "it tells of no weights");
    error_remedy(&reason, "There is nothing to quantise or to split.");
    test->options->skip(test->options->context, test->subject, &reason);
}

/* A variant in each of the forms that it declares. */
static enum status forms_run(struct conformance *test, size_t *failures, struct error *err)
{
    const struct conformance_options *options = test->options;
    struct arena arena = {0};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < options->form_count && !status; i++) {
        test->form = form_of(test->variant, &options->forms[i]);
        if (!is_declared(test, &options->forms[i]))
            continue;
        test->subject = form_name(&arena, test->variant->name, &test->form);
        if (!test->subject)
            status = error_no_memory(err, 0);
        else if (test->plain_bytes == 0)
            weightless(test);
        else
            run_list(test, conformance_form_checks, failures);
        stop(test);
    }
    arena_free(&arena);
    return status;
}

static void threads_run(struct conformance *test, size_t *failures)
{
    struct error problem;
    if (conformance_counts_threads(test, &problem)) {
        test->options->skip(test->options->context, test->subject, &problem);
        return;
    }
    bool counted;
    enum status status = conformance_heeds_threads(test, &counted, &problem);
    if (counted)
        report(test, "computes with as many threads as it is told", status ? &problem : NULL);
    else
        test->options->skip(test->options->context, test->subject, &problem);
    *failures += status != STATUS_OK;
    stop(test);
}

static enum status variant_run(struct conformance *test, size_t *failures, struct error *err)
{
    test->subject = test->variant->name;
    test->form = (struct engine_form){.shard = 1};
    bool loads = run_list(test, conformance_variant_checks, failures);
    test->plain_bytes = test->loaded.weight_bytes;
    stop(test);
    if (loads)
        threads_run(test, failures);
    return loads ? forms_run(test, failures, err) : STATUS_OK;
}

static bool is_chosen(const struct engine_variant *variant,
                      const struct conformance_options *options)
{
    return !options->variant || strcmp(variant->name, options->variant) == 0;
}

enum status conformance_run(const struct engine *engine, const struct conformance_options *options,
                            size_t *failures, struct error *err)
{
    struct conformance test = {
        .engine = engine, .options = options, .subject = engine->name, .model = options->model};
    bool found = false, runs = false;
    *failures = 0;
    for (size_t i = 0; i < engine->variant_count; i++) {
        bool chosen = is_chosen(&engine->variants[i], options);
        found = found || chosen;
        runs = runs || (chosen && supports_device(engine->variants[i].devices, options->device));
    }
    if (!found) {
        error_set(err, STATUS_NOT_FOUND, "%s has no variant '%s'", engine->name, options->variant);
        return error_remedy(err, "'prony engines' lists them.");
    }
    if (!runs) {
        error_set(err, STATUS_UNSUPPORTED, "%s does not run on device %s",
                  options->variant ? options->variant : engine->name, options->device);
        return error_remedy(err, "'prony engines' tells which devices an engine has; use --device "
                                 "with one of them.");
    }
    bool starts = run_list(&test, conformance_engine_checks, failures);
    enum status status = STATUS_OK;
    stop(&test);
    for (size_t i = 0; i < engine->variant_count && starts && !status; i++) {
        test.variant = &engine->variants[i];
        if (is_chosen(test.variant, options) &&
            supports_device(test.variant->devices, options->device))
            status = variant_run(&test, failures, err);
    }
    return status;
}
