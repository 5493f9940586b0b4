#include "model/rope_factors.h"

#include <math.h>

static const double two_pi = 6.283185307179586;

/* Long wavelengths are divided by the factor, short ones kept, those between blended. */
static double divisor(const struct model_config *config, uint32_t pair)
{
    const struct rope_scaling *rope = &config->rope;
    double wavelength = two_pi * pow(config->rope_base, 2.0 * pair / config->head_size);
    double turns = rope->original_context / wavelength;
    if (turns > rope->high_freq_factor)
        return 1;
    if (turns < rope->low_freq_factor)
        return rope->factor;
    double smooth =
        (turns - rope->low_freq_factor) / ((double)rope->high_freq_factor - rope->low_freq_factor);
    return 1 / ((1 - smooth) / rope->factor + smooth);
}

void rope_factors_make(const struct model_config *config, float *out)
{
    for (uint32_t i = 0; i < config->head_size / 2; i++)
        out[i] = (float)divisor(config, i);
}

static bool explains(const struct model_config *config, const float *factors)
{
    for (uint32_t i = 0; i < config->head_size / 2; i++) {
        double expected = divisor(config, i);
        if (!(fabs(factors[i] - expected) <= 1e-4 * expected))
            return false;
    }
    return true;
}

/* Every published model has low 1, high 4, and the context of its first training, a power of two;
 * so the original context is the one unknown besides the factor, which is the largest divisor. */
bool rope_factors_explain(struct model_config *config, const float *factors)
{
    struct model_config trial = *config;
    float largest = 1;
    for (uint32_t i = 0; i < config->head_size / 2; i++)
        largest = factors[i] > largest ? factors[i] : largest;
    for (uint32_t original = 16; original <= 1 << 24; original *= 2) {
        trial.rope = (struct rope_scaling){.kind = ROPE_SCALING_LLAMA3,
                                           .factor = largest,
                                           .low_freq_factor = 1,
                                           .high_freq_factor = 4,
                                           .original_context = original};
        if (explains(&trial, factors)) {
            config->rope = trial.rope;
            return true;
        }
    }
    return false;
}
