/* prony engines install and uninstall: what engines stand on, in environments of their own. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cancel.h"
#include "cli/command.h"
#include "cli/engine_named.h"
#include "engine/install.h"
#include "engine/presence.h"
#include "engine/uninstall.h"
#include "machine/gpu.h"

struct install_options {
    const char *python, *own;
    int64_t threads;
};

static const struct option install_options[] = {
    {.name = "python",
     .kind = OPTION_STRING,
     .metavar = "INTERPRETER",
     .help = "Use this interpreter, with what is installed for it; nothing is put into it.",
     .offset = offsetof(struct install_options, python)},
    {.name = "own",
     .kind = OPTION_STRING,
     .metavar = "PATH",
     .help = "Use this build of yours; the engine's page says what PATH names.",
     .offset = offsetof(struct install_options, own)},
    {.name = "threads",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1024,
     .unit = "compilers",
     .help = "How many compilers run at a time; otherwise as many as there are processors.",
     .offset = offsetof(struct install_options, threads)},
    {0},
};

/* What is told while it goes on: whole lines, and on a terminal one that is repainted. */
struct show {
    const char *name;
    bool terminal, painted;
    char doing[160];
    int tens; /* of percent that were told */
};

static void paint_end(struct show *show)
{
    if (show->painted)
        fputs("\r\033[K", stderr);
    show->painted = false;
}

static void say(void *context, const char *line)
{
    struct show *show = context;
    paint_end(show);
    fprintf(stderr, "%s: %s\n", show->name, line);
}

static void progress(void *context, const char *doing, int percent, const char *how_far)
{
    struct show *show = context;
    char share[16] = "";
    if (percent >= 0)
        snprintf(share, sizeof share, ", %d %%", percent);
    if (show->terminal) {
        fprintf(stderr, "\r\033[K%s: %s%s; %s", show->name, doing, share, how_far);
        fflush(stderr);
        show->painted = true;
    } else if (strcmp(show->doing, doing) != 0 || percent / 10 > show->tens) {
        snprintf(show->doing, sizeof show->doing, "%s", doing);
        show->tens = percent / 10;
        fprintf(stderr, "%s: %s%s\n", show->name, doing, share);
    }
}

/* The engine is installed; variants of it may still lack a program of the system. */
static void programs_tell(const struct engine *engine, const char *name)
{
    const struct engine_program *program;
    for (size_t i = 0; (program = engine_missing_program(engine, NEEDED_TO_RUN, &i));)
        fprintf(stderr, "%s: %s is missing: %s. Run: apt-get install %s\n", name, program->name,
                program->reason, program->package);
}

/* What both commands do with each of their arguments. */
struct task {
    const struct install_options *options;
    bool gpu;
    int cancel_fd;
    struct show show;
};

static enum status install(struct task *task, const struct engine *engine, const char *version,
                           struct error *err)
{
    struct install_request request = {.version = version,
                                      .python = task->options->python,
                                      .own = task->options->own,
                                      .threads = (unsigned)task->options->threads,
                                      .gpu = task->gpu,
                                      .cancel_fd = task->cancel_fd,
                                      .say = say,
                                      .progress = progress,
                                      .context = &task->show};
    enum status status = engine_install(engine, &request, err);
    paint_end(&task->show);
    if (status)
        return status;
    programs_tell(engine, task->show.name);
    printf("%s is installed.\n", task->show.name);
    return STATUS_OK;
}

static void say_waiting(void *context)
{
    say(context, "Another process is installing it; waiting.");
}

static enum status uninstall(struct task *task, const struct engine *engine, const char *version,
                             struct error *err)
{
    uint64_t bytes;
    enum status status =
        engine_uninstall(engine, version, task->cancel_fd, say_waiting, &task->show, &bytes, err);
    if (!status)
        printf("%s is gone: %.1f MB freed.\n", task->show.name, (double)bytes / 1e6);
    return status;
}

static int each(const struct option_list *args, struct task *task,
                enum status (*act)(struct task *task, const struct engine *engine,
                                   const char *version, struct error *err))
{
    struct engine_catalogue catalogue;
    struct error err;
    int result = EXIT_PASS;
    task->show.terminal = isatty(STDERR_FILENO);
    if (cancel_open(&task->cancel_fd, &err) || engine_catalogue_open(&catalogue, &err)) {
        error_print(&err, stderr);
        return EXIT_ERROR;
    }
    for (size_t i = 0; i < args->count && result != EXIT_INTERRUPTED; i++) {
        const char *version;
        const struct engine *engine =
            engine_named_version(&catalogue, args->items[i], &version, &err);
        task->show.name = args->items[i];
        enum status status = engine ? act(task, engine, version, &err) : err.status;
        if (status)
            error_print(&err, stderr);
        if (status)
            result = status == STATUS_INTERRUPTED ? EXIT_INTERRUPTED : EXIT_ERROR;
    }
    engine_catalogue_close(&catalogue);
    close(task->cancel_fd);
    return result;
}

static int install_run(const void *given, const struct option_list *args)
{
    struct task task = {.options = given};
    struct error err;
    struct gpu gpu;
    if ((task.options->python || task.options->own) && args->count > 1) {
        error_set(&err, STATUS_USAGE, "%s is for one engine at a time",
                  task.options->python ? "--python" : "--own");
        error_print(&err, stderr);
        return EXIT_ERROR;
    }
    task.gpu = gpu_check("cuda", &gpu, &err) == STATUS_OK;
    return each(args, &task, install);
}

const struct command command_engines_install = {
    .name = "engines install",
    .summary = "Installs what engines stand on, in environments of their own.",
    .positional = "NAME[@VERSION]...",
    .min_args = 1,
    .max_args = 64,
    .options = install_options,
    .options_bytes = sizeof(struct install_options),
    .details =
        "Each engine and version gets an environment in Prony's cache folder; your own are not "
        "touched. Packages are pinned, checked by their hashes, and come from where your pip gets "
        "them. An installation that was cut goes on when the command is given again, and one that "
        "does not work any more is made anew.\n\n"
        "With --python nothing is installed: that interpreter is used as it is, for NAME, or for "
        "NAME@WORD with a word of yours.\n\n"
        "An engine that is not a Python library is built, for this processor; what that takes is "
        "told first. A build of yours that is found is taken instead, unless a version is named; "
        "--own names one.\n\n"
        "Examples:\n\n"
        "  prony engines install pytorch\n"
        "  prony engines install tinygrad@0.13.0 tinygrad@0.14.0\n"
        "  prony engines install llamacpp --own /usr/local\n"
        "  prony engines install pytorch@nightly --python ~/nightly/bin/python",
    .exits = 1u << EXIT_PASS,
    .run = install_run,
};

static int uninstall_run(const void *given, const struct option_list *args)
{
    struct task task = {0};
    (void)given;
    return each(args, &task, uninstall);
}

const struct command command_engines_uninstall = {
    .name = "engines uninstall",
    .summary = "Removes what engines stand on, with their compile caches.",
    .positional = "NAME[@VERSION]...",
    .min_args = 1,
    .max_args = 64,
    .details = "NAME alone removes all of its versions, and what cut installations left. An "
               "interpreter of yours is only forgotten.",
    .exits = 1u << EXIT_PASS,
    .run = uninstall_run,
};
