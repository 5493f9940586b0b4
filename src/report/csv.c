/* One row for each variant: the classic figures, then every metric with its interval. Quoted as
 * RFC 4180 says, with lines that end in a newline alone. */
#include "report/csv.h"

#include <math.h>
#include <string.h>

#include "report/classic.h"
#include "report/facts.h"
#include "report/number.h"
#include "report/report.h"
#include "report/text.h"

void csv_text(FILE *stream, struct arena *arena, const char *text)
{
    text = text_clean(arena, text);
    /* A spreadsheet would run these as a formula; a leading apostrophe makes them text. */
    bool formula = text && *text && strchr("=+-@", *text);
    if (!text || !(formula || strpbrk(text, ",\""))) {
        fputs(text ? text : "", stream);
        return;
    }
    fputs(formula ? "\"'" : "\"", stream);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', stream);
        fputc(*text, stream);
    }
    fputc('"', stream);
}

void csv_trust(FILE *stream, const struct run_facts *facts, const struct summary_variant *variant)
{
    fprintf(stream, ",%s,%s", facts->fair ? "yes" : "no", equivalence_names[variant->equivalence]);
}

/* A number with all digits that mean anything; an empty field when it is not known. */
static void csv_number(FILE *stream, bool known, double value)
{
    fputc(',', stream);
    if (known && isfinite(value))
        fprintf(stream, "%.12g", value);
}

static void csv_head(FILE *stream)
{
    fputs("framework,model_size,iterations", stream);
    for (size_t i = 0; i < CLASSIC_FIGURES; i++)
        fprintf(stream, ",%s", classic_figures[i].key);
    fputs(
        ",engine,engine_version,precision,quantize,shard,threads,blocks,processes,failed_processes,"
        "failure" CSV_TRUST,
        stream);
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        const char *key = metric_infos[metric].key;
        fprintf(stream, ",%s,%s_low,%s_high", key, key, key);
    }
    fputc('\n', stream);
}

static void csv_row(FILE *stream, struct arena *arena, const struct summary *summary, size_t index,
                    const struct run_facts *facts)
{
    const struct summary_variant *row = &summary->variants[index];
    const struct record_variant *variant = row->variant;
    csv_text(stream, arena, variant->name);
    fputc(',', stream);
    csv_text(stream, arena, facts->model_size);
    fprintf(stream, ",%zu", summary->iterations);
    for (size_t i = 0; i < CLASSIC_FIGURES; i++) {
        const struct estimate *estimate = &row->metrics[classic_figures[i].metric];
        csv_number(stream, estimate_usable(estimate), estimate->value * classic_figures[i].scale);
    }
    const char *const texts[] = {variant->engine, variant->engine_version, row->precision,
                                 row->quantize};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        fputc(',', stream);
        csv_text(stream, arena, texts[i]);
    }
    fprintf(stream, ",%u,%u,%zu,%zu,%zu,", row->shard, row->threads, summary->blocks,
            row->processes, row->failures);
    csv_text(stream, arena, row->why);
    csv_trust(stream, facts, row);
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        const struct estimate *estimate = &row->metrics[metric];
        double scale = metric_infos[metric].scale;
        bool known = estimate_usable(estimate);
        csv_number(stream, known, estimate->value * scale);
        csv_number(stream, known, estimate->low * scale);
        csv_number(stream, known, estimate->high * scale);
    }
    fputc('\n', stream);
}

static enum status csv_write(const struct summary *summary, const struct report_options *options,
                             FILE *stream, struct error *err)
{
    (void)options;
    struct arena arena = {0};
    struct run_facts facts;
    enum status status = run_facts_make(&facts, summary->run, &arena, err);
    if (!status) {
        csv_head(stream);
        for (size_t i = 0; i < summary->variant_count; i++)
            csv_row(stream, &arena, summary, i, &facts);
        if (ferror(stream))
            status = error_errno(err, "write the CSV");
    }
    arena_free(&arena);
    return status;
}

const struct report_form report_csv = {
    .name = "csv",
    .extension = ".csv",
    .about = "a row for each variant: every metric with its interval",
    .write = csv_write,
};
