/* Names of models on a hub, its addresses, and the choice of files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those first */
#include <cmocka.h>
#include <string.h>

#include "hub/listing.h"
#include "hub/name.h"
#include "hub/url.h"

static void names(void **state)
{
    static const char *const wrong[] = {"",
                                        "llama",
                                        "org",
                                        "org/",
                                        "/repo",
                                        "org/a/b",
                                        "../x",
                                        "org/..",
                                        "-o/repo",
                                        "org/re po",
                                        "org/repo:",
                                        "org/repo:../x",
                                        "org/repo:/x",
                                        "org/repo:a/.lock"};
    struct hub_name name;
    struct error err;
    (void)state;
    for (size_t i = 0; hub_models[i].name; i++)
        assert_int_equal(hub_name_parse(&name, hub_models[i].name, &err), STATUS_OK);
    assert_int_equal(hub_name_parse(&name, "llama3-1b", &err), STATUS_OK);
    assert_non_null(strstr(name.file, ".gguf"));
    assert_int_equal(hub_name_parse(&name, "o-1/r_2.x:a/b c.gguf", &err), STATUS_OK);
    assert_string_equal(name.repo, "o-1/r_2.x");
    assert_string_equal(name.file, "a/b c.gguf");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(hub_name_parse(&name, wrong[i], &err), STATUS_USAGE);
    assert_int_equal(hub_name_parse(&name, "llama3-8", &err), STATUS_USAGE);
    assert_non_null(strstr(err.remedy, "llama3-8b"));
}

static void every_short_name_is_well_formed(void **state)
{
    struct hub_name name;
    struct error err;
    (void)state;
    for (size_t i = 0; hub_models[i].name; i++)
        assert_int_equal(hub_name_parse(&name, hub_models[i].repo, &err), STATUS_OK);
}

static void addresses(void **state)
{
    char url[HUB_URL_BYTES], host[64];
    struct error err;
    (void)state;
    assert_int_equal(hub_endpoint_parse(url, "http://127.0.0.1:80/hub//", &err), STATUS_OK);
    assert_string_equal(url, "http://127.0.0.1:80/hub");
    assert_int_equal(hub_endpoint_parse(url, "", &err), STATUS_OK);
    assert_int_equal(strncmp(url, "https://", 8), 0);
    assert_int_equal(hub_endpoint_parse(url, "http://a:b@h", &err), STATUS_USAGE);
    hub_url_tree(url, "http://h", "o/r");
    assert_string_equal(url, "http://h/api/models/o/r/tree/main?recursive=1");
    hub_url_file(url, "http://h", "o/r", "a/b c#%.gguf");
    assert_string_equal(url, "http://h/o/r/resolve/main/a/b%20c%23%25.gguf");
    hub_url_host("https://h/x?secret", host, sizeof host);
    assert_string_equal(host, "h:443");
}

static void origins(void **state)
{
    (void)state;
    assert_true(hub_same_origin("https://H/a", "https://h:443/b"));
    assert_false(hub_same_origin("https://h", "https://h.evil"));
    assert_false(hub_same_origin("https://h", "https://h:444"));
    assert_false(hub_same_origin("https://h", "http://h"));
    assert_false(hub_same_origin("https://h", "https://h@evil/"));
    assert_false(hub_same_origin("nonsense::", "nonsense::"));
    assert_true(hub_is_downgrade("https://h", "http://h"));
    assert_false(hub_is_downgrade("http://h", "https://h"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(every_short_name_is_well_formed),
        cmocka_unit_test(addresses),
        cmocka_unit_test(origins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
