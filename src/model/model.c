#include "model/model.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "model/build.h"
#include "model/files.h"
#include "model/gguf/gguf_split.h"
#include "model/printable.h"
#include "model/safetensors/hf_config.h"
#include "model/safetensors/safetensors_index.h"
#include "model/synthetic.h"

const char *model_format_name(enum model_format format)
{
    static const char *const names[] = {[MODEL_GGUF] = "gguf",
                                        [MODEL_SAFETENSORS] = "safetensors",
                                        [MODEL_SYNTHETIC] = "synthetic"};
    return names[format];
}

const char *model_format_of(const struct model *model)
{
    bool parts = model->format == MODEL_GGUF && model->files && model->files->count > 1;
    return parts ? "gguf-parts" : model_format_name(model->format);
}

/* The name shown for a model: text, safe to print. */
static enum status set_name(struct model *model, const char *text, size_t bytes, struct error *err)
{
    char name[128];
    model->name = arena_strdup(&model->arena, printable(name, sizeof name, text, bytes));
    return model->name ? STATUS_OK : error_no_memory(err, sizeof name);
}

/* The same from a path, "." and the like resolved, without the format's ending and a part's number.
 */
static enum status name_after(struct model *model, const char *path, struct error *err)
{
    char real[PATH_MAX];
    const char *base = path_base(path_resolve(path, real) ? real : path);
    uint32_t number, count;
    size_t bytes = strlen(base);
    if (gguf_part_name(base, &number, &count))
        return set_name(model, base, bytes - GGUF_PART_TAIL, err);
    static const char *const endings[] = {".gguf", ".safetensors"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t tail = strlen(endings[i]);
        if (bytes > tail && strcmp(base + bytes - tail, endings[i]) == 0)
            bytes -= tail;
    }
    return set_name(model, base, bytes, err);
}

static enum status open_gguf(struct model *model, const char *path, struct error *err)
{
    struct model_files *files = model->files;
    struct gguf_string name;
    uint32_t count;
    if (gguf_split_open(&files->gguf, &count, &model->arena, path, err))
        return err->status;
    files->count = count;
    files->paths = arena_array(&model->arena, count, sizeof *files->paths);
    if (!files->paths)
        return error_no_memory(err, count * sizeof *files->paths);
    for (uint32_t i = 0; i < count; i++)
        files->paths[i] = files->gguf[i].path;
    if (model_build_gguf(model, files->gguf, count, err) ||
        gguf_get_string_or_null(files->gguf, "general.name", &name, err))
        return err->status;
    return name.bytes ? set_name(model, name.data, name.bytes, err) : name_after(model, path, err);
}

/* Room for count parts, none of them open yet. */
static enum status make_parts(struct model *model, uint64_t count, struct error *err)
{
    struct model_files *files = model->files;
    files->paths = arena_array(&model->arena, count, sizeof *files->paths);
    files->parts = arena_array(&model->arena, count, sizeof *files->parts);
    files->count = count;
    return files->paths && files->parts ? STATUS_OK
                                        : error_no_memory(err, count * sizeof *files->parts);
}

static enum status open_part(struct model *model, uint64_t part, const char *folder,
                             const char *name, struct error *err)
{
    const char *path = arena_printf(&model->arena, "%s/%s", folder, name);
    if (!path)
        return error_no_memory(err, PATH_MAX);
    model->files->paths[part] = path;
    if (safetensors_open(&model->files->parts[part], path, err) == STATUS_OK)
        return STATUS_OK;
    return err->status == STATUS_NOT_FOUND
               ? error_remedy(err, "Fetch all the files that the model's index names.")
               : err->status;
}

static enum status open_indexed(struct model *model, const char *folder, struct error *err)
{
    struct safetensors_index index;
    const char *path = arena_printf(&model->arena, "%s/model.safetensors.index.json", folder);
    if (!path)
        return error_no_memory(err, PATH_MAX);
    if (safetensors_index_read(&index, path, err))
        return err->status;
    enum status status = make_parts(model, index.count, err);
    for (uint64_t i = 0; !status && i < index.count; i++)
        status = open_part(model, i, folder, index.files[i], err);
    if (status == STATUS_OK)
        status = safetensors_index_check(&index, model->files->parts, err);
    safetensors_index_free(&index);
    return status;
}

static enum status read_config(struct model *model, const char *folder, struct error *err)
{
    const char *path = arena_printf(&model->arena, "%s/config.json", folder);
    if (!path)
        return error_no_memory(err, PATH_MAX);
    enum status status = hf_config_read(&model->config, path, err);
    if (status == STATUS_NOT_FOUND) {
        error_set(err, STATUS_NOT_FOUND, "no config.json beside the safetensors weights");
        error_where(err, "%s", path);
        error_remedy(err, "Fetch the model's config.json into the same folder.");
    }
    return status;
}

/* name: the one file with the weights; NULL: whatever the folder holds. */
static enum status open_safetensors(struct model *model, const char *folder, const char *name,
                                    struct error *err)
{
    const char *whole = arena_printf(&model->arena, "%s/model.safetensors", folder);
    if (!whole)
        return error_no_memory(err, PATH_MAX);
    if (!name && path_is_file(whole))
        name = "model.safetensors";
    if (read_config(model, folder, err))
        return err->status;
    if (name) {
        if (make_parts(model, 1, err) || open_part(model, 0, folder, name, err))
            return err->status;
    } else if (open_indexed(model, folder, err)) {
        return err->status;
    }
    if (model_build_safetensors(model, model->files->parts, model->files->count, err))
        return err->status;
    bool usual = strcmp(path_base(model->files->paths[0]), "model.safetensors") == 0;
    return name_after(model, name && !usual ? model->files->paths[0] : folder, err);
}

/* What a file is, by its first bytes. */
enum content { CONTENT_EMPTY, CONTENT_GGUF, CONTENT_SAFETENSORS, CONTENT_PICKLE, CONTENT_OTHER };

static enum status unreadable(const char *path, const char *doing, struct error *err)
{
    error_errno(err, "%s", doing);
    error_where(err, "%s", path);
    return error_remedy(err, "Give the path of a model file that can be read.");
}

static enum status sniff(const char *path, enum content *content, struct error *err)
{
    unsigned char start[9];
    FILE *stream = fopen(path, "rbe");
    if (!stream)
        return unreadable(path, "open the file", err);
    size_t bytes = fread(start, 1, sizeof start, stream);
    bool bad = ferror(stream);
    if (bad)
        unreadable(path, "read the file", err);
    fclose(stream);
    if (bad)
        return err->status;
    *content = bytes == 0                                    ? CONTENT_EMPTY
               : bytes >= 4 && memcmp(start, "GGUF", 4) == 0 ? CONTENT_GGUF
               : bytes == 9 && start[8] == '{'               ? CONTENT_SAFETENSORS
               : bytes >= 2 && (memcmp(start, "PK", 2) == 0 || memcmp(start, "\x80\x02", 2) == 0)
                   ? CONTENT_PICKLE
                   : CONTENT_OTHER;
    return STATUS_OK;
}

static enum status open_file(struct model *model, const char *path, struct error *err)
{
    enum content content = CONTENT_OTHER;
    if (path_is_special(path)) {
        error_set(err, STATUS_FORMAT, "not a regular file");
        error_where(err, "%s", path);
        return error_remedy(err, "Give the path of a model file, or of a folder that holds one.");
    }
    if (sniff(path, &content, err))
        return err->status;
    if (content == CONTENT_GGUF)
        return open_gguf(model, path, err);
    if (content == CONTENT_SAFETENSORS) {
        size_t folder_bytes = (size_t)(path_base(path) - path);
        if (folder_bytes > 1)
            folder_bytes--; /* the slash */
        const char *folder = folder_bytes ? arena_strndup(&model->arena, path, folder_bytes) : ".";
        return folder ? open_safetensors(model, folder, path_base(path), err)
                      : error_no_memory(err, folder_bytes);
    }
    if (content == CONTENT_PICKLE) {
        error_set(err, STATUS_UNSUPPORTED, "the file is PyTorch's own format, which is not read");
        error_where(err, "%s", path);
        return error_remedy(err, "Fetch the model as safetensors or GGUF.");
    }
    error_set(err, STATUS_FORMAT,
              content == CONTENT_EMPTY ? "the file is empty"
                                       : "the file is neither GGUF nor safetensors");
    error_where(err, "%s", path);
    return error_remedy(err, "Fetch the model again, or give the path of a model file.");
}

enum status model_open(struct model *model, const char *path, struct error *err)
{
    char found[PATH_MAX];
    *model = (struct model){0};
    if (model_locate(path, found, sizeof found, err))
        return err->status;
    const char *place = arena_strdup(&model->arena, found);
    model->path = arena_strdup(&model->arena, path);
    model->files = arena_alloc(&model->arena, sizeof *model->files);
    if (!place || !model->path || !model->files) {
        model_close(model);
        return error_no_memory(err, sizeof found);
    }
    enum status status = synthetic_is_name(place) ? model_build_synthetic(model, place, err)
                         : path_is_folder(place)  ? open_safetensors(model, place, NULL, err)
                                                  : open_file(model, place, err);
    if (status) {
        model_close(model);
        return status;
    }
    model->weights = model->files->count ? model->files->paths[0] : place;
    return STATUS_OK;
}

void model_close(struct model *model)
{
    if (model->files) {
        for (uint64_t i = 0; model->files->gguf && i < model->files->count; i++)
            gguf_close(&model->files->gguf[i]);
        for (uint64_t i = 0; model->files->parts && i < model->files->count; i++)
            safetensors_close(&model->files->parts[i]);
    }
    arena_free(&model->arena);
    *model = (struct model){0};
}

const char *const *model_paths(const struct model *model, size_t *count)
{
    *count = model->files->count;
    return model->files->paths;
}

const char *model_tensor_path(const struct model *model, const struct tensor *tensor)
{
    return model->files->count ? model->files->paths[tensor->part] : model->weights;
}
