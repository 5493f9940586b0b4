/* Matrices as they lie in a card's memory, or in those of several: the elements, codes and scales
 * of the CPU, each in its place, and the decode kernel's cut of them into stages and warps. It runs
 * without a GPU, since the kernels and this test share the functions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/made_model.h"
#include "../support/plain_codes.h"
#include "llama/cuda/decode.h"
#include "llama/cuda/parts.h"
#include "llama/quantize.h"
#include "model/half.h"
#include "model/synthetic.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const enum codes_kind kinds[] = {CODES_INT8, CODES_NF4};

static unsigned code_of(enum codes_kind kind, const unsigned char *matrix, uint32_t columns,
                        uint32_t row, uint32_t column)
{
    const unsigned char *at = matrix + codes_at(kind, columns, row, column / CODES_COLUMNS);
    uint32_t c = column % CODES_COLUMNS;
    return kind == CODES_INT8 ? at[c] : at[c / 2] >> (c % 2 * 4) & 15;
}

static float scale_of(enum codes_kind kind, const unsigned char *matrix, uint32_t columns,
                      uint32_t row, uint32_t column)
{
    float scale;
    memcpy(&scale, matrix + codes_scale_at(kind, columns, row, column / CODES_COLUMNS),
           sizeof scale);
    return scale;
}

static uint32_t bits_of(float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

/* Row r of a matrix on the card is this row of a tensor, or the columns of it that the card has. */
static void check_row(const struct card_part *part, const unsigned char *matrix, uint32_t r,
                      const struct tensor *tensor, size_t row)
{
    enum codes_kind kind = codes_kind_of(part->precision);
    uint32_t columns = (uint32_t)tensor_columns(tensor), held = (uint32_t)part->columns;
    float *wide = malloc(columns * sizeof *wide), scale[1024];
    unsigned char *codes = malloc(columns);
    assert_true(wide && codes && columns / NF4_BLOCK < COUNT(scale));
    tensor_row_f32(tensor, row, wide);
    if (kind == CODES_INT8)
        plain_int8((int8_t *)codes, scale, wide, columns);
    else
        kernels_plain.nf4_codes(codes, scale, wide, columns);
    for (uint32_t c = 0; c < held; c++) {
        size_t at = part->first_column + c;
        unsigned code = kind == CODES_INT8 ? codes[at] : nf4_at(codes, at);
        float expected = scale[kind == CODES_INT8 ? 0 : at / NF4_BLOCK];
        float found = scale_of(kind, matrix, held, r, c);
        if (code_of(kind, matrix, held, r, c) != code || bits_of(found) != bits_of(expected))
            fail_msg("row %u, column %u", r, c);
    }
    free(wide);
    free(codes);
}

/* Which row of which tensor is row r of the fused product of q, k and v: a key head after the
 * other, each with its queries, the tensors' rows as half-split rope has them. */
static const struct tensor *qkv_source(const struct model *model, const struct model_layer *layer,
                                       uint32_t r, size_t *row)
{
    const struct model_config *c = &model->config;
    uint32_t group = c->heads / c->kv_heads, size = c->head_size;
    uint32_t kv = r / size / (group + 2), head = r / size % (group + 2), i = r % size;
    if (model->rope_interleaved && head <= group)
        i = i % (size / 2) * 2 + i / (size / 2);
    *row = (head < group ? kv * group + head : kv) * size + i;
    return head < group ? &layer->wq : head == group ? &layer->wk : &layer->wv;
}

/* The same of elements. */
static void check_elements(const struct card_part *part, const unsigned char *matrix, uint32_t r,
                           const struct tensor *tensor, size_t row)
{
    size_t columns = tensor_columns(tensor), bytes = part->columns * sizeof(uint16_t);
    float *wide = malloc(columns * sizeof *wide);
    uint16_t *narrowed = malloc(bytes);
    assert_true(wide && narrowed);
    tensor_row_f32(tensor, row, wide);
    for (size_t c = 0; c < part->columns; c++)
        narrowed[c] = half_from_float(wide[part->first_column + c]);
    assert_memory_equal(matrix + r * bytes, narrowed, bytes);
    free(wide);
    free(narrowed);
}

static void check_part(const struct parts *parts, const struct card_part *part)
{
    struct part_room room;
    bool coded = codes_kind_of(part->precision) != CODES_NONE;
    unsigned char *matrix = malloc(part_bytes(part, part->rows));
    assert_true(part_room_get(&room, parts) && matrix);
    /* in pieces, as an upload has them */
    for (size_t done = 0, piece = CODES_ROWS; done < part->rows; done += piece, piece *= 2) {
        size_t rows = part->rows - done < piece ? part->rows - done : piece;
        part_fill(parts, part, done, rows, matrix + part_bytes(part, done), &room);
    }
    for (uint32_t r = 0; r < part->rows; r++) {
        const struct tensor *tensor = part->tensor;
        size_t of_all = part->first_row + r, row = of_all;
        if (part->kind == PART_QKV)
            tensor = qkv_source(parts->model, part->layer, (uint32_t)of_all, &row);
        if (part->kind == PART_GATE_UP) {
            tensor = of_all % 2 ? &part->layer->w_up : &part->layer->w_gate;
            row = of_all / 2;
        }
        (coded ? check_row : check_elements)(part, matrix, r, tensor, row);
    }
    part_room_free(&room);
    free(matrix);
}

/* Everything that one card holds of a model; returns the bytes. */
static uint64_t check_card(const struct model *model, const struct llama_options *options)
{
    struct parts parts;
    struct error err;
    assert_int_equal(parts_place(&parts, model, options, &err), STATUS_OK);
    uint64_t end = 0, held = parts.held_bytes;
    for (size_t p = 0; p < parts.count; p++) {
        const struct card_part *part = &parts.part[p];
        assert_true(part->at >= end);
        end = part->at + part_bytes(part, part->rows);
        check_part(&parts, part);
    }
    assert_true(end <= parts.bytes);
    parts_free(&parts);
    return held;
}

static const enum llama_precision methods[] = {0, LLAMA_INT8, LLAMA_NF4};

static void test_parts_hold_the_codes_of_the_cpu(void **state)
{
    struct model model;
    struct error err;
    (void)state;
    if (model_open(&model, "synthetic:tiny", &err) != STATUS_OK)
        fail_msg("%s", err.what);
    for (size_t i = 0; i < COUNT(methods); i++) {
        struct llama_options options = {.precision = LLAMA_F16, .quantize = methods[i]};
        check_card(&model, &options);
    }
    model_close(&model);
}

/* Heads, inner rows and words are cut among cards; of int8 a row that is cut has one scale. */
static void test_cards_hold_what_the_whole_has(void **state)
{
    struct made_model made;
    struct model_config config;
    (void)state;
    assert_true(synthetic_shape("tiny", &config));
    config.hidden_size = 128;
    config.heads = 8;
    config.kv_heads = 4;
    config.head_size = 32;
    config.ffn_size = 256;
    config.vocabulary = 520;
    for (int stored = 0; stored < 2; stored++) {
        assert_true(
            made_model_open(&made, "test_cuda_codes", &config, stored ? TENSOR_F32 : TENSOR_F16));
        for (size_t i = 0; i < COUNT(methods); i++) {
            struct llama_options options = {.precision = LLAMA_F16, .quantize = methods[i]};
            uint64_t whole = check_card(&made.model, &options), bytes = 0;
            for (uint32_t count = 2; count <= 4; count += 2, bytes = 0) {
                for (uint32_t rank = 0; rank < count; rank++) {
                    struct ranks ranks = {.rank = rank, .count = count};
                    options.ranks = &ranks;
                    bytes += check_card(&made.model, &options);
                }
                /* Scales of rows that are cut are on every card. */
                size_t cut = methods[i] == LLAMA_INT8 ? 2 * 2 * 128 * sizeof(float) : 0;
                assert_int_equal(bytes, whole + (count - 1) * cut);
            }
        }
        made_model_close(&made);
    }
}

/* 13 rows of 100 columns leave what is theirs in no group and unit as it was. */
static void test_what_fills_up_is_left_alone(void **state)
{
    enum { ROWS = 13, COLUMNS = 100 };
    int8_t codes[COLUMNS];
    float scale = 0.5F;
    uint64_t bytes = codes_bytes(CODES_INT8, ROWS, COLUMNS), written = 0;
    unsigned char *matrix = calloc(1, bytes);
    (void)state;
    assert_non_null(matrix);
    memset(codes, 0x55, sizeof codes);
    assert_int_equal(bytes, 2 * (2 * INT8_UNIT + INT8_SCALES));
    for (uint32_t r = 0; r < ROWS; r++)
        codes_put(CODES_INT8, matrix, r, COLUMNS, (const unsigned char *)codes, &scale);
    for (uint64_t i = 0; i < bytes; i++)
        written += matrix[i] != 0;
    assert_int_equal(written, ROWS * (COLUMNS + 1)); /* 0.5 has one byte that is not 0 */
    free(matrix);
}

/* Every four columns of an input are taken by one thread, of the warp that multiplies them. */
static void check_input(uint32_t columns)
{
    struct codes_tiling t = codes_tiling_of(columns);
    for (uint32_t c = 0; c < columns; c += 4) {
        uint32_t thread = c % INPUT_ROUND / 4, piece = c / INPUT_ROUND;
        uint32_t unit = c % INPUT_ROUND / CODES_COLUMNS;
        struct range mine = codes_warp_units(codes_piece_units(&t, piece), thread / 32);
        assert_in_range(unit, mine.begin, mine.end - 1);
    }
}

/* Marks the units that every warp of every block multiplies, as the loader fills stages. */
static void check_stages(enum codes_kind kind, uint32_t rows, uint32_t columns, uint32_t blocks)
{
    struct codes_tiling t = codes_tiling_of(columns);
    uint32_t held = rows_held(kind, rows), groups = held / CODES_ROWS, before = 0;
    unsigned char *done = calloc(groups, t.units);
    assert_non_null(done);
    for (uint32_t b = 0; b < blocks; b++) {
        struct range share = rows_share(held, CODES_ROWS, b, blocks);
        assert_int_equal(share.begin, before);
        before = share.end;
        for (uint32_t piece = 0; piece < t.pieces; piece++) {
            uint32_t units = codes_piece_units(&t, piece);
            assert_in_range(units, 1, CODES_PIECE);
            for (uint32_t g = share.begin / CODES_ROWS; g < share.end / CODES_ROWS; g++) {
                for (uint32_t warp = 0; warp < DECODE_WARPS; warp++) {
                    struct range mine = codes_warp_units(units, warp);
                    assert_true(mine.end - mine.begin <= CODES_WARP_UNITS);
                    for (uint32_t u = mine.begin; u < mine.end; u++)
                        done[g * t.units + piece * CODES_PIECE + u]++;
                }
            }
        }
    }
    assert_int_equal(before, held);
    for (size_t i = 0; i < (size_t)groups * t.units; i++)
        if (done[i] != 1)
            fail_msg("%d times", done[i]);
    free(done);
}

static void test_every_unit_is_multiplied_once(void **state)
{
    static const uint32_t widths[] = {64, 576, 1024, 2048, 2112, 3072, 4096, 8192, 9216, 14336};
    (void)state;
    for (size_t k = 0; k < COUNT(kinds); k++) {
        assert_true(stage_bytes(kinds[k]) >= DECODE_STAGE); /* keys and values go there as well */
        assert_int_equal(codes_unit_bytes(kinds[k]) % 16, 0);
        for (size_t i = 0; i < COUNT(widths); i++) {
            assert_int_equal(codes_group_bytes(kinds[k], widths[i]) %
                                 (kinds[k] == CODES_INT8 ? INT8_SCALES : 16),
                             0);
            check_input(widths[i]);
            check_stages(kinds[k], 777, widths[i], 132);
            check_stages(kinds[k], 6144, widths[i], 132);
            check_stages(kinds[k], 4096, widths[i], 78);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_hold_the_codes_of_the_cpu),
        cmocka_unit_test(test_cards_hold_what_the_whole_has),
        cmocka_unit_test(test_what_fills_up_is_left_alone),
        cmocka_unit_test(test_every_unit_is_multiplied_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
