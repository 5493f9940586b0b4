/* What the parts of the fake driver share. */
#ifndef PRONY_TESTS_LIBCUDA_H
#define PRONY_TESTS_LIBCUDA_H

#include <stddef.h>

/* Does something on the stream, or notes it while the stream is captured; for other fakes as well.
 */
void fake_cuda_do(void (*run)(void *data), const void *data, size_t bytes);

/* The kernels of engines/tensorrt/step.cu, with what cuLaunchKernel is given. */
void step_append_launch(void **p, const unsigned grid[3]);
void step_advance_launch(void **p);

#endif
