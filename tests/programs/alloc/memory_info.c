// alone: free memory is what the whole card has. Free memory falls by what is allocated, and comes back.
#include "common.h"

static size_t free_now(void) {
  size_t free, total;
  DO(cuMemGetInfo(&free, &total));
  expect(free <= total, "free is at most the total");
  return free;
}

int main(void) {
  CUdeviceptr p, q;
  size_t whole = 64 * MIB, slack = 4 * MIB, total, size;
  begin();
  size_t before = free_now();
  DO(cuMemAlloc(&p, whole));
  size_t after = free_now();
  expect(before - after >= whole && before - after <= whole + slack, "64 MiB are gone");
  DO(cuMemAlloc(&q, whole));
  after = free_now();
  expect(before - after >= 2 * whole && before - after <= 2 * whole + slack, "128 MiB are gone");
  DO(cuMemFree(p));
  after = free_now();
  expect(before - after >= whole && before - after <= whole + slack, "64 MiB are gone");
  DO(cuMemFree(q));
  after = free_now();
  expect(before - after <= slack, "all is back");
  DO(cuDeviceTotalMem(&total, device));
  DO(cuMemGetInfo(&before, &size));
  expect(size <= total, "the total is at most the device's");
  return finish();
}
