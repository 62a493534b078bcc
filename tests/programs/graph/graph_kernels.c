// A graph made by the API: fill, copy and kernel nodes in an order; launched many times.
#include "common.h"

int main(void) {
  CUgraph graph;
  CUgraphExec exec;
  CUgraphNode set, add, copy;
  CUdeviceptr p, q;
  size_t n = MIB, nodes = 0;
  begin();
  load_kernels();
  DO(cuMemAlloc(&p, 4 * n));
  DO(cuMemAlloc(&q, 4 * n));
  DO(cuMemsetD32(q, 0, n));
  DO(cuGraphCreate(&graph, 0));
  CUDA_MEMSET_NODE_PARAMS fill = {.dst = p, .elementSize = 4, .value = 6, .width = n, .height = 1};
  DO(cuGraphAddMemsetNode(&set, graph, NULL, 0, &fill, context));
  CUDA_KERNEL_NODE_PARAMS kernel = {.func = node_function(add_one_kernel), .gridDimX = 64, .gridDimY = 1, .gridDimZ = 1,
                                    .blockDimX = 128, .blockDimY = 1, .blockDimZ = 1, .kernelParams = ARGUMENTS(&p, &n)};
  DO(cuGraphAddKernelNode(&add, graph, &set, 1, &kernel));
  CUDA_MEMCPY3D move = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = p, .srcPitch = 4 * n, .srcHeight = 1,
                        .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = q, .dstPitch = 4 * n, .dstHeight = 1,
                        .WidthInBytes = 4 * n, .Height = 1, .Depth = 1};
  DO(cuGraphAddMemcpyNode(&copy, graph, &add, 1, &move, context));
  kernel.kernelParams = ARGUMENTS(&q, &n);
  DO(cuGraphAddKernelNode(&add, graph, &copy, 1, &kernel));
  DO(cuGraphGetNodes(graph, NULL, &nodes));
  printf("%zu nodes\n", nodes);
  DO(cuGraphInstantiate(&exec, graph, 0));
  for (int round = 0; round < 30; round++) {
    DO(cuGraphLaunch(exec, 0));
    if (round % 3 == 0) DO(cuCtxSynchronize());
  }
  check_words("filled and added to", p, n, 7);
  check_words("copied and added to", q, n, 8);
  DO(cuGraphExecDestroy(exec));
  DO(cuGraphDestroy(graph));
  return finish();
}
