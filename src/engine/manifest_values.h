/* Members of an engine.json: text, names and lists, checked as they are read. Strings and lists go
 * to the arena; the errors name the key. */
#ifndef PRONY_ENGINE_MANIFEST_VALUES_H
#define PRONY_ENGINE_MANIFEST_VALUES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"

enum { MANIFEST_NAME = 32, MANIFEST_TITLE = 40, MANIFEST_TEXT = 400, MANIFEST_ITEMS = 64 };

/* Lists of words end with NULL. */
bool words_have(const char *word, const char *const *words);
const char *words_join(struct arena *arena, const char *const *words);

/* A key that nobody reads is most likely a misspelt one: all of the object's must be known. */
enum status manifest_keys(const json_t *object, const char *const *known, struct arena *arena,
                          struct error *err);
/* Text for a table's cell: not empty, one line, at most limit bytes. */
enum status manifest_text(const json_t *object, const char *key, size_t limit, struct arena *arena,
                          const char **text, struct error *err);
/* Whether the value of key can be a name: small letters, digits, - and . */
enum status manifest_name(const char *key, const char *name, struct error *err);
/* A list of strings; each one of words, unless words is NULL. An absent list is empty. */
enum status manifest_list(const json_t *object, const char *key, const char *const *words,
                          size_t at_least, struct arena *arena, const char *const **list,
                          struct error *err);

#endif
