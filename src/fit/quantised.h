/* The file in which an engine keeps what it has made of a model, where it does not quantise at
 * every load: Q8_0, in the engine's cache folder, under the SHA-256 of the model that it was made
 * of. */
#ifndef PRONY_FIT_QUANTISED_H
#define PRONY_FIT_QUANTISED_H

#include <limits.h>
#include <stdbool.h>

#include "engine/form.h"
#include "model/model.h"

/* Path of the file, which the first load makes; "" where the form needs none. STATUS_IO when it is
 * not there yet and the disk has no room for it. */
enum status quantised_path(char path[PATH_MAX], const struct engine *engine,
                           const struct engine_variant *variant, const struct engine_form *form,
                           const struct model *model, struct error *err);

/* Whether it is there: it gets its name when it is whole. */
bool quantised_is_made(const char *path);

#endif
