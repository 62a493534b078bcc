// A parent that makes memory, and its child that opens it through handles. Each initialises CUDA for itself.
#pragma once
#include "common.h"

static int handles[2];
static pid_t child;

// Forks, then initialises CUDA in both processes. True in the child.
static inline int begin_with_child(void) {
  if (pipe(handles)) exit(1);
  child = fork();
  begin();
  load_kernels();
  close(handles[child == 0]);
  return child == 0;
}
// In the parent.
static inline void send_handle(const void *handle, size_t bytes) {
  if (write(handles[1], handle, bytes) < 0) exit(1);
}
// In the child. A parent that sends nothing could make no handle.
static inline void receive_handle(void *handle, size_t bytes) {
  if (read(handles[0], handle, bytes) != (ssize_t)bytes) exit(UNSUPPORTED);
}
