#include "engine/manifest_memory.h"

#include <string.h>

#include "base/json.h"
#include "engine/manifest_values.h"

static enum status held_parse(const json_t *object, const char *key, bool may_be_stored,
                              enum engine_held *held, struct error *err)
{
    static const char *const words[] = {[ENGINE_HELD_F32] = "float32",
                                        [ENGINE_HELD_F16] = "float16",
                                        [ENGINE_HELD_BF16] = "bfloat16",
                                        [ENGINE_HELD_STORED] = "stored"};
    const char *word;
    if (json_get_string(object, key, &word, err))
        return err->status;
    for (int i = ENGINE_HELD_F32; i < ENGINE_HELD_STORED + may_be_stored; i++)
        if (strcmp(word, words[i]) == 0) {
            *held = (enum engine_held)i;
            return STATUS_OK;
        }
    error_set(err, STATUS_FORMAT, "\"%s\" of \"memory\" is \"%.40s\"", key, word);
    return error_remedy(err, "Known here: float32, float16, bfloat16%s.",
                        may_be_stored ? ", stored" : "");
}

enum status manifest_memory_parse(const json_t *object, struct engine_memory *memory,
                                  struct error *err)
{
    static const char *const known[] = {"weights",   "cache",  "copies", "base_mb",
                                        "positions", "logits", "exact",  NULL};
    int64_t base_mb = 0, positions = 0, logits = 0;
    struct arena arena = {0};
    *memory = (struct engine_memory){0};
    if (!object)
        return STATUS_OK;
    if (!json_is_object(object))
        return error_set(err, STATUS_FORMAT, "\"memory\" should be an object");
    enum status status = manifest_keys(object, known, &arena, err);
    arena_free(&arena);
    if (status || held_parse(object, "weights", true, &memory->weights, err) ||
        held_parse(object, "cache", false, &memory->cache, err) ||
        json_get_number_or(object, "copies", 1, &memory->copies, err) ||
        json_get_int_or(object, "base_mb", 0, 1 << 20, 0, &base_mb, err) ||
        json_get_int_or(object, "positions", 0, 1 << 20, 0, &positions, err) ||
        json_get_int_or(object, "logits", 0, 1 << 20, 0, &logits, err) ||
        json_get_bool_or(object, "exact", false, &memory->exact, err))
        return err->status;
    if (memory->copies < 1 || memory->copies > 16)
        return error_set(err, STATUS_FORMAT, "\"copies\" should be 1 to 16");
    memory->known = true;
    memory->base_bytes = (uint64_t)base_mb * 1000000;
    memory->positions = (uint32_t)positions;
    memory->logits = (uint32_t)logits;
    return STATUS_OK;
}
