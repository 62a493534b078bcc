// A graph allocates memory, uses it and frees it; each launch has it anew.
#include "common.h"

int main(void) {
  CUgraph graph;
  CUgraphExec exec;
  CUgraphNode made, filled, copied, freed;
  CUdeviceptr out;
  size_t n = MIB;
  begin();
  load_kernels();
  DO(cuMemAlloc(&out, 4 * n));
  DO(cuMemsetD32(out, 0, n));
  DO(cuGraphCreate(&graph, 0));
  CUmemAccessDesc access = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                            .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  CUDA_MEM_ALLOC_NODE_PARAMS memory = {.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location = access.location},
                                       .accessDescs = &access, .accessDescCount = 1, .bytesize = 4 * n};
  DO(cuGraphAddMemAllocNode(&made, graph, NULL, 0, &memory));
  CUdeviceptr p = memory.dptr;
  unsigned value = 65;
  CUDA_KERNEL_NODE_PARAMS kernel = {.func = node_function(fill_kernel), .gridDimX = 64, .gridDimY = 1, .gridDimZ = 1,
                                    .blockDimX = 128, .blockDimY = 1, .blockDimZ = 1, .kernelParams = ARGUMENTS(&p, &value, &n)};
  DO(cuGraphAddKernelNode(&filled, graph, &made, 1, &kernel));
  CUDA_MEMCPY3D move = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = p, .srcPitch = 4 * n, .srcHeight = 1,
                        .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = out, .dstPitch = 4 * n, .dstHeight = 1,
                        .WidthInBytes = 4 * n, .Height = 1, .Depth = 1};
  DO(cuGraphAddMemcpyNode(&copied, graph, &filled, 1, &move, context));
  DO(cuGraphAddMemFreeNode(&freed, graph, &copied, 1, p));
  DO(cuGraphInstantiate(&exec, graph, 0));
  for (int round = 0; round < 30; round++) {
    DO(cuMemsetD32Async(out, 1, n, 0));
    DO(cuGraphLaunch(exec, 0));
    if (round % 3 == 0) DO(cuCtxSynchronize());
  }
  check_words("copied out of the graph's memory", out, n, 65);
  cuuint64_t used = 1;
  DO(cuDeviceGetGraphMemAttribute(device, CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT, &used));
  TELL(used == 0, "no graph memory is in use");
  SAY(cuDeviceGraphMemTrim(device));
  SAY(cuGraphExecDestroy(exec));
  SAY(cuGraphDestroy(graph));
  return finish();
}
