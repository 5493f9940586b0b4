#include <stdlib.h>
#include <string.h>

#include "talk/session_parts.h"

enum { WARMUP_TOKENS = 4 };

enum status session_benchmark(struct session *session, const char *text,
                              struct session_answer *answer, struct session_speed *speed,
                              struct error *err)
{
    int32_t *ids = NULL;
    size_t count = 0;
    struct session_stats stats = session_stats(session);
    struct worker_generated generated = {.ids = session->given, .stamps_ns = session->stamps_ns};
    enum { TOKENS = 1 + SESSION_BENCHMARK_TOKENS };
    enum status status = tokenizer_encode(session->tokenizer, text, strlen(text), TOKENIZER_ADD_BOS,
                                          &ids, &count, err);
    if (!status && (count == 0 || count + TOKENS > session->context)) {
        error_set(err, STATUS_USAGE,
                  "a prompt of %zu tokens and %d more do not fit a context of %u", count, TOKENS,
                  session->context);
        status = error_remedy(err, "Use another --prompt or a larger --context.");
    }
    if (!status)
        status = worker_generate(session->worker, ids, count, WARMUP_TOKENS, &generated, err);
    if (!status)
        status = session_profile_begin(session, err);
    if (!status)
        status = worker_generate(session->worker, ids, count, TOKENS, &generated, err);
    free(ids);
    if (status)
        return status;
    *answer = (struct session_answer){.prompt_tokens = count};
    session_answer_fill(session, &generated, answer);
    double ns = (double)(generated.stamps_ns[TOKENS - 1] - generated.stamps_ns[0]);
    double token_ns = ns > 0 ? ns / SESSION_BENCHMARK_TOKENS : 1;
    size_t middle = count + (TOKENS + 1) / 2; /* of the timed ones */
    *speed = (struct session_speed){.token_ms = token_ns / 1e6,
                                    .tokens_per_s = 1e9 / token_ns,
                                    .gb_per_s = session_token_bytes(&stats, middle) / token_ns};
    return STATUS_OK;
}
