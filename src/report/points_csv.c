/* One row for each variant at each point of a sweep or of the load matrix. */
#include <inttypes.h>

#include "report/csv.h"
#include "report/facts.h"
#include "report/number.h"
#include "report/report.h"

static const enum metric shown[] = {METRIC_START_TO_FIRST_TOKEN, METRIC_MODEL_LOAD,
                                    METRIC_COLD_START, METRIC_TTFT, METRIC_TPOT};
enum { SHOWN = sizeof shown / sizeof shown[0] };

static void row_write(FILE *stream, struct arena *arena, const struct summary *summary,
                      const struct summary_point *point, size_t variant,
                      const struct run_facts *facts)
{
    fprintf(stream, "%" PRId64 ",", summary->run->id);
    csv_text(stream, arena, summary->variants[variant].variant->name);
    fprintf(stream, ",%" PRIu32 ",%" PRIu32 ",%s,%s", point->prompt_tokens, point->context,
            point->pages ? point->pages : "", point->compile_cache ? point->compile_cache : "");
    for (size_t i = 0; i < SHOWN; i++) {
        const struct estimate *estimate = &point->metrics[variant][shown[i]];
        double scale = metric_infos[shown[i]].scale;
        if (estimate_usable(estimate))
            fprintf(stream, ",%.12g,%.12g,%.12g", estimate->value * scale, estimate->low * scale,
                    estimate->high * scale);
        else
            fputs(",,,", stream);
    }
    csv_trust(stream, facts, &summary->variants[variant]);
    fputc('\n', stream);
}

static enum status points_write(const struct summary *summary, const struct report_options *options,
                                FILE *stream, struct error *err)
{
    struct arena arena = {0};
    struct run_facts facts;
    (void)options;
    enum status status = run_facts_make(&facts, summary->run, &arena, err);
    fputs("run,framework,prompt_tokens,context,pages,compile_cache", stream);
    for (size_t i = 0; i < SHOWN; i++) {
        const char *key = metric_infos[shown[i]].key;
        fprintf(stream, ",%s,%s_low,%s_high", key, key, key);
    }
    fputs(CSV_TRUST "\n", stream);
    for (size_t i = 0; i < summary->point_count && !status; i++)
        for (size_t j = 0; j < summary->variant_count; j++)
            row_write(stream, &arena, summary, &summary->points[i], j, &facts);
    arena_free(&arena);
    return !status && ferror(stream) ? error_errno(err, "write the CSV") : status;
}

const struct report_form report_points_csv = {
    .name = "points.csv",
    .extension = ".points.csv",
    .about = "a row for each variant at each point of a sweep or of --cold",
    .write = points_write,
};
