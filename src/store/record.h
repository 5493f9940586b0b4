/* What one run recorded, exactly as it arrived: the input of every summary and report. */
#ifndef PRONY_STORE_RECORD_H
#define PRONY_STORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One variant of the run's plan: a column of the table. */
struct record_variant {
    const char *name, *title, *engine, *precision, *about;
    /* From hello and load, once a process of it got there; else empty. */
    const char *engine_version, *stands_on, *detail;
    /* Why it cannot run here and what mends that, decided before the run; NULL: it can. */
    const char *unavailable;
};

/* What a variant's first good process said of itself. */
struct record_versions {
    const char *engine_version, *stands_on, *detail;
};

struct record_phase {
    const char *name;
    int64_t start_ns, end_ns;
};

/* One figure about the machine while a process ran, such as "foreign_cores": bench/watch.h has the
 * names. What the machine does not show has none. */
struct record_reading {
    const char *name;
    double value; /* finite */
};

/* One worker process: one variant's turn in one block. Stamps are CLOCK_MONOTONIC ns, 0 when the
 * process did not get that far; bytes are -1 when unknown. */
struct record_process {
    uint32_t block;       /* 0-based */
    uint32_t attempt;     /* at this block: a disturbed one is done again */
    uint32_t point;       /* of the plan's sweep or load matrix; 0: the run's own */
    uint32_t position;    /* in the block's order */
    uint32_t variant;     /* index in record_run.variants */
    const char *failure;  /* NULL: it went well; else one line that says why it did not */
    const char *log_tail; /* end of the worker's output when it failed, else NULL */

    int64_t spawned_ns, hello_ns;
    int64_t load_asked_ns, load_ready_ns;
    struct record_phase *phases;
    size_t phase_count;
    uint64_t weight_bytes, kv_token_bytes;
    /* Of the input embedding as held, when it is a matrix of its own: a step reads one row of it.
     * 0 when tied or unknown. */
    uint64_t embedding_bytes;
    uint32_t threads;
    const char *precision; /* of the weights as held */

    int64_t cold_asked_ns;                 /* the host's clock as it asked for the cold generate */
    int64_t cold_prompt_ns, cold_first_ns; /* the first generate of the process */
    uint32_t prompt_tokens;
    int64_t prompt_ns;  /* the timed generate: hand-over, then stamps */
    int64_t *stamps_ns; /* [token_count] arrival of each id */
    int32_t *ids;       /* [token_count] */
    size_t token_count;
    uint32_t warmup_steps; /* leading decode steps that do not count */

    int64_t memory_before, memory_loaded, memory_peak; /* host bytes */
    int64_t device_before, device_loaded, device_peak; /* device bytes */
    const char *memory_method;
    double bandwidth;    /* bytes/s that the probe read in this block with these threads; 0 */
    double load_average; /* of the machine, when the process started */
    struct record_reading *readings;
    size_t reading_count;
};

/* What the equivalence gate found of one variant (bench/equivalence.h); shares are of the range of
 * the reference's logits at that position. */
struct record_equivalence {
    const char *precision; /* whose bounds these are; NULL: there is no record of the variant */
    const char *why;       /* why it could not be gated; NULL: it was */
    uint32_t positions;    /* of text that both were given */
    uint32_t broken;       /* of them, those at which a logit was no finite number */
    uint32_t agreeing;     /* of them, those at which both would choose the same id */
    uint32_t told;         /* ids whose probability it told at each of them, at most; 0: logits of
                              all. Mean KL and largest error are then the least that they can be */
    double kl_mean, kl_most, kl_bound; /* nats; the bound is that of the mean */
    double error_most, error_bound;    /* of a logit, as a share */
    int64_t first;                     /* position of the first other choice; -1: none */
    double first_margin;               /* by how much the reference preferred its own there */
    uint32_t greedy_ids;   /* generated ids that were held against the reference, over all blocks */
    uint32_t greedy_worst; /* place of the one that the reference likes least, */
    double greedy_margin;  /* and how far it puts it below its best */
};

struct record_run {
    int64_t id;
    const char *created;  /* UTC, ISO 8601 */
    const char *state;    /* "running", "complete", "interrupted" */
    const char *uid;      /* 32 hexadecimal digits: the same wherever the run is imported */
    bool imported;        /* measured elsewhere: never gone on with here */
    const char *plan;     /* JSON: bench/plan.h */
    const char *manifest; /* JSON: machine, versions, model hash, command */
    struct record_variant *variants;
    size_t variant_count;
    struct record_equivalence *equivalence; /* [variant_count]; NULL: none was recorded */
    struct record_process *processes;       /* in order of execution */
    size_t process_count;
};

#endif
