// What the threads of a block find out together. Every function here is called by all of them; each ends with a barrier, so the
// scratch memory can be used again at once.
#pragma once

#include "platform.cuh"

namespace argpick {

// Shared memory of these functions.
struct Scratch {
  uint64_t slots[32];
};

struct AddOf {
  template <typename T> ARGPICK_DEVICE static T join(T a, T b) { return a + b; }
};
struct LargerOf {
  template <typename T> ARGPICK_DEVICE static T join(T a, T b) { return a > b ? a : b; }
};
struct LesserOf {
  template <typename T> ARGPICK_DEVICE static T join(T a, T b) { return a < b ? a : b; }
};

ARGPICK_DEVICE inline uint32_t lane_index() { return thread_index() % 32; }
ARGPICK_DEVICE inline uint32_t warp_index() { return thread_index() / 32; }
ARGPICK_DEVICE inline uint32_t warp_count() { return thread_count() / 32; }

template <typename Join, typename T> ARGPICK_DEVICE inline T warp_reduce(T value) {
  for (uint32_t distance = 16; distance != 0; distance /= 2) {
    value = Join::join(value, from_xor(value, distance));
  }
  return value;
}

template <typename Join, typename T> ARGPICK_DEVICE inline T block_reduce(Scratch &scratch, T value, T neutral) {
  static_assert(sizeof(T) <= sizeof(uint64_t), "a slot has eight bytes");
  T *slots = reinterpret_cast<T *>(scratch.slots);
  value = warp_reduce<Join>(value);
  if (lane_index() == 0) {
    slots[warp_index()] = value;
  }
  block_barrier();
  value = warp_reduce<Join>(lane_index() < warp_count() ? slots[lane_index()] : neutral);
  block_barrier();
  return value;
}

ARGPICK_DEVICE inline uint64_t block_sum(Scratch &scratch, uint64_t value) {
  return block_reduce<AddOf, uint64_t>(scratch, value, 0);
}
ARGPICK_DEVICE inline uint32_t block_sum(Scratch &scratch, uint32_t value) {
  return block_reduce<AddOf, uint32_t>(scratch, value, 0);
}
ARGPICK_DEVICE inline uint32_t block_least(Scratch &scratch, uint32_t value) {
  return block_reduce<LesserOf, uint32_t>(scratch, value, 0xffffffffu);
}
ARGPICK_DEVICE inline float block_largest(Scratch &scratch, float value) {
  return block_reduce<LargerOf, float>(scratch, value, float_of(0xff800000u));
}

// The sum over the lanes before this one and this one.
template <typename T> ARGPICK_DEVICE inline T warp_running_sum(T value) {
  for (uint32_t distance = 1; distance < 32; distance *= 2) {
    const T before = from_before(value, distance);
    value += lane_index() >= distance ? before : 0;
  }
  return value;
}

// The sum over the threads before this one; `total` is that of all.
template <typename T> ARGPICK_DEVICE inline T block_sum_before(Scratch &scratch, T value, T &total) {
  T *slots = reinterpret_cast<T *>(scratch.slots);
  const T running = warp_running_sum(value);
  if (lane_index() == 31) {
    slots[warp_index()] = running;
  }
  block_barrier();
  const T of_warp = lane_index() < warp_count() ? slots[lane_index()] : 0;
  const T warps = warp_running_sum(of_warp);
  total = from_lane(warps, 31);
  const T before_warp = from_lane(warps - of_warp, warp_index());
  block_barrier();
  return before_warp + running - value;
}

// Sorts `count` keys, a power of two, ascending or descending.
template <typename T> ARGPICK_DEVICE inline void block_sort(T *keys, uint32_t count, bool descending) {
  for (uint32_t size = 2; size <= count; size *= 2) {
    for (uint32_t distance = size / 2; distance != 0; distance /= 2) {
      for (uint32_t i = thread_index(); i < count / 2; i += thread_count()) {
        const uint32_t low = 2 * i - (i & (distance - 1));
        const uint32_t high = low + distance;
        const bool upwards = ((low & size) == 0) != descending;
        const T a = keys[low];
        const T b = keys[high];
        if ((a > b) == upwards && a != b) {
          keys[low] = b;
          keys[high] = a;
        }
      }
      block_barrier();
    }
  }
}

// The least power of two that is at least `count` (and 2).
ARGPICK_DEVICE inline uint32_t power_of_two_from(uint32_t count) {
  return count <= 2 ? 2 : 1u << (32 - leading_zeros(count - 1));
}

} // namespace argpick
