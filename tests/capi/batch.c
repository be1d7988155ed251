/* Many rows in one call: a status for each, and the trainer's view of them. */
#include "check.h"

enum { ROWS = 5, VOCAB = 200 };

static float rows[ROWS][VOCAB];
static const void *logits[ROWS];

static void decode_batch(void) {
  argpick_decoder *decoders[ROWS], *twins[ROWS];
  argpick_pick picks[ROWS];
  argpick_status statuses[ROWS];
  const uint32_t *masks[ROWS] = {NULL};
  uint32_t only[(VOCAB + 31) / 32] = {0};
  only[2] = 1;
  masks[1] = only;
  for (uint32_t i = 0; i < ROWS; i++) {
    argpick_config config = default_config();
    config.seed = 5;
    config.stream = i;
    decoders[i] = new_decoder(&config, VOCAB);
    twins[i] = new_decoder(&config, VOCAB);
  }
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < ROWS; i++) picks[i] = fresh_pick();
    OK(argpick_decode_batch(decoders, ROWS, logits, ARGPICK_F32, VOCAB, masks, (VOCAB + 31) / 32, picks, statuses));
    for (int i = 0; i < ROWS; i++) {
      argpick_pick alone = fresh_pick();
      OK(argpick_decode(twins[i], rows[i], ARGPICK_F32, VOCAB, masks[i], masks[i] ? (VOCAB + 31) / 32 : 0, &alone));
      CHECK(statuses[i] == ARGPICK_OK && picks[i].token == alone.token && picks[i].margin == alone.margin);
    }
    CHECK(picks[1].token == 64);
  }

  /* A bad row, a NULL decoder: the others go on, the pick of a row that failed is untouched. */
  float bad[VOCAB];
  memcpy(bad, rows[2], sizeof bad);
  bad[7] = NAN;
  logits[2] = bad;
  argpick_decoder *third = decoders[3];
  decoders[3] = NULL;
  for (int i = 0; i < ROWS; i++) picks[i] = fresh_pick();
  ANSWERS(ARGPICK_ERR_INVALID_LOGIT,
          argpick_decode_batch(decoders, ROWS, logits, ARGPICK_F32, VOCAB, NULL, 0, picks, statuses));
  SAYS("row 2");
  check_detail(ARGPICK_ERR_INVALID_LOGIT, 7, NAN);
  CHECK(statuses[2] == ARGPICK_ERR_INVALID_LOGIT && is_fresh(&picks[2]));
  CHECK(statuses[3] == ARGPICK_ERR_NULL && is_fresh(&picks[3]));
  for (int i = 0; i < ROWS; i++) {
    if (i == 2 || i == 3) continue;
    CHECK(statuses[i] == ARGPICK_OK && picks[i].token == decoded(twins[i], rows[i], VOCAB));
  }
  decoders[3] = third;
  logits[2] = rows[2];

  /* Structs of different sizes; no rows; more rows than there is memory. */
  picks[4].struct_size = 8;
  ANSWERS(ARGPICK_ERR_STRUCT_SIZE,
          argpick_decode_batch(decoders, ROWS, logits, ARGPICK_F32, VOCAB, NULL, 0, picks, statuses));
  CHECK(statuses[0] == ARGPICK_OK && statuses[4] == ARGPICK_ERR_STRUCT_SIZE);
  OK(argpick_decode_batch(NULL, 0, NULL, ARGPICK_F32, VOCAB, NULL, 0, NULL, NULL));
  ANSWERS(ARGPICK_ERR_WRONG_LENGTH,
          argpick_decode_batch(decoders, SIZE_MAX, logits, ARGPICK_F32, VOCAB, NULL, 0, picks, statuses));
  for (int i = 0; i < ROWS; i++) {
    argpick_decoder_free(decoders[i]);
    argpick_decoder_free(twins[i]);
  }
}

static double loss_of(const float *row, uint32_t target) {
  double sum = 0.0;
  for (int i = 0; i < VOCAB; i++) sum += exp((double)row[i]);
  return log(sum) - (double)row[target];
}

static void score(void) {
  uint32_t targets[ROWS], ranks[ROWS], argmaxes[ROWS];
  float losses[ROWS];
  argpick_status statuses[ROWS];
  for (uint32_t i = 0; i < ROWS; i++) targets[i] = 10 * i;
  OK(argpick_score_batch(ROWS, logits, ARGPICK_F32, VOCAB, targets, losses, ranks, argmaxes, statuses));
  for (int i = 0; i < ROWS; i++) {
    float loss = -1.0f;
    uint32_t rank = 0, argmax = 0, higher = 0, best = 0;
    OK(argpick_score(rows[i], ARGPICK_F32, VOCAB, targets[i], &loss, &rank, &argmax));
    for (uint32_t t = 0; t < VOCAB; t++) {
      higher += rows[i][t] > rows[i][targets[i]] || (rows[i][t] == rows[i][targets[i]] && t < targets[i]);
      if (rows[i][t] > rows[i][best]) best = t;
    }
    CHECK(fabs(loss - loss_of(rows[i], targets[i])) < 1e-4 && rank == higher && argmax == best);
    CHECK(losses[i] == loss && ranks[i] == rank && argmaxes[i] == argmax && statuses[i] == ARGPICK_OK);
  }
  targets[1] = VOCAB;
  losses[1] = -7.0f;
  ANSWERS(ARGPICK_ERR_TOKEN_OUT_OF_RANGE,
          argpick_score_batch(ROWS, logits, ARGPICK_F32, VOCAB, targets, losses, ranks, argmaxes, statuses));
  SAYS("row 1");
  CHECK(losses[1] == -7.0f && statuses[1] == ARGPICK_ERR_TOKEN_OUT_OF_RANGE && statuses[2] == ARGPICK_OK);
  OK(argpick_score_batch(0, NULL, ARGPICK_F32, VOCAB, NULL, NULL, NULL, NULL, NULL));
}

static void diagnose(void) {
  argpick_config config = default_config();
  argpick_decoder *decoder = new_decoder(&config, VOCAB);
  static float flat[VOCAB], saturated[VOCAB];
  saturated[9] = 40.0f;
  const void *three[3] = {flat, saturated, rows[0]};
  uint32_t targets[3] = {0, 9, 1}, verdicts[3] = {77, 77, 77};
  argpick_diagnosis diagnosis;
  diagnosis.struct_size = sizeof diagnosis;
  OK(argpick_diagnose(decoder, 3, three, ARGPICK_F32, VOCAB, targets, NULL, verdicts, &diagnosis));
  CHECK(verdicts[0] == ARGPICK_VERDICT_FLAT && verdicts[1] == ARGPICK_VERDICT_SATURATED);
  CHECK(verdicts[2] == ARGPICK_VERDICT_HEALTHY && diagnosis.rows == 3 && diagnosis.reserved0 == 0);
  CHECK(fabsf(diagnosis.flat - 1.0f / 3) < 1e-6f && fabsf(diagnosis.saturated - 1.0f / 3) < 1e-6f);
  CHECK(fabsf(diagnosis.greedy_accuracy - 2.0f / 3) < 1e-6f);
  double expected = (1.0 / VOCAB + 1.0 + exp(-loss_of(rows[0], 1))) / 3;
  CHECK(fabs(diagnosis.expected_accuracy - expected) < 1e-4);
  /* Sampling greedily is as good as the greedy accuracy says. */
  config.mode = ARGPICK_MODE_GREEDY;
  OK(argpick_decoder_reset(decoder, &config));
  argpick_diagnosis_limits limits = {sizeof limits, 0.5f, 1.0f, 1};
  OK(argpick_diagnose(decoder, 3, three, ARGPICK_F32, VOCAB, targets, &limits, NULL, &diagnosis));
  CHECK(diagnosis.expected_accuracy == diagnosis.greedy_accuracy && diagnosis.top_k_accuracy == diagnosis.greedy_accuracy);

  limits.top_k = 0;
  argpick_diagnosis untouched = diagnosis;
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER,
          argpick_diagnose(decoder, 3, three, ARGPICK_F32, VOCAB, targets, &limits, NULL, &diagnosis));
  limits.struct_size = 24;
  ANSWERS(ARGPICK_ERR_STRUCT_SIZE,
          argpick_diagnose(decoder, 3, three, ARGPICK_F32, VOCAB, targets, &limits, NULL, &diagnosis));
  targets[2] = VOCAB;
  ANSWERS(ARGPICK_ERR_TOKEN_OUT_OF_RANGE,
          argpick_diagnose(decoder, 3, three, ARGPICK_F32, VOCAB, targets, NULL, NULL, &diagnosis));
  SAYS("row 2");
  CHECK(memcmp(&untouched, &diagnosis, sizeof diagnosis) == 0);
  OK(argpick_diagnose(decoder, 0, NULL, ARGPICK_F32, VOCAB, NULL, NULL, NULL, &diagnosis));
  CHECK(diagnosis.rows == 0 && diagnosis.loss == 0.0f);
  argpick_decoder_free(decoder);
}

int main(void) {
  for (int i = 0; i < ROWS; i++) {
    fill_row(rows[i], VOCAB, 20 + (uint64_t)i);
    logits[i] = rows[i];
  }
  decode_batch();
  score();
  diagnose();
  puts("batches: ok");
  return 0;
}
