/* Splits text into the pieces that BPE never joins across: words, digits, runs of spaces, by the
 * regular expression that belongs to a vocabulary. */
#ifndef PRONY_MODEL_PRETOKENIZER_H
#define PRONY_MODEL_PRETOKENIZER_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct pretokenizer {
    bool whole_tokens; /* a piece that is a token is that token, whatever the merges say */
    bool adds_bos;     /* prompts start with bos unless the model says otherwise */
    pcre2_code *code;
    pcre2_match_context *limits;
};

/* By the name in tokenizer.ggml.pre. STATUS_UNSUPPORTED for one that is not known. */
enum status pretokenizer_init(struct pretokenizer *pretokenizer, const char *name,
                              struct error *err);
void pretokenizer_free(struct pretokenizer *pretokenizer);

/* Work space for pretokenizer_next, one for each thread; the caller frees it with
 * pcre2_match_data_free. NULL when there is no memory. */
pcre2_match_data *pretokenizer_space(const struct pretokenizer *pretokenizer);

/* Finds the piece that starts at text[from], from < bytes; text is valid UTF-8. *end is behind it:
 * every byte belongs to one piece. Time is linear in the text over all its pieces. */
enum status pretokenizer_next(const struct pretokenizer *pretokenizer, pcre2_match_data *space,
                              const char *text, size_t bytes, size_t from, size_t *end,
                              struct error *err);

#endif
