#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum status file_map_open(struct file_map *map, const char *path, struct error *err)
{
    enum status status = STATUS_OK;
    struct stat st;
    *map = (struct file_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would wait for a writer */
    if (fd < 0) {
        error_errno(err, "open the file");
        return error_where(err, "%s", path);
    }
    if (fstat(fd, &st) != 0) {
        status = error_errno(err, "examine the file");
    } else if (!S_ISREG(st.st_mode)) {
        status = error_set(err, STATUS_FORMAT, "not a regular file");
    } else if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            status = error_errno(err, "map the file into memory");
        else
            *map = (struct file_map){data, (size_t)st.st_size};
    }
    close(fd);
    return status ? error_where(err, "%s", path) : STATUS_OK;
}

void file_map_close(struct file_map *map)
{
    if (map->data)
        munmap((void *)map->data, map->bytes);
    *map = (struct file_map){0};
}

enum status file_read(const char *path, size_t limit, char **text, size_t *bytes, struct error *err)
{
    if (!path_is_special(path))
        return file_read_any(path, limit, text, bytes, err);
    *text = NULL;
    error_set(err, STATUS_FORMAT, "not a regular file");
    return error_where(err, "%s", path);
}

enum status file_read_any(const char *path, size_t limit, char **text, size_t *bytes,
                          struct error *err)
{
    *text = NULL;
    *bytes = 0;
    FILE *stream = fopen(path, "rbe");
    if (!stream) {
        error_errno(err, "open the file");
        return error_where(err, "%s", path);
    }
    enum status status = STATUS_OK;
    size_t capacity = 0, used = 0;
    char *buffer = NULL;
    for (;;) {
        if (used + 1 >= capacity) {
            capacity = capacity ? capacity * 2 : 16 * 1024;
            char *grown = realloc(buffer, capacity);
            if (!grown) {
                status = error_no_memory(err, capacity);
                break;
            }
            buffer = grown;
        }
        size_t got = fread(buffer + used, 1, capacity - used - 1, stream);
        used += got;
        if (used > limit) {
            status = error_set(err, STATUS_FORMAT, "the file is larger than %zu bytes", limit);
            break;
        }
        if (got == 0) {
            if (ferror(stream))
                status = error_errno(err, "read the file");
            break;
        }
    }
    fclose(stream);
    if (status || !buffer) {
        free(buffer);
        return error_where(err, "%s", path);
    }
    buffer[used] = '\0';
    *text = buffer;
    *bytes = used;
    return STATUS_OK;
}

enum status file_writer_open(struct file_writer *writer, const char *path, struct error *err)
{
    *writer = (struct file_writer){0};
    size_t size = strlen(path) + 32;
    writer->path = strdup(path);
    writer->temporary = malloc(size);
    if (!writer->path || !writer->temporary) {
        file_writer_abort(writer);
        return error_no_memory(err, size);
    }
    snprintf(writer->temporary, size, "%s.tmp.%ld", path, (long)getpid());
    writer->stream = fopen(writer->temporary, "wbe");
    if (!writer->stream) {
        error_errno(err, "create the file");
        error_where(err, "%s", path);
        free(writer->temporary);
        writer->temporary = NULL;
        file_writer_abort(writer);
        return err->status;
    }
    return STATUS_OK;
}

static void folder_sync(const char *path)
{
    char *copy = strdup(path);
    char *slash = copy ? strrchr(copy, '/') : NULL;
    if (slash)
        slash[slash == copy] = '\0';
    int fd = open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(copy);
}

enum status file_writer_commit(struct file_writer *writer, struct error *err)
{
    bool bad =
        fflush(writer->stream) != 0 || ferror(writer->stream) || fsync(fileno(writer->stream)) != 0;
    int code = errno;
    if (fclose(writer->stream) != 0 && !bad) {
        bad = true;
        code = errno;
    }
    writer->stream = NULL;
    if (!bad && rename(writer->temporary, writer->path) != 0) {
        bad = true;
        code = errno;
    }
    if (bad) {
        errno = code;
        error_errno(err, "write the file");
        error_where(err, "%s", writer->path);
        file_writer_abort(writer);
        return err->status;
    }
    folder_sync(writer->path);
    free(writer->temporary);
    writer->temporary = NULL;
    file_writer_abort(writer);
    return STATUS_OK;
}

void file_writer_abort(struct file_writer *writer)
{
    if (writer->stream)
        fclose(writer->stream);
    if (writer->temporary)
        unlink(writer->temporary);
    free(writer->temporary);
    free(writer->path);
    *writer = (struct file_writer){0};
}

enum status folder_make(const char *path, struct error *err)
{
    char *copy = strdup(path);
    if (!copy)
        return error_no_memory(err, strlen(path) + 1);
    enum status status = STATUS_OK;
    for (char *p = copy + 1; status == STATUS_OK; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char kept = *p;
        *p = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            status = error_errno(err, "make the folder");
        else if (kept == '\0' && !path_is_folder(copy))
            status = error_set(err, STATUS_IO, "a file stands where a folder is needed");
        *p = kept;
        if (kept == '\0')
            break;
    }
    free(copy);
    return status ? error_where(err, "%s", path) : STATUS_OK;
}

enum status disk_free_bytes(const char *path, uint64_t *bytes, struct error *err)
{
    struct statvfs fs;
    char *copy = strdup(path);
    if (!copy)
        return error_no_memory(err, strlen(path) + 1);
    int bad = statvfs(copy, &fs);
    while (bad && errno == ENOENT) {
        char *slash = strrchr(copy, '/');
        if (slash)
            slash[slash == copy] = '\0';
        bad = statvfs(slash ? copy : ".", &fs);
        if (!slash || slash == copy)
            break;
    }
    free(copy);
    if (bad) {
        error_errno(err, "examine the file system");
        return error_where(err, "%s", path);
    }
    *bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    return STATUS_OK;
}

enum status cache_path(char *path, size_t size, const char *subfolder, struct error *err)
{
    const char *own = getenv("PRONY_CACHE"), *xdg = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    const char *sub = subfolder ? subfolder : "", *slash = subfolder ? "/" : "";
    int length;
    if (own && *own)
        length = snprintf(path, size, "%s%s%s", own, slash, sub);
    else if (xdg && *xdg)
        length = snprintf(path, size, "%s/prony%s%s", xdg, slash, sub);
    else if (home && *home)
        length = snprintf(path, size, "%s/.cache/prony%s%s", home, slash, sub);
    else {
        error_set(err, STATUS_IO, "no cache folder: neither PRONY_CACHE nor HOME is set");
        return error_remedy(err, "Set PRONY_CACHE to a folder that may be written.");
    }
    if (length < 0 || (size_t)length >= size)
        return error_set(err, STATUS_IO, "the path of the cache folder is too long");
    return STATUS_OK;
}

enum status cache_folder(char *path, size_t size, const char *subfolder, struct error *err)
{
    enum status status = cache_path(path, size, subfolder, err);
    return status ? status : folder_make(path, err);
}

bool path_resolve(const char *path, char resolved[PATH_MAX])
{
    char folder[PATH_MAX];
    const char *base = path_base(path);
    if (!path_is_file(path))
        return realpath(path, resolved) != NULL;
    snprintf(folder, sizeof folder, "%.*s.", (int)(base - path), path);
    if (!realpath(folder, resolved))
        return false;
    size_t used = strlen(resolved);
    const char *slash = resolved[used - 1] == '/' ? "" : "/";
    int added = snprintf(resolved + used, PATH_MAX - used, "%s%s", slash, base);
    if (added >= 0 && (size_t)added < PATH_MAX - used)
        return true;
    errno = ENAMETOOLONG;
    return false;
}

bool path_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool path_is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool path_is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
