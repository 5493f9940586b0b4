#include "model/noise.h"

#include <math.h>

uint64_t noise_key(uint64_t seed, const char *name)
{
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
    for (const char *p = name; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 0x100000001b3;
    return noise_mix(hash ^ noise_mix(seed));
}

float noise_scale(uint64_t columns)
{
    return sqrtf(3.0F / (float)columns) / 65536;
}

void noise_row(uint64_t key, bool vector, uint64_t columns, uint64_t row, float *out)
{
    uint64_t first = row * columns;
    if (vector) {
        /* On a grid that every precision has: GGUF keeps vectors in float32. */
        for (uint64_t i = 0; i < columns; i++)
            out[i] = 1 + roundf((float)noise(key, first + i) / 16384) / 64;
        return;
    }
    noise_fill(out, key, first, columns, noise_scale(columns));
}
