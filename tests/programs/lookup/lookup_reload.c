// A program that closes libcuda after use and opens it again.
#include "driver_by.h"

static void *library;
static void *find(const char *symbol) { return dlsym(library, symbol); }

int main(void) {
  for (int round = 0; round < 3; round++) {
    library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    expect(library != NULL, "libcuda.so.1 is opened");
    work_by_name();
    expect(dlclose(library) == 0, "and closed");
  }
  return finish();
}
