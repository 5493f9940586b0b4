/* Bytes as an exported document: read, and what is accepted is exported as it was read. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "store/export.h"
#include "store/import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A document of the runs that were read. */
static json_t *export_all(const struct record_run *runs, size_t count)
{
    struct error err;
    json_t *document = export_document(&err);
    for (size_t i = 0; i < count; i++)
        if (export_document_add(document, &runs[i], &err))
            abort();
    return document;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct record_run *runs;
    struct error err;
    size_t count;
    json_t *json = json_parse((const char *)data, size, "fuzz", &err);
    if (!json)
        return 0;
    if (import_document(json, "fuzz", &runs, &count, &arena, &err) == STATUS_OK) {
        json_t *once = export_all(runs, count);
        if (import_document(once, "fuzz", &runs, &count, &arena, &err))
            abort();
        json_t *twice = export_all(runs, count);
        if (!json_equal(once, twice))
            abort();
        json_decref(once);
        json_decref(twice);
    }
    arena_free(&arena);
    json_decref(json);
    return 0;
}
