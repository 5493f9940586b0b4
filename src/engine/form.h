/* In which form a variant is to hold a model: quantised on load, split over devices. A form has a
 * place in a name: "native-f16+int8", "pytorch-opt+nf4+shard2". */
#ifndef PRONY_ENGINE_FORM_H
#define PRONY_ENGINE_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/manifest.h"

enum { FORM_SHARDS = 1024 }; /* more are no shards */

struct engine_form {
    const char *quantize; /* "int8", "nf4", "float16"; NULL: as the variant holds it by itself */
    uint32_t shard;       /* devices that the model is split over; 1: it is not */
};

/* The form that two options make, "none" among the ways to quantise; NULL and 0: not given. */
struct engine_form form_asked(const char *quantize, int64_t shard);

bool form_is_plain(const struct engine_form *form);
bool form_same(const struct engine_form *a, const struct engine_form *b);

/* What the form asks of a variant: quantising to the precision that it has anyway is nothing. */
struct engine_form form_of(const struct engine_variant *variant, const struct engine_form *form);

/* Whether a variant can hold a model so on a device. */
bool form_can(const struct engine_variant *variant, const struct engine_form *form,
              const char *device);
/* Why a variant cannot hold a model so on a device, and which variants of the catalogue can, for
 * the end of a sentence; in the arena. NULL: it can. */
const char *form_obstacle(const struct engine_catalogue *catalogue,
                          const struct engine_variant *variant, const struct engine_form *form,
                          const char *device, struct arena *arena);

/* A name, or a title for people, with the form; of a plain one they are as they were. NULL: no
 * memory. */
const char *form_name(struct arena *arena, const char *name, const struct engine_form *form);
const char *form_title(struct arena *arena, const char *title, const struct engine_form *form);

/* Length of a name without the form at its end, which goes to *form. */
size_t form_parse(const char *name, struct engine_form *form);

#endif
