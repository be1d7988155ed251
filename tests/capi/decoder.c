/* argpick_decoder: a whole life on the heap, and what a step promises. */
#include "check.h"

enum { VOCAB = 300 };

static float row[VOCAB];

static void picks_and_metrics(void) {
  argpick_config config = default_config();
  config.mode = ARGPICK_MODE_GREEDY;
  config.metrics = ARGPICK_METRIC_ALL;
  argpick_decoder *decoder = new_decoder(&config, 4);
  static const float four[4] = {0.5f, 2.0f, 2.0f, -INFINITY};
  argpick_pick pick = fresh_pick();
  OK(argpick_evaluate(decoder, four, ARGPICK_F32, 4, NULL, 0, &pick));
  CHECK(pick.struct_size == sizeof pick && pick.token == 1 && pick.argmax == 1 && pick.rank == 0 && pick.kept == 1);
  CHECK(pick.finish == ARGPICK_FINISH_NONE && pick.margin == 0.0f);
  double z = 2.0 * exp(2.0) + exp(0.5);
  CHECK(fabs(pick.top1_probability - exp(2.0) / z) < 1e-5 && fabs(pick.logprob_raw - (2.0 - log(z))) < 1e-5);
  CHECK(pick.entropy > 0.0f && pick.logprob == 0.0f);
  CHECK(fabs(pick.kept_mass - exp(2.0) / z) < 1e-5);

  /* The same row in half precision decodes alike. */
  static const uint16_t f16[4] = {0x3800, 0x4000, 0x4000, 0xfc00}, bf16[4] = {0x3f00, 0x4000, 0x4000, 0xff80};
  argpick_pick half = fresh_pick(), brain = fresh_pick();
  OK(argpick_evaluate(decoder, f16, ARGPICK_F16, 4, NULL, 0, &half));
  OK(argpick_evaluate(decoder, bf16, ARGPICK_BF16, 4, NULL, 0, &brain));
  CHECK(memcmp(&half, &pick, sizeof pick) == 0 && memcmp(&brain, &pick, sizeof pick) == 0);

  /* Without metrics, what was not asked for is recognisable. */
  config.metrics = 0;
  OK(argpick_decoder_reset(decoder, &config));
  OK(argpick_decode(decoder, four, ARGPICK_F32, 4, NULL, 0, &pick));
  CHECK(pick.rank == UINT32_MAX && pick.kept == UINT32_MAX && isnan(pick.entropy) && isnan(pick.logprob));
  CHECK(pick.margin == 0.0f);
  argpick_decoder_free(decoder);
}

static void history(void) {
  argpick_config config = default_config();
  config.seed = 7;
  config.no_repeat_window = 4;
  config.max_tokens = 6;
  argpick_decoder *decoder = new_decoder(&config, VOCAB);
  uint32_t vocab = 0;
  uint64_t position = 99;
  OK(argpick_decoder_vocab(decoder, &vocab));
  OK(argpick_decoder_position(decoder, &position));
  CHECK(vocab == VOCAB && position == 0);

  static const uint32_t prompt[3] = {1, 2, 3};
  OK(argpick_decoder_prompt(decoder, prompt, 3));
  OK(argpick_decoder_position(decoder, &position));
  CHECK(position == 0);

  uint32_t first[6], again[6];
  argpick_pick pick = fresh_pick();
  for (int i = 0; i < 6; i++) {
    argpick_pick looked = fresh_pick();
    OK(argpick_evaluate(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, &looked));
    OK(argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
    CHECK(looked.token == pick.token);
    CHECK(pick.finish == (i == 5 ? ARGPICK_FINISH_LENGTH : ARGPICK_FINISH_NONE));
    first[i] = pick.token;
    for (int back = 1; back <= 4 && back <= i; back++) CHECK(first[i - back] != first[i]);
  }
  ANSWERS(ARGPICK_ERR_FINISHED, argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
  ANSWERS(ARGPICK_ERR_FINISHED, argpick_decoder_accept(decoder, prompt, 1));
  OK(argpick_decoder_accept(decoder, prompt, 0));

  /* Undone and decoded again: the same tokens. */
  OK(argpick_decoder_undo(decoder, 3));
  OK(argpick_decoder_position(decoder, &position));
  CHECK(position == 3);
  for (int i = 3; i < 6; i++) CHECK(decoded(decoder, row, VOCAB) == first[i]);
  ANSWERS(ARGPICK_ERR_UNDO_TOO_FAR, argpick_decoder_undo(decoder, 7));
  check_detail(ARGPICK_ERR_UNDO_TOO_FAR, 6, 7);

  /* Accepted instead of picked: the same state. */
  OK(argpick_decoder_reset(decoder, NULL));
  OK(argpick_decoder_prompt(decoder, prompt, 3));
  OK(argpick_decoder_accept(decoder, first, 3));
  for (int i = 3; i < 6; i++) CHECK(decoded(decoder, row, VOCAB) == first[i]);

  /* Any step can be replayed alone. */
  config.no_repeat_window = 0;
  config.max_tokens = 0;
  OK(argpick_decoder_reset(decoder, &config));
  for (int i = 0; i < 6; i++) first[i] = decoded(decoder, row, VOCAB);
  OK(argpick_decoder_reset(decoder, NULL));
  for (int i = 5; i >= 0; i--) {
    OK(argpick_decoder_seek(decoder, (uint64_t)i));
    again[i] = decoded(decoder, row, VOCAB);
  }
  CHECK(memcmp(first, again, sizeof first) == 0);
  argpick_decoder_free(decoder);
}

static void lists_and_masks(void) {
  argpick_config config = default_config();
  config.mode = ARGPICK_MODE_GREEDY;
  argpick_decoder *decoder = new_decoder(&config, VOCAB);
  uint32_t best = decoded(decoder, row, VOCAB);
  static const uint32_t tokens[2] = {17, 5};
  static const float biases[2] = {100.0f, 50.0f};
  OK(argpick_decoder_set_bias(decoder, tokens, biases, 2));
  CHECK(decoded(decoder, row, VOCAB) == 17);
  OK(argpick_decoder_set_bans(decoder, tokens, 1));
  CHECK(decoded(decoder, row, VOCAB) == 5);
  OK(argpick_decoder_reset(decoder, NULL));
  CHECK(decoded(decoder, row, VOCAB) == 5);
  OK(argpick_decoder_set_bias(decoder, NULL, NULL, 0));
  OK(argpick_decoder_set_bans(decoder, NULL, 0));
  CHECK(decoded(decoder, row, VOCAB) == best);

  /* Only token 33; a mask may be longer than it need be, and one word too short forbids what it lacks. */
  uint32_t mask[12] = {0};
  mask[1] = 2;
  argpick_pick pick = fresh_pick();
  OK(argpick_decode(decoder, row, ARGPICK_F32, VOCAB, mask, 12, &pick));
  CHECK(pick.token == 33 && isinf(pick.margin));
  OK(argpick_decode(decoder, row, ARGPICK_F32, VOCAB, mask, 2, &pick));
  CHECK(pick.token == 33);
  ANSWERS(ARGPICK_ERR_EVERYTHING_MASKED, argpick_decode(decoder, row, ARGPICK_F32, VOCAB, mask, 1, &pick));
  argpick_decoder_free(decoder);
}

static void reset_grows(void) {
  argpick_config config = default_config();
  config.history_capacity = 4;
  config.adjustment_capacity = 4;
  argpick_decoder *decoder = new_decoder(&config, VOCAB);
  static const uint32_t tokens[2] = {17, 5};
  static const float biases[2] = {100.0f, -INFINITY};
  OK(argpick_decoder_set_bias(decoder, tokens, biases, 2));
  config.history_capacity = 100000;
  config.adjustment_capacity = 5000;
  config.top_k = 200;
  config.seed = 3;
  OK(argpick_decoder_reset(decoder, &config));
  /* The biases came along. */
  CHECK(decoded(decoder, row, VOCAB) == 17);
  /* No room for two: nothing has changed. */
  config.adjustment_capacity = 1;
  ANSWERS(ARGPICK_ERR_CAPACITY_EXCEEDED, argpick_decoder_reset(decoder, &config));
  CHECK(decoded(decoder, row, VOCAB) == 17);
  argpick_decoder_free(decoder);
}

static void clone_and_save(void) {
  argpick_config config = default_config();
  config.seed = 11;
  config.top_p = 0.9f;
  config.no_repeat_window = 8;
  argpick_decoder *decoder = new_decoder(&config, VOCAB), *clone = NULL;
  static const uint32_t ban = 3;
  OK(argpick_decoder_set_bans(decoder, &ban, 1));
  for (int i = 0; i < 10; i++) decoded(decoder, row, VOCAB);
  OK(argpick_decoder_clone(decoder, &clone));

  size_t size = 0, written = 0;
  OK(argpick_decoder_saved_size(decoder, &size));
  unsigned char *bytes = malloc(size);
  CHECK(bytes != NULL);
  ANSWERS(ARGPICK_ERR_WRONG_LENGTH, argpick_decoder_save(decoder, bytes, size - 1, &written));
  check_detail(ARGPICK_ERR_WRONG_LENGTH, size, (double)(size - 1));
  CHECK(written == 0);
  OK(argpick_decoder_save(decoder, bytes, size, &written));
  CHECK(written == size);

  config = default_config();
  config.history_capacity = 1;
  config.adjustment_capacity = 1;
  argpick_decoder *loaded = new_decoder(&config, VOCAB);
  ANSWERS(ARGPICK_ERR_BAD_STATE, argpick_decoder_load(loaded, bytes, size - 1));
  ANSWERS(ARGPICK_ERR_BAD_STATE, argpick_decoder_load(loaded, bytes, 0));
  bytes[0] ^= 1;
  ANSWERS(ARGPICK_ERR_BAD_STATE, argpick_decoder_load(loaded, bytes, size));
  bytes[0] ^= 1;
  OK(argpick_decoder_load(loaded, bytes, size));

  /* What was loaded can be asked for: the configuration, and the history as far as there is room. */
  argpick_config told;
  told.struct_size = sizeof told;
  OK(argpick_decoder_config(loaded, &told));
  CHECK(told.struct_size == sizeof told && told.seed == 11 && told.top_p == 0.9f && told.no_repeat_window == 8);
  CHECK(told.typical_p == 1.0f && told.reserved0 == 0 && told.history_capacity == 0 && told.dry_base == 1.75f);
  struct {
    argpick_config config;
    uint32_t past;
  } older;
  memset(&older, 0x5a, sizeof older);
  older.config.struct_size = 72; /* the first release's */
  OK(argpick_decoder_config(loaded, &older.config));
  CHECK(older.config.struct_size == 72 && older.config.seed == 11 && older.config.typical_p != 1.0f);
  older.config.struct_size = sizeof older;
  ANSWERS(ARGPICK_ERR_STRUCT_SIZE, argpick_decoder_config(loaded, &older.config));
  uint32_t all[16], some[3] = {77, 77, 77};
  size_t held = 0;
  OK(argpick_decoder_history(loaded, all, 16, &held));
  CHECK(held == 10);
  for (int i = 0; i < 10; i++) CHECK(all[i] < VOCAB && all[i] != ban);
  OK(argpick_decoder_history(loaded, some, 2, &held));
  CHECK(held == 10 && some[0] == all[0] && some[1] == all[1] && some[2] == 77);
  OK(argpick_decoder_history(loaded, NULL, 0, &held));
  CHECK(held == 10);
  for (int i = 0; i < 20; i++) {
    uint32_t token = decoded(decoder, row, VOCAB);
    CHECK(decoded(clone, row, VOCAB) == token && decoded(loaded, row, VOCAB) == token);
  }
  free(bytes);
  argpick_decoder_free(loaded);
  argpick_decoder_free(clone);
  argpick_decoder_free(decoder);
}

static void in_place(void) {
  argpick_config config = default_config();
  config.temperature = 0.5f;
  config.top_k = 3;
  argpick_decoder *decoder = new_decoder(&config, VOCAB);
  float processed[VOCAB], fused[VOCAB];
  memcpy(processed, row, sizeof row);
  memcpy(fused, row, sizeof row);
  OK(argpick_process(decoder, processed, VOCAB, NULL, 0));
  OK(argpick_probabilities(decoder, fused, VOCAB, NULL, 0));
  int kept = 0;
  for (int i = 0; i < VOCAB; i++) {
    CHECK(processed[i] == -INFINITY || processed[i] == row[i] / 0.5f);
    kept += processed[i] != -INFINITY;
  }
  CHECK(kept == 3);
  OK(argpick_softmax(processed, VOCAB, 1.0f));
  double sum = 0.0;
  for (int i = 0; i < VOCAB; i++) {
    CHECK(fabsf(processed[i] - fused[i]) < 1e-6f);
    sum += fused[i];
  }
  CHECK(fabs(sum - 1.0) < 1e-5);

  /* The questions agree with the row. */
  argpick_candidate best[8], keep[8];
  size_t found = 0, total = 0;
  OK(argpick_top(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, best, 8, &found));
  CHECK(found == 8);
  for (int i = 1; i < 8; i++) CHECK(best[i - 1].logit >= best[i].logit && row[best[i].token] == best[i].logit);
  OK(argpick_kept(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, keep, 8, &total));
  CHECK(total == 3 && keep[0].token < keep[1].token && keep[1].token < keep[2].token);
  for (int i = 0; i < 3; i++) {
    float probability = -1.0f;
    CHECK(fabs(exp(keep[i].logprob) - fused[keep[i].token]) < 1e-5);
    OK(argpick_probability_of(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, keep[i].token, &probability));
    CHECK(fabsf(probability - fused[keep[i].token]) < 1e-5f);
  }
  OK(argpick_kept(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, NULL, 0, &total));
  CHECK(total == 3);
  argpick_decoder_free(decoder);
}

/* What mirostat and adaptive-p have learnt is told, and comes back with the token. */
static void learnt(void) {
  argpick_config config = default_config();
  config.mirostat = 2;
  config.mirostat_tau = 1.5f;
  argpick_decoder *decoder = new_decoder(&config, VOCAB);
  argpick_pick pick = fresh_pick();
  float mu = 0, target = 0;
  OK(argpick_decoder_mirostat_mu(decoder, &mu));
  OK(argpick_decoder_adaptive_target(decoder, &target));
  CHECK(mu == 3.0f && isnan(target));
  OK(argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
  OK(argpick_decoder_mirostat_mu(decoder, &mu));
  CHECK(mu != 3.0f);
  OK(argpick_decoder_undo(decoder, 1));
  OK(argpick_decoder_mirostat_mu(decoder, &mu));
  CHECK(mu == 3.0f);
  config = default_config();
  config.adaptive_target = 0.25f;
  OK(argpick_decoder_reset(decoder, &config));
  OK(argpick_decoder_mirostat_mu(decoder, &mu));
  OK(argpick_decoder_adaptive_target(decoder, &target));
  CHECK(isnan(mu) && target == 0.25f);
  OK(argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
  OK(argpick_decoder_adaptive_target(decoder, &target));
  CHECK(target >= 0.0f && target <= 1.0f && target != 0.25f);
  argpick_decoder_free(decoder);
}

int main(void) {
  fill_row(row, VOCAB, 1);
  argpick_decoder_free(NULL);
  picks_and_metrics();
  history();
  lists_and_masks();
  reset_grows();
  clone_and_save();
  in_place();
  learnt();
  puts("decoders: ok");
  return 0;
}
