// Managed memory with advice and prefetch: host and device see each other's words.
#include "common.h"

int main(void) {
  CUdeviceptr p;
  size_t n = 3 * MIB;
  CUmemLocation here = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0};
  CUmemLocation host = {.type = CU_MEM_LOCATION_TYPE_HOST, .id = 0};
  begin();
  load_kernels();
  DO(cuMemAllocManaged(&p, 4 * n, CU_MEM_ATTACH_GLOBAL));
  unsigned *words = (unsigned *)(uintptr_t)p;
  for (size_t i = 0; i < n; i++) words[i] = 5;
  SAY(cuMemAdvise(p, 4 * n, CU_MEM_ADVISE_SET_READ_MOSTLY, here));
  SAY(cuMemAdvise(p, 4 * n, CU_MEM_ADVISE_UNSET_READ_MOSTLY, here));
  SAY(cuMemAdvise(p, 4 * n, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, here));
  SAY(cuMemAdvise(p, 4 * n, CU_MEM_ADVISE_SET_ACCESSED_BY, host));
  for (int round = 0; round < 20; round++) {
    DO(cuMemPrefetchAsync(p, 4 * n, here, 0, 0));
    DO(add_one(0, p, n));
    DO(cuCtxSynchronize());
    for (size_t i = 0; i < n; i += 4096) words[i]++;
    for (size_t i = 0; i < n; i += 4096) words[i]--;
  }
  SAY(cuMemPrefetchAsync(p, 4 * n, host, 0, 0));
  DO(cuCtxSynchronize());
  expect(count_wrong(words, n, 25) == 0, "the host sees what the device has written");
  SAY(cuMemAdvise(p, 4 * n, CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION, here));
  SAY(cuMemAllocManaged(&p, 0, CU_MEM_ATTACH_GLOBAL));
  SAY(cuMemAllocManaged(&p, 4096, 77));
  return finish();
}
