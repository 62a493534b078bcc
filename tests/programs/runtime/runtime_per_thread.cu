// A CUDA C++ program whose default stream is each thread's own.
// build: --default-stream per-thread
#include "runtime_body.h"

int main() { return runtime_body(); }
