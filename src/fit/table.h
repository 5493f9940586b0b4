/* The memory that a model needs on each device, as a table: a row for each variant, way to quantise
 * and number of shards; a column for each context. */
#ifndef PRONY_FIT_TABLE_H
#define PRONY_FIT_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/manifest.h"
#include "model/config.h"

enum { FIT_TABLE_LENGTHS = 12 };

struct fit_lengths {
    uint32_t value[FIT_TABLE_LENGTHS];
    size_t count;
};

struct fit_table {
    const char *name; /* the model's */
    const struct model_config *config;
    uint64_t parameters, stored_bytes;
    struct fit_lengths contexts, shards;
    bool shards_asked; /* so that what cannot be had is told, and not left out */
    uint32_t threads;
    bool card; /* of cards' memory, not the machine's */
};

void fit_table_head(const struct fit_table *table, FILE *stream);
/* Rows of one variant in one form (quantize NULL: its own), for each number of shards. */
void fit_table_rows(const struct fit_table *table, const struct engine_variant *variant,
                    const char *quantize, FILE *stream);
/* What is free on this machine. */
void fit_table_free(FILE *stream);

#endif
