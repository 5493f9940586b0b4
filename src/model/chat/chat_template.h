/* How a conversation is written as token ids: the chat template a model was trained with.
 *
 * Three are known: llama3, llama2 and chatml. Templates are programs (Jinja); they are recognised
 * by the tokens that they write, not run. Only the template's own control tokens are ever control
 * tokens: what a person or a model wrote goes through BPE alone, even when it reads "<|eot_id|>".
 */
#ifndef PRONY_MODEL_CHAT_TEMPLATE_H
#define PRONY_MODEL_CHAT_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/tokenizer/tokenizer.h"

enum chat_kind { CHAT_LLAMA3, CHAT_LLAMA2, CHAT_CHATML };

/* For help and errors: the names a user can give. */
#define CHAT_TEMPLATE_NAMES "llama3, llama2, chatml"

enum { CHAT_SYSTEM_BYTES = 1024, CHAT_STOPS = 8 };

/* Plain data: copied freely, nothing to close. */
struct chat_template {
    enum chat_kind kind;
    const char *name;               /* "llama3", "llama2" or "chatml"; static */
    bool named;                     /* by the user: the model's own text was not read */
    bool writes_bos;                /* chatml: the model's text puts bos first */
    char system[CHAT_SYSTEM_BYTES]; /* the system message unless one is given; "" for none */
};

/* The template of the model at path (as model_locate finds it), from its own metadata: GGUF's
 * tokenizer.chat_template; of a folder, chat_template in tokenizer_config.json, or
 * chat_template.jinja. With a name (NULL: none) that one, and the model is not looked at.
 * STATUS_USAGE for a name that is not known, STATUS_NOT_FOUND for a model without a template,
 * STATUS_UNSUPPORTED for one that is not known; all say how to name one. */
enum status chat_template_open(struct chat_template *template, const char *path, const char *name,
                               struct error *err);

/* The same from the template's text (any bytes); origin is what errors name. */
enum status chat_template_recognise(struct chat_template *template, const char *text, size_t bytes,
                                    const char *origin, struct error *err);

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT };

struct chat_message {
    enum chat_role role;
    const char *text;
};

/* The ids of a whole conversation: at most one system message, first ("": none at all; not given:
 * the template's own), then user and assistant in turns; after a last user message the
 * assistant's header, so that the model answers. STATUS_USAGE for another order,
 * STATUS_UNSUPPORTED when the vocabulary lacks a token that the template needs. *ids is malloc'd;
 * the caller frees. */
enum status chat_template_render(const struct chat_template *template,
                                 const struct tokenizer *tokenizer,
                                 const struct chat_message *messages, size_t message_count,
                                 int32_t **ids, size_t *count, struct error *err);

/* The ids to append for one more message of the user, with the assistant's header. first_turn: the
 * conversation starts here, with system (as above; NULL: the template's own). Later ones close
 * the assistant's last answer first, so that answer is to be in the conversation without the id
 * it stopped at; system is ignored then. Otherwise as chat_template_render. */
enum status chat_template_turn(const struct chat_template *template,
                               const struct tokenizer *tokenizer, bool first_turn,
                               const char *system, const char *user, int32_t **ids, size_t *count,
                               struct error *err);

/* The ids that end an answer: at least one, and at most CHAT_STOPS. */
enum status chat_template_stops(const struct chat_template *template,
                                const struct tokenizer *tokenizer, int32_t stops[CHAT_STOPS],
                                size_t *count, struct error *err);

#endif
