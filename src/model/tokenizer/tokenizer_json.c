#include "model/tokenizer/tokenizer_json.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_scan.h"

enum { FIRST_CAPACITY = 1024 };

struct parser {
    struct tokenizer_json *json;
    struct json_scan scan;
    const char *origin;
    struct error *err;
};

/* Lines cannot be counted any more where strings were decoded. */
static enum status broken(struct parser *p, const char *what)
{
    error_set(p->err, STATUS_FORMAT, "not a valid tokenizer: %s", what);
    error_where(p->err, "%s, byte %td", p->origin, p->scan.at - p->json->text);
    return error_remedy(p->err, "Fetch the model's tokenizer again.");
}

static enum status scan_status(struct parser *p)
{
    return p->scan.fault ? broken(p, p->scan.fault) : STATUS_OK;
}

/* Room for one more of count elements of size bytes: at powers of two the array is moved. */
static void *grown(void *array, size_t count, size_t size)
{
    if (count && (count < FIRST_CAPACITY || (count & (count - 1))))
        return array;
    return realloc(array, (count ? 2 * count : FIRST_CAPACITY) * size);
}

static enum status token_add(struct parser *p)
{
    struct tokenizer_json *json = p->json;
    struct tokenizer_json_token *vocabulary =
        grown(json->vocabulary, json->vocabulary_count, sizeof *vocabulary);
    if (!vocabulary)
        return error_no_memory(p->err, json->vocabulary_count * sizeof *vocabulary);
    json->vocabulary = vocabulary;
    struct tokenizer_json_token *token = &vocabulary[json->vocabulary_count++];
    token->text = json_scan_key(&p->scan);
    json_scan_integer(&p->scan, &token->id);
    return STATUS_OK;
}

static enum status vocabulary_read(struct parser *p)
{
    enum status status = STATUS_OK;
    json_scan_open(&p->scan, '{');
    while (!status && json_scan_more(&p->scan, '}'))
        status = token_add(p);
    return status;
}

/* "left right", or in newer files ["left", "right"], which is joined where it stands: between the
 * two there are three characters at least. */
static char *merge_text(struct json_scan *scan)
{
    if (json_scan_peek(scan) != '[')
        return json_scan_string(scan);
    json_scan_open(scan, '[');
    char *left = json_scan_more(scan, ']') ? json_scan_string(scan) : NULL;
    char *right = json_scan_more(scan, ']') ? json_scan_string(scan) : NULL;
    if (json_scan_more(scan, ']') || !left || !right) {
        scan->fault = scan->fault ? scan->fault : "a merge is neither a text nor a pair of texts";
        return NULL;
    }
    char *end = left + strlen(left);
    *end = ' ';
    memmove(end + 1, right, strlen(right) + 1);
    return left;
}

static enum status merges_read(struct parser *p)
{
    struct tokenizer_json *json = p->json;
    json_scan_open(&p->scan, '[');
    while (json_scan_more(&p->scan, ']')) {
        const char **merges = grown(json->merges, json->merge_count, sizeof *merges);
        if (!merges)
            return error_no_memory(p->err, json->merge_count * sizeof *merges);
        json->merges = merges;
        merges[json->merge_count++] = merge_text(&p->scan);
    }
    return STATUS_OK;
}

/* A member that is not read in place, for the tree. */
static enum status member_keep(struct parser *p, json_t *object, const char *key)
{
    size_t bytes;
    json_error_t problem;
    const char *value = json_scan_skip(&p->scan, &bytes);
    if (!value)
        return scan_status(p);
    json_t *parsed = json_loadb(value, bytes, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &problem);
    if (!parsed)
        return broken(p, problem.text);
    return json_object_set_new(object, key, parsed) ? error_no_memory(p->err, bytes) : STATUS_OK;
}

static enum status model_member(struct parser *p, json_t *model, const char *key)
{
    char first = json_scan_peek(&p->scan);
    bool is_vocabulary = strcmp(key, "vocab") == 0 && first == '{';
    if (!is_vocabulary && (strcmp(key, "merges") != 0 || first != '['))
        return member_keep(p, model, key);
    if (json_object_set_new(model, key, json_null())) /* so that a second one is seen */
        return error_no_memory(p->err, 0);
    return is_vocabulary ? vocabulary_read(p) : merges_read(p);
}

static enum status members_read(struct parser *p, json_t *object, bool of_model);

static enum status member_read(struct parser *p, json_t *object, bool of_model)
{
    const char *key = json_scan_key(&p->scan);
    if (!key)
        return scan_status(p);
    if (json_object_get(object, key))
        return broken(p, "a name stands twice in the same object");
    if (of_model)
        return model_member(p, object, key);
    if (strcmp(key, "model") != 0 || json_scan_peek(&p->scan) != '{')
        return member_keep(p, object, key);
    json_t *model = json_object();
    if (json_object_set_new(object, key, model))
        return error_no_memory(p->err, 0);
    return members_read(p, model, true);
}

static enum status members_read(struct parser *p, json_t *object, bool of_model)
{
    enum status status = STATUS_OK;
    json_scan_open(&p->scan, '{');
    while (!status && json_scan_more(&p->scan, '}'))
        status = member_read(p, object, of_model);
    return status ? status : scan_status(p);
}

enum status tokenizer_json_parse(struct tokenizer_json *json, char *text, size_t bytes,
                                 const char *origin, struct error *err)
{
    struct parser p = {json, {.at = text}, origin, err};
    *json = (struct tokenizer_json){.text = text, .rest = json_object()};
    if (!json->rest)
        return error_no_memory(err, 0);
    enum status status = members_read(&p, json->rest, false);
    if (!status && !json_scan_end(&p.scan, text + bytes))
        status = scan_status(&p);
    return status;
}

enum status tokenizer_json_read(struct tokenizer_json *json, struct arena *arena, const char *path,
                                struct error *err)
{
    char *read;
    size_t bytes;
    *json = (struct tokenizer_json){0};
    if (file_read(path, TOKENIZER_FILE_BYTES, &read, &bytes, err))
        return err->status;
    char *text = arena_alloc(arena, bytes + 1);
    if (text)
        memcpy(text, read, bytes);
    free(read);
    return text ? tokenizer_json_parse(json, text, bytes, path, err) : error_no_memory(err, bytes);
}

void tokenizer_json_close(struct tokenizer_json *json)
{
    json_decref(json->rest);
    free(json->vocabulary);
    free(json->merges);
    *json = (struct tokenizer_json){0};
}
