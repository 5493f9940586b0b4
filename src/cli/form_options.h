/* --quantize and --shard, one row of a table each for every command that loads models: each takes
 * one value, or where several make a column each (bench), a list. */
#ifndef PRONY_CLI_FORM_OPTIONS_H
#define PRONY_CLI_FORM_OPTIONS_H

#include "engine/form.h"

#define OPTION_QUANTIZE(takes, field, several)                                                     \
    {                                                                                              \
        .name = "quantize", .kind = (takes), .choices = "none int8 nf4 float16 q8_0",              \
        .help = "Quantise on load: int8, nf4, a cast to float16, or q8_0, which is what engines "  \
                "without int8 have in its place" several ".",                                      \
        .offset = (field)                                                                          \
    }

#define OPTION_SHARD(takes, field, several)                                                        \
    {                                                                                              \
        .name = "shard", .kind = (takes), .metavar = "N", .low = 1, .high = FORM_SHARDS,           \
        .help = "Split the model over N devices" several ".", .offset = (field)                    \
    }

#endif
