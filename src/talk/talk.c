#include "talk/talk.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cancel.h"
#include "talk/conversation.h"
#include "talk/figures.h"
#include "talk/input.h"

#define BENCHMARK_PROMPT "A Prony brake measures the power of an engine by"

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
    transcript_add(&talk->transcript, text, bytes);
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
static void signals_take(void *context)
{
    struct talk *talk = context;
    struct signalfd_siginfo info;
    while (read(talk->cancel_fd, &info, sizeof info) == sizeof info)
        talk->left = talk->left || info.ssi_signo != SIGINT;
}

static void answer_print(const struct talk *talk, const struct session_answer *answer)
{
    struct session_stats stats = session_stats(talk->session);
    char advice[300];
    if (talk->request->debug)
        figures_ids(&stats, "answer", answer->ids, answer->tokens);
    if (talk->request->timing)
        figures_tokens(&stats, answer);
    if (talk->terminal)
        figures_answer(&stats, answer);
    if (answer->finished || answer->interrupted || stats.used < stats.context)
        return;
    context_advice(talk, advice, sizeof advice);
    fprintf(stderr, "The context of %" PRIu32 " tokens is full, so the answer ends here. %s\n",
            stats.context, advice);
}

static enum status output_check(struct error *err)
{
    return fflush(stdout) != 0 || ferror(stdout) ? error_errno(err, "write to standard output")
                                                 : STATUS_OK;
}

/* A question for which there is no room: says what can be done, if anything was said before. */
static void context_error(const struct talk *talk, struct error *err)
{
    struct session_stats stats = session_stats(talk->session);
    char advice[300];
    if (err->status != STATUS_UNSUPPORTED || !stats.used)
        return;
    context_advice(talk, advice, sizeof advice);
    error_remedy(err, "%s", advice);
}

/* One question and its answer. */
static enum status ask(struct talk *talk, const char *question, bool *interrupted,
                       struct error *err)
{
    struct session_answer answer;
    struct session_stats before = session_stats(talk->session);
    size_t said = talk->transcript.bytes;
    talk->newline = true;
    transcript_heading(&talk->transcript, "Question");
    transcript_add(&talk->transcript, question, strlen(question));
    transcript_add(&talk->transcript, "\n", 1);
    transcript_heading(&talk->transcript, "Answer");
    enum status status = session_ask(talk->session, question, text_print, talk, &answer, err);
    signals_take(talk);
    if (!talk->newline) { /* a cut answer as well ends its line */
        fputc('\n', stdout);
        transcript_add(&talk->transcript, "\n", 1);
    }
    if (status) {
        transcript_cut(&talk->transcript, said);
        context_error(talk, err);
        return status;
    }
    if (talk->request->debug)
        figures_ids(&before, "prompt", before.ids + before.used,
                    answer.prompt_tokens - before.used);
    status = output_check(err);
    if (!status)
        answer_print(talk, &answer);
    *interrupted = answer.interrupted;
    return status;
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
        if (command_is(line)) {
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
    struct session_answer answer;
    struct session_speed speed;
    struct session_stats stats = session_stats(talk->session);
    const char *prompt = talk->request->prompt ? talk->request->prompt : BENCHMARK_PROMPT;
    if (session_benchmark(talk->session, prompt, &answer, &speed, err))
        return err->status;
    if (talk->request->timing)
        figures_tokens(&stats, &answer);
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

/* The trace goes to the folder that the user is in: the worker is in another one. */
static enum status profile_path(char path[PATH_MAX], struct error *err)
{
    char folder[PATH_MAX - 64], date[32];
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(date, sizeof date, "%Y%m%d-%H%M%S", &local);
    if (!getcwd(folder, sizeof folder))
        return error_errno(err, "write a profile into this folder");
    snprintf(path, PATH_MAX, "%s/prony-profile-%s.json", folder, date);
    return STATUS_OK;
}

/* Whatever ended the conversation, what was profiled is written. */
static enum status finish(struct talk *talk, enum status status, struct error *err)
{
    struct session_profile profile;
    char tail[WORKER_TEXT * 4];
    struct error own;
    signals_take(talk);
    if (talk->request->profile && session_alive(talk->session)) {
        if (session_profile_end(talk->session, &profile, &own) == STATUS_OK)
            figures_profile(&profile, talk->request->session.profile);
        else if (!status)
            *err = own, status = own.status;
        else
            error_print(&own, stderr);
    }
    if (talk->request->debug) {
        worker_log_tail(session_stats(talk->session).log, tail, sizeof tail);
        fprintf(stderr, "debug: the worker's log ends: %s\n", *tail ? tail : "(nothing)");
    }
    return status;
}

/* Another thing than what may have been asked for has a name of its own. */
static void form_note(const struct session_stats *stats)
{
    if (strcmp(stats->loaded->precision, "q8_0") == 0)
        fprintf(stderr, "Note: %s holds its weights as " FORM_Q8_0 ".\n", stats->variant);
}

enum status talk_run(struct talk_request *request, struct error *err)
{
    struct talk talk = {.request = request, .terminal = isatty(STDOUT_FILENO)};
    char profile[PATH_MAX];
    if (request->profile) {
        if (profile_path(profile, err))
            return err->status;
        request->session.profile = profile;
    }
    if (cancel_open(&talk.cancel_fd, err))
        return err->status;
    request->session.cancel_fd = talk.cancel_fd;
    request->session.on_cancel = signals_take;
    request->session.on_cancel_context = &talk;
    request->session.conversation = !request->benchmark;
    enum status status = session_open(&talk.session, &request->session, err);
    if (!status) {
        struct session_stats stats = session_stats(talk.session);
        form_note(&stats);
        if (request->debug)
            figures_session(&stats, &request->session.sampling);
        status = finish(&talk, converse_or_answer(&talk, err), err);
    }
    input_close(talk.input);
    session_close(talk.session);
    transcript_free(&talk.transcript);
    close(talk.cancel_fd);
    return status;
}
