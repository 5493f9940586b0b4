/* How far one engine's logits lie from a reference's, row by row: a row is the logits after one
 * position, [vocabulary]. Pure functions of numbers; nothing but a row of each is ever held. */
#ifndef PRONY_STATS_DIVERGENCE_H
#define PRONY_STATS_DIVERGENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct divergence_row {
    bool finite;  /* false: a logit of the other is none, and nothing below is known */
    double kl;    /* Kullback-Leibler divergence in nats, of the other from the reference */
    double error; /* largest difference of a logit, as a share of the reference's range */
    size_t best, other_best; /* the largest logit, the lowest id on ties */
    double margin;           /* reference's best less its logit for other_best, as such a share */
    bool part;               /* it is of some ids alone, */
    size_t told;             /* of so many; 0: nothing else is known of it */
};

/* reference is finite. */
void divergence_of_row(const float *reference, const float *other, size_t count,
                       struct divergence_row *row);
/* part holds log-probabilities, and NaN for ids whose own are not told: kl takes all of these as
 * one, and error leaves open what would have to be added for logits. Both are at most what they
 * would be if all were told. */
void divergence_of_part(const float *reference, const float *part, size_t count,
                        struct divergence_row *row);

/* Of all rows of a stream. */
struct divergence {
    size_t rows, broken; /* broken: rows that are not finite, which count in nothing else */
    size_t untold;       /* rows of which the other told nothing; they count in nothing else */
    size_t told_most;    /* ids that a row tells of, at most; 0: all rows are whole */
    size_t agreeing;     /* rows in which both would choose the same id */
    double kl_sum, kl_most, error_most;
    int64_t first;       /* the first row in which the choice differs; -1: none */
    double first_margin; /* the reference's margin there */
    double margin_most;  /* the largest of any such row */
};

void divergence_start(struct divergence *divergence);
void divergence_add(struct divergence *divergence, const struct divergence_row *row);

/* By how much a reference's row prefers its best id to a chosen one, as a share of its range. */
double divergence_margin(const float *reference, size_t count, size_t chosen);

#endif
