/* How long each of the null engine's tokens takes, and waiting for exactly that long. */
#ifndef PRONY_NULL_PACE_H
#define PRONY_NULL_PACE_H

#include <stddef.h>
#include <stdint.h>

#include <prony/worker.h>

/* The variant's "options" in engine.json. All default to 0, vocabulary to 1000. */
struct pace_options {
    double token_us, prefill_us;        /* per generated id, per prompt id */
    double load_ms, first_ms;           /* load; added to a process's first generate */
    double noise, process_noise;        /* sigma of the logarithm: per token, per process */
    double warmup, warmup_tokens;       /* share added to the first token, fades by e per count */
    double spike_rate, spike_factor;    /* probability, and times as long */
    double drift, drift_period_s;       /* amplitude of a sine over the machine's clock */
    double memory_mb, vocabulary, seed; /* seed 0: other noise in each process */
};

/* STATUS 0, or -1 with *error naming the option. */
int pace_options_parse(struct pace_options *options, const char *json, struct prony_error *error);

struct pace {
    struct pace_options options;
    uint64_t random;
    double process_factor;
    int64_t due_ns; /* when the token in the making is due */
    uint64_t tokens;
};

void pace_init(struct pace *pace, const struct pace_options *options);
/* Time starts now. */
void pace_start(struct pace *pace);
/* Waits for prompt ids to be taken in, then for one token after the other. */
void pace_prefill(struct pace *pace, size_t prompt_count);
void pace_token(struct pace *pace);
void pace_wait_ms(double ms);

/* A well mixed 64-bit function of its argument (splitmix64). */
uint64_t pace_mix(uint64_t value);

#endif
