/* Attention in the decode kernel: of one token, over what the cache holds. */
#ifndef PRONY_LLAMA_CUDA_DECODE_ATTENTION_CUH
#define PRONY_LLAMA_CUDA_DECODE_ATTENTION_CUH

#include "llama/cuda/decode_product.cuh"

template <typename F, int SIZE> struct decode_attention : decode_product<F, SIZE> {
    DECODE_BLOCK(base);
    __device__ __forceinline__ decode_attention(const base &b) : decode_product<F, SIZE>(b)
    {
    }

    enum { PART = DECODE_GROUP * (SIZE + 2) }; /* sums, the largest and the total of each head */
    /* A step has STEPS positions of each LANES lanes, hence for HEADS query heads so many scores:
     * lane % LANES / EACH has one, of position score / HEADS for query head score % HEADS. */
    template <int HEADS> struct scores {
        enum { COUNT = STEPS * HEADS, EACH = LANES / COUNT };
        static_assert(STEPS == 2 && EACH > 0, "a score for each lane");
    };

    template <int HEADS> struct softmax {
        float acc[HEADS][CPACK];
        float max, total; /* of the head of this lane's score; total is this lane's part */
    };

    /* Adds the lanes' parts of all scores: the sum of this lane's is returned. */
    template <int HEADS>
    __device__ __forceinline__ float scores_sum(float (&score)[scores<HEADS>::COUNT])
    {
#pragma unroll
        for (int half = scores<HEADS>::COUNT / 2, way = LANES / 2; half > 0; half /= 2, way /= 2) {
            const bool upper = (lane & way) != 0;
#pragma unroll
            for (int j = 0; j < half; j++) {
                const float other = upper ? score[j] : score[j + half];
                const float mine = upper ? score[j + half] : score[j];
                score[j] = mine + __shfl_xor_sync(0xffffffffu, other, way);
            }
        }
#pragma unroll
        for (int way = scores<HEADS>::EACH / 2; way > 0; way /= 2)
            score[0] += __shfl_xor_sync(0xffffffffu, score[0], way);
        return score[0];
    }

    /* The score of this lane: of all that its lanes read of a step's keys with the queries. */
    template <int HEADS>
    __device__ __forceinline__ float step_score(const C *keys, uint32_t step, uint32_t count)
    {
        const uint32_t mine = lane / LANES, part = lane % LANES * CPACK;
        float k[STEPS][CPACK], score[scores<HEADS>::COUNT];
#pragma unroll
        for (int i = 0; i < STEPS; i++) {
            uint32_t at = (step + i) * AT_ONCE + mine;
            uint4 v = make_uint4(0, 0, 0, 0);
            if (at < count)
                v = *reinterpret_cast<const uint4 *>(keys + at * SIZE + part);
            unpack(k[i], v, C());
        }
#pragma unroll
        for (int g = 0; g < HEADS; g++) {
            const float *q = vector + g * SIZE + part; /* registers are few */
            float4 q4[CPACK / 4];
#pragma unroll
            for (int j = 0; j < CPACK / 4; j++)
                q4[j] = reinterpret_cast<const float4 *>(q)[j];
#pragma unroll
            for (int i = 0; i < STEPS; i++) {
                float sum = 0;
#pragma unroll
                for (int j = 0; j < CPACK; j++)
                    sum = fmaf(reinterpret_cast<const float *>(q4)[j], k[i][j], sum);
                score[i * HEADS + g] = sum;
            }
        }
        const float sum = scores_sum<HEADS>(score);
        const uint32_t which = lane % LANES / scores<HEADS>::EACH / HEADS;
        return (step + which) * AT_ONCE + mine >= count ? -INFINITY : sum;
    }

    /* Raises the largest score of this lane's head to that of the step, which is returned, and
     * makes what has been summed up smaller for it. */
    template <int HEADS>
    __device__ __forceinline__ float largest_raise(softmax<HEADS> &a, float score)
    {
        float next = fmaxf(score, __shfl_xor_sync(0xffffffffu, score, LANES / 2));
#pragma unroll
        for (int way = LANES; way < 32; way *= 2)
            next = fmaxf(next, __shfl_xor_sync(0xffffffffu, next, way));
        next = fmaxf(next, a.max);
        if (__any_sync(0xffffffffu, next > a.max)) {
            const float keep = exp2f(a.max - next);
            a.max = next;
            a.total *= keep;
#pragma unroll
            for (int g = 0; g < HEADS; g++) {
                const float head = __shfl_sync(0xffffffffu, keep, g * scores<HEADS>::EACH);
#pragma unroll
                for (int j = 0; j < CPACK; j++)
                    a.acc[g][j] *= head;
            }
        }
        return next;
    }

    /* Adds a step's positions, of count whose keys and values lie in shared memory, to the running
     * softmax. */
    template <int HEADS>
    __device__ __forceinline__ void steps_attend(softmax<HEADS> &a, const C *keys, const C *values,
                                                 uint32_t step, uint32_t count)
    {
        const uint32_t mine = lane / LANES, part = lane % LANES * CPACK;
        const float score = step_score<HEADS>(keys, step, count);
        const float share = exp2f(score - largest_raise<HEADS>(a, score));
        a.total += share;
#pragma unroll
        for (int i = 0; i < STEPS; i++) {
            uint32_t at = (step + i) * AT_ONCE + mine;
            float v[CPACK];
            uint4 raw = make_uint4(0, 0, 0, 0);
            if (at < count)
                raw = *reinterpret_cast<const uint4 *>(values + at * SIZE + part);
            unpack(v, raw, C());
#pragma unroll
            for (int g = 0; g < HEADS; g++) {
                const float head =
                    __shfl_sync(0xffffffffu, share, (i * HEADS + g) * scores<HEADS>::EACH, LANES);
#pragma unroll
                for (int j = 0; j < CPACK; j++)
                    a.acc[g][j] = fmaf(head, v[j], a.acc[g][j]);
            }
        }
    }

    /* What a warp has found, to shared memory: [warp][group][SIZE + 2]. */
    template <int HEADS> __device__ __forceinline__ void warp_store(softmax<HEADS> &a, float *to)
    {
        a.total += __shfl_xor_sync(0xffffffffu, a.total, LANES / 2);
#pragma unroll
        for (int way = LANES; way < 32; way *= 2)
            a.total += __shfl_xor_sync(0xffffffffu, a.total, way);
#pragma unroll
        for (int g = 0; g < HEADS; g++) {
            float *head = to + g * (SIZE + 2);
            uint32_t at = lane % LANES * CPACK; /* of count elements, that this lane stores */
            int count = CPACK;
#pragma unroll
            for (int way = LANES; way < 32; way *= 2) {
                const bool upper = (lane & way) != 0;
                count /= 2;
                at += upper ? count : 0;
#pragma unroll
                for (int j = 0; j < count; j++) {
                    const float mine = upper ? a.acc[g][j + count] : a.acc[g][j];
                    const float other = upper ? a.acc[g][j] : a.acc[g][j + count];
                    a.acc[g][j] = mine + __shfl_xor_sync(0xffffffffu, other, way);
                }
            }
#pragma unroll
            for (int j = 0; j < count; j++)
                head[at + j] = a.acc[g][j];
            if (lane == g * scores<HEADS>::EACH) {
                head[SIZE] = a.max;
                head[SIZE + 1] = a.total;
            }
        }
    }

    /* Where a warp puts that: behind what all of them read. */
    __device__ __forceinline__ float *found_by(uint32_t which) const
    {
        return vector + (DECODE_GROUP + 2) * SIZE + which * PART;
    }

    /* Merges all warps' results [DECODE_WARPS, DECODE_GROUP, SIZE + 2] of head g's element i. The
     * lanes have elements of one head; each finds what one warp's result counts for. */
    __device__ __forceinline__ float2 warps_merge(const float *from, uint32_t g, uint32_t i,
                                                  float *largest)
    {
        static_assert(DECODE_WARPS == 16 && SIZE % 32 == 0, "one head, and each result twice");
        const float *at = from + g * (SIZE + 2), *one = at + lane % DECODE_WARPS * PART + SIZE;
        const float peak = one[0];
        float high = peak;
#pragma unroll
        for (int way = DECODE_WARPS / 2; way > 0; way /= 2)
            high = fmaxf(high, __shfl_xor_sync(0xffffffffu, high, way));
        const float share = peak == -INFINITY ? 0 : exp2f(peak - high);
        float2 sum = make_float2(0, share * one[1]);
#pragma unroll
        for (int way = DECODE_WARPS / 2; way > 0; way /= 2)
            sum.y += __shfl_xor_sync(0xffffffffu, sum.y, way);
#pragma unroll
        for (int n = 0; n < DECODE_WARPS; n++)
            sum.x = fmaf(__shfl_sync(0xffffffffu, share, n), at[n * PART + i], sum.x);
        *largest = high;
        return sum;
    }

    /* q of this block's heads to rotated [DECODE_GROUP, SIZE], then k and v as the cache has them.
     * The angle is that of this thread's pair. */
    __device__ __forceinline__ void rotate(const attention_part &a, float sine, float cosine,
                                           uint32_t parity, float *rotated, C *fresh)
    {
        const cuda_shape &s = p.shape;
        uint32_t group = s.heads / s.kv_heads;
        const float *from = p.qkv + (size_t)a.kv * qkv_head_rows(&s);
        float scale = 1.44269504f / sqrtf((float)SIZE); /* exp2 is used */
        uint32_t i = threadIdx.x, h = i / (SIZE / 2), c = i % (SIZE / 2);
        static_assert((DECODE_GROUP + 2) * SIZE / 2 <= THREADS, "one pair for each thread");
        if (i >= (DECODE_GROUP + 2) * SIZE / 2)
            return;
        uint32_t row = h < DECODE_GROUP ? a.first + h : group + h - DECODE_GROUP;
        if (h < DECODE_GROUP && h >= a.heads) {
            rotated[h * SIZE + c] = rotated[h * SIZE + c + SIZE / 2] = 0;
            return;
        }
        from += (size_t)row * SIZE + c;
        const uint32_t words[2] = {word_get(from), word_get(from + SIZE / 2)};
        float low = word_wait(words[0], from, parity);
        float high = word_wait(words[1], from + SIZE / 2, parity);
        if (h <= DECODE_GROUP) {
            float re = low, im = high;
            low = re * cosine - im * sine;
            high = re * sine + im * cosine;
        }
        if (h < DECODE_GROUP) {
            rotated[h * SIZE + c] = low * scale;
            rotated[h * SIZE + c + SIZE / 2] = high * scale;
        } else {
            fresh[(h - DECODE_GROUP) * SIZE + c] = from_float<C>(low);
            fresh[(h - DECODE_GROUP) * SIZE + c + SIZE / 2] = from_float<C>(high);
        }
    }

    __device__ __forceinline__ void attention(const attention_part &a, uint32_t layer,
                                              uint32_t positions, uint32_t step)
    {
        const cuda_shape &s = p.shape;
        float *rotated = vector;                                        /* [DECODE_GROUP, SIZE] */
        C *fresh = reinterpret_cast<C *>(vector + DECODE_GROUP * SIZE); /* k, then v */
        float sine, cosine;
        sincosf((float)positions * p.frequency[threadIdx.x % (SIZE / 2)], &sine, &cosine);
        rotate(a, sine, cosine, step & 1, rotated, fresh);
        meet();
        if (a.split == 0 && a.first == 0) { /* the cache gets them for the next token */
            size_t at = ((size_t)(layer * s.kv_heads + a.kv) * s.context + positions) * SIZE;
            if (threadIdx.x < SIZE)
                ((C *)p.keys)[at + threadIdx.x] = fresh[threadIdx.x];
            else if (threadIdx.x < 2 * SIZE)
                ((C *)p.values)[at + threadIdx.x - SIZE] = fresh[threadIdx.x];
        }
        if (a.heads == 1)
            positions_attend<1>(a, positions, fresh);
        else
            positions_attend<DECODE_GROUP>(a, positions, fresh);
        meet();
        attention_merge(a, step);
    }

    /* This block's positions for its heads; what each warp has found is in shared memory then. */
    template <int HEADS>
    __device__ __forceinline__ void positions_attend(const attention_part &a, uint32_t positions,
                                                     const C *fresh)
    {
        softmax<HEADS> found;
        found.max = -INFINITY;
        found.total = 0;
#pragma unroll
        for (int g = 0; g < HEADS; g++) {
#pragma unroll
            for (int j = 0; j < CPACK; j++) {
                found.acc[g][j] = 0;
            }
        }
        /* the token itself, then this warp's positions of the block's chunks */
        uint32_t chunks = (positions + CHUNK - 1) / CHUNK, c = a.split;
        bool itself = a.split == 0 && warp == DECODE_WARPS - 1;
#pragma unroll 1
        while (itself || c < chunks) {
            const C *keys = fresh, *values = fresh + SIZE;
            uint32_t first = 0, valid = 1, after = stage;
            if (!itself) {
                valid = positions - c * CHUNK;
                valid = valid < CHUNK ? valid : CHUNK;
                first = warp * STEPS;
                after = stage + 1 == p.stages ? 0 : stage + 1;
                barrier_wait(&m->full[stage], parity);
                barrier_wait(&m->full[after], parity ^ (after == 0));
                keys = reinterpret_cast<const C *>(stages + stage * SLOT);
                values = reinterpret_cast<const C *>(stages + after * SLOT);
            }
            if (first * AT_ONCE < valid)
                steps_attend<HEADS>(found, keys, values, first, valid);
            if (!itself) {
                __syncwarp();
                if (lane == 0) {
                    barrier_arrive(&m->empty[stage]);
                    barrier_arrive(&m->empty[after]);
                }
                stage_next();
                stage_next();
                c += a.splits;
            }
            itself = false;
        }
        warp_store<HEADS>(found, found_by(warp));
    }

    /* The warps' results to one, and the blocks' of a head to the heads' output. */
    __device__ __forceinline__ void attention_merge(const attention_part &a, uint32_t step)
    {
        const cuda_shape &s = p.shape;
        uint32_t group = s.heads / s.kv_heads;
        float *out = p.mixed + (size_t)(a.kv * group + a.first) * SIZE;
        uint64_t *all = p.split + (size_t)a.head * a.splits * PART;
        for (uint32_t i = threadIdx.x; i < a.heads * SIZE; i += THREADS) {
            uint32_t g = i / SIZE, c = i % SIZE;
            float largest;
            float2 sum = warps_merge(found_by(0), g, c, &largest);
            if (a.splits == 1) {
                word_store(out + i, __fdividef(sum.x, sum.y), step & 1);
            } else {
                uint64_t *part = all + (size_t)a.split * PART + g * (SIZE + 2);
                stamped_store(part + c, sum.x, step);
                if (c == 0) {
                    stamped_store(part + SIZE, largest, step);
                    stamped_store(part + SIZE + 1, sum.y, step);
                }
            }
        }
        if (a.splits > 1)
            splits_merge(a, all, out, step);
        count(COUNTER_MIXED);
    }

    /* This block's share of its head's elements, of all blocks' parts: a part for a lane, as far as
     * there are lanes, so that all are asked for at once. */
    __device__ __forceinline__ void splits_merge(const attention_part &a, const uint64_t *all,
                                                 float *out, uint32_t step)
    {
        const range own = rows_share(a.heads * SIZE, 1, a.split, a.splits);
        uint32_t lanes = 2; /* for an element */
        while (lanes < 16 && lanes < a.splits)
            lanes *= 2;
#pragma unroll 1
        for (uint32_t begin = own.begin; begin < own.end; begin += THREADS / lanes) {
            const uint32_t i = begin + threadIdx.x / lanes;
            float high = -INFINITY, sum = 0, total = 0;
            if (i < own.end) {
#pragma unroll 1
                for (uint32_t n = threadIdx.x % lanes; n < a.splits; n += lanes) {
                    const uint64_t *from = all + (size_t)n * PART + i / SIZE * (SIZE + 2);
                    const uint64_t words[3] = {stamped_get(from + i % SIZE),
                                               stamped_get(from + SIZE),
                                               stamped_get(from + SIZE + 1)};
                    const float value = stamped_wait(words[0], from + i % SIZE, step);
                    const float peak = stamped_wait(words[1], from + SIZE, step);
                    const float weight = stamped_wait(words[2], from + SIZE + 1, step);
                    const float next = fmaxf(high, peak);
                    const float keep = exp2f(high - next), share = exp2f(peak - next);
                    sum = sum * keep + value * share;
                    total = total * keep + weight * share;
                    high = next;
                }
            }
            float highest = high;
            for (uint32_t way = lanes / 2; way > 0; way /= 2)
                highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, way));
            const float share = exp2f(high - highest);
            sum *= share;
            total *= share;
            for (uint32_t way = lanes / 2; way > 0; way /= 2) {
                sum += __shfl_xor_sync(0xffffffffu, sum, way);
                total += __shfl_xor_sync(0xffffffffu, total, way);
            }
            if (i < own.end && threadIdx.x % lanes == 0)
                word_store(out + i, sum / total, step & 1);
        }
    }
};

#endif
