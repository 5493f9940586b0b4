#include "model/build.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "model/gguf/gguf_config.h"
#include "model/gguf/gguf_split.h"

/* A dimension, by what it stands for. */
enum extent { ABSENT, HIDDEN, QUERIES, KEYS, FFN, VOCABULARY, PAIRS, EXTENTS };

/* One tensor of the architecture: its name in each format and its shape. */
struct slot {
    const char *names[2]; /* by enum model_format; NULL: not in that format */
    size_t offset;        /* of the tensor in struct model_layer or struct model */
    enum extent rows, columns;
};

#define LAYER(field) offsetof(struct model_layer, field)
#define MODEL(field) offsetof(struct model, field)

static const struct slot layer_slots[] = {
    {{"attn_norm.weight", "input_layernorm.weight"}, LAYER(attn_norm), ABSENT, HIDDEN},
    {{"attn_q.weight", "self_attn.q_proj.weight"}, LAYER(wq), QUERIES, HIDDEN},
    {{"attn_k.weight", "self_attn.k_proj.weight"}, LAYER(wk), KEYS, HIDDEN},
    {{"attn_v.weight", "self_attn.v_proj.weight"}, LAYER(wv), KEYS, HIDDEN},
    {{"attn_output.weight", "self_attn.o_proj.weight"}, LAYER(wo), HIDDEN, QUERIES},
    {{"ffn_norm.weight", "post_attention_layernorm.weight"}, LAYER(ffn_norm), ABSENT, HIDDEN},
    {{"ffn_gate.weight", "mlp.gate_proj.weight"}, LAYER(w_gate), FFN, HIDDEN},
    {{"ffn_up.weight", "mlp.up_proj.weight"}, LAYER(w_up), FFN, HIDDEN},
    {{"ffn_down.weight", "mlp.down_proj.weight"}, LAYER(w_down), HIDDEN, FFN},
};

static const struct slot model_slots[] = {
    {{"token_embd.weight", "model.embed_tokens.weight"}, MODEL(embedding), VOCABULARY, HIDDEN},
    {{"output_norm.weight", "model.norm.weight"}, MODEL(norm), ABSENT, HIDDEN},
    {{"output.weight", "lm_head.weight"}, MODEL(output), VOCABULARY, HIDDEN},
    {{"rope_freqs.weight", NULL}, MODEL(rope_freqs), ABSENT, PAIRS},
};

enum {
    LAYER_SLOTS = sizeof layer_slots / sizeof *layer_slots,
    MODEL_SLOTS = sizeof model_slots / sizeof *model_slots
};

static const char *const layer_prefixes[] = {"blk.", "model.layers."};

static uint64_t extent_of(const struct model_config *config, enum extent extent)
{
    const uint64_t extents[EXTENTS] = {
        [HIDDEN] = config->hidden_size,
        [QUERIES] = (uint64_t)config->heads * config->head_size,
        [KEYS] = (uint64_t)config->kv_heads * config->head_size,
        [FFN] = config->ffn_size,
        [VOCABULARY] = config->vocabulary,
        [PAIRS] = config->head_size / 2,
    };
    return extents[extent];
}

static enum status refuse(struct error *err, const char *path)
{
    error_where(err, "%s", path);
    return error_remedy(err, err->status == STATUS_UNSUPPORTED
                                 ? "Use a plain model of the Llama family."
                                 : "Fetch or convert the model again.");
}

/* The number at the start of text, followed by a dot; -1 when there is none below 10^6. */
static int64_t read_index(const char *text, const char **rest)
{
    int64_t index = 0;
    int digits = 0;
    for (; text[digits] >= '0' && text[digits] <= '9'; digits++) {
        if (digits == 6)
            return -1;
        index = index * 10 + (text[digits] - '0');
    }
    *rest = text + digits + 1;
    return digits > 0 && text[digits] == '.' ? index : -1;
}

static const struct slot *find_slot(const struct slot *slots, size_t count,
                                    enum model_format format, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (slots[i].names[format] && strcmp(slots[i].names[format], name) == 0)
            return &slots[i];
    return NULL;
}

/* Old converters stored the rope frequencies, which follow from the configuration. */
static bool ends_with_frequencies(const char *name)
{
    static const char ending[] = ".rotary_emb.inv_freq";
    size_t bytes = strlen(name);
    return bytes >= sizeof ending && strcmp(name + bytes - (sizeof ending - 1), ending) == 0;
}

/* The slot of a tensor and its place in the model; NULL when the architecture knows none. */
static const struct slot *find_place(struct model *model, const char *name, struct tensor **place)
{
    const char *prefix = layer_prefixes[model->format], *rest;
    const struct slot *slot;
    if (strncmp(name, prefix, strlen(prefix)) == 0) {
        int64_t index = read_index(name + strlen(prefix), &rest);
        if (index < 0 || index >= model->config.layers)
            return NULL;
        slot = find_slot(layer_slots, LAYER_SLOTS, model->format, rest);
        if (slot)
            *place = (struct tensor *)(void *)((char *)&model->layer[index] + slot->offset);
        return slot;
    }
    slot = find_slot(model_slots, MODEL_SLOTS, model->format, name);
    if (slot)
        *place = (struct tensor *)(void *)((char *)model + slot->offset);
    return slot;
}

static enum status check_shape(const struct model *model, const struct slot *slot,
                               const struct tensor *tensor, const char *path, struct error *err)
{
    uint64_t rows = extent_of(&model->config, slot->rows);
    uint64_t columns = extent_of(&model->config, slot->columns);
    uint32_t n_dims = slot->rows == ABSENT ? 1 : 2;
    if (tensor->n_dims == n_dims && tensor_columns(tensor) == columns &&
        (n_dims == 1 || tensor->dims[0] == rows))
        return STATUS_OK;
    char wanted[48], got[128] = "";
    snprintf(wanted, sizeof wanted, n_dims == 1 ? "[%" PRIu64 "]" : "[%" PRIu64 ", %" PRIu64 "]",
             n_dims == 1 ? columns : rows, columns);
    for (uint32_t i = 0, used = 0; i < tensor->n_dims; i++)
        used += (uint32_t)snprintf(got + used, sizeof got - used, "%s%" PRIu64, i ? ", " : "",
                                   tensor->dims[i]);
    error_set(err, STATUS_FORMAT, "tensor \"%s\" is [%s]; the configuration says %s", tensor->name,
              got, wanted);
    return refuse(err, path);
}

static enum status bind_tensor(struct model *model, const struct tensor *tensor, uint64_t part,
                               const char *path, struct error *err)
{
    struct tensor *place;
    const struct slot *slot = find_place(model, tensor->name, &place);
    if (!slot && ends_with_frequencies(tensor->name))
        return STATUS_OK;
    if (!slot) {
        error_set(err, STATUS_UNSUPPORTED,
                  "tensor \"%s\" is no part of a plain Llama model of %u layers", tensor->name,
                  model->config.layers);
        return refuse(err, path);
    }
    if (place == &model->output && model->config.tied)
        return STATUS_OK; /* transformers ignores it too */
    if (place->data) {
        error_set(err, STATUS_FORMAT, "tensor \"%s\" is there twice", tensor->name);
        return refuse(err, path);
    }
    *place = *tensor;
    place->part = (uint32_t)part;
    return check_shape(model, slot, tensor, path, err);
}

static enum status require(struct model *model, const struct tensor *tensor,
                           const struct slot *slot, const char *prefix, const char *path,
                           struct error *err)
{
    if (!tensor->data) {
        error_set(err, STATUS_FORMAT, "tensor \"%s%s\" is missing", prefix,
                  slot->names[model->format]);
        error_where(err, "%s", path);
        return error_remedy(err, "Is it one part of several? Give the folder; else fetch or "
                                 "convert the model again.");
    }
    model->parameters += tensor_elements(tensor);
    model->weight_bytes += tensor->bytes;
    return STATUS_OK;
}

/* The frequencies are divided by these. */
static enum status check_rope_freqs(const struct model *model, const char *path, struct error *err)
{
    float factors[MODEL_MAX_HEAD_SIZE / 2];
    if (!model->rope_freqs.data)
        return STATUS_OK;
    tensor_row_f32(&model->rope_freqs, 0, factors);
    for (uint32_t i = 0; i < model->config.head_size / 2; i++) {
        if (!isfinite(factors[i]) || factors[i] <= 0) {
            error_set(err, STATUS_FORMAT,
                      "entry %u of tensor \"rope_freqs.weight\" is not positive and finite", i);
            return refuse(err, path);
        }
    }
    return STATUS_OK;
}

static enum status check_complete(struct model *model, const char *path, struct error *err)
{
    char prefix[64];
    for (uint32_t i = 0; i < model->config.layers; i++) {
        snprintf(prefix, sizeof prefix, "%s%u.", layer_prefixes[model->format], i);
        for (size_t k = 0; k < LAYER_SLOTS; k++) {
            const char *place = (const char *)&model->layer[i] + layer_slots[k].offset;
            if (require(model, (const struct tensor *)(const void *)place, &layer_slots[k], prefix,
                        path, err))
                return err->status;
        }
    }
    if (require(model, &model->embedding, &model_slots[0], "", path, err) ||
        require(model, &model->norm, &model_slots[1], "", path, err))
        return err->status;
    if (model->config.tied)
        model->output = model->embedding;
    else if (require(model, &model->output, &model_slots[2], "", path, err))
        return err->status;
    return check_rope_freqs(model, path, err);
}

static enum status make_layers(struct model *model, struct error *err)
{
    model->layer = arena_array(&model->arena, model->config.layers, sizeof *model->layer);
    return model->layer ? STATUS_OK
                        : error_no_memory(err, model->config.layers * sizeof *model->layer);
}

/* The tensors of one of the model's files. */
static enum status bind_part(struct model *model, const struct tensor *tensors, uint64_t count,
                             uint64_t part, const char *path, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint64_t i = 0; i < count && !status; i++)
        status = bind_tensor(model, &tensors[i], part, path, err);
    return status;
}

enum status model_build_gguf(struct model *model, const struct gguf *parts, uint32_t count,
                             struct error *err)
{
    model->format = MODEL_GGUF;
    model->rope_interleaved = true;
    if (gguf_config_read(parts, count, &model->config, err) || make_layers(model, err))
        return err->status;
    model->config.tied = !gguf_split_tensor(parts, count, "output.weight");
    for (uint32_t i = 0; i < count; i++)
        if (bind_part(model, parts[i].tensors, parts[i].tensor_count, i, parts[i].path, err))
            return err->status;
    return check_complete(model, parts[0].path, err);
}

enum status model_build_safetensors(struct model *model, const struct safetensors *parts,
                                    uint64_t count, struct error *err)
{
    model->format = MODEL_SAFETENSORS;
    model->rope_interleaved = false;
    if (make_layers(model, err))
        return err->status;
    for (uint64_t i = 0; i < count; i++)
        if (bind_part(model, parts[i].tensors, parts[i].tensor_count, i, parts[i].path, err))
            return err->status;
    return check_complete(model, parts[0].path, err);
}
