#include <stdio.h>
#include <string.h>

#include "model/tokenizer/byte_alphabet.h"
#include "model/tokenizer/token_list.h"

enum { BYTES = 256, LETTERS = 26, LLAMA3_SPECIALS = 256, FEW_SPECIALS = 16, MANY_TOKENS = 1024 };

/* Where Llama 3 has its special tokens, counted from the first; the others are reserved. */
enum {
    SPECIAL_BOS = 0,
    SPECIAL_END_OF_TEXT = 1,
    SPECIAL_PAD = 4,
    SPECIAL_START_HEADER = 6,
    SPECIAL_END_HEADER = 7,
    SPECIAL_EOM = 8,
    SPECIAL_EOT = 9,
    SPECIAL_PYTHON = 10
};

static const char chat_template[] =
    "{% for message in messages %}{% if loop.first %}{{ bos_token }}{% endif %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + "
    "message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}";

struct maker {
    struct token_list *list;
    struct arena *arena;
    uint32_t ordinary; /* tokens before the special ones */
    bool failed;
};

/* A run of token ids. */
struct range {
    uint32_t start, count;
};

static void maker_add(struct maker *m, const char *token, enum token_type type)
{
    m->list->tokens[m->list->count] = token;
    m->list->types[m->list->count++] = type;
    m->failed |= !token;
}

/* In the order of GPT-2 and Llama 3: first the bytes that are printable, which the alphabet keeps.
 */
static void maker_add_bytes(struct maker *m)
{
    for (int printable = 1; printable >= 0; printable--) {
        for (unsigned byte = 0; byte < BYTES; byte++) {
            char text[2];
            size_t length = byte_alphabet_encode((unsigned char)byte, text);
            bool is_printable = length == 1 || (unsigned char)text[0] < 0xc4; /* below U+0100 */
            if (is_printable == printable)
                maker_add(m, arena_strndup(m->arena, text, length), TOKEN_NORMAL);
        }
    }
}

/* Every left joined to every right, until the vocabulary is full. */
static struct range maker_add_products(struct maker *m, const uint32_t *left_ids, struct range left,
                                       const uint32_t *right_ids, struct range right)
{
    struct token_list *list = m->list;
    struct range made = {list->count, 0};
    for (uint32_t i = 0; i < left.count; i++) {
        for (uint32_t j = 0; j < right.count && list->count < m->ordinary && !m->failed; j++) {
            const char *a = list->tokens[left_ids ? left_ids[i] : left.start + i];
            const char *b = list->tokens[right_ids ? right_ids[j] : right.start + j];
            char *merge = arena_printf(m->arena, "%s %s", a, b);
            m->failed |= !merge;
            list->merges[list->merge_count++] = merge;
            maker_add(m, arena_printf(m->arena, "%s%s", a, b), TOKEN_NORMAL);
            made.count++;
        }
    }
    return made;
}

static uint32_t maker_find(const struct maker *m, const char *token)
{
    uint32_t id = 0;
    while (strcmp(m->list->tokens[id], token) != 0)
        id++;
    return id;
}

/* Pieces of words of up to four letters, with a space before them and without. */
static void maker_add_merges(struct maker *m)
{
    static const char frequent_first[] = "etaoinshrdlcumwfgypbvkjxqz";
    uint32_t letter_ids[LETTERS], space_id = maker_find(m, "\xc4\xa0");
    for (unsigned i = 0; i < LETTERS; i++)
        letter_ids[i] = maker_find(m, (char[]){frequent_first[i], '\0'});
    const struct range letters = {0, LETTERS}, space = {0, 1};
    struct range spaced = maker_add_products(m, &space_id, space, letter_ids, letters);
    struct range pairs = maker_add_products(m, letter_ids, letters, letter_ids, letters);
    struct range spaced_pairs = maker_add_products(m, NULL, spaced, letter_ids, letters);
    maker_add_products(m, NULL, pairs, letter_ids, letters);
    maker_add_products(m, NULL, spaced_pairs, letter_ids, letters);
    maker_add_products(m, NULL, pairs, NULL, pairs);
    maker_add_products(m, NULL, spaced_pairs, NULL, pairs);
}

static void maker_add_specials(struct maker *m, uint32_t count)
{
    static const char *const named[] = {
        [SPECIAL_BOS] = "<|begin_of_text|>",
        [SPECIAL_END_OF_TEXT] = "<|end_of_text|>",
        [SPECIAL_PAD] = "<|finetune_right_pad_id|>",
        [SPECIAL_START_HEADER] = "<|start_header_id|>",
        [SPECIAL_END_HEADER] = "<|end_header_id|>",
        [SPECIAL_EOM] = "<|eom_id|>",
        [SPECIAL_EOT] = "<|eot_id|>",
        [SPECIAL_PYTHON] = "<|python_tag|>",
    };
    struct token_list *list = m->list;
    uint32_t first = list->count, reserved = 0;
    for (uint32_t i = 0; list->count < count; i++) {
        const char *name = i < sizeof named / sizeof named[0] ? named[i] : NULL;
        maker_add(m,
                  name ? name : arena_printf(m->arena, "<|reserved_special_token_%u|>", reserved++),
                  TOKEN_CONTROL);
    }
    list->bos = (int32_t)(first + SPECIAL_BOS);
    list->eos = list->eot = (int32_t)(first + SPECIAL_EOT);
    list->eom = (int32_t)(first + SPECIAL_EOM);
}

enum status token_list_make(struct token_list *list, struct arena *arena, uint32_t count,
                            struct error *err)
{
    if (count < TOKEN_LIST_LEAST)
        return error_set(err, STATUS_USAGE, "a vocabulary has at least %d tokens, not %u",
                         TOKEN_LIST_LEAST, count);
    *list = (struct token_list){
        .tokens = arena_array(arena, count, sizeof *list->tokens),
        .types = arena_array(arena, count, sizeof *list->types),
        .merges = arena_array(arena, count, sizeof *list->merges),
        .pre = "llama-bpe",
        .add_bos = true,
        .chat_template = chat_template,
    };
    if (!list->tokens || !list->types || !list->merges)
        return error_no_memory(err, count * sizeof *list->tokens);
    uint32_t specials = count < MANY_TOKENS ? FEW_SPECIALS : LLAMA3_SPECIALS;
    struct maker m = {list, arena, count - specials, false};
    maker_add_bytes(&m);
    if (!m.failed)
        maker_add_merges(&m);
    if (!m.failed)
        maker_add_specials(&m, count);
    return m.failed ? error_no_memory(err, count * sizeof *list->tokens) : STATUS_OK;
}
