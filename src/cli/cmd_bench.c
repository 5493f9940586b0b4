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
#include "cli/command.h"
#include "machine/machine.h"
#include "report/report.h"
#include "store/store.h"

struct bench_options {
    struct option_list framework, output, context, prompt_tokens;
    const char *model_type, *model_path, *device, *quantize;
    int64_t iterations, warmup, blocks, threads, shard, gate_context;
    bool quick, resume, dry_run, wide, control, redo, cold, fair_comparison, pytorch_no_compile,
        pytorch_no_half;
};

#define FIELD(name) offsetof(struct bench_options, name)

static const struct bench_options defaults = {.redo = true, .fair_comparison = true};

static const struct option options[] = {
    {.name = "model-path",
     .letter = 'm',
     .kind = OPTION_STRING,
     .metavar = "PATH",
     .help = "The model: a GGUF file, or a folder with one or with safetensors. Required, unless "
             "--resume says it.",
     .offset = FIELD(model_path),
     .group = "What to measure"},
    {.name = "framework",
     .letter = 'f',
     .kind = OPTION_LIST,
     .metavar = "NAME",
     .help = "Engines or variants (native, native-f16); by default all that are installed.",
     .offset = FIELD(framework)},
    {.name = "model-type",
     .kind = OPTION_CHOICE,
     .choices = "llama gpt",
     .help = "The type that the model must have; it is an error when it is of another.",
     .offset = FIELD(model_type)},
    {.name = "device",
     .kind = OPTION_STRING,
     .metavar = "DEVICE",
     .help = "Where the models run: cpu (the default), cuda or cuda:N.",
     .offset = FIELD(device)},
    {.name = "threads",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1024,
     .help = "Threads for all engines; by default the cores that may be used.",
     .offset = FIELD(threads)},
    {.name = "fair-comparison",
     .kind = OPTION_FLAG,
     .negatable = true,
     .help = "The same threads and context for all; without it, what each engine has by itself.",
     .offset = FIELD(fair_comparison)},
    {.name = "pytorch-no-compile",
     .kind = OPTION_FLAG,
     .help = "pytorch-opt without torch.compile: what compilation brings.",
     .offset = FIELD(pytorch_no_compile)},
    {.name = "pytorch-no-half",
     .kind = OPTION_FLAG,
     .help = "pytorch-opt in float32: what the precision brings.",
     .offset = FIELD(pytorch_no_half)},
    {.name = "iterations",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1000000,
     .help = "Decode steps that count, in each process (20).",
     .offset = FIELD(iterations),
     .group = "How much"},
    {.name = "warmup",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1000000,
     .help = "Decode steps before them that do not count (8).",
     .offset = FIELD(warmup)},
    {.name = "blocks",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 10000,
     .help = "Times that each variant is started (6 when several are compared, else 3).",
     .offset = FIELD(blocks)},
    {.name = "quick",
     .kind = OPTION_FLAG,
     .help = "One block: a first look, without verdicts.",
     .offset = FIELD(quick)},
    {.name = "control",
     .kind = OPTION_FLAG,
     .help = "Run one variant twice: what it differs from itself by is no difference (A/A).",
     .offset = FIELD(control)},
    {.name = "redo",
     .kind = OPTION_FLAG,
     .negatable = true,
     .help = "Do a block again, twice at most, when something outside disturbed it (on).",
     .offset = FIELD(redo)},
    {.name = "cold",
     .kind = OPTION_FLAG,
     .help = "Also start each variant with the model out of the page cache, and with an empty "
             "compile cache.",
     .offset = FIELD(cold)},
    {.name = "prompt-tokens",
     .kind = OPTION_LIST,
     .metavar = "N",
     .low = 1,
     .high = 1000000,
     .help = "Length of the prompt (64); several: the first is the run's, the others a sweep.",
     .offset = FIELD(prompt_tokens)},
    {.name = "context",
     .kind = OPTION_LIST,
     .metavar = "N",
     .low = 1,
     .high = 100000000,
     .help = "Positions that the KV cache holds; by default what the run needs, rounded "
             "up. Several: a sweep.",
     .offset = FIELD(context)},
    {.name = "gate-context",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 100000000,
     .help = "Positions that the equivalence gate covers (128); beyond a model's original context, "
             "to see that its rope scaling is right.",
     .offset = FIELD(gate_context)},
    {.name = "output",
     .letter = 'o',
     .kind = OPTION_LIST,
     .metavar = "FILE",
     .help = "Also write the results to files: .json, .csv, .samples.csv, .points.csv, .md, .html.",
     .offset = FIELD(output),
     .group = "What comes out"},
    {.name = "wide",
     .kind = OPTION_FLAG,
     .help = "Show every metric, with its interval.",
     .offset = FIELD(wide)},
    {.name = "dry-run",
     .kind = OPTION_FLAG,
     .help = "Show what would be run, and stop.",
     .offset = FIELD(dry_run)},
    {.name = "resume",
     .kind = OPTION_FLAG,
     .help = "Go on with the newest run that did not come to its end.",
     .offset = FIELD(resume)},
    {.name = "quantize",
     .kind = OPTION_CHOICE,
     .choices = "int8 nf4 float16",
     .help = "Quantise on load.",
     .offset = FIELD(quantize),
     .group = "Not in this version"},
    {.name = "shard",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1024,
     .help = "Split the model over N devices.",
     .offset = FIELD(shard)},
    {0},
};

/* Options that others of the contract will honour: silence would be a wrong measurement. */
static enum status options_check(const struct bench_options *o, struct error *err)
{
    const char *name = o->quantize ? "--quantize" : o->shard > 1 ? "--shard" : NULL;
    if (!name && o->quick && o->blocks > 1) {
        error_set(err, STATUS_USAGE, "--quick is one block, --blocks asks for %lld",
                  (long long)o->blocks);
        return error_remedy(err, "Leave one of them out.");
    }
    if (!name && !o->fair_comparison && (o->threads || o->context.count)) {
        error_set(err, STATUS_USAGE,
                  "--no-fair-comparison leaves threads and context to each engine");
        return error_remedy(err, "Leave --threads and --context out, or compare fairly.");
    }
    if (!name)
        return STATUS_OK;
    error_set(err, STATUS_UNSUPPORTED, "%s: this version does not have that", name);
    return error_remedy(err, "Leave it out.");
}

/* Lengths as they were given, each once; those of a stored run where none were. */
static enum status lengths_read(struct plan_lengths *lengths, const struct option_list *list,
                                const char *name, struct error *err)
{
    if (list->count > PLAN_LENGTHS) {
        error_set(err, STATUS_USAGE, "--%s takes %d values at most", name, PLAN_LENGTHS);
        return error_remedy(err, "Make two runs of it.");
    }
    if (list->count)
        lengths->count = 0;
    for (size_t i = 0; i < list->count; i++) {
        uint32_t value = (uint32_t)strtoul(list->items[i], NULL, 10);
        bool seen = false;
        for (size_t j = 0; j < lengths->count; j++)
            seen = seen || lengths->value[j] == value;
        if (!seen)
            lengths->value[lengths->count++] = value;
    }
    return STATUS_OK;
}

/* Lays what the user gave over a request: over nothing, or over that of a stored run. */
static enum status request_overlay(struct plan_request *request, const struct bench_options *o,
                                   struct error *err)
{
    if (o->framework.count) {
        request->frameworks = o->framework.items;
        request->framework_count = o->framework.count;
    }
    request->model_path = o->model_path ? o->model_path : request->model_path;
    request->model_type = o->model_type ? o->model_type : request->model_type;
    request->device = o->device ? o->device : request->device;
    request->iterations = o->iterations ? (uint32_t)o->iterations : request->iterations;
    request->warmup = o->warmup ? (uint32_t)o->warmup : request->warmup;
    request->blocks = o->quick ? 1 : o->blocks ? (uint32_t)o->blocks : request->blocks;
    request->control = o->control || request->control;
    request->no_redo = !o->redo || request->no_redo;
    request->own_defaults = !o->fair_comparison || request->own_defaults;
    request->pytorch_no_compile = o->pytorch_no_compile;
    request->pytorch_no_half = o->pytorch_no_half;
    request->threads = o->threads ? (uint32_t)o->threads : request->threads;
    request->gate_context = o->gate_context ? (uint32_t)o->gate_context : request->gate_context;
    request->cold = o->cold || request->cold;
    enum status status = lengths_read(&request->context, &o->context, "context", err);
    return status ? status
                  : lengths_read(&request->prompt_tokens, &o->prompt_tokens, "prompt-tokens", err);
}

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
    enum status status = options_check(o, err);
    if (!status)
        status = outputs_check(o, err);
    if (!status && o->resume)
        status = store_open(&session->store, NULL, err);
    if (!status && o->resume)
        status = resume_load(session, &request, err);
    if (status)
        return status;
    status = request_overlay(&request, o, err);
    if (!status)
        status = plan_make(&session->plan, &request, err);
    if (!status && !o->dry_run && !session->store)
        status = store_open(&session->store, NULL, err);
    return status;
}

static int execute(struct session *session, struct error *err)
{
    bool measured = false;
    enum status status = cancel_open(&session->cancel_fd, err);
    if (!status)
        status = run_begin(session, err);
    if (status)
        return EXIT_ERROR;
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
    .options = options,
    .options_bytes = sizeof(struct bench_options),
    .defaults = &defaults,
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
