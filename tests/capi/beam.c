/* argpick_beam: a whole search, with and without decoders beside it, on the heap and off it, and what is refused. */
#include "check.h"

enum { VOCAB = 300, BEAMS = 4, LENGTH = 8, END = 7, OUTPUTS = BEAMS * 2 };

static float rows[BEAMS][VOCAB];
static const uint32_t end_tokens[1] = {END};

static argpick_beam_config beam_config(void) {
  argpick_beam_config config;
  OK(argpick_beam_config_init(&config, sizeof config));
  CHECK(config.struct_size == sizeof config && config.beams == 4 && config.temperature == 1.0f);
  config.beams = BEAMS;
  config.max_tokens = LENGTH;
  config.length_penalty = 1.0f;
  return config;
}

static argpick_beam *new_beam(const argpick_beam_config *config) {
  argpick_beam *beam = NULL;
  OK(argpick_beam_new(config, VOCAB, end_tokens, 1, &beam));
  CHECK(beam != NULL);
  return beam;
}

static argpick_beam_state fresh_state(void) {
  argpick_beam_state state;
  memset(&state, 0x5a, sizeof state);
  state.struct_size = sizeof state;
  return state;
}

/* The rows of the live beams: a function of their tokens. */
static void model(const argpick_beam *beam, uint32_t live) {
  uint32_t tokens[LENGTH];
  double score;
  argpick_beam_state state = fresh_state();
  OK(argpick_beam_inspect(beam, &state));
  CHECK(state.live == live);
  for (uint32_t i = 0; i < live; i++) {
    uint64_t key = 5;
    OK(argpick_beam_tokens(beam, i, tokens, LENGTH, &score));
    for (uint32_t at = 0; at < state.length; at++) key = key * 1000003 + tokens[at];
    fill_row(rows[i], VOCAB, key);
    rows[i][END] += 6.0f;
  }
}

typedef struct {
  uint32_t count;
  argpick_hypothesis told[BEAMS];
  uint32_t tokens[BEAMS][LENGTH];
} best;

/* A whole search. mask, if any, is for all rows. */
static best run(argpick_beam *beam, const uint32_t *mask, argpick_decoder *const *decoders) {
  const void *logits[BEAMS];
  const uint32_t *masks[BEAMS];
  for (int i = 0; i < BEAMS; i++) logits[i] = rows[i], masks[i] = mask;
  argpick_beam_state state = fresh_state();
  OK(argpick_beam_inspect(beam, &state));
  CHECK(state.live == 1 && state.ended == 0 && state.length == 0 && state.hypotheses == 0 && state.outputs == OUTPUTS);
  uint32_t histories[BEAMS][LENGTH] = {{0}};
  while (state.live > 0) {
    uint32_t before = state.live;
    argpick_beam_continuation next[OUTPUTS];
    model(beam, before);
    OK(argpick_beam_step(beam, logits, ARGPICK_F32, VOCAB, before, mask ? masks : NULL, 10, decoders,
                         decoders ? BEAMS : 0, next, OUTPUTS, &state));
    CHECK(state.struct_size == sizeof state && state.live <= BEAMS && state.live + state.ended <= OUTPUTS);
    /* The host's own copy of the histories is the library's. */
    uint32_t moved[BEAMS][LENGTH];
    for (uint32_t i = 0; i < state.live; i++) {
      CHECK(next[i].parent < before && next[i].token < VOCAB && next[i].token != END);
      memcpy(moved[i], histories[next[i].parent], sizeof moved[i]);
      moved[i][state.length - 1] = next[i].token;
      uint32_t tokens[LENGTH];
      double score = 1.0;
      OK(argpick_beam_tokens(beam, i, tokens, LENGTH, &score));
      CHECK(score == next[i].score && memcmp(tokens, moved[i], state.length * sizeof *tokens) == 0);
    }
    memcpy(histories, moved, sizeof moved);
    for (uint32_t i = 0; i < state.ended; i++) CHECK(next[state.live + i].parent < before);
  }
  best found;
  memset(&found, 0, sizeof found);
  found.count = state.hypotheses;
  for (uint32_t rank = 0; rank < found.count; rank++) {
    argpick_hypothesis *told = &found.told[rank];
    told->struct_size = sizeof *told;
    OK(argpick_beam_best(beam, rank, found.tokens[rank], LENGTH, told));
    CHECK(told->finish == (found.tokens[rank][told->length - 1] == END ? ARGPICK_FINISH_END_TOKEN : ARGPICK_FINISH_LENGTH));
    CHECK(fabs(told->score * told->length - told->logprob) < 1e-9 && told->reserved1 == 0);
    CHECK(rank == 0 || told[-1].score >= told->score);
  }
  return found;
}

static void searches(void) {
  argpick_beam_config config = beam_config();
  argpick_beam *beam = new_beam(&config);
  best first = run(beam, NULL, NULL);
  CHECK(first.count == BEAMS);
  const void *logits[1] = {rows[0]};
  argpick_beam_continuation next[OUTPUTS];
  argpick_beam_state state = fresh_state();
  ANSWERS(ARGPICK_ERR_FINISHED,
          argpick_beam_step(beam, logits, ARGPICK_F32, VOCAB, 0, NULL, 0, NULL, 0, next, OUTPUTS, &state));
  OK(argpick_beam_reset(beam, NULL, NULL, 0));
  best again = run(beam, NULL, NULL);
  CHECK(memcmp(&first, &again, sizeof first) == 0);

  /* Decoders that adjust nothing change nothing; bans are as masks. */
  argpick_config plain = default_config();
  plain.history_capacity = 16;
  plain.adjustment_capacity = 4;
  argpick_decoder *decoders[BEAMS];
  for (int i = 0; i < BEAMS; i++) decoders[i] = new_decoder(&plain, VOCAB);
  OK(argpick_beam_reset(beam, NULL, NULL, 0));
  again = run(beam, NULL, decoders);
  CHECK(memcmp(&first, &again, sizeof first) == 0);
  uint32_t mask[10], ban = first.tokens[0][0];
  memset(mask, 0xff, sizeof mask);
  mask[ban / 32] &= ~(UINT32_C(1) << (ban % 32));
  OK(argpick_beam_reset(beam, NULL, NULL, 0));
  best masked = run(beam, mask, NULL);
  CHECK(masked.tokens[0][0] != ban && memcmp(&first, &masked, sizeof first) != 0);
  for (int i = 0; i < BEAMS; i++) {
    OK(argpick_decoder_reset(decoders[i], NULL));
    OK(argpick_decoder_set_bans(decoders[i], &ban, 1));
  }
  OK(argpick_beam_reset(beam, NULL, NULL, 0));
  best banned = run(beam, NULL, decoders);
  CHECK(memcmp(&banned, &masked, sizeof banned) == 0);
  uint64_t position;
  OK(argpick_decoder_position(decoders[0], &position));
  CHECK(position > 0 && position < LENGTH);

  /* The same handle twice is busy with itself, and nothing has changed. */
  argpick_decoder *twice[BEAMS] = {decoders[0], decoders[1], decoders[2], decoders[0]};
  OK(argpick_beam_reset(beam, NULL, NULL, 0));
  model(beam, 1);
  ANSWERS(ARGPICK_ERR_BUSY,
          argpick_beam_step(beam, logits, ARGPICK_F32, VOCAB, 1, NULL, 0, twice, BEAMS, next, OUTPUTS, &state));
  twice[3] = NULL;
  ANSWERS(ARGPICK_ERR_NULL,
          argpick_beam_step(beam, logits, ARGPICK_F32, VOCAB, 1, NULL, 0, twice, BEAMS, next, OUTPUTS, &state));
  twice[3] = decoders[3];
  ANSWERS(ARGPICK_ERR_WRONG_LENGTH,
          argpick_beam_step(beam, logits, ARGPICK_F32, VOCAB, 1, NULL, 0, twice, BEAMS - 1, next, OUTPUTS, &state));
  ANSWERS(ARGPICK_ERR_NULL,
          argpick_beam_step(beam, logits, ARGPICK_F32, VOCAB, 1, NULL, 0, NULL, BEAMS, next, OUTPUTS, &state));
  for (int i = 0; i < BEAMS; i++) OK(argpick_decoder_reset(decoders[i], NULL));
  again = run(beam, NULL, decoders);
  CHECK(memcmp(&again, &masked, sizeof again) == 0);
  for (int i = 0; i < BEAMS; i++) argpick_decoder_free(decoders[i]);

  /* More beams: more memory. */
  config.beams = 64;
  config.n_best = 2;
  config.max_tokens = 100;
  OK(argpick_beam_reset(beam, &config, NULL, 0));
  state = fresh_state();
  OK(argpick_beam_inspect(beam, &state));
  CHECK(state.outputs == 64 && state.live == 1);
  argpick_beam_free(beam);
}

static void memory_of_the_caller(void) {
  static union {
    long double align;
    unsigned char bytes[1 << 15];
  } memory;
  argpick_beam_config config = beam_config();
  argpick_beam *beam = new_beam(&config), *here = NULL;
  best expected = run(beam, NULL, NULL);
  size_t size = 0;
  OK(argpick_beam_size(&config, VOCAB, end_tokens, 1, &size));
  CHECK(size > 0 && size <= sizeof memory.bytes);
  memset(memory.bytes, 0xee, sizeof memory.bytes);
  ANSWERS(ARGPICK_ERR_STORAGE_TOO_SMALL, argpick_beam_init(&memory, size - 1, &config, VOCAB, end_tokens, 1, &here));
  check_detail(ARGPICK_ERR_STORAGE_TOO_SMALL, size, (double)(size - 1));
  ANSWERS(ARGPICK_ERR_ALIGNMENT, argpick_beam_init(memory.bytes + 8, size, &config, VOCAB, end_tokens, 1, &here));
  ANSWERS(ARGPICK_ERR_NULL, argpick_beam_init(NULL, size, &config, VOCAB, end_tokens, 1, &here));
  CHECK(here == NULL);
  OK(argpick_beam_init(&memory, size, &config, VOCAB, end_tokens, 1, &here));
  best found = run(here, NULL, NULL);
  CHECK(memcmp(&found, &expected, sizeof found) == 0 && memory.bytes[size] == 0xee);
  config.beams = 64;
  ANSWERS(ARGPICK_ERR_STORAGE_TOO_SMALL, argpick_beam_reset(here, &config, end_tokens, 1));
  OK(argpick_beam_reset(here, NULL, NULL, 0));
  found = run(here, NULL, NULL);
  CHECK(memcmp(&found, &expected, sizeof found) == 0);
  argpick_beam_free(here);
  argpick_beam_free(beam);
}

static void refusals(void) {
  argpick_beam_config config = beam_config();
  argpick_beam *beam = NULL;
  ANSWERS(ARGPICK_ERR_NULL, argpick_beam_config_init(NULL, sizeof config));
  ANSWERS(ARGPICK_ERR_STRUCT_SIZE, argpick_beam_config_init(&config, 47));
  ANSWERS(ARGPICK_ERR_NULL, argpick_beam_new(NULL, VOCAB, end_tokens, 1, &beam));
  ANSWERS(ARGPICK_ERR_NULL, argpick_beam_new(&config, VOCAB, NULL, 1, &beam));
  ANSWERS(ARGPICK_ERR_NULL, argpick_beam_new(&config, VOCAB, end_tokens, 1, NULL));
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_beam_new(&config, 0, end_tokens, 1, &beam));
  static const uint32_t twice[2] = {3, 3}, outside[1] = {VOCAB};
  ANSWERS(ARGPICK_ERR_DUPLICATE_TOKEN, argpick_beam_new(&config, VOCAB, twice, 2, &beam));
  ANSWERS(ARGPICK_ERR_TOKEN_OUT_OF_RANGE, argpick_beam_new(&config, VOCAB, outside, 1, &beam));
  config.profile = ARGPICK_PROFILE_LLAMA_CPP;
  ANSWERS(ARGPICK_ERR_NOT_IN_PROFILE, argpick_beam_new(&config, VOCAB, end_tokens, 1, &beam));
  SAYS("llama_cpp has no beams");
  config = beam_config();
  config.profile = 4;
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_beam_new(&config, VOCAB, end_tokens, 1, &beam));
  config = beam_config();
  config.early_stopping = 3;
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_beam_new(&config, VOCAB, end_tokens, 1, &beam));
  config = beam_config();
  config.struct_size = 40;
  ANSWERS(ARGPICK_ERR_STRUCT_SIZE, argpick_beam_new(&config, VOCAB, end_tokens, 1, &beam));
  CHECK(beam == NULL);
  argpick_beam_free(NULL);

  config = beam_config();
  beam = new_beam(&config);
  const void *logits[BEAMS] = {rows[0], rows[1], rows[2], rows[3]};
  argpick_beam_continuation next[OUTPUTS], untouched[OUTPUTS];
  memset(next, 0x5a, sizeof next);
  memset(untouched, 0x5a, sizeof untouched);
  argpick_beam_state state = fresh_state();
  model(beam, 1);
  OK(argpick_beam_step(beam, logits, ARGPICK_F32, VOCAB, 1, NULL, 0, NULL, 0, next, OUTPUTS, &state));
  uint32_t live = state.live;
  CHECK(live == BEAMS);
  model(beam, live);
  memset(next, 0x5a, sizeof next);
  state = fresh_state();
#define STEP(status, ...) ANSWERS(status, argpick_beam_step(__VA_ARGS__))
  STEP(ARGPICK_ERR_NULL, NULL, logits, ARGPICK_F32, VOCAB, live, NULL, 0, NULL, 0, next, OUTPUTS, &state);
  STEP(ARGPICK_ERR_NULL, beam, NULL, ARGPICK_F32, VOCAB, live, NULL, 0, NULL, 0, next, OUTPUTS, &state);
  STEP(ARGPICK_ERR_NULL, beam, logits, ARGPICK_F32, VOCAB, live, NULL, 0, NULL, 0, NULL, OUTPUTS, &state);
  STEP(ARGPICK_ERR_NULL, beam, logits, ARGPICK_F32, VOCAB, live, NULL, 0, NULL, 0, next, OUTPUTS, NULL);
  STEP(ARGPICK_ERR_WRONG_LENGTH, beam, logits, ARGPICK_F32, VOCAB, live - 1, NULL, 0, NULL, 0, next, OUTPUTS, &state);
  STEP(ARGPICK_ERR_WRONG_LENGTH, beam, logits, ARGPICK_F32, VOCAB - 1, live, NULL, 0, NULL, 0, next, OUTPUTS, &state);
  STEP(ARGPICK_ERR_WRONG_LENGTH, beam, logits, ARGPICK_F32, VOCAB, live, NULL, 0, NULL, 0, next, OUTPUTS - 1, &state);
  STEP(ARGPICK_ERR_INVALID_PARAMETER, beam, logits, 3, VOCAB, live, NULL, 0, NULL, 0, next, OUTPUTS, &state);
  logits[2] = NULL;
  STEP(ARGPICK_ERR_NULL, beam, logits, ARGPICK_F32, VOCAB, live, NULL, 0, NULL, 0, next, OUTPUTS, &state);
  SAYS("row 2");
  logits[2] = (const char *)rows[2] + 1;
  STEP(ARGPICK_ERR_ALIGNMENT, beam, logits, ARGPICK_F32, VOCAB, live, NULL, 0, NULL, 0, next, OUTPUTS, &state);
  logits[2] = rows[2];
  float kept = rows[3][250];
  rows[3][250] = NAN;
  STEP(ARGPICK_ERR_INVALID_LOGIT, beam, logits, ARGPICK_F32, VOCAB, live, NULL, 0, NULL, 0, next, OUTPUTS, &state);
  SAYS("row 3");
  check_detail(ARGPICK_ERR_INVALID_LOGIT, 250, NAN);
  rows[3][250] = kept;
  static const uint32_t nothing[10] = {0};
  const uint32_t *masks[BEAMS] = {nothing, nothing, nothing, nothing};
  STEP(ARGPICK_ERR_EVERYTHING_MASKED, beam, logits, ARGPICK_F32, VOCAB, live, masks, 10, NULL, 0, next, OUTPUTS, &state);
  state.struct_size = 20;
  STEP(ARGPICK_ERR_STRUCT_SIZE, beam, logits, ARGPICK_F32, VOCAB, live, NULL, 0, NULL, 0, next, OUTPUTS, &state);
  state.struct_size = sizeof state;
  argpick_beam_state fresh = fresh_state();
  CHECK(memcmp(next, untouched, sizeof next) == 0 && memcmp(&state, &fresh, sizeof state) == 0);
  /* One beam is given up, the others go on. */
  masks[1] = masks[2] = masks[3] = NULL;
  STEP(ARGPICK_OK, beam, logits, ARGPICK_F32, VOCAB, live, masks, 10, NULL, 0, next, OUTPUTS, &state);
  for (uint32_t i = 0; i < state.live; i++) CHECK(next[i].parent != 0);

  uint32_t tokens[LENGTH];
  double score = 0.5;
  argpick_hypothesis told;
  memset(&told, 0, sizeof told);
  told.struct_size = sizeof told;
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_beam_tokens(beam, 99, tokens, LENGTH, &score));
  ANSWERS(ARGPICK_ERR_WRONG_LENGTH, argpick_beam_tokens(beam, 0, tokens, 1, &score));
  check_detail(ARGPICK_ERR_WRONG_LENGTH, 2, 1);
  ANSWERS(ARGPICK_ERR_NULL, argpick_beam_tokens(beam, 0, tokens, LENGTH, NULL));
  ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_beam_best(beam, 99, tokens, LENGTH, &told));
  ANSWERS(ARGPICK_ERR_NULL, argpick_beam_best(beam, 0, NULL, LENGTH, &told));
  ANSWERS(ARGPICK_ERR_NULL, argpick_beam_best(beam, 0, tokens, LENGTH, NULL));
  CHECK(score == 0.5 && told.length == 0);
  OK(argpick_beam_best(beam, 0, NULL, 0, &told));
  CHECK(told.length > 0);
  argpick_beam_free(beam);
}

int main(void) {
  searches();
  memory_of_the_caller();
  refusals();
  puts("beams: ok");
  return 0;
}
