/* Bytes as a tokenizer.json that is its own tokenizer_config.json too: read, and what is accepted
 * is consistent. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "model/tokenizer/token_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOKENS = 300 };

static bool is_id(int32_t id)
{
    return id >= -1 && id < TOKENS;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct token_list list;
    struct error err;
    json_t *json = json_parse((const char *)data, size, "fuzz", &err);
    if (!json)
        return 0;
    if (token_list_from_json(&list, &arena, json, json, "fuzz", TOKENS, &err) == STATUS_OK) {
        if (!list.pre || !is_id(list.bos) || !is_id(list.eos) || !is_id(list.eot))
            abort();
        for (uint32_t i = 0; i < list.count; i++)
            if (!list.tokens[i] || list.types[i] < TOKEN_NORMAL || list.types[i] > TOKEN_BYTE)
                abort();
        for (uint32_t i = 0; i < list.merge_count; i++)
            if (!list.merges[i])
                abort();
    }
    arena_free(&arena);
    json_decref(json);
    return 0;
}
