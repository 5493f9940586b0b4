#include "model/noise.h"

#include <math.h>

/* Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators (2014), the SplitMix64
 * finaliser. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint64_t noise_key(uint64_t seed, const char *name)
{
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
    for (const char *p = name; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 0x100000001b3;
    return mix(hash ^ mix(seed));
}

/* Nearly normal with standard deviation 1/sqrt(3) * 65536: the sum of four uniform 16-bit numbers,
 * centred. */
static int32_t noise(uint64_t key, uint64_t index)
{
    uint64_t z = mix(key + index * 0x9e3779b97f4a7c15);
    return (int32_t)((z & 0xffff) + (z >> 16 & 0xffff) + (z >> 32 & 0xffff) + (z >> 48)) -
           2 * 0xffff;
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
    float scale = sqrtf(3.0F / (float)columns) / 65536;
    for (uint64_t i = 0; i < columns; i++)
        out[i] = (float)noise(key, first + i) * scale;
}
