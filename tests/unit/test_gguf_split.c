/* GGUF models in parts: found by any of them, read as one, and each way in which they can be wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <limits.h>
#include <unistd.h>

#include "../support/model_bytes.h"
#include "../support/temporary.h"
#include "../support/use_model.h"
#include "model/convert.h"
#include "model/gguf/gguf_split.h"
#include "model/tensor_walk.h"

enum { PARTS = 3 };

/* What a part says of itself, and which of the tiny model's tensors it has. */
struct part {
    uint32_t no, count, tensors;
    size_t from, to;
};

/* The first has nothing but metadata, as gguf-split can make it. */
static const struct part good[PARTS] = {
    {0, PARTS, TINY_TENSORS, 0, 0},
    {1, PARTS, TINY_TENSORS, 0, 6},
    {2, PARTS, TINY_TENSORS, 6, TINY_TENSORS},
};

/* A path in a folder of its own, which is made. */
static const char *path_in(const char *folder, const char *name)
{
    static char paths[8][PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    struct error err;
    snprintf(path, PATH_MAX, "%s/%s", temporary_folder, folder);
    assert_int_equal(folder_make(path, &err), STATUS_OK);
    snprintf(path, PATH_MAX, "%s/%s%s%s", temporary_folder, folder, *name ? "/" : "", name);
    return path;
}

static const char *part_in(const char *folder, uint32_t number)
{
    char name[32];
    snprintf(name, sizeof name, "m-%05u-of-%05d.gguf", number, PARTS);
    return path_in(folder, name);
}

static void put_part(const char *path, const struct part *part)
{
    struct gguf_maker maker = {0};
    if (part->no == 0)
        make_tiny_keys(&maker);
    make_u32(&maker, "split.no", part->no);
    make_u32(&maker, "split.count", part->count);
    make_u32(&maker, "split.tensors.count", part->tensors);
    make_tiny_tensors(&maker, part->from, part->to);
    struct bytes file = gguf_made(&maker);
    bytes_write(&file, path);
    bytes_free(&file);
}

static void put_parts(const char *folder)
{
    for (uint32_t i = 0; i < PARTS; i++)
        put_part(part_in(folder, i + 1), &good[i]);
}

static void put_whole(const char *path)
{
    struct gguf_maker maker = {0};
    make_tiny(&maker);
    struct bytes file = gguf_made(&maker);
    bytes_write(&file, path);
    bytes_free(&file);
}

static void opened(struct model *model, const char *path)
{
    struct error err;
    if (model_open(model, path, &err))
        fail_msg("%s (%s)", err.what, err.where);
}

static void same_tensors(const struct model *a, const struct model *b)
{
    const struct tensor *x, *y;
    for (uint64_t i = 0; (x = model_tensor(a, i)); i++) {
        y = model_tensor(b, i);
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->bytes, y->bytes);
        assert_memory_equal(x->data, y->data, x->bytes);
    }
    assert_null(model_tensor(b, a->config.layers * 9 + 2));
}

static void parts_are_one_model_whichever_is_given(void **state)
{
    (void)state;
    struct model whole, parts;
    size_t count;
    put_whole(path_in("whole", "m.gguf"));
    put_parts("parts");
    opened(&whole, path_in("whole", ""));
    for (uint32_t i = 0; i <= PARTS; i++) {
        opened(&parts, i ? part_in("parts", i) : path_in("parts", ""));
        const char *const *paths = model_paths(&parts, &count);
        assert_int_equal(count, PARTS);
        for (uint32_t k = 0; k < PARTS; k++)
            assert_string_equal(paths[k], part_in("parts", k + 1));
        assert_string_equal(parts.weights, paths[0]);
        assert_string_equal(parts.name, "m");
        assert_string_equal(model_format_of(&parts), "gguf-parts");
        assert_string_equal(model_format_of(&whole), "gguf");
        assert_int_equal(parts.embedding.part, 1);
        assert_int_equal(parts.layer[0].w_down.part, 2);
        assert_string_equal(model_tensor_path(&parts, &parts.layer[0].w_down), paths[2]);
        assert_int_equal(parts.weight_bytes, whole.weight_bytes);
        same_tensors(&parts, &whole);
        use_model(&parts);
        model_close(&parts);
    }
    model_close(&whole);
}

static void the_hash_is_of_all_parts(void **state)
{
    (void)state;
    struct model model;
    struct error err;
    char hex[65], expected[65], command[PATH_MAX];
    put_parts("hash");
    opened(&model, path_in("hash", ""));
    assert_int_equal(model_hash(&model, hex, &err), STATUS_OK);
    model_close(&model);
    snprintf(command, sizeof command, "cat '%s'/*.gguf | sha256sum", path_in("hash", ""));
    FILE *stream = popen(command, "r");
    assert_int_equal(fscanf(stream, "%64s", expected), 1);
    pclose(stream);
    assert_string_equal(hex, expected);
}

/* Hubs keep files under other names, and link to them. */
static void links_are_followed_by_their_own_names(void **state)
{
    (void)state;
    struct model model;
    char target[64], resolved[PATH_MAX];
    put_parts("kept");
    for (uint32_t i = 1; i <= PARTS; i++) {
        snprintf(target, sizeof target, "../kept/blob%u", i);
        assert_int_equal(rename(part_in("kept", i), path_in("kept", path_base(target))), 0);
        assert_int_equal(symlink(target, part_in("links", i)), 0);
    }
    opened(&model, part_in("links", 2));
    assert_string_equal(model.name, "m");
    assert_true(path_resolve(model.weights, resolved));
    model_close(&model);
    opened(&model, resolved);
    model_close(&model);
}

static void refused(const char *path, enum status status, const char *what, const char *where)
{
    struct model model;
    struct error err = {0};
    assert_int_equal(model_open(&model, path, &err), status);
    if (!strstr(err.what, what) || !strstr(err.where, where))
        fail_msg("%s (%s)", err.what, err.where);
    assert_true(*err.remedy);
}

static void a_part_that_is_missing_is_named(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= PARTS; i++) {
        char what[64];
        put_parts("missing");
        assert_int_equal(unlink(part_in("missing", i)), 0);
        snprintf(what, sizeof what, "part %u of the model's 3 is missing", i);
        refused(path_in("missing", ""), STATUS_NOT_FOUND, what, part_in("missing", i));
        refused(part_in("missing", i == 2 ? 3 : 2), STATUS_NOT_FOUND, what, part_in("missing", i));
    }
    put_parts("missing");
    assert_int_equal(unlink(part_in("missing", 2)), 0);
    assert_int_equal(symlink("nowhere", part_in("missing", 2)), 0);
    refused(path_in("missing", ""), STATUS_NOT_FOUND, "part 2 of", part_in("missing", 2));
}

static void parts_that_do_not_belong_together_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t number; /* of the file that is replaced */
        struct part part;
        const char *what;
    } cases[] = {
        {2, {2, 3, 11, 6, 11}, "this is part 3 of 3, where part 2 of 3 is wanted"},
        {3, {0, 3, 11, 6, 11}, "this is part 1 of 3, where part 3 of 3 is wanted"},
        {2, {1, 2, 11, 0, 6}, "this is part 2 of 2, where part 2 of 3 is wanted"},
        {2, {0, 0, 11, 0, 6}, "this is part 1 of 1, where part 2 of 3 is wanted"},
        {2,
         {1, 3, 12, 0, 6},
         "a part of a model of 12 tensors, and the first part is of one of 11"},
        {3, {2, 3, 11, 6, 10}, "the model is of 11 tensors, and its parts hold 10"},
        {3, {2, 3, 11, 5, 10}, "is there twice"},
        {2, {1, 3, 0, 0, 6}, "split.tensors.count is 0"},
        {2, {3, 3, 11, 0, 6}, "split.no is 3"},
        {2, {1, 5000000, 11, 0, 6}, "split.count is 5000000"},
        {1, {0, 5000000, 11, 0, 0}, "split.count is 5000000; it should be between 0 and 65535"},
        {1, {0, 60000, 11, 0, 0}, "by its metadata part 1 of 60000"},
        {1, {1, 3, 11, 0, 0}, "by its name the file is part 1 of 3, by its metadata part 2 of 3"},
        {1, {0, 1, 11, 0, 11}, "by its name the file is part 1 of 3, by its metadata part 1 of 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_parts("mixed");
        put_part(part_in("mixed", cases[i].number), &cases[i].part);
        bool counted = strstr(cases[i].what, "its parts hold") != NULL;
        refused(path_in("mixed", ""), STATUS_FORMAT, cases[i].what,
                counted ? part_in("mixed", 1) : part_in("mixed", cases[i].number));
    }
}

static void damaged_parts_are_refused(void **state)
{
    (void)state;
    struct error err;
    char *text;
    size_t bytes;
    put_parts("damaged");
    assert_int_equal(file_read(part_in("damaged", 3), 1 << 20, &text, &bytes, &err), STATUS_OK);
    for (size_t size = 0; size < bytes; size += size < 64 ? 1 : 64) {
        bytes_write(&(struct bytes){(unsigned char *)text, size}, part_in("damaged", 3));
        refused(path_in("damaged", ""), STATUS_FORMAT, "", part_in("damaged", 3));
    }
    free(text);
    assert_int_equal(unlink(part_in("damaged", 3)), 0);
    assert_int_equal(symlink("m-00002-of-00003.gguf", part_in("damaged", 3)), 0);
    refused(path_in("damaged", ""), STATUS_FORMAT, "this is part 2 of 3, where part 3",
            part_in("damaged", 3));
}

static void names_say_which_part(void **state)
{
    (void)state;
    static const char *const others[] = {"m.gguf",
                                         "-00001-of-00002.gguf",
                                         "m-0001-of-0002.gguf",
                                         "m-00003-of-00002.gguf",
                                         "m-00000-of-00002.gguf",
                                         "m-00001-of-00002.gguf.part",
                                         "m_00001-of-00002.gguf",
                                         "m-00001-of-0000x.gguf",
                                         "m-+0001-of-00002.gguf",
                                         "m-00001-0f-00002.gguf",
                                         "00001-of-00002.gguf/m2",
                                         ""};
    uint32_t number, count;
    char path[] = "a-00001-of-00002.gguf/m-00017-of-12345.gguf";
    assert_true(gguf_part_name(path, &number, &count));
    assert_int_equal(number, 17);
    assert_int_equal(count, 12345);
    gguf_part_path(path, 9);
    assert_string_equal(path, "a-00001-of-00002.gguf/m-00009-of-12345.gguf");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(gguf_part_name(others[i], &number, &count));
    put_part(path_in("renamed", "first.gguf"), &good[0]);
    refused(path_in("renamed", "first.gguf"), STATUS_FORMAT,
            "part 1 of 3 of a model, and its name is not that of a part", "first.gguf");
    assert_int_equal(rename(path_in("renamed", "first.gguf"), part_in("renamed", 2)), 0);
    refused(part_in("renamed", 2), STATUS_NOT_FOUND, "part 1 of", part_in("renamed", 1));
}

static void a_model_of_one_part_is_whole(void **state)
{
    (void)state;
    struct model model;
    const struct part only = {0, 1, TINY_TENSORS, 0, TINY_TENSORS};
    put_part(path_in("only", "m-00001-of-00001.gguf"), &only);
    opened(&model, path_in("only", ""));
    assert_string_equal(model_format_of(&model), "gguf");
    assert_string_equal(model.name, "m");
    model_close(&model);
    put_part(path_in("plain", "plain.gguf"), &only);
    opened(&model, path_in("plain", ""));
    assert_string_equal(model.name, "plain");
    model_close(&model);
}

static void no_part_is_written_over(void **state)
{
    (void)state;
    struct model model;
    struct error err, note;
    put_parts("kept-as-is");
    opened(&model, path_in("kept-as-is", ""));
    for (uint32_t i = 1; i <= PARTS; i++) {
        const struct model_output output = {
            .path = part_in("kept-as-is", i), .format = MODEL_GGUF, .precision = TENSOR_F16};
        assert_int_equal(model_convert(&model, &output, NULL, &note, &err), STATUS_USAGE);
        assert_non_null(strstr(err.what, "would replace the model"));
    }
    model_close(&model);
    enum model_format format;
    assert_int_equal(model_output_format("m-00001-of-00002.gguf", NULL, &format, &err),
                     STATUS_USAGE);
    assert_non_null(strstr(err.what, "a part's name"));
    assert_int_equal(model_output_format("m-00001-of-00001.gguf", NULL, &format, &err), STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_one_model_whichever_is_given),
        cmocka_unit_test(the_hash_is_of_all_parts),
        cmocka_unit_test(links_are_followed_by_their_own_names),
        cmocka_unit_test(a_part_that_is_missing_is_named),
        cmocka_unit_test(parts_that_do_not_belong_together_are_refused),
        cmocka_unit_test(damaged_parts_are_refused),
        cmocka_unit_test(names_say_which_part),
        cmocka_unit_test(a_model_of_one_part_is_whole),
        cmocka_unit_test(no_part_is_written_over),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
