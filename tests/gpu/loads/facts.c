// What a driver does where its documentation is silent, as lines of `fact: value`.
//   facts capture     which calls another thread may make while a thread captures a stream
//   facts record      whether one event can stand for all streams of a context
//   facts address     whether the addresses of freed managed memory can be reserved again
//   facts memfd GIB   how fast a memfd becomes pinned memory, and how fast the card copies to and from it
//   facts managed GIB what the first touch and the later use of managed memory cost, beside plain memory
#define _GNU_SOURCE
#include <cuda.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
#define DO(call) do { CUresult r_ = (call); if (r_) { printf("%s: error %d\n", #call, r_); exit(1); } } while (0)
static CUcontext context; static CUstream own, captured; static CUdeviceptr plain, managed; static CUevent event;
static void *pinned; static char spare[2 << 20] __attribute__((aligned(4096)));

static CUresult sync_context(void) { return cuCtxSynchronize(); }
static CUresult sync_stream(void) { return cuStreamSynchronize(own); }
static CUresult query_stream(void) { return cuStreamQuery(own); }
static CUresult sync_legacy(void) { return cuStreamSynchronize(0); }
static CUresult query_legacy(void) { return cuStreamQuery(0); }
static CUresult query_captured(void) { return cuStreamQuery(captured); }
static CUresult record_captured(void) { CUevent e; cuEventCreate(&e, CU_EVENT_DISABLE_TIMING); return cuEventRecord(e, captured); }
static CUresult record(void) { return cuEventRecord(event, own); }
static CUresult record_legacy(void) { return cuEventRecord(event, 0); }
static CUresult query_event(void) { return cuEventQuery(event); }
static CUresult sync_event(void) { return cuEventSynchronize(event); }
static CUresult prefetch(void) {
#if CUDA_VERSION >= 13000
  CUmemLocation place = { CU_MEM_LOCATION_TYPE_DEVICE, { 0 } }; return cuMemPrefetchAsync(managed, 2 << 20, place, 0, own);
#else
  return cuMemPrefetchAsync(managed, 2 << 20, 0, own);
#endif
}
static CUresult copy_in(void) { return cuMemcpyHtoDAsync(plain, pinned, 1 << 20, own); }
static CUresult copy_out(void) { return cuMemcpyDtoHAsync(pinned, plain, 1 << 20, own); }
static CUresult alloc(void) { CUdeviceptr p; CUresult r = cuMemAlloc(&p, 1 << 20); if (!r) r = cuMemFree(p); return r; }
static CUresult alloc_managed(void) { CUdeviceptr p; CUresult r = cuMemAllocManaged(&p, 1 << 20, CU_MEM_ATTACH_GLOBAL); if (!r) r = cuMemFree(p); return r; }
static CUresult create_stream(void) { CUstream s; return cuStreamCreate(&s, CU_STREAM_NON_BLOCKING); }
static CUresult host_register(void) { CUresult r = cuMemHostRegister(spare, sizeof spare, 0); if (!r) r = cuMemHostUnregister(spare); return r; }
static CUresult map(void) {
  CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = { CU_MEM_LOCATION_TYPE_DEVICE, { 0 } } };
  CUmemAccessDesc access = { .location = prop.location, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
  CUmemGenericAllocationHandle h; CUdeviceptr p; CUresult r;
  if ((r = cuMemAddressReserve(&p, 2 << 20, 0, 0, 0))) return r;
  if ((r = cuMemCreate(&h, 2 << 20, &prop, 0))) return r;
  if ((r = cuMemMap(p, 2 << 20, 0, h, 0))) return r;
  if ((r = cuMemSetAccess(p, 2 << 20, &access, 1))) return r;
  if ((r = cuMemUnmap(p, 2 << 20))) return r;
  if ((r = cuMemRelease(h))) return r;
  return cuMemAddressFree(p, 2 << 20);
}
static CUresult mem_info(void) { size_t f, t; return cuMemGetInfo(&f, &t); }
static struct { const char *name; CUresult (*call)(void); } calls[] = {
#define CALL(f) { #f, f }
  CALL(sync_context), CALL(sync_stream), CALL(query_stream), CALL(sync_legacy), CALL(query_legacy), CALL(query_captured),
  CALL(record_captured), CALL(record), CALL(record_legacy), CALL(query_event), CALL(sync_event), CALL(prefetch), CALL(copy_in), CALL(copy_out),
  CALL(alloc), CALL(alloc_managed), CALL(create_stream), CALL(host_register), CALL(map), CALL(mem_info) };
struct other { CUresult (*call)(void); int relaxed; CUresult result; };
static void *other(void *arg) {
  struct other *o = arg; DO(cuCtxSetCurrent(context));
  if (o->relaxed) { CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED; DO(cuThreadExchangeStreamCaptureMode(&mode)); }
  o->result = o->call(); return 0;
}
static void capture(void) {
  DO(cuMemAlloc(&plain, 2 << 20)); DO(cuMemAllocManaged(&managed, 2 << 20, CU_MEM_ATTACH_GLOBAL)); DO(cuMemAllocHost(&pinned, 1 << 20));
  DO(cuStreamCreate(&own, CU_STREAM_NON_BLOCKING)); DO(cuStreamCreate(&captured, CU_STREAM_NON_BLOCKING)); DO(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
  DO(cuEventRecord(event, own)); DO(cuCtxSynchronize());
  const char *modes[] = { "global", "thread_local", "relaxed" };
  printf("call: (result, capture's end) per mode of the capture; other thread default | relaxed\n");
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    printf("%-16s", calls[i].name);
    for (int relaxed = 0; relaxed < 2; relaxed++) for (int m = 0; m < 3; m++) {
      DO(cuStreamBeginCapture(captured, (CUstreamCaptureMode)m));
      DO(cuMemsetD8Async(plain, 1, 1 << 20, captured));
      struct other o = { calls[i].call, relaxed, 0 }; pthread_t t;
      pthread_create(&t, 0, other, &o); pthread_join(t, 0);
      CUgraph graph = 0; CUresult end = cuStreamEndCapture(captured, &graph); if (graph) cuGraphDestroy(graph);
      printf(" %s%s %d,%d", m == 0 && relaxed ? "| " : "", modes[m], o.result, end);
      cuCtxSynchronize();
    }
    printf("\n"); fflush(stdout);
  }
}

struct part { char *at; size_t bytes; int fd; size_t offset; int how; };
static void *work(void *arg) {
  struct part *p = arg;
  if (p->how == 0) for (size_t i = 0; i < p->bytes; i += 4096) p->at[i] = 1;
  else if (fallocate(p->fd, 0, p->offset, p->bytes)) perror("fallocate");
  return 0;
}
static double parallel(int threads, char *at, int fd, size_t bytes, int how) {
  pthread_t t[16]; struct part p[16]; double start = now();
  for (int i = 0; i < threads; i++) { size_t each = bytes / threads; p[i] = (struct part){ at + i * each, each, fd, i * each, how }; pthread_create(&t[i], 0, work, &p[i]); }
  for (int i = 0; i < threads; i++) pthread_join(t[i], 0);
  return now() - start;
}
static void print_file(const char *path) { FILE *f = fopen(path, "r"); char line[256] = "absent"; if (f) { if (!fgets(line, sizeof line, f)) *line = 0; fclose(f); } line[strcspn(line, "\n")] = 0; printf("%s: %s\n", path, line); }
static void memfd(size_t gib) {
  size_t bytes = gib << 30; CUdeviceptr p; DO(cuMemAlloc(&p, bytes)); CUstream s; DO(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
  print_file("/sys/kernel/mm/transparent_hugepage/enabled"); print_file("/sys/kernel/mm/transparent_hugepage/shmem_enabled"); print_file("/proc/sys/vm/nr_hugepages");
  // The machine's own memory grows as it is used: warmed first.
  char *warm = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); printf("warm: %.2f s\n", parallel(16, warm, -1, bytes, 0)); munmap(warm, bytes);
  for (int kind = 0; kind < 6; kind++) {
    // kinds: anonymous huge; memfd touched; memfd madvise huge touched; memfd fallocate 1, 8, 16 threads
    const char *names[] = { "anonymous, MADV_HUGEPAGE, 16 touch", "memfd, 16 touch", "memfd, MADV_HUGEPAGE, 16 touch", "memfd, fallocate by 1", "memfd, fallocate by 4", "memfd, fallocate by 16" };
    int fd = -1; char *at;
    if (kind == 0) at = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    else { fd = memfd_create("swap", MFD_CLOEXEC | MFD_ALLOW_SEALING); if (ftruncate(fd, bytes)) perror("ftruncate"); at = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); }
    if (kind == 0 || kind == 2) if (madvise(at, bytes, MADV_HUGEPAGE)) perror("madvise");
    double get = kind < 3 ? parallel(16, at, fd, bytes, 0) : parallel(kind == 3 ? 1 : kind == 4 ? 4 : 16, at, fd, bytes, 1);
    double t = now(); double fault = kind < 3 ? 0 : parallel(16, at, fd, bytes, 0);
    t = now(); CUresult r = cuMemHostRegister(at, bytes, CU_MEMHOSTREGISTER_PORTABLE); double reg = now() - t, in = 0, out = 0;
    if (!r) for (int i = 0; i < 2; i++) { t = now(); DO(cuMemcpyDtoHAsync(at, p, bytes, s)); DO(cuStreamSynchronize(s)); out = now() - t; t = now(); DO(cuMemcpyHtoDAsync(p, at, bytes, s)); DO(cuStreamSynchronize(s)); in = now() - t; }
    t = now(); if (!r) cuMemHostUnregister(at); double unreg = now() - t;
    double g = bytes / 1e9;
    printf("%-36s get %.3f s %.1f GB/s, map %.3f s, register(%d) %.3f s %.1f GB/s, out %.1f in %.1f GB/s, unregister %.3f s", names[kind], get, g / get, fault, r, reg, g / reg, out ? g / out : 0, in ? g / in : 0, unreg);
    t = now(); munmap(at, bytes); if (fd >= 0) close(fd); printf(", gone %.3f s\n", now() - t); fflush(stdout);
  }
  CUstream s2; DO(cuStreamCreate(&s2, CU_STREAM_NON_BLOCKING));
  // unpinned and chunk-pinned alternatives, for a tenant without registered memory
  char *at = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); madvise(at, bytes, MADV_HUGEPAGE); parallel(16, at, -1, bytes, 0);
  double t = now(); DO(cuMemcpyDtoH(at, p, bytes)); double out = now() - t; t = now(); DO(cuMemcpyHtoD(p, at, bytes)); printf("pageable: out %.1f in %.1f GB/s\n", bytes / 1e9 / out, bytes / 1e9 / (now() - t));
  // virtual memory management in pieces
  size_t pieces[] = { 2ul << 20, 16ul << 20, 32ul << 20, 64ul << 20, 128ul << 20, 256ul << 20 };
  DO(cuMemFree(p));
  CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = { CU_MEM_LOCATION_TYPE_DEVICE, { 0 } } };
  CUmemAccessDesc access = { .location = prop.location, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
  size_t gran; DO(cuMemGetAllocationGranularity(&gran, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM)); printf("granularity %zu\n", gran);
  t = now(); DO(cuMemHostRegister(at, bytes, 0)); printf("register again %.3f s\n", now() - t);
  CUmemGenericAllocationHandle *h = malloc(sizeof *h * (bytes >> 21));
  for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
    size_t piece = pieces[k], n = bytes / piece; DO(cuMemAddressReserve(&p, bytes, 0, 0, 0)); double c = 0, m = 0, a = 0, copy = 0, u = 0, rel = 0;
    double whole = now();
    for (size_t i = 0; i < n; i++) { t = now(); DO(cuMemCreate(&h[i], piece, &prop, 0)); c += now() - t; t = now(); DO(cuMemMap(p + i * piece, piece, 0, h[i], 0)); m += now() - t; t = now(); DO(cuMemSetAccess(p + i * piece, piece, &access, 1)); a += now() - t; t = now(); DO(cuMemcpyHtoDAsync(p + i * piece, at + i * piece, piece, s)); copy += now() - t; }
    DO(cuStreamSynchronize(s)); double in = now() - whole; whole = now();
    CUevent *done = malloc(sizeof *done * n); for (size_t i = 0; i < n; i++) { cuEventCreate(&done[i], CU_EVENT_DISABLE_TIMING); DO(cuMemcpyDtoHAsync(at + i * piece, p + i * piece, piece, s)); cuEventRecord(done[i], s); }
    for (size_t i = 0; i < n; i++) { DO(cuEventSynchronize(done[i])); cuEventDestroy(done[i]); t = now(); DO(cuMemUnmap(p + i * piece, piece)); u += now() - t; t = now(); DO(cuMemRelease(h[i])); rel += now() - t; }
    double outs = now() - whole; DO(cuMemAddressFree(p, bytes)); free(done);
    printf("VMM %4zu MiB pieces: in %.3f s %.1f GB/s (create %.1f map %.1f access %.1f issue %.1f ms), out %.3f s %.1f GB/s (unmap %.1f release %.1f ms)\n", piece >> 20, in, bytes / 1e9 / in, c * 1e3, m * 1e3, a * 1e3, copy * 1e3, outs, bytes / 1e9 / outs, u * 1e3, rel * 1e3); fflush(stdout);
  }
}
static double timed_set(CUdeviceptr p, size_t bytes) { double t = now(); DO(cuMemsetD32(p, 1, bytes / 4)); DO(cuCtxSynchronize()); return now() - t; }
static void managed_costs(size_t gib) {
  size_t bytes = gib << 30; CUdeviceptr p;
  for (int kind = 0; kind < 4; kind++) {
    const char *names[] = { "plain", "managed", "managed, prefetched at once", "managed, preferred location" };
    double t = now(); if (kind == 0) DO(cuMemAlloc(&p, bytes)); else DO(cuMemAllocManaged(&p, bytes, CU_MEM_ATTACH_GLOBAL));
    double make = now() - t; t = now();
#if CUDA_VERSION >= 13000
    CUmemLocation place = { CU_MEM_LOCATION_TYPE_DEVICE, { 0 } };
    if (kind == 2) { DO(cuMemPrefetchAsync(p, bytes, place, 0, 0)); DO(cuCtxSynchronize()); }
    if (kind == 3) DO(cuMemAdvise(p, bytes, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, place));
#endif
    double pre = now() - t, first = timed_set(p, bytes), second = timed_set(p, bytes), third = timed_set(p, bytes);
    t = now(); DO(cuMemFree(p)); printf("%-30s allocate %.4f s, prefetch %.4f, first touch %.4f, second %.4f, third %.4f, free %.4f\n", names[kind], make, pre, first, second, third, now() - t); fflush(stdout);
  }
  for (int i = 0; i < 3; i++) { size_t small = 1ul << 30; double t = now(); DO(cuMemAlloc(&p, small)); double a = now() - t; t = now(); DO(cuMemFree(p)); printf("plain 1 GiB: allocate %.6f free %.6f\n", a, now() - t); }
}
// Whether cuCtxRecordEvent (CUDA 12.5) sees the work of every stream, and what it costs.
static void record_all(void) {
  size_t bytes = 8ul << 30; CUdeviceptr p; DO(cuMemAlloc(&p, bytes)); CUstream s[8]; CUevent e; DO(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING | CU_EVENT_BLOCKING_SYNC));
  for (int i = 0; i < 8; i++) DO(cuStreamCreate(&s[i], i % 2 ? CU_STREAM_NON_BLOCKING : 0));
  for (int i = 0; i < 8; i++) {
    double t = now(); for (int k = 0; k < 20; k++) DO(cuMemsetD8Async(p, 1, bytes, s[i])); CUresult before = cuCtxRecordEvent(context, e); double cost = now() - t; CUresult asked = cuEventQuery(e);
    t = now(); CUresult waited = cuEventSynchronize(e); double wait = now() - t; CUresult stream = cuStreamQuery(s[i]);
    printf("cuCtxRecordEvent, stream %d (%s): %d, query %d, wait %d after %.4f s, then the stream %d; with 20 fills issued in %.1f us\n", i, i % 2 ? "non-blocking" : "blocking", before, asked, waited, wait, stream, cost * 1e6);
  }
  double t = now(); for (int i = 0; i < 1000; i++) DO(cuCtxRecordEvent(context, e)); printf("cuCtxRecordEvent: %.2f us each, 8 streams\n", (now() - t) * 1e3); DO(cuEventSynchronize(e));
  DO(cuStreamBeginCapture(s[1], CU_STREAM_CAPTURE_MODE_RELAXED)); CUresult r = cuCtxRecordEvent(context, e); CUgraph g = 0; CUresult end = cuStreamEndCapture(s[1], &g); printf("cuCtxRecordEvent beside a capture: %d, the capture's end %d\n", r, end);
  DO(cuMemFree(p));
}
// Whether the addresses of freed managed memory can be reserved again, and whether the host's own mappings can come between.
static void *churn(void *arg) { volatile int *stop = arg; while (!*stop) { void *at = mmap(0, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); munmap(at, 4 << 20); } return 0; }
static int is_mapped(CUdeviceptr p) {
  FILE *f = fopen("/proc/self/maps", "r"); char line[512]; int found = 0;
  while (f && fgets(line, sizeof line, f)) { unsigned long a, b; if (sscanf(line, "%lx-%lx", &a, &b) == 2 && p >= a && p < b) { found = 1; break; } }
  if (f) fclose(f); return found;
}
static void address(void) {
  size_t sizes[] = { 4096, 2 << 20, 20 << 20, 32 << 20, 34 << 20, 48 << 20, 62 << 20, 64 << 20, 66 << 20, 256 << 20, 1 << 30 }; CUdeviceptr near[64] = { 0 };
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) for (int threads = 0; threads < 4; threads += 3) {
    size_t bytes = sizes[k], whole = (bytes + (2 << 20) - 1) >> 21 << 21; int honoured = 0, moved = 0, failed = 0, unaligned = 0, mapped = 0, back = 0, rounds = bytes >> 28 ? 20 : 100, most = 0; volatile int stop = 0; pthread_t t[3]; double took = 0;
    for (int i = 0; i < threads; i++) pthread_create(&t[i], 0, churn, (void *)&stop);
    for (int i = 0; i < rounds; i++) {
      size_t nth = i % 8; if (near[nth]) DO(cuMemFree(near[nth])); DO(cuMemAllocManaged(&near[nth], bytes, CU_MEM_ATTACH_GLOBAL));
      CUdeviceptr p, q = 0; DO(cuMemAllocManaged(&p, bytes, CU_MEM_ATTACH_GLOBAL)); DO(cuMemsetD8(p, 1, bytes)); DO(cuCtxSynchronize());
      if (p % (2 << 20)) unaligned++;
      CUdeviceptr other[256]; int others = 0; CUresult r;
      double s = now(); DO(cuMemFree(p)); while (!(r = cuMemAddressReserve(&q, whole, 0, p, 0)) && q != p && others < 256) other[others++] = q; took += now() - s;
      if (r) failed++; else if (q == p) honoured++; else moved++;
      if (others > most) most = others;
      if (!r) DO(cuMemAddressFree(q, whole));
      for (int k = 0; k < others; k++) if (other[k] != q) DO(cuMemAddressFree(other[k], whole));
      mapped += is_mapped(p);
      CUdeviceptr again; DO(cuMemAllocManaged(&again, bytes, CU_MEM_ATTACH_GLOBAL)); back += again == p; DO(cuMemFree(again));
    }
    stop = 1; for (int i = 0; i < threads; i++) pthread_join(t[i], 0);
    printf("managed %9zu bytes, %d threads map: of %d freed %d not at 2 MiB; reserved at the address %d (after at most %d elsewhere), elsewhere only %d, refused %d (%.1f us each); then still mapped %d, made at it again %d\n", bytes, threads, rounds, unaligned, honoured, most, moved, failed, took / rounds * 1e6, mapped, back); fflush(stdout);
  }
  for (int i = 0; i < 64; i++) if (near[i]) cuMemFree(near[i]);
}
int main(int argc, char **argv) {
  DO(cuInit(0)); DO(cuDevicePrimaryCtxRetain(&context, 0)); DO(cuCtxSetCurrent(context));
  size_t gib = argc > 2 ? strtoul(argv[2], 0, 10) : 12; const char *what = argc > 1 ? argv[1] : "";
  if (!strcmp(what, "capture")) capture(); else if (!strcmp(what, "record")) record_all(); else if (!strcmp(what, "memfd")) memfd(gib); else if (!strcmp(what, "managed")) managed_costs(gib); else if (!strcmp(what, "address")) address(); else { fprintf(stderr, "usage: facts capture | record | address | memfd GIB | managed GIB\n"); return 2; }
}
