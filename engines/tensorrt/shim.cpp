// TensorRT's C++ classes as the C functions of trt.h: only what their virtual tables force.
// Compiled at installation against headers of 10.x or 11.x. What a header newer than the library
// has is not called: tables are only ever appended to within a major version.
#include <NvInfer.h>

#include <memory>

#include "shim.h"

// Of two forms of a call the older one is used: every library has it.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace nv = nvinfer1;

namespace
{

trt_on_log *say;

struct Logger : nv::ILogger {
    void log(Severity severity, nv::AsciiChar const *text) noexcept override
    {
        if (severity <= Severity::kINFO)
            say(static_cast<trt_severity>(severity), text);
    }
} logger;

// The builder

struct Builder {
    std::unique_ptr<nv::IBuilder> builder;
    std::unique_ptr<nv::INetworkDefinition> network;
};

trt_builder *builder_open()
{
    auto made = std::make_unique<Builder>();
    // The library's own version, so that a header of the same major version serves it.
    made->builder.reset(
        static_cast<nv::IBuilder *>(createInferBuilder_INTERNAL(&logger, getInferLibVersion())));
    if (!made->builder)
        return nullptr;
#if NV_TENSORRT_MAJOR >= 11 // where no other kind is left
    const uint32_t flags = 0;
#else
    const uint32_t flags =
        1u << static_cast<uint32_t>(nv::NetworkDefinitionCreationFlag::kSTRONGLY_TYPED);
#endif
    made->network.reset(made->builder->createNetworkV2(flags));
    return made->network ? reinterpret_cast<trt_builder *>(made.release()) : nullptr;
}

trt_network *builder_network(trt_builder *builder)
{
    return reinterpret_cast<trt_network *>(reinterpret_cast<Builder *>(builder)->network.get());
}

bool profile_add(nv::IBuilder *builder, nv::IBuilderConfig *config, trt_range const *range,
                 size_t ranges)
{
    nv::IOptimizationProfile *profile = builder->createOptimizationProfile();
    if (!profile)
        return false;
    for (size_t i = 0; i < ranges; i++) {
        nv::Dims least{1, {range[i].least}}, best{1, {range[i].best}}, most{1, {range[i].most}};
        if (!profile->setDimensions(range[i].input, nv::OptProfileSelector::kMIN, least) ||
            !profile->setDimensions(range[i].input, nv::OptProfileSelector::kOPT, best) ||
            !profile->setDimensions(range[i].input, nv::OptProfileSelector::kMAX, most))
            return false;
    }
    return config->addOptimizationProfile(profile) >= 0;
}

trt_memory memory_of(nv::IHostMemory *memory)
{
    return {memory, memory->data(), memory->size()};
}

int builder_build(trt_builder *builder, trt_build const *build, trt_memory *plan,
                  trt_memory *timing)
{
    Builder *self = reinterpret_cast<Builder *>(builder);
    std::unique_ptr<nv::IBuilderConfig> config(self->builder->createBuilderConfig());
    if (!config)
        return -1;
    if (build->level >= 0)
        config->setBuilderOptimizationLevel(build->level);
    config->clearFlag(nv::BuilderFlag::kTF32);
    for (size_t i = 0; i < build->profiles; i++)
        if (!profile_add(self->builder.get(), config.get(), build->range[i], build->ranges[i]))
            return -1;
    std::unique_ptr<nv::ITimingCache> cache;
    if (build->keep_timing) {
        cache.reset(config->createTimingCache(build->timing, build->timing_bytes));
        if (!cache || !config->setTimingCache(*cache, false))
            return -2;
    }
    nv::IHostMemory *made = self->builder->buildSerializedNetwork(*self->network, *config);
    if (!made)
        return -1;
    *plan = memory_of(made);
    const nv::ITimingCache *learned = cache ? config->getTimingCache() : nullptr;
    nv::IHostMemory *bytes = learned ? learned->serialize() : nullptr;
    *timing = bytes ? memory_of(bytes) : trt_memory{};
    return 0;
}

void builder_close(trt_builder *builder)
{
    delete reinterpret_cast<Builder *>(builder);
    shim_constants_free();
}

void memory_free(trt_memory *memory)
{
    delete static_cast<nv::IHostMemory *>(memory->object);
    *memory = trt_memory{};
}

// Running

struct Engine {
    std::unique_ptr<nv::IRuntime> runtime;
    std::unique_ptr<nv::ICudaEngine> engine;
};

trt_engine *engine_open(void const *plan, size_t bytes)
{
    auto made = std::make_unique<Engine>();
    made->runtime.reset(
        static_cast<nv::IRuntime *>(createInferRuntime_INTERNAL(&logger, getInferLibVersion())));
    if (!made->runtime)
        return nullptr;
    made->engine.reset(made->runtime->deserializeCudaEngine(plan, bytes));
    return made->engine ? reinterpret_cast<trt_engine *>(made.release()) : nullptr;
}

void engine_close(trt_engine *engine)
{
    delete reinterpret_cast<Engine *>(engine);
}

nv::IExecutionContext *of(trt_context *context)
{
    return reinterpret_cast<nv::IExecutionContext *>(context);
}

trt_context *context_open(trt_engine *engine, int32_t profile, void *stream)
{
    std::unique_ptr<nv::IExecutionContext> made(
        reinterpret_cast<Engine *>(engine)->engine->createExecutionContext());
    if (!made || (profile > 0 &&
                  !made->setOptimizationProfileAsync(profile, static_cast<cudaStream_t>(stream))))
        return nullptr;
    return reinterpret_cast<trt_context *>(made.release());
}

int context_bind(trt_context *context, char const *name, uint64_t address)
{
    return of(context)->setTensorAddress(name, reinterpret_cast<void *>(address)) ? 0 : -1;
}

int context_size(trt_context *context, char const *name, int64_t size)
{
    return of(context)->setInputShape(name, nv::Dims{1, {size}}) ? 0 : -1;
}

int context_enqueue(trt_context *context, void *stream)
{
    return of(context)->enqueueV3(static_cast<cudaStream_t>(stream)) ? 0 : -1;
}

void context_close(trt_context *context)
{
    delete of(context);
}

} // namespace

extern "C" __attribute__((visibility("default"))) const struct trt *
prony_tensorrt_open(trt_on_log *on_log)
{
    static trt table = {TRT_INTERFACE,
                        0,
                        NV_TENSORRT_MAJOR * 10000 + NV_TENSORRT_MINOR * 100 + NV_TENSORRT_PATCH,
                        nullptr,
                        builder_open,
                        builder_network,
                        builder_build,
                        builder_close,
                        memory_free,
                        engine_open,
                        engine_close,
                        context_open,
                        context_bind,
                        context_size,
                        context_enqueue,
                        context_close};
    say = on_log;
    table.version = getInferLibVersion();
    table.layers = shim_layers(table.version);
    return &table;
}
