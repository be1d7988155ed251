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

// Puts adjusted logits in their places.
ARGPICK_APART Pair adjust_pair(const View &view, uint32_t block, Pair pair) {
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

// The same after adjustments.
ARGPICK_APART Pair load_pair(const View &view, uint32_t block) {
  const Pair pair = given_pair(view, block);
  return view.first_override == nullptr ? pair : adjust_pair(view, block, pair);
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

// Blocks that a warp has under way at once.
constexpr uint32_t AHEAD = 4;

// The elements of several blocks as they lie in memory, this lane's two of each.
struct RawPairs {
  uint32_t a[AHEAD];
  uint32_t b[AHEAD];
};

// Whether this lane's first and second token of a block take part.
ARGPICK_DEVICE inline bool takes_part(const View &view, uint32_t block, uint32_t half) {
  const uint32_t token = block * BLOCK + half * 32 + lane_index();
  return token < view.valid && (mask_word(view, 2 * block + half) >> lane_index() & 1u) != 0;
}

// Loads up to AHEAD blocks. Nothing is done with what is loaded, so that all loads are under way before the first is waited
// for.
ARGPICK_DEVICE inline RawPairs load_raw(const View &view, const uint32_t *blocks, uint32_t count) {
  bool allowed[AHEAD][2];
  ARGPICK_UNROLL
  for (uint32_t i = 0; i < AHEAD; ++i) {
    allowed[i][0] = i < count && takes_part(view, blocks[i], 0);
    allowed[i][1] = i < count && takes_part(view, blocks[i], 1);
  }
  RawPairs raw;
  if (view.dtype == ARGPICK_DEVICE_F32) {
    const uint32_t *row = static_cast<const uint32_t *>(view.logits);
    ARGPICK_UNROLL
    for (uint32_t i = 0; i < AHEAD; ++i) {
      const uint32_t token = blocks[i] * BLOCK + lane_index();
      raw.a[i] = allowed[i][0] ? row[token] : 0xff800000u;
      raw.b[i] = allowed[i][1] ? row[token + 32] : 0xff800000u;
    }
  } else {
    const uint16_t *row = static_cast<const uint16_t *>(view.logits);
    const uint32_t masked = view.dtype == ARGPICK_DEVICE_F16 ? 0xfc00u : 0xff80u;
    ARGPICK_UNROLL
    for (uint32_t i = 0; i < AHEAD; ++i) {
      const uint32_t token = blocks[i] * BLOCK + lane_index();
      raw.a[i] = allowed[i][0] ? row[token] : masked;
      raw.b[i] = allowed[i][1] ? row[token + 32] : masked;
    }
  }
  return raw;
}

ARGPICK_DEVICE inline float widen(uint32_t raw, uint32_t dtype) {
  return dtype == ARGPICK_DEVICE_F32   ? float_of(raw)
         : dtype == ARGPICK_DEVICE_F16 ? widen_half(static_cast<uint16_t>(raw))
                                       : widen_brain(static_cast<uint16_t>(raw));
}

// What was loaded as logits after adjustments.
ARGPICK_DEVICE inline Pair finish_raw(const View &view, const RawPairs &raw, uint32_t i, uint32_t block) {
  const Pair pair{widen(raw.a[i], view.dtype), widen(raw.b[i], view.dtype)};
  return view.first_override == nullptr ? pair : adjust_pair(view, block, pair);
}

// Calls visitor.see(block, pair) in whole warps for each block for which chosen(block) holds, with this lane's two logits; each
// block is seen by one warp.
template <typename Chosen, typename Visitor>
ARGPICK_DEVICE inline void for_chosen_blocks(const View &view, const Chosen &chosen, Visitor &visitor) {
  for (uint32_t group = warp_index(); group < view.blocks / 32; group += warp_count()) {
    uint32_t bits = ballot(chosen(group * 32 + lane_index()));
    while (bits != 0) {
      uint32_t blocks[AHEAD];
      uint32_t count = 0;
      ARGPICK_UNROLL
      for (uint32_t i = 0; i < AHEAD; ++i) {
        blocks[i] = bits != 0 ? group * 32 + lowest_bit(bits) : 0;
        count += bits != 0 ? 1 : 0;
        bits &= bits - (bits != 0 ? 1 : 0);
      }
      const RawPairs raw = load_raw(view, blocks, count);
      ARGPICK_UNROLL
      for (uint32_t i = 0; i < AHEAD; ++i) {
        if (i < count) {
          visitor.see(blocks[i], finish_raw(view, raw, i, blocks[i]));
        }
      }
    }
  }
}

// The same for each block whose maximum is at least `least` (and not -inf).
template <typename Visitor> ARGPICK_DEVICE inline void for_blocks(const View &view, float least, Visitor &visitor) {
  const float threshold = least > -LARGEST ? least : -LARGEST;
  for_chosen_blocks(view, [&view, threshold](uint32_t block) { return view.maxima[block] >= threshold; }, visitor);
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
