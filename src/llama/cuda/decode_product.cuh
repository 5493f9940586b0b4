/* Matrix times vector in the decode kernel, and the vectors that it takes. */
#ifndef PRONY_LLAMA_CUDA_DECODE_PRODUCT_CUH
#define PRONY_LLAMA_CUDA_DECODE_PRODUCT_CUH

#include "llama/cuda/decode_codes.cuh"

template <typename F, int SIZE> struct decode_product : decode_codes<F, SIZE> {
    DECODE_BLOCK(base);
    __device__ __forceinline__ decode_product(const base &b) : decode_codes<F, SIZE>(b)
    {
    }

    /* This lane's part of the next stage, multiplied; the stage may be filled again. */
    template <bool WHOLE>
    __device__ __forceinline__ float stage_multiply(const float (&x)[STEPS * PACK], uint32_t offset,
                                                    uint32_t units, bool valid)
    {
        barrier_wait(&m->full[stage], parity);
        const uint4 *data = reinterpret_cast<const uint4 *>(stages + stage * SLOT) + offset;
        uint4 w[STEPS];
#pragma unroll
        for (int i = 0; i < STEPS; i++) {
            if (WHOLE) {
                w[i] = data[i * 32];
            } else {
                w[i] = make_uint4(0, 0, 0, 0);
                if (valid && i * 32 + lane < units)
                    w[i] = data[i * 32];
            }
        }
        __syncwarp();
        if (lane == 0)
            barrier_arrive(&m->empty[stage]);
        stage_next();
        float sum[4] = {0, 0, 0, 0};
#pragma unroll
        for (int i = 0; i < STEPS; i++) {
            float v[PACK];
            unpack(v, w[i], T());
#pragma unroll
            for (int j = 0; j < PACK; j++)
                sum[j % 4] = fmaf(v[j], x[i * PACK + j], sum[j % 4]);
        }
        return (sum[0] + sum[1]) + (sum[2] + sum[3]);
    }

    /* All rows by pairs of stages. `to` is where this warp's first sum goes, step from a stage's to
     * the next one's. */
    template <bool WHOLE>
    __device__ __forceinline__ void rows_multiply(const float (&x)[STEPS * PACK], uint32_t offset,
                                                  uint32_t units, uint32_t row, uint32_t rows,
                                                  uint32_t each, float *to, uint32_t step)
    {
        uint32_t r = row, end = rows + row;
#pragma unroll 1
        for (; r + each < end; r += 2 * each) {
            float a = stage_multiply<WHOLE>(x, offset, units, r < rows);
            float b = stage_multiply<WHOLE>(x, offset, units, r + each < rows);
            float mine = lane & 16 ? b : a, other = lane & 16 ? a : b;
            mine += __shfl_xor_sync(0xffffffffu, other, 16);
#pragma unroll
            for (int way = 8; way > 0; way /= 2)
                mine += __shfl_xor_sync(0xffffffffu, mine, way);
            if (lane % 16 == 0 && r + (lane ? each : 0) < rows)
                to[lane ? step : 0] = mine;
            to += 2 * step;
        }
        if (r < end) {
            float a = warp_sum(stage_multiply<WHOLE>(x, offset, units, r < rows));
            if (lane == 0 && r < rows)
                *to = a;
        }
    }

    /* sums[(row * pieces + piece) * warps of a row + warp], the share's rows counted from 0. */
    __device__ __forceinline__ void elements_product(uint32_t rows, uint32_t columns, float *sums)
    {
        const tiling t = tiling_of(columns, sizeof(T));
        uint32_t warps = DECODE_WARPS / t.rows, row_in = warp / warps;
#pragma unroll 1
        for (uint32_t piece = 0; piece < t.pieces; piece++) {
            uint32_t width = columns - piece * t.width;
            width = width < t.width ? width : t.width;
            range units = warp_units(&t, width, sizeof(T), warp);
            float x[STEPS * PACK]; /* this lane's columns of the input */
#pragma unroll
            for (int i = 0; i < STEPS; i++) {
                uint32_t unit = units.begin + i * 32 + lane;
                const float *from = vector + piece * t.width + unit * PACK;
#pragma unroll
                for (int j = 0; j < PACK; j += 4) {
                    float4 v = make_float4(0, 0, 0, 0);
                    if (unit < units.end)
                        v = *reinterpret_cast<const float4 *>(from + j);
                    x[i * PACK + j] = v.x;
                    x[i * PACK + j + 1] = v.y;
                    x[i * PACK + j + 2] = v.z;
                    x[i * PACK + j + 3] = v.w;
                }
            }
            if (sums == vector)
                meet(); /* the sums take the input's place */
            uint32_t offset = row_in * width * sizeof(T) / 16 + units.begin + lane;
            uint32_t step = t.rows * t.pieces * warps;
            float *to = sums + (row_in * t.pieces + piece) * warps + warp % warps;
            /* what lies behind the last rows in their stage is old, and not used */
            if (units.end - units.begin == 32 * STEPS)
                rows_multiply<true>(x, offset, 0, row_in, rows, t.rows, to, step);
            else
                rows_multiply<false>(x, offset, units.end - units.begin, row_in, rows, t.rows, to,
                                     step);
        }
    }

    /* Takes what a product begins with, which depends on nothing: before its input is there. */
    template <typename M>
    __device__ __forceinline__ void product_begin(codes_held<M> &held, uint32_t rows)
    {
        if constexpr (codes_of<M>::KIND != CODES_NONE)
            if (rows > 0)
                this->pair_take(held, rows > CODES_ROWS);
    }
    /* The sums of a share of a matrix of type M. */
    template <typename M>
    __device__ __forceinline__ void product(uint32_t rows, uint32_t columns, float *sums,
                                            codes_held<M> &held)
    {
        if constexpr (codes_of<M>::KIND != CODES_NONE)
            this->codes_product(rows, columns, sums, held);
        else
            elements_product(rows, columns, sums);
    }
    /* A row's sum of a layer's matrix; elements have so many to add. */
    __device__ __forceinline__ float layer_sum(const float *sums, uint32_t row, uint32_t count)
    {
        return LAYERS != CODES_NONE ? this->codes_sum(sums, row) : row_sum(sums, row, count);
    }

    __device__ __forceinline__ float row_sum(const float *sums, uint32_t row, uint32_t count)
    {
        float sum = sums[row * count];
        for (uint32_t i = 1; i < count; i++)
            sum += sums[row * count + i];
        return sum;
    }

    /* -- vectors -- */

    /* The input is in shared memory, each round's columns put there by the threads whose four they
     * are. Codes have a warp put those that it multiplies, and wait for no other: they are made digits
     * here, or halves of a norm, by the largest of the warp's, of which a lane gives its own. */
    __device__ __forceinline__ void input_finish(uint32_t columns, uint32_t kind, uint32_t largest)
    {
        if (kind_of(kind) == CODES_NONE) {
            meet();
            return;
        }
        const bool digits = kind_of(kind) == CODES_INT8;
        const power_scale s = power_scale_of(__reduce_max_sync(0xffffffffu, largest),
                                             digits ? DIGITS_BITS : HALVES_BITS);
        if (lane == 0)
            m->quantum[warp] = s.quantum;
#pragma unroll 1
        for (uint32_t begin = 0; begin < columns; begin += INPUT_ROUND) {
            const uint32_t i = begin + threadIdx.x * 4;
            float4 v = make_float4(0, 0, 0, 0);
            if (i < columns)
                v = *reinterpret_cast<const float4 *>(vector + i);
            v = make_float4(v.x * s.times, v.y * s.times, v.z * s.times, v.w * s.times);
            __syncwarp(); /* what is put goes elsewhere in its unit */
            if (i < columns && digits)
                digits_put(vector, i, v);
            else if (i < columns)
                halves_put(vector, i, v);
        }
        __syncwarp();
    }

    __device__ __forceinline__ void vector_load(const float *from, uint32_t count, uint32_t parity,
                                                uint32_t kind)
    {
        enum { AT_ONCE = LAYERS != CODES_NONE ? 4 : 2, EACH = INPUT_ROUND }; /* as fit registers */
        uint32_t largest = 0;
#pragma unroll 1
        for (uint32_t begin = threadIdx.x * 4; begin < count; begin += AT_ONCE * EACH) {
            uint4 v[AT_ONCE];
#pragma unroll
            for (int i = 0; i < AT_ONCE; i++)
                if (begin + i * EACH < count)
                    v[i] = words_get(from + begin + i * EACH);
#pragma unroll
            for (int i = 0; i < AT_ONCE; i++)
                if (begin + i * EACH < count) {
                    const float4 words = words_wait(v[i], from + begin + i * EACH, parity);
                    if (kind_of(kind) == CODES_NF4) {
                        halves_put(vector, begin + i * EACH, words);
                        continue;
                    }
                    *reinterpret_cast<float4 *>(vector + begin + i * EACH) = words;
                    if (kind_of(kind) == CODES_INT8)
                        largest = max(largest, largest_bits(words));
                }
        }
        if (kind_of(kind) == CODES_NF4) {
            if (lane == 0)
                m->quantum[warp] = 1;
            __syncwarp();
        } else {
            input_finish(count, kind, largest);
        }
    }

    /* Four of a norm's weights; the first ones are asked for before others are waited for. */
    __device__ __forceinline__ float4 weight_load(const float *weight, uint32_t i) const
    {
        return i < p.shape.hidden ? *reinterpret_cast<const float4 *>(weight + i)
                                  : make_float4(0, 0, 0, 0);
    }

    /* The input of an operation is the rmsnorm of what get gives of each four columns, but for its
     * factor, for which the scout gets the warps' sums; the first weights are given. */
    template <typename G>
    __device__ __forceinline__ void norm_load(const float *weight, float4 w, uint32_t kind, G get)
    {
        const uint32_t hidden = p.shape.hidden;
        float sum = 0;
        uint32_t largest = 0;
#pragma unroll 1
        for (uint32_t i = threadIdx.x * 4; i < hidden; i += INPUT_ROUND) {
            float4 v = get(i);
            sum += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
            v = make_float4(v.x * w.x, v.y * w.y, v.z * w.z, v.w * w.w);
            w = weight_load(weight, i + INPUT_ROUND);
            if (kind_of(kind) != CODES_NONE)
                largest = max(largest, largest_bits(v));
            *reinterpret_cast<float4 *>(vector + i) = v;
        }
        sum = warp_sum(sum);
        if (lane == 0) {
            m->sum[warp] = sum;
            barrier_arrive(&m->summed);
        }
        input_finish(hidden, kind, largest);
    }

    /* Four columns of the embedding of id. */
    __device__ __forceinline__ float4 embedding(int32_t id, uint32_t i) const
    {
        const uint32_t hidden = p.shape.hidden;
        if constexpr (ENDS != CODES_NONE)
            return int8_four((const char *)p.weights.embedding, hidden, (uint32_t)id, i);
        else
            return element_four((const T *)p.weights.embedding + (size_t)id * hidden + i);
    }
    /* x = the embedding of id, of which this block keeps its own rows, and an operation's input. */
    __device__ __forceinline__ void embed(const float *weight, float4 w, uint32_t kind, int32_t id)
    {
        const range own = m->share[OP_OUT];
        const uint32_t i = own.begin + threadIdx.x;
        if (i < own.end) {
            const float4 v = embedding(id, i / 4 * 4);
            m->own[threadIdx.x] = i % 4 < 2 ? (i % 4 ? v.y : v.x) : (i % 4 == 2 ? v.z : v.w);
        }
        norm_load(weight, w, kind, [&](uint32_t at) { return embedding(id, at); });
    }
};

#endif
