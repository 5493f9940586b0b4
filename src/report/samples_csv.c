/* One row for each token of the timed generations, as it arrived. */
#include <inttypes.h>

#include "report/csv.h"
#include "report/facts.h"
#include "report/report.h"

static void process_rows(FILE *stream, struct arena *arena, const struct summary *summary,
                         const struct record_process *process, const struct run_facts *facts)
{
    const struct record_run *run = summary->run;
    int64_t before_ns = process->prompt_ns;
    for (size_t i = 0; i < process->token_count; i++) {
        int64_t stamp_ns = process->stamps_ns[i];
        fprintf(stream, "%" PRId64 ",", run->id);
        csv_text(stream, arena, run->variants[process->variant].name);
        /* The first token ends the prompt; the warm-up's steps follow it. */
        fprintf(stream, ",%" PRIu32 ",%" PRIu32 ",%zu,%" PRId32 ",%d,%" PRId64 ",%" PRId64 "",
                process->block, process->position, i, process->ids[i], i > process->warmup_steps,
                stamp_ns - process->prompt_ns, stamp_ns - before_ns);
        csv_trust(stream, facts, &summary->variants[process->variant]);
        fputc('\n', stream);
        before_ns = stamp_ns;
    }
}

static enum status samples_write(const struct summary *summary,
                                 const struct report_options *options, FILE *stream,
                                 struct error *err)
{
    (void)options;
    const struct record_run *run = summary->run;
    struct arena arena = {0};
    struct run_facts facts;
    enum status status = run_facts_make(&facts, run, &arena, err);
    fputs(
        "run,framework,block,position,token,id,counted,since_prompt_ns,since_previous_ns" CSV_TRUST
        "\n",
        stream);
    for (size_t i = 0; i < run->process_count && !status; i++)
        process_rows(stream, &arena, summary, &run->processes[i], &facts);
    arena_free(&arena);
    return !status && ferror(stream) ? error_errno(err, "write the CSV") : status;
}

const struct report_form report_samples_csv = {
    .name = "samples.csv",
    .extension = ".samples.csv",
    .about = "a row for each token of every process",
    .write = samples_write,
};
