/* The list of commands, in the order in which --help shows them. */
#include "cli/command.h"

#include <string.h>

#include "base/suggest.h"

extern const struct command command_bench;
extern const struct command command_compare;
extern const struct command command_documentation;
extern const struct command command_engines;
extern const struct command command_engines_check;
extern const struct command command_engines_doctor;
extern const struct command command_engines_install;
extern const struct command command_engines_run;
extern const struct command command_engines_uninstall;
extern const struct command command_gate;
extern const struct command command_model_convert;
extern const struct command command_model_get;
extern const struct command command_model_inspect;
extern const struct command command_model_list;
extern const struct command command_model_make;
extern const struct command command_model_plan;
extern const struct command command_model_rm;
extern const struct command command_model_tokenize;
extern const struct command command_model_verify;
extern const struct command command_report;
extern const struct command command_results_export;
extern const struct command command_results_import;
extern const struct command command_results_list;
extern const struct command command_results_rm;
extern const struct command command_results_show;

/* One a line: */
/* clang-format off */
const struct command *const commands[] = {
    &command_bench,
    &command_report,
    &command_compare,
    &command_gate,
    &command_results_list,
    &command_results_show,
    &command_results_export,
    &command_results_import,
    &command_results_rm,
    &command_engines,
    &command_engines_install,
    &command_engines_uninstall,
    &command_engines_doctor,
    &command_engines_check,
    &command_engines_run,
    &command_model_get,
    &command_model_list,
    &command_model_rm,
    &command_model_make,
    &command_model_convert,
    &command_model_inspect,
    &command_model_verify,
    &command_model_plan,
    &command_model_tokenize,
    &command_documentation,
    NULL,
};
/* clang-format on */

static size_t first_word_length(const char *name)
{
    return strcspn(name, " ");
}

bool command_is_group(const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; commands[i]; i++) {
        const char *name = commands[i]->name;
        if (name[first_word_length(name)] == ' ' && first_word_length(name) == length &&
            strncmp(name, word, length) == 0)
            return true;
    }
    return false;
}

/* Whether argv starts with the command's words; how many those are. */
static int words_matched(const struct command *command, int argc, char **argv)
{
    size_t length = first_word_length(command->name);
    if (argc < 1 || strlen(argv[0]) != length || strncmp(argv[0], command->name, length) != 0)
        return 0;
    if (command->name[length] == '\0')
        return 1;
    return argc >= 2 && strcmp(argv[1], command->name + length + 1) == 0 ? 2 : 0;
}

static void not_found(int argc, char **argv, struct error *err)
{
    bool group = command_is_group(argv[0]);
    if (group && argc < 2) {
        error_set(err, STATUS_USAGE, "'prony %s' is several commands", argv[0]);
        error_remedy(err, "'prony %s --help' lists them.", argv[0]);
        return;
    }
    char wrong[64];
    snprintf(wrong, sizeof wrong, group ? "%s %s" : "%s", argv[0], group ? argv[1] : "");
    struct suggestion near = {.word = wrong};
    for (size_t i = 0; commands[i]; i++)
        if (!commands[i]->hidden)
            suggestion_offer(&near, commands[i]->name);
    error_set(err, STATUS_USAGE, "there is no command '%s'", wrong);
    if (near.best)
        error_remedy(err, "Did you mean 'prony %s'? 'prony --help' lists the commands.", near.best);
    else
        error_remedy(err, "'prony --help' lists the commands.");
}

const struct command *command_find(int argc, char **argv, int *words, struct error *err)
{
    const struct command *found = NULL;
    *words = 0;
    for (size_t i = 0; commands[i]; i++) {
        int matched = words_matched(commands[i], argc, argv);
        if (matched > *words) {
            *words = matched;
            found = commands[i];
        }
    }
    if (!found)
        not_found(argc, argv, err);
    return found;
}
