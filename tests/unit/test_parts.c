/* Models in several safetensors files: written, read again, damaged in each way, and left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/temporary.h"
#include "base/file.h"
#include "model/model.h"
#include "model/synthetic.h"

enum { PART_BYTES = 100000 };

static const char *path_in(const char *folder, const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, PATH_MAX, "%s/%s/%s", temporary_folder, folder, name);
    return path;
}

static bool stop_at_once(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    (void)context;
    (void)done_bytes;
    assert_true(total_bytes > 2 * (uint64_t)PART_BYTES);
    return false;
}

static enum status make(const char *folder, uint64_t part_bytes, bool stopped, struct error *err)
{
    struct model_config config;
    struct model_output output = {.path = path_in(folder, ""),
                                  .format = MODEL_SAFETENSORS,
                                  .precision = TENSOR_BF16,
                                  .part_bytes = part_bytes,
                                  .threads = 2};
    if (stopped)
        output.progress.report = stop_at_once;
    assert_true(synthetic_shape("tiny", &config));
    return synthetic_write(&config, "tiny", 3, &output, NULL, err);
}

static void made(const char *folder, uint64_t part_bytes)
{
    struct error err;
    if (make(folder, part_bytes, false, &err) != STATUS_OK)
        fail_msg("%s (%s)", err.what, err.where);
}

static size_t entries(const char *folder)
{
    size_t count = 0;
    DIR *open = opendir(path_in(folder, ""));
    if (!open)
        return 0;
    for (struct dirent *entry; (entry = readdir(open));)
        count += entry->d_name[0] != '.';
    closedir(open);
    return count;
}

static void refused(const char *folder, enum status status, const char *what, const char *where)
{
    struct model model;
    struct error err;
    assert_int_equal(model_open(&model, path_in(folder, ""), &err), status);
    if (!strstr(err.what, what) || !strstr(err.where, where))
        fail_msg("%s (%s)", err.what, err.where);
    assert_true(*err.remedy);
}

static void put(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wbe");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static char *get(const char *path, size_t *bytes)
{
    struct error err;
    char *text;
    assert_int_equal(file_read(path, 64 << 20, &text, bytes, &err), STATUS_OK);
    return text;
}

/* The name of the part that comes second of those that "made" has made. */
static const char *second(const char *folder)
{
    struct model model;
    struct error err;
    size_t count;
    static char path[PATH_MAX];
    assert_int_equal(model_open(&model, path_in(folder, ""), &err), STATUS_OK);
    const char *const *paths = model_paths(&model, &count);
    assert_true(count >= 3);
    snprintf(path, sizeof path, "%s", paths[1]);
    model_close(&model);
    return path;
}

static void same_weights(const struct tensor *a, const struct tensor *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->bytes, b->bytes);
    assert_memory_equal(a->data, b->data, a->bytes);
}

static void parts_hold_what_one_file_holds(void **state)
{
    (void)state;
    struct model whole, parts;
    struct error err;
    size_t count;
    made("whole", 0);
    made("parts", PART_BYTES);
    assert_int_equal(model_open(&whole, path_in("whole", ""), &err), STATUS_OK);
    if (model_open(&parts, path_in("parts", ""), &err))
        fail_msg("%s (%s)", err.what, err.where);
    model_paths(&parts, &count);
    assert_true(count >= 3);
    assert_int_equal(parts.parameters, whole.parameters);
    assert_int_equal(parts.weight_bytes, whole.weight_bytes);
    assert_int_equal(parts.embedding.part, 0);
    assert_int_equal(parts.output.part, count - 1);
    same_weights(&parts.embedding, &whole.embedding);
    same_weights(&parts.output, &whole.output);
    for (uint32_t i = 0; i < whole.config.layers; i++) {
        same_weights(&parts.layer[i].attn_norm, &whole.layer[i].attn_norm);
        same_weights(&parts.layer[i].wq, &whole.layer[i].wq);
        same_weights(&parts.layer[i].w_down, &whole.layer[i].w_down);
    }
    model_close(&whole);
    model_close(&parts);
}

/* A tensor is never cut: one that is larger than a part is a part. */
static void every_tensor_has_a_part(void **state)
{
    (void)state;
    struct model model;
    struct error err;
    size_t count;
    made("each", 1);
    assert_int_equal(model_open(&model, path_in("each", ""), &err), STATUS_OK);
    model_paths(&model, &count);
    assert_int_equal(count, 2 * 9 + 3);
    model_close(&model);
}

static void damaged_parts_are_refused(void **state)
{
    (void)state;
    size_t bytes, other_bytes;
    made("damaged", PART_BYTES);
    const char *path = second("damaged"), *name = path_base(path);
    char *part = get(path, &bytes);

    assert_int_equal(unlink(path), 0);
    refused("damaged", STATUS_NOT_FOUND, "cannot open", name);
    put(path, part, bytes / 2);
    refused("damaged", STATUS_FORMAT, "beyond the data", name);
    put(path, part, bytes - 1);
    refused("damaged", STATUS_FORMAT, "beyond the data", name);
    put(path, part, 4);
    refused("damaged", STATUS_FORMAT, "ends inside the length", name);
    put(path, part, 0);
    refused("damaged", STATUS_FORMAT, "the file is empty", name);
    char *longer = calloc(1, bytes + 2);
    memcpy(longer, part, bytes);
    put(path, longer, bytes + 2);
    refused("damaged", STATUS_FORMAT, "", name);

    /* Another part's tensors: they are then in two parts. */
    char first[PATH_MAX];
    snprintf(first, sizeof first, "%s", path);
    strstr(first, "model-0000")[10] = '1';
    char *other = get(first, &other_bytes);
    put(path, other, other_bytes);
    refused("damaged", STATUS_FORMAT, "the index says model-00001-of-", "index.json");
    put(path, part, bytes);
    assert_string_equal(second("damaged"), path);
    free(part);
    free(longer);
    free(other);
}

static void an_index_stays_in_its_folder(void **state)
{
    (void)state;
    static const char *const outside[] = {"../whole/model.safetensors", "/etc/model.safetensors",
                                          "sub/model.safetensors", ".hidden.safetensors"};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        char text[200];
        int length = snprintf(text, sizeof text, "{\"weight_map\": {\"lm_head.weight\": \"%s\"}}",
                              outside[i]);
        made("leads", PART_BYTES);
        put(path_in("leads", "model.safetensors.index.json"), text, (size_t)length);
        refused("leads", STATUS_FORMAT, "plain name", "index.json");
        assert_int_equal(unlink(path_in("leads", "model.safetensors.index.json")), 0);
    }
}

static void nothing_is_left_of_what_was_stopped(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(make("stopped", PART_BYTES, true, &err), STATUS_INTERRUPTED);
    assert_int_equal(entries("stopped"), 0);
    assert_false(path_is_folder(path_in("stopped", "")));
}

/* The one of the two forms that is read first would hide the other. */
static void two_models_do_not_share_a_folder(void **state)
{
    (void)state;
    struct error err;
    made("first", 0);
    assert_int_equal(make("first", PART_BYTES, false, &err), STATUS_USAGE);
    assert_non_null(strstr(err.what, "a model in one file"));
    size_t before = entries("first");
    made("again", PART_BYTES);
    assert_int_equal(make("again", 0, false, &err), STATUS_USAGE);
    assert_non_null(strstr(err.what, "a model in several files"));
    assert_int_equal(make("again", PART_BYTES, false, &err), STATUS_USAGE);
    assert_int_equal(entries("first"), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_hold_what_one_file_holds),
        cmocka_unit_test(every_tensor_has_a_part),
        cmocka_unit_test(damaged_parts_are_refused),
        cmocka_unit_test(an_index_stays_in_its_folder),
        cmocka_unit_test(nothing_is_left_of_what_was_stopped),
        cmocka_unit_test(two_models_do_not_share_a_folder),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
