// What lies in granules of device memory: whether all of it is zero, and a keyed hash of it.
//
// One block of 256 threads takes one granule of 2 MiB. A thread takes 64 chunks of 128 bytes, 16 bytes in each of 8 rows:
// neighbours read neighbouring bytes. docs/adr/0023 states the hash and the chance of a wrong answer.
//
// `content.ptx` beside this file is made of it (`make ptx`), and is what the library carries.
typedef unsigned int u32;
typedef unsigned long long u64;

#define THREADS 256
#define LANES 3
#define P 0x1fffffffffffffffull  // 2^61 - 1, a prime

// A value below 2^64 as one below 2^61 of the same remainder; P itself may stay.
__device__ __forceinline__ u64 fold(u64 x) { return (x & P) + (x >> 61); }
__device__ __forceinline__ u64 reduce(u64 x) { return x >= P ? x - P : x; }

// a * b + c modulo P, for a and b below P and any c.
__device__ __forceinline__ u64 multiply_add(u64 a, u64 b, u64 c) {
  u64 low = a * b, high = __umul64hi(a, b);
  return reduce(fold((low & P) + (low >> 61 | high << 3) + fold(c)));
}

struct Keys {
  u64 rows[18];     // 36 words of NH, two in each
  u64 poly[LANES];  // below P, for the chunks of a thread
  u64 join[LANES];  // below P, for the threads
};

#define WORD(n) ((u32)(keys.rows[(n) / 2] >> ((n) % 2 * 32)))

// granules: `count` addresses. found: for each of them LANES hash values and whether anything in it is not zero.
extern "C" __global__ void __launch_bounds__(THREADS)
nvshare_content(const u64 *granules, u64 *found, u64 count, Keys keys) {
  __shared__ u64 sums[LANES][THREADS];
  const uint4 *at = (const uint4 *)granules[blockIdx.x] + threadIdx.x;
  u64 hash[LANES] = {0, 0, 0};
  u32 any = 0;
  for (int chunk = 0; chunk < 64; chunk++, at += 8 * THREADS) {
    uint4 row[8];
#pragma unroll
    for (int i = 0; i < 8; i++) row[i] = __ldcs(at + i * THREADS);
    u64 nh[LANES] = {0, 0, 0};
#pragma unroll
    for (int i = 0; i < 8; i++) {
      any |= row[i].x | row[i].y | row[i].z | row[i].w;
#pragma unroll
      for (int lane = 0; lane < LANES; lane++) {
        nh[lane] += (u64)(row[i].x + WORD(4 * i + 2 * lane)) * (u32)(row[i].y + WORD(4 * i + 2 * lane + 1));
        nh[lane] += (u64)(row[i].z + WORD(4 * i + 2 * lane + 2)) * (u32)(row[i].w + WORD(4 * i + 2 * lane + 3));
      }
    }
#pragma unroll
    for (int lane = 0; lane < LANES; lane++) hash[lane] = multiply_add(hash[lane], keys.poly[lane], nh[lane]);
  }
#pragma unroll
  for (int lane = 0; lane < LANES; lane++) {
    // join^(threadIdx.x + 1), by squares.
    u64 power = keys.join[lane], square = power;
    for (int bit = 0; bit < 8; bit++) {
      if (threadIdx.x >> bit & 1) power = multiply_add(power, square, 0);
      square = multiply_add(square, square, 0);
    }
    sums[lane][threadIdx.x] = multiply_add(hash[lane], power, 0);
  }
  any = __syncthreads_or(any != 0);
  for (int half = THREADS / 2; half > 0; half /= 2) {
    if (threadIdx.x < half)
#pragma unroll
      for (int lane = 0; lane < LANES; lane++)
        sums[lane][threadIdx.x] = reduce(sums[lane][threadIdx.x] + sums[lane][threadIdx.x + half]);
    __syncthreads();
  }
  if (threadIdx.x < LANES) found[4 * blockIdx.x + threadIdx.x] = sums[threadIdx.x][0];
  if (threadIdx.x == LANES) found[4 * blockIdx.x + LANES] = any;
}
