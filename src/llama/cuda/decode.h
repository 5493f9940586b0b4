/* The token loop as one kernel that stays on the card (decode.cu), where card and shape allow. */
#ifndef PRONY_LLAMA_CUDA_DECODE_H
#define PRONY_LLAMA_CUDA_DECODE_H

#include "llama/cuda/portable.h"

struct decode {
    struct cuda_function *kernel; /* NULL: this card or shape has none */
    struct decode_params params;
    uint32_t blocks, shared_bytes;
    cuda_pointer memory;
    uint64_t cleared_bytes; /* counters, vectors and parts, before the kernel starts */
};

/* Whether the kernel serves a shape on so many multiprocessors with so much shared memory for a
 * block; sets stages, vector and partial. */
bool decode_fits(struct decode_params *params, const struct cuda_shape *shape,
                 const struct cuda_form *form, uint32_t blocks, uint32_t shared_bytes);

/* Leaves kernel NULL where there is none for this card and shape. */
enum status decode_open(struct decode *decode, struct card *card, const struct device_model *model,
                        struct error *err);
void decode_close(struct decode *decode, struct card *card);

/* Starts tokens steps from position on, the first with *first and its draw. Each id goes to ids[i]
 * in host memory when it is made; *stop there ends the loop. logits is 0 or room for those of the
 * last. */
enum status decode_start(const struct decode *decode, const struct card *card, struct draw draw,
                         uint32_t position, uint32_t tokens, cuda_pointer first, cuda_pointer ids,
                         cuda_pointer stop, cuda_pointer logits, struct error *err);

#endif
