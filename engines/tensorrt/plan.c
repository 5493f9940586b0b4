#include "plan.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "said.h"
#include "stored.h"
#include "weights.h"

/* What a plan depends on, in words. */
static enum status key_make(const struct plan_maker *maker, char key[STORED_KEY], struct error *err)
{
    const struct recipe *recipe = maker->recipe;
    const struct cuda_device *device = maker->device;
    char hash[65];
    enum status status = model_hash(maker->model, hash, err);
    if (status)
        return status;
    snprintf(key, STORED_KEY,
             "TensorRT %d on %s (%d.%d, %d multiprocessors, %.0f MB); model %s; %s, context %u, "
             "level %d, %s layers; sources " PLAN_SOURCES,
             maker->trt->version, device->name, device->compute_major, device->compute_minor,
             device->multiprocessors, (double)device->total_bytes / 1e6, hash, recipe->precision,
             maker->context, recipe->level, recipe->fused ? "fused" : "plain");
    return STATUS_OK;
}

static void timing_key_make(const struct plan_maker *maker, char key[STORED_KEY])
{
    snprintf(key, STORED_KEY, "timing of TensorRT %d on %s (%d.%d)", maker->trt->version,
             maker->device->name, maker->device->compute_major, maker->device->compute_minor);
}

/* The sizes that can come. */
static void ranges_make(const struct plan_maker *maker, enum part part, struct trt_build *build)
{
    int64_t chunk = maker->context < PLAN_CHUNK ? maker->context : PLAN_CHUNK;
    int64_t rows = maker->context < PLAN_ROWS ? maker->context : PLAN_ROWS;
    int64_t best = chunk < 128 ? chunk : 128;
    size_t profile = build->profiles++;
    struct trt_range *range = build->range[profile];
    const bool step = part == PART_STEP;
    build->ranges[profile] = 3;
    range[0] = (struct trt_range){"tokens", 1, step ? 1 : best, step ? 1 : chunk};
    range[1] = (struct trt_range){"positions", 1, step ? 1 : best, step ? 1 : chunk};
    /* Tuned for one row, TensorRT 10.6 finds no kernel in float32 that could take them all. */
    range[2] = (struct trt_range){"rows", 1, step ? 1 : rows, step ? 1 : rows};
}

/* A build as it goes. */
struct making {
    const struct plan_maker *maker;
    struct trt_weights weights;
    float *frequencies;
    struct arena arena;
    struct trt_builder *builder;
    struct trt_memory plan, timing;
};

static enum status network_make(struct making *making, struct error *err)
{
    const struct plan_maker *maker = making->maker;
    const struct network_spec spec = {.config = &maker->model->config,
                                      .weights = &making->weights,
                                      .frequencies = making->frequencies,
                                      .type = maker->recipe->type,
                                      .context = maker->context,
                                      .fused = maker->recipe->fused};
    making->builder = maker->trt->builder_open();
    if (!making->builder)
        return said_fail(err, "make a builder for %s", maker->device->name);
    enum status status =
        network_define(maker->trt->layers, maker->trt->builder_network(making->builder), &spec,
                       &making->arena, err);
    return status ? said_fail(err, "define the network (%s)", err->what) : STATUS_OK;
}

static enum status timing_refused(const char *path, struct error *err)
{
    error_set(err, STATUS_FORMAT, "TensorRT does not take the timing cache");
    error_where(err, "%s", path);
    return error_remedy(err, "Remove it, and it is made anew: rm %s", path);
}

/* Builds with the timing cache that is there, and writes what it has become. */
static enum status network_build(struct making *making, struct trt_build *build, struct error *err)
{
    const struct plan_maker *maker = making->maker;
    char key[STORED_KEY], path[PATH_MAX];
    struct stored timing = {0};
    timing_key_make(maker, key);
    stored_path(path, sizeof path, maker->folder, "timing", key);
    if (maker->recipe->timing_cache) {
        enum status status = stored_open(&timing, path, key, err);
        if (status && status != STATUS_NOT_FOUND)
            return status;
        build->keep_timing = 1;
        build->timing = timing.data;
        build->timing_bytes = timing.bytes;
    }
    int result = maker->trt->builder_build(making->builder, build, &making->plan, &making->timing);
    stored_close(&timing);
    if (result == -2)
        return timing_refused(path, err);
    if (result != 0)
        return said_fail(err, "build the network for %s", maker->device->name);
    return making->timing.bytes
               ? stored_write(path, key, making->timing.data, making->timing.bytes, err)
               : STATUS_OK;
}

static void making_end(struct making *making)
{
    const struct trt *trt = making->maker->trt;
    if (making->plan.object)
        trt->memory_free(&making->plan);
    if (making->timing.object)
        trt->memory_free(&making->timing);
    if (making->builder)
        trt->builder_close(making->builder);
    trt_weights_free(&making->weights);
    arena_free(&making->arena);
    free(making->frequencies);
}

static enum status plan_build(const struct plan_maker *maker, const char *path, const char *key,
                              struct error *err)
{
    struct making making = {.maker = maker};
    struct trt_build build = {.level = maker->recipe->level};
    size_t pairs = maker->model->config.head_size / 2;
    ranges_make(maker, PART_STEP, &build);
    ranges_make(maker, PART_PROMPT, &build);
    making.frequencies = calloc(pairs, sizeof *making.frequencies);
    enum status status =
        making.frequencies
            ? trt_weights_load(&making.weights, maker->model, maker->recipe->stored, err)
            : error_no_memory(err, pairs * sizeof *making.frequencies);
    if (!status) {
        model_rope_frequencies(maker->model, making.frequencies);
        status = network_make(&making, err);
    }
    if (!status)
        status = network_build(&making, &build, err);
    if (!status)
        status = stored_write(path, key, making.plan.data, making.plan.bytes, err);
    making_end(&making);
    return status;
}

enum status plan_open(struct plan *plan, const struct plan_maker *maker, struct error *err)
{
    char key[STORED_KEY], path[PATH_MAX];
    struct stored stored = {0};
    *plan = (struct plan){0};
    enum status status = folder_make(maker->folder, err);
    if (!status)
        status = key_make(maker, key, err);
    if (status)
        return status;
    said_begin();
    stored_path(path, sizeof path, maker->folder, "plan", key);
    status = stored_open(&stored, path, key, err);
    if (status == STATUS_NOT_FOUND) {
        plan->built = true;
        plan->build_start_ns = clock_now_ns();
        status = plan_build(maker, path, key, err);
        plan->build_end_ns = clock_now_ns();
        if (!status)
            status = stored_open(&stored, path, key, err);
    }
    if (status)
        return status;
    said_begin();
    plan->engine = maker->trt->engine_open(stored.data, stored.bytes);
    stored_close(&stored);
    return plan->engine ? STATUS_OK : said_fail(err, "load the plan %s", path);
}

void plan_close(struct plan *plan, const struct trt *trt)
{
    if (plan->engine)
        trt->engine_close(plan->engine);
    *plan = (struct plan){0};
}
