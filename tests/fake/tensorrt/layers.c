/* How a network is defined. */
#include "layers.h"

#include <string.h>

#include "model/half.h"

/* A new node with its inputs, whose types it must have in common. */
static struct trt_tensor *node(struct trt_network *network, enum op op, enum trt_type type,
                               int32_t rank, struct trt_tensor *const *in, int32_t inputs)
{
    if (network->count == MOST_NODES)
        return fake_refuse("there are more than %d layers", MOST_NODES);
    struct trt_tensor *made = &network->node[network->count++];
    *made = (struct trt_tensor){.op = op, .type = type, .rank = rank};
    for (int32_t i = 0; i < inputs; i++)
        made->in[i] = (int32_t)(in[i] - network->node);
    return made;
}

#define NODE(network, op, type, rank, ...)                                                         \
    node(network, op, type, rank, (struct trt_tensor *[]){__VA_ARGS__},                            \
         sizeof((struct trt_tensor *[]){__VA_ARGS__}) / sizeof(struct trt_tensor *))

static bool alike(const struct trt_tensor *a, const struct trt_tensor *b)
{
    return a->type == b->type && a->rank == b->rank;
}

static struct trt_tensor *input(struct trt_network *network, const char *name, enum trt_type type,
                                const struct trt_dims *dims, const char *size)
{
    struct trt_tensor *made = node(network, OP_INPUT, type, dims->count, NULL, 0);
    if ((dims->size[0] == -1) != (size != NULL))
        return fake_refuse("%s has a size without a name, or a name without a size", name);
    made->dims = *dims;
    strncpy(made->name, name, NAME - 1);
    return made;
}

static struct trt_tensor *constant(struct trt_network *network, enum trt_type type,
                                   const struct trt_dims *dims, const void *data)
{
    struct trt_tensor *made = node(network, OP_CONSTANT, type, dims->count, NULL, 0);
    made->dims = *dims;
    made->data = data;
    return made;
}

static struct trt_tensor *gather(struct trt_network *network, struct trt_tensor *data,
                                 struct trt_tensor *indices)
{
    if (data->rank != 2 || indices->rank != 1 || indices->type != TRT_INT32)
        return fake_refuse("gather takes rows of a matrix by int32");
    return NODE(network, OP_GATHER, data->type, 2, data, indices);
}

static struct trt_tensor *binary(struct trt_network *network, enum trt_binary operation,
                                 struct trt_tensor *a, struct trt_tensor *b)
{
    if (!alike(a, b))
        return fake_refuse("an operation on types %d, %d and ranks %d, %d", a->type, b->type,
                           a->rank, b->rank);
    struct trt_tensor *made =
        NODE(network, OP_BINARY, operation == TRT_LESS ? TRT_BOOL : a->type, a->rank, a, b);
    made->argument[0] = operation;
    return made;
}

static struct trt_tensor *unary(struct trt_network *network, enum trt_unary operation,
                                struct trt_tensor *a)
{
    struct trt_tensor *made = NODE(network, OP_UNARY, a->type, a->rank, a);
    made->argument[0] = operation;
    return made;
}

static struct trt_tensor *mean(struct trt_network *network, struct trt_tensor *a)
{
    return NODE(network, OP_MEAN, a->type, a->rank, a);
}

static struct trt_tensor *softmax(struct trt_network *network, struct trt_tensor *a)
{
    return NODE(network, OP_SOFTMAX, a->type, a->rank, a);
}

static struct trt_tensor *cast(struct trt_network *network, struct trt_tensor *a,
                               enum trt_type type)
{
    return NODE(network, OP_CAST, type, a->rank, a);
}

static struct trt_tensor *reshape(struct trt_network *network, struct trt_tensor *a,
                                  const struct trt_dims *dims)
{
    struct trt_tensor *made = NODE(network, OP_RESHAPE, a->type, dims->count, a);
    made->dims = *dims;
    return made;
}

static struct trt_tensor *transpose(struct trt_network *network, struct trt_tensor *a)
{
    if (a->rank != 3)
        return fake_refuse("a transposition of rank %d", a->rank);
    return NODE(network, OP_TRANSPOSE, a->type, 3, a);
}

static struct trt_tensor *slice(struct trt_network *network, struct trt_tensor *a, int64_t start,
                                int64_t size)
{
    struct trt_tensor *made = NODE(network, OP_SLICE, a->type, a->rank, a);
    made->argument[0] = start;
    made->argument[1] = size;
    return made;
}

static struct trt_tensor *join(struct trt_network *network, struct trt_tensor *a,
                               struct trt_tensor *b)
{
    return alike(a, b) ? NODE(network, OP_JOIN, a->type, a->rank, a, b)
                       : fake_refuse("a concatenation of what is not alike");
}

static struct trt_tensor *multiply(struct trt_network *network, struct trt_tensor *a,
                                   struct trt_tensor *b, int transposed)
{
    if (!alike(a, b))
        return fake_refuse("a product of what is not alike");
    struct trt_tensor *made = NODE(network, OP_MULTIPLY, a->type, a->rank, a, b);
    made->argument[0] = transposed;
    return made;
}

static struct trt_tensor *choose(struct trt_network *network, struct trt_tensor *condition,
                                 struct trt_tensor *yes, struct trt_tensor *no)
{
    if (condition->type != TRT_BOOL || condition->rank != yes->rank || !alike(yes, no))
        return fake_refuse("a selection of what is not alike");
    return NODE(network, OP_SELECT, yes->type, yes->rank, condition, yes, no);
}

static struct trt_tensor *largest(struct trt_network *network, struct trt_tensor *a)
{
    return a->rank == 2 ? NODE(network, OP_LARGEST, TRT_INT32, 2, a)
                        : fake_refuse("the largest of rank %d", a->rank);
}

static int output(struct trt_network *network, const char *name, struct trt_tensor *a)
{
    (void)network;
    strncpy(a->out, name, NAME - 1);
    return 0;
}

static struct trt_tensor *rotate(struct trt_network *network, struct trt_tensor *a,
                                 struct trt_tensor *cosines, struct trt_tensor *sines,
                                 struct trt_tensor *positions)
{
    if (a->rank != 4 || cosines->rank != 2 || !alike(cosines, sines) || cosines->type != a->type ||
        positions->rank != 2 || positions->type != TRT_INT32)
        return fake_refuse("a rotation of what does not fit together");
    return NODE(network, OP_ROTATE, a->type, 4, a, cosines, sines, positions);
}

static struct trt_tensor *update(struct trt_network *network, struct trt_tensor *cache,
                                 struct trt_tensor *rows, struct trt_tensor *start)
{
    if (cache->rank != 4 || !alike(cache, rows) || start->rank != 1 || start->type != TRT_INT32)
        return fake_refuse("an update of what does not fit together");
    return NODE(network, OP_UPDATE, cache->type, 4, cache, rows, start);
}

static struct trt_tensor *attend(struct trt_network *network, struct trt_tensor *queries,
                                 struct trt_tensor *keys, struct trt_tensor *values,
                                 struct trt_tensor *mask)
{
    if (queries->rank != 4 || !alike(queries, keys) || !alike(keys, values) || mask->rank != 4 ||
        mask->type != TRT_BOOL)
        return fake_refuse("an attention of what does not fit together");
    return NODE(network, OP_ATTEND, queries->type, 4, queries, keys, values, mask);
}

#define PLAIN_LAYERS                                                                               \
    .input = input, .constant = constant, .gather = gather, .binary = binary, .unary = unary,      \
    .mean = mean, .softmax = softmax, .cast = cast, .reshape = reshape, .transpose = transpose,    \
    .slice = slice, .join = join, .multiply = multiply, .select = choose, .largest = largest,      \
    .output = output

const struct trt_layers fake_layers = {PLAIN_LAYERS};
const struct trt_layers fake_layers_fused = {PLAIN_LAYERS, .rotate = rotate, .update = update,
                                             .attend = attend};

size_t fake_count(const struct trt_dims *dims)
{
    size_t count = 1;
    for (int32_t i = 0; i < dims->count; i++)
        count *= (size_t)dims->size[i];
    return count;
}

size_t fake_type_bytes(enum trt_type type)
{
    return type == TRT_BOOL ? 1 : type == TRT_HALF || type == TRT_BFLOAT ? 2 : 4;
}

void fake_read(enum trt_type type, const void *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = type == TRT_FLOAT   ? ((const float *)from)[i]
                : type == TRT_HALF  ? half_to_float(((const uint16_t *)from)[i])
                : type == TRT_INT32 ? (float)((const int32_t *)from)[i]
                                    : bfloat_to_float(((const uint16_t *)from)[i]);
}

void fake_write(enum trt_type type, const float *from, void *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (type == TRT_FLOAT)
            ((float *)to)[i] = from[i];
        else if (type == TRT_INT32)
            ((int32_t *)to)[i] = (int32_t)from[i];
        else
            ((uint16_t *)to)[i] =
                type == TRT_HALF ? half_from_float(from[i]) : bfloat_from_float(from[i]);
}
