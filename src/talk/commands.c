/* The lines that start with a slash. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "talk/conversation.h"

static bool quit(struct talk *talk, const char *rest)
{
    (void)talk, (void)rest;
    return false;
}

static bool reset(struct talk *talk, const char *rest)
{
    (void)rest;
    session_reset(talk->session);
    transcript_heading(&talk->transcript, "A new conversation");
    fputs("A new conversation begins.\n", stderr);
    return true;
}

static bool stats_print(struct talk *talk, const char *rest)
{
    struct session_stats stats = session_stats(talk->session);
    (void)rest;
    fprintf(stderr,
            "%s, answered by %s, chat template %s, seed %" PRIu64 ": %" PRIu32
            " turns, %zu of %" PRIu32 " tokens of context in use.\n",
            stats.model, stats.variant, stats.chat_template, stats.seed, stats.turns, stats.used,
            stats.context);
    return true;
}

static bool save(struct talk *talk, const char *rest)
{
    char title[PATH_MAX];
    struct error err;
    struct session_stats stats = session_stats(talk->session);
    snprintf(title, sizeof title, "%s, answered by %s, seed %" PRIu64, stats.model, stats.variant,
             stats.seed);
    if (transcript_save(&talk->transcript, rest, title, &err))
        error_print(&err, stderr);
    else
        fprintf(stderr, "The conversation is in %s.\n", talk->transcript.saved);
    return true;
}

static bool context(struct talk *talk, const char *rest)
{
    struct error err;
    char *end;
    errno = 0;
    unsigned long tokens = strtoul(rest, &end, 10);
    if (errno || end == rest || *end || *rest == '-' || tokens == 0 || tokens > UINT32_MAX)
        fputs("How many tokens? Write /context N.\n", stderr);
    else if (session_resize(talk->session, (uint32_t)tokens, &err))
        error_print(&err, stderr);
    else
        fprintf(stderr, "The conversation has room for %lu tokens now.\n", tokens);
    return true;
}

static bool help(struct talk *talk, const char *rest);

static const struct {
    const char *name, *usage, *help;
    bool (*run)(struct talk *talk, const char *rest);
} commands[] = {
    {"help", "/help", "this text", help},
    {"reset", "/reset", "begin a new conversation", reset},
    {"context", "/context N", "load the model again with room for N tokens, and go on", context},
    {"save", "/save [FILE]", "write what was said to a file, as Markdown", save},
    {"stats", "/stats", "model, engine, seed, and how much of the context is in use", stats_print},
    {"quit", "/quit", "leave, as do Ctrl-D, and Ctrl-C at the prompt", quit},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static bool help(struct talk *talk, const char *rest)
{
    (void)talk, (void)rest;
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(stderr, "%-13s %s\n", commands[i].usage, commands[i].help);
    fputs("Ctrl-C ends an answer. Pasted lines stay together; Alt-Enter begins a new line.\n",
          stderr);
    return true;
}

static size_t name_length(const char *line)
{
    return strspn(line + 1, "abcdefghijklmnopqrstuvwxyz");
}

bool command_is(const char *line)
{
    if (line[0] != '/')
        return false;
    size_t length = name_length(line);
    return length > 0 && (line[1 + length] == ' ' || line[1 + length] == '\0') &&
           !strchr(line, '\n');
}

bool command_run(struct talk *talk, const char *line)
{
    size_t length = name_length(line);
    char rest[PATH_MAX];
    const char *from = line + 1 + length + strspn(line + 1 + length, " ");
    snprintf(rest, sizeof rest, "%s", from);
    for (size_t end = strlen(rest); end > 0 && rest[end - 1] == ' '; end--)
        rest[end - 1] = '\0';
    for (size_t i = 0; i < COMMANDS; i++)
        if (strlen(commands[i].name) == length && strncmp(commands[i].name, line + 1, length) == 0)
            return commands[i].run(talk, rest);
    fprintf(stderr, "There is no such command.\n");
    return help(talk, "");
}

void context_advice(const struct talk *talk, char *text, size_t size)
{
    struct session_stats stats = session_stats(talk->session);
    bool room = stats.context < stats.most_context, once = talk->request->prompt != NULL;
    if (once && room)
        snprintf(text, size, "--context N makes room: the model was made for up to %" PRIu32 ".",
                 stats.most_context);
    else if (once)
        snprintf(text, size, "The model was made for no more.");
    else if (room)
        snprintf(text, size,
                 "/context N makes room (the model was made for up to %" PRIu32
                 "), /save keeps what was said, /reset begins a new conversation.",
                 stats.most_context);
    else
        snprintf(text, size,
                 "The model was made for no more. /save keeps what was said, /reset begins a new "
                 "conversation.");
}
