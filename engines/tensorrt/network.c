#include "network.h"

#include <math.h>
#include <stdio.h>

#include "model/half.h"

/* A network that is being defined, and what all of its layers share. */
struct definition {
    const struct trt_layers *trt;
    struct trt_network *network;
    const struct network_spec *spec;
    struct arena *arena;
    bool failed;
    const char *doing; /* for the error */
    struct trt_tensor *tokens, *positions, *start, *rows;
    struct trt_tensor *epsilon, *scale, *least; /* scalars */
    struct trt_tensor *cosines, *sines;         /* plain: [1, T, d]; fused: [S, d / 2] */
    struct trt_tensor *cached_mask, *new_mask;  /* plain: [1, 1, S], [1, 1, T, T] */
    struct trt_tensor *mask;                    /* fused: [1, 1, T, S] */
};

#define DIMS(...)                                                                                  \
    (&(struct trt_dims){sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), {__VA_ARGS__}})

/* A layer's output, or a failure that ends the definition. Its inputs are evaluated before it is
 * called, so that none is NULL. */
#define LAYER(d, constructor, ...)                                                                 \
    ((d)->failed ? NULL : checked(d, (d)->trt->constructor((d)->network, __VA_ARGS__)))

static struct trt_tensor *checked(struct definition *d, struct trt_tensor *made)
{
    d->failed = d->failed || !made;
    return made;
}

static struct trt_tensor *reshape(struct definition *d, struct trt_tensor *a,
                                  const struct trt_dims *dims)
{
    return LAYER(d, reshape, a, dims);
}

static struct trt_tensor *binary(struct definition *d, enum trt_binary operation,
                                 struct trt_tensor *a, struct trt_tensor *b)
{
    return LAYER(d, binary, operation, a, b);
}

static struct trt_tensor *cast(struct definition *d, struct trt_tensor *a, enum trt_type type)
{
    return LAYER(d, cast, a, type);
}

static struct trt_tensor *constant(struct definition *d, enum trt_type type,
                                   const struct trt_dims *dims, const void *data)
{
    return LAYER(d, constant, type, dims, data);
}

/* Numbers as a constant of the spec's type, or of float32. */
static struct trt_tensor *numbers(struct definition *d, enum trt_type type,
                                  const struct trt_dims *dims, const float *values)
{
    size_t count = 1;
    for (int32_t i = 0; i < dims->count; i++)
        count *= (size_t)dims->size[i];
    void *made = arena_array(d->arena, count, sizeof(float));
    for (size_t i = 0; made && i < count; i++) {
        if (type == TRT_FLOAT)
            ((float *)made)[i] = values[i];
        else
            ((uint16_t *)made)[i] =
                type == TRT_HALF ? half_from_float(values[i]) : bfloat_from_float(values[i]);
    }
    d->failed = d->failed || !made;
    return constant(d, type, dims, made);
}

/* weight [columns] is float32; x is [T, columns]. The mean is taken in float32. */
static struct trt_tensor *norm(struct definition *d, struct trt_tensor *x, const float *weight)
{
    struct trt_tensor *wide = cast(d, x, TRT_FLOAT);
    struct trt_tensor *square = binary(d, TRT_MULTIPLY, wide, wide);
    struct trt_tensor *mean = LAYER(d, mean, square);
    struct trt_tensor *sum = binary(d, TRT_ADD, mean, d->epsilon);
    struct trt_tensor *root = LAYER(d, unary, TRT_SQRT, sum);
    struct trt_tensor *factor = LAYER(d, unary, TRT_RECIPROCAL, root);
    struct trt_tensor *even = binary(d, TRT_MULTIPLY, wide, factor);
    struct trt_tensor *scale =
        constant(d, TRT_FLOAT, DIMS(1, d->spec->config->hidden_size), weight);
    return cast(d, binary(d, TRT_MULTIPLY, even, scale), d->spec->type);
}

/* The layer, with sums in float32. TensorRT may add a product of float16 in float16, unless it is
 * converted on all three sides, which is how to ask it for one product that reads 16 bits. That is
 * for float16 alone; tensor cores have no other sums for bfloat16. */
static struct trt_tensor *multiply(struct definition *d, struct trt_tensor *a, struct trt_tensor *b,
                                   int transposed)
{
    if (d->spec->type != TRT_HALF)
        return LAYER(d, multiply, a, b, transposed);
    a = cast(d, a, TRT_FLOAT);
    b = cast(d, b, TRT_FLOAT);
    return cast(d, LAYER(d, multiply, a, b, transposed), TRT_HALF);
}

/* x [T, in] by a matrix [out, in]. */
static struct trt_tensor *project(struct definition *d, struct trt_tensor *x, const void *matrix,
                                  int64_t out, int64_t in)
{
    struct trt_tensor *weights = constant(d, d->spec->type, DIMS(out, in), matrix);
    return multiply(d, x, weights, 1);
}

/* [T, heads * d] as [heads, T, d]. */
static struct trt_tensor *heads_split(struct definition *d, struct trt_tensor *x, int64_t heads)
{
    struct trt_tensor *split = reshape(d, x, DIMS(0, heads, d->spec->config->head_size));
    return LAYER(d, transpose, split);
}

/* x [heads, T, d]: a * cos - b * sin and b * cos + a * sin of its halves a and b. */
static struct trt_tensor *rotate_plain(struct definition *d, struct trt_tensor *x)
{
    int64_t half = d->spec->config->head_size / 2;
    struct trt_tensor *wide = cast(d, x, TRT_FLOAT);
    struct trt_tensor *second = LAYER(d, slice, wide, half, half);
    struct trt_tensor *first = LAYER(d, slice, wide, 0, half);
    struct trt_tensor *swapped = LAYER(d, join, second, first);
    struct trt_tensor *straight = binary(d, TRT_MULTIPLY, wide, d->cosines);
    struct trt_tensor *crossed = binary(d, TRT_MULTIPLY, swapped, d->sines);
    return cast(d, binary(d, TRT_ADD, straight, crossed), d->spec->type);
}

static struct trt_tensor *rotate(struct definition *d, struct trt_tensor *x, int64_t heads)
{
    if (!d->spec->fused)
        return rotate_plain(d, x);
    struct trt_tensor *four = reshape(d, x, DIMS(1, heads, -1, d->spec->config->head_size));
    struct trt_tensor *positions = reshape(d, d->positions, DIMS(1, -1));
    return LAYER(d, rotate, four, d->cosines, d->sines, positions);
}

/* Scores against the prompt's own part [kv, g * T, T], where no id sees a later one. */
static struct trt_tensor *new_scores(struct definition *d, struct trt_tensor *queries,
                                     struct trt_tensor *keys)
{
    const struct model_config *c = d->spec->config;
    struct trt_tensor *scores = multiply(d, queries, keys, 1);
    struct trt_tensor *four = reshape(d, scores, DIMS(c->kv_heads, c->heads / c->kv_heads, 0, -1));
    struct trt_tensor *low = reshape(d, d->least, DIMS(1, 1, 1, 1));
    struct trt_tensor *masked = LAYER(d, select, d->new_mask, four, low);
    return reshape(d, masked, DIMS(c->kv_heads, -1, 0));
}

/* Attention of plain layers: over the cache and over the new rows, of which one softmax is taken.
 * Queries [heads, T, d] are taken g to each key's head: as [kv, g * T, d]. */
static struct trt_tensor *attend_plain(struct definition *d, struct trt_tensor *q,
                                       struct trt_tensor *k, struct trt_tensor *v,
                                       struct trt_tensor *k_cache, struct trt_tensor *v_cache)
{
    const struct model_config *c = d->spec->config;
    struct trt_tensor *queries = reshape(d, q, DIMS(c->kv_heads, -1, c->head_size));
    struct trt_tensor *products = multiply(d, queries, k_cache, 1);
    struct trt_tensor *low = reshape(d, d->least, DIMS(1, 1, 1));
    struct trt_tensor *cached = LAYER(d, select, d->cached_mask, products, low);
    struct trt_tensor *new = new_scores(d, queries, k);
    struct trt_tensor *scores = LAYER(d, join, cached, new);
    struct trt_tensor *shares = LAYER(d, softmax, scores);
    struct trt_tensor *of_cache = LAYER(d, slice, shares, 0, d->spec->context);
    struct trt_tensor *of_new = LAYER(d, slice, shares, d->spec->context, -1);
    struct trt_tensor *from_cache = multiply(d, of_cache, v_cache, 0);
    struct trt_tensor *from_new = multiply(d, of_new, v, 0);
    struct trt_tensor *sum = binary(d, TRT_ADD, from_cache, from_new);
    return reshape(d, sum, DIMS(c->heads, -1, c->head_size));
}

static struct trt_tensor *cache_input(struct definition *d, uint32_t layer, bool values)
{
    const struct model_config *c = d->spec->config;
    const struct trt_dims *dims = d->spec->fused
                                      ? DIMS(1, c->kv_heads, d->spec->context, c->head_size)
                                      : DIMS(c->kv_heads, d->spec->context, c->head_size);
    char name[24];
    network_cache_name(name, layer, values, "");
    return LAYER(d, input, name, d->spec->type, dims, NULL);
}

static void cache_output(struct definition *d, uint32_t layer, bool values, struct trt_tensor *rows)
{
    char name[24];
    network_cache_name(name, layer, values, "_new");
    if (!d->failed)
        d->failed = d->trt->output(d->network, name, rows) != 0;
}

/* x [T, hidden] to what attention adds, [T, heads * d]. */
static struct trt_tensor *attention(struct definition *d, uint32_t layer, struct trt_tensor *x)
{
    const struct model_config *c = d->spec->config;
    const struct trt_weights_layer *w = &d->spec->weights->layer[layer];
    int64_t size = c->head_size, hidden = c->hidden_size;
    struct trt_tensor *k_cache = cache_input(d, layer, false);
    struct trt_tensor *v_cache = cache_input(d, layer, true);
    struct trt_tensor *q = heads_split(d, project(d, x, w->wq, c->heads * size, hidden), c->heads);
    struct trt_tensor *k =
        heads_split(d, project(d, x, w->wk, c->kv_heads * size, hidden), c->kv_heads);
    struct trt_tensor *v =
        heads_split(d, project(d, x, w->wv, c->kv_heads * size, hidden), c->kv_heads);
    struct trt_tensor *mixed;
    q = rotate(d, q, c->heads);
    k = rotate(d, k, c->kv_heads);
    if (d->spec->fused) {
        q = binary(d, TRT_MULTIPLY, q, reshape(d, d->scale, DIMS(1, 1, 1, 1)));
        v = reshape(d, v, DIMS(1, c->kv_heads, -1, size));
        k = LAYER(d, update, k_cache, k, d->start);
        v = LAYER(d, update, v_cache, v, d->start);
        mixed = reshape(d, LAYER(d, attend, q, k, v, d->mask), DIMS(c->heads, -1, size));
    } else {
        q = binary(d, TRT_MULTIPLY, q, reshape(d, d->scale, DIMS(1, 1, 1)));
        mixed = attend_plain(d, q, k, v, k_cache, v_cache);
    }
    cache_output(d, layer, false, k);
    cache_output(d, layer, true, v);
    struct trt_tensor *by_token = LAYER(d, transpose, mixed);
    struct trt_tensor *flat = reshape(d, by_token, DIMS(-1, c->heads * size));
    return project(d, flat, w->wo, hidden, c->heads * size);
}

static struct trt_tensor *feed_forward(struct definition *d, uint32_t layer, struct trt_tensor *x)
{
    const struct model_config *c = d->spec->config;
    const struct trt_weights_layer *w = &d->spec->weights->layer[layer];
    struct trt_tensor *gate = project(d, x, w->w_gate, c->ffn_size, c->hidden_size);
    struct trt_tensor *up = project(d, x, w->w_up, c->ffn_size, c->hidden_size);
    struct trt_tensor *sigmoid = LAYER(d, unary, TRT_SIGMOID, gate);
    struct trt_tensor *silu = binary(d, TRT_MULTIPLY, gate, sigmoid);
    return project(d, binary(d, TRT_MULTIPLY, silu, up), w->w_down, c->hidden_size, c->ffn_size);
}

/* size is NULL for one number. */
static struct trt_tensor *input(struct definition *d, const char *name, const char *size)
{
    return LAYER(d, input, name, TRT_INT32, DIMS(size ? -1 : 1), size);
}

/* 0, 1, 2 ... as int32 with the given dimensions. */
static struct trt_tensor *counting(struct definition *d, const struct trt_dims *dims)
{
    int32_t *values = arena_array(d->arena, d->spec->context, sizeof *values);
    for (uint32_t i = 0; values && i < d->spec->context; i++)
        values[i] = (int32_t)i;
    d->failed = d->failed || !values;
    return constant(d, TRT_INT32, dims, values);
}

/* Position by position. Plain: [S, d] with both halves side by side, the sines' signs included, of
 * which the rows of this step's positions are taken; fused: the layer takes [S, d / 2] whole. */
static void rotation_define(struct definition *d)
{
    const struct network_spec *spec = d->spec;
    size_t size = spec->config->head_size, half = size / 2, width = spec->fused ? half : size;
    float *cosines = arena_array(d->arena, spec->context * width, sizeof *cosines);
    float *sines = arena_array(d->arena, spec->context * width, sizeof *sines);
    if (!cosines || !sines) {
        d->failed = true;
        return;
    }
    for (size_t p = 0; p < spec->context; p++)
        for (size_t i = 0; i < width; i++) {
            float angle = (float)p * spec->frequencies[i % half];
            cosines[p * width + i] = cosf(angle);
            sines[p * width + i] = sinf(angle) * (!spec->fused && i < half ? -1 : 1);
        }
    enum trt_type type = spec->fused ? spec->type : TRT_FLOAT;
    const struct trt_dims *dims = DIMS(spec->context, (int64_t)width);
    d->cosines = numbers(d, type, dims, cosines);
    d->sines = numbers(d, type, dims, sines);
    if (spec->fused)
        return;
    d->cosines = reshape(d, LAYER(d, gather, d->cosines, d->positions), DIMS(1, -1, (int64_t)size));
    d->sines = reshape(d, LAYER(d, gather, d->sines, d->positions), DIMS(1, -1, (int64_t)size));
}

/* Which entry may be seen: those before start and, of the new ones, those up to the id itself. */
static void masks_define(struct definition *d)
{
    static const int32_t one[] = {1};
    int64_t context = d->spec->context;
    struct trt_tensor *step = constant(d, TRT_INT32, DIMS(1), one);
    struct trt_tensor *after = binary(d, TRT_ADD, d->positions, step);
    struct trt_tensor *ends = reshape(d, after, DIMS(1, 1, -1, 1));
    if (d->spec->fused) {
        d->mask = binary(d, TRT_LESS, counting(d, DIMS(1, 1, 1, context)), ends);
        return;
    }
    struct trt_tensor *start = reshape(d, d->start, DIMS(1, 1, 1));
    d->cached_mask = binary(d, TRT_LESS, counting(d, DIMS(1, 1, context)), start);
    d->new_mask = binary(d, TRT_LESS, reshape(d, d->positions, DIMS(1, 1, 1, -1)), ends);
}

static void shared_define(struct definition *d)
{
    const struct model_config *c = d->spec->config;
    float scale = 1 / sqrtf((float)c->head_size);
    float least = d->spec->type == TRT_HALF ? -60000 : -1e30f;
    d->doing = "inputs, masks and the rotation";
    d->tokens = input(d, "tokens", "T");
    d->positions = input(d, "positions", "T");
    d->start = input(d, "start", NULL);
    d->rows = input(d, "rows", "R");
    d->epsilon = numbers(d, TRT_FLOAT, DIMS(1, 1), &c->norm_eps);
    d->scale = numbers(d, d->spec->type, DIMS(1), &scale);
    d->least = numbers(d, d->spec->type, DIMS(1), &least);
    rotation_define(d);
    masks_define(d);
}

static void body_define(struct definition *d)
{
    const struct model_config *c = d->spec->config;
    const struct trt_weights *w = d->spec->weights;
    const struct trt_dims *dims = DIMS(c->vocabulary, c->hidden_size);
    struct trt_tensor *embedding = constant(d, d->spec->type, dims, w->embedding);
    struct trt_tensor *x = LAYER(d, gather, embedding, d->tokens);
    d->doing = "the layers";
    for (uint32_t i = 0; i < c->layers && !d->failed; i++) {
        const struct trt_weights_layer *layer = &w->layer[i];
        x = binary(d, TRT_ADD, x, attention(d, i, norm(d, x, layer->attn_norm)));
        x = binary(d, TRT_ADD, x, feed_forward(d, i, norm(d, x, layer->ffn_norm)));
    }
    d->doing = d->failed ? d->doing : "the output";
    x = norm(d, LAYER(d, gather, x, d->rows), w->norm);
    struct trt_tensor *output =
        w->output == w->embedding ? embedding : constant(d, d->spec->type, dims, w->output);
    struct trt_tensor *logits = multiply(d, x, output, 1);
    struct trt_tensor *next = reshape(d, LAYER(d, largest, logits), DIMS(-1));
    if (!d->failed)
        d->failed = d->trt->output(d->network, "logits", logits) != 0 ||
                    d->trt->output(d->network, "next", next) != 0;
}

enum status network_define(const struct trt_layers *layers, struct trt_network *network,
                           const struct network_spec *spec, struct arena *arena, struct error *err)
{
    struct definition d = {.trt = layers, .network = network, .spec = spec, .arena = arena};
    shared_define(&d);
    body_define(&d);
    if (!d.failed)
        return STATUS_OK;
    return error_set(err, STATUS_UNSUPPORTED, "TensorRT does not take the network: %s", d.doing);
}

void network_cache_name(char name[24], uint32_t layer, bool values, const char *suffix)
{
    snprintf(name, 24, "%c%u%s", values ? 'v' : 'k', layer, suffix);
}
