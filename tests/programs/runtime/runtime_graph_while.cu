// A graph with a WHILE node, whose kernel decides how often its body runs.
#include "runtime.h"

__global__ void countdown(unsigned *left, cudaGraphConditionalHandle handle) {
  cudaGraphSetConditional(handle, --*left > 0);
}

int main() {
  const size_t n = 1 << 20;
  unsigned *p, *left;
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  cudaGraphNode_t node;
  cudaGraphConditionalHandle handle;
  cudaStream_t stream;
  DO(cudaStreamCreate(&stream));
  DO(cudaMalloc(&p, 4 * n));
  DO(cudaMalloc(&left, 4));
  DO(cudaMemset(p, 0, 4 * n));
  DO(cudaGraphCreate(&graph, 0));
  DO(cudaGraphConditionalHandleCreate(&handle, graph, 1, cudaGraphCondAssignDefault));
  cudaGraphNodeParams parameters = {cudaGraphNodeTypeConditional};
  parameters.conditional.handle = handle;
  parameters.conditional.type = cudaGraphCondTypeWhile;
  parameters.conditional.size = 1;
#if CUDART_VERSION >= 13000
  DO(cudaGraphAddNode(&node, graph, nullptr, nullptr, 0, &parameters));
#else
  DO(cudaGraphAddNode(&node, graph, nullptr, 0, &parameters));
#endif
  cudaGraph_t body = parameters.conditional.phGraph_out[0];
  DO(cudaStreamBeginCaptureToGraph(stream, body, nullptr, nullptr, 0, cudaStreamCaptureModeThreadLocal));
  add_one<<<64, 128, 0, stream>>>(p, n);
  countdown<<<1, 1, 0, stream>>>(left, handle);
  DO(cudaStreamEndCapture(stream, nullptr));
  DO(cudaGraphInstantiate(&exec, graph, 0));
  for (int round = 0; round < 5; round++) {
    unsigned times = 10;
    DO(cudaMemcpy(left, &times, 4, cudaMemcpyHostToDevice));
    DO(cudaGraphLaunch(exec, stream));
    DO(cudaStreamSynchronize(stream));
  }
  check_words("the body ran fifty times", p, n, 50);
  return failures != 0;
}
