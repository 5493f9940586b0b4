#include "model/safetensors/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "model/printable.h"

/* The format's own limit on the header. */
enum { MAX_HEADER_BYTES = 100 * 1000 * 1000, LENGTH_BYTES = 8, MAX_NAME_BYTES = 255 };

struct reader {
    struct safetensors *file;
    const unsigned char *data; /* the bytes after the header */
    uint64_t data_bytes;
    struct error *err;
};

static enum status damaged(const struct reader *reader)
{
    error_where(reader->err, "%s", reader->file->path);
    return error_remedy(reader->err, "The file is damaged or incomplete: fetch it again.");
}

static enum status check_name(const struct reader *reader, const char *name)
{
    size_t bytes = strlen(name);
    bool good = bytes >= 1 && bytes <= MAX_NAME_BYTES;
    for (size_t i = 0; good && i < bytes; i++)
        good = name[i] >= ' ' && name[i] <= '~';
    if (good)
        return STATUS_OK;
    error_set(reader->err, STATUS_FORMAT,
              "a tensor's name is not 1 to %d characters of printable ASCII", MAX_NAME_BYTES);
    return damaged(reader);
}

static enum status read_type(const struct reader *reader, const json_t *entry,
                             struct tensor *tensor)
{
    const char *dtype;
    char text[32];
    if (json_get_string(entry, "dtype", &dtype, reader->err))
        return damaged(reader);
    for (int type = TENSOR_F32; type <= TENSOR_BF16; type++) {
        if (strcmp(dtype, tensor_type_name(type)) == 0) {
            tensor->type = type;
            return STATUS_OK;
        }
    }
    error_set(reader->err, STATUS_UNSUPPORTED,
              "tensor \"%s\" is stored as another type than F32, "
              "F16 and BF16",
              tensor->name);
    error_where(reader->err, "%s, dtype \"%s\"", reader->file->path,
                printable(text, sizeof text, dtype, strlen(dtype)));
    return error_remedy(reader->err, "Use the model in F32, F16 or BF16.");
}

static enum status read_shape(const struct reader *reader, const json_t *entry,
                              struct tensor *tensor)
{
    const json_t *shape = json_object_get(entry, "shape");
    size_t n_dims = json_array_size(shape);
    for (size_t i = 0; i < TENSOR_MAX_DIMS; i++)
        tensor->dims[i] = 1;
    if (!json_is_array(shape) || n_dims > TENSOR_MAX_DIMS) {
        error_set(reader->err, STATUS_FORMAT,
                  "the shape of tensor \"%s\" is not a list of at most %d dimensions", tensor->name,
                  TENSOR_MAX_DIMS);
        return damaged(reader);
    }
    tensor->n_dims = (uint32_t)n_dims;
    for (size_t i = 0; i < n_dims; i++) {
        const json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 1) {
            error_set(reader->err, STATUS_FORMAT,
                      "a dimension of tensor \"%s\" is not a positive integer", tensor->name);
            return damaged(reader);
        }
        tensor->dims[i] = (uint64_t)json_integer_value(dim);
    }
    return tensor_measure(tensor, reader->err) ? damaged(reader) : STATUS_OK;
}

static enum status read_place(const struct reader *reader, const json_t *entry,
                              struct tensor *tensor)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    int64_t begin = json_is_integer(first) ? json_integer_value(first) : -1;
    int64_t end = json_is_integer(last) ? json_integer_value(last) : -1;
    if (json_array_size(offsets) != 2 || begin < 0 || end < begin) {
        error_set(reader->err, STATUS_FORMAT,
                  "data_offsets of tensor \"%s\" are not a begin and an end", tensor->name);
        return damaged(reader);
    }
    if ((uint64_t)end > reader->data_bytes) {
        error_set(reader->err, STATUS_FORMAT,
                  "tensor \"%s\" ends at offset %" PRId64 ", beyond the data, which has %" PRIu64
                  " bytes",
                  tensor->name, end, reader->data_bytes);
        return damaged(reader);
    }
    if ((uint64_t)(end - begin) != tensor->bytes) {
        error_set(reader->err, STATUS_FORMAT,
                  "tensor \"%s\" takes %" PRId64 " bytes; its shape and type need %" PRIu64,
                  tensor->name, end - begin, tensor->bytes);
        return damaged(reader);
    }
    tensor->data = reader->data + begin;
    if ((uintptr_t)tensor->data % tensor_type_block_bytes(tensor->type)) {
        error_set(reader->err, STATUS_UNSUPPORTED,
                  "the data of tensor \"%s\" is not aligned to its type", tensor->name);
        error_where(reader->err, "%s", reader->file->path);
        return error_remedy(reader->err,
                            "Write the file again with a current version of safetensors.");
    }
    return STATUS_OK;
}

static int compare_data(const void *a, const void *b)
{
    const unsigned char *x = (*(const struct tensor *const *)a)->data;
    const unsigned char *y = (*(const struct tensor *const *)b)->data;
    return (x > y) - (x < y);
}

/* The format forbids holes as well as overlaps: what no tensor names could hide anything. */
static enum status check_cover(const struct reader *reader)
{
    uint64_t count = reader->file->tensor_count;
    const struct tensor **order = arena_array(&reader->file->arena, count, sizeof *order);
    const unsigned char *next = reader->data;
    if (!order)
        return error_no_memory(reader->err, count * sizeof *order);
    for (uint64_t i = 0; i < count; i++)
        order[i] = &reader->file->tensors[i];
    qsort(order, count, sizeof *order, compare_data);
    for (uint64_t i = 0; i < count; i++) {
        const unsigned char *begin = order[i]->data;
        if (begin != next) {
            error_set(reader->err, STATUS_FORMAT, "there is %s before tensor \"%s\"",
                      begin < next ? "an overlap" : "a hole", order[i]->name);
            return damaged(reader);
        }
        next = begin + order[i]->bytes;
    }
    uint64_t used = (uint64_t)(next - reader->data);
    if (used == reader->data_bytes)
        return STATUS_OK;
    error_set(reader->err, STATUS_FORMAT, "%" PRIu64 " bytes at the end belong to no tensor",
              reader->data_bytes - used);
    return damaged(reader);
}

static enum status read_tensors(const struct reader *reader, json_t *header)
{
    struct safetensors *file = reader->file;
    size_t members = json_object_size(header);
    const char *key;
    json_t *entry;
    file->tensors = arena_array(&file->arena, members, sizeof *file->tensors);
    if (!file->tensors)
        return error_no_memory(reader->err, members * sizeof *file->tensors);
    json_object_foreach(header, key, entry)
    {
        if (strcmp(key, "__metadata__") == 0)
            continue;
        struct tensor *tensor = &file->tensors[file->tensor_count++];
        if (check_name(reader, key))
            return reader->err->status;
        tensor->name = arena_strdup(&file->arena, key);
        if (!tensor->name)
            return error_no_memory(reader->err, strlen(key));
        if (!json_is_object(entry)) {
            error_set(reader->err, STATUS_FORMAT, "the entry of tensor \"%s\" is not an object",
                      tensor->name);
            return damaged(reader);
        }
        if (read_type(reader, entry, tensor) || read_shape(reader, entry, tensor) ||
            read_place(reader, entry, tensor))
            return reader->err->status;
    }
    return check_cover(reader);
}

enum status safetensors_parse(struct safetensors *file, const void *bytes, size_t size,
                              const char *path, struct error *err)
{
    struct reader reader = {.file = file, .err = err};
    uint64_t header_bytes;
    *file = (struct safetensors){.path = path};
    if (size < LENGTH_BYTES) {
        error_set(err, STATUS_FORMAT,
                  size ? "the file ends inside the length of its header" : "the file is empty");
        return damaged(&reader);
    }
    memcpy(&header_bytes, bytes, sizeof header_bytes);
    if (header_bytes > size - LENGTH_BYTES || header_bytes > MAX_HEADER_BYTES) {
        error_set(err, STATUS_FORMAT,
                  "the header claims %" PRIu64
                  " bytes; the file has %zu, and at most %d are allowed",
                  header_bytes, size, MAX_HEADER_BYTES);
        return damaged(&reader);
    }
    const char *text = (const char *)bytes + LENGTH_BYTES;
    json_t *header = json_parse(text, header_bytes, path, err);
    if (!header)
        return error_remedy(err, "The file is damaged or incomplete: fetch it again.");
    reader.data = (const unsigned char *)text + header_bytes;
    reader.data_bytes = size - LENGTH_BYTES - header_bytes;
    enum status status = read_tensors(&reader, header);
    json_decref(header);
    if (status)
        safetensors_close(file);
    return status;
}

enum status safetensors_open(struct safetensors *file, const char *path, struct error *err)
{
    struct file_map map;
    *file = (struct safetensors){0};
    if (file_map_open(&map, path, err))
        return err->status;
    if (safetensors_parse(file, map.data, map.bytes, path, err)) {
        file_map_close(&map);
        return err->status;
    }
    file->map = map;
    return STATUS_OK;
}

void safetensors_close(struct safetensors *file)
{
    file_map_close(&file->map);
    arena_free(&file->arena);
    *file = (struct safetensors){0};
}
