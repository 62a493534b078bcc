// Two parts of a program open libcuda for themselves alone, and both find the same functions.
#include "driver_by.h"

static void *library;
static void *find(const char *symbol) { return dlsym(library, symbol); }

int main(void) {
  void *first = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL), *second = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  const char *names[] = {"cuMemAlloc_v2", "cuLaunchKernel", "cuDeviceGetName", "cuGetProcAddress_v2"};
  for (size_t i = 0; i < COUNT(names); i++)
    expect(dlsym(first, names[i]) == dlsym(second, names[i]), "%s is the same", names[i]);
  library = first;
  work_by_name();
  dlclose(first);
  library = second;
  work_by_name();
  return finish();
}
