#include "talk/input.h"

#include <errno.h>
#include <histedit.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include "base/file.h"

enum { HISTORY_LINES = 1000, LINE_LIMIT_BYTES = 1 << 24 };

/* What a terminal puts around pasted text, once it is asked to. */
#define PASTE_ASK "\033[?2004h"
#define PASTE_ASK_NO_MORE "\033[?2004l"
#define PASTE_END "\033[201~"

struct input {
    int cancel_fd, resize_fd; /* resize_fd: a signalfd, -1: none */
    int columns;              /* of the terminal */
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

/* Rows of the terminal between the start of what is edited and the cursor, after a resize: each row
 * that libedit had made is a line to the terminal, which wraps it anew. */
static int rows_above(EditLine *editor, int old_columns, int columns)
{
    const LineInfoW *line = el_wline(editor);
    int row = 0, column = (int)strlen(prompt_text(editor));
    for (const wchar_t *c = line->buffer; c < line->cursor; c++) {
        int width = *c == L'\n' ? 0 : wcwidth(*c);
        if (*c == L'\n' || column + width > old_columns) {
            row += column > 0 ? (column + columns - 1) / columns : 1;
            column = 0;
        }
        column += width > 0 ? width : 0;
    }
    return row + column / columns;
}

/* The terminal has another size, and has laid out its rows again for it: so is what is edited. */
static void resize(struct input *input)
{
    struct signalfd_siginfo info;
    struct winsize size = {0};
    while (read(input->resize_fd, &info, sizeof info) == sizeof info)
        ;
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return;
    int rows = rows_above(input->editor, input->columns, size.ws_col);
    input->columns = size.ws_col;
    fputc('\r', stderr);
    if (rows > 0)
        fprintf(stderr, "\033[%dA", rows);
    fputs("\033[J", stderr);
    el_resize(input->editor);
    el_set(input->editor, EL_REFRESH);
}

/* One byte; 0 at the end, on an error (errno), or when the user interrupts. Without a signal
 * handler, since signals are blocked and come by cancel_fd. */
static int byte_read(struct input *input, char *byte)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                               {.fd = input->cancel_fd, .events = POLLIN},
                               {.fd = input->resize_fd, .events = POLLIN}};
        errno = 0;
        if (poll(fds, 3, -1) < 0 && errno != EINTR)
            return 0;
        if (fds[2].revents)
            resize(input);
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

/* Room for more of input->line; false when there is no memory. */
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

/* Takes pasted text up to its end as part of the line: line ends in it send nothing. Other control
 * characters are left out. */
static unsigned char paste(EditLine *editor, int key)
{
    struct input *input = NULL;
    const size_t end = strlen(PASTE_END);
    size_t matched = 0, bytes = 0;
    char byte;
    (void)key;
    el_get(editor, EL_CLIENTDATA, &input);
    while (matched < end && byte_read(input, &byte)) {
        matched = byte == PASTE_END[matched] ? matched + 1 : byte == PASTE_END[0];
        if (matched == end || !line_room(input, bytes + 2))
            break;
        if ((unsigned char)byte >= ' ' || byte == '\n' || byte == '\t')
            input->line[bytes++] = byte;
        else if (byte == '\r') /* what terminals send for a line end */
            input->line[bytes++] = '\n';
    }
    bytes -= matched == end ? end - 2 : 0; /* what was taken of its end; ESC and ~ were not */
    if (bytes == 0)
        return CC_REFRESH;
    input->line[bytes] = '\0';
    return el_insertstr(editor, input->line) == 0 ? CC_REFRESH : CC_ERROR;
}

static unsigned char line_break(EditLine *editor, int key)
{
    (void)key;
    return el_insertstr(editor, "\n") == 0 ? CC_REFRESH : CC_ERROR;
}

static void keys_bind(EditLine *editor)
{
    el_set(editor, EL_EDITOR, "emacs");
    /* Wide, because libedit copies narrow names and never frees them. */
    el_wset(editor, EL_ADDFN, L"prony-paste", L"Take pasted text", paste);
    el_wset(editor, EL_ADDFN, L"prony-line-break", L"Begin a new line", line_break);
    el_set(editor, EL_BIND, "\\e[200~", "prony-paste", NULL);
    el_set(editor, EL_BIND, "\\e\\r", "prony-line-break", NULL);
    el_set(editor, EL_BIND, "\\e\\n", "prony-line-break", NULL);
    /* What the kernel keeps of a Ctrl-D that was typed while an answer came. */
    el_set(editor, EL_BIND, "^@", "em-delete-or-list", NULL);
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

static void resize_open(struct input *input)
{
    sigset_t signals;
    struct winsize size = {0};
    ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
    input->columns = size.ws_col ? size.ws_col : 80;
    sigemptyset(&signals);
    sigaddset(&signals, SIGWINCH);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) == 0)
        input->resize_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

enum status input_open(struct input **opened, int cancel_fd, struct error *err)
{
    struct input *input = calloc(1, sizeof *input);
    *opened = input;
    if (!input)
        return error_no_memory(err, sizeof *input);
    input->cancel_fd = cancel_fd;
    input->resize_fd = -1;
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
    keys_bind(input->editor);
    history_open(input);
    resize_open(input);
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
    if (input->resize_fd >= 0)
        close(input->resize_fd);
    free(input->line);
    free(input);
}

static enum input_result edited_line(struct input *input, const char **line, struct error *err)
{
    int count = 0;
    HistEvent event;
    /* Before the prompt shows: libedit would leave the line discipline in charge until after it,
     * and a Ctrl-D typed between the two would be lost. */
    el_set(input->editor, EL_PREP_TERM, 1);
    fputs(PASTE_ASK, stderr);
    const char *text = el_gets(input->editor, &count);
    fputs(PASTE_ASK_NO_MORE, stderr);
    if (input->interrupted)
        return INPUT_INTERRUPTED;
    if (!text || count <= 0)
        return INPUT_END;
    size_t bytes = strlen(text);
    while (bytes > 0 && (text[bytes - 1] == '\n' || text[bytes - 1] == '\r'))
        bytes--;
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
