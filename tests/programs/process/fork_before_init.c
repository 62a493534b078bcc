// Parent and child are forked before CUDA is initialised, and both use it at the same time.
#include "work.h"

int main(void) {
  int to_parent[2];
  char line[4096];
  if (pipe(to_parent)) return 1;
  pid_t child = fork();
  if (child == 0) {
    // What the child says comes out when the parent is done.
    dup2(to_parent[1], 1);
    work("the child's memory", 100, 50);
    return finish();
  }
  close(to_parent[1]);
  work("the parent's memory", 200, 50);
  ssize_t got;
  while ((got = read(to_parent[0], line, sizeof line)) > 0) printf("%.*s", (int)got, line);
  check_child("the child", child, 0);
  return finish();
}
