// Allocation, launches, copies, streams and threads by the runtime API.
#pragma once
#include "runtime.h"
#include <thread>

static int runtime_body() {
  const size_t n = 1 << 20;
  size_t free_bytes, total;
  DO(cudaMemGetInfo(&free_bytes, &total));
  unsigned *p, *q, *host;
  DO(cudaMalloc(&p, 16 * n));
  DO(cudaMalloc(&q, 16 * n));
  DO(cudaMallocHost(&host, 16 * n));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++)
    threads.emplace_back([=] {
      fill<<<64, 128>>>(p + i * n, 10 * i, n);
      for (int round = 0; round < 100; round++) {
        add_one<<<64, 128>>>(p + i * n, n);
        if (round % 10 == 0) DO(cudaStreamSynchronize(0));
      }
      DO(cudaStreamSynchronize(0));
    });
  for (auto &thread : threads) thread.join();
  DO(cudaDeviceSynchronize());
  for (int i = 0; i < 4; i++) check_words("a thread's quarter", p + i * n, n, 10 * i + 100);
  cudaStream_t stream;
  DO(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  for (int round = 0; round < 20; round++) {
    DO(cudaMemcpyAsync(q, p, 16 * n, cudaMemcpyDeviceToDevice, stream));
    add_one<<<64, 128, 0, stream>>>(q, 4 * n);
    DO(cudaMemcpyAsync(host, q, 16 * n, cudaMemcpyDeviceToHost, stream));
    DO(cudaStreamSynchronize(stream));
  }
  expect(host[0] == 101 && host[n] == 111 && host[4 * n - 1] == 131, "copied to the host");
  cudaPointerAttributes attributes;
  DO(cudaPointerGetAttributes(&attributes, p));
  printf("type %d device %d\n", attributes.type, attributes.device);
  void *much = nullptr;
  SAY(cudaMalloc(&much, (size_t)1 << 50));
  SAY(cudaGetLastError());
  fill<<<64, 2048>>>(p, 1, n);
  SAY(cudaGetLastError());
  SAY(cudaFree(p));
  SAY(cudaFree(p));
  SAY(cudaGetLastError());
  SAY(cudaDeviceReset());
  DO(cudaMalloc(&p, 4 * n));
  fill<<<64, 128>>>(p, 5, n);
  check_words("after the reset", p, n, 5);
  return failures != 0;
}
