#include "model/tokenizer/pretokenizer.h"

#include <stdint.h>
#include <string.h>

/* Unicode's White_Space, spelt out: PCRE2's \s has U+180E as well, which the tokenisers that these
 * patterns come from leave out. */
#define SPACES                                                                                     \
    "\\t-\\r "                                                                                     \
    "\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define SPACE "[" SPACES "]"
#define SYMBOL "[^" SPACES "\\p{L}\\p{N}]"

/* In each pattern every character begins a match of one of the alternatives, so that the pieces
 * leave no gap. */
static const char llama3_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?" SYMBOL
    "+[\\r\\n]*|" SPACE "*[\\r\\n]+|" SPACE "+(?![^" SPACES "])|" SPACE "+";

static const char gpt2_pattern[] =
    "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?" SYMBOL "+|" SPACE "+(?![^" SPACES "])|" SPACE "+";

/* Digits are cut out one by one before GPT-2's pattern sees what is between them: to it, a digit is
 * the end of the text. */
static const char smollm_pattern[] = "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+|\\p{N}| ?" SYMBOL "+|" SPACE
                                     "+(?![^" SPACES "\\p{N}])|" SPACE "+";

static const struct {
    const char *name, *pattern;
    bool whole_tokens, adds_bos;
} known[] = {
    {"llama-bpe", llama3_pattern, true, true},
    {"gpt2", gpt2_pattern, false, false},
    {"gpt-2", gpt2_pattern, false, false},
    {"smollm", smollm_pattern, false, false},
};

static enum status pcre2_error(struct error *err, const char *doing, int code)
{
    PCRE2_UCHAR message[128] = "";
    pcre2_get_error_message(code, message, sizeof message);
    return error_set(err, code == PCRE2_ERROR_NOMEMORY ? STATUS_NO_MEMORY : STATUS_UNSUPPORTED,
                     "PCRE2 cannot %s: %s", doing, (const char *)message);
}

enum status pretokenizer_init(struct pretokenizer *pretokenizer, const char *name,
                              struct error *err)
{
    *pretokenizer = (struct pretokenizer){0};
    const char *pattern = NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].name, name) == 0) {
            pattern = known[i].pattern;
            pretokenizer->whole_tokens = known[i].whole_tokens;
            pretokenizer->adds_bos = known[i].adds_bos;
        }
    }
    if (!pattern) {
        error_set(err, STATUS_UNSUPPORTED, "pre-tokeniser '%.64s' is not supported", name);
        return error_remedy(err, "Supported are llama-bpe, smollm and gpt2.");
    }
    int code;
    PCRE2_SIZE offset;
    pretokenizer->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                       PCRE2_UTF | PCRE2_ANCHORED, &code, &offset, NULL);
    if (!pretokenizer->code)
        return pcre2_error(err, "compile the pre-tokeniser's pattern", code);
    pretokenizer->limits = pcre2_match_context_create(NULL);
    if (!pretokenizer->limits) {
        pretokenizer_free(pretokenizer);
        return error_no_memory(err, sizeof(void *));
    }
    /* A run of spaces takes one step for each of them, however long; nothing here nests. */
    pcre2_set_match_limit(pretokenizer->limits, UINT32_MAX);
    /* Where no executable memory may be made, PCRE2 interprets the pattern: slower, not wrong. */
    pcre2_jit_compile(pretokenizer->code, PCRE2_JIT_COMPLETE);
    return STATUS_OK;
}

void pretokenizer_free(struct pretokenizer *pretokenizer)
{
    pcre2_code_free(pretokenizer->code);
    pcre2_match_context_free(pretokenizer->limits);
    *pretokenizer = (struct pretokenizer){0};
}

pcre2_match_data *pretokenizer_space(const struct pretokenizer *pretokenizer)
{
    return pcre2_match_data_create_from_pattern(pretokenizer->code, NULL);
}

enum status pretokenizer_next(const struct pretokenizer *pretokenizer, pcre2_match_data *space,
                              const char *text, size_t bytes, size_t from, size_t *end,
                              struct error *err)
{
    int code = pcre2_match(pretokenizer->code, (PCRE2_SPTR)text, bytes, from, PCRE2_NO_UTF_CHECK,
                           space, pretokenizer->limits);
    if (code < 0)
        return pcre2_error(err, "split the text", code);
    *end = pcre2_get_ovector_pointer(space)[1];
    return STATUS_OK;
}
