#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "model/gguf/gguf_split.h"
#include "model/model.h"
#include "model/synthetic.h"

enum { MAX_GGUFS = 256, MAX_LISTED = 4 };

/* What a folder holds. */
struct contents {
    struct arena arena;
    const char *gguf[MAX_GGUFS]; /* of a model in parts the first, whether it is there or not */
    size_t gguf_count;
    bool safetensors; /* model.safetensors or its index */
    bool parts;       /* model-00001-of-… without an index */
    bool pickles;     /* PyTorch's own format */
};

static bool ends_with(const char *name, const char *ending)
{
    size_t bytes = strlen(name), tail = strlen(ending);
    return bytes >= tail && strcmp(name + bytes - tail, ending) == 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum status note_gguf(struct contents *contents, const char *folder, const char *name,
                             struct error *err)
{
    const char *path = arena_printf(&contents->arena, "%s/%s", folder, name);
    char *copy = arena_strdup(&contents->arena, name);
    if (!path || !copy)
        return error_no_memory(err, strlen(name));
    if (path_is_folder(path))
        return STATUS_OK;
    gguf_part_first(copy);
    for (size_t i = 0; i < contents->gguf_count; i++)
        if (strcmp(contents->gguf[i], copy) == 0)
            return STATUS_OK;
    if (contents->gguf_count < MAX_GGUFS)
        contents->gguf[contents->gguf_count++] = copy;
    return STATUS_OK;
}

static enum status note(struct contents *contents, const char *folder, const char *name,
                        struct error *err)
{
    if (name[0] == '.') /* what other systems and editors leave beside a file */
        return STATUS_OK;
    if (strcmp(name, "model.safetensors") == 0 || strcmp(name, "model.safetensors.index.json") == 0)
        contents->safetensors = true;
    else if (ends_with(name, ".safetensors"))
        contents->parts = true;
    else if (ends_with(name, ".pth") ||
             (strncmp(name, "pytorch_model", 13) == 0 && ends_with(name, ".bin")))
        contents->pickles = true;
    return ends_with(name, ".gguf") ? note_gguf(contents, folder, name, err) : STATUS_OK;
}

static enum status list(const char *path, struct contents *contents, struct error *err)
{
    enum status status = STATUS_OK;
    DIR *folder = opendir(path);
    if (!folder) {
        error_errno(err, "open the folder");
        return error_where(err, "%s", path);
    }
    for (struct dirent *entry; !status && (entry = readdir(folder));)
        status = note(contents, path, entry->d_name, err);
    closedir(folder);
    qsort(contents->gguf, contents->gguf_count, sizeof *contents->gguf, compare_names);
    return status;
}

static enum status ask_which(const char *path, const struct contents *contents, struct error *err)
{
    char names[300] = "";
    size_t used = 0, listed = contents->gguf_count < MAX_LISTED ? contents->gguf_count : MAX_LISTED;
    for (size_t i = 0; i < listed && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%.64s", i ? ", " : "",
                                 contents->gguf[i]);
    if (listed < contents->gguf_count && used < sizeof names)
        snprintf(names + used, sizeof names - used, ", ...");
    error_set(err, STATUS_USAGE, "which model? The folder holds %s%s", names,
              contents->safetensors ? " and model.safetensors" : "");
    error_where(err, "%s", path);
    return error_remedy(err, "Give the path of one, such as %.100s%s%.200s", path,
                        ends_with(path, "/") ? "" : "/", contents->gguf[0]);
}

static enum status nothing_there(const char *path, const struct contents *contents,
                                 struct error *err)
{
    if (contents->parts) {
        error_set(err, STATUS_NOT_FOUND,
                  "the folder holds safetensors files but no model.safetensors.index.json");
        error_where(err, "%s", path);
        return error_remedy(err, "Fetch the index as well, or give the path of one file.");
    }
    if (contents->pickles) {
        error_set(err, STATUS_UNSUPPORTED, "the folder holds PyTorch's own files only");
        error_where(err, "%s", path);
        return error_remedy(err, "Fetch the model as safetensors or GGUF.");
    }
    error_set(err, STATUS_NOT_FOUND,
              "no model in the folder: neither a .gguf file nor "
              "model.safetensors or model.safetensors.index.json");
    error_where(err, "%s", path);
    return error_remedy(err, "Give the path of a model file, or of the folder that holds one.");
}

static enum status answer(char *found, size_t size, const char *path, const char *name,
                          struct error *err)
{
    const char *slash = *name && !ends_with(path, "/") ? "/" : "";
    int length = snprintf(found, size, "%s%s%s", path, slash, name);
    if (length >= 0 && (size_t)length < size)
        return STATUS_OK;
    error_set(err, STATUS_USAGE, "the path is longer than %zu bytes", size - 1);
    return error_where(err, "%.100s...", path);
}

/* A folder that is the answer itself, without slashes at the end. */
static enum status answer_folder(char *found, size_t size, const char *path, struct error *err)
{
    if (answer(found, size, path, "", err))
        return err->status;
    for (size_t end = strlen(found); end > 1 && found[end - 1] == '/'; end--)
        found[end - 1] = '\0';
    return STATUS_OK;
}

/* A file; a part of a model stands for its first part. */
static enum status answer_file(char *found, size_t size, const char *path, const char *name,
                               struct error *err)
{
    if (answer(found, size, path, name, err))
        return err->status;
    if (!gguf_part_first(found))
        return STATUS_OK;
    return access(found, F_OK) == 0 ? STATUS_OK : gguf_part_missing(found, err);
}

static enum status locate_in_folder(const char *path, char *found, size_t size, struct error *err)
{
    struct contents contents = {0};
    enum status status = list(path, &contents, err);
    if (status == STATUS_OK) {
        if (contents.gguf_count + contents.safetensors > 1)
            status = ask_which(path, &contents, err);
        else if (contents.gguf_count == 1)
            status = answer_file(found, size, path, contents.gguf[0], err);
        else if (contents.safetensors)
            status = answer_folder(found, size, path, err);
        else
            status = nothing_there(path, &contents, err);
    }
    arena_free(&contents.arena);
    return status;
}

/* The folder of a file that describes a model but holds no weights. */
static enum status locate_beside(const char *path, char *found, size_t size, struct error *err)
{
    size_t bytes = (size_t)(path_base(path) - path);
    if (answer(found, size, bytes ? path : "./", "", err))
        return err->status;
    if (bytes)
        found[bytes > 1 ? bytes - 1 : 1] = '\0';
    return STATUS_OK;
}

enum status model_locate(const char *path, char *found, size_t size, struct error *err)
{
    if (synthetic_is_name(path))
        return answer(found, size, path, "", err);
    if (path_is_folder(path))
        return locate_in_folder(path, found, size, err);
    if (access(path, F_OK) != 0) {
        error_errno(err, "find the model");
        error_where(err, "%s", path);
        return error_remedy(err, "Give the path of a GGUF or safetensors file, or of a folder "
                                 "that holds a model.");
    }
    if (strcmp(path_base(path), "config.json") == 0 || ends_with(path, ".safetensors.index.json"))
        return locate_beside(path, found, size, err);
    return answer_file(found, size, path, "", err);
}
