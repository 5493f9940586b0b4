#include "cli/run_number.h"

#include <errno.h>
#include <inttypes.h>

enum status run_number_parse(const char *text, int64_t *run, struct error *err)
{
    char *end;
    errno = 0;
    intmax_t number = strtoimax(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || number < 1) {
        error_set(err, STATUS_USAGE, "'%s' is not the number of a run", text);
        return error_remedy(err, "'prony results list' shows what there is.");
    }
    *run = number;
    return STATUS_OK;
}
