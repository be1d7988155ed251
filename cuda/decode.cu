// The kernels of a batched decode and their launch. Everything that is estimated rather than defined stands here, until a GPU
// has measured it: how many threads, how long a slice, how many rows at a time.
#include "head.cuh"
#include "launch.cuh"
#include "penalties.cuh"

namespace argpick {

#ifndef ARGPICK_SELECT_THREADS
#define ARGPICK_SELECT_THREADS 512
#endif
#ifndef ARGPICK_READ_THREADS
#define ARGPICK_READ_THREADS 256
#endif
#ifndef ARGPICK_SUM_THREADS
#define ARGPICK_SUM_THREADS 128
#endif
#ifndef ARGPICK_ADJUST_THREADS
#define ARGPICK_ADJUST_THREADS 512
#endif
constexpr uint32_t SELECT_THREADS = ARGPICK_SELECT_THREADS;
constexpr uint32_t READ_THREADS = ARGPICK_READ_THREADS;
constexpr uint32_t SUM_THREADS = ARGPICK_SUM_THREADS;
constexpr uint32_t ADJUST_THREADS = ARGPICK_ADJUST_THREADS;
// Rows whose logits are read twice are taken in waves that stay in the second-level cache.
#ifndef ARGPICK_WAVE_BYTES
#define ARGPICK_WAVE_BYTES (24u << 20)
#endif
constexpr uint64_t WAVE_BYTES = ARGPICK_WAVE_BYTES;

ARGPICK_KERNEL void ARGPICK_BOUNDS(ADJUST_THREADS, 1) adjust_kernel(Launch launch) {
  const argpick_device_decode &decode = launch.decode;
  const uint32_t index = launch.first_row + block_index();
  const argpick_device_row &row = decode.rows[index];
  unsigned char *region = region_of(launch, index);
  Adjusted *adjusted = array_at<Adjusted>(region, launch.layout.adjusted);
  if (row.skip != 0) {
    return;
  }
  const Failure failure = check_row(row, decode.vocab, decode.features, decode.adjustment_capacity);
  if (failure.status != ARGPICK_ROW_OK || !is_adjusted(row)) {
    if (thread_index() == 0) {
      *adjusted = Adjusted{0, ARGPICK_ROW_OK, 0, 0.0f};
    }
    return;
  }
  View view = view_of(launch, index, row);
  view.first_override = nullptr; // of the last launch
  adjust_row(row, view, decode.vocab, shared_memory(), array_at<uint32_t>(region, launch.layout.first_override),
             array_at<Override>(region, launch.layout.overrides), adjusted);
}

template <uint32_t DTYPE> ARGPICK_KERNEL void ARGPICK_BOUNDS(READ_THREADS, 4) maxima_kernel(Launch launch) {
  const uint32_t slices = launch.layout.slice_count;
  read_slice<DTYPE>(launch, launch.first_row + block_index() / slices, block_index() % slices);
}

template <uint32_t DTYPE> ARGPICK_KERNEL void ARGPICK_BOUNDS(READ_THREADS, 4) head_kernel(SparseLaunch sparse) {
  const uint32_t slices = sparse.launch.layout.slice_count;
  sum_slice<DTYPE>(sparse, sparse.launch.first_row + block_index() / slices, block_index() % slices, shared_memory());
}

template <uint32_t DTYPE> ARGPICK_KERNEL void ARGPICK_BOUNDS(SUM_THREADS, 8) sums_kernel(Launch launch) {
  const uint32_t groups = (launch.layout.tiles + SUM_THREADS / 16 - 1) / (SUM_THREADS / 16);
  sum_tiles<DTYPE>(launch, launch.first_row + block_index() / groups, block_index() % groups);
}

ARGPICK_KERNEL void ARGPICK_BOUNDS(SELECT_THREADS, 2) select_kernel(Launch launch) {
  select_row(launch, launch.first_row + block_index(), shared_memory());
}

namespace {

uint64_t align(uint64_t bytes) { return (bytes + 255) / 256 * 256; }

// Tokens per slice of the first pass: sixteen KiB of a row; more where there are many rows, so that blocks live longer.
uint32_t slice_tokens_of(const argpick_device_decode &decode) {
  const uint32_t size = decode.dtype == ARGPICK_DEVICE_F32 ? 4 : 2;
  const uint32_t least = READ_THREADS * 64 / size;
  const uint64_t slices = uint64_t(decode.row_count) * ((decode.vocab + least - 1) / least);
  return slices > 4096 ? 4 * least : least;
}

Layout layout_of(const argpick_device_decode &decode, uint32_t slice_tokens) {
  Layout layout;
  const uint64_t vocab = decode.vocab;
  const bool has_sums = (decode.features & ARGPICK_FEATURE_SUMS) != 0;
  const bool may_adjust = (decode.features & ARGPICK_FEATURE_ADJUSTMENTS) != 0;
  layout.blocks = static_cast<uint32_t>((vocab + BLOCK * 32 - 1) / (BLOCK * 32) * 32);
  layout.tiles = layout.blocks / (TILE / BLOCK);
  layout.slice_tokens = slice_tokens;
  layout.slice_count = static_cast<uint32_t>((layout.blocks * uint64_t(BLOCK) + slice_tokens - 1) / slice_tokens);
  uint64_t at = 0;
  const auto take = [&at](uint64_t bytes) {
    const uint64_t offset = at;
    at = align(at + bytes);
    return offset;
  };
  layout.maxima = take(uint64_t(layout.blocks) * sizeof(float));
  layout.bounds = take(layout.blocks > SHARED_BLOCKS ? uint64_t(layout.blocks) * sizeof(uint64_t) : 0);
  // As many as the shortest slices make, so that the size does not depend on their length.
  layout.slices = take(uint64_t(layout.blocks) / 16 * sizeof(Slice));
  const uint64_t tiles = has_sums ? layout.tiles : 0;
  layout.tile_weights = take(tiles * sizeof(float));
  layout.tile_exponents = take(tiles * sizeof(float));
  layout.tile_raw = take(tiles * sizeof(float));
  layout.tile_masses = take(tiles * sizeof(uint64_t));
  layout.adjusted = take(may_adjust ? sizeof(Adjusted) : 0);
  layout.first_override = take(may_adjust ? (uint64_t(layout.blocks) + 1) * sizeof(uint32_t) : 0);
  layout.overrides = take(may_adjust ? uint64_t(decode.adjustment_capacity) * sizeof(Override) : 0);
  layout.row_bytes = at;
  return layout;
}

int32_t check_shape(const argpick_device_decode &decode) {
  const uint32_t features = ARGPICK_FEATURE_ADJUSTMENTS | ARGPICK_FEATURE_SUMS;
  const bool may_adjust = (decode.features & ARGPICK_FEATURE_ADJUSTMENTS) != 0;
  if (decode.dtype > ARGPICK_DEVICE_BF16) {
    return ARGPICK_ARGUMENT_DTYPE;
  }
  if (decode.row_count > ARGPICK_DEVICE_MAX_ROWS) {
    return ARGPICK_ARGUMENT_ROWS;
  }
  if (decode.vocab == 0 || decode.vocab > ARGPICK_DEVICE_MAX_VOCAB) {
    return ARGPICK_ARGUMENT_VOCAB;
  }
  if ((decode.features & ~features) != 0 || (decode.flags & ~ARGPICK_DEVICE_RECORD) != 0) {
    return ARGPICK_ARGUMENT_FEATURES;
  }
  const uint32_t most = ARGPICK_DEVICE_MAX_WINDOW + 2 * ARGPICK_DEVICE_MAX_ADJUSTMENTS;
  if (decode.adjustment_capacity > (may_adjust ? most : 0)) {
    return ARGPICK_ARGUMENT_CAPACITY;
  }
  return 0;
}

int32_t check_decode(const argpick_device_decode &decode) {
  const uint32_t size = decode.dtype == ARGPICK_DEVICE_F32 ? 4 : 2;
  if (decode.logits == nullptr || decode.rows == nullptr || decode.picks == nullptr || decode.workspace == nullptr) {
    return ARGPICK_ARGUMENT_NULL;
  }
  if (!is_aligned(decode.logits, size) || !is_aligned(decode.rows, 8) || !is_aligned(decode.picks, 4) ||
      !is_aligned(decode.workspace, 256)) {
    return ARGPICK_ARGUMENT_ALIGNMENT;
  }
  if (decode.row_stride < decode.vocab || decode.row_stride > (uint64_t(1) << 40)) {
    return ARGPICK_ARGUMENT_STRIDE;
  }
  return 0;
}

uint32_t adjust_shared_bytes(const argpick_device_decode &decode) {
  // Window and starts of runs, both of a power of two; the window is part of the capacity.
  const uint32_t most = decode.adjustment_capacity < ARGPICK_DEVICE_MAX_WINDOW ? decode.adjustment_capacity
                                                                              : ARGPICK_DEVICE_MAX_WINDOW;
  uint32_t padded = 2;
  while (padded < most) {
    padded *= 2;
  }
  return static_cast<uint32_t>((sizeof(AdjustRoom) + 15) / 16 * 16 + 2 * padded * sizeof(uint32_t));
}

uint32_t select_shared_bytes(const Layout &layout) {
  const uint32_t lists = 2 * LIST_ROOM;
  const bool is_staged = layout.blocks <= SHARED_BLOCKS;
  const uint32_t words = is_staged && layout.blocks > lists ? layout.blocks : lists;
  const uint32_t maxima = is_staged ? layout.blocks : 0;
  return static_cast<uint32_t>((sizeof(StepRoom) + 15) / 16 * 16 + words * sizeof(uint64_t) + maxima * sizeof(float));
}

template <uint32_t DTYPE> int32_t launch_maxima(const Launch &launch, uint32_t rows) {
  const uint64_t blocks = uint64_t(rows) * launch.layout.slice_count;
  return ARGPICK_RUN(maxima_kernel<DTYPE>, blocks, READ_THREADS, sizeof(Scratch), launch.decode.stream, launch);
}

template <uint32_t DTYPE> int32_t launch_sums(const Launch &launch, uint32_t rows) {
  const uint64_t groups = (launch.layout.tiles + SUM_THREADS / 16 - 1) / (SUM_THREADS / 16);
  return ARGPICK_RUN(sums_kernel<DTYPE>, rows * groups, SUM_THREADS, 0, launch.decode.stream, launch);
}

int32_t launch_head(const SparseLaunch &sparse, uint32_t rows, void *stream) {
  const uint64_t blocks = uint64_t(rows) * sparse.launch.layout.slice_count;
  const uint32_t shared = sizeof(HeadRoom);
  switch (sparse.head.dtype) {
  case ARGPICK_DEVICE_F32:
    return ARGPICK_RUN(head_kernel<ARGPICK_DEVICE_F32>, blocks, READ_THREADS, shared, stream, sparse);
  case ARGPICK_DEVICE_F16:
    return ARGPICK_RUN(head_kernel<ARGPICK_DEVICE_F16>, blocks, READ_THREADS, shared, stream, sparse);
  default:
    return ARGPICK_RUN(head_kernel<ARGPICK_DEVICE_BF16>, blocks, READ_THREADS, shared, stream, sparse);
  }
}

int32_t launch_adjust(const Launch &launch, uint32_t rows) {
  const argpick_device_decode &decode = launch.decode;
  if ((decode.features & ARGPICK_FEATURE_ADJUSTMENTS) == 0) {
    return 0;
  }
  return ARGPICK_RUN(adjust_kernel, rows, ADJUST_THREADS, adjust_shared_bytes(decode), decode.stream, launch);
}

// Queues what reads `rows` whole rows; `sparse` is NULL where they are given. Returns the cudaError_t.
int32_t launch_wave(const Launch &launch, const SparseLaunch *sparse, uint32_t rows) {
  const argpick_device_decode &decode = launch.decode;
  const bool may_adjust = (decode.features & ARGPICK_FEATURE_ADJUSTMENTS) != 0;
  int32_t failed = 0;
  if (sparse != nullptr) {
    SparseLaunch wave = *sparse;
    wave.launch = launch;
    failed = launch_head(wave, rows, decode.stream);
    // What is adjusted must have been summed.
    failed = failed == 0 ? launch_adjust(launch, rows) : failed;
  }
  // A sum of columns is searched as it is made, unless adjusting had to wait for it.
  if (failed == 0 && (sparse == nullptr || may_adjust)) {
    failed = decode.dtype == ARGPICK_DEVICE_F32   ? launch_maxima<ARGPICK_DEVICE_F32>(launch, rows)
             : decode.dtype == ARGPICK_DEVICE_F16 ? launch_maxima<ARGPICK_DEVICE_F16>(launch, rows)
                                                  : launch_maxima<ARGPICK_DEVICE_BF16>(launch, rows);
  }
  if (failed == 0 && (decode.features & ARGPICK_FEATURE_SUMS) != 0) {
    failed = decode.dtype == ARGPICK_DEVICE_F32   ? launch_sums<ARGPICK_DEVICE_F32>(launch, rows)
             : decode.dtype == ARGPICK_DEVICE_F16 ? launch_sums<ARGPICK_DEVICE_F16>(launch, rows)
                                                  : launch_sums<ARGPICK_DEVICE_BF16>(launch, rows);
  }
  return failed;
}

int32_t launch_rows(Launch &launch, const SparseLaunch *sparse) {
  const argpick_device_decode &decode = launch.decode;
  // Rows that are read twice go in waves; so do more rows than a grid has blocks for. Selection takes them all at once.
  const uint64_t size = decode.dtype == ARGPICK_DEVICE_F32 ? 4 : 2;
  const uint64_t row_bytes = decode.vocab * size;
  const bool reads_twice = (decode.features & ARGPICK_FEATURE_SUMS) != 0;
  const uint64_t in_grid = (uint64_t(1) << 30) / (launch.layout.blocks / 16);
  uint64_t wave = reads_twice && WAVE_BYTES / row_bytes < in_grid ? WAVE_BYTES / row_bytes : in_grid;
  wave = wave == 0 ? 1 : wave;
  launch.first_row = 0;
  int32_t failed = sparse == nullptr ? launch_adjust(launch, decode.row_count) : 0;
  for (uint64_t first = 0; failed == 0 && first < decode.row_count; first += wave) {
    const uint64_t left = decode.row_count - first;
    launch.first_row = static_cast<uint32_t>(first);
    failed = launch_wave(launch, sparse, static_cast<uint32_t>(left < wave ? left : wave));
  }
  launch.first_row = 0;
  if (failed == 0) {
    const uint32_t shared = select_shared_bytes(launch.layout);
    failed = ARGPICK_RUN(select_kernel, decode.row_count, SELECT_THREADS, shared, decode.stream, launch);
  }
  return failed;
}

int32_t launch_decode(const argpick_device_decode &decode, const SparseLaunch *sparse, int32_t *detail) {
  const int32_t wrong_shape = check_shape(decode);
  if (wrong_shape != 0) {
    return fail(detail, ARGPICK_DEVICE_INVALID_ARGUMENT, wrong_shape);
  }
  if (decode.row_count == 0) {
    return ARGPICK_DEVICE_OK;
  }
  const int32_t wrong = check_decode(decode);
  if (wrong != 0) {
    return fail(detail, ARGPICK_DEVICE_INVALID_ARGUMENT, wrong);
  }
  Launch launch;
  launch.decode = decode;
  // Columns are many reads per token: short slices.
  launch.layout = layout_of(decode, sparse != nullptr ? TILE : slice_tokens_of(decode));
  launch.is_sparse = sparse != nullptr ? 1 : 0;
  if (decode.workspace_size < launch.layout.row_bytes * decode.row_count) {
    return fail(detail, ARGPICK_DEVICE_WORKSPACE_TOO_SMALL, 0);
  }
  const int32_t failed = launch_rows(launch, sparse);
  return failed == 0 ? ARGPICK_DEVICE_OK : fail(detail, ARGPICK_DEVICE_LAUNCH_FAILED, failed);
}

} // namespace
} // namespace argpick

using namespace argpick;

extern "C" uint64_t argpick_device_decode_workspace(const argpick_device_decode *decode) {
  if (decode == nullptr || check_shape(*decode) != 0) {
    return 0;
  }
  return layout_of(*decode, slice_tokens_of(*decode)).row_bytes * decode->row_count;
}

extern "C" int32_t argpick_device_decode_launch(const argpick_device_decode *decode, int32_t *detail) {
  if (decode == nullptr) {
    return fail(detail, ARGPICK_DEVICE_INVALID_ARGUMENT, ARGPICK_ARGUMENT_NULL);
  }
  return launch_decode(*decode, nullptr, detail);
}

extern "C" int32_t argpick_device_decode_sparse_launch(const argpick_device_decode *decode,
                                                       const argpick_device_head *head,
                                                       const argpick_device_input *inputs, int32_t *detail) {
  const auto refuse = [detail](int32_t why) { return fail(detail, ARGPICK_DEVICE_INVALID_ARGUMENT, why); };
  if (decode == nullptr || head == nullptr || (inputs == nullptr && decode->row_count != 0) ||
      head->weights == nullptr || head->bias == nullptr) {
    return refuse(ARGPICK_ARGUMENT_NULL);
  }
  if (decode->dtype != ARGPICK_DEVICE_F32 || head->dtype > ARGPICK_DEVICE_BF16 || head->bias_dtype > ARGPICK_DEVICE_BF16) {
    return refuse(ARGPICK_ARGUMENT_DTYPE);
  }
  if (head->vocab != decode->vocab) {
    return refuse(ARGPICK_ARGUMENT_VOCAB);
  }
  if (!is_aligned(head->weights, head->dtype == ARGPICK_DEVICE_F32 ? 4 : 2) ||
      !is_aligned(head->bias, head->bias_dtype == ARGPICK_DEVICE_F32 ? 4 : 2) || !is_aligned(inputs, 8)) {
    return refuse(ARGPICK_ARGUMENT_ALIGNMENT);
  }
  SparseLaunch sparse = {};
  sparse.head = *head;
  sparse.inputs = inputs;
  return launch_decode(*decode, &sparse, detail);
}

extern "C" uint32_t argpick_device_features(const argpick_device_row *row) {
  if (row == nullptr) {
    return 0;
  }
  const bool penalised =
      row->repetition_penalty != 1.0f || row->frequency_penalty != 0.0f || row->presence_penalty != 0.0f;
  const bool adjusted = (penalised && row->history != nullptr) || row->bias_count != 0 || row->ban_count != 0;
  const bool sums = needs_sums(*row) || likes_sums(*row);
  return (adjusted ? ARGPICK_FEATURE_ADJUSTMENTS : 0u) | (sums ? ARGPICK_FEATURE_SUMS : 0u);
}
