#include "hub/inventory.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"

enum { LIMIT_BYTES = 16 << 20 };

static bool inventory_path(const char *folder, char path[PATH_MAX])
{
    int length = snprintf(path, PATH_MAX, "%s/" INVENTORY_NAME, folder);
    return length > 0 && length < PATH_MAX;
}

static json_t *inventory_json(const struct hub_listing *listing)
{
    json_t *files = json_array();
    for (size_t i = 0; i < listing->count; i++)
        json_array_append_new(files, json_pack("{s:s, s:I}", "path", listing->files[i].path,
                                               "bytes", (json_int_t)listing->files[i].bytes));
    return json_pack("{s:o}", "files", files);
}

enum status inventory_write(const char *folder, const struct hub_listing *listing,
                            struct error *err)
{
    char path[PATH_MAX];
    struct file_writer writer = {0};
    json_t *inventory = inventory_json(listing);
    enum status status = STATUS_OK;
    if (!inventory)
        return error_no_memory(err, listing->count * sizeof *listing->files);
    if (!inventory_path(folder, path))
        status = error_set(err, STATUS_IO, "the path of the model is too long");
    if (!status)
        status = file_writer_open(&writer, path, err);
    if (!status) {
        json_dumpf(inventory, writer.stream, JSON_COMPACT);
        status = file_writer_commit(&writer, err);
    }
    file_writer_abort(&writer);
    json_decref(inventory);
    return status;
}

void inventory_remove(const char *folder)
{
    char path[PATH_MAX];
    if (inventory_path(folder, path))
        unlink(path);
}

/* Whether the file of an entry is there; path becomes its path. */
static bool entry_is_here(const char *folder, const json_t *entry, char path[PATH_MAX])
{
    const char *name;
    int64_t bytes;
    struct stat st;
    struct error ignored;
    if (json_get_string(entry, "path", &name, &ignored) ||
        json_get_int(entry, "bytes", 0, INT64_MAX, &bytes, &ignored) || !hub_path_is_safe(name))
        return false;
    int length = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return length > 0 && length < PATH_MAX && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           st.st_size == bytes;
}

bool inventory_find(const char *folder, char path[PATH_MAX])
{
    char file[PATH_MAX], gguf[PATH_MAX] = "";
    struct error ignored;
    if (!inventory_path(folder, file) || !path_is_file(file))
        return false;
    json_t *inventory = json_read(file, LIMIT_BYTES, &ignored);
    const json_t *files = json_object_get(inventory, "files");
    size_t count = json_array_size(files);
    bool whole = count > 0;
    for (size_t i = 0; whole && i < count; i++) {
        whole = entry_is_here(folder, json_array_get(files, i), path);
        if (whole && hub_path_is_gguf(path) && !hub_path_is_later_part(path))
            snprintf(gguf, sizeof gguf, "%s", path);
    }
    json_decref(inventory);
    if (whole)
        snprintf(path, PATH_MAX, "%s", *gguf ? gguf : folder);
    return whole;
}
