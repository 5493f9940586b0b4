#include <inttypes.h>
#include <stdlib.h>

#include "model/gguf/gguf_reader.h"

enum { MAX_NAME_BYTES = 255 };

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

static enum status read_tensor_type(struct gguf_reader *reader, struct tensor *tensor)
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
    if (gguf_read_u32(reader, &number, "a tensor's type"))
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
        return gguf_unsupported(reader,
                                "Use a file in F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, "
                                "Q4_K, Q5_K or Q6_K.");
    }
    error_set(reader->err, STATUS_FORMAT, "tensor \"%s\" has the unknown type %" PRIu32,
              tensor->name, number);
    return gguf_damaged(reader);
}

/* One entry of the tensor list. Dimensions are stored innermost first. */
static enum status read_tensor(struct gguf_reader *reader, struct arena *arena,
                               struct tensor *tensor, uint64_t *offset)
{
    if (gguf_read_name(reader, arena, MAX_NAME_BYTES, "the length of a tensor's name",
                       &tensor->name) ||
        gguf_read_u32(reader, &tensor->n_dims, "a tensor's number of dimensions"))
        return reader->err->status;
    if (tensor->n_dims < 1 || tensor->n_dims > TENSOR_MAX_DIMS) {
        error_set(reader->err, STATUS_FORMAT,
                  "tensor \"%s\" has %" PRIu32 " dimensions; it should have 1 to %d", tensor->name,
                  tensor->n_dims, TENSOR_MAX_DIMS);
        return gguf_damaged(reader);
    }
    for (uint32_t i = 0; i < TENSOR_MAX_DIMS; i++)
        tensor->dims[i] = 1;
    for (uint32_t i = tensor->n_dims; i-- > 0;)
        if (gguf_read_u64(reader, &tensor->dims[i], "a tensor's dimensions"))
            return reader->err->status;
    if (read_tensor_type(reader, tensor) || gguf_read_u64(reader, offset, "a tensor's offset"))
        return reader->err->status;
    return tensor_measure(tensor, reader->err) ? gguf_damaged(reader) : STATUS_OK;
}

static int compare_data(const void *a, const void *b)
{
    const unsigned char *x = (*(const struct tensor *const *)a)->data;
    const unsigned char *y = (*(const struct tensor *const *)b)->data;
    return (x > y) - (x < y);
}

static enum status check_overlap(const struct gguf_reader *reader, struct gguf *gguf)
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
            return gguf_damaged(reader);
        }
    }
    return STATUS_OK;
}

/* Offsets count from the end of the list, rounded up to the alignment. */
static enum status place_tensors(struct gguf_reader *reader, struct gguf *gguf,
                                 const uint64_t *offsets)
{
    size_t padding = (gguf->alignment - reader->at % gguf->alignment) % gguf->alignment;
    if (gguf->tensor_count > 0 && padding > gguf_left(reader)) {
        error_set(reader->err, STATUS_FORMAT, "the file ends before the tensors' data");
        return gguf_damaged(reader);
    }
    size_t start = reader->at + padding, space = reader->size - start;
    for (uint64_t i = 0; i < gguf->tensor_count; i++) {
        struct tensor *tensor = &gguf->tensors[i];
        if (offsets[i] % gguf->alignment) {
            error_set(reader->err, STATUS_FORMAT,
                      "tensor \"%s\" is at offset %" PRIu64
                      ", no multiple of the alignment, %" PRIu32,
                      tensor->name, offsets[i], gguf->alignment);
            return gguf_damaged(reader);
        }
        if (offsets[i] > space || tensor->bytes > space - offsets[i]) {
            error_set(reader->err, STATUS_FORMAT,
                      "tensor \"%s\" (offset %" PRIu64 ", %" PRIu64
                      " bytes) lies beyond the end of the data, which has %zu bytes",
                      tensor->name, offsets[i], tensor->bytes, space);
            return gguf_damaged(reader);
        }
        tensor->data = reader->bytes + start + offsets[i];
    }
    return check_overlap(reader, gguf);
}

enum status gguf_read_tensors(struct gguf_reader *reader, struct gguf *gguf)
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
    if (gguf_check_unique(reader, names, count, "the tensor"))
        return reader->err->status;
    return place_tensors(reader, gguf, offsets);
}
