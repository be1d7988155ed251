/* Every pointer NULL in turn: a status that names it, never a crash, and the handle works as before. */
#include "check.h"

enum { VOCAB = 40, FEATURES = 3 };

/* The call answers ARGPICK_ERR_NULL and its message names the argument. */
#define NULL_REFUSED(argument, call)      \
  do {                                    \
    ANSWERS(ARGPICK_ERR_NULL, (call));    \
    SAYS(argument " is NULL");            \
  } while (0)

int main(void) {
  static union {
    long double align;
    unsigned char bytes[65536];
  } room;
  argpick_config config = default_config();
  argpick_decoder *decoder = new_decoder(&config, VOCAB), *made = NULL;
  argpick_weights *weights = NULL, *other = NULL;
  OK(argpick_weights_new(VOCAB, FEATURES, &weights));
  float row[VOCAB], probability = -1.0f, loss = -1.0f;
  fill_row(row, VOCAB, 3);
  argpick_pick pick = fresh_pick();
  const uint32_t ids[2] = {0, 1};
  uint32_t number = 77, another = 77;
  const float biases[2] = {0.0f, 0.0f};
  size_t size = 77;
  uint64_t position = 77;
  double value;
  argpick_status status;
  unsigned char bytes[4096];
  argpick_candidate candidates[4];
  float *matrix = NULL, *vector = NULL;

  /* Not reported as the last error: it would hide the one that is asked for. */
  ANSWERS(ARGPICK_ERR_NULL, argpick_error_detail(NULL, &position, &value));
  ANSWERS(ARGPICK_ERR_NULL, argpick_error_detail(&status, NULL, &value));
  ANSWERS(ARGPICK_ERR_NULL, argpick_error_detail(&status, &position, NULL));
  CHECK(position == 77);

  NULL_REFUSED("config", argpick_config_init(NULL, sizeof config));

  NULL_REFUSED("config", argpick_decoder_new(NULL, VOCAB, &made));
  NULL_REFUSED("out", argpick_decoder_new(&config, VOCAB, NULL));
  NULL_REFUSED("config", argpick_decoder_size(NULL, VOCAB, &size));
  NULL_REFUSED("size", argpick_decoder_size(&config, VOCAB, NULL));
  NULL_REFUSED("memory", argpick_decoder_init(NULL, sizeof room, &config, VOCAB, &made));
  NULL_REFUSED("config", argpick_decoder_init(&room, sizeof room, NULL, VOCAB, &made));
  NULL_REFUSED("out", argpick_decoder_init(&room, sizeof room, &config, VOCAB, NULL));
  NULL_REFUSED("decoder", argpick_decoder_clone(NULL, &made));
  NULL_REFUSED("out", argpick_decoder_clone(decoder, NULL));
  NULL_REFUSED("decoder", argpick_decoder_reset(NULL, &config));
  NULL_REFUSED("decoder", argpick_decoder_prompt(NULL, ids, 2));
  NULL_REFUSED("tokens", argpick_decoder_prompt(decoder, NULL, 2));
  NULL_REFUSED("decoder", argpick_decoder_accept(NULL, ids, 2));
  NULL_REFUSED("tokens", argpick_decoder_accept(decoder, NULL, 2));
  NULL_REFUSED("decoder", argpick_decoder_undo(NULL, 0));
  NULL_REFUSED("decoder", argpick_decoder_seek(NULL, 1));
  NULL_REFUSED("decoder", argpick_decoder_position(NULL, &position));
  NULL_REFUSED("position", argpick_decoder_position(decoder, NULL));
  NULL_REFUSED("decoder", argpick_decoder_mirostat_mu(NULL, &loss));
  NULL_REFUSED("mu", argpick_decoder_mirostat_mu(decoder, NULL));
  NULL_REFUSED("decoder", argpick_decoder_adaptive_target(NULL, &loss));
  NULL_REFUSED("target", argpick_decoder_adaptive_target(decoder, NULL));
  NULL_REFUSED("decoder", argpick_decoder_vocab(NULL, &number));
  NULL_REFUSED("vocab", argpick_decoder_vocab(decoder, NULL));
  NULL_REFUSED("decoder", argpick_decoder_set_bias(NULL, ids, biases, 2));
  NULL_REFUSED("tokens", argpick_decoder_set_bias(decoder, NULL, biases, 2));
  NULL_REFUSED("biases", argpick_decoder_set_bias(decoder, ids, NULL, 2));
  NULL_REFUSED("decoder", argpick_decoder_set_bans(NULL, ids, 2));
  NULL_REFUSED("tokens", argpick_decoder_set_bans(decoder, NULL, 2));
  const uint32_t lengths[2] = {1, 1};
  const uint64_t positions[2] = {0, 1};
  NULL_REFUSED("decoder", argpick_decoder_set_end_tokens(NULL, ids, 2));
  NULL_REFUSED("tokens", argpick_decoder_set_end_tokens(decoder, NULL, 2));
  NULL_REFUSED("decoder", argpick_decoder_set_stops(NULL, ids, 2, lengths, 2));
  NULL_REFUSED("tokens", argpick_decoder_set_stops(decoder, NULL, 2, lengths, 2));
  NULL_REFUSED("lengths", argpick_decoder_set_stops(decoder, ids, 2, NULL, 2));
  NULL_REFUSED("decoder", argpick_decoder_set_breakers(NULL, ids, 2, lengths, 2));
  NULL_REFUSED("tokens", argpick_decoder_set_breakers(decoder, NULL, 2, lengths, 2));
  NULL_REFUSED("lengths", argpick_decoder_set_breakers(decoder, ids, 2, NULL, 2));
  NULL_REFUSED("decoder", argpick_decoder_set_bad_sequences(NULL, ids, 2, lengths, 2));
  NULL_REFUSED("tokens", argpick_decoder_set_bad_sequences(decoder, NULL, 2, lengths, 2));
  NULL_REFUSED("lengths", argpick_decoder_set_bad_sequences(decoder, ids, 2, NULL, 2));
  NULL_REFUSED("decoder", argpick_decoder_set_sequence_bias(NULL, ids, 2, lengths, biases, 2));
  NULL_REFUSED("tokens", argpick_decoder_set_sequence_bias(decoder, NULL, 2, lengths, biases, 2));
  NULL_REFUSED("lengths", argpick_decoder_set_sequence_bias(decoder, ids, 2, NULL, biases, 2));
  NULL_REFUSED("biases", argpick_decoder_set_sequence_bias(decoder, ids, 2, lengths, NULL, 2));
  NULL_REFUSED("decoder", argpick_decoder_set_forced(NULL, positions, ids, 2));
  NULL_REFUSED("positions", argpick_decoder_set_forced(decoder, NULL, ids, 2));
  NULL_REFUSED("tokens", argpick_decoder_set_forced(decoder, positions, NULL, 2));
  NULL_REFUSED("decoder", argpick_decoder_set_stop_strings(NULL, "ab", 2, lengths, 2));
  NULL_REFUSED("bytes", argpick_decoder_set_stop_strings(decoder, NULL, 2, lengths, 2));
  NULL_REFUSED("lengths", argpick_decoder_set_stop_strings(decoder, "ab", 2, NULL, 2));
  NULL_REFUSED("decoder", argpick_decoder_push_bytes(NULL, "ab", 2, &number, &size));
  NULL_REFUSED("bytes", argpick_decoder_push_bytes(decoder, NULL, 2, &number, &size));
  NULL_REFUSED("stop", argpick_decoder_push_bytes(decoder, "ab", 2, NULL, &size));
  NULL_REFUSED("held_back", argpick_decoder_push_bytes(decoder, "ab", 2, &number, NULL));
  NULL_REFUSED("decoder", argpick_decoder_finish(NULL, &number));
  NULL_REFUSED("finish", argpick_decoder_finish(decoder, NULL));
  NULL_REFUSED("decoder", argpick_decoder_saved_size(NULL, &size));
  NULL_REFUSED("size", argpick_decoder_saved_size(decoder, NULL));
  NULL_REFUSED("decoder", argpick_decoder_save(NULL, bytes, sizeof bytes, &size));
  NULL_REFUSED("bytes", argpick_decoder_save(decoder, NULL, sizeof bytes, &size));
  NULL_REFUSED("written", argpick_decoder_save(decoder, bytes, sizeof bytes, NULL));
  NULL_REFUSED("decoder", argpick_decoder_load(NULL, bytes, sizeof bytes));
  NULL_REFUSED("bytes", argpick_decoder_load(decoder, NULL, sizeof bytes));

  NULL_REFUSED("decoder", argpick_decode(NULL, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
  NULL_REFUSED("logits", argpick_decode(decoder, NULL, ARGPICK_F32, VOCAB, NULL, 0, &pick));
  NULL_REFUSED("logits", argpick_decode(decoder, NULL, ARGPICK_F32, 0, NULL, 0, &pick));
  NULL_REFUSED("mask", argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 2, &pick));
  NULL_REFUSED("pick", argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, NULL));
  NULL_REFUSED("decoder", argpick_evaluate(NULL, row, ARGPICK_F32, VOCAB, NULL, 0, &pick));
  NULL_REFUSED("logits", argpick_evaluate(decoder, NULL, ARGPICK_F32, VOCAB, NULL, 0, &pick));
  NULL_REFUSED("mask", argpick_evaluate(decoder, row, ARGPICK_F32, VOCAB, NULL, 2, &pick));
  NULL_REFUSED("pick", argpick_evaluate(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, NULL));
  NULL_REFUSED("decoder", argpick_process(NULL, row, VOCAB, NULL, 0));
  NULL_REFUSED("logits", argpick_process(decoder, NULL, VOCAB, NULL, 0));
  NULL_REFUSED("mask", argpick_process(decoder, row, VOCAB, NULL, 2));
  NULL_REFUSED("decoder", argpick_probabilities(NULL, row, VOCAB, NULL, 0));
  NULL_REFUSED("logits", argpick_probabilities(decoder, NULL, VOCAB, NULL, 0));
  NULL_REFUSED("mask", argpick_probabilities(decoder, row, VOCAB, NULL, 2));
  NULL_REFUSED("row", argpick_softmax(NULL, VOCAB, 1.0f));

  NULL_REFUSED("decoder", argpick_top(NULL, row, ARGPICK_F32, VOCAB, NULL, 0, candidates, 4, &size));
  NULL_REFUSED("logits", argpick_top(decoder, NULL, ARGPICK_F32, VOCAB, NULL, 0, candidates, 4, &size));
  NULL_REFUSED("mask", argpick_top(decoder, row, ARGPICK_F32, VOCAB, NULL, 2, candidates, 4, &size));
  NULL_REFUSED("candidates", argpick_top(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, NULL, 4, &size));
  NULL_REFUSED("found", argpick_top(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, candidates, 4, NULL));
  NULL_REFUSED("found", argpick_top_raw(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, candidates, 4, NULL));
  NULL_REFUSED("decoder", argpick_top_raw(NULL, row, ARGPICK_F32, VOCAB, NULL, 0, candidates, 4, &size));
  NULL_REFUSED("logits", argpick_top_raw(decoder, NULL, ARGPICK_F32, VOCAB, NULL, 0, candidates, 4, &size));
  NULL_REFUSED("candidates", argpick_top_raw(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, NULL, 4, &size));
  NULL_REFUSED("decoder", argpick_kept(NULL, row, ARGPICK_F32, VOCAB, NULL, 0, candidates, 4, &size));
  NULL_REFUSED("logits", argpick_kept(decoder, NULL, ARGPICK_F32, VOCAB, NULL, 0, candidates, 4, &size));
  NULL_REFUSED("mask", argpick_kept(decoder, row, ARGPICK_F32, VOCAB, NULL, 2, candidates, 4, &size));
  NULL_REFUSED("candidates", argpick_kept(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, NULL, 4, &size));
  NULL_REFUSED("found", argpick_kept(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, candidates, 4, NULL));
  NULL_REFUSED("decoder", argpick_probability_of(NULL, row, ARGPICK_F32, VOCAB, NULL, 0, 1, &probability));
  NULL_REFUSED("logits", argpick_probability_of(decoder, NULL, ARGPICK_F32, VOCAB, NULL, 0, 1, &probability));
  NULL_REFUSED("mask", argpick_probability_of(decoder, row, ARGPICK_F32, VOCAB, NULL, 2, 1, &probability));
  NULL_REFUSED("probability", argpick_probability_of(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, 1, NULL));

  argpick_decoder *const decoders[1] = {decoder};
  argpick_decoder *const no_decoder[1] = {NULL};
  const void *const logits[1] = {row};
  const void *const no_logits[1] = {NULL};
  argpick_status statuses[1];
  float losses[1];
  uint32_t ranks[1], argmaxes[1];
  NULL_REFUSED("decoders", argpick_decode_batch(NULL, 1, logits, ARGPICK_F32, VOCAB, NULL, 0, &pick, statuses));
  NULL_REFUSED("logits", argpick_decode_batch(decoders, 1, NULL, ARGPICK_F32, VOCAB, NULL, 0, &pick, statuses));
  NULL_REFUSED("pick", argpick_decode_batch(decoders, 1, logits, ARGPICK_F32, VOCAB, NULL, 0, NULL, statuses));
  NULL_REFUSED("statuses", argpick_decode_batch(decoders, 1, logits, ARGPICK_F32, VOCAB, NULL, 0, &pick, NULL));
  NULL_REFUSED("decoder", argpick_decode_batch(no_decoder, 1, logits, ARGPICK_F32, VOCAB, NULL, 0, &pick, statuses));
  NULL_REFUSED("logits", argpick_decode_batch(decoders, 1, no_logits, ARGPICK_F32, VOCAB, NULL, 0, &pick, statuses));
  CHECK(statuses[0] == ARGPICK_ERR_NULL);

  NULL_REFUSED("logits", argpick_score(NULL, ARGPICK_F32, VOCAB, 0, &loss, &number, &another));
  NULL_REFUSED("loss", argpick_score(row, ARGPICK_F32, VOCAB, 0, NULL, &number, &another));
  NULL_REFUSED("rank", argpick_score(row, ARGPICK_F32, VOCAB, 0, &loss, NULL, &another));
  NULL_REFUSED("argmax", argpick_score(row, ARGPICK_F32, VOCAB, 0, &loss, &number, NULL));
  NULL_REFUSED("logits", argpick_score_batch(1, NULL, ARGPICK_F32, VOCAB, ids, losses, ranks, argmaxes, statuses));
  NULL_REFUSED("targets", argpick_score_batch(1, logits, ARGPICK_F32, VOCAB, NULL, losses, ranks, argmaxes, statuses));
  NULL_REFUSED("losses", argpick_score_batch(1, logits, ARGPICK_F32, VOCAB, ids, NULL, ranks, argmaxes, statuses));
  NULL_REFUSED("ranks", argpick_score_batch(1, logits, ARGPICK_F32, VOCAB, ids, losses, NULL, argmaxes, statuses));
  NULL_REFUSED("argmaxes", argpick_score_batch(1, logits, ARGPICK_F32, VOCAB, ids, losses, ranks, NULL, statuses));
  NULL_REFUSED("statuses", argpick_score_batch(1, logits, ARGPICK_F32, VOCAB, ids, losses, ranks, argmaxes, NULL));
  NULL_REFUSED("logits", argpick_score_batch(1, no_logits, ARGPICK_F32, VOCAB, ids, losses, ranks, argmaxes, statuses));
  argpick_diagnosis diagnosis;
  diagnosis.struct_size = sizeof diagnosis;
  NULL_REFUSED("decoder", argpick_diagnose(NULL, 1, logits, ARGPICK_F32, VOCAB, ids, NULL, NULL, &diagnosis));
  NULL_REFUSED("logits", argpick_diagnose(decoder, 1, NULL, ARGPICK_F32, VOCAB, ids, NULL, NULL, &diagnosis));
  NULL_REFUSED("logits", argpick_diagnose(decoder, 1, no_logits, ARGPICK_F32, VOCAB, ids, NULL, NULL, &diagnosis));
  NULL_REFUSED("targets", argpick_diagnose(decoder, 1, logits, ARGPICK_F32, VOCAB, NULL, NULL, NULL, &diagnosis));
  NULL_REFUSED("diagnosis", argpick_diagnose(decoder, 1, logits, ARGPICK_F32, VOCAB, ids, NULL, NULL, NULL));

  NULL_REFUSED("path", argpick_weights_open(NULL, 0, &other));
  NULL_REFUSED("out", argpick_weights_open("x", 0, NULL));
  NULL_REFUSED("bytes", argpick_weights_from_memory(NULL, 9, 0, &other));
  NULL_REFUSED("out", argpick_weights_from_memory(bytes, 9, 0, NULL));
  NULL_REFUSED("memory", argpick_weights_init_from_arrays(NULL, sizeof room, row, row, 1, 1, &other));
  NULL_REFUSED("weights", argpick_weights_init_from_arrays(&room, sizeof room, NULL, row, 1, 1, &other));
  NULL_REFUSED("bias", argpick_weights_init_from_arrays(&room, sizeof room, row, NULL, 1, 1, &other));
  NULL_REFUSED("out", argpick_weights_init_from_arrays(&room, sizeof room, row, row, 1, 1, NULL));
  NULL_REFUSED("bytes", argpick_weights_init_from_memory(&room, sizeof room, NULL, 9, &other));
  NULL_REFUSED("out", argpick_weights_init_from_memory(&room, sizeof room, bytes, 9, NULL));
  NULL_REFUSED("out", argpick_weights_new(VOCAB, FEATURES, NULL));
  NULL_REFUSED("weights", argpick_weights_from_arrays(NULL, row, 1, 1, &other));
  NULL_REFUSED("bias", argpick_weights_from_arrays(row, NULL, 1, 1, &other));
  NULL_REFUSED("out", argpick_weights_from_arrays(row, row, 1, 1, NULL));
  NULL_REFUSED("weights", argpick_weights_arrays(NULL, &matrix, &vector));
  NULL_REFUSED("matrix", argpick_weights_arrays(weights, NULL, &vector));
  NULL_REFUSED("bias", argpick_weights_arrays(weights, &matrix, NULL));
  NULL_REFUSED("weights", argpick_weights_shape(NULL, &number, &another));
  NULL_REFUSED("vocab", argpick_weights_shape(weights, NULL, &another));
  NULL_REFUSED("features", argpick_weights_shape(weights, &number, NULL));
  NULL_REFUSED("weights", argpick_weights_prefetch(NULL, ids, 2));
  NULL_REFUSED("columns", argpick_weights_prefetch(weights, NULL, 2));
  NULL_REFUSED("weights", argpick_weights_save(NULL, "x", 0));
  NULL_REFUSED("path", argpick_weights_save(weights, NULL, 0));
  NULL_REFUSED("weights", argpick_logits(NULL, ids, NULL, 2, row, VOCAB));
  NULL_REFUSED("columns", argpick_logits(weights, NULL, NULL, 2, row, VOCAB));
  NULL_REFUSED("logits", argpick_logits(weights, ids, NULL, 2, NULL, VOCAB));
  NULL_REFUSED("decoder", argpick_decode_sparse(NULL, weights, ids, NULL, 2, NULL, 0, &pick));
  NULL_REFUSED("weights", argpick_decode_sparse(decoder, NULL, ids, NULL, 2, NULL, 0, &pick));
  NULL_REFUSED("columns", argpick_decode_sparse(decoder, weights, NULL, NULL, 2, NULL, 0, &pick));
  NULL_REFUSED("mask", argpick_decode_sparse(decoder, weights, ids, NULL, 2, NULL, 1, &pick));
  NULL_REFUSED("pick", argpick_decode_sparse(decoder, weights, ids, NULL, 2, NULL, 0, NULL));
  NULL_REFUSED("decoder", argpick_evaluate_sparse(NULL, weights, ids, NULL, 2, NULL, 0, &pick));
  NULL_REFUSED("weights", argpick_evaluate_sparse(decoder, NULL, ids, NULL, 2, NULL, 0, &pick));
  NULL_REFUSED("pick", argpick_evaluate_sparse(decoder, weights, ids, NULL, 2, NULL, 0, NULL));
  float gradient[VOCAB];
  NULL_REFUSED("weights", argpick_train_step(NULL, ids, NULL, 2, 0, 0.1f, gradient, VOCAB, &loss, &number));
  NULL_REFUSED("columns", argpick_train_step(weights, NULL, NULL, 2, 0, 0.1f, gradient, VOCAB, &loss, &number));
  NULL_REFUSED("gradient", argpick_train_step(weights, ids, NULL, 2, 0, 0.1f, NULL, VOCAB, &loss, &number));
  NULL_REFUSED("loss", argpick_train_step(weights, ids, NULL, 2, 0, 0.1f, gradient, VOCAB, NULL, &number));
  NULL_REFUSED("argmax", argpick_train_step(weights, ids, NULL, 2, 0, 0.1f, gradient, VOCAB, &loss, NULL));

  /* Nothing was written, and both handles are as new. */
  CHECK(made == NULL && other == NULL && matrix == NULL && vector == NULL && size == 77 && position == 77);
  CHECK(number == 77 && another == 77 && probability == -1.0f && loss == -1.0f && is_fresh(&pick));
  argpick_decoder *twin = new_decoder(&config, VOCAB);
  CHECK(decoded(decoder, row, VOCAB) == decoded(twin, row, VOCAB));
  OK(argpick_weights_shape(weights, &number, &another));
  CHECK(number == VOCAB && another == FEATURES);

  /* Where NULL has a meaning. */
  argpick_decoder_free(NULL);
  argpick_weights_free(NULL);
  OK(argpick_decoder_reset(decoder, NULL));
  OK(argpick_decoder_prompt(decoder, NULL, 0));
  OK(argpick_decoder_accept(decoder, NULL, 0));
  OK(argpick_decoder_set_bias(decoder, NULL, NULL, 0));
  OK(argpick_decoder_set_bans(decoder, NULL, 0));
  OK(argpick_decoder_set_end_tokens(decoder, NULL, 0));
  OK(argpick_decoder_set_stops(decoder, NULL, 0, NULL, 0));
  OK(argpick_decoder_set_breakers(decoder, NULL, 0, NULL, 0));
  OK(argpick_decoder_set_bad_sequences(decoder, NULL, 0, NULL, 0));
  OK(argpick_decoder_set_sequence_bias(decoder, NULL, 0, NULL, NULL, 0));
  OK(argpick_decoder_set_forced(decoder, NULL, NULL, 0));
  OK(argpick_decoder_set_stop_strings(decoder, NULL, 0, NULL, 0));
  OK(argpick_decoder_push_bytes(decoder, NULL, 0, &number, &size));
  CHECK(number == ARGPICK_NO_STOP && size == 0);
  OK(argpick_weights_prefetch(weights, NULL, 0));
  argpick_decoder_free(twin);
  argpick_decoder_free(decoder);
  argpick_weights_free(weights);
  puts("NULL everywhere: ok");
  return 0;
}
