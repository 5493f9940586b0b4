/* The memory that a model needs, and what is told where it is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../support/temporary.h"
#include "fit/fit.h"
#include "machine/free_memory.h"
#include "model/synthetic.h"

static const struct engine_memory half = {.known = true,
                                          .exact = true,
                                          .weights = ENGINE_HELD_F16,
                                          .cache = ENGINE_HELD_F16,
                                          .copies = 1};

static const struct engine_memory half_of_a_card = {
    .known = true, .weights = ENGINE_HELD_F16, .cache = ENGINE_HELD_F16, .copies = 1};

static struct need need(const char *size, const char *quantize, uint32_t shard, uint32_t context)
{
    struct model_config config;
    assert_true(synthetic_shape(size, &config));
    const struct need_request request = {.config = &config,
                                         .memory = &half,
                                         .quantize = quantize,
                                         .shard = shard,
                                         .context = context,
                                         .threads = 1};
    return need_of(&request);
}

/* 16-bit matrices and float32 norms; 32 KiB, 128 KiB and 320 KiB a position. */
static void weights_and_cache_are_counted(void **state)
{
    (void)state;
    assert_int_equal(need("1b", NULL, 1, 1000).weights, 2 * 1235814400LL + 2 * 33 * 2048);
    assert_int_equal(need("8b", NULL, 1, 1).weights, 2 * 8030261248LL + 2 * 65 * 4096);
    assert_int_equal(need("405b", NULL, 1, 1).weights, 2 * 405853388800LL + 2 * 253 * 16384);
    assert_int_equal(need("1b", NULL, 1, 1000).cache, 32768000);
    assert_int_equal(need("8b", NULL, 1, 1000).cache, 131072000);
    assert_int_equal(need("70b", NULL, 1, 1000).cache, 327680000);
    assert_int_equal(need("70b", NULL, 4, 1000).cache, 327680000 / 4);
}

/* int8: a byte for a weight and a scale for a row. nf4: half a byte and an absmax for 64, but for
 * embedding and output, which stay as they are. */
static void packed_weights_are_counted(void **state)
{
    (void)state;
    uint64_t rows = 32 * (4096 + 1024 + 1024 + 4096 + 14336 + 14336 + 4096) + 2 * 128256;
    uint64_t matrices = 8030261248 - 65 * 4096, ends = 2 * 128256 * 4096ULL, norms = 4 * 65 * 4096;
    assert_int_equal(need("8b", "int8", 1, 1).weights, matrices + 4 * rows + norms);
    assert_int_equal(need("8b", "nf4", 1, 1).weights,
                     (matrices - ends) * 9 / 16 + 2 * ends + norms);
    assert_int_equal(need("8b", "q8_0", 1, 1).weights, matrices / 32 * 34 + norms);
    assert_int_equal(need("8b", "float16", 1, 1).weights, need("8b", NULL, 1, 1).weights);
    /* Rows that are cut keep their scale on each device: attention's output, down. */
    uint64_t cut = 32 * (4096 + 4096);
    assert_int_equal(need("8b", "int8", 2, 1).weights, (matrices + 4 * (rows + cut)) / 2 + norms);
    assert_int_equal(need("8b", "nf4", 2, 1).weights, (matrices - ends) * 9 / 32 + ends + norms);
}

/* A prompt's gate and up, the largest matrix of a layer, in 16 bits: on each device its rows. */
static void unpacked_weights_are_counted(void **state)
{
    (void)state;
    struct model_config config;
    struct engine_memory memory = half_of_a_card;
    struct need_request request = {.config = &config, .memory = &memory, .shard = 4, .context = 1};
    assert_true(synthetic_shape("405b", &config));
    memory.unpacks = true;
    assert_int_equal(need_of(&request).work, 0);
    request.quantize = "float16";
    assert_int_equal(need_of(&request).work, 0);
    request.quantize = "nf4";
    assert_int_equal(need_of(&request).work, 2 * (53248 / 4) * 16384 * 2);
    memory.unpacks = false;
    assert_int_equal(need_of(&request).work, 0);
}

static const char *const formats[] = {"gguf", "safetensors", NULL};
static const char *const quantize[] = {"int8", "nf4", NULL}, *const none[] = {NULL};
static const char *const devices[] = {"cpu", "cuda", NULL};

struct fixture {
    struct engine engine;
    struct engine_variant variants[2];
    struct model model;
    struct fit_request request;
};

static void fixture_make(struct fixture *f, const char *size, uint32_t context)
{
    *f = (struct fixture){.engine = {.name = "demo", .variants = f->variants, .variant_count = 2},
                          .variants = {{.name = "demo-f32",
                                        .formats = formats,
                                        .precision = "float32",
                                        .devices = devices,
                                        .quantize_devices = devices,
                                        .quantize = none,
                                        .shard = none,
                                        .by_default = true,
                                        .memory = {half, half_of_a_card}},
                                       {.name = "demo-f16",
                                        .formats = formats,
                                        .precision = "float16",
                                        .devices = devices,
                                        .quantize_devices = devices,
                                        .quantize = quantize,
                                        .shard = none,
                                        .by_default = true,
                                        .memory = {half, half_of_a_card}}},
                          .model = {.name = "a model", .format = MODEL_GGUF},
                          .request = {.engine = &f->engine,
                                      .variant = &f->variants[1],
                                      .model = &f->model,
                                      .form = {NULL, 1},
                                      .context = context,
                                      .least_context = 100,
                                      .threads = 1,
                                      .device = "cpu",
                                      .pci = ""}};
    f->variants[0].memory.cpu.weights = ENGINE_HELD_F32;
    assert_true(synthetic_shape(size, &f->model.config));
}

static enum status check(const struct fixture *f, double gb, uint32_t cards, struct error *err)
{
    const struct free_memory room = {true, (uint64_t)(gb * 1e9), "a test"};
    return fit_check_within(&f->request, &room, cards, err);
}

static void refused(const struct fixture *f, double gb, uint32_t cards, const char *what,
                    const char *remedy)
{
    struct error err;
    assert_int_equal(check(f, gb, cards, &err), STATUS_NO_MEMORY);
    if (!strstr(err.what, what) || strcmp(err.remedy, remedy) != 0)
        fail_msg("%s. %s", err.what, err.remedy);
}

/* To the byte: what fits is never refused, nor is what nobody knows. */
static void what_fits_is_not_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct error err;
    fixture_make(&f, "8b", 8192);
    struct need asked = need("8b", NULL, 1, 8192);
    struct free_memory room = {true, need_total(&asked), "a test"};
    assert_int_equal(fit_check_within(&f.request, &room, 0, &err), STATUS_OK);
    room.bytes--;
    assert_int_equal(fit_check_within(&f.request, &room, 0, &err), STATUS_NO_MEMORY);
    room.known = false;
    assert_int_equal(fit_check_within(&f.request, &room, 0, &err), STATUS_OK);
    room.known = true;
    f.variants[1].memory.cpu.known = false;
    assert_int_equal(fit_check_within(&f.request, &room, 0, &err), STATUS_OK);
}

static void the_least_change_is_told(void **state)
{
    (void)state;
    struct fixture f;
    fixture_make(&f, "8b", 8192);
    refused(&f, 17, 0, "demo-f16 needs 17.13 GB of memory and 17.00 GB are free",
            "It would fit with --quantize int8 (9.11 GB), or --context 7163 (17.00 GB).");
    refused(&f, 10, 0, "needs 17.13 GB", "It would fit with --quantize int8 (9.11 GB).");
    refused(&f, 8, 0, "needs 17.13 GB", "It would fit with --quantize nf4 (7.10 GB).");
    refused(&f, 6.5, 0, "needs 17.13 GB",
            "It would fit with --quantize nf4 --context 3598 (6.50 GB).");
    refused(&f, 1, 0, "needs 17.13 GB",
            "Nothing that this variant can do makes it fit: use a smaller model, or free memory.");
    f.request.least_context = 8192;
    refused(&f, 17, 0, "needs 17.13 GB", "It would fit with --quantize int8 (9.11 GB).");
    f.request.variant = &f.variants[0];
    refused(&f, 18, 0, "demo-f32 needs 33.19 GB",
            "It would fit with --framework demo-f16 (17.13 GB).");
}

/* Cards have a memory each; shards on one machine's CPUs share it. */
static void cards_are_counted(void **state)
{
    (void)state;
    struct fixture f;
    struct error err;
    fixture_make(&f, "70b", 1000);
    f.request.device = "cuda";
    f.request.least_context = 1000;
    f.variants[1].quantize = none;
    f.variants[1].shard = devices;
    refused(&f, 80, 2, "demo-f16 needs at least 141.4",
            "It would fit with --shard 2 (70.72 GB each).");
    refused(&f, 40, 8, "demo-f16 needs at least 141.4",
            "It would fit with --shard 4 (35.36 GB each).");
    refused(&f, 80, 1, "demo-f16 needs at least 141.4",
            "Nothing that this variant can do makes it fit: use a smaller model, or free memory.");
    f.request.form.shard = 2;
    assert_int_equal(check(&f, 80, 2, &err), STATUS_OK);
    f.request.device = "cpu";
    refused(&f, 80, 0, "demo-f16 needs 141.4",
            "Nothing that this variant can do makes it fit: use a smaller model, or free memory.");
}

static uint64_t room_under(const char *root)
{
    struct free_memory room = free_memory_host_under(temporary_path(root));
    assert_true(room.known);
    return room.bytes;
}

/* The least of what the machine has and of each group's limit above this process; pages of files do
 * not count as used. */
static void limits_of_control_groups_count(void **state)
{
    (void)state;
    temporary_put("v2/proc/meminfo", "MemTotal:  9000 kB\nMemAvailable:   8000 kB\n");
    temporary_put("v2/proc/self/cgroup", "0::/user/job\n");
    assert_int_equal(room_under("v2"), 8000 * 1024);
    temporary_put("v2/sys/fs/cgroup/user/job/memory.max", "max\n");
    temporary_put("v2/sys/fs/cgroup/user/job/memory.current", "4000000\n");
    assert_int_equal(room_under("v2"), 8000 * 1024);
    temporary_put("v2/sys/fs/cgroup/user/memory.max", "5000000\n");
    temporary_put("v2/sys/fs/cgroup/user/memory.current", "4000000\n");
    assert_int_equal(room_under("v2"), 1000000);
    temporary_put("v2/sys/fs/cgroup/user/memory.stat",
                  "anon 1000000\nfile 3000000\ninactive_file 2000000\nactive_file 500000\n");
    assert_int_equal(room_under("v2"), 3500000);
    temporary_put("v2/sys/fs/cgroup/user/job/memory.max", "100\n");
    assert_int_equal(room_under("v2"), 0);

    temporary_put("v1/proc/meminfo", "MemAvailable:   8000 kB\n");
    temporary_put("v1/proc/self/cgroup", "7:cpu,cpuacct:/a\n5:memory:/job\n0::/\n");
    temporary_put("v1/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "3000000\n");
    temporary_put("v1/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "2000000\n");
    temporary_put("v1/sys/fs/cgroup/memory/job/memory.stat",
                  "cache 500000\ntotal_inactive_file 250000\n");
    assert_int_equal(room_under("v1"), 1250000);
    assert_false(free_memory_host_under(temporary_path("nowhere")).known);
    assert_true(free_memory_host().known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_and_cache_are_counted),
        cmocka_unit_test(packed_weights_are_counted),
        cmocka_unit_test(unpacked_weights_are_counted),
        cmocka_unit_test(what_fits_is_not_refused),
        cmocka_unit_test(the_least_change_is_told),
        cmocka_unit_test(cards_are_counted),
        cmocka_unit_test(limits_of_control_groups_count),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
