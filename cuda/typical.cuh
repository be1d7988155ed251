// Locally typical sampling: the tokens whose surprise is nearest the entropy, as src/distribution/typical.rs.
//
// The order is by the distance of a logit from the centre (rounded to f32), tokens above the centre first, then the logit
// nearer to it, then the lower id. What is kept is a run of logits around the centre; among those of its highest logit the lower ids.
#pragma once

#include "top_p.cuh"

namespace argpick {

ARGPICK_DEVICE inline double centre_of(const Sums &sums, Scale scale, float temperature) {
  const double mean = LN_2 * sums.exponent / sums.weight;
  return static_cast<double>(scale.maximum) + temperature_of_weights(scale, temperature) * mean;
}

// The sums of what is kept of the row; the tiles are written over.
ARGPICK_APART Sums sums_of_band(const Step &step, const Kept &kept) {
  const SumsOf of{kept.scale, kept.scale, kept.band, true, true, true, false};
  const uint32_t count = (step.view.blocks + TILE / BLOCK - 1) / (TILE / BLOCK);
  for (uint32_t tile = 2 * warp_index(); tile < count; tile += 2 * warp_count()) {
    const uint32_t mine = tile + lane_index() / 16;
    const TileSums sums = sum_tile<ANY_DTYPE>(step.view, of, mine);
    if (mine < count) {
      store_tile(step.tiles, mine, sums);
    }
  }
  block_barrier();
  return total_of_tiles(step.room->scratch, step.room->tiles, step.tiles, count);
}

constexpr uint32_t PAST_DISTANCES = 0x7f800001u;

// The bin of a distance: of the bracket, or, where `per_logit` is above 0, a step of equal width.
struct RingBins {
  Bracket bracket;
  float per_logit;

  ARGPICK_DEVICE uint32_t of(uint32_t key) const {
    if (per_logit == 0.0f) {
      return (key - bracket.low) >> bracket.shift;
    }
    const float steps = float_of(key) * per_logit;
    return steps < static_cast<float>(BINS - 1) ? static_cast<uint32_t>(steps) : BINS - 1;
  }
};

struct RingVisitor {
  const Band &band;
  Scale scale;
  double centre;
  RingBins bins;
  Rings &rings;
  Held held;
  uint32_t nearest; // of the tokens held
  uint32_t farthest;

  ARGPICK_DEVICE void put() {
    held.put(rings.sums);
    if (held.bin < BINS) {
      min_at(&rings.nearest[held.bin], nearest);
      max_at(&rings.farthest[held.bin], farthest);
    }
  }
  ARGPICK_DEVICE void add(float logit) {
    if (!(logit > -infinity())) {
      return;
    }
    const uint32_t key = distance_key(logit, centre);
    const uint64_t mass = mass_of(logit, scale);
    if (mass == 0 || key < bins.bracket.low || key >= bins.bracket.high) {
      return;
    }
    const uint32_t bin = bins.of(key);
    if (bin != held.bin) {
      put();
      held = Held{bin, 0};
      nearest = key;
      farthest = key;
    }
    held.sum += mass;
    nearest = key < nearest ? key : nearest;
    farthest = key > farthest ? key : farthest;
  }
  ARGPICK_DEVICE void see(uint32_t block, Pair given) {
    const Pair pair = keep_band(given, band, block);
    add(pair.a);
    add(pair.b);
  }
};

// The least key of distances within which the mass of what is kept reaches `target`; `nearer` is what the nearer tokens sum to.
// NO_TOKEN if it never does.
ARGPICK_APART uint32_t distance_of(const Step &step, const Kept &kept, double centre, uint64_t target,
                                   uint64_t &nearer) {
  Rings &rings = step.room->rings;
  uint32_t low = 0;
  uint32_t high = PAST_DISTANCES;
  // The first bins are steps over what weighs anything, as in the search for a cut.
  RingBins bins{bracket_of(low, high), static_cast<float>(BINS) / 41.0f * kept.scale.factor};
  nearer = 0;
  for (;;) {
    for (uint32_t i = thread_index(); i < BINS; i += thread_count()) {
      rings.sums[i] = 0;
      rings.nearest[i] = NO_TOKEN;
      rings.farthest[i] = 0;
    }
    block_barrier();
    RingVisitor visitor{kept.band, kept.scale, centre, bins, rings, Held{BINS, 0}, NO_TOKEN, 0};
    for_blocks(step.view, kept.band.last.logit, visitor);
    visitor.put();
    block_barrier();
    uint64_t own;
    const uint32_t bin = find_bin(step, false, target, nearer, own);
    if (bin == BINS) {
      return NO_TOKEN;
    }
    const uint32_t nearest = rings.nearest[bin];
    const uint32_t farthest = rings.farthest[bin];
    block_barrier();
    if (nearest == farthest) {
      return nearest;
    }
    // Whatever the bin was, its tokens lie in this range.
    low = nearest;
    high = farthest + 1;
    bins = RingBins{bracket_of(low, high), 0.0f};
  }
}

ARGPICK_DEVICE inline uint32_t count_of_kept(const Step &step, const Kept &kept, float least) {
  Band band = kept.band;
  band.last = stricter(band.last, cut_at_least(least));
  return kept_count(step, band);
}

// The band of the smallest prefix of the order of typicality whose mass reaches the share `p`.
ARGPICK_APART Band typical_band(const Step &step, const Kept &kept, uint64_t p, const Sums &sums) {
  const double centre = centre_of(sums, kept.scale, step.temperature);
  uint64_t target = nucleus_target(p, sums.mass);
  target = target == 0 ? 1 : target;
  uint64_t nearer;
  const uint32_t distance = distance_of(step, kept, centre, target, nearer);
  Band band = band_of_all();
  if (distance == NO_TOKEN) {
    return band;
  }
  const auto is_above = [centre](float z) { return static_cast<double>(z) > centre; };
  // The runs of logits on both sides that are exactly so far, between the nearer and the farther ones.
  const float lower_from =
      lowest_logit([&](float z) { return is_above(z) || distance_key(z, centre) <= distance; });
  const float lower_until = lowest_logit([&](float z) { return is_above(z) || distance_key(z, centre) < distance; });
  const float upper_from = lowest_logit([&](float z) { return is_above(z) && distance_key(z, centre) >= distance; });
  const float upper_until = lowest_logit([&](float z) { return is_above(z) && distance_key(z, centre) > distance; });
  uint64_t missing = target - nearer;
  band.first = logit_below(upper_from);
  band.last = cut_at_least(lower_until);
  // Above the centre the lower logits are nearer.
  float from = upper_from;
  for (;;) {
    const uint32_t higher = count_of_kept(step, kept, upper_until);
    const uint32_t count = count_of_kept(step, kept, from);
    if (count <= higher) {
      break;
    }
    const float logit = nth_logit_between(step, from, upper_until, count - higher);
    const uint64_t equal = count - count_of_kept(step, kept, logit_above(logit));
    const uint64_t each = mass_of(logit, kept.scale);
    band.first = logit;
    if (each * equal >= missing) {
      band.first_until = nth_equal(step, logit, (missing + each - 1) / each - 1);
      return band;
    }
    missing -= each * equal;
    from = logit_above(logit);
  }
  // Below it the higher ones.
  uint32_t count = count_of_kept(step, kept, lower_until);
  const uint32_t all = count_of_kept(step, kept, lower_from);
  float until = lower_until;
  for (;;) {
    if (count >= all) {
      band.last = cut_at_least(lower_from);
      return band;
    }
    const float logit = nth_logit_between(step, lower_from, until, 1);
    const uint64_t equal = count_of_kept(step, kept, logit) - count;
    const uint64_t each = mass_of(logit, kept.scale);
    if (each * equal >= missing) {
      band.last = Cut{logit, nth_equal(step, logit, (missing + each - 1) / each - 1)};
      return band;
    }
    missing -= each * equal;
    count += static_cast<uint32_t>(equal);
    until = logit;
  }
}

struct LargestVisitor {
  const Band &band;
  float largest;
  ARGPICK_DEVICE void see(uint32_t block, Pair given) {
    const Pair pair = keep_band(given, band, block);
    largest = pair.a > largest ? pair.a : largest;
    largest = pair.b > largest ? pair.b : largest;
  }
};

// Typical on the row: narrows what is kept.
ARGPICK_APART void typical_of_row(const Step &step, Kept &kept, uint64_t p, const Sums *of_row) {
  const Sums sums = of_row != nullptr && is_whole(kept) ? *of_row : sums_of_band(step, kept);
  const Band band = typical_band(step, kept, p, sums);
  kept.band.last = stricter(kept.band.last, band.last);
  if (band.first > kept.scale.maximum || (band.first == kept.scale.maximum && band.first_until == NO_TOKEN)) {
    return;
  }
  kept.band.first = band.first;
  kept.band.first_until = band.first_until;
  LargestVisitor visitor{kept.band, -infinity()};
  for_blocks(step.view, kept.band.last.logit, visitor);
  kept.scale.maximum = block_largest(step.room->scratch, visitor.largest) + 0.0f;
}

// Whether token a stands before token b in the order of typicality.
ARGPICK_DEVICE inline bool is_more_typical(uint64_t a, uint64_t b, double centre) {
  const float first = logit_of_rank(a);
  const float second = logit_of_rank(b);
  const uint32_t first_key = distance_key(first, centre);
  const uint32_t second_key = distance_key(second, centre);
  if (first_key != second_key) {
    return first_key < second_key;
  }
  const bool first_above = static_cast<double>(first) > centre;
  const bool second_above = static_cast<double>(second) > centre;
  if (first_above != second_above) {
    return first_above;
  }
  if (first != second) {
    return first_above == (first < second);
  }
  return token_of_rank(a) < token_of_rank(b);
}

// The sums over the listed tokens, as sums over a row that has no others: sixteen threads take a lane each and go through the
// tokens in ascending order. The list stands by token for that, and in its order again afterwards.
ARGPICK_APART Sums sums_of_list(const Step &step, uint32_t count, Scale scale) {
  for (uint32_t i = thread_index(); i < count; i += thread_count()) {
    const uint64_t key = step.keys[i];
    step.keys[i] = static_cast<uint64_t>(token_of_rank(key)) << 32 | (key >> 32);
  }
  block_barrier();
  sort_list(step, count, false);
  double weights = 0.0;
  double exponents = 0.0;
  uint64_t mass = 0;
  if (warp_index() == 0) {
    float weight = 0.0f;
    float exponent = 0.0f;
    uint32_t tile = 0;
    const uint32_t lane = lane_index() % 16;
    for (uint32_t i = 0; i <= count; ++i) {
      const uint64_t key = i < count ? step.keys[i] : ~uint64_t(0);
      const uint32_t token = static_cast<uint32_t>(key >> 32);
      if (i == count || token / TILE != tile) {
        weights = weights + static_cast<double>(fold_lanes(weight));
        exponents = exponents + static_cast<double>(fold_lanes(exponent));
        weight = 0.0f;
        exponent = 0.0f;
        tile = token / TILE;
      }
      if (i < count) {
        const float t = exponent_of(logit_of(static_cast<uint32_t>(key)), scale);
        const float w = weight_of_exponent(t);
        if (token % 16 == lane) {
          weight = weight + w;
          exponent = exponent + w * t;
        }
        mass += mass_of_weight(w);
      }
    }
    if (thread_index() == 0) {
      step.room->tiles.totals[0] = weights;
      step.room->tiles.totals[1] = exponents;
      step.room->found_mass = mass;
    }
  }
  block_barrier();
  const Sums sums{step.room->tiles.totals[0], step.room->tiles.totals[1], 0.0, step.room->found_mass};
  for (uint32_t i = thread_index(); i < count; i += thread_count()) {
    const uint64_t key = step.keys[i];
    step.keys[i] = key << 32 | static_cast<uint32_t>(~static_cast<uint32_t>(key >> 32));
  }
  block_barrier();
  sort_list(step, count, true);
  return sums;
}

// Typical among the listed tokens: leaves those that stay in the list, in their order.
ARGPICK_APART void typical_of_list(const Step &step, Kept &kept, uint64_t p) {
  const Sums sums = sums_of_list(step, kept.count, kept.scale);
  const double centre = centre_of(sums, kept.scale, step.temperature);
  const uint64_t target = nucleus_target(p, sums.mass);
  uint32_t first;
  uint32_t end;
  uint64_t before;
  list_masses(step, kept.count, kept.scale, false, first, end, before);
  uint32_t stays = 0; // a bit for each of this thread's tokens: at most LIST_LIMIT / 32
  uint32_t staying = 0;
  for (uint32_t i = first; i < end; ++i) {
    uint64_t mass = 0;
    bool is_first = true;
    for (uint32_t other = 0; other < kept.count; ++other) {
      if (other != i && is_more_typical(step.keys[other], step.keys[i], centre)) {
        is_first = false;
        mass += step.masses[other];
      }
    }
    if (is_first || mass < target) {
      stays |= 1u << (i - first);
      ++staying;
    }
  }
  uint32_t total;
  uint32_t place = block_sum_before(step.room->scratch, staying, total);
  // The masses are not needed any more: their memory takes the keys that stay.
  block_barrier();
  for (uint32_t i = first; i < end; ++i) {
    if ((stays >> (i - first) & 1u) != 0) {
      step.masses[place] = step.keys[i];
      ++place;
    }
  }
  block_barrier();
  for (uint32_t i = thread_index(); i < total; i += thread_count()) {
    step.keys[i] = step.masses[i];
  }
  block_barrier();
  kept.count = total;
  kept.scale.maximum = logit_of_rank(step.keys[0]);
  block_barrier();
}

} // namespace argpick
