#include "fit/fit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cores.h"
#include "engine/supports.h"
#include "model/shards.h"

/* A change, and what it comes to. */
struct change {
    const struct engine_variant *variant;
    struct engine_form form;
    uint32_t context;
};

struct search {
    const struct fit_request *request;
    uint64_t free_bytes;
    uint32_t cards, threads;
    char *text; /* what would fit, so far */
    size_t size, used;
};

static bool on_cpu(const struct fit_request *request)
{
    return strcmp(request->device, "cpu") == 0;
}

static const struct engine_memory *memory_of(const struct fit_request *request,
                                             const struct engine_variant *variant)
{
    return on_cpu(request) ? &variant->memory.cpu : &variant->memory.card;
}

static struct need need_with(const struct search *search, const struct change *change)
{
    const struct need_request asked = {.config = &search->request->model->config,
                                       .memory = memory_of(search->request, change->variant),
                                       .stored_bytes = search->request->model->weight_bytes,
                                       .quantize = change->form.quantize,
                                       .shard = change->form.shard,
                                       .context = change->context,
                                       .threads = search->threads};
    return need_of(&asked);
}

/* Of what is free in one place: on CPUs all shards share the machine's memory. */
static uint64_t total_with(const struct search *search, const struct change *change)
{
    struct need need = need_with(search, change);
    return need_total(&need) * (on_cpu(search->request) ? change->form.shard : 1);
}

static struct change as_asked(const struct fit_request *request)
{
    return (struct change){request->variant, request->form, request->context};
}

/* The most positions with which it fits, at least those that are needed; 0: none. */
static uint32_t context_fitting(const struct search *search, struct change change)
{
    uint32_t low = search->request->least_context, high = change.context;
    change.context = low;
    if (low == 0 || low >= high || total_with(search, &change) > search->free_bytes)
        return 0;
    while (high - low > 1) {
        change.context = low + (high - low) / 2;
        if (total_with(search, &change) > search->free_bytes)
            high = change.context;
        else
            low = change.context;
    }
    return low;
}

static void append(struct search *search, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void append(struct search *search, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int added = vsnprintf(search->text + search->used, search->size - search->used, format, args);
    va_end(args);
    if (added > 0)
        search->used += (size_t)added < search->size - search->used
                            ? (size_t)added
                            : search->size - search->used - 1;
}

/* Adds what differs from what was asked for, and what it takes. */
static void tell(struct search *search, const struct change *change)
{
    const struct fit_request *request = search->request;
    append(search, "%s", search->used ? ", or" : "");
    if (change->variant != request->variant)
        append(search, " --framework %s", change->variant->name);
    if (change->form.quantize != request->form.quantize)
        append(search, " --quantize %s", change->form.quantize);
    if (change->form.shard != request->form.shard)
        append(search, " --shard %u", change->form.shard);
    if (change->context != request->context)
        append(search, " --context %u", change->context);
    append(search, " (%.2f GB%s)", (double)total_with(search, change) / 1e9,
           change->form.shard > 1 && !on_cpu(request) ? " each" : "");
}

/* The way to quantise that changes least and fits; with the context as asked, or a smaller one. */
static bool quantize_try(struct search *search, bool smaller_context)
{
    static const char *const methods[] = {"float16", "int8", "nf4"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        struct change change = as_asked(search->request);
        change.form.quantize = form_method(change.variant, methods[i]);
        if (!form_can(change.variant, &change.form, search->request->device))
            continue;
        if (smaller_context)
            change.context = context_fitting(search, change);
        if (change.context && total_with(search, &change) <= search->free_bytes) {
            tell(search, &change);
            return true;
        }
    }
    return false;
}

static void shard_try(struct search *search)
{
    const struct model_config *config = &search->request->model->config;
    struct change change = as_asked(search->request);
    if (on_cpu(search->request))
        return;
    for (uint32_t n = 2; n <= search->cards && n <= FORM_SHARDS; n++) {
        change.form.shard = n;
        if (n > search->request->form.shard &&
            form_can(change.variant, &change.form, search->request->device) &&
            shards_divide(config, n) && total_with(search, &change) <= search->free_bytes) {
            tell(search, &change);
            return;
        }
    }
}

/* Another variant of the engine, where none can quantise. */
static void variant_try(struct search *search)
{
    const struct engine *engine = search->request->engine;
    const char *format = model_format_of(search->request->model);
    for (size_t i = 0; i < engine->variant_count; i++) {
        struct change change = as_asked(search->request);
        change.variant = &engine->variants[i];
        if (change.variant->by_default && memory_of(search->request, change.variant)->known &&
            supports_word(change.variant->formats, format) &&
            form_can(change.variant, &change.form, search->request->device) &&
            total_with(search, &change) <= search->free_bytes) {
            tell(search, &change);
            return;
        }
    }
}

static void changes_find(struct search *search)
{
    struct change smaller = as_asked(search->request);
    if (!quantize_try(search, false) && !search->request->form.quantize)
        variant_try(search);
    shard_try(search);
    smaller.context = context_fitting(search, smaller);
    if (smaller.context)
        tell(search, &smaller);
    if (search->used == 0)
        quantize_try(search, true);
}

static enum status refuse(const struct search *search, const char *source, struct error *err)
{
    const struct fit_request *request = search->request;
    struct change asked = as_asked(request);
    struct need need = need_with(search, &asked);
    char shards[48] = "";
    if (request->form.shard > 1)
        snprintf(shards, sizeof shards, on_cpu(request) ? " for %u shards" : " on each of %u cards",
                 request->form.shard);
    error_set(err, STATUS_NO_MEMORY,
              "%s needs %s%.2f GB of memory%s and %.2f GB are free (weights %.2f, KV cache of %u "
              "positions %.2f, besides %.2f)",
              request->variant->name,
              memory_of(request, request->variant)->exact ? "" : "at least ",
              (double)total_with(search, &asked) / 1e9, shards, (double)search->free_bytes / 1e9,
              (double)need.weights / 1e9, request->context, (double)need.cache / 1e9,
              (double)(need.work + need.base) / 1e9);
    error_where(err, "%s: %s", request->model->name, source);
    if (search->used)
        return error_remedy(err, "It would fit with%s.", search->text);
    return error_remedy(err, "Nothing that this variant can do makes it fit: use a smaller model, "
                             "or free memory.");
}

enum status fit_check_within(const struct fit_request *request, const struct free_memory *free,
                             uint32_t cards, struct error *err)
{
    char text[320] = "";
    struct search search = {.request = request,
                            .free_bytes = free->bytes,
                            .cards = cards,
                            .threads = request->threads,
                            .text = text,
                            .size = sizeof text};
    struct change asked = as_asked(request);
    if (!memory_of(request, request->variant)->known || !free->known ||
        total_with(&search, &asked) <= free->bytes)
        return STATUS_OK;
    changes_find(&search);
    return refuse(&search, free->source, err);
}

static struct fit_request counted_threads(const struct fit_request *request)
{
    struct fit_request counted = *request;
    struct cores cores;
    if (!counted.threads) {
        cores_read(&cores);
        counted.threads = cores.count;
    }
    return counted;
}

uint64_t fit_expected_bytes(const struct fit_request *request)
{
    struct fit_request counted = counted_threads(request);
    struct search search = {.request = &counted, .threads = counted.threads};
    struct change asked = as_asked(&counted);
    return request->variant->memory.cpu.known && on_cpu(request) ? total_with(&search, &asked) : 0;
}

enum status fit_check(const struct fit_request *request, struct error *err)
{
    struct fit_request counted = counted_threads(request);
    if (on_cpu(request)) {
        struct free_memory host = free_memory_host();
        return fit_check_within(&counted, &host, 0, err);
    }
    struct free_memory card = request->form.shard > 1 ? free_memory_cards(request->form.shard)
                                                      : free_memory_card(request->pci);
    return fit_check_within(&counted, &card, free_memory_card_count(), err);
}
