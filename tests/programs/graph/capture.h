// Captures a stream in MODE while another thread allocates, frees, launches and waits; then captures for long
// enough that turns end in the middle, and launches what was captured. Every answer is printed.
#pragma once
#include "common.h"

static CUstream captured_stream, own_stream;
static CUdeviceptr shared_memory;
static pthread_barrier_t turn;

// One kind of call of the other thread.
static CUresult other_call(int kind) {
  CUdeviceptr p;
  size_t free, total;
  CUresult result;
  switch (kind) {
  case 0: result = cuMemAlloc(&p, MIB); return result ? result : cuMemFree(p);
  case 1: result = cuMemAllocManaged(&p, MIB, CU_MEM_ATTACH_GLOBAL); return result ? result : cuMemFree(p);
  case 2: return cuMemGetInfo(&free, &total);
  case 3: return add_one(own_stream, shared_memory, 1024);
  case 4: return cuStreamSynchronize(own_stream);
  case 5: return cuCtxSynchronize();
  case 6: return cuStreamQuery(own_stream);
  default: return cuMemsetD8Async(shared_memory, 0, 16, own_stream);
  }
}
static const char *const other_names[] = {"cuMemAlloc",  "cuMemAllocManaged",   "cuMemGetInfo",     "cuLaunchKernel",
                                          "cuStreamSynchronize", "cuCtxSynchronize", "cuStreamQuery", "cuMemsetD8Async"};

static void *other(void *relaxed) {
  DO(cuCtxSetCurrent(context));
  if (relaxed) {
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    DO(cuThreadExchangeStreamCaptureMode(&mode));
  }
  for (size_t kind = 0; kind < COUNT(other_names); kind++) {
    pthread_barrier_wait(&turn);
    CUresult result = other_call(kind);
    printf("%s: %d\n", other_names[kind], result);
    pthread_barrier_wait(&turn);
  }
  return NULL;
}

static void beside_another_thread(CUstreamCaptureMode mode, int relaxed) {
  pthread_t thread;
  CUdeviceptr p;
  size_t n = MIB;
  printf("%s thread\n", relaxed ? "a relaxed" : "another");
  DO(cuMemAlloc(&p, 4 * n));
  pthread_create(&thread, NULL, other, (void *)(intptr_t)relaxed);
  for (size_t kind = 0; kind < COUNT(other_names); kind++) {
    CUgraph graph = NULL;
    CUgraphExec exec;
    DO(cuMemsetD32(p, 0, n));
    DO(cuStreamSynchronize(0));
    DO(cuStreamSynchronize(own_stream));
    DO(cuStreamBeginCapture(captured_stream, mode));
    DO(add_one(captured_stream, p, n));
    pthread_barrier_wait(&turn);
    pthread_barrier_wait(&turn);
    CUresult launched = add_one(captured_stream, p, n), ended = cuStreamEndCapture(captured_stream, &graph);
    printf("  a launch afterwards: %d, the end of the capture: %d\n", launched, ended);
    if (ended) continue;
    DO(cuGraphInstantiate(&exec, graph, 0));
    DO(cuGraphLaunch(exec, captured_stream));
    DO(cuStreamSynchronize(captured_stream));
    check_words("  the graph's work", p, n, 2);
    DO(cuGraphExecDestroy(exec));
    DO(cuGraphDestroy(graph));
  }
  pthread_join(thread, NULL);
  DO(cuMemFree(p));
}

// 0.3 s of capturing: turns end meanwhile, and nothing of it may be seen.
static void for_long(CUstreamCaptureMode mode) {
  CUgraph graph;
  CUgraphExec exec;
  CUdeviceptr p;
  size_t n = MIB;
  struct timespec rest = {0, 10000000};
  DO(cuMemAlloc(&p, 4 * n));
  DO(cuMemsetD32(p, 0, n));
  DO(cuCtxSynchronize());
  DO(cuStreamBeginCapture(captured_stream, mode));
  for (int i = 0; i < 30; i++) {
    DO(add_one(captured_stream, p, n));
    nanosleep(&rest, NULL);
  }
  DO(cuStreamEndCapture(captured_stream, &graph));
  DO(cuGraphInstantiate(&exec, graph, 0));
  for (int i = 0; i < 10; i++) {
    DO(cuGraphLaunch(exec, captured_stream));
    DO(cuStreamSynchronize(captured_stream));
  }
  check_words("ten launches of the long capture", p, n, 300);
}

static int capture_in(CUstreamCaptureMode mode) {
  begin();
  load_kernels();
  pthread_barrier_init(&turn, NULL, 2);
  DO(cuStreamCreate(&captured_stream, CU_STREAM_NON_BLOCKING));
  DO(cuStreamCreate(&own_stream, CU_STREAM_NON_BLOCKING));
  DO(cuMemAlloc(&shared_memory, MIB));
  beside_another_thread(mode, 0);
  beside_another_thread(mode, 1);
  for_long(mode);
  return finish();
}
