// A captured graph is uploaded, launched, and launched again after its memory was filled anew.
#include "common.h"

int main(void) {
  CUgraph graph;
  CUgraphExec exec;
  CUstream stream;
  CUdeviceptr p;
  size_t n = MIB;
  begin();
  load_kernels();
  DO(cuMemAlloc(&p, 4 * n));
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  for (int i = 0; i < 10; i++) DO(add_one(stream, p, n));
  DO(cuStreamEndCapture(stream, &graph));
  DO(cuGraphInstantiate(&exec, graph, 0));
  DO(cuGraphUpload(exec, stream));
  for (unsigned round = 0; round < 10; round++) {
    DO(fill(stream, p, round, n));
    DO(cuGraphLaunch(exec, stream));
    DO(cuStreamSynchronize(stream));
    check_words("a round", p, n, round + 10);
  }
  DO(cuGraphExecDestroy(exec));
  DO(cuGraphDestroy(graph));
  return finish();
}
