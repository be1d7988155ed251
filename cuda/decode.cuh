// A row from its first pass to its pick: what src/decoder/step.rs conducts on the CPU.
#pragma once

#include "maxima.cuh"
#include "metrics.cuh"

namespace argpick {

// What every kernel of a launch is given.
struct Launch {
  argpick_device_decode decode;
  Layout layout;
  uint32_t first_row; // of this wave
  uint32_t is_sparse; // the records of the slices say what is wrong with the inputs
};

ARGPICK_DEVICE inline unsigned char *region_of(const Launch &launch, uint32_t row) {
  return static_cast<unsigned char *>(launch.decode.workspace) + row * launch.layout.row_bytes;
}

template <typename T> ARGPICK_DEVICE inline T *array_at(unsigned char *region, uint64_t offset) {
  return reinterpret_cast<T *>(region + offset);
}

// The row as it will be read; `maxima` are in the workspace.
ARGPICK_DEVICE inline View view_of(const Launch &launch, uint32_t index, const argpick_device_row &row) {
  const argpick_device_decode &decode = launch.decode;
  unsigned char *region = region_of(launch, index);
  const uint64_t size = decode.dtype == ARGPICK_DEVICE_F32 ? 4 : 2;
  const bool may_adjust = (decode.features & ARGPICK_FEATURE_ADJUSTMENTS) != 0;
  View view;
  view.logits = static_cast<const unsigned char *>(decode.logits) + index * decode.row_stride * size;
  view.dtype = decode.dtype;
  view.valid = valid_of(row, decode.vocab);
  view.mask = row.mask;
  view.mask_words = row.mask_words;
  view.blocks = launch.layout.blocks;
  view.maxima = array_at<float>(region, launch.layout.maxima);
  view.overrides = array_at<Override>(region, launch.layout.overrides);
  view.first_override = may_adjust && array_at<Adjusted>(region, launch.layout.adjusted)->count != 0
                            ? array_at<uint32_t>(region, launch.layout.first_override)
                            : nullptr;
  return view;
}

ARGPICK_DEVICE inline Tiles tiles_of(const Launch &launch, unsigned char *region) {
  const Layout &layout = launch.layout;
  return Tiles{array_at<float>(region, layout.tile_weights), array_at<float>(region, layout.tile_exponents),
               array_at<float>(region, layout.tile_raw), array_at<uint64_t>(region, layout.tile_masses)};
}

struct RowFound {
  float given;    // the largest logit as given
  float adjusted; // and after adjustments
  uint32_t bad;
  uint32_t bad_place;
};

// What the slices of a row found together; each warp finds it for itself.
ARGPICK_DEVICE inline RowFound join_slices(const Launch &launch, unsigned char *region) {
  const Slice *slices = array_at<Slice>(region, launch.layout.slices);
  RowFound mine{-infinity(), -infinity(), NO_TOKEN, NO_TOKEN};
  for (uint32_t i = lane_index(); i < launch.layout.slice_count; i += 32) {
    const Slice slice = slices[i];
    mine.given = slice.given > mine.given ? slice.given : mine.given;
    mine.adjusted = slice.adjusted > mine.adjusted ? slice.adjusted : mine.adjusted;
    mine.bad = slice.bad < mine.bad ? slice.bad : mine.bad;
    mine.bad_place = slice.bad_place < mine.bad_place ? slice.bad_place : mine.bad_place;
  }
  return RowFound{warp_reduce<LargerOf>(mine.given), warp_reduce<LargerOf>(mine.adjusted),
                  warp_reduce<LesserOf>(mine.bad), warp_reduce<LesserOf>(mine.bad_place)};
}

// What makes the row fail, if anything.
ARGPICK_DEVICE inline Failure failure_of(const View &view, const RowFound &found, const Adjusted *adjusted) {
  if (found.bad_place != NO_TOKEN) {
    return Failure{ARGPICK_ROW_INVALID_LIST, found.bad_place, 0.0f};
  }
  if (adjusted != nullptr && adjusted->status == ARGPICK_ROW_INVALID_LIST) {
    return Failure{adjusted->status, adjusted->index, adjusted->value};
  }
  const bool is_spoilt = adjusted != nullptr && adjusted->status == ARGPICK_ROW_INVALID_LOGIT;
  // Of one token the logit as given is named: it was bad from the start.
  if (found.bad != NO_TOKEN && (!is_spoilt || found.bad <= adjusted->index)) {
    return Failure{ARGPICK_ROW_INVALID_LOGIT, found.bad, element_to_report(view.logits, view.dtype, found.bad)};
  }
  if (is_spoilt) {
    return Failure{ARGPICK_ROW_INVALID_LOGIT, adjusted->index, adjusted->value};
  }
  if (found.adjusted == -infinity()) {
    return Failure{ARGPICK_ROW_EVERYTHING_MASKED, 0, 0.0f};
  }
  return Failure{ARGPICK_ROW_OK, 0, 0.0f};
}

// The lowest token that has the row's largest logit, and the largest logit of any other.
ARGPICK_APART uint32_t find_argmax(const Step &step, float &second) {
  const View &view = step.view;
  const float maximum = step.scale.maximum;
  uint32_t block = NO_TOKEN;
  for (uint32_t i = thread_index(); i < view.blocks; i += thread_count()) {
    block = block == NO_TOKEN && view.maxima[i] == maximum ? i : block;
  }
  block = block_least(step.room->scratch, block);
  float others = -infinity();
  for (uint32_t i = thread_index(); i < view.blocks; i += thread_count()) {
    others = i != block && view.maxima[i] > others ? view.maxima[i] : others;
  }
  Pair pair = load_pair(view, block);
  const uint32_t in_first = ballot(pair.a == maximum);
  const uint32_t in_second = ballot(pair.b == maximum);
  const uint32_t place = in_first != 0 ? lowest_bit(in_first) : 32 + lowest_bit(in_second);
  pair.a = place == lane_index() ? -infinity() : pair.a;
  pair.b = place == lane_index() + 32 ? -infinity() : pair.b;
  others = pair.a > others ? pair.a : others;
  others = pair.b > others ? pair.b : others;
  second = block_largest(step.room->scratch, others) + 0.0f;
  return block * BLOCK + place;
}

// Runs the filters in canon's order.
ARGPICK_APART Kept truncate(const Step &step, const Plan &plan, const Sums *sums) {
  Kept kept = kept_of_all(step);
  if (plan.top_k != 0) {
    if (plan.top_k <= LIST_LIMIT) {
      kept.is_listed = true;
      kept.count = list_first(step, plan.top_k);
    } else {
      kept.band.last = stricter(kept.band.last, first_tokens(step, plan.top_k));
    }
  }
  if (plan.top_p < PROBABILITY_ONE) {
    if (kept.is_listed) {
      kept.count = nucleus_of_list(step, kept.count, kept.scale, plan.top_p);
    } else {
      const uint64_t whole =
          sums != nullptr && is_whole(kept) ? sums->mass : kept_of_row(step, kept.band, kept.scale).mass;
      kept.band.last = stricter(kept.band.last, nucleus_cut(step, plan.top_p, whole, -LARGEST));
    }
  }
  if (plan.min_p > 0.0f) {
    const float threshold = min_p_threshold(kept.scale.maximum, step.temperature, plan.min_p);
    if (kept.is_listed) {
      kept.count = count_from(step, kept.count, threshold);
    } else {
      kept.band.last = stricter(kept.band.last, cut_at_least(threshold));
    }
  }
  if (plan.typical_p < PROBABILITY_ONE) {
    if (kept.is_listed) {
      typical_of_list(step, kept, plan.typical_p);
    } else {
      typical_of_row(step, kept, plan.typical_p, sums);
    }
  }
  return kept;
}

// Fills in what the metrics ask for. `sums` are those of the whole row, if they were found.
ARGPICK_APART void describe(const Step &step, const Plan &plan, const Sums *sums, const Kept &kept,
                                    const Drawn &drawn, uint64_t kept_mass, float raw_maximum,
                                    argpick_device_pick &pick) {
  const uint32_t wanted = plan.metrics;
  if ((wanted & ARGPICK_DEVICE_CONFIDENCE) != 0) {
    pick.top1_probability = static_cast<float>(1.0 / sums->weight);
    pick.entropy = entropy_of(*sums);
  }
  const float logit = logit_at(step.view, drawn.token);
  if ((wanted & ARGPICK_DEVICE_RANK) != 0) {
    pick.rank = drawn.token == step.argmax ? 0 : kept_count(step, Cut{logit, drawn.token}) - 1;
  }
  if ((wanted & ARGPICK_DEVICE_KEPT) != 0) {
    pick.kept = drawn.is_counted ? drawn.count : kept_count(step, kept.band);
  }
  if ((wanted & ARGPICK_DEVICE_LOGPROB) != 0) {
    uint64_t mass = drawn.mass;
    if (!drawn.is_counted) {
      mass = sums != nullptr && is_whole(kept) ? sums->mass : kept_of_row(step, kept.band, kept.scale).mass;
    }
    pick.logprob = logprob_among(kept.scale, logit, mass);
  }
  if ((wanted & ARGPICK_DEVICE_KEPT_MASS) != 0) {
    pick.kept_mass = static_cast<float>(static_cast<double>(kept_mass) / static_cast<double>(sums->mass));
  }
  if ((wanted & ARGPICK_DEVICE_LOGPROB_RAW) != 0) {
    pick.logprob_raw = raw_logprob(element(step.view.logits, step.view.dtype, drawn.token), raw_maximum, sums->raw);
  }
}

// Records a pick: the next launch of the same rows draws the next token.
ARGPICK_DEVICE inline void record(argpick_device_row &row, uint32_t token) {
  if (row.history != nullptr) {
    row.history[row.history_recorded % row.history_capacity] = token;
    row.history_recorded += 1;
  }
  row.position += 1;
}

// Whether the weights of the row as given differ from those of the row and are wanted.
ARGPICK_DEVICE inline bool wants_raw_sums(const argpick_device_row &row, const View &view) {
  const bool is_asked = (row.metrics & ARGPICK_DEVICE_LOGPROB_RAW) != 0;
  return is_asked && (view.first_override != nullptr || (row.temperature != 1.0f && row.temperature != 0.0f));
}

// Picks a row's token. Called by all threads of a block; thread 0 writes the pick.
ARGPICK_DEVICE inline void select_row(const Launch &launch, uint32_t index, unsigned char *shared) {
  const argpick_device_decode &decode = launch.decode;
  argpick_device_row &row = decode.rows[index];
  argpick_device_pick *output = &decode.picks[index];
  StepRoom &room = *reinterpret_cast<StepRoom *>(shared);
  if (row.skip != 0) {
    if (thread_index() == 0) {
      output->status = ARGPICK_ROW_SKIPPED;
      output->index = 0;
      output->value = 0.0f;
    }
    return;
  }
  Step step;
  step.room = &room;
  unsigned char *region = region_of(launch, index);
  const uint32_t blocks = launch.layout.blocks;
  const bool is_staged = blocks <= SHARED_BLOCKS;
  unsigned char *after = shared + (sizeof(StepRoom) + 15) / 16 * 16;
  step.keys = reinterpret_cast<uint64_t *>(after);
  step.masses = step.keys + LIST_ROOM;
  step.bounds = is_staged ? step.keys : array_at<uint64_t>(region, launch.layout.bounds);
  step.view = view_of(launch, index, row);
  if (is_staged) {
    const uint32_t lists = 2 * LIST_ROOM > blocks ? 2 * LIST_ROOM : blocks;
    float *maxima = reinterpret_cast<float *>(step.keys + lists);
    for (uint32_t i = thread_index(); i < blocks; i += thread_count()) {
      maxima[i] = step.view.maxima[i];
    }
    step.view.maxima = maxima;
  }
  // One warp checks the configuration, another makes the first round's numbers.
  if (thread_index() == 0) {
    room.plan = plan_of(row, decode.vocab, decode.features, decode.adjustment_capacity);
  }
  if (thread_index() == thread_count() - 1 && !is_greedy(row)) {
    Numbers numbers = numbers_of_step(row.seed, row.stream, row.position);
    for (uint32_t i = 0; i < PROPOSALS; ++i) {
      room.drawn[i] = next_number(numbers);
    }
    room.numbers = numbers;
  }
  block_barrier();
  const Plan plan = room.plan;
  if (plan.failure.status != ARGPICK_ROW_OK) {
    if (thread_index() == 0) {
      *output = failed_pick(plan.failure);
    }
    return;
  }
  const RowFound found = join_slices(launch, region);
  const bool may_adjust = (decode.features & ARGPICK_FEATURE_ADJUSTMENTS) != 0;
  const Failure failure =
      failure_of(step.view, found, may_adjust ? array_at<Adjusted>(region, launch.layout.adjusted) : nullptr);
  if (failure.status != ARGPICK_ROW_OK) {
    if (thread_index() == 0) {
      *output = failed_pick(failure);
    }
    return;
  }
  step.scale = Scale{found.adjusted, exponent_factor(plan.temperature)};
  step.temperature = plan.temperature;
  step.tiles = tiles_of(launch, region);
  float second;
  step.argmax = find_argmax(step, second);
  Sums sums{0.0, 0.0, 0.0, 0};
  const bool is_summed = has_sums(row, decode.features);
  if (is_summed) {
    sums = total_of_tiles(room.scratch, room.tiles, step.tiles, launch.layout.tiles);
    sums.raw = wants_raw_sums(row, step.view) ? sums.raw : sums.weight;
  }
  const Sums *known = is_summed ? &sums : nullptr;
  Kept kept = kept_of_all(step);
  Drawn drawn{step.argmax, true, 1, uint64_t(1) << 40};
  uint64_t kept_mass = uint64_t(1) << 40;
  if (!plan.greedy) {
    const uint32_t asked = ARGPICK_DEVICE_LOGPROB | ARGPICK_DEVICE_KEPT | ARGPICK_DEVICE_KEPT_MASS;
    const bool alone = plan.top_k == 0 && plan.min_p == 0.0f && plan.typical_p == PROBABILITY_ONE;
    const bool is_open = alone && plan.top_p < PROBABILITY_ONE && (plan.metrics & asked) == 0;
    const bool inverts = plan.top_k != 0 || plan.min_p > 0.0f;
    if (!is_open) {
      kept = truncate(step, plan, known);
    }
    if ((plan.metrics & ARGPICK_DEVICE_KEPT_MASS) != 0) {
      // Relative to the row's maximum, which need not be among the kept.
      kept_mass = kept.is_listed    ? mass_of_list(step, kept.count, step.scale)
                  : is_whole(kept) ? sums.mass
                                   : kept_of_row(step, kept.band, step.scale).mass;
    }
    if (kept.is_listed) {
      drawn = draw_from_list(step, kept, room.drawn[0]);
    } else if (inverts) {
      drawn = draw_from_row(step, kept, room.drawn[0]);
    } else {
      drawn = draw_by_envelope(step, kept, is_open ? plan.top_p : PROBABILITY_ONE, is_summed ? sums.mass : 0);
    }
  }
  argpick_device_pick pick = unknown_pick();
  pick.token = drawn.token;
  pick.argmax = step.argmax;
  pick.margin = step.scale.maximum - second;
  pick.temperature = plan.temperature;
  describe(step, plan, known, kept, drawn, kept_mass, found.given, pick);
  if (thread_index() == 0) {
    *output = pick;
    if ((decode.flags & ARGPICK_DEVICE_RECORD) != 0) {
      record(row, drawn.token);
    }
  }
}

// The first pass over one slice of a row.
template <uint32_t DTYPE> ARGPICK_DEVICE inline void read_slice(const Launch &launch, uint32_t index, uint32_t slice) {
  const argpick_device_row &row = launch.decode.rows[index];
  if (row.skip != 0) {
    return;
  }
  Scratch &scratch = *reinterpret_cast<Scratch *>(shared_memory());
  unsigned char *region = region_of(launch, index);
  const View view = view_of(launch, index, row);
  float *maxima = array_at<float>(region, launch.layout.maxima);
  SliceFound found{-infinity()};
  slice_maxima<DTYPE>(view, launch.layout, slice, maxima, found);
  Slice *record = array_at<Slice>(region, launch.layout.slices) + slice;
  finish_slice(scratch, view, launch.layout, slice, maxima, found, record);
  if (thread_index() == 0 && launch.is_sparse == 0) {
    record->bad_place = NO_TOKEN;
  }
}

// The sums of eight tiles (two per warp) of a row.
template <uint32_t DTYPE> ARGPICK_DEVICE inline void sum_tiles(const Launch &launch, uint32_t index, uint32_t group) {
  const argpick_device_row &row = launch.decode.rows[index];
  const argpick_device_decode &decode = launch.decode;
  if (row.skip != 0 || !has_sums(row, decode.features) ||
      check_row(row, decode.vocab, decode.features, decode.adjustment_capacity).status != ARGPICK_ROW_OK) {
    return;
  }
  unsigned char *region = region_of(launch, index);
  const View view = view_of(launch, index, row);
  const RowFound found = join_slices(launch, region);
  const bool may_adjust = (decode.features & ARGPICK_FEATURE_ADJUSTMENTS) != 0;
  const Adjusted *adjusted = may_adjust ? array_at<Adjusted>(region, launch.layout.adjusted) : nullptr;
  if (failure_of(view, found, adjusted).status != ARGPICK_ROW_OK) {
    return; // selection will say so
  }
  const float temperature = row.temperature == 0.0f ? 1.0f : row.temperature;
  SumsOf of;
  of.scale = Scale{found.adjusted, exponent_factor(temperature)};
  of.raw = Scale{found.given, exponent_factor(1.0f)};
  of.band = band_of_all();
  of.has_band = false;
  of.wants_exponents = wants_exponents(row);
  of.wants_masses = wants_masses(row);
  of.wants_raw = wants_raw_sums(row, view);
  const uint32_t tile = group * (2 * warp_count()) + 2 * warp_index() + lane_index() / 16;
  const TileSums sums = sum_tile<DTYPE>(view, of, tile);
  if (tile < launch.layout.tiles) {
    store_tile(tiles_of(launch, region), tile, sums);
  }
}

} // namespace argpick
