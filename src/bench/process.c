#include "bench/process.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/readings.h"
#include "fit/copy.h"
#include "fit/quantised.h"
#include "machine/device_memory.h"
#include "machine/gpu_watch.h"
#include "machine/machine.h"
#include "machine/memory.h"

enum { COLD_TOKENS = 2 }; /* the first is the cold start; the second warms the decode step */

struct life {
    const struct process_task *task;
    struct record_process *record;
    struct arena *arena;
    struct worker *worker;
    struct device_memory *device; /* NULL: no GPU, or one that cannot be asked */
    struct gpu_watch *gpu;        /* likewise */
    struct engine engine;         /* the variant's, perhaps with another cache */
};

static void phase(const struct life *life, const char *name)
{
    const struct plan *plan = life->task->plan;
    progress_phase(life->task->progress, plan->variants[life->task->variant].name, name);
}

static const char *keep(struct arena *arena, const char *text)
{
    const char *copy = arena_strdup(arena, text);
    return copy ? copy : "";
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Memory is read by the host, so that no engine vouches for itself; where /proc does not say, the
 * engine's own figure stands in, and so it does for a GPU without NVML. */
static enum status memory_take(struct life *life, int64_t *host, int64_t *device, struct error *err)
{
    struct record_process *record = life->record;
    struct memory_tree tree;
    struct worker_memory told;
    memory_tree_read(worker_pid(life->worker), &tree);
    enum status status = worker_memory(life->worker, &told, err);
    if (status)
        return status;
    *host = tree.pss_bytes >= 0 ? tree.pss_bytes : told.host_bytes;
    *device = told.device_bytes;
    int64_t peak = tree.peak_bytes >= 0 ? tree.peak_bytes : told.host_peak_bytes;
    record->memory_peak = larger(record->memory_peak, larger(*host, peak));
    record->device_peak =
        larger(record->device_peak, larger(told.device_bytes, told.device_peak_bytes));
    if (tree.pss_bytes < 0)
        record->memory_method = keep(life->arena, told.method);
    return STATUS_OK;
}

/* Before the worker is there. */
static void device_open(struct life *life)
{
    const struct gpu *gpu = &life->task->plan->gpu;
    struct error why;
    if (*gpu->pci)
        gpu_watch_open(&life->gpu, gpu->pci, &why);
    if (plan_on_cards(life->task->plan, life->task->variant))
        error_set(&why, STATUS_USAGE, "it is split over several cards");
    else if (!*gpu->pci || !device_memory_open(&life->device, gpu->pci, &why))
        return;
    const char *method = arena_printf(life->arena, "%s; device: as the engine tells (%s)",
                                      memory_tree_method, why.what);
    life->record->memory_method = method ? method : memory_tree_method;
}

/* What was measured takes the place of what the engine told. */
static void device_take(struct life *life)
{
    struct record_process *record = life->record;
    struct device_memory_result result;
    device_memory_end(life->device, &result);
    record->device_before = result.before;
    record->device_loaded = result.loaded;
    record->device_peak = result.peak;
    const char *method = arena_printf(life->arena, "%s; %s", record->memory_method, result.method);
    record->memory_method = method ? method : record->memory_method;
}

static enum status start(struct life *life, struct process_versions *versions, struct error *err)
{
    const struct process_task *task = life->task;
    life->engine = *task->plan->variants[task->variant].engine;
    if (task->compile_cache)
        life->engine.cache = task->compile_cache;
    struct worker_options options = {.cancel_fd = task->cancel_fd};
    struct worker_hello hello;
    phase(life, "start");
    enum status status = worker_start(&life->worker, &life->engine, &options, &hello, err);
    life->record->spawned_ns = hello.spawned_ns;
    if (status)
        return status;
    life->record->hello_ns = hello.ready_ns;
    if (life->device) {
        device_memory_note(life->device, DEVICE_MEMORY_BEFORE);
        status = device_memory_watch(life->device, worker_pid(life->worker), err);
        if (status)
            return status;
    }
    memcpy(versions->engine_version, hello.version, sizeof versions->engine_version);
    memcpy(versions->stands_on, hello.stands_on, sizeof versions->stands_on);
    return memory_take(life, &life->record->memory_before, &life->record->device_before, err);
}

/* Bytes of an input embedding that is a matrix of its own, as held. A step reads one row of it. */
static uint64_t embedding_bytes(const struct model *model, const char *precision)
{
    uint64_t hidden = model->config.hidden_size;
    uint64_t row = strstr(precision, "32")          ? 4 * hidden
                   : strstr(precision, "16")        ? 2 * hidden
                   : strcmp(precision, "int8") == 0 ? hidden + sizeof(float) /* its scale */
                   : strcmp(precision, "q8_0") == 0 ? hidden / 32 * 34       /* blocks and scales */
                                                    : 0;
    return model->config.tied ? 0 : model->config.vocabulary * row;
}

/* The point's, or at the run's own lengths what the variant has by itself. */
static uint32_t context_of(const struct life *life)
{
    const struct plan *plan = life->task->plan;
    const struct plan_point *point = life->task->point;
    bool own = point->prompt_tokens == plan->prompt_tokens && point->context == plan->context;
    return own ? plan->variants[life->task->variant].context : point->context;
}

static enum status load(struct life *life, struct process_versions *versions, struct error *err)
{
    const struct plan *plan = life->task->plan;
    struct record_process *record = life->record;
    struct worker_loaded loaded;
    const struct plan_variant *variant = &plan->variants[life->task->variant];
    char kept[PATH_MAX];
    struct worker_load request = {.model = plan_source(plan, variant),
                                  .variant = variant->variant->name,
                                  .device = plan->device,
                                  .quantize = variant->form.quantize,
                                  .keep_at = kept,
                                  .shard = variant->form.shard,
                                  .threads = plan->own_defaults ? 0 : plan->threads,
                                  .context = context_of(life)};
    enum status status =
        quantised_path(kept, variant->engine, variant->variant, &variant->form, &plan->model, err);
    if (status)
        return status;
    phase(life, "load");
    status = worker_load(life->worker, &request, &loaded, err);
    if (status)
        return status;
    record->load_asked_ns = loaded.asked_ns;
    record->load_ready_ns = loaded.ready_ns;
    record->weight_bytes = loaded.weight_bytes;
    record->kv_token_bytes = loaded.kv_token_bytes;
    record->threads = loaded.threads;
    record->precision = keep(life->arena, loaded.precision);
    record->embedding_bytes = loaded.embedding_bytes >= 0
                                  ? (uint64_t)loaded.embedding_bytes
                                  : embedding_bytes(&plan->model, loaded.precision);
    if (record->embedding_bytes >= record->weight_bytes)
        record->embedding_bytes = 0;
    record->phases = arena_array(life->arena, loaded.phases + 1, sizeof *record->phases);
    if (!record->phases)
        return error_no_memory(err, loaded.phases * sizeof *record->phases);
    record->phase_count = loaded.phases;
    for (size_t i = 0; i < loaded.phases; i++)
        record->phases[i] = (struct record_phase){keep(life->arena, loaded.phase[i].name),
                                                  loaded.phase[i].start_ns, loaded.phase[i].end_ns};
    memcpy(versions->detail, loaded.detail, sizeof versions->detail);
    if (variant->copied)
        copy_detail(versions->detail, sizeof versions->detail);
    if (life->device)
        device_memory_note(life->device, DEVICE_MEMORY_LOADED);
    return memory_take(life, &record->memory_loaded, &record->device_loaded, err);
}

static enum status generate(struct life *life, size_t tokens, struct worker_generated *generated,
                            struct error *err)
{
    const struct plan *plan = life->task->plan;
    return worker_generate(life->worker, plan->prompt, life->task->point->prompt_tokens, tokens,
                           generated, err);
}

static struct energy_moment counters_take(const struct life *life)
{
    bool move = life->task->energy && isfinite(life->task->idle.watts);
    return move ? energy_moment(life->task->energy) : (struct energy_moment){.joules = NAN};
}

static double seconds_between(const struct energy_moment *from, const struct energy_moment *to)
{
    return (double)(to->stamp_ns - from->stamp_ns) * 1e-9;
}

/* The timed generation does all that the warm-up did, and the steps that count besides: what it
 * took more is theirs. The moments are before, between and after the two. */
static void energy_note(struct life *life, const struct energy_moment moments[3])
{
    double joules =
        (moments[2].joules - moments[1].joules) - (moments[1].joules - moments[0].joules);
    double seconds =
        seconds_between(&moments[1], &moments[2]) - seconds_between(&moments[0], &moments[1]);
    const struct energy_idle *idle = &life->task->idle;
    if (!isfinite(joules) || !isfinite(idle->watts) ||
        plan_on_cards(life->task->plan, life->task->variant))
        return;
    reading_add(life->record, READING_ENERGY_J, joules, life->arena);
    reading_add(life->record, READING_ENERGY_SECONDS, seconds, life->arena);
    reading_add(life->record, READING_ENERGY_STEP, idle->step_s, life->arena);
    reading_add(life->record, READING_IDLE_W, idle->watts, life->arena);
}

/* For each token after the first, those of the warm-up included. */
static void exchange_note(struct life *life, const struct worker_generated *generated)
{
    double steps = (double)generated->count - 1;
    if (generated->exchanged_bytes == 0)
        return;
    reading_add(life->record, READING_EXCHANGED_BYTES, (double)generated->exchanged_bytes / steps,
                life->arena);
    reading_add(life->record, READING_EXCHANGED_SECONDS,
                (double)generated->exchanged_ns * 1e-9 / steps, life->arena);
}

/* The last thing that is done before the timed generation. */
static void quiet_begin(struct life *life)
{
    if (life->device)
        device_memory_pause(life->device);
    if (life->gpu)
        gpu_watch_begin(life->gpu, worker_pid(life->worker));
}

static enum status tokens(struct life *life, struct error *err)
{
    const struct plan *plan = life->task->plan;
    struct record_process *record = life->record;
    size_t room = plan_tokens(plan);
    struct worker_generated generated = {
        .ids = arena_array(life->arena, room, sizeof *generated.ids),
        .stamps_ns = arena_array(life->arena, room, sizeof *generated.stamps_ns)};
    if (!generated.ids || !generated.stamps_ns)
        return error_no_memory(err, room * sizeof *generated.stamps_ns);
    phase(life, "first token");
    record->cold_asked_ns = clock_now_ns();
    enum status status = generate(life, COLD_TOKENS, &generated, err);
    if (status)
        return status;
    record->cold_prompt_ns = generated.prompt_ns;
    record->cold_first_ns = generated.stamps_ns[0];
    record->prompt_tokens = life->task->point->prompt_tokens;
    if (life->task->point->start_only)
        return STATUS_OK;
    phase(life, "warm-up");
    struct energy_moment moments[3] = {counters_take(life)};
    status = generate(life, 1 + plan->warmup, &generated, err);
    if (status)
        return status;
    moments[1] = counters_take(life);
    quiet_begin(life);
    phase(life, "timed tokens");
    status = generate(life, room, &generated, err);
    if (status)
        return status;
    if (life->gpu)
        gpu_watch_end(life->gpu, worker_pid(life->worker));
    moments[2] = counters_take(life);
    energy_note(life, moments);
    exchange_note(life, &generated);
    record->prompt_ns = generated.prompt_ns;
    record->stamps_ns = generated.stamps_ns;
    record->ids = generated.ids;
    record->token_count = generated.count;
    record->warmup_steps = plan->warmup;
    return STATUS_OK;
}

static enum status live(struct life *life, struct process_versions *versions, struct error *err)
{
    int64_t host, device;
    enum status status = start(life, versions, err);
    if (!status)
        status = load(life, versions, err);
    if (!status)
        status = tokens(life, err);
    if (!status)
        status = memory_take(life, &host, &device, err);
    if (!status && life->device)
        device_take(life);
    return status;
}

enum status process_measure(const struct process_task *task, struct record_process *record,
                            struct process_versions *versions, struct arena *arena,
                            struct error *err)
{
    struct life life = {.task = task, .record = record, .arena = arena};
    char tail[2048] = "";
    *versions = (struct process_versions){0};
    record->precision = "";
    record->memory_method = memory_tree_method;
    record->memory_before = record->memory_loaded = record->memory_peak = -1;
    record->device_before = record->device_loaded = record->device_peak = -1;
    record->load_average = machine_load_average();
    struct watch *watch;
    struct watch_report report;
    enum status status = watch_start(&watch, NULL, err);
    if (status)
        return status;
    device_open(&life);
    status = live(&life, versions, err);
    if (life.worker && status)
        worker_log_tail(worker_log(life.worker), tail, sizeof tail);
    device_memory_close(life.device); /* its thread ends before anything is started again */
    worker_stop(life.worker);
    watch_end(watch, &report);
    readings_add_watch(record, &report, arena);
    struct gpu_watch_report gpu_report;
    gpu_watch_close(life.gpu, &gpu_report);
    readings_add_gpu(record, &gpu_report, arena);
    reading_add(record, READING_PAGES_RESIDENT, task->pages_resident, arena);
    if (status == STATUS_INTERRUPTED)
        return status;
    if (status) {
        record->failure = error_line(err, arena);
        record->log_tail = *tail ? keep(arena, tail) : NULL;
        /* Tokens of a process that did not end well are no measurement. */
        record->token_count = 0;
    }
    return STATUS_OK;
}
