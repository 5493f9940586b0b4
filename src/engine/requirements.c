#include "engine/requirements.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { MAX_FILE = 1 << 20 };

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Takes away comments and joins lines that end with \, in place. The line ends stay, so that the
 * lines can be counted: a joined line is followed by as many empty ones. */
static void lines_join(char *text)
{
    char *to = text;
    size_t owed = 0;
    for (const char *from = text; *from;) {
        const char *end = from + strcspn(from, "\n");
        bool comment = false, more = end > from && end[-1] == '\\';
        for (const char *c = from; c < end - more; c++) {
            comment = comment || (*c == '#' && (c == from || is_space(c[-1])));
            if (!comment)
                *to++ = *c;
        }
        owed += *end == '\n';
        from = end + (*end == '\n');
        for (; !more && owed; owed--)
            *to++ = '\n';
    }
    *to = '\0';
}

static enum status requirement_parse(struct requirement *requirement, const char *text,
                                     size_t length, struct arena *arena, struct error *err)
{
    size_t name = 0;
    while (name < length && (isalnum((unsigned char)text[name]) || strchr("._-", text[name])))
        name++;
    requirement->name = arena_strndup(arena, text, name);
    requirement->text = arena_strndup(arena, text, length);
    if (!requirement->name || !requirement->text)
        return error_no_memory(err, length);
    requirement->hashed = strstr(requirement->text, "--hash=") != NULL;
    if (isalnum((unsigned char)text[0]) && strncmp(requirement->text + name, "==", 2) == 0)
        return STATUS_OK;
    error_set(err, STATUS_FORMAT, "\"%.80s\" is not a package with an exact version",
              requirement->text);
    return error_remedy(err, "Write NAME==VERSION --hash=sha256:...");
}

enum status requirements_read(const char *path, struct arena *arena, struct requirement **list,
                              size_t *count, struct error *err)
{
    char *text;
    size_t bytes, room = 1, line = 1;
    enum status status = file_read(path, MAX_FILE, &text, &bytes, err);
    *count = 0;
    if (status)
        return status;
    lines_join(text);
    for (const char *c = text; *c; c++)
        room += *c == '\n';
    *list = arena_array(arena, room, sizeof **list);
    if (!*list)
        status = error_no_memory(err, room * sizeof **list);
    for (const char *at = text; *at && !status; line++) {
        size_t whole = strcspn(at, "\n"), length = whole;
        const char *start = at;
        for (; length && is_space(*start); start++)
            length--;
        while (length && is_space(start[length - 1]))
            length--;
        if (length)
            status = requirement_parse(&(*list)[(*count)++], start, length, arena, err);
        if (status)
            error_where(err, "%s, line %zu", path, line);
        at += whole + (at[whole] == '\n');
    }
    free(text);
    if (!status && *count == 0) {
        error_set(err, STATUS_FORMAT, "it names no package");
        status = error_where(err, "%s", path);
    }
    return status;
}
