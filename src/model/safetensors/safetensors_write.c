#include "model/safetensors/safetensors_write.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *head_entry(const struct weight *w, uint64_t offset)
{
    static const char *const types[] = {
        [TENSOR_F32] = "F32", [TENSOR_F16] = "F16", [TENSOR_BF16] = "BF16"};
    uint64_t end = offset + w->bytes;
    json_t *shape = w->n_dims == 1
                        ? json_pack("[I]", (json_int_t)w->columns)
                        : json_pack("[I,I]", (json_int_t)w->rows, (json_int_t)w->columns);
    return json_pack("{s:s,s:o,s:[I,I]}", "dtype", types[w->type], "shape", shape, "data_offsets",
                     (json_int_t)offset, (json_int_t)end);
}

/* The head's JSON; the offsets in it count from its end. */
static char *head_text(struct weight *weights, size_t count, uint64_t *data_bytes)
{
    uint64_t offset = 0;
    /* transformers refuses a file that does not say which framework's layout it has. */
    json_t *head = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    bool bad = !head;
    for (size_t i = 0; i < count && !bad; i++) {
        bad = json_object_set_new(head, weights[i].name, head_entry(&weights[i], offset)) != 0;
        weights[i].offset = offset;
        offset += weights[i].bytes;
    }
    char *text = bad ? NULL : json_dumps(head, JSON_COMPACT);
    json_decref(head);
    *data_bytes = offset;
    return text;
}

enum status safetensors_write_head(FILE *stream, struct weight *weights, size_t count,
                                   uint64_t *file_bytes, struct error *err)
{
    uint64_t data_bytes;
    char *text = head_text(weights, count, &data_bytes);
    if (!text)
        return error_no_memory(err, count * sizeof *weights);
    size_t length = strlen(text), padded = (length + 7) / 8 * 8;
    for (unsigned i = 0; i < 8; i++)
        putc((int)(padded >> 8 * i & 0xff), stream);
    fprintf(stream, "%-*s", (int)padded, text);
    free(text);
    for (size_t i = 0; i < count; i++)
        weights[i].offset += 8 + padded;
    *file_bytes = 8 + padded + data_bytes;
    if (fflush(stream) != 0 || ferror(stream))
        return error_errno(err, "write the head of the file");
    return STATUS_OK;
}
