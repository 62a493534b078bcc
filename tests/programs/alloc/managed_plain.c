// Plain memory, wherever it came from, takes no advice and no prefetch; managed memory beside it does.
#include "common.h"

static CUmemLocation here = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0};

static void ask(const char *what, CUdeviceptr p, size_t bytes) {
  int values[2] = {-7, -7};
  void *data[] = {&values[0], &values[1]};
  size_t sizes[] = {4, 4};
  CUmem_range_attribute attributes[] = {CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION};
  puts(what);
  SAY(cuMemRangeGetAttribute(&values[0], 4, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p, bytes));
  SAY(cuMemRangeGetAttributes(data, sizes, attributes, 2, p, bytes));
  SAY(cuMemAdvise(p, bytes, CU_MEM_ADVISE_SET_READ_MOSTLY, here));
  SAY(cuMemPrefetchAsync(p, bytes, here, 0, 0));
}

int main(void) {
  CUdeviceptr managed, p, small, taken;
  CUstream stream;
  begin();
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(cuMemAllocManaged(&managed, 4 * MIB, CU_MEM_ATTACH_GLOBAL));
  DO(cuMemAlloc(&p, 48 * MIB));
  DO(cuMemAlloc(&small, 4096));
  DO(cuMemAllocAsync(&taken, MIB, stream));
  DO(cuStreamSynchronize(stream));
  ask("managed", managed, 4 * MIB);
  ask("plain", p, 48 * MIB);
  ask("plain, its middle", p + 8 * MIB, MIB);
  ask("plain and small", small, 4096);
  ask("of a pool", taken, MIB);
  CUdeviceptr both[] = {managed, p};
  size_t sizes[] = {4 * MIB, 48 * MIB}, from = 0;
  SAY(cuMemPrefetchBatchAsync(both, sizes, 1, &here, &from, 1, 0, stream));
  SAY(cuMemPrefetchBatchAsync(both, sizes, 2, &here, &from, 1, 0, stream));
  SAY(cuStreamSynchronize(stream));
  return finish();
}
