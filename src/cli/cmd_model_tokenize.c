/* prony model tokenize: the token ids of a text. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/command.h"
#include "model/tokenizer/tokenizer.h"

enum { TEXT_LIMIT_BYTES = 1 << 30 };

struct tokenize_options {
    const char *text;
    bool special, bos, json;
};

static const struct option tokenize_options[] = {
    {.name = "text",
     .kind = OPTION_STRING,
     .metavar = "TEXT",
     .help = "Tokenise this, instead of a file.",
     .offset = offsetof(struct tokenize_options, text)},
    {.name = "special",
     .kind = OPTION_FLAG,
     .help = "Read names of control tokens, such as <|eot_id|>, as those tokens.",
     .offset = offsetof(struct tokenize_options, special)},
    {.name = "bos",
     .kind = OPTION_FLAG,
     .help = "Put the token that begins a text first, if the model has one.",
     .offset = offsetof(struct tokenize_options, bos)},
    {.name = "json",
     .kind = OPTION_FLAG,
     .help = "Print JSON: the ids, and the bytes that each stands for.",
     .offset = offsetof(struct tokenize_options, json)},
    {0},
};

/* All of standard input. */
static enum status input_read(char **text, size_t *bytes, struct error *err)
{
    size_t capacity = 0;
    *text = NULL;
    *bytes = 0;
    do {
        if (*bytes == capacity) {
            capacity = capacity ? 2 * capacity : 65536;
            char *larger = realloc(*text, capacity);
            if (!larger)
                return error_no_memory(err, capacity);
            *text = larger;
        }
        *bytes += fread(*text + *bytes, 1, capacity - *bytes, stdin);
        if (*bytes > TEXT_LIMIT_BYTES) {
            error_set(err, STATUS_FORMAT, "standard input is larger than 1 GiB");
            return error_remedy(err, "Tokenise it in parts.");
        }
    } while (!feof(stdin) && !ferror(stdin));
    return ferror(stdin) ? error_errno(err, "read standard input") : STATUS_OK;
}

static enum status text_read(const struct tokenize_options *options, const struct option_list *args,
                             char **text, size_t *bytes, struct error *err)
{
    *text = NULL;
    if (!options->text == (args->count < 2)) {
        error_set(err, STATUS_USAGE,
                  "the text is given by --text or by a file, and by one of them");
        return error_remedy(err, "A file named - is standard input.");
    }
    if (options->text) {
        *bytes = strlen(options->text);
        *text = strdup(options->text);
        return *text ? STATUS_OK : error_no_memory(err, *bytes);
    }
    if (strcmp(args->items[1], "-") == 0)
        return input_read(text, bytes, err);
    return file_read_any(args->items[1], TEXT_LIMIT_BYTES, text, bytes, err);
}

/* {"id": 9906, "text": "Hello"}; bytes that are no UTF-8 on their own: {"id": 99, "hex": "e4b8"}.
 */
static json_t *piece_json(const struct tokenizer *tokenizer, int32_t id)
{
    size_t bytes;
    const char *token = tokenizer_token(tokenizer, id, &bytes);
    json_t *text = json_stringn(token, bytes);
    if (text)
        return json_pack("{s:i, s:o}", "id", (int)id, "text", text);
    char *hex = malloc(2 * bytes + 1);
    if (!hex)
        return NULL;
    for (size_t i = 0; i < bytes; i++)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned char)token[i]);
    json_t *piece = json_pack("{s:i, s:s}", "id", (int)id, "hex", hex);
    free(hex);
    return piece;
}

static enum status json_print(const struct tokenizer *tokenizer, const int32_t *ids, size_t count,
                              struct error *err)
{
    json_t *list = json_array(), *pieces = json_array(), *top = NULL;
    bool complete = list && pieces;
    for (size_t i = 0; complete && i < count; i++)
        complete = json_array_append_new(list, json_integer(ids[i])) == 0 &&
                   json_array_append_new(pieces, piece_json(tokenizer, ids[i])) == 0;
    if (complete)
        top =
            json_pack("{s:I, s:O, s:O}", "count", (json_int_t)count, "ids", list, "pieces", pieces);
    if (top) {
        json_dumpf(top, stdout, JSON_COMPACT); /* the caller looks at stdout's state */
        puts("");
    }
    enum status status = top ? STATUS_OK : error_no_memory(err, count * sizeof *ids);
    json_decref(top);
    json_decref(pieces);
    json_decref(list);
    return status;
}

static enum status tokenize(const struct tokenize_options *options, const struct option_list *args,
                            struct error *err)
{
    struct tokenizer *tokenizer = NULL;
    char *text = NULL;
    int32_t *ids = NULL;
    size_t bytes = 0, count = 0;
    unsigned flags =
        (options->bos ? TOKENIZER_ADD_BOS : 0) | (options->special ? TOKENIZER_PARSE_SPECIAL : 0);
    enum status status = text_read(options, args, &text, &bytes, err);
    if (status != STATUS_OK)
        goto cleanup;
    if ((status = tokenizer_open(&tokenizer, args->items[0], err)) != STATUS_OK ||
        (status = tokenizer_encode(tokenizer, text, bytes, flags, &ids, &count, err)) != STATUS_OK)
        goto cleanup;
    if (options->json) {
        status = json_print(tokenizer, ids, count, err);
    } else {
        for (size_t i = 0; i < count; i++)
            printf("%s%d", i ? " " : "", (int)ids[i]);
        puts("");
    }
    if (status == STATUS_OK && (fflush(stdout) != 0 || ferror(stdout)))
        status = error_errno(err, "write to standard output");
cleanup:
    free(ids);
    free(text);
    tokenizer_close(tokenizer);
    return status;
}

static int run(const void *options, const struct option_list *args)
{
    struct error err;
    if (tokenize(options, args, &err) == STATUS_OK)
        return EXIT_PASS;
    error_print(&err, stderr);
    return EXIT_ERROR;
}

const struct command command_model_tokenize = {
    .name = "model tokenize",
    .summary = "Prints the token ids of a text.",
    .positional = "MODEL [FILE|-]",
    .min_args = 1,
    .max_args = 2,
    .options = tokenize_options,
    .options_bytes = sizeof(struct tokenize_options),
    .details = "The ids are what every engine is given: text becomes ids once, before anything is "
               "timed.\n"
               "\n"
               "  prony model tokenize model.gguf --text 'Hello, world'\n"
               "  prony model tokenize model.gguf --json notes.txt\n",
    .run = run,
};
