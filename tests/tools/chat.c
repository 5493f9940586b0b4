/* chat MODEL NAME [ROLE TEXT]...: the ids of a conversation, on one line, by the chat template of
 * the model or, with a NAME other than "-", that one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/chat/chat_template.h"

enum { MAX_MESSAGES = 64 };

static int fail(const struct error *err)
{
    error_print(err, stderr);
    return 1;
}

static enum chat_role role_of(const char *name)
{
    if (strcmp(name, "system") == 0)
        return CHAT_SYSTEM;
    return strcmp(name, "user") == 0 ? CHAT_USER : CHAT_ASSISTANT;
}

int main(int argc, char **argv)
{
    struct chat_message messages[MAX_MESSAGES];
    struct chat_template template;
    struct tokenizer *tokenizer;
    struct error err;
    int32_t *ids;
    size_t message_count = 0, count;
    if (argc < 3)
        return 1;
    for (int i = 3; i + 1 < argc && message_count < MAX_MESSAGES; i += 2)
        messages[message_count++] = (struct chat_message){role_of(argv[i]), argv[i + 1]};
    const char *name = strcmp(argv[2], "-") == 0 ? NULL : argv[2];
    if (chat_template_open(&template, argv[1], name, &err) != STATUS_OK ||
        tokenizer_open(&tokenizer, argv[1], &err) != STATUS_OK)
        return fail(&err);
    enum status status =
        chat_template_render(&template, tokenizer, messages, message_count, &ids, &count, &err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        printf("%d%c", (int)ids[i], i + 1 < count ? ' ' : '\n');
    free(ids);
    tokenizer_close(tokenizer);
    return status == STATUS_OK ? 0 : fail(&err);
}
