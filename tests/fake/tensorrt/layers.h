/* A network of TensorRT's, computed in float32 on the CPU: every layer as TensorRT's documentation
 * defines it, checked for what TensorRT would refuse. Only a product of float16 is added in
 * float16, as TensorRT may. */
#ifndef PRONY_TESTS_TENSORRT_LAYERS_H
#define PRONY_TESTS_TENSORRT_LAYERS_H

#include <stdbool.h>

#include "engines/tensorrt/trt.h"

enum { MOST_NODES = 4096, NAME = 24 };

/* One layer, which is its output. Without pointers but data, so that a plan is these. */
struct trt_tensor {
    enum op {
        OP_INPUT,
        OP_CONSTANT,
        OP_GATHER,
        OP_BINARY,
        OP_UNARY,
        OP_MEAN,
        OP_SOFTMAX,
        OP_CAST,
        OP_RESHAPE,
        OP_TRANSPOSE,
        OP_SLICE,
        OP_JOIN,
        OP_MULTIPLY,
        OP_SELECT,
        OP_LARGEST,
        OP_ROTATE,
        OP_UPDATE,
        OP_ATTEND
    } op;
    enum trt_type type;
    struct trt_dims dims; /* of inputs and constants; of a reshape, what was asked for */
    int32_t rank;
    int32_t in[5]; /* indices of what it is computed from */
    int64_t argument[2];
    char name[NAME], out[NAME]; /* of an input; under which it is an output */
    const void *data;           /* of a constant */
};

struct trt_network {
    struct trt_tensor node[MOST_NODES];
    int32_t count;
};

/* What a node has become. Numbers of all types are floats. */
struct value {
    struct trt_dims dims;
    float *data;
};

extern const struct trt_layers fake_layers, fake_layers_fused;

/* Complains to the log of the worker's, and returns NULL. */
void *fake_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

size_t fake_count(const struct trt_dims *dims);
size_t fake_type_bytes(enum trt_type type);
void fake_read(enum trt_type type, const void *from, float *to, size_t count);
void fake_write(enum trt_type type, const float *from, void *to, size_t count);

/* Computes one node from those before it; false after a complaint. The node is no input. */
bool fake_compute(const struct trt_network *network, int32_t index, struct value *values);

#endif
