/* A model split over ranks that are threads here: it must say what the whole one says. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/made_model.h"
#include "llama/llama.h"
#include "llama/ranks.h"
#include "model/shards.h"

enum { RANKS = 2, IDS = 150, CONTEXT = 200, TOKENS = 20 };

/* Where threads exchange: each step is a rendezvous of two, or a letter for one. */
static struct {
    pthread_barrier_t barrier;
    float *data[RANKS];
    int pipe[RANKS][RANKS][2]; /* [from][to] */
} hall;

static void hall_sum(struct ranks *ranks, float *data, size_t count)
{
    float *sum = malloc(count * sizeof *sum);
    assert_non_null(sum);
    hall.data[ranks->rank] = data;
    pthread_barrier_wait(&hall.barrier);
    for (size_t i = 0; i < count; i++)
        sum[i] = hall.data[0][i] + hall.data[1][i];
    pthread_barrier_wait(&hall.barrier);
    memcpy(data, sum, count * sizeof *sum);
    free(sum);
}

static void hall_send(struct ranks *ranks, uint32_t to, const void *data, size_t bytes)
{
    int fd = hall.pipe[ranks->rank][to][1];
    for (size_t done = 0; done < bytes;) {
        ssize_t wrote = write(fd, (const char *)data + done, bytes - done);
        assert_true(wrote > 0);
        done += (size_t)wrote;
    }
}

static void hall_receive(struct ranks *ranks, uint32_t from, void *data, size_t bytes)
{
    int fd = hall.pipe[from][ranks->rank][0];
    for (size_t done = 0; done < bytes;) {
        ssize_t got = read(fd, (char *)data + done, bytes - done);
        assert_true(got > 0);
        done += (size_t)got;
    }
}

struct fixture {
    struct made_model made;
    int32_t ids[IDS];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct model_config config;
    assert_non_null(f);
    assert_true(synthetic_shape("tiny", &config));
    config.heads = 8; /* so that each part has whole blocks of nf4 */
    config.ffn_size = 256;
    if (!made_model_open(&f->made, "test_shard", &config, TENSOR_F16))
        return -1;
    for (uint32_t i = 0; i < IDS; i++)
        f->ids[i] = (int32_t)((i * 37 + 11) % config.vocabulary);
    pthread_barrier_init(&hall.barrier, NULL, RANKS);
    for (int from = 0; from < RANKS; from++)
        for (int to = 0; to < RANKS; to++)
            assert_int_equal(pipe(hall.pipe[from][to]), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < RANKS * RANKS; i++) {
        close(hall.pipe[i / RANKS][i % RANKS][0]);
        close(hall.pipe[i / RANKS][i % RANKS][1]);
    }
    pthread_barrier_destroy(&hall.barrier);
    made_model_close(&f->made);
    free(f);
    return 0;
}

/* What is held: a precision, and what it is quantised to. */
struct held {
    enum llama_precision precision, quantize;
};

struct member {
    struct fixture *fixture;
    struct held held;
    struct ranks ranks;
    uint64_t weight_bytes, cache_bytes;
};

static struct llama *load(struct fixture *f, struct held held, struct ranks *ranks)
{
    struct llama *llama;
    struct error err;
    struct llama_options options = {.precision = held.precision,
                                    .quantize = held.quantize,
                                    .context = CONTEXT,
                                    .threads = 2,
                                    .ranks = ranks};
    if (llama_load(&llama, &f->made.model, &options, &err) != STATUS_OK)
        fail_msg("%s", err.what);
    return llama;
}

static struct ranks ranks_of(uint32_t rank)
{
    return (struct ranks){
        .rank = rank, .count = RANKS, .sum = hall_sum, .send = hall_send, .receive = hall_receive};
}

static void *follow(void *context)
{
    struct member *member = context;
    struct llama *llama = load(member->fixture, member->held, &member->ranks);
    member->weight_bytes = llama_weight_bytes(llama);
    member->cache_bytes = llama_cache_bytes(llama);
    llama_follow(llama);
    llama_free(llama);
    return NULL;
}

struct heard {
    int32_t id[TOKENS];
    uint32_t count;
};

static int hear(void *context, int32_t id)
{
    struct heard *heard = context;
    heard->id[heard->count++] = id;
    return 0;
}

/* The logits of all ids, and what follows them. */
static float *say(struct fixture *f, struct llama *llama, struct heard *heard)
{
    struct error err;
    size_t words = f->made.model.config.vocabulary;
    float *logits = calloc(IDS * words, sizeof *logits);
    assert_non_null(logits);
    assert_int_equal(llama_forward(llama, f->ids, IDS, logits, 1, &err), STATUS_OK);
    llama_reset(llama);
    heard->count = 0;
    assert_int_equal(llama_generate(llama, NULL, f->ids, IDS, TOKENS, hear, heard, &err),
                     STATUS_OK);
    assert_int_equal(heard->count, TOKENS);
    assert_int_equal(llama_position(llama), IDS + TOKENS - 1);
    return logits;
}

static void test_parts_say_what_the_whole_says(void **state)
{
    static const struct held forms[] = {{LLAMA_F32, 0},
                                        {LLAMA_F16, 0},
                                        {LLAMA_BF16, 0},
                                        {LLAMA_F16, LLAMA_INT8},
                                        {LLAMA_F16, LLAMA_NF4}};
    struct fixture *f = *state;
    size_t count = (size_t)IDS * f->made.model.config.vocabulary;
    for (size_t form = 0; form < sizeof forms / sizeof forms[0]; form++) {
        struct heard heard, alone;
        struct llama *whole = load(f, forms[form], NULL);
        float *expected = say(f, whole, &alone);
        struct member other = {f, forms[form], ranks_of(1), 0, 0};
        struct ranks mine = ranks_of(0);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, follow, &other), 0);
        struct llama *part = load(f, forms[form], &mine);
        float *logits = say(f, part, &heard);
        for (size_t i = 0; i < count; i++)
            assert_true(fabsf(logits[i] - expected[i]) < 1e-3F);
        assert_memory_equal(heard.id, alone.id, sizeof heard.id);
        assert_true(mine.bytes > 0 && mine.ns > 0);
        uint64_t halves = llama_cache_bytes(part);
        llama_free(part);
        pthread_join(thread, NULL);
        assert_int_equal(halves + other.cache_bytes, llama_cache_bytes(whole));
        assert_true(other.weight_bytes < llama_weight_bytes(whole) * 51 / 100);
        llama_free(whole);
        free(logits);
        free(expected);
    }
}

static void test_numbers_that_would_do_are_listed(void **state)
{
    struct error err;
    struct model_config config = {
        .heads = 32, .kv_heads = 8, .ffn_size = 8192, .vocabulary = 128256};
    (void)state;
    assert_int_equal(shards_check(&config, 1, 1, &err), STATUS_OK);
    assert_int_equal(shards_check(&config, 8, 8, &err), STATUS_OK);
    assert_int_equal(shards_check(&config, 3, 8, &err), STATUS_USAGE);
    assert_string_equal(err.remedy, "For this model --shard can be: 1, 2, 4, 8.");
    assert_int_equal(shards_check(&config, 8, 4, &err), STATUS_USAGE);
    assert_non_null(strstr(err.remedy, "Here --shard can be: 1, 2, 4."));
    assert_int_equal(shards_check(&config, 16, 64, &err), STATUS_USAGE);
    config =
        (struct model_config){.heads = 9, .kv_heads = 3, .ffn_size = 1536, .vocabulary = 49152};
    assert_int_equal(shards_check(&config, 2, 8, &err), STATUS_USAGE);
    assert_string_equal(err.remedy, "For this model --shard can be: 1, 3.");
}

static void test_blocks_stay_whole(void **state)
{
    struct model_config config = {.heads = 9, .head_size = 64, .ffn_size = 1536};
    struct error err;
    (void)state;
    assert_int_equal(shards_check_blocks(&config, "nf4", 3, &err), STATUS_OK);
    config.heads = 4;
    config.head_size = 16;
    assert_int_equal(shards_check_blocks(&config, "nf4", 1, &err), STATUS_OK);
    assert_int_equal(shards_check_blocks(&config, "nf4", 2, &err), STATUS_USAGE);
    assert_string_equal(err.what, "2 parts of the model would cut nf4's blocks of 64 weights");
    assert_int_equal(shards_check_blocks(&config, "int8", 2, &err), STATUS_OK);
    assert_int_equal(shards_check_blocks(&config, NULL, 2, &err), STATUS_OK);
    config.head_size = 64;
    config.ffn_size = 192;
    assert_int_equal(shards_check_blocks(&config, "nf4", 2, &err), STATUS_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_parts_say_what_the_whole_says, setup, teardown),
        cmocka_unit_test(test_numbers_that_would_do_are_listed),
        cmocka_unit_test(test_blocks_stay_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
