// For programs of two devices; where there is one, they say so and end.
#pragma once
#include "common.h"

// The second device's primary context.
static CUcontext other;

// Initialises CUDA, makes the first device's primary context current and retains the second's.
static inline void begin_on_two(void) {
  int count;
  begin();
  load_kernels();
  DO(cuDeviceGetCount(&count));
  if (count < 2) {
    printf("one device\n");
    exit(0);
  }
  DO(cuDevicePrimaryCtxRetain(&other, 1));
}
