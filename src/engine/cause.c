#include "engine/cause.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "engine/protocol.h"

enum { MAX_LOG = 64 << 20 };

/* What a log shows of why its program failed. The first that is found counts. */
static const struct {
    const char *sign;
    enum status status;
    const char *what, *remedy;
} causes[] = {
    {"No space left on device", STATUS_IO, "the disk is full",
     "Free some space, or set PRONY_CACHE to a folder on another disk; what is complete is kept."},
    {"Disk quota exceeded", STATUS_IO, "the disk quota is used up",
     "Free some space, or set PRONY_CACHE to a folder on another disk; what is complete is kept."},
    {"File too large", STATUS_IO, "files may not become that large here",
     "Raise the limit (ulimit -f), or set PRONY_CACHE to a folder on another disk."},
    {"DO NOT MATCH THE HASHES", STATUS_FORMAT,
     "what arrived was cut on the way, or is not the file that Prony expects",
     "Try again; when it stays so, the index has other files than Prony's authors checked."},
    {"Retrying (", STATUS_IO, "the network failed",
     "Check the network and pip's index settings; what is complete is kept for the next try."},
    {"Connection", STATUS_IO, "the network failed",
     "Check the network and pip's index settings; what is complete is kept for the next try."},
    {"IncompleteRead", STATUS_IO, "the network failed",
     "Check the network and pip's index settings; what is complete is kept for the next try."},
    {"timed out", STATUS_IO, "the network failed",
     "Check the network and pip's index settings; what is complete is kept for the next try."},
    {"SECURITY ERROR", STATUS_FORMAT,
     "what arrived was cut on the way, or is not the file that Prony expects",
     "Try again; when it stays so, the source has other files than Prony's authors checked."},
    {"dial tcp", STATUS_IO, "the network failed",
     "Check the network and go's settings (go env); what is complete is kept for the next try."},
    {"Killed signal terminated program", STATUS_NO_MEMORY, "the compiler had not enough memory",
     "Free some memory, or compile with fewer threads at a time: --threads 1."},
    {"No matching distribution found", STATUS_NOT_FOUND, "pip's indexes do not have it",
     "Check pip's index settings (pip config list); this Python and machine may be too new or "
     "old."},
};

/* The first line that says that it is an error, from its words on. */
static void first_error(const char *log, char *text, size_t size)
{
    static const char *const signs[] = {"ERROR: ", "error: ", "CMake Error"};
    const char *first = NULL;
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        const char *found = strstr(log, signs[i]);
        if (found && (!first || found < first))
            first = found;
    }
    *text = '\0';
    if (!first)
        return;
    while (first > log && first[-1] != '\n' && strncmp(first, "ERROR: ", 7) != 0)
        first--;
    first += strncmp(first, "ERROR: ", 7) == 0 ? strlen("ERROR: ") : 0;
    protocol_clean(text, size, first, strcspn(first, "\n"));
}

enum status cause_find(const char *log_path, const char *doing, const char *program,
                       struct error *err)
{
    char *log, first[200] = "", said[sizeof err->where];
    size_t bytes;
    struct error ignored;
    if (err->status != STATUS_WORKER || file_read(log_path, MAX_LOG, &log, &bytes, &ignored))
        return err->status;
    snprintf(said, sizeof said, "%s", err->where);
    first_error(log, first, sizeof first);
    error_set(err, STATUS_WORKER, "cannot %s: %s failed", doing, program);
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++)
        if (strstr(log, causes[i].sign)) {
            error_set(err, causes[i].status, "cannot %s: %s", doing, causes[i].what);
            error_remedy(err, "%s", causes[i].remedy);
            break;
        }
    error_where(err, "%.250s%slog: %.200s", *first ? first : said, *first || *said ? "; " : "",
                log_path);
    free(log);
    return err->status;
}
