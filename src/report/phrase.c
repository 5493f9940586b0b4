#include "report/phrase.h"

#include <string.h>

#include "report/number.h"
#include "report/text.h"

const char *phrase_figure(const struct estimate *estimate, enum metric metric, struct arena *arena)
{
    const struct metric_info *info = &metric_infos[metric];
    struct number value = number_metric(estimate, info);
    const char *space = strcmp(info->unit, "x") == 0 ? "" : TEXT_NBSP;
    if (!estimate_has_interval(estimate))
        return arena_printf(arena, "%s%s%s", value.text, space, info->unit);
    int decimals = number_decimals(estimate->value * info->scale, info->decimals);
    struct number low = number_format(estimate->low * info->scale, decimals),
                  high = number_format(estimate->high * info->scale, decimals);
    return arena_printf(arena, "%s%s%s (%s–%s)", value.text, space, info->unit, low.text,
                        high.text);
}

/* The interval of a ratio in the digits of its value, after what goes before it within the
 * parentheses; nothing at all when both are missing. */
static const char *in_parentheses(const struct estimate *ratio, const char *before,
                                  struct arena *arena)
{
    if (!estimate_has_interval(ratio))
        return *before ? arena_printf(arena, " (%s)", before) : "";
    int decimals = number_ratio_decimals(ratio->value);
    struct number low = number_format(ratio->low, decimals),
                  high = number_format(ratio->high, decimals);
    return arena_printf(arena, " (%s%s%s–%s)", before, *before ? "," TEXT_NBSP : "", low.text,
                        high.text);
}

static struct estimate turned_round(const struct estimate *ratio)
{
    struct estimate inverse = *ratio;
    inverse.value = 1 / ratio->value;
    inverse.low = 1 / ratio->high;
    inverse.high = 1 / ratio->low;
    return inverse;
}

static const char *against(const char *preposition, const char *other, struct arena *arena)
{
    return other ? arena_printf(arena, " %s %s", preposition, other) : "";
}

const char *phrase_comparison(const struct topic *topic, const struct comparison *comparison,
                              const char *other, struct arena *arena)
{
    struct estimate ratio = comparison->ratio;
    const char *words = NULL, *joined = NULL, *interval = NULL;
    bool factor_first = true;
    if (comparison->verdict == VERDICT_SLOWER ||
        (comparison->verdict == VERDICT_NONE && topic->inverse))
        ratio = turned_round(&ratio);
    struct number factor = number_ratio(ratio.value);
    switch (comparison->verdict) {
    case VERDICT_FASTER:
        words = topic->better;
        joined = against("than", other, arena);
        break;
    case VERDICT_SLOWER:
        words = topic->worse;
        joined = against("than", other, arena);
        break;
    case VERDICT_SAME:
        words = topic->same;
        joined = against("as", other, arena);
        factor_first = false;
        break;
    case VERDICT_UNDECIDED:
        words = "undecided";
        joined = against("against", other, arena);
        factor_first = false;
        break;
    case VERDICT_NONE:
        words = topic->measured;
        joined = against("of", other, arena);
        break;
    }
    interval = in_parentheses(&ratio, factor_first ? "" : factor.text, arena);
    if (!words || !joined || !interval)
        return NULL;
    return factor_first
               ? arena_printf(arena, "%s" TEXT_NBSP "%s%s%s", factor.text, words, joined, interval)
               : arena_printf(arena, "%s%s%s", words, joined, interval);
}

bool comparison_find(const struct summary *summary, size_t a, size_t b, enum metric metric,
                     struct comparison *found)
{
    for (size_t i = 0; i < summary->comparison_count; i++) {
        const struct comparison *comparison = &summary->comparisons[i];
        bool straight = comparison->a == a && comparison->b == b;
        bool turned = comparison->a == b && comparison->b == a;
        if (comparison->metric != metric || !(straight || turned))
            continue;
        *found = *comparison;
        if (!estimate_usable(&found->ratio) || found->ratio.value <= 0)
            return false;
        if (turned) {
            static const enum verdict opposite[] = {
                [VERDICT_FASTER] = VERDICT_SLOWER,       [VERDICT_SLOWER] = VERDICT_FASTER,
                [VERDICT_SAME] = VERDICT_SAME,           [VERDICT_NONE] = VERDICT_NONE,
                [VERDICT_UNDECIDED] = VERDICT_UNDECIDED,
            };
            found->a = a;
            found->b = b;
            found->ratio = turned_round(&comparison->ratio);
            found->verdict = opposite[comparison->verdict];
        }
        return true;
    }
    return false;
}
