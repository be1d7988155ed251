// What argpick.hpp is made of: views, failures, results, the owner of a handle, the arguments of calls, and what
// there is to ask of the library. Include argpick.hpp; its head says what there is to choose.
#ifndef ARGPICK_VALUES_HPP
#define ARGPICK_VALUES_HPP

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
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
inline constexpr const char* rows_text = "argpick: an array has not as many elements as there are rows";
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

/// Rows of one length and one element type, borrowed. clear() keeps the memory.
class rows {
 public:
  rows() = default;
  /// Rows of `length` floats each, one after the other; what is left at the end is no row.
  rows(view<const float> matrix, std::size_t length) {
    for (std::size_t i = 0; length != 0 && i < matrix.size() / length; i++) {
      add(view<const float>(matrix.data() + i * length, length));
    }
  }
  /// False, and nothing added, if the row has another length or type than those before it.
  bool add(const row& one) {
    if (!data_.empty() && (one.size() != length_ || one.dtype() != dtype_)) return false;
    length_ = one.size();
    dtype_ = one.dtype();
    data_.push_back(one.data());
    return true;
  }
  void clear() noexcept { data_.clear(); }
  void reserve(std::size_t count) { data_.reserve(count); }

  const void* const* data() const noexcept { return data_.data(); }
  std::size_t size() const noexcept { return data_.size(); }
  std::size_t length() const noexcept { return length_; }
  argpick_dtype dtype() const noexcept { return dtype_; }

 private:
  std::vector<const void*> data_;
  std::size_t length_ = 0;
  argpick_dtype dtype_ = ARGPICK_F32;
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

/// Everything that decides what a beam search does: argpick_beam_config, four beams and up to 256 tokens.
struct beam_config : argpick_beam_config {
  beam_config() noexcept : argpick_beam_config{} {
    if (argpick_beam_config_init(this, sizeof(argpick_beam_config)) != ARGPICK_OK) {
      struct_size = sizeof(argpick_beam_config);
    }
  }
};

// ---- the library ----------------------------------------------------------------------------------------------------

/// Whether the library in use has the ABI of this header; ask once where it is loaded at run time.
inline bool compatible() noexcept { return argpick_abi_version() == ARGPICK_ABI_VERSION; }
inline std::uint32_t version() noexcept { return argpick_version(); }
inline std::uint32_t numerics_version() noexcept { return argpick_numerics_version(); }
/// The kernel level in use, "" if ARGPICK_KERNEL asks for what is not there.
inline const char* kernel() noexcept { return argpick_kernel(); }
/// The name of argpick_stage.stage; "" for numbers that no stage has. Static text.
inline const char* stage_name(std::uint32_t stage) noexcept { return argpick_stage_name(stage); }

}  // inline namespace with_exceptions, with_results
}  // inline namespace with_span, with_view
}  // namespace argpick

#endif
