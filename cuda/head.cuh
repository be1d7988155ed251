// The sparse head: z = b + sum_j a_j W[:, c_j], each token's columns added in the order given, one product and one sum at a
// time, as src/logits has it. The sum is written, searched for maxima and checked in one pass over the columns.
#pragma once

#include "decode.cuh"

namespace argpick {

constexpr uint32_t STAGED_COLUMNS = 1024; // columns and values that are in shared memory at a time

struct HeadRoom {
  Scratch scratch;
  uint32_t columns[STAGED_COLUMNS];
  float values[STAGED_COLUMNS];
};

// The first place whose column does not exist or whose value is not finite; NO_TOKEN if there is none.
ARGPICK_DEVICE inline uint32_t first_bad_input(Scratch &scratch, const uint32_t *columns, const float *values,
                                               uint64_t count, uint32_t existing) {
  uint32_t place = NO_TOKEN;
  for (uint32_t j = thread_index(); j < count; j += thread_count()) {
    const float value = values == nullptr ? 1.0f : values[j];
    const bool is_bad = columns[j] >= existing || !(value >= -LARGEST && value <= LARGEST);
    place = is_bad && place == NO_TOKEN ? j : place;
  }
  return block_least(scratch, place);
}

// Copies columns and values from number `first` on to shared memory; returns how many.
ARGPICK_DEVICE inline uint32_t stage_columns(HeadRoom &room, const uint32_t *columns, const float *values, uint64_t count,
                                             uint64_t first) {
  const uint64_t left = count - first;
  const uint32_t staged = left < STAGED_COLUMNS ? static_cast<uint32_t>(left) : STAGED_COLUMNS;
  block_barrier();
  for (uint32_t j = thread_index(); j < staged; j += thread_count()) {
    room.columns[j] = columns[first + j];
    room.values[j] = values == nullptr ? 1.0f : values[first + j];
  }
  block_barrier();
  return staged;
}

// Adds `staged` columns to this lane's two tokens of a block. Several columns are under way at once; each token still gets
// them one after the other.
template <uint32_t DTYPE>
ARGPICK_DEVICE inline Pair add_columns(Pair sums, const HeadRoom &room, uint32_t staged, const void *weights, uint32_t vocab,
                                       uint32_t token) {
  const bool has_a = token < vocab;
  const bool has_b = token + 32 < vocab;
  ARGPICK_UNROLL_BY(4)
  for (uint32_t j = 0; j < staged; ++j) {
    const uint64_t first = static_cast<uint64_t>(room.columns[j]) * vocab + token;
    const float a = has_a ? element(weights, DTYPE, first) : 0.0f;
    const float b = has_b ? element(weights, DTYPE, first + 32) : 0.0f;
    const float value = room.values[j];
    const float product_a = value * a;
    const float product_b = value * b;
    sums.a = sums.a + product_a;
    sums.b = sums.b + product_b;
  }
  return sums;
}

// The sums of a slice: each warp takes a block of 64 tokens at a time and writes their logits to `output`.
template <uint32_t DTYPE>
ARGPICK_DEVICE inline void sum_columns(HeadRoom &room, const argpick_device_head &head, const uint32_t *columns,
                                       const float *values, uint64_t count, uint32_t first_block, uint32_t end_block,
                                       float *output) {
  const uint32_t vocab = head.vocab;
  // Columns that do not fit in shared memory at once are added in several rounds; the sums wait in `output`.
  uint64_t done = 0;
  do {
    const uint32_t staged = stage_columns(room, columns, values, count, done);
    for (uint32_t block = first_block + warp_index(); block < end_block; block += warp_count()) {
      const uint32_t token = block * BLOCK + lane_index();
      Pair sums{0.0f, 0.0f};
      if (token < vocab) {
        sums.a = done == 0 ? element(head.bias, head.bias_dtype, token) : output[token];
      }
      if (token + 32 < vocab) {
        sums.b = done == 0 ? element(head.bias, head.bias_dtype, token + 32) : output[token + 32];
      }
      sums = add_columns<DTYPE>(sums, room, staged, head.weights, vocab, token);
      if (token < vocab) {
        output[token] = sums.a;
      }
      if (token + 32 < vocab) {
        output[token + 32] = sums.b;
      }
    }
    done += staged;
  } while (done < count);
}

// What the kernel of the sparse head is given.
struct SparseLaunch {
  Launch launch;
  argpick_device_head head;
  const argpick_device_input *inputs;
};

// The first pass where the row is a sum of columns: as read_slice.
template <uint32_t DTYPE>
ARGPICK_DEVICE inline void sum_slice(const SparseLaunch &sparse, uint32_t index, uint32_t slice, unsigned char *shared) {
  const Launch &launch = sparse.launch;
  const Layout &layout = launch.layout;
  const argpick_device_row &row = launch.decode.rows[index];
  if (row.skip != 0) {
    return;
  }
  HeadRoom &room = *reinterpret_cast<HeadRoom *>(shared);
  unsigned char *region = region_of(launch, index);
  Slice *record = array_at<Slice>(region, layout.slices) + slice;
  const argpick_device_input input = sparse.inputs[index];
  const uint32_t bad = input.count > ARGPICK_DEVICE_MAX_COLUMNS
                           ? ARGPICK_DEVICE_MAX_COLUMNS
                           : first_bad_input(room.scratch, input.columns, input.values, input.count, sparse.head.columns);
  if (thread_index() == 0) {
    *record = Slice{-infinity(), -infinity(), NO_TOKEN, bad};
  }
  if (bad != NO_TOKEN) {
    return;
  }
  const View view = view_of(launch, index, row);
  float *output = static_cast<float *>(const_cast<void *>(view.logits));
  const uint32_t first = slice * layout.slice_tokens / BLOCK;
  const uint32_t end = first + layout.slice_tokens / BLOCK;
  sum_columns<DTYPE>(room, sparse.head, input.columns, input.values, input.count, first,
                     end < layout.blocks ? end : layout.blocks, output);
  if ((launch.decode.features & ARGPICK_FEATURE_ADJUSTMENTS) != 0) {
    return; // adjusting needs the logits first; the rows are searched afterwards
  }
  float *maxima = array_at<float>(region, layout.maxima);
  SliceFound found{-infinity()};
  // Each warp searches the blocks that it has written.
  for (uint32_t block = first + warp_index(); block < end && block < layout.blocks; block += warp_count()) {
    const float largest = block_maximum(given_pair(view, block));
    found.see(largest);
    if (lane_index() == 0) {
      maxima[block] = largest + 0.0f;
    }
  }
  finish_slice(room.scratch, view, layout, slice, maxima, found, record);
}

} // namespace argpick
