/* One walk over argv, driven by the command's table. A parser of its own rather than getopt or
 * argp: lists of words, --no- forms and suggestions come from the same table as the help. */
#include "cli/command.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"

struct parser {
    const struct command *command;
    int argc, next; /* argv[next] is read next */
    char **argv;
    void *options;
    struct option_list *args;
    uint64_t given; /* bit i: option i was there */
    struct error *err;
};

static enum status see_help(const struct parser *parser)
{
    return error_remedy(parser->err, "See 'prony %s%s--help'.", parser->command->name,
                        parser->command->name[0] ? " " : "");
}

static size_t option_index(const struct parser *parser, const struct option *option)
{
    return (size_t)(option - parser->command->options);
}

/* Something the user cannot have meant as a value: "--x", "-x". Negative numbers, "-" and text
 * such as "- a" are values. */
static bool looks_like_option(const char *word)
{
    return word[0] == '-' && (word[1] == '-' || isalpha((unsigned char)word[1]));
}

static bool choice_taken(const char *choices, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = choices; *at;) {
        size_t span = strcspn(at, " ");
        if (span == length && length > 0 && strncmp(at, word, length) == 0)
            return true;
        at += span + strspn(at + span, " ");
    }
    return false;
}

static enum status check_choice(const struct parser *parser, const struct option *option,
                                const char *word)
{
    if (choice_taken(option->choices, word))
        return STATUS_OK;
    char list[320] = "", choice[64];
    struct suggestion near = {.word = word};
    char best[64] = "";
    for (const char *at = option->choices; *at;) {
        int span = (int)strcspn(at, " ");
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%.*s", used ? ", " : "", span, at);
        snprintf(choice, sizeof choice, "%.*s", span, at);
        suggestion_offer(&near, choice);
        if (near.best == choice) {
            memcpy(best, choice, sizeof best);
            near.best = best;
        }
        at += span;
        at += strspn(at, " ");
    }
    error_set(parser->err, STATUS_USAGE, "--%s takes one of %s; '%s' is none of them", option->name,
              list, word);
    if (best[0])
        return error_remedy(parser->err, "Did you mean '%s'?", best);
    return see_help(parser);
}

/* "from 1 to 10", "of at least 1"; %g would say 1e+06. */
static void range_text(const struct option *option, char *text, size_t size)
{
    text[0] = '\0';
    if (option->low == 0 && option->high == 0)
        return;
    const char *low_form = option->low == rint(option->low) ? "%.0f" : "%g";
    const char *high_form = option->high == rint(option->high) ? "%.0f" : "%g";
    char low[64], high[64];
    snprintf(low, sizeof low, low_form, option->low);
    snprintf(high, sizeof high, high_form, option->high);
    if (isinf(option->high))
        snprintf(text, size, ", at least %s", low);
    else
        snprintf(text, size, " from %s to %s", low, high);
}

static enum status not_a_number(const struct parser *parser, const struct option *option,
                                const char *kind, const char *word)
{
    char range[160];
    range_text(option, range, sizeof range);
    error_set(parser->err, STATUS_USAGE, "--%s takes a %s%s%s%s, not '%s'", option->name, kind,
              option->unit ? " of " : "", option->unit ? option->unit : "", range, word);
    return see_help(parser);
}

static bool in_range(const struct option *option, double value)
{
    return (option->low == 0 && option->high == 0) ||
           (value >= option->low && value <= option->high);
}

static enum status parse_int(const struct parser *parser, const struct option *option,
                             const char *word, int64_t *value)
{
    char *end;
    errno = 0;
    long long number = strtoll(word, &end, 10);
    if (end == word || *end || errno || isspace((unsigned char)word[0]) ||
        !in_range(option, (double)number))
        return not_a_number(parser, option, "whole number", word);
    *value = number;
    return STATUS_OK;
}

static enum status parse_number(const struct parser *parser, const struct option *option,
                                const char *word, double *value)
{
    char *end;
    double number = strtod(word, &end);
    if (end == word || *end || !isfinite(number) || isspace((unsigned char)word[0]) ||
        !in_range(option, number))
        return not_a_number(parser, option, "number", word);
    *value = number;
    return STATUS_OK;
}

/* A list's room is all of argv: no list can be longer. */
static enum status list_add(const struct parser *parser, struct option_list *list, const char *word)
{
    if (!list->items) {
        size_t bytes = ((size_t)parser->argc + 1) * sizeof *list->items;
        list->items = malloc(bytes);
        if (!list->items)
            return error_no_memory(parser->err, bytes);
    }
    list->items[list->count++] = word;
    return STATUS_OK;
}

static enum status list_word(struct parser *parser, const struct option *option, const char *word)
{
    int64_t ignored;
    if (option->choices && check_choice(parser, option, word))
        return parser->err->status;
    if (option->low < option->high && parse_int(parser, option, word, &ignored))
        return parser->err->status;
    struct option_list *list = option_field(option, parser->options);
    uint64_t bit = UINT64_C(1) << option_index(parser, option);
    if (!(parser->given & bit)) /* the default, which is not ours */
        *list = (struct option_list){0};
    parser->given |= bit;
    return list_add(parser, list, word);
}

static enum status needs_value(const struct parser *parser, const struct option *option)
{
    error_set(parser->err, STATUS_USAGE, "--%s needs a value: %s", option->name,
              option->metavar ? option->metavar : option->choices);
    return see_help(parser);
}

static enum status take_list(struct parser *parser, const struct option *option, const char *value)
{
    if (value)
        return list_word(parser, option, value);
    int first = parser->next;
    while (parser->next < parser->argc && !looks_like_option(parser->argv[parser->next]))
        if (list_word(parser, option, parser->argv[parser->next++]))
            return parser->err->status;
    return parser->next > first ? STATUS_OK : needs_value(parser, option);
}

/* value: what follows '=' or a letter, or NULL. */
static enum status take_option(struct parser *parser, const struct option *option,
                               const char *value)
{
    void *field = option_field(option, parser->options);
    if (option->kind == OPTION_LIST)
        return take_list(parser, option, value);
    if (option->kind == OPTION_FLAG) {
        *(bool *)field = true;
    } else {
        if (!value && parser->next < parser->argc && !looks_like_option(parser->argv[parser->next]))
            value = parser->argv[parser->next++];
        if (!value)
            return needs_value(parser, option);
    }
    parser->given |= UINT64_C(1) << option_index(parser, option);
    switch (option->kind) {
    case OPTION_CHOICE:
        if (check_choice(parser, option, value))
            return parser->err->status;
        *(const char **)field = value;
        break;
    case OPTION_STRING:
        *(const char **)field = value;
        break;
    case OPTION_INT:
        return parse_int(parser, option, value, field);
    case OPTION_NUMBER:
        return parse_number(parser, option, value, field);
    case OPTION_FLAG:
    case OPTION_LIST:
        break;
    }
    return STATUS_OK;
}

static enum status unknown_long(const struct parser *parser, const char *name, size_t length)
{
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : sizeof word - 1),
             name);
    struct suggestion near = {.word = word};
    suggestion_offer(&near, "help");
    for (const struct option *o = parser->command->options; o && o->name; o++)
        suggestion_offer(&near, o->name);
    error_set(parser->err, STATUS_USAGE, "there is no option --%s", word);
    if (near.best)
        return error_remedy(parser->err, "Did you mean --%s? See 'prony %s%s--help'.", near.best,
                            parser->command->name, parser->command->name[0] ? " " : "");
    return see_help(parser);
}

static enum status take_long(struct parser *parser, const char *name)
{
    size_t length = strcspn(name, "=");
    const char *value = name[length] ? name + length + 1 : NULL;
    for (const struct option *o = parser->command->options; o && o->name; o++) {
        bool negated = o->negatable && strncmp(name, "no-", 3) == 0 &&
                       strlen(o->name) == length - 3 && strncmp(name + 3, o->name, length - 3) == 0;
        if (!negated && (strlen(o->name) != length || strncmp(name, o->name, length) != 0))
            continue;
        if (value && o->kind == OPTION_FLAG) {
            error_set(parser->err, STATUS_USAGE, "--%.*s takes no value", (int)length, name);
            return see_help(parser);
        }
        if (take_option(parser, o, value))
            return parser->err->status;
        if (negated)
            *(bool *)option_field(o, parser->options) = false;
        return STATUS_OK;
    }
    return unknown_long(parser, name, length);
}

/* -x, -x VALUE, -xVALUE, and flags in one word: -ab. */
static enum status take_letters(struct parser *parser, const char *letters)
{
    for (const char *at = letters; *at; at++) {
        const struct option *o = parser->command->options;
        while (o && o->name && o->letter != *at)
            o++;
        if (!o || !o->name) {
            error_set(parser->err, STATUS_USAGE, "there is no option -%c", *at);
            return see_help(parser);
        }
        if (o->kind != OPTION_FLAG)
            return take_option(parser, o, at[1] ? at + 1 : NULL);
        if (take_option(parser, o, NULL))
            return parser->err->status;
    }
    return STATUS_OK;
}

static enum status check_complete(const struct parser *parser)
{
    const struct command *command = parser->command;
    for (const struct option *o = command->options; o && o->name; o++)
        if (o->required && !(parser->given & UINT64_C(1) << option_index(parser, o))) {
            error_set(parser->err, STATUS_USAGE, "--%s %s is missing", o->name,
                      o->metavar ? o->metavar : "VALUE");
            return see_help(parser);
        }
    if (parser->args->count < command->min_args) {
        error_set(parser->err, STATUS_USAGE, "'prony %s' needs %s", command->name,
                  command->positional);
        return see_help(parser);
    }
    if (parser->args->count > command->max_args) {
        error_set(parser->err, STATUS_USAGE, "'%s' is one argument too many",
                  parser->args->items[command->max_args]);
        return see_help(parser);
    }
    return STATUS_OK;
}

enum status options_parse(const struct command *command, int argc, char **argv, void *options,
                          struct option_list *args, struct error *err)
{
    struct parser parser = {command, argc, 0, argv, options, args, 0, err};
    *args = (struct option_list){0};
    bool only_words = false;
    while (parser.next < argc) {
        const char *word = argv[parser.next++];
        enum status status;
        if (only_words || word[0] != '-' || word[1] == '\0')
            status = list_add(&parser, args, word);
        else if (strcmp(word, "--") == 0) {
            only_words = true;
            continue;
        } else if (word[1] == '-')
            status = take_long(&parser, word + 2);
        else
            status = take_letters(&parser, word + 1);
        if (status)
            return status;
    }
    return check_complete(&parser);
}

void options_free(const struct command *command, void *options, struct option_list *args)
{
    for (const struct option *o = command->options; o && o->name; o++) {
        if (o->kind != OPTION_LIST)
            continue;
        struct option_list *list = option_field(o, options);
        const struct option_list *original =
            command->defaults ? option_field(o, (void *)command->defaults) : NULL;
        if (!original || list->items != original->items)
            free(list->items);
        *list = (struct option_list){0};
    }
    free(args->items);
    *args = (struct option_list){0};
}
