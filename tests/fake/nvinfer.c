/* A libnvinfer without TensorRT: enough to compile the shim against, and to ask for its version. */
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int32_t getInferLibVersion(void);
int32_t getInferLibVersion(void)
{
    return 110400;
}

EXPORT void *createInferBuilder_INTERNAL(void *logger, int32_t version);
void *createInferBuilder_INTERNAL(void *logger, int32_t version)
{
    (void)logger, (void)version;
    return NULL;
}

EXPORT void *createInferRuntime_INTERNAL(void *logger, int32_t version);
void *createInferRuntime_INTERNAL(void *logger, int32_t version)
{
    (void)logger, (void)version;
    return NULL;
}
