#include "llama/profile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    EVENTS = 1 << 20, /* of all tracks: about 100 MB of JSON */
    STEPS = 1 << 16,
    CACHE_LINE = 64
};

static const char *const names[OPERATIONS] = {
    [OPERATION_EMBED] = "embedding",       [OPERATION_NORM] = "norm",
    [OPERATION_QKV] = "query, key, value", [OPERATION_ROPE] = "rope and cache",
    [OPERATION_ATTENTION] = "attention",   [OPERATION_ATTENTION_OUT] = "attention output",
    [OPERATION_GATE_UP] = "gate and up",   [OPERATION_DOWN] = "down",
    [OPERATION_LOGITS] = "logits",         [OPERATION_EXCHANGE] = "exchange",
    [OPERATION_DEVICE] = "device",         [OPERATION_SAMPLE] = "sample",
    [OPERATION_HAND_OVER] = "hand over",   [OPERATION_WAIT] = "wait",
};

struct event {
    int64_t start_ns, end_ns;
    int32_t layer;
    enum operation operation;
};

/* Written by one thread; a cache line of its own keeps it from slowing its neighbours. */
struct track {
    _Alignas(CACHE_LINE) int64_t last_ns; /* its last mark */
    struct event *events;
    size_t count;
    uint64_t dropped;
};

/* The time to one token: a prompt's or the next one's. */
struct step {
    int64_t start_ns, end_ns;
    uint32_t index; /* 0: the prompt's */
};

struct profile {
    uint32_t tracks;
    size_t room; /* events of a track */
    int64_t opened_ns;
    struct step step;            /* the present one, */
    int64_t step_ns[OPERATIONS]; /* and what track 0 did in it */
    struct step *steps;
    size_t step_count;
    struct profile_sum sum;
    struct track track[];
};

const char *operation_name(enum operation operation)
{
    return names[operation];
}

enum status profile_open(struct profile **opened, uint32_t tracks, struct error *err)
{
    size_t bytes = sizeof(struct profile) + tracks * sizeof(struct track);
    bytes = (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct profile *profile = *opened = aligned_alloc(CACHE_LINE, bytes);
    if (!profile)
        return error_no_memory(err, bytes);
    *profile =
        (struct profile){.tracks = tracks, .room = EVENTS / tracks, .opened_ns = clock_now_ns()};
    for (uint32_t i = 0; i < tracks; i++)
        profile->track[i] = (struct track){.last_ns = profile->opened_ns};
    profile->steps = calloc(STEPS, sizeof *profile->steps);
    bool good = profile->steps != NULL;
    for (uint32_t i = 0; i < tracks; i++) {
        profile->track[i].events = calloc(profile->room, sizeof(struct event));
        good = good && profile->track[i].events;
    }
    if (good)
        return STATUS_OK;
    profile_close(profile);
    *opened = NULL;
    return error_no_memory(err, EVENTS * sizeof(struct event));
}

void profile_close(struct profile *profile)
{
    if (!profile)
        return;
    for (uint32_t i = 0; i < profile->tracks; i++)
        free(profile->track[i].events);
    free(profile->steps);
    free(profile);
}

void profile_add(struct profile *profile, uint32_t track_index, enum operation operation,
                 int32_t layer, int64_t start_ns, int64_t end_ns)
{
    if (!profile)
        return;
    struct track *track = &profile->track[track_index];
    if (track->count < profile->room)
        track->events[track->count++] = (struct event){start_ns, end_ns, layer, operation};
    else
        track->dropped++;
    if (track_index == 0)
        profile->step_ns[operation] += end_ns - start_ns;
}

void profile_mark_now(struct profile *profile, uint32_t track, enum operation operation,
                      int32_t layer)
{
    int64_t now_ns = clock_now_ns();
    profile_add(profile, track, operation, layer, profile->track[track].last_ns, now_ns);
    profile->track[track].last_ns = now_ns;
}

void profile_begin_now(struct profile *profile, uint32_t track)
{
    if (track == 0)
        profile_mark_now(profile, 0, OPERATION_WAIT, -1);
    else
        profile->track[track].last_ns = clock_now_ns();
}

static void step_begin(struct profile *profile, int64_t start_ns, uint32_t index)
{
    profile->step = (struct step){.start_ns = start_ns, .index = index};
    memset(profile->step_ns, 0, sizeof profile->step_ns);
}

void profile_answer(struct profile *profile)
{
    if (!profile)
        return;
    profile->track[0].last_ns = clock_now_ns();
    step_begin(profile, profile->track[0].last_ns, 0);
}

void profile_token(struct profile *profile)
{
    if (!profile)
        return;
    profile_mark_now(profile, 0, OPERATION_SAMPLE, -1);
    struct step *step = &profile->step;
    struct profile_sum *sum = &profile->sum;
    bool prompt = step->index == 0;
    step->end_ns = profile->track[0].last_ns;
    if (profile->step_count < STEPS)
        profile->steps[profile->step_count++] = *step;
    *(prompt ? &sum->prompts : &sum->tokens) += 1;
    *(prompt ? &sum->prompt_ns : &sum->token_ns) += step->end_ns - step->start_ns;
    for (size_t i = 0; i < OPERATIONS; i++)
        *(prompt ? &sum->operation[i].prompt_ns : &sum->operation[i].token_ns) +=
            profile->step_ns[i];
    step_begin(profile, step->end_ns, step->index + 1);
}

void profile_sum(const struct profile *profile, struct profile_sum *sum)
{
    *sum = profile->sum;
    for (uint32_t i = 0; i < profile->tracks; i++)
        sum->dropped += profile->track[i].dropped;
}

/* "ts" and "dur" in microseconds; the trace starts at 0, and three digits keep the nanoseconds. */
static void times_write(const struct profile *profile, int64_t start_ns, int64_t end_ns,
                        FILE *stream)
{
    int64_t at_ns = start_ns - profile->opened_ns, took_ns = end_ns - start_ns;
    fprintf(stream, "\"ts\":%" PRId64 ".%03d,\"dur\":%" PRId64 ".%03d", at_ns / 1000,
            (int)(at_ns % 1000), took_ns / 1000, (int)(took_ns % 1000));
}

static void track_write(const struct profile *profile, uint32_t index, FILE *stream)
{
    const struct track *track = &profile->track[index];
    int pid = (int)getpid();
    fprintf(stream,
            ",\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":%u,"
            "\"args\":{\"name\":\"%s %u\"}}",
            pid, index + 1, index ? "thread" : "main thread", index + 1);
    for (size_t i = 0; i < track->count; i++) {
        const struct event *event = &track->events[i];
        fprintf(stream,
                ",\n{\"name\":\"%s\",\"cat\":\"operation\",\"ph\":\"X\",\"pid\":%d,"
                "\"tid\":%u,",
                names[event->operation], pid, index + 1);
        times_write(profile, event->start_ns, event->end_ns, stream);
        if (event->layer >= 0)
            fprintf(stream, ",\"args\":{\"layer\":%d}", event->layer);
        fputc('}', stream);
    }
}

/* Slices around the operations of track 0. */
static void steps_write(const struct profile *profile, FILE *stream)
{
    for (size_t i = 0; i < profile->step_count; i++) {
        const struct step *step = &profile->steps[i];
        fprintf(stream, ",\n{\"name\":\"%s\",\"cat\":\"step\",\"ph\":\"X\",\"pid\":%d,\"tid\":1,",
                step->index ? "token" : "prompt", (int)getpid());
        times_write(profile, step->start_ns, step->end_ns, stream);
        fprintf(stream, ",\"args\":{\"index\":%u}}", step->index);
    }
}

enum status profile_write(const struct profile *profile, FILE *stream, struct error *err)
{
    struct profile_sum sum;
    profile_sum(profile, &sum);
    fprintf(stream,
            "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"dropped\":%" PRIu64 "},"
            "\"traceEvents\":[\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":1,"
            "\"args\":{\"name\":\"native engine\"}}",
            sum.dropped, (int)getpid());
    steps_write(profile, stream);
    for (uint32_t i = 0; i < profile->tracks; i++)
        track_write(profile, i, stream);
    fputs("\n]}\n", stream);
    return ferror(stream) ? error_errno(err, "write the trace") : STATUS_OK;
}
