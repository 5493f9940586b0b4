/* Holds logits against a reference's as the equivalence gate does, for the tests that make them:
 *
 *   equivalence PRECISION ROWS VOCABULARY REFERENCE ROUNDED OTHER [partial]
 *
 * prints kl_mean kl_most kl_bound error_most error_bound agreeing broken verdict. The files hold
 * [rows, vocabulary] float32; ROUNDED are the reference's with every operation's output rounded to
 * bfloat16. A partial OTHER holds log-probabilities, and NaN where there are none. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/equivalence.h"
#include "bench/logits_file.h"

static enum status compare(const char *const *path, size_t rows, size_t vocabulary, bool partial,
                           struct divergence *divergence, struct error *err)
{
    struct logits_file files[2];
    for (int i = 0; i < 2; i++) {
        files[i].vocabulary = vocabulary;
        files[i].partial = partial;
        snprintf(files[i].path, sizeof files[i].path, "%s", path[i]);
    }
    return logits_files_compare(&files[0], &files[1], rows, divergence, NULL, err);
}

int main(int argc, char **argv)
{
    struct error err;
    struct divergence scale, found;
    if (argc != 7 && argc != 8) {
        fputs("usage: see the head of tests/tools/equivalence.c\n", stderr);
        return 1;
    }
    size_t rows = strtoul(argv[2], NULL, 10), vocabulary = strtoul(argv[3], NULL, 10);
    struct record_equivalence record = {.precision = argv[1], .first = -1};
    if (compare((const char *[]){argv[4], argv[5]}, rows, vocabulary, false, &scale, &err) ||
        compare((const char *[]){argv[4], argv[6]}, rows, vocabulary, argc == 8, &found, &err)) {
        error_print(&err, stderr);
        return 1;
    }
    if (!equivalence_bounds(
            argv[1],
            &(struct equivalence_scale){scale.kl_sum / (double)scale.rows, scale.error_most},
            &record.kl_bound, &record.error_bound)) {
        fprintf(stderr, "there are no bounds for %s\n", argv[1]);
        return 1;
    }
    equivalence_record(&record, &found);
    printf("%.17g %.17g %.17g %.17g %.17g %u %u %s\n", record.kl_mean, record.kl_most,
           record.kl_bound, record.error_most, record.error_bound, record.agreeing, record.broken,
           equivalence_judge(&record) == EQUIVALENCE_GIVEN ? "equivalent" : "different");
    return 0;
}
