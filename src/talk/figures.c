#include "talk/figures.h"

#include <inttypes.h>
#include <stdio.h>

void figures_answer(const struct session_stats *stats, const struct session_answer *answer)
{
    fprintf(stderr,
            "[%zu prompt tokens, first token %.1f ms, %zu tokens at %.1f tok/s, context %zu of "
            "%" PRIu32 "%s]\n",
            answer->prompt_tokens, answer->first_ms, answer->tokens, answer->tokens_per_s,
            stats->used, stats->context, answer->interrupted ? ", interrupted" : "");
}

void figures_tokens(const struct session_stats *stats, const struct session_answer *answer)
{
    if (answer->tokens > 0)
        fprintf(stderr, "token %4d  %9.2f ms  for the prompt of %zu  id %" PRId32 "\n", 1,
                answer->first_ms, answer->prompt_tokens, answer->ids[0]);
    for (size_t i = 1; i < answer->tokens; i++) {
        double ns = (double)(answer->stamps_ns[i] - answer->stamps_ns[i - 1]);
        double bytes = session_token_bytes(stats, answer->prompt_tokens + i);
        fprintf(stderr, "token %4zu  %9.2f ms  %8.1f tok/s", i + 1, ns / 1e6,
                ns > 0 ? 1e9 / ns : 0);
        if (bytes > 0 && ns > 0)
            fprintf(stderr, "  %7.2f GB/s", bytes / ns);
        fprintf(stderr, "  id %" PRId32 "\n", answer->ids[i]);
    }
}

void figures_session(const struct session_stats *stats, const struct worker_sampling *sampling)
{
    const struct worker_hello *hello = stats->hello;
    const struct worker_loaded *loaded = stats->loaded;
    fprintf(stderr, "debug: engine %s %s%s%s, devices %s, started in %.1f ms, log %s\n",
            hello->engine, hello->version, *hello->stands_on ? ", on " : "", hello->stands_on,
            hello->devices, (double)(hello->ready_ns - hello->spawned_ns) / 1e6, stats->log);
    fprintf(stderr, "debug: loaded in %.1f ms",
            (double)(loaded->ready_ns - loaded->asked_ns) / 1e6);
    for (size_t i = 0; i < loaded->phases; i++)
        fprintf(stderr, "%s%s %.1f ms", i ? ", " : " (", loaded->phase[i].name,
                (double)(loaded->phase[i].end_ns - loaded->phase[i].start_ns) / 1e6);
    fprintf(stderr,
            "%s: weights %.1f MB %s, KV cache %" PRIu64 " bytes a token, vocabulary %" PRIu32
            "; %s\n",
            loaded->phases ? ")" : "", (double)loaded->weight_bytes / 1e6, loaded->precision,
            loaded->kv_token_bytes, loaded->vocabulary, loaded->detail);
    fprintf(stderr,
            "debug: chat template %s, context %" PRIu32 " of %" PRIu32
            ", temperature %g, top-k %" PRIu32 ", top-p %g, min-p %g, seed %" PRIu64 "\n",
            stats->chat_template ? stats->chat_template : "none", stats->context,
            stats->most_context, sampling->temperature, sampling->top_k, sampling->top_p,
            sampling->min_p, stats->seed);
}

/* A token's text between quotes, with everything but printable ASCII escaped. */
static void token_print(const char *text, size_t bytes)
{
    fputc('"', stderr);
    for (size_t i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == '\n')
            fputs("\\n", stderr);
        else if (byte == '"' || byte == '\\')
            fprintf(stderr, "\\%c", byte);
        else if (byte >= ' ' && byte < 0x7f)
            fputc(byte, stderr);
        else
            fprintf(stderr, "\\x%02x", byte);
    }
    fputc('"', stderr);
}

void figures_ids(const struct session_stats *stats, const char *what, const int32_t *ids,
                 size_t count)
{
    fprintf(stderr, "debug: %s, %zu ids:", what, count);
    for (size_t i = 0; i < count; i++) {
        size_t bytes;
        const char *text = tokenizer_token(stats->tokenizer, ids[i], &bytes);
        fprintf(stderr, " %" PRId32, ids[i]);
        if (text)
            token_print(text, bytes);
    }
    fputc('\n', stderr);
}

static double share(int64_t part_ns, int64_t whole_ns)
{
    return whole_ns > 0 ? 100 * (double)part_ns / (double)whole_ns : 0;
}

/* Per prompt and per token. */
static double mean_ms(int64_t ns, uint64_t count)
{
    return count > 0 ? (double)ns / (double)count / 1e6 : 0;
}

static void profile_row(const struct session_profile *p, const char *name, int64_t prompt_ns,
                        int64_t token_ns)
{
    fprintf(stderr, "%-20s %12.3f %6.1f %12.4f %6.1f\n", name, mean_ms(prompt_ns, p->prompts),
            share(prompt_ns, p->prompt_ns), mean_ms(token_ns, p->tokens),
            share(token_ns, p->token_ns));
}

void figures_profile(const struct session_profile *profile, const char *path)
{
    const struct worker_traced *traced = &profile->traced;
    int64_t prompt_ns = 0, token_ns = 0;
    if (traced->operations > 0)
        fprintf(stderr, "%-20s %12s %6s %12s %6s\n", "Operation", "prompt (ms)", "%", "token (ms)",
                "%");
    for (size_t i = 0; i < traced->operations; i++) {
        profile_row(profile, traced->operation[i].name, traced->operation[i].prompt_ns,
                    traced->operation[i].token_ns);
        prompt_ns += traced->operation[i].prompt_ns;
        token_ns += traced->operation[i].token_ns;
    }
    if (traced->operations > 0) {
        profile_row(profile, "sum", prompt_ns, token_ns);
        profile_row(profile, "as stamped", profile->prompt_ns, profile->token_ns);
        fprintf(stderr, "%" PRIu64 " prompts and %" PRIu64 " tokens, means of each.\n",
                profile->prompts, profile->tokens);
    }
    if (traced->dropped > 0)
        fprintf(stderr, "The trace had no room for %" PRId64 " events; the table has them.\n",
                traced->dropped);
    fprintf(stderr, "The trace is %s: open it in Perfetto or chrome://tracing.\n", path);
}
