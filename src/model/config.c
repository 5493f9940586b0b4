#include "model/config.h"

#include <math.h>
#include <stddef.h>

static bool positive(float value)
{
    return isfinite(value) && value > 0;
}

static const char *problem(const struct model_config *config)
{
    const struct rope_scaling *rope = &config->rope;
    if (config->kv_heads > config->heads || config->heads % config->kv_heads)
        return "the number of key and value heads does not divide the number of heads";
    if (config->head_size % 2)
        return "the size of a head is odd, which rotary positions do not allow";
    if (!positive(config->norm_eps) || config->norm_eps >= 1)
        return "the epsilon of RMSNorm is not between 0 and 1";
    if (!positive(config->rope_base))
        return "the base of the rope frequencies is not positive and finite";
    if (rope->kind == ROPE_SCALING_NONE)
        return NULL;
    if (!positive(rope->factor))
        return "the factor of the rope scaling is not positive and finite";
    if (rope->kind == ROPE_SCALING_LLAMA3 &&
        (!positive(rope->low_freq_factor) || !positive(rope->high_freq_factor) ||
         rope->high_freq_factor <= rope->low_freq_factor))
        return "the rope scaling's low_freq_factor and high_freq_factor are not 0 < low < high";
    return NULL;
}

enum status model_config_check(const struct model_config *config, const char *path,
                               struct error *err)
{
    const char *what = problem(config);
    if (!what)
        return STATUS_OK;
    error_set(err, STATUS_FORMAT, "%s", what);
    error_where(err, "%s", path);
    return error_remedy(err, "Fetch or convert the model again.");
}
