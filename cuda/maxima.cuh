// The first pass: one read of the row, one maximum per 64 tokens, and the check for NaN and +inf.
//
// A block of threads takes a slice of a row. Where rows are aligned, each lane loads sixteen bytes at a time, four times before
// it uses any, so that enough reads are under way; four shuffles (three for 16-bit types) make the maxima. Else four blocks of
// tokens are loaded element by element. Maxima of blocks in which tokens were adjusted are then found anew.
#pragma once

#include "rows.cuh"

namespace argpick {

constexpr uint32_t LOADS = 4; // sixteen bytes each, per lane
static_assert(AHEAD == 4, "slice_maxima names so many blocks");

// The larger of the logits in sixteen bytes, at most those whose bit is set; NaN if one of them is.
template <uint32_t DTYPE> struct Elements;
template <> struct Elements<ARGPICK_DEVICE_F32> {
  static constexpr uint32_t COUNT = 4;
  ARGPICK_DEVICE static float at(const Words &words, uint32_t i) { return float_of(words.word[i]); }
};
template <> struct Elements<ARGPICK_DEVICE_F16> {
  static constexpr uint32_t COUNT = 8;
  ARGPICK_DEVICE static float at(const Words &words, uint32_t i) {
    return widen_half(static_cast<uint16_t>(words.word[i / 2] >> (i % 2 * 16)));
  }
};
template <> struct Elements<ARGPICK_DEVICE_BF16> {
  static constexpr uint32_t COUNT = 8;
  ARGPICK_DEVICE static float at(const Words &words, uint32_t i) {
    return float_of(i % 2 == 0 ? words.word[i / 2] << 16 : words.word[i / 2] & 0xffff0000u);
  }
};

// Collects the maxima of a slice: what a thread has seen so far.
struct SliceFound {
  float largest; // NaN if there was one
  ARGPICK_DEVICE void see(float maximum) { largest = larger_or_nan(largest, maximum); }
};

// The maxima of LOADS * 32 * COUNT tokens from `first`, all of them in the row and aligned.
template <uint32_t DTYPE>
ARGPICK_DEVICE inline void unit_maxima(const View &view, uint32_t first, float *maxima, SliceFound &found) {
  constexpr uint32_t COUNT = Elements<DTYPE>::COUNT;
  constexpr uint32_t SIZE = 16 / COUNT;
  constexpr uint32_t LANES = BLOCK / COUNT; // that share a block
  const uint32_t lane = lane_index();
  const unsigned char *row = static_cast<const unsigned char *>(view.logits);
  Words loaded[LOADS];
  uint32_t allowed[LOADS];
ARGPICK_UNROLL
  for (uint32_t i = 0; i < LOADS; ++i) {
    const uint32_t token = first + (i * 32 + lane) * COUNT;
    allowed[i] = mask_word(view, token / 32) >> (token % 32) & ((1u << COUNT) - 1);
    // What is masked is not read.
    if (allowed[i] != 0) {
      loaded[i] = load_words(row + static_cast<uint64_t>(token) * SIZE);
    } else {
      loaded[i] = Words{{0, 0, 0, 0}};
    }
  }
ARGPICK_UNROLL
  for (uint32_t i = 0; i < LOADS; ++i) {
    float largest = -infinity();
ARGPICK_UNROLL
    for (uint32_t j = 0; j < COUNT; ++j) {
      const float logit = (allowed[i] >> j & 1u) != 0 ? Elements<DTYPE>::at(loaded[i], j) : -infinity();
      largest = larger_or_nan(largest, logit);
    }
ARGPICK_UNROLL
    for (uint32_t distance = LANES / 2; distance != 0; distance /= 2) {
      largest = larger_or_nan(largest, from_xor(largest, distance));
    }
    found.see(largest);
    if (lane % LANES == 0) {
      // Adding zero makes every zero positive.
      maxima[first / BLOCK + (i * 32 + lane) / LANES] = largest + 0.0f;
    }
  }
}

// The maximum of one block, wherever it lies.
ARGPICK_DEVICE inline float block_maximum(Pair pair) {
  float largest = larger_or_nan(pair.a, pair.b);
  for (uint32_t distance = 16; distance != 0; distance /= 2) {
    largest = larger_or_nan(largest, from_xor(largest, distance));
  }
  return largest;
}

// Maxima of the slice's blocks as given.
template <uint32_t DTYPE>
ARGPICK_DEVICE inline void slice_maxima(const View &view, const Layout &layout, uint32_t slice, float *maxima,
                                        SliceFound &found) {
  constexpr uint32_t UNIT = LOADS * 32 * Elements<DTYPE>::COUNT;
  const bool aligned = reinterpret_cast<uintptr_t>(view.logits) % 16 == 0;
  const uint32_t first = slice * layout.slice_tokens;
  const uint32_t end_block = (first + layout.slice_tokens) / BLOCK < layout.blocks ? (first + layout.slice_tokens) / BLOCK
                                                                                  : layout.blocks;
  for (uint32_t unit = first + warp_index() * UNIT; unit < first + layout.slice_tokens; unit += warp_count() * UNIT) {
    if (aligned && unit + UNIT <= view.valid) {
      unit_maxima<DTYPE>(view, unit, maxima, found);
      continue;
    }
    const uint32_t last = (unit + UNIT) / BLOCK < end_block ? (unit + UNIT) / BLOCK : end_block;
    for (uint32_t block = unit / BLOCK; block < last; block += AHEAD) {
      const uint32_t count = last - block < AHEAD ? last - block : AHEAD;
      const uint32_t blocks[AHEAD] = {block, block + 1, block + 2, block + 3};
      const RawPairs raw = load_raw(view, blocks, count);
      ARGPICK_UNROLL
      for (uint32_t i = 0; i < AHEAD; ++i) {
        if (i < count) {
          const float largest = block_maximum(Pair{widen(raw.a[i], DTYPE), widen(raw.b[i], DTYPE)});
          found.see(largest);
          if (lane_index() == 0) {
            maxima[block + i] = largest + 0.0f;
          }
        }
      }
    }
  }
}

// The lowest token of the slice that is NaN or +inf; called where there is one.
ARGPICK_DEVICE inline uint32_t first_bad(Scratch &scratch, const View &view, uint32_t first, uint32_t end) {
  uint32_t lowest = NO_TOKEN;
  for (uint32_t token = first + thread_index(); token < end && token < view.valid; token += thread_count()) {
    if (lowest == NO_TOKEN && is_allowed(view, token) && is_invalid(element(view.logits, view.dtype, token))) {
      lowest = token;
    }
  }
  return block_least(scratch, lowest);
}

// Finishes a slice whose maxima as given are written: adjusted blocks anew, then the record of the slice but for its place.
ARGPICK_DEVICE inline void finish_slice(Scratch &scratch, const View &view, const Layout &layout, uint32_t slice,
                                        float *maxima, SliceFound found, Slice *record) {
  const uint32_t first = slice * layout.slice_tokens;
  const bool is_bad = block_count(is_invalid(found.largest)) != 0;
  const float given = block_largest(scratch, found.largest);
  const uint32_t bad = is_bad ? first_bad(scratch, view, first, first + layout.slice_tokens) : NO_TOKEN;
  float adjusted = -infinity();
  const uint32_t end = first + layout.slice_tokens;
  for (uint32_t block = first / BLOCK + warp_index() * 32; block < end / BLOCK && block < layout.blocks;
       block += warp_count() * 32) {
    // The slice is a multiple of 32 blocks only where it has more than one group.
    const uint32_t mine = block + lane_index();
    const bool exists = mine < end / BLOCK && mine < layout.blocks;
    const bool is_touched =
        exists && view.first_override != nullptr && view.first_override[mine] != view.first_override[mine + 1];
    uint32_t bits = ballot(is_touched);
    while (bits != 0) {
      const uint32_t touched = block + lowest_bit(bits);
      const float largest = block_maximum(load_pair(view, touched));
      if (lane_index() == 0) {
        maxima[touched] = largest + 0.0f;
      }
      bits &= bits - 1;
    }
    warp_barrier();
    adjusted = exists && maxima[mine] > adjusted ? maxima[mine] : adjusted;
  }
  adjusted = block_largest(scratch, adjusted);
  if (thread_index() == 0) {
    record->given = given + 0.0f;
    record->adjusted = adjusted;
    record->bad = bad;
  }
}

} // namespace argpick
