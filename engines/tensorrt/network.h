/* A Llama model as a network of TensorRT's: what one step computes, for a prompt's part of T ids as
 * for the one id after it.
 *
 *     tokens     int32 [T]      ids
 *     positions  int32 [T]      where they stand
 *     start      int32 [1]      the first one's position: the entries of the cache before it count
 *     rows       int32 [R]      which of the T are to have logits
 *     k0, v0 ... [kv, S, d]     the cache of each layer
 *     logits     [R, vocabulary], next  int32 [R]
 *     k0_new ... [kv, T, d]     rows that the caller puts into the cache from start on; where the
 *                               network is fused: [1, kv, S, d], the cache itself with them in it
 */
#ifndef PRONY_TENSORRT_NETWORK_H
#define PRONY_TENSORRT_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/config.h"
#include "trt.h"
#include "weights.h"

struct network_spec {
    const struct model_config *config;
    const struct trt_weights *weights;
    const float *frequencies; /* [d / 2] radians per position */
    enum trt_type type;       /* of weights, activations and cache */
    uint32_t context;         /* S */
    bool fused;               /* layers for rotation, attention and the cache */
};

/* Constants are made in the arena, which has to stay until the network is built. */
enum status network_define(const struct trt_layers *layers, struct trt_network *network,
                           const struct network_spec *spec, struct arena *arena, struct error *err);

/* "k3" for (name, 3, false, ""), "v3_new". */
void network_cache_name(char name[24], uint32_t layer, bool values, const char *suffix);

#endif
