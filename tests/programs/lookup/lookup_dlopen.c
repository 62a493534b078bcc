// A program that opens libcuda and asks dlsym for each function.
#include "driver_by.h"

static void *library;
static void *find(const char *symbol) { return dlsym(library, symbol); }

int main(void) {
  library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  expect(library != NULL, "libcuda.so.1 is opened");
  work_by_name();
  expect(dlsym(library, "cuNoSuchFunction") == NULL, "what is not there is not found");
  return finish();
}
