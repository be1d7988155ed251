// What the device code asks of its machine: threads in warps of 32 in blocks, barriers, exchanges, atomics, shared memory.
//
// With nvcc these are CUDA's own. Without it `host/shim.h` runs the same code on the CPU, so that it can be tested where there
// is no GPU. All warp operations take part with all 32 lanes; all shared memory is one arena, handed to a kernel as bytes.
#pragma once

#include "argpick_cuda.h"
#include <cstdint>

#ifdef __CUDACC__

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define ARGPICK_KERNEL __global__
#define ARGPICK_BOUNDS(threads, blocks) __launch_bounds__(threads, blocks)
#define ARGPICK_HD __host__ __device__
#define ARGPICK_DEVICE __device__
#define ARGPICK_UNROLL _Pragma("unroll")
#define ARGPICK_PRAGMA(what) _Pragma(#what)
#define ARGPICK_UNROLL_BY(times) ARGPICK_PRAGMA(unroll times)
// Longer parts are called instead of copied to every place that uses them.
#define ARGPICK_APART inline __device__ __noinline__

namespace argpick {

extern __shared__ __align__(16) unsigned char arena[];

ARGPICK_DEVICE inline unsigned char *shared_memory() { return arena; }
ARGPICK_DEVICE inline uint32_t thread_index() { return threadIdx.x; }
ARGPICK_DEVICE inline uint32_t thread_count() { return blockDim.x; }
ARGPICK_DEVICE inline uint32_t block_index() { return blockIdx.x; }
ARGPICK_DEVICE inline void block_barrier() { __syncthreads(); }
// A barrier; tells how many threads of the block said yes.
ARGPICK_DEVICE inline uint32_t block_count(bool holds) { return static_cast<uint32_t>(__syncthreads_count(holds)); }
ARGPICK_DEVICE inline void warp_barrier() { __syncwarp(); }
ARGPICK_DEVICE inline uint32_t ballot(bool holds) { return __ballot_sync(0xffffffffu, holds); }
template <typename T> ARGPICK_DEVICE inline T from_lane(T value, uint32_t lane) {
  return __shfl_sync(0xffffffffu, value, static_cast<int>(lane));
}
template <typename T> ARGPICK_DEVICE inline T from_xor(T value, uint32_t mask) {
  return __shfl_xor_sync(0xffffffffu, value, static_cast<int>(mask));
}
// The value of the lane so many before; lanes without one keep their own.
template <typename T> ARGPICK_DEVICE inline T from_before(T value, uint32_t distance) {
  return __shfl_up_sync(0xffffffffu, value, distance);
}
ARGPICK_DEVICE inline uint32_t add_at(uint32_t *to, uint32_t value) { return atomicAdd(to, value); }
ARGPICK_DEVICE inline void add_at(uint64_t *to, uint64_t value) {
  atomicAdd(reinterpret_cast<unsigned long long *>(to), static_cast<unsigned long long>(value));
}
ARGPICK_DEVICE inline void min_at(uint32_t *to, uint32_t value) { atomicMin(to, value); }
ARGPICK_DEVICE inline void max_at(uint32_t *to, uint32_t value) { atomicMax(to, value); }
ARGPICK_DEVICE inline void min_at(uint64_t *to, uint64_t value) {
  atomicMin(reinterpret_cast<unsigned long long *>(to), static_cast<unsigned long long>(value));
}

ARGPICK_HD inline float float_of(uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __uint_as_float(bits);
#else
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
#endif
}
ARGPICK_HD inline uint32_t bits_of(float x) {
#ifdef __CUDA_ARCH__
  return __float_as_uint(x);
#else
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  return bits;
#endif
}
ARGPICK_DEVICE inline double double_of(uint64_t bits) { return __longlong_as_double(static_cast<long long>(bits)); }
ARGPICK_DEVICE inline uint64_t bits_of(double x) { return static_cast<uint64_t>(__double_as_longlong(x)); }
ARGPICK_DEVICE inline uint64_t multiply_high(uint64_t a, uint64_t b) { return __umul64hi(a, b); }
ARGPICK_DEVICE inline uint32_t leading_zeros(uint32_t x) { return static_cast<uint32_t>(__clz(static_cast<int>(x))); }
// The number of the lowest bit; x is not 0.
ARGPICK_DEVICE inline uint32_t lowest_bit(uint32_t x) { return static_cast<uint32_t>(__ffs(static_cast<int>(x))) - 1; }
ARGPICK_DEVICE inline uint32_t count_bits(uint32_t x) { return static_cast<uint32_t>(__popc(x)); }
ARGPICK_DEVICE inline float widen_half(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }
// The larger; NaN if either is.
ARGPICK_DEVICE inline float larger_or_nan(float a, float b) {
  float c;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(c) : "f"(a), "f"(b));
  return c;
}
struct alignas(16) Words {
  uint32_t word[4];
};
// Sixteen bytes that nothing writes while the kernel runs.
ARGPICK_DEVICE inline Words load_words(const void *from) {
  const uint4 loaded = __ldg(static_cast<const uint4 *>(from));
  return Words{{loaded.x, loaded.y, loaded.z, loaded.w}};
}

} // namespace argpick

#else

#include "host/shim.h"

#endif
