// Random numbers by counters, as src/rng.rs: a step's generator from seed, stream and position; xoshiro256++.
#pragma once

#include "platform.cuh"

namespace argpick {

constexpr uint64_t GOLDEN_GAMMA = 0x9e3779b97f4a7c15u;

ARGPICK_DEVICE inline uint64_t mix(uint64_t x) {
  uint64_t z = x + GOLDEN_GAMMA;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

struct Numbers {
  uint64_t state[4];
};

// The numbers of a step's draw.
ARGPICK_DEVICE inline Numbers numbers_of_step(uint64_t seed, uint64_t stream, uint64_t position) {
  const uint64_t start = mix(mix(mix(mix(seed) + stream) + position));
  Numbers numbers;
  for (uint32_t i = 0; i < 4; ++i) {
    numbers.state[i] = mix(start + i * GOLDEN_GAMMA);
  }
  return numbers;
}

ARGPICK_DEVICE inline uint64_t rotate_left(uint64_t x, uint32_t by) { return x << by | x >> (64 - by); }

ARGPICK_DEVICE inline uint64_t next_number(Numbers &numbers) {
  uint64_t *s = numbers.state;
  const uint64_t result = rotate_left(s[0] + s[3], 23) + s[0];
  const uint64_t t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate_left(s[3], 45);
  return result;
}

} // namespace argpick
