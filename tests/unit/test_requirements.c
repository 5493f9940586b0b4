/* pip's requirements files: lines are joined, comments dropped, and errors name the line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/requirements.h"

static char path[] = "/tmp/prony-test-requirements-XXXXXX";

static enum status read_text(const char *text, struct arena *arena, struct requirement **list,
                             size_t *count, struct error *err)
{
    FILE *stream = fopen(path, "we");
    assert_non_null(stream);
    fputs(text, stream);
    assert_int_equal(fclose(stream), 0);
    return requirements_read(path, arena, list, count, err);
}

static void reads_packages(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct requirement *list;
    size_t count;
    struct error err;
    assert_int_equal(read_text("# made by a tool\n\n"
                               "torch==2.15.0 \\\n"
                               "    --hash=sha256:aa \\\n"
                               "    --hash=sha256:bb\n"
                               "  nvidia-cublas==13.4 ; sys_platform == \"linux\" # why\r\n"
                               "a.b_c==1",
                               &arena, &list, &count, &err),
                     STATUS_OK);
    assert_int_equal(count, 3);
    assert_string_equal(list[0].name, "torch");
    assert_string_equal(list[0].text, "torch==2.15.0     --hash=sha256:aa     --hash=sha256:bb");
    assert_true(list[0].hashed);
    assert_string_equal(list[1].name, "nvidia-cublas");
    assert_string_equal(list[1].text, "nvidia-cublas==13.4 ; sys_platform == \"linux\"");
    assert_false(list[1].hashed);
    assert_string_equal(list[2].text, "a.b_c==1");
    arena_free(&arena);
}

static void names_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *what, *where;
    } cases[] = {
        {"", "it names no package", path},
        {"# nothing\n", "it names no package", path},
        {"a==1 \\\n --hash=x\nb>=2\n", "\"b>=2\" is not a package with an exact", "line 3"},
        {"a==1\n--index-url https://x\n", "is not a package", "line 2"},
        {"a==1\n\n\n==2", "\"==2\" is not a package", "line 4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = {0};
        struct requirement *list;
        size_t count;
        struct error err;
        assert_int_equal(read_text(cases[i].text, &arena, &list, &count, &err), STATUS_FORMAT);
        if (!strstr(err.what, cases[i].what) || !strstr(err.where, cases[i].where))
            fail_msg("case %zu: %s (%s)", i, err.what, err.where);
        arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_packages),
        cmocka_unit_test(names_the_line),
    };
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
