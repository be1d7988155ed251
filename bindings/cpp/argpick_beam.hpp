// Beam search: argpick_beam with an owner, views and typed results. argpick.hpp includes it, and its head says what there is
// to choose.
//
//   auto search = argpick::beam_search::create(config, vocab, ends);
//   while (state.live != 0) state = search.step(rows, next);              // row i is that of beam i; next: parent and token
//   argpick_hypothesis best = search.best(0, room);
#ifndef ARGPICK_BEAM_HPP
#define ARGPICK_BEAM_HPP

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

/// A beam search: rows in, which beam goes on with which token out.
class beam_search : public detail::owner<argpick_beam, argpick_beam_free> {
 public:
  using tokens_view = view<const std::uint32_t>;

  beam_search() noexcept = default;
  /// Takes over a C handle.
  explicit beam_search(argpick_beam* handle) noexcept : owner(handle) {}

  static outcome<beam_search> create(const argpick_beam_config& config, std::uint32_t vocab, tokens_view ends = {}) {
    argpick_beam* handle = nullptr;
    const argpick_status status = argpick_beam_new(&config, vocab, ends.data(), ends.size(), &handle);
    return detail::answer(status, beam_search(handle));
  }
  /// Bytes of memory that create_in needs.
  static outcome<std::size_t> size(const argpick_beam_config& config, std::uint32_t vocab, tokens_view ends = {}) {
    std::size_t bytes = 0;
    const argpick_status status = argpick_beam_size(&config, vocab, ends.data(), ends.size(), &bytes);
    return detail::answer(status, bytes);
  }
  /// In memory of the caller's, aligned to ARGPICK_MEMORY_ALIGNMENT, which has to outlive the search: no heap is used.
  static outcome<beam_search> create_in(void* memory, std::size_t size, const argpick_beam_config& config,
                                        std::uint32_t vocab, tokens_view ends = {}) {
    argpick_beam* handle = nullptr;
    const argpick_status status =
        argpick_beam_init(memory, size, &config, vocab, ends.data(), ends.size(), &handle);
    return detail::answer(status, beam_search(handle));
  }

  outcome<void> reset() { return detail::answer(argpick_beam_reset(get(), nullptr, nullptr, 0)); }
  outcome<void> reset(const argpick_beam_config& config, tokens_view ends = {}) {
    return detail::answer(argpick_beam_reset(get(), &config, ends.data(), ends.size()));
  }
  outcome<argpick_beam_state> state() const {
    argpick_beam_state found = empty_state();
    const argpick_status status = argpick_beam_inspect(get(), &found);
    return detail::answer(status, found);
  }
  /// One row for each live beam. next has room for state().outputs. masks: mask_words words for each row, NULL for none; or
  /// no masks at all. decoders: one for each beam, or none.
  outcome<argpick_beam_state> step(const rows& logits, view<argpick_beam_continuation> next,
                                   view<const std::uint32_t* const> masks = {}, std::size_t mask_words = 0,
                                   view<argpick_decoder* const> decoders = {}) {
    argpick_beam_state found = empty_state();
    if (!masks.empty() && masks.size() != logits.size()) {
      return detail::refuse<argpick_beam_state>(detail::lengths(logits.size(), masks.size()), detail::rows_text);
    }
    const argpick_status status = argpick_beam_step(
        get(), logits.data(), logits.dtype(), logits.length(), logits.size(), masks.empty() ? nullptr : masks.data(),
        mask_words, decoders.data(), decoders.size(), next.data(), next.size(), &found);
    return detail::answer(status, found);
  }
  /// The tokens of a live beam, state().length of them; answers the sum of their log-probabilities.
  outcome<double> tokens(std::uint32_t index, view<std::uint32_t> room) const {
    double score = 0;
    const argpick_status status = argpick_beam_tokens(get(), index, room.data(), room.size(), &score);
    return detail::answer(status, score);
  }
  /// The hypothesis of a rank, 0 the best; its tokens, if there is room for them.
  outcome<argpick_hypothesis> best(std::uint32_t rank, view<std::uint32_t> room = {}) const {
    argpick_hypothesis found{};
    found.struct_size = sizeof found;
    const argpick_status status = argpick_beam_best(get(), rank, room.data(), room.size(), &found);
    return detail::answer(status, found);
  }

 private:
  static argpick_beam_state empty_state() noexcept {
    argpick_beam_state state{};
    state.struct_size = sizeof state;
    return state;
  }
};

}  // inline namespace with_exceptions, with_results
}  // inline namespace with_span, with_view
}  // namespace argpick

#endif
