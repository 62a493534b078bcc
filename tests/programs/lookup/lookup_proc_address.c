// A program that asks cuGetProcAddress for each function.
#include "driver_by.h"

static void *find(const char *symbol) {
  char base[64];
  void *found = NULL;
  CUdriverProcAddressQueryResult status;
  snprintf(base, sizeof base, "%s", symbol);
  if (strstr(base, "_v2")) *strstr(base, "_v2") = 0;
  if (cuGetProcAddress(base, &found, 12080, CU_GET_PROC_ADDRESS_DEFAULT, &status)) return NULL;
  return found;
}

int main(void) {
  work_by_name();
  return finish();
}
