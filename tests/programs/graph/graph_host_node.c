// A graph with host nodes, a child graph and an empty node calls the host in its order.
#include "common.h"

static int calls[64], count;
static void CUDA_CB host(void *argument) { calls[count++ % 64] = (int)(intptr_t)argument; }

int main(void) {
  CUgraph graph, child;
  CUgraphExec exec;
  CUgraphNode first, second, third, empty;
  begin();
  DO(cuGraphCreate(&graph, 0));
  DO(cuGraphCreate(&child, 0));
  CUDA_HOST_NODE_PARAMS one = {host, (void *)1}, two = {host, (void *)2}, three = {host, (void *)3};
  DO(cuGraphAddHostNode(&second, child, NULL, 0, &two));
  DO(cuGraphAddHostNode(&first, graph, NULL, 0, &one));
  DO(cuGraphAddChildGraphNode(&second, graph, &first, 1, child));
  DO(cuGraphAddEmptyNode(&empty, graph, &second, 1));
  DO(cuGraphAddHostNode(&third, graph, &empty, 1, &three));
  DO(cuGraphInstantiate(&exec, graph, 0));
  for (int round = 0; round < 5; round++) DO(cuGraphLaunch(exec, 0));
  DO(cuCtxSynchronize());
  for (int i = 0; i < count; i++) printf("%d ", calls[i]);
  printf("\n");
  expect(count == 15, "15 calls");
  return finish();
}
