/* How the decode kernel's work is split over blocks and warps: everything is done once. It runs
 * without a GPU, since the kernel and this test share the functions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "llama/cuda/decode.h"

enum { HOPPER_SHARED = 232448, CHUNKS_ALONE = 2 };

static const struct cuda_shape shapes[] = {
    {2048, 16, 32, 8, 64, 8192, 128256, 131072, 1e-5F},
    {4096, 32, 32, 8, 128, 14336, 128256, 8192, 1e-5F},
    {8192, 80, 64, 8, 128, 28672, 128256, 8192, 1e-5F},
    {576, 30, 9, 3, 64, 1536, 49152, 2048, 1e-5F},
    {256, 2, 4, 4, 64, 704, 1000, 256, 1e-5F},
};
static const uint32_t multiprocessors[] = {132, 78};

static const struct cuda_form f16 = {2, CODES_NONE, CODES_NONE}, f32 = {4, CODES_NONE, CODES_NONE};
static const struct cuda_form int8 = {2, CODES_INT8, CODES_INT8}, nf4 = {2, CODES_NF4, CODES_NONE};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Marks the 16 bytes that every warp of every block multiplies; each must be marked once. */
static void check_matrix(uint32_t rows, uint32_t unit, uint32_t columns, uint32_t element,
                         uint32_t blocks)
{
    struct tiling t = tiling_of(columns, element);
    uint32_t units = columns * element / 16, piece_units = t.width * element / 16, before = 0;
    unsigned char *done = calloc(rows, units);
    assert_non_null(done);
    assert_true(t.rows * (t.pieces > 1 ? t.width : columns) * element <= DECODE_STAGE);
    for (uint32_t b = 0; b < blocks; b++) {
        struct range share = rows_share(rows, unit, b, blocks);
        assert_int_equal(share.begin, before);
        assert_int_equal(share.begin % unit, 0);
        assert_true(share.end - share.begin <= (rows / unit / blocks + 1) * unit);
        before = share.end;
        for (uint32_t r = share.begin; r < share.end; r++) {
            /* its place in a stage is that of some of the warps */
            uint32_t warps = DECODE_WARPS / t.rows, place = (r - share.begin) % t.rows;
            for (uint32_t piece = 0; piece < t.pieces; piece++) {
                uint32_t width = columns - piece * t.width;
                width = width < t.width ? width : t.width;
                for (uint32_t w = place * warps; w < (place + 1) * warps; w++) {
                    struct range mine = warp_units(&t, width, element, w);
                    assert_true(mine.end - mine.begin <= DECODE_STAGE / DECODE_WARPS / 16);
                    for (uint32_t u = mine.begin; u < mine.end; u++)
                        done[(size_t)r * units + piece * piece_units + u]++;
                }
            }
        }
    }
    assert_int_equal(before, rows);
    for (size_t i = 0; i < (size_t)rows * units; i++)
        if (done[i] != 1)
            fail_msg("%d times", done[i]);
    free(done);
}

static void test_every_segment_is_read_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const struct cuda_shape *s = &shapes[i];
        if (s->hidden > 4096)
            continue;
        for (size_t m = 0; m < COUNT(multiprocessors); m++) {
            for (uint32_t element = 2; element <= 4; element += 2) {
                uint32_t blocks = multiprocessors[m];
                check_matrix(qkv_rows(s), 1, s->hidden, element, blocks);
                check_matrix(s->hidden, 1, s->heads * s->head_size, element, blocks);
                check_matrix(2 * s->ffn, 2, s->hidden, element, blocks);
                check_matrix(s->hidden, 1, s->ffn, element, blocks);
                check_matrix(s->vocabulary / 16, 1, s->hidden, element, blocks); /* for the time */
            }
        }
    }
}

/* Blocks' chunks of the virtual heads, as decode.cu walks them. */
static void check_attention(const struct cuda_shape *s, uint32_t width, uint32_t element,
                            uint32_t positions, uint32_t blocks)
{
    uint32_t splits = attention_splits(s, width, element, positions, blocks, CHUNKS_ALONE);
    uint32_t size = chunk_positions(s, element), heads = s->kv_heads * group_passes(s, width);
    uint32_t chunks = (positions + size - 1) / size;
    unsigned char *done = calloc(heads, chunks + 1);
    assert_non_null(done);
    assert_true(splits >= 1 && splits * heads <= blocks);
    for (uint32_t b = 0; b / splits < heads && b < blocks; b++)
        for (uint32_t c = b % splits; c < chunks; c += splits)
            done[b / splits * chunks + c]++;
    for (uint32_t i = 0; i < heads * chunks; i++)
        assert_int_equal(done[i], 1);
    free(done);
}

static void test_every_position_is_attended_once(void **state)
{
    static const uint32_t positions[] = {0,   1,    31,   32,   33,    128,
                                         511, 1000, 1024, 1025, 16384, 32768};
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++)
        for (size_t m = 0; m < COUNT(multiprocessors); m++)
            for (size_t p = 0; p < COUNT(positions); p++)
                for (uint32_t element = 2; element <= 4; element += 2) {
                    uint32_t narrow = attention_width(&shapes[i], element, positions[p],
                                                      multiprocessors[m], CHUNKS_ALONE);
                    check_attention(&shapes[i], DECODE_GROUP, element, positions[p],
                                    multiprocessors[m]);
                    check_attention(&shapes[i], narrow, element, positions[p], multiprocessors[m]);
                }
}

static void test_what_fits(void **state)
{
    struct decode_params params;
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const struct cuda_shape *s = &shapes[i];
        if (s->hidden > 132 * DECODE_OWN) { /* more rows than a block has room for */
            assert_false(decode_fits(&params, s, &f16, 132, HOPPER_SHARED));
            continue;
        }
        assert_true(decode_fits(&params, s, &f16, 132, HOPPER_SHARED));
        assert_in_range(params.stages, DECODE_LEAST_STAGES, DECODE_MAX_STAGES);
        assert_true(params.vector >= s->ffn * sizeof(float));
        assert_true(params.stages * DECODE_STAGE + params.vector + params.partial + DECODE_MISC <=
                    HOPPER_SHARED);
    }
    assert_true(decode_fits(&params, &shapes[0], &f32, 132, HOPPER_SHARED));
    assert_int_equal(params.stages, 11);
    assert_true(decode_fits(&params, &shapes[0], &f16, 132, HOPPER_SHARED));
    assert_int_equal(params.stages, 12);
    assert_false(decode_fits(&params, &shapes[0], &f16, 132, 64 << 10)); /* a smaller card */
    struct cuda_shape other = shapes[0];
    other.head_size = 80;
    assert_false(decode_fits(&params, &other, &f16, 132, HOPPER_SHARED));
    other = shapes[0];
    other.ffn = 1 << 16; /* a vector larger than shared memory */
    assert_false(decode_fits(&params, &other, &f16, 132, HOPPER_SHARED));
    other = shapes[0];
    other.ffn = 8190; /* rows that the copy engine cannot take */
    assert_false(decode_fits(&params, &other, &f16, 132, HOPPER_SHARED));
    assert_false(
        decode_fits(&params, &shapes[0], &f16, 7, HOPPER_SHARED)); /* fewer blocks than heads */
}

static void test_what_fits_of_codes(void **state)
{
    static const struct cuda_form *const forms[] = {&int8, &nf4};
    struct decode_params params;
    (void)state;
    for (size_t f = 0; f < COUNT(forms); f++) {
        for (size_t i = 0; i < COUNT(shapes); i++) {
            const struct cuda_shape *s = &shapes[i];
            bool fits = decode_fits(&params, s, forms[f], 132, HOPPER_SHARED);
            assert_int_equal(fits, s->hidden <= 132 * DECODE_OWN);
            if (!fits)
                continue;
            uint32_t table = forms[f]->layers == CODES_NF4 ? CODES_TABLE : 0;
            assert_in_range(params.stages, DECODE_LEAST_STAGES, DECODE_MAX_STAGES);
            assert_true(params.stages * stage_bytes(forms[f]->layers) + params.vector +
                            params.partial + DECODE_MISC + table <=
                        HOPPER_SHARED);
        }
        struct cuda_shape other = shapes[0];
        other.ffn = 8200; /* no whole units */
        assert_false(decode_fits(&params, &other, forms[f], 132, HOPPER_SHARED));
    }
    assert_true(decode_fits(&params, &shapes[0], &int8, 132, HOPPER_SHARED));
    assert_int_equal(params.stages, 11);
    assert_true(params.partial >= LOGITS_AT_ONCE * DECODE_WARPS * sizeof(float));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_segment_is_read_once),
        cmocka_unit_test(test_every_position_is_attended_once),
        cmocka_unit_test(test_what_fits),
        cmocka_unit_test(test_what_fits_of_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
