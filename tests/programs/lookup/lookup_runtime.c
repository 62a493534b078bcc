// A program that finds the driver as the CUDA runtime does: dlsym for cuGetProcAddress_v2 alone, which is then
// asked for itself and for everything else, for both default streams.
#include "driver_by.h"

typedef CUresult (*proc_address)(const char *, void **, int, cuuint64_t, CUdriverProcAddressQueryResult *);
static proc_address ask;
static cuuint64_t flags;

static void *find(const char *symbol) {
  char base[64];
  void *found = NULL;
  CUdriverProcAddressQueryResult status;
  snprintf(base, sizeof base, "%s", symbol);
  if (strstr(base, "_v2")) *strstr(base, "_v2") = 0;
  if (ask(base, &found, 12090, flags, &status) || status != CU_GET_PROC_ADDRESS_SUCCESS) return NULL;
  return found;
}

int main(void) {
  void *library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL), *itself = NULL;
  expect(library != NULL, "libcuda.so.1 is opened");
  ask = (proc_address)dlsym(library, "cuGetProcAddress_v2");
  DO(ask("cuGetProcAddress", &itself, 12000, 0, NULL));
  ask = (proc_address)itself;
  for (flags = CU_GET_PROC_ADDRESS_LEGACY_STREAM; flags <= CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM; flags++)
    work_by_name();
  return finish();
}
