/* What tinygrad calls besides: contexts that are not the primary ones, and graphs that are made
 * node by node. Its kernels do nothing, nor do those graphs. */
#define SETTINGS "FAKE_CUDA"
#include "setting.h"

PLAIN(cuCtxCreate_v2)
PLAIN(cuDeviceCanAccessPeer)
PLAIN(cuGraphCreate)
PLAIN(cuGraphAddKernelNode)
PLAIN(cuGraphAddMemcpyNode)
PLAIN(cuGraphInstantiate_v2)
PLAIN(cuGraphExecKernelNodeSetParams)
PLAIN(cuGraphExecMemcpyNodeSetParams)

EXPORT int cuDeviceComputeCapability(int *major, int *minor, int device);
int cuDeviceComputeCapability(int *major, int *minor, int device)
{
    (void)device;
    *major = 9;
    *minor = 0;
    return RESULT;
}
