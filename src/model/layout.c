#include "model/layout.h"

struct naming {
    const char *gguf, *safetensors; /* %u: the layer */
    bool vector;
};

static const struct naming namings[WEIGHT_ROLES] = {
    [WEIGHT_EMBEDDING] = {"token_embd.weight", "model.embed_tokens.weight", false},
    [WEIGHT_ATTN_NORM] = {"blk.%u.attn_norm.weight", "model.layers.%u.input_layernorm.weight",
                          true},
    [WEIGHT_Q] = {"blk.%u.attn_q.weight", "model.layers.%u.self_attn.q_proj.weight", false},
    [WEIGHT_K] = {"blk.%u.attn_k.weight", "model.layers.%u.self_attn.k_proj.weight", false},
    [WEIGHT_V] = {"blk.%u.attn_v.weight", "model.layers.%u.self_attn.v_proj.weight", false},
    [WEIGHT_O] = {"blk.%u.attn_output.weight", "model.layers.%u.self_attn.o_proj.weight", false},
    [WEIGHT_FFN_NORM] = {"blk.%u.ffn_norm.weight",
                         "model.layers.%u.post_attention_layernorm.weight", true},
    [WEIGHT_GATE] = {"blk.%u.ffn_gate.weight", "model.layers.%u.mlp.gate_proj.weight", false},
    [WEIGHT_UP] = {"blk.%u.ffn_up.weight", "model.layers.%u.mlp.up_proj.weight", false},
    [WEIGHT_DOWN] = {"blk.%u.ffn_down.weight", "model.layers.%u.mlp.down_proj.weight", false},
    [WEIGHT_NORM] = {"output_norm.weight", "model.norm.weight", true},
    [WEIGHT_OUTPUT] = {"output.weight", "lm_head.weight", false},
    [WEIGHT_ROPE_FREQS] = {"rope_freqs.weight", "rope_freqs", true},
};

static void weight_shape(const struct model_config *c, struct weight *w)
{
    uint64_t q = (uint64_t)c->heads * c->head_size, kv = (uint64_t)c->kv_heads * c->head_size;
    const uint64_t shapes[WEIGHT_ROLES][2] = {
        [WEIGHT_EMBEDDING] = {c->vocabulary, c->hidden_size},
        [WEIGHT_ATTN_NORM] = {1, c->hidden_size},
        [WEIGHT_Q] = {q, c->hidden_size},
        [WEIGHT_K] = {kv, c->hidden_size},
        [WEIGHT_V] = {kv, c->hidden_size},
        [WEIGHT_O] = {c->hidden_size, q},
        [WEIGHT_FFN_NORM] = {1, c->hidden_size},
        [WEIGHT_GATE] = {c->ffn_size, c->hidden_size},
        [WEIGHT_UP] = {c->ffn_size, c->hidden_size},
        [WEIGHT_DOWN] = {c->hidden_size, c->ffn_size},
        [WEIGHT_NORM] = {1, c->hidden_size},
        [WEIGHT_OUTPUT] = {c->vocabulary, c->hidden_size},
        [WEIGHT_ROPE_FREQS] = {1, c->head_size / 2},
    };
    w->rows = shapes[w->role][0];
    w->columns = shapes[w->role][1];
}

struct lister {
    struct arena *arena;
    const struct model_config *config;
    enum model_format format;
    enum tensor_type precision;
    struct weight *weights;
    size_t count;
    bool failed;
};

static void lister_add(struct lister *l, enum weight_role role, uint32_t layer)
{
    const struct naming *naming = &namings[role];
    struct weight *w = &l->weights[l->count++];
    *w = (struct weight){.role = role, .layer = layer, .n_dims = naming->vector ? 1 : 2};
    weight_shape(l->config, w);
    w->type = naming->vector && l->format == MODEL_GGUF ? TENSOR_F32 : l->precision;
    w->row_bytes = w->columns * (w->type == TENSOR_F32 ? 4 : 2);
    w->bytes = w->rows * w->row_bytes;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    w->canonical = arena_printf(l->arena, naming->safetensors, layer);
    w->name = l->format == MODEL_GGUF ? arena_printf(l->arena, naming->gguf, layer) : w->canonical;
#pragma GCC diagnostic pop
    l->failed |= !w->name || !w->canonical;
}

bool layout_weights(struct arena *arena, const struct model_config *config,
                    enum model_format format, enum tensor_type precision, bool rope_freqs,
                    struct weight **weights, size_t *count)
{
    const size_t in_layer = WEIGHT_DOWN - WEIGHT_ATTN_NORM + 1;
    struct lister l = {arena, config, format, precision, NULL, 0, false};
    l.weights =
        arena_array(arena, config->layers * in_layer + WEIGHT_ROLES - in_layer, sizeof *l.weights);
    if (!l.weights)
        return false;
    lister_add(&l, WEIGHT_EMBEDDING, 0);
    if (rope_freqs && format == MODEL_GGUF)
        lister_add(&l, WEIGHT_ROPE_FREQS, 0);
    for (uint32_t layer = 0; layer < config->layers; layer++)
        for (enum weight_role role = WEIGHT_ATTN_NORM; role <= WEIGHT_DOWN; role++)
            lister_add(&l, role, layer);
    lister_add(&l, WEIGHT_NORM, 0);
    if (!config->tied)
        lister_add(&l, WEIGHT_OUTPUT, 0);
    *weights = l.weights;
    *count = l.count;
    return !l.failed;
}

static uint64_t role_parameters(const struct model_config *config, enum weight_role role)
{
    struct weight weight = {.role = role};
    weight_shape(config, &weight);
    return weight.rows * weight.columns;
}

uint64_t layout_parameters(const struct model_config *config)
{
    uint64_t layer = 0;
    for (enum weight_role role = WEIGHT_ATTN_NORM; role <= WEIGHT_DOWN; role++)
        layer += role_parameters(config, role);
    return config->layers * layer + role_parameters(config, WEIGHT_NORM) +
           role_parameters(config, WEIGHT_EMBEDDING) * (config->tied ? 1 : 2);
}

uint64_t layout_row_from_gguf(uint64_t row, uint32_t head_size)
{
    uint64_t head = row / head_size, in_head = row % head_size;
    return head * head_size + in_head % 2 * (head_size / 2) + in_head / 2;
}

uint64_t layout_row_to_gguf(uint64_t row, uint32_t head_size)
{
    uint64_t head = row / head_size, in_head = row % head_size, half = head_size / 2;
    return head * head_size + in_head % half * 2 + in_head / half;
}
