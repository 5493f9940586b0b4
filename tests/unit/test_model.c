/* src/model/model, locate, detect, hash: which files are a model, and of which type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/model_bytes.h"
#include "../support/use_model.h"
#include "base/file.h"
#include "model/detect.h"
#include "model/tokenizer/tokenizer.h"

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
    put_gguf(path_in("split", "a.gguf"), "llama");
    assert_int_equal(model_locate(path_in("split", ""), found, sizeof found, &err), STATUS_USAGE);
    assert_non_null(strstr(err.what, "The folder holds a.gguf, m-00001-of-00002.gguf"));
    assert_null(strstr(err.what, "00002-of"));
    assert_int_equal(model_locate(path_in("two", "a.gguf"), found, 8, &err), STATUS_USAGE);
}

static void detects(const char *path, enum model_type expected)
{
    enum model_type type;
    struct error err;
    assert_int_equal(model_detect(path, &type, &err), STATUS_OK);
    assert_string_equal(model_type_name(type), model_type_name(expected));
}

/* A pipe would be waited for, a folder or device has no size. */
static void only_regular_files_are_read(void **state)
{
    (void)state;
    const char *pipe = path_in("odd", "pipe.gguf");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    fails(pipe, STATUS_FORMAT, "not a regular file");
    fails(path_in("odd", ""), STATUS_FORMAT, "not a regular file");
    assert_int_equal(unlink(pipe), 0);
    path_in("odd/folder.gguf", "");
    fails(path_in("odd", ""), STATUS_NOT_FOUND, "no model in the folder");
    assert_int_equal(symlink("/dev/zero", path_in("device", "zero.gguf")), 0);
    fails(path_in("device", ""), STATUS_FORMAT, "not a regular file");
    assert_int_equal(symlink("round.gguf", path_in("round", "round.gguf")), 0);
    fails(path_in("round", ""), STATUS_IO, "symbolic links");

    put_seed("safetensors/tiny", path_in("pipes", "model.safetensors"));
    assert_int_equal(mkfifo(path_in("pipes", "config.json"), 0600), 0);
    fails(path_in("pipes", ""), STATUS_FORMAT, "not a regular file");
    struct error err;
    detects(path_in("pipes", "model.safetensors"), MODEL_TYPE_LLAMA);
    assert_int_equal(unlink(path_in("pipes", "config.json")), 0);
    put_text(path_in("pipes", "config.json"), tiny_config);
    assert_int_equal(mkfifo(path_in("pipes", "tokenizer.json"), 0600), 0);
    struct tokenizer *tokenizer;
    assert_int_equal(tokenizer_open(&tokenizer, path_in("pipes", ""), &err), STATUS_NOT_FOUND);
    assert_int_equal(unlink(path_in("pipes", "model.safetensors")), 0);
    assert_int_equal(mkfifo(path_in("pipes", "model.safetensors"), 0600), 0);
    fails(path_in("pipes", ""), STATUS_NOT_FOUND, "cannot open");
    assert_int_equal(mkfifo(path_in("pipes", "model.safetensors.index.json"), 0600), 0);
    fails(path_in("pipes", ""), STATUS_FORMAT, "not a regular file");
}

static void hidden_files_are_no_models(void **state)
{
    (void)state;
    put_gguf(path_in("hidden", "._m.gguf"), "llama");
    fails(path_in("hidden", ""), STATUS_NOT_FOUND, "no model in the folder");
    put_gguf(path_in("hidden", "m.gguf"), "llama");
    opens(path_in("hidden", ""), MODEL_GGUF, "m");
    opens(path_in("hidden", "._m.gguf"), MODEL_GGUF, "._m");
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
        cmocka_unit_test(files_and_folders_are_opened),
        cmocka_unit_test(several_models_are_a_question),
        cmocka_unit_test(only_regular_files_are_read),
        cmocka_unit_test(hidden_files_are_no_models),
        cmocka_unit_test(indexes_are_checked),
        cmocka_unit_test(the_file_wins_over_its_name),
        cmocka_unit_test(names_decide_where_the_file_says_nothing),
        cmocka_unit_test(a_mismatch_has_exactly_one_wording),
        cmocka_unit_test(hashes_are_kept_until_the_file_changes),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
