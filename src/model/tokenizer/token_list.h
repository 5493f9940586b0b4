/* A byte-level BPE vocabulary as data, to be carried from one kind of model file to another (to
 * encode text, see tokenizer.h). */
#ifndef PRONY_MODEL_TOKEN_LIST_H
#define PRONY_MODEL_TOKEN_LIST_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/gguf/gguf.h"
#include "model/gguf/gguf_write.h"
#include "model/model.h"
#include "model/tokenizer/tokenizer_json.h"
#include "model/tokenizer/tokenizer_parts.h"

struct token_list {
    uint32_t count;
    const char **tokens; /* in GPT-2's alphabet, in which each byte is a printable character */
    int32_t *types;      /* enum token_type */
    uint32_t merge_count;
    const char **merges;        /* "left right", the most urgent first */
    const char *pre;            /* how text is split before BPE: "llama-bpe", "smollm", "gpt2" */
    int32_t bos, eos, eot, eom; /* -1: none */
    bool add_bos;               /* an encoded text starts with bos */
    const char *chat_template;  /* Jinja; NULL: none */
};

/* A made-up vocabulary of count tokens: all bytes, merges of frequent letters, and Llama 3's
 * special tokens at the end, where Llama 3 has them. Depends on count alone. count is at least
 * TOKEN_LIST_LEAST. */
enum { TOKEN_LIST_LEAST = 288 };
enum status token_list_make(struct token_list *list, struct arena *arena, uint32_t count,
                            struct error *err);

/* From GGUF metadata. STATUS_NOT_FOUND: it has no tokenizer; STATUS_UNSUPPORTED: not byte-level
 * BPE, or split in a way that tokenizer.json cannot be written for. */
enum status token_list_from_gguf(struct token_list *list, struct arena *arena,
                                 const struct gguf *gguf, struct error *err);
void token_list_to_gguf(const struct token_list *list, struct gguf_head *head);

/* From what tokenizer.json, whose texts the list shares, and tokenizer_config.json (NULL: none)
 * hold; the same errors, which name path. Tokens up to count, the rows of the embedding, that the
 * tokenizer does not have are called [PAD...]. */
enum status token_list_from_json(struct token_list *list, struct arena *arena,
                                 const struct tokenizer_json *json, const json_t *config,
                                 const char *path, uint32_t count, struct error *err);
/* From the files in a folder. */
enum status token_list_from_folder(struct token_list *list, struct arena *arena, const char *folder,
                                   uint32_t count, struct error *err);
/* The chat template (Jinja) of a folder alone; NULL when it has none. It lives in arena. */
enum status token_list_read_template(const char **text, struct arena *arena, const char *folder,
                                     struct error *err);
/* Writes both files; context is the model's longest text, in tokens. */
enum status token_list_to_folder(const struct token_list *list, const char *folder,
                                 uint32_t context, struct error *err);

/* That of an open model, by whichever of the two its format has. */
enum status token_list_of_model(struct token_list *list, struct arena *arena,
                                const struct model *model, struct error *err);

/* The folder of a file: what is before its last slash, or ".". */
void folder_of(const char *path, char folder[PATH_MAX]);

#endif
