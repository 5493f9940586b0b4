/* prony report: the table, the analysis and the files of a run that the store holds. */
#include "base/file.h"
#include "bench/summary.h"
#include "cli/command.h"
#include "cli/run_number.h"
#include "report/report.h"
#include "store/store.h"

struct report_command {
    struct option_list outputs;
    const char *html, *store;
    bool wide;
};

static const struct option report_options_table[] = {
    {.name = "output",
     .letter = 'o',
     .kind = OPTION_LIST,
     .metavar = "FILE",
     .help = "Write these files as well; .json, .csv, .samples.csv, .points.csv, .md or .html says "
             "in which form.",
     .offset = offsetof(struct report_command, outputs)},
    {.name = "html",
     .kind = OPTION_STRING,
     .metavar = "FILE",
     .help = "Write a page with charts that needs nothing else, whatever its name ends in.",
     .offset = offsetof(struct report_command, html)},
    {.name = "wide",
     .kind = OPTION_FLAG,
     .help = "Show every metric with its interval.",
     .offset = offsetof(struct report_command, wide)},
    {.name = "store",
     .kind = OPTION_STRING,
     .metavar = "PATH",
     .help = "Read this store instead of the user's own.",
     .offset = offsetof(struct report_command, store)},
    {.name = NULL},
};

/* The run's number; 0, the newest, when none is given. */
static enum status run_parse(const struct option_list *args, int64_t *run, struct error *err)
{
    *run = 0;
    if (args->count == 0)
        return STATUS_OK;
    return run_number_parse(args->items[0], run, err);
}

static enum status print(const struct summary *summary, bool wide, struct error *err)
{
    struct report_options options = report_options_for(stdout, wide);
    enum status status = report_print(summary, &options, stdout, err);
    if (!status && (fflush(stdout) || ferror(stdout)))
        status = error_errno(err, "write to standard output");
    return status;
}

static enum status report(const struct report_command *options, const struct option_list *args,
                          struct error *err)
{
    struct store *store = NULL;
    struct arena arena = {0};
    struct record_run record;
    struct summary summary = {0};
    int64_t number;
    enum status status = run_parse(args, &number, err);
    for (size_t i = 0; i < options->outputs.count && !status; i++)
        status = report_check_file(options->outputs.items[i], err);
    if (!status && options->html)
        status = report_check_place(options->html, err);
    if (!status)
        status = store_open_read(&store, options->store, err);
    if (!status)
        status = store_run_load(store, number, &record, &arena, err);
    if (!status)
        status = summary_make(&summary, &record, err);
    for (size_t i = 0; i < options->outputs.count && !status; i++)
        status = report_write_file(options->outputs.items[i], &summary, err);
    if (!status && options->html)
        status = report_write_form(&report_html, options->html, &summary, err);
    if (!status)
        status = print(&summary, options->wide, err);
    summary_free(&summary);
    store_close(store);
    arena_free(&arena);
    return status;
}

static int run(const void *options, const struct option_list *args)
{
    struct error err;
    if (report(options, args, &err) == STATUS_OK)
        return EXIT_PASS;
    return command_fail(&err);
}

const struct command command_report = {
    .name = "report",
    .summary = "Prints a stored run again, and writes it as a page, JSON, CSV or Markdown.",
    .positional = "[RUN]",
    .max_args = 1,
    .options = report_options_table,
    .options_bytes = sizeof(struct report_command),
    .details = "RUN is the number that the run's report begins with; the newest run is taken when "
               "it is left out.\n"
               "\n"
               "  prony report\n"
               "  prony report 7 --wide\n"
               "  prony report 7 --html run.html\n"
               "  prony report 7 --output run.json run.samples.csv\n",
    .run = run,
};
