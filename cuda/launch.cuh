// What the launching functions share: argument checks, and how a kernel is started.
#pragma once

#include "platform.cuh"

namespace argpick {

// The other side declares these structs by hand: no padding, and these sizes.
static_assert(sizeof(argpick_device_bias) == 8 && sizeof(argpick_device_row) == 136, "argpick_cuda.h");
static_assert(sizeof(argpick_device_pick) == 56 && sizeof(argpick_device_decode) == 80, "argpick_cuda.h");
static_assert(sizeof(argpick_device_head) == 32 && sizeof(argpick_device_input) == 24, "argpick_cuda.h");
static_assert(sizeof(argpick_device_score) == 32 && sizeof(argpick_device_train) == 96, "argpick_cuda.h");

inline bool is_aligned(const void *pointer, uint32_t to) { return reinterpret_cast<uintptr_t>(pointer) % to == 0; }

inline int32_t fail(int32_t *detail, int32_t status, int32_t why) {
  if (detail != nullptr) {
    *detail = why;
  }
  return status;
}

#ifdef __CUDACC__
// Starts a kernel; returns the cudaError_t. More than 48 KiB of shared memory must be asked for.
template <typename A>
int32_t run_kernel(void (*kernel)(A), uint64_t blocks, uint32_t threads, uint32_t shared, void *stream, const A &argument) {
  if (shared > (48u << 10)) {
    const cudaError_t refused = cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel),
                                                     cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                     static_cast<int>(shared));
    if (refused != cudaSuccess) {
      return static_cast<int32_t>(refused);
    }
  }
  // Not with <<<>>>: what went wrong elsewhere before must not be taken for a failure of this launch, nor be swallowed by it.
  void *arguments[] = {const_cast<A *>(&argument)};
  return static_cast<int32_t>(cudaLaunchKernel(reinterpret_cast<const void *>(kernel),
                                               dim3(static_cast<uint32_t>(blocks)), dim3(threads), arguments, shared,
                                               static_cast<cudaStream_t>(stream)));
}
#define ARGPICK_RUN(kernel, blocks, threads, shared, stream, argument) \
  argpick::run_kernel(kernel, blocks, threads, shared, stream, argument)
#else
template <typename A, void (*KERNEL)(A)>
int32_t run_on_host(uint64_t blocks, uint32_t threads, uint32_t shared, const A &argument) {
  shim::launch(static_cast<uint32_t>(blocks), threads, shared, shim::Body{run_kernel<A, KERNEL>, &argument});
  return 0;
}
#define ARGPICK_RUN(kernel, blocks, threads, shared, stream, argument)                                       \
  ((void)(stream), argpick::run_on_host<std::remove_const_t<std::remove_reference_t<decltype(argument)>>, kernel>( \
                       blocks, threads, static_cast<uint32_t>(shared), argument))
#endif

} // namespace argpick
