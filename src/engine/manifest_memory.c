#include "engine/manifest_memory.h"

#include <string.h>

#include "base/json.h"
#include "engine/manifest_values.h"

enum { MEGABYTE = 1000000 };

static enum status held_parse(const json_t *object, const char *key, bool may_be_stored,
                              enum engine_held *held, struct error *err)
{
    static const char *const words[] = {[ENGINE_HELD_F32] = "float32",
                                        [ENGINE_HELD_F16] = "float16",
                                        [ENGINE_HELD_BF16] = "bfloat16",
                                        [ENGINE_HELD_STORED] = "stored"};
    const char *word;
    if (json_get_string_or(object, key, words[*held], &word, err))
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

/* What the object has takes the place of what is there. */
static enum status overlay(const json_t *object, struct engine_memory *memory, struct error *err)
{
    int64_t base_mb = 0, positions = 0, logits = 0;
    if (held_parse(object, "weights", true, &memory->weights, err) ||
        held_parse(object, "cache", false, &memory->cache, err) ||
        json_get_number_or(object, "copies", memory->copies, &memory->copies, err) ||
        json_get_int_or(object, "base_mb", 0, 1 << 20, (int64_t)(memory->base_bytes / MEGABYTE),
                        &base_mb, err) ||
        json_get_int_or(object, "positions", 0, 1 << 20, memory->positions, &positions, err) ||
        json_get_int_or(object, "logits", 0, 1 << 20, memory->logits, &logits, err) ||
        json_get_bool_or(object, "unpacks", memory->unpacks, &memory->unpacks, err) ||
        json_get_bool_or(object, "exact", memory->exact, &memory->exact, err))
        return err->status;
    if (memory->copies < 1 || memory->copies > 16)
        return error_set(err, STATUS_FORMAT, "\"copies\" should be 1 to 16");
    memory->known = true;
    memory->base_bytes = (uint64_t)base_mb * MEGABYTE;
    memory->positions = (uint32_t)positions;
    memory->logits = (uint32_t)logits;
    return STATUS_OK;
}

static enum status full_parse(const json_t *object, struct engine_memories *memories,
                              struct error *err)
{
    int64_t full_mb;
    enum status status = json_get_int_or(object, "full_mb", 0, 1 << 20, 0, &full_mb, err);
    memories->full_base_bytes = status ? 0 : (uint64_t)full_mb * MEGABYTE;
    return status;
}

static enum status required(const json_t *object, const char *key, struct error *err)
{
    const char *word;
    return json_get_string(object, key, &word, err);
}

enum status manifest_memory_parse(const json_t *object, struct engine_memories *memories,
                                  struct error *err)
{
    static const char *const known[] = {"cuda",    "full_mb", "weights",   "cache",
                                        "copies",  "base_mb", "positions", "logits",
                                        "unpacks", "exact",   NULL};
    const char *const *known_card = known + 2;
    const json_t *card = json_object_get(object, "cuda");
    struct arena arena = {0};
    *memories = (struct engine_memories){.cpu = {.copies = 1}};
    if (!object)
        return STATUS_OK;
    if (!json_is_object(object) || (card && !json_is_object(card)))
        return error_set(err, STATUS_FORMAT, "\"memory\" and its \"cuda\" should be objects");
    enum status status = manifest_keys(object, known, &arena, err);
    if (!status && card)
        status = manifest_keys(card, known_card, &arena, err);
    arena_free(&arena);
    if (status || required(object, "weights", err) || required(object, "cache", err) ||
        overlay(object, &memories->cpu, err) || full_parse(object, memories, err))
        return err->status;
    memories->card = memories->cpu;
    memories->card.base_bytes = memories->card.positions = memories->card.logits = 0;
    memories->card.exact = false;
    return card ? overlay(card, &memories->card, err) : STATUS_OK;
}
