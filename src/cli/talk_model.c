#include "cli/talk_model.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/model_fetch.h"

/* What can only be a path, whatever a hub might have. */
static bool is_path(const char *text)
{
    return text[0] == '/' || text[0] == '.' || text[0] == '~' ||
           (hub_path_is_gguf(text) && !strchr(text, ':')) || text[strlen(text) - 1] == '/';
}

static enum status no_such_path(const char *text, struct error *err)
{
    error_set(err, STATUS_NOT_FOUND, "there is no file or folder %s", text);
    return error_remedy(err, "Give the path of a GGUF file, or of a folder with a model; 'prony "
                             "model get llama3-1b' downloads one.");
}

/* Keeps what hub_name_parse advised. */
static enum status no_such_name(const char *text, struct error *err)
{
    char remedy[sizeof err->remedy];
    snprintf(remedy, sizeof remedy, "%s", err->remedy);
    error_set(err, STATUS_NOT_FOUND, "there is no file or folder %s, nor a model of that name",
              text);
    return error_remedy(err, "%s", remedy);
}

static enum status not_here(const char *text, struct error *err)
{
    error_set(err, STATUS_NOT_FOUND, "there is no model %s on this machine", text);
    return error_remedy(err, "Run: prony model get %s", text);
}

/* One line of the terminal, read byte by byte: what is typed behind it is not for us. */
static bool says_yes(void)
{
    char first = '\0', byte = '\0';
    bool any = false;
    while (read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n') {
        first = any ? first : byte;
        any = any || byte != ' ';
    }
    return byte == '\n' && (!any || first == 'y' || first == 'Y');
}

/* Tells a person what a download takes, and asks. *agreed is false after a no. */
static enum status offer(const struct hub_name *name, const char *text, bool *agreed,
                         struct error *err)
{
    struct hub_need need;
    fprintf(stderr, "There is no model %s on this machine. Asking the hub for %s.\n", text,
            name->repo);
    if (model_fetch_need(name, &need, err))
        return err->status;
    if (need.missing_bytes < need.total_bytes)
        fprintf(stderr, "Of its %.2f GB %.2f GB are here already.\n",
                (double)need.total_bytes / 1e9,
                (double)(need.total_bytes - need.missing_bytes) / 1e9);
    fprintf(stderr, "Download %.2f GB to %s, where %.2f GB are free (prony model get %s)? [Y/n] ",
            (double)need.missing_bytes / 1e9, need.folder, (double)need.free_bytes / 1e9, text);
    fflush(stderr);
    *agreed = says_yes();
    return STATUS_OK;
}

enum status talk_model_find(const char *text, bool download, char path[PATH_MAX], struct error *err)
{
    struct hub_name name;
    bool attended = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    if (!*text)
        return error_set(err, STATUS_USAGE, "--model is empty");
    if (access(text, F_OK) == 0) {
        if (snprintf(path, PATH_MAX, "%s", text) < PATH_MAX)
            return STATUS_OK;
        return error_set(err, STATUS_USAGE, "the path of the model is too long");
    }
    if (is_path(text))
        return no_such_path(text, err);
    if (hub_name_parse(&name, text, err))
        return no_such_name(text, err);
    enum status status = hub_find(&name, path, err);
    if (status != STATUS_NOT_FOUND)
        return status;
    if (!download && attended && offer(&name, text, &download, err))
        return err->status;
    return download ? model_fetch(&name, MODEL_FETCH_RETRIES, MODEL_FETCH_STALL_S, path, err)
                    : not_here(text, err);
}
