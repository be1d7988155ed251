// A short list of candidates in shared memory: rank keys, sorted; what top-k leaves, and the filters after it.
#pragma once

#include "cut.cuh"

namespace argpick {

// A logit that at least `wanted` tokens reach, for a start: from the maxima of blocks, of which each thread takes the largest
// of its own. It only bounds a search.
ARGPICK_DEVICE inline float bound_for_count(const Step &step, uint32_t wanted) {
  float mine = -infinity();
  for (uint32_t block = thread_index(); block < step.view.blocks; block += thread_count()) {
    mine = step.view.maxima[block] > mine ? step.view.maxima[block] : mine;
  }
  uint32_t low = key_of(-LARGEST);
  uint32_t high = key_of(step.scale.maximum) + 1;
  if (block_count(mine >= -LARGEST) < wanted) {
    return -LARGEST;
  }
  // At least `wanted` reach `low`, fewer reach `high`.
  const uint32_t enough = wanted + wanted / 8;
  while (high - low > 1) {
    const uint32_t middle = low + (high - low) / 2;
    const uint32_t count = block_count(mine >= logit_of(middle));
    if (count < wanted) {
      high = middle;
    } else {
      low = middle;
      if (count <= enough) {
        break;
      }
    }
  }
  return logit_of(low);
}

struct CollectVisitor {
  const Band &band;
  uint32_t *counter;
  uint64_t *keys;

  ARGPICK_DEVICE void see(uint32_t block, Pair given) {
    const Pair pair = keep_band(given, band, block);
    const uint32_t token = block * BLOCK + lane_index();
    const uint32_t first = ballot(pair.a > -infinity());
    const uint32_t second = ballot(pair.b > -infinity());
    uint32_t place = 0;
    if (lane_index() == 0) {
      place = add_at(counter, count_bits(first) + count_bits(second));
    }
    place = from_lane(place, 0);
    const uint32_t before = (1u << lane_index()) - 1;
    put(first, place + count_bits(first & before), pair.a, token);
    put(second, place + count_bits(first) + count_bits(second & before), pair.b, token + 32);
  }
  ARGPICK_DEVICE void put(uint32_t bits, uint32_t place, float logit, uint32_t token) {
    if ((bits >> lane_index() & 1u) != 0 && place < LIST_ROOM) {
      keys[place] = rank_key(logit, token);
    }
  }
};

// Collects what the band keeps; returns how many that are, of which at most LIST_ROOM are written.
ARGPICK_DEVICE inline uint32_t collect(const Step &step, const Band &band) {
  uint32_t *counter = &step.room->counter;
  if (thread_index() == 0) {
    *counter = 0;
  }
  block_barrier();
  CollectVisitor visitor{band, counter, step.keys};
  for_blocks(step.view, band.last.logit, visitor);
  block_barrier();
  const uint32_t count = *counter;
  block_barrier();
  return count;
}

// Sorts the first `count` keys of the list, filled up with what comes last.
ARGPICK_APART void sort_list(const Step &step, uint32_t count, bool descending) {
  const uint32_t padded = power_of_two_from(count);
  for (uint32_t i = count + thread_index(); i < padded; i += thread_count()) {
    step.keys[i] = descending ? 0 : ~uint64_t(0);
  }
  block_barrier();
  block_sort(step.keys, padded, descending);
}

// Lists the first `k` tokens of the row (fewer if fewer take part), best first; returns how many. k is at most LIST_LIMIT.
ARGPICK_APART uint32_t list_first(const Step &step, uint32_t k) {
  Band band = band_of_all();
  band.last = cut_at_least(bound_for_count(step, k));
  uint32_t count = collect(step, band);
  if (count > LIST_ROOM) {
    // Many reach the bound: the cut itself, which exactly k reach.
    band.last = first_tokens(step, k);
    count = collect(step, band);
  }
  sort_list(step, count, true);
  return count < k ? count : k;
}

// Writes the masses of the listed tokens; each thread's are neighbours. Returns their sum and, in `before`, the sum before this
// thread's first, number `first`.
ARGPICK_APART uint64_t list_masses(const Step &step, uint32_t count, Scale scale, bool by_token, uint32_t &first,
                                           uint32_t &end, uint64_t &before) {
  const uint32_t part = (count + thread_count() - 1) / thread_count();
  first = thread_index() * part < count ? thread_index() * part : count;
  end = first + part < count ? first + part : count;
  uint64_t sum = 0;
  for (uint32_t i = first; i < end; ++i) {
    const uint64_t key = step.keys[i];
    const float logit = by_token ? logit_of(static_cast<uint32_t>(key)) : logit_of_rank(key);
    step.masses[i] = mass_of(logit, scale);
    sum += step.masses[i];
  }
  uint64_t total;
  before = block_sum_before(step.room->scratch, sum, total);
  return total;
}

// Top-p among the listed tokens; returns how many stay.
ARGPICK_APART uint32_t nucleus_of_list(const Step &step, uint32_t count, Scale scale, uint64_t p) {
  uint32_t first;
  uint32_t end;
  uint64_t mass;
  const uint64_t total = list_masses(step, count, scale, false, first, end, mass);
  const uint64_t target = nucleus_target(p, total);
  uint32_t reached = NO_TOKEN;
  for (uint32_t i = first; i < end && reached == NO_TOKEN; ++i) {
    mass += step.masses[i];
    reached = mass >= target ? i : NO_TOKEN;
  }
  reached = block_least(step.room->scratch, reached);
  return reached == NO_TOKEN ? count : reached + 1;
}

// How many of the listed tokens have a logit of at least `threshold`.
ARGPICK_DEVICE inline uint32_t count_from(const Step &step, uint32_t count, float threshold) {
  uint32_t kept = 0;
  for (uint32_t i = thread_index(); i < count; i += thread_count()) {
    kept += logit_of_rank(step.keys[i]) >= threshold ? 1u : 0u;
  }
  return block_sum(step.room->scratch, kept);
}

// The mass of the listed tokens.
ARGPICK_DEVICE inline uint64_t mass_of_list(const Step &step, uint32_t count, Scale scale) {
  uint64_t mass = 0;
  for (uint32_t i = thread_index(); i < count; i += thread_count()) {
    mass += mass_of(logit_of_rank(step.keys[i]), scale);
  }
  return block_sum(step.room->scratch, mass);
}

} // namespace argpick
