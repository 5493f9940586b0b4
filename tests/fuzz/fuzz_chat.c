/* Any bytes as a model's chat template: recognised or refused, and what is accepted is consistent.
 * The same bytes in pieces, as a model's answer: whole characters come out. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "model/chat/chat_template.h"
#include "model/chat/stream_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECE = 5 };

static void stream(const char *text, size_t bytes)
{
    struct stream_text stream = {0};
    char out[STREAM_TEXT_ROOM(PIECE)];
    for (size_t at = 0; at < bytes; at += PIECE) {
        size_t length = bytes - at < PIECE ? bytes - at : PIECE;
        size_t made = stream_text_push(&stream, text + at, length, out);
        if (made > sizeof out || utf8_valid_prefix(out, made) != made)
            abort();
    }
    if (stream_text_end(&stream, out) > STREAM_TEXT_ROOM(0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct chat_template template;
    struct error err;
    enum status status = chat_template_recognise(&template, text, size, "fuzz", &err);
    if (status != STATUS_OK) {
        if (err.status != status || !strstr(err.remedy, CHAT_TEMPLATE_NAMES))
            abort();
    } else if (!template.name || template.named ||
               strnlen(template.system, CHAT_SYSTEM_BYTES) == CHAT_SYSTEM_BYTES ||
               (*template.system && template.kind != CHAT_CHATML)) {
        abort();
    }
    stream(text, size);
    return 0;
}
