/* The native engine's model on one NVIDIA GPU, or split over the first of several (tensor parallel,
 * llama/ranks.h): what llama/llama.h promises, behind it.
 *
 * One process holds all cards, with a thread for each, and they exchange by NCCL. A card that fails
 * when a model is loaded, or does not come to an exchange within PRONY_SHARD_TIMEOUT seconds, ends
 * the process with a word on stderr that names it, for the others would wait for it. */
#ifndef PRONY_LLAMA_CUDA_CARDS_H
#define PRONY_LLAMA_CUDA_CARDS_H

#include "llama/cuda/cuda_llama.h"

struct cards;

/* Over options->cards of them; 0 and 1: the one that options->device names. */
enum status cards_load(struct cards **cards, const struct model *model,
                       const struct llama_options *options, struct error *err);
void cards_free(struct cards *cards);
/* Of all cards together; the names are the first one's. */
struct cuda_llama_facts cards_facts(const struct cards *cards);
/* What the first card had to exchange so far: as llama_exchanged. */
void cards_exchanged(const struct cards *cards, uint64_t *bytes, int64_t *ns);

/* Bytes in use on all cards, by whomever. */
enum status cards_used(struct cards *cards, uint64_t *bytes, struct error *err);

/* As llama_forward and llama_generate, from position on; the ids have been checked. */
enum status cards_forward(struct cards *cards, const int32_t *ids, uint32_t count,
                          uint32_t position, float *logits, int all_logits, struct error *err);
enum status cards_generate(struct cards *cards, struct draw draw, const int32_t *ids,
                           uint32_t count, uint32_t position, uint32_t tokens,
                           llama_on_token *on_token, void *context, uint32_t *made,
                           struct error *err);

#endif
