#include "report/number.h"

#include <math.h>
#include <stdio.h>

enum { DECIMALS_MAX = 6 };

int number_decimals(double value, int preferred)
{
    double size = fabs(value);
    if (size >= 10000)
        return 0;
    int decimals = size >= 1000 && preferred > 1 ? 1 : preferred;
    if (size > 0 && size < 100) {
        int wanted = 2 - (int)floor(log10(size)); /* three significant digits */
        if (decimals > 0 && wanted > decimals)
            decimals = wanted;
    }
    return decimals > DECIMALS_MAX ? DECIMALS_MAX : decimals;
}

struct number number_format(double value, int decimals)
{
    struct number number = {"n/a"};
    if (!isfinite(value))
        return number;
    if (fabs(value) >= 1e9)
        snprintf(number.text, sizeof number.text, "%.3g", value);
    else
        snprintf(number.text, sizeof number.text, "%.*f", decimals, value);
    return number;
}

int number_ratio_decimals(double ratio)
{
    return ratio < 9.995 ? 2 : ratio < 99.95 ? 1 : 0;
}

struct number number_ratio(double ratio)
{
    struct number digits = number_format(ratio, number_ratio_decimals(ratio));
    struct number number;
    snprintf(number.text, sizeof number.text, "%.30sx", digits.text);
    return number;
}

bool estimate_usable(const struct estimate *estimate)
{
    return estimate->known && isfinite(estimate->value);
}

bool estimate_has_interval(const struct estimate *estimate)
{
    return estimate_usable(estimate) && isfinite(estimate->low) && isfinite(estimate->high) &&
           estimate->low < estimate->high;
}

double estimate_spread(const struct estimate *estimate)
{
    return fmax(estimate->value - estimate->low, estimate->high - estimate->value);
}

struct number number_metric(const struct estimate *estimate, const struct metric_info *info)
{
    double value = estimate_usable(estimate) ? estimate->value * info->scale : NAN;
    return number_format(value, number_decimals(value, info->decimals));
}

struct number number_spread(const struct estimate *estimate, const struct metric_info *info)
{
    if (!estimate_has_interval(estimate))
        return (struct number){""};
    int decimals = number_decimals(estimate->value * info->scale, info->decimals);
    double least = pow(10, -decimals),
           spread = fmax(estimate_spread(estimate) * info->scale, least);
    int enough = 2 - (int)floor(log10(spread)); /* three significant digits */
    return number_format(spread, enough < 0 ? 0 : enough < decimals ? enough : decimals);
}
