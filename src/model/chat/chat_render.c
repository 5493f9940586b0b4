/* Conversations as token ids. Text that stands together is encoded together, as it would be if the
 * template were filled in first and encoded then. */
#include <stdlib.h>
#include <string.h>

#include "model/chat/chat_template.h"

struct rendering {
    const struct chat_template *template;
    const struct tokenizer *tokenizer;
    char *text; /* since the last control token */
    size_t text_bytes, text_room;
    int32_t *ids;
    size_t count, room;
    struct error *err;
    enum status status; /* once it is not STATUS_OK, nothing more happens */
};

/* The id of a control token; -1 when the vocabulary has none, or makes it from ordinary text. */
static int32_t control_find(const struct tokenizer *tokenizer, const char *token)
{
    struct error err;
    int32_t *special = NULL, *ordinary = NULL, id = -1;
    size_t special_count, ordinary_count;
    if (tokenizer_encode(tokenizer, token, strlen(token), TOKENIZER_PARSE_SPECIAL, &special,
                         &special_count, &err) == STATUS_OK &&
        special_count == 1)
        id = special[0];
    if (tokenizer_encode(tokenizer, token, strlen(token), TOKENIZER_TEXT_ONLY, &ordinary,
                         &ordinary_count, &err) == STATUS_OK &&
        ordinary_count == 1)
        id = -1;
    free(special);
    free(ordinary);
    return id;
}

static enum status control_missing(const struct chat_template *template, const char *token,
                                   struct error *err)
{
    error_set(err, STATUS_UNSUPPORTED,
              "the model's vocabulary has no control token %s, which the chat template %s needs",
              token, template->name);
    return error_remedy(err,
                        "Name the template that the model was trained with: --chat-template NAME, "
                        "one of " CHAT_TEMPLATE_NAMES ".");
}

/* Grows an array of entries of `size` bytes to hold `wanted` of them. */
static void *grown(struct rendering *r, void *array, size_t *room, size_t wanted, size_t size)
{
    if (wanted <= *room)
        return array;
    size_t larger = wanted + wanted / 2 + 64, bytes;
    void *moved =
        __builtin_mul_overflow(larger, size, &bytes) ? NULL : realloc(array, larger * size);
    if (!moved) {
        r->status = error_no_memory(r->err, larger);
        return array;
    }
    *room = larger;
    return moved;
}

static void put_bytes(struct rendering *r, const char *text, size_t bytes)
{
    r->text = grown(r, r->text, &r->text_room, r->text_bytes + bytes + 1, 1);
    if (r->status != STATUS_OK)
        return;
    memcpy(r->text + r->text_bytes, text, bytes);
    r->text_bytes += bytes;
}

static void put(struct rendering *r, const char *text)
{
    put_bytes(r, text, strlen(text));
}

static void put_ids(struct rendering *r, const int32_t *ids, size_t count)
{
    r->ids = grown(r, r->ids, &r->room, r->count + count + 1, sizeof *ids);
    if (r->status != STATUS_OK)
        return;
    if (count)
        memcpy(r->ids + r->count, ids, count * sizeof *ids);
    r->count += count;
}

static void flush(struct rendering *r)
{
    int32_t *ids = NULL;
    size_t count;
    if (r->status != STATUS_OK || !r->text_bytes)
        return;
    r->status = tokenizer_encode(r->tokenizer, r->text, r->text_bytes, TOKENIZER_TEXT_ONLY, &ids,
                                 &count, r->err);
    if (r->status == STATUS_OK)
        put_ids(r, ids, count);
    r->text_bytes = 0;
    free(ids);
}

static void put_id(struct rendering *r, const char *token, int32_t id)
{
    flush(r);
    if (r->status != STATUS_OK)
        return;
    if (id < 0)
        r->status = control_missing(r->template, token, r->err);
    else
        put_ids(r, &id, 1);
}

static void put_control(struct rendering *r, const char *token)
{
    put_id(r, token, control_find(r->tokenizer, token));
}

/* What Jinja's trim takes away, as far as it is ASCII. */
static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f');
}

static size_t end_trimmed(const char *text)
{
    size_t bytes = strlen(text);
    while (bytes > 0 && is_space(text[bytes - 1]))
        bytes--;
    return bytes;
}

static const char *start_trimmed(const char *text)
{
    while (is_space(*text))
        text++;
    return text;
}

static void put_trimmed(struct rendering *r, const char *text)
{
    text = start_trimmed(text);
    put_bytes(r, text, end_trimmed(text));
}

static void conversation_open(struct rendering *r)
{
    const struct chat_template *template = r->template;
    if (template->kind == CHAT_LLAMA3)
        put_control(r, "<|begin_of_text|>");
    else if (template->kind == CHAT_CHATML &&
             (template->named ? tokenizer_adds_bos(r->tokenizer) : template->writes_bos))
        put_id(r, "bos", tokenizer_bos(r->tokenizer));
}

static const char *const roles[] = {
    [CHAT_SYSTEM] = "system", [CHAT_USER] = "user", [CHAT_ASSISTANT] = "assistant"};

static void header_put(struct rendering *r, enum chat_role role)
{
    if (r->template->kind == CHAT_LLAMA3) {
        put_control(r, "<|start_header_id|>");
        put(r, roles[role]);
        put_control(r, "<|end_header_id|>");
        put(r, "\n\n");
    } else if (r->template->kind == CHAT_CHATML) {
        put_control(r, "<|im_start|>");
        put(r, roles[role]);
        put(r, "\n");
    }
}

/* Behind a message of any role; Llama 2 has it behind the assistant's alone. */
static void message_close(struct rendering *r)
{
    if (r->template->kind == CHAT_LLAMA3) {
        put_control(r, "<|eot_id|>");
    } else if (r->template->kind == CHAT_CHATML) {
        put_control(r, "<|im_end|>");
        put(r, "\n");
    } else {
        put(r, " ");
        put_id(r, "eos", tokenizer_eos(r->tokenizer));
    }
}

static void message_put(struct rendering *r, enum chat_role role, const char *text)
{
    header_put(r, role);
    if (r->template->kind == CHAT_LLAMA3)
        put_trimmed(r, text);
    else
        put(r, text);
    message_close(r);
}

/* The system message (NULL or "": none) and the user's; Llama 2 has the one inside the other. */
static void question_put(struct rendering *r, const char *system, const char *user)
{
    bool has_system = system && *system;
    if (r->template->kind != CHAT_LLAMA2) {
        if (has_system)
            message_put(r, CHAT_SYSTEM, system);
        message_put(r, CHAT_USER, user);
        return;
    }
    put_id(r, "bos", tokenizer_bos(r->tokenizer));
    put(r, "[INST] ");
    if (has_system) {
        put(r, "<<SYS>>\n");
        put(r, system);
        put(r, "\n<</SYS>>\n\n");
        put_bytes(r, user, end_trimmed(user));
    } else {
        put_trimmed(r, user);
    }
    put(r, " [/INST]");
}

static void answer_put(struct rendering *r, const char *text)
{
    if (r->template->kind == CHAT_LLAMA2) {
        put(r, " ");
        put_trimmed(r, text);
        message_close(r);
    } else {
        message_put(r, CHAT_ASSISTANT, text);
    }
}

static enum status finish(struct rendering *r, int32_t **ids, size_t *count)
{
    flush(r);
    free(r->text);
    *ids = NULL;
    *count = 0;
    if (r->status == STATUS_OK) {
        *ids = r->ids;
        *count = r->count;
    } else {
        free(r->ids);
    }
    return r->status;
}

enum status chat_template_turn(const struct chat_template *template,
                               const struct tokenizer *tokenizer, bool first_turn,
                               const char *system, const char *user, int32_t **ids, size_t *count,
                               struct error *err)
{
    struct rendering r = {.template = template, .tokenizer = tokenizer, .err = err};
    if (first_turn)
        conversation_open(&r);
    else
        message_close(&r);
    const char *first_system = system ? system : template->system;
    question_put(&r, first_turn ? first_system : NULL, user);
    header_put(&r, CHAT_ASSISTANT);
    return finish(&r, ids, count);
}

enum status chat_template_render(const struct chat_template *template,
                                 const struct tokenizer *tokenizer,
                                 const struct chat_message *messages, size_t message_count,
                                 int32_t **ids, size_t *count, struct error *err)
{
    struct rendering r = {.template = template, .tokenizer = tokenizer, .err = err};
    const char *system = template->system;
    size_t first = message_count && messages[0].role == CHAT_SYSTEM;
    *ids = NULL;
    *count = 0;
    if (first)
        system = messages[0].text;
    if (first == message_count)
        return error_set(err, STATUS_USAGE, "the conversation has no message of the user");
    conversation_open(&r);
    for (size_t i = first; i < message_count; i++) {
        enum chat_role expected = (i - first) % 2 ? CHAT_ASSISTANT : CHAT_USER;
        if (messages[i].role != expected) {
            r.status = error_set(err, STATUS_USAGE, "message %zu is to be the %s's", i + 1,
                                 roles[expected]);
            break;
        }
        if (expected == CHAT_ASSISTANT)
            answer_put(&r, messages[i].text);
        else
            question_put(&r, i == first ? system : NULL, messages[i].text);
    }
    if (messages[message_count - 1].role == CHAT_USER)
        header_put(&r, CHAT_ASSISTANT);
    return finish(&r, ids, count);
}

static void stop_add(int32_t *stops, size_t *count, int32_t id)
{
    for (size_t i = 0; i < *count; i++) {
        if (stops[i] == id)
            return;
    }
    if (id >= 0)
        stops[(*count)++] = id;
}

enum status chat_template_stops(const struct chat_template *template,
                                const struct tokenizer *tokenizer, int32_t stops[CHAT_STOPS],
                                size_t *count, struct error *err)
{
    /* The first is the template's own and has to be there; the others end a text or a call. */
    static const char *const ends[][3] = {
        [CHAT_LLAMA3] = {"<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"},
        [CHAT_LLAMA2] = {NULL, NULL, NULL},
        [CHAT_CHATML] = {"<|im_end|>", "<|endoftext|>", NULL},
    };
    const char *const *end = ends[template->kind];
    *count = 0;
    for (size_t i = 0; i < sizeof ends[0] / sizeof *ends[0] && end[i]; i++) {
        int32_t id = control_find(tokenizer, end[i]);
        if (i == 0 && id < 0)
            return control_missing(template, end[i], err);
        stop_add(stops, count, id);
    }
    stop_add(stops, count, tokenizer_eos(tokenizer));
    return *count ? STATUS_OK : control_missing(template, "eos", err);
}
