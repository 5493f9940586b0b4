/* prony bench: every installed engine, or some of them, on one model. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/json.h"
#include "bench/plan.h"
#include "bench/run.h"
#include "bench/run_manifest.h"
#include "cli/bench_options.h"
#include "cli/command.h"
#include "fit/copy.h"
#include "machine/machine.h"
#include "report/report.h"
#include "store/store.h"

/* A run in the making: what has to be closed at its end. */
struct session {
    const struct bench_options *options;
    struct plan plan;
    struct store *store;
    struct arena arena;
    json_t *stored_plan, *stored_manifest; /* of the run that is resumed */
    int64_t run;
    int cancel_fd;
};

static enum status resume_load(struct session *session, struct plan_request *request,
                               struct error *err)
{
    struct record_run record;
    enum status status = store_run_unfinished(session->store, &session->run, err);
    if (!status)
        status = store_run_lock(session->store, session->run, err);
    if (!status)
        status = store_run_load(session->store, session->run, &record, &session->arena, err);
    if (status)
        return status;
    session->stored_plan = json_parse(record.plan, strlen(record.plan), "the stored plan", err);
    if (session->stored_plan)
        session->stored_manifest =
            json_parse(record.manifest, strlen(record.manifest), "the stored manifest", err);
    if (!session->stored_manifest)
        return err->status;
    return plan_request_parse(request, session->stored_plan, &session->arena, err);
}

static enum status run_begin(struct session *session, struct error *err)
{
    json_t *plan = plan_json(&session->plan), *manifest = run_manifest(&session->plan);
    enum status status = plan && manifest ? STATUS_OK : error_no_memory(err, sizeof *plan);
    if (!status && session->options->resume) {
        status = plan_same(session->stored_plan, plan, err);
        if (!status)
            status = run_manifest_same(session->stored_manifest, manifest, err);
    } else if (!status) {
        char *plan_text = json_dumps(plan, JSON_COMPACT);
        char *manifest_text = json_dumps(manifest, JSON_COMPACT);
        struct record_variant *variants =
            arena_array(&session->arena, session->plan.variant_count, sizeof *variants);
        if (!plan_text || !manifest_text || !variants) {
            status = error_no_memory(err, sizeof *variants);
        } else {
            run_variants(&session->plan, variants);
            status = store_run_begin(session->store, plan_text, manifest_text, variants,
                                     session->plan.variant_count, &session->run, err);
        }
        free(plan_text);
        free(manifest_text);
    }
    json_decref(plan);
    json_decref(manifest);
    return status;
}

/* A place that cannot be written is found now, not after the run. */
static enum status outputs_check(const struct bench_options *o, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < o->output.count && !status; i++)
        status = report_check_file(o->output.items[i], err);
    return status;
}

/* Tells, and writes, what the store holds of the run by now. */
static enum status report(struct session *session, bool *measured, struct error *err)
{
    const struct bench_options *o = session->options;
    struct record_run record;
    struct summary summary;
    enum status status =
        store_run_load(session->store, session->run, &record, &session->arena, err);
    if (!status)
        status = summary_make(&summary, &record, err);
    if (status)
        return status;
    struct report_options look = report_options_for(stdout, o->wide);
    for (size_t i = 0; i < summary.variant_count; i++)
        *measured = *measured || (summary.variants[i].metrics[METRIC_TPOT].known &&
                                  summary.variants[i].equivalence != EQUIVALENCE_FAILED);
    status = report_print(&summary, &look, stdout, err);
    for (size_t i = 0; i < o->output.count && !status; i++)
        status = report_write_file(o->output.items[i], &summary, err);
    summary_free(&summary);
    return status;
}

static enum status prepare(struct session *session, struct error *err)
{
    const struct bench_options *o = session->options;
    struct plan_request request = {0};
    enum status status = bench_options_check(o, err);
    if (!status)
        status = outputs_check(o, err);
    if (!status && o->resume)
        status = store_open(&session->store, NULL, err);
    if (!status && o->resume)
        status = resume_load(session, &request, err);
    if (status)
        return status;
    status = bench_request_overlay(&request, o, err);
    if (!status)
        status = plan_make(&session->plan, &request, err);
    if (!status && !o->dry_run && !session->store)
        status = store_open(&session->store, NULL, err);
    return status;
}

/* For the variants that do not read the model, unless an earlier run has made it. */
static enum status copy(const struct session *session, struct error *err)
{
    const struct plan *plan = &session->plan;
    return plan_needs_copy(plan) ? copy_make(&plan->model, plan->copy, session->cancel_fd, err)
                                 : STATUS_OK;
}

static int execute(struct session *session, struct error *err)
{
    bool measured = false;
    enum status status = cancel_open(&session->cancel_fd, err);
    if (!status)
        status = copy(session, err);
    if (!status)
        status = run_begin(session, err);
    if (status)
        return status == STATUS_INTERRUPTED ? EXIT_INTERRUPTED : EXIT_ERROR;
    struct run_options how = {.store = session->store,
                              .run = session->run,
                              .cancel_fd = session->cancel_fd,
                              .progress = stderr};
    status = run_execute(&session->plan, &how, err);
    if (status == STATUS_INTERRUPTED) {
        fprintf(stderr,
                "Interrupted. What was measured is kept in %s.\n"
                "See it with: prony report. Go on with: prony bench --resume\n",
                store_path(session->store));
        return EXIT_INTERRUPTED;
    }
    if (status) {
        if (!*err->remedy)
            error_remedy(err, "What was measured is kept; go on with `prony bench --resume`.");
        return EXIT_ERROR;
    }
    if (report(session, &measured, err))
        return EXIT_ERROR;
    err->status = STATUS_OK;
    return measured ? EXIT_PASS : EXIT_INVALID;
}

/* The default is the same on every machine: a card that it leaves idle is mentioned. */
static void gpu_hint(const struct session *session)
{
    if (session->options->device || session->options->resume)
        return;
    json_t *gpus = machine_describe_gpus();
    const char *name = json_string_value(json_object_get(json_array_get(gpus, 0), "name"));
    if (name)
        fprintf(stderr, "Hint: this machine has a GPU (%s); --device cuda runs on it.\n", name);
    json_decref(gpus);
}

/* What the user asked for and does not get, and what the rest is worth: said before the hours that
 * a run may take. */
static void form_warnings(const struct plan *plan)
{
    for (size_t i = 0; i < plan->variant_count; i++) {
        const struct plan_variant *variant = &plan->variants[i];
        if (variant->unavailable && !form_is_plain(&variant->form))
            fprintf(stderr, "Warning: %s is left out: %s\n", variant->name, variant->unavailable);
    }
    for (size_t i = 0; i < plan->variant_count; i++) {
        const struct plan_variant *variant = &plan->variants[i];
        if (!variant->unavailable && form_is_kept(&variant->form))
            fprintf(stderr, "Note: %s holds its weights as " FORM_Q8_0 ".\n", variant->name);
    }
    if (plan_quantises(plan))
        fprintf(stderr, "Warning: standard comparisons are unquantised. What a quantised variant's "
                        "speed costs is in the table's rows Mean KL and Top-1 Agreement.\n");
}

static int run(const void *given, const struct option_list *args)
{
    struct session session = {.options = given, .cancel_fd = -1};
    struct error err = {0};
    int result = EXIT_ERROR;
    (void)args;
    if (prepare(&session, &err) == STATUS_OK) {
        gpu_hint(&session);
        for (size_t i = 0; i < session.plan.catalogue.problem_count; i++)
            fprintf(stderr, "Warning: %s is left out: %s\n",
                    session.plan.catalogue.problems[i].folder,
                    session.plan.catalogue.problems[i].error.what);
        form_warnings(&session.plan);
        if (session.options->dry_run) {
            plan_print(&session.plan, stdout);
            result = EXIT_PASS;
        } else {
            result = execute(&session, &err);
        }
    }
    if (result == EXIT_ERROR)
        command_fail(&err);
    plan_free(&session.plan);
    json_decref(session.stored_plan);
    json_decref(session.stored_manifest);
    store_close(session.store);
    arena_free(&session.arena);
    if (session.cancel_fd >= 0)
        close(session.cancel_fd);
    return result;
}

const struct command command_bench = {
    .name = "bench",
    .summary = "Compares the engines that are installed, on one model.",
    .options = bench_option_table,
    .options_bytes = sizeof(struct bench_options),
    .defaults = &bench_defaults,
    .details =
        "Each variant runs once in every block, in a fresh process and in balanced order. Results "
        "are stored as they arrive, in $PRONY_STORE or ~/.local/share/prony/results.db. A failing "
        "engine becomes a row with its reason; the others go on.\n\n"
        "Ctrl-C keeps what was measured and ends with status 130; status 5 means that nothing "
        "equivalent could be measured.\n\n"
        "Examples:\n\n"
        "  prony bench --model-path model.gguf\n"
        "  prony bench --model-path model.gguf --framework native-f32 native-f16 --quick\n"
        "  prony bench --model-path model.gguf --iterations 100 --output run.json run.csv\n"
        "  prony bench --resume",
    .exits = 1u << EXIT_INVALID,
    .run = run,
};
