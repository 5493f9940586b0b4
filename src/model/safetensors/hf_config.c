#include "model/safetensors/hf_config.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "model/printable.h"

struct reader {
    const json_t *json;
    const char *path;
    struct error *err;
};

/* Adds the place to an error of the json_get functions, which name the key. */
static enum status damaged(const struct reader *reader)
{
    error_where(reader->err, "%s", reader->path);
    return error_remedy(reader->err, "Fetch the model's config.json again.");
}

static enum status unsupported(const struct reader *reader, const char *key, const char *value,
                               const char *remedy)
{
    char text[64];
    error_set(reader->err, STATUS_UNSUPPORTED, "\"%s\" is %s, which is not supported", key,
              printable(text, sizeof text, value, strlen(value)));
    error_where(reader->err, "%s", reader->path);
    return error_remedy(reader->err, "%s", remedy);
}

static enum status read_size(const struct reader *reader, const char *key, int64_t high,
                             uint32_t *size)
{
    int64_t value;
    if (json_get_int(reader->json, key, 1, high, &value, reader->err))
        return damaged(reader);
    *size = (uint32_t)value;
    return STATUS_OK;
}

static enum status read_size_or(const struct reader *reader, const char *key, int64_t high,
                                uint32_t otherwise, uint32_t *size)
{
    int64_t value;
    if (json_get_int_or(reader->json, key, 1, high, otherwise, &value, reader->err))
        return damaged(reader);
    *size = (uint32_t)value;
    return STATUS_OK;
}

static enum status read_float_or(const struct reader *reader, const json_t *object, const char *key,
                                 double otherwise, float *value)
{
    double number;
    if (json_get_number_or(object, key, otherwise, &number, reader->err))
        return damaged(reader);
    *value = (float)number;
    return STATUS_OK;
}

static enum status check_type(const struct reader *reader)
{
    const char *type, *class, *remedy = "Use a model of the Llama family.";
    const json_t *first = json_array_get(json_object_get(reader->json, "architectures"), 0);
    class = json_is_string(first) ? json_string_value(first) : "LlamaForCausalLM";
    if (json_get_string_or(reader->json, "model_type", "llama", &type, reader->err))
        return damaged(reader);
    if (strcmp(type, "llama") != 0)
        return unsupported(reader, "model_type", type, remedy);
    if (strcmp(class, "LlamaForCausalLM") != 0)
        return unsupported(reader, "architectures", class, remedy);
    return STATUS_OK;
}

/* What transformers would compute and we would not. */
static enum status check_plain(const struct reader *reader)
{
    static const char *const biases[] = {"attention_bias", "mlp_bias"};
    const json_t *quantised = json_object_get(reader->json, "quantization_config");
    const char *activation, *remedy = "Use a plain model of the Llama family.";
    float rotated = 1;
    for (size_t i = 0; i < sizeof biases / sizeof *biases; i++) {
        bool bias;
        if (json_get_bool_or(reader->json, biases[i], false, &bias, reader->err))
            return damaged(reader);
        if (bias)
            return unsupported(reader, biases[i], "true", remedy);
    }
    if (json_get_string_or(reader->json, "hidden_act", "silu", &activation, reader->err))
        return damaged(reader);
    if (strcmp(activation, "silu") != 0)
        return unsupported(reader, "hidden_act", activation, remedy);
    if (quantised && !json_is_null(quantised)) {
        const char *method = json_string_value(json_object_get(quantised, "quant_method"));
        return unsupported(reader, "quantization_config", method ? method : "there",
                           "Use the model in F32, F16 or BF16.");
    }
    if (read_float_or(reader, reader->json, "partial_rotary_factor", 1, &rotated))
        return reader->err->status;
    return rotated == 1 ? STATUS_OK : unsupported(reader, "partial_rotary_factor", "not 1", remedy);
}

static enum status read_heads(const struct reader *reader, struct model_config *config)
{
    if (read_size(reader, "num_attention_heads", MODEL_MAX_HEADS, &config->heads) ||
        read_size_or(reader, "num_key_value_heads", MODEL_MAX_HEADS, config->heads,
                     &config->kv_heads))
        return reader->err->status;
    const json_t *given = json_object_get(reader->json, "head_dim");
    if (given && !json_is_null(given))
        return read_size(reader, "head_dim", MODEL_MAX_HEAD_SIZE, &config->head_size);
    config->head_size = config->hidden_size / config->heads;
    if (config->hidden_size % config->heads || config->head_size > MODEL_MAX_HEAD_SIZE) {
        error_set(reader->err, STATUS_FORMAT,
                  "\"num_attention_heads\" is %u, which cannot share the width, %u", config->heads,
                  config->hidden_size);
        return damaged(reader);
    }
    return STATUS_OK;
}

static enum status read_llama3(const struct reader *reader, const json_t *object,
                               struct rope_scaling *rope)
{
    double low, high;
    int64_t context;
    if (json_get_number(object, "low_freq_factor", &low, reader->err) ||
        json_get_number(object, "high_freq_factor", &high, reader->err) ||
        json_get_int(object, "original_max_position_embeddings", 1, MODEL_MAX_CONTEXT, &context,
                     reader->err))
        return damaged(reader);
    rope->kind = ROPE_SCALING_LLAMA3;
    rope->low_freq_factor = (float)low;
    rope->high_freq_factor = (float)high;
    rope->original_context = (uint32_t)context;
    return STATUS_OK;
}

/* transformers 4: rope_theta beside rope_scaling {rope_type or type, …}; 5: rope_parameters with
 * rope_theta inside. */
static enum status read_rope(const struct reader *reader, struct model_config *config)
{
    const json_t *new = json_object_get(reader->json, "rope_parameters");
    const json_t *old = json_object_get(reader->json, "rope_scaling");
    const json_t *object = json_is_null(new) || !new ? old : new;
    const char *kind, *key = object == new ? "rope_parameters" : "rope_scaling";
    double factor;
    if (read_float_or(reader, reader->json, "rope_theta", 10000, &config->rope_base))
        return reader->err->status;
    if (!object || json_is_null(object))
        return STATUS_OK;
    if (!json_is_object(object)) {
        error_set(reader->err, STATUS_FORMAT, "\"%s\" is not an object", key);
        return damaged(reader);
    }
    if (read_float_or(reader, object, "rope_theta", (double)config->rope_base, &config->rope_base))
        return reader->err->status;
    if (json_get_string_or(object, "type", "default", &kind, reader->err) ||
        json_get_string_or(object, "rope_type", kind, &kind, reader->err))
        return damaged(reader);
    if (strcmp(kind, "default") == 0)
        return STATUS_OK;
    if (strcmp(kind, "linear") != 0 && strcmp(kind, "llama3") != 0)
        return unsupported(reader, key, kind, "Only linear and llama3's scaling are known.");
    if (json_get_number(object, "factor", &factor, reader->err))
        return damaged(reader);
    config->rope.factor = (float)factor;
    config->rope.kind = ROPE_SCALING_LINEAR;
    return strcmp(kind, "llama3") == 0 ? read_llama3(reader, object, &config->rope) : STATUS_OK;
}

static enum status read_id(const struct reader *reader, const char *key, const json_t *value,
                           uint32_t vocabulary, int32_t *id)
{
    int64_t number = json_is_integer(value) ? json_integer_value(value) : -2;
    if (number < -1 || number >= (int64_t)vocabulary) {
        error_set(reader->err, STATUS_FORMAT, "\"%s\" is no token id below %u", key, vocabulary);
        return damaged(reader);
    }
    *id = (int32_t)number;
    return STATUS_OK;
}

static enum status read_tokens(const struct reader *reader, struct model_config *config)
{
    const json_t *begin = json_object_get(reader->json, "bos_token_id");
    const json_t *end = json_object_get(reader->json, "eos_token_id");
    size_t count = json_is_array(end) ? json_array_size(end) : end && !json_is_null(end);
    if (begin && !json_is_null(begin) &&
        read_id(reader, "bos_token_id", begin, config->vocabulary, &config->bos))
        return reader->err->status;
    if (count > MODEL_MAX_EOS) {
        error_set(reader->err, STATUS_FORMAT, "\"eos_token_id\" lists %zu ids; at most %d are read",
                  count, MODEL_MAX_EOS);
        return damaged(reader);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_is_array(end) ? json_array_get(end, i) : end;
        int32_t *id = &config->eos[config->eos_count];
        if (read_id(reader, "eos_token_id", value, config->vocabulary, id))
            return reader->err->status;
        config->eos_count += *id >= 0;
    }
    return STATUS_OK;
}

static enum status read_config(const struct reader *reader, struct model_config *config)
{
    *config = (struct model_config){.bos = -1};
    for (int i = 0; i < MODEL_MAX_EOS; i++)
        config->eos[i] = -1;
    if (check_type(reader) || check_plain(reader) ||
        read_size(reader, "hidden_size", MODEL_MAX_WIDTH, &config->hidden_size) ||
        read_size(reader, "num_hidden_layers", MODEL_MAX_LAYERS, &config->layers) ||
        read_heads(reader, config) ||
        read_size(reader, "intermediate_size", MODEL_MAX_FFN, &config->ffn_size) ||
        read_size(reader, "vocab_size", MODEL_MAX_VOCABULARY, &config->vocabulary) ||
        read_size_or(reader, "max_position_embeddings", MODEL_MAX_CONTEXT, 2048,
                     &config->context) ||
        read_float_or(reader, reader->json, "rms_norm_eps", 1e-6, &config->norm_eps) ||
        read_rope(reader, config) || read_tokens(reader, config))
        return reader->err->status;
    if (json_get_bool_or(reader->json, "tie_word_embeddings", false, &config->tied, reader->err))
        return damaged(reader);
    return model_config_check(config, reader->path, reader->err);
}

enum status hf_config_parse(struct model_config *config, const char *text, size_t bytes,
                            const char *path, struct error *err)
{
    json_t *json = json_parse(text, bytes, path, err);
    if (!json)
        return error_remedy(err, "Fetch the model's config.json again.");
    struct reader reader = {json, path, err};
    enum status status = read_config(&reader, config);
    json_decref(json);
    return status;
}

enum status hf_config_read(struct model_config *config, const char *path, struct error *err)
{
    char *text;
    size_t bytes;
    if (file_read(path, HF_CONFIG_MAX_BYTES, &text, &bytes, err))
        return error_remedy(err, "Fetch the model's config.json again.");
    enum status status = hf_config_parse(config, text, bytes, path, err);
    free(text);
    return status;
}
