#include "bench/logits_file.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const double most = 1e9; /* JSON has no infinity */

enum status logits_file_make(struct logits_file *file, size_t vocabulary, struct error *err)
{
    const char *folder = getenv("TMPDIR");
    *file = (struct logits_file){.vocabulary = vocabulary};
    int length = snprintf(file->path, sizeof file->path, "%s/prony-logits-XXXXXX",
                          folder && *folder == '/' ? folder : "/tmp");
    int fd =
        length > 0 && (size_t)length < sizeof file->path ? mkostemp(file->path, O_CLOEXEC) : -1;
    if (fd < 0) {
        error_errno(err, "create a temporary file for logits");
        error_where(err, "%s", file->path);
        file->path[0] = '\0';
        return error_remedy(err, "Make room there, or name another folder with TMPDIR.");
    }
    close(fd);
    return STATUS_OK;
}

void logits_file_remove(struct logits_file *file)
{
    if (file->path[0])
        unlink(file->path);
    file->path[0] = '\0';
}

/* An open matrix and one row of it. */
struct cursor {
    FILE *stream;
    float *row; /* [vocabulary] */
    size_t vocabulary;
};

static enum status cursor_open(struct cursor *cursor, const struct logits_file *file, size_t first,
                               struct error *err)
{
    *cursor = (struct cursor){.vocabulary = file->vocabulary,
                              .row = malloc(file->vocabulary * sizeof(float))};
    if (!cursor->row)
        return error_no_memory(err, file->vocabulary * sizeof(float));
    cursor->stream = fopen(file->path, "rbe");
    if (!cursor->stream ||
        fseeko(cursor->stream, (off_t)(first * file->vocabulary * sizeof(float)), SEEK_SET) != 0) {
        error_errno(err, "read the logits");
        return error_where(err, "%s", file->path);
    }
    return STATUS_OK;
}

static void cursor_close(struct cursor *cursor)
{
    if (cursor->stream)
        fclose(cursor->stream);
    free(cursor->row);
}

static enum status cursor_next(struct cursor *cursor, struct error *err)
{
    if (fread(cursor->row, sizeof(float), cursor->vocabulary, cursor->stream) != cursor->vocabulary)
        return error_set(err, STATUS_IO, "the logits end too early");
    return STATUS_OK;
}

enum status logits_files_compare(const struct logits_file *reference,
                                 const struct logits_file *other, size_t rows,
                                 struct divergence *divergence, struct divergence_row *each,
                                 struct error *err)
{
    struct cursor own, its = {0};
    divergence_start(divergence);
    enum status status = cursor_open(&own, reference, 0, err);
    if (!status)
        status = cursor_open(&its, other, 0, err);
    for (size_t i = 0; i < rows && !status; i++) {
        struct divergence_row row;
        status = cursor_next(&own, err);
        if (!status)
            status = cursor_next(&its, err);
        if (status)
            break;
        if (other->partial)
            divergence_of_part(own.row, its.row, own.vocabulary, &row);
        else
            divergence_of_row(own.row, its.row, own.vocabulary, &row);
        divergence_add(divergence, &row);
        if (each)
            each[i] = row;
    }
    cursor_close(&own);
    cursor_close(&its);
    return status;
}

enum status logits_file_margins(const struct logits_file *file, size_t first, const int32_t *ids,
                                size_t count, double *margin, size_t *worst, struct error *err)
{
    struct cursor cursor;
    *margin = 0;
    *worst = 0;
    enum status status = cursor_open(&cursor, file, first, err);
    for (size_t i = 0; i < count && !status; i++) {
        status = cursor_next(&cursor, err);
        if (status)
            break;
        double own = fmin(divergence_margin(cursor.row, cursor.vocabulary, (size_t)ids[i]), most);
        if (own > *margin) {
            *margin = own;
            *worst = i;
        }
    }
    cursor_close(&cursor);
    return status;
}
