#include "llama/cpu/kernels.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)
/* clang 14's __builtin_cpu_supports does not know "f16c". */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

/* Slowest first. */
static const struct {
    const struct kernels *kernels;
    bool (*supported)(void);
} tables[] = {
    {&kernels_plain, always},
#if defined(__x86_64__)
    {&kernels_avx2, has_avx2},
    {&kernels_avx512, has_avx512},
#elif defined(__aarch64__)
    {&kernels_neon, always},
#endif
};

enum { TABLES = sizeof tables / sizeof tables[0] };

const struct kernels *kernels_at(size_t i)
{
    for (size_t t = 0; t < TABLES; t++) {
        if (tables[t].supported() && i-- == 0)
            return tables[t].kernels;
    }
    return NULL;
}

void kernels_round(const struct kernels *kernels, enum llama_precision precision, float *data,
                   size_t count)
{
    uint16_t narrow[256];
    enum { PIECE = sizeof narrow / sizeof narrow[0] };
    for (size_t done = 0; precision != LLAMA_F32 && done < count; done += PIECE) {
        size_t piece = count - done < PIECE ? count - done : PIECE;
        kernels->narrow[precision](narrow, data + done, piece);
        kernels->widen[precision](data + done, narrow, piece);
    }
}

enum status kernels_find(const struct kernels **kernels, const char *name, struct error *err)
{
    for (size_t t = TABLES; t-- > 0;) {
        if (name && strcmp(tables[t].kernels->name, name) != 0)
            continue;
        if (tables[t].supported()) {
            *kernels = tables[t].kernels;
            return STATUS_OK;
        }
        if (name) {
            error_set(err, STATUS_UNSUPPORTED, "this processor cannot run the kernels \"%s\"",
                      name);
            return error_remedy(err, "Leave the choice to the program, or take \"c\".");
        }
    }
    error_set(err, STATUS_USAGE, "there are no kernels called \"%s\"", name);
    return error_remedy(err, "Known on this processor: \"c\"%s.",
                        TABLES == 3   ? ", \"avx2\", \"avx512\""
                        : TABLES == 2 ? ", \"neon\""
                                      : "");
}
