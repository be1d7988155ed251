// A run that is written down, and executed again: argpick_trace and argpick_replay with owners, views and typed results.
// argpick.hpp includes it, and its head says what there is to choose.
//
//   auto trace = argpick::trace::create(decoder);
//   argpick_pick pick = trace.decode(decoder, row);                       // as decoder.decode(row), and written down
//   argpick::view<const std::byte> bytes = trace.finish();
//
//   auto replay = argpick::replay::create(bytes);
//   for (argpick_step_record step = replay.next(); step.is_there; step = replay.next()) {
//     const argpick_difference found = replay.check(row_of(step));
//     if (found.differs & ARGPICK_DIFFERS_ANSWER) report(step.step, argpick::field_name(found.field));
//   }
#ifndef ARGPICK_TRACE_HPP
#define ARGPICK_TRACE_HPP

#include <string_view>

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

// ---- traces ---------------------------------------------------------------------------------------------------------

/// A run of one decoder, being recorded. Each function does what the decoder's own does, and writes it down.
class trace : public detail::owner<argpick_trace, argpick_trace_free> {
 public:
  using tokens_view = view<const std::uint32_t>;

  trace() noexcept = default;
  /// Takes over a C handle.
  explicit trace(argpick_trace* handle) noexcept : owner(handle) {}

  /// A trace in memory, from the decoder's state on. parts: ARGPICK_TRACE_ flags.
  static outcome<trace> create(const decoder& who, std::uint32_t parts = ARGPICK_TRACE_ALL) {
    return create(who, parts, nullptr, nullptr);
  }
  /// A trace that sink gets as it comes, with context.
  static outcome<trace> create(const decoder& who, std::uint32_t parts, argpick_trace_sink sink, void* context) {
    argpick_trace* handle = nullptr;
    const argpick_status status = argpick_trace_new(who.get(), parts, sink, context, &handle);
    return detail::answer(status, trace(handle));
  }
  /// The same with anything that can be called with view<const std::byte> and answers 0, or a number if it cannot take
  /// them. It is borrowed as long as the trace lives, and must not throw: an exception in it ends the program.
  template <class Sink>
  static outcome<trace> create_into(Sink& sink, const decoder& who, std::uint32_t parts = ARGPICK_TRACE_ALL) {
    static_assert(!std::is_const_v<Sink> && std::is_invocable_r_v<std::int32_t, Sink&, view<const std::byte>>,
                  "a sink is called with view<const std::byte> and answers a number");
    return create(who, parts, &trace::put<Sink>, &sink);
  }

  /// Ends the trace. The bytes are there as long as this object, or what it was moved to; none if a sink took them.
  outcome<view<const std::byte>> finish() {
    const void* bytes = nullptr;
    std::size_t size = 0;
    const argpick_status status = argpick_trace_finish(get(), &bytes, &size);
    return detail::answer(status, view<const std::byte>(static_cast<const std::byte*>(bytes), size));
  }
  /// Writes the decoder's whole state: after anything that was done to it without the trace.
  outcome<void> state(const decoder& who) { return detail::answer(argpick_trace_state(get(), who.get())); }
  /// Writes a remark in UTF-8, which means nothing to a replay.
  outcome<void> note(std::string_view text) {
    return detail::answer(argpick_trace_note(get(), text.data(), text.size()));
  }

  /// Hands over the bytes of the last generated token.
  outcome<decoder::text_match> push_bytes(decoder& who, view<const char> bytes) {
    decoder::text_match found{ARGPICK_NO_STOP, 0};
    const argpick_status status =
        argpick_trace_push_bytes(get(), who.get(), bytes.data(), bytes.size(), &found.stop, &found.held_back);
    return detail::answer(status, found);
  }
  outcome<void> prompt(decoder& who, tokens_view tokens) {
    return detail::answer(argpick_trace_prompt(get(), who.get(), tokens.data(), tokens.size()));
  }
  outcome<void> accept(decoder& who, tokens_view tokens) {
    return detail::answer(argpick_trace_accept(get(), who.get(), tokens.data(), tokens.size()));
  }
  outcome<void> undo(decoder& who, std::size_t count = 1) {
    return detail::answer(argpick_trace_undo(get(), who.get(), count));
  }
  outcome<void> seek(decoder& who, std::uint64_t position) {
    return detail::answer(argpick_trace_seek(get(), who.get(), position));
  }
  outcome<void> reset(decoder& who) { return detail::answer(argpick_trace_reset(get(), who.get(), nullptr)); }
  outcome<void> reset(decoder& who, const argpick_config& config) {
    return detail::answer(argpick_trace_reset(get(), who.get(), &config));
  }
  outcome<void> set_bias(decoder& who, tokens_view tokens, view<const float> biases) {
    if (tokens.size() != biases.size()) {
      return detail::refuse<void>(detail::lengths(tokens.size(), biases.size()),
                                  "argpick: there are not as many biases as tokens");
    }
    return detail::answer(argpick_trace_set_bias(get(), who.get(), tokens.data(), biases.data(), tokens.size()));
  }
  outcome<void> set_bans(decoder& who, tokens_view tokens) {
    return detail::answer(argpick_trace_set_bans(get(), who.get(), tokens.data(), tokens.size()));
  }

  /// Picks and records. A row that is refused is written down, too.
  outcome<argpick_pick> decode(decoder& who, const row& logits, const mask& allowed = {}) {
    argpick_pick pick = detail::empty_pick();
    const argpick_status status = argpick_trace_decode(get(), who.get(), logits.data(), logits.dtype(), logits.size(),
                                                       allowed.data(), allowed.size(), &pick);
    return detail::answer(status, pick);
  }
  /// Picks without recording in the decoder; the trace has it.
  outcome<argpick_pick> evaluate(decoder& who, const row& logits, const mask& allowed = {}) {
    argpick_pick pick = detail::empty_pick();
    const argpick_status status = argpick_trace_evaluate(get(), who.get(), logits.data(), logits.dtype(),
                                                         logits.size(), allowed.data(), allowed.size(), &pick);
    return detail::answer(status, pick);
  }
  /// Head and pick in one. For its digest the row is computed once more.
  outcome<argpick_pick> decode(decoder& who, const weights& head, const activations& input, const mask& allowed = {}) {
    if (!input.matched()) return detail::refuse<argpick_pick>(input.mismatch(), activations::mismatch_text);
    argpick_pick pick = detail::empty_pick();
    const argpick_status status =
        argpick_trace_decode_sparse(get(), who.get(), head.get(), input.columns(), input.values(), input.size(),
                                    allowed.data(), allowed.size(), &pick);
    return detail::answer(status, pick);
  }
  /// The same without recording in the decoder; the trace has it.
  outcome<argpick_pick> evaluate(decoder& who, const weights& head, const activations& input,
                                 const mask& allowed = {}) {
    if (!input.matched()) return detail::refuse<argpick_pick>(input.mismatch(), activations::mismatch_text);
    argpick_pick pick = detail::empty_pick();
    const argpick_status status =
        argpick_trace_evaluate_sparse(get(), who.get(), head.get(), input.columns(), input.values(), input.size(),
                                      allowed.data(), allowed.size(), &pick);
    return detail::answer(status, pick);
  }
  /// Says that the next step's row is the one that a head makes of these columns: for hosts that write the row.
  outcome<void> columns(const activations& input) {
    if (!input.matched()) return detail::refuse<void>(input.mismatch(), activations::mismatch_text);
    return detail::answer(argpick_trace_columns(get(), input.columns(), input.values(), input.size()));
  }

 private:
  // noexcept: nothing may be thrown through the library.
  template <class Sink>
  static std::int32_t put(void* context, const void* bytes, std::size_t size) noexcept {
    return (*static_cast<Sink*>(context))(view<const std::byte>(static_cast<const std::byte*>(bytes), size));
  }
};

// ---- replays --------------------------------------------------------------------------------------------------------

/// A trace being executed again, by a decoder of its own.
class replay : public detail::owner<argpick_replay, argpick_replay_free> {
 public:
  replay() noexcept = default;
  /// Takes over a C handle, and what argpick_replay_new said of it.
  replay(argpick_replay* handle, std::uint64_t steps, bool is_complete) noexcept
      : owner(handle), steps_(steps), is_complete_(is_complete) {}

  /// The bytes are borrowed as long as the replay lives; they are checked as a whole and believed in nothing.
  static outcome<replay> create(view<const std::byte> bytes) {
    argpick_replay* handle = nullptr;
    std::uint64_t steps = 0;
    std::uint32_t is_complete = 0;
    const argpick_status status = argpick_replay_new(bytes.data(), bytes.size(), &steps, &is_complete, &handle);
    return detail::answer(status, replay(handle, steps, is_complete != 0));
  }

  /// How many steps the trace has.
  std::uint64_t steps() const noexcept { return steps_; }
  /// Whether the trace has its end; one that was cut off is executed up to there.
  bool is_complete() const noexcept { return is_complete_; }
  /// The length of the rows.
  outcome<std::uint32_t> vocab() const {
    std::uint32_t vocab = 0;
    const argpick_status status = argpick_replay_vocab(get(), &vocab);
    return detail::answer(status, vocab);
  }
  /// A copy of the decoder as the trace has left it so far.
  outcome<decoder> copy() const {
    argpick_decoder* handle = nullptr;
    const argpick_status status = argpick_replay_decoder(get(), &handle);
    return detail::answer(status, decoder(handle));
  }

  /// Does what the host did before the next step and tells about that step: the same one until it is checked. is_there is 0
  /// at the end of the trace.
  outcome<argpick_step_record> next() {
    argpick_step_record step{};
    step.struct_size = sizeof step;
    const argpick_status status = argpick_replay_next(get(), &step);
    return detail::answer(status, step);
  }
  /// Runs that step on its row and tells what differs from the trace. The mask may be left out where the trace has it.
  outcome<argpick_difference> check(const row& logits, const mask& allowed = {}) {
    argpick_difference found = no_difference();
    const argpick_status status = argpick_replay_check(get(), logits.data(), logits.dtype(), logits.size(),
                                                       allowed.data(), allowed.size(), &found);
    return detail::answer(status, found);
  }
  /// The same with the row that the head makes of the columns in the trace.
  outcome<argpick_difference> check(const weights& head, const mask& allowed = {}) {
    argpick_difference found = no_difference();
    const argpick_status status =
        argpick_replay_check_sparse(get(), head.get(), allowed.data(), allowed.size(), &found);
    return detail::answer(status, found);
  }

 private:
  static argpick_difference no_difference() noexcept {
    argpick_difference found{};
    found.struct_size = sizeof found;
    return found;
  }

  std::uint64_t steps_ = 0;
  bool is_complete_ = false;
};

/// The name of argpick_difference.field; "" for 0 and for numbers that no field has. Static text.
inline const char* field_name(std::uint32_t field) noexcept { return argpick_field_name(field); }

}  // inline namespace with_exceptions, with_results
}  // inline namespace with_span, with_view
}  // namespace argpick

#endif
