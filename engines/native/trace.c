#include "trace.h"

enum status trace_begin(struct trace *trace, struct llama *llama, const char *path,
                        struct error *err)
{
    enum status status = file_writer_open(&trace->file, path, err);
    if (!status)
        status = profile_open(&trace->profile, llama_threads(llama), err);
    if (status)
        file_writer_abort(&trace->file);
    llama_profile(llama, trace->profile);
    return status;
}

static void ended_fill(const struct profile *profile, struct prony_traced *ended)
{
    struct profile_sum sum;
    profile_sum(profile, &sum);
    *ended = (struct prony_traced){.prompts = sum.prompts,
                                   .tokens = sum.tokens,
                                   .prompt_ns = sum.prompt_ns,
                                   .token_ns = sum.token_ns,
                                   .dropped = sum.dropped};
    for (size_t i = 0; i < OPERATIONS; i++) {
        if (!sum.operation[i].prompt_ns && !sum.operation[i].token_ns)
            continue; /* not on this device */
        size_t at = ended->operations++;
        ended->operation[at].name = operation_name((enum operation)i);
        ended->operation[at].prompt_ns = sum.operation[i].prompt_ns;
        ended->operation[at].token_ns = sum.operation[i].token_ns;
    }
}

enum status trace_end(struct trace *trace, struct llama *llama, struct prony_traced *ended,
                      struct error *err)
{
    if (!trace->profile)
        return STATUS_OK;
    ended_fill(trace->profile, ended);
    enum status status = profile_write(trace->profile, trace->file.stream, err);
    if (!status)
        status = file_writer_commit(&trace->file, err);
    file_writer_abort(&trace->file);
    llama_profile(llama, NULL);
    profile_close(trace->profile);
    trace->profile = NULL;
    return status;
}
