#include "said.h"

#include <stdarg.h>
#include <string.h>

static char said[4096]; /* errors, one a line, the first ones */

void said_begin(void)
{
    said[0] = '\0';
}

void said_add(enum trt_severity severity, const char *text)
{
    if (severity > TRT_WARNING)
        return;
    fprintf(stderr, "TensorRT: %s\n", text);
    size_t used = strlen(said);
    if (severity <= TRT_ERROR)
        snprintf(said + used, sizeof said - used, "%s\n", text);
}

/* Words of TensorRT's log, and what they mean. */
static const struct {
    const char *word;
    enum status status;
    const char *what, *remedy;
} meanings[] = {
    {"OutOfMemory", STATUS_NO_MEMORY, "the GPU's memory is not enough to",
     "End other programs on the GPU (nvidia-smi lists them), or use a smaller model or --context."},
    {"out of memory", STATUS_NO_MEMORY, "the GPU's memory is not enough to",
     "End other programs on the GPU (nvidia-smi lists them), or use a smaller model or --context."},
    {"builder_resource", STATUS_UNSUPPORTED,
     "this TensorRT has no builder resource for this kind of card, and cannot",
     "Install a whole TensorRT of NVIDIA's, and run: prony engines install tensorrt --own PATH"},
    {"version tag does not match", STATUS_FORMAT,
     "a plan of another version of TensorRT is no use to", "Remove it; it is built anew."},
    {"compute capability", STATUS_FORMAT, "a plan of another kind of card is no use to",
     "Remove it; it is built anew."},
};

enum status said_fail(struct error *err, const char *doing, ...)
{
    char what[200];
    va_list args;
    va_start(args, doing);
    vsnprintf(what, sizeof what, doing, args);
    va_end(args);
    int first = (int)strcspn(said, "\n");
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        const char *at = strstr(said, meanings[i].word);
        if (!at)
            continue;
        while (at > said && at[-1] != '\n')
            at--;
        error_set(err, meanings[i].status, "%s %s", meanings[i].what, what);
        error_where(err, "%.*s", (int)strcspn(at, "\n"), at);
        return error_remedy(err, "%s", meanings[i].remedy);
    }
    error_set(err, STATUS_WORKER, "TensorRT cannot %s", what);
    if (first)
        error_where(err, "%.*s", first, said);
    return err->status;
}
