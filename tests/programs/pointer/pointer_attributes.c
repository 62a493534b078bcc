// What the driver tells of an address of plain memory.
#include "common.h"

int main(void) {
  CUdeviceptr p, device_pointer = 0;
  unsigned type = 99, handles = 99;
  int ordinal = 99;
  unsigned managed = 99, mapped = 99, legacy = 99;
  CUcontext owner = NULL;
  void *host = NULL;
  begin();
  DO(cuMemAlloc(&p, 4 * MIB));
#define ASK(attribute, into) SAY(cuPointerGetAttribute(into, CU_POINTER_ATTRIBUTE_##attribute, p + 4096))
  ASK(MEMORY_TYPE, &type);
  printf("type %u\n", type);
  ASK(IS_MANAGED, &managed);
  printf("managed %d\n", managed);
  ASK(DEVICE_ORDINAL, &ordinal);
  printf("device %d\n", ordinal);
  ASK(CONTEXT, &owner);
  TELL(owner == context, "its context is the current one");
  ASK(DEVICE_POINTER, &device_pointer);
  TELL(device_pointer == p + 4096, "the device pointer is the address");
  ASK(HOST_POINTER, &host);
  TELL(host == NULL, "it has no host pointer");
  ASK(MAPPED, &mapped);
  printf("mapped %d\n", mapped);
  ASK(IS_LEGACY_CUDA_IPC_CAPABLE, &legacy);
  printf("IPC %d\n", legacy);
  ASK(ALLOWED_HANDLE_TYPES, &handles);
  printf("handle types %u\n", handles);
  return finish();
}
