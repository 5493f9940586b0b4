#include "engine/manifest_values.h"

#include <ctype.h>
#include <string.h>

#include "base/json.h"

bool words_have(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

const char *words_join(struct arena *arena, const char *const *words)
{
    const char *text = "";
    for (size_t i = 0; words[i] && text; i++)
        text = arena_printf(arena, "%s%s%s", text, i ? ", " : "", words[i]);
    return text ? text : "";
}

enum status manifest_keys(const json_t *object, const char *const *known, struct arena *arena,
                          struct error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (words_have(key, known))
            continue;
        error_set(err, STATUS_FORMAT, "unknown key \"%.60s\"", key);
        return error_remedy(err, "Known here: %s.", words_join(arena, known));
    }
    return STATUS_OK;
}

enum status manifest_text(const json_t *object, const char *key, size_t limit, struct arena *arena,
                          const char **text, struct error *err)
{
    const char *value;
    enum status status = json_get_string(object, key, &value, err);
    if (status)
        return status;
    size_t length = strlen(value);
    if (length == 0 || length > limit)
        return error_set(err, STATUS_FORMAT, "\"%s\" has %zu bytes; it should have 1 to %zu", key,
                         length, limit);
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return error_set(err, STATUS_FORMAT, "\"%s\" has a control character", key);
    *text = arena_strdup(arena, value);
    return *text ? STATUS_OK : error_no_memory(err, length + 1);
}

enum status manifest_name(const char *key, const char *name, struct error *err)
{
    bool good = islower((unsigned char)name[0]);
    for (const char *c = name; *c && good; c++)
        good = islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '-' || *c == '.';
    if (good)
        return STATUS_OK;
    error_set(err, STATUS_FORMAT, "\"%s\" is \"%s\"", key, name);
    return error_remedy(err, "A name begins with a small letter; small letters, digits, - and . "
                             "may follow.");
}

enum status manifest_list(const json_t *object, const char *key, const char *const *words,
                          size_t at_least, struct arena *arena, const char *const **list,
                          struct error *err)
{
    const json_t *array = json_object_get(object, key);
    size_t count = json_array_size(array);
    if ((array && !json_is_array(array)) || count < at_least || count > MANIFEST_ITEMS)
        return error_set(err, STATUS_FORMAT, "\"%s\" should be a list of %zu to %d strings", key,
                         at_least, MANIFEST_ITEMS);
    const char **items = arena_array(arena, count + 1, sizeof *items);
    if (!items)
        return error_no_memory(err, count * sizeof *items);
    for (size_t i = 0; i < count; i++) {
        const char *item = json_string_value(json_array_get(array, i));
        if (!item || !*item)
            return error_set(err, STATUS_FORMAT, "\"%s\" has an entry that is not a string", key);
        if (words && !words_have(item, words)) {
            error_set(err, STATUS_FORMAT, "\"%s\" has \"%.60s\", which nobody knows", key, item);
            return error_remedy(err, "Known here: %s.", words_join(arena, words));
        }
        items[i] = arena_strdup(arena, item);
        if (!items[i])
            return error_no_memory(err, strlen(item));
    }
    *list = items;
    return STATUS_OK;
}
