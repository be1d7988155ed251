// What a batch of tokens costs on a GPU, as multiples of barely reading the same rows once. cuda/check.sh runs it.
//
//   measure [--quick] [--json FILE]
//
// The floor is the best of several kernels that do nothing but find each row's maximum, 16 bytes a load, on the same rows. A
// large device-to-device copy says what the memory itself gives. Every launch reads another set of rows, so many that the cache
// does not hold them; the launches of all sets are one CUDA graph, and a figure is the time of a graph over its launches: the
// least and the median of several replays. Positions move on from launch to launch, so no two draws are the same.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "argpick.h"

namespace {

void need(cudaError_t status, const char *what) {
  if (status != cudaSuccess) {
    std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(status));
    std::exit(1);
  }
}

void check(argpick_status status) {
  if (status != ARGPICK_OK) {
    std::fprintf(stderr, "%s\n", argpick_last_error());
    std::exit(1);
  }
}

uint64_t address(const void *pointer) { return reinterpret_cast<uintptr_t>(pointer); }

template <typename T> T *allocate(size_t count) {
  void *pointer = nullptr;
  need(cudaMalloc(&pointer, std::max<size_t>(count * sizeof(T), 256)), "cudaMalloc");
  return static_cast<T *>(pointer);
}

__device__ uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Rows that look like a model's: either normal with a deviation of 2.5, or falling as a power of a random rank with noise.
template <typename T> __global__ void fill(T *rows, uint64_t count, uint32_t vocab, bool is_zipf, uint64_t seed) {
  for (uint64_t i = blockIdx.x * uint64_t(blockDim.x) + threadIdx.x; i < count; i += uint64_t(gridDim.x) * blockDim.x) {
    const uint64_t bits = mixed(seed ^ (i * 0x2545f4914f6cdd1du));
    // Four uniform numbers: near enough to a normal one.
    float sum = 0.0f;
    for (uint32_t k = 0; k < 4; ++k) {
      sum += static_cast<float>((bits >> (16 * k)) & 0xffffu) * (1.0f / 65536.0f);
    }
    const float normal = (sum - 2.0f) * 1.7320508f;
    const float unit = static_cast<float>(mixed(bits) >> 40) * (1.0f / 16777216.0f);
    const float value = is_zipf ? 18.0f - 1.2f * logf(1.0f + unit * static_cast<float>(vocab)) + 0.3f * normal : 2.5f * normal;
    rows[i] = T(value);
  }
}

// ---- the floor ------------------------------------------------------------------------------------------------------

// The largest of the sixteen bytes' elements, as signed keys in the order of the floats.
__device__ int key(uint32_t bits) { return static_cast<int>(bits ^ (bits >> 31 != 0 ? 0x7fffffffu : 0u)); }
__device__ int largest(uint4 words, bool is_half) {
  if (!is_half) {
    return max(max(key(words.x), key(words.y)), max(key(words.z), key(words.w)));
  }
  int most = INT_MIN;
  const uint32_t all[4] = {words.x, words.y, words.z, words.w};
  for (uint32_t k = 0; k < 4; ++k) {
    most = max(most, max(key(all[k] << 16), key(all[k] & 0xffff0000u)));
  }
  return most;
}

__global__ void read_maxima(const uint4 *rows, uint64_t words_per_row, uint32_t slices, bool is_half, int *maxima) {
  const uint64_t row = blockIdx.x / slices, slice = blockIdx.x % slices;
  const uint64_t length = (words_per_row + slices - 1) / slices;
  const uint64_t begin = slice * length, end = min(begin + length, words_per_row);
  const uint4 *from = rows + row * words_per_row;
  int most = INT_MIN;
  uint64_t i = begin + threadIdx.x;
  for (; i + 3 * blockDim.x < end; i += 4 * blockDim.x) {
    const uint4 a = __ldcs(from + i), b = __ldcs(from + i + blockDim.x);
    const uint4 c = __ldcs(from + i + 2 * blockDim.x), d = __ldcs(from + i + 3 * blockDim.x);
    most = max(most, max(max(largest(a, is_half), largest(b, is_half)), max(largest(c, is_half), largest(d, is_half))));
  }
  for (; i < end; i += blockDim.x) {
    most = max(most, largest(__ldcs(from + i), is_half));
  }
  most = __reduce_max_sync(0xffffffffu, most);
  if (threadIdx.x % 32 == 0) {
    atomicMax(maxima + row, most);
  }
}

// ---- measuring ------------------------------------------------------------------------------------------------------

struct Figure {
  double least, median; // microseconds a launch
};

// Captures one launch for each set and replays them.
Figure measure(uint32_t sets, uint32_t replays, cudaStream_t stream, const std::function<void(uint32_t)> &launch) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t step = nullptr;
  need(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
  for (uint32_t set = 0; set < sets; ++set) {
    launch(set);
  }
  need(cudaStreamEndCapture(stream, &graph), "capture");
  need(cudaGraphInstantiate(&step, graph, 0), "instantiate");
  cudaEvent_t begin, end;
  need(cudaEventCreate(&begin), "event");
  need(cudaEventCreate(&end), "event");
  std::vector<double> times;
  for (uint32_t replay = 0; replay < replays + 2; ++replay) {
    need(cudaEventRecord(begin, stream), "record");
    need(cudaGraphLaunch(step, stream), "graph");
    need(cudaEventRecord(end, stream), "record");
    need(cudaEventSynchronize(end), "a replay");
    float milliseconds = 0.0f;
    need(cudaEventElapsedTime(&milliseconds, begin, end), "time");
    if (replay >= 2) {
      times.push_back(1e3 * milliseconds / sets);
    }
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  cudaGraphExecDestroy(step);
  cudaGraphDestroy(graph);
  std::sort(times.begin(), times.end());
  return {times.front(), times[times.size() / 2]};
}

struct Operation {
  const char *name;
  std::function<void(argpick_config &)> set;
};

const std::vector<Operation> &operations() {
  static const std::vector<Operation> all = {
      {"greedy", [](argpick_config &c) { c.mode = ARGPICK_MODE_GREEDY; }},
      {"top-k 50", [](argpick_config &c) { c.top_k = 50; }},
      {"min-p 0.05", [](argpick_config &c) { c.min_p = 0.05f; }},
      {"full", [](argpick_config &) {}},
      {"top-p 0.9", [](argpick_config &c) { c.top_p = 0.9f; }},
      {"k 50, p 0.9", [](argpick_config &c) { c.top_k = 50, c.top_p = 0.9f; }},
      {"full, logprob", [](argpick_config &c) { c.metrics = ARGPICK_METRIC_LOGPROB; }},
      {"full, entropy", [](argpick_config &c) { c.metrics = ARGPICK_METRIC_CONFIDENCE; }},
      {"full, all metrics", [](argpick_config &c) { c.metrics = 63; }},
      {"typical 0.9", [](argpick_config &c) { c.typical_p = 0.9f; }},
  };
  return all;
}

struct Shape {
  uint32_t rows, vocab, dtype;
  bool is_zipf;
};

const char *const DTYPES[] = {"f32", "f16", "bf16"};

void run(const Shape &shape, bool is_quick, cudaStream_t stream, std::FILE *json) {
  const uint64_t element = shape.dtype == ARGPICK_F32 ? 4 : 2;
  const uint64_t elements = uint64_t(shape.rows) * shape.vocab, bytes = elements * element;
  // Four times the largest cache, and not so many that a graph is not built in a moment.
  const uint32_t sets = static_cast<uint32_t>(std::clamp<uint64_t>((uint64_t(256) << 20) / bytes, 4, is_quick ? 128 : 1024));
  const uint32_t replays = is_quick ? 5 : 15;
  std::vector<unsigned char *> rows(sets);
  for (uint32_t set = 0; set < sets; ++set) {
    rows[set] = allocate<unsigned char>(bytes);
    const uint64_t seed = set * 0x632be59bd9b4e019u + shape.vocab;
    if (shape.dtype == ARGPICK_F32) {
      fill<<<1024, 256, 0, stream>>>(reinterpret_cast<float *>(rows[set]), elements, shape.vocab, shape.is_zipf, seed);
    } else if (shape.dtype == ARGPICK_F16) {
      fill<<<1024, 256, 0, stream>>>(reinterpret_cast<__half *>(rows[set]), elements, shape.vocab, shape.is_zipf, seed);
    } else {
      fill<<<1024, 256, 0, stream>>>(reinterpret_cast<__nv_bfloat16 *>(rows[set]), elements, shape.vocab, shape.is_zipf, seed);
    }
  }
  need(cudaStreamSynchronize(stream), "rows");

  int *maxima = allocate<int>(shape.rows);
  Figure floor{1e30, 1e30};
  for (const uint32_t threads : {256u, 512u}) {
    for (const uint64_t slice : {uint64_t(8) << 10, uint64_t(16) << 10, uint64_t(32) << 10, uint64_t(128) << 10}) {
      const uint64_t words = bytes / shape.rows / 16;
      const uint32_t slices = static_cast<uint32_t>((words * 16 + slice - 1) / slice);
      const Figure found = measure(sets, is_quick ? 3 : 7, stream, [&](uint32_t set) {
        read_maxima<<<shape.rows * slices, threads, 0, stream>>>(reinterpret_cast<const uint4 *>(rows[set]), words, slices,
                                                                 shape.dtype != ARGPICK_F32, maxima);
      });
      if (found.least < floor.least) {
        floor = found;
      }
    }
  }
  const char *kind = shape.is_zipf ? "zipf" : "normal";
  std::printf("\n### %u x %u, %s, %s rows: floor %.2f us (median %.2f), %.0f GB/s; %u sets\n\n", shape.rows, shape.vocab,
              DTYPES[shape.dtype], kind, floor.least, floor.median, bytes / floor.least * 1e-3, sets);
  std::printf("| operation | us | median | x floor |\n|:--|--:|--:|--:|\n");

  for (const Operation &operation : operations()) {
    argpick_config config;
    check(argpick_config_init(&config, sizeof config));
    config.seed = 1;
    operation.set(config);
    std::vector<argpick_cuda_row> host_rows(shape.rows);
    for (uint32_t i = 0; i < shape.rows; ++i) {
      config.stream = i;
      check(argpick_cuda_row_init(&config, shape.vocab, &host_rows[i]));
    }
    argpick_cuda_row *device_rows = allocate<argpick_cuda_row>(shape.rows);
    argpick_cuda_pick *device_picks = allocate<argpick_cuda_pick>(shape.rows);
    argpick_cuda_batch batch{};
    batch.struct_size = sizeof batch;
    batch.dtype = shape.dtype;
    batch.row_stride = batch.vocab = shape.vocab;
    batch.row_count = shape.rows;
    batch.rows = address(device_rows);
    batch.picks = address(device_picks);
    batch.stream = address(stream);
    batch.flags = ARGPICK_CUDA_RECORD;
    check(argpick_cuda_plan(&batch, host_rows.data(), shape.rows, &batch.workspace_size));
    unsigned char *workspace = allocate<unsigned char>(batch.workspace_size);
    batch.workspace = address(workspace);
    need(cudaMemcpy(device_rows, host_rows.data(), shape.rows * sizeof(host_rows[0]), cudaMemcpyHostToDevice), "rows");

    // A launch on its own, and the first of a graph, from the same state: the same tokens.
    std::vector<argpick_cuda_pick> alone(shape.rows), captured(shape.rows);
    const auto launch = [&](uint32_t set) {
      batch.logits = address(rows[set]);
      check(argpick_cuda_decode(&batch));
    };
    launch(0);
    need(cudaStreamSynchronize(stream), operation.name);
    need(cudaMemcpy(alone.data(), device_picks, shape.rows * sizeof(alone[0]), cudaMemcpyDeviceToHost), "picks");
    need(cudaMemcpy(device_rows, host_rows.data(), shape.rows * sizeof(host_rows[0]), cudaMemcpyHostToDevice), "rows");
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t step = nullptr;
    need(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
    launch(0);
    need(cudaStreamEndCapture(stream, &graph), "capture");
    need(cudaGraphInstantiate(&step, graph, 0), "instantiate");
    need(cudaGraphLaunch(step, stream), "graph");
    need(cudaStreamSynchronize(stream), operation.name);
    need(cudaMemcpy(captured.data(), device_picks, shape.rows * sizeof(captured[0]), cudaMemcpyDeviceToHost), "picks");
    cudaGraphExecDestroy(step);
    cudaGraphDestroy(graph);
    for (uint32_t i = 0; i < shape.rows; ++i) {
      check(argpick_cuda_pick_status(&alone[i]));
      if (std::memcmp(&alone[i], &captured[i], sizeof alone[i]) != 0) {
        std::fprintf(stderr, "%s, row %u: a graph picks %u, a launch %u\n", operation.name, i, captured[i].token, alone[i].token);
        std::exit(1);
      }
    }

    const Figure found = measure(sets, replays, stream, launch);
    std::printf("| %s | %.2f | %.2f | %.2f |\n", operation.name, found.least, found.median, found.least / floor.least);
    std::fflush(stdout);
    if (json != nullptr) {
      std::fprintf(json,
                   "{\"rows\": %u, \"vocab\": %u, \"dtype\": \"%s\", \"kind\": \"%s\", \"operation\": \"%s\", \"us\": %.3f, "
                   "\"median\": %.3f, \"floor\": %.3f}\n",
                   shape.rows, shape.vocab, DTYPES[shape.dtype], kind, operation.name, found.least, found.median, floor.least);
    }
    cudaFree(device_rows);
    cudaFree(device_picks);
    cudaFree(workspace);
  }
  cudaFree(maxima);
  for (unsigned char *set : rows) {
    cudaFree(set);
  }
}

void copy(cudaStream_t stream) {
  const size_t bytes = size_t(1) << 30;
  unsigned char *from = allocate<unsigned char>(bytes), *to = allocate<unsigned char>(bytes);
  need(cudaMemset(from, 1, bytes), "memset");
  const Figure found = measure(4, 9, stream, [&](uint32_t) {
    need(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream), "copy");
  });
  std::printf("A device-to-device copy of 1 GiB: %.0f us, %.0f GB/s read and written.\n", found.least, 2 * bytes / found.least * 1e-3);
  cudaFree(from);
  cudaFree(to);
}

} // namespace

int main(int count, char **arguments) {
  bool is_quick = false;
  std::FILE *json = nullptr;
  for (int i = 1; i < count; ++i) {
    if (std::strcmp(arguments[i], "--quick") == 0) {
      is_quick = true;
    } else if (std::strcmp(arguments[i], "--json") == 0 && i + 1 < count) {
      json = std::fopen(arguments[++i], "w");
    } else {
      std::fprintf(stderr, "usage: %s [--quick] [--json FILE]\n", arguments[0]);
      return 2;
    }
  }
  uint32_t devices = 0, driver = 0;
  if (argpick_cuda_devices(&devices, &driver) != ARGPICK_OK) {
    std::printf("skipped: measurements on a GPU: %s\n", argpick_last_error());
    return 3;
  }
  cudaDeviceProp properties;
  need(cudaGetDeviceProperties(&properties, 0), "device");
  std::printf("%s, compute capability %d.%d, %d multiprocessors, %.0f MiB of cache; driver %u.%u\n\n", properties.name,
              properties.major, properties.minor, properties.multiProcessorCount, properties.l2CacheSize / 1048576.0,
              driver / 1000, driver % 1000 / 10);
  cudaStream_t stream = nullptr;
  need(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
  copy(stream);
  for (const uint32_t vocab : {32000u, 128256u, 262144u}) {
    for (const uint32_t rows : {1u, 32u, 256u}) {
      run({rows, vocab, ARGPICK_F32, false}, is_quick, stream, json);
    }
  }
  run({256, 128256, ARGPICK_F32, true}, is_quick, stream, json);
  run({256, 128256, ARGPICK_BF16, false}, is_quick, stream, json);
  run({1, 128256, ARGPICK_BF16, true}, is_quick, stream, json);
  if (json != nullptr) {
    std::fclose(json);
  }
  return 0;
}
