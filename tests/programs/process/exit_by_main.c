// A program that returns from main with memory, streams, events and work in flight ends with its own code.
#include "common.h"

static void last(void) { printf("the program's own exit handler\n"); }

int main(void) {
  CUdeviceptr p;
  CUstream stream;
  CUevent event;
  atexit(last);
  begin();
  load_kernels();
  DO(cuMemAlloc(&p, 4 * MIB));
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(cuEventCreate(&event, CU_EVENT_DEFAULT));
  for (int i = 0; i < 100; i++) DO(add_one(stream, p, MIB));
  DO(cuEventRecord(event, stream));
  return finish();
}
