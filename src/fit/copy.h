/* What an engine loads that does not read a model's own files: a copy in safetensors, made once and
 * kept in Prony's cache folder as converted/SHA-256/: the weights as they are (block formats as
 * float16), the configuration, and the tokenizer where the model has one. */
#ifndef PRONY_FIT_COPY_H
#define PRONY_FIT_COPY_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "engine/manifest.h"
#include "model/model.h"

/* How the detail of a variant begins that loaded one. */
#define COPY_DETAIL "from a copy in safetensors"

enum copy_need { COPY_NOT_NEEDED, COPY_NEEDED, COPY_NO_HELP };

/* Whether a variant reads the model as it is, or a copy of it. */
enum copy_need copy_need(const struct engine_variant *variant, const struct model *model);
/* Where no copy helps: what the variant does not read, and what does help; NULL: no memory. */
const char *copy_obstacle(const struct model *model, struct arena *arena);
/* The same as an error, STATUS_UNSUPPORTED. */
enum status copy_refuse(const struct engine_variant *variant, const struct model *model,
                        struct error *err);

/* The folder that the copy of a model with that hash is or will be in; nothing is made. */
enum status copy_path(const char hash[65], char path[PATH_MAX], struct error *err);
bool copy_is_made(const char *path);
/* Makes it, and says so on standard error. What was begun and not completed counts for nothing, and
 * is begun anew. STATUS_INTERRUPTED when cancel_fd becomes readable (-1: nothing does). */
enum status copy_make(const struct model *model, const char *path, int cancel_fd,
                      struct error *err);

/* The path of what a variant loads: the model's own, as model_locate finds it, or that of a copy,
 * which is made if it is not there. STATUS_UNSUPPORTED where none helps. */
enum status copy_or_model(const struct engine_variant *variant, const struct model *model,
                          int cancel_fd, char path[PATH_MAX], struct error *err);
/* Puts before an engine's own detail, in room for size bytes, that it loaded a copy. */
void copy_detail(char *detail, size_t size);

#endif
