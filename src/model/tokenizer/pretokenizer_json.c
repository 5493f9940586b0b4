#include "model/tokenizer/pretokenizer_json.h"

#include <string.h>

/* Llama 3's pattern, as in Meta's tokenizer.py. */
static const char llama3_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

static json_t *byte_level(bool use_regex)
{
    return json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 1, "use_regex", use_regex);
}

static json_t *sequence(json_t *first, json_t *second)
{
    return json_pack("{s:s,s:[o,o]}", "type", "Sequence", "pretokenizers", first, second);
}

json_t *pretokenizer_to_json(const char *pre)
{
    if (strcmp(pre, "llama-bpe") == 0)
        return sequence(json_pack("{s:s,s:{s:s},s:s,s:b}", "type", "Split", "pattern", "Regex",
                                  llama3_pattern, "behavior", "Isolated", "invert", 0),
                        byte_level(false));
    if (strcmp(pre, "smollm") == 0)
        return sequence(json_pack("{s:s,s:b}", "type", "Digits", "individual_digits", 1),
                        byte_level(true));
    return strcmp(pre, "gpt2") == 0 ? byte_level(true) : NULL;
}

static bool type_is(const json_t *json, const char *type)
{
    const char *text = json_string_value(json_object_get(json, "type"));
    return text && strcmp(text, type) == 0;
}

static bool is_llama3_split(const json_t *json)
{
    const char *pattern =
        json_string_value(json_object_get(json_object_get(json, "pattern"), "Regex"));
    return type_is(json, "Split") && pattern && strcmp(pattern, llama3_pattern) == 0;
}

static bool is_byte_level(const json_t *json, bool use_regex)
{
    const json_t *regex = json_object_get(json, "use_regex"); /* absent: true */
    return type_is(json, "ByteLevel") && !json_is_true(json_object_get(json, "add_prefix_space")) &&
           (!regex || json_is_true(regex)) == use_regex;
}

const char *pretokenizer_from_json(const json_t *json)
{
    const json_t *steps = json_object_get(json, "pretokenizers");
    const json_t *first = json_array_get(steps, 0), *second = json_array_get(steps, 1);
    if (is_byte_level(json, true))
        return "gpt2";
    if (!type_is(json, "Sequence") || json_array_size(steps) != 2)
        return NULL;
    if (is_llama3_split(first) && is_byte_level(second, false))
        return "llama-bpe";
    if (type_is(first, "Digits") && json_is_true(json_object_get(first, "individual_digits")) &&
        is_byte_level(second, true))
        return "smollm";
    return NULL;
}

bool pretokenizer_ignores_merges(const char *pre)
{
    return strcmp(pre, "llama-bpe") == 0;
}
