/* Student's t by the regularised incomplete beta function: its continued fraction (DLMF 8.17.22)
 * evaluated with Lentz's method, and the quantile by bisection on the distribution. */
#include <float.h>
#include <math.h>

#include "stats/stats.h"

static double keep_from_zero(double value)
{
    return fabs(value) < DBL_MIN / DBL_EPSILON ? DBL_MIN / DBL_EPSILON : value;
}

static double beta_fraction(double a, double b, double x)
{
    double c = 1, d = 1 / keep_from_zero(1 - (a + b) * x / (a + 1)), result = d;
    for (int m = 1; m <= 10000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        d = 1 / keep_from_zero(1 + even * d);
        c = keep_from_zero(1 + even / c);
        result *= c * d;
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / keep_from_zero(1 + odd * d);
        c = keep_from_zero(1 + odd / c);
        result *= c * d;
        if (fabs(c * d - 1) < DBL_EPSILON)
            break;
    }
    return result;
}

/* log Gamma by Stirling's series (DLMF 5.11.1) after shifting the argument above 12: unlike
 * lgamma() it touches no global sign. */
static double log_gamma(double x)
{
    double shift = 0;
    while (x < 12)
        shift += log(x++);
    double r = 1 / (x * x);
    double series =
        (1.0 / 12 - r * (1.0 / 360 - r * (1.0 / 1260 - r * (1.0 / 1680 - r / 1188)))) / x;
    return (x - 0.5) * log(x) - x + 0.91893853320467274178 + series - shift;
}

/* I_x(a, b) for a, b > 0; y = 1 - x is given apart, so that neither loses digits near 0. */
static double incomplete_beta(double a, double b, double x, double y)
{
    if (x <= 0)
        return 0;
    if (y <= 0)
        return 1;
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log(y));
    if (x < (a + 1) / (a + b + 2)) /* where the fraction converges fast */
        return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, y) / b;
}

double student_t_cdf(double t, double freedom)
{
    if (isnan(t) || !(freedom > 0))
        return NAN;
    if (isinf(t))
        return t > 0;
    double scale = freedom + t * t;
    double tail = incomplete_beta(freedom / 2, 0.5, freedom / scale, t * t / scale) / 2;
    return t > 0 ? 1 - tail : tail;
}

double student_t_quantile(double probability, double freedom)
{
    if (!(probability > 0 && probability < 1) || !(freedom > 0))
        return NAN;
    if (probability > 0.5)
        return -student_t_quantile(1 - probability, freedom);
    double low = -1, high = 0;
    while (student_t_cdf(low, freedom) > probability && low > -1e300)
        low *= 2;
    for (int i = 0; i < 200; i++) {
        double middle = low + (high - low) / 2;
        if (middle <= low || middle >= high)
            break;
        if (student_t_cdf(middle, freedom) < probability)
            low = middle;
        else
            high = middle;
    }
    return low + (high - low) / 2;
}
