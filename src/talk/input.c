#include "talk/input.h"

#include <errno.h>
#include <histedit.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include "base/file.h"

enum { HISTORY_LINES = 1000, LINE_LIMIT_BYTES = 1 << 24 };

struct input {
    int cancel_fd;
    bool interrupted;
    EditLine *editor; /* NULL: not a terminal */
    History *history;
    char history_path[PATH_MAX]; /* "": none */
    char *line;
    size_t bytes, capacity;
};

static char *prompt_text(EditLine *editor)
{
    static char text[] = "> ";
    (void)editor;
    return text;
}

/* One byte; 0 at the end, on an error (errno), or when the user interrupts. Without a signal
 * handler, since signals are blocked and come by cancel_fd. */
static int byte_read(struct input *input, char *byte)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                               {.fd = input->cancel_fd, .events = POLLIN}};
        errno = 0;
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return 0;
        if (fds[1].revents) {
            input->interrupted = true;
            return 0;
        }
        if (!fds[0].revents)
            continue;
        ssize_t got = read(STDIN_FILENO, byte, 1);
        if (got >= 0 || (errno != EINTR && errno != EAGAIN))
            return got == 1;
    }
}

static int character_read(EditLine *editor, wchar_t *character)
{
    struct input *input = NULL;
    mbstate_t state = {0};
    char byte;
    el_get(editor, EL_CLIENTDATA, &input);
    while (byte_read(input, &byte)) {
        size_t used = mbrtowc(character, &byte, 1, &state);
        if (used == 0 || used == 1)
            return 1;
        if (used == (size_t)-1) /* no character: start again at the next byte */
            memset(&state, 0, sizeof state);
    }
    return 0;
}

static void history_open(struct input *input)
{
    HistEvent event;
    struct error ignored;
    char folder[PATH_MAX];
    input->history = history_init();
    if (!input->history)
        return;
    history(input->history, &event, H_SETSIZE, HISTORY_LINES);
    history(input->history, &event, H_SETUNIQUE, 1);
    el_set(input->editor, EL_HIST, history, input->history);
    if (cache_folder(folder, sizeof folder, NULL, &ignored))
        return;
    int length = snprintf(input->history_path, sizeof input->history_path, "%s/history", folder);
    if (length < 0 || (size_t)length >= sizeof input->history_path)
        input->history_path[0] = '\0';
    else if (path_is_file(input->history_path))
        history(input->history, &event, H_LOAD, input->history_path);
}

enum status input_open(struct input **opened, int cancel_fd, struct error *err)
{
    struct input *input = calloc(1, sizeof *input);
    *opened = input;
    if (!input)
        return error_no_memory(err, sizeof *input);
    input->cancel_fd = cancel_fd;
    if (!isatty(STDIN_FILENO))
        return STATUS_OK;
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1) /* a terminal speaks UTF-8, whatever the environment says */
        setlocale(LC_CTYPE, "C.UTF-8");
    /* The prompt and what is typed go to stderr: stdout has answers alone. */
    input->editor = el_init("prony", stdin, stderr, stderr);
    if (!input->editor)
        return error_no_memory(err, sizeof *input);
    el_set(input->editor, EL_CLIENTDATA, input);
    el_set(input->editor, EL_GETCFN, character_read);
    el_set(input->editor, EL_PROMPT, prompt_text);
    el_set(input->editor, EL_EDITOR, "emacs");
    history_open(input);
    return STATUS_OK;
}

static void history_save(struct input *input)
{
    struct file_writer writer = {0};
    struct error ignored;
    HistEvent event;
    if (!input->history_path[0] || file_writer_open(&writer, input->history_path, &ignored))
        return;
    if (fchmod(fileno(writer.stream), S_IRUSR | S_IWUSR) == 0 &&
        history(input->history, &event, H_SAVE_FP, writer.stream) >= 0)
        file_writer_commit(&writer, &ignored);
    file_writer_abort(&writer);
}

void input_close(struct input *input)
{
    if (!input)
        return;
    if (input->history) {
        history_save(input);
        history_end(input->history);
    }
    if (input->editor)
        el_end(input->editor);
    free(input->line);
    free(input);
}

static bool line_room(struct input *input, size_t bytes)
{
    if (bytes <= input->capacity)
        return true;
    size_t capacity = 2 * bytes;
    char *larger = realloc(input->line, capacity);
    if (!larger)
        return false;
    input->line = larger;
    input->capacity = capacity;
    return true;
}

static enum input_result edited_line(struct input *input, const char **line, struct error *err)
{
    int count = 0;
    HistEvent event;
    /* Before the prompt shows: libedit would leave the line discipline in charge until after it,
     * and a Ctrl-D typed between the two would be lost. */
    el_set(input->editor, EL_PREP_TERM, 1);
    const char *text = el_gets(input->editor, &count);
    if (input->interrupted)
        return INPUT_INTERRUPTED;
    if (!text || count <= 0)
        return INPUT_END;
    size_t bytes = strcspn(text, "\r\n");
    if (!line_room(input, bytes + 1)) {
        error_no_memory(err, bytes);
        return INPUT_FAILED;
    }
    memcpy(input->line, text, bytes);
    input->line[bytes] = '\0';
    if (bytes > 0 && input->history)
        history(input->history, &event, H_ENTER, input->line);
    *line = input->line;
    return INPUT_LINE;
}

enum input_result input_line(struct input *input, const char **line, struct error *err)
{
    char byte = 0;
    input->interrupted = false;
    if (input->editor)
        return edited_line(input, line, err);
    input->bytes = 0;
    while (byte_read(input, &byte) && byte != '\n') {
        if (input->bytes >= LINE_LIMIT_BYTES) {
            error_set(err, STATUS_FORMAT, "a line of standard input is longer than 16 MiB");
            return INPUT_FAILED;
        }
        if (!line_room(input, input->bytes + 2)) {
            error_no_memory(err, input->bytes);
            return INPUT_FAILED;
        }
        if (byte != '\0') /* nothing that a question could contain */
            input->line[input->bytes++] = byte;
        input->line[input->bytes] = '\0';
        byte = 0;
    }
    if (input->interrupted)
        return INPUT_INTERRUPTED;
    if (input->bytes == 0 && byte != '\n')
        return INPUT_END;
    if (!line_room(input, input->bytes + 1)) {
        error_no_memory(err, 1);
        return INPUT_FAILED;
    }
    input->line[input->bytes] = '\0';
    *line = input->line;
    return INPUT_LINE;
}
