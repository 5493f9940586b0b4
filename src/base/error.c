#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/arena.h"

/* Names and texts come from files and workers: what would steer a terminal becomes '?'. C1 control
 * characters are C2 80 to C2 9F in UTF-8. */
static void neutralise(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        if (*c < ' ' || *c == 0x7f)
            *c = '?';
        else if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f)
            c[0] = c[1] = '?';
    }
}

enum status error_set(struct error *err, enum status status, const char *what, ...)
{
    va_list args;
    err->status = status;
    err->where[0] = err->remedy[0] = '\0';
    va_start(args, what);
    vsnprintf(err->what, sizeof err->what, what, args);
    va_end(args);
    neutralise(err->what);
    return status;
}

enum status error_where(struct error *err, const char *where, ...)
{
    va_list args;
    va_start(args, where);
    vsnprintf(err->where, sizeof err->where, where, args);
    va_end(args);
    neutralise(err->where);
    return err->status;
}

enum status error_remedy(struct error *err, const char *remedy, ...)
{
    va_list args;
    va_start(args, remedy);
    vsnprintf(err->remedy, sizeof err->remedy, remedy, args);
    va_end(args);
    neutralise(err->remedy);
    return err->status;
}

enum status error_errno(struct error *err, const char *doing, ...)
{
    int code = errno;
    char text[400];
    va_list args;
    va_start(args, doing);
    vsnprintf(text, sizeof text, doing, args);
    va_end(args);
    error_set(err,
              code == ENOENT   ? STATUS_NOT_FOUND
              : code == ENOMEM ? STATUS_NO_MEMORY
                               : STATUS_IO,
              "cannot %s: %s", text, strerror(code));
    if (code == ENOSPC || code == EDQUOT)
        error_remedy(err, "Free some disk space and try again.");
    return err->status;
}

enum status error_no_memory(struct error *err, size_t bytes)
{
    error_set(err, STATUS_NO_MEMORY, "out of memory: %zu bytes were asked for", bytes);
    return error_remedy(err, "Close other programs, or use a smaller model or context.");
}

void error_print(const struct error *err, FILE *stream)
{
    fprintf(stream, "Error: %s", err->what);
    if (err->where[0])
        fprintf(stream, " (%s)", err->where);
    if (err->remedy[0])
        fprintf(stream, ". %s", err->remedy);
    fputc('\n', stream);
}

const char *error_line(const struct error *err, struct arena *arena)
{
    const char *line =
        arena_printf(arena, "%s%s%s%s%s%s", err->what, *err->where ? " (" : "", err->where,
                     *err->where ? ")" : "", *err->remedy ? ". " : "", err->remedy);
    return line ? line : "it failed, and there is no memory to say why";
}

const char *status_name(enum status status)
{
    static const char *const names[] = {
        [STATUS_OK] = "ok",
        [STATUS_USAGE] = "usage",
        [STATUS_NOT_FOUND] = "not_found",
        [STATUS_IO] = "io",
        [STATUS_FORMAT] = "format",
        [STATUS_UNSUPPORTED] = "unsupported",
        [STATUS_NO_MEMORY] = "no_memory",
        [STATUS_PROTOCOL] = "protocol",
        [STATUS_WORKER] = "worker",
        [STATUS_TIMEOUT] = "timeout",
        [STATUS_INTERRUPTED] = "interrupted",
    };
    return (unsigned)status < sizeof names / sizeof names[0] ? names[status] : "unknown";
}
