// The machine of platform.cuh on a CPU, for tests: blocks one after the other, their threads as fibers.
//
// A fiber runs until it waits at a barrier or at an exchange of its warp. Which one goes on is drawn by chance (seeded), so
// that an order that only happens to work is found; shared memory is filled with rubbish before each block; a barrier that
// some threads of a block never reach ends the program with a message. Nothing here is part of a library that is shipped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#define ARGPICK_KERNEL static
#define ARGPICK_BOUNDS(threads, blocks)
#define ARGPICK_HD
#define ARGPICK_DEVICE
#define ARGPICK_UNROLL
#define ARGPICK_UNROLL_BY(times)
#define ARGPICK_APART inline

namespace argpick {
namespace shim {

struct Body {
  void (*run)(const void *);
  const void *argument;
};
void launch(uint32_t blocks, uint32_t threads, uint32_t shared_bytes, Body body);

extern uint32_t thread, threads, block;
extern unsigned char *shared;

enum Kind : uint32_t { BARRIER = 1, WARP = 2, BALLOT = 3, LANE = 4, XOR = 5, BEFORE = 6 };

void wait_for_block();
uint32_t count_in_block(bool holds);
// Waits until all lanes have put their value; returns the warp's 32 values.
const uint64_t *exchange(Kind kind, uint64_t value);

template <typename T> uint64_t to_word(T value) {
  static_assert(sizeof(T) <= 8, "a lane exchanges 64 bits at most");
  uint64_t word = 0;
  std::memcpy(&word, &value, sizeof(T));
  return word;
}
template <typename T> T from_word(uint64_t word) {
  T value;
  std::memcpy(&value, &word, sizeof(T));
  return value;
}

} // namespace shim

inline unsigned char *shared_memory() { return shim::shared; }
inline uint32_t thread_index() { return shim::thread; }
inline uint32_t thread_count() { return shim::threads; }
inline uint32_t block_index() { return shim::block; }
inline void block_barrier() { shim::wait_for_block(); }
inline uint32_t block_count(bool holds) { return shim::count_in_block(holds); }
inline void warp_barrier() { shim::exchange(shim::WARP, 0); }
inline uint32_t ballot(bool holds) {
  const uint64_t *values = shim::exchange(shim::BALLOT, holds);
  uint32_t bits = 0;
  for (uint32_t lane = 0; lane < 32; ++lane) {
    bits |= static_cast<uint32_t>(values[lane]) << lane;
  }
  return bits;
}
template <typename T> T from_lane(T value, uint32_t lane) {
  return shim::from_word<T>(shim::exchange(shim::LANE, shim::to_word(value))[lane % 32]);
}
template <typename T> T from_xor(T value, uint32_t mask) {
  const uint32_t lane = shim::thread % 32;
  return shim::from_word<T>(shim::exchange(shim::XOR, shim::to_word(value))[lane ^ mask]);
}
template <typename T> T from_before(T value, uint32_t distance) {
  const uint32_t lane = shim::thread % 32;
  const uint64_t *values = shim::exchange(shim::BEFORE, shim::to_word(value));
  return lane < distance ? value : shim::from_word<T>(values[lane - distance]);
}
inline uint32_t add_at(uint32_t *to, uint32_t value) {
  const uint32_t before = *to;
  *to += value;
  return before;
}
inline void add_at(uint64_t *to, uint64_t value) { *to += value; }
inline void min_at(uint32_t *to, uint32_t value) { *to = value < *to ? value : *to; }
inline void max_at(uint32_t *to, uint32_t value) { *to = value > *to ? value : *to; }
inline void min_at(uint64_t *to, uint64_t value) { *to = value < *to ? value : *to; }

inline float float_of(uint32_t bits) { return shim::from_word<float>(bits); }
inline uint32_t bits_of(float x) { return static_cast<uint32_t>(shim::to_word(x)); }
inline double double_of(uint64_t bits) { return shim::from_word<double>(bits); }
inline uint64_t bits_of(double x) { return shim::to_word(x); }
__extension__ typedef unsigned __int128 wide;
inline uint64_t multiply_high(uint64_t a, uint64_t b) { return static_cast<uint64_t>((static_cast<wide>(a) * b) >> 64); }
inline uint32_t leading_zeros(uint32_t x) { return x == 0 ? 32 : static_cast<uint32_t>(__builtin_clz(x)); }
inline uint32_t lowest_bit(uint32_t x) { return static_cast<uint32_t>(__builtin_ctz(x)); }
inline uint32_t count_bits(uint32_t x) { return static_cast<uint32_t>(__builtin_popcount(x)); }
inline float widen_half(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  uint32_t exponent = (bits >> 10) & 31u;
  uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 31) {
    return float_of(sign | 0x7f800000u | mantissa << 13 | (mantissa != 0 ? 0x400000u : 0u));
  }
  if (exponent == 0) {
    // Subnormal halves are whole multiples of 2^-24.
    const float value = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  exponent += 112;
  return float_of(sign | exponent << 23 | mantissa << 13);
}
inline float larger_or_nan(float a, float b) { return a > b || a != a ? a : b; }
struct alignas(16) Words {
  uint32_t word[4];
};
inline Words load_words(const void *from) {
  Words words;
  std::memcpy(&words, __builtin_assume_aligned(from, 16), 16);
  return words;
}

template <typename A, void (*KERNEL)(A)> void run_kernel(const void *argument) {
  KERNEL(*static_cast<const A *>(argument));
}

} // namespace argpick
