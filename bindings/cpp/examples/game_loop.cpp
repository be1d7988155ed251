// argpick in a game: townspeople who decide what to do, inside a frame's budget, without a heap, and so that a replay on
// another machine is the same game.
//
//   game_loop record FILE [frames] [budget in microseconds]
//   ARGPICK_KERNEL=scalar game_loop replay FILE
//
// A townsman's choice is a sparse head (who he is, the hour, the weather, what his neighbour did) and a draw with top-k. In
// each frame people decide in turn until the budget is used up; at least one does. How many that were is recorded with the
// choices: it is the only thing here that depends on the clock. The replay plays by the record, with the kernels of another
// level, as a machine with another processor would: it has to be the same choices, because each draw takes its random
// numbers from seed, person and position, and all levels compute the same bits. Files may be taken to other machines.
//
// All memory is static. On glibc every call of the allocator is counted while frames run: there must be none.
#define ARGPICK_NO_EXCEPTIONS
#include "../argpick.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

// ---- the allocator, watched -----------------------------------------------------------------------------------------

static unsigned long allocations = 0;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define GAME_SANITIZED
#endif
#endif
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(GAME_SANITIZED)
static constexpr bool allocations_are_counted = true;
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

// Every way to memory, also operator new and Rust's, ends in one of these.
void* malloc(std::size_t size) noexcept { return ++allocations, __libc_malloc(size); }
void* calloc(std::size_t count, std::size_t size) noexcept { return ++allocations, __libc_calloc(count, size); }
void* realloc(void* block, std::size_t size) noexcept { return ++allocations, __libc_realloc(block, size); }
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  return ++allocations, __libc_memalign(alignment, size);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t size) noexcept {
  ++allocations;
  *out = __libc_memalign(alignment, size);
  return *out == nullptr ? 12 /* ENOMEM */ : 0;
}
}
#else
static constexpr bool allocations_are_counted = false;
#endif

// ---- the town -------------------------------------------------------------------------------------------------------

namespace {

constexpr std::uint32_t actions = 2048;  // things to do or say
constexpr std::uint32_t people = 32;
constexpr std::uint32_t hours = 24, weathers = 4, memories = 64;
constexpr std::uint32_t features = people + hours + weathers + memories;
constexpr std::uint32_t most_frames = 2000;
constexpr std::size_t decoder_room = 16 * 1024;

// Static memory: the head, one block for each decoder, one for the handle of the weights, and the records.
float matrix[std::size_t{actions} * features];
float bias[actions];
alignas(ARGPICK_MEMORY_ALIGNMENT) unsigned char decoder_memory[people][decoder_room];
alignas(ARGPICK_MEMORY_ALIGNMENT) unsigned char weights_memory[1024];

// What a game leaves behind. A file of it is this struct, on little-endian machines.
struct game_record {
  char magic[8];
  char kernel[16];                             // the level it was played on
  std::uint32_t frames, count;                 // count: choices
  std::uint32_t decided[most_frames];          // in this frame
  std::uint32_t choices[most_frames * people];  // one after the other
};
constexpr char magic[8] = {'T', 'O', 'W', 'N', '0', '0', '0', '1'};
game_record played, recorded;

std::uint32_t scramble(std::uint32_t x) {
  x ^= x >> 16;
  x *= 0x7feb352dU;
  x ^= x >> 15;
  x *= 0x846ca68bU;
  return x ^ (x >> 16);
}

// A head that stands for a trained one: small multiples of 1/64, the same everywhere.
void build_head() {
  for (std::size_t i = 0; i < std::size_t{actions} * features; i++) {
    matrix[i] = static_cast<float>(scramble(static_cast<std::uint32_t>(i)) % 257) / 64.0f - 2.0f;
  }
  for (std::uint32_t i = 0; i < actions; i++) bias[i] = static_cast<float>(scramble(i * 31 + 7) % 65) / 64.0f;
}

// A watch that sees nothing would prove nothing: a decoder on the heap must be noticed.
bool watched() {
  if (!allocations_are_counted) return true;
  const unsigned long before = allocations;
  const auto on_heap = argpick::decoder::create(argpick::config(), 8);
  return on_heap && allocations != before;
}

bool report(const char* where, const argpick::failure& why) {
  std::fprintf(stderr, "%s: %s (%s)\n", where, why.message(), argpick::last_error());
  return false;
}

struct timing {
  double longest = 0, total = 0;  // microseconds
};

// Plays the game. Without a script the clock says how many decide in a frame, else the script does.
bool play(std::uint32_t frames, double budget, const game_record* script, game_record& log, timing& time) {
  argpick::config config;
  config.seed = 77;
  config.temperature = 0.8f;
  config.top_k = 24;
  config.no_repeat_window = 3;  // nobody does the same thing again at once
  config.history_capacity = 64;  // and next to no lists: what is not used needs no memory
  config.adjustment_capacity = 16;
  config.sequence_capacity = 16;

  auto head = argpick::weights::from_arrays_in(weights_memory, sizeof weights_memory, matrix, bias);
  if (!head) return report("weights", head.error());
  argpick::decoder who[people];
  for (std::uint32_t person = 0; person < people; person++) {
    config.stream = person;
    auto made = argpick::decoder::create_in(decoder_memory[person], decoder_room, config, actions);
    if (!made) return report("decoder", made.error());
    who[person] = *std::move(made);
  }

  std::uint32_t last[people] = {};
  std::uint32_t turn = 0, weather = 0;
  std::memcpy(log.magic, magic, sizeof magic);
  std::strncpy(log.kernel, argpick::kernel(), sizeof log.kernel - 1);
  log.frames = frames;
  log.count = 0;
  const unsigned long before = allocations;
  for (std::uint32_t frame = 0; frame < frames; frame++) {
    const auto start = std::chrono::steady_clock::now();
    double spent = 0;
    std::uint32_t decided = 0;
    const std::uint32_t hour = frame / 60 % hours;
    while (decided < people && (script != nullptr ? decided < script->decided[frame] : decided == 0 || spent < budget)) {
      const std::uint32_t person = turn % people, neighbour = (turn + people - 1) % people;
      const std::uint32_t columns[] = {person, people + hour, people + hours + weather,
                                       people + hours + weathers + last[neighbour] % memories};
      const float values[] = {1.0f, 0.5f, 0.75f, 1.25f};
      const auto pick = who[person].decode(*head, argpick::activations(columns, values));
      if (!pick) return report("decode", pick.error());
      last[person] = pick->token;
      weather = (weather + (pick->token == pick->argmax)) % weathers;  // what people do changes the world
      log.choices[log.count++] = pick->token;
      turn++;
      decided++;
      spent = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
    }
    log.decided[frame] = decided;
    time.total += spent;
    if (spent > time.longest) time.longest = spent;
  }
  if (allocations != before) {
    std::fprintf(stderr, "%lu allocations while frames ran\n", allocations - before);
    return false;
  }
  return true;
}

void tell(const char* which, const game_record& log, const timing& time) {
  std::printf("%-7s kernel %-8s  %u frames, %u choices, %.1f us a choice, longest frame %.0f us\n", which, log.kernel,
              static_cast<unsigned>(log.frames), static_cast<unsigned>(log.count), time.total / log.count, time.longest);
}

bool write(const char* path, const game_record& log) {
  std::FILE* file = std::fopen(path, "wb");
  bool fine = file != nullptr && std::fwrite(&log, sizeof log, 1, file) == 1;
  if (file != nullptr) fine = std::fclose(file) == 0 && fine;
  if (!fine) std::perror(path);
  return fine;
}

// A record that says what cannot be is refused.
bool read(const char* path, game_record& log) {
  std::FILE* file = std::fopen(path, "rb");
  if (file == nullptr) {
    std::perror(path);
    return false;
  }
  const bool whole = std::fread(&log, sizeof log, 1, file) == 1;
  std::fclose(file);
  bool fine = whole && std::memcmp(log.magic, magic, sizeof magic) == 0 && log.kernel[sizeof log.kernel - 1] == 0 &&
              log.frames >= 1 && log.frames <= most_frames;
  std::uint32_t count = 0;
  for (std::uint32_t frame = 0; fine && frame < log.frames; frame++) {
    fine = log.decided[frame] >= 1 && log.decided[frame] <= people;
    count += log.decided[frame];
  }
  if (!fine || count != log.count) {
    std::fprintf(stderr, "%s: this is no record of a game\n", path);
    return false;
  }
  return true;
}

int record(const char* path, std::uint32_t frames, double budget) {
  timing time;
  if (!play(frames, budget, nullptr, played, time)) return 1;
  tell("live", played, time);
  return write(path, played) ? 0 : 1;
}

int replay(const char* path) {
  timing time;
  if (!read(path, recorded)) return 1;
  if (std::strcmp(recorded.kernel, argpick::kernel()) == 0) {
    std::fprintf(stderr, "recorded with the kernel %s, too: choose another by ARGPICK_KERNEL\n", recorded.kernel);
    return 1;
  }
  if (!play(recorded.frames, 0, &recorded, played, time)) return 1;
  tell("replay", played, time);
  for (std::uint32_t i = 0; i < recorded.count; i++) {
    if (played.choices[i] != recorded.choices[i]) {
      std::printf("choice %u differs: %u recorded, %u replayed\n", static_cast<unsigned>(i),
                  static_cast<unsigned>(recorded.choices[i]), static_cast<unsigned>(played.choices[i]));
      return 1;
    }
  }
  std::printf("the same %u choices on %s and %s; %s\n", static_cast<unsigned>(recorded.count), recorded.kernel,
              played.kernel,
              allocations_are_counted ? "no allocation while frames ran" : "allocations are not counted here");
  return 0;
}

int usage() {
  std::fprintf(stderr,
               "usage: game_loop record FILE [frames, 1 to %u] [budget in microseconds]\n"
               "       game_loop replay FILE\n",
               static_cast<unsigned>(most_frames));
  return 2;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) return usage();
  const char *command = arguments[1], *path = arguments[2];
  const long frames = count > 3 ? std::strtol(arguments[3], nullptr, 10) : 600;
  const double budget = count > 4 ? std::strtod(arguments[4], nullptr) : 500.0;
  if (frames < 1 || frames > long{most_frames} || !(budget > 0)) return usage();
  if (!argpick::compatible()) {
    std::fprintf(stderr, "the library has another ABI than the header\n");
    return 1;
  }
  if (argpick::kernel()[0] == 0) {
    std::fprintf(stderr, "%s\n", argpick::last_error());
    return 1;
  }
  if (!watched()) {
    std::fprintf(stderr, "the library's allocations are not seen here\n");
    return 1;
  }
  build_head();
  if (std::strcmp(command, "record") == 0) return record(path, static_cast<std::uint32_t>(frames), budget);
  if (std::strcmp(command, "replay") == 0) return replay(path);
  return usage();
}
