/* src/model/model, build, locate, detect, hash: a model that opens is a model that loads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <limits.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/model_bytes.h"
#include "../support/use_model.h"
#include "base/file.h"
#include "model/build.h"
#include "model/detect.h"

static char root[] = "/tmp/prony-model-XXXXXX";

/* A path below a folder of this test's own, which is made. */
static const char *path_in(const char *folder, const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    struct error err;
    snprintf(path, PATH_MAX, "%s/%s", root, folder);
    assert_int_equal(folder_make(path, &err), STATUS_OK);
    snprintf(path, PATH_MAX, "%s/%s%s%s", root, folder, *name ? "/" : "", name);
    return path;
}

static void put_text(const char *path, const char *text)
{
    struct bytes bytes = {0};
    bytes_put(&bytes, text, strlen(text));
    bytes_write(&bytes, path);
    bytes_free(&bytes);
}

static void put_gguf(const char *path, const char *architecture)
{
    struct gguf_maker maker = {.skip = "general.architecture"};
    make_tiny(&maker);
    make_string(&maker, "general.architecture", architecture);
    struct bytes file = gguf_made(&maker);
    bytes_write(&file, path);
    bytes_free(&file);
}

/* Copies a seed of the fuzzers: small whole safetensors files. */
static void put_seed(const char *seed, const char *path)
{
    char from[PATH_MAX], *text;
    size_t bytes;
    struct error err;
    snprintf(from, sizeof from, "%s/fuzz/corpus/%s", TEST_DATA, seed);
    assert_int_equal(file_read(from, 1 << 20, &text, &bytes, &err), STATUS_OK);
    bytes_write(&(struct bytes){(unsigned char *)text, bytes}, path);
    free(text);
}

static const char tiny_config[] =
    "{\"model_type\": \"llama\", \"hidden_size\": 8, \"num_hidden_layers\": 1, "
    "\"num_attention_heads\": 2, \"num_key_value_heads\": 1, \"intermediate_size\": 8, "
    "\"vocab_size\": 4}";

/* Builds a model from what the maker holds. */
static enum status build(struct gguf_maker *maker, struct model *model, struct gguf *gguf,
                         struct bytes *file, struct error *err)
{
    make_tiny(maker);
    *file = gguf_made(maker);
    *model = (struct model){0};
    assert_int_equal(gguf_parse(gguf, file->data, file->size, "tiny.gguf", err), STATUS_OK);
    return model_build_gguf(model, gguf, err);
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
    with_u32("split.count", 3, STATUS_UNSUPPORTED, "one of 3 parts");
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

static void opens(const char *path, enum model_format format, const char *name)
{
    struct model model;
    struct error err;
    if (model_open(&model, path, &err)) {
        error_print(&err, stderr);
        fail();
    }
    assert_int_equal(model.format, format);
    assert_string_equal(model.name, name);
    assert_string_equal(model.path, path);
    assert_true(path_is_file(model.weights));
    assert_int_equal(model.rope_interleaved, format == MODEL_GGUF);
    use_model(&model);
    model_close(&model);
}

static void fails(const char *path, enum status status, const char *what)
{
    struct model model;
    struct error err = {0};
    assert_int_equal(model_open(&model, path, &err), status);
    if (!strstr(err.what, what))
        fail_msg("\"%s\" is not in \"%s\"", what, err.what);
    assert_non_null(strstr(err.where, root));
    assert_string_not_equal(err.remedy, "");
}

static void files_and_folders_are_opened(void **state)
{
    (void)state;
    put_gguf(path_in("one", "alone.gguf"), "llama");
    put_text(path_in("one", "README.md"), "");
    opens(path_in("one", "alone.gguf"), MODEL_GGUF, "alone");
    opens(path_in("one", ""), MODEL_GGUF, "alone");

    put_seed("safetensors/tiny", path_in("hf", "model.safetensors"));
    put_text(path_in("hf", "config.json"), tiny_config);
    opens(path_in("hf", ""), MODEL_SAFETENSORS, "hf");
    opens(path_in("hf", "config.json"), MODEL_SAFETENSORS, "hf");
    opens(path_in("hf", "model.safetensors"), MODEL_SAFETENSORS, "hf");

    put_text(path_in("none", "notes.txt"), "");
    fails(path_in("none", ""), STATUS_NOT_FOUND, "no model in the folder");
    fails(path_in("none", "missing"), STATUS_NOT_FOUND, "cannot find the model");
    fails(path_in("none", "notes.txt"), STATUS_FORMAT, "the file is empty");
    put_text(path_in("none", "notes.txt"), "not a model, whatever it is");
    fails(path_in("none", "notes.txt"), STATUS_FORMAT, "neither GGUF nor safetensors");
    put_text(path_in("pickle", "pytorch_model.bin"), "PK\3\4");
    fails(path_in("pickle", ""), STATUS_UNSUPPORTED, "PyTorch");
    fails(path_in("pickle", "pytorch_model.bin"), STATUS_UNSUPPORTED, "PyTorch");
    put_seed("safetensors/tiny", path_in("bare", "model.safetensors"));
    fails(path_in("bare", ""), STATUS_NOT_FOUND, "no config.json");
    put_seed("safetensors/tiny", path_in("loose", "model-00001-of-00002.safetensors"));
    fails(path_in("loose", ""), STATUS_NOT_FOUND, "no model.safetensors.index.json");
}

static void several_models_are_a_question(void **state)
{
    (void)state;
    char found[PATH_MAX];
    struct error err;
    put_gguf(path_in("two", "b.gguf"), "llama");
    put_gguf(path_in("two", "a.gguf"), "llama");
    assert_int_equal(model_locate(path_in("two", ""), found, sizeof found, &err), STATUS_USAGE);
    assert_non_null(strstr(err.what, "which model? The folder holds a.gguf, b.gguf"));
    assert_non_null(strstr(err.remedy, "two/a.gguf"));
    put_gguf(path_in("both", "a.gguf"), "llama");
    put_text(path_in("both", "model.safetensors"), "");
    assert_int_equal(model_locate(path_in("both", ""), found, sizeof found, &err), STATUS_USAGE);
    assert_non_null(strstr(err.what, "a.gguf and model.safetensors"));
    put_gguf(path_in("split", "m-00001-of-00002.gguf"), "llama");
    put_gguf(path_in("split", "m-00002-of-00002.gguf"), "llama");
    assert_int_equal(model_locate(path_in("split", ""), found, sizeof found, &err),
                     STATUS_UNSUPPORTED);
    assert_non_null(strstr(err.what, "in parts"));
    assert_int_equal(model_locate(path_in("two", "a.gguf"), found, 8, &err), STATUS_USAGE);
}

/* An index over the one file that holds everything but lists it by another name, or not all. */
static void indexes_are_checked(void **state)
{
    (void)state;
    static const char *const names[] = {"model.embed_tokens.weight",
                                        "model.norm.weight",
                                        "lm_head.weight",
                                        "model.layers.0.input_layernorm.weight",
                                        "model.layers.0.self_attn.q_proj.weight",
                                        "model.layers.0.self_attn.k_proj.weight",
                                        "model.layers.0.self_attn.v_proj.weight",
                                        "model.layers.0.self_attn.o_proj.weight",
                                        "model.layers.0.post_attention_layernorm.weight",
                                        "model.layers.0.mlp.gate_proj.weight",
                                        "model.layers.0.mlp.up_proj.weight",
                                        "model.layers.0.mlp.down_proj.weight",
                                        "model.layers.0.self_attn.rotary_emb.inv_freq"};
    char text[4096] = "{\"metadata\": {}, \"weight_map\": {";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s\"%s\": \"part.safetensors\"",
                 i ? ", " : "", names[i]);
    size_t end = strlen(text);
    snprintf(text + end, sizeof text - end, "}}");
    put_text(path_in("indexed", "config.json"), tiny_config);
    put_seed("safetensors/half", path_in("indexed", "part.safetensors"));
    put_text(path_in("indexed", "model.safetensors.index.json"), text);
    opens(path_in("indexed", ""), MODEL_SAFETENSORS, "indexed");
    opens(path_in("indexed", "model.safetensors.index.json"), MODEL_SAFETENSORS, "indexed");

    snprintf(text + end, sizeof text - end, ", \"more\": \"part.safetensors\"}}");
    put_text(path_in("indexed", "model.safetensors.index.json"), text);
    fails(path_in("indexed", ""), STATUS_FORMAT, "names 14 tensors");
    snprintf(text + end, sizeof text - end, ", \"more\": \"../part.safetensors\"}}");
    put_text(path_in("indexed", "model.safetensors.index.json"), text);
    fails(path_in("indexed", ""), STATUS_FORMAT, "plain name");
    snprintf(text + end, sizeof text - end, ", \"more\": \"other.safetensors\"}}");
    put_text(path_in("indexed", "model.safetensors.index.json"), text);
    fails(path_in("indexed", ""), STATUS_NOT_FOUND, "cannot open");
    put_text(path_in("indexed", "model.safetensors.index.json"), "{\"weight_map\": {}}");
    fails(path_in("indexed", ""), STATUS_FORMAT, "names 0 files");
    put_text(path_in("indexed", "model.safetensors.index.json"), "{}");
    fails(path_in("indexed", ""), STATUS_FORMAT, "weight_map");
    put_text(path_in("indexed", "model.safetensors.index.json"),
             "{\"weight_map\": {\"lm_head.weight\": \"part.safetensors\"}}");
    fails(path_in("indexed", ""), STATUS_FORMAT, "the index says nothing of it");
}

static void detects(const char *path, enum model_type expected)
{
    enum model_type type;
    struct error err;
    assert_int_equal(model_detect(path, &type, &err), STATUS_OK);
    assert_string_equal(model_type_name(type), model_type_name(expected));
}

static void the_file_wins_over_its_name(void **state)
{
    (void)state;
    put_gguf(path_in("detect", "gpt.gguf"), "llama");
    detects(path_in("detect", "gpt.gguf"), MODEL_TYPE_LLAMA);
    put_gguf(path_in("detect", "llama.gguf"), "gpt2");
    detects(path_in("detect", "llama.gguf"), MODEL_TYPE_GPT);
    put_gguf(path_in("detect", "llama.gguf"), "qwen2");
    detects(path_in("detect", "llama.gguf"), MODEL_TYPE_UNKNOWN);
    put_text(path_in("llama-folder", "config.json"), "{\"model_type\": \"gpt2\"}");
    put_text(path_in("llama-folder", "model.safetensors"), "");
    detects(path_in("llama-folder", ""), MODEL_TYPE_GPT);
    detects(path_in("llama-folder", "model.safetensors"), MODEL_TYPE_GPT);
}

static void names_decide_where_the_file_says_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum model_type type;
    } cases[] = {
        {"Llama-x", MODEL_TYPE_LLAMA},           {"x.gguf", MODEL_TYPE_LLAMA},
        {"tokenizer.model", MODEL_TYPE_LLAMA},   {"consolidated.00.pth", MODEL_TYPE_LLAMA},
        {"model.safetensors", MODEL_TYPE_LLAMA}, {"my-GPT", MODEL_TYPE_GPT},
        {"vocab.bpe", MODEL_TYPE_GPT},           {"encoder.json", MODEL_TYPE_GPT},
        {"pytorch_model.bin", MODEL_TYPE_GPT},   {"weights", MODEL_TYPE_UNKNOWN},
    };
    char folder[32];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(folder, sizeof folder, "named%zu", i);
        put_text(path_in(folder, cases[i].name), "");
        detects(path_in(folder, cases[i].name), cases[i].type);
    }
    detects(path_in("named3", ""), MODEL_TYPE_LLAMA);
    detects(path_in("named8", ""), MODEL_TYPE_GPT);
    struct error err;
    enum model_type type;
    assert_int_equal(model_detect(path_in("named9", ""), &type, &err), STATUS_NOT_FOUND);
    assert_int_equal(model_detect(path_in("two", ""), &type, &err), STATUS_USAGE);
    assert_int_equal(model_type_parse("gpt"), MODEL_TYPE_GPT);
    assert_int_equal(model_type_parse("unknown"), MODEL_TYPE_UNKNOWN);
}

static void a_mismatch_has_exactly_one_wording(void **state)
{
    (void)state;
    struct error err;
    char *line = NULL;
    size_t size;
    put_gguf(path_in("detect", "m.gguf"), "llama");
    const char *path = path_in("detect", "m.gguf");
    assert_int_equal(model_check_type(path, MODEL_TYPE_LLAMA, &err), STATUS_OK);
    assert_int_equal(model_check_type(path, MODEL_TYPE_GPT, &err), STATUS_USAGE);
    FILE *stream = open_memstream(&line, &size);
    error_print(&err, stream);
    fclose(stream);
    assert_string_equal(line, "Error: Model type mismatch: Expected 'gpt' but detected 'llama'\n");
    free(line);
    put_gguf(path, "qwen2");
    assert_int_equal(model_check_type(path, MODEL_TYPE_LLAMA, &err), STATUS_USAGE);
    assert_non_null(strstr(err.what, "detected 'qwen2'"));
}

static void hashes_are_kept_until_the_file_changes(void **state)
{
    (void)state;
    struct model model;
    struct error err;
    char first[65], second[65], command[PATH_MAX + 64], expected[65];
    const char *path = path_in("hash", "m.gguf");
    put_gguf(path, "llama");
    for (int round = 0; round < 2; round++) {
        assert_int_equal(model_open(&model, path, &err), STATUS_OK);
        assert_int_equal(model_hash(&model, first, &err), STATUS_OK);
        assert_int_equal(model_hash(&model, second, &err), STATUS_OK);
        assert_string_equal(first, second);
        snprintf(command, sizeof command, "sha256sum '%s'", path);
        FILE *stream = popen(command, "r");
        assert_int_equal(fscanf(stream, "%64s", expected), 1);
        pclose(stream);
        assert_string_equal(first, expected);
        model_close(&model);
        /* The same size, other bytes. */
        struct gguf_maker maker = {.skip = "llama.context_length"};
        make_u32(&maker, "llama.context_length", 17);
        make_tiny(&maker);
        struct bytes file = gguf_made(&maker);
        bytes_write(&file, path);
        bytes_free(&file);
    }
}

static int make_root(void **state)
{
    (void)state;
    return !mkdtemp(root) || setenv("PRONY_CACHE", path_in("cache", ""), 1);
}

static int remove_root(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -r '%s'", root);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gguf_model_is_built),
        cmocka_unit_test(each_key_and_tensor_is_needed),
        cmocka_unit_test(wrong_numbers_are_refused),
        cmocka_unit_test(wrong_tensors_are_refused),
        cmocka_unit_test(files_and_folders_are_opened),
        cmocka_unit_test(several_models_are_a_question),
        cmocka_unit_test(indexes_are_checked),
        cmocka_unit_test(the_file_wins_over_its_name),
        cmocka_unit_test(names_decide_where_the_file_says_nothing),
        cmocka_unit_test(a_mismatch_has_exactly_one_wording),
        cmocka_unit_test(hashes_are_kept_until_the_file_changes),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
