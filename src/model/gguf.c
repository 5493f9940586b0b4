#include "model/gguf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF is read as stored");

enum {
    MAX_KEY_BYTES = 65535,
    MAX_NAME_BYTES = 255,
    DEFAULT_ALIGNMENT = 32,
    MIN_ALIGNMENT = 8,
    MAX_ALIGNMENT = 1 << 20,
    /* The least that the file spends on each, which bounds the counts that it may claim. */
    MIN_PAIR_BYTES = 8 + 1 + 4 + 1,
    MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8
};

/* Where the parser is in the file. */
struct reader {
    const unsigned char *bytes;
    size_t size, at;
    const char *path;
    struct error *err;
};

/* Adds the place to an error that says what is wrong with the file. */
static enum status damaged(const struct reader *reader)
{
    error_where(reader->err, "%s, byte %zu", reader->path, reader->at);
    return error_remedy(reader->err,
                        "The file is damaged or incomplete: fetch or convert it again.");
}

static enum status unsupported(const struct reader *reader, const char *remedy)
{
    error_where(reader->err, "%s, byte %zu", reader->path, reader->at);
    return error_remedy(reader->err, "%s", remedy);
}

static size_t left(const struct reader *reader)
{
    return reader->size - reader->at;
}

static enum status read_bytes(struct reader *reader, void *out, size_t bytes, const char *what)
{
    if (left(reader) < bytes) {
        error_set(reader->err, STATUS_FORMAT, "the file ends inside %s", what);
        return damaged(reader);
    }
    memcpy(out, reader->bytes + reader->at, bytes);
    reader->at += bytes;
    return STATUS_OK;
}

static enum status read_u32(struct reader *reader, uint32_t *value, const char *what)
{
    return read_bytes(reader, value, sizeof *value, what);
}

static enum status read_u64(struct reader *reader, uint64_t *value, const char *what)
{
    return read_bytes(reader, value, sizeof *value, what);
}

/* A number of things, each of which takes at least so many bytes of what is left. */
static enum status read_count(struct reader *reader, uint64_t *count, size_t least_bytes,
                              const char *what)
{
    if (read_u64(reader, count, what))
        return reader->err->status;
    if (*count > left(reader) / least_bytes) {
        reader->at -= sizeof *count;
        error_set(reader->err, STATUS_FORMAT,
                  "%s is %" PRIu64 ", more than the rest of the file (%zu bytes) can hold", what,
                  *count, left(reader));
        return damaged(reader);
    }
    return STATUS_OK;
}

/* A key or a tensor's name, copied: 1 to limit bytes of printable ASCII. */
static enum status read_name(struct reader *reader, struct arena *arena, size_t limit,
                             const char *what, const char **name)
{
    uint64_t bytes;
    if (read_count(reader, &bytes, 1, what))
        return reader->err->status;
    if (bytes == 0 || bytes > limit) {
        error_set(reader->err, STATUS_FORMAT, "%s is %" PRIu64 "; it should be 1 to %zu", what,
                  bytes, limit);
        return damaged(reader);
    }
    const unsigned char *text = reader->bytes + reader->at;
    for (uint64_t i = 0; i < bytes; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            reader->at += i;
            error_set(reader->err, STATUS_FORMAT,
                      "a name has the byte 0x%02x, which is not printable ASCII", text[i]);
            return damaged(reader);
        }
    }
    *name = arena_strndup(arena, (const char *)text, bytes);
    reader->at += bytes;
    return *name ? STATUS_OK : error_no_memory(reader->err, bytes);
}

static size_t type_bytes(uint32_t type)
{
    static const uint8_t bytes[GGUF_TYPES] = {
        [GGUF_U8] = 1,     [GGUF_I8] = 1,  [GGUF_U16] = 2, [GGUF_I16] = 2,
        [GGUF_U32] = 4,    [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1,
        [GGUF_STRING] = 8, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
    };
    return bytes[type];
}

static enum status read_type(struct reader *reader, uint32_t *type)
{
    if (read_u32(reader, type, "a value's type"))
        return reader->err->status;
    if (*type >= GGUF_TYPES) {
        reader->at -= sizeof *type;
        error_set(reader->err, STATUS_FORMAT, "there is no value type %" PRIu32, *type);
        return damaged(reader);
    }
    return STATUS_OK;
}

/* Steps over the elements of a value whose type and count are known, checking each. */
static enum status skip_elements(struct reader *reader, const struct gguf_value *value)
{
    if (value->type == GGUF_STRING) {
        for (uint64_t i = 0; i < value->count; i++) {
            uint64_t bytes;
            if (read_count(reader, &bytes, 1, "a string's length"))
                return reader->err->status;
            reader->at += bytes;
        }
        return STATUS_OK;
    }
    if (value->count > left(reader) / type_bytes(value->type)) {
        error_set(reader->err, STATUS_FORMAT, "the file ends inside a value");
        return damaged(reader);
    }
    for (uint64_t i = 0; value->type == GGUF_BOOL && i < value->count; i++) {
        if (value->data[i] > 1) {
            reader->at += i;
            error_set(reader->err, STATUS_FORMAT, "a boolean is %u", value->data[i]);
            return damaged(reader);
        }
    }
    reader->at += value->count * type_bytes(value->type);
    return STATUS_OK;
}

static enum status read_value(struct reader *reader, struct gguf_value *value)
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
            return unsupported(reader, "No model of the Llama architecture needs one.");
        }
        if (read_count(reader, &value->count, type_bytes(type), "an array's length"))
            return reader->err->status;
    }
    value->type = (enum gguf_type)type;
    value->data = reader->bytes + reader->at;
    return skip_elements(reader, value);
}

static const char *ggml_type_name(uint32_t number)
{
    static const char *const names[] = {
        [9] = "Q8_1",    [10] = "Q2_K",    [11] = "Q3_K",  [15] = "Q8_K",   [16] = "IQ2_XXS",
        [17] = "IQ2_XS", [18] = "IQ3_XXS", [19] = "IQ1_S", [20] = "IQ4_NL", [21] = "IQ3_S",
        [22] = "IQ2_S",  [23] = "IQ4_XS",  [24] = "I8",    [25] = "I16",    [26] = "I32",
        [27] = "I64",    [28] = "F64",     [29] = "IQ1_M", [34] = "TQ1_0",  [35] = "TQ2_0",
        [39] = "MXFP4",
    };
    return number < sizeof names / sizeof *names ? names[number] : NULL;
}

static enum status read_tensor_type(struct reader *reader, struct tensor *tensor)
{
    static const struct {
        uint32_t number;
        enum tensor_type type;
    } types[] = {
        {0, TENSOR_F32},   {1, TENSOR_F16},   {30, TENSOR_BF16}, {2, TENSOR_Q4_0},
        {3, TENSOR_Q4_1},  {6, TENSOR_Q5_0},  {7, TENSOR_Q5_1},  {8, TENSOR_Q8_0},
        {12, TENSOR_Q4_K}, {13, TENSOR_Q5_K}, {14, TENSOR_Q6_K},
    };
    uint32_t number;
    if (read_u32(reader, &number, "a tensor's type"))
        return reader->err->status;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].number == number) {
            tensor->type = types[i].type;
            return STATUS_OK;
        }
    }
    reader->at -= sizeof number;
    if (ggml_type_name(number)) {
        error_set(reader->err, STATUS_UNSUPPORTED,
                  "tensor \"%s\" is stored as %s, which cannot be read", tensor->name,
                  ggml_type_name(number));
        return unsupported(reader, "Use a file in F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, "
                                   "Q4_K, Q5_K or Q6_K.");
    }
    error_set(reader->err, STATUS_FORMAT, "tensor \"%s\" has the unknown type %" PRIu32,
              tensor->name, number);
    return damaged(reader);
}

/* One entry of the tensor list. Dimensions are stored innermost first. */
static enum status read_tensor(struct reader *reader, struct arena *arena, struct tensor *tensor,
                               uint64_t *offset)
{
    if (read_name(reader, arena, MAX_NAME_BYTES, "the length of a tensor's name", &tensor->name) ||
        read_u32(reader, &tensor->n_dims, "a tensor's number of dimensions"))
        return reader->err->status;
    if (tensor->n_dims < 1 || tensor->n_dims > TENSOR_MAX_DIMS) {
        error_set(reader->err, STATUS_FORMAT,
                  "tensor \"%s\" has %" PRIu32 " dimensions; it should have 1 to %d", tensor->name,
                  tensor->n_dims, TENSOR_MAX_DIMS);
        return damaged(reader);
    }
    for (uint32_t i = 0; i < TENSOR_MAX_DIMS; i++)
        tensor->dims[i] = 1;
    for (uint32_t i = tensor->n_dims; i-- > 0;)
        if (read_u64(reader, &tensor->dims[i], "a tensor's dimensions"))
            return reader->err->status;
    if (read_tensor_type(reader, tensor) || read_u64(reader, offset, "a tensor's offset"))
        return reader->err->status;
    return tensor_measure(tensor, reader->err) ? damaged(reader) : STATUS_OK;
}

static enum status read_header(struct reader *reader, struct gguf *gguf)
{
    char magic[4];
    if (reader->size == 0) {
        error_set(reader->err, STATUS_FORMAT, "the file is empty");
        return damaged(reader);
    }
    if (read_bytes(reader, magic, sizeof magic, "the header"))
        return reader->err->status;
    if (memcmp(magic, "GGUF", sizeof magic) != 0) {
        reader->at = 0;
        error_set(reader->err, STATUS_FORMAT, "not a GGUF file: it does not start with \"GGUF\"");
        return damaged(reader);
    }
    if (read_u32(reader, &gguf->version, "the header"))
        return reader->err->status;
    if (gguf->version != 2 && gguf->version != 3) {
        reader->at -= sizeof gguf->version;
        if ((gguf->version & 0xffff) == 0)
            error_set(reader->err, STATUS_UNSUPPORTED, "the file is big-endian GGUF");
        else
            error_set(reader->err, STATUS_UNSUPPORTED,
                      "GGUF version %" PRIu32 "; versions 2 and 3 can be read", gguf->version);
        return unsupported(reader, "Convert the model again with a current converter.");
    }
    if (read_count(reader, &gguf->tensor_count, MIN_TENSOR_BYTES, "the number of tensors") ||
        read_count(reader, &gguf->pair_count, MIN_PAIR_BYTES, "the number of metadata keys"))
        return reader->err->status;
    return STATUS_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts names and fails on the first that occurs twice. */
static enum status check_unique(const struct reader *reader, const char **names, uint64_t count,
                                const char *what)
{
    qsort(names, count, sizeof *names, compare_names);
    for (uint64_t i = 1; i < count; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            error_set(reader->err, STATUS_FORMAT, "%s \"%.200s\" occurs twice", what, names[i]);
            return damaged(reader);
        }
    }
    return STATUS_OK;
}

static enum status read_pairs(struct reader *reader, struct gguf *gguf)
{
    gguf->pairs = arena_array(&gguf->arena, gguf->pair_count, sizeof *gguf->pairs);
    const char **names = arena_array(&gguf->arena, gguf->pair_count, sizeof *names);
    if (!gguf->pairs || !names)
        return error_no_memory(reader->err, gguf->pair_count * sizeof *gguf->pairs);
    for (uint64_t i = 0; i < gguf->pair_count; i++) {
        struct gguf_pair *pair = &gguf->pairs[i];
        if (read_name(reader, &gguf->arena, MAX_KEY_BYTES, "the length of a key", &pair->key))
            return reader->err->status;
        if (read_value(reader, &pair->value)) {
            return error_where(reader->err, "%s, byte %zu, key %.200s", reader->path, reader->at,
                               pair->key);
        }
        names[i] = pair->key;
    }
    return check_unique(reader, names, gguf->pair_count, "the key");
}

static enum status read_alignment(const struct reader *reader, struct gguf *gguf)
{
    int64_t alignment;
    if (gguf_get_int_or(gguf, "general.alignment", MIN_ALIGNMENT, MAX_ALIGNMENT, DEFAULT_ALIGNMENT,
                        &alignment, reader->err))
        return reader->err->status;
    if (alignment & (alignment - 1)) {
        error_set(reader->err, STATUS_FORMAT, "general.alignment is %" PRId64 ", no power of two",
                  alignment);
        return damaged(reader);
    }
    gguf->alignment = (uint32_t)alignment;
    return STATUS_OK;
}

static int compare_data(const void *a, const void *b)
{
    const unsigned char *x = (*(const struct tensor *const *)a)->data;
    const unsigned char *y = (*(const struct tensor *const *)b)->data;
    return (x > y) - (x < y);
}

static enum status check_overlap(const struct reader *reader, struct gguf *gguf)
{
    const struct tensor **order = arena_array(&gguf->arena, gguf->tensor_count, sizeof *order);
    if (!order)
        return error_no_memory(reader->err, gguf->tensor_count * sizeof *order);
    for (uint64_t i = 0; i < gguf->tensor_count; i++)
        order[i] = &gguf->tensors[i];
    qsort(order, gguf->tensor_count, sizeof *order, compare_data);
    for (uint64_t i = 1; i < gguf->tensor_count; i++) {
        const unsigned char *start = order[i]->data, *before = order[i - 1]->data;
        if ((size_t)(start - before) < order[i - 1]->bytes) {
            error_set(reader->err, STATUS_FORMAT, "the tensors \"%s\" and \"%s\" overlap",
                      order[i - 1]->name, order[i]->name);
            return damaged(reader);
        }
    }
    return STATUS_OK;
}

/* Offsets count from the end of the list, rounded up to the alignment. */
static enum status place_tensors(struct reader *reader, struct gguf *gguf, const uint64_t *offsets)
{
    size_t padding = (gguf->alignment - reader->at % gguf->alignment) % gguf->alignment;
    if (gguf->tensor_count > 0 && padding > left(reader)) {
        error_set(reader->err, STATUS_FORMAT, "the file ends before the tensors' data");
        return damaged(reader);
    }
    size_t start = reader->at + padding, space = reader->size - start;
    for (uint64_t i = 0; i < gguf->tensor_count; i++) {
        struct tensor *tensor = &gguf->tensors[i];
        if (offsets[i] % gguf->alignment) {
            error_set(reader->err, STATUS_FORMAT,
                      "tensor \"%s\" is at offset %" PRIu64
                      ", no multiple of the alignment, %" PRIu32,
                      tensor->name, offsets[i], gguf->alignment);
            return damaged(reader);
        }
        if (offsets[i] > space || tensor->bytes > space - offsets[i]) {
            error_set(reader->err, STATUS_FORMAT,
                      "tensor \"%s\" (offset %" PRIu64 ", %" PRIu64
                      " bytes) lies beyond the end of the data, which has %zu bytes",
                      tensor->name, offsets[i], tensor->bytes, space);
            return damaged(reader);
        }
        tensor->data = reader->bytes + start + offsets[i];
    }
    return check_overlap(reader, gguf);
}

static enum status read_tensors(struct reader *reader, struct gguf *gguf)
{
    uint64_t count = gguf->tensor_count;
    gguf->tensors = arena_array(&gguf->arena, count, sizeof *gguf->tensors);
    uint64_t *offsets = arena_array(&gguf->arena, count, sizeof *offsets);
    const char **names = arena_array(&gguf->arena, count, sizeof *names);
    if (!gguf->tensors || !offsets || !names)
        return error_no_memory(reader->err, count * sizeof *gguf->tensors);
    for (uint64_t i = 0; i < count; i++) {
        if (read_tensor(reader, &gguf->arena, &gguf->tensors[i], &offsets[i]))
            return reader->err->status;
        names[i] = gguf->tensors[i].name;
    }
    if (check_unique(reader, names, count, "the tensor"))
        return reader->err->status;
    return place_tensors(reader, gguf, offsets);
}

enum status gguf_parse(struct gguf *gguf, const void *bytes, size_t size, const char *path,
                       struct error *err)
{
    struct reader reader = {bytes, size, 0, path, err};
    *gguf = (struct gguf){.path = path};
    if (read_header(&reader, gguf) || read_pairs(&reader, gguf) || read_alignment(&reader, gguf) ||
        read_tensors(&reader, gguf)) {
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
