/* What a stranger needs to judge the run: machine, versions, model, command, plan, as recorded. */
#include <stdlib.h>

#include "report/html/page.h"

enum { LIST_SHOWN = 24, DEEPEST = 6 };

static bool wanted(const struct page *page)
{
    return json_object_size(page->manifest) > 0 || json_object_size(page->plan) > 0;
}

/* A value without members as text; a list of such values in one line. */
static void put_value(struct page *page, const json_t *value)
{
    if (json_is_string(value)) {
        page_text(page, json_string_value(value));
    } else if (json_is_array(value)) {
        size_t count = json_array_size(value);
        for (size_t i = 0; i < count && i < LIST_SHOWN; i++) {
            fputs(i ? " " : "", page->stream);
            put_value(page, json_array_get(value, i));
        }
        if (count > LIST_SHOWN)
            fprintf(page->stream, " … (%zu in all)", count);
    } else if (json_is_null(value)) {
        fputs("not known", page->stream);
    } else if (value) {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
        page->failed |= !text;
        page_text(page, text);
        free(text);
    }
}

static bool list_of_objects(const json_t *value)
{
    return json_is_array(value) && json_is_object(json_array_get(value, 0));
}

/* Rows of a table: "machine cpu model", "AMD EPYC". */
static void put_rows(struct page *page, const char *path, const json_t *value, int depth)
{
    const char *key;
    json_t *member;
    size_t index;
    if (depth < DEEPEST && json_is_object(value)) {
        json_object_foreach((json_t *)value, key, member)
        {
            const char *inner = arena_printf(page->arena, "%s%s%s", path, *path ? " › " : "", key);
            page->failed |= !inner;
            put_rows(page, inner ? inner : "", member, depth + 1);
        }
        return;
    }
    if (depth < DEEPEST && list_of_objects(value)) {
        json_array_foreach((json_t *)value, index, member)
        {
            const char *inner = arena_printf(page->arena, "%s %zu", path, index + 1);
            page->failed |= !inner;
            put_rows(page, inner ? inner : "", member, depth + 1);
        }
        return;
    }
    fputs("<tr><th scope=\"row\">", page->stream);
    page_text(page, path);
    fputs("</th><td>", page->stream);
    put_value(page, value);
    fputs("</td></tr>\n", page->stream);
}

static void put_object(struct page *page, const char *title, const json_t *object)
{
    if (!json_object_size(object))
        return;
    fprintf(page->stream, "<details><summary>%s</summary>\n", title);
    fprintf(page->stream,
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"%s\">\n"
            "<table class=\"facts\">\n<tbody>\n",
            title);
    put_rows(page, "", object, 0);
    fputs("</tbody></table>\n</div></details>\n", page->stream);
}

static void put_engines(struct page *page)
{
    const struct summary *summary = page->summary;
    fputs("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Engines\">\n<table>\n"
          "<thead><tr><th scope=\"col\">Variant</th><th scope=\"col\">Engine</th>"
          "<th scope=\"col\">Stands on</th><th scope=\"col\">About</th></tr></thead>\n<tbody>\n",
          page->stream);
    for (size_t i = 0; i < summary->variant_count; i++) {
        size_t index = page_variant(page, i);
        const struct record_variant *variant = summary->variants[index].variant;
        fprintf(page->stream, "<tr><th scope=\"row\"><i class=\"chip v%zu\"></i>",
                i % PAGE_COLOURS);
        page_text(page, page->findings.titles[index]);
        fputs("</th><td>", page->stream);
        page_printf(page, "%s %s", variant->engine ? variant->engine : "",
                    variant->engine_version ? variant->engine_version : "");
        fputs("</td><td>", page->stream);
        page_text(page,
                  variant->stands_on && *variant->stands_on ? variant->stands_on : variant->detail);
        fputs("</td><td>", page->stream);
        page_text(page, variant->about);
        fputs("</td></tr>\n", page->stream);
    }
    fputs("</tbody></table>\n</div>\n", page->stream);
}

static void write(struct page *page)
{
    put_engines(page);
    put_object(page, "Machine, versions, model, command", page->manifest);
    put_object(page, "Plan", page->plan);
}

const struct page_section section_manifest = {
    .id = "manifest",
    .title = "Manifest",
    .wanted = wanted,
    .write = write,
};
