// How a launch's workspace is divided: one region per row, made of the arrays below.
#pragma once

#include "platform.cuh"

namespace argpick {

// What the first pass found in a part of a row.
struct Slice {
  float given;      // the largest logit as given
  float adjusted;   // the largest after adjustments
  uint32_t bad;     // the lowest token that is NaN or +inf as given, or NO_TOKEN
  uint32_t bad_place; // sparse head: the first place of a column or value that cannot be, or NO_TOKEN
};

// The logit of one token after adjustments.
struct Override {
  uint32_t token;
  float logit;
};

// What the adjusting kernel found.
struct Adjusted {
  uint32_t count;
  uint32_t status; // ARGPICK_ROW_
  uint32_t index;
  float value;
};

// Offsets of a row's arrays from the start of its region, in bytes.
struct Layout {
  uint64_t row_bytes;
  uint64_t maxima;         // f32 per block
  uint64_t bounds;         // u64 per block, if they do not fit in shared memory
  uint64_t slices;         // Slice
  uint64_t tile_weights;   // f32 per tile; all of the tiles only with ARGPICK_FEATURE_SUMS
  uint64_t tile_exponents; // f32
  uint64_t tile_raw;       // f32
  uint64_t tile_masses;    // u64
  uint64_t adjusted;       // Adjusted; from here on only with ARGPICK_FEATURE_ADJUSTMENTS
  uint64_t first_override; // u32 per block and one more
  uint64_t overrides;      // Override
  uint32_t blocks;         // of the vocabulary, a multiple of 32
  uint32_t tiles;
  uint32_t slice_tokens;   // a multiple of 1024
  uint32_t slice_count;
};

// Blocks up to which bounds and maxima of a row are kept in shared memory.
constexpr uint32_t SHARED_BLOCKS = 4096;

} // namespace argpick
