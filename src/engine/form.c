#include "engine/form.h"

#include <stdlib.h>
#include <string.h>

#include "engine/supports.h"

static const char *const quantised[] = {"int8", "nf4", "float16", "q8_0"};
static const char none_word[] = "none", shard_word[] = "shard";

enum { QUANTISED = sizeof quantised / sizeof quantised[0] };

struct engine_form form_asked(const char *quantize, int64_t shard)
{
    bool none = !quantize || strcmp(quantize, none_word) == 0;
    return (struct engine_form){none ? NULL : quantize, shard > 1 ? (uint32_t)shard : 1};
}

bool form_is_plain(const struct engine_form *form)
{
    return !form->quantize && form->shard <= 1;
}

bool form_is_kept(const struct engine_form *form)
{
    return form->quantize && strcmp(form->quantize, "q8_0") == 0;
}

static bool same_word(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool form_same(const struct engine_form *a, const struct engine_form *b)
{
    return same_word(a->quantize, b->quantize) && a->shard == b->shard;
}

const char *form_method(const struct engine_variant *variant, const char *quantize)
{
    bool other = strcmp(quantize, "int8") == 0 && !supports_word(variant->quantize, quantize) &&
                 supports_word(variant->quantize, "q8_0");
    return other ? "q8_0" : quantize;
}

struct engine_form form_of(const struct engine_variant *variant, const struct engine_form *form)
{
    struct engine_form own = {form->quantize ? form_method(variant, form->quantize) : NULL,
                              form->shard ? form->shard : 1};
    if (own.quantize && strcmp(own.quantize, variant->precision) == 0)
        own.quantize = NULL;
    return own;
}

static bool can_quantize(const struct engine_variant *variant, const char *quantize,
                         const char *device)
{
    if (strcmp(variant->precision, quantize) == 0)
        return supports_device(variant->devices, device);
    return supports_word(variant->quantize, form_method(variant, quantize)) &&
           supports_device(variant->quantize_devices, device);
}

bool form_can(const struct engine_variant *variant, const struct engine_form *form,
              const char *device)
{
    return (!form->quantize || can_quantize(variant, form->quantize, device)) &&
           (form->shard <= 1 || supports_device(variant->shard, device)) &&
           (!form->quantize || form->shard <= 1 || variant->quantize_sharded);
}

/* Which variants can, those for tests left out. NULL: no memory. */
static const char *able(const struct engine_catalogue *catalogue, const struct engine_form *form,
                        const char *device, struct arena *arena)
{
    const char *names = NULL;
    for (size_t i = 0; i < catalogue->count; i++)
        for (size_t v = 0; v < catalogue->engines[i].variant_count; v++) {
            const struct engine_variant *variant = &catalogue->engines[i].variants[v];
            if (!catalogue->engines[i].hidden && form_can(variant, form, device))
                names = names ? arena_printf(arena, "%s, %s", names, variant->name)
                              : arena_strdup(arena, variant->name);
        }
    return names ? arena_printf(arena, "these can: %s", names)
                 : arena_printf(arena, "no engine here can");
}

const char *form_obstacle(const struct engine_catalogue *catalogue,
                          const struct engine_variant *variant, const struct engine_form *form,
                          const char *device, struct arena *arena)
{
    const char *text = NULL;
    int kind = (int)strcspn(device, ":");
    if (form_can(variant, form, device))
        return NULL;
    const char *others = able(catalogue, form, device, arena);
    if (others && form->quantize && !can_quantize(variant, form->quantize, device))
        text = arena_printf(arena, "it cannot quantise to %s on %.*s; %s", form->quantize, kind,
                            device, others);
    else if (others && supports_device(variant->shard, device))
        text = arena_printf(arena, "it cannot be quantised and split at once; %s", others);
    else if (others)
        text = arena_printf(arena, "it cannot be split over %u devices on %.*s; %s", form->shard,
                            kind, device, others);
    return text ? text : "it cannot hold a model in that form";
}

const char *form_name(struct arena *arena, const char *name, const struct engine_form *form)
{
    if (form_is_plain(form))
        return name;
    const char *quantised_name =
        form->quantize ? arena_printf(arena, "%s+%s", name, form->quantize) : name;
    return quantised_name && form->shard > 1
               ? arena_printf(arena, "%s+%s%u", quantised_name, shard_word, form->shard)
               : quantised_name;
}

const char *form_title(struct arena *arena, const char *title, const struct engine_form *form)
{
    if (form_is_plain(form))
        return title;
    const char *quantised_title =
        form->quantize ? arena_printf(arena, "%s %s", title, form->quantize) : title;
    return quantised_title && form->shard > 1
               ? arena_printf(arena, "%s x%u", quantised_title, form->shard)
               : quantised_title;
}

/* Where the word after the last '+' of name[0..length) begins; 0: there is none. */
static size_t word_start(const char *name, size_t length)
{
    while (length > 0 && name[length - 1] != '+')
        length--;
    return length;
}

static bool word_is(const char *word, size_t size, const char *expected)
{
    return strlen(expected) == size && strncmp(word, expected, size) == 0;
}

/* Whether the word is a way to quantise, which goes to *quantize: NULL for none at all. */
static bool quantize_parse(const char *word, size_t size, const char **quantize)
{
    for (size_t i = 0; i < QUANTISED; i++)
        if (word_is(word, size, quantised[i])) {
            *quantize = quantised[i];
            return true;
        }
    return word_is(word, size, none_word);
}

/* The N of "shardN"; 0: it is no such word. */
static uint32_t shard_parse(const char *word, size_t size)
{
    size_t lead = sizeof shard_word - 1;
    if (size <= lead || size > lead + 4 || strncmp(word, shard_word, lead) != 0 ||
        strspn(word + lead, "0123456789") < size - lead)
        return 0;
    unsigned long shards = strtoul(word + lead, NULL, 10);
    return shards > 1 && shards <= FORM_SHARDS ? (uint32_t)shards : 0;
}

size_t form_parse(const char *name, struct engine_form *form)
{
    size_t length = strlen(name), start = word_start(name, length);
    uint32_t shards = start ? shard_parse(name + start, length - start) : 0;
    *form = (struct engine_form){.shard = shards ? shards : 1};
    if (shards) {
        length = start - 1;
        start = word_start(name, length);
    }
    bool says = start && quantize_parse(name + start, length - start, &form->quantize);
    return says ? start - 1 : length;
}
