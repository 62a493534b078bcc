// An instantiated graph takes other parameters, and a whole other graph of the same shape.
#include "common.h"

static CUgraph captured(CUstream stream, CUdeviceptr p, unsigned value, size_t n) {
  CUgraph graph;
  DO(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
  DO(fill(stream, p, value, n));
  DO(add_one(stream, p, n));
  DO(cuStreamEndCapture(stream, &graph));
  return graph;
}

int main(void) {
  CUgraphExec exec;
  CUgraphNode nodes[2];
  CUstream stream;
  CUdeviceptr p, q;
  size_t n = MIB, count = 2;
  begin();
  load_kernels();
  DO(cuMemAlloc(&p, 4 * n));
  DO(cuMemAlloc(&q, 4 * n));
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  CUgraph first = captured(stream, p, 10, n), second = captured(stream, q, 20, n);
  DO(cuGraphInstantiate(&exec, first, 0));
  DO(cuGraphLaunch(exec, stream));
  DO(cuStreamSynchronize(stream));
  check_words("the first graph", p, n, 11);
  CUgraphExecUpdateResultInfo info;
  DO(cuGraphExecUpdate(exec, second, &info));
  printf("update result %d\n", info.result);
  DO(cuGraphLaunch(exec, stream));
  DO(cuStreamSynchronize(stream));
  check_words("the second graph", q, n, 21);
  check_words("the first graph's memory", p, n, 11);
  DO(cuGraphGetNodes(first, nodes, &count));
  DO(cuGraphInstantiate(&exec, first, 0));
  for (size_t i = 0; i < count; i++) {
    CUDA_KERNEL_NODE_PARAMS kernel;
    unsigned value = 30;
    DO(cuGraphKernelNodeGetParams(nodes[i], &kernel));
    CUgraphNode on[1];
    size_t before = 1;
    DO(cuGraphNodeGetDependencies(nodes[i], on, NULL, &before));
    if (before) continue;
    kernel.kernelParams = ARGUMENTS(&q, &value, &n);
    DO(cuGraphExecKernelNodeSetParams(exec, nodes[i], &kernel));
  }
  DO(cuGraphLaunch(exec, stream));
  DO(cuStreamSynchronize(stream));
  check_words("with another parameter", q, n, 30);
  check_words("the node that stayed", p, n, 12);
  return finish();
}
