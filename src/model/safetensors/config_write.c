#include "model/safetensors/config_write.h"

#include <limits.h>
#include <stdio.h>

#include "base/json.h"
#include "model/safetensors/json_write.h"

enum { CONFIG_LIMIT = 16 << 20 };

static const char *torch_name(enum tensor_type precision)
{
    return precision == TENSOR_F16 ? "float16" : precision == TENSOR_BF16 ? "bfloat16" : "float32";
}

/* transformers 5 reads this form as well as its own rope_parameters. */
static json_t *rope_json(const struct rope_scaling *rope)
{
    switch (rope->kind) {
    case ROPE_SCALING_LINEAR:
        return json_pack("{s:s,s:o}", "rope_type", "linear", "factor", json_float(rope->factor));
    case ROPE_SCALING_LLAMA3:
        return json_pack("{s:s,s:o,s:o,s:o,s:I}", "rope_type", "llama3", "factor",
                         json_float(rope->factor), "low_freq_factor",
                         json_float(rope->low_freq_factor), "high_freq_factor",
                         json_float(rope->high_freq_factor), "original_max_position_embeddings",
                         (json_int_t)rope->original_context);
    case ROPE_SCALING_NONE:
        break;
    }
    return json_null();
}

static json_t *id_json(int32_t id)
{
    return id < 0 ? json_null() : json_integer(id);
}

static json_t *eos_json(const struct model_config *config)
{
    if (config->eos_count <= 1)
        return id_json(config->eos_count ? config->eos[0] : -1);
    json_t *array = json_array();
    for (uint32_t i = 0; i < config->eos_count; i++)
        json_array_append_new(array, json_integer(config->eos[i]));
    return array;
}

enum status config_write(const struct model_config *c, enum tensor_type precision,
                         const char *folder, struct error *err)
{
    json_t *json = json_pack(
        "{s:[s],s:s,s:s,s:b,s:b,s:o,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:o,s:b,s:s,s:b}",
        "architectures", "LlamaForCausalLM", "model_type", "llama", "hidden_act", "silu",
        "attention_bias", 0, "mlp_bias", 0, "bos_token_id", id_json(c->bos), "eos_token_id",
        eos_json(c), "hidden_size", (json_int_t)c->hidden_size, "num_hidden_layers",
        (json_int_t)c->layers, "num_attention_heads", (json_int_t)c->heads, "num_key_value_heads",
        (json_int_t)c->kv_heads, "head_dim", (json_int_t)c->head_size, "intermediate_size",
        (json_int_t)c->ffn_size, "vocab_size", (json_int_t)c->vocabulary, "max_position_embeddings",
        (json_int_t)c->context, "rms_norm_eps", json_float(c->norm_eps), "rope_theta",
        json_float(c->rope_base), "rope_scaling", rope_json(&c->rope), "tie_word_embeddings",
        c->tied, "torch_dtype", torch_name(precision), "use_cache", 1);
    enum status status = json_write(json, folder, "config.json", err);
    json_decref(json);
    return status;
}

enum status config_carry(const char *from, enum tensor_type precision, const char *folder,
                         struct error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/config.json", from);
    json_t *json = json_read(path, CONFIG_LIMIT, err);
    if (!json)
        return err->status;
    /* transformers 5 has renamed torch_dtype, and reads either. */
    const char *key = json_object_get(json, "dtype") ? "dtype" : "torch_dtype";
    json_object_set_new(json, key, json_string(torch_name(precision)));
    enum status status = json_write(json, folder, "config.json", err);
    json_decref(json);
    return status;
}
