/* What a comparison of two sides does not show. */
#include <string.h>

#include "cli/sides.h"
#include "report/facts.h"
#include "report/text.h"

struct caveats {
    const char **lines;
    size_t count;
    bool failed; /* no memory */
};

static void add(struct caveats *caveats, const char *line)
{
    caveats->failed |= !line;
    if (line)
        caveats->lines[caveats->count++] = line;
}

static void different(struct caveats *caveats, const struct summary_variant *variant,
                      const char *title, struct arena *arena)
{
    if (variant->equivalence == EQUIVALENCE_FAILED)
        add(caveats, arena_printf(arena, "%s is NOT EQUIVALENT, and in no verdict: %s.", title,
                                  variant->equivalence_reason));
}

static void unproven(struct caveats *caveats, const struct summary_variant *variant,
                     const char *title, struct arena *arena)
{
    const char *why = variant->equivalence_reason;
    if (variant->equivalence == EQUIVALENCE_UNGATED)
        add(caveats, arena_printf(arena,
                                  "Nothing shows that %s computes the same thing, since it was "
                                  "not gated: %s.",
                                  title, why));
    else if (variant->equivalence == EQUIVALENCE_UNKNOWN)
        add(caveats, arena_printf(arena,
                                  "Nothing shows that %s computes the same thing: its output was "
                                  "not checked.",
                                  title));
    if (variant->falling)
        add(caveats,
            arena_printf(arena, "%s was not steady: its tokens still became faster.", title));
}

static void disturbed(struct caveats *caveats, const struct summary *summary, struct arena *arena)
{
    if (summary->disturbed)
        add(caveats,
            arena_printf(arena, "Run %lld: %zu of %zu blocks count though disturbed.",
                         (long long)summary->run->id, summary->disturbed, summary->blocks));
}

enum status sides_caveats(struct sides *sides, const struct sides_pair *pair,
                          const char *caveats[SIDES_CAVEATS], size_t *count, struct error *err)
{
    struct caveats found = {.lines = caveats};
    const struct summary *summaries[] = {&sides->summary[0], sides_second(sides)};
    const size_t variants[] = {pair->a, pair->b};
    struct run_facts facts;
    enum status status = run_facts_make(&facts, summaries[0]->run, &sides->arena, err);
    if (status)
        return status;
    for (int i = 0; i < 2; i++)
        different(&found, &summaries[i]->variants[variants[i]], pair->title[i], &sides->arena);
    for (int i = 0; i < 2; i++)
        unproven(&found, &summaries[i]->variants[variants[i]], pair->title[i], &sides->arena);
    for (int i = 0; i < (sides->one_run ? 1 : 2); i++)
        disturbed(&found, summaries[i], &sides->arena);
    if (!facts.fair)
        add(&found, "This is no fair comparison: each engine had its own threads and context.");
    for (size_t i = 0; i < found.count && !found.failed; i++) {
        caveats[i] = text_clean(&sides->arena, caveats[i]);
        found.failed = !caveats[i];
    }
    *count = found.count;
    return found.failed ? error_no_memory(err, 0) : STATUS_OK;
}
