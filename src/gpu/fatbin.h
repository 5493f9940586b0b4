/* CUDA kernels that cmake/fatbin.cmake put into the program. An image of 0 bytes means that it was
 * built without a CUDA compiler. */
#ifndef PRONY_GPU_FATBIN_H
#define PRONY_GPU_FATBIN_H

#include <stdint.h>

struct fatbin {
    const void *image;
    uint64_t bytes;
    const char *name; /* "stream" for stream.cu */
};

#define FATBIN_DECLARE(file)                                                                       \
    extern const unsigned char fatbin_##file[];                                                    \
    extern const uint64_t fatbin_##file##_bytes

#define FATBIN(file) ((struct fatbin){fatbin_##file, fatbin_##file##_bytes, #file})

#endif
