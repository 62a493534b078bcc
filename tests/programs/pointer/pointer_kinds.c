// Memory type, managed and device of each kind of memory, one by one and all at once, as frameworks ask.
#include "common.h"

static void tell(const char *kind, CUdeviceptr p) {
  unsigned type = 99;
  unsigned managed = 99;
  int ordinal = 99;
  CUdeviceptr at = 1;
  void *host = NULL;
  CUpointer_attribute wanted[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_IS_MANAGED,
                                  CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, CU_POINTER_ATTRIBUTE_DEVICE_POINTER,
                                  CU_POINTER_ATTRIBUTE_HOST_POINTER};
  void *into[] = {&type, &managed, &ordinal, &at, &host};
  printf("%s\n", kind);
  SAY(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p));
  SAY(cuPointerGetAttributes(5, wanted, into, p));
  printf("type %u managed %d device %d, device pointer %s, host pointer %s\n", type, managed, ordinal,
         at == p ? "the same" : at ? "another" : "none", host == (void *)(uintptr_t)p ? "the same" : host ? "another" : "none");
}

int main(void) {
  CUdeviceptr p;
  void *host, *mine = aligned_alloc(4096, MIB);
  memset(mine, 1, MIB);
  begin();
  DO(cuMemAlloc(&p, MIB));
  tell("plain", p);
  DO(cuMemFree(p));
  tell("freed", p);
  DO(cuMemAllocManaged(&p, MIB, CU_MEM_ATTACH_GLOBAL));
  tell("managed", p);
  DO(cuMemAllocHost(&host, MIB));
  tell("page-locked", (CUdeviceptr)(uintptr_t)host);
  tell("the program's own", (CUdeviceptr)(uintptr_t)mine);
  DO(cuMemHostRegister(mine, MIB, 0));
  tell("registered", (CUdeviceptr)(uintptr_t)mine);
  tell("null", 0);
  return finish();
}
