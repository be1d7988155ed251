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
// Views are std::span in C++20 and a small type with the same names before. Apart from its guard the header defines no
// macro.
#ifndef ARGPICK_HPP
#define ARGPICK_HPP

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "argpick.h"

#if __cplusplus >= 202002L || (defined(_MSVC_LANG) && _MSVC_LANG >= 202002L)
#include <span>
#endif
#if !defined(ARGPICK_NO_EXCEPTIONS) && (defined(__cpp_exceptions) || defined(_CPPUNWIND))
#include <stdexcept>
#endif

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

// ---- views ----------------------------------------------------------------------------------------------------------

#if __cplusplus >= 202002L || (defined(_MSVC_LANG) && _MSVC_LANG >= 202002L)
/// Elements of somebody else's, in a row in memory.
template <class T>
using view = std::span<T>;
#else
/// Elements of somebody else's, in a row in memory: what std::span is in C++20.
template <class T>
class view {
  // What std::span takes: memory of U is memory of T only if it differs in const alone.
  template <class Container>
  using fits = std::enable_if_t<
      std::is_convertible_v<std::remove_pointer_t<decltype(std::data(std::declval<Container&>()))> (*)[], T (*)[]> &&
      (std::is_lvalue_reference_v<Container&&> || std::is_const_v<T>)>;

 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;

  constexpr view() noexcept = default;
  constexpr view(T* data, std::size_t size) noexcept : data_(data), size_(size) {}
  template <class Container, class = fits<Container>, class = decltype(std::size(std::declval<Container&>()))>
  constexpr view(Container&& container) : data_(std::data(container)), size_(std::size(container)) {}

  constexpr T* data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr T* begin() const noexcept { return data_; }
  constexpr T* end() const noexcept { return data_ + size_; }
  constexpr T& operator[](std::size_t index) const { return data_[index]; }
  constexpr view first(std::size_t count) const { return view(data_, count); }
  constexpr view subspan(std::size_t offset, std::size_t count) const { return view(data_ + offset, count); }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};
#endif

// ---- failures -------------------------------------------------------------------------------------------------------

/// Why a call failed. Copies of it allocate nothing.
struct failure {
  argpick_status status = ARGPICK_OK;
  /// What argpick.h says beside the status; UINT64_MAX: it has none.
  std::uint64_t index = std::numeric_limits<std::uint64_t>::max();
  /// What argpick.h says beside the status; NaN: it has none.
  double value = std::numeric_limits<double>::quiet_NaN();

  /// What the status means, without particulars; static text.
  const char* message() const noexcept { return argpick_status_message(status); }
};

/// This thread's last failure of the library in full; it stands until the next one on this thread.
inline const char* last_error() noexcept { return argpick_last_error(); }

#if !defined(ARGPICK_NO_EXCEPTIONS) && (defined(__cpp_exceptions) || defined(_CPPUNWIND))
/// What is thrown: what() names the function, what was wrong, where, and the bad value.
class exception : public std::runtime_error {
 public:
  exception(const failure& why, const char* text) : std::runtime_error(text), why_(why) {}
  const failure& why() const noexcept { return why_; }
  argpick_status status() const noexcept { return why_.status; }

 private:
  failure why_;
};
#endif

namespace detail {
// A result was opened that holds nothing: the program is wrong, and must not go on with a token that nobody picked.
[[noreturn]] inline void nothing_inside() noexcept { std::abort(); }

// The status with its particulars, if they are still those of this failure.
inline failure particulars(argpick_status status) noexcept {
  failure why;
  argpick_status last = ARGPICK_OK;
  if (argpick_error_detail(&last, &why.index, &why.value) != ARGPICK_OK || last != status) why = failure{};
  why.status = status;
  return why;
}
}  // namespace detail

/// A value, or why there is none. Opening one that holds none ends the program by std::abort.
template <class T>
class [[nodiscard]] result {
 public:
  result(T value) : value_(std::move(value)) {}
  result(const failure& why) noexcept : why_(why) {}

  bool has_value() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  T& value() & { return has_value() ? *value_ : (detail::nothing_inside(), *value_); }
  const T& value() const& { return has_value() ? *value_ : (detail::nothing_inside(), *value_); }
  T&& value() && { return std::move(value()); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  template <class U>
  T value_or(U&& other) const& {
    return has_value() ? *value_ : static_cast<T>(std::forward<U>(other));
  }
  /// Why there is no value; its status is ARGPICK_OK if there is one.
  const failure& error() const noexcept { return why_; }

 private:
  std::optional<T> value_;
  failure why_;
};

/// Done, or why not.
template <>
class [[nodiscard]] result<void> {
 public:
  result() noexcept = default;
  result(const failure& why) noexcept : why_(why) {}

  bool has_value() const noexcept { return why_.status == ARGPICK_OK; }
  explicit operator bool() const noexcept { return has_value(); }
  void value() const {
    if (!has_value()) detail::nothing_inside();
  }
  const failure& error() const noexcept { return why_; }

 private:
  failure why_;
};

#if !defined(ARGPICK_NO_EXCEPTIONS) && (defined(__cpp_exceptions) || defined(_CPPUNWIND))
/// What a function answers: a T; failures are thrown.
template <class T>
using outcome = T;

namespace detail {
inline void answer(argpick_status status) {
  if (status != ARGPICK_OK) throw exception(particulars(status), argpick_last_error());
}
template <class T>
T answer(argpick_status status, T value) {
  answer(status);
  return value;
}
template <class T>
[[noreturn]] T refuse(const failure& why, const char* text) {
  throw exception(why, text);
}
}  // namespace detail
#else
/// What a function answers: a T or a failure.
template <class T>
using outcome = result<T>;

namespace detail {
inline result<void> answer(argpick_status status) {
  return status == ARGPICK_OK ? result<void>() : result<void>(particulars(status));
}
template <class T>
result<T> answer(argpick_status status, T value) {
  return status == ARGPICK_OK ? result<T>(std::move(value)) : result<T>(particulars(status));
}
template <class T>
result<T> refuse(const failure& why, const char*) {
  return why;
}
}  // namespace detail
#endif

namespace detail {
inline failure lengths(std::size_t needed, std::size_t given) noexcept {
  return failure{ARGPICK_ERR_WRONG_LENGTH, needed, static_cast<double>(given)};
}
inline argpick_pick empty_pick() noexcept {
  argpick_pick pick{};
  pick.struct_size = sizeof(argpick_pick);
  return pick;
}

// Owns a C handle.
template <class Handle, void (*Free)(Handle*)>
class owner {
 public:
  owner() noexcept = default;
  explicit owner(Handle* handle) noexcept : handle_(handle) {}
  owner(owner&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  owner& operator=(owner&& other) noexcept {
    if (this != &other) {
      Free(handle_);
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  owner(const owner&) = delete;
  owner& operator=(const owner&) = delete;
  ~owner() { Free(handle_); }

  /// The C handle, which stays this object's; NULL after it was moved from, which every call refuses (ARGPICK_ERR_NULL).
  Handle* get() const noexcept { return handle_; }
  /// The C handle, which is the caller's to free from now on.
  Handle* release() noexcept { return std::exchange(handle_, nullptr); }
  explicit operator bool() const noexcept { return handle_ != nullptr; }

 private:
  Handle* handle_ = nullptr;
};
}  // namespace detail

// ---- arguments ------------------------------------------------------------------------------------------------------

/// A row of logits, borrowed: anything that has float in a row in memory, or the bits of 16-bit floats.
class row {
 public:
  template <class Floats, class = std::enable_if_t<std::is_convertible_v<const Floats&, view<const float>>>>
  row(const Floats& logits) : row(view<const float>(logits), ARGPICK_F32) {}
  static row f16(view<const std::uint16_t> bits) noexcept { return row(bits, ARGPICK_F16); }
  static row bf16(view<const std::uint16_t> bits) noexcept { return row(bits, ARGPICK_BF16); }

  const void* data() const noexcept { return data_; }
  argpick_dtype dtype() const noexcept { return dtype_; }
  std::size_t size() const noexcept { return size_; }

 private:
  template <class T>
  row(view<const T> logits, argpick_dtype dtype) noexcept
      : data_(logits.data()), size_(logits.size()), dtype_(dtype) {}

  const void* data_;
  std::size_t size_;
  argpick_dtype dtype_;
};

/// The tokens allowed, borrowed: bit t & 31 of word t >> 5; tokens past the end are not allowed. By default there is no
/// mask. An empty one allows nothing.
class mask {
 public:
  mask() noexcept = default;
  template <class Words, class = std::enable_if_t<std::is_convertible_v<const Words&, view<const std::uint32_t>>>>
  mask(const Words& words) : mask(view<const std::uint32_t>(words)) {}
  mask(view<const std::uint32_t> words) noexcept : data_(words.data()), size_(words.size()) {
    // An empty container has no address, and NULL would mean: no mask.
    static constexpr std::uint32_t none = 0;
    if (data_ == nullptr && size_ == 0) data_ = &none;
  }

  /// The words that a vocabulary needs.
  static constexpr std::size_t words_for(std::size_t vocab) noexcept { return vocab / 32 + (vocab % 32 != 0); }
  /// Allows a token in words of the caller's; false if it is past their end.
  static bool allow(view<std::uint32_t> words, std::uint32_t token) noexcept {
    if (token / 32 >= words.size()) return false;
    words[token / 32] |= std::uint32_t{1} << (token % 32);
    return true;
  }

  const std::uint32_t* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }

 private:
  const std::uint32_t* data_ = nullptr;
  std::size_t size_ = 0;
};

/// The active columns of a sparse head and how active they are, borrowed. Without values each counts 1.
class activations {
 public:
  template <class Columns, class = std::enable_if_t<std::is_convertible_v<const Columns&, view<const std::uint32_t>>>>
  activations(const Columns& columns) : columns_(columns) {}
  activations(view<const std::uint32_t> columns, view<const float> values) noexcept
      : columns_(columns), values_(values), weighted_(true) {}

  const std::uint32_t* columns() const noexcept { return columns_.data(); }
  const float* values() const noexcept { return weighted_ ? values_.data() : nullptr; }
  std::size_t size() const noexcept { return columns_.size(); }
  /// Whether there is a value for each column. Calls refuse it otherwise (ARGPICK_ERR_WRONG_LENGTH).
  bool matched() const noexcept { return !weighted_ || values_.size() == columns_.size(); }
  failure mismatch() const noexcept { return detail::lengths(columns_.size(), values_.size()); }
  static constexpr const char* mismatch_text = "argpick: activations have not as many values as columns";

 private:
  view<const std::uint32_t> columns_;
  view<const float> values_;
  bool weighted_ = false;
};

/// Everything that decides what a decoder does with a row: argpick_config, filled with "off" everywhere. Should the library
/// be older than this header, struct_size tells it so and decoder::create fails with ARGPICK_ERR_STRUCT_SIZE.
struct config : argpick_config {
  config() noexcept : argpick_config{} {
    if (argpick_config_init(this, sizeof(argpick_config)) != ARGPICK_OK) struct_size = sizeof(argpick_config);
  }
};

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
  outcome<std::uint32_t> vocab() const {
    std::uint32_t vocab = 0;
    const argpick_status status = argpick_decoder_vocab(get(), &vocab);
    return detail::answer(status, vocab);
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

 private:
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

/// Rows to be decoded in one call, a decoder for each. clear() keeps the memory: a batch as large as an earlier one
/// allocates nothing. Decoders, rows and masks are borrowed until run() has returned.
class batch {
 public:
  explicit batch(std::size_t rows = 0) {
    decoders_.reserve(rows);
    logits_.reserve(rows);
    masks_.reserve(rows);
    picks_.reserve(rows);
    statuses_.reserve(rows);
  }
  void clear() noexcept {
    decoders_.clear();
    logits_.clear();
    masks_.clear();
    picks_.clear();
    statuses_.clear();
    mask_words_ = 0;
    masked_ = false;
  }
  /// All rows of a batch have one length and one element type, all masks one length; false, and nothing added, otherwise.
  bool add(const decoder& who, const row& logits, const mask& allowed = {}) {
    if (!decoders_.empty() && (logits.size() != count_ || logits.dtype() != dtype_)) return false;
    if (allowed.data() != nullptr && masked_ && allowed.size() != mask_words_) return false;
    count_ = logits.size();
    dtype_ = logits.dtype();
    if (allowed.data() != nullptr) {
      masked_ = true;
      mask_words_ = allowed.size();
    }
    decoders_.push_back(who.get());
    logits_.push_back(logits.data());
    masks_.push_back(allowed.data());
    picks_.push_back(detail::empty_pick());
    statuses_.push_back(ARGPICK_OK);
    return true;
  }
  /// Decodes and records. Fails as the first row that failed; statuses() tells about each, and only the picks of rows with
  /// ARGPICK_OK mean anything.
  outcome<void> run() {
    return detail::answer(argpick_decode_batch(decoders_.data(), decoders_.size(), logits_.data(), dtype_, count_,
                                               masks_.data(), mask_words_, picks_.data(), statuses_.data()));
  }
  std::size_t size() const noexcept { return decoders_.size(); }
  view<const argpick_pick> picks() const noexcept { return picks_; }
  view<const argpick_status> statuses() const noexcept { return statuses_; }

 private:
  std::vector<argpick_decoder*> decoders_;
  std::vector<const void*> logits_;
  std::vector<const std::uint32_t*> masks_;
  std::vector<argpick_pick> picks_;
  std::vector<argpick_status> statuses_;
  std::size_t count_ = 0, mask_words_ = 0;
  argpick_dtype dtype_ = ARGPICK_F32;
  bool masked_ = false;
};

// ---- the library ----------------------------------------------------------------------------------------------------

/// Whether the library in use has the ABI of this header; ask once where it is loaded at run time.
inline bool compatible() noexcept { return argpick_abi_version() == ARGPICK_ABI_VERSION; }
inline std::uint32_t version() noexcept { return argpick_version(); }
inline std::uint32_t numerics_version() noexcept { return argpick_numerics_version(); }
/// The kernel level in use, "" if ARGPICK_KERNEL asks for what is not there.
inline const char* kernel() noexcept { return argpick_kernel(); }

}  // inline namespace with_exceptions, with_results
}  // inline namespace with_span, with_view
}  // namespace argpick

#endif
