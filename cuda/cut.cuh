// Finding the last kept token on the whole row, from the high bits of its key down, as src/distribution/cut.rs.
//
// The tokens inside a bracket of keys are summed in 256 bins (integers, so the order of additions cannot be seen); the bin in
// which the target is reached is the next bracket. Equal logits are told apart by id.
#pragma once

#include "mass.cuh"

namespace argpick {

struct Bracket {
  uint32_t low;
  uint32_t high; // past the last key
  uint32_t shift;
};

ARGPICK_DEVICE inline Bracket bracket_of(uint32_t low, uint32_t high) {
  const uint32_t bits = 32 - leading_zeros(high - 1 - low);
  return Bracket{low, high, bits > 8 ? bits - 8 : 0};
}

// Bins of equal width in logits, counted from the row's maximum down; what is past the last lies in it. They spread a row
// better than keys, most of whose range no logit uses, and a bin that all threads add to at once is slow.
struct Steps {
  float maximum;
  float per_logit;

  ARGPICK_DEVICE uint32_t of(float logit) const {
    const float steps = (maximum - logit) * per_logit;
    return steps < static_cast<float>(BINS - 1) ? static_cast<uint32_t>(steps) : BINS - 1;
  }
};

// What a thread has added up for the bin that it met last: runs of one bin cost one addition to shared memory.
struct Held {
  uint32_t bin;
  uint64_t sum;

  ARGPICK_DEVICE void put(uint64_t *bins) const {
    if (bin < BINS) {
      add_at(&bins[bin], sum);
    }
  }
  ARGPICK_DEVICE void add(uint64_t *bins, uint32_t to, uint64_t value) {
    if (to != bin) {
      put(bins);
      bin = to;
      sum = 0;
    }
    sum += value;
  }
};

struct HistogramVisitor {
  bool is_weighed;
  Scale scale;
  Bracket bracket;
  const Steps *steps; // NULL: the bins are those of the bracket, else steps, the last of them first
  uint64_t *bins;
  Held held;

  ARGPICK_DEVICE void add(float logit) {
    const uint32_t key = key_of(logit);
    if (logit > -infinity() && key >= bracket.low && key < bracket.high) {
      const uint32_t bin =
          steps != nullptr ? BINS - 1 - steps->of(logit) : (key - bracket.low) >> bracket.shift;
      held.add(bins, bin, is_weighed ? mass_of(logit, scale) : uint64_t(1));
    }
  }
  ARGPICK_DEVICE void see(uint32_t, Pair pair) {
    add(pair.a);
    add(pair.b);
  }
};

// Fills the bins of the room with what lies in the bracket.
ARGPICK_APART void fill_bins(const Step &step, bool is_weighed, Bracket bracket, const Steps *steps) {
  uint64_t *bins = step.room->rings.sums;
  for (uint32_t i = thread_index(); i < BINS; i += thread_count()) {
    bins[i] = 0;
  }
  block_barrier();
  HistogramVisitor visitor{is_weighed, step.scale, bracket, steps, bins, Held{BINS, 0}};
  for_blocks(step.view, logit_of(bracket.low), visitor);
  visitor.held.put(bins);
  block_barrier();
}

// The first bin, from the last down or from the first up, with which the sum reaches `target`; BINS if there is none. `sum`
// grows by the bins before it; `own` is the bin's.
ARGPICK_APART uint32_t find_bin(const Step &step, bool downwards, uint64_t target, uint64_t &sum, uint64_t &own) {
  StepRoom &room = *step.room;
  if (warp_index() == 0) {
    const uint32_t each = BINS / 32;
    const uint32_t first = lane_index() * each;
    uint64_t mine = 0;
    for (uint32_t i = first; i < first + each; ++i) {
      mine += room.rings.sums[downwards ? BINS - 1 - i : i];
    }
    const uint64_t running = warp_running_sum(mine);
    const uint32_t reaching = ballot(sum + running >= target);
    const uint32_t owner = reaching != 0 ? lowest_bit(reaching) : 31;
    if (lane_index() == owner) {
      uint64_t before = sum + running - mine;
      uint32_t i = first;
      while (i < first + each && before + room.rings.sums[downwards ? BINS - 1 - i : i] < target) {
        before += room.rings.sums[downwards ? BINS - 1 - i : i];
        ++i;
      }
      room.found_bin = i == first + each ? BINS : downwards ? BINS - 1 - i : i;
      room.found_mass = before;
    }
  }
  block_barrier();
  const uint32_t bin = room.found_bin;
  sum = room.found_mass;
  own = bin < BINS ? room.rings.sums[bin] : 0;
  block_barrier();
  return bin;
}

// The token that is number `n` (from 0), in ascending order, among those of a logit; NO_TOKEN if there are fewer.
ARGPICK_APART uint32_t nth_equal(const Step &step, float logit, uint64_t n) {
  const View &view = step.view;
  StepRoom &room = *step.room;
  // Each warp takes a run of blocks, so that what it counts stands in the order of tokens.
  const uint32_t run = (view.blocks + warp_count() - 1) / warp_count();
  const uint32_t first = warp_index() * run;
  const uint32_t end = first + run < view.blocks ? first + run : view.blocks;
  uint32_t count = 0;
  for (uint32_t block = first; block < end; ++block) {
    if (view.maxima[block] >= logit) {
      const Pair pair = load_pair(view, block);
      count += count_bits(ballot(pair.a == logit)) + count_bits(ballot(pair.b == logit));
    }
  }
  if (thread_index() == 0) {
    room.found_token = NO_TOKEN;
  }
  uint32_t total;
  const uint32_t before = block_sum_before(room.scratch, lane_index() == 0 ? count : 0u, total);
  uint64_t left = from_lane(before, 0);
  if (n >= left && n < left + count) {
    left = n - left;
    for (uint32_t block = first; block < end; ++block) {
      if (!(view.maxima[block] >= logit)) {
        continue;
      }
      const Pair pair = load_pair(view, block);
      const uint32_t bits[2] = {ballot(pair.a == logit), ballot(pair.b == logit)};
      bool is_found = false;
      for (uint32_t half = 0; half < 2 && !is_found; ++half) {
        uint32_t rest = bits[half];
        const uint32_t here = count_bits(rest);
        if (left >= here) {
          left -= here;
          continue;
        }
        for (; left != 0; --left) {
          rest &= rest - 1;
        }
        if (lane_index() == 0) {
          room.found_token = block * BLOCK + half * 32 + lowest_bit(rest);
        }
        is_found = true;
      }
      if (is_found) {
        break;
      }
    }
  }
  block_barrier();
  const uint32_t token = room.found_token;
  block_barrier();
  return token;
}

// The lowest finite logit for which `holds`, which holds from some logit up; +inf if it never does.
template <typename Holds> ARGPICK_DEVICE inline float lowest_logit(const Holds &holds) {
  uint32_t low = key_of(-LARGEST);
  uint32_t high = key_of(infinity());
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (holds(logit_of(middle))) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return logit_of(low);
}

// How wide the steps of a search are: over what weighs anything, or, where tokens are counted, down to the lowest maximum.
ARGPICK_DEVICE inline Steps steps_of(const Step &step, bool is_weighed) {
  Steps steps{step.scale.maximum, 0.0f};
  if (is_weighed) {
    steps.per_logit = static_cast<float>(BINS) / 41.0f * step.scale.factor;
    return steps;
  }
  float lowest = step.scale.maximum;
  for (uint32_t block = thread_index(); block < step.view.blocks; block += thread_count()) {
    const float maximum = step.view.maxima[block];
    lowest = maximum > -infinity() && maximum < lowest ? maximum : lowest;
  }
  lowest = block_reduce<LesserOf, float>(step.room->scratch, lowest, step.scale.maximum);
  const float steepest = 1.0e30f;
  const float per_logit = static_cast<float>(BINS - 1) / (step.scale.maximum - lowest);
  steps.per_logit = per_logit < steepest ? per_logit : steepest;
  return steps;
}

// The cut of the first tokens of the order whose masses (or, if not `is_weighed`, whose number) reach `target`, which is above
// 0; all if they never do. `least` is the key to search down to first.
ARGPICK_APART Cut search_cut(const Step &step, uint64_t target, bool is_weighed, uint32_t least) {
  const uint32_t whole = key_of(-LARGEST);
  const uint32_t past = key_of(step.scale.maximum) + 1;
  uint32_t low = least;
  uint32_t high = past;
  uint64_t above = 0; // what the keys from `high` up sum to; below the target
  const Steps steps = steps_of(step, is_weighed);
  bool is_first = true;
  for (;;) {
    const Bracket bracket = bracket_of(low, high);
    fill_bins(step, is_weighed, bracket, is_first ? &steps : nullptr);
    uint64_t own;
    const uint32_t bin = find_bin(step, true, target, above, own);
    if (bin == BINS) {
      if (low == whole) {
        return cut_of_all();
      }
      low = whole;
      high = past;
      above = 0;
      is_first = true;
      continue;
    }
    if (is_first) {
      // The keys of the step.
      const uint32_t reached = BINS - 1 - bin;
      const uint32_t lowest = key_of(lowest_logit([&](float z) { return z > steps.maximum || steps.of(z) <= reached; }));
      low = lowest > low ? lowest : low;
      if (reached != 0) {
        high = key_of(lowest_logit([&](float z) { return z > steps.maximum || steps.of(z) < reached; }));
      }
      is_first = false;
      continue;
    }
    if (bracket.shift != 0) {
      low += bin << bracket.shift;
      const uint32_t end = low + (1u << bracket.shift);
      high = end < high ? end : high;
      continue;
    }
    const float logit = logit_of(low + bin);
    const uint64_t each = is_weighed ? mass_of(logit, step.scale) : 1;
    const uint64_t tokens = (target - above + each - 1) / each;
    if (tokens * each >= own) {
      return Cut{logit, NO_TOKEN};
    }
    return Cut{logit, nth_equal(step, logit, tokens - 1)};
  }
}

// The cut after the first `count` tokens of the row.
ARGPICK_DEVICE inline Cut first_tokens(const Step &step, uint64_t count) {
  return search_cut(step, count, false, key_of(-LARGEST));
}

// The cut after the first tokens whose masses reach `target`; the last of them probably has a logit of at least `lowest`.
ARGPICK_DEVICE inline Cut first_mass(const Step &step, uint64_t target, float lowest) {
  // Below this a token weighs nothing.
  const double lightest = static_cast<double>(step.scale.maximum) - 40.5 / static_cast<double>(step.scale.factor);
  uint32_t least = key_of(lowest > -LARGEST ? lowest : -LARGEST);
  if (lightest > static_cast<double>(-LARGEST)) {
    const uint32_t key = key_of(static_cast<float>(lightest));
    least = key > least ? key : least;
  }
  return search_cut(step, target, true, least);
}

// Zero has one key and none beside it: the keys next to it are stepped over.
ARGPICK_DEVICE inline float logit_above(float logit) { return logit_of(key_of(logit) + 1); }
ARGPICK_DEVICE inline float logit_below(float logit) {
  const uint32_t key = key_of(logit) - 1;
  return logit_of(key == key_of(0.0f) - 1 ? key - 1 : key);
}

// The logit of token number `n` (from 1) of the order among those from the logit `from` up to, not including, `until`; there
// are at least as many.
ARGPICK_APART float nth_logit_between(const Step &step, float from, float until, uint64_t n) {
  uint32_t low = key_of(from);
  uint32_t high = key_of(until);
  uint64_t above = 0;
  while (high - low > 1) {
    const Bracket bracket = bracket_of(low, high);
    fill_bins(step, false, bracket, nullptr);
    uint64_t own;
    const uint32_t bin = find_bin(step, true, n, above, own);
    low += (bin < BINS ? bin : 0) << bracket.shift;
    const uint32_t end = low + (1u << bracket.shift);
    high = end < high ? end : high;
  }
  return logit_of(low);
}

} // namespace argpick
