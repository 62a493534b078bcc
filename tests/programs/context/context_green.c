// A green context with a part of the multiprocessors runs work on its own stream.
#include "common.h"

int main(void) {
  CUdevResource all, part;
  CUdevResourceDesc description;
  CUgreenCtx green;
  CUcontext as_context;
  CUstream stream;
  CUdeviceptr p;
  unsigned groups = 1;
  begin();
  load_kernels();
  DO(cuDeviceGetDevResource(device, &all, CU_DEV_RESOURCE_TYPE_SM));
  DO(cuDevSmResourceSplitByCount(&part, &groups, &all, NULL, 0, 8));
  DO(cuDevResourceGenerateDesc(&description, &part, 1));
  DO(cuGreenCtxCreate(&green, description, device, CU_GREEN_CTX_DEFAULT_STREAM));
  DO(cuCtxFromGreenCtx(&as_context, green));
  DO(cuGreenCtxStreamCreate(&stream, green, CU_STREAM_NON_BLOCKING, 0));
  DO(cuCtxSetCurrent(as_context));
  DO(cuMemAlloc(&p, 4 * MIB));
  DO(fill(stream, p, 0, MIB));
  for (int round = 0; round < 20; round++) {
    DO(add_one(stream, p, MIB));
    DO(cuStreamSynchronize(stream));
  }
  check_words("in the green context", p, MIB, 20);
  DO(cuMemFree(p));
  DO(cuStreamDestroy(stream));
  DO(cuCtxSetCurrent(context));
  SAY(cuGreenCtxDestroy(green));
  return finish();
}
