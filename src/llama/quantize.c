#include "llama/quantize.h"

#include <math.h>

#include "llama/cpu/loading.h"
#include "model/half.h"

/* Dettmers et al. 2023, "QLoRA: Efficient Finetuning of Quantized LLMs", appendix E. */
const float nf4_code[NF4_CODES] = {-1.0f,
                                   -0.6961928009986877f,
                                   -0.5250730514526367f,
                                   -0.39491748809814453f,
                                   -0.28444138169288635f,
                                   -0.18477343022823334f,
                                   -0.09105003625154495f,
                                   0.0f,
                                   0.07958029955625534f,
                                   0.16093020141124725f,
                                   0.24611230194568634f,
                                   0.33791524171829224f,
                                   0.44070982933044434f,
                                   0.5626170039176941f,
                                   0.7229568362236023f,
                                   1.0f};

void quantize_q8_0(float *row, size_t columns)
{
    for (size_t block = 0; block < columns; block += Q8_0_BLOCK) {
        float *x = row + block, step = largest_of(x, Q8_0_BLOCK) / INT8_MOST;
        float per_step = step > 0 ? 1 / step : 0, held = half_to_float(half_from_float(step));
        for (size_t i = 0; i < Q8_0_BLOCK; i++)
            x[i] = roundf(x[i] * per_step) * held;
    }
}
