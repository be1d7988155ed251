// Traces and replays with exceptions: a run that is written down is executed again, and what differs is told. The header is
// included alone, as a program may.
#include "../argpick_trace.hpp"
#include "check.hpp"
#include "thrown.hpp"

#include <array>
#include <cmath>
#include <string>
#include <vector>

void check_traces();

namespace {

static_assert(!std::is_copy_constructible_v<argpick::trace> && std::is_nothrow_move_constructible_v<argpick::trace>);
static_assert(!std::is_copy_assignable_v<argpick::replay> && std::is_nothrow_move_assignable_v<argpick::replay>);

constexpr std::uint32_t vocab = 40;
constexpr std::uint32_t steps = 7;

std::vector<float> row_of(std::uint64_t step) {
  std::vector<float> row(vocab);
  for (std::uint32_t token = 0; token < vocab; token++) {
    row[token] = static_cast<float>((token * 7 + step * 13) % 23) * 0.25f;
  }
  // A row that is refused.
  if (step == 5) row[11] = std::nanf("");
  return row;
}

const std::vector<std::uint32_t> allowed{0x0ff0ff0f, 0x0f};

argpick::decoder new_decoder() {
  argpick::config config;
  config.seed = 9;
  config.top_p = 0.9f;
  config.repetition_penalty = 1.1f;
  config.metrics = ARGPICK_METRIC_ALL;
  return argpick::decoder::create(config, vocab);
}

// A run with every kind of record; the tokens that it picked.
std::vector<std::uint32_t> run(argpick::trace& trace, argpick::decoder& decoder) {
  const std::uint32_t prompt[] = {1, 2, 3}, banned[] = {13, 5}, biased[] = {7, 8};
  const float biases[] = {4.0f, -2.0f};
  std::vector<std::uint32_t> tokens;
  trace.note("a run");
  trace.note({});
  const float fresh = decoder.probability_of(row_of(0), 3);
  trace.prompt(decoder, prompt);
  CHECK(decoder.probability_of(row_of(0), 3) < fresh);
  const float before = decoder.probability_of(row_of(0), 7);
  CHECK(decoder.probability_of(row_of(0), 13) > 0.0f);
  trace.set_bans(decoder, banned);
  trace.set_bias(decoder, biased, biases);
  CHECK(decoder.probability_of(row_of(0), 7) > before && decoder.probability_of(row_of(0), 13) == 0.0f);
  tokens.push_back(trace.decode(decoder, row_of(0)).token);
  tokens.push_back(trace.decode(decoder, row_of(1), allowed).token);
  CHECK(decoder.position() == 2);
  trace.accept(decoder, banned);
  trace.undo(decoder);
  CHECK(decoder.position() == 3);
  trace.undo(decoder, 2);
  CHECK(decoder.position() == 1);
  tokens.push_back(trace.evaluate(decoder, row_of(2), allowed).token);
  CHECK(decoder.position() == 1);
  trace.seek(decoder, 1000);
  tokens.push_back(trace.decode(decoder, row_of(3)).token);
  CHECK(decoder.position() == 1001);
  decoder.set_bans({});  // behind the trace's back
  trace.state(decoder);
  tokens.push_back(trace.decode(decoder, row_of(4)).token);
  CHECK(thrown([&] { trace.decode(decoder, row_of(5)); }) == ARGPICK_ERR_INVALID_LOGIT);
  tokens.push_back(UINT32_MAX);
  trace.reset(decoder);
  CHECK(decoder.position() == 0);
  argpick::config config;
  config.seed = 10;
  config.top_k = 5;
  config.metrics = ARGPICK_METRIC_KEPT;
  trace.reset(decoder, config);
  const argpick_pick last = trace.decode(decoder, row_of(6));
  CHECK(last.kept == 5);
  tokens.push_back(last.token);
  CHECK(thrown([&] { trace.set_bias(decoder, biased, argpick::view<const float>(biases, 1)); }) ==
        ARGPICK_ERR_WRONG_LENGTH);
  return tokens;
}

// The bytes of tokens are recorded: the replay ends where the run ended.
void texts() {
  auto decoder = new_decoder();
  const std::uint32_t whole[] = {3};
  decoder.set_stop_strings(argpick::view<const char>("END", 3), whole);
  auto trace = argpick::trace::create(decoder);
  trace.decode(decoder, row_of(0));
  CHECK(trace.push_bytes(decoder, argpick::view<const char>("an E", 4)).held_back == 1);
  const auto found = trace.push_bytes(decoder, argpick::view<const char>("ND", 2));
  CHECK(found.stop == 0 && found.held_back == 3 && decoder.finish() == ARGPICK_FINISH_STOP);
  CHECK(thrown([&] { trace.decode(decoder, row_of(1)); }) == ARGPICK_ERR_FINISHED);
  auto replay = argpick::replay::create(trace.finish());
  CHECK(replay.next().status == ARGPICK_OK && replay.check(row_of(0)).differs == 0);
  CHECK(replay.next().status == ARGPICK_ERR_FINISHED && replay.check(row_of(1)).differs == 0);
}

void recorded_and_replayed() {
  auto decoder = new_decoder();
  auto trace = argpick::trace::create(decoder);
  const std::vector<std::uint32_t> tokens = run(trace, decoder);
  const argpick::view<const std::byte> bytes = trace.finish();
  CHECK(tokens.size() == steps && !bytes.empty());
  CHECK(thrown([&] { trace.finish(); }) == ARGPICK_ERR_FINISHED);
  CHECK(thrown([&] { trace.decode(decoder, row_of(0)); }) == ARGPICK_ERR_FINISHED && decoder.position() == 1);

  // The bytes go with the handle.
  const argpick::trace moved = std::move(trace);
  CHECK(moved && !trace);
  CHECK(thrown([&] { trace.note("nobody there"); }) == ARGPICK_ERR_NULL);

  auto replay = argpick::replay::create(bytes);
  CHECK(replay.steps() == steps && replay.is_complete());
  std::uint64_t seen = 0;
  for (argpick_step_record step = replay.next(); step.is_there; step = replay.next()) {
    CHECK(step.step == seen && step.token == tokens[seen] && replay.next().row_digest == step.row_digest);
    CHECK(((step.flags & ARGPICK_STEP_RECORDED) == 0) == (seen == 2));
    CHECK(((step.flags & ARGPICK_STEP_MASK_RECORDED) != 0) == (seen == 1 || seen == 2));
    CHECK(step.status == (seen == 5 ? ARGPICK_ERR_INVALID_LOGIT : ARGPICK_OK));
    // The mask is in the trace; given again it is the same.
    const argpick_difference found = seen == 1 ? replay.check(row_of(seen), allowed) : replay.check(row_of(seen));
    CHECK(found.differs == 0 && found.field == 0 && found.step == seen);
    seen++;
  }
  CHECK(seen == steps);
  CHECK(thrown([&] { replay.check(row_of(0)); }) == ARGPICK_ERR_FINISHED);

  // What was done without the trace, a decoder of its own, does the same.
  auto twin = new_decoder();
  std::vector<std::byte> taken;
  auto sink = [&taken](argpick::view<const std::byte> more) {
    taken.insert(taken.end(), more.begin(), more.end());
    return 0;
  };
  auto streamed = argpick::trace::create_into(sink, twin);
  CHECK(run(streamed, twin) == tokens);
  CHECK(streamed.finish().empty());
  CHECK(taken == std::vector<std::byte>(bytes.begin(), bytes.end()));

  // What is cut off runs up to there; what is damaged does not run.
  std::vector<std::byte> cut(taken.begin(), taken.end() - 1);
  CHECK(!argpick::replay::create(cut).is_complete());
  taken.back() ^= std::byte{1};
  CHECK(thrown([&] { argpick::replay::create(taken); }) == ARGPICK_ERR_FILE_MALFORMED);

  // A sink that has no room does not disturb the run.
  std::size_t room = 900;
  auto narrow = [&room](argpick::view<const std::byte> more) {
    if (more.size() > room) return 28;
    room -= more.size();
    return 0;
  };
  twin = new_decoder();
  auto ended = argpick::trace::create_into(narrow, twin, 0);
  CHECK(run(ended, twin) == tokens);
  try {
    static_cast<void>(ended.finish());
    CHECK(!"a trace that lacks its end was finished");
  } catch (const argpick::exception& error) {
    CHECK(error.status() == ARGPICK_ERR_FILE && error.why().value == 28.0);
  }
  CHECK(thrown([&] { argpick::trace::create(twin, ARGPICK_TRACE_ALL + 1); }) == ARGPICK_ERR_RESERVED);
}

void differences() {
  argpick::config config;
  config.mode = ARGPICK_MODE_GREEDY;
  auto decoder = argpick::decoder::create(config, vocab);
  auto trace = argpick::trace::create(decoder, ARGPICK_TRACE_NUMBERS);
  const std::uint32_t token = trace.decode(decoder, row_of(0)).token;
  trace.decode(decoder, row_of(1), allowed);
  auto replay = argpick::replay::create(trace.finish());

  // A row with another argmax.
  const argpick_step_record step = replay.next();
  CHECK(thrown([&] { replay.check(std::vector<float>(vocab - 1)); }) == ARGPICK_ERR_WRONG_LENGTH);
  std::vector<float> changed = row_of(0);
  const std::uint32_t other = (token + 1) % vocab;
  changed[other] = 100.0f;
  argpick_difference found = replay.check(changed);
  CHECK(found.differs == (ARGPICK_DIFFERS_ROW | ARGPICK_DIFFERS_ANSWER) && found.step == 0);
  CHECK(found.recorded_row == step.row_digest && found.found_row != step.row_digest);
  CHECK(std::string(argpick::field_name(found.field)) == "token");
  CHECK(found.recorded == token && found.found == other);
  CHECK(std::string(argpick::field_name(0)).empty() && std::string(argpick::field_name(1000)).empty());

  // Another mask than the one that was recorded, which is not in this trace. Other logits take part then: another row.
  CHECK(replay.next().flags == (ARGPICK_STEP_RECORDED | ARGPICK_STEP_MASK));
  found = replay.check(row_of(1), std::vector<std::uint32_t>{0xffffffff, 0x0f});
  CHECK((found.differs & ARGPICK_DIFFERS_MASK) && (found.differs & ARGPICK_DIFFERS_ROW));
  CHECK(found.found_mask != found.recorded_mask && found.step == 1 && found.position == 1);
  CHECK(replay.next().is_there == 0);
}

void heads() {
  auto head = argpick::weights::create(vocab, 3);
  for (std::size_t i = 0; i < 3 * vocab; i++) head.data().matrix[i] = static_cast<float>(i * 29 % 31) * 0.125f;
  auto decoder = new_decoder(), plain = new_decoder();
  auto trace = argpick::trace::create(decoder);
  const std::uint32_t columns[] = {0, 2};
  const float values[] = {1.0f, 0.5f};
  const argpick::activations weighted(columns, values);
  const argpick_pick first = trace.decode(decoder, head, columns), second = trace.decode(decoder, head, weighted, allowed);
  CHECK(decoder.position() == 2);
  // The same as without a trace, to the bit.
  CHECK(plain.decode(head, columns).entropy == first.entropy);
  CHECK(plain.decode(head, weighted, allowed).entropy == second.entropy && first.entropy != second.entropy);
  CHECK(thrown([&] {
          trace.decode(decoder, head, argpick::activations(columns, argpick::view<const float>(values, 1)));
        }) == ARGPICK_ERR_WRONG_LENGTH);
  // Without recording in the decoder; and a row that the host writes itself.
  CHECK(trace.evaluate(decoder, head, columns).entropy == decoder.evaluate(head, columns).entropy);
  CHECK(decoder.position() == 2);
  CHECK(thrown([&] {
          trace.evaluate(decoder, head, argpick::activations(columns, argpick::view<const float>(values, 1)));
        }) == ARGPICK_ERR_WRONG_LENGTH);
  CHECK(thrown([&] { trace.columns(argpick::activations(columns, argpick::view<const float>(values, 1))); }) ==
        ARGPICK_ERR_WRONG_LENGTH);
  std::vector<float> row(vocab);
  head.logits(weighted, row);
  trace.columns(weighted);
  trace.decode(decoder, row, allowed);
  CHECK(decoder.position() == 3);
  const argpick::view<const std::byte> bytes = trace.finish();
  for (const bool changed : {false, true}) {
    if (changed) head.data().bias[0] += 1.0f;
    auto replay = argpick::replay::create(bytes);
    CHECK(replay.steps() == 4 && replay.vocab() == vocab);
    for (int i = 0; i < 4; i++) {
      CHECK(replay.next().flags & ARGPICK_STEP_COLUMNS);
      const argpick_difference found = replay.check(head);
      CHECK(((found.differs & ARGPICK_DIFFERS_ROW) != 0) == changed && (changed || found.differs == 0));
    }
    // The decoder as the trace leaves it can be asked, and goes on alone.
    auto copy = replay.copy();
    CHECK(copy.position() == 3 && copy.config().seed == 9 && copy.config().repetition_penalty == 1.1f);
    std::vector<std::uint32_t> held(8), known(8);
    CHECK(copy.history(held) == 3 && decoder.history(known) == 3 && copy.history({}) == 3);
    CHECK(changed || held == known);
    copy.decode(row);
    CHECK(copy.position() == 4 && replay.copy().position() == 3);
  }
}

}  // namespace

void check_traces() {
  recorded_and_replayed();
  texts();
  differences();
  heads();
}
