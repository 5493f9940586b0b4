#include "report/judgement.h"

#include <string.h>

static const char *const titles[] = {
    [JUDGED_PASS] = "Pass",
    [JUDGED_REGRESSION] = "Regression",
    [JUDGED_UNDECIDED] = "Undecided",
    [JUDGED_INVALID] = "Invalid",
};

void judgement_print(FILE *stream, const struct judgement *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fprintf(stream, "%s. %s\n", titles[list[i].kind], list[i].sentence);
}

/* XML and Markdown share what has to be written otherwise in text: both take entities. */
static void put_text(FILE *stream, const char *text)
{
    for (; *text; text++) {
        if (strchr("&<>\"'|*_`[]\\#", *text))
            fprintf(stream, "&#%d;", *text);
        else
            fputc(*text, stream);
    }
}

static size_t count_kind(const struct judgement *list, size_t count, enum judgement_kind kind)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += list[i].kind == kind;
    return found;
}

static void put_case(FILE *stream, const struct judgement *judgement)
{
    const char *element = judgement->kind == JUDGED_REGRESSION ? "failure" : "error";
    fputs("  <testcase classname=\"prony.gate\" name=\"", stream);
    put_text(stream, judgement->candidate);
    fputs(" against ", stream);
    put_text(stream, judgement->baseline);
    fputs("\">\n    ", stream);
    if (judgement->kind == JUDGED_PASS)
        fputs("<system-out>", stream);
    else
        fprintf(stream, "<%s message=\"%s\">", element, titles[judgement->kind]);
    put_text(stream, judgement->sentence);
    fprintf(stream, "</%s>\n  </testcase>\n",
            judgement->kind == JUDGED_PASS ? "system-out" : element);
}

void judgement_junit(FILE *stream, const struct judgement *list, size_t count)
{
    size_t failures = count_kind(list, count, JUDGED_REGRESSION);
    size_t passes = count_kind(list, count, JUDGED_PASS);
    fprintf(stream,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<testsuite name=\"prony gate\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\">\n",
            count, failures, count - failures - passes);
    for (size_t i = 0; i < count; i++)
        put_case(stream, &list[i]);
    fputs("</testsuite>\n", stream);
}

void judgement_markdown(FILE *stream, const struct judgement *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fprintf(stream, "%s**%s.** ", count > 1 ? "- " : "", titles[list[i].kind]);
        put_text(stream, list[i].sentence);
        fputc('\n', stream);
    }
}

enum judgement_kind judgement_all(const struct judgement *list, size_t count)
{
    static const enum judgement_kind order[] = {JUDGED_REGRESSION, JUDGED_INVALID,
                                                JUDGED_UNDECIDED};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        if (count_kind(list, count, order[i]))
            return order[i];
    return JUDGED_PASS;
}
