/* What a variant keeps in memory, as its engine.json declares it, so that the memory it needs is
 * known before anything is loaded. */
#ifndef PRONY_ENGINE_MANIFEST_MEMORY_H
#define PRONY_ENGINE_MANIFEST_MEMORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* How numbers are held. */
enum engine_held { ENGINE_HELD_F32, ENGINE_HELD_F16, ENGINE_HELD_BF16, ENGINE_HELD_STORED };

struct engine_memory {
    bool known;               /* false: the manifest says nothing, and nobody guesses */
    bool exact;               /* within 5 %, on a CPU; else the least that it takes */
    enum engine_held weights; /* when it is not asked to quantise; STORED: as the file has them */
    enum engine_held cache;   /* the KV cache; not STORED */
    double copies;            /* of the weights, at the worst moment */
    uint64_t base_bytes;      /* of the process, whatever the model */
    uint32_t positions;       /* computed together: activations are float32 and so many */
    uint32_t logits;          /* rows of float32 logits */
    bool unpacks;             /* quantised matrices, one after the other, to 16 bits for a prompt */
};

/* What a process keeps of the machine's memory, or, where it computes on a card, of that. */
struct engine_memories {
    struct engine_memory cpu, card;
    uint64_t full_base_bytes; /* cpu's base where not the smaller build is installed; 0: the same */
};

/* object: the variant's "memory"; NULL when it has none. Its member "cuda" has what differs on a
 * card, where neither base nor working space count unless it says so: they are the driver's and the
 * kernels'. */
enum status manifest_memory_parse(const json_t *object, struct engine_memories *memories,
                                  struct error *err);

#endif
