// Before any work: a graph of fills and copies, and a texture, over plain memory that nobody has touched.
#include "common.h"

int main(void) {
  CUgraph graph;
  CUgraphExec exec;
  CUgraphNode set, copy;
  CUtexObject texture;
  CUdeviceptr p, q;
  size_t n = 9 * MIB;
  begin();
  DO(cuMemAlloc(&p, 4 * n));
  DO(cuMemAlloc(&q, 4 * n));
  CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_LINEAR};
  resource.res.linear.devPtr = p;
  resource.res.linear.format = CU_AD_FORMAT_UNSIGNED_INT32;
  resource.res.linear.numChannels = 1;
  resource.res.linear.sizeInBytes = 4 * MIB;
  CUDA_TEXTURE_DESC how = {.flags = CU_TRSF_READ_AS_INTEGER};
  SAY(cuTexObjectCreate(&texture, &resource, &how, NULL));
  DO(cuGraphCreate(&graph, 0));
  CUDA_MEMSET_NODE_PARAMS fill = {.dst = p, .elementSize = 4, .value = 6, .width = n, .height = 1};
  DO(cuGraphAddMemsetNode(&set, graph, NULL, 0, &fill, context));
  CUDA_MEMCPY3D move = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = p, .srcPitch = 4 * n, .srcHeight = 1,
                        .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = q, .dstPitch = 4 * n, .dstHeight = 1,
                        .WidthInBytes = 4 * n, .Height = 1, .Depth = 1};
  DO(cuGraphAddMemcpyNode(&copy, graph, &set, 1, &move, context));
  DO(cuGraphInstantiate(&exec, graph, 0));
  for (unsigned round = 0; round < 8; round++) {
    fill.value = round;
    DO(cuGraphExecMemsetNodeSetParams(exec, set, &fill, context));
    DO(cuGraphExecMemcpyNodeSetParams(exec, copy, &move, context));
    DO(cuGraphLaunch(exec, 0));
    DO(cuCtxSynchronize());
    usleep(5000);
  }
  check_words("filled", p, n, 7);
  check_words("copied", q, n, 7);
  DO(cuTexObjectDestroy(texture));
  return finish();
}
