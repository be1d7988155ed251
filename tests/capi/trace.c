/* A run recorded and executed again, from C. */
#include "check.h"

enum { VOCAB = 130, STEPS = 12, WORDS = (VOCAB + 31) / 32 };

static float rows[STEPS][VOCAB];

static argpick_step_record fresh_step(void) {
  argpick_step_record step;
  memset(&step, 0x5a, sizeof step);
  step.struct_size = sizeof step;
  return step;
}

static argpick_difference fresh_difference(void) {
  argpick_difference difference;
  memset(&difference, 0x5a, sizeof difference);
  difference.struct_size = sizeof difference;
  return difference;
}

struct sink {
  uint8_t bytes[20000];
  size_t used, room;
};

static int32_t put(void *context, const void *bytes, size_t size) {
  struct sink *sink = context;
  if (size > sink->room - sink->used) return 28;
  memcpy(sink->bytes + sink->used, bytes, size);
  sink->used += size;
  return 0;
}

static argpick_config run_config(void) {
  argpick_config config = default_config();
  config.seed = 9;
  config.top_p = 0.9f;
  config.metrics = ARGPICK_METRIC_ALL;
  return config;
}

/* A run with every kind of record; the tokens it picked. */
static void run(argpick_trace *trace, argpick_decoder *decoder, uint32_t *tokens) {
  const uint32_t prompt[] = {1, 2, 3}, banned[] = {4, 5}, biased[] = {7, 8}, accepted[] = {6};
  const float biases[] = {2.5f, -INFINITY};
  uint32_t mask[WORDS];
  memset(mask, 0xf7, sizeof mask);
  OK(argpick_trace_note(trace, "a run", 5));
  OK(argpick_trace_prompt(trace, decoder, prompt, 3));
  OK(argpick_trace_set_bans(trace, decoder, banned, 2));
  OK(argpick_trace_set_bias(trace, decoder, biased, biases, 2));
  for (int i = 0; i < STEPS; i++) {
    argpick_pick pick = fresh_pick();
    if (i == 3) OK(argpick_trace_accept(trace, decoder, accepted, 1));
    if (i == 4) OK(argpick_trace_undo(trace, decoder, 2));
    if (i == 5) OK(argpick_trace_seek(trace, decoder, 1000));
    if (i == 6) {
      argpick_config next = run_config();
      next.stream = 1;
      next.top_k = 100;
      next.history_capacity = 9000; /* more memory than before */
      OK(argpick_trace_reset(trace, decoder, &next));
    }
    if (i == 7) OK(argpick_trace_reset(trace, decoder, NULL));
    if (i == 8) {
      OK(argpick_decoder_set_bans(decoder, banned, 1)); /* behind the trace's back */
      OK(argpick_trace_state(trace, decoder));
    }
    if (i == 9) {
      float bad[VOCAB];
      memcpy(bad, rows[i], sizeof bad);
      bad[20] = NAN;
      ANSWERS(ARGPICK_ERR_INVALID_LOGIT, argpick_trace_decode(trace, decoder, bad, ARGPICK_F32, VOCAB, NULL, 0, &pick));
      CHECK(is_fresh(&pick));
    }
    if (i % 4 == 1) {
      OK(argpick_trace_evaluate(trace, decoder, rows[i], ARGPICK_F32, VOCAB, mask, WORDS, &pick));
    } else {
      OK(argpick_trace_decode(trace, decoder, rows[i], ARGPICK_F32, VOCAB, i % 3 ? NULL : mask, i % 3 ? 0 : WORDS, &pick));
    }
    tokens[i] = pick.token;
  }
}

/* The row of a step: the tenth step is the one that was refused. */
static const float *row_of_step(uint64_t step, float *bad) {
  if (step == 9) {
    memcpy(bad, rows[9], sizeof rows[9]);
    bad[20] = NAN;
    return bad;
  }
  return rows[step > 9 ? step - 1 : step];
}

static void replays(const void *bytes, size_t size, const uint32_t *tokens) {
  argpick_replay *replay = NULL;
  uint64_t steps = 0;
  uint32_t complete = 0;
  float bad[VOCAB];
  OK(argpick_replay_new(bytes, size, &steps, &complete, &replay));
  CHECK(steps == STEPS + 1 && complete == 1);
  uint32_t vocab = 0;
  OK(argpick_replay_vocab(replay, &vocab));
  CHECK(vocab == VOCAB);
  for (;;) {
    argpick_step_record step = fresh_step(), again = fresh_step();
    argpick_difference difference = fresh_difference();
    OK(argpick_replay_next(replay, &step));
    OK(argpick_replay_next(replay, &again));
    CHECK(memcmp(&step, &again, sizeof step) == 0);
    if (!step.is_there) break;
    if (step.step == 4) {
      /* The decoder as it was before this step: the prompt, three tokens picked, one accepted, two taken back again. */
      argpick_decoder *copy = NULL;
      argpick_config config;
      const uint32_t expected[] = {1, 2, 3, tokens[0], tokens[2]};
      uint32_t history[8];
      size_t held = 0;
      uint64_t position = 0;
      argpick_pick pick = fresh_pick();
      OK(argpick_replay_decoder(replay, &copy));
      config.struct_size = sizeof config;
      OK(argpick_decoder_config(copy, &config));
      CHECK(config.seed == 9 && config.top_p == 0.9f && config.metrics == ARGPICK_METRIC_ALL && config.top_k == 0);
      OK(argpick_decoder_history(copy, history, 8, &held));
      CHECK(held == 5 && memcmp(history, expected, sizeof expected) == 0);
      OK(argpick_decoder_position(copy, &position));
      CHECK(position == step.position);
      OK(argpick_decode(copy, rows[4], ARGPICK_F32, VOCAB, NULL, 0, &pick));
      CHECK(pick.token == step.token);
      argpick_decoder_free(copy);
    }
    if (step.step == 9) {
      CHECK(step.status == ARGPICK_ERR_INVALID_LOGIT && step.token == UINT32_MAX);
    } else {
      CHECK(step.status == ARGPICK_OK && step.token == tokens[step.step > 9 ? step.step - 1 : step.step]);
    }
    OK(argpick_replay_check(replay, row_of_step(step.step, bad), ARGPICK_F32, VOCAB, NULL, 0, &difference));
    CHECK(difference.differs == 0 && difference.step == step.step && difference.field == 0);
    CHECK(difference.position == step.position);
    steps--;
  }
  CHECK(steps == 0);
  argpick_difference difference = fresh_difference();
  ANSWERS(ARGPICK_ERR_FINISHED, argpick_replay_check(replay, rows[0], ARGPICK_F32, VOCAB, NULL, 0, &difference));
  argpick_replay_free(replay);
}

static void recorded_and_replayed(void) {
  static struct sink sink;
  argpick_config config = run_config();
  uint32_t tokens[STEPS], same[STEPS];
  argpick_trace *trace = NULL;
  argpick_decoder *decoder = new_decoder(&config, VOCAB);
  OK(argpick_trace_new(decoder, ARGPICK_TRACE_ALL, NULL, NULL, &trace));
  run(trace, decoder, tokens);
  const void *bytes = NULL;
  size_t size = 0;
  OK(argpick_trace_finish(trace, &bytes, &size));
  CHECK(bytes != NULL && size > 500);
  replays(bytes, size, tokens);

  /* What has ended takes nothing more, and changes nothing. */
  uint64_t before = 0, after = 0;
  argpick_pick pick = fresh_pick();
  OK(argpick_decoder_position(decoder, &before));
  ANSWERS(ARGPICK_ERR_FINISHED, argpick_trace_decode(trace, decoder, rows[0], ARGPICK_F32, VOCAB, NULL, 0, &pick));
  SAYS("this trace has ended");
  ANSWERS(ARGPICK_ERR_FINISHED, argpick_trace_finish(trace, &bytes, &size));
  OK(argpick_decoder_position(decoder, &after));
  CHECK(before == after && is_fresh(&pick));

  /* The same through a function of the host's. */
  argpick_trace *other = NULL;
  argpick_decoder *twin = new_decoder(&config, VOCAB);
  sink.room = sizeof sink.bytes;
  OK(argpick_trace_new(twin, ARGPICK_TRACE_ALL, put, &sink, &other));
  run(other, twin, same);
  const void *none = &sink;
  size_t nothing = 1;
  OK(argpick_trace_finish(other, &none, &nothing));
  CHECK(none == NULL && nothing == 0);
  CHECK(sink.used == size && memcmp(sink.bytes, bytes, size) == 0 && memcmp(tokens, same, sizeof tokens) == 0);
  argpick_trace_free(other);
  argpick_decoder_free(twin);

  /* A sink that fails does not disturb the run. */
  twin = new_decoder(&config, VOCAB);
  sink.used = 0;
  sink.room = 900;
  OK(argpick_trace_new(twin, 0, put, &sink, &other));
  run(other, twin, same);
  CHECK(memcmp(tokens, same, sizeof tokens) == 0);
  ANSWERS(ARGPICK_ERR_FILE, argpick_trace_finish(other, &none, &nothing));
  check_detail(ARGPICK_ERR_FILE, UINT64_MAX, 28);
  argpick_replay *replay = NULL;
  uint32_t complete = 7;
  OK(argpick_replay_new(sink.bytes, sink.used, NULL, &complete, &replay));
  CHECK(complete == 0);
  argpick_replay_free(replay);
  argpick_trace_free(other);
  argpick_decoder_free(twin);

  /* Damage is seen before anything runs. */
  uint8_t *damaged = malloc(size);
  CHECK(damaged != NULL);
  memcpy(damaged, bytes, size);
  damaged[size - 1] ^= 1;
  replay = NULL;
  ANSWERS(ARGPICK_ERR_FILE_MALFORMED, argpick_replay_new(damaged, size, NULL, NULL, &replay));
  SAYS("checksum");
  CHECK(replay == NULL);
  free(damaged);
  argpick_trace_free(trace);
  argpick_decoder_free(decoder);
  argpick_trace_free(NULL);
  argpick_replay_free(NULL);
}

static void differences(void) {
  argpick_config config = run_config();
  config.mode = ARGPICK_MODE_GREEDY;
  argpick_decoder *decoder = new_decoder(&config, VOCAB);
  argpick_trace *trace = NULL;
  OK(argpick_trace_new(decoder, ARGPICK_TRACE_NUMBERS, NULL, NULL, &trace));
  argpick_pick pick = fresh_pick();
  OK(argpick_trace_decode(trace, decoder, rows[0], ARGPICK_F32, VOCAB, NULL, 0, &pick));
  OK(argpick_trace_decode(trace, decoder, rows[1], ARGPICK_F32, VOCAB, NULL, 0, &pick));
  const void *bytes = NULL;
  size_t size = 0;
  OK(argpick_trace_finish(trace, &bytes, &size));
  argpick_replay *replay = NULL;
  OK(argpick_replay_new(bytes, size, NULL, NULL, &replay));
  argpick_step_record step = fresh_step();
  argpick_difference found = fresh_difference();
  OK(argpick_replay_next(replay, &step));
  CHECK(step.flags == ARGPICK_STEP_RECORDED && step.mask_digest == 0);

  /* Bad arguments change nothing. */
  found.struct_size = 12;
  ANSWERS(ARGPICK_ERR_STRUCT_SIZE, argpick_replay_check(replay, rows[0], ARGPICK_F32, VOCAB, NULL, 0, &found));
  found.struct_size = sizeof found;
  ANSWERS(ARGPICK_ERR_WRONG_LENGTH, argpick_replay_check(replay, rows[0], ARGPICK_F32, VOCAB - 1, NULL, 0, &found));
  ANSWERS(ARGPICK_ERR_NULL, argpick_replay_check(replay, NULL, ARGPICK_F32, VOCAB, NULL, 0, &found));
  ANSWERS(ARGPICK_ERR_NULL, argpick_replay_check(NULL, rows[0], ARGPICK_F32, VOCAB, NULL, 0, &found));
  ANSWERS(ARGPICK_ERR_NULL, argpick_replay_next(replay, NULL));

  /* Another row with another argmax. */
  float changed[VOCAB];
  memcpy(changed, rows[0], sizeof changed);
  changed[(pick.argmax + 1) % VOCAB] = 100.0f;
  OK(argpick_replay_check(replay, changed, ARGPICK_F32, VOCAB, NULL, 0, &found));
  CHECK(found.differs == (ARGPICK_DIFFERS_ROW | ARGPICK_DIFFERS_ANSWER) && found.step == 0);
  CHECK(found.recorded_row == step.row_digest && found.found_row != found.recorded_row);
  CHECK(strcmp(argpick_field_name(found.field), "token") == 0);
  CHECK(found.recorded == step.token && found.found == (pick.argmax + 1) % VOCAB);
  CHECK(strcmp(argpick_field_name(0), "") == 0 && strcmp(argpick_field_name(1000), "") == 0);

  /* A mask where there was none. */
  uint32_t mask[WORDS];
  memset(mask, 0xff, sizeof mask);
  mask[0] ^= 1;
  OK(argpick_replay_next(replay, &step));
  OK(argpick_replay_check(replay, rows[1], ARGPICK_F32, VOCAB, mask, WORDS, &found));
  CHECK(found.differs & ARGPICK_DIFFERS_MASK);
  argpick_replay_free(replay);
  argpick_trace_free(trace);

  trace = NULL;
  ANSWERS(ARGPICK_ERR_RESERVED, argpick_trace_new(decoder, 8, NULL, NULL, &trace));
  ANSWERS(ARGPICK_ERR_NULL, argpick_trace_new(NULL, 0, NULL, NULL, &trace));
  ANSWERS(ARGPICK_ERR_NULL, argpick_trace_new(decoder, 0, NULL, NULL, NULL));
  ANSWERS(ARGPICK_ERR_NULL, argpick_trace_finish(NULL, &bytes, &size));
  ANSWERS(ARGPICK_ERR_NULL, argpick_replay_new(NULL, 0, NULL, NULL, &replay));
  ANSWERS(ARGPICK_ERR_FILE_MALFORMED, argpick_replay_new("APKT", 4, NULL, NULL, &replay));
  CHECK(trace == NULL);
  OK(argpick_trace_new(decoder, 0, NULL, NULL, &trace));
  ANSWERS(ARGPICK_ERR_NULL, argpick_trace_prompt(trace, NULL, NULL, 0));
  ANSWERS(ARGPICK_ERR_TEXT, argpick_trace_note(trace, "\xff", 1));
  argpick_trace_free(trace);
  argpick_decoder_free(decoder);
}

static void sparse(void) {
  enum { FEATURES = 6 };
  static float weights_data[FEATURES * VOCAB], bias[VOCAB];
  argpick_weights *weights = NULL;
  OK(argpick_weights_new(VOCAB, FEATURES, &weights));
  float *columns_at = NULL, *bias_at = NULL;
  fill_row(weights_data, FEATURES * VOCAB, 77);
  fill_row(bias, VOCAB, 78);
  OK(argpick_weights_arrays(weights, &columns_at, &bias_at));
  memcpy(columns_at, weights_data, sizeof weights_data);
  memcpy(bias_at, bias, sizeof bias);
  argpick_config config = run_config();
  argpick_decoder *decoder = new_decoder(&config, VOCAB);
  argpick_trace *trace = NULL;
  OK(argpick_trace_new(decoder, ARGPICK_TRACE_ALL, NULL, NULL, &trace));
  for (uint32_t i = 0; i < STEPS; i++) {
    const uint32_t columns[] = {i % FEATURES, (i + 2) % FEATURES};
    const float values[] = {0.5f, 2.0f};
    argpick_pick pick = fresh_pick();
    uint64_t before = 0, after = 0;
    OK(argpick_decoder_position(decoder, &before));
    if (i % 3 == 1) {
      OK(argpick_trace_evaluate_sparse(trace, decoder, weights, columns, i % 2 ? values : NULL, 2, NULL, 0, &pick));
    } else if (i % 3 == 2) {
      /* A host that writes the row itself, and says what made it. */
      float row[VOCAB];
      OK(argpick_logits(weights, columns, i % 2 ? values : NULL, 2, row, VOCAB));
      OK(argpick_trace_columns(trace, columns, i % 2 ? values : NULL, 2));
      OK(argpick_trace_decode(trace, decoder, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
    } else {
      OK(argpick_trace_decode_sparse(trace, decoder, weights, columns, i % 2 ? values : NULL, 2, NULL, 0, &pick));
    }
    OK(argpick_decoder_position(decoder, &after));
    CHECK(after - before == (i % 3 != 1) && pick.token < VOCAB);
  }
  const void *bytes = NULL;
  size_t size = 0;
  OK(argpick_trace_finish(trace, &bytes, &size));
  for (int changed = 0; changed < 2; changed++) {
    argpick_replay *replay = NULL;
    uint64_t differing = 0;
    OK(argpick_replay_new(bytes, size, NULL, NULL, &replay));
    for (int i = 0; i < STEPS; i++) {
      argpick_step_record step = fresh_step();
      argpick_difference found = fresh_difference();
      OK(argpick_replay_next(replay, &step));
      CHECK(step.is_there && (step.flags & ARGPICK_STEP_COLUMNS));
      CHECK(!(step.flags & ARGPICK_STEP_RECORDED) == (i % 3 == 1));
      OK(argpick_replay_check_sparse(replay, weights, NULL, 0, &found));
      differing += (found.differs & ARGPICK_DIFFERS_ROW) != 0;
    }
    CHECK(changed ? differing == STEPS : differing == 0);
    argpick_replay_free(replay);
    bias_at[VOCAB - 1] += 1.0f;
  }
  argpick_trace_free(trace);
  argpick_decoder_free(decoder);
  argpick_weights_free(weights);
}

/* The bytes of tokens are recorded: the replay ends where the run ended, and goes on where it went on. */
static void texts(void) {
  argpick_config config = run_config();
  argpick_decoder *decoder = new_decoder(&config, VOCAB);
  argpick_trace *trace = NULL;
  static const uint32_t lengths[] = {3, 2};
  OK(argpick_decoder_set_stop_strings(decoder, "ENDab", 5, lengths, 2));
  OK(argpick_trace_new(decoder, ARGPICK_TRACE_ALL, NULL, NULL, &trace));
  argpick_pick pick = fresh_pick();
  uint32_t stop = 77;
  size_t held = 77;
  OK(argpick_trace_decode(trace, decoder, rows[0], ARGPICK_F32, VOCAB, NULL, 0, &pick));
  OK(argpick_trace_push_bytes(trace, decoder, "the E", 5, &stop, &held));
  CHECK(stop == ARGPICK_NO_STOP && held == 1);
  OK(argpick_trace_decode(trace, decoder, rows[1], ARGPICK_F32, VOCAB, NULL, 0, &pick));
  OK(argpick_trace_push_bytes(trace, decoder, "ND.", 3, &stop, &held));
  CHECK(stop == 0 && held == 4);
  ANSWERS(ARGPICK_ERR_FINISHED, argpick_trace_decode(trace, decoder, rows[2], ARGPICK_F32, VOCAB, NULL, 0, &pick));
  OK(argpick_trace_undo(trace, decoder, 1));
  OK(argpick_trace_push_bytes(trace, decoder, NULL, 0, &stop, &held));
  CHECK(stop == ARGPICK_NO_STOP && held == 1);
  OK(argpick_trace_decode(trace, decoder, rows[2], ARGPICK_F32, VOCAB, NULL, 0, &pick));
  ANSWERS(ARGPICK_ERR_NULL, argpick_trace_push_bytes(NULL, decoder, "a", 1, &stop, &held));
  ANSWERS(ARGPICK_ERR_NULL, argpick_trace_push_bytes(trace, NULL, "a", 1, &stop, &held));
  ANSWERS(ARGPICK_ERR_NULL, argpick_trace_push_bytes(trace, decoder, NULL, 1, &stop, &held));
  ANSWERS(ARGPICK_ERR_NULL, argpick_trace_push_bytes(trace, decoder, "a", 1, NULL, &held));
  ANSWERS(ARGPICK_ERR_NULL, argpick_trace_push_bytes(trace, decoder, "a", 1, &stop, NULL));
  const void *bytes = NULL;
  size_t size = 0;
  uint64_t steps = 0;
  OK(argpick_trace_finish(trace, &bytes, &size));
  ANSWERS(ARGPICK_ERR_FINISHED, argpick_trace_push_bytes(trace, decoder, "ab", 2, &stop, &held));
  CHECK(stop == ARGPICK_NO_STOP && held == 1);

  argpick_replay *replay = NULL;
  OK(argpick_replay_new(bytes, size, &steps, NULL, &replay));
  CHECK(steps == 4);
  for (uint64_t i = 0; i < steps; i++) {
    argpick_step_record step = fresh_step();
    argpick_difference found = fresh_difference();
    OK(argpick_replay_next(replay, &step));
    CHECK(step.status == (i == 2 ? ARGPICK_ERR_FINISHED : ARGPICK_OK));
    OK(argpick_replay_check(replay, rows[i == 3 ? 2 : i], ARGPICK_F32, VOCAB, NULL, 0, &found));
    CHECK(found.differs == 0);
  }
  argpick_replay_free(replay);
  argpick_trace_free(trace);
  argpick_decoder_free(decoder);
}

static void explained(void) {
  argpick_config config = run_config();
  config.top_k = 20;
  config.min_p = 0.5f;
  argpick_decoder *decoder = new_decoder(&config, VOCAB);
  argpick_stage stages[ARGPICK_MOST_STAGES];
  argpick_candidate kept[VOCAB];
  size_t found = 0, count = 0;
  OK(argpick_explain(decoder, rows[0], ARGPICK_F32, VOCAB, NULL, 0, stages, ARGPICK_MOST_STAGES, &found));
  const char *names[] = {"row", "top_k", "top_p", "min_p"};
  CHECK(found == 4);
  for (size_t i = 0; i < found; i++) {
    CHECK(strcmp(argpick_stage_name(stages[i].stage), names[i]) == 0);
    CHECK(i == 0 || stages[i].kept <= stages[i - 1].kept);
  }
  CHECK(stages[0].kept == VOCAB && isnan(stages[0].parameter) && stages[1].kept == 20 && stages[1].parameter == 20.0);
  OK(argpick_kept(decoder, rows[0], ARGPICK_F32, VOCAB, NULL, 0, kept, VOCAB, &count));
  CHECK(stages[3].kept == count);
  for (size_t i = 0; i < count; i++) CHECK(kept[i].logit >= stages[3].last_logit && kept[i].logit <= stages[3].first_logit);
  OK(argpick_explain(decoder, rows[0], ARGPICK_F32, VOCAB, NULL, 0, NULL, 0, &found));
  CHECK(found == 4 && strcmp(argpick_stage_name(999), "") == 0);
  ANSWERS(ARGPICK_ERR_NULL, argpick_explain(decoder, rows[0], ARGPICK_F32, VOCAB, NULL, 0, NULL, 1, &found));
  ANSWERS(ARGPICK_ERR_NULL, argpick_explain(decoder, rows[0], ARGPICK_F32, VOCAB, NULL, 0, stages, 1, NULL));
  ANSWERS(ARGPICK_ERR_WRONG_LENGTH, argpick_explain(decoder, rows[0], ARGPICK_F32, 1, NULL, 0, stages, 1, &found));
  argpick_decoder_free(decoder);
}

int main(void) {
  for (int i = 0; i < STEPS; i++) fill_row(rows[i], VOCAB, 500 + (uint64_t)i);
  recorded_and_replayed();
  differences();
  sparse();
  texts();
  explained();
  puts("trace: passed");
  return 0;
}
