// A capture over two streams that are joined by events becomes one graph.
#include "common.h"

int main(void) {
  CUstream a, b;
  CUevent forked, joined;
  CUgraph graph;
  CUgraphExec exec;
  CUdeviceptr p, q;
  CUstreamCaptureStatus status;
  size_t n = MIB;
  begin();
  load_kernels();
  DO(cuMemAlloc(&p, 4 * n));
  DO(cuMemAlloc(&q, 4 * n));
  DO(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
  DO(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
  DO(cuEventCreate(&forked, CU_EVENT_DISABLE_TIMING));
  DO(cuEventCreate(&joined, CU_EVENT_DISABLE_TIMING));
  DO(cuStreamBeginCapture(a, CU_STREAM_CAPTURE_MODE_GLOBAL));
  DO(fill(a, p, 1, n));
  DO(cuEventRecord(forked, a));
  DO(cuStreamWaitEvent(b, forked, 0));
  DO(fill(b, q, 2, n));
  DO(cuStreamIsCapturing(b, &status));
  printf("the other stream's status %d\n", status);
  DO(cuEventRecord(joined, b));
  DO(cuStreamWaitEvent(a, joined, 0));
  DO(add_one(a, q, n));
  DO(cuStreamEndCapture(a, &graph));
  DO(cuStreamIsCapturing(b, &status));
  printf("the other stream's status %d\n", status);
  DO(cuGraphInstantiate(&exec, graph, 0));
  for (int round = 0; round < 10; round++) {
    DO(cuGraphLaunch(exec, a));
    DO(cuStreamSynchronize(a));
  }
  check_words("the first stream's work", p, n, 1);
  check_words("the second stream's work", q, n, 3);
  return finish();
}
