// One way of using the GPU by CUDA's runtime and libraries, in C++; answers lines of standard input as framework_cases.py does.
// usage: speed CASE        launches | add | cublas | cufft | dynamic
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cufft.h>

static void must(int code, const char *call) {
  if (code == 0) return;
  fprintf(stderr, "%s: error %d\n", call, code);
  exit(1);
}
#define DO(call) must((int)(call), #call)

__global__ void fill(float *p, float value, size_t n) {
  for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += gridDim.x * (size_t)blockDim.x) p[i] = value;
}
__global__ void add(float *p, size_t n) {
  for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += gridDim.x * (size_t)blockDim.x) p[i] += 1;
}
__global__ void parent(float *p, size_t n) { add<<<8, 128, 0, cudaStreamFireAndForget>>>(p + blockIdx.x * n, n); }

static const size_t BIG = (size_t)1 << 28, SIDE = 4096, LAUNCHES = 2000, CHILDREN = 64;
static float *a, *b, *c;
static cublasHandle_t blas;
static cufftHandle fft;

static float first(const float *p) {
  float word;
  DO(cudaMemcpy(&word, p, sizeof word, cudaMemcpyDeviceToHost));
  return word;
}
static void give(float **p, size_t n, float value) {
  DO(cudaMalloc(p, n * sizeof(float)));
  fill<<<512, 256>>>(*p, value, n);
}

static void make_launches() { give(&a, 1024, 0); }
static double launches() {
  for (size_t i = 0; i < LAUNCHES; i++) add<<<1, 32>>>(a, 32);
  return first(a);
}
static void make_add() { give(&a, BIG, 0); }
static double big_add() {
  add<<<1024, 256>>>(a, BIG);
  return first(a + BIG - 1);
}
static void make_cublas() {
  give(&a, SIDE * SIDE, 0.5f), give(&b, SIDE * SIDE, 0.25f), give(&c, SIDE * SIDE, 0);
  if (!blas) DO(cublasCreate(&blas));
}
static double cublas() {
  float one = 1, half = 0.5f;
  DO(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, SIDE, SIDE, SIDE, &one, a, SIDE, b, SIDE, &half, c, SIDE));
  return first(c);
}
static void make_cufft() {
  give(&a, 2 * 64 * 65536, 1);
  if (!fft) DO(cufftPlan1d(&fft, 65536, CUFFT_C2C, 64));
}
static double cufft() {
  DO(cufftExecC2C(fft, (cufftComplex *)a, (cufftComplex *)a, CUFFT_FORWARD));
  DO(cufftExecC2C(fft, (cufftComplex *)a, (cufftComplex *)a, CUFFT_INVERSE));
  // Not scaled back by the library; 2^16 times each time, so it is set anew.
  double word = first(a);
  fill<<<512, 256>>>(a, 1, 2 * 64 * 65536);
  return word;
}
static void make_dynamic() { give(&a, CHILDREN * 65536, 0); }
static double dynamic() {
  parent<<<CHILDREN, 1>>>(a, 65536);
  return first(a + CHILDREN * 65536 - 1);
}

// What one step's time is divided by.
static const struct { const char *name; void (*make)(); double (*step)(); size_t parts; } cases[] = {
    {"launches", make_launches, launches, LAUNCHES}, {"add", make_add, big_add, 1},        {"cublas", make_cublas, cublas, 1},
    {"cufft", make_cufft, cufft, 1},                 {"dynamic", make_dynamic, dynamic, 1},
};
static double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int main(int argc, char **argv) {
  char line[64];
  int repeat = 0;
  for (auto &one : cases) {
    if (argc < 2 || strcmp(one.name, argv[1]) != 0) continue;
    while (fgets(line, sizeof line, stdin)) {
      if (strncmp(line, "digest", 6) == 0) {
        double begin = now(), sum = 0, seconds = atof(line + 6);
        for (float **p : {&a, &b, &c}) DO(cudaFree(*p)), *p = nullptr;
        one.make();
        for (int i = 0; i < 60; i++) sum += one.step();
        while (now() - begin < seconds) one.step();
        printf("%.17g\n", sum);
      } else {
        double start = now();
        int count = repeat ? repeat : 5;
        for (int i = 0; i < count; i++) one.step();
        double took = (now() - start) / count;
        if (!repeat) repeat = took * 5 > 0.15 ? 5 : (int)(0.15 / took);
        printf("%.6f\n", took * 1e6 / one.parts);
      }
      fflush(stdout);
    }
    return 0;
  }
  fprintf(stderr, "usage: speed launches | add | cublas | cufft | dynamic\n");
  return 2;
}
