// argpick.hpp with results: what fails says so in its value, and a program without exceptions can use all of it.
#define ARGPICK_NO_EXCEPTIONS
#include "../argpick.hpp"
#include "check.hpp"

#include <array>
#include <cmath>
#include <cstring>

int check_results(const char* folder);

int check_results(const char* folder) {
  const std::array<float, 4> logits{1.0f, 3.0f, 2.5f, -1.0f};
  argpick::config config;
  config.mode = ARGPICK_MODE_GREEDY;

  // In memory of the caller's, and too little of it.
  alignas(ARGPICK_MEMORY_ALIGNMENT) static std::byte memory[128 * 1024];
  const argpick::result<std::size_t> needed = argpick::decoder::size(config, 4);
  CHECK(needed && *needed <= sizeof memory);
  const auto refused = argpick::decoder::create_in(memory, *needed - 8, config, 4);
  CHECK(!refused && refused.error().status == ARGPICK_ERR_STORAGE_TOO_SMALL && refused.error().index == *needed);
  auto decoder = argpick::decoder::create_in(memory, sizeof memory, config, 4);
  CHECK(decoder.has_value() && decoder.error().status == ARGPICK_OK);

  const auto pick = decoder->decode(logits);
  CHECK(pick && pick->token == 1 && (*pick).argmax == 1 && pick.value().margin == 0.5f);
  const argpick::result<argpick_pick> wrong = decoder->decode(std::array<float, 3>{});
  CHECK(!wrong && wrong.error().status == ARGPICK_ERR_WRONG_LENGTH && wrong.error().index == 4);
  CHECK(wrong.error().value == 3.0 && std::strlen(wrong.error().message()) > 0);
  CHECK(std::strstr(argpick::last_error(), "argpick_decode") == argpick::last_error());
  CHECK(wrong.value_or(argpick_pick{}).token == 0);

  // Nothing to tell but whether it worked; and what the header itself refuses.
  CHECK(decoder->undo());
  CHECK(decoder->undo().error().status == ARGPICK_ERR_UNDO_TOO_FAR);
  const std::uint32_t tokens[] = {1, 2};
  const float bias[] = {1.0f};
  CHECK(decoder->set_bias(tokens, bias).error().status == ARGPICK_ERR_WRONG_LENGTH);
  CHECK(decoder->position().value() == 0);
  decoder->reset().value();

  // A handle leaves its result by a move, whole.
  argpick::decoder mine = *std::move(decoder);
  CHECK(mine && mine.vocab().value_or(0u) == 4);

  const auto none = argpick::weights::open("", 0);
  CHECK(!none && none.error().status == ARGPICK_ERR_FILE);
  auto head = argpick::weights::create(4, 2);
  CHECK(head);
  const std::uint32_t columns[] = {1};
  std::array<float, 4> gradient{};
  const auto step = head->train(columns, 3, 0.5f, gradient);
  CHECK(step && std::fabs(step->loss - std::log(4.0f)) < 1e-5f);
  CHECK(mine.decode(*head, columns)->token == 3);
  CHECK(!head->save(folder));
  CHECK(argpick::softmax(gradient));

  // A run that is written down and executed again, on the row it had and on another.
  CHECK(mine.reset());
  auto trace = argpick::trace::create(mine, ARGPICK_TRACE_NUMBERS);
  CHECK(trace && trace->note("\xff").error().status == ARGPICK_ERR_TEXT);
  CHECK(trace->prompt(mine, tokens) && trace->decode(mine, logits)->token == 1);
  CHECK(trace->decode(mine, logits).has_value());
  const auto bytes = trace->finish();
  CHECK(bytes && !bytes->empty() && trace->finish().error().status == ARGPICK_ERR_FINISHED);
  auto replay = argpick::replay::create(*bytes);
  CHECK(replay && replay->steps() == 2 && replay->is_complete() && replay->next()->token == 1);
  CHECK(replay->check(logits)->differs == 0 && replay->next()->is_there == 1);
  const auto found = replay->check(std::array<float, 4>{});
  CHECK(found && found->differs == (ARGPICK_DIFFERS_ROW | ARGPICK_DIFFERS_ANSWER));
  CHECK(found->recorded == 1.0 && found->found == 0.0);
  CHECK(std::strcmp(argpick::field_name(found->field), "token") == 0);
  CHECK(replay->next()->is_there == 0 && replay->check(logits).error().status == ARGPICK_ERR_FINISHED);
  CHECK(argpick::replay::create({}).error().status != ARGPICK_OK);

  std::array<argpick_stage, ARGPICK_MOST_STAGES> stages{};
  CHECK(*mine.explain(logits, stages) == 2 && std::strcmp(argpick::stage_name(stages[1].stage), "greedy") == 0);
  CHECK(stages[1].kept == 1 && stages[1].last_token == 1 && stages[1].last_logit == 3.0f);
  return 0;
}
