#include "report/report.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"
#include "report/facts.h"
#include "report/text.h"

enum { DEFAULT_WIDTH = 80, WIDEST = 10000 };

/* An extension that ends another comes after it. */
static const struct report_form *const file_forms[] = {&report_json,       &report_samples_csv,
                                                       &report_points_csv, &report_csv,
                                                       &report_markdown,   &report_html};
enum { FILE_FORMS = sizeof file_forms / sizeof file_forms[0] };

enum status report_form_for(const char *path, const struct report_form **form, struct error *err)
{
    char known[128] = "";
    size_t length = strlen(path), used = 0;
    for (size_t i = 0; i < FILE_FORMS; i++) {
        const char *extension = file_forms[i]->extension;
        size_t own = strlen(extension);
        if (length > own && strcmp(path + length - own, extension) == 0) {
            *form = file_forms[i];
            return STATUS_OK;
        }
        if (used < sizeof known)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s",
                                     i == 0                ? ""
                                     : i + 1 == FILE_FORMS ? " or "
                                                           : ", ",
                                     extension);
    }
    error_set(err, STATUS_USAGE, "no report has the form that this file name asks for");
    error_where(err, "%s", path);
    return error_remedy(err, "Let the name end in %s.", known);
}

static unsigned columns_of(FILE *stream)
{
    struct winsize size;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    const char *columns = getenv("COLUMNS");
    unsigned long width = columns ? strtoul(columns, NULL, 10) : 0;
    return width > 0 && width <= WIDEST ? (unsigned)width : DEFAULT_WIDTH;
}

struct report_options report_options_for(FILE *stream, bool wide)
{
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");
    bool colour = isatty(fileno(stream)) && !(no_colour && *no_colour) && terminal &&
                  strcmp(terminal, "dumb") != 0;
    return (struct report_options){.width = columns_of(stream), .colour = colour, .wide = wide};
}

static enum status put_caption(const struct summary *summary, const struct report_options *options,
                               FILE *stream, struct error *err)
{
    struct arena arena = {0};
    struct run_facts facts;
    enum status status = run_facts_make(&facts, summary->run, &arena, err);
    const char *text = status ? NULL : run_caption(&facts, summary, &arena);
    if (text)
        text_wrap(stream, text, 0, 2, options->width ? options->width : DEFAULT_WIDTH);
    else if (!status)
        status = error_no_memory(err, sizeof facts);
    arena_free(&arena);
    return status;
}

enum status report_print(const struct summary *summary, const struct report_options *options,
                         FILE *stream, struct error *err)
{
    enum status status = put_caption(summary, options, stream, err);
    if (status)
        return status;
    fputc('\n', stream);
    status = report_table.write(summary, options, stream, err);
    if (status)
        return status;
    fputc('\n', stream);
    return report_analysis.write(summary, options, stream, err);
}

enum status report_check_file(const char *path, struct error *err)
{
    const struct report_form *form;
    enum status status = report_form_for(path, &form, err);
    return status ? status : report_check_place(path, err);
}

enum status report_check_place(const char *path, struct error *err)
{
    struct file_writer writer = {0};
    enum status status = file_writer_open(&writer, path, err);
    file_writer_abort(&writer);
    return status;
}

enum status report_write_file(const char *path, const struct summary *summary, struct error *err)
{
    const struct report_form *form;
    enum status status = report_form_for(path, &form, err);
    return status ? status : report_write_form(form, path, summary, err);
}

enum status report_write_form(const struct report_form *form, const char *path,
                              const struct summary *summary, struct error *err)
{
    const struct report_options options = {.width = DEFAULT_WIDTH, .wide = true};
    struct file_writer writer = {0};
    enum status status = file_writer_open(&writer, path, err);
    if (!status)
        status = form->write(summary, &options, writer.stream, err);
    if (!status)
        status = file_writer_commit(&writer, err);
    file_writer_abort(&writer);
    return status;
}
