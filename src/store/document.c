#include "store/document.h"

#include "store/record.h"

/* Stamps and bytes beyond this are no such thing, and a difference of two could overflow. */
#define MOST (INT64_C(1) << 61)

#define TEXT(type, name)                                                                           \
    {                                                                                              \
#name, MEMBER_TEXT, offsetof(struct type, name), 0, 0, false                               \
    }
#define TEXT_OR_NULL(type, name)                                                                   \
    {                                                                                              \
#name, MEMBER_TEXT_OR_NULL, offsetof(struct type, name), 0, 0, false                       \
    }
#define REAL(type, name)                                                                           \
    {                                                                                              \
#name, MEMBER_REAL, offsetof(struct type, name), 0, 0, false                               \
    }
#define NUMBER(type, name, kind, low, high)                                                        \
    {                                                                                              \
#name, kind, offsetof(struct type, name), low, high, false                                 \
    }
#define STAMP(type, name) NUMBER(type, name, MEMBER_I64, 0, MOST)
#define COUNT(name) NUMBER(record_process, name, MEMBER_U32, 0, UINT32_MAX)
#define SIZE(name) NUMBER(record_process, name, MEMBER_U64, 0, MOST)
#define MEMORY(name) NUMBER(record_process, name, MEMBER_I64, -1, MOST)

const struct member run_members[] = {
    TEXT(record_run, uid), TEXT(record_run, created), TEXT(record_run, state), {.key = NULL}};

const struct member variant_members[] = {
    TEXT(record_variant, name),
    TEXT(record_variant, title),
    TEXT(record_variant, engine),
    TEXT(record_variant, precision),
    TEXT(record_variant, about),
    TEXT(record_variant, engine_version),
    TEXT(record_variant, stands_on),
    TEXT(record_variant, detail),
    TEXT_OR_NULL(record_variant, unavailable),
    {.key = NULL},
};

#define EQUIVALENCE_COUNT(name) NUMBER(record_equivalence, name, MEMBER_U32, 0, UINT32_MAX)

const struct member equivalence_members[] = {
    TEXT(record_equivalence, precision),
    TEXT_OR_NULL(record_equivalence, why),
    EQUIVALENCE_COUNT(positions),
    EQUIVALENCE_COUNT(broken),
    EQUIVALENCE_COUNT(agreeing),
    REAL(record_equivalence, kl_mean),
    REAL(record_equivalence, kl_most),
    REAL(record_equivalence, kl_bound),
    REAL(record_equivalence, error_most),
    REAL(record_equivalence, error_bound),
    NUMBER(record_equivalence, first, MEMBER_I64, -1, UINT32_MAX),
    REAL(record_equivalence, first_margin),
    EQUIVALENCE_COUNT(greedy_ids),
    EQUIVALENCE_COUNT(greedy_worst),
    REAL(record_equivalence, greedy_margin),
    {"told", MEMBER_U32, offsetof(struct record_equivalence, told), 0, UINT32_MAX, true},
    {.key = NULL},
};

const struct member phase_members[] = {TEXT(record_phase, name),
                                       STAMP(record_phase, start_ns),
                                       STAMP(record_phase, end_ns),
                                       {.key = NULL}};

const struct member process_members[] = {
    NUMBER(record_process, block, MEMBER_U32, 0, DOCUMENT_MAX_BLOCKS - 1),
    COUNT(position),
    COUNT(variant),
    TEXT_OR_NULL(record_process, failure),
    TEXT_OR_NULL(record_process, log_tail),
    STAMP(record_process, spawned_ns),
    STAMP(record_process, hello_ns),
    STAMP(record_process, load_asked_ns),
    STAMP(record_process, load_ready_ns),
    SIZE(weight_bytes),
    SIZE(kv_token_bytes),
    SIZE(embedding_bytes),
    COUNT(threads),
    TEXT(record_process, precision),
    STAMP(record_process, cold_asked_ns),
    STAMP(record_process, cold_prompt_ns),
    STAMP(record_process, cold_first_ns),
    COUNT(prompt_tokens),
    STAMP(record_process, prompt_ns),
    COUNT(warmup_steps),
    MEMORY(memory_before),
    MEMORY(memory_loaded),
    MEMORY(memory_peak),
    MEMORY(device_before),
    MEMORY(device_loaded),
    MEMORY(device_peak),
    TEXT(record_process, memory_method),
    REAL(record_process, bandwidth),
    REAL(record_process, load_average),
    {"attempt", MEMBER_U32, offsetof(struct record_process, attempt), 0, UINT32_MAX, true},
    {"point", MEMBER_U32, offsetof(struct record_process, point), 0, UINT32_MAX, true},
    {.key = NULL},
};
