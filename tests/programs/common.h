// What the programs share: how a call is checked and said, the first device, the kernels of kernels.ptx.
//
// A program prints lines that are the same in every run (no address, no time) and exits with
//   0   right
//   1   wrong
//   77  this driver cannot do it: the last line then is "unsupported: CALL"
// It is compiled in this directory (`cc -I . FOLDER/NAME.c`) against CUDA 13's headers.
//
// The first line says the behaviour. More lines of the same comment may be notes for tests/tests/programs.rs (simulated
// driver) and tests/gpu/scripts/programs.sh (real driver):
//   // nvshare: NAME=VALUE ...     the library's settings when it runs under nvshare; both read it
//   // card: FAKECUDA_NAME=VALUE   the simulated card's settings; the GPU script does not read it
//   // build: FLAG ...             flags for nvcc, in programs of the runtime API (.cu); the GPU script alone builds those
//   // alone: WHY. BEHAVIOUR       the first line of one that looks at the whole card: the GPU script runs it by itself
//   // crashes the driver: WHY     left out on a real driver
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <cuda.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UNSUPPORTED 77
#define MIB ((size_t)1 << 20)
#define COUNT(array) (sizeof(array) / sizeof *(array))

static int failures;

// Lines must come out in order, also around a fork.
__attribute__((constructor)) static void unbuffered(void) { setvbuf(stdout, NULL, _IONBF, 0); }

static inline CUresult supported(CUresult result, const char *call) {
  if (result == CUDA_ERROR_NOT_SUPPORTED) {
    printf("unsupported: %.*s\n", (int)strcspn(call, "("), call);
    exit(UNSUPPORTED);
  }
  return result;
}

static inline void must(CUresult result, const char *call, const char *file, int line) {
  if (supported(result, call) == CUDA_SUCCESS) return;
  printf("%s:%d: %s: error %d\n", file, line, call, result);
  exit(1);
}
// A call that must succeed.
#define DO(call) must((call), #call, __FILE__, __LINE__)
// A call whose answer is what matters.
#define SAY(call) printf("%s: %d\n", #call, supported((call), #call))

// Prints whether something holds that must.
__attribute__((format(printf, 2, 3))) static inline void expect(int holds, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  printf(": %s\n", holds ? "yes" : "NO");
  failures += !holds;
}
// Prints whether something holds that may or may not, but not otherwise than natively.
#define TELL(holds, text) printf("%s: %s\n", text, (holds) ? "yes" : "no")

static inline int finish(void) { return failures != 0; }

// --- the first device --------------------------------------------------------------------------------

static CUdevice device;
static CUcontext context;

// Initialises CUDA and makes the first device's primary context current.
static inline void begin(void) {
  DO(cuInit(0));
  DO(cuDeviceGet(&device, 0));
  DO(cuDevicePrimaryCtxRetain(&context, device));
  DO(cuCtxSetCurrent(context));
}

// --- kernels: without a context of their own, so that they run in any ---------------------------------

__asm__(".pushsection .rodata\nkernels_ptx: .incbin \"../fakecuda/kernels.ptx\"\n.byte 0\n.popsection\n");
extern const char kernels_ptx[] __attribute__((visibility("hidden")));

static inline CUfunction kernel(const char *name) {
  static CUlibrary library;
  CUkernel found;
  if (!library) DO(cuLibraryLoadData(&library, kernels_ptx, NULL, NULL, 0, NULL, NULL, 0));
  DO(cuLibraryGetKernel(&found, library, name));
  return (CUfunction)found;
}

// For a graph's node, which takes a function of the current context and no kernel of a library.
static inline CUfunction node_function(CUfunction kernel) {
  CUfunction function;
  DO(cuKernelGetFunction(&function, (CUkernel)kernel));
  return function;
}

static CUfunction fill_kernel, add_one_kernel, vector_add_kernel, spin_kernel, wait_flag_kernel;

// Before the first launch, and before there are threads.
static inline void load_kernels(void) {
  fill_kernel = kernel("fill");
  add_one_kernel = kernel("add_one");
  vector_add_kernel = kernel("vector_add");
  spin_kernel = kernel("spin");
  wait_flag_kernel = kernel("wait_flag");
}

#define ARGUMENTS(...) ((void *[]){__VA_ARGS__})

static inline CUresult launch(CUfunction function, CUstream stream, void **arguments) {
  return cuLaunchKernel(function, 64, 1, 1, 128, 1, 1, 0, stream, arguments, NULL);
}
// p[0..n] = value
static inline CUresult fill(CUstream stream, CUdeviceptr p, unsigned value, size_t n) {
  return launch(fill_kernel, stream, ARGUMENTS(&p, &value, &n));
}
// p[0..n] += 1
static inline CUresult add_one(CUstream stream, CUdeviceptr p, size_t n) {
  return launch(add_one_kernel, stream, ARGUMENTS(&p, &n));
}
static inline CUresult spin(CUstream stream, unsigned long long nanos) {
  return cuLaunchKernel(spin_kernel, 1, 1, 1, 1, 1, 1, 0, stream, ARGUMENTS(&nanos), NULL);
}
// Ends when the word is not 0.
static inline CUresult wait_flag(CUstream stream, CUdeviceptr flag) {
  return cuLaunchKernel(wait_flag_kernel, 1, 1, 1, 1, 1, 1, 0, stream, ARGUMENTS(&flag), NULL);
}

// --- data ------------------------------------------------------------------------------------------------

static inline size_t count_wrong(const unsigned *words, size_t n, unsigned expected) {
  size_t wrong = 0;
  for (size_t i = 0; i < n; i++) wrong += words[i] != expected;
  return wrong;
}

// Checks that the n words at a device address are all `expected`; waits for the default stream.
static inline void check_words(const char *what, CUdeviceptr p, size_t n, unsigned expected) {
  unsigned *words = malloc(4 * n);
  memset(words, 0x5a, 4 * n);
  DO(cuMemcpyDtoH(words, p, 4 * n));
  expect(count_wrong(words, n, expected) == 0, "%s: %zu words are %u", what, n, expected);
  free(words);
}

// --- processes -------------------------------------------------------------------------------------------

// Waits for a child, which must end with `code`.
static inline void check_child(const char *what, pid_t child, int code) {
  int status = -1;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == UNSUPPORTED) exit(UNSUPPORTED);
  expect(WIFEXITED(status) && WEXITSTATUS(status) == code, "%s ended with %d", what, code);
}
