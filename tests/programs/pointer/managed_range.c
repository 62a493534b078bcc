// What cuMemRangeGetAttribute says of managed memory after advice, and of plain memory.
#include "common.h"

int main(void) {
  CUdeviceptr p, plain;
  CUmemLocation here = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0};
  int value = -7;
  begin();
  DO(cuMemAllocManaged(&p, 4 * MIB, CU_MEM_ATTACH_GLOBAL));
  DO(cuMemAlloc(&plain, 4 * MIB));
#define ASK(attribute, at)                                                                            \
  do {                                                                                                   \
    value = -7;                                                                                          \
    SAY(cuMemRangeGetAttribute(&value, 4, attribute, at, 4 * MIB));                                      \
    printf("%d\n", value);                                                                               \
  } while (0)
  ASK(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p);
  ASK(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, p);
  DO(cuMemAdvise(p, 4 * MIB, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, here));
  DO(cuMemAdvise(p, 4 * MIB, CU_MEM_ADVISE_SET_READ_MOSTLY, here));
  ASK(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p);
  ASK(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, p);
  ASK(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, plain);
  SAY(cuMemAdvise(plain, 4 * MIB, CU_MEM_ADVISE_SET_READ_MOSTLY, here));
  SAY(cuMemPrefetchAsync(plain, 4 * MIB, here, 0, 0));
  SAY(cuCtxSynchronize());
  return finish();
}
