#include "engine/build_script.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "engine/cause.h"
#include "engine/protocol.h"
#include "engine/tool.h"

enum { VARIABLES = 10, LINE = 512, MAX_ANSWER = 1 << 20 };

/* Follows the log of a script that runs. */
struct follower {
    const struct build_script *script;
    FILE *log;
    char doing[160];
    int percent;
    int64_t begin_ns;
};

static void variables_free(char **list)
{
    for (size_t i = 0; i < VARIABLES; i++)
        free(list[i]);
}

/* "NAME=value" each, ended by NULL. */
static enum status variables_make(const struct build_script *script, char **list, struct error *err)
{
    char threads[16];
    const char *sdk = script->engine->sdk;
    const char *const pairs[VARIABLES - 1][2] = {{"PRONY_BUILD_VERSION", script->version},
                                                 {"PRONY_BUILD_OWN", script->own},
                                                 {"PRONY_BUILD_TO", script->to},
                                                 {"PRONY_BUILD_DOWNLOADS", script->downloads},
                                                 {"PRONY_BUILD_OLD", script->old},
                                                 {"PRONY_BUILD_THREADS", threads},
                                                 {"PRONY_BUILD_GPU", script->gpu ? "1" : ""},
                                                 {"PRONY_BUILD_SDK", sdk ? sdk : ""},
                                                 {"TMPDIR", script->scratch}};
    snprintf(threads, sizeof threads, "%u", script->threads);
    memset(list, 0, VARIABLES * sizeof *list);
    for (size_t i = 0; i < VARIABLES - 1; i++)
        if (asprintf(&list[i], "%s=%s", pairs[i][0], pairs[i][1]) < 0) {
            list[i] = NULL;
            variables_free(list);
            return error_no_memory(err, LINE);
        }
    return STATUS_OK;
}

static void line_read(struct follower *follower, const char *line)
{
    int percent;
    if (strncmp(line, "==> ", 4) == 0) {
        protocol_clean(follower->doing, sizeof follower->doing, line + 4, strcspn(line + 4, "\n"));
        follower->percent = -1;
    } else if (sscanf(line, "[%3d%%]", &percent) == 1 && percent >= 0 && percent <= 100) {
        follower->percent = percent;
    }
}

static void follow(void *context)
{
    struct follower *follower = context;
    const struct build_script *script = follower->script;
    char line[LINE], how_far[80];
    double minutes = (double)(clock_now_ns() - follower->begin_ns) / 60e9;
    if (!follower->log)
        follower->log = fopen(script->log_path, "re");
    while (follower->log && fgets(line, sizeof line, follower->log))
        line_read(follower, line);
    if (follower->log)
        clearerr(follower->log);
    if (script->minutes)
        snprintf(how_far, sizeof how_far, "%.0f of about %u minutes", minutes, script->minutes);
    else
        snprintf(how_far, sizeof how_far, "%.0f minutes", minutes);
    script->progress(script->context, follower->doing, follower->percent, how_far);
}

static enum status run(const struct build_script *script, const char *verb,
                       struct follower *follower, struct error *err)
{
    char *variables[VARIABLES], path[PATH_MAX * 2];
    snprintf(path, sizeof path, "%s/%s", script->engine->folder, script->engine->install->build[0]);
    const char *const argv[] = {path, verb, NULL};
    struct tool tool = {.folder = script->scratch,
                        .log_path = script->log_path,
                        .cancel_fd = script->cancel_fd,
                        .watch = follower ? follow : NULL,
                        .context = follower};
    enum status status = variables_make(script, variables, err);
    if (status)
        return status;
    status = tool_run(&tool, argv, (const char *const *)variables, err);
    variables_free(variables);
    return status;
}

enum status build_script_find(const struct build_script *script, char *own, size_t size,
                              struct error *err)
{
    char *answer;
    size_t bytes;
    *own = '\0';
    enum status status = run(script, "find", NULL, err);
    if (!status)
        status = file_read(script->log_path, MAX_ANSWER, &answer, &bytes, err);
    if (status)
        return cause_find(script->log_path, "look for a build of yours", "its script", err);
    for (const char *line = answer; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, "own: ", 5) == 0)
            snprintf(own, size, "%.*s", (int)strcspn(line + 5, "\n"), line + 5);
    }
    free(answer);
    return STATUS_OK;
}

enum status build_script_run(const struct build_script *script, struct error *err)
{
    struct follower follower = {
        .script = script, .doing = "Building", .percent = -1, .begin_ns = clock_now_ns()};
    char doing[160];
    enum status status = run(script, "build", &follower, err);
    if (follower.log)
        fclose(follower.log);
    snprintf(doing, sizeof doing, "build %.60s %.60s", script->engine->base, script->version);
    return status ? cause_find(script->log_path, doing, "its script", err) : STATUS_OK;
}
