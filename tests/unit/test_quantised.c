/* Where engines keep what they have quantised. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/folder.h"
#include "fit/quantised.h"
#include "model/synthetic.h"

static const char *const blocks[] = {"q8_0", NULL}, *const rows[] = {"int8", NULL};
static const struct engine_variant keeps = {.name = "demo", .quantize = blocks},
                                   packs = {.name = "demo", .quantize = rows};
static const struct engine_form plain = {NULL, 1}, int8 = {"int8", 1}, q8_0 = {"q8_0", 1};

struct fixture {
    char folder[64], path[PATH_MAX];
    struct engine engine;
    struct model model;
    struct error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->folder, sizeof f->folder, "/tmp/prony-quantised-XXXXXX");
    f->engine = (struct engine){.name = "demo", .cache = mkdtemp(f->folder)};
    f->model = (struct model){.format = MODEL_SYNTHETIC, .weights = "synthetic:tiny"};
    synthetic_shape("tiny", &f->model.config);
    *state = f;
    return f->engine.cache ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct error ignored;
    folder_remove(f->folder, &ignored);
    free(f);
    return 0;
}

static enum status path_of(struct fixture *f, const struct engine_variant *variant,
                           const struct engine_form *form)
{
    return quantised_path(f->path, &f->engine, variant, form, &f->model, &f->err);
}

static void only_q8_0_is_kept(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(path_of(f, &keeps, &plain), STATUS_OK);
    assert_string_equal(f->path, "");
    assert_int_equal(path_of(f, &packs, &int8), STATUS_OK);
    assert_string_equal(f->path, "");
    assert_int_equal(path_of(f, &packs, &q8_0), STATUS_OK); /* the gate's native engine */
    assert_string_equal(f->path, "");
}

static void one_file_for_each_model(void **state)
{
    struct fixture *f = *state;
    char first[PATH_MAX];
    assert_int_equal(path_of(f, &keeps, &q8_0), STATUS_OK);
    assert_int_equal(strncmp(f->path, f->folder, strlen(f->folder)), 0);
    assert_int_equal(strlen(f->path), strlen(f->folder) + strlen("/q8_0-.gguf") + 64);
    assert_false(quantised_is_made(f->path));
    snprintf(first, sizeof first, "%s", f->path);
    fclose(fopen(first, "w"));
    assert_int_equal(path_of(f, &keeps, &q8_0), STATUS_OK);
    assert_string_equal(f->path, first);
    assert_true(quantised_is_made(f->path));
    f->model.weights = "synthetic:1b";
    assert_int_equal(path_of(f, &keeps, &q8_0), STATUS_OK);
    assert_string_not_equal(f->path, first);
}

static void what_does_not_fit_is_an_error(void **state)
{
    struct fixture *f = *state;
    f->model.config.vocabulary = UINT32_MAX; /* 38 PB */
    f->model.config.hidden_size = 8 << 20;
    assert_int_equal(path_of(f, &keeps, &q8_0), STATUS_IO);
    assert_non_null(strstr(f->err.what, "not enough disk space for the model as q8_0: "));
    assert_string_equal(f->err.where, f->folder);
    fclose(fopen(f->path, "w")); /* nothing is to be made any more */
    assert_int_equal(path_of(f, &keeps, &q8_0), STATUS_OK);
    f->engine.cache = NULL;
    assert_int_equal(path_of(f, &keeps, &q8_0), STATUS_IO);
    assert_non_null(strstr(f->err.remedy, "PRONY_CACHE"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_q8_0_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(one_file_for_each_model, setup, teardown),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_an_error, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
