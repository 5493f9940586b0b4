#include "fit/table.h"

#include "engine/form.h"
#include "fit/need.h"
#include "machine/free_memory.h"
#include "model/shards.h"

void fit_table_head(const struct fit_table *table, FILE *stream)
{
    fprintf(stream, "%s, %.2f G parameters: GB on each device, with a context of\n\n", table->name,
            (double)table->parameters / 1e9);
    fprintf(stream, "%-22s %6s %9s", "variant", "shards", "weights");
    for (size_t i = 0; i < table->contexts.count; i++)
        fprintf(stream, " %9u", table->contexts.value[i]);
    fputc('\n', stream);
}

static struct need need_at(const struct fit_table *table, const struct engine_variant *variant,
                           const struct engine_form *form, uint32_t context)
{
    const struct need_request request = {.config = table->config,
                                         .memory = table->card ? &variant->memory.card
                                                               : &variant->memory.cpu,
                                         .stored_bytes = table->stored_bytes,
                                         .quantize = form->quantize,
                                         .shard = form->shard,
                                         .context = context,
                                         .threads = table->threads};
    return need_of(&request);
}

static void row_begin(const struct engine_variant *variant, const struct engine_form *form,
                      FILE *stream)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s%s", variant->name, form->quantize ? " " : "",
             form->quantize ? form->quantize : "");
    fprintf(stream, "%-22s %6u", name, form->shard);
}

static void row(const struct fit_table *table, const struct engine_variant *variant,
                const struct engine_form *form, FILE *stream)
{
    struct need need = need_at(table, variant, form, 1);
    row_begin(variant, form, stream);
    fprintf(stream, " %9.2f", (double)need.weights / 1e9);
    for (size_t i = 0; i < table->contexts.count; i++) {
        uint32_t context = table->contexts.value[i];
        need = need_at(table, variant, form, context);
        if (table->config->context && context > table->config->context)
            fprintf(stream, " %9s", "-");
        else
            fprintf(stream, " %9.2f", (double)need_total(&need) / 1e9);
    }
    fputc('\n', stream);
}

void fit_table_rows(const struct fit_table *table, const struct engine_variant *variant,
                    const char *quantize, FILE *stream)
{
    const char *device = table->card ? "cuda" : "cpu";
    struct engine_form form = {.quantize = quantize};
    struct error ignored;
    for (size_t i = 0; i < table->shards.count; i++) {
        form.shard = table->shards.value[i];
        bool can = form_can(variant, &form, device);
        if (can && shards_divide(table->config, form.shard) &&
            !shards_check_blocks(table->config, quantize, form.shard, &ignored)) {
            row(table, variant, &form, stream);
        } else if (table->shards_asked) {
            row_begin(variant, &form, stream);
            fprintf(stream, " %s%s\n", can ? "does not divide the model" : "cannot be had on ",
                    can ? "" : device);
        }
    }
}

void fit_table_free(FILE *stream)
{
    struct free_memory host = free_memory_host();
    uint32_t cards = free_memory_card_count();
    struct free_memory card = free_memory_cards(cards);
    if (host.known)
        fprintf(stream, "Free here: %.2f GB of memory (%s)", (double)host.bytes / 1e9, host.source);
    else
        fputs("What is free here is not known", stream);
    if (cards && card.known)
        fprintf(stream, "; %u GPU%s, at least %.2f GB on each (%s)", cards, cards > 1 ? "s" : "",
                (double)card.bytes / 1e9, card.source);
    fputs(".\n", stream);
}
