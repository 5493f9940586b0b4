/* TensorRT as the worker sees it: tables of C functions over its C++ classes. shim.cpp, compiled at
 * installation against the user's TensorRT, fills them in; a test fills in the layers with plain
 * float32 arithmetic, so that the network can be judged without a GPU. */
#ifndef PRONY_TENSORRT_TRT_H
#define PRONY_TENSORRT_TRT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TRT_INTERFACE = 1, TRT_MAX_DIMS = 8, TRT_MAX_RANGES = 4, TRT_MAX_PROFILES = 2 };

enum trt_type { TRT_FLOAT, TRT_HALF, TRT_BFLOAT, TRT_INT32, TRT_BOOL };
enum trt_binary { TRT_ADD, TRT_SUBTRACT, TRT_MULTIPLY, TRT_LESS };
enum trt_unary { TRT_SQRT, TRT_RECIPROCAL, TRT_SIGMOID };

struct trt_dims {
    int32_t count;
    int64_t size[TRT_MAX_DIMS];
};

struct trt_network; /* a network that is being defined */
struct trt_tensor;  /* of it */

/* Constructors of layers; each returns the layer's output, or NULL. -1 is a size that is known at
 * run time only. Types are strict: what is computed with each other is of one type. */
struct trt_layers {
    /* size names a first size of -1: two of one name are always equal. NULL: there is none. */
    struct trt_tensor *(*input)(struct trt_network *network, const char *name, enum trt_type type,
                                const struct trt_dims *dims, const char *size);
    /* The data must stay until the network is built. */
    struct trt_tensor *(*constant)(struct trt_network *network, enum trt_type type,
                                   const struct trt_dims *dims, const void *data);
    /* Rows of data, along its first dimension. indices is int32 [n]. */
    struct trt_tensor *(*gather)(struct trt_network *network, struct trt_tensor *data,
                                 struct trt_tensor *indices);
    /* A size of 1 is repeated to the other's; both have as many dimensions. */
    struct trt_tensor *(*binary)(struct trt_network *network, enum trt_binary operation,
                                 struct trt_tensor *a, struct trt_tensor *b);
    struct trt_tensor *(*unary)(struct trt_network *network, enum trt_unary operation,
                                struct trt_tensor *a);
    /* Over the last dimension, which stays with size 1. */
    struct trt_tensor *(*mean)(struct trt_network *network, struct trt_tensor *a);
    struct trt_tensor *(*softmax)(struct trt_network *network, struct trt_tensor *a);
    struct trt_tensor *(*cast)(struct trt_network *network, struct trt_tensor *a,
                               enum trt_type type);
    /* A size of 0 is that of the same dimension of a; -1 is what remains. */
    struct trt_tensor *(*reshape)(struct trt_network *network, struct trt_tensor *a,
                                  const struct trt_dims *dims);
    /* The first two dimensions of three change places. */
    struct trt_tensor *(*transpose)(struct trt_network *network, struct trt_tensor *a);
    /* Along the last dimension. A size of -1 is all that follows start. */
    struct trt_tensor *(*slice)(struct trt_network *network, struct trt_tensor *a, int64_t start,
                                int64_t size);
    struct trt_tensor *(*join)(struct trt_network *network, struct trt_tensor *a,
                               struct trt_tensor *b);
    /* a [..., n, k] by b [..., k, m], or by b [..., m, k] when transposed. */
    struct trt_tensor *(*multiply)(struct trt_network *network, struct trt_tensor *a,
                                   struct trt_tensor *b, int transposed);
    /* yes where condition is true, else no; sizes of 1 are repeated. */
    struct trt_tensor *(*select)(struct trt_network *network, struct trt_tensor *condition,
                                 struct trt_tensor *yes, struct trt_tensor *no);
    /* The index of the largest along the second dimension of two: int32 [n, 1]. */
    struct trt_tensor *(*largest)(struct trt_network *network, struct trt_tensor *a);
    int (*output)(struct trt_network *network, const char *name, struct trt_tensor *a);

    /* Of TensorRT 10.15 and newer; NULL before. All four have 4 dimensions, [1, heads, n, d]. */

    /* Halves are rotated. cosines, sines: [positions, d / 2]; positions: int32 [1, n]. */
    struct trt_tensor *(*rotate)(struct trt_network *network, struct trt_tensor *a,
                                 struct trt_tensor *cosines, struct trt_tensor *sines,
                                 struct trt_tensor *positions);
    /* The cache with rows put in from start, int32 [1], on; it is the same memory. */
    struct trt_tensor *(*update)(struct trt_network *network, struct trt_tensor *cache,
                                 struct trt_tensor *rows, struct trt_tensor *start);
    /* The mask is of booleans; queries are scaled already. */
    struct trt_tensor *(*attend)(struct trt_network *network, struct trt_tensor *queries,
                                 struct trt_tensor *keys, struct trt_tensor *values,
                                 struct trt_tensor *mask);
};

/* The sizes of one input of one dimension: those that can come, and the one to tune for. */
struct trt_range {
    const char *input;
    int64_t least, best, most;
};

struct trt_build {
    int32_t level; /* 0 to 5; -1 is the builder's default */
    struct trt_range range[TRT_MAX_PROFILES][TRT_MAX_RANGES];
    size_t ranges[TRT_MAX_PROFILES], profiles;
    const void *timing; /* a timing cache to begin with; NULL: none */
    size_t timing_bytes;
    int keep_timing; /* whether a new one is wanted */
};

/* Memory of TensorRT's; free it with memory_free. */
struct trt_memory {
    void *object;
    const void *data;
    size_t bytes;
};

enum trt_severity { TRT_INTERNAL_ERROR, TRT_ERROR, TRT_WARNING, TRT_INFO };
typedef void trt_on_log(enum trt_severity severity, const char *text);

struct trt_builder;
struct trt_engine;
struct trt_context;

/* What returns an int returns 0, or -1; TensorRT's log says why. */
struct trt {
    uint32_t interface; /* TRT_INTERFACE */
    int32_t version;    /* of the library: 101503 is 10.15.3 */
    int32_t headers;    /* that of the headers that the shim was compiled against */
    const struct trt_layers *layers;

    /* Of a builder there is one at a time, with one network. It needs a driver and a card. */
    struct trt_builder *(*builder_open)(void);
    struct trt_network *(*builder_network)(struct trt_builder *builder);
    /* -2: the timing cache was refused. timing may be NULL. */
    int (*builder_build)(struct trt_builder *builder, const struct trt_build *build,
                         struct trt_memory *plan, struct trt_memory *timing);
    void (*builder_close)(struct trt_builder *builder);
    void (*memory_free)(struct trt_memory *memory);

    struct trt_engine *(*engine_open)(const void *plan, size_t bytes);
    void (*engine_close)(struct trt_engine *engine);
    /* A context holds what computing takes, for one profile. */
    struct trt_context *(*context_open)(struct trt_engine *engine, int32_t profile, void *stream);
    int (*context_bind)(struct trt_context *context, const char *name, uint64_t address);
    int (*context_size)(struct trt_context *context, const char *input, int64_t size);
    int (*context_enqueue)(struct trt_context *context, void *stream);
    void (*context_close)(struct trt_context *context);
};

/* What the shared object exports. Nothing is called before. */
const struct trt *prony_tensorrt_open(trt_on_log *on_log);

#ifdef __cplusplus
}
#endif

#endif
