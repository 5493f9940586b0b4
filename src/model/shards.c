#include "model/shards.h"

#include <stdio.h>
#include <string.h>

#include "model/quantisable.h"

bool shards_divide(const struct model_config *config, uint32_t shards)
{
    return config->heads % shards == 0 && config->kv_heads % shards == 0 &&
           config->ffn_size % shards == 0 && config->vocabulary % shards == 0;
}

/* "1, 2, 4": at most as many as there are key heads, which all have to divide. */
static void list_write(char *text, size_t size, const struct model_config *config, uint32_t most)
{
    size_t used = 0;
    *text = '\0';
    for (uint32_t n = 1; n <= config->kv_heads && n <= most && used < size; n++)
        if (shards_divide(config, n))
            used += (size_t)snprintf(text + used, size - used, "%s%u", used ? ", " : "", n);
}

enum status shards_check(const struct model_config *config, uint32_t shards, uint32_t devices,
                         struct error *err)
{
    char would_do[128];
    if (shards == 1)
        return STATUS_OK;
    if (shards == 0)
        return error_set(err, STATUS_USAGE, "a model cannot be split over 0 devices");
    if (!shards_divide(config, shards)) {
        error_set(err, STATUS_USAGE,
                  "the model cannot be split over %u devices: it has %u heads, %u key heads, %u "
                  "inner rows and %u words",
                  shards, config->heads, config->kv_heads, config->ffn_size, config->vocabulary);
        list_write(would_do, sizeof would_do, config, UINT32_MAX);
        return error_remedy(err, "For this model --shard can be: %s.", would_do);
    }
    if (shards > devices) {
        error_set(err, STATUS_USAGE, "the model cannot be split over %u devices: there %s %u",
                  shards, devices == 1 ? "is" : "are", devices);
        list_write(would_do, sizeof would_do, config, devices);
        return error_remedy(err, "Here --shard can be: %s. On a CPU a device is a thread.",
                            would_do);
    }
    return STATUS_OK;
}

enum status shards_check_blocks(const struct model_config *config, const char *quantize,
                                uint32_t shards, struct error *err)
{
    uint64_t unit = (uint64_t)NF4_BLOCK * shards;
    if (!quantize || strcmp(quantize, "nf4") != 0 ||
        ((uint64_t)config->heads * config->head_size % unit == 0 && config->ffn_size % unit == 0))
        return STATUS_OK;
    error_set(err, STATUS_USAGE, "%u parts of the model would cut nf4's blocks of %d weights",
              shards, NF4_BLOCK);
    return error_remedy(err, "Use --quantize int8, or fewer shards.");
}
