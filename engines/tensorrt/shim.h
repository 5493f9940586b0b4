// What the two files of the shim share.
#ifndef PRONY_TENSORRT_SHIM_H
#define PRONY_TENSORRT_SHIM_H

#include "trt.h"

// The layers that a version of the library has.
const trt_layers *shim_layers(int32_t version);
// Frees the constants of a network that nobody builds any more.
void shim_constants_free();

#endif
