// argpick.hpp with exceptions: every call, and what is thrown. Linked with trace.cpp, which is about traces, and with
// results.cpp, which chose otherwise.
#include "../argpick.hpp"
#include "../argpick_cuda.hpp"
#include "check.hpp"
#include "thrown.hpp"

#include <array>
#include <cmath>
#include <cstring>
#include <string>

int check_results(const char* folder);
void check_traces();

namespace {

static_assert(!std::is_copy_constructible_v<argpick::decoder> && std::is_nothrow_move_constructible_v<argpick::decoder>);
static_assert(!std::is_copy_assignable_v<argpick::weights> && std::is_nothrow_move_assignable_v<argpick::weights>);
static_assert(!std::is_convertible_v<std::vector<double>, argpick::row>, "a row of another type is no row");
static_assert(!std::is_convertible_v<std::vector<float>, argpick::mask>);
static_assert(!std::is_convertible_v<std::vector<float>, argpick::activations>);
static_assert(!std::is_convertible_v<argpick::view<const float>, argpick::view<float>>, "const stays const");
#if __cplusplus >= 202002L
static_assert(std::is_same_v<argpick::view<float>, std::span<float>>);
#endif

const std::array<float, 4> logits{1.0f, 3.0f, 2.5f, -1.0f};

void decoders() {
  argpick::config config;
  CHECK(config.struct_size == sizeof(argpick_config) && config.temperature == 1.0f && config.top_p == 1.0f);
  config.mode = ARGPICK_MODE_GREEDY;
  config.metrics = ARGPICK_METRIC_ALL;
  config.max_tokens = 3;
  auto decoder = argpick::decoder::create(config, 4);
  CHECK(decoder && decoder.vocab() == 4 && decoder.position() == 0);

  // Rows of every kind.
  const float plain[] = {1.0f, 3.0f, 2.5f, -1.0f};
  const std::vector<float> vector(logits.begin(), logits.end());
  const std::uint16_t half[] = {0x3c00, 0x4200, 0x4100, 0xbc00}, brain[] = {0x3f80, 0x4040, 0x4020, 0xbf80};
  for (const argpick::row& row : {argpick::row(plain), argpick::row(vector), argpick::row(logits),
                                  argpick::row::f16(half), argpick::row::bf16(brain)}) {
    const argpick_pick pick = decoder.evaluate(row);
    CHECK(pick.token == 1 && pick.argmax == 1 && pick.rank == 0 && pick.margin == 0.5f && pick.kept == 1);
  }
  CHECK(decoder.position() == 0);

  // Masks: none, some, and the empty one, which allows nothing.
  std::vector<std::uint32_t> mask(argpick::mask::words_for(4));
  CHECK(mask.size() == 1 && argpick::mask::words_for(64) == 2 && argpick::mask::words_for(65) == 3);
  CHECK(argpick::mask::allow(mask, 2) && argpick::mask::allow(mask, 3) && !argpick::mask::allow(mask, 32));
  CHECK(decoder.evaluate(logits, mask).token == 2);
  CHECK(thrown([&] { decoder.evaluate(logits, std::vector<std::uint32_t>()); }) == ARGPICK_ERR_EVERYTHING_MASKED);

  // Failures: what, where, and the bad value; nothing has changed.
  std::vector<float> bad(logits.begin(), logits.end());
  bad[2] = std::nanf("");
  try {
    decoder.decode(bad);
    CHECK(!"NaN was taken");
  } catch (const argpick::exception& error) {
    CHECK(error.status() == ARGPICK_ERR_INVALID_LOGIT && error.why().index == 2 && std::isnan(error.why().value));
    CHECK(std::string(error.what()).find("argpick_decode") == 0 && std::strlen(error.why().message()) > 0);
    CHECK(std::string(argpick::last_error()) == error.what());
  }
  CHECK(thrown([&] { decoder.decode(std::vector<float>(5)); }) == ARGPICK_ERR_WRONG_LENGTH);
  CHECK(thrown([&] { argpick::decoder::create(config, 0); }) == ARGPICK_ERR_INVALID_PARAMETER);
  CHECK(decoder.position() == 0);

  // History.
  const std::uint32_t tokens[] = {0, 3};
  decoder.prompt(tokens);
  decoder.accept(tokens);
  CHECK(decoder.position() == 2);
  decoder.undo();
  CHECK(decoder.position() == 1);
  CHECK(thrown([&] { decoder.undo(100); }) == ARGPICK_ERR_UNDO_TOO_FAR);
  auto twin = decoder.clone();
  CHECK(decoder.decode(logits).finish == ARGPICK_FINISH_NONE);
  CHECK(decoder.decode(logits).finish == ARGPICK_FINISH_LENGTH);
  CHECK(thrown([&] { decoder.decode(logits); }) == ARGPICK_ERR_FINISHED);
  CHECK(twin.position() == 1);
  twin.seek(9);
  CHECK(twin.position() == 9);

  // Biases and bans.
  const std::uint32_t token[] = {3};
  const float bias[] = {10.0f};
  twin.reset();
  twin.set_bias(token, bias);
  CHECK(twin.evaluate(logits).token == 3);
  twin.set_bans(token);
  CHECK(twin.evaluate(logits).token == 1);
  CHECK(thrown([&] { twin.set_bias(tokens, bias); }) == ARGPICK_ERR_WRONG_LENGTH);
  twin.set_bans({});
  twin.set_bias({}, {});
  CHECK(twin.evaluate(logits).token == 1);

  // Lists, and why a sequence ends.
  const std::uint32_t sequence[] = {0, 2, 3}, lengths[] = {2, 1};
  const float sequence_biases[] = {40.0f, 30.0f};
  twin.set_sequence_bias(sequence, lengths, sequence_biases);
  CHECK(twin.evaluate(logits).token == 3);
  CHECK(thrown([&] { twin.set_sequence_bias(sequence, lengths, bias); }) == ARGPICK_ERR_WRONG_LENGTH);
  twin.accept(argpick::view<const std::uint32_t>(sequence, 1));
  CHECK(twin.evaluate(logits).token == 2);
  twin.set_bad_sequences(sequence, lengths);
  CHECK(twin.evaluate(logits).token == 1);
  twin.set_sequence_bias({}, {}, {});
  twin.set_bad_sequences({}, {});
  twin.set_breakers(sequence, lengths);
  const std::uint64_t positions[] = {1};
  CHECK(thrown([&] { twin.set_forced(positions, tokens); }) == ARGPICK_ERR_WRONG_LENGTH);
  twin.set_forced(positions, token);
  CHECK(twin.evaluate(logits).token == 3);
  twin.set_end_tokens(token);
  CHECK(twin.evaluate(logits).finish == ARGPICK_FINISH_END_TOKEN && twin.finish() == ARGPICK_FINISH_NONE);
  twin.set_end_tokens({});
  const std::uint32_t whole[] = {2}, stop_tokens[] = {0, 3};
  twin.set_stops(stop_tokens, whole);
  CHECK(twin.evaluate(logits).finish == ARGPICK_FINISH_STOP);
  twin.set_forced({}, {});
  twin.set_stops({}, {});
  twin.set_stop_strings(argpick::view<const char>("ab", 2), whole);
  CHECK(twin.push_bytes(argpick::view<const char>("xa", 2)).held_back == 1);
  CHECK(twin.push_bytes(argpick::view<const char>("b", 1)).stop == 0 && twin.finish() == ARGPICK_FINISH_STOP);
  twin.set_stop_strings({}, {});
  CHECK(twin.mirostat_mu() != twin.mirostat_mu() && twin.adaptive_target() != twin.adaptive_target());  // NaN: off
  twin.reset();

  // State.
  std::vector<std::byte> state(twin.saved_size());
  CHECK(twin.save(state) == state.size() && !state.empty());
  CHECK(thrown([&] { twin.save(argpick::view<std::byte>(state.data(), 1)); }) == ARGPICK_ERR_WRONG_LENGTH);
  decoder.load(state);
  CHECK(decoder.position() == 0);
  state[0] ^= std::byte{0xff};
  CHECK(thrown([&] { decoder.load(state); }) == ARGPICK_ERR_BAD_STATE);

  // Ownership.
  argpick::decoder moved = std::move(twin);
  CHECK(moved && !twin);
  CHECK(thrown([&] { twin.decode(logits); }) == ARGPICK_ERR_NULL);
  moved = std::move(decoder);
  CHECK(moved && !decoder && moved.vocab() == 4);
  argpick::decoder adopted(moved.release());
  CHECK(adopted && !moved);
  config.struct_size += 8;
  CHECK(thrown([&] { adopted.reset(config); }) == ARGPICK_ERR_STRUCT_SIZE);
}

void questions() {
  argpick::config config;
  config.top_k = 2;
  auto decoder = argpick::decoder::create(config, 4);
  std::array<argpick_candidate, 3> best{};
  CHECK(decoder.top(logits, best) == 3 && best[0].token == 1 && best[1].token == 2 && best[2].token == 0);
  CHECK(decoder.kept(logits) == 2);
  CHECK(decoder.kept(logits, best) == 2 && best[0].token == 1 && best[1].token == 2);
  CHECK(decoder.probability_of(logits, 0) == 0.0f);
  const float sum = decoder.probability_of(logits, 1) + decoder.probability_of(logits, 2);
  CHECK(std::fabs(sum - 1.0f) < 1e-5f);

  // What each stage leaves: the whole row, then the two that top-k keeps.
  std::array<argpick_stage, ARGPICK_MOST_STAGES> stages{};
  CHECK(decoder.explain(logits, stages) == 2 && decoder.explain(logits, {}) == 2);
  CHECK(std::string(argpick::stage_name(stages[0].stage)) == "row" && stages[0].kept == 4);
  CHECK(stages[0].kept_mass == 1.0f && std::isnan(stages[0].parameter));
  CHECK(std::string(argpick::stage_name(stages[1].stage)) == "top_k" && stages[1].kept == 2);
  CHECK(stages[1].parameter == 2.0 && stages[1].last_token == 2 && stages[1].last_logit == 2.5f);
  const double two = 1.0 + std::exp(-0.5), four = two + std::exp(-2.0) + std::exp(-4.0);
  CHECK(std::fabs(stages[1].kept_mass - two / four) < 1e-5);
  const std::array<std::uint32_t, 1> others{0xd};
  CHECK(decoder.explain(logits, stages, others) == 2 && stages[0].kept == 3 && stages[1].last_token == 0);
  CHECK(thrown([&] { decoder.explain(std::vector<float>(3), stages); }) == ARGPICK_ERR_WRONG_LENGTH);
  CHECK(std::string(argpick::stage_name(1000)).empty());

  std::array<float, 4> row = logits;
  decoder.process(row);
  CHECK(row[1] == 3.0f && std::isinf(row[0]));
  argpick::softmax(row);
  std::array<float, 4> likely = logits;
  decoder.probabilities(likely);
  CHECK(std::memcmp(row.data(), likely.data(), sizeof likely) == 0);

  // Two rows against targets.
  const std::vector<float> matrix{1.0f, 3.0f, 2.5f, -1.0f, 0.0f, 0.0f, 0.0f, 0.0f};
  const argpick::rows rows(matrix, 4);
  const std::uint32_t targets[] = {1, 3};
  CHECK(rows.size() == 2 && rows.length() == 4);
  std::uint32_t verdicts[2];
  argpick_diagnosis found = decoder.diagnose(rows, targets, nullptr, verdicts);
  CHECK(found.rows == 2 && found.greedy_accuracy == 0.5f && found.top_k_accuracy == 1.0f);
  CHECK(verdicts[0] == ARGPICK_VERDICT_HEALTHY && verdicts[1] == ARGPICK_VERDICT_FLAT);
  argpick_diagnosis_limits limits{};
  limits.struct_size = sizeof limits;
  limits.flat_entropy = 0.5f;
  limits.saturated_top1 = 0.5f;
  limits.top_k = 1;
  found = decoder.diagnose(rows, targets, &limits);
  CHECK(found.top_k_accuracy == 0.5f);
  CHECK(thrown([&] { decoder.diagnose(rows, argpick::view<const std::uint32_t>(targets, 1)); }) ==
        ARGPICK_ERR_WRONG_LENGTH);

  const argpick::scored one = argpick::score(logits, 2);
  CHECK(one.rank == 1 && one.argmax == 1 && one.loss > 0.9f && one.loss < 1.2f);
  float losses[2];
  std::uint32_t ranks[2], argmaxes[2];
  argpick_status statuses[2];
  argpick::score(rows, targets, losses, ranks, argmaxes, statuses);
  CHECK(ranks[0] == 0 && ranks[1] == 3 && std::fabs(losses[1] - std::log(4.0f)) < 1e-5f && statuses[1] == ARGPICK_OK);
  CHECK(thrown([&] { argpick::score(rows, targets, losses, ranks, argmaxes, {}); }) == ARGPICK_ERR_WRONG_LENGTH);
}

void sweeps() {
  argpick::config config;
  const argpick::decoder decoder = argpick::decoder::create(config, 6);
  const std::array<float, 6> row{0.5f, 3.0f, 2.5f, -1.0f, 1.0f, 2.9f};
  argpick::sweep sweep;
  config.mode = ARGPICK_MODE_GREEDY;
  sweep.add(config);
  config.mode = ARGPICK_MODE_SAMPLE;
  config.top_k = 2;
  config.metrics = ARGPICK_METRIC_KEPT;
  sweep.add(config);
  sweep.run(decoder, row);
  CHECK(sweep.size() == 2 && sweep.picks()[0].token == 1 && sweep.picks()[1].kept == 2);
  CHECK(sweep.kept(0)[0] == 1u << 1 && sweep.kept(1)[0] == (1u << 1 | 1u << 5));
  config.top_p = 3.0f;
  sweep.add(config);
  CHECK(thrown([&] { sweep.run(decoder, row); }) == ARGPICK_ERR_INVALID_PARAMETER);

  argpick::decoder biased = argpick::decoder::create(argpick::config(), 6);
  const std::array<std::uint32_t, 1> token{1};
  const std::array<float, 1> bias{-5.0f};
  biased.set_bias(token, bias);
  std::array<argpick_candidate, 1> best;
  CHECK(biased.top(row, best) == 1 && best[0].token == 5);
  CHECK(biased.top_raw(row, best) == 1 && best[0].token == 1);
}

void batches() {
  argpick::config config;
  std::vector<argpick::decoder> many;
  std::vector<std::uint32_t> alone, mask{0xd};
  for (std::uint32_t i = 0; i < 3; i++) {
    config.stream = i;
    many.push_back(argpick::decoder::create(config, 4));
    alone.push_back(i == 1 ? many[i].evaluate(logits, mask).token : many[i].evaluate(logits).token);
  }
  argpick::batch batch;
  for (int round = 0; round < 2; round++) {
    batch.clear();
    for (auto& one : many) {
      one.reset();
      CHECK(batch.add(one, logits, batch.size() == 1 ? argpick::mask(mask) : argpick::mask()));
    }
    CHECK(!batch.add(many[0], std::vector<float>(5)) && batch.size() == 3);
    const std::vector<std::uint32_t> longer(2);
    CHECK(!batch.add(many[0], logits, longer) && batch.size() == 3);
    batch.run();
    for (std::uint32_t i = 0; i < 3; i++) {
      CHECK(batch.picks()[i].token == alone[i] && batch.statuses()[i] == ARGPICK_OK);
    }
  }
  // A row that fails leaves the others alone.
  const std::vector<float> nothing(4, -INFINITY);
  batch.clear();
  many[1].reset();
  batch.add(many[0], nothing);
  batch.add(many[1], logits);
  CHECK(thrown([&] { batch.run(); }) == ARGPICK_ERR_EVERYTHING_MASKED);
  CHECK(batch.statuses()[0] == ARGPICK_ERR_EVERYTHING_MASKED && batch.statuses()[1] == ARGPICK_OK);
  CHECK(batch.picks()[1].token < 4);
}

// Drafts that are the tokens of plain decoding all stand, and one token more comes after them.
void drafts() {
  argpick::config config;
  config.seed = 3;
  auto plain = argpick::decoder::create(config, 4), ahead = argpick::decoder::create(config, 4);
  std::vector<std::uint32_t> tokens;
  for (int i = 0; i < 3; i++) tokens.push_back(plain.decode(logits).token);
  argpick::rows rows;
  for (int i = 0; i < 3; i++) rows.add(logits);
  argpick_drafts given{};
  given.acceptance = ARGPICK_ACCEPTANCE_MATCH;
  given.tokens = tokens.data();
  given.drafts = 2;
  given.logits = rows.data();
  given.count = rows.length();
  std::vector<argpick_pick> picks(3);
  const argpick_verified verified = ahead.verify(given, picks);
  CHECK(verified.accepted == 2 && verified.emitted == 3 && verified.node == 1);
  for (int i = 0; i < 3; i++) CHECK(picks[i].token == tokens[i]);
  CHECK(thrown([&] { ahead.verify(given, argpick::view<argpick_pick>(picks).first(2)); }) == ARGPICK_ERR_WRONG_LENGTH);
  CHECK(ahead.position() == 3);
}

void beams() {
  argpick::beam_config config;
  CHECK(config.beams == 4 && config.temperature == 1.0f);
  config.beams = 2;
  config.max_tokens = 3;
  const std::uint32_t ends[] = {3};
  auto search = argpick::beam_search::create(config, 4, ends);
  std::vector<argpick_beam_continuation> next(search.state().outputs);
  std::vector<argpick::decoder> beside;
  std::vector<argpick_decoder*> handles;
  for (int i = 0; i < 2; i++) {
    beside.push_back(argpick::decoder::create(argpick::config(), 4));
    handles.push_back(beside.back().get());
  }
  const std::vector<float> first{1.0f, 3.0f, 2.5f, -1.0f}, last{0.0f, 0.5f, 0.0f, 4.0f};
  argpick::rows one, two;
  one.add(first);
  two.add(last);
  two.add(last);
  const std::array<std::uint32_t, 1> allowed{15};
  const std::uint32_t* const masks[] = {allowed.data(), nullptr};

  argpick_beam_state state = search.step(one, next, {}, 0, handles);
  CHECK(state.live == 2 && state.ended == 0 && next[0].token == 1 && next[1].token == 2 && beside[1].position() == 1);
  std::array<std::uint32_t, 3> tokens{};
  CHECK(search.tokens(1, tokens) == next[1].score && tokens[0] == 2);
  CHECK(thrown([&] { search.step(one, next); }) == ARGPICK_ERR_WRONG_LENGTH);
  CHECK(thrown([&] { search.step(one, next, masks, 1); }) == ARGPICK_ERR_WRONG_LENGTH);
  CHECK(thrown([&] { search.best(0); }) == ARGPICK_ERR_INVALID_PARAMETER);
  state = search.step(two, next, masks, 1, handles);
  CHECK(state.ended > 0 && state.hypotheses == state.ended);
  const argpick_hypothesis best = search.best(0, tokens);
  CHECK(best.length == 2 && best.finish == ARGPICK_FINISH_END_TOKEN && tokens[0] == 1 && tokens[1] == 3);
  CHECK(search.best(0).score == best.score);

  search.reset();
  CHECK(search.state().live == 1 && search.state().hypotheses == 0);
  config.profile = ARGPICK_PROFILE_LLAMA_CPP;
  CHECK(thrown([&] { search.reset(config, ends); }) == ARGPICK_ERR_NOT_IN_PROFILE);
  config.profile = ARGPICK_PROFILE_VLLM;
  search.reset(config);
  CHECK(search.state().outputs == 2);
  alignas(ARGPICK_MEMORY_ALIGNMENT) static std::byte memory[16 * 1024];
  CHECK(argpick::beam_search::size(config, 4, ends) <= sizeof memory);
  CHECK(argpick::beam_search::create_in(memory, sizeof memory, config, 4, ends).state().outputs == 4);
}

// This library is built without the CUDA path.
void gpus() {
  constexpr argpick_status unavailable = ARGPICK_ERR_CUDA_UNAVAILABLE;
  CHECK(thrown([&] { argpick::cuda::find_devices(); }) == unavailable);
  CHECK(thrown([&] { argpick::cuda::row_of(argpick::config(), 4); }) == unavailable);
  argpick::cuda::batch batch;
  CHECK(batch.struct_size == sizeof(argpick_cuda_batch) && batch.row_count == 0);
  std::vector<argpick_cuda_row> rows(2);
  CHECK(thrown([&] { batch.plan(rows); }) == unavailable);
  CHECK(thrown([&] { batch.decode(); }) == unavailable);
  CHECK(thrown([&] { batch.decode_sparse(argpick::cuda::head(), 0); }) == unavailable);
  CHECK(thrown([&] { argpick::cuda::train_step().workspace_bytes(); }) == unavailable);
  CHECK(thrown([&] { argpick::cuda::train_step().run(); }) == unavailable);
  CHECK(thrown([&] { argpick::cuda::check(argpick_cuda_pick{}); }) == unavailable);
  CHECK(thrown([&] { argpick::cuda::check(argpick_cuda_score{}); }) == unavailable);
  CHECK(argpick::cuda::address(nullptr) == 0);
}

void heads(const std::string& folder) {
  auto trained = argpick::weights::create(4, 3);
  CHECK(trained.shape().vocab == 4 && trained.shape().features == 3);
  const std::uint32_t columns[] = {0, 2};
  const float values[] = {1.0f, 0.5f};
  const argpick::activations input(columns, values);
  std::array<float, 4> row{}, gradient{};
  const auto first = trained.train(input, 2, 0.5f, gradient);
  CHECK(std::fabs(first.loss - std::log(4.0f)) < 1e-5f && first.argmax == 0 && gradient[2] == -0.75f);
  CHECK(trained.train(input, 2, 0.5f, gradient).loss < first.loss);
  trained.logits(input, row);
  CHECK(row[2] > row[0]);
  CHECK(trained.data().matrix.size() == 12 && trained.data().bias.size() == 4 && trained.data().bias[2] > 0.0f);
  CHECK(thrown([&] { trained.logits(argpick::activations(columns, argpick::view<const float>(values, 1)), row); }) ==
        ARGPICK_ERR_WRONG_LENGTH);
  const std::uint32_t beyond[] = {3};
  CHECK(thrown([&] { trained.logits(beyond, row); }) == ARGPICK_ERR_COLUMN_OUT_OF_RANGE);
  CHECK(thrown([&] { trained.prefetch(beyond); }) == ARGPICK_ERR_COLUMN_OUT_OF_RANGE);
  trained.prefetch(columns);

  argpick::config config;
  config.mode = ARGPICK_MODE_GREEDY;
  auto decoder = argpick::decoder::create(config, 4);
  CHECK(decoder.evaluate(trained, input).token == 2 && decoder.position() == 0);
  CHECK(decoder.decode(trained, input).token == 2 && decoder.position() == 1);

  // Files, and their bytes in memory.
  std::array<float, 4> again{};
  for (const std::uint32_t format : {ARGPICK_FORMAT_NPZ, ARGPICK_FORMAT_SAFETENSORS}) {
    const std::string path = folder + (format == ARGPICK_FORMAT_NPZ ? "/head.npz" : "/head.safetensors");
    trained.save(path.c_str(), format);
    auto opened = argpick::weights::open(path.c_str(), ARGPICK_WEIGHTS_COPY);
    opened.logits(input, again);
    CHECK(std::memcmp(row.data(), again.data(), sizeof row) == 0);
    CHECK(thrown([&] { opened.train(input, 2, 0.5f, gradient); }) == ARGPICK_ERR_READ_ONLY);
    std::FILE* file = std::fopen(path.c_str(), "rb");
    CHECK(file != nullptr);
    std::vector<std::byte> bytes(1 << 16);
    bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file));
    std::fclose(file);
    again = {};
    argpick::weights::from_memory(bytes).logits(input, again);
    CHECK(std::memcmp(row.data(), again.data(), sizeof row) == 0);
    alignas(ARGPICK_MEMORY_ALIGNMENT) std::byte memory[1024];
    CHECK(argpick::weights::size() <= sizeof memory);
    again = {};
    argpick::weights::from_memory_in(memory, sizeof memory, bytes).logits(input, again);
    CHECK(std::memcmp(row.data(), again.data(), sizeof row) == 0);
  }
  CHECK(thrown([&] { argpick::weights::open((folder + "/no such file").c_str()); }) == ARGPICK_ERR_FILE);

  // The caller's arrays.
  std::vector<float> matrix(12), bias(4);
  auto borrowed = argpick::weights::from_arrays(matrix, bias);
  CHECK(borrowed.shape().features == 3);
  borrowed.train(input, 1, 0.5f, gradient);
  CHECK(bias[1] > 0.0f && matrix[1] > 0.0f && matrix[5] == 0.0f);
  alignas(ARGPICK_MEMORY_ALIGNMENT) std::byte memory[1024];
  CHECK(argpick::weights::from_arrays_in(memory, sizeof memory, matrix, bias).shape().vocab == 4);
  matrix.pop_back();
  CHECK(thrown([&] { argpick::weights::from_arrays(matrix, bias); }) == ARGPICK_ERR_WRONG_LENGTH);
  CHECK(thrown([&] { argpick::weights::from_arrays_in(memory, sizeof memory, matrix, {}); }) ==
        ARGPICK_ERR_WRONG_LENGTH);
}

}  // namespace

int main(int count, char** arguments) {
  CHECK(count == 2);
  CHECK(argpick::compatible() && argpick::version() == ARGPICK_VERSION);
  CHECK(argpick::numerics_version() == ARGPICK_NUMERICS_VERSION && std::strlen(argpick::kernel()) > 0);
  decoders();
  questions();
  sweeps();
  batches();
  drafts();
  beams();
  gpus();
  heads(arguments[1]);
  check_traces();
  const int failed = check_results(arguments[1]);
  std::printf("both ways are fine\n");
  return failed;
}
