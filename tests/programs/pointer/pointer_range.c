// The range and the id that the driver tells of an address of plain memory.
#include "common.h"

int main(void) {
  CUdeviceptr p, q, start = 0;
  size_t bytes = 0;
  unsigned long long id = 0, other = 0;
  begin();
  DO(cuMemAlloc(&p, 4 * MIB));
  DO(cuMemAlloc(&q, 4 * MIB));
  if (cuPointerGetAttribute(&start, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, p + 4096) == CUDA_ERROR_INVALID_VALUE) {
    printf("unsupported: CU_POINTER_ATTRIBUTE_RANGE_START_ADDR\n");
    return UNSUPPORTED;
  }
  SAY(cuPointerGetAttribute(&bytes, CU_POINTER_ATTRIBUTE_RANGE_SIZE, p + 4096));
  expect(start == p && bytes == 4 * MIB, "its range is the allocation");
  SAY(cuPointerGetAttribute(&id, CU_POINTER_ATTRIBUTE_BUFFER_ID, p + 4096));
  SAY(cuPointerGetAttribute(&other, CU_POINTER_ATTRIBUTE_BUFFER_ID, q));
  expect(id != other, "two allocations have two ids");
  DO(cuMemFree(p));
  DO(cuMemAlloc(&p, 4 * MIB));
  SAY(cuPointerGetAttribute(&other, CU_POINTER_ATTRIBUTE_BUFFER_ID, p));
  expect(id != other, "an address used again has another id");
  return finish();
}
