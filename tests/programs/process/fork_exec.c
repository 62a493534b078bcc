// After CUDA was used, a child executes a program that uses CUDA, and the program then executes itself.
#include "work.h"

int main(int argc, char **argv) {
  if (argc > 1) {
    work(argv[1], 10, 20);
    return finish();
  }
  work("before", 1, 20);
  for (int round = 0; round < 2; round++) {
    pid_t child = fork();
    if (child == 0) execl("/proc/self/exe", argv[0], "the executed child's memory", NULL);
    check_child("the child", child, 0);
  }
  work("between", 2, 20);
  execl("/proc/self/exe", argv[0], "the program in its own place", NULL);
  return 1;
}
