/* The ids that the timed processes generated, against the reference. */
#include <stdlib.h>
#include <string.h>

#include "bench/gating_parts.h"
#include "bench/logits_file.h"

/* One continuation of the prompt, and what the reference thinks of each of its ids. */
struct continuation {
    const int32_t *ids; /* [count] */
    size_t count, worst;
    double margin;
};

static bool is_checked(const struct gating *gating, const struct record_run *run, size_t process)
{
    const struct record_process *one = &run->processes[process];
    return !one->failure && one->token_count > 0 && one->point == 0 &&
           one->prompt_tokens == gating->plan->prompt_tokens && !run->equivalence[one->variant].why;
}

static size_t checked_ids(const struct record_process *process)
{
    return process->token_count < EQUIVALENCE_GREEDY ? process->token_count : EQUIVALENCE_GREEDY;
}

/* The continuation of a process among those that are known; count when it is new. */
static size_t continuation_find(const struct continuation *known, size_t count,
                                const struct record_process *process)
{
    size_t ids = checked_ids(process);
    for (size_t i = 0; i < count; i++)
        if (known[i].count == ids &&
            memcmp(known[i].ids, process->ids, ids * sizeof *known->ids) == 0)
            return i;
    return count;
}

/* prompt + ids through the reference: each id against the row that it was chosen from. */
static enum status continuation_check(struct continuation *one, const struct gating *gating,
                                      struct seat *seat, const struct logits_file *file,
                                      struct error *err)
{
    const struct plan *plan = gating->plan;
    size_t prompt = plan->prompt_tokens, count = prompt + one->count - 1;
    int32_t *ids = malloc(count * sizeof *ids);
    if (!ids)
        return error_no_memory(err, count * sizeof *ids);
    memcpy(ids, plan->prompt, prompt * sizeof *ids);
    memcpy(ids + prompt, one->ids, (one->count - 1) * sizeof *ids);
    enum status status = worker_logits_write(seat->worker, ids, count, file->path, NULL, err);
    free(ids);
    return status ? status
                  : logits_file_margins(file, prompt - 1, one->ids, one->count, &one->margin,
                                        &one->worst, err);
}

static enum status continuations_check(const struct gating *gating, struct continuation *known,
                                       size_t count, struct error *err)
{
    const struct plan *plan = gating->plan;
    struct logits_file file;
    struct seat seat;
    progress_phase(gating->progress, EQUIVALENCE_REFERENCE, "equivalence of the generated ids");
    enum status status = logits_file_make(&file, plan->model.config.vocabulary, err);
    if (status)
        return status;
    status = seat_native(&seat, gating, EQUIVALENCE_REFERENCE, NULL,
                         plan->prompt_tokens + EQUIVALENCE_GREEDY, err);
    for (size_t i = 0; i < count && !status; i++)
        status = continuation_check(&known[i], gating, &seat, &file, err);
    worker_stop(seat.worker);
    logits_file_remove(&file);
    return status;
}

/* What the check found, into the records of the variants. */
static void records_update(const struct gating *gating, struct record_run *run,
                           const struct continuation *known, size_t count)
{
    for (size_t i = 0; i < run->process_count; i++) {
        if (!is_checked(gating, run, i))
            continue;
        const struct record_process *process = &run->processes[i];
        const struct continuation *own = &known[continuation_find(known, count, process)];
        struct record_equivalence *record = &run->equivalence[process->variant];
        if (own->margin > record->greedy_margin) {
            record->greedy_margin = own->margin;
            record->greedy_worst = (uint32_t)own->worst;
        }
        record->greedy_ids += (uint32_t)own->count;
    }
}

static enum status records_store(const struct gating *gating, const struct record_run *run,
                                 struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < run->variant_count && !status; i++) {
        const struct record_equivalence *record = &run->equivalence[i];
        if (!record->greedy_ids)
            continue;
        status = store_equivalence_put(gating->store, gating->run, i, record, err);
        bool news = !record->positions || record->greedy_margin > equivalence_margin_bound(record);
        if (!status && news)
            gating_tell(gating, run->variants[i].name, record);
    }
    return status;
}

static enum status greedy(const struct gating *gating, struct record_run *run, struct arena *arena,
                          struct error *err)
{
    size_t count = 0;
    struct continuation *known = arena_array(arena, run->process_count + 1, sizeof *known);
    if (!known)
        return error_no_memory(err, run->process_count * sizeof *known);
    for (size_t i = 0; i < run->variant_count; i++)
        run->equivalence[i].greedy_ids = 0;
    for (size_t i = 0; i < run->process_count; i++) {
        const struct record_process *process = &run->processes[i];
        if (is_checked(gating, run, i) && continuation_find(known, count, process) == count) {
            known[count] =
                (struct continuation){.ids = process->ids, .count = checked_ids(process)};
            count++;
        }
    }
    enum status status = count ? continuations_check(gating, known, count, err) : STATUS_OK;
    if (status && status != STATUS_INTERRUPTED) {
        progress_note(gating->progress, "equivalence", "generated ids", err->what);
        return STATUS_OK; /* the records say that no id was checked */
    }
    if (status)
        return status;
    records_update(gating, run, known, count);
    return records_store(gating, run, err);
}

enum status gating_greedy(const struct gating *gating, struct error *err)
{
    struct arena arena = {0};
    struct record_run run;
    if (!gating->plan->stream_tokens)
        return STATUS_OK;
    enum status status = gating_records(gating, &run, &arena, err);
    if (!status)
        status = greedy(gating, &run, &arena, err);
    arena_free(&arena);
    return status;
}
