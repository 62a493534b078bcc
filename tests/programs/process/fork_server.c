// A pre-fork server: the parent never uses CUDA, its workers do, one after the other dies and is replaced.
#include "work.h"

int main(void) {
  pid_t workers[3];
  for (int generation = 0; generation < 3; generation++) {
    for (int i = 0; i < 3; i++) {
      workers[i] = fork();
      if (workers[i] == 0) {
        fclose(stdout);
        stdout = fopen("/dev/null", "w");
        work("a worker's memory", 100 * i, 10);
        _exit(finish());
      }
    }
    for (int i = 0; i < 3; i++) check_child("a worker", workers[i], 0);
  }
  return finish();
}
