// Children forked after CUDA was used: one that does not use it ends well and changes nothing; one that does gets
// the driver's answer. The parent goes on.
#include "work.h"

int main(void) {
  CUdeviceptr p;
  begin();
  load_kernels();
  DO(cuMemAlloc(&p, 4 * MIB));
  DO(fill(0, p, 1, MIB));
  for (int round = 0; round < 5; round++) {
    pid_t idle = fork();
    if (idle == 0) {
      char *much = malloc(8 * MIB);
      memset(much, round, 8 * MIB);
      exit(much[MIB] == round ? 3 : 4);
    }
    DO(add_one(0, p, MIB));
    DO(cuCtxSynchronize());
    check_child("a child without CUDA", idle, 3);
    pid_t user = fork();
    if (user == 0) {
      int count;
      printf("in the child: cuDeviceGetCount %d\n", cuDeviceGetCount(&count));
      printf("in the child: cuMemAlloc %d\n", cuMemAlloc(&p, 4096));
      printf("in the child: cuCtxSynchronize %d\n", cuCtxSynchronize());
      _exit(5);
    }
    check_child("a child that tries", user, 5);
  }
  check_words("the parent's memory", p, MIB, 6);
  DO(cuMemFree(p));
  return finish();
}
