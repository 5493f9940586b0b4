#include "failure.h"

int failure_answer(struct prony_error *error, const struct error *err)
{
    static const char *const codes[] = {
        [STATUS_USAGE] = "bad_request",       [STATUS_NOT_FOUND] = "not_found",
        [STATUS_FORMAT] = "bad_model",        [STATUS_UNSUPPORTED] = "unsupported",
        [STATUS_NO_MEMORY] = "no_memory",     [STATUS_IO] = "io",
        [STATUS_INTERRUPTED] = "interrupted",
    };
    const char *code = (size_t)err->status < sizeof codes / sizeof codes[0] && codes[err->status]
                           ? codes[err->status]
                           : "failed";
    if (err->where[0])
        return prony_fail(error, code, err->remedy, "%s (%s)", err->what, err->where);
    return prony_fail(error, code, err->remedy, "%s", err->what);
}
