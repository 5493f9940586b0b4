#include "llama/attention.h"

#include <math.h>

/* Rotary embedding (Su et al. 2021) of one head. The pairs are neighbours, or half a head apart;
 * a few thousand operations per token, so one form in C serves every processor. */
static void rotate(float *head, size_t half, const float *cosine, const float *sine,
                   bool interleaved)
{
    size_t step = interleaved ? 2 : 1, apart = interleaved ? 1 : half;
    for (size_t i = 0; i < half; i++) {
        float a = head[i * step], b = head[i * step + apart];
        head[i * step] = a * cosine[i] - b * sine[i];
        head[i * step + apart] = a * sine[i] + b * cosine[i];
    }
}

static void rotate_heads(const struct forward *f, float *data, size_t heads, struct share share,
                         size_t count)
{
    const struct scratch *s = &f->scratch;
    size_t size = f->config.head_size, half = size / 2;
    for (size_t t = 0; t < count; t++) {
        for (size_t h = share.begin; h < share.end; h++) {
            rotate(data + (t * heads + h) * size, half, s->cosine + t * half, s->sine + t * half,
                   f->rope_interleaved);
            forward_round(f, data + (t * heads + h) * size, size);
        }
    }
}

void attention_rotate(struct forward *f, uint32_t thread, size_t layer, size_t count,
                      size_t position)
{
    const struct scratch *s = &f->scratch;
    size_t size = f->config.head_size, kv_heads = f->config.kv_heads;
    struct share queries = pool_share(f->pool, thread, f->config.heads, 1);
    struct share keys = pool_share(f->pool, thread, kv_heads, 1);
    rotate_heads(f, s->q, f->config.heads, queries, count);
    rotate_heads(f, s->k, kv_heads, keys, count);
    for (size_t t = 0; t < count; t++) {
        for (size_t h = keys.begin; h < keys.end; h++) {
            size_t at = (t * kv_heads + h) * size;
            f->kernels->narrow[f->cache->precision](cache_key(f->cache, layer, h, position + t),
                                                    s->k + at, size);
            f->kernels->narrow[f->cache->precision](cache_value(f->cache, layer, h, position + t),
                                                    s->v + at, size);
        }
    }
}

/* The query heads [begin, end) of one token, which share the key and value head kv. */
static void mix_group(const struct forward *f, float *scores, size_t layer, size_t kv, size_t first,
                      size_t heads, size_t positions)
{
    size_t size = f->config.head_size, context = f->cache->context;
    enum llama_precision type = f->cache->precision;
    const float *q = f->scratch.q + first * size;
    float scale = 1 / sqrtf((float)size);
    f->kernels->matmul[type](scores, context, cache_key(f->cache, layer, kv, 0), positions, size, q,
                             heads);
    for (size_t h = 0; h < heads; h++) {
        forward_round(f, scores + h * context, positions);
        f->kernels->softmax(scores + h * context, positions, scale);
        forward_round(f, scores + h * context, positions);
    }
    f->kernels->mix[type](f->scratch.mixed + first * size, scores, context, heads,
                          cache_value(f->cache, layer, kv, 0), positions, size);
    forward_round(f, f->scratch.mixed + first * size, heads * size);
}

void attention_mix(struct forward *f, uint32_t thread, size_t layer, size_t count, size_t position)
{
    size_t heads = f->config.heads, group = heads / f->config.kv_heads;
    struct share share = pool_share(f->pool, thread, heads, 1);
    float *scores = f->scratch.scores + thread * group * f->cache->context;
    for (size_t t = 0; t < count; t++) {
        for (size_t h = share.begin; h < share.end;) {
            size_t kv = h / group, end = (kv + 1) * group;
            end = end < share.end ? end : share.end;
            mix_group(f, scores, layer, kv, t * heads + h, end - h, position + t + 1);
            h = end;
        }
    }
}
