#include "talk/transcript.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

void transcript_add(struct transcript *transcript, const char *text, size_t bytes)
{
    if (bytes > transcript->capacity - transcript->bytes) {
        size_t capacity = 2 * (transcript->bytes + bytes) + 1024;
        char *larger = realloc(transcript->text, capacity);
        if (!larger) {
            transcript->lacks = true;
            return;
        }
        transcript->text = larger;
        transcript->capacity = capacity;
    }
    memcpy(transcript->text + transcript->bytes, text, bytes);
    transcript->bytes += bytes;
}

void transcript_heading(struct transcript *transcript, const char *who)
{
    transcript_add(transcript, "\n## ", 4);
    transcript_add(transcript, who, strlen(who));
    transcript_add(transcript, "\n\n", 2);
}

void transcript_cut(struct transcript *transcript, size_t bytes)
{
    transcript->bytes = bytes;
}

/* conversation-20261125-130501.md */
static void name_make(char path[PATH_MAX])
{
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(path, PATH_MAX, "conversation-%Y%m%d-%H%M%S.md", &local);
}

enum status transcript_save(struct transcript *transcript, const char *path, const char *title,
                            struct error *err)
{
    char made[PATH_MAX];
    struct file_writer writer = {0};
    if (!*path && transcript->saved[0])
        path = transcript->saved;
    if (!*path) {
        name_make(made);
        path = made;
    }
    if (transcript->lacks)
        return error_no_memory(err, transcript->capacity);
    if (strcmp(path, transcript->saved) != 0 && access(path, F_OK) == 0) {
        error_set(err, STATUS_USAGE, "there is a file %s already", path);
        return error_remedy(err, "Name another one: /save FILE.");
    }
    if (file_writer_open(&writer, path, err))
        return err->status;
    fprintf(writer.stream, "# %s\n", title);
    fwrite(transcript->text, 1, transcript->bytes, writer.stream);
    enum status status = file_writer_commit(&writer, err);
    file_writer_abort(&writer);
    if (!status && path != transcript->saved)
        snprintf(transcript->saved, sizeof transcript->saved, "%s", path);
    return status;
}

void transcript_free(struct transcript *transcript)
{
    free(transcript->text);
    *transcript = (struct transcript){0};
}
