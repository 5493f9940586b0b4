#include "model/safetensors/safetensors_index.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "model/printable.h"

enum { MAX_INDEX_BYTES = 64 << 20, MAX_FILES = 4096 };

static enum status damaged(const struct safetensors_index *index, struct error *err)
{
    error_where(err, "%s", index->path);
    return error_remedy(err, "Fetch the model's files again.");
}

/* A file in the same folder, and nowhere else. */
static bool is_plain_name(const char *name)
{
    static const char ending[] = ".safetensors";
    size_t bytes = strlen(name), tail = sizeof ending - 1;
    if (bytes <= tail || bytes > 255 || name[0] == '.' || strcmp(name + bytes - tail, ending) != 0)
        return false;
    for (size_t i = 0; i < bytes; i++)
        if (name[i] < ' ' || name[i] > '~' || name[i] == '/')
            return false;
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum status read_files(struct safetensors_index *index, struct error *err)
{
    size_t entries = json_object_size(index->weights), used = 0;
    const char *tensor;
    json_t *file;
    index->files = arena_array(&index->arena, entries, sizeof *index->files);
    if (!index->files)
        return error_no_memory(err, entries * sizeof *index->files);
    json_object_foreach(index->weights, tensor, file)
    {
        if (!json_is_string(file) || !is_plain_name(json_string_value(file))) {
            char text[128];
            error_set(err, STATUS_FORMAT,
                      "the file of tensor \"%s\" is not the plain name of a .safetensors file",
                      printable(text, sizeof text, tensor, strlen(tensor)));
            return damaged(index, err);
        }
        index->files[used++] = json_string_value(file);
    }
    qsort(index->files, used, sizeof *index->files, compare_names);
    for (size_t i = 0; i < used; i++)
        if (i == 0 || strcmp(index->files[i], index->files[i - 1]) != 0)
            index->files[index->count++] = index->files[i];
    if (index->count < 1 || index->count > MAX_FILES) {
        error_set(err, STATUS_FORMAT, "the index names %" PRIu64 " files; it should be 1 to %d",
                  index->count, MAX_FILES);
        return damaged(index, err);
    }
    return STATUS_OK;
}

enum status safetensors_index_read(struct safetensors_index *index, const char *path,
                                   struct error *err)
{
    *index = (struct safetensors_index){.path = path};
    json_t *json = json_read(path, MAX_INDEX_BYTES, err);
    if (!json)
        return error_remedy(err, "Fetch the model's files again.");
    index->weights = json_incref(json_object_get(json, "weight_map"));
    json_decref(json);
    if (!json_is_object(index->weights)) {
        error_set(err, STATUS_FORMAT, "\"weight_map\" is not an object");
        damaged(index, err);
    } else if (read_files(index, err) == STATUS_OK) {
        return STATUS_OK;
    }
    safetensors_index_free(index);
    return err->status;
}

enum status safetensors_index_check(const struct safetensors_index *index,
                                    const struct safetensors *parts, struct error *err)
{
    uint64_t tensors = 0, entries = json_object_size(index->weights);
    for (uint64_t i = 0; i < index->count; i++) {
        for (uint64_t k = 0; k < parts[i].tensor_count; k++) {
            const char *name = parts[i].tensors[k].name;
            const char *file = json_string_value(json_object_get(index->weights, name));
            if (!file || strcmp(file, index->files[i]) != 0) {
                error_set(err, STATUS_FORMAT, "tensor \"%s\" is in %s, the index says %s", name,
                          index->files[i], file ? file : "nothing of it");
                return damaged(index, err);
            }
        }
        tensors += parts[i].tensor_count;
    }
    if (tensors == entries)
        return STATUS_OK;
    error_set(err, STATUS_FORMAT,
              "the index names %" PRIu64 " tensors, the files it names hold %" PRIu64, entries,
              tensors);
    return damaged(index, err);
}

void safetensors_index_free(struct safetensors_index *index)
{
    json_decref(index->weights);
    arena_free(&index->arena);
    *index = (struct safetensors_index){0};
}
