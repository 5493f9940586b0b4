#include "report/facts.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "report/text.h"

/* Three significant digits: "135M", "1.24B", "70.6B", "405B". */
static const char *size_text(int64_t parameters, struct arena *arena)
{
    static const struct {
        double unit;
        const char *letter;
    } units[] = {{1e9, "B"}, {1e6, "M"}, {1e3, "K"}, {1, ""}};
    size_t i = 0;
    while ((double)parameters < units[i].unit * 0.9995)
        i++;
    double value = (double)parameters / units[i].unit;
    int decimals = units[i].unit == 1 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    return arena_printf(arena, "%.*f%s", decimals, value, units[i].letter);
}

static enum status plan_read(struct run_facts *facts, const struct record_run *run,
                             struct arena *arena, struct error *err)
{
    if (!run->plan || !*run->plan)
        return STATUS_OK;
    json_t *plan = json_parse(run->plan, strlen(run->plan), "the run's plan", err);
    if (!plan)
        return err->status;
    const char *gpu = json_string_value(json_object_get(plan, "gpu"));
    facts->fair = !json_is_false(json_object_get(plan, "fair_comparison"));
    if (gpu)
        facts->gpu = text_clean(arena, gpu);
    json_decref(plan);
    return facts->gpu ? STATUS_OK : error_no_memory(err, sizeof *facts);
}

enum status run_facts_make(struct run_facts *facts, const struct record_run *run,
                           struct arena *arena, struct error *err)
{
    *facts = (struct run_facts){.model = "", .model_size = "", .gpu = "", .fair = true};
    if (plan_read(facts, run, arena, err))
        return err->status;
    if (!run->manifest || !*run->manifest)
        return STATUS_OK;
    json_t *manifest = json_parse(run->manifest, strlen(run->manifest), "the run's manifest", err);
    if (!manifest)
        return err->status;
    const json_t *model = json_object_get(manifest, "model");
    const char *path = json_string_value(json_object_get(model, "path"));
    json_int_t parameters = json_integer_value(json_object_get(model, "parameters"));
    if (path)
        facts->model = text_clean(arena, path_base(path));
    if (parameters > 0)
        facts->model_size = size_text(parameters, arena);
    json_decref(manifest);
    return facts->model && facts->model_size ? STATUS_OK : error_no_memory(err, sizeof *facts);
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

const char *run_caption(const struct run_facts *facts, const struct summary *summary,
                        struct arena *arena)
{
    const struct record_run *run = summary->run;
    const char *model = "", *tokens = "", *state = "";
    if (*facts->model)
        model = arena_printf(arena, "%s%s%s%s%s%s, ", facts->model, *facts->model_size ? " (" : "",
                             facts->model_size, *facts->model_size ? ")" : "",
                             *facts->gpu ? " on " : "", facts->gpu);
    if (summary->iterations)
        tokens = arena_printf(arena, ", %zu token%s after a prompt of %zu", summary->iterations,
                              plural(summary->iterations), summary->prompt_tokens);
    if (run->state && strcmp(run->state, "complete") != 0)
        state = arena_printf(arena, ", %s", run->state);
    const char *fair = facts->fair ? "" : ", no fair comparison";
    return model && tokens && state
               ? arena_printf(arena, "Run %lld: %s%zu block%s%s%s%s", (long long)run->id, model,
                              summary->blocks, plural(summary->blocks), tokens, fair, state)
               : NULL;
}
