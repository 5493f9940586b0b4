/* What the writing half (store.c) and the reading half (read.c) of the store share. */
#ifndef PRONY_STORE_CONNECTION_H
#define PRONY_STORE_CONNECTION_H

#include "store/sql.h"
#include "store/store.h"

struct store {
    sqlite3 *db;
    int lock_fd; /* PATH-lock: one byte for each run, locked by who measures it */
};

/* Columns of `process` in the order in which they are bound and read. */
#define PROCESS_COLUMNS                                                                            \
    " block, position, variant, failure, log_tail, spawned_ns, hello_ns, load_asked_ns,"           \
    " load_ready_ns, weight_bytes, kv_token_bytes, embedding_bytes, threads, precision,"           \
    " cold_asked_ns, cold_prompt_ns, cold_first_ns, prompt_tokens, prompt_ns, warmup_steps,"       \
    " memory_before, memory_loaded, memory_peak, device_before, device_loaded, device_peak,"       \
    " memory_method, bandwidth, load_average, attempt, point"

/* And of `equivalence`, after its key. */
#define EQUIVALENCE_COLUMNS                                                                        \
    " precision, why, positions, broken, agreeing, kl_mean, kl_most, kl_bound, error_most,"        \
    " error_bound, first, first_margin, greedy_ids, greedy_worst, greedy_margin, told"

#endif
