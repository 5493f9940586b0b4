/* TensorRT without a GPU, in the place of the shim: networks are computed in float32 on the CPU, on
 * the memory of the fake driver. A plan is the network itself.
 *
 * FAKE_TENSORRT holds words: "version=101503" makes it that version, "build=memory",
 * "build=resource", "build=odd" let building fail in that way, "timing=no" refuses timing caches,
 * "open=other" and "enqueue=odd" let those fail. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers.h"

struct trt_builder {
    struct trt_network network;
};

/* A profile. */
struct ranges {
    struct {
        char input[NAME];
        int64_t least, most;
    } range[TRT_MAX_RANGES];
    size_t count;
};

struct trt_engine {
    struct trt_network network;
    struct ranges ranges[TRT_MAX_PROFILES];
};

struct trt_context {
    struct trt_engine *engine;
    int32_t profile;
    uint64_t address[MOST_NODES];
    int64_t size[MOST_NODES];
};

static trt_on_log *say;

void *fake_refuse(const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say(TRT_ERROR, text);
    return NULL;
}

static const char *setting(const char *word)
{
    const char *text = getenv("FAKE_TENSORRT"), *found = text ? strstr(text, word) : NULL;
    return found ? found + strlen(word) : "";
}

static bool is_set(const char *word)
{
    const char *text = getenv("FAKE_TENSORRT");
    return text && strstr(text, word);
}

static struct trt_builder *builder_open(void)
{
    return calloc(1, sizeof(struct trt_builder));
}

static struct trt_network *builder_network(struct trt_builder *builder)
{
    return &builder->network;
}

static void builder_close(struct trt_builder *builder)
{
    free(builder);
}

static void ranges_copy(const struct trt_build *build, struct ranges ranges[TRT_MAX_PROFILES])
{
    memset(ranges, 0, TRT_MAX_PROFILES * sizeof *ranges);
    for (size_t p = 0; p < build->profiles; p++)
        for (size_t i = 0; i < build->ranges[p]; i++) {
            const struct trt_range *range = &build->range[p][i];
            ranges[p].count++;
            strncpy(ranges[p].range[i].input, range->input, NAME - 1);
            ranges[p].range[i].least = range->least;
            ranges[p].range[i].most = range->most;
        }
}

/* The profiles, the nodes, then the constants in their order. */
static int plan_write(const struct trt_builder *builder, const struct trt_build *build,
                      struct trt_memory *plan)
{
    char *data;
    size_t bytes;
    struct ranges ranges[TRT_MAX_PROFILES];
    FILE *stream = open_memstream(&data, &bytes);
    const struct trt_network *network = &builder->network;
    if (!stream)
        return -1;
    ranges_copy(build, ranges);
    fwrite(ranges, sizeof ranges, 1, stream);
    fwrite(network, sizeof *network, 1, stream);
    for (int32_t i = 0; i < network->count; i++)
        if (network->node[i].op == OP_CONSTANT)
            fwrite(network->node[i].data, fake_type_bytes(network->node[i].type),
                   fake_count(&network->node[i].dims), stream);
    fclose(stream);
    *plan = (struct trt_memory){data, data, bytes};
    return 0;
}

static int builder_build(struct trt_builder *builder, const struct trt_build *build,
                         struct trt_memory *plan, struct trt_memory *timing)
{
    static const char learned[] = "timing";
    *timing = (struct trt_memory){0};
    if (is_set("timing=no") && build->timing)
        return -2;
    if (is_set("build=memory"))
        fake_refuse("Error Code 2: OutOfMemory (Requested size was 68719476736 bytes.)");
    else if (is_set("build=resource"))
        fake_refuse("Unable to load library: libnvinfer_builder_resource_sm90.so.10.15.1");
    else if (is_set("build=odd"))
        fake_refuse("Error Code 10: Could not find any implementation for node x.");
    if (is_set("build="))
        return -1;
    if (build->keep_timing)
        *timing = (struct trt_memory){strdup(learned), NULL, sizeof learned};
    timing->data = timing->object;
    return plan_write(builder, build, plan);
}

static void memory_free(struct trt_memory *memory)
{
    free(memory->object);
    *memory = (struct trt_memory){0};
}

static void engine_close(struct trt_engine *engine)
{
    for (int32_t i = 0; i < engine->network.count; i++)
        free((void *)engine->network.node[i].data);
    free(engine);
}

static struct trt_engine *engine_open(const void *plan, size_t bytes)
{
    const char *at = plan;
    struct trt_engine *engine = calloc(1, sizeof *engine);
    if (is_set("open=other") || !engine || bytes < sizeof engine->ranges + sizeof engine->network) {
        free(engine);
        return fake_refuse("Error Code 1: Serialization (version tag does not match)");
    }
    memcpy(engine->ranges, at, sizeof engine->ranges);
    at += sizeof engine->ranges;
    memcpy(&engine->network, at, sizeof engine->network);
    at += sizeof engine->network;
    for (int32_t i = 0; i < engine->network.count; i++) {
        struct trt_tensor *node = &engine->network.node[i];
        size_t count = fake_count(&node->dims) * fake_type_bytes(node->type);
        if (node->op != OP_CONSTANT)
            continue;
        node->data = memcpy(malloc(count), at, count);
        at += count;
    }
    return engine;
}

static struct trt_context *context_open(struct trt_engine *engine, int32_t profile, void *stream)
{
    (void)stream;
    struct trt_context *context = calloc(1, sizeof *context);
    if (context)
        *context = (struct trt_context){.engine = engine, .profile = profile};
    return context;
}

static void context_close(struct trt_context *context)
{
    free(context);
}

static int context_bind(struct trt_context *context, const char *name, uint64_t address)
{
    const struct trt_network *network = &context->engine->network;
    for (int32_t i = 0; i < network->count; i++)
        if (strcmp(network->node[i].name, name) == 0 || strcmp(network->node[i].out, name) == 0) {
            context->address[i] = address;
            return address % 256 ? (fake_refuse("%s is not aligned", name), -1) : 0;
        }
    fake_refuse("there is no tensor %s", name);
    return -1;
}

/* Whether the profile was built for the size. */
static bool in_range(const struct trt_context *context, const char *name, int64_t size)
{
    const struct ranges *ranges = &context->engine->ranges[context->profile];
    for (size_t i = 0; i < ranges->count; i++)
        if (strcmp(ranges->range[i].input, name) == 0)
            return (size >= ranges->range[i].least && size <= ranges->range[i].most) ||
                   fake_refuse("%ld is no size of %s", (long)size, name);
    return size == 1;
}

static int context_size(struct trt_context *context, const char *name, int64_t size)
{
    const struct trt_network *network = &context->engine->network;
    for (int32_t i = 0; i < network->count; i++)
        if (strcmp(network->node[i].name, name) == 0) {
            context->size[i] = size;
            return in_range(context, name, size) ? 0 : -1;
        }
    fake_refuse("there is no input %s", name);
    return -1;
}

/* Every node in turn; inputs are read from where they are bound, outputs written there. */
static void run(void *data)
{
    const struct trt_context *context = *(struct trt_context **)data;
    const struct trt_network *network = &context->engine->network;
    struct value *values = calloc((size_t)network->count, sizeof *values);
    for (int32_t i = 0; i < network->count && values; i++) {
        const struct trt_tensor *node = &network->node[i];
        if (node->op == OP_INPUT) {
            values[i].dims = node->dims;
            if (node->dims.size[0] < 0)
                values[i].dims.size[0] = context->size[i];
            values[i].data = calloc(fake_count(&values[i].dims), sizeof(float));
            fake_read(node->type, (const void *)(uintptr_t)context->address[i], values[i].data,
                      fake_count(&values[i].dims));
        } else if (!fake_compute(network, i, values)) {
            abort();
        }
    }
    for (int32_t i = 0; i < network->count && values; i++) {
        if (*network->node[i].out)
            fake_write(network->node[i].type, values[i].data,
                       (void *)(uintptr_t)context->address[i], fake_count(&values[i].dims));
        free(values[i].data);
    }
    free(values);
}

static int context_enqueue(struct trt_context *context, void *stream)
{
    void (*enter)(void (*)(void *), const void *, size_t);
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    void *symbol = driver ? dlsym(driver, "fake_cuda_do") : NULL;
    (void)stream;
    if (!symbol || is_set("enqueue=odd")) {
        fake_refuse("Error Code 1: Cask (the kernel failed)");
        return -1;
    }
    memcpy(&enter, &symbol, sizeof enter);
    enter(run, &context, sizeof context);
    dlclose(driver);
    return 0;
}

const struct trt *prony_tensorrt_open(trt_on_log *on_log)
{
    static struct trt table = {.interface = TRT_INTERFACE,
                               .headers = 100600,
                               .layers = &fake_layers,
                               .builder_open = builder_open,
                               .builder_network = builder_network,
                               .builder_build = builder_build,
                               .builder_close = builder_close,
                               .memory_free = memory_free,
                               .engine_open = engine_open,
                               .engine_close = engine_close,
                               .context_open = context_open,
                               .context_bind = context_bind,
                               .context_size = context_size,
                               .context_enqueue = context_enqueue,
                               .context_close = context_close};
    say = on_log;
    table.version = is_set("version=") ? atoi(setting("version=")) : 100600;
    if (table.version >= 101500)
        table.layers = &fake_layers_fused;
    return &table;
}
