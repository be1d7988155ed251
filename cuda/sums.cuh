// Float sums of weights: sixteen lanes over a tile of 1,024 tokens, lanes folded by one tree, tiles added in f64 in order.
//
// Half a warp takes a tile; lane l adds the tokens l, l + 16, l + 32, ... of it one after the other. These are the additions of
// every CPU, so the bits are the same however many tiles are under way at once.
#pragma once

#include "rows.cuh"

namespace argpick {

struct TileSums {
  float weight;
  float exponent; // of weight times exponent
  float raw;      // of the weights of the row as given
  uint64_t mass;
};

// What is to be summed.
struct SumsOf {
  Scale scale;
  Scale raw;     // used if `wants_raw`
  Band band;     // used if `has_band`
  bool has_band;
  bool wants_exponents;
  bool wants_masses;
  bool wants_raw;
};

// The element type is that of the view.
constexpr uint32_t ANY_DTYPE = 3;

// The sum of a half-warp's lanes by the tree, in every lane.
ARGPICK_DEVICE inline float fold_lanes(float value) {
  for (uint32_t distance = 8; distance != 0; distance /= 2) {
    value = value + from_xor(value, distance);
  }
  return value;
}

// The sums of the half-warp's tile; past the row they are 0. Called by whole warps.
template <uint32_t DTYPE>
ARGPICK_DEVICE inline TileSums sum_tile(const View &view, const SumsOf &of, uint32_t tile) {
  const uint32_t dtype = DTYPE == ANY_DTYPE ? view.dtype : DTYPE;
  const uint32_t lane = lane_index() % 16;
  TileSums sums{0.0f, 0.0f, 0.0f, 0};
  const uint32_t end = (tile + 1) * (TILE / BLOCK) < view.blocks ? (tile + 1) * (TILE / BLOCK) : view.blocks;
  for (uint32_t block = tile * (TILE / BLOCK); block < end; ++block) {
    // Leaving out what weighs nothing adds nothing where zeros would be added.
    const bool is_light = is_negligible(view.maxima[block], of.scale);
    if (is_light && !of.wants_raw) {
      continue;
    }
    uint32_t next = 0;
    uint32_t last = 0;
    if (view.first_override != nullptr) {
      next = view.first_override[block];
      last = view.first_override[block + 1];
    }
    float logits[4];
ARGPICK_UNROLL
    for (uint32_t quarter = 0; quarter < 4; ++quarter) {
      const uint32_t token = block * BLOCK + quarter * 16 + lane;
      logits[quarter] = is_allowed(view, token) ? element(view.logits, dtype, token) : -infinity();
    }
    if (of.wants_raw) {
ARGPICK_UNROLL
      for (uint32_t quarter = 0; quarter < 4; ++quarter) {
        sums.raw = sums.raw + weight_of_exponent(exponent_of(logits[quarter], of.raw));
      }
    }
    for (; next < last; ++next) {
      const Override entry = view.overrides[next];
      const uint32_t place = entry.token - block * BLOCK;
      if (place % 16 == lane && is_allowed(view, entry.token)) {
ARGPICK_UNROLL
        for (uint32_t quarter = 0; quarter < 4; ++quarter) {
          logits[quarter] = place / 16 == quarter ? entry.logit : logits[quarter];
        }
      }
    }
ARGPICK_UNROLL
    for (uint32_t quarter = 0; quarter < 4; ++quarter) {
      const uint32_t token = block * BLOCK + quarter * 16 + lane;
      const bool is_kept = !of.has_band || is_in_band(of.band, logits[quarter], token);
      const float t = exponent_of(is_kept ? logits[quarter] : -infinity(), of.scale);
      const float w = weight_of_exponent(t);
      sums.weight = sums.weight + w;
      if (of.wants_exponents) {
        sums.exponent = sums.exponent + w * t;
      }
      if (of.wants_masses) {
        sums.mass += mass_of_weight(w);
      }
    }
  }
  sums.weight = fold_lanes(sums.weight);
  sums.exponent = fold_lanes(sums.exponent);
  sums.raw = fold_lanes(sums.raw);
  for (uint32_t distance = 8; distance != 0; distance /= 2) {
    sums.mass += from_xor(sums.mass, distance);
  }
  return sums;
}

// Where the sums of a row's tiles lie.
struct Tiles {
  float *weights;
  float *exponents;
  float *raw;
  uint64_t *masses;
};

ARGPICK_DEVICE inline void store_tile(const Tiles &tiles, uint32_t tile, const TileSums &sums) {
  if (lane_index() % 16 != 0) {
    return;
  }
  tiles.weights[tile] = sums.weight;
  tiles.exponents[tile] = sums.exponent;
  tiles.masses[tile] = sums.mass;
  tiles.raw[tile] = sums.raw;
}

// Sums of a row or of what a band keeps of it.
struct Sums {
  double weight;
  double exponent;
  double raw;
  uint64_t mass;
};

constexpr uint32_t STAGED_TILES = 256;

// Shared memory of `total_of_tiles`.
struct TileRoom {
  float staged[3][STAGED_TILES];
  double totals[3];
};

// Adds up the tiles of a row, in order. Called by all threads of a block; whatever wrote the tiles is done.
ARGPICK_APART Sums total_of_tiles(Scratch &scratch, TileRoom &room, const Tiles &tiles, uint32_t count) {
  const uint32_t mine = thread_index();
  double total = 0.0;
  uint64_t mass = 0;
  for (uint32_t first = 0; first < count; first += STAGED_TILES) {
    const uint32_t staged = count - first < STAGED_TILES ? count - first : STAGED_TILES;
    for (uint32_t i = mine; i < staged; i += thread_count()) {
      room.staged[0][i] = tiles.weights[first + i];
      room.staged[1][i] = tiles.exponents[first + i];
      room.staged[2][i] = tiles.raw[first + i];
      mass += tiles.masses[first + i];
    }
    block_barrier();
    if (mine < 3) {
      for (uint32_t i = 0; i < staged; ++i) {
        total = total + static_cast<double>(room.staged[mine][i]);
      }
    }
    block_barrier();
  }
  if (mine < 3) {
    room.totals[mine] = total;
  }
  mass = block_sum(scratch, mass);
  return Sums{room.totals[0], room.totals[1], room.totals[2], mass};
}

} // namespace argpick
