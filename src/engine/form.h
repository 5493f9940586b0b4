/* In which form a variant is to hold a model: quantised on load, split over devices. A form has a
 * place in a name: "native-f16+int8", "pytorch-opt+nf4+shard2"; "vllm+none" is the variant vllm as
 * it is, where "vllm" would be an engine. */
#ifndef PRONY_ENGINE_FORM_H
#define PRONY_ENGINE_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/manifest.h"

enum { FORM_SHARDS = 1024 }; /* more are no shards */

/* For people: what stands in int8's place where an engine has no int8. */
#define FORM_Q8_0                                                                                  \
    "Q8_0, blocks of 32 with a scale each, which is not int8 with a scale for each row"

struct engine_form {
    /* "int8", "nf4", "float16", "q8_0"; NULL: as the variant holds it by itself */
    const char *quantize;
    uint32_t shard; /* devices that the model is split over; 1: it is not */
};

/* The form that two options make, "none" among the ways to quantise; NULL and 0: not given. */
struct engine_form form_asked(const char *quantize, int64_t shard);

bool form_is_plain(const struct engine_form *form);
/* Whether engines keep what they make of a model in that form, as a file: Q8_0. */
bool form_is_kept(const struct engine_form *form);
bool form_same(const struct engine_form *a, const struct engine_form *b);

/* What a variant has of a way to quantise: one without int8 that has Q8_0, another thing of 8 bits,
 * is asked for that, under its own name. */
const char *form_method(const struct engine_variant *variant, const char *quantize);
/* What the form asks of a variant: besides, quantising to the precision that it has anyway is
 * nothing. */
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
