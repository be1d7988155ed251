// Counts and masses of what a band keeps, and the search for a place in the running sum of the blocks.
#pragma once

#include "step.cuh"

namespace argpick {

struct KeptVisitor {
  const Band &band;
  Scale scale;
  uint64_t *bounds; // if not NULL, each block's mass is written there
  uint64_t mass;
  uint32_t count;

  ARGPICK_DEVICE void see(uint32_t block, Pair given) {
    const Pair pair = keep_band(given, band, block);
    const PairOfMasses masses = masses_of(pair, scale);
    count += (pair.a > -infinity() ? 1u : 0u) + (pair.b > -infinity() ? 1u : 0u);
    mass += masses.a + masses.b;
    if (bounds != nullptr) {
      const uint64_t sum = warp_reduce<AddOf>(masses.a + masses.b);
      if (lane_index() == 0) {
        bounds[block] = sum;
      }
    }
  }
};

struct CountAndMass {
  uint32_t count;
  uint64_t mass;
};

// How many tokens the band keeps, and their mass.
ARGPICK_APART CountAndMass kept_of_row(const Step &step, const Band &band, Scale scale) {
  KeptVisitor visitor{band, scale, nullptr, 0, 0};
  for_blocks(step.view, band.last.logit, visitor);
  const uint32_t count = block_sum(step.room->scratch, visitor.count);
  return CountAndMass{count, block_sum(step.room->scratch, visitor.mass)};
}

// The same; the masses of the blocks are written to the bounds.
ARGPICK_APART CountAndMass kept_masses(const Step &step, const Band &band, Scale scale) {
  for (uint32_t block = thread_index(); block < step.view.blocks; block += thread_count()) {
    step.bounds[block] = 0;
  }
  block_barrier();
  KeptVisitor visitor{band, scale, step.bounds, 0, 0};
  for_blocks(step.view, band.last.logit, visitor);
  const uint32_t count = block_sum(step.room->scratch, visitor.count);
  return CountAndMass{count, block_sum(step.room->scratch, visitor.mass)};
}

struct CountVisitor {
  const Band &band;
  uint32_t count;

  ARGPICK_DEVICE void see(uint32_t block, Pair given) {
    const Pair pair = keep_band(given, band, block);
    count += (pair.a > -infinity() ? 1u : 0u) + (pair.b > -infinity() ? 1u : 0u);
  }
};

ARGPICK_APART uint32_t kept_count(const Step &step, const Band &band) {
  CountVisitor visitor{band, 0};
  for_blocks(step.view, band.last.logit, visitor);
  return block_sum(step.room->scratch, visitor.count);
}
ARGPICK_DEVICE inline uint32_t kept_count(const Step &step, Cut last) {
  Band band = band_of_all();
  band.last = last;
  return kept_count(step, band);
}

// The sums of the bounds before each thread's part of them; returns the sum of all.
ARGPICK_APART uint64_t sum_bounds(const Step &step) {
  const uint32_t part = (step.view.blocks + thread_count() - 1) / thread_count();
  const uint32_t first = thread_index() * part;
  uint64_t sum = 0;
  for (uint32_t block = first; block < first + part && block < step.view.blocks; ++block) {
    sum += step.bounds[block];
  }
  uint64_t total;
  step.room->chunks[thread_index()] = block_sum_before(step.room->scratch, sum, total);
  block_barrier();
  return total;
}

// The block in which the running sum of the bounds passes `at`, which is below their sum; `left` is how far into it.
ARGPICK_APART uint32_t locate(const Step &step, uint64_t at, uint64_t &left) {
  const uint64_t *chunks = step.room->chunks;
  uint32_t low = 0;
  uint32_t high = thread_count();
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    if (chunks[middle] <= at) {
      low = middle;
    } else {
      high = middle;
    }
  }
  const uint32_t part = (step.view.blocks + thread_count() - 1) / thread_count();
  left = at - chunks[low];
  uint32_t block = low * part;
  while (block + 1 < step.view.blocks && left >= step.bounds[block]) {
    left -= step.bounds[block];
    ++block;
  }
  return block;
}

// The lane (0 to 63) at which the running sum of a block's masses passes `left`; 64 if it never does. `mass` is their sum.
ARGPICK_APART uint32_t locate_in_block(PairOfMasses masses, uint64_t left, uint64_t &mass) {
  const uint64_t first = warp_running_sum(masses.a);
  const uint64_t first_half = from_lane(first, 31);
  const uint64_t second = first_half + warp_running_sum(masses.b);
  mass = from_lane(second, 31);
  const uint32_t in_first = ballot(first > left);
  const uint32_t in_second = ballot(second > left);
  return in_first != 0 ? lowest_bit(in_first) : in_second != 0 ? 32 + lowest_bit(in_second) : 64;
}

} // namespace argpick
