// A daemon by double fork uses CUDA after its parents have ended; its descriptors are closed and its session new.
#include "work.h"

int main(void) {
  int said[2];
  char line[4096];
  if (pipe(said)) return 1;
  pid_t child = fork();
  if (child == 0) {
    setsid();
    if (fork() != 0) _exit(0);
    dup2(said[1], 1);
    for (int fd = 3; fd < 256; fd++) close(fd);
    close(0);
    if (chdir("/")) return 1;
    work("the daemon's memory", 5, 50);
    close(1);
    _exit(finish());
  }
  close(said[1]);
  check_child("the daemon's parent", child, 0);
  ssize_t got;
  while ((got = read(said[0], line, sizeof line)) > 0) printf("%.*s", (int)got, line);
  return finish();
}
