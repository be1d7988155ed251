/* What the program made by tests/support/every_function.rs stands on: one of everything that a function may take. A row has two
   tokens and every list two elements, so that one count fits them all. */
#ifndef ARGPICK_TEST_EVERY_H
#define ARGPICK_TEST_EVERY_H

#include "check.h"

enum { VOCAB = 2, FEATURES = 2 };

struct world {
  argpick_decoder *decoder, *made_decoder;
  argpick_weights *weights, *made_weights;
  argpick_trace *trace, *made_trace;
  argpick_replay *replay, *made_replay;
  argpick_beam *beam, *made_beam;
  argpick_decoder *decoders[2];
  argpick_config config;
  argpick_pick pick, picks[8];
  argpick_candidate candidate[4];
  argpick_drafts drafts;
  argpick_verified verified;
  argpick_stage stage[ARGPICK_MOST_STAGES];
  argpick_beam_config beam_config;
  argpick_beam_state beam_state;
  argpick_beam_continuation beam_continuation[16];
  argpick_hypothesis hypothesis;
  argpick_diagnosis_limits diagnosis_limits;
  argpick_diagnosis diagnosis;
  argpick_step_record step_record;
  argpick_difference difference;
  argpick_cuda_row cuda_row[2];
  argpick_cuda_batch cuda_batch;
  argpick_cuda_head cuda_head;
  argpick_cuda_pick cuda_pick;
  argpick_cuda_train cuda_train;
  argpick_cuda_score cuda_score;
  uint32_t ids[2], ones[2], mask[1], numbers[64];
  uint64_t positions[2];
  float row[2], floats[64], *array;
  double real;
  size_t size;
  const void *bytes, *rows[2];
  const uint32_t *masks[2];
  const argpick_config *configs[2];
  union {
    long double aligned;
    uint64_t words[1 << 17];
    unsigned char bytes[1 << 20];
  } memory;
  /* A trace that has ended: the replay reads its bytes. */
  argpick_trace *done;
  const void *recorded;
  size_t recorded_size;
  /* A decoder's state. */
  unsigned char saved[1 << 14];
  size_t saved_size;
  /* Weights, aligned as they may have to be. */
  union {
    long double aligned;
    char bytes[8 + 136 + 24];
  } file;
};

/* A file of weights: safetensors, with columns one after the other; the numbers are 0. */
static const char weights_header[] =
    "{\"W.T\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
    "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[16,24]}}";

static struct world world;
static int calls;
/* A struct of a size that is tried. */
static void *block;

static void open_world(void) {
  memset(&world, 0, sizeof world);
  OK(argpick_config_init(&world.config, sizeof world.config));
  world.config.metrics = ARGPICK_METRIC_ALL;
  world.decoder = new_decoder(&world.config, VOCAB);
  world.decoders[0] = new_decoder(&world.config, VOCAB);
  world.decoders[1] = new_decoder(&world.config, VOCAB);
  OK(argpick_weights_new(VOCAB, FEATURES, &world.weights));
  OK(argpick_beam_config_init(&world.beam_config, sizeof world.beam_config));
  world.beam_config.max_tokens = 4;
  world.beam_config.beams = 2;
  world.ids[1] = 1;
  world.ones[0] = world.ones[1] = 1;
  world.mask[0] = 3;
  world.positions[1] = 1;
  world.row[1] = 1.0f;
  world.rows[0] = world.rows[1] = world.row;
  world.numbers[0] = world.numbers[1] = 3;
  world.configs[0] = world.configs[1] = &world.config;
  world.pick.struct_size = sizeof world.pick;
  for (int i = 0; i < 8; i++) world.picks[i].struct_size = sizeof world.pick;
  world.drafts.struct_size = sizeof world.drafts;
  world.drafts.tokens = world.ids;
  world.drafts.drafts = 1;
  world.drafts.logits = world.rows;
  world.drafts.count = VOCAB;
  world.drafts.picks = 2;
  world.verified.struct_size = sizeof world.verified;
  world.beam_state.struct_size = sizeof world.beam_state;
  world.hypothesis.struct_size = sizeof world.hypothesis;
  world.diagnosis_limits.struct_size = sizeof world.diagnosis_limits;
  world.diagnosis_limits.flat_entropy = 0.9f;
  world.diagnosis_limits.saturated_top1 = 0.99f;
  world.diagnosis_limits.top_k = 2;
  world.diagnosis.struct_size = sizeof world.diagnosis;
  world.step_record.struct_size = sizeof world.step_record;
  world.difference.struct_size = sizeof world.difference;
  world.cuda_batch.struct_size = sizeof world.cuda_batch;
  world.cuda_head.struct_size = sizeof world.cuda_head;
  world.cuda_train.struct_size = sizeof world.cuda_train;

  /* A search after one step: a beam of token 0, and a hypothesis that ended with token 1. */
  const uint32_t end_token = 1;
  OK(argpick_beam_new(&world.beam_config, VOCAB, &end_token, 1, &world.beam));
  OK(argpick_beam_step(world.beam, world.rows, ARGPICK_F32, VOCAB, 1, NULL, 0, NULL, 0, world.beam_continuation, 4,
                       &world.beam_state));
  CHECK(world.beam_state.live == 1 && world.beam_state.hypotheses == 1);

  /* A trace of one step, for the replay; and one that is open. */
  argpick_pick pick = fresh_pick();
  argpick_decoder *recorded = new_decoder(&world.config, VOCAB);
  const uint32_t column = 0;
  OK(argpick_trace_new(recorded, ARGPICK_TRACE_ALL, NULL, NULL, &world.done));
  OK(argpick_trace_decode_sparse(world.done, recorded, world.weights, &column, NULL, 1, NULL, 0, &pick));
  OK(argpick_trace_finish(world.done, &world.recorded, &world.recorded_size));
  OK(argpick_replay_new(world.recorded, world.recorded_size, NULL, NULL, &world.replay));
  argpick_step_record step;
  step.struct_size = sizeof step;
  OK(argpick_replay_next(world.replay, &step));
  argpick_decoder_free(recorded);
  OK(argpick_decoder_save(world.decoder, world.saved, sizeof world.saved, &world.saved_size));
  memset(world.file.bytes, 0, sizeof world.file.bytes);
  memset(world.file.bytes + 8, ' ', 136);
  world.file.bytes[0] = (char)136;
  memcpy(world.file.bytes + 8, weights_header, sizeof weights_header - 1);
  OK(argpick_trace_new(world.decoder, ARGPICK_TRACE_ALL, NULL, NULL, &world.trace));
}

static void close_world(void) {
  argpick_replay_free(world.replay);
  argpick_replay_free(world.made_replay);
  argpick_trace_free(world.trace);
  argpick_trace_free(world.made_trace);
  argpick_trace_free(world.done);
  argpick_beam_free(world.beam);
  argpick_beam_free(world.made_beam);
  argpick_weights_free(world.weights);
  argpick_weights_free(world.made_weights);
  argpick_decoder_free(world.decoder);
  argpick_decoder_free(world.made_decoder);
  argpick_decoder_free(world.decoders[0]);
  argpick_decoder_free(world.decoders[1]);
}

/* Misaligned for whatever it points to. */
static void *odd(const void *pointer) { return (char *)(uintptr_t)pointer + 1; }

/* The call in a world of its own; its answer. The library may lack the CUDA path, which it says before all else. */
#define ANSWER_OF(answer, call)  \
  open_world();                  \
  argpick_status answer = (call); \
  close_world();                 \
  calls++
#define HARMLESS(call) \
  do {                 \
    (void)(call);      \
    calls++;           \
  } while (0)
#define SURVIVES(call)       \
  do {                       \
    ANSWER_OF(answer, call); \
    CHECK(answer >= 0);      \
  } while (0)
#define REFUSES(status, what, argument, call)                                            \
  do {                                                                                   \
    ANSWER_OF(answer, call);                                                             \
    if (answer == ARGPICK_ERR_CUDA_UNAVAILABLE) break;                                   \
    check_status((status), answer, #call, __FILE__, __LINE__);                           \
    if (strstr(#call, "argpick_error_detail") == NULL) SAYS(argument what);              \
  } while (0)
#define REFUSES_NULL(argument, call) REFUSES(ARGPICK_ERR_NULL, " is NULL", argument, call)
#define REFUSES_ODD(argument, call) REFUSES(ARGPICK_ERR_ALIGNMENT, "", argument, call)

#define TAKES(expected, call)                                  \
  do {                                                        \
    ANSWER_OF(answer, call);                                  \
    if (answer == ARGPICK_ERR_CUDA_UNAVAILABLE) break;        \
    check_status((expected), answer, #call, __FILE__, __LINE__); \
  } while (0)

/* A struct of every released size is taken, and not touched past its end; one of any other size is refused before anything
   of it but the size is read, and nothing of it is written. The block has room for two, as arrays have. */
#define SIZES(of, call, whole) check_sizes(sizes_of_##of, sizeof sizes_of_##of / sizeof *sizes_of_##of, sizeof world.of, #call); \
  for (size_t size_index = 0; size_index < tried_count; size_index++) {                                   \
    const struct tried tried = tried_sizes[size_index];                                                   \
    open_world();                                                                                         \
    make_block(&world.of, sizeof world.of, tried);                                                        \
    const argpick_status answer = (call);                                                                 \
    close_world();                                                                                        \
    open_world();                                                                                         \
    const argpick_status expected = (whole);                                                              \
    close_world();                                                                                        \
    check_block(tried, answer, expected, #call);                                                          \
    calls++;                                                                                              \
  }

struct tried {
  uint32_t size;
  int released;
};
static struct tried tried_sizes[32];
static size_t tried_count;
static unsigned char before[2 * 4096];

static void check_sizes(const uint32_t *released, size_t count, size_t whole, const char *call) {
  const uint32_t size = (uint32_t)whole;
  const uint32_t others[] = {0, 1, 4, 8, size - 8, size - 4, size - 1, size + 1, size + 4, size + 8, 2 * size, 4096, UINT32_MAX};
  if (released[count - 1] != size) {
    fprintf(stderr, "%s: the last released size is %u, the struct has %u\n", call, (unsigned)released[count - 1],
            (unsigned)size);
    exit(1);
  }
  tried_count = 0;
  for (size_t i = 0; i < count; i++) {
    const struct tried tried = {released[i], 1};
    tried_sizes[tried_count++] = tried;
  }
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    const struct tried tried = {others[i], 0};
    int known = 0;
    for (size_t j = 0; j < count; j++) known |= released[j] == others[i];
    if (!known) tried_sizes[tried_count++] = tried;
  }
}

/* On the heap and exactly as long as the size says, at least four bytes, so that a sanitizer sees what is touched past it. */
static size_t block_size(struct tried tried) {
  const size_t one = tried.size < 4 ? 4 : tried.size > 4096 ? 4 : tried.size;
  return tried.released ? 2 * one : one;
}

static void make_block(const void *whole, size_t size, struct tried tried) {
  const size_t total = block_size(tried);
  unsigned char *bytes = malloc(total);
  CHECK(bytes != NULL);
  memset(bytes, 0x5a, total);
  for (size_t at = 0; tried.released && at < total; at += tried.size) {
    memcpy(bytes + at, whole, tried.size < size ? tried.size : size);
    memcpy(bytes + at, &tried.size, sizeof tried.size);
  }
  memcpy(bytes, &tried.size, sizeof tried.size);
  memcpy(before, bytes, total);
  block = bytes;
}

static void check_block(struct tried tried, argpick_status answer, argpick_status expected, const char *call) {
  uint32_t size;
  memcpy(&size, block, sizeof size);
  if (answer != ARGPICK_ERR_CUDA_UNAVAILABLE) {
    const int refused = !tried.released;
    if (refused ? answer != ARGPICK_ERR_STRUCT_SIZE || memcmp(block, before, block_size(tried)) != 0
                : answer != expected || size != tried.size) {
      fprintf(stderr, "%s\n  with a struct_size of %u (%s): answered %d, last error: %s\n", call, (unsigned)tried.size,
              refused ? "never released" : "released", (int)answer, argpick_last_error());
      exit(1);
    }
  }
  free(block);
  block = NULL;
}

#endif
