#include "model/gguf/gguf_split.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

/* "-00001-of-00003.gguf", at the end of a name. */
enum { DIGITS = 5, NUMBER_AT = 1, OF_AT = 6, COUNT_AT = 10, ENDING_AT = 15 };

static bool digits_read(const char *text, uint32_t *number)
{
    *number = 0;
    for (int i = 0; i < DIGITS; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *number = *number * 10 + (uint32_t)(text[i] - '0');
    }
    return true;
}

bool gguf_part_name(const char *path, uint32_t *number, uint32_t *count)
{
    const char *name = path_base(path);
    size_t bytes = strlen(name);
    if (bytes <= GGUF_PART_TAIL)
        return false;
    const char *tail = name + bytes - GGUF_PART_TAIL;
    return tail[0] == '-' && digits_read(tail + NUMBER_AT, number) &&
           strncmp(tail + OF_AT, "-of-", COUNT_AT - OF_AT) == 0 &&
           digits_read(tail + COUNT_AT, count) && strcmp(tail + ENDING_AT, ".gguf") == 0 &&
           *number >= 1 && *number <= *count;
}

void gguf_part_path(char *path, uint32_t number)
{
    char digits[DIGITS + 6];
    snprintf(digits, sizeof digits, "%05" PRIu32, number);
    memcpy(path + strlen(path) - GGUF_PART_TAIL + NUMBER_AT, digits, DIGITS);
}

bool gguf_part_first(char *path)
{
    uint32_t number, count;
    bool part = gguf_part_name(path, &number, &count);
    if (part)
        gguf_part_path(path, 1);
    return part;
}

enum status gguf_part_missing(const char *path, struct error *err)
{
    uint32_t number = 0, count = 0;
    gguf_part_name(path, &number, &count);
    error_set(err, STATUS_NOT_FOUND, "part %" PRIu32 " of the model's %" PRIu32 " is missing",
              number, count);
    error_where(err, "%s", path);
    return error_remedy(err, "Fetch all of its parts into one folder; a file that is no part needs "
                             "another name.");
}

/* What a file says of itself. */
struct split {
    int64_t no, count, tensors; /* no is 0 for the first; count is at most 1 for a whole model */
};

static enum status split_read(const struct gguf *gguf, struct split *split, struct error *err)
{
    *split = (struct split){0};
    enum status status =
        gguf_get_int_or(gguf, "split.count", 0, GGUF_MAX_PARTS, 0, &split->count, err);
    if (!status && split->count > 1)
        status = gguf_get_int(gguf, "split.no", 0, split->count - 1, &split->no, err);
    if (!status && split->count > 1)
        status = gguf_get_int(gguf, "split.tensors.count", 1, INT32_MAX, &split->tensors, err);
    return status ? error_remedy(err, "Fetch the model's parts again, or split it again.")
                  : STATUS_OK;
}

static enum status misnamed(const struct gguf *gguf, struct error *err)
{
    error_where(err, "%s", gguf->path);
    return error_remedy(err, "Give the parts the names that they were made with: "
                             "NAME-00001-of-00003.gguf for the first of three, and so on.");
}

/* The other parts are found by their names. */
static enum status name_check(const struct gguf *gguf, const struct split *split, struct error *err)
{
    uint32_t number, count;
    bool named = gguf_part_name(gguf->path, &number, &count);
    int64_t parts = split->count > 1 ? split->count : 1;
    if (named ? number == split->no + 1 && count == parts : parts == 1)
        return STATUS_OK;
    if (named)
        error_set(err, STATUS_FORMAT,
                  "by its name the file is part %" PRIu32 " of %" PRIu32
                  ", by its metadata part %" PRId64 " of %" PRId64,
                  number, count, split->no + 1, parts);
    else
        error_set(err, STATUS_FORMAT,
                  "the file is part %" PRId64 " of %" PRId64 " of a model, and its name is not "
                  "that of a part",
                  split->no + 1, parts);
    return misnamed(gguf, err);
}

static enum status other_model(const struct gguf *gguf, struct error *err)
{
    error_where(err, "%s", gguf->path);
    return error_remedy(err, "Fetch all parts of one model into the folder.");
}

/* One part against the first. */
static enum status part_check(const struct gguf *gguf, const struct split *first, uint32_t index,
                              struct error *err)
{
    struct split split;
    if (split_read(gguf, &split, err))
        return err->status;
    if (split.count != first->count || split.no != index) {
        error_set(err, STATUS_FORMAT,
                  "this is part %" PRId64 " of %" PRId64 ", where part %" PRIu32 " of %" PRId64
                  " is wanted",
                  split.no + 1, split.count > 1 ? split.count : 1, index + 1, first->count);
        return other_model(gguf, err);
    }
    if (split.tensors == first->tensors)
        return STATUS_OK;
    error_set(err, STATUS_FORMAT,
              "this is a part of a model of %" PRId64 " tensors, and the first part is of one of "
              "%" PRId64,
              split.tensors, first->tensors);
    return other_model(gguf, err);
}

enum status gguf_split_check(const struct gguf *parts, uint32_t count, struct error *err)
{
    struct split first;
    uint64_t tensors = 0;
    if (split_read(&parts[0], &first, err))
        return err->status;
    for (uint32_t i = 0; i < count; i++) {
        if (part_check(&parts[i], &first, i, err))
            return err->status;
        tensors += parts[i].tensor_count;
    }
    if (count == 1 || tensors == (uint64_t)first.tensors)
        return STATUS_OK;
    error_set(err, STATUS_FORMAT,
              "the model is of %" PRId64 " tensors, and its parts hold %" PRIu64, first.tensors,
              tensors);
    return other_model(&parts[0], err);
}

static enum status part_open(struct gguf *part, uint32_t number, struct arena *arena,
                             const char *first, struct error *err)
{
    char *path = arena_strdup(arena, first);
    if (!path)
        return error_no_memory(err, strlen(first));
    gguf_part_path(path, number);
    if (access(path, F_OK) != 0)
        return gguf_part_missing(path, err);
    return gguf_open(part, path, err);
}

enum status gguf_split_open(struct gguf **parts, uint32_t *count, struct arena *arena,
                            const char *path, struct error *err)
{
    struct gguf first;
    struct split split;
    *parts = NULL;
    if (gguf_open(&first, path, err))
        return err->status;
    enum status status = split_read(&first, &split, err);
    if (!status)
        status = name_check(&first, &split, err);
    *count = split.count > 1 ? (uint32_t)split.count : 1;
    struct gguf *all = status ? NULL : arena_array(arena, *count, sizeof *all);
    if (!all) {
        gguf_close(&first);
        return status ? status : error_no_memory(err, *count * sizeof *all);
    }
    all[0] = first;
    for (uint32_t i = 1; i < *count && !status; i++)
        status = part_open(&all[i], i + 1, arena, path, err);
    if (!status)
        status = gguf_split_check(all, *count, err);
    for (uint32_t i = 0; i < *count && status; i++)
        gguf_close(&all[i]);
    *parts = status ? NULL : all;
    return status;
}

const struct tensor *gguf_split_tensor(const struct gguf *parts, uint32_t count, const char *name)
{
    const struct tensor *tensor = NULL;
    for (uint32_t i = 0; i < count && !tensor; i++)
        tensor = gguf_find_tensor(&parts[i], name);
    return tensor;
}
