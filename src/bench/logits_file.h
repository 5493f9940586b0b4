/* A matrix of logits in a temporary file, [rows, vocabulary] float32, as a worker wrote it. It is
 * read row by row: 128 positions of a large vocabulary are 66 MB, and long contexts gigabytes. */
#ifndef PRONY_BENCH_LOGITS_FILE_H
#define PRONY_BENCH_LOGITS_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "stats/divergence.h"

struct logits_file {
    char path[PATH_MAX]; /* "": there is none */
    size_t vocabulary;
    bool partial; /* log-probabilities of some ids, NaN for the others */
};

/* An empty file in $TMPDIR or /tmp. */
enum status logits_file_make(struct logits_file *file, size_t vocabulary, struct error *err);
void logits_file_remove(struct logits_file *file);

/* Row by row; the other may be partial. each: [rows], what was found of them; may be NULL. */
enum status logits_files_compare(const struct logits_file *reference,
                                 const struct logits_file *other, size_t rows,
                                 struct divergence *divergence, struct divergence_row *each,
                                 struct error *err);

/* Row first + i against ids[i]: by how much the row prefers its best id to that one, as a share of
 * its range; the largest of these, and its place. */
enum status logits_file_margins(const struct logits_file *file, size_t first, const int32_t *ids,
                                size_t count, double *margin, size_t *worst, struct error *err);

#endif
