#include "machine/pagecache.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"

enum { READ_BYTES = 1 << 20 };

enum status pagecache_share(const char *path, double *share, struct error *err)
{
    struct file_map map;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), here = 0;
    enum status status = file_map_open(&map, path, err);
    if (status)
        return status;
    size_t pages = (map.bytes + page - 1) / page;
    unsigned char *present = malloc(pages + 1);
    if (!present) {
        file_map_close(&map);
        return error_no_memory(err, pages);
    }
    if (pages && mincore((void *)(uintptr_t)map.data, map.bytes, present) != 0)
        status = error_errno(err, "ask which pages are in memory");
    for (size_t i = 0; !status && i < pages; i++)
        here += present[i] & 1;
    *share = pages ? (double)here / (double)pages : 1;
    free(present);
    file_map_close(&map);
    return status ? error_where(err, "%s", path) : STATUS_OK;
}

/* Pages that are mapped are not dropped: our own maps of the file let go of theirs, and fault them
 * in again when they are used. */
static void maps_release(const char *path)
{
    char line[8192];
    FILE *stream = fopen("/proc/self/maps", "re");
    while (stream && fgets(line, sizeof line, stream)) {
        unsigned long begin, end;
        char mode[8];
        line[strcspn(line, "\n")] = '\0';
        const char *name = strchr(line, '/');
        if (name && strcmp(name, path) == 0 &&
            sscanf(line, "%lx-%lx %7s", &begin, &end, mode) == 3 && mode[1] != 'w')
            madvise((void *)begin, end - begin, MADV_DONTNEED); // NOLINT(performance-no-int-to-ptr)
    }
    if (stream)
        fclose(stream);
}

enum status pagecache_drop(const char *path, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        error_errno(err, "open the model");
        return error_where(err, "%s", path);
    }
    maps_release(path);
    fdatasync(fd); /* dirty pages stay; that a file cannot be synced shows in its share */
    int code = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    if (code == 0)
        return STATUS_OK;
    error_set(err, STATUS_IO, "cannot drop the model from the page cache: %s", strerror(code));
    return error_where(err, "%s", path);
}

enum status pagecache_fill(const char *path, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *buffer = malloc(READ_BYTES);
    ssize_t got = fd >= 0 && buffer ? 1 : -1;
    while (got > 0)
        got = read(fd, buffer, READ_BYTES);
    enum status status = got < 0 ? error_errno(err, "read the model") : STATUS_OK;
    free(buffer);
    if (fd >= 0)
        close(fd);
    return status ? error_where(err, "%s", path) : STATUS_OK;
}
