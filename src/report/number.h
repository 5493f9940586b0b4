/* Numbers as a person reads them: as many digits as mean something, in a fixed notation. */
#ifndef PRONY_REPORT_NUMBER_H
#define PRONY_REPORT_NUMBER_H

#include <stdbool.h>

#include "bench/metrics.h"
#include "bench/summary.h"

struct number {
    char text[32];
};

/* The digits after the point that suit a value: as many as preferred, more (at most 6) where a
 * small value would keep fewer than three significant digits, 1 from 1000 on, 0 from 10000. */
int number_decimals(double value, int preferred);
/* "12.29"; from 1e9 on "1.23e+12"; "n/a" when it is not finite. */
struct number number_format(double value, int decimals);
/* A factor: "1.90x", "12.3x", "185x"; and the digits after its point. */
struct number number_ratio(double ratio);
int number_ratio_decimals(double ratio);

/* Whether an estimate is there and finite, and whether it has an interval: one block has none, nor
 * have extremes. */
bool estimate_usable(const struct estimate *estimate);
bool estimate_has_interval(const struct estimate *estimate);
/* Half of the interval, the longer side: what stands after ±, in the estimate's own unit. */
double estimate_spread(const struct estimate *estimate);

/* An estimate in its metric's unit. A spread has the digits of its value, at most three of
 * them significant, and never shows as 0; its text is empty without an interval. */
struct number number_metric(const struct estimate *estimate, const struct metric_info *info);
struct number number_spread(const struct estimate *estimate, const struct metric_info *info);

#endif
