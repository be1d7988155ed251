/* Bad input: each case is a status that says what, where and the bad value; the next token is that of a twin that never saw it. */
#include "check.h"

enum { VOCAB = 100, WORDS = (VOCAB + 31) / 32 };

argpick_status argpick_test_panic(argpick_decoder *decoder, const argpick_weights *weights);

static float row[VOCAB];
static argpick_decoder *decoder, *twin;

/* The decoder is as its twin, which never saw what has just been refused. */
static void still_equal(void) {
  uint64_t here = 0, there = 1;
  OK(argpick_decoder_position(decoder, &here));
  OK(argpick_decoder_position(twin, &there));
  CHECK(here == there);
  CHECK(decoded(decoder, row, VOCAB) == decoded(twin, row, VOCAB));
}

#define REFUSED(status, call) \
  do {                        \
    ANSWERS(status, call);    \
    still_equal();            \
  } while (0)

static void rows(void) {
  argpick_pick pick = fresh_pick();
  float bad[VOCAB];
  static const float values[2] = {NAN, INFINITY};
  for (int i = 0; i < 2; i++) {
    memcpy(bad, row, sizeof bad);
    bad[63] = values[i];
    bad[77] = NAN;
    ANSWERS(ARGPICK_ERR_INVALID_LOGIT, argpick_decode(decoder, bad, ARGPICK_F32, VOCAB, NULL, 0, &pick));
    SAYS("argpick_decode: the logit of token 63 is ");
    SAYS(i == 0 ? "NaN" : "inf");
    check_detail(ARGPICK_ERR_INVALID_LOGIT, 63, (double)values[i]);
    REFUSED(ARGPICK_ERR_INVALID_LOGIT, argpick_evaluate(decoder, bad, ARGPICK_F32, VOCAB, NULL, 0, &pick));
    float copy[VOCAB];
    memcpy(copy, bad, sizeof copy);
    REFUSED(ARGPICK_ERR_INVALID_LOGIT, argpick_process(decoder, copy, VOCAB, NULL, 0));
    REFUSED(ARGPICK_ERR_INVALID_LOGIT, argpick_probabilities(decoder, copy, VOCAB, NULL, 0));
    REFUSED(ARGPICK_ERR_INVALID_LOGIT, argpick_softmax(copy, VOCAB, 1.0f));
    CHECK(memcmp(copy, bad, sizeof copy) == 0);
  }
  for (int i = 0; i < VOCAB; i++) bad[i] = -INFINITY;
  REFUSED(ARGPICK_ERR_EVERYTHING_MASKED, argpick_decode(decoder, bad, ARGPICK_F32, VOCAB, NULL, 0, &pick));

  static const uint32_t none[WORDS] = {0};
  uint32_t mask[WORDS] = {1, 0, 0, 0};
  REFUSED(ARGPICK_ERR_EVERYTHING_MASKED, argpick_decode(decoder, row, ARGPICK_F32, VOCAB, none, WORDS, &pick));
  /* A mask without words allows nothing. */
  REFUSED(ARGPICK_ERR_EVERYTHING_MASKED, argpick_decode(decoder, row, ARGPICK_F32, VOCAB, none, 0, &pick));
  /* A mask shorter than the row excludes what it lacks, NaN included; a huge one is read no further than needed. */
  memcpy(bad, row, sizeof bad);
  bad[99] = NAN;
  argpick_pick masked = fresh_pick();
  OK(argpick_evaluate(decoder, bad, ARGPICK_F32, VOCAB, mask, 1, &masked));
  CHECK(masked.token == 0);
  OK(argpick_evaluate(decoder, row, ARGPICK_F32, VOCAB, mask, SIZE_MAX, &masked));
  CHECK(masked.token == 0);

  static const size_t counts[5] = {0, 1, VOCAB - 1, VOCAB + 1, SIZE_MAX};
  for (int i = 0; i < 5; i++) {
    ANSWERS(ARGPICK_ERR_WRONG_LENGTH, argpick_decode(decoder, row, ARGPICK_F32, counts[i], NULL, 0, &pick));
    check_detail(ARGPICK_ERR_WRONG_LENGTH, VOCAB, (double)counts[i]);
    REFUSED(ARGPICK_ERR_WRONG_LENGTH, argpick_process(decoder, row, counts[i], NULL, 0));
  }
  REFUSED(ARGPICK_ERR_INVALID_PARAMETER, argpick_softmax(row, 0, 1.0f));
  REFUSED(ARGPICK_ERR_INVALID_PARAMETER, argpick_softmax(row, SIZE_MAX, 1.0f));
  REFUSED(ARGPICK_ERR_INVALID_PARAMETER, argpick_softmax(row, VOCAB, 0.0f));
  SAYS("temperature");
  REFUSED(ARGPICK_ERR_INVALID_PARAMETER, argpick_decode(decoder, row, 3, VOCAB, NULL, 0, &pick));
  SAYS("dtype");

  /* Misaligned by one byte, or by half an element. */
  unsigned char shifted[sizeof row + 8];
  for (size_t by = 1; by < 4; by++) {
    unsigned char *start = shifted + (8 - (uintptr_t)shifted % 8) % 8 + by;
    memcpy(start, row, sizeof row - 8);
    ANSWERS(ARGPICK_ERR_ALIGNMENT, argpick_decode(decoder, start, ARGPICK_F32, VOCAB, NULL, 0, &pick));
    SAYS("logits must be aligned to 4 bytes");
    check_detail(ARGPICK_ERR_ALIGNMENT, 4, (double)by);
    if (by % 2 == 1) {
      REFUSED(ARGPICK_ERR_ALIGNMENT, argpick_decode(decoder, start, ARGPICK_F16, VOCAB, NULL, 0, &pick));
      REFUSED(ARGPICK_ERR_ALIGNMENT, argpick_decode(decoder, start, ARGPICK_BF16, VOCAB, NULL, 0, &pick));
    }
    REFUSED(ARGPICK_ERR_ALIGNMENT,
            argpick_decode(decoder, row, ARGPICK_F32, VOCAB, (const uint32_t *)(const void *)start, WORDS, &pick));
    SAYS("mask");
    REFUSED(ARGPICK_ERR_ALIGNMENT, argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, (argpick_pick *)(void *)start));
    SAYS("pick");
    REFUSED(ARGPICK_ERR_ALIGNMENT, argpick_decoder_prompt(decoder, (const uint32_t *)(const void *)start, 1));
  }
  CHECK(is_fresh(&pick));

  static const uint32_t sizes[5] = {0, 4, 44, 52, UINT32_MAX};
  for (int i = 0; i < 5; i++) {
    argpick_pick sized = fresh_pick(), before;
    sized.struct_size = sizes[i];
    before = sized;
    REFUSED(ARGPICK_ERR_STRUCT_SIZE, argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, &sized));
    SAYS("pick.struct_size");
    CHECK(memcmp(&sized, &before, sizeof sized) == 0);
  }
}

static void lists(void) {
  static const uint32_t tokens[3] = {1, VOCAB, 2}, twice[2] = {4, 4};
  static const float biases[3] = {0.0f, 0.0f, 0.0f}, not_a_number[1] = {NAN};
  ANSWERS(ARGPICK_ERR_TOKEN_OUT_OF_RANGE, argpick_decoder_prompt(decoder, tokens, 3));
  SAYS("token 100");
  check_detail(ARGPICK_ERR_TOKEN_OUT_OF_RANGE, VOCAB, VOCAB);
  REFUSED(ARGPICK_ERR_TOKEN_OUT_OF_RANGE, argpick_decoder_accept(decoder, tokens, 3));
  REFUSED(ARGPICK_ERR_TOKEN_OUT_OF_RANGE, argpick_decoder_set_bans(decoder, tokens, 3));
  REFUSED(ARGPICK_ERR_TOKEN_OUT_OF_RANGE, argpick_decoder_set_bias(decoder, tokens, biases, 3));
  REFUSED(ARGPICK_ERR_DUPLICATE_TOKEN, argpick_decoder_set_bias(decoder, twice, biases, 2));
  REFUSED(ARGPICK_ERR_INVALID_PARAMETER, argpick_decoder_set_bias(decoder, tokens, not_a_number, 1));
  REFUSED(ARGPICK_ERR_WRONG_LENGTH, argpick_decoder_prompt(decoder, tokens, SIZE_MAX));
  REFUSED(ARGPICK_ERR_WRONG_LENGTH, argpick_decoder_accept(decoder, tokens, SIZE_MAX / 4));
  REFUSED(ARGPICK_ERR_WRONG_LENGTH, argpick_decoder_set_bias(decoder, tokens, biases, SIZE_MAX));
  REFUSED(ARGPICK_ERR_WRONG_LENGTH, argpick_decoder_set_bans(decoder, tokens, SIZE_MAX));
  static const uint32_t good[3] = {1, 3, 2}, lengths[2] = {2, 1}, empty[2] = {3, 0}, endless[2] = {UINT32_MAX, UINT32_MAX};
  static const uint64_t positions[3] = {4, 5, 4};
  REFUSED(ARGPICK_ERR_TOKEN_OUT_OF_RANGE, argpick_decoder_set_end_tokens(decoder, tokens, 3));
  REFUSED(ARGPICK_ERR_WRONG_LENGTH, argpick_decoder_set_end_tokens(decoder, tokens, SIZE_MAX));
  ANSWERS(ARGPICK_ERR_TOKEN_OUT_OF_RANGE, argpick_decoder_set_stops(decoder, tokens, 3, lengths, 2));
  check_detail(ARGPICK_ERR_TOKEN_OUT_OF_RANGE, VOCAB, VOCAB);
  ANSWERS(ARGPICK_ERR_WRONG_LENGTH, argpick_decoder_set_stops(decoder, good, 2, lengths, 2));
  check_detail(ARGPICK_ERR_WRONG_LENGTH, 3, 2);
  REFUSED(ARGPICK_ERR_WRONG_LENGTH, argpick_decoder_set_stops(decoder, good, 3, endless, 2));
  REFUSED(ARGPICK_ERR_WRONG_LENGTH, argpick_decoder_set_stops(decoder, good, 3, lengths, SIZE_MAX));
  REFUSED(ARGPICK_ERR_INVALID_PARAMETER, argpick_decoder_set_breakers(decoder, good, 3, empty, 2));
  SAYS("sequence_length");
  REFUSED(ARGPICK_ERR_WRONG_LENGTH, argpick_decoder_set_bad_sequences(decoder, good, SIZE_MAX, lengths, 2));
  REFUSED(ARGPICK_ERR_INVALID_PARAMETER, argpick_decoder_set_sequence_bias(decoder, good, 1, lengths + 1, not_a_number, 1));
  SAYS("bias");
  REFUSED(ARGPICK_ERR_INVALID_PARAMETER, argpick_decoder_set_forced(decoder, positions, good, 3));
  SAYS("forced_position");
  REFUSED(ARGPICK_ERR_TOKEN_OUT_OF_RANGE, argpick_decoder_set_forced(decoder, positions, tokens, 2));
  REFUSED(ARGPICK_ERR_INVALID_PARAMETER, argpick_decoder_set_stop_strings(decoder, "abc", 3, empty, 2));
  REFUSED(ARGPICK_ERR_WRONG_LENGTH, argpick_decoder_set_stop_strings(decoder, "abcd", 4, lengths, 2));
  static const uint32_t long_one[1] = {300};
  static const char text[300] = {0};
  REFUSED(ARGPICK_ERR_CAPACITY_EXCEEDED, argpick_decoder_set_stop_strings(decoder, text, 300, long_one, 1));
  REFUSED(ARGPICK_ERR_UNDO_TOO_FAR, argpick_decoder_undo(decoder, SIZE_MAX));
  static const uint32_t many[5] = {1, 2, 3, 4, 5};
  static const float zeros[5] = {0};
  REFUSED(ARGPICK_ERR_CAPACITY_EXCEEDED, argpick_decoder_set_bans(decoder, many, 5));
  check_detail(ARGPICK_ERR_CAPACITY_EXCEEDED, 4, 5);
  REFUSED(ARGPICK_ERR_CAPACITY_EXCEEDED, argpick_decoder_set_bias(decoder, many, zeros, 5));

  /* A bias that makes a logit infinite is found where it is used. */
  static const uint32_t one = 9;
  static const float huge = 3e38f;
  float large[VOCAB];
  memcpy(large, row, sizeof large);
  large[9] = 3e38f;
  argpick_pick pick = fresh_pick();
  OK(argpick_decoder_set_bias(decoder, &one, &huge, 1));
  ANSWERS(ARGPICK_ERR_INVALID_LOGIT, argpick_decode(decoder, large, ARGPICK_F32, VOCAB, NULL, 0, &pick));
  check_detail(ARGPICK_ERR_INVALID_LOGIT, 9, INFINITY);
  OK(argpick_decoder_set_bias(decoder, NULL, NULL, 0));
  still_equal();
}

static void the_end(void) {
  argpick_config config = default_config();
  config.max_tokens = 1;
  argpick_decoder *short_one = new_decoder(&config, VOCAB);
  argpick_pick pick = fresh_pick();
  OK(argpick_decode(short_one, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
  CHECK(pick.finish == ARGPICK_FINISH_LENGTH);
  pick = fresh_pick();
  ANSWERS(ARGPICK_ERR_FINISHED, argpick_decode(short_one, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
  ANSWERS(ARGPICK_ERR_FINISHED, argpick_evaluate(short_one, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
  CHECK(is_fresh(&pick));
  OK(argpick_decoder_reset(short_one, NULL));
  OK(argpick_decode(short_one, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
  argpick_decoder_free(short_one);
}

static void a_panic_inside(void) {
  argpick_config config = default_config();
  argpick_decoder *broken = new_decoder(&config, VOCAB), *out = NULL;
  argpick_weights *weights = NULL;
  argpick_pick pick = fresh_pick();
  uint64_t position = 5;
  OK(argpick_weights_new(VOCAB, 1, &weights));
  fprintf(stderr, "(the two panics that follow are provoked)\n");
  ANSWERS(ARGPICK_ERR_PANIC, argpick_test_panic(broken, NULL));
  SAYS("on purpose");
  ANSWERS(ARGPICK_ERR_POISONED, argpick_decode(broken, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
  SAYS("poisoned");
  ANSWERS(ARGPICK_ERR_POISONED, argpick_decoder_reset(broken, NULL));
  ANSWERS(ARGPICK_ERR_POISONED, argpick_decoder_position(broken, &position));
  ANSWERS(ARGPICK_ERR_POISONED, argpick_decoder_clone(broken, &out));
  CHECK(is_fresh(&pick) && position == 5 && out == NULL);
  argpick_decoder_free(broken);

  ANSWERS(ARGPICK_ERR_PANIC, argpick_test_panic(NULL, weights));
  float logits[VOCAB];
  ANSWERS(ARGPICK_ERR_POISONED, argpick_logits(weights, NULL, NULL, 0, logits, VOCAB));
  ANSWERS(ARGPICK_ERR_POISONED, argpick_decode_sparse(decoder, weights, NULL, NULL, 0, NULL, 0, &pick));
  argpick_weights_free(weights);
  still_equal();
}

int main(void) {
  fill_row(row, VOCAB, 5);
  argpick_config config = default_config();
  config.seed = 21;
  config.adjustment_capacity = 4;
  config.no_repeat_window = 3;
  decoder = new_decoder(&config, VOCAB);
  twin = new_decoder(&config, VOCAB);
  rows();
  lists();
  the_end();
  a_panic_inside();
  argpick_decoder_free(decoder);
  argpick_decoder_free(twin);
  puts("bad input: ok");
  return 0;
}
