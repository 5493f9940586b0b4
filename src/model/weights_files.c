#include "model/weights_files.h"

#include <jansson.h>
#include <limits.h>
#include <unistd.h>

/* What the format counts with five digits. */
enum { MAX_PARTS = 99999 };

static size_t parts_divide(struct weight *weights, size_t count, uint64_t part_bytes)
{
    uint64_t bytes = 0;
    size_t part = 0;
    for (size_t i = 0; i < count; i++) {
        if (part_bytes && bytes > 0 && bytes + weights[i].bytes > part_bytes) {
            part++;
            bytes = 0;
        }
        weights[i].part = (uint32_t)part;
        bytes += weights[i].bytes;
    }
    return part + 1;
}

static enum status refuse(const char *path, const char *what, struct error *err)
{
    if (!path_is_file(path))
        return STATUS_OK;
    error_set(err, STATUS_USAGE, "the folder already holds %s", what);
    error_where(err, "%s", path);
    return error_remedy(err, "Give another folder, or remove that model.");
}

/* The one of two forms that is not written here would be read in its place. */
static enum status folder_check(struct weights_files *files, const char *folder, bool parts,
                                struct error *err)
{
    const char *index = arena_printf(&files->arena, "%s/model.safetensors.index.json", folder);
    const char *whole = arena_printf(&files->arena, "%s/model.safetensors", folder);
    if (!index || !whole)
        return error_no_memory(err, PATH_MAX);
    if (refuse(index, "a model in several files", err))
        return err->status;
    files->index = parts ? index : NULL;
    return parts ? refuse(whole, "a model in one file", err) : STATUS_OK;
}

static const char *file_path(struct weights_files *files, const char *path,
                             enum model_format format, size_t i)
{
    if (format == MODEL_GGUF)
        return arena_strdup(&files->arena, path);
    return files->index ? arena_printf(&files->arena, "%s/model-%05zu-of-%05zu.safetensors", path,
                                       i + 1, files->count)
                        : arena_printf(&files->arena, "%s/model.safetensors", path);
}

enum status weights_files_open(struct weights_files *files, const char *path,
                               enum model_format format, uint64_t part_bytes,
                               struct weight *weights, size_t count, struct error *err)
{
    *files = (struct weights_files){0};
    size_t parts = parts_divide(weights, count, part_bytes);
    enum status status = STATUS_OK;
    if (parts > MAX_PARTS) {
        error_set(err, STATUS_USAGE, "these would be %zu parts; at most %d are possible", parts,
                  MAX_PARTS);
        return error_remedy(err, "Make them larger.");
    }
    if (format == MODEL_SAFETENSORS) {
        status = folder_make(path, err);
        if (!status)
            status = folder_check(files, path, part_bytes > 0, err);
    }
    files->file = arena_array(&files->arena, parts, sizeof *files->file);
    if (!files->file)
        return error_no_memory(err, parts * sizeof *files->file);
    for (size_t i = 0; i < count && !status; i++) {
        struct weights_file *file = &files->file[weights[i].part];
        if (file->count++ == 0)
            file->weights = &weights[i];
    }
    files->count = parts;
    for (size_t i = 0; i < parts && !status; i++) {
        struct weights_file *file = &files->file[i];
        file->path = file_path(files, path, format, i);
        status = file->path ? file_writer_open(&file->writer, file->path, err)
                            : error_no_memory(err, PATH_MAX);
    }
    return status;
}

/* Which tensor is in which part, as transformers writes it. */
static json_t *index_make(const struct weights_files *files)
{
    json_int_t total = 0;
    json_t *map = json_object();
    for (size_t i = 0; i < files->count; i++)
        for (size_t k = 0; k < files->file[i].count; k++) {
            const struct weight *weight = &files->file[i].weights[k];
            total += (json_int_t)weight->bytes;
            json_object_set_new(map, weight->name, json_string(path_base(files->file[i].path)));
        }
    return json_pack("{s:{s:I}, s:o}", "metadata", "total_size", total, "weight_map", map);
}

static enum status index_write(const struct weights_files *files, struct error *err)
{
    struct file_writer writer;
    json_t *index = index_make(files);
    if (!index)
        return error_no_memory(err, files->count * sizeof *files->file);
    enum status status = file_writer_open(&writer, files->index, err);
    if (!status) {
        json_dumpf(index, writer.stream, JSON_INDENT(2));
        fputc('\n', writer.stream);
        status = file_writer_commit(&writer, err);
    }
    json_decref(index);
    return status;
}

enum status weights_files_commit(struct weights_files *files, struct error *err)
{
    enum status status = STATUS_OK;
    size_t done = 0;
    for (; done < files->count && !status; done++)
        status = file_writer_commit(&files->file[done].writer, err);
    if (!status && files->index)
        status = index_write(files, err);
    for (size_t i = 0; status && files->index && i < done; i++)
        unlink(files->file[i].path);
    return status;
}

void weights_files_close(struct weights_files *files)
{
    for (size_t i = 0; files->file && i < files->count; i++)
        file_writer_abort(&files->file[i].writer);
    arena_free(&files->arena);
    *files = (struct weights_files){0};
}
