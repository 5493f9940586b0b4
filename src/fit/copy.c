#include "fit/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/work_line.h"
#include "engine/supports.h"
#include "model/convert.h"

enum { WAIT_MS = 100 };

enum copy_need copy_need(const struct engine_variant *variant, const struct model *model)
{
    if (supports_word(variant->formats, model_format_of(model)))
        return COPY_NOT_NEEDED;
    return model->format == MODEL_GGUF && supports_word(variant->formats, "safetensors")
               ? COPY_NEEDED
               : COPY_NO_HELP;
}

const char *copy_obstacle(const struct model *model, struct arena *arena)
{
    const char *format = model_format_of(model);
    bool parts = strcmp(format, "gguf-parts") == 0;
    return arena_printf(arena, "it does not read %s; %s: prony model convert %s --output FILE.gguf",
                        parts ? "GGUF in parts" : format, parts ? "join them" : "convert the model",
                        model->path);
}

enum status copy_refuse(const struct engine_variant *variant, const struct model *model,
                        struct error *err)
{
    struct arena arena = {0};
    const char *obstacle = copy_obstacle(model, &arena);
    error_set(err, STATUS_UNSUPPORTED, "%s: %s", variant->name, obstacle ? obstacle : "no memory");
    arena_free(&arena);
    return err->status;
}

enum status copy_path(const char hash[65], char path[PATH_MAX], struct error *err)
{
    char name[96];
    snprintf(name, sizeof name, "converted/%s", hash);
    return cache_path(path, PATH_MAX, name, err);
}

/* It gets its name when it is whole. */
bool copy_is_made(const char *path)
{
    return path_is_folder(path);
}

/* A conversion that is going on. */
struct copying {
    struct work_line line;
    int cancel_fd;
};

static bool cancelled(int cancel_fd, int wait_ms)
{
    struct pollfd wait = {.fd = cancel_fd, .events = POLLIN};
    return poll(&wait, 1, wait_ms) > 0;
}

static bool report(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct copying *copying = context;
    work_line_show(&copying->line, done_bytes, total_bytes);
    return !cancelled(copying->cancel_fd, 0);
}

static enum status convert(const struct model *model, const char *path, int cancel_fd,
                           struct error *err)
{
    char part[PATH_MAX + 8];
    struct error note, ignored;
    struct copying copying = {.cancel_fd = cancel_fd};
    snprintf(part, sizeof part, "%s.part", path);
    const struct model_output output = {.path = part,
                                        .format = MODEL_SAFETENSORS,
                                        .precision = convert_precision(model),
                                        .progress = {report, &copying}};
    fprintf(stderr, "Converting to safetensors, once: %s\n", path);
    work_line_start(&copying.line, "Converting");
    enum status status = folder_remove(part, err);
    if (!status)
        status = model_convert(model, &output, NULL, &note, err);
    work_line_clear(&copying.line);
    if (!status && rename(part, path) != 0)
        status = error_errno(err, "move the converted model to %.300s", path);
    if (status)
        folder_remove(part, &ignored);
    return status;
}

/* One process makes copies; the others wait for it. */
static enum status lock_take(int fd, int cancel_fd, const char *folder, struct error *err)
{
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_errno(err, "lock %.300s", folder);
        if (cancelled(cancel_fd, WAIT_MS))
            return error_set(err, STATUS_INTERRUPTED, "interrupted");
    }
    return STATUS_OK;
}

enum status copy_make(const struct model *model, const char *path, int cancel_fd, struct error *err)
{
    char folder[PATH_MAX];
    enum status status = cache_folder(folder, sizeof folder, "converted", err);
    if (status)
        return error_where(err, "%s", path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    status =
        fd < 0 ? error_errno(err, "open %.300s", folder) : lock_take(fd, cancel_fd, folder, err);
    if (!status && !copy_is_made(path))
        status = convert(model, path, cancel_fd, err);
    if (fd >= 0)
        close(fd);
    return status ? error_where(err, "%s", path) : STATUS_OK;
}

enum status copy_or_model(const struct engine_variant *variant, const struct model *model,
                          int cancel_fd, char path[PATH_MAX], struct error *err)
{
    char hash[65];
    enum copy_need need = copy_need(variant, model);
    if (need == COPY_NO_HELP)
        return copy_refuse(variant, model, err);
    if (need == COPY_NOT_NEEDED)
        return model_locate(model->path, path, PATH_MAX, err);
    enum status status = model_hash(model, hash, err);
    if (!status)
        status = copy_path(hash, path, err);
    return status || copy_is_made(path) ? status : copy_make(model, path, cancel_fd, err);
}

void copy_detail(char *detail, size_t size)
{
    static const char begin[] = COPY_DETAIL "; ";
    size_t used = sizeof begin - 1, own = strlen(detail), most = size - sizeof begin;
    if (own == 0) {
        snprintf(detail, size, COPY_DETAIL);
        return;
    }
    own = own < most ? own : most;
    memmove(detail + used, detail, own);
    memcpy(detail, begin, used);
    detail[used + own] = '\0';
}
