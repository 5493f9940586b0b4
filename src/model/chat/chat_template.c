#include "model/chat/chat_template.h"

#include <limits.h>
#include <string.h>

#include "base/file.h"
#include "model/gguf/gguf.h"
#include "model/model.h"
#include "model/tokenizer/token_list.h"

static const char *const names[] = {
    [CHAT_LLAMA3] = "llama3", [CHAT_LLAMA2] = "llama2", [CHAT_CHATML] = "chatml"};

static enum status say_how_to_name(struct error *err)
{
    return error_remedy(err,
                        "Name the template that the model was trained with: --chat-template NAME, "
                        "one of " CHAT_TEMPLATE_NAMES ".");
}

static void template_init(struct chat_template *template, enum chat_kind kind)
{
    *template = (struct chat_template){.kind = kind, .name = names[kind]};
}

static enum status open_named(struct chat_template *template, const char *name, struct error *err)
{
    for (size_t kind = 0; kind < sizeof names / sizeof *names; kind++) {
        if (strcmp(name, names[kind]) == 0) {
            template_init(template, (enum chat_kind)kind);
            template->named = true;
            return STATUS_OK;
        }
    }
    error_set(err, STATUS_USAGE, "there is no chat template '%s'", name);
    return error_remedy(err, "The known ones are " CHAT_TEMPLATE_NAMES ".");
}

static const char *find(const char *text, size_t bytes, const char *wanted)
{
    return memmem(text, bytes, wanted, strlen(wanted));
}

/* ChatML's template often brings a system message, as a literal:
 * '<|im_start|>system\nTEXT<|im_end|>'. The newline may be one, or written as \n.
 * STATUS_UNSUPPORTED for one that is not plain text. */
static enum status system_read(struct chat_template *template, const char *text, size_t bytes,
                               struct error *err)
{
    static const char *const starts[] = {"<|im_start|>system\n", "<|im_start|>system\\n"};
    const char *from = NULL, *end = text + bytes;
    for (size_t i = 0; i < sizeof starts / sizeof *starts && !from; i++) {
        if ((from = find(text, bytes, starts[i])))
            from += strlen(starts[i]);
    }
    const char *stop = from ? find(from, (size_t)(end - from), "<|im_end|>") : NULL;
    size_t length = stop ? (size_t)(stop - from) : 0;
    /* A quote ends the literal: the message is put in by the program, and is no constant. */
    if (!length || memchr(from, '\'', length) || memchr(from, '"', length) ||
        memchr(from, '{', length))
        return STATUS_OK;
    if (length >= sizeof template->system || memchr(from, '\\', length) ||
        memchr(from, '\0', length))
        return error_set(err, STATUS_UNSUPPORTED,
                         "the chat template's own system message is longer than %zu bytes or not "
                         "plain text",
                         sizeof template->system - 1);
    memcpy(template->system, from, length);
    return STATUS_OK;
}

enum status chat_template_recognise(struct chat_template *template, const char *text, size_t bytes,
                                    const char *origin, struct error *err)
{
    bool llama3 = find(text, bytes, "<|start_header_id|>") && find(text, bytes, "<|eot_id|>");
    bool llama2 = find(text, bytes, "[INST]") && find(text, bytes, "<<SYS>>");
    /* Phi-4's has a separator of its own where ChatML has a newline. */
    bool chatml = find(text, bytes, "<|im_start|>") && find(text, bytes, "<|im_end|>") &&
                  !find(text, bytes, "<|im_sep|>");
    enum status status = STATUS_OK;
    *template = (struct chat_template){0};
    if (llama3 + llama2 + chatml != 1) {
        error_set(err, STATUS_UNSUPPORTED, "the model's chat template is not one that is known");
        status = STATUS_UNSUPPORTED;
    } else {
        template_init(template, llama3 ? CHAT_LLAMA3 : llama2 ? CHAT_LLAMA2 : CHAT_CHATML);
        template->writes_bos = find(text, bytes, "bos_token") != NULL;
        if (chatml)
            status = system_read(template, text, bytes, err);
    }
    if (status == STATUS_OK)
        return status;
    error_where(err, "%s", origin);
    return say_how_to_name(err);
}

static enum status none_there(const char *origin, struct error *err)
{
    error_set(err, STATUS_NOT_FOUND, "the model has no chat template");
    error_where(err, "%s", origin);
    return say_how_to_name(err);
}

static enum status open_gguf(struct chat_template *template, const char *path, struct error *err)
{
    struct gguf gguf;
    struct gguf_string text;
    enum status status = gguf_open(&gguf, path, err);
    if (status != STATUS_OK)
        return status;
    status = gguf_get_string_or_null(&gguf, "tokenizer.chat_template", &text, err);
    if (status == STATUS_OK)
        status = text.data ? chat_template_recognise(template, text.data, text.bytes, path, err)
                           : none_there(path, err);
    gguf_close(&gguf);
    return status;
}

static enum status open_folder(struct chat_template *template, const char *folder,
                               struct error *err)
{
    struct arena arena = {0};
    const char *text;
    enum status status = token_list_read_template(&text, &arena, folder, err);
    if (status == STATUS_OK)
        status = text ? chat_template_recognise(template, text, strlen(text), folder, err)
                      : none_there(folder, err);
    arena_free(&arena);
    return status;
}

enum status chat_template_open(struct chat_template *template, const char *path, const char *name,
                               struct error *err)
{
    char found[PATH_MAX], folder[PATH_MAX];
    if (name)
        return open_named(template, name, err);
    enum status status = model_locate(path, found, sizeof found, err);
    if (status != STATUS_OK)
        return status;
    if (path_is_folder(found))
        return open_folder(template, found, err);
    if (!tokenizer_is_beside(found))
        return open_gguf(template, found, err);
    folder_of(found, folder);
    return open_folder(template, folder, err);
}
