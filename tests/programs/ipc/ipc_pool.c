// Memory of a pool has no legacy handle, neither while the pool is there nor afterwards.
#include "common.h"

static void ask(CUdeviceptr p) {
  CUipcMemHandle handle;
  unsigned capable = 9;
  SAY(cuIpcGetMemHandle(&handle, p));
  DO(cuPointerGetAttribute(&capable, CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, p));
  printf("capable: %u\n", capable & 0xff);
}

int main(void) {
  CUmemPoolProps properties = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  CUmemoryPool pool;
  CUdeviceptr p;
  begin();
  load_kernels();
  DO(cuMemPoolCreate(&pool, &properties));
  DO(cuMemAllocFromPoolAsync(&p, 4 * MIB, pool, 0));
  DO(fill(0, p, 6, MIB));
  ask(p);
  DO(cuMemPoolDestroy(pool));
  ask(p);
  check_words("what was taken of the pool", p, MIB, 6);
  SAY(cuMemFreeAsync(p, 0));
  DO(cuCtxSynchronize());
  return finish();
}
