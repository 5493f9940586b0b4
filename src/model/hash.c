#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "model/files.h"
#include "model/model.h"

enum { HASH_BYTES = 32, HEX_BYTES = 64, READ_BYTES = 1 << 20 };

static enum status library_failed(struct error *err)
{
    return error_set(err, STATUS_IO, "libcrypto cannot compute a SHA-256");
}

static void to_hex(const unsigned char hash[HASH_BYTES], char hex[HEX_BYTES + 1])
{
    for (int i = 0; i < HASH_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
}

/* Adds what identifies a file without reading it. The time of the inode's change is the one that
 * no ordinary program sets back. */
static enum status identify(EVP_MD_CTX *digest, const char *path, struct error *err)
{
    char real[PATH_MAX], text[PATH_MAX + 128];
    struct stat st;
    if (!realpath(path, real) || stat(real, &st) != 0) {
        error_errno(err, "examine the file");
        return error_where(err, "%s", path);
    }
    int length = snprintf(text, sizeof text, "%s\n%jd %jd.%09ld %jd.%09ld\n", real,
                          (intmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                          (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    return EVP_DigestUpdate(digest, text, (size_t)length) ? STATUS_OK : library_failed(err);
}

/* Adds a file's bytes: read, not taken from the map, so that nothing is left mapped. */
static enum status add_bytes(EVP_MD_CTX *digest, const char *path, struct error *err)
{
    enum status status = STATUS_OK;
    unsigned char *buffer = malloc(READ_BYTES);
    if (!buffer)
        return error_no_memory(err, READ_BYTES);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 1;
    while (!status && got > 0) {
        got = read(fd, buffer, READ_BYTES);
        if (got > 0 && !EVP_DigestUpdate(digest, buffer, (size_t)got))
            status = library_failed(err);
    }
    if (got < 0) {
        error_errno(err, "read the file");
        status = error_where(err, "%s", path);
    }
    if (fd >= 0)
        close(fd);
    free(buffer);
    return status;
}

/* The digest of all files, by one of the two functions above. */
static enum status digest_files(const struct model *model,
                                enum status (*add)(EVP_MD_CTX *, const char *, struct error *),
                                char hex[HEX_BYTES + 1], struct error *err)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    enum status status =
        digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) ? STATUS_OK : library_failed(err);
    for (uint64_t i = 0; !status && i < model->files->count; i++)
        status = add(digest, model->files->paths[i], err);
    if (!status && !EVP_DigestFinal_ex(digest, hash, NULL))
        status = library_failed(err);
    EVP_MD_CTX_free(digest);
    if (status == STATUS_OK)
        to_hex(hash, hex);
    return status;
}

static bool read_cached(const char *path, char hex[HEX_BYTES + 1])
{
    char *text;
    size_t bytes;
    struct error ignored;
    if (file_read(path, HEX_BYTES + 1, &text, &bytes, &ignored))
        return false;
    bool good = bytes == HEX_BYTES + 1 && strspn(text, "0123456789abcdef") == HEX_BYTES;
    if (good)
        snprintf(hex, HEX_BYTES + 1, "%.*s", HEX_BYTES, text);
    free(text);
    return good;
}

/* A cache that cannot be written costs time, not the answer. */
static void write_cached(const char *path, const char *hex)
{
    struct file_writer writer;
    struct error ignored;
    if (file_writer_open(&writer, path, &ignored))
        return;
    fprintf(writer.stream, "%s\n", hex);
    file_writer_commit(&writer, &ignored);
}

/* A synthetic model is all that its name says. */
static enum status digest_name(const struct model *model, char hex[HEX_BYTES + 1],
                               struct error *err)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    if (!EVP_Digest(model->weights, strlen(model->weights), hash, NULL, EVP_sha256(), NULL))
        return library_failed(err);
    to_hex(hash, hex);
    return STATUS_OK;
}

enum status model_hash(const struct model *model, char hex[65], struct error *err)
{
    char folder[PATH_MAX], key[HEX_BYTES + 1], again[HEX_BYTES + 1];
    char path[PATH_MAX + HEX_BYTES + 2];
    struct error ignored;
    if (model->format == MODEL_SYNTHETIC)
        return digest_name(model, hex, err);
    bool cached = cache_folder(folder, sizeof folder, "hashes", &ignored) == STATUS_OK;
    if (digest_files(model, identify, key, err))
        return err->status;
    if (cached) {
        snprintf(path, sizeof path, "%s/%s", folder, key);
        if (read_cached(path, hex))
            return STATUS_OK;
    }
    if (digest_files(model, add_bytes, hex, err))
        return err->status;
    /* A file that changed while it was read has another key now: its hash is of nothing. */
    if (digest_files(model, identify, again, err))
        return err->status;
    if (cached && strcmp(key, again) == 0)
        write_cached(path, hex);
    return STATUS_OK;
}
