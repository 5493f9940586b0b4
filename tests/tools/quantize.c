/* quantize int8|nf4|q8_0 COLUMNS: float32 rows from stdin as the native engine quantises them; to
 * stdout, of each row its codes in the order of the weights, a byte each, then its scales, float32;
 * of q8_0 the values that they stand for, float32. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/plain_codes.h"
#include "llama/quantize.h"

static void row_write(const char *way, float *row, size_t columns, uint8_t *codes, float *scales)
{
    bool nf4 = strcmp(way, "nf4") == 0;
    if (strcmp(way, "q8_0") == 0) {
        quantize_q8_0(row, columns);
        fwrite(row, sizeof *row, columns, stdout);
        return;
    }
    size_t count = nf4 ? columns / NF4_BLOCK : 1;
    if (nf4)
        kernels_plain.nf4_codes(codes, scales, row, columns);
    else
        plain_int8((int8_t *)codes, scales, row, columns);
    for (size_t i = 0; i < columns; i++)
        putchar(nf4 ? (int)nf4_at(codes, i) : codes[i]);
    fwrite(scales, sizeof *scales, count, stdout);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: quantize int8|nf4|q8_0 COLUMNS\n", stderr);
        return 1;
    }
    size_t columns = strtoul(argv[2], NULL, 10);
    float *row = calloc(columns, sizeof *row), *scales = calloc(columns, sizeof *scales);
    uint8_t *codes = calloc(columns, 1);
    while (row && scales && codes && fread(row, sizeof *row, columns, stdin) == columns)
        row_write(argv[1], row, columns, codes, scales);
    free(row);
    free(scales);
    free(codes);
    return fflush(stdout) != 0;
}
