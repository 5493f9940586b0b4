#include "hub/listing.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "model/gguf/gguf_split.h"

enum { FILE_LIMIT = 100000 };
static const int64_t size_limit = (int64_t)1 << 46;

static enum status entry_read(const json_t *entry, struct hub_file *file, struct error *err)
{
    const char *path, *hash;
    int64_t bytes;
    const json_t *lfs = json_object_get(entry, "lfs");
    if (json_get_string(entry, "path", &path, err) ||
        json_get_int(entry, "size", 0, size_limit, &bytes, err))
        return err->status;
    if (!hub_path_is_safe(path)) {
        error_set(err, STATUS_FORMAT, "the hub lists a file outside the model's folder: '%.100s'",
                  path);
        return error_remedy(err, "Nothing was written. Is HF_ENDPOINT a hub that you trust?");
    }
    file->sha256 = json_is_object(lfs);
    if (json_get_string(file->sha256 ? lfs : entry, "oid", &hash, err))
        return err->status;
    size_t length = file->sha256 ? 64 : 40;
    if (strlen(hash) != length || strspn(hash, "0123456789abcdef") != length)
        return error_set(err, STATUS_FORMAT, "the hub lists '%.100s' with a hash that is none",
                         path);
    snprintf(file->path, sizeof file->path, "%s", path);
    snprintf(file->hash, sizeof file->hash, "%s", hash);
    file->bytes = (uint64_t)bytes;
    return STATUS_OK;
}

enum status hub_listing_add(struct hub_listing *listing, const char *text, size_t bytes,
                            struct error *err)
{
    enum status status = STATUS_OK;
    json_t *page = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    size_t more = json_is_array(page) ? json_array_size(page) : 0;
    if (!json_is_array(page) || listing->count + more > FILE_LIMIT) {
        json_decref(page);
        error_set(err, STATUS_FORMAT, "the hub's list of files is none");
        return error_remedy(err, "Is HF_ENDPOINT the address of a model hub?");
    }
    struct hub_file *grown =
        realloc(listing->files, (listing->count + more + 1) * sizeof *listing->files);
    if (!grown) {
        json_decref(page);
        return error_no_memory(err, more * sizeof *grown);
    }
    listing->files = grown;
    for (size_t i = 0; !status && i < more; i++) {
        const json_t *entry = json_array_get(page, i);
        const char *type;
        status = json_get_string(entry, "type", &type, err);
        if (!status && strcmp(type, "file") == 0) {
            status = entry_read(entry, &listing->files[listing->count], err);
            listing->count += status == STATUS_OK;
        }
    }
    json_decref(page);
    return status;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static bool is_top_level(const char *path)
{
    return !strchr(path, '/') && !hub_path_is_hidden(path);
}

static bool is_safetensors(const char *path)
{
    return is_top_level(path) && strncmp(path, "model", 5) == 0 && ends_with(path, ".safetensors");
}

static bool is_gguf(const char *path)
{
    return !hub_path_is_hidden(path) && hub_path_is_gguf(path);
}

/* A GGUF, of which only the first part counts. */
static bool is_model(const char *path)
{
    return is_gguf(path) && !hub_path_is_later_part(path);
}

/* Weights, configuration, tokenizer and chat template. */
static bool is_part(const char *path)
{
    return is_safetensors(path) ||
           (is_top_level(path) && (ends_with(path, ".json") || ends_with(path, ".jinja") ||
                                   strcmp(path, "tokenizer.model") == 0));
}

static void keep(struct hub_listing *listing, bool (*wanted)(const char *))
{
    size_t kept = 0;
    for (size_t i = 0; i < listing->count; i++)
        if (wanted(listing->files[i].path))
            listing->files[kept++] = listing->files[i];
    listing->count = kept;
}

/* Keeps the file, and where it is a part of a GGUF the others. */
static void keep_named(struct hub_listing *listing, const char *path)
{
    char wanted[HUB_PATH_BYTES], model[HUB_PATH_BYTES];
    size_t kept = 0;
    hub_path_of_model(path, wanted);
    for (size_t i = 0; i < listing->count; i++) {
        hub_path_of_model(listing->files[i].path, model);
        if (strcmp(model, wanted) == 0)
            listing->files[kept++] = listing->files[i];
    }
    listing->count = kept;
}

/* Whether all parts are there of what keep_named has kept. */
static enum status parts_check(const struct hub_listing *listing, const char *repo,
                               struct error *err)
{
    uint32_t number, count;
    const char *path = listing->files[0].path;
    if (!gguf_part_name(path, &number, &count) || count == listing->count)
        return STATUS_OK;
    error_set(err, STATUS_NOT_FOUND, "%s has %zu of the %u parts of a model: %.200s", repo,
              listing->count, count, path);
    return error_remedy(err, "Name another file, or another repository.");
}

/* Several GGUF files: which one is for a person to say. */
static enum status ask_which(const struct hub_listing *listing, const char *repo, struct error *err)
{
    char names[300] = "";
    size_t used = 0;
    for (size_t i = 0; i < listing->count; i++) {
        const char *path = listing->files[i].path;
        if (is_model(path) && used + strlen(path) + 3 < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%.200s",
                                     used ? ", " : "", path);
    }
    error_set(err, STATUS_USAGE, "%s has several GGUF files", repo);
    return error_remedy(err, "Name one, as %.60s:FILE, of: %s", repo, names);
}

enum status hub_listing_select(struct hub_listing *listing, const struct hub_name *name,
                               struct error *err)
{
    size_t safetensors = 0, ggufs = 0, all = listing->count;
    char model[HUB_PATH_BYTES] = "";
    for (size_t i = 0; i < listing->count; i++) {
        const char *path = listing->files[i].path;
        safetensors += is_safetensors(path);
        ggufs += is_model(path);
        if (is_model(path))
            snprintf(model, sizeof model, "%s", path);
    }
    if (name->file[0]) {
        keep_named(listing, name->file);
        if (listing->count)
            return parts_check(listing, name->repo, err);
        error_set(err, STATUS_NOT_FOUND, "%s has no file '%.200s' among its %zu", name->repo,
                  name->file, all);
        return error_remedy(err, "Capital letters count.");
    }
    if (!safetensors && ggufs > 1)
        return ask_which(listing, name->repo, err);
    if (!safetensors && !ggufs) {
        error_set(err, STATUS_NOT_FOUND, "%s has neither safetensors nor GGUF", name->repo);
        return error_remedy(err, "Name another repository, or a file of this one.");
    }
    if (safetensors) {
        keep(listing, is_part);
        return STATUS_OK;
    }
    keep_named(listing, model);
    return parts_check(listing, name->repo, err);
}

enum status hub_listing_copy(struct hub_listing *copy, const struct hub_listing *listing,
                             struct error *err)
{
    size_t bytes = listing->count * sizeof *listing->files;
    *copy = (struct hub_listing){.files = malloc(bytes + 1), .count = listing->count};
    if (!copy->files)
        return error_no_memory(err, bytes);
    if (bytes > 0)
        memcpy(copy->files, listing->files, bytes);
    return STATUS_OK;
}

void hub_listing_free(struct hub_listing *listing)
{
    free(listing->files);
    *listing = (struct hub_listing){0};
}
