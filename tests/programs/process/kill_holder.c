// A child that works is killed; the parent, which waited for it, works next.
#include "work.h"
#include <signal.h>

int main(void) {
  int begun[2];
  char byte;
  if (pipe(begun)) return 1;
  pid_t child = fork();
  if (child == 0) {
    CUdeviceptr p;
    begin();
    load_kernels();
    DO(cuMemAlloc(&p, 64 * MIB));
    for (int i = 0;; i++) {
      DO(add_one(0, p, 16 * MIB));
      DO(cuCtxSynchronize());
      if (i == 3 && write(begun[1], "x", 1) != 1) return 1;
    }
  }
  close(begun[1]);
  if (read(begun[0], &byte, 1) != 1) exit(UNSUPPORTED);
  kill(child, SIGKILL);
  work("the parent's memory", 9, 20);
  waitpid(child, NULL, 0);
  work("the parent's memory", 9, 20);
  return finish();
}
