/* The native engine: a Llama model on the CPU or an NVIDIA GPU, one sequence, float32 accumulation.
 *
 * Linked by engines/native alone (and its tests and perf programs): the benchmark sees it, like
 * any engine, through the worker protocol. */
#ifndef PRONY_LLAMA_LLAMA_H
#define PRONY_LLAMA_LLAMA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "llama/profile.h"
#include "model/model.h"

/* What a matrix is held and read as; block formats of files are dequantised to it on load. The last
 * two are codes with scales (llama/quantize.h). */
enum llama_precision { LLAMA_F32, LLAMA_F16, LLAMA_BF16, LLAMA_INT8, LLAMA_NF4 };

struct llama_sampler;
struct ranks;

struct llama_options {
    enum llama_precision precision; /* weights already stored so are borrowed, not copied */
    /* LLAMA_INT8, LLAMA_NF4: what docs/quantisation.md says is quantised to; else nothing is. */
    enum llama_precision quantize;
    uint32_t context;    /* positions of KV cache to allocate */
    uint32_t threads;    /* 0: the cores that this process may run on */
    const char *kernels; /* "c", "avx2", "avx512", "neon"; NULL: the machine's best */
    const char *device;  /* "cpu", "cuda", "cuda:N"; NULL is the CPU */
    /* Round the output of every operation to the precision, as engines that compute in 16 bits do:
     * what rounding alone does to a model's logits. */
    bool rounded;
    /* Round the weights, and what products take, to what Q8_0's blocks of them stand for, as
     * engines that hold Q8_0 do: what that alone does to a model's logits. On the CPU. */
    bool q8_0;
    struct ranks *ranks; /* the processes that hold the model together; NULL: this one alone */
    uint32_t cards;      /* of the device "cuda", the first ones, that hold it together; 0 is 1 */
};

struct llama; /* weights, KV cache, thread pool and scratch */

/* The model must outlive it. Allocates everything that inference needs; runs nothing. */
enum status llama_load(struct llama **llama, const struct model *model,
                       const struct llama_options *options, struct error *err);
void llama_free(struct llama *llama);

/* For ranks other than the first, on which alone everything below may be called but what asks for
 * facts: computes what rank 0 orders until its llama_free. */
void llama_follow(struct llama *llama);

/* Forgets the sequence: the next llama_forward starts at position 0. */
void llama_reset(struct llama *llama);
/* Tokens in the KV cache. */
uint32_t llama_position(const struct llama *llama);
/* The kernel table that was picked: "avx512", "cuda persistent", ... */
const char *llama_kernels(const struct llama *llama);
/* The card's name; NULL on the CPU. */
const char *llama_device(const struct llama *llama);
/* Threads that work on a token; 1 when a card does. */
uint32_t llama_threads(const struct llama *llama);
/* Bytes that one decode step must read at a position: weights, plus the KV cache so far. */
uint64_t llama_bytes_per_token(const struct llama *llama, uint32_t position);
/* Bytes that this process holds for the weights (borrowed ones counted) and for the KV cache. */
uint64_t llama_weight_bytes(const struct llama *llama);
uint64_t llama_cache_bytes(const struct llama *llama);
/* Of the weights, the input embedding's when it is a matrix of its own; else 0. */
uint64_t llama_embedding_bytes(const struct llama *llama);

/* Bytes in use on the cards that hold it, by whomever; 0 on the CPU. */
enum status llama_device_used(struct llama *llama, uint64_t *bytes, struct error *err);
/* Of values that the first of several cards had to exchange with the others so far, the bytes, and
 * the time for those of tokens after a prompt: what a token's exchanges take by themselves, which
 * is measured at the end of the first llama_generate that makes several. Both 0 elsewhere. */
void llama_exchanged(const struct llama *llama, uint64_t *bytes, int64_t *ns);

/* From now on what is computed is entered there, on a track for each thread; NULL: no longer. */
void llama_profile(struct llama *llama, struct profile *profile);

/* Appends count ids and computes them (prefill when count > 1). logits is NULL, or room for
 * [rows, vocabulary] float32 with rows = count if all_logits, else 1 (the last id's).
 * STATUS_USAGE: an id outside the vocabulary, or the context is full. */
enum status llama_forward(struct llama *llama, const int32_t *ids, uint32_t count, float *logits,
                          int all_logits, struct error *err);

/* Appends ids and returns the greedy next id: argmax, the lowest id on ties. */
enum status llama_next(struct llama *llama, const int32_t *ids, uint32_t count, int32_t *next,
                       struct error *err);

/* Told of each id as it is there; non-zero ends the generation. */
typedef int llama_on_token(void *context, int32_t id);

/* Appends ids and generates up to tokens ids, greedy or as the sampler draws them (llama/sample.h;
 * NULL: greedy), each of which but the last is appended. On a GPU the loop runs there, unless the
 * sampler cuts. STATUS_USAGE also when ids and tokens - 1 do not fit the context. */
enum status llama_generate(struct llama *llama, struct llama_sampler *sampler, const int32_t *ids,
                           uint32_t count, uint32_t tokens, llama_on_token *on_token, void *context,
                           struct error *err);

#endif
