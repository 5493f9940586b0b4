#include "pace.h"

#include <jansson.h>
#include <math.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>

enum { SPIN_NS = 100000 }; /* the kernel wakes up this early at most; the rest is spun */

static const struct {
    const char *name;
    size_t offset;
    double low, high;
} known[] = {
    {"token_us", offsetof(struct pace_options, token_us), 0, 1e8},
    {"prefill_us", offsetof(struct pace_options, prefill_us), 0, 1e8},
    {"load_ms", offsetof(struct pace_options, load_ms), 0, 1e6},
    {"first_ms", offsetof(struct pace_options, first_ms), 0, 1e6},
    {"noise", offsetof(struct pace_options, noise), 0, 2},
    {"process_noise", offsetof(struct pace_options, process_noise), 0, 2},
    {"warmup", offsetof(struct pace_options, warmup), 0, 1000},
    {"warmup_tokens", offsetof(struct pace_options, warmup_tokens), 0, 1e6},
    {"spike_rate", offsetof(struct pace_options, spike_rate), 0, 1},
    {"spike_factor", offsetof(struct pace_options, spike_factor), 1, 1e6},
    {"drift", offsetof(struct pace_options, drift), 0, 0.9},
    {"drift_period_s", offsetof(struct pace_options, drift_period_s), 0.001, 1e6},
    {"memory_mb", offsetof(struct pace_options, memory_mb), 0, 1e6},
    {"vocabulary", offsetof(struct pace_options, vocabulary), 2, 1 << 20},
    {"seed", offsetof(struct pace_options, seed), 0, 1e15},
};

int pace_options_parse(struct pace_options *options, const char *json, struct prony_error *error)
{
    const char *key;
    json_t *value, *object = json_loads(json, 0, NULL);
    int failed = 0;
    *options = (struct pace_options){.spike_factor = 1, .drift_period_s = 60, .vocabulary = 1000};
    json_object_foreach(object, key, value)
    {
        size_t i = 0, count = sizeof known / sizeof known[0];
        while (i < count && strcmp(known[i].name, key) != 0)
            i++;
        double number = json_number_value(value);
        if (i == count)
            failed = prony_fail(error, "bad_request", "engines/null/README.md lists them.",
                                "the null engine has no option \"%.40s\"", key);
        else if (!json_is_number(value) || !(number >= known[i].low && number <= known[i].high))
            failed = prony_fail(error, "bad_request", "",
                                "the option \"%s\" should be a number between %g and %g", key,
                                known[i].low, known[i].high);
        else
            memcpy((char *)options + known[i].offset, &number, sizeof number);
    }
    json_decref(object);
    return failed;
}

uint64_t pace_mix(uint64_t value)
{
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

/* Uniform in (0, 1). */
static double uniform(struct pace *pace)
{
    pace->random++;
    return ((double)(pace_mix(pace->random) >> 12) + 0.5) / 4503599627370496.0;
}

/* Standard normal (Box and Muller 1958). */
static double normal(struct pace *pace)
{
    double radius = sqrt(-2 * log(uniform(pace)));
    return radius * cos(2 * 3.14159265358979323846 * uniform(pace));
}

void pace_init(struct pace *pace, const struct pace_options *options)
{
    *pace = (struct pace){.options = *options, .random = (uint64_t)options->seed};
    if (options->seed == 0 && getrandom(&pace->random, sizeof pace->random, 0) < 0)
        pace->random = (uint64_t)prony_now_ns();
    pace->random = pace_mix(pace->random);
    pace->process_factor = exp(options->process_noise * normal(pace));
    prctl(PR_SET_TIMERSLACK, 1UL);
}

static void wait_until(int64_t due_ns)
{
    int64_t wake_ns = due_ns - SPIN_NS;
    if (wake_ns > prony_now_ns()) {
        struct timespec t = {.tv_sec = wake_ns / 1000000000, .tv_nsec = wake_ns % 1000000000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
            ;
    }
    while (prony_now_ns() < due_ns)
        ;
}

void pace_wait_ms(double ms)
{
    wait_until(prony_now_ns() + (int64_t)(ms * 1e6));
}

void pace_start(struct pace *pace)
{
    pace->due_ns = prony_now_ns();
}

/* What the machine does to everything at this moment. */
static double machine_factor(const struct pace *pace)
{
    const struct pace_options *o = &pace->options;
    double turns = o->drift > 0 ? (double)pace->due_ns / 1e9 / o->drift_period_s : 0;
    return pace->process_factor * (1 + o->drift * sin(2 * 3.14159265358979323846 * turns));
}

void pace_prefill(struct pace *pace, size_t prompt_count)
{
    double us = pace->options.prefill_us * (double)prompt_count;
    if (us > 0)
        pace->due_ns += (int64_t)(us * 1000 * machine_factor(pace));
    if (pace->tokens == 0)
        pace->due_ns += (int64_t)(pace->options.first_ms * 1e6);
    wait_until(pace->due_ns);
}

void pace_token(struct pace *pace)
{
    const struct pace_options *o = &pace->options;
    uint64_t number = pace->tokens++;
    if (o->token_us <= 0)
        return;
    double factor = machine_factor(pace);
    if (o->noise > 0)
        factor *= exp(o->noise * normal(pace));
    if (o->warmup > 0)
        factor *= 1 + o->warmup * exp(-(double)number / fmax(o->warmup_tokens, 1));
    if (o->spike_rate > 0 && uniform(pace) < o->spike_rate)
        factor *= o->spike_factor;
    /* Due times add up, so a late wake-up never slows the next token: the mean is exact. */
    pace->due_ns += (int64_t)(o->token_us * 1000 * factor);
    wait_until(pace->due_ns);
}
