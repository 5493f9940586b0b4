/* A model's matrices as they lie in a card's memory (layout.h, codes.h): where each is, and its
 * rows made from the model's. It needs no card. */
#ifndef PRONY_LLAMA_CUDA_PARTS_H
#define PRONY_LLAMA_CUDA_PARTS_H

#include "llama/cpu/kernels.h"
#include "llama/cuda/layout.h"
#include "llama/ranks.h"
#include "model/model.h"

/* One matrix, and where its rows come from. */
struct card_part {
    enum { PART_PLAIN, PART_QKV, PART_GATE_UP } kind;
    const struct tensor *tensor;     /* PART_PLAIN */
    const struct model_layer *layer; /* the others */
    enum llama_precision precision;
    size_t rows, columns;
    size_t first_row, first_column; /* of those of the whole model, the first that is held */
    uint64_t at;                    /* bytes from the first part */
};

struct parts {
    const struct model *model;
    const struct kernels *kernels;
    const struct ranks *ranks; /* NULL: all is held */
    struct card_part *part;
    size_t count;
    size_t columns;         /* of the widest, and of what it is a part of */
    struct cuda_weights to; /* offsets instead of addresses; no norms */
    uint64_t bytes;         /* that all take */
    /* As they are counted everywhere, without what fills up groups of codes: of all, of what
     * computing a token reads, of an embedding that is not the output as well (else 0). */
    uint64_t held_bytes, token_bytes, embedding_bytes;
};

/* What making rows needs. A zeroed one may be freed. */
struct part_room {
    float *wide, *scales; /* a row, and its scales */
    unsigned char *codes;
};

/* Options: precision, quantize, and of ranks which and how many. The caller frees parts, filled or
 * not. */
enum status parts_place(struct parts *parts, const struct model *model,
                        const struct llama_options *options, struct error *err);
void parts_free(struct parts *parts);

/* Bytes of so many rows of a part: of codes whole groups. */
uint64_t part_bytes(const struct card_part *part, size_t rows);

/* False when there is no memory. */
bool part_room_get(struct part_room *room, const struct parts *parts);
void part_room_free(struct part_room *room);
/* Makes rows of a part, of codes from the beginning of a group on. */
void part_fill(const struct parts *parts, const struct card_part *part, size_t begin, size_t rows,
               unsigned char *to, struct part_room *room);

#endif
