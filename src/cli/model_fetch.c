#include "cli/model_fetch.h"

#include <stdio.h>

#include "cli/model_progress.h"

/* The line on the terminal, at most ten times a second, and the rate of what came now. */
struct line {
    struct model_progress progress;
    struct weight_progress report;
};

static bool line_report(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct line *line = context;
    if (total_bytes > 0 && !line->progress.line.resumed_bytes && done_bytes > 0)
        line->progress.line.resumed_bytes = done_bytes;
    return line->report.report(line->report.context, done_bytes, total_bytes);
}

static void line_note(void *context, const char *text)
{
    struct line *line = context;
    work_line_clear(&line->progress.line);
    fprintf(stderr, "%s\n", text);
}

static enum status options_fill(struct hub_options *hub, struct line *line, unsigned retries,
                                unsigned stall_s, struct error *err)
{
    *hub = (struct hub_options){.retries = retries,
                                .stall_s = stall_s,
                                .report = line_report,
                                .note = line_note,
                                .context = line};
    if (hub_options_environment(hub, err))
        return err->status;
    line->report = model_progress_start(&line->progress, "Fetching");
    return STATUS_OK;
}

enum status model_fetch(const struct hub_name *name, unsigned retries, unsigned stall_s,
                        char path[PATH_MAX], struct error *err)
{
    struct line line;
    struct hub_options hub;
    uint64_t bytes = 0, fetched = 0;
    if (options_fill(&hub, &line, retries, stall_s, err))
        return err->status;
    enum status status = hub_get(name, &hub, path, &bytes, &fetched, err);
    model_progress_end(&line.progress);
    if (!status && !hub.offline)
        fprintf(stderr, "%.1f MB, of which %.1f MB were fetched now; hashes agree with the hub's\n",
                (double)bytes / 1e6, (double)fetched / 1e6);
    return status;
}

enum status model_fetch_need(const struct hub_name *name, struct hub_need *need, struct error *err)
{
    struct line line;
    struct hub_options hub;
    if (options_fill(&hub, &line, 1, MODEL_FETCH_STALL_S, err))
        return err->status;
    enum status status = hub_need(name, &hub, need, err);
    model_progress_end(&line.progress);
    return status;
}
