/* engine.json: what is read, what is refused and how the error says so; where engines are found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/manifest.h"

#define HEAD                                                                                       \
    "{\"name\": \"demo\", \"title\": \"Demo\", \"licence\": \"MIT\", \"about\": \"A demo.\","      \
    "\"command\": [\"./worker\", \"-v\"]"
#define SUPPORTS "\"supports\": {\"formats\": [\"gguf\"], \"devices\": [\"cpu\"]}"
#define VARIANT(name, more)                                                                        \
    "{\"name\": \"" name "\", \"title\": \"D\", \"precision\": \"float16\", \"about\": \"One.\", " \
    "" SUPPORTS more "}"

static void reads_everything(void **state)
{
    (void)state;
    static const char text[] = HEAD ", \"variants\": [" VARIANT("demo", "") "," VARIANT(
        "demo-fast", ", \"options\": {\"a\": [1]}, \"default\": false, \"compiled\": true, "
                     "\"default_context\": 4096") "]}";
    struct arena arena = {0};
    struct engine engine;
    struct error err;
    assert_int_equal(engine_manifest_parse(&engine, "/e/demo", text, strlen(text), &arena, &err),
                     STATUS_OK);
    assert_string_equal(engine.name, "demo");
    assert_string_equal(engine.folder, "/e/demo");
    assert_string_equal(engine.command[1], "-v");
    assert_null(engine.command[2]);
    assert_null(engine.install);
    assert_false(engine.hidden);
    assert_int_equal(engine.variant_count, 2);
    assert_string_equal(engine.variants[0].formats[0], "gguf");
    assert_null(engine.variants[0].quantize[0]);
    assert_string_equal(engine.variants[0].options, "{}");
    assert_true(engine.variants[0].by_default);
    assert_string_equal(engine.variants[1].options, "{\"a\":[1]}");
    assert_false(engine.variants[1].by_default);
    assert_false(engine.variants[0].compiled);
    assert_true(engine.variants[1].compiled);
    assert_int_equal(engine.variants[0].context, 0);
    assert_int_equal(engine.variants[1].context, 4096);
    arena_free(&arena);
}

/* What a variant keeps, and what differs on a card, where neither the process nor its working space
 * count by themselves. */
static void reads_what_is_kept(void **state)
{
    (void)state;
    static const char text[] = HEAD ", \"variants\": [" VARIANT("demo", "") "," VARIANT(
        "demo-kept",
        ", \"memory\": {\"weights\": \"stored\", \"cache\": \"float16\", \"copies\": 1.5, "
        "\"base_mb\": 7, \"full_mb\": 9, \"positions\": 64, \"logits\": 2, \"exact\": true, "
        "\"cuda\": {\"weights\": \"bfloat16\", \"logits\": 3, "
        "\"unpacks\": true}}") "]}";
    struct arena arena = {0};
    struct engine engine;
    struct error err;
    assert_int_equal(engine_manifest_parse(&engine, "/e/demo", text, strlen(text), &arena, &err),
                     STATUS_OK);
    assert_false(engine.variants[0].memory.cpu.known);
    assert_false(engine.variants[0].memory.card.known);
    const struct engine_memory *cpu = &engine.variants[1].memory.cpu;
    const struct engine_memory *card = &engine.variants[1].memory.card;
    assert_true(cpu->known && cpu->exact && card->known && !card->exact);
    assert_int_equal(cpu->weights, ENGINE_HELD_STORED);
    assert_int_equal(card->weights, ENGINE_HELD_BF16);
    assert_int_equal(cpu->cache, ENGINE_HELD_F16);
    assert_int_equal(card->cache, ENGINE_HELD_F16);
    assert_true(cpu->copies == 1.5 && card->copies == 1.5);
    assert_int_equal(cpu->base_bytes, 7000000);
    assert_int_equal(engine.variants[1].memory.full_base_bytes, 9000000);
    assert_int_equal(card->base_bytes, 0);
    assert_int_equal(cpu->positions, 64);
    assert_int_equal(card->positions, 0);
    assert_int_equal(cpu->logits, 2);
    assert_int_equal(card->logits, 3);
    assert_true(card->unpacks && !cpu->unpacks);
    arena_free(&arena);
}

static void refuses_what_nobody_can_keep(void **state)
{
    (void)state;
    static const struct {
        const char *memory, *what;
    } cases[] = {
        {"[]", "should be objects"},
        {"{}", "\"weights\""},
        {"{\"weights\": \"float16\"}", "\"cache\""},
        {"{\"weights\": \"int4\", \"cache\": \"float16\"}", "\"weights\" of \"memory\" is"},
        {"{\"weights\": \"float16\", \"cache\": \"stored\"}", "\"cache\" of \"memory\" is"},
        {"{\"weights\": \"float16\", \"cache\": \"float16\", \"copies\": 0.5}", "1 to 16"},
        {"{\"weights\": \"float16\", \"cache\": \"float16\", \"base\": 1}", "\"base\""},
        {"{\"weights\": \"float16\", \"cache\": \"float16\", \"cuda\": 1}", "be objects"},
        {"{\"weights\": \"float16\", \"cache\": \"float16\", \"cuda\": {\"full_mb\": 1}}",
         "\"full_mb\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        struct arena arena = {0};
        struct engine engine;
        struct error err;
        snprintf(text, sizeof text,
                 HEAD ", \"variants\": [{\"name\": \"demo\", \"title\": \"D\", \"precision\": "
                      "\"float16\", \"about\": \"One.\", " SUPPORTS ", \"memory\": %s}]}",
                 cases[i].memory);
        assert_int_equal(
            engine_manifest_parse(&engine, "/e/demo", text, strlen(text), &arena, &err),
            STATUS_FORMAT);
        if (!strstr(err.what, cases[i].what))
            fail_msg("%s: %s", cases[i].memory, err.what);
        arena_free(&arena);
    }
}

#define VERSION "\"requirements\": \"r.txt\", \"download_mb\": 12, \"disk_mb\": 30"
#define INSTALL(versions, programs)                                                                \
    ", \"install\": {\"python\": [\"3.10\", \"3.14\"], \"versions\": [" versions                   \
    "], \"programs\": [" programs "]}, \"variants\": [" VARIANT("demo", "") "]}"

static void reads_what_to_install(void **state)
{
    (void)state;
    static const char text[] =
        HEAD INSTALL("{\"version\": \"2.0\", " VERSION ", \"cpu\": {\"requirements\": \"c.txt\", "
                     "\"download_mb\": 3, \"disk_mb\": 4}}, {\"version\": \"1.9+x\", " VERSION "}",
                     "{\"program\": \"g++\", \"package\": \"g++\", \"reason\": \"compiling\", "
                     "\"devices\": [\"cpu\"], \"variants\": [\"demo\"]}");
    struct arena arena = {0};
    struct engine engine;
    struct error err;
    assert_int_equal(engine_manifest_parse(&engine, "/e/demo", text, strlen(text), &arena, &err),
                     STATUS_OK);
    const struct engine_install *install = engine.install;
    assert_string_equal(install->python[0], "3.10");
    assert_string_equal(install->python[1], "3.14");
    assert_int_equal(install->version_count, 2);
    assert_string_equal(install->versions[0].name, "2.0");
    assert_string_equal(install->versions[0].full.requirements, "r.txt");
    assert_int_equal(install->versions[0].full.disk_bytes, 30000000);
    assert_string_equal(install->versions[0].cpu.requirements, "c.txt");
    assert_int_equal(install->versions[0].cpu.download_bytes, 3000000);
    assert_null(install->versions[1].cpu.requirements);
    assert_int_equal(install->program_count, 1);
    assert_string_equal(install->programs[0].package, "g++");
    assert_string_equal(install->programs[0].devices[0], "cpu");
    arena_free(&arena);
}

static void reads_what_to_build(void **state)
{
    (void)state;
    static const char text[] = HEAD
        ", \"install\": {\"build\": [\"make\", \"shim.c\"], \"versions\": [{\"version\": \"2.0\", "
        "\"download_mb\": 1, \"disk_mb\": 2, \"build_mb\": 3, \"build_minutes\": 17}], "
        "\"programs\": [{\"program\": \"cmake\", \"package\": \"cmake\", \"reason\": \"b\", "
        "\"build\": true}]}, \"variants\": [" VARIANT("demo", "") "]}";
    struct arena arena = {0};
    struct engine engine;
    struct error err;
    assert_int_equal(engine_manifest_parse(&engine, "/e/demo", text, strlen(text), &arena, &err),
                     STATUS_OK);
    const struct engine_install *install = engine.install;
    assert_string_equal(install->build[1], "shim.c");
    assert_null(install->build[2]);
    assert_null(install->versions[0].full.requirements);
    assert_int_equal(install->versions[0].full.disk_bytes, 2000000);
    assert_int_equal(install->versions[0].build_bytes, 3000000);
    assert_int_equal(install->versions[0].build_minutes, 17);
    assert_true(install->programs[0].build);
    arena_free(&arena);
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *what, *where;
    } cases[] = {
        {"", "not valid JSON", "/e/demo/engine.json, line 1"},
        {"[]", "not an object", "/e/demo/engine.json"},
        {HEAD "}", "\"variants\" should be a list of 1 to 64 objects", "/e/demo/engine.json"},
        {HEAD ", \"varients\": []}", "unknown key \"varients\"", "/e/demo/engine.json"},
        {HEAD ", \"variants\": [1]}", "not an object", "engine.json, variant 1"},
        {HEAD ", \"variants\": [" VARIANT("other", "") "]}", "not named after its engine",
         "variant 1"},
        {HEAD ", \"variants\": [" VARIANT("demofast", "") "]}", "not named after its engine",
         "variant 1"},
        {HEAD ", \"variants\": [" VARIANT("demo", "") "," VARIANT("demo", "") "]}",
         "\"demo\" is there twice", "variant 2"},
        {HEAD ", \"variants\": [" VARIANT("demo", ", \"options\": []") "]}",
         "\"options\" should be an object", "variant 1"},
        {HEAD ", \"variants\": [" VARIANT("demo", ", \"speed\": 1") "]}", "unknown key \"speed\"",
         "variant 1"},
        {HEAD ", \"install\": [\"./install\"], \"variants\": []}",
         "\"install\" should be an object", "/e/demo/engine.json"},
        {HEAD INSTALL("", ""), "\"versions\" should be a list of 1 to", "/e/demo/engine.json"},
        {HEAD INSTALL("{\"version\": \"../x\", " VERSION "}", ""), "\"version\" is \"../x\"",
         "/e/demo/engine.json, version 1"},
        {HEAD INSTALL("{\"version\": \"1\", " VERSION "}, {\"version\": \"1\", " VERSION "}", ""),
         "\"1\" is there twice", "/e/demo/engine.json, version 2"},
        {HEAD INSTALL("{\"version\": \"1\", \"requirements\": \"../r.txt\", "
                      "\"download_mb\": 1, \"disk_mb\": 1}",
                      ""),
         "\"requirements\" is \"../r.txt\"", "version 1"},
        {HEAD INSTALL("{\"version\": \"1\", " VERSION "}", "{\"program\": \"g++\"}"), "\"package\"",
         "/e/demo/engine.json, program 1"},
        {HEAD ", \"install\": {\"python\": [\"3.10\"]}, \"variants\": []}",
         "\"python\" should be a list", "/e/demo/engine.json"},
        {HEAD ", \"install\": {\"python\": [\"3.10\", \"4\"]}, \"variants\": []}",
         "\"python\" is not a range", "/e/demo/engine.json"},
        {"{\"name\": \"demo\", \"title\": \"D\", \"licence\": \"MIT\", \"about\": \"D\","
         "\"command\": [\"{python}\"], \"variants\": []}",
         "no packages are named", "/e/demo/engine.json"},
        {"{\"name\": \"demo\", \"title\": \"D\", \"licence\": \"MIT\", \"about\": \"D\","
         "\"command\": [\"{built}/w\"], \"variants\": []}",
         "nothing is built", "/e/demo/engine.json"},
        {HEAD ", \"install\": {\"build\": [\"../make\"]}, \"variants\": []}",
         "\"build\" is \"../make\"", "/e/demo/engine.json"},
        {HEAD ", \"install\": {\"build\": [\"make\"], \"python\": [\"3.10\", \"3.11\"]}, "
              "\"variants\": []}",
         "has both", "/e/demo/engine.json"},
        {HEAD ", \"install\": {\"build\": [\"make\"], \"versions\": [{\"version\": \"1\", " VERSION
              "}]}, \"variants\": []}",
         "unknown key \"requirements\"", "/e/demo/engine.json, version 1"},
        {HEAD ", \"hidden\": 1, \"variants\": []}", "\"hidden\" is a number",
         "/e/demo/engine.json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = {0};
        struct engine engine;
        struct error err;
        assert_int_equal(engine_manifest_parse(&engine, "/e/demo", cases[i].text,
                                               strlen(cases[i].text), &arena, &err),
                         STATUS_FORMAT);
        if (!strstr(err.what, cases[i].what) || !strstr(err.where, cases[i].where))
            fail_msg("case %zu: %s (%s)", i, err.what, err.where);
        arena_free(&arena);
    }
}

static void manifest_write(const char *root, const char *name, const char *about)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(mkdir(path, 0777), 0);
    snprintf(path, sizeof path, "%s/%s/engine.json", root, name);
    FILE *stream = fopen(path, "we");
    assert_non_null(stream);
    if (about)
        fprintf(stream,
                "{\"name\": \"demo\", \"title\": \"Demo\", \"licence\": \"MIT\", \"about\": \"%s\","
                "\"command\": [\"x\"], \"variants\": [%s]}",
                about, VARIANT("demo", ""));
    fclose(stream);
}

static void finds_engines(void **state)
{
    (void)state;
    char root[] = "/tmp/prony-test-manifest-XXXXXX", path[1024];
    struct engine_catalogue catalogue;
    const struct engine *engine;
    struct error err;
    assert_non_null(mkdtemp(root));
    manifest_write(root, "a", "first");
    manifest_write(root, "b", "second");
    manifest_write(root, "c", NULL);
    snprintf(path, sizeof path, "%s/b::%s:/no/such/folder", root, root);
    setenv("PRONY_ENGINE_PATH", path, 1);
    assert_int_equal(engine_catalogue_open(&catalogue, &err), STATUS_OK);
    assert_non_null(engine_variant_find(&catalogue, "demo", &engine));
    assert_string_equal(engine->about, "second"); /* the entry b, an engine itself, comes first */
    assert_null(engine_find(&catalogue, "nobody"));
    assert_int_equal(catalogue.problem_count, 2);
    assert_non_null(strstr(catalogue.problems[0].folder, "/c"));
    assert_string_equal(catalogue.problems[1].folder, "/no/such/folder");
    engine_catalogue_close(&catalogue);
    for (const char *name = "abc"; *name; name++) {
        snprintf(path, sizeof path, "%s/%c/engine.json", root, *name);
        unlink(path);
        snprintf(path, sizeof path, "%s/%c", root, *name);
        rmdir(path);
    }
    rmdir(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_everything),    cmocka_unit_test(reads_what_to_install),
        cmocka_unit_test(reads_what_to_build), cmocka_unit_test(refuses),
        cmocka_unit_test(reads_what_is_kept),  cmocka_unit_test(refuses_what_nobody_can_keep),
        cmocka_unit_test(finds_engines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
