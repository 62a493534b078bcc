// A CUDA C++ program with the shared runtime.
// build: -cudart shared
#include "runtime_body.h"

int main() { return runtime_body(); }
