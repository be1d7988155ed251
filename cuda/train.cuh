// One step of training of the sparse head, as src/logits/train.rs: logits, softmax, gradient, a trial of every update, and only
// then the updates themselves.
#pragma once

#include "head.cuh"

namespace argpick {

struct TrainLayout {
  uint64_t maxima;  // f32 per block
  uint64_t slices;  // Slice
  uint64_t weights; // f32 per tile
  uint64_t exponents;
  uint64_t raw;
  uint64_t masses;  // u64 per tile
  uint64_t chains;  // u32 per column: where the column stands again in the example
  uint64_t firsts;  // u32 per column: whether it stands there for the first time
  uint64_t state;   // TrainState
  uint64_t bytes;
  uint32_t blocks;
  uint32_t tiles;   // as many as slices: a slice is a tile
};

struct TrainState {
  uint64_t overflow; // order of the column (0 is the bias) and token of the first update that fails
  float maximum;
  float reciprocal;  // of the normaliser
  uint32_t failed;
  uint32_t reserved;
};

constexpr uint64_t NO_OVERFLOW = ~uint64_t(0);

struct TrainLaunch {
  argpick_device_train train;
  TrainLayout layout;
};

ARGPICK_DEVICE inline bool is_finite(float x) { return x >= -LARGEST && x <= LARGEST; }

ARGPICK_DEVICE inline View view_of_logits(const TrainLaunch &launch) {
  unsigned char *region = static_cast<unsigned char *>(launch.train.workspace);
  View view;
  view.logits = launch.train.gradient;
  view.dtype = ARGPICK_DEVICE_F32;
  view.valid = launch.train.vocab;
  view.mask = nullptr;
  view.mask_words = 0;
  view.blocks = launch.layout.blocks;
  view.maxima = array_at<float>(region, launch.layout.maxima);
  view.overrides = nullptr;
  view.first_override = nullptr;
  return view;
}

// The logits of one tile of tokens, where the gradient will be; their maxima, and the lowest that is not finite.
ARGPICK_DEVICE inline void sum_for_training(const TrainLaunch &launch, uint32_t slice, unsigned char *shared) {
  const argpick_device_train &train = launch.train;
  HeadRoom &room = *reinterpret_cast<HeadRoom *>(shared);
  unsigned char *region = static_cast<unsigned char *>(train.workspace);
  Slice *record = array_at<Slice>(region, launch.layout.slices) + slice;
  const uint32_t bad =
      first_bad_input(room.scratch, train.columns, train.values, train.column_count, train.features);
  if (bad != NO_TOKEN) {
    if (thread_index() == 0) {
      *record = Slice{-infinity(), -infinity(), NO_TOKEN, bad};
    }
    return;
  }
  const argpick_device_head head{train.weights, train.bias, train.vocab, train.features, ARGPICK_DEVICE_F32,
                                 ARGPICK_DEVICE_F32};
  const uint32_t first = slice * (TILE / BLOCK);
  const uint32_t end = first + TILE / BLOCK < launch.layout.blocks ? first + TILE / BLOCK : launch.layout.blocks;
  sum_columns<ARGPICK_DEVICE_F32>(room, head, train.columns, train.values, train.column_count, first, end,
                                  train.gradient);
  const View view = view_of_logits(launch);
  float *maxima = array_at<float>(region, launch.layout.maxima);
  float largest = -infinity();
  uint32_t invalid = NO_TOKEN;
  for (uint32_t block = first + warp_index(); block < end; block += warp_count()) {
    const Pair pair = given_pair(view, block);
    const uint32_t token = block * BLOCK + lane_index();
    if (token < train.vocab && !is_finite(pair.a)) {
      invalid = token < invalid ? token : invalid;
    }
    if (token + 32 < train.vocab && !is_finite(pair.b)) {
      invalid = token + 32 < invalid ? token + 32 : invalid;
    }
    const float maximum = block_maximum(pair) + 0.0f;
    largest = maximum > largest ? maximum : largest;
    if (lane_index() == 0) {
      maxima[block] = maximum;
    }
  }
  invalid = block_least(room.scratch, invalid);
  largest = block_largest(room.scratch, largest);
  if (thread_index() == 0) {
    *record = Slice{largest, largest, invalid, NO_TOKEN};
  }
}

struct TrainFound {
  float maximum;
  uint32_t bad;
  uint32_t bad_place;
};

ARGPICK_DEVICE inline TrainFound join_train_slices(const TrainLaunch &launch) {
  const Slice *slices =
      array_at<Slice>(static_cast<unsigned char *>(launch.train.workspace), launch.layout.slices);
  TrainFound mine{-infinity(), NO_TOKEN, NO_TOKEN};
  for (uint32_t i = lane_index(); i < launch.layout.tiles; i += 32) {
    mine.maximum = slices[i].given > mine.maximum ? slices[i].given : mine.maximum;
    mine.bad = slices[i].bad < mine.bad ? slices[i].bad : mine.bad;
    mine.bad_place = slices[i].bad_place < mine.bad_place ? slices[i].bad_place : mine.bad_place;
  }
  return TrainFound{warp_reduce<LargerOf>(mine.maximum), warp_reduce<LesserOf>(mine.bad),
                    warp_reduce<LesserOf>(mine.bad_place)};
}

ARGPICK_DEVICE inline Tiles train_tiles(const TrainLaunch &launch) {
  unsigned char *region = static_cast<unsigned char *>(launch.train.workspace);
  const TrainLayout &layout = launch.layout;
  return Tiles{array_at<float>(region, layout.weights), array_at<float>(region, layout.exponents),
               array_at<float>(region, layout.raw), array_at<uint64_t>(region, layout.masses)};
}

// The weights of some tiles, two per warp.
ARGPICK_DEVICE inline void sum_training_tiles(const TrainLaunch &launch, uint32_t group) {
  const TrainFound found = join_train_slices(launch);
  if (found.bad != NO_TOKEN || found.bad_place != NO_TOKEN) {
    return;
  }
  const Scale scale{found.maximum, exponent_factor(1.0f)};
  const SumsOf of{scale, scale, band_of_all(), false, false, false, false};
  const uint32_t tile = group * (2 * warp_count()) + 2 * warp_index() + lane_index() / 16;
  const TileSums sums = sum_tile<ARGPICK_DEVICE_F32>(view_of_logits(launch), of, tile);
  if (tile < launch.layout.tiles) {
    store_tile(train_tiles(launch), tile, sums);
  }
}

struct ScoreRoom {
  Scratch scratch;
  TileRoom tiles;
};

// Scores the example, and finds which columns stand in it more than once. One block of threads.
ARGPICK_DEVICE inline void score_example(const TrainLaunch &launch, unsigned char *shared) {
  const argpick_device_train &train = launch.train;
  ScoreRoom &room = *reinterpret_cast<ScoreRoom *>(shared);
  unsigned char *region = static_cast<unsigned char *>(train.workspace);
  TrainState *state = array_at<TrainState>(region, launch.layout.state);
  const TrainFound found = join_train_slices(launch);
  argpick_device_score score{};
  score.column = NO_TOKEN;
  score.argmax = NO_TOKEN;
  score.loss = not_a_number();
  if (found.bad_place != NO_TOKEN) {
    score.status = ARGPICK_ROW_INVALID_LIST;
    score.index = found.bad_place;
  } else if (found.bad != NO_TOKEN) {
    score.status = ARGPICK_ROW_INVALID_LOGIT;
    score.index = found.bad;
    score.value = train.gradient[found.bad];
  }
  if (score.status != ARGPICK_ROW_OK) {
    if (thread_index() == 0) {
      *train.score = score;
      *state = TrainState{NO_OVERFLOW, 0.0f, 0.0f, 1, 0};
    }
    return;
  }
  const Sums sums = total_of_tiles(room.scratch, room.tiles, train_tiles(launch), launch.layout.tiles);
  const View view = view_of_logits(launch);
  uint32_t block = NO_TOKEN;
  for (uint32_t i = thread_index(); i < view.blocks; i += thread_count()) {
    block = block == NO_TOKEN && view.maxima[i] == found.maximum ? i : block;
  }
  block = block_least(room.scratch, block);
  const Pair pair = given_pair(view, block);
  const uint32_t in_first = ballot(pair.a == found.maximum);
  const uint32_t in_second = ballot(pair.b == found.maximum);
  const uint32_t argmax = block * BLOCK + (in_first != 0 ? lowest_bit(in_first) : 32 + lowest_bit(in_second));
  uint32_t *chains = array_at<uint32_t>(region, launch.layout.chains);
  uint32_t *firsts = array_at<uint32_t>(region, launch.layout.firsts);
  for (uint32_t j = thread_index(); j < train.column_count; j += thread_count()) {
    const uint32_t column = train.columns[j];
    uint32_t next = j + 1;
    while (next < train.column_count && train.columns[next] != column) {
      ++next;
    }
    chains[j] = next;
    uint32_t before = 0;
    while (train.columns[before] != column) {
      ++before;
    }
    firsts[j] = before == j ? 1 : 0;
  }
  if (thread_index() == 0) {
    const float reciprocal = static_cast<float>(1.0 / sums.weight);
    const double distance = static_cast<double>(found.maximum) - static_cast<double>(train.gradient[train.target]);
    // The weight of the argmax is 1, so its probability is the reciprocal of the normaliser.
    score.loss = static_cast<float>(distance - natural_logarithm(static_cast<double>(reciprocal)));
    score.argmax = argmax;
    score.correct = argmax == train.target ? 1 : 0;
    *train.score = score;
    *state = TrainState{NO_OVERFLOW, found.maximum, reciprocal, 0, 0};
  }
}

ARGPICK_DEVICE inline float step_of(const argpick_device_train &train, uint32_t j) {
  const float value = train.values == nullptr ? 1.0f : train.values[j];
  return -(train.learning_rate * value);
}

// The weight of a token in the column that stands at place `j` for the first time, after all updates of that column.
ARGPICK_DEVICE inline float updated_weight(const argpick_device_train &train, const uint32_t *chains, uint32_t j,
                                           float weight, float slope) {
  for (uint32_t i = j; i < train.column_count; i = chains[i]) {
    const float change = step_of(train, i) * slope;
    weight = weight + change;
  }
  return weight;
}

// Turns a token's logit into its gradient and tries all of its updates.
ARGPICK_DEVICE inline void try_updates(const TrainLaunch &launch, uint32_t token) {
  const argpick_device_train &train = launch.train;
  unsigned char *region = static_cast<unsigned char *>(train.workspace);
  TrainState *state = array_at<TrainState>(region, launch.layout.state);
  if (state->failed != 0 || token >= train.vocab) {
    return;
  }
  const Scale scale{state->maximum, exponent_factor(1.0f)};
  float slope = weight_of_exponent(exponent_of(train.gradient[token], scale)) * state->reciprocal;
  slope = token == train.target ? slope - 1.0f : slope;
  train.gradient[token] = slope;
  const float change = -train.learning_rate * slope;
  if (!is_finite(train.bias[token] + change)) {
    min_at(&state->overflow, uint64_t(token));
    return;
  }
  const uint32_t *chains = array_at<uint32_t>(region, launch.layout.chains);
  const uint32_t *firsts = array_at<uint32_t>(region, launch.layout.firsts);
  ARGPICK_UNROLL_BY(4)
  for (uint32_t j = 0; j < train.column_count; ++j) {
    const float weight = train.weights[static_cast<uint64_t>(train.columns[j]) * train.vocab + token];
    if (firsts[j] != 0 && !is_finite(updated_weight(train, chains, j, weight, slope))) {
      min_at(&state->overflow, static_cast<uint64_t>(j + 1) << 32 | token);
    }
  }
}

// Makes the updates of a token, if none of any token fails.
ARGPICK_DEVICE inline void apply_updates(const TrainLaunch &launch, uint32_t token) {
  const argpick_device_train &train = launch.train;
  unsigned char *region = static_cast<unsigned char *>(train.workspace);
  const TrainState *state = array_at<TrainState>(region, launch.layout.state);
  if (state->failed != 0 || token >= train.vocab) {
    return;
  }
  if (state->overflow != NO_OVERFLOW) {
    if (token == 0) {
      const uint32_t order = static_cast<uint32_t>(state->overflow >> 32);
      argpick_device_score score{};
      score.status = ARGPICK_ROW_UPDATE_OVERFLOW;
      score.index = static_cast<uint32_t>(state->overflow);
      score.column = order == 0 ? NO_TOKEN : train.columns[order - 1];
      score.argmax = NO_TOKEN;
      score.loss = not_a_number();
      *train.score = score;
    }
    return;
  }
  const float slope = train.gradient[token];
  const float change = -train.learning_rate * slope;
  train.bias[token] = train.bias[token] + change;
  const uint32_t *chains = array_at<uint32_t>(region, launch.layout.chains);
  const uint32_t *firsts = array_at<uint32_t>(region, launch.layout.firsts);
  for (uint32_t j = 0; j < train.column_count; j += 4) {
    // Four loads before the first store: distinct columns do not overlap, which only this loop knows.
    float weights[4];
    ARGPICK_UNROLL
    for (uint32_t i = 0; i < 4; ++i) {
      const bool exists = j + i < train.column_count;
      weights[i] = exists ? train.weights[static_cast<uint64_t>(train.columns[j + i]) * train.vocab + token] : 0.0f;
    }
    ARGPICK_UNROLL
    for (uint32_t i = 0; i < 4; ++i) {
      if (j + i < train.column_count && firsts[j + i] != 0) {
        train.weights[static_cast<uint64_t>(train.columns[j + i]) * train.vocab + token] =
            updated_weight(train, chains, j + i, weights[i], slope);
      }
    }
  }
}

} // namespace argpick
