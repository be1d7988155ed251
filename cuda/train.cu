// The kernels of a training step and their launch.
#include "launch.cuh"
#include "train.cuh"

namespace argpick {

#ifndef ARGPICK_TRAIN_THREADS
#define ARGPICK_TRAIN_THREADS 256
#endif
constexpr uint32_t TRAIN_THREADS = ARGPICK_TRAIN_THREADS;

ARGPICK_KERNEL void ARGPICK_BOUNDS(TRAIN_THREADS, 4) train_sum_kernel(TrainLaunch launch) {
  sum_for_training(launch, block_index(), shared_memory());
}

ARGPICK_KERNEL void ARGPICK_BOUNDS(TRAIN_THREADS, 4) train_weights_kernel(TrainLaunch launch) {
  sum_training_tiles(launch, block_index());
}

ARGPICK_KERNEL void ARGPICK_BOUNDS(TRAIN_THREADS, 1) train_score_kernel(TrainLaunch launch) {
  score_example(launch, shared_memory());
}

ARGPICK_KERNEL void ARGPICK_BOUNDS(TRAIN_THREADS, 4) train_trial_kernel(TrainLaunch launch) {
  try_updates(launch, block_index() * TRAIN_THREADS + thread_index());
}

ARGPICK_KERNEL void ARGPICK_BOUNDS(TRAIN_THREADS, 4) train_update_kernel(TrainLaunch launch) {
  apply_updates(launch, block_index() * TRAIN_THREADS + thread_index());
}

namespace {

TrainLayout train_layout_of(const argpick_device_train &train) {
  TrainLayout layout;
  layout.blocks = (train.vocab + BLOCK * 32 - 1) / (BLOCK * 32) * 32;
  layout.tiles = layout.blocks / (TILE / BLOCK);
  uint64_t at = 0;
  const auto take = [&at](uint64_t bytes) {
    const uint64_t offset = at;
    at = (at + bytes + 255) / 256 * 256;
    return offset;
  };
  layout.maxima = take(uint64_t(layout.blocks) * sizeof(float));
  layout.slices = take(uint64_t(layout.tiles) * sizeof(Slice));
  layout.weights = take(uint64_t(layout.tiles) * sizeof(float));
  layout.exponents = take(uint64_t(layout.tiles) * sizeof(float));
  layout.raw = take(uint64_t(layout.tiles) * sizeof(float));
  layout.masses = take(uint64_t(layout.tiles) * sizeof(uint64_t));
  layout.chains = take(uint64_t(train.column_count) * sizeof(uint32_t));
  layout.firsts = take(uint64_t(train.column_count) * sizeof(uint32_t));
  layout.state = take(sizeof(TrainState));
  layout.bytes = at;
  return layout;
}

int32_t check_train_shape(const argpick_device_train &train) {
  if (train.vocab == 0 || train.vocab > ARGPICK_DEVICE_MAX_VOCAB) {
    return ARGPICK_ARGUMENT_VOCAB;
  }
  return train.column_count > ARGPICK_DEVICE_MAX_COLUMNS ? ARGPICK_ARGUMENT_COLUMNS : 0;
}

int32_t check_train(const argpick_device_train &train) {
  if (train.weights == nullptr || train.bias == nullptr || train.gradient == nullptr || train.score == nullptr ||
      train.workspace == nullptr || (train.columns == nullptr && train.column_count != 0)) {
    return ARGPICK_ARGUMENT_NULL;
  }
  const void *const words[] = {train.weights, train.bias, train.gradient, train.columns, train.values, train.score};
  for (const void *pointer : words) {
    if (!is_aligned(pointer, 4)) {
      return ARGPICK_ARGUMENT_ALIGNMENT;
    }
  }
  if (!is_aligned(train.workspace, 256)) {
    return ARGPICK_ARGUMENT_ALIGNMENT;
  }
  if (train.target >= train.vocab) {
    return ARGPICK_ARGUMENT_TARGET;
  }
  const float rate = train.learning_rate;
  return rate > 0.0f && rate <= LARGEST ? 0 : ARGPICK_ARGUMENT_LEARNING_RATE;
}

int32_t launch_train(const TrainLaunch &launch) {
  void *stream = launch.train.stream;
  const uint32_t tiles = launch.layout.tiles;
  const uint32_t each = TRAIN_THREADS / 16;
  const uint32_t blocks = (launch.train.vocab + TRAIN_THREADS - 1) / TRAIN_THREADS;
  int32_t failed = ARGPICK_RUN(train_sum_kernel, tiles, TRAIN_THREADS, sizeof(HeadRoom), stream, launch);
  if (failed == 0) {
    failed = ARGPICK_RUN(train_weights_kernel, (tiles + each - 1) / each, TRAIN_THREADS, 0, stream, launch);
  }
  if (failed == 0) {
    failed = ARGPICK_RUN(train_score_kernel, 1, TRAIN_THREADS, sizeof(ScoreRoom), stream, launch);
  }
  if (failed == 0) {
    failed = ARGPICK_RUN(train_trial_kernel, blocks, TRAIN_THREADS, 0, stream, launch);
  }
  if (failed == 0) {
    failed = ARGPICK_RUN(train_update_kernel, blocks, TRAIN_THREADS, 0, stream, launch);
  }
  return failed;
}

} // namespace
} // namespace argpick

using namespace argpick;

extern "C" uint64_t argpick_device_train_workspace(const argpick_device_train *train) {
  return train == nullptr || check_train_shape(*train) != 0 ? 0 : train_layout_of(*train).bytes;
}

extern "C" int32_t argpick_device_train_launch(const argpick_device_train *train, int32_t *detail) {
  if (train == nullptr) {
    return fail(detail, ARGPICK_DEVICE_INVALID_ARGUMENT, ARGPICK_ARGUMENT_NULL);
  }
  const int32_t wrong_shape = check_train_shape(*train);
  const int32_t wrong = wrong_shape != 0 ? wrong_shape : check_train(*train);
  if (wrong != 0) {
    return fail(detail, ARGPICK_DEVICE_INVALID_ARGUMENT, wrong);
  }
  const TrainLaunch launch{*train, train_layout_of(*train)};
  if (train->workspace_size < launch.layout.bytes) {
    return fail(detail, ARGPICK_DEVICE_WORKSPACE_TOO_SMALL, 0);
  }
  const int32_t failed = launch_train(launch);
  return failed == 0 ? ARGPICK_DEVICE_OK : fail(detail, ARGPICK_DEVICE_LAUNCH_FAILED, failed);
}
