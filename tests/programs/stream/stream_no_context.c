// alone: a thread without a current context works in a stream: memory in its order, which is counted, copies, a capture.
// What asks for the current context is refused.
#include "common.h"

static CUstream stream;
static CUmemoryPool pool;
static CUdeviceptr p, q, shared;

static void *allocates(void *nothing) {
  CUcontext current;
  DO(cuCtxGetCurrent(&current));
  expect(current == NULL, "a new thread has no context");
  SAY(cuMemAllocAsync(&p, 96 * MIB, stream));
  SAY(cuMemAllocFromPoolAsync(&q, 96 * MIB, pool, stream));
  SAY(cuStreamSynchronize(stream));
  return nothing;
}

static void *works(void *nothing) {
  CUgraph graph;
  CUdeviceptr base;
  CUipcMemHandle handle;
  size_t range;
  int ordinal;
  unsigned *words = malloc(4 * MIB);
  for (size_t i = 0; i < MIB; i++) words[i] = 7;
  SAY(cuMemcpyHtoDAsync(p, words, 4 * MIB, stream));
  SAY(cuMemcpyDtoDAsync(q, p, 4 * MIB, stream));
  SAY(add_one(stream, q, MIB));
  SAY(cuMemsetD32Async(p, 3, MIB, stream));
  SAY(cuMemcpyDtoHAsync(words, q, 4 * MIB, stream));
  SAY(cuStreamSynchronize(stream));
  expect(count_wrong(words, MIB, 8) == 0, "they are right");
  SAY(cuMemGetAddressRange(&base, &range, shared));
  SAY(cuIpcGetMemHandle(&handle, shared));
  SAY(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, shared));
  SAY(cuMemFreeAsync(q, NULL));
  SAY(cuMemFreeAsync(q, stream));
  SAY(cuMemFreeAsync(p, stream));
  SAY(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  SAY(add_one(stream, shared, MIB));
  SAY(cuStreamEndCapture(stream, &graph));
  SAY(cuGraphDestroy(graph));
  SAY(cuStreamSynchronize(stream));
  SAY(cuMemFree(shared));
  free(words);
  return nothing;
}

static void in_a_thread(void *(*act)(void *)) {
  pthread_t thread;
  pthread_create(&thread, NULL, act, NULL);
  pthread_join(thread, NULL);
}

int main(void) {
  CUmemPoolProps properties = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  size_t before, after, total;
  begin();
  load_kernels();
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(cuMemPoolCreate(&pool, &properties));
  DO(cuMemAlloc(&shared, 4 * MIB));
  DO(fill(stream, shared, 1, MIB));
  DO(cuStreamSynchronize(stream));
  DO(cuMemGetInfo(&before, &total));
  in_a_thread(allocates);
  DO(cuMemGetInfo(&after, &total));
  expect(before >= after + 192 * MIB, "it is counted");
  in_a_thread(works);
  SAY(cuMemPoolDestroy(pool));
  return finish();
}
