#include "model/gguf/gguf.h"

#include <inttypes.h>
#include <string.h>

#include "model/gguf/gguf_reader.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF is read as stored");

enum {
    MAX_KEY_BYTES = 65535,
    DEFAULT_ALIGNMENT = 32,
    MIN_ALIGNMENT = 8,
    MAX_ALIGNMENT = 1 << 20,
    /* The least that the file spends on each, which bounds the counts that it may claim. */
    MIN_PAIR_BYTES = 8 + 1 + 4 + 1,
    MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8
};

static size_t type_bytes(uint32_t type)
{
    static const uint8_t bytes[GGUF_TYPES] = {
        [GGUF_U8] = 1,     [GGUF_I8] = 1,  [GGUF_U16] = 2, [GGUF_I16] = 2,
        [GGUF_U32] = 4,    [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1,
        [GGUF_STRING] = 8, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
    };
    return bytes[type];
}

static enum status read_type(struct gguf_reader *reader, uint32_t *type)
{
    if (gguf_read_u32(reader, type, "a value's type"))
        return reader->err->status;
    if (*type >= GGUF_TYPES) {
        reader->at -= sizeof *type;
        error_set(reader->err, STATUS_FORMAT, "there is no value type %" PRIu32, *type);
        return gguf_damaged(reader);
    }
    return STATUS_OK;
}

/* Steps over the elements of a value whose type and count are known, checking each. */
static enum status skip_elements(struct gguf_reader *reader, const struct gguf_value *value)
{
    if (value->type == GGUF_STRING) {
        for (uint64_t i = 0; i < value->count; i++) {
            uint64_t bytes;
            if (gguf_read_count(reader, &bytes, 1, "a string's length"))
                return reader->err->status;
            reader->at += bytes;
        }
        return STATUS_OK;
    }
    if (value->count > gguf_left(reader) / type_bytes(value->type)) {
        error_set(reader->err, STATUS_FORMAT, "the file ends inside a value");
        return gguf_damaged(reader);
    }
    for (uint64_t i = 0; value->type == GGUF_BOOL && i < value->count; i++) {
        if (value->data[i] > 1) {
            reader->at += i;
            error_set(reader->err, STATUS_FORMAT, "a boolean is %u", value->data[i]);
            return gguf_damaged(reader);
        }
    }
    reader->at += value->count * type_bytes(value->type);
    return STATUS_OK;
}

static enum status read_value(struct gguf_reader *reader, struct gguf_value *value)
{
    uint32_t type;
    if (read_type(reader, &type))
        return reader->err->status;
    value->is_array = type == GGUF_ARRAY;
    value->count = 1;
    if (value->is_array) {
        if (read_type(reader, &type))
            return reader->err->status;
        if (type == GGUF_ARRAY) {
            error_set(reader->err, STATUS_UNSUPPORTED, "an array of arrays in the metadata");
            return gguf_unsupported(reader, "No model of the Llama architecture needs one.");
        }
        if (gguf_read_count(reader, &value->count, type_bytes(type), "an array's length"))
            return reader->err->status;
    }
    value->type = (enum gguf_type)type;
    value->data = reader->bytes + reader->at;
    return skip_elements(reader, value);
}

static enum status read_header(struct gguf_reader *reader, struct gguf *gguf)
{
    char magic[4];
    if (reader->size == 0) {
        error_set(reader->err, STATUS_FORMAT, "the file is empty");
        return gguf_damaged(reader);
    }
    if (gguf_read_bytes(reader, magic, sizeof magic, "the header"))
        return reader->err->status;
    if (memcmp(magic, "GGUF", sizeof magic) != 0) {
        reader->at = 0;
        error_set(reader->err, STATUS_FORMAT, "not a GGUF file: it does not start with \"GGUF\"");
        return gguf_damaged(reader);
    }
    if (gguf_read_u32(reader, &gguf->version, "the header"))
        return reader->err->status;
    if (gguf->version != 2 && gguf->version != 3) {
        reader->at -= sizeof gguf->version;
        if ((gguf->version & 0xffff) == 0)
            error_set(reader->err, STATUS_UNSUPPORTED, "the file is big-endian GGUF");
        else
            error_set(reader->err, STATUS_UNSUPPORTED,
                      "GGUF version %" PRIu32 "; versions 2 and 3 can be read", gguf->version);
        return gguf_unsupported(reader, "Convert the model again with a current converter.");
    }
    if (gguf_read_count(reader, &gguf->tensor_count, MIN_TENSOR_BYTES, "the number of tensors") ||
        gguf_read_count(reader, &gguf->pair_count, MIN_PAIR_BYTES, "the number of metadata keys"))
        return reader->err->status;
    return STATUS_OK;
}

static enum status read_pairs(struct gguf_reader *reader, struct gguf *gguf)
{
    gguf->pairs = arena_array(&gguf->arena, gguf->pair_count, sizeof *gguf->pairs);
    const char **names = arena_array(&gguf->arena, gguf->pair_count, sizeof *names);
    if (!gguf->pairs || !names)
        return error_no_memory(reader->err, gguf->pair_count * sizeof *gguf->pairs);
    for (uint64_t i = 0; i < gguf->pair_count; i++) {
        struct gguf_pair *pair = &gguf->pairs[i];
        if (gguf_read_name(reader, &gguf->arena, MAX_KEY_BYTES, "the length of a key", &pair->key))
            return reader->err->status;
        if (read_value(reader, &pair->value)) {
            return error_where(reader->err, "%s, byte %zu, key %.200s", reader->path, reader->at,
                               pair->key);
        }
        names[i] = pair->key;
    }
    return gguf_check_unique(reader, names, gguf->pair_count, "the key");
}

static enum status read_alignment(const struct gguf_reader *reader, struct gguf *gguf)
{
    int64_t alignment;
    if (gguf_get_int_or(gguf, "general.alignment", MIN_ALIGNMENT, MAX_ALIGNMENT, DEFAULT_ALIGNMENT,
                        &alignment, reader->err))
        return reader->err->status;
    if (alignment & (alignment - 1)) {
        error_set(reader->err, STATUS_FORMAT, "general.alignment is %" PRId64 ", no power of two",
                  alignment);
        return gguf_damaged(reader);
    }
    gguf->alignment = (uint32_t)alignment;
    return STATUS_OK;
}

enum status gguf_parse(struct gguf *gguf, const void *bytes, size_t size, const char *path,
                       struct error *err)
{
    struct gguf_reader reader = {bytes, size, 0, path, err};
    *gguf = (struct gguf){.path = path};
    if (read_header(&reader, gguf) || read_pairs(&reader, gguf) || read_alignment(&reader, gguf) ||
        gguf_read_tensors(&reader, gguf)) {
        gguf_close(gguf);
        return err->status;
    }
    return STATUS_OK;
}

enum status gguf_open(struct gguf *gguf, const char *path, struct error *err)
{
    struct file_map map;
    *gguf = (struct gguf){0};
    if (file_map_open(&map, path, err))
        return err->status;
    if (gguf_parse(gguf, map.data, map.bytes, path, err)) {
        file_map_close(&map);
        return err->status;
    }
    gguf->map = map;
    return STATUS_OK;
}

void gguf_close(struct gguf *gguf)
{
    file_map_close(&gguf->map);
    arena_free(&gguf->arena);
    *gguf = (struct gguf){0};
}
