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

    /* The sums of a share of a matrix of type M. */
    template <typename M>
    __device__ __forceinline__ void product(uint32_t rows, uint32_t columns, float *sums)
    {
        if constexpr (codes_of<M>::KIND != CODES_NONE)
            this->template codes_product<M>(rows, columns, sums);
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

    /* Where this thread's four columns of a round begin. */
    __device__ __forceinline__ uint32_t column() const
    {
        return input_column((codes_kind)LAYERS, threadIdx.x);
    }

    /* Four elements of the input of an operation. */
    __device__ __forceinline__ void vector_put(uint32_t i, float4 v, uint32_t kind)
    {
        if (kind_of(kind) == CODES_NONE) {
            *reinterpret_cast<float4 *>(vector + i) = v;
            return;
        }
        halves_put(vector, i, v);
    }
    /* The input is there: of elements all columns, of codes those that this warp took. */
    __device__ __forceinline__ void vector_meet(uint32_t kind)
    {
        if (kind_of(kind) == CODES_NONE)
            meet();
        else
            __syncwarp();
    }

    __device__ __forceinline__ void vector_load(const float *from, uint32_t count, uint32_t parity,
                                                uint32_t kind)
    {
        enum { AT_ONCE = LAYERS == CODES_NF4 ? 4 : 2, EACH = INPUT_ROUND }; /* as registers allow */
#pragma unroll 1
        for (uint32_t begin = column(); begin < count; begin += AT_ONCE * EACH) {
            uint4 v[AT_ONCE];
#pragma unroll
            for (int i = 0; i < AT_ONCE; i++)
                if (begin + i * EACH < count)
                    v[i] = words_get(from + begin + i * EACH);
#pragma unroll
            for (int i = 0; i < AT_ONCE; i++)
                if (begin + i * EACH < count)
                    vector_put(begin + i * EACH,
                               words_wait(v[i], from + begin + i * EACH, parity), kind);
        }
        vector_meet(kind);
    }

    /* The norm's weights that a thread needs first, asked for before others are waited for. */
    __device__ __forceinline__ float4 weight_load(const float *weight)
    {
        uint32_t i = column();
        return i < p.shape.hidden ? *reinterpret_cast<const float4 *>(weight + i)
                                  : make_float4(0, 0, 0, 0);
    }

    /* vector = rmsnorm of itself, for an operation; sum is that of this thread's squares. Of
     * elements without the factor that all have in common, which the products' sums are multiplied
     * by. */
    __device__ __forceinline__ void norm_finish(const float *weight, float4 w, float sum,
                                                uint32_t kind)
    {
        uint32_t hidden = p.shape.hidden;
        float factor = 1;
        sum = warp_sum(sum);
        if (lane == 0)
            m->sum[warp] = sum;
        if (kind_of(kind) != CODES_NONE) {
            meet();
            factor = norm_factor();
        }
#pragma unroll 1
        for (uint32_t begin = 0, i = column(); begin < hidden;
             begin += INPUT_ROUND, i += INPUT_ROUND) {
            float4 v = make_float4(0, 0, 0, 0);
            if (i < hidden) {
                v = *reinterpret_cast<float4 *>(vector + i);
                if (begin > 0)
                    w = *reinterpret_cast<const float4 *>(weight + i);
            }
            __syncwarp(); /* what is put goes elsewhere in its unit */
            v.x = v.x * factor * w.x;
            v.y = v.y * factor * w.y;
            v.z = v.z * factor * w.z;
            v.w = v.w * factor * w.w;
            if (i < hidden)
                vector_put(i, v, kind);
        }
        vector_meet(kind);
    }
    /* That factor, from the warps' sums. */
    __device__ __forceinline__ float norm_factor() const
    {
        float sum = m->sum[lane % DECODE_WARPS];
#pragma unroll
        for (int way = DECODE_WARPS / 2; way > 0; way /= 2)
            sum += __shfl_xor_sync(0xffffffffu, sum, way);
        return 1 / sqrtf(sum / (float)p.shape.hidden + p.shape.eps);
    }
    /* This thread's part of x, and its squares' sum. */
    __device__ __forceinline__ float x_load(uint32_t parity)
    {
        float sum = 0;
#pragma unroll 1
        for (uint32_t i = column(); i < p.shape.hidden; i += INPUT_ROUND) {
            float4 v = words_wait(words_get(p.x + i), p.x + i, parity);
            *reinterpret_cast<float4 *>(vector + i) = v;
            sum += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
        }
        return sum;
    }

    /* vector = the embedding of id; the sum of this thread's squares. */
    __device__ __forceinline__ float elements_embed(int32_t id)
    {
        const T *row = (const T *)p.weights.embedding + (size_t)id * p.shape.hidden;
        float sum = 0;
#pragma unroll 1
        for (uint32_t i = threadIdx.x * PACK; i < p.shape.hidden; i += THREADS * PACK) {
            float v[PACK];
            unpack(v, __ldg(reinterpret_cast<const uint4 *>(row + i)), T());
#pragma unroll
            for (int j = 0; j < PACK; j++) {
                vector[i + j] = v[j];
                sum += v[j] * v[j];
            }
        }
        return sum;
    }
    __device__ __forceinline__ float codes_embed(int32_t id)
    {
        const uint32_t hidden = p.shape.hidden;
        float sum = 0;
#pragma unroll 1
        for (uint32_t i = threadIdx.x * 4; i < hidden; i += THREADS * 4) {
            float4 v = int8_four((const char *)p.weights.embedding, hidden, (uint32_t)id, i);
            *reinterpret_cast<float4 *>(vector + i) = v;
            sum += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
        }
        return sum;
    }
    /* x = the embedding of id: every block reads it, and keeps its own rows. */
    __device__ __forceinline__ float embed(int32_t id, range own)
    {
        float sum = ENDS != CODES_NONE ? codes_embed(id) : elements_embed(id);
        meet();
        if (threadIdx.x < own.end - own.begin)
            m->own[threadIdx.x] = vector[own.begin + threadIdx.x];
        meet(); /* the norm changes it */
        return sum;
    }
};

#endif
