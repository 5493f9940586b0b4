#include "engine/surroundings.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

void surroundings_free(struct surroundings *around)
{
    free(around->python_path);
    free(around->bytecode);
    free(around->cache);
    free(around->scratch);
}

static const char scratch_name[] = "PRONY_ENGINE_SCRATCH=";

const char *surroundings_scratch(const struct surroundings *around)
{
    return around->scratch ? around->scratch + sizeof scratch_name - 1 : NULL;
}

static enum status scratch_make(struct surroundings *around, struct error *err)
{
    const char *folder = getenv("TMPDIR");
    char *text = NULL;
    if (asprintf(&text, "%s%s/prony-scratch-XXXXXX", scratch_name,
                 folder && *folder == '/' ? folder : "/tmp") < 0)
        return error_no_memory(err, PATH_MAX);
    if (!mkdtemp(text + sizeof scratch_name - 1)) {
        error_errno(err, "create a temporary folder for a worker");
        free(text);
        return error_remedy(err, "Set TMPDIR to a folder that may be written and has room.");
    }
    around->scratch = text;
    return STATUS_OK;
}

enum status surroundings_make(struct surroundings *around, const struct engine *engine,
                              struct error *err)
{
    const char *old = engine->own_python ? NULL : getenv("PYTHONPATH");
    size_t count = 0;
    *around = (struct surroundings){0};
    /* Python's output must be in the log when the process is killed; unbuffered, it is. */
    around->list[count++] = "PYTHONUNBUFFERED=1";
    /* Where bytecode is not kept every process compiles all of a library: of vLLM 14 s. */
    if (engine->own_python || engine->bytecode)
        around->list[count++] = "PYTHONDONTWRITEBYTECODE";
    if (engine->bytecode) {
        if (asprintf(&around->bytecode, "PYTHONPYCACHEPREFIX=%s", engine->bytecode) < 0)
            return error_no_memory(err, strlen(engine->bytecode));
        around->list[count++] = around->bytecode;
    }
    if (engine->own_python) {
        around->list[count++] = "PYTHONPYCACHEPREFIX";
        around->list[count++] = "PYTHONHOME";
        around->list[count++] = "PYTHONSAFEPATH"; /* the worker's own modules lie beside it */
        around->list[count++] = "PYTHONNOUSERSITE=1";
    }
    if (engine->sdk || engine->own_python) {
        const char *sdk = engine->sdk ? engine->sdk : "", *colon = old && *old ? ":" : "";
        if (asprintf(&around->python_path, "PYTHONPATH=%s%s%s", sdk, colon, old ? old : "") < 0)
            return error_no_memory(err, strlen(sdk));
        around->list[count++] = around->python_path;
    }
    struct error no_folder = {0};
    if (engine->cache && !folder_make(engine->cache, &no_folder)) {
        if (asprintf(&around->cache, "PRONY_ENGINE_CACHE=%s", engine->cache) < 0)
            return error_no_memory(err, strlen(engine->cache));
        around->list[count++] = around->cache;
    } else if (engine->install) {
        *err = no_folder;
        return error_remedy(err, "Set PRONY_CACHE to a folder that may be written.");
    }
    enum status status = scratch_make(around, err);
    around->list[count] = around->scratch;
    return status;
}

/* One word of the command, with what stands for {python} and {built}. */
static void word_write(char *text, size_t size, const struct engine *engine, const char *word)
{
    const char *built = strstr(word, "{built}");
    if (strcmp(word, "{python}") == 0)
        snprintf(text, size, "%s", engine->python);
    else if (built)
        snprintf(text, size, "%.*s%s%s", (int)(built - word), word, engine->built,
                 built + strlen("{built}"));
    else
        snprintf(text, size, "%s", word);
}

const char **surroundings_command(const struct engine *engine)
{
    size_t count = 0, room = 1;
    size_t more = strlen(engine->python ? engine->python : "") +
                  strlen(engine->built ? engine->built : "") + 1;
    for (; engine->command[count]; count++)
        room += strlen(engine->command[count]) + more;
    /* One block: the list, then its words. */
    const char **argv = malloc((count + 1) * sizeof *argv + room);
    char *text = argv ? (char *)(argv + count + 1) : NULL;
    for (size_t i = 0; i < count && argv; i++) {
        const char *word = engine->command[i];
        word_write(text, strlen(word) + more, engine, word);
        argv[i] = text;
        text += strlen(text) + 1;
    }
    if (argv)
        argv[count] = NULL;
    return argv;
}
