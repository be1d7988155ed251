/* Many configurations on one row: each pick is that of a decoder of its own. */
#include "check.h"

enum { VOCAB = 500, COUNT = 6, WORDS = (VOCAB + 31) / 32 };

int main(void) {
  float row[VOCAB];
  fill_row(row, VOCAB, 4);
  argpick_config configs[COUNT];
  const argpick_config *pointers[COUNT];
  for (int i = 0; i < COUNT; i++) {
    configs[i] = default_config();
    configs[i].metrics = ARGPICK_METRIC_KEPT | ARGPICK_METRIC_CONFIDENCE;
    configs[i].seed = 11;
    pointers[i] = &configs[i];
  }
  configs[1].top_k = 9;
  configs[2].top_p = 0.8f;
  configs[3].typical_p = 0.5f;
  configs[3].temperature = 1.4f;
  configs[4].tfs_z = 0.9f;
  configs[5].mode = ARGPICK_MODE_GREEDY;

  argpick_config base = default_config();
  argpick_decoder *decoder = new_decoder(&base, VOCAB);
  argpick_pick picks[COUNT];
  argpick_status statuses[COUNT];
  uint32_t kept[COUNT * WORDS];
  size_t words = 0;
  OK(argpick_sweep_words(pointers, COUNT, VOCAB, &words));
  CHECK(words > 0);
  uint64_t *memory = malloc(words * sizeof *memory);
  CHECK(memory != NULL);
  for (int i = 0; i < COUNT; i++) picks[i] = fresh_pick();
  OK(argpick_sweep(decoder, pointers, COUNT, row, ARGPICK_F32, VOCAB, NULL, 0, memory, words, picks, statuses, kept));
  for (int i = 0; i < COUNT; i++) {
    argpick_decoder *own = new_decoder(&configs[i], VOCAB);
    argpick_pick alone = fresh_pick();
    OK(argpick_evaluate(own, row, ARGPICK_F32, VOCAB, NULL, 0, &alone));
    CHECK(statuses[i] == ARGPICK_OK && picks[i].token == alone.token && picks[i].kept == alone.kept);
    CHECK(picks[i].entropy == alone.entropy && picks[i].margin == alone.margin);
    uint32_t bits = 0;
    for (int t = 0; t < VOCAB; t++) bits += kept[i * WORDS + t / 32] >> (t % 32) & 1;
    CHECK(bits == alone.kept);
    CHECK(kept[i * WORDS + alone.token / 32] >> (alone.token % 32) & 1);
    argpick_decoder_free(own);
  }

  /* One that cannot be swept, one that is invalid: the rest goes on. */
  configs[0].repetition_penalty = 1.3f;
  configs[2].top_p = 7.0f;
  for (int i = 0; i < COUNT; i++) picks[i] = fresh_pick();
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_sweep(decoder, pointers, COUNT, row, ARGPICK_F32, VOCAB, NULL, 0, memory,
                                                       words, picks, statuses, NULL));
  SAYS("repetition_penalty");
  SAYS("row 0");
  CHECK(statuses[0] == ARGPICK_ERR_INVALID_PARAMETER && is_fresh(&picks[0]));
  CHECK(statuses[1] == ARGPICK_OK && statuses[2] == ARGPICK_ERR_INVALID_PARAMETER && statuses[5] == ARGPICK_OK);
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_sweep_words(pointers, COUNT, VOCAB, &words));
  configs[0].repetition_penalty = 1.0f;
  configs[2].top_p = 0.8f;

  /* Too little memory; a bad row; wrong sizes; NULL in turn. */
  ANSWERS(ARGPICK_ERR_STORAGE_TOO_SMALL,
          argpick_sweep(decoder, pointers, COUNT, row, ARGPICK_F32, VOCAB, NULL, 0, NULL, 0, picks, statuses, NULL));
  CHECK(statuses[0] == ARGPICK_OK && statuses[1] == ARGPICK_ERR_STORAGE_TOO_SMALL);
  row[3] = NAN;
  for (int i = 0; i < COUNT; i++) statuses[i] = 77;
  ANSWERS(ARGPICK_ERR_INVALID_LOGIT, argpick_sweep(decoder, pointers, COUNT, row, ARGPICK_F32, VOCAB, NULL, 0, memory,
                                                   words, picks, statuses, NULL));
  check_detail(ARGPICK_ERR_INVALID_LOGIT, 3, NAN);
  CHECK(statuses[0] == 77);
  row[3] = 0.0f;
  picks[4].struct_size = 8;
  ANSWERS(ARGPICK_ERR_STRUCT_SIZE, argpick_sweep(decoder, pointers, COUNT, row, ARGPICK_F32, VOCAB, NULL, 0, memory, words,
                                                 picks, statuses, NULL));
  picks[4].struct_size = sizeof picks[4];
  configs[4].struct_size = 12;
  ANSWERS(ARGPICK_ERR_STRUCT_SIZE, argpick_sweep(decoder, pointers, COUNT, row, ARGPICK_F32, VOCAB, NULL, 0, memory, words,
                                                 picks, statuses, NULL));
  configs[4].struct_size = sizeof configs[4];
#define NULL_SWEEP(decoder_, configs_, row_, memory_, picks_, statuses_)                                               \
  ANSWERS(ARGPICK_ERR_NULL, argpick_sweep(decoder_, configs_, COUNT, row_, ARGPICK_F32, VOCAB, NULL, 0, memory_, words, \
                                          picks_, statuses_, NULL))
  NULL_SWEEP(NULL, pointers, row, memory, picks, statuses);
  NULL_SWEEP(decoder, NULL, row, memory, picks, statuses);
  NULL_SWEEP(decoder, pointers, NULL, memory, picks, statuses);
  NULL_SWEEP(decoder, pointers, row, NULL, picks, statuses);
  NULL_SWEEP(decoder, pointers, row, memory, NULL, statuses);
  NULL_SWEEP(decoder, pointers, row, memory, picks, NULL);
  ANSWERS(ARGPICK_ERR_NULL, argpick_sweep_words(pointers, COUNT, VOCAB, NULL));
  ANSWERS(ARGPICK_ERR_NULL, argpick_sweep_words(NULL, COUNT, VOCAB, &words));
  pointers[2] = NULL;
  ANSWERS(ARGPICK_ERR_NULL, argpick_sweep_words(pointers, COUNT, VOCAB, &words));
  NULL_SWEEP(decoder, pointers, row, memory, picks, statuses);

  /* No configuration: the row is checked all the same. */
  OK(argpick_sweep(decoder, NULL, 0, row, ARGPICK_F32, VOCAB, NULL, 0, NULL, 0, NULL, NULL, NULL));
  free(memory);
  argpick_decoder_free(decoder);
  return 0;
}
