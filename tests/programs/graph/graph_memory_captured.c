// Allocations of the pool that are captured become the graph's memory; one outlives the launch.
#include "common.h"

int main(void) {
  CUgraph graph;
  CUgraphExec exec;
  CUstream stream;
  CUdeviceptr p, q, out;
  size_t n = MIB;
  begin();
  load_kernels();
  DO(cuMemAlloc(&out, 4 * n));
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  DO(cuMemAllocAsync(&p, 4 * n, stream));
  DO(fill(stream, p, 70, n));
  DO(cuMemAllocAsync(&q, 4 * n, stream));
  DO(cuMemcpyDtoDAsync(q, p, 4 * n, stream));
  DO(cuMemFreeAsync(p, stream));
  DO(add_one(stream, q, n));
  DO(cuStreamEndCapture(stream, &graph));
  DO(cuGraphInstantiate(&exec, graph, 0));
  for (int round = 0; round < 20; round++) {
    DO(cuGraphLaunch(exec, stream));
    DO(cuMemcpyDtoDAsync(out, q, 4 * n, stream));
    DO(cuMemFreeAsync(q, stream));
    if (round % 3 == 0) DO(cuStreamSynchronize(stream));
  }
  DO(cuStreamSynchronize(stream));
  check_words("after the last launch", out, n, 71);
  SAY(cuGraphExecDestroy(exec));
  SAY(cuGraphDestroy(graph));
  return finish();
}
