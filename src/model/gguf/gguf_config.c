#include "model/gguf/gguf_config.h"

#include <inttypes.h>

#include "model/gguf/gguf_split.h"
#include "model/printable.h"

struct reader {
    const struct gguf *gguf; /* the first of the parts, with the metadata */
    uint32_t parts;
    struct error *err;
};

static enum status read_size(struct reader *reader, const char *key, int64_t high, uint32_t *size)
{
    int64_t value;
    if (gguf_get_int(reader->gguf, key, 1, high, &value, reader->err))
        return reader->err->status;
    *size = (uint32_t)value;
    return STATUS_OK;
}

static enum status read_size_or(struct reader *reader, const char *key, int64_t high,
                                uint32_t otherwise, uint32_t *size)
{
    *size = otherwise;
    return gguf_find(reader->gguf, key) ? read_size(reader, key, high, size) : STATUS_OK;
}

static enum status read_float_or(struct reader *reader, const char *key, double otherwise,
                                 float *value)
{
    double number;
    if (gguf_get_number_or(reader->gguf, key, otherwise, &number, reader->err))
        return reader->err->status;
    *value = (float)number;
    return STATUS_OK;
}

static enum status unsupported(struct reader *reader, const char *key, const char *remedy)
{
    error_where(reader->err, "%s, key %s", reader->gguf->path, key);
    return error_remedy(reader->err, "%s", remedy);
}

static enum status check_architecture(struct reader *reader)
{
    struct gguf_string architecture;
    int64_t experts;
    if (gguf_get_string(reader->gguf, "general.architecture", &architecture, reader->err) ||
        gguf_get_int_or(reader->gguf, "llama.expert_count", 0, INT64_MAX, 0, &experts, reader->err))
        return reader->err->status;
    if (!gguf_string_equals(architecture, "llama")) {
        char text[64];
        error_set(reader->err, STATUS_UNSUPPORTED,
                  "the model's architecture is \"%s\"; only \"llama\" is supported",
                  printable(text, sizeof text, architecture.data, architecture.bytes));
        return unsupported(reader, "general.architecture", "Use a model of the Llama family.");
    }
    if (experts > 0) {
        error_set(reader->err, STATUS_UNSUPPORTED, "the model is a mixture of %" PRId64 " experts",
                  experts);
        return unsupported(reader, "llama.expert_count", "Use a dense model of the Llama family.");
    }
    return STATUS_OK;
}

static enum status read_head_size(struct reader *reader, struct model_config *config)
{
    uint32_t value_size, rotated;
    if (config->hidden_size % config->heads &&
        !gguf_find(reader->gguf, "llama.attention.key_length")) {
        error_set(reader->err, STATUS_FORMAT, "%u heads do not divide the width, %u", config->heads,
                  config->hidden_size);
        return unsupported(reader, "llama.attention.head_count",
                           "Convert the model to GGUF again.");
    }
    uint32_t usual = config->hidden_size / config->heads;
    if (read_size_or(reader, "llama.attention.key_length", MODEL_MAX_HEAD_SIZE, usual,
                     &config->head_size) ||
        read_size_or(reader, "llama.attention.value_length", MODEL_MAX_HEAD_SIZE, config->head_size,
                     &value_size) ||
        read_size_or(reader, "llama.rope.dimension_count", MODEL_MAX_HEAD_SIZE, config->head_size,
                     &rotated))
        return reader->err->status;
    if (config->head_size == 0 || config->head_size > MODEL_MAX_HEAD_SIZE) {
        error_set(reader->err, STATUS_FORMAT, "a head's size is %u; it should be 1 to %d",
                  config->head_size, MODEL_MAX_HEAD_SIZE);
        return unsupported(reader, "llama.attention.head_count",
                           "Convert the model to GGUF again.");
    }
    if (value_size != config->head_size) {
        error_set(reader->err, STATUS_UNSUPPORTED, "keys are %u wide and values %u",
                  config->head_size, value_size);
        return unsupported(reader, "llama.attention.value_length",
                           "Use a model whose keys and values are equally wide.");
    }
    if (rotated != config->head_size) {
        error_set(reader->err, STATUS_UNSUPPORTED, "only %u of a head's %u dimensions are rotated",
                  rotated, config->head_size);
        return unsupported(reader, "llama.rope.dimension_count",
                           "Use a model that rotates whole heads.");
    }
    return STATUS_OK;
}

/* llama3's scaling is not among the keys: it comes as the tensor rope_freqs.weight. */
static enum status read_rope(struct reader *reader, struct model_config *config)
{
    static const char kind_key[] = "llama.rope.scaling.type";
    static const char factor_key[] = "llama.rope.scaling.factor";
    static const char old_key[] = "llama.rope.scale_linear";
    struct gguf_string kind;
    if (read_float_or(reader, "llama.rope.freq_base", 10000, &config->rope_base) ||
        gguf_get_string_or_null(reader->gguf, kind_key, &kind, reader->err))
        return reader->err->status;
    if (kind.data && !gguf_string_equals(kind, "none") && !gguf_string_equals(kind, "linear")) {
        char text[64];
        error_set(reader->err, STATUS_UNSUPPORTED, "rope scaling of type \"%s\"",
                  printable(text, sizeof text, kind.data, kind.bytes));
        return unsupported(reader, kind_key, "Only none, linear and llama3's scaling are known.");
    }
    if (kind.data && gguf_string_equals(kind, "none"))
        return STATUS_OK;
    const char *key = gguf_find(reader->gguf, factor_key) ? factor_key : old_key;
    if (read_float_or(reader, key, 1, &config->rope.factor))
        return reader->err->status;
    if (config->rope.factor != 1)
        config->rope.kind = ROPE_SCALING_LINEAR;
    return STATUS_OK;
}

static enum status read_tokens(struct reader *reader, struct model_config *config)
{
    static const char *const end_keys[] = {"tokenizer.ggml.eos_token_id",
                                           "tokenizer.ggml.eot_token_id",
                                           "tokenizer.ggml.eom_token_id"};
    const struct tensor *embedding =
        gguf_split_tensor(reader->gguf, reader->parts, "token_embd.weight");
    const struct gguf_value *tokens = gguf_find(reader->gguf, "tokenizer.ggml.tokens");
    uint64_t rows = embedding ? tensor_rows(embedding) : 0;
    int64_t id, last;
    if (rows < 1 || rows > MODEL_MAX_VOCABULARY) {
        error_set(reader->err, STATUS_FORMAT,
                  embedding ? "tensor \"token_embd.weight\" has %" PRIu64 " rows"
                            : "tensor \"token_embd.weight\" is missing: %" PRIu64 " tokens",
                  rows);
        error_where(reader->err, "%s", reader->gguf->path);
        return error_remedy(reader->err, "Use a GGUF file with weights.");
    }
    if (read_size_or(reader, "llama.vocab_size", MODEL_MAX_VOCABULARY, (uint32_t)rows,
                     &config->vocabulary))
        return reader->err->status;
    if (tokens && tokens->count > config->vocabulary) {
        error_set(reader->err, STATUS_FORMAT,
                  "the tokenizer has %" PRIu64 " tokens, the vocabulary %u", tokens->count,
                  config->vocabulary);
        return unsupported(reader, "tokenizer.ggml.tokens", "Convert the model to GGUF again.");
    }
    last = (int64_t)config->vocabulary - 1;
    if (gguf_get_int_or(reader->gguf, "tokenizer.ggml.bos_token_id", -1, last, -1, &id,
                        reader->err))
        return reader->err->status;
    config->bos = (int32_t)id;
    for (size_t i = 0; i < sizeof end_keys / sizeof *end_keys; i++) {
        if (gguf_get_int_or(reader->gguf, end_keys[i], -1, last, -1, &id, reader->err))
            return reader->err->status;
        bool known = id < 0;
        for (uint32_t k = 0; k < config->eos_count; k++)
            known |= config->eos[k] == id;
        if (!known)
            config->eos[config->eos_count++] = (int32_t)id;
    }
    return STATUS_OK;
}

enum status gguf_config_read(const struct gguf *parts, uint32_t count, struct model_config *config,
                             struct error *err)
{
    struct reader reader = {parts, count, err};
    double eps;
    *config = (struct model_config){.bos = -1};
    if (check_architecture(&reader) ||
        read_size(&reader, "llama.embedding_length", MODEL_MAX_WIDTH, &config->hidden_size) ||
        read_size(&reader, "llama.block_count", MODEL_MAX_LAYERS, &config->layers) ||
        read_size(&reader, "llama.attention.head_count", MODEL_MAX_HEADS, &config->heads) ||
        read_size_or(&reader, "llama.attention.head_count_kv", MODEL_MAX_HEADS, config->heads,
                     &config->kv_heads) ||
        read_size(&reader, "llama.feed_forward_length", MODEL_MAX_FFN, &config->ffn_size) ||
        read_size(&reader, "llama.context_length", MODEL_MAX_CONTEXT, &config->context) ||
        gguf_get_number(parts, "llama.attention.layer_norm_rms_epsilon", &eps, err))
        return err->status;
    config->norm_eps = (float)eps;
    for (int i = 0; i < MODEL_MAX_EOS; i++)
        config->eos[i] = -1;
    if (read_head_size(&reader, config) || read_rope(&reader, config) ||
        read_tokens(&reader, config))
        return err->status;
    return model_config_check(config, parts->path, err);
}
