#include "hub/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20 };

struct part {
    struct http_sink sink; /* first: the callbacks cast back */
    const struct fetch_count *count;
    int fd;
    char path[PATH_MAX];
};

static bool part_path(const struct hub_file *file, const char *path, char part[PATH_MAX])
{
    int length = snprintf(part, PATH_MAX, "%s.part.%.16s", path, file->hash);
    return length > 0 && length < PATH_MAX;
}

uint64_t fetch_held_bytes(const struct hub_file *file, const char *path)
{
    char part[PATH_MAX];
    struct stat st;
    return part_path(file, path, part) && stat(part, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static enum status part_restart(struct http_sink *sink, struct error *err)
{
    struct part *part = (struct part *)sink;
    if (ftruncate(part->fd, 0) != 0 || lseek(part->fd, 0, SEEK_SET) != 0) {
        error_errno(err, "write the file");
        return error_where(err, "%s", part->path);
    }
    part->count->add(part->count->context, -(int64_t)sink->have_bytes);
    sink->have_bytes = 0;
    return STATUS_OK;
}

static enum status part_write(struct http_sink *sink, const void *data, size_t bytes,
                              struct error *err)
{
    struct part *part = (struct part *)sink;
    const char *at = data;
    while (bytes > 0) {
        ssize_t wrote = write(part->fd, at, bytes);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0) {
            error_errno(err, "write the file");
            return error_where(err, "%s", part->path);
        }
        at += wrote;
        bytes -= (size_t)wrote;
        sink->have_bytes += (uint64_t)wrote;
        part->count->add(part->count->context, wrote);
    }
    return STATUS_OK;
}

static enum status part_open(struct part *part, const struct hub_file *file, const char *path,
                             struct error *err)
{
    if (!part_path(file, path, part->path))
        return error_set(err, STATUS_IO, "the path of the model is too long");
    part->fd = open(part->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    off_t end = part->fd < 0 ? -1 : lseek(part->fd, 0, SEEK_END);
    if (end < 0) {
        error_errno(err, "create the file");
        return error_where(err, "%s", part->path);
    }
    part->sink.have_bytes = (uint64_t)end;
    return part->sink.have_bytes > file->bytes ? part_restart(&part->sink, err) : STATUS_OK;
}

/* What the hub calls the file: the SHA-256 of its bytes, or git's SHA-1 of "blob SIZE\0" and
 * them. Read back from the disk, so that it is what was kept that is checked. */
static enum status hash_file(int fd, const struct hub_file *file, const struct http_client *client,
                             char hex[65], struct error *err)
{
    char header[40];
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    off_t at = 0;
    enum status status = STATUS_OK;
    unsigned char *buffer = malloc(READ_BYTES);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool good = buffer && digest &&
                EVP_DigestInit_ex(digest, file->sha256 ? EVP_sha256() : EVP_sha1(), NULL) == 1;
    int header_bytes = snprintf(header, sizeof header, "blob %" PRIu64, file->bytes) + 1;
    if (good && !file->sha256)
        good = EVP_DigestUpdate(digest, header, (size_t)header_bytes) == 1;
    for (ssize_t got = 1; good && !status && got > 0; at += got) {
        got = pread(fd, buffer, READ_BYTES, at);
        if (got < 0)
            status = error_errno(err, "read the file");
        else if (client->go_on && !client->go_on(client->context))
            status = error_set(err, STATUS_INTERRUPTED, "interrupted");
        else
            good = EVP_DigestUpdate(digest, buffer, (size_t)got) == 1;
        if (got < 0)
            break;
    }
    if (!status && !(good && EVP_DigestFinal_ex(digest, hash, &length) == 1))
        status = error_set(err, STATUS_IO, "libcrypto cannot compute a hash");
    for (unsigned i = 0; !status && i < length && i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    EVP_MD_CTX_free(digest);
    free(buffer);
    return status;
}

enum status fetch_check(const struct hub_file *file, const char *path,
                        const struct http_client *client, bool *same, struct error *err)
{
    char hex[65] = "";
    struct stat st;
    *same = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return STATUS_OK;
    enum status status = STATUS_OK;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == file->bytes) {
        status = hash_file(fd, file, client, hex, err);
        *same = !status && strcmp(hex, file->hash) == 0;
    }
    close(fd);
    return status;
}

static enum status hash_differs(const struct hub_file *file, struct error *err)
{
    error_set(err, STATUS_FORMAT,
              "what arrived of '%.200s' is not what the hub lists: its hash "
              "differs",
              file->path);
    return error_remedy(err, "It was thrown away. Try again; if it stays so, the hub or a proxy in "
                             "between hands out other bytes.");
}

/* Fetches what is missing and checks it all; a resumed part that is bad gets a second chance. */
static enum status part_fill(struct part *part, struct http_client *client,
                             const struct hub_file *file, const char *url, struct error *err)
{
    char hex[65] = "";
    bool resumed = part->sink.have_bytes > 0;
    for (;;) {
        if (part->sink.have_bytes < file->bytes && http_get(client, url, &part->sink, NULL, err))
            return err->status;
        if (hash_file(part->fd, file, client, hex, err))
            return err->status;
        if (strcmp(hex, file->hash) == 0)
            return STATUS_OK;
        if (!resumed)
            return hash_differs(file, err);
        resumed = false;
        if (part_restart(&part->sink, err))
            return err->status;
    }
}

enum status fetch_file(struct http_client *client, const struct hub_file *file, const char *url,
                       const char *path, const struct fetch_count *count, struct error *err)
{
    struct part part = {
        .count = count,
        .sink = {.total_bytes = file->bytes, .restart = part_restart, .write = part_write}};
    enum status status = part_open(&part, file, path, err);
    if (!status)
        status = part_fill(&part, client, file, url, err);
    if (!status && (fsync(part.fd) != 0 || rename(part.path, path) != 0)) {
        error_errno(err, "write the file");
        status = error_where(err, "%s", path);
    }
    if (part.fd >= 0)
        close(part.fd);
    if (status == STATUS_FORMAT)
        unlink(part.path);
    return status;
}
