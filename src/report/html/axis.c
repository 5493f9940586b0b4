/* Axes with round numbers. */
#include <math.h>

#include "report/html/svg.h"

/* The round step (1, 2 or 5 times a power of ten) next to a wanted one. */
static double round_step(double wanted)
{
    double power = pow(10, floor(log10(wanted))), part = wanted / power;
    return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

static struct axis linear(double low, double high, size_t steps)
{
    if (!(high > low))
        high = low + (low > 0 ? low : 1);
    double step = round_step((high - low) / (double)steps);
    double first = floor(low / step + 1e-9), last = ceil(high / step - 1e-9);
    struct axis axis = {.low = first * step, .high = last * step};
    for (size_t i = 0; i <= (size_t)(last - first) && i < AXIS_TICKS; i++)
        axis.ticks[axis.tick_count++] = (first + (double)i) * step;
    return axis;
}

/* The largest of 1, 2 and 5 times a power of ten (or of the powers alone) that is at most value. */
static double round_below(double value, bool powers_alone)
{
    double power = pow(10, floor(log10(value) + 1e-9)), part = value / power * (1 + 1e-9);
    return power * (powers_alone || part < 2 ? 1 : part < 5 ? 2 : 5);
}

/* 1, 2, 5, 10 … where few decades are covered, else powers of ten, of a hundred, or of more. */
static struct axis logarithmic(double low, double high)
{
    double decades = log10(high / low);
    bool powers_alone = decades > 3;
    double factor = pow(10, fmax(1, ceil(decades / (AXIS_TICKS - 2))));
    struct axis axis = {.low = round_below(low, powers_alone), .logarithmic = true};
    double tick = axis.low;
    axis.ticks[axis.tick_count++] = tick;
    while (tick < high * (1 - 1e-9) && axis.tick_count < AXIS_TICKS) {
        double part = tick / pow(10, floor(log10(tick) + 1e-9));
        tick *= powers_alone ? factor : part > 1.5 && part < 3 ? 2.5 : 2;
        axis.ticks[axis.tick_count++] = tick;
    }
    axis.high = fmax(tick, high);
    return axis;
}

struct axis axis_make(double low, double high, size_t steps, bool logarithmically)
{
    return logarithmically && low > 0 && isfinite(high) ? logarithmic(low, high)
                                                        : linear(low, high, steps);
}

double axis_place(const struct axis *axis, double value)
{
    double place = axis->logarithmic ? log(value / axis->low) / log(axis->high / axis->low)
                                     : (value - axis->low) / (axis->high - axis->low);
    return place > 0 ? fmin(place, 1) : 0;
}

struct number axis_number(const struct axis *axis, double tick)
{
    double step = axis->logarithmic ? tick : axis->ticks[1] - axis->ticks[0];
    int decimals = step > 0 ? (int)-floor(log10(step) + 1e-9) : 0;
    return number_format(tick, decimals > 0 ? decimals : 0);
}

void axis_across(struct page *page, const struct axis *axis, double top, double bottom,
                 const char *unit)
{
    for (size_t i = 0; i < axis->tick_count; i++) {
        double x = axis_place(axis, axis->ticks[i]);
        bool last = i + 1 == axis->tick_count;
        svg_line(page, "rule", x, top, x, bottom);
        const char *text =
            arena_printf(page->arena, "%s%s%s", axis_number(axis, axis->ticks[i]).text,
                         last ? " " : "", last ? unit : "");
        /* On a narrow screen every second one gives way. */
        bool spare = (axis->tick_count - 1 - i) % 2;
        svg_text(page, spare ? "tick spare" : "tick", x, bottom + 16,
                 x < 0.02  ? SVG_START
                 : x > 0.9 ? SVG_END
                           : SVG_MIDDLE,
                 text);
    }
}

void axis_up(struct page *page, const struct axis *axis, double top, double height,
             const char *unit)
{
    for (size_t i = 0; i < axis->tick_count; i++) {
        bool last = i + 1 == axis->tick_count;
        double y = top + (1 - axis_place(axis, axis->ticks[i])) * height;
        svg_line(page, "rule", 0, y, 1, y);
        svg_text(page, "tick", 0, y - 3, SVG_START,
                 arena_printf(page->arena, "%s%s%s", axis_number(axis, axis->ticks[i]).text,
                              last ? " " : "", last ? unit : ""));
    }
}
