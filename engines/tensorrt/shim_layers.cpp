// TensorRT's layers as the functions of trt.h.
#include <NvInfer.h>

#include <deque>
#include <vector>

#include "shim.h"

// Of two forms of a call the older one is used: every library has it.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

// The first version with the layers for attention, rotation and caches.
#define HAVE_FUSED (NV_TENSORRT_MAJOR > 10 || (NV_TENSORRT_MAJOR == 10 && NV_TENSORRT_MINOR >= 15))

namespace nv = nvinfer1;

namespace
{

nv::INetworkDefinition *of(trt_network *network)
{
    return reinterpret_cast<nv::INetworkDefinition *>(network);
}

nv::ITensor &of(trt_tensor *tensor)
{
    return *reinterpret_cast<nv::ITensor *>(tensor);
}

trt_tensor *made(nv::ITensor *tensor)
{
    return reinterpret_cast<trt_tensor *>(tensor);
}

trt_tensor *made(nv::ILayer *layer, int32_t output = 0)
{
    return layer ? made(layer->getOutput(output)) : nullptr;
}

nv::Dims of(trt_dims const &dims)
{
    nv::Dims made{};
    made.nbDims = dims.count;
    for (int32_t i = 0; i < dims.count; i++)
        made.d[i] = dims.size[i];
    return made;
}

nv::DataType of(trt_type type)
{
    static const nv::DataType types[] = {nv::DataType::kFLOAT, nv::DataType::kHALF,
                                         nv::DataType::kBF16, nv::DataType::kINT32,
                                         nv::DataType::kBOOL};
    return types[type];
}

int32_t last(nv::ITensor &tensor)
{
    return tensor.getDimensions().nbDims - 1;
}

trt_tensor *input(trt_network *network, char const *name, trt_type type, trt_dims const *dims,
                  char const *size)
{
    nv::ITensor *tensor = of(network)->addInput(name, of(type), of(*dims));
    if (tensor && size)
        tensor->setDimensionName(0, size);
    return made(tensor);
}

trt_tensor *constant(trt_network *network, trt_type type, trt_dims const *dims, void const *data)
{
    int64_t count = 1;
    for (int32_t i = 0; i < dims->count; i++)
        count *= dims->size[i];
    return made(of(network)->addConstant(of(*dims), nv::Weights{of(type), data, count}));
}

trt_tensor *gather(trt_network *network, trt_tensor *data, trt_tensor *indices)
{
    return made(of(network)->addGather(of(data), of(indices), 0));
}

trt_tensor *binary(trt_network *network, trt_binary operation, trt_tensor *a, trt_tensor *b)
{
    static const nv::ElementWiseOperation operations[] = {
        nv::ElementWiseOperation::kSUM, nv::ElementWiseOperation::kSUB,
        nv::ElementWiseOperation::kPROD, nv::ElementWiseOperation::kLESS};
    return made(of(network)->addElementWise(of(a), of(b), operations[operation]));
}

trt_tensor *unary(trt_network *network, trt_unary operation, trt_tensor *a)
{
    if (operation == TRT_SIGMOID)
        return made(of(network)->addActivation(of(a), nv::ActivationType::kSIGMOID));
    return made(of(network)->addUnary(of(a), operation == TRT_SQRT ? nv::UnaryOperation::kSQRT
                                                                   : nv::UnaryOperation::kRECIP));
}

trt_tensor *mean(trt_network *network, trt_tensor *a)
{
    return made(of(network)->addReduce(of(a), nv::ReduceOperation::kAVG, 1u << last(of(a)), true));
}

trt_tensor *softmax(trt_network *network, trt_tensor *a)
{
    nv::ISoftMaxLayer *layer = of(network)->addSoftMax(of(a));
    if (layer)
        layer->setAxes(1u << last(of(a)));
    return made(layer);
}

trt_tensor *cast(trt_network *network, trt_tensor *a, trt_type type)
{
    return made(of(network)->addCast(of(a), of(type)));
}

trt_tensor *reshape(trt_network *network, trt_tensor *a, trt_dims const *dims)
{
    nv::IShuffleLayer *layer = of(network)->addShuffle(of(a));
    if (layer)
        layer->setReshapeDimensions(of(*dims));
    return made(layer);
}

trt_tensor *transpose(trt_network *network, trt_tensor *a)
{
    nv::IShuffleLayer *layer = of(network)->addShuffle(of(a));
    if (layer)
        layer->setFirstTranspose(nv::Permutation{{1, 0, 2}});
    return made(layer);
}

// Constants of the network that is being defined.
std::deque<std::vector<int64_t>> constants;

// The size of a slice as a tensor: the input's, with another one in the last dimension.
nv::ITensor *slice_size(nv::INetworkDefinition *network, nv::ITensor &a, int64_t start,
                        int64_t size)
{
    int32_t count = last(a) + 1;
    std::vector<int64_t> &factors = constants.emplace_back(count, 1);
    std::vector<int64_t> &summands = constants.emplace_back(count, 0);
    factors.back() = size < 0;
    summands.back() = size < 0 ? -start : size;
    nv::Dims dims{1, {count}};
    auto *shape = network->addShape(a);
    auto *keep =
        network->addConstant(dims, nv::Weights{nv::DataType::kINT64, factors.data(), count});
    auto *add =
        network->addConstant(dims, nv::Weights{nv::DataType::kINT64, summands.data(), count});
    if (!shape || !keep || !add)
        return nullptr;
    auto *kept = network->addElementWise(*shape->getOutput(0), *keep->getOutput(0),
                                         nv::ElementWiseOperation::kPROD);
    auto *sum = kept ? network->addElementWise(*kept->getOutput(0), *add->getOutput(0),
                                               nv::ElementWiseOperation::kSUM)
                     : nullptr;
    return sum ? sum->getOutput(0) : nullptr;
}

trt_tensor *slice(trt_network *network, trt_tensor *a, int64_t start, int64_t size)
{
    nv::Dims dims = of(a).getDimensions(), begin = dims, step = dims;
    bool known = true;
    for (int32_t i = 0; i < dims.nbDims; i++) {
        known = known && dims.d[i] >= 0;
        begin.d[i] = 0;
        step.d[i] = 1;
    }
    begin.d[dims.nbDims - 1] = start;
    dims.d[dims.nbDims - 1] = size < 0 && known ? dims.d[dims.nbDims - 1] - start : size;
    nv::ISliceLayer *layer = of(network)->addSlice(of(a), begin, known ? dims : step, step);
    if (!layer || known)
        return made(layer);
    nv::ITensor *sizes = slice_size(of(network), of(a), start, size);
    if (!sizes)
        return nullptr;
    layer->setInput(2, *sizes);
    return made(layer);
}

trt_tensor *join(trt_network *network, trt_tensor *a, trt_tensor *b)
{
    nv::ITensor *both[] = {&of(a), &of(b)};
    nv::IConcatenationLayer *layer = of(network)->addConcatenation(both, 2);
    if (layer)
        layer->setAxis(last(of(a)));
    return made(layer);
}

trt_tensor *multiply(trt_network *network, trt_tensor *a, trt_tensor *b, int transposed)
{
    return made(of(network)->addMatrixMultiply(of(a), nv::MatrixOperation::kNONE, of(b),
                                               transposed ? nv::MatrixOperation::kTRANSPOSE
                                                          : nv::MatrixOperation::kNONE));
}

trt_tensor *select(trt_network *network, trt_tensor *condition, trt_tensor *yes, trt_tensor *no)
{
    return made(of(network)->addSelect(of(condition), of(yes), of(no)));
}

trt_tensor *largest(trt_network *network, trt_tensor *a)
{
    return made(of(network)->addTopK(of(a), nv::TopKOperation::kMAX, 1, 1u << 1), 1);
}

int output(trt_network *network, char const *name, trt_tensor *a)
{
    of(a).setName(name);
    of(network)->markOutput(of(a));
    return 0;
}

#if HAVE_FUSED
trt_tensor *rotate(trt_network *network, trt_tensor *a, trt_tensor *cosines, trt_tensor *sines,
                   trt_tensor *positions)
{
    auto *layer = of(network)->addRotaryEmbedding(of(a), of(cosines), of(sines), false, 0);
    if (layer)
        layer->setInput(3, of(positions));
    return made(layer);
}

trt_tensor *update(trt_network *network, trt_tensor *cache, trt_tensor *rows, trt_tensor *start)
{
    return made(
        of(network)->addKVCacheUpdate(of(cache), of(rows), of(start), nv::KVCacheMode::kLINEAR));
}

trt_tensor *attend(trt_network *network, trt_tensor *queries, trt_tensor *keys, trt_tensor *values,
                   trt_tensor *mask)
{
    auto *attention = of(network)->addAttention(of(queries), of(keys), of(values),
                                                nv::AttentionNormalizationOp::kSOFTMAX, false);
    // Where there is no fused kernel for the card, several do.
    if (!attention || !attention->setMask(of(mask)) || !attention->setDecomposable(true))
        return nullptr;
    return made(attention->getOutput(0));
}
#endif

const trt_layers plain = {input,   constant, gather,    binary,  unary,  mean,     softmax,
                          cast,    reshape,  transpose, slice,   join,   multiply, select,
                          largest, output,   nullptr,   nullptr, nullptr};
#if HAVE_FUSED
const trt_layers fused = {input,   constant, gather,    binary, unary, mean,     softmax,
                          cast,    reshape,  transpose, slice,  join,  multiply, select,
                          largest, output,   rotate,    update, attend};
#endif

} // namespace

const trt_layers *shim_layers(int32_t version)
{
#if HAVE_FUSED
    if (version >= 101500)
        return &fused;
#endif
    (void)version;
    return &plain;
}

void shim_constants_free()
{
    constants.clear();
}
