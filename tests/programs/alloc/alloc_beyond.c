// Memory beyond any address space is refused, also where a program may have more than the card.
// nvshare: NVSHARE_ENABLE_SINGLE_OVERSUB=1
#include "vmm.h"

static CUdeviceptr p;

static void refused(unsigned shift) {
  CUmemAllocationProp properties = on_device();
  CUmemGenericAllocationHandle handle;
  size_t bytes = (size_t)1 << shift, pitch;
  printf("2^%u bytes\n", shift);
  SAY(cuMemAlloc(&p, bytes));
  SAY(cuMemAllocPitch(&p, &pitch, bytes >> 20, MIB, 4));
  SAY(cuMemAllocAsync(&p, bytes, 0));
  SAY(cuMemAllocManaged(&p, bytes, CU_MEM_ATTACH_GLOBAL));
  SAY(cuMemCreate(&handle, bytes, &properties, 0));
}

int main(void) {
  size_t pitch;
  begin();
  load_kernels();
  refused(62);
  refused(50);
  SAY(cuMemAlloc(&p, SIZE_MAX));
  SAY(cuMemAllocPitch(&p, &pitch, 512, SIZE_MAX / 512, 4));
  SAY(cuMemAllocAsync(&p, SIZE_MAX, 0));
  SAY(cuMemAllocManaged(&p, SIZE_MAX, CU_MEM_ATTACH_GLOBAL));
  expect(p == 0, "nothing was written to the result");
  DO(cuMemAlloc(&p, 4 * MIB));
  DO(fill(0, p, 3, MIB));
  check_words("the next one", p, MIB, 3);
  SAY(cuMemFree(p));
  return finish();
}
