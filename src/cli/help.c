#include "cli/help.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum { TEXT_COLUMN = 28 }; /* where the description of an option starts */

const struct exit_meaning exit_meanings[] = {
    {EXIT_PASS, "success"},
    {EXIT_ERROR, "wrong usage, or something that is needed is missing or broken"},
    {EXIT_REGRESSION, "a regression: the candidate is slower"},
    {EXIT_UNDECIDED, "undecided: the measurement cannot tell"},
    {EXIT_INVALID, "invalid: nothing could be measured, or what was is not equivalent"},
    {EXIT_INTERRUPTED, "interrupted by Ctrl-C; what was measured is kept"},
    {0, NULL},
};

int help_width(FILE *stream)
{
    struct winsize size;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col < 60 ? 60 : size.ws_col > 100 ? 100 : size.ws_col;
}

/* Writes words from `column` on, wrapped at width, with later lines indented. A newline in text
 * is a space. */
static void wrap(FILE *stream, int width, int column, int indent, const char *text)
{
    bool first = true;
    for (const char *at = text + strspn(text, " \n"); *at; at += strspn(at, " \n")) {
        int length = (int)strcspn(at, " \n");
        if (!first && column + 1 + length > width) {
            fprintf(stream, "\n%*s", indent, "");
            column = indent;
        } else if (!first) {
            fputc(' ', stream);
            column++;
        }
        fprintf(stream, "%.*s", length, at);
        column += length;
        at += length;
        first = false;
    }
    fputc('\n', stream);
}

/* A term in the left column and its description beside it, or below when the term is long. */
static void entry(FILE *stream, int width, const char *term, const char *text)
{
    int used = fprintf(stream, "%s", term);
    if (used > TEXT_COLUMN - 2) {
        fputc('\n', stream);
        used = 0;
    }
    fprintf(stream, "%*s", TEXT_COLUMN - used, "");
    wrap(stream, width, TEXT_COLUMN, TEXT_COLUMN, text);
}

/* Paragraphs are wrapped, lines that start with a space are kept. */
static void paragraphs(FILE *stream, int width, const char *text)
{
    while (*text) {
        if (*text == ' ' || *text == '\n') {
            int length = (int)strcspn(text, "\n");
            fprintf(stream, "%.*s\n", length, text);
            text += length + (text[length] == '\n');
            continue;
        }
        const char *end = text;
        do
            end += strcspn(end, "\n") + 1;
        while (end[-1] == '\n' && *end && *end != '\n' && *end != ' ');
        end -= end[-1] == '\0';
        char *paragraph = strndup(text, (size_t)(end - text));
        wrap(stream, width, 0, 0, paragraph ? paragraph : "");
        free(paragraph);
        text = end;
    }
}

static void append(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void append(char *text, size_t size, const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, size - used, format, args);
    va_end(args);
}

/* "NAME", or "{a,b}" when only the choices tell. */
static void append_value(const struct option *option, char *text, size_t size)
{
    if (option->metavar) {
        append(text, size, " %s", option->metavar);
    } else {
        append(text, size, " {");
        for (const char *c = option->choices; c && *c; c++)
            append(text, size, "%c", *c == ' ' ? ',' : *c);
        append(text, size, "}");
    }
    if (option->kind == OPTION_LIST)
        append(text, size, "...");
}

void help_option_form(const struct option *option, char *text, size_t size)
{
    text[0] = '\0';
    if (option->letter)
        append(text, size, "-%c, ", option->letter);
    append(text, size, "--%s%s", option->negatable ? "[no-]" : "", option->name);
    if (option->kind != OPTION_FLAG)
        append_value(option, text, size);
}

static void append_item(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Items of a note: "(default: 20; one of a, b". */
static void append_item(char *text, size_t size, const char *format, ...)
{
    char item[256];
    va_list args;
    va_start(args, format);
    vsnprintf(item, sizeof item, format, args);
    va_end(args);
    append(text, size, "%s%s", text[0] ? "; " : "(", item);
}

/* A number outside its own range stands for "not given", and is not shown. */
static bool default_shown(const struct option *option, double value)
{
    return (option->low == 0 && option->high == 0) ||
           (value >= option->low && value <= option->high);
}

static void append_default(const struct option *option, const void *field, char *text, size_t size)
{
    const char *string;
    switch (option->kind) {
    case OPTION_FLAG:
        if (option->negatable)
            append_item(text, size, "default: %s", *(const bool *)field ? "on" : "off");
        break;
    case OPTION_STRING:
    case OPTION_CHOICE:
        string = *(const char *const *)field;
        if (string)
            append_item(text, size, "default: %s", string);
        break;
    case OPTION_INT:
        if (default_shown(option, (double)*(const int64_t *)field))
            append_item(text, size, "default: %" PRId64, *(const int64_t *)field);
        break;
    case OPTION_NUMBER:
        if (default_shown(option, *(const double *)field))
            append_item(text, size, "default: %g", *(const double *)field);
        break;
    case OPTION_LIST: {
        const struct option_list *list = field;
        for (size_t i = 0; i < list->count; i++) {
            if (i == 0)
                append_item(text, size, "default: %s", list->items[i]);
            else
                append(text, size, " %s", list->items[i]);
        }
    }
    }
}

void help_option_note(const struct command *command, const struct option *option, char *text,
                      size_t size)
{
    text[0] = '\0';
    if (option->required)
        append_item(text, size, "required");
    if (option->choices && option->metavar) {
        append_item(text, size, "one of ");
        for (const char *c = option->choices; *c; c++)
            append(text, size, *c == ' ' ? ", " : "%c", *c);
    }
    if (command->defaults && !option->required)
        append_default(option, option_field(option, (void *)command->defaults), text, size);
    if (text[0])
        append(text, size, ")");
}

static void usage(FILE *stream, int width, const struct command *command)
{
    char line[1024] = "";
    append(line, sizeof line, "Usage: prony %s", command->name);
    for (const struct option *o = command->options; o && o->name; o++)
        if (o->required) {
            append(line, sizeof line, " --%s", o->name);
            append_value(o, line, sizeof line);
        }
    append(line, sizeof line, " [OPTION...]");
    if (command->positional)
        append(line, sizeof line, " %s", command->positional);
    wrap(stream, width, 0, 7, line);
}

static void print_options(FILE *stream, int width, const struct command *command)
{
    const char *group = NULL;
    bool first = true;
    for (const struct option *o = command->options; o && o->name; o++) {
        if (first || (o->group && (!group || strcmp(o->group, group) != 0))) {
            group = o->group ? o->group : "Options";
            fprintf(stream, "\n%s:\n", group);
        }
        first = false;
        char form[160], term[200], note[512], text[1024];
        help_option_form(o, form, sizeof form);
        help_option_note(command, o, note, sizeof note);
        snprintf(term, sizeof term, "  %s%s", o->letter ? "" : "    ", form);
        snprintf(text, sizeof text, "%s %s", o->help, note);
        entry(stream, width, term, text);
    }
    if (first)
        fprintf(stream, "\nOptions:\n");
    entry(stream, width, "  -h, --help", "this text");
}

bool help_exits_with(const struct command *command, int status)
{
    return status == EXIT_PASS || status == EXIT_ERROR ||
           (status < 32 && command->exits >> status & 1);
}

static void print_exits(FILE *stream, int width, const struct command *command)
{
    fprintf(stream, "\nExit status:\n");
    for (const struct exit_meaning *e = exit_meanings; e->meaning; e++)
        if (!command || help_exits_with(command, e->status)) {
            int column = fprintf(stream, "  %d  ", e->status);
            wrap(stream, width, column, column, e->meaning);
        }
}

/* The commands "GROUP something"; all of them when group is NULL. */
static void list_commands(FILE *stream, int width, const char *group)
{
    size_t length = group ? strlen(group) : 0;
    fprintf(stream, "Commands:\n");
    for (size_t i = 0; commands[i]; i++) {
        const char *name = commands[i]->name;
        if (commands[i]->hidden ||
            (group && (strncmp(name, group, length) != 0 || name[length] != ' ')))
            continue;
        char term[64];
        snprintf(term, sizeof term, "  %s", name);
        entry(stream, width, term, commands[i]->summary);
    }
}

void help_command(FILE *stream, int width, const struct command *command)
{
    usage(stream, width, command);
    fputc('\n', stream);
    wrap(stream, width, 0, 0, command->summary);
    print_options(stream, width, command);
    print_exits(stream, width, command);
    if (command->details) {
        fputc('\n', stream);
        paragraphs(stream, width, command->details);
    }
    if (command_is_group(command->name)) {
        fputc('\n', stream);
        list_commands(stream, width, command->name);
    }
}

void help_commands(FILE *stream, int width, const char *group)
{
    const char *word = group ? group : "", *space = group ? " " : "";
    fprintf(stream, "Usage: prony %s%sCOMMAND [OPTION...]\n", word, space);
    if (!group)
        fprintf(stream, "       prony --model PATH [OPTION...]   talks to a model\n");
    fputc('\n', stream);
    if (!group) {
        wrap(stream, width, 0, 0,
             "Puts LLM inference engines on a dynamometer: which one is faster, by how much, how "
             "sure that is, and how close it comes to what the machine can do.");
        fputc('\n', stream);
    }
    list_commands(stream, width, group);
    fprintf(stream, "\n'prony %s%sCOMMAND --help' tells more about one.\n", word, space);
    if (!group) {
        print_options(stream, width, &command_talk);
        print_exits(stream, width, NULL);
    }
}
