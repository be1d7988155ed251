// A row as the kernels see it: element type, bitmask, adjusted logits; and passes over the blocks of 64 that can matter.
//
// A warp reads a block at a time, each lane two tokens: number lane and number lane + 32. A token that takes no part is -inf.
#pragma once

#include "group.cuh"
#include "layout.cuh"
#include "numeric.cuh"

namespace argpick {

struct View {
  const void *logits;
  uint32_t dtype;
  uint32_t valid;      // tokens from here on take no part
  const uint32_t *mask;
  uint32_t mask_words;
  uint32_t blocks;     // of the maxima, a multiple of 32
  const float *maxima; // after adjustments; -inf past the row
  const Override *overrides;      // ascending tokens; a token may stand there twice with the same logit
  const uint32_t *first_override; // of each block; NULL if there is none
};

struct Pair {
  float a;
  float b;
};

ARGPICK_DEVICE inline float widen_brain(uint16_t bits) { return float_of(static_cast<uint32_t>(bits) << 16); }

ARGPICK_DEVICE inline float element(const void *values, uint32_t dtype, uint64_t index) {
  if (dtype == ARGPICK_DEVICE_F32) {
    return static_cast<const float *>(values)[index];
  }
  const uint16_t bits = static_cast<const uint16_t *>(values)[index];
  return dtype == ARGPICK_DEVICE_F16 ? widen_half(bits) : widen_brain(bits);
}

// The same for a report: a NaN has the bits that the CPU widens it to.
ARGPICK_DEVICE inline float element_to_report(const void *values, uint32_t dtype, uint64_t index) {
  const float value = element(values, dtype, index);
  if (!is_nan(value) || dtype == ARGPICK_DEVICE_F32) {
    return value;
  }
  const uint32_t bits = static_cast<const uint16_t *>(values)[index];
  if (dtype == ARGPICK_DEVICE_BF16) {
    return float_of((bits | 0x40u) << 16);
  }
  return float_of((bits & 0x8000u) << 16 | 0x7fc00000u | (bits & 0x3ffu) << 13);
}

ARGPICK_DEVICE inline uint32_t mask_word(const View &view, uint32_t word) {
  return view.mask == nullptr ? 0xffffffffu : word < view.mask_words ? view.mask[word] : 0;
}

ARGPICK_DEVICE inline bool is_allowed(const View &view, uint32_t token) {
  return token < view.valid && (mask_word(view, token / 32) >> (token % 32) & 1u) != 0;
}

// The logits of this lane's two tokens of a block, before adjustments.
ARGPICK_DEVICE inline Pair given_pair(const View &view, uint32_t block) {
  const uint32_t lane = lane_index();
  const uint32_t first = block * BLOCK + lane;
  Pair pair{-infinity(), -infinity()};
  if (first < view.valid && (mask_word(view, 2 * block) >> lane & 1u) != 0) {
    pair.a = element(view.logits, view.dtype, first);
  }
  if (first + 32 < view.valid && (mask_word(view, 2 * block + 1) >> lane & 1u) != 0) {
    pair.b = element(view.logits, view.dtype, first + 32);
  }
  return pair;
}

// The same after adjustments.
ARGPICK_APART Pair load_pair(const View &view, uint32_t block) {
  Pair pair = given_pair(view, block);
  if (view.first_override == nullptr) {
    return pair;
  }
  const uint32_t lane = lane_index();
  const uint32_t end = view.first_override[block + 1];
  for (uint32_t i = view.first_override[block]; i < end; ++i) {
    const Override entry = view.overrides[i];
    const uint32_t place = entry.token - block * BLOCK;
    if (place % 32 == lane && is_allowed(view, entry.token)) {
      (place < 32 ? pair.a : pair.b) = entry.logit;
    }
  }
  return pair;
}

// One token's logit after adjustments.
ARGPICK_APART float logit_at(const View &view, uint32_t token) {
  if (!is_allowed(view, token)) {
    return -infinity();
  }
  if (view.first_override != nullptr) {
    const uint32_t block = token / BLOCK;
    const uint32_t end = view.first_override[block + 1];
    for (uint32_t i = view.first_override[block]; i < end; ++i) {
      if (view.overrides[i].token == token) {
        return view.overrides[i].logit;
      }
    }
  }
  return element(view.logits, view.dtype, token);
}

// Puts -inf in place of what lies outside the band.
ARGPICK_DEVICE inline Pair keep_band(Pair pair, const Band &band, uint32_t block) {
  const uint32_t token = block * BLOCK + lane_index();
  pair.a = is_in_band(band, pair.a, token) ? pair.a : -infinity();
  pair.b = is_in_band(band, pair.b, token + 32) ? pair.b : -infinity();
  return pair;
}

// Calls visitor.visit(block) in whole warps for each block whose maximum is at least `least` (and not -inf); each block is
// visited by one warp.
template <typename Visitor> ARGPICK_DEVICE inline void for_blocks(const View &view, float least, Visitor &visitor) {
  const float threshold = least > -LARGEST ? least : -LARGEST;
  for (uint32_t group = warp_index(); group < view.blocks / 32; group += warp_count()) {
    uint32_t bits = ballot(view.maxima[group * 32 + lane_index()] >= threshold);
    while (bits != 0) {
      visitor.visit(group * 32 + lowest_bit(bits));
      bits &= bits - 1;
    }
  }
}

// The masses of what a band keeps in a block, of this lane's two tokens.
struct PairOfMasses {
  uint64_t a;
  uint64_t b;
};
ARGPICK_DEVICE inline PairOfMasses masses_of(Pair pair, Scale scale) {
  return PairOfMasses{mass_of(pair.a, scale), mass_of(pair.b, scale)};
}

} // namespace argpick
