/* What can be set on a decoder, why a sequence ends, and that all of it is undone, cloned and saved. */
#include "check.h"

enum { VOCAB = 40 };

static float row[VOCAB];

static argpick_decoder *greedy(argpick_config *config) {
  config->mode = ARGPICK_MODE_GREEDY;
  return new_decoder(config, VOCAB);
}

/* A row whose best token is this one. */
static argpick_pick picked(argpick_decoder *decoder, uint32_t best) {
  argpick_pick pick = fresh_pick();
  float favoured[VOCAB];
  memcpy(favoured, row, sizeof row);
  favoured[best] = 50.0f;
  OK(argpick_decode(decoder, favoured, ARGPICK_F32, VOCAB, NULL, 0, &pick));
  return pick;
}

static uint32_t finish_of(const argpick_decoder *decoder) {
  uint32_t finish = 99;
  OK(argpick_decoder_finish(decoder, &finish));
  return finish;
}

static void ends(void) {
  argpick_config config = default_config();
  config.min_tokens = 2;
  config.max_tokens = 8;
  config.loop_repeats = 3;
  config.metrics = ARGPICK_METRIC_LOOP;
  argpick_decoder *decoder = greedy(&config);
  static const uint32_t end_tokens[2] = {7, 9}, stops[5] = {1, 2, 3, 5, 4}, lengths[2] = {3, 2};
  OK(argpick_decoder_set_end_tokens(decoder, end_tokens, 2));
  OK(argpick_decoder_set_stops(decoder, stops, 5, lengths, 2));

  /* Not before two tokens. */
  argpick_pick pick = picked(decoder, 7);
  CHECK(pick.token != 7 && pick.finish == ARGPICK_FINISH_NONE);
  pick = picked(decoder, 20);
  CHECK(pick.token == 20);
  pick = picked(decoder, 7);
  CHECK(pick.token == 7 && pick.finish == ARGPICK_FINISH_END_TOKEN && finish_of(decoder) == ARGPICK_FINISH_END_TOKEN);
  ANSWERS(ARGPICK_ERR_FINISHED, argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
  ANSWERS(ARGPICK_ERR_FINISHED, argpick_decoder_accept(decoder, stops, 1));
  OK(argpick_decoder_undo(decoder, 1));
  CHECK(finish_of(decoder) == ARGPICK_FINISH_NONE);

  /* A stop, in the middle of accepted tokens and at their end. */
  static const uint32_t through[3] = {5, 4, 1};
  ANSWERS(ARGPICK_ERR_FINISHED, argpick_decoder_accept(decoder, through, 3));
  OK(argpick_decoder_accept(decoder, stops, 2));
  CHECK(picked(decoder, 3).finish == ARGPICK_FINISH_STOP);
  OK(argpick_decoder_undo(decoder, 1));

  /* A loop: three times the same, the length comes first. */
  OK(argpick_decoder_reset(decoder, NULL));
  static const uint32_t circle[5] = {11, 12, 11, 12, 11};
  OK(argpick_decoder_accept(decoder, circle, 5));
  pick = picked(decoder, 12);
  CHECK(pick.finish == ARGPICK_FINISH_LOOP && pick.loop_period == 2 && pick.loop_repeats == 3);
  OK(argpick_decoder_undo(decoder, 1));
  OK(argpick_decoder_accept(decoder, circle, 0));
  picked(decoder, 30);
  picked(decoder, 31);
  CHECK(picked(decoder, 32).finish == ARGPICK_FINISH_LENGTH);
  argpick_decoder_free(decoder);
}

static void sequences(void) {
  argpick_config config = default_config();
  argpick_decoder *decoder = greedy(&config), *clone = NULL;
  static const uint32_t tokens[4] = {1, 2, 3, 4}, lengths[2] = {3, 1}, said[2] = {1, 2};
  static const float biases[2] = {100.0f, 60.0f};
  OK(argpick_decoder_set_sequence_bias(decoder, tokens, 4, lengths, biases, 2));
  CHECK(decoded(decoder, row, VOCAB) == 4);
  OK(argpick_decoder_accept(decoder, said, 2));
  OK(argpick_decoder_clone(decoder, &clone));
  CHECK(decoded(clone, row, VOCAB) == 3);
  OK(argpick_decoder_set_bad_sequences(decoder, tokens, 4, lengths, 2));
  uint32_t other = decoded(decoder, row, VOCAB);
  CHECK(other != 3 && other != 4);

  /* Forced, whatever the row and the lists say, but not against the mask. */
  static const uint64_t positions[1] = {4};
  OK(argpick_decoder_set_forced(decoder, positions, tokens + 3, 1));
  argpick_pick pick = fresh_pick();
  uint32_t mask[2] = {1, 0};
  ANSWERS(ARGPICK_ERR_EVERYTHING_MASKED, argpick_decode(decoder, row, ARGPICK_F32, VOCAB, mask, 2, &pick));
  OK(argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
  CHECK(pick.token == 4 && isinf(pick.margin));
  argpick_decoder_free(clone);
  argpick_decoder_free(decoder);
}

static void repetitions(void) {
  argpick_config config = default_config();
  config.dry_multiplier = 100.0f;
  config.dry_allowed_length = 2;
  argpick_decoder *decoder = greedy(&config);
  static const uint32_t said[6] = {1, 2, 3, 8, 1, 2}, breaker[1] = {3}, across[2] = {8, 1}, one[1] = {1}, two[1] = {2};
  OK(argpick_decoder_accept(decoder, said, 6));
  float favoured[VOCAB];
  memcpy(favoured, row, sizeof row);
  favoured[3] = 50.0f;
  CHECK(decoded(decoder, favoured, VOCAB) != 3);
  OK(argpick_decoder_undo(decoder, 1));
  OK(argpick_decoder_set_breakers(decoder, breaker, 1, one, 1));
  CHECK(decoded(decoder, favoured, VOCAB) == 3);
  OK(argpick_decoder_undo(decoder, 1));
  OK(argpick_decoder_set_breakers(decoder, across, 2, two, 1));
  CHECK(decoded(decoder, favoured, VOCAB) == 3);
  argpick_decoder_free(decoder);
}

static void stop_strings(void) {
  argpick_config config = default_config();
  argpick_decoder *decoder = greedy(&config);
  static const uint32_t token[1] = {1}, lengths[2] = {3, 4};
  OK(argpick_decoder_set_stop_strings(decoder, "END\nQ: ", 7, lengths, 2));
  uint32_t stop = 0;
  size_t held = 99;
  OK(argpick_decoder_accept(decoder, token, 1));
  OK(argpick_decoder_push_bytes(decoder, "the E", 5, &stop, &held));
  CHECK(stop == ARGPICK_NO_STOP && held == 1);

  size_t size = 0, written = 0;
  unsigned char bytes[8192];
  OK(argpick_decoder_saved_size(decoder, &size));
  CHECK(size <= sizeof bytes);
  OK(argpick_decoder_save(decoder, bytes, size, &written));

  OK(argpick_decoder_accept(decoder, token, 1));
  OK(argpick_decoder_push_bytes(decoder, "N", 1, &stop, &held));
  CHECK(stop == ARGPICK_NO_STOP && held == 2);
  OK(argpick_decoder_push_bytes(decoder, "D.", 2, &stop, &held));
  CHECK(stop == 0 && held == 4 && finish_of(decoder) == ARGPICK_FINISH_STOP);
  OK(argpick_decoder_undo(decoder, 1));
  CHECK(finish_of(decoder) == ARGPICK_FINISH_NONE);
  OK(argpick_decoder_push_bytes(decoder, NULL, 0, &stop, &held));
  CHECK(stop == ARGPICK_NO_STOP && held == 1);

  OK(argpick_decoder_load(decoder, bytes, written));
  OK(argpick_decoder_accept(decoder, token, 1));
  OK(argpick_decoder_push_bytes(decoder, "ND", 2, &stop, &held));
  CHECK(stop == 0 && held == 3);
  argpick_decoder_free(decoder);
}

int main(void) {
  fill_row(row, VOCAB, 5);
  ends();
  sequences();
  repetitions();
  stop_strings();
  puts("lists and ends: ok");
  return 0;
}
