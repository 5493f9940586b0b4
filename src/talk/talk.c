#include "talk/talk.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cancel.h"
#include "talk/input.h"

#define BENCHMARK_PROMPT "A Prony brake measures the power of an engine by"

struct talk {
    const struct talk_request *request;
    struct session *session;
    struct input *input;
    int cancel_fd;
    bool terminal; /* stdout is one */
    bool newline;  /* nothing printed of the answer, or it ends a line */
    bool left;     /* a signal asked for the end of the program, not of an answer */
};

/* Whether the character at text would steer a terminal: C0 but newline and tab, DEL, or C1. */
static bool steers(const char *text, size_t bytes)
{
    unsigned char first = (unsigned char)text[0];
    if (first < 0x20)
        return first != '\n' && first != '\t';
    return first == 0x7f || (first == 0xc2 && bytes > 1 && (unsigned char)text[1] < 0xa0);
}

/* A pipe gets the answer as it is, a terminal what it cannot be harmed by. */
static bool text_print(void *context, const char *text, size_t bytes)
{
    struct talk *talk = context;
    for (size_t i = 0; i < bytes; i++) {
        if (talk->terminal && steers(text + i, bytes - i)) {
            i += (unsigned char)text[i] == 0xc2;
            fputs("\xef\xbf\xbd", stdout);
        } else {
            fputc(text[i], stdout);
        }
    }
    talk->newline = bytes > 0 && text[bytes - 1] == '\n';
    return fflush(stdout) == 0;
}

/* Takes the signals that have come. */
static void signals_take(struct talk *talk)
{
    struct signalfd_siginfo info;
    while (read(talk->cancel_fd, &info, sizeof info) == sizeof info)
        talk->left = talk->left || info.ssi_signo != SIGINT;
}

static void tokens_print(const struct session_answer *answer)
{
    double before_ms = 0;
    for (size_t i = 0; i < answer->tokens; i++) {
        double ms = answer->first_ms + (double)(answer->stamps_ns[i] - answer->stamps_ns[0]) / 1e6;
        fprintf(stderr, "token %4zu  %9.2f ms  id %" PRId32 "\n", i + 1, ms - before_ms,
                answer->ids[i]);
        before_ms = ms;
    }
}

static void answer_print(const struct talk *talk, const struct session_answer *answer)
{
    struct session_stats stats = session_stats(talk->session);
    if (talk->request->timing)
        tokens_print(answer);
    if (talk->terminal)
        fprintf(stderr,
                "[%zu prompt tokens, first token %.1f ms, %zu tokens at %.1f tok/s, context %zu of "
                "%" PRIu32 "%s]\n",
                answer->prompt_tokens, answer->first_ms, answer->tokens, answer->tokens_per_s,
                stats.used, stats.context, answer->interrupted ? ", interrupted" : "");
    if (!answer->finished && !answer->interrupted && stats.used >= stats.context)
        fprintf(stderr,
                "The context of %" PRIu32 " tokens is full, so the answer ends here. "
                "/reset begins a new conversation; --context N makes room.\n",
                stats.context);
}

static enum status output_check(struct error *err)
{
    return fflush(stdout) != 0 || ferror(stdout) ? error_errno(err, "write to standard output")
                                                 : STATUS_OK;
}

/* One question and its answer. */
static enum status ask(struct talk *talk, const char *question, bool *interrupted,
                       struct error *err)
{
    struct session_answer answer;
    talk->newline = true;
    enum status status = session_ask(talk->session, question, text_print, talk, &answer, err);
    signals_take(talk);
    if (!talk->newline) /* a cut answer as well ends its line */
        fputc('\n', stdout);
    if (status)
        return status;
    status = output_check(err);
    if (!status)
        answer_print(talk, &answer);
    *interrupted = answer.interrupted;
    return status;
}

static void stats_print(const struct session *session)
{
    struct session_stats stats = session_stats(session);
    fprintf(stderr,
            "%s, answered by %s, chat template %s: %" PRIu32 " turns, %zu of %" PRIu32
            " tokens of context in use.\n",
            stats.model, stats.variant, stats.chat_template, stats.turns, stats.used,
            stats.context);
}

/* A line that starts with a slash; false when it ends the program. */
static bool command_run(struct talk *talk, const char *line)
{
    if (strcmp(line, "/quit") == 0)
        return false;
    if (strcmp(line, "/reset") == 0) {
        session_reset(talk->session);
        fputs("A new conversation begins.\n", stderr);
    } else if (strcmp(line, "/stats") == 0) {
        stats_print(talk->session);
    } else {
        if (strcmp(line, "/help") != 0)
            fprintf(stderr, "There is no such command.\n");
        fputs("/help   this text\n"
              "/reset  begin a new conversation\n"
              "/stats  model, engine, and how much of the context is in use\n"
              "/quit   leave, as do Ctrl-D, and Ctrl-C at the prompt\n"
              "Ctrl-C ends an answer.\n",
              stderr);
    }
    return true;
}

/* An error that leaves the worker alive is told, and the conversation goes on at a terminal. */
static enum status converse(struct talk *talk, bool attended, struct error *err)
{
    const char *line;
    for (;;) {
        enum input_result result = input_line(talk->input, &line, err);
        bool interrupted;
        if (result == INPUT_END)
            return STATUS_OK;
        if (result == INPUT_FAILED)
            return err->status;
        if (result == INPUT_INTERRUPTED)
            return error_set(err, STATUS_INTERRUPTED, "interrupted");
        if (line[strspn(line, " \t\r")] == '\0')
            continue;
        if (line[0] == '/') {
            if (!command_run(talk, line))
                return STATUS_OK;
            continue;
        }
        if (ask(talk, line, &interrupted, err)) {
            if (!attended || !session_alive(talk->session) || ferror(stdout))
                return err->status;
            error_print(err, stderr);
        }
        if (talk->left)
            return error_set(err, STATUS_INTERRUPTED, "interrupted");
    }
}

static enum status benchmark(struct talk *talk, struct error *err)
{
    struct session_speed speed;
    struct session_stats stats = session_stats(talk->session);
    const char *prompt = talk->request->prompt ? talk->request->prompt : BENCHMARK_PROMPT;
    enum status status = session_benchmark(talk->session, prompt, &speed, err);
    if (status)
        return status;
    printf("%s, %s: %d tokens, %.3f ms a token, %.1f tok/s", stats.model, stats.variant,
           SESSION_BENCHMARK_TOKENS, speed.token_ms, speed.tokens_per_s);
    if (speed.gb_per_s > 0)
        printf(", %.2f GB/s", speed.gb_per_s);
    putchar('\n');
    return output_check(err);
}

static enum status converse_or_answer(struct talk *talk, struct error *err)
{
    bool interrupted = false;
    if (talk->request->benchmark)
        return benchmark(talk, err);
    if (talk->request->prompt) {
        enum status status = ask(talk, talk->request->prompt, &interrupted, err);
        return !status && interrupted ? error_set(err, STATUS_INTERRUPTED, "interrupted") : status;
    }
    bool attended = isatty(STDIN_FILENO);
    if (attended)
        fputs("/help lists commands; Ctrl-C ends an answer, Ctrl-D leaves.\n", stderr);
    enum status status = input_open(&talk->input, talk->cancel_fd, err);
    return status ? status : converse(talk, attended, err);
}

enum status talk_run(struct talk_request *request, struct error *err)
{
    struct talk talk = {.request = request, .terminal = isatty(STDOUT_FILENO)};
    if (cancel_open(&talk.cancel_fd, err))
        return err->status;
    request->session.cancel_fd = talk.cancel_fd;
    request->session.conversation = !request->benchmark;
    enum status status = session_open(&talk.session, &request->session, err);
    if (!status)
        status = converse_or_answer(&talk, err);
    input_close(talk.input);
    session_close(talk.session);
    close(talk.cancel_fd);
    return status;
}
