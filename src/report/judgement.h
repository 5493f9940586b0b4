/* What a gate says of a candidate, as a line of text, as JUnit's XML and as Markdown. */
#ifndef PRONY_REPORT_JUDGEMENT_H
#define PRONY_REPORT_JUDGEMENT_H

#include <stddef.h>
#include <stdio.h>

enum judgement_kind { JUDGED_PASS, JUDGED_REGRESSION, JUDGED_UNDECIDED, JUDGED_INVALID };

struct judgement {
    enum judgement_kind kind;
    const char *baseline, *candidate, *sentence; /* cleaned */
};

void judgement_print(FILE *stream, const struct judgement *list, size_t count);
void judgement_junit(FILE *stream, const struct judgement *list, size_t count);
void judgement_markdown(FILE *stream, const struct judgement *list, size_t count);
/* That of all: a regression above what is invalid, above undecided. */
enum judgement_kind judgement_all(const struct judgement *list, size_t count);

#endif
