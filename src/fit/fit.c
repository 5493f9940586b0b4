#include "fit/fit.h"

#include <stdio.h>
#include <string.h>

#include "base/cores.h"

enum { MOST_SHARDS = 64 };

/* A change, and what it comes to. */
struct change {
    const struct engine_variant *variant;
    const char *quantize;
    uint32_t shard, context;
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

static struct need need_with(const struct search *search, const struct change *change)
{
    const struct need_request asked = {.config = &search->request->model->config,
                                       .memory = &change->variant->memory,
                                       .stored_bytes = search->request->model->weight_bytes,
                                       .quantize = change->quantize,
                                       .shard = change->shard,
                                       .context = change->context,
                                       .threads = search->threads};
    return need_of(&asked);
}

/* Of what is free in one place: on CPUs all shards share the machine's memory. */
static uint64_t total_with(const struct search *search, const struct change *change)
{
    struct need need = need_with(search, change);
    return need_total(&need) * (on_cpu(search->request) ? change->shard : 1);
}

static struct change as_asked(const struct fit_request *request)
{
    return (struct change){request->variant, request->quantize, request->shard, request->context};
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

static bool supports(const char *const *list, const char *word)
{
    for (; list && *list; list++)
        if (strcmp(*list, word) == 0)
            return true;
    return false;
}

static void tell(struct search *search, const struct change *change)
{
    const struct fit_request *request = search->request;
    char words[160] = "";
    int used = 0;
    if (change->variant != request->variant)
        used += snprintf(words + used, sizeof words - (size_t)used, " --framework %s",
                         change->variant->name);
    if (change->quantize != request->quantize)
        used +=
            snprintf(words + used, sizeof words - (size_t)used, " --quantize %s", change->quantize);
    if (change->shard != request->shard)
        used += snprintf(words + used, sizeof words - (size_t)used, " --shard %u", change->shard);
    if (change->context != request->context)
        snprintf(words + used, sizeof words - (size_t)used, " --context %u", change->context);
    int added =
        snprintf(search->text + search->used, search->size - search->used, "%s%s (%.2f GB%s)",
                 search->used ? ", or" : "", words, (double)total_with(search, change) / 1e9,
                 change->shard > 1 && !on_cpu(request) ? " each" : "");
    if (added > 0 && search->used + (size_t)added < search->size)
        search->used += (size_t)added;
    search->text[search->used] = '\0';
}

/* The way to quantise that changes least and fits; with the context as asked, or a smaller one. */
static bool quantize_try(struct search *search, bool smaller_context)
{
    static const char *const methods[] = {"float16", "int8", "nf4"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        struct change change = as_asked(search->request);
        change.quantize = methods[i];
        if (!supports(change.variant->quantize, methods[i]))
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
    if (on_cpu(search->request) || !change.variant->shard)
        return;
    for (uint32_t n = change.shard + 1; n <= search->cards && n <= MOST_SHARDS; n++) {
        change.shard = n;
        if (config->heads % n == 0 && config->kv_heads % n == 0 &&
            total_with(search, &change) <= search->free_bytes) {
            tell(search, &change);
            return;
        }
    }
}

/* Another variant of the engine, where none can quantise. */
static void variant_try(struct search *search)
{
    const struct engine *engine = search->request->engine;
    const char *format = model_format_name(search->request->model->format);
    for (size_t i = 0; i < engine->variant_count; i++) {
        struct change change = as_asked(search->request);
        change.variant = &engine->variants[i];
        if (change.variant->by_default && change.variant->memory.known &&
            supports(change.variant->formats, format) &&
            total_with(search, &change) <= search->free_bytes) {
            tell(search, &change);
            return;
        }
    }
}

static void changes_find(struct search *search)
{
    struct change smaller = as_asked(search->request);
    if (!quantize_try(search, false) && !search->request->quantize)
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
    if (request->shard > 1)
        snprintf(shards, sizeof shards, on_cpu(request) ? " for %u shards" : " on each of %u cards",
                 request->shard);
    error_set(err, STATUS_NO_MEMORY,
              "%s needs %s%.2f GB of memory%s and %.2f GB are free (weights %.2f, KV cache of %u "
              "positions %.2f, besides %.2f)",
              request->variant->name,
              request->variant->memory.exact && on_cpu(request) ? "" : "at least ",
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
    if (!request->variant->memory.known || !free->known ||
        total_with(&search, &asked) <= free->bytes)
        return STATUS_OK;
    changes_find(&search);
    return refuse(&search, free->source, err);
}

enum status fit_check(const struct fit_request *request, struct error *err)
{
    struct fit_request counted = *request;
    struct cores cores;
    if (!counted.threads) {
        cores_read(&cores);
        counted.threads = cores.count;
    }
    if (on_cpu(request)) {
        struct free_memory host = free_memory_host();
        return fit_check_within(&counted, &host, 0, err);
    }
    struct free_memory card =
        request->shard > 1 ? free_memory_cards(request->shard) : free_memory_card(request->pci);
    return fit_check_within(&counted, &card, free_memory_card_count(), err);
}
