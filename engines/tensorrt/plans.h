/* Plans: networks that TensorRT has built for one card. They are kept in the cache folder by all
 * that they depend on, and so is what the builder learns of how fast kernels are. */
#ifndef PRONY_TENSORRT_PLANS_H
#define PRONY_TENSORRT_PLANS_H

#include <stdbool.h>

#include "gpu/cuda.h"
#include "model/model.h"
#include "network.h"
#include "trt.h"

enum { PLAN_PARTS = 2, PLAN_CHUNK = 512, PLAN_ROWS = 64 };

/* How a variant computes; its options in engine.json, and what was asked for. */
struct recipe {
    enum trt_type type;
    enum tensor_type stored; /* the same of tensors */
    const char *precision;   /* "float16" */
    int32_t level;           /* of optimisation; -1: the builder's default */
    bool graph;              /* a step is one CUDA graph */
    bool fused;              /* TensorRT's own layers, where it has them */
    bool timing_cache;
    bool apart; /* a plan of its own for a step, instead of one with two profiles */
};

/* The profiles of one plan, or the plans, in this order. */
enum part { PART_STEP, PART_PROMPT };

struct plan_maker {
    const struct trt *trt;
    const struct model *model;
    const struct cuda_device *device;
    const struct recipe *recipe;
    uint32_t context;
    const char *folder; /* the cache */
};

/* The engines of the plans: 1, or 2 where they are apart. */
struct plans {
    struct trt_engine *engine[PLAN_PARTS];
    size_t count;
    size_t built; /* how many were not in the cache */
    int64_t build_start_ns, build_end_ns;
};

/* Takes the plans from the cache, or builds them. A zeroed struct may be closed. */
enum status plans_open(struct plans *plans, const struct plan_maker *maker, struct error *err);
void plans_close(struct plans *plans, const struct trt *trt);

#endif
