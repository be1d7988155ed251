// The memory of a row's selection, and what its parts hand to each other.
#pragma once

#include "plan.cuh"
#include "rng.cuh"
#include "sums.cuh"

namespace argpick {

constexpr uint32_t PROPOSALS = 32;    // of a round of the envelope draw
constexpr uint32_t ROUNDS = 8;
constexpr uint32_t LIST_LIMIT = 1024; // the largest top-k that is listed
constexpr uint32_t LIST_ROOM = 2048;  // candidates that are collected for it
constexpr uint32_t BINS = 256;

struct Proposal {
  uint32_t block;
  uint32_t token; // NO_TOKEN if it hit nothing
  float logit;
  uint64_t mass;  // of the block
  uint64_t own;   // of the token
};

struct Rings {
  uint64_t sums[BINS];
  uint32_t nearest[BINS];
  uint32_t farthest[BINS];
};

// Shared memory of fixed size; maxima, and bounds or lists, follow it in the arena.
struct StepRoom {
  Scratch scratch;
  Plan plan;
  Numbers numbers;
  uint64_t drawn[PROPOSALS];
  Proposal proposals[PROPOSALS];
  uint64_t chunks[1024]; // sums before each thread's part of the bounds
  Rings rings;
  TileRoom tiles;
  uint32_t counter;
  uint32_t found_token;
  uint64_t found_mass;
  uint32_t found_bin;
};

struct Step {
  View view;
  Scale scale;       // of the row's maximum and the configured temperature
  float temperature;
  uint32_t argmax;
  StepRoom *room;
  uint64_t *bounds;  // one per block; the lists lie in the same memory
  uint64_t *keys;    // LIST_ROOM
  uint64_t *masses;  // LIST_ROOM
  Tiles tiles;
};

// What the filters kept.
struct Kept {
  Band band;
  Scale scale;     // relative to the first token kept
  bool is_listed;  // then `count` rank keys stand in Step::keys, in descending order
  uint32_t count;
};

ARGPICK_DEVICE inline bool is_whole(const Kept &kept) {
  return kept.band.first == infinity() && kept.band.last.token == NO_TOKEN && kept.band.last.logit == -LARGEST;
}

ARGPICK_DEVICE inline Kept kept_of_all(const Step &step) { return Kept{band_of_all(), step.scale, false, 0}; }

// A token, and what the draw has counted on the way.
struct Drawn {
  uint32_t token;
  bool is_counted;
  uint32_t count;
  uint64_t mass; // at the scale of what was kept
};

} // namespace argpick
