#include "bench/schedule.h"

size_t schedule_cycle(size_t variants)
{
    return variants % 2 && variants > 1 ? 2 * variants : variants;
}

void schedule_order(size_t variants, size_t block, uint32_t *order)
{
    if (variants == 0)
        return;
    size_t row = block % schedule_cycle(variants);
    /* An odd number needs the rows mirrored as well; each follows its own, so that an early end
     * is nearly balanced too. */
    int mirrored = variants % 2 && variants > 1 && row % 2;
    if (variants % 2 && variants > 1)
        row /= 2;
    for (size_t i = 0; i < variants; i++) {
        /* The first row zigzags: 0, 1, n - 1, 2, n - 2, ... */
        size_t zigzag = i % 2 ? (i + 1) / 2 : (variants - i / 2) % variants;
        order[mirrored ? variants - 1 - i : i] = (uint32_t)((zigzag + row) % variants);
    }
}
