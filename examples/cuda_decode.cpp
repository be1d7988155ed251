// A serving loop on a GPU: 32 sequences, the logits where a model would leave them, the tokens by argpick, the whole step a
// CUDA graph that is captured once and replayed; each sequence's position and history are moved on by the device.
//
//   ARGPICK_FEATURES=cuda bindings/c/install.sh PREFIX
//   g++ -std=c++17 examples/cuda_decode.cpp -I PREFIX/include -I $CUDA_HOME/include -L PREFIX/lib -largpick
//       -L $CUDA_HOME/lib64 -lcudart -o cuda_decode                                      (one line)
//
// Without a GPU, without a driver, or with a library that was built without the CUDA path it says so and decodes the same
// sequences on the CPU: the tokens, and the line that is printed about them, are the same.
#include <cuda_runtime_api.h>

#include <argpick_cuda.hpp>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

constexpr std::uint32_t VOCAB = 32000, ROWS = 32, STEPS = 24, CAPACITY = 64;

// Stands for the model: rows of logits, some of them peaked, the same on every machine.
std::vector<float> made_up_logits() {
  std::vector<float> logits(std::size_t{ROWS} * VOCAB);
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    state = state * 1664525u + 1013904223u;
    logits[i] = static_cast<float>(state >> 8) * 0x1p-21f - 4.0f;  // 0 to 8, less 4
  }
  return logits;
}

// Each sequence has a configuration of its own.
argpick::config config_of(std::uint32_t sequence) {
  argpick::config config;
  config.seed = 2026;
  config.stream = sequence;
  config.temperature = sequence % 4 == 0 ? 0.0f : 0.8f;
  config.top_k = sequence % 3 == 0 ? 50 : 0;
  config.top_p = sequence % 3 == 1 ? 0.9f : 1.0f;
  config.min_p = sequence % 3 == 2 ? 0.05f : 0.0f;
  config.repetition_penalty = 1.1f;
  config.history_capacity = CAPACITY;
  return config;
}

// The tokens of all sequences as one number, so that two machines can be compared.
std::uint64_t fold(std::uint64_t hash, std::uint32_t token) { return (hash ^ token) * 1099511628211u; }

void print(const char* where, std::uint64_t hash, const std::vector<std::uint32_t>& last) {
  std::printf("%s: %u sequences, %u tokens each, the last of the first: %u; all of them: %016llx\n", where, ROWS, STEPS,
              last[0], static_cast<unsigned long long>(hash));
}

void decode_on_the_cpu(const std::vector<float>& logits) {
  std::vector<argpick::decoder> decoders;
  for (std::uint32_t i = 0; i < ROWS; ++i) decoders.push_back(argpick::decoder::create(config_of(i), VOCAB));
  std::uint64_t hash = 14695981039346656037u;
  std::vector<std::uint32_t> last(ROWS);
  for (std::uint32_t step = 0; step < STEPS; ++step) {
    for (std::uint32_t i = 0; i < ROWS; ++i) {
      last[i] = decoders[i].decode(argpick::view<const float>(&logits[std::size_t{i} * VOCAB], VOCAB)).token;
      hash = fold(hash, last[i]);
    }
  }
  print("CPU", hash, last);
}

void need(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(status));
  std::exit(1);
}

// Device memory that is freed at the end of its scope.
class memory {
 public:
  explicit memory(std::size_t bytes) { need(cudaMalloc(&pointer_, bytes), "cudaMalloc"); }
  memory(const memory&) = delete;
  memory& operator=(const memory&) = delete;
  ~memory() { cudaFree(pointer_); }
  void* get() const { return pointer_; }
  std::uint64_t address() const { return argpick::cuda::address(pointer_); }

 private:
  void* pointer_ = nullptr;
};

void decode_on_the_gpu(const std::vector<float>& logits) {
  cudaStream_t stream = nullptr;
  need(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");

  memory device_logits(logits.size() * sizeof(float)), histories(std::size_t{ROWS} * CAPACITY * 4);
  memory device_rows(ROWS * sizeof(argpick_cuda_row)), device_picks(ROWS * sizeof(argpick_cuda_pick));
  std::vector<argpick_cuda_row> rows;
  for (std::uint32_t i = 0; i < ROWS; ++i) {
    argpick_cuda_row row = argpick::cuda::row_of(config_of(i), VOCAB);
    row.history = histories.address() + std::uint64_t{i} * CAPACITY * 4;
    row.history_capacity = CAPACITY;
    rows.push_back(row);
  }
  argpick::cuda::batch batch;
  batch.dtype = ARGPICK_F32;
  batch.logits = device_logits.address();
  batch.vocab = VOCAB;
  batch.row_stride = VOCAB;
  batch.row_count = ROWS;
  batch.rows = device_rows.address();
  batch.picks = device_picks.address();
  batch.stream = argpick::cuda::address(stream);
  batch.flags = ARGPICK_CUDA_RECORD;
  batch.workspace_size = batch.plan(rows);
  memory workspace(batch.workspace_size);
  batch.workspace = workspace.address();

  need(cudaMemcpyAsync(device_rows.get(), rows.data(), ROWS * sizeof(rows[0]), cudaMemcpyHostToDevice, stream), "rows");
  need(cudaMemcpyAsync(device_logits.get(), logits.data(), logits.size() * 4, cudaMemcpyHostToDevice, stream), "logits");

  // The step is captured once. A server would capture its model's kernels in the same graph.
  argpick_cuda_pick* picks = nullptr;
  need(cudaMallocHost(reinterpret_cast<void**>(&picks), ROWS * sizeof(argpick_cuda_pick)), "cudaMallocHost");
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t step = nullptr;
  need(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
  batch.decode();
  need(cudaMemcpyAsync(picks, device_picks.get(), ROWS * sizeof(picks[0]), cudaMemcpyDeviceToHost, stream), "picks");
  need(cudaStreamEndCapture(stream, &graph), "capture");
  need(cudaGraphInstantiate(&step, graph, 0), "cudaGraphInstantiate");

  std::uint64_t hash = 14695981039346656037u;
  std::vector<std::uint32_t> last(ROWS);
  for (std::uint32_t number = 0; number < STEPS; ++number) {
    need(cudaGraphLaunch(step, stream), "cudaGraphLaunch");
    need(cudaStreamSynchronize(stream), "a step");
    for (std::uint32_t i = 0; i < ROWS; ++i) {
      argpick::cuda::check(picks[i]);
      last[i] = picks[i].token;
      hash = fold(hash, last[i]);
    }
  }
  print("GPU", hash, last);
  cudaGraphExecDestroy(step);
  cudaGraphDestroy(graph);
  cudaFreeHost(picks);
  cudaStreamDestroy(stream);
}

}  // namespace

int main() try {
  const std::vector<float> logits = made_up_logits();
  std::uint32_t devices = 0, driver = 0;
  if (argpick_cuda_devices(&devices, &driver) == ARGPICK_OK) {
    decode_on_the_gpu(logits);
  } else {
    std::printf("No GPU is used: %s\n", argpick_last_error());
  }
  decode_on_the_cpu(logits);
  return 0;
} catch (const argpick::exception& failure) {
  std::fprintf(stderr, "%s\n", failure.what());
  return 1;
}
