/* The native engine on a GPU, and split over two, against the CPU, on small models of every kind,
 * or on the one whose number is given (for compute-sanitizer, which takes its time). Without a GPU
 * that can run it, this says so and ends with 77, which ctest shows as skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gpu/cuda.h"
#include "llama/llama.h"
#include "llama/sample.h"

#include "small_model.h"

enum { CONTEXT = 400, MADE = 64, SKIPPED = 77 };

static const struct kind kinds[] = {
    {"tiny heads", 64, 2, 4, 2, 16, 192, 512, false, MODEL_GGUF},
    {"groups of 4, tied", 512, 2, 8, 2, 64, 1024, 2048, true, MODEL_GGUF},
    {"groups of 3", 576, 3, 9, 3, 64, 1536, 4096, true, MODEL_SAFETENSORS},
    {"groups of 1", 256, 2, 4, 4, 64, 704, 1000, false, MODEL_SAFETENSORS},
    {"groups of 8, heads of 128", 1024, 2, 16, 2, 128, 2048, 1024, false, MODEL_GGUF},
    {"rows of several pieces", 2304, 2, 12, 4, 128, 9216, 3000, true, MODEL_GGUF},
    {"words that fill no group", 384, 2, 6, 2, 64, 1152, 1002, false, MODEL_SAFETENSORS},
    {"rows of no whole 16 bytes", 100, 2, 2, 2, 10, 36, 290, false, MODEL_SAFETENSORS},
};

static struct llama *load(const struct fixture *f, enum llama_precision precision,
                          enum llama_precision quantize, const char *device, uint32_t cards)
{
    struct llama *llama;
    struct error err;
    struct llama_options options = {
        .precision = precision, .quantize = quantize, .context = CONTEXT, .device = device};
    options.cards = cards;
    if (llama_load(&llama, &f->model, &options, &err) != STATUS_OK)
        fail_msg("%s: %s (%s)", device, err.what, err.where);
    return llama;
}

/* Logits after each id: the first `together` at once, the others one by one. */
static float *logits_of(const struct fixture *f, struct llama *llama, uint32_t together)
{
    struct error err;
    size_t vocabulary = f->model.config.vocabulary;
    float *logits = malloc(IDS * vocabulary * sizeof *logits);
    assert_non_null(logits);
    memset(logits, 0xff, IDS * vocabulary * sizeof *logits);
    llama_reset(llama);
    for (uint32_t done = 0; done < IDS;) {
        uint32_t now = done < together ? together - done : 1;
        if (llama_forward(llama, f->ids + done, now, logits + done * vocabulary, 1, &err))
            fail_msg("%s", err.what);
        done += now;
    }
    return logits;
}

struct made {
    int32_t id[MADE];
    uint32_t count, stop_after;
};

static int note(void *context, int32_t id)
{
    struct made *made = context;
    made->id[made->count++] = id;
    return made->count == made->stop_after;
}

enum { PROMPT = 40 }; /* that ids are made after */
static const struct llama_sampler drawing = {.temperature = 1.3, .top_p = 1, .random = 11};

/* Greedy ids, or drawn ones. */
static struct made generate(const struct fixture *f, struct llama *llama,
                            const struct llama_sampler *sampler, uint32_t stop_after)
{
    struct error err;
    struct made made = {.stop_after = stop_after};
    struct llama_sampler begun = sampler ? *sampler : (struct llama_sampler){0};
    llama_reset(llama);
    if (llama_generate(llama, sampler ? &begun : NULL, f->ids, PROMPT, MADE, note, &made, &err))
        fail_msg("%s", err.what);
    return made;
}

/* What the CPU's sampler draws from the logits that come of each id. */
static struct made draw_each(const struct fixture *f, struct llama *llama)
{
    struct error err;
    struct made made = {.count = MADE};
    struct llama_sampler sampler = drawing;
    uint32_t vocabulary = f->model.config.vocabulary, count = PROMPT;
    float *logits = malloc(vocabulary * sizeof *logits);
    const int32_t *ids = f->ids;
    assert_non_null(logits);
    llama_reset(llama);
    for (int i = 0; i < MADE; i++, count = 1) {
        if (llama_forward(llama, ids, count, logits, 0, &err))
            fail_msg("%s", err.what);
        made.id[i] = llama_sample(&sampler, logits, vocabulary, NULL);
        ids = &made.id[i];
    }
    free(logits);
    return made;
}

static uint32_t same_ids(const struct made *a, const struct made *b)
{
    uint32_t same = 0;
    while (same < MADE && a->id[same] == b->id[same])
        same++;
    return same;
}

/* The ids that the card makes again and again, and cut off early; those of the CPU agree. */
static struct made check_ids(const struct fixture *f, struct llama *cpu, struct llama *gpu,
                             const struct llama_sampler *sampler, enum llama_precision precision)
{
    struct made expected = generate(f, cpu, sampler, 0), made = generate(f, gpu, sampler, 0);
    uint32_t same = same_ids(&made, &expected);
    printf(" %u of %d %s", same, MADE, sampler ? "drawn" : "greedy,");
    assert_int_equal(made.count, MADE);
    assert_true(same >= (precision == LLAMA_F32 ? MADE : 1));
    for (int again = 0; again < 2; again++) {
        struct made other = generate(f, gpu, sampler, 0);
        assert_memory_equal(other.id, made.id, sizeof made.id);
    }
    struct made cut = generate(f, gpu, sampler, 5);
    assert_int_equal(cut.count, 5);
    assert_memory_equal(cut.id, made.id, 5 * sizeof cut.id[0]);
    return made;
}

static void check(const struct kind *kind, enum llama_precision precision,
                  enum llama_precision quantize, uint32_t cards)
{
    static const char *const names[] = {"F32", "F16", "BF16", "int8", "nf4"};
    static const uint32_t together[] = {IDS, 70, 1};
    const char *name = names[quantize ? quantize : precision];
    struct fixture f;
    fixture_open(&f, kind, precision);
    struct llama *cpu = load(&f, precision, quantize, "cpu", 1);
    struct llama *gpu = load(&f, precision, quantize, "cuda", cards);
    if (cards == 1) {
        assert_int_equal(llama_weight_bytes(gpu), llama_weight_bytes(cpu));
        assert_int_equal(llama_bytes_per_token(gpu, 9), llama_bytes_per_token(cpu, 9));
    }
    size_t count = IDS * (size_t)f.model.config.vocabulary;
    float *expected = logits_of(&f, cpu, IDS);
    for (size_t i = 0; i < sizeof together / sizeof together[0]; i++) {
        float *logits = logits_of(&f, gpu, together[i]);
        double d = distance(logits, expected, count);
        printf("%-26s %-4s %-15s x%u %3u at once: relative L2 %.2e\n", kind->name, name,
               llama_kernels(gpu), cards, together[i], d);
        fflush(stdout);
        assert_true(d < bound(precision));
        free(logits);
    }
    printf("%-26s %-4s ids as on the CPU:", kind->name, name);
    check_ids(&f, cpu, gpu, NULL, precision);
    struct made drawn = check_ids(&f, cpu, gpu, &drawing, precision);
    struct made each = draw_each(&f, gpu);
    uint32_t same = same_ids(&drawn, &each);
    printf(", %u of them as from logits\n", same);
    /* one kernel makes logits and ids, or the same ones do */
    assert_true(same == MADE || !(precision == LLAMA_F32 || strstr(llama_kernels(gpu), "pers")));
    free(expected);
    llama_free(cpu);
    llama_free(gpu);
    fixture_close(&f);
}

static void check_forms(const char *only, uint32_t cards)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if ((only && strtoul(only, NULL, 10) != i) || kinds[i].kv_heads % cards != 0)
            continue;
        for (int precision = LLAMA_F32; precision <= LLAMA_BF16; precision++)
            check(&kinds[i], (enum llama_precision)precision, 0, cards);
        check(&kinds[i], LLAMA_F16, LLAMA_INT8, cards);
        if (kinds[i].hidden % 64 == 0 && kinds[i].ffn / cards % 64 == 0 &&
            kinds[i].heads * kinds[i].head_size / cards % 64 == 0)
            check(&kinds[i], LLAMA_F16, LLAMA_NF4, cards);
    }
}

static void test_models(void **state)
{
    check_forms(*state, 1);
}

static void test_cards(void **state)
{
    struct cuda cuda;
    struct error err;
    int count = 0;
    if (cuda_open(&cuda, &err) || cuda.DeviceGetCount(&count))
        fail();
    cuda_close(&cuda);
    if (count < 2) {
        fprintf(stderr, "There is one GPU: nothing was split.\n");
        skip();
    }
    check_forms(*state, 2);
}

/* A prompt that fills 32768 positions but for a few, in blocks and split attention over all of
 * them, and tokens after it. */
static void test_long_context(void **state)
{
    enum { LONG = 32768, AFTER = 8 };
    static const struct kind kind = {"long", 128, 1, 4, 2, 64, 256, 512, true, MODEL_GGUF};
    (void)state;
    for (int precision = LLAMA_F32; precision <= LLAMA_F16; precision++) {
        struct fixture f;
        struct error err;
        fixture_open(&f, &kind, (enum llama_precision)precision);
        f.model.config.context = LONG;
        int32_t *ids = malloc(LONG * sizeof *ids);
        float logits[2][AFTER + 1][512];
        assert_non_null(ids);
        for (uint32_t i = 0; i < LONG; i++)
            ids[i] = (int32_t)((i * 37 + i / 512 + 11) % kind.vocabulary);
        for (int gpu = 0; gpu < 2; gpu++) {
            struct llama_options options = {.precision = (enum llama_precision)precision,
                                            .context = LONG,
                                            .device = gpu ? "cuda" : "cpu"};
            struct llama *llama;
            if (llama_load(&llama, &f.model, &options, &err) ||
                llama_forward(llama, ids, LONG - AFTER, logits[gpu][0], 0, &err))
                fail_msg("%s", err.what);
            for (uint32_t i = 0; i < AFTER; i++)
                if (llama_forward(llama, ids + LONG - AFTER + i, 1, logits[gpu][i + 1], 0, &err))
                    fail_msg("%s", err.what);
            llama_free(llama);
        }
        double d = distance(logits[1][0], logits[0][0], sizeof logits[0] / sizeof logits[0][0][0]);
        printf("context of %d, %s: relative L2 %.2e\n", LONG, precision ? "F16" : "F32", d);
        fflush(stdout);
        assert_true(d < bound((enum llama_precision)precision));
        free(ids);
        fixture_close(&f);
    }
}

static int grow(void *context, int32_t id)
{
    *(*(int32_t **)context)++ = id;
    return 0;
}

/* Many ids by one call, while attention is split over more and more blocks: those of one by one,
 * and logits as the CPU's. The layers are odd in number. A block attends with one query head first,
 * then with four. */
static void check_growing(const struct kind *kind)
{
    enum { GROWN = 1000 };
    static const char *const names[] = {"F32", "F16", "int8"};
    const size_t count = (size_t)GROWN * kind->vocabulary;
    float *logits[2] = {malloc(count * sizeof(float)), malloc(count * sizeof(float))};
    assert_true(logits[0] && logits[1]);
    for (int n = 0; n < 3; n++) {
        struct fixture f;
        struct error err;
        int32_t ids[GROWN], *end = ids + PROMPT;
        fixture_open(&f, kind, n ? LLAMA_F16 : LLAMA_F32);
        memcpy(ids, f.ids, PROMPT * sizeof ids[0]);
        for (int gpu = 1; gpu >= 0; gpu--) {
            struct llama_options options = {.precision = n ? LLAMA_F16 : LLAMA_F32,
                                            .quantize = n == 2 ? LLAMA_INT8 : 0,
                                            .context = GROWN,
                                            .device = gpu ? "cuda" : "cpu"};
            struct llama *llama;
            if (llama_load(&llama, &f.model, &options, &err) ||
                (gpu && llama_generate(llama, NULL, ids, PROMPT, GROWN - PROMPT, grow, &end, &err)))
                fail_msg("%s", err.what);
            assert_ptr_equal(end, ids + GROWN);
            llama_reset(llama);
            for (uint32_t i = 0, each; i < GROWN; i += each) {
                each = i == 0 ? PROMPT : gpu ? 1 : GROWN - PROMPT;
                if (llama_forward(llama, ids + i, each, logits[gpu] + i * kind->vocabulary, 1,
                                  &err))
                    fail_msg("%s", err.what);
            }
            llama_free(llama);
        }
        for (uint32_t i = PROMPT + 1; i < GROWN; i++) { /* the first one is the prompt's */
            const float *l = logits[1] + (size_t)(i - 1) * kind->vocabulary;
            for (uint32_t id = 0; id < kind->vocabulary; id++)
                assert_true(l[id] <= l[ids[i]]);
        }
        double d = distance(logits[1], logits[0], count);
        printf("%s context, to %d, %s: relative L2 %.2e\n", kind->name, GROWN, names[n], d);
        fflush(stdout);
        assert_true(d < bound(n ? LLAMA_F16 : LLAMA_F32));
        fixture_close(&f);
    }
    free(logits[0]);
    free(logits[1]);
}

static void test_growing_context(void **state)
{
    static const struct kind fours = {"growing", 1088, 3, 32, 8, 128, 4096, 512, true, MODEL_GGUF};
    static const struct kind threes = {
        "growing, groups of 3", 1152, 3, 9, 3, 128, 1536, 512, true, MODEL_GGUF};
    (void)state;
    check_growing(&fours);
    check_growing(&threes);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_models, argc > 1 ? argv[1] : NULL),
        cmocka_unit_test_prestate(test_cards, argc > 1 ? argv[1] : NULL),
        cmocka_unit_test(test_long_context), cmocka_unit_test(test_growing_context)};
    struct cuda cuda;
    struct cuda_device device;
    struct error err;
    if (cuda_open(&cuda, &err) != STATUS_OK ||
        cuda_device_find(&cuda, "cuda", &device, &err) != STATUS_OK) {
        fputs("The tests on a GPU did not run. ", stderr);
        error_print(&err, stderr);
        return SKIPPED;
    }
    cuda_close(&cuda);
    if (argc > 1)
        cmocka_set_test_filter(argc > 2 ? argv[2] : "test_models");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
