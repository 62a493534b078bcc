// A CUDA C++ program with the static runtime.
// build: -cudart static
#include "runtime_body.h"

int main() { return runtime_body(); }
