/* A plan: a network that TensorRT has built for one card. It is kept in the cache folder by all
 * that it depends on, and so is what the builder learns of how fast kernels are. */
#ifndef PRONY_TENSORRT_PLAN_H
#define PRONY_TENSORRT_PLAN_H

#include <stdbool.h>

#include "gpu/cuda.h"
#include "model/model.h"
#include "network.h"
#include "trt.h"

enum { PLAN_CHUNK = 512, PLAN_ROWS = 64 };

/* How a variant computes; its options in engine.json, and what was asked for. */
struct recipe {
    enum trt_type type;
    enum tensor_type stored; /* the same of tensors */
    const char *precision;   /* "float16" */
    int32_t level;           /* of optimisation; -1: the builder's default */
    bool graph;              /* a step is one CUDA graph */
    bool fused;              /* TensorRT's own layers, where it has them */
    bool timing_cache;
};

/* The profiles of a plan: one id, and a prompt's part of up to PLAN_CHUNK. */
enum part { PART_STEP, PART_PROMPT, PARTS };

struct plan_maker {
    const struct trt *trt;
    const struct model *model;
    const struct cuda_device *device;
    const struct recipe *recipe;
    uint32_t context;
    const char *folder; /* the cache */
};

struct plan {
    struct trt_engine *engine;
    bool built; /* it was not in the cache */
    int64_t build_start_ns, build_end_ns;
};

/* Takes the plan from the cache, or builds it. A zeroed struct may be closed. */
enum status plan_open(struct plan *plan, const struct plan_maker *maker, struct error *err);
void plan_close(struct plan *plan, const struct trt *trt);

#endif
