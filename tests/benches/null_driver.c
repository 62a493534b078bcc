/* A driver that does nothing, for measuring what stands before it. Built by the benchmark and by the test of the fast path. */
int cuInit(unsigned flags) { (void)flags; return 0; }
int cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void *stream, void **params, void **extra) {
  (void)f; (void)gx; (void)gy; (void)gz; (void)bx; (void)by; (void)bz;
  (void)shared; (void)stream; (void)params; (void)extra;
  return 0;
}
int cuLaunchKernelEx(const void *config, void *f, void **params, void **extra) {
  (void)config; (void)f; (void)params; (void)extra;
  return 0;
}
int cuMemcpyDtoDAsync_v2(unsigned long long dst, unsigned long long src, unsigned long bytes, void *stream) {
  (void)dst; (void)src; (void)bytes; (void)stream;
  return 0;
}
int cuPointerGetAttribute(void *data, int attribute, unsigned long long ptr) {
  (void)data; (void)attribute; (void)ptr;
  return 0;
}
