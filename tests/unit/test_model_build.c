/* src/model/build: a model that is built is a model that loads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "../support/model_bytes.h"
#include "../support/use_model.h"
#include "model/build.h"

/* Builds a model from what the maker holds. */
static enum status build(struct gguf_maker *maker, struct model *model, struct gguf *gguf,
                         struct bytes *file, struct error *err)
{
    make_tiny(maker);
    *file = gguf_made(maker);
    *model = (struct model){0};
    assert_int_equal(gguf_parse(gguf, file->data, file->size, "tiny.gguf", err), STATUS_OK);
    return model_build_gguf(model, gguf, 1, err);
}

static void expect_error(struct gguf_maker *maker, enum status status, const char *what)
{
    struct model model;
    struct gguf gguf;
    struct bytes file;
    struct error err = {0};
    assert_int_equal(build(maker, &model, &gguf, &file, &err), status);
    if (!strstr(err.what, what))
        fail_msg("\"%s\" is not in \"%s\"", what, err.what);
    assert_non_null(strstr(err.where, "tiny.gguf"));
    assert_string_not_equal(err.remedy, "");
    arena_free(&model.arena);
    gguf_close(&gguf);
    bytes_free(&file);
}

static void a_gguf_model_is_built(void **state)
{
    (void)state;
    struct gguf_maker maker = {0};
    struct model model;
    struct gguf gguf;
    struct bytes file;
    struct error err;
    make_u32(&maker, "tokenizer.ggml.bos_token_id", 1);
    make_u32(&maker, "tokenizer.ggml.eos_token_id", 2);
    make_u32(&maker, "tokenizer.ggml.eot_token_id", 3);
    make_u32(&maker, "tokenizer.ggml.eom_token_id", 2);
    make_f32(&maker, "llama.rope.freq_base", 500000);
    make_tensor(&maker, "rope_freqs.weight", 0, 2);
    assert_int_equal(build(&maker, &model, &gguf, &file, &err), STATUS_OK);
    assert_int_equal(model.config.head_size, 4);
    assert_int_equal(model.config.vocabulary, 4);
    assert_int_equal(model.config.eos_count, 2);
    assert_int_equal(model.config.eos[1], 3);
    assert_true(model.config.tied && model.output.data == model.embedding.data);
    assert_true(model.rope_interleaved && model.rope_freqs.data);
    assert_true(model.config.rope_base == 500000.0f);
    uint64_t elements = 4 * 8 + 8 + 8 + 8 * 8 + 4 * 8 + 4 * 8 + 8 * 8 + 8 + 3 * 8 * 8;
    assert_int_equal(model.parameters, elements);
    assert_int_equal(model.weight_bytes, 4 * elements);
    use_model(&model);
    arena_free(&model.arena);
    gguf_close(&gguf);
    bytes_free(&file);
}

static void each_key_and_tensor_is_needed(void **state)
{
    (void)state;
    static const char *const needed[] = {"general.architecture",
                                         "llama.embedding_length",
                                         "llama.block_count",
                                         "llama.attention.head_count",
                                         "llama.feed_forward_length",
                                         "llama.context_length",
                                         "llama.attention.layer_norm_rms_epsilon",
                                         "token_embd.weight",
                                         "output_norm.weight",
                                         "blk.0.attn_norm.weight",
                                         "blk.0.attn_q.weight",
                                         "blk.0.attn_k.weight",
                                         "blk.0.attn_v.weight",
                                         "blk.0.attn_output.weight",
                                         "blk.0.ffn_norm.weight",
                                         "blk.0.ffn_gate.weight",
                                         "blk.0.ffn_up.weight",
                                         "blk.0.ffn_down.weight"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        struct gguf_maker maker = {.skip = needed[i]};
        expect_error(&maker, STATUS_FORMAT, needed[i]);
    }
}

static void with_u32(const char *key, uint32_t value, enum status status, const char *what)
{
    struct gguf_maker maker = {.skip = key};
    make_u32(&maker, key, value);
    expect_error(&maker, status, what);
}

static void with_f32(const char *key, float value, enum status status, const char *what)
{
    struct gguf_maker maker = {.skip = key};
    make_f32(&maker, key, value);
    expect_error(&maker, status, what);
}

static void with_tensor(const char *name, uint64_t rows, uint64_t columns, enum status status,
                        const char *what)
{
    struct gguf_maker maker = {.skip = name};
    make_tensor(&maker, name, rows, columns);
    expect_error(&maker, status, what);
}

static void wrong_numbers_are_refused(void **state)
{
    (void)state;
    const char *eps = "llama.attention.layer_norm_rms_epsilon";
    with_u32("llama.block_count", 0, STATUS_FORMAT, "llama.block_count is 0");
    with_u32("llama.block_count", UINT32_MAX, STATUS_FORMAT, "llama.block_count is 4294967295");
    with_u32("llama.block_count", 2, STATUS_FORMAT, "\"blk.1.attn_norm.weight\" is missing");
    with_u32("llama.attention.head_count", 3, STATUS_FORMAT, "do not divide the width");
    with_u32("llama.attention.head_count", 16, STATUS_FORMAT, "do not divide the width");
    with_u32("llama.attention.head_count_kv", 3, STATUS_FORMAT, "does not divide");
    with_u32("llama.attention.key_length", 6, STATUS_FORMAT, "the configuration says [12, 8]");
    with_u32("llama.attention.value_length", 6, STATUS_UNSUPPORTED, "keys are 4 wide");
    with_u32("llama.rope.dimension_count", 2, STATUS_UNSUPPORTED, "only 2 of a head's 4");
    with_u32("llama.vocab_size", 5, STATUS_FORMAT, "[4, 8]; the configuration says [5, 8]");
    with_u32("tokenizer.ggml.eos_token_id", 4, STATUS_FORMAT, "eos_token_id is 4");
    with_u32("llama.expert_count", 8, STATUS_UNSUPPORTED, "8 experts");
    with_f32(eps, NAN, STATUS_FORMAT, "not finite");
    with_f32(eps, -1e-5f, STATUS_FORMAT, "epsilon");
    with_f32("llama.rope.freq_base", 0, STATUS_FORMAT, "base");
    with_f32("llama.rope.scaling.factor", -1, STATUS_FORMAT, "factor");
}

static void wrong_tensors_are_refused(void **state)
{
    (void)state;
    with_tensor("blk.0.attn_q.weight", 4, 8, STATUS_FORMAT, "is [4, 8]; the configuration says");
    with_tensor("blk.0.attn_norm.weight", 1, 8, STATUS_FORMAT, "is [1, 8]");
    with_tensor("output.weight", 5, 8, STATUS_FORMAT, "output.weight");
    with_tensor("blk.1.attn_q.weight", 8, 8, STATUS_UNSUPPORTED, "model of 1 layers");
    with_tensor("blk.00.attn_q.weight", 8, 8, STATUS_FORMAT, "there twice");
    with_tensor("blk.9999999999.attn_q.weight", 8, 8, STATUS_UNSUPPORTED, "9999999999");
    with_tensor("blk.0.attn_q.bias", 0, 8, STATUS_UNSUPPORTED, "\"blk.0.attn_q.bias\"");
    with_tensor("blk.0.ffn_gate_inp.weight", 8, 8, STATUS_UNSUPPORTED, "ffn_gate_inp");
    with_tensor("rope_freqs.weight", 0, 4, STATUS_FORMAT, "rope_freqs.weight");

    struct gguf_maker maker = {0};
    make_tensor(&maker, "rope_freqs.weight", 0, 2);
    memset(maker.data.data, 0, 4);
    expect_error(&maker, STATUS_FORMAT, "entry 0 of tensor \"rope_freqs.weight\"");

    maker = (struct gguf_maker){.skip = "general.architecture"};
    make_string(&maker, "general.architecture", "qwen2\033");
    expect_error(&maker, STATUS_UNSUPPORTED, "\"qwen2?\"");
    make_string(&maker, "llama.rope.scaling.type", "yarn");
    expect_error(&maker, STATUS_UNSUPPORTED, "\"yarn\"");
    make_array(&maker, "tokenizer.ggml.tokens", GGUF_STRING, 5);
    for (int i = 0; i < 5; i++)
        bytes_put_string(&maker.pairs, "x");
    expect_error(&maker, STATUS_FORMAT, "the tokenizer has 5 tokens");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gguf_model_is_built),
        cmocka_unit_test(each_key_and_tensor_is_needed),
        cmocka_unit_test(wrong_numbers_are_refused),
        cmocka_unit_test(wrong_tensors_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
