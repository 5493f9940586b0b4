#include <math.h>

#include "model/model.h"

/* Llama 3.1's scaling: wavelengths shorter than original_context / high_freq_factor stay, those
 * longer than original_context / low_freq_factor are stretched by factor, those between are
 * interpolated. As transformers' modeling_rope_utils computes it. */
static double scale_llama3(const struct rope_scaling *rope, double frequency)
{
    double low = (double)rope->low_freq_factor, high = (double)rope->high_freq_factor;
    double turns = rope->original_context * frequency / (2 * 3.14159265358979323846);
    if (turns > high)
        return frequency;
    if (turns < low)
        return frequency / (double)rope->factor;
    double smooth = (turns - low) / (high - low);
    return (1 - smooth) * frequency / (double)rope->factor + smooth * frequency;
}

void model_rope_frequencies(const struct model *model, float *out)
{
    const struct model_config *config = &model->config;
    uint32_t pairs = config->head_size / 2;
    if (model->rope_freqs.data)
        tensor_row_f32(&model->rope_freqs, 0, out);
    for (uint32_t i = 0; i < pairs; i++) {
        double divisor = model->rope_freqs.data ? (double)out[i] : 1;
        double frequency = pow((double)config->rope_base, -2.0 * i / config->head_size);
        if (config->rope.kind == ROPE_SCALING_LINEAR)
            frequency /= (double)config->rope.factor;
        else if (config->rope.kind == ROPE_SCALING_LLAMA3)
            frequency = scale_llama3(&config->rope, frequency);
        out[i] = (float)(frequency / divisor);
    }
}
