// Rows that lie on a GPU: argpick_cuda_... with typed results. Nothing of CUDA is included; device memory and streams are
// the program's own, named by their addresses. examples/cuda_decode.cpp is a whole serving loop.
//
//   auto row = argpick::cuda::row_of(config, vocab);                      // one for each sequence; then copied to the device
//   argpick::cuda::batch batch;
//   batch.vocab = vocab; batch.row_count = 32; ...                        // addresses, the stream
//   batch.workspace_size = batch.plan(rows);                              // and so much device memory at batch.workspace
//   batch.decode();                                                       // queued; the picks are copied back
//   argpick::cuda::check(picks[i]);                                       // the failure of a row, if it has one
//
// In a library without the CUDA path, and on a machine without a GPU, every call fails with ARGPICK_ERR_CUDA_UNAVAILABLE.
#ifndef ARGPICK_CUDA_HPP
#define ARGPICK_CUDA_HPP

#include "argpick.hpp"

namespace argpick {
#if __cplusplus >= 202002L || (defined(_MSVC_LANG) && _MSVC_LANG >= 202002L)
inline namespace with_span {
#else
inline namespace with_view {
#endif
#if !defined(ARGPICK_NO_EXCEPTIONS) && (defined(__cpp_exceptions) || defined(_CPPUNWIND))
inline namespace with_exceptions {
#else
inline namespace with_results {
#endif
namespace cuda {

/// A pointer into device memory, or a cudaStream_t, as the C structs have it.
inline std::uint64_t address(const void* pointer) noexcept {
  return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(pointer));
}

struct devices {
  std::uint32_t count, driver_version;
};

inline outcome<devices> find_devices() {
  devices found{0, 0};
  const argpick_status status = argpick_cuda_devices(&found.count, &found.driver_version);
  return detail::answer(status, found);
}

/// The row of a configuration, for logits of vocab tokens: at position 0, without mask, biases, bans and history.
inline outcome<argpick_cuda_row> row_of(const argpick_config& config, std::uint32_t vocab) {
  argpick_cuda_row row{};
  const argpick_status status = argpick_cuda_row_init(&config, vocab, &row);
  return detail::answer(status, row);
}

/// A batched decode; the fields are those of argpick_cuda_batch.
struct batch : argpick_cuda_batch {
  batch() noexcept : argpick_cuda_batch{} { struct_size = sizeof(argpick_cuda_batch); }

  /// Checks rows of the host's, raises what the batch provides to what they need, and says how many bytes of workspace it
  /// needs then.
  outcome<std::uint64_t> plan(view<const argpick_cuda_row> checked) {
    std::uint64_t bytes = 0;
    const argpick_status status = argpick_cuda_plan(this, checked.data(), checked.size(), &bytes);
    return detail::answer(status, bytes);
  }
  outcome<void> decode() const { return detail::answer(argpick_cuda_decode(this)); }
  /// inputs: the address of an array of argpick_cuda_input on the device, one for each row.
  outcome<void> decode_sparse(const argpick_cuda_head& head, std::uint64_t inputs) const {
    return detail::answer(argpick_cuda_decode_sparse(this, &head, inputs));
  }
};

/// A sparse head; the fields are those of argpick_cuda_head.
struct head : argpick_cuda_head {
  head() noexcept : argpick_cuda_head{} { struct_size = sizeof(argpick_cuda_head); }
};

/// One training step; the fields are those of argpick_cuda_train.
struct train_step : argpick_cuda_train {
  train_step() noexcept : argpick_cuda_train{} { struct_size = sizeof(argpick_cuda_train); }

  /// Bytes of workspace that it needs.
  outcome<std::uint64_t> workspace_bytes() const {
    std::uint64_t bytes = 0;
    const argpick_status status = argpick_cuda_train_workspace(this, &bytes);
    return detail::answer(status, bytes);
  }
  outcome<void> run() const { return detail::answer(argpick_cuda_train_step(this)); }
};

/// Fails as the row did.
inline outcome<void> check(const argpick_cuda_pick& pick) { return detail::answer(argpick_cuda_pick_status(&pick)); }
/// Fails as the training step did.
inline outcome<void> check(const argpick_cuda_score& score) { return detail::answer(argpick_cuda_score_status(&score)); }

}  // namespace cuda
}  // inline namespace with_exceptions, with_results
}  // inline namespace with_span, with_view
}  // namespace argpick

#endif
