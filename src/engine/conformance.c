#include "engine/conformance.h"

#include <string.h>

#include "engine/conformance_checks.h"

static void report(struct conformance *test, const char *check, const struct error *problem)
{
    test->options->report(test->options->context,
                          test->variant ? test->variant->name : test->engine->name, check, problem);
}

static void stop(struct conformance *test)
{
    worker_stop(test->worker);
    test->worker = NULL;
    test->vocabulary = 0;
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
        if (!status && test->variant && test->vocabulary == 0)
            status = conformance_load(test, &problem);
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

static bool is_chosen(const struct engine_variant *variant,
                      const struct conformance_options *options)
{
    return !options->variant || strcmp(variant->name, options->variant) == 0;
}

/* Whether the variant says that it runs on "cuda" when it is asked to run on "cuda:1". */
static bool has_device(const struct engine_variant *variant, const char *device)
{
    size_t length = strcspn(device, ":");
    for (const char *const *has = variant->devices; *has; has++)
        if (strlen(*has) == length && strncmp(*has, device, length) == 0)
            return true;
    return false;
}

enum status conformance_run(const struct engine *engine, const struct conformance_options *options,
                            size_t *failures, struct error *err)
{
    struct conformance test = {.engine = engine, .options = options};
    bool found = false, runs = false;
    *failures = 0;
    for (size_t i = 0; i < engine->variant_count; i++) {
        bool chosen = is_chosen(&engine->variants[i], options);
        found = found || chosen;
        runs = runs || (chosen && has_device(&engine->variants[i], options->device));
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
    stop(&test);
    for (size_t i = 0; i < engine->variant_count && starts; i++) {
        test.variant = &engine->variants[i];
        if (is_chosen(test.variant, options) && has_device(test.variant, options->device))
            run_list(&test, conformance_variant_checks, failures);
        stop(&test);
    }
    return STATUS_OK;
}
