/* What limits the trust in a run, in whole sentences. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "bench/notes_parts.h"
#include "bench/readings.h"
#include "fit/copy.h"

enum { MAX_NOTES = 64, TOLD = 3 };

void note_add(struct notes *notes, const char *line)
{
    if (line && notes->count < MAX_NOTES)
        notes->lines[notes->count++] = line;
}

/* Whether verdicts are claimed: in fewer blocks that every variant was measured in, a pair may
 * still have enough, of which others failed in some. */
static bool verdicts_claimed(const struct summary *summary)
{
    return summary->blocks >= VERDICT_BLOCKS || summary_has_verdict(summary);
}

static void note_blocks(struct notes *notes, struct arena *arena)
{
    const struct summary *summary = notes->summary;
    if (summary->blocks_planned && strcmp(summary->run->state, "complete") != 0)
        note_add(notes, arena_printf(arena, "The run is not complete: %zu of %zu blocks.",
                                     summary->blocks, summary->blocks_planned));
    if (summary->variant_count < 2)
        return;
    if (!verdicts_claimed(summary)) {
        note_add(notes, arena_printf(
                            arena,
                            "No verdict is claimed: that takes %d complete blocks, and there "
                            "%s %zu.",
                            VERDICT_BLOCKS, summary->blocks == 1 ? "is" : "are", summary->blocks));
        return;
    }
    if (summary->blocks < VERDICT_BLOCKS)
        note_add(notes,
                 arena_printf(arena,
                              "Blocks with every variant: %zu. Verdicts are of pairs alone that "
                              "%d blocks or more have.",
                              summary->blocks, VERDICT_BLOCKS));
    if (!summary->control)
        note_add(notes,
                 "Verdicts: differences beyond 2 % at the 5 % level, adjusted for the number of "
                 "pairs; no variant was run against itself as a control.");
}

/* What one variant differed from itself by, and what that did to the zone of indifference. */
static void note_control(struct notes *notes, struct arena *arena)
{
    const struct summary *summary = notes->summary;
    const struct control *speed = &summary->controls[METRIC_TPOT];
    if (!summary->control)
        return;
    const char *name = summary->variants[summary->control_of].variant->name;
    if (!speed->ratio.known) {
        note_add(notes,
                 arena_printf(arena, "The A/A control failed: %s was not measured twice.", name));
        return;
    }
    note_add(
        notes,
        arena_printf(arena,
                     "A/A control: %s ran twice in each block, and the ratio of its speed to its "
                     "own is %.3f (%.3f–%.3f).",
                     name, speed->ratio.value, speed->ratio.low, speed->ratio.high));
    if (verdicts_claimed(summary))
        note_add(notes,
                 arena_printf(arena,
                              "Verdicts: differences beyond 2 %% at the 5 %% level, or beyond "
                              "half the width of the control's interval where that is more "
                              "(speed: beyond %.1f %%), adjusted for the number of pairs.",
                              expm1(speed->zone) * 100));
}

static void note_copies(struct notes *notes, struct arena *arena)
{
    for (size_t i = 0; i < notes->summary->variant_count; i++) {
        const struct record_variant *variant = notes->summary->variants[i].variant;
        if (variant->detail && strncmp(variant->detail, COPY_DETAIL, strlen(COPY_DETAIL)) == 0)
            note_add(notes,
                     arena_printf(arena,
                                  "%s does not read this GGUF: it loaded a copy in safetensors, "
                                  "and what it took to make that is not in its figures.",
                                  variant->name));
    }
}

static void note_failures(struct notes *notes, struct arena *arena)
{
    for (size_t i = 0; i < notes->summary->variant_count; i++) {
        const struct summary_variant *variant = &notes->summary->variants[i];
        if (variant->failures && variant->failures < variant->processes)
            note_add(notes,
                     arena_printf(arena,
                                  "%s failed in %zu of %zu processes; its figures are those of "
                                  "the others.",
                                  variant->variant->name, variant->failures, variant->processes));
    }
}

/* The blocks that count though disturbed, each by the first process that was: "block 2 (b: other
 * programs used 0.50 cores)"; a long list is cut short. NULL: no memory. */
static const char *disturbances_text(const struct summary *summary, struct arena *arena)
{
    const struct record_run *run = summary->run;
    const char *text = "";
    size_t told = 0;
    uint32_t last = UINT32_MAX;
    struct clocks *fastest = arena_array(arena, run->variant_count + 1, sizeof *fastest);
    for (size_t i = 0; fastest && text && i < run->process_count && told < TOLD; i++) {
        const struct record_process *process = &run->processes[i];
        const char *what = disturbance_of(process, &fastest[process->variant], arena);
        clocks_note(&fastest[process->variant], process);
        if (!what || process->block == last)
            continue;
        text = arena_printf(arena, "%s%s block %u (%s: %s)", text, told++ ? "," : "",
                            process->block + 1, run->variants[process->variant].name, what);
        last = process->block;
    }
    if (!fastest || !text || summary->disturbed <= told)
        return fastest ? text : NULL;
    return arena_printf(arena, "%s, and %zu more", text, summary->disturbed - told);
}

static void note_falling(struct notes *notes, struct arena *arena)
{
    for (size_t i = 0; i < notes->summary->variant_count; i++) {
        const struct summary_variant *variant = &notes->summary->variants[i];
        if (variant->falling)
            note_add(
                notes,
                arena_printf(arena,
                             "%s was not steady: its tokens still became faster while they "
                             "counted, by %.0f %% from the first to the last. A longer --warmup "
                             "would count faster ones only.",
                             variant->variant->name, -variant->metrics[METRIC_TREND].value * 100));
    }
}

/* Cold pages that were not: a tmpfs, or another program that maps the model. */
static void note_pages(struct notes *notes, struct arena *arena)
{
    double cold = 0, warm = 1;
    for (size_t i = 0; i < notes->summary->point_count; i++) {
        const struct summary_point *point = &notes->summary->points[i];
        if (point->pages && strcmp(point->pages, "cold") == 0)
            cold = fmax(cold, point->resident);
        else if (point->pages)
            warm = fmin(warm, point->resident);
    }
    if (cold > 0.01)
        note_add(notes,
                 arena_printf(arena,
                              "Cold pages were not cold: %.0f %% of the model stayed in memory, "
                              "because its file system keeps it there, another program has it "
                              "mapped, or it belongs to another user.",
                              cold * 100));
    if (warm < 0.99)
        note_add(notes,
                 arena_printf(arena,
                              "Warm pages were not warm: %.0f %% of the model was in memory; "
                              "the rest did not fit.",
                              warm * 100));
}

static void note_redone(struct notes *notes, struct arena *arena)
{
    const struct summary *summary = notes->summary;
    if (summary->redone)
        note_add(notes, arena_printf(arena,
                                     "%zu block%s measured again, because something outside had "
                                     "disturbed %s.",
                                     summary->redone, summary->redone == 1 ? " was" : "s were",
                                     summary->redone == 1 ? "it" : "them"));
    const char *what = summary->disturbed ? disturbances_text(summary, arena) : NULL;
    if (what)
        note_add(notes, arena_printf(arena, "%zu block%s disturbed and not measured again:%s.",
                                     summary->disturbed,
                                     summary->disturbed == 1 ? " was" : "s were", what));
}

/* Of a variant by itself: one that is split over cards is held against all of them. */
static bool bandwidth_drifted(const struct cells *cells, size_t variant, double *low, double *high)
{
    *low = INFINITY, *high = 0;
    for (size_t block = 0; block < cells->blocks; block++) {
        double bandwidth = cells_at(cells, variant, block)->values[METRIC_BANDWIDTH];
        *low = fmin(*low, bandwidth); /* NaN, where it was not read, is passed over */
        *high = fmax(*high, bandwidth);
    }
    return *high > 1.25 * *low;
}

static void note_bandwidth(struct notes *notes, const struct cells *cells, struct arena *arena)
{
    double low, high;
    for (size_t i = 0; i < cells->variants; i++)
        if (bandwidth_drifted(cells, i, &low, &high)) {
            note_add(notes, arena_printf(
                                arena,
                                "The memory's speed drifted: the probe read between %.1f and %.1f "
                                "GB/s. Ratios within blocks hold; single figures say less.",
                                low * 1e-9, high * 1e-9));
            return;
        }
}

/* Rows show the mean of a token, comparisons go by the median: where they part, say so. */
static void note_disturbed(struct notes *notes, struct arena *arena)
{
    for (size_t i = 0; i < notes->summary->variant_count; i++) {
        const struct summary_variant *variant = &notes->summary->variants[i];
        const struct estimate *mean = &variant->metrics[METRIC_TPOT];
        const struct estimate *median = &variant->metrics[METRIC_TPOT_MEDIAN];
        if (mean->known && median->known && mean->value > 1.1 * median->value)
            note_add(notes,
                     arena_printf(arena,
                                  "%s: some tokens took far longer than most (mean %.3g ms, "
                                  "median %.3g ms). Comparisons go by each process's median.",
                                  variant->variant->name, mean->value * 1e3, median->value * 1e3));
    }
}

/* A number that the manifest has of the processor; 0 when it has none. */
static double manifest_cpu(const struct record_run *run, const char *key)
{
    struct error ignored;
    double number = 0;
    json_t *manifest =
        run->manifest ? json_parse(run->manifest, strlen(run->manifest), "", &ignored) : NULL;
    json_t *cpu = json_object_get(json_object_get(manifest, "machine"), "cpu");
    if (json_is_object(cpu))
        json_get_number_or(cpu, key, 0, &number, &ignored);
    json_decref(manifest);
    return number;
}

static void note_load(struct notes *notes, struct arena *arena)
{
    const struct record_run *run = notes->summary->run;
    double cores = manifest_cpu(run, "cores_allowed");
    if (run->process_count && cores > 0 && run->processes[0].load_average > 0.5 * cores)
        note_add(notes, arena_printf(arena,
                                     "The machine was not idle: its load average was %.1f on %.0f "
                                     "cores as the run began.",
                                     run->processes[0].load_average, cores));
}

/* Prony's probe and its own engine have each thread's memory near it; nobody knows of others. */
static void note_nodes(struct notes *notes, struct arena *arena)
{
    double nodes = manifest_cpu(notes->summary->run, "memory_nodes_used");
    if (nodes > 1 && !notes->summary->on_gpu)
        note_add(notes,
                 arena_printf(arena,
                              "The processors belong to %.0f memory nodes: an engine that does not "
                              "place its memory by them reads some of it from afar. 'numactl "
                              "--cpunodebind=0 --membind=0 prony bench ...' keeps a run on one.",
                              nodes));
}

/* STREAM's rule: what is read is to be four times the cache, or the cache is measured with it. */
static void note_cache(struct notes *notes, const struct cells *cells, struct arena *arena)
{
    double cache = manifest_cpu(notes->summary->run, "l3_bytes"), least = INFINITY;
    for (size_t i = 0; i < cells->variants * cells->blocks; i++) {
        const double *values = cells->cell[i].values;
        least = fmin(least,
                     values[METRIC_LIMIT_SHARE] * values[METRIC_TPOT] * values[METRIC_BANDWIDTH]);
    }
    if (least < 4 * cache && !notes->summary->on_gpu)
        note_add(notes, arena_printf(
                            arena,
                            "A token reads %.3g GB, and the processor's last cache holds %.3g GB: "
                            "part of it can come from there, so %% of Limit, which is of memory, "
                            "says less and can exceed 100. A larger model shows what memory does.",
                            least * 1e-9, cache * 1e-9));
}

/* The plan's word: what the user gave up cannot be seen in the figures. */
static void note_unfairness(struct notes *notes)
{
    note_add(notes,
             "This is no fair comparison, as was asked for: each engine had its own number of "
             "threads and its own context, so a difference need not be the engine's.");
}

/* All get the same number; an engine may be unable to use it. */
static void note_threads(struct notes *notes, const json_t *plan, struct arena *arena)
{
    const struct summary *summary = notes->summary;
    json_int_t given = json_integer_value(json_object_get(plan, "threads"));
    for (size_t i = 0; i < summary->variant_count && !summary->on_gpu; i++) {
        const struct summary_variant *variant = &summary->variants[i];
        if (variant->threads > 0 && variant->threads < given)
            note_add(notes,
                     arena_printf(arena,
                                  "%s computed with %u of the %lld threads that all were "
                                  "given.",
                                  variant->variant->name, variant->threads, (long long)given));
    }
}

static void note_plan(struct notes *notes, struct arena *arena)
{
    const struct record_run *run = notes->summary->run;
    struct error ignored;
    json_t *plan = run->plan ? json_parse(run->plan, strlen(run->plan), "", &ignored) : NULL;
    if (json_is_false(json_object_get(plan, "fair_comparison")))
        note_unfairness(notes);
    else
        note_threads(notes, plan, arena);
    json_decref(plan);
}

enum status notes_make(struct summary *summary, const struct cells *cells, struct error *err)
{
    struct notes notes = {
        .summary = summary,
        .lines = arena_array(&summary->arena, MAX_NOTES, sizeof(const char *)),
    };
    if (!notes.lines)
        return error_no_memory(err, MAX_NOTES * sizeof(const char *));
    note_plan(&notes, &summary->arena);
    note_blocks(&notes, &summary->arena);
    note_control(&notes, &summary->arena);
    note_copies(&notes, &summary->arena);
    note_failures(&notes, &summary->arena);
    note_load(&notes, &summary->arena);
    note_nodes(&notes, &summary->arena);
    note_redone(&notes, &summary->arena);
    note_falling(&notes, &summary->arena);
    note_pages(&notes, &summary->arena);
    note_disturbed(&notes, &summary->arena);
    note_bandwidth(&notes, cells, &summary->arena);
    note_cache(&notes, cells, &summary->arena);
    note_equivalence(&notes, &summary->arena);
    summary->notes = notes.lines;
    summary->note_count = notes.count;
    return STATUS_OK;
}
