// A conditional node's body runs when its handle's default value says so, and only then.
#include "common.h"

static void run(unsigned value, CUdeviceptr p, size_t n) {
  CUgraph graph;
  CUgraphExec exec;
  CUgraphNode node, add;
  CUgraphConditionalHandle handle;
  DO(cuMemsetD32(p, 0, n));
  DO(cuGraphCreate(&graph, 0));
  DO(cuGraphConditionalHandleCreate(&handle, graph, context, value, CU_GRAPH_COND_ASSIGN_DEFAULT));
  CUgraphNodeParams condition = {.type = CU_GRAPH_NODE_TYPE_CONDITIONAL,
                                 .conditional = {.handle = handle, .type = CU_GRAPH_COND_TYPE_IF, .size = 1, .ctx = context}};
  DO(cuGraphAddNode(&node, graph, NULL, NULL, 0, &condition));
  CUDA_KERNEL_NODE_PARAMS kernel = {.func = node_function(add_one_kernel), .gridDimX = 64, .gridDimY = 1, .gridDimZ = 1,
                                    .blockDimX = 128, .blockDimY = 1, .blockDimZ = 1, .kernelParams = ARGUMENTS(&p, &n)};
  DO(cuGraphAddKernelNode(&add, condition.conditional.phGraph_out[0], NULL, 0, &kernel));
  DO(cuGraphInstantiate(&exec, graph, 0));
  for (int round = 0; round < 10; round++) {
    DO(cuGraphLaunch(exec, 0));
    if (round % 3 == 0) DO(cuCtxSynchronize());
  }
  check_words(value ? "the body ran ten times" : "the body never ran", p, n, value ? 10 : 0);
  DO(cuGraphExecDestroy(exec));
  DO(cuGraphDestroy(graph));
}

int main(void) {
  CUdeviceptr p;
  begin();
  load_kernels();
  DO(cuMemAlloc(&p, 4 * MIB));
  run(1, p, MIB);
  run(0, p, MIB);
  return finish();
}
