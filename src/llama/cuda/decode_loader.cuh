/* The warps of the decode kernel's block that do not compute: the loader, who has the bulk-copy engine
 * fill the ring, the scout, who waits for other blocks, and the herald, who tells them and the host. */
#ifndef PRONY_LLAMA_CUDA_DECODE_LOADER_CUH
#define PRONY_LLAMA_CUDA_DECODE_LOADER_CUH

#include "llama/cuda/decode_block.cuh"

/* The barrier has been told to expect them. */
__device__ __forceinline__ void copy_bulk(void *to, const void *from, uint32_t bytes,
                                          uint64_t *barrier, uint64_t policy)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint"
                 " [%0], [%1], %2, [%3], %4;" ::"r"(shared_address(to)),
                 "l"(from), "r"(bytes), "r"(shared_address(barrier)), "l"(policy)
                 : "memory");
}

template <typename F, int SIZE> struct decode_loader : decode_block<F, SIZE> {
    DECODE_BLOCK(base);
    static constexpr uint64_t ONCE = 0x12F0000000000000ull; /* weights leave the L2 first */
    __device__ __forceinline__ decode_loader(const base &b) : base(b)
    {
    }

    /* Waits until the next stage is free and copies may be asked for; false when the loop has
     * ended. */
    __device__ __forceinline__ bool stage_free()
    {
        if (!barrier_try(&m->empty[stage], parity ^ 1)) {
            uint64_t start = clock_ns();
            while (!barrier_try(&m->empty[stage], parity ^ 1)) {
                if (*(volatile uint32_t *)&m->stop)
                    return false;
                if (clock_ns() - start > TIMEOUT_NS)
                    fault();
            }
        }
        /* Copies under way delay whatever else this block asks of the memory: no more of them than
         * keep it busy, though the ring may hold many that are done. */
        uint32_t before = stage + p.stages - p.flight;
        bool wrapped = before >= p.stages;
        before -= wrapped ? p.stages : 0;
        barrier_wait(&m->full[before], wrapped ? parity : parity ^ 1);
        return true;
    }

    /* Has bytes copied to the next stage; false when the loop has ended. */
    __device__ __forceinline__ bool stage_fill(const void *from, uint32_t bytes, uint64_t policy)
    {
        if (!stage_free())
            return false;
        barrier_expect(&m->full[stage], bytes);
        copy_bulk(stages + stage * SLOT, from, bytes, &m->full[stage], policy);
        stage_next();
        return true;
    }

    __device__ __forceinline__ bool elements_load(const char *matrix, range rows, uint32_t columns)
    {
        tiling t = tiling_of(columns, sizeof(T));
        uint32_t row_bytes = columns * sizeof(T);
        for (uint32_t piece = 0; piece < t.pieces; piece++) {
            uint32_t width = columns - piece * t.width;
            width = width < t.width ? width : t.width;
            const char *from =
                matrix + (uint64_t)rows.begin * row_bytes + piece * t.width * sizeof(T);
            for (uint32_t r = rows.begin; r < rows.end; r += t.rows) {
                uint32_t count = rows.end - r < t.rows ? rows.end - r : t.rows;
                if (!stage_fill(from, t.pieces > 1 ? width * sizeof(T) : count * row_bytes, ONCE))
                    return false;
                from += t.rows * row_bytes;
            }
        }
        return true;
    }

    template <typename M>
    __device__ __forceinline__ bool codes_load(const char *matrix, range rows, uint32_t columns)
    {
        const codes_kind kind = (codes_kind)M::KIND;
        const codes_tiling t = codes_tiling_of(columns);
        const uint64_t group_bytes = codes_group_bytes(kind, columns);
        const uint32_t end = rows.end / CODES_ROWS, begin = rows.begin / CODES_ROWS;
        for (uint32_t piece = 0; piece < t.pieces; piece++) {
            const uint32_t bytes = codes_piece_units(&t, piece) * codes_unit_bytes(kind);
            const char *from = matrix + begin * group_bytes + piece * codes_piece_bytes(kind);
            for (uint32_t g = begin; g < end; g += M::GROUPS) {
                const uint32_t count = end - g < M::GROUPS ? end - g : M::GROUPS;
                if (!stage_free())
                    return false;
                barrier_expect(&m->full[stage], count * bytes);
                for (uint32_t i = 0; i < count; i++, from += group_bytes)
                    copy_bulk(stages + stage * SLOT + i * codes_piece_bytes(kind), from, bytes,
                              &m->full[stage], ONCE);
                stage_next();
            }
        }
        return true;
    }

    /* Rows of a matrix of type M. */
    template <typename M>
    __device__ __forceinline__ bool rows_load(const char *matrix, range rows, uint32_t columns)
    {
        if constexpr (codes_of<M>::KIND != CODES_NONE)
            return codes_load<M>(matrix, rows, columns);
        else
            return elements_load(matrix, rows, columns);
    }
    /* This block's of a layer's matrix, and of the output. */
    __device__ __forceinline__ bool matrix_load(const char *matrix, uint32_t kind, uint32_t columns)
    {
        return rows_load<L>(matrix, m->share[kind], columns);
    }
    __device__ __forceinline__ bool output_load()
    {
        const char *matrix = (const char *)p.weights.output;
        const range all = m->share[OP_LOGITS];
        const uint32_t most = ENDS == CODES_NONE ? all.end - all.begin : LOGITS_AT_ONCE;
        for (range rows = all; rows.begin < all.end; rows.begin = rows.end) {
            rows.end = rows.begin + most < all.end ? rows.begin + most : all.end;
            if (!rows_load<E>(matrix, rows, p.shape.hidden))
                return false;
        }
        return true;
    }

    /* Until a token has begun, and with it the keys of the one before are there; false when the loop has
     * ended. */
    __device__ __forceinline__ bool token_wait(uint32_t token)
    {
        uint64_t start = clock_ns();
        for (;;) {
            uint32_t begun;
            asm volatile("ld.acquire.cta.shared.u32 %0, [%1];"
                         : "=r"(begun)
                         : "r"(shared_address(&m->begun))
                         : "memory");
            if (begun > token)
                break;
            if (*(volatile uint32_t *)&m->stop)
                return false;
            if (clock_ns() - start > TIMEOUT_NS)
                fault();
        }
        asm volatile("fence.proxy.async;" ::: "memory");
        return true;
    }

    __device__ __forceinline__ bool chunks_load(const attention_part &a, uint32_t layer,
                                                uint32_t positions)
    {
        const cuda_shape &s = p.shape;
        const uint64_t kept = 0x14F0000000000000ull;
        uint64_t head = (uint64_t)(layer * s.kv_heads + a.kv) * s.context * SIZE * sizeof(C);
        uint32_t chunks = (positions + CHUNK - 1) / CHUNK;
        for (uint32_t c = a.split; c < chunks; c += a.splits) {
            uint32_t bytes = (positions - c * CHUNK) * SIZE * sizeof(C);
            bytes = bytes < DECODE_STAGE ? bytes : DECODE_STAGE;
            uint64_t at = head + (uint64_t)c * DECODE_STAGE;
            if (!stage_fill((const char *)p.keys + at, bytes, kept) ||
                !stage_fill((const char *)p.values + at, bytes, kept))
                return false;
        }
        return true;
    }

    __device__ bool token_load(uint32_t token)
    {
        const cuda_shape &s = p.shape;
        const uint32_t positions = p.position + token;
        const attention_part a = attention_share(positions);
        const bool attends = a.kv < s.kv_heads;
        for (uint32_t layer = 0; layer < s.layers; layer++) {
            const char *l = p.weights.layers + layer * p.weights.layer_bytes;
            if (!matrix_load(l, OP_QKV, s.hidden) || (layer == 0 && !token_wait(token)) ||
                (attends && !chunks_load(a, layer, positions)) ||
                !matrix_load(l + p.weights.wo, OP_OUT, s.heads * SIZE) ||
                !matrix_load(l + p.weights.gate_up, OP_GATE_UP, s.hidden) ||
                !matrix_load(l + p.weights.down, OP_DOWN, s.ffn))
                return false;
        }
        return output_load();
    }

    /* One thread: all that this block reads, as fast as stages get free. */
    __device__ void load()
    {
        uint32_t token = 0;
        while (token < p.tokens && token_load(token))
            token++;
        /* A block may not end while copies are under way. Stages before this one were filled last
         * in this round, the others in the one before, if there was one: a barrier that was never
         * used passes for the parity of the round before the first. */
        for (uint32_t i = 0; i < p.stages; i++)
            barrier_wait(&m->full[i], i < stage ? parity : parity ^ 1);
    }

    /* Waits for an operation's input, or most of it. */
    __device__ __forceinline__ void input_wait(uint32_t kind, uint32_t step, uint32_t attended,
                                               uint32_t attending)
    {
        if (kind == OP_OUT && p.early == 0) /* x, which this operation changes, has been read */
            counter_wait(COUNTER_QKV, step * blocks);
        if (kind == OP_OUT)
            counter_wait(COUNTER_MIXED, attended - (p.early ? attending / 2 : 0));
        else if (kind == OP_DOWN)
            counter_wait(COUNTER_FFN, step * blocks - p.early);
        else /* x has been added to twice in each layer */
            counter_wait(COUNTER_X,
                         (2 * step - (kind == OP_QKV ? 2 : kind == OP_GATE_UP)) * blocks - p.early);
    }
    __device__ __forceinline__ void counter_wait(uint32_t counter, uint32_t target)
    {
        count_wait<false>(p.counters + counter * COUNTER_STEP, target);
    }

    /* Waits for each operation's input while the others do what does not depend on it, and finds
     * the factor of a norm while they multiply. */
    __device__ void scout()
    {
        const uint32_t layers = p.shape.layers;
        uint32_t step = 0, attended = 0, norms = 0;
        for (uint32_t token = 0; token < p.tokens && token_wait(token); token++) {
            const uint32_t attending = attention_share(p.position + token).blocks;
            const uint32_t asked = block == 0 ? *p.stop : 0;
            for (uint32_t layer = 0, kind = OP_QKV; layer <= layers;) {
                step += kind == OP_QKV;
                attended += kind == OP_OUT ? attending : 0;
                if (lane == 0 && (kind != OP_QKV || layer > 0))
                    input_wait(kind, step, attended, attending);
                __syncwarp();
                scout_arrive<SCOUT_INPUT>();
                if (factor_left(kind)) {
                    barrier_wait(&m->summed, norms++ & 1);
                    const float factor = norm_factor();
                    if (lane == 0)
                        m->factor = factor;
                }
                if (kind == OP_LOGITS && lane == 0)
                    m->asked = asked;
                scout_meet<SCOUT_DONE>();
                if (kind == OP_LOGITS)
                    break;
                kind += kind == OP_QKV ? 2 : 1;
                if (kind == OPS) {
                    layer++;
                    kind = layer == layers ? OP_LOGITS : OP_QKV;
                }
            }
        }
    }

    /* Tells other blocks and the host, on behalf of this one. A fence waits for all copies that its
     * warp has under way, so that a warp without any does this. */
    __device__ void herald()
    {
        for (uint32_t token = 0, turn = 0;; told ^= 1, turn++) {
            while (!barrier_try(&m->ordered[told], turn / 2 % 2))
                ;
            const order o = m->orders[told];
            if (o.kind == ORDER_END)
                return;
            if (o.kind == ORDER_BEST && lane == 0)
                count_up(p.counters + COUNTER_BEST * COUNTER_STEP);
            else if (o.kind == ORDER_ID && lane == 0) {
                asm volatile("st.release.sys.global.s32 [%0], %1;" ::"l"(p.ids + token),
                             "r"(o.value)
                             : "memory");
                *p.last = o.value;
            }
            token += o.kind == ORDER_ID;
        }
    }
};

#endif
