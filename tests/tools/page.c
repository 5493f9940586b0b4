/* page CASE: the HTML report of a run made by hand, on standard output, for tests of the page. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/report_fixture.h"
#include "report/report.h"

/* Markup where the record has text. */
static void make_hostile(struct fixture *fixture)
{
    fixture_hostile(fixture);
    fixture->variants[2].title = "</title><script>alert(1)</script>";
    fixture->variants[0].about = "\"><img src=x onerror=alert(2)>";
    fixture->variants[2].stands_on = "<style>*{display:none}</style>&amp;'\"";
    fixture->rows[1].log_tail = fixture->processes[1].log_tail =
        "</pre></dd><svg onload=alert(3)>\n<!-- \033[31mred\xff";
    fixture->phases[0].name = "</title></rect><script>alert(4)</script>";
    fixture->notes[0] = "</li></ul><iframe src=//example.org></iframe>";
    fixture->run.manifest = "{\"model\": {\"path\": \"/m/<img src=x onerror=alert(5)>.gguf\", "
                            "\"parameters\": 1}, \"<b>key</b>\": [\"<i>\", null, {}]}";
}

static bool make(struct fixture *fixture, const char *name)
{
    if (strcmp(name, "three") == 0)
        fixture_make(fixture, fixture_three, THREE, 10);
    else if (strcmp(name, "failed") == 0)
        fixture_make(fixture, fixture_failed, THREE, 6);
    else if (strcmp(name, "one-block") == 0)
        fixture_make(fixture, fixture_three, THREE, 1);
    else if (strcmp(name, "one-variant") == 0)
        fixture_make(fixture, fixture_three, 1, 6);
    else if (strcmp(name, "many") == 0)
        fixture_make(fixture, fixture_many, MANY, 6);
    else if (strcmp(name, "nothing") == 0)
        fixture_make(fixture, &fixture_failed[1], 1, 6);
    else if (strcmp(name, "hostile") == 0)
        make_hostile(fixture);
    else if (strcmp(name, "sweep") == 0)
        fixture_sweep(fixture, false);
    else if (strcmp(name, "sweep-grid") == 0)
        fixture_sweep(fixture, true);
    else if (strcmp(name, "cold") == 0)
        fixture_cold(fixture);
    else if (strcmp(name, "gate") == 0)
        fixture_gate(fixture);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    const struct report_options options = {.wide = true};
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct error err;
    int result = 1;
    if (!fixture || argc != 2 || !make(fixture, argv[1]))
        fputs(
            "usage: page three|failed|one-block|one-variant|many|nothing|hostile|sweep|sweep-grid|"
            "cold|gate\n",
            stderr);
    else if (report_html.write(&fixture->summary, &options, stdout, &err))
        error_print(&err, stderr);
    else
        result = 0;
    free(fixture);
    return result;
}
