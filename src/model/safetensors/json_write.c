#include "model/safetensors/json_write.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

enum { FLOAT_DIGITS = 9 }; /* enough for every float32 */

enum status json_write(const json_t *json, const char *folder, const char *name, struct error *err)
{
    char path[PATH_MAX];
    struct file_writer writer = {0};
    if (!json)
        return error_no_memory(err, 1024);
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= sizeof path) {
        error_set(err, STATUS_IO, "the path is too long");
        return error_where(err, "%s", folder);
    }
    enum status status = file_writer_open(&writer, path, err);
    if (status)
        return status;
    /* A failure to write shows again at commit. */
    json_dumpf(json, writer.stream, JSON_INDENT(2) | JSON_REAL_PRECISION(FLOAT_DIGITS));
    putc('\n', writer.stream);
    return file_writer_commit(&writer, err);
}

json_t *json_float(float value)
{
    char text[32];
    for (int digits = 1; digits <= FLOAT_DIGITS; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    return json_real(strtod(text, NULL));
}
