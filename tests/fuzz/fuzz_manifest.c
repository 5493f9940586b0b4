/* Bytes as an engine.json. What passes must have everything that the rest of Prony relies on. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth)
        abort();
}

static void variant_use(const struct engine *engine, const struct engine_variant *variant)
{
    must(strncmp(variant->name, engine->name, strlen(engine->name)) == 0);
    must(variant->title[0] && variant->precision[0] && variant->about[0]);
    must(variant->formats[0] && variant->devices[0] && variant->quantize);
    json_t *options = json_loads(variant->options, 0, NULL);
    must(json_is_object(options));
    json_decref(options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct engine engine;
    struct arena arena = {0};
    struct error err;
    if (engine_manifest_parse(&engine, "/engines/x", (const char *)data, size, &arena, &err)) {
        must(err.what[0] && err.where[0]);
    } else {
        must(engine.name[0] && engine.command[0] && engine.variant_count > 0);
        for (size_t i = 0; i < engine.variant_count; i++)
            variant_use(&engine, &engine.variants[i]);
    }
    arena_free(&arena);
    return 0;
}
