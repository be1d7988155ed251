// argpick for C++17 and later: the C ABI (argpick.h) with owners, views and typed results. Header-only; link libargpick.
//
// The idea: each handle is a move-only class that frees itself, each call is one inline function around one C function,
// and nothing is allocated that the C function does not allocate. The documentation of the calls is in argpick.h under the
// same names; here is only what C++ adds:
//
//   auto decoder = argpick::decoder::create(config, vocab);
//   argpick_pick pick = decoder.decode(row);                              // a failure is thrown: argpick::exception
//
// With ARGPICK_NO_EXCEPTIONS defined before this header is included, or with exceptions off (-fno-exceptions), the same
// functions answer argpick::result<T>, which holds either a T or an argpick::failure:
//
//   auto decoder = argpick::decoder::create(config, vocab);
//   if (!decoder) return report(decoder.error(), argpick::last_error());
//   auto pick = decoder->decode(row);
//
// Both are written once: every function returns outcome<T>, which is T in the first case and result<T> in the second. The
// two, and C++17 and C++20, live in inline namespaces of their own, so translation units may choose differently.
// Views are std::span in C++20 and a small type with the same names before. Apart from their guards the four headers (this
// one, and argpick_values.hpp, argpick_beam.hpp and argpick_trace.hpp, which belong beside it) define no macro.
#ifndef ARGPICK_HPP
#define ARGPICK_HPP

#include "argpick_values.hpp"

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

// ---- weights --------------------------------------------------------------------------------------------------------

/// A sparse linear head: logits = b + sum_j values[j] * W[:, columns[j]].
class weights : public detail::owner<argpick_weights, argpick_weights_free> {
 public:
  struct dimensions {
    std::uint32_t vocab, features;
  };
  /// Where trainable weights are: column c of W is matrix[c * vocab ..]. Valid as long as the weights.
  struct arrays {
    view<float> matrix, bias;
  };
  /// How the head did on an example before the update: loss in nats, and the highest logit.
  struct step {
    float loss;
    std::uint32_t argmax;
  };

  weights() noexcept = default;
  /// Takes over a C handle.
  explicit weights(argpick_weights* handle) noexcept : owner(handle) {}

  static outcome<weights> open(const char* path, std::uint32_t flags = 0) {
    argpick_weights* handle = nullptr;
    const argpick_status status = argpick_weights_open(path, flags, &handle);
    return detail::answer(status, weights(handle));
  }
  /// The bytes are borrowed as long as the weights live, unless flags say ARGPICK_WEIGHTS_COPY.
  static outcome<weights> from_memory(view<const std::byte> bytes, std::uint32_t flags = 0) {
    argpick_weights* handle = nullptr;
    const argpick_status status = argpick_weights_from_memory(bytes.data(), bytes.size(), flags, &handle);
    return detail::answer(status, weights(handle));
  }
  /// Zeros, to be trained.
  static outcome<weights> create(std::uint32_t vocab, std::uint32_t features) {
    argpick_weights* handle = nullptr;
    const argpick_status status = argpick_weights_new(vocab, features, &handle);
    return detail::answer(status, weights(handle));
  }
  /// Arrays of the caller's, to be trained; borrowed as long as the weights live. matrix is bias.size() times the features.
  static outcome<weights> from_arrays(view<float> matrix, view<float> bias) {
    if (!shaped(matrix, bias)) return detail::refuse<weights>(detail::lengths(bias.size(), matrix.size()), shape_text);
    argpick_weights* handle = nullptr;
    const argpick_status status = argpick_weights_from_arrays(
        matrix.data(), bias.data(), static_cast<std::uint32_t>(bias.size()), columns_of(matrix, bias), &handle);
    return detail::answer(status, weights(handle));
  }

  /// Bytes of memory that the two below need for the handle, aligned to ARGPICK_MEMORY_ALIGNMENT.
  static std::size_t size() noexcept { return argpick_weights_size(); }
  static outcome<weights> from_memory_in(void* memory, std::size_t memory_size, view<const std::byte> bytes) {
    argpick_weights* handle = nullptr;
    const argpick_status status =
        argpick_weights_init_from_memory(memory, memory_size, bytes.data(), bytes.size(), &handle);
    return detail::answer(status, weights(handle));
  }
  static outcome<weights> from_arrays_in(void* memory, std::size_t memory_size, view<float> matrix, view<float> bias) {
    if (!shaped(matrix, bias)) return detail::refuse<weights>(detail::lengths(bias.size(), matrix.size()), shape_text);
    argpick_weights* handle = nullptr;
    const argpick_status status =
        argpick_weights_init_from_arrays(memory, memory_size, matrix.data(), bias.data(),
                                         static_cast<std::uint32_t>(bias.size()), columns_of(matrix, bias), &handle);
    return detail::answer(status, weights(handle));
  }

  outcome<dimensions> shape() const {
    dimensions found{0, 0};
    const argpick_status status = argpick_weights_shape(get(), &found.vocab, &found.features);
    return detail::answer(status, found);
  }
  outcome<arrays> data() {
    dimensions found{0, 0};
    float *matrix = nullptr, *bias = nullptr;
    argpick_status status = argpick_weights_shape(get(), &found.vocab, &found.features);
    if (status == ARGPICK_OK) status = argpick_weights_arrays(get(), &matrix, &bias);
    if (status != ARGPICK_OK) found = dimensions{0, 0};
    const std::size_t elements = static_cast<std::size_t>(found.vocab) * found.features;
    return detail::answer(status, arrays{view<float>(matrix, elements), view<float>(bias, found.vocab)});
  }
  outcome<void> prefetch(view<const std::uint32_t> columns) const {
    return detail::answer(argpick_weights_prefetch(get(), columns.data(), columns.size()));
  }
  /// format: ARGPICK_FORMAT_NPZ or ARGPICK_FORMAT_SAFETENSORS.
  outcome<void> save(const char* path, std::uint32_t format = ARGPICK_FORMAT_SAFETENSORS) const {
    return detail::answer(argpick_weights_save(get(), path, format));
  }

  outcome<void> logits(const activations& input, view<float> out) const {
    if (!input.matched()) return detail::refuse<void>(input.mismatch(), activations::mismatch_text);
    return detail::answer(
        argpick_logits(get(), input.columns(), input.values(), input.size(), out.data(), out.size()));
  }
  /// gradient: vocab floats to work in; afterwards p - onehot(target).
  outcome<step> train(const activations& input, std::uint32_t target, float learning_rate, view<float> gradient) {
    if (!input.matched()) return detail::refuse<step>(input.mismatch(), activations::mismatch_text);
    step done{0, 0};
    const argpick_status status =
        argpick_train_step(get(), input.columns(), input.values(), input.size(), target, learning_rate,
                           gradient.data(), gradient.size(), &done.loss, &done.argmax);
    return detail::answer(status, done);
  }

 private:
  static constexpr const char* shape_text = "argpick: the matrix is not a whole number of columns as long as the bias";
  static bool shaped(view<float> matrix, view<float> bias) noexcept {
    const std::size_t most = std::numeric_limits<std::uint32_t>::max();
    return !bias.empty() && bias.size() <= most && matrix.size() % bias.size() == 0 &&
           matrix.size() / bias.size() <= most;
  }
  static std::uint32_t columns_of(view<float> matrix, view<float> bias) noexcept {
    return static_cast<std::uint32_t>(matrix.size() / bias.size());
  }
};

// ---- decoder --------------------------------------------------------------------------------------------------------

/// A sequence being decoded.
class decoder : public detail::owner<argpick_decoder, argpick_decoder_free> {
 public:
  decoder() noexcept = default;
  /// Takes over a C handle.
  explicit decoder(argpick_decoder* handle) noexcept : owner(handle) {}

  static outcome<decoder> create(const argpick_config& config, std::uint32_t vocab) {
    argpick_decoder* handle = nullptr;
    const argpick_status status = argpick_decoder_new(&config, vocab, &handle);
    return detail::answer(status, decoder(handle));
  }
  /// Bytes of memory that create_in needs.
  static outcome<std::size_t> size(const argpick_config& config, std::uint32_t vocab) {
    std::size_t bytes = 0;
    const argpick_status status = argpick_decoder_size(&config, vocab, &bytes);
    return detail::answer(status, bytes);
  }
  /// In memory of the caller's, aligned to ARGPICK_MEMORY_ALIGNMENT, which has to outlive the decoder: no heap is used.
  static outcome<decoder> create_in(void* memory, std::size_t size, const argpick_config& config,
                                    std::uint32_t vocab) {
    argpick_decoder* handle = nullptr;
    const argpick_status status = argpick_decoder_init(memory, size, &config, vocab, &handle);
    return detail::answer(status, decoder(handle));
  }
  outcome<decoder> clone() const {
    argpick_decoder* handle = nullptr;
    const argpick_status status = argpick_decoder_clone(get(), &handle);
    return detail::answer(status, decoder(handle));
  }

  outcome<void> reset() { return detail::answer(argpick_decoder_reset(get(), nullptr)); }
  outcome<void> reset(const argpick_config& config) { return detail::answer(argpick_decoder_reset(get(), &config)); }
  outcome<void> prompt(view<const std::uint32_t> tokens) {
    return detail::answer(argpick_decoder_prompt(get(), tokens.data(), tokens.size()));
  }
  outcome<void> accept(view<const std::uint32_t> tokens) {
    return detail::answer(argpick_decoder_accept(get(), tokens.data(), tokens.size()));
  }
  outcome<void> undo(std::size_t count = 1) { return detail::answer(argpick_decoder_undo(get(), count)); }
  outcome<void> seek(std::uint64_t position) { return detail::answer(argpick_decoder_seek(get(), position)); }
  outcome<std::uint64_t> position() const {
    std::uint64_t position = 0;
    const argpick_status status = argpick_decoder_position(get(), &position);
    return detail::answer(status, position);
  }
  /// Mirostat's mu for the next step, in bits; NaN if it is off.
  outcome<float> mirostat_mu() const {
    float mu = 0;
    const argpick_status status = argpick_decoder_mirostat_mu(get(), &mu);
    return detail::answer(status, mu);
  }
  /// The probability that adaptive-p prefers in the next step; NaN if it is off.
  outcome<float> adaptive_target() const {
    float target = 0;
    const argpick_status status = argpick_decoder_adaptive_target(get(), &target);
    return detail::answer(status, target);
  }
  outcome<std::uint32_t> vocab() const {
    std::uint32_t vocab = 0;
    const argpick_status status = argpick_decoder_vocab(get(), &vocab);
    return detail::answer(status, vocab);
  }
  /// The configuration in force.
  outcome<argpick_config> config() const {
    argpick_config config{};
    config.struct_size = sizeof config;
    const argpick_status status = argpick_decoder_config(get(), &config);
    return detail::answer(status, config);
  }
  /// Writes the tokens that the history holds, oldest first, as far as there is room; how many it holds.
  outcome<std::size_t> history(view<std::uint32_t> room) const {
    std::size_t held = 0;
    const argpick_status status = argpick_decoder_history(get(), room.data(), room.size(), &held);
    return detail::answer(status, held);
  }
  outcome<void> set_bias(view<const std::uint32_t> tokens, view<const float> biases) {
    if (tokens.size() != biases.size()) {
      return detail::refuse<void>(detail::lengths(tokens.size(), biases.size()),
                                  "argpick: there are not as many biases as tokens");
    }
    return detail::answer(argpick_decoder_set_bias(get(), tokens.data(), biases.data(), tokens.size()));
  }
  outcome<void> set_bans(view<const std::uint32_t> tokens) {
    return detail::answer(argpick_decoder_set_bans(get(), tokens.data(), tokens.size()));
  }
  outcome<void> set_end_tokens(view<const std::uint32_t> tokens) {
    return detail::answer(argpick_decoder_set_end_tokens(get(), tokens.data(), tokens.size()));
  }
  /// Sequences come as their tokens one after the other, and the length of each.
  outcome<void> set_stops(view<const std::uint32_t> tokens, view<const std::uint32_t> lengths) {
    return detail::answer(
        argpick_decoder_set_stops(get(), tokens.data(), tokens.size(), lengths.data(), lengths.size()));
  }
  outcome<void> set_breakers(view<const std::uint32_t> tokens, view<const std::uint32_t> lengths) {
    return detail::answer(
        argpick_decoder_set_breakers(get(), tokens.data(), tokens.size(), lengths.data(), lengths.size()));
  }
  outcome<void> set_bad_sequences(view<const std::uint32_t> tokens, view<const std::uint32_t> lengths) {
    return detail::answer(
        argpick_decoder_set_bad_sequences(get(), tokens.data(), tokens.size(), lengths.data(), lengths.size()));
  }
  outcome<void> set_sequence_bias(view<const std::uint32_t> tokens, view<const std::uint32_t> lengths,
                                  view<const float> biases) {
    if (lengths.size() != biases.size()) {
      return detail::refuse<void>(detail::lengths(lengths.size(), biases.size()),
                                  "argpick: there are not as many biases as sequences");
    }
    return detail::answer(argpick_decoder_set_sequence_bias(get(), tokens.data(), tokens.size(), lengths.data(),
                                                            biases.data(), lengths.size()));
  }
  outcome<void> set_forced(view<const std::uint64_t> positions, view<const std::uint32_t> tokens) {
    if (positions.size() != tokens.size()) {
      return detail::refuse<void>(detail::lengths(positions.size(), tokens.size()),
                                  "argpick: there are not as many tokens as positions");
    }
    return detail::answer(argpick_decoder_set_forced(get(), positions.data(), tokens.data(), positions.size()));
  }
  outcome<void> set_stop_strings(view<const char> bytes, view<const std::uint32_t> lengths) {
    return detail::answer(
        argpick_decoder_set_stop_strings(get(), bytes.data(), bytes.size(), lengths.data(), lengths.size()));
  }

  /// What the text says about the stop strings; stop is ARGPICK_NO_STOP if it contains none.
  struct text_match {
    std::uint32_t stop;
    std::size_t held_back;
  };
  outcome<text_match> push_bytes(view<const char> bytes) {
    text_match found{ARGPICK_NO_STOP, 0};
    const argpick_status status =
        argpick_decoder_push_bytes(get(), bytes.data(), bytes.size(), &found.stop, &found.held_back);
    return detail::answer(status, found);
  }
  /// Why the sequence has ended: an ARGPICK_FINISH_.
  outcome<std::uint32_t> finish() const {
    std::uint32_t finish = 0;
    const argpick_status status = argpick_decoder_finish(get(), &finish);
    return detail::answer(status, finish);
  }

  /// Picks and records.
  outcome<argpick_pick> decode(const row& logits, const mask& allowed = {}) {
    argpick_pick pick = detail::empty_pick();
    const argpick_status status = argpick_decode(get(), logits.data(), logits.dtype(), logits.size(), allowed.data(),
                                                 allowed.size(), &pick);
    return detail::answer(status, pick);
  }
  /// Picks without recording.
  outcome<argpick_pick> evaluate(const row& logits, const mask& allowed = {}) {
    argpick_pick pick = detail::empty_pick();
    const argpick_status status = argpick_evaluate(get(), logits.data(), logits.dtype(), logits.size(),
                                                   allowed.data(), allowed.size(), &pick);
    return detail::answer(status, pick);
  }
  /// Head and pick in one; the row is not written.
  outcome<argpick_pick> decode(const weights& head, const activations& input, const mask& allowed = {}) {
    return sparse(argpick_decode_sparse, head, input, allowed);
  }
  /// The same without recording.
  outcome<argpick_pick> evaluate(const weights& head, const activations& input, const mask& allowed = {}) {
    return sparse(argpick_evaluate_sparse, head, input, allowed);
  }
  outcome<void> process(view<float> logits, const mask& allowed = {}) {
    return detail::answer(
        argpick_process(get(), logits.data(), logits.size(), allowed.data(), allowed.size()));
  }
  outcome<void> probabilities(view<float> logits, const mask& allowed = {}) {
    return detail::answer(
        argpick_probabilities(get(), logits.data(), logits.size(), allowed.data(), allowed.size()));
  }

  /// The best tokens, as many as there is room for; answers how many were written.
  outcome<std::size_t> top(const row& logits, view<argpick_candidate> best, const mask& allowed = {}) {
    return list(argpick_top, logits, best, allowed);
  }
  /// The same of the row as given, at temperature 1: without penalties, biases and bans.
  outcome<std::size_t> top_raw(const row& logits, view<argpick_candidate> best, const mask& allowed = {}) {
    return list(argpick_top_raw, logits, best, allowed);
  }
  /// The kept tokens by id; answers how many there are, which may be more than there is room for.
  outcome<std::size_t> kept(const row& logits, view<argpick_candidate> room = {}, const mask& allowed = {}) {
    return list(argpick_kept, logits, room, allowed);
  }
  /// What each stage in force leaves of the row, as many as there is room for (ARGPICK_MOST_STAGES is enough); answers how
  /// many there are. stage_name tells them apart.
  outcome<std::size_t> explain(const row& logits, view<argpick_stage> stages, const mask& allowed = {}) {
    return list(argpick_explain, logits, stages, allowed);
  }
  /// How likely decode would pick the token.
  outcome<float> probability_of(const row& logits, std::uint32_t token, const mask& allowed = {}) {
    float probability = 0;
    const argpick_status status = argpick_probability_of(get(), logits.data(), logits.dtype(), logits.size(),
                                                         allowed.data(), allowed.size(), token, &probability);
    return detail::answer(status, probability);
  }
  /// Verifies drafted tokens and records what stands. picks: room for the longest path of drafts and one more; their
  /// struct_size and drafts.picks are set here.
  outcome<argpick_verified> verify(argpick_drafts drafts, view<argpick_pick> picks) {
    for (argpick_pick& pick : picks) pick.struct_size = sizeof pick;
    drafts.struct_size = sizeof drafts;
    drafts.picks = picks.size();
    argpick_verified verified{};
    verified.struct_size = sizeof verified;
    const argpick_status status = argpick_verify(get(), &drafts, picks.data(), &verified);
    return detail::answer(status, verified);
  }
  /// What rows look like to a trainer. limits NULL: the defaults. verdicts: an ARGPICK_VERDICT_ for each row, or none.
  outcome<argpick_diagnosis> diagnose(const rows& logits, view<const std::uint32_t> targets,
                                      const argpick_diagnosis_limits* limits = nullptr,
                                      view<std::uint32_t> verdicts = {}) {
    argpick_diagnosis diagnosis{};
    diagnosis.struct_size = sizeof diagnosis;
    if (targets.size() != logits.size() || (!verdicts.empty() && verdicts.size() != logits.size())) {
      const std::size_t given = targets.size() != logits.size() ? targets.size() : verdicts.size();
      return detail::refuse<argpick_diagnosis>(detail::lengths(logits.size(), given), detail::rows_text);
    }
    const argpick_status status =
        argpick_diagnose(get(), logits.size(), logits.data(), logits.dtype(), logits.length(), targets.data(), limits,
                         verdicts.empty() ? nullptr : verdicts.data(), &diagnosis);
    return detail::answer(status, diagnosis);
  }

  /// Bytes that save needs now.
  outcome<std::size_t> saved_size() const {
    std::size_t bytes = 0;
    const argpick_status status = argpick_decoder_saved_size(get(), &bytes);
    return detail::answer(status, bytes);
  }
  /// Answers how many bytes were written.
  outcome<std::size_t> save(view<std::byte> bytes) const {
    std::size_t written = 0;
    const argpick_status status = argpick_decoder_save(get(), bytes.data(), bytes.size(), &written);
    return detail::answer(status, written);
  }
  outcome<void> load(view<const std::byte> bytes) {
    return detail::answer(argpick_decoder_load(get(), bytes.data(), bytes.size()));
  }

 private:
  template <class Call, class Item>
  outcome<std::size_t> list(Call call, const row& logits, view<Item> room, const mask& allowed) {
    std::size_t found = 0;
    const argpick_status status = call(get(), logits.data(), logits.dtype(), logits.size(), allowed.data(),
                                       allowed.size(), room.data(), room.size(), &found);
    return detail::answer(status, found);
  }
  template <class Call>
  outcome<argpick_pick> sparse(Call call, const weights& head, const activations& input, const mask& allowed) {
    if (!input.matched()) return detail::refuse<argpick_pick>(input.mismatch(), activations::mismatch_text);
    argpick_pick pick = detail::empty_pick();
    const argpick_status status = call(get(), head.get(), input.columns(), input.values(), input.size(),
                                       allowed.data(), allowed.size(), &pick);
    return detail::answer(status, pick);
  }
};

// ---- rows alone, and many at once -----------------------------------------------------------------------------------

inline outcome<void> softmax(view<float> logits, float temperature = 1.0f) {
  return detail::answer(argpick_softmax(logits.data(), logits.size(), temperature));
}

/// How well a row foretold its target: loss in nats at temperature 1, tokens before the target, and the highest logit.
struct scored {
  float loss;
  std::uint32_t rank, argmax;
};
inline outcome<scored> score(const row& logits, std::uint32_t target) {
  scored found{0, 0, 0};
  const argpick_status status = argpick_score(logits.data(), logits.dtype(), logits.size(), target, &found.loss,
                                              &found.rank, &found.argmax);
  return detail::answer(status, found);
}
/// The same for many rows, into arrays of as many elements. Fails as the first row that failed.
inline outcome<void> score(const rows& logits, view<const std::uint32_t> targets, view<float> losses,
                           view<std::uint32_t> ranks, view<std::uint32_t> argmaxes, view<argpick_status> statuses) {
  for (const std::size_t given : {targets.size(), losses.size(), ranks.size(), argmaxes.size(), statuses.size()}) {
    if (given != logits.size()) {
      return detail::refuse<void>(detail::lengths(logits.size(), given), detail::rows_text);
    }
  }
  return detail::answer(argpick_score_batch(logits.size(), logits.data(), logits.dtype(), logits.length(),
                                            targets.data(), losses.data(), ranks.data(), argmaxes.data(),
                                            statuses.data()));
}

/// Rows to be decoded in one call, a decoder for each. clear() keeps the memory: a batch as large as an earlier one
/// allocates nothing. Decoders, rows and masks are borrowed until run() has returned.
class batch {
 public:
  void clear() noexcept {
    rows_.clear();
    decoders_.clear();
    masks_.clear();
    picks_.clear();
    statuses_.clear();
    mask_words_ = 0;
    masked_ = false;
  }
  /// All rows of a batch have one length and one element type, all masks one length; false, and nothing added, otherwise.
  bool add(const decoder& who, const row& logits, const mask& allowed = {}) {
    const bool masks = allowed.data() != nullptr;
    if (masks && masked_ && allowed.size() != mask_words_) return false;
    if (!rows_.add(logits)) return false;
    if (masks) mask_words_ = allowed.size();
    masked_ = masked_ || masks;
    decoders_.push_back(who.get());
    masks_.push_back(allowed.data());
    picks_.push_back(detail::empty_pick());
    statuses_.push_back(ARGPICK_OK);
    return true;
  }
  /// Decodes and records. Fails as the first row that failed; statuses() tells about each, and only the picks of rows with
  /// ARGPICK_OK mean anything.
  outcome<void> run() {
    return detail::answer(argpick_decode_batch(decoders_.data(), decoders_.size(), rows_.data(), rows_.dtype(),
                                               rows_.length(), masks_.data(), mask_words_, picks_.data(),
                                               statuses_.data()));
  }
  std::size_t size() const noexcept { return decoders_.size(); }
  view<const argpick_pick> picks() const noexcept { return picks_; }
  view<const argpick_status> statuses() const noexcept { return statuses_; }

 private:
  rows rows_;
  std::vector<argpick_decoder*> decoders_;
  std::vector<const std::uint32_t*> masks_;
  std::vector<argpick_pick> picks_;
  std::vector<argpick_status> statuses_;
  std::size_t mask_words_ = 0;
  bool masked_ = false;
};

/// Configurations to be tried on one row. The memory is made when configurations are added or run() is called for another
/// vocabulary, and kept.
class sweep {
 public:
  void add(const argpick_config& tried) {
    configs_.push_back(tried);
    picks_.push_back(detail::empty_pick());
    statuses_.push_back(ARGPICK_OK);
    vocab_ = 0;
  }
  /// A pick for each configuration, none recorded. Fails as the row or the first configuration that failed; statuses() tells
  /// about each, and only the picks with ARGPICK_OK mean anything.
  outcome<void> run(const decoder& who, const row& logits, const mask& allowed = {}) {
    pointers_.clear();
    for (const argpick_config& tried : configs_) pointers_.push_back(&tried);
    if (vocab_ != logits.size()) {
      std::size_t words = 0;
      const argpick_status status = argpick_sweep_words(pointers_.data(), pointers_.size(),
                                                        static_cast<std::uint32_t>(logits.size()), &words);
      if (status != ARGPICK_OK) return detail::answer(status);
      memory_.resize(words);
      kept_.resize(configs_.size() * words_per_row(logits.size()));
      vocab_ = logits.size();
    }
    return detail::answer(argpick_sweep(who.get(), pointers_.data(), pointers_.size(), logits.data(), logits.dtype(),
                                        logits.size(), allowed.data(), allowed.size(), memory_.data(), memory_.size(),
                                        picks_.data(), statuses_.data(), kept_.empty() ? nullptr : kept_.data()));
  }
  std::size_t size() const noexcept { return configs_.size(); }
  view<const argpick_pick> picks() const noexcept { return picks_; }
  view<const argpick_status> statuses() const noexcept { return statuses_; }
  /// The tokens that a configuration keeps: bit t & 31 of word t >> 5.
  view<const std::uint32_t> kept(std::size_t index) const noexcept {
    const std::size_t words = words_per_row(vocab_);
    return view<const std::uint32_t>(kept_).subspan(index * words, words);
  }

 private:
  static std::size_t words_per_row(std::size_t vocab) noexcept { return (vocab + 31) / 32; }

  std::vector<argpick_config> configs_;
  std::vector<const argpick_config*> pointers_;
  std::vector<argpick_pick> picks_;
  std::vector<argpick_status> statuses_;
  std::vector<std::uint64_t> memory_;
  std::vector<std::uint32_t> kept_;
  std::size_t vocab_ = 0;
};

}  // inline namespace with_exceptions, with_results
}  // inline namespace with_span, with_view
}  // namespace argpick

#include "argpick_beam.hpp"
#include "argpick_trace.hpp"

#endif
