/* Structs of other releases: every size that was released works, and nothing past it is touched; every other is refused.
   The build passes the sizes: ARGPICK_TEST_CONFIG_SIZES and ARGPICK_TEST_PICK_SIZES, the oldest first, today's last. */
#include "check.h"

enum { VOCAB = 64 };

static const uint32_t config_sizes[] = {ARGPICK_TEST_CONFIG_SIZES};
static const uint32_t pick_sizes[] = {ARGPICK_TEST_PICK_SIZES};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static float row[VOCAB];

static int is_released(uint32_t size, const uint32_t *sizes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (sizes[i] == size) return 1;
  }
  return 0;
}

/* A struct of exactly this many bytes on the heap, so that a sanitizer or valgrind sees what is touched past it. */
static void *exactly(uint32_t size) {
  unsigned char *bytes = malloc(size);
  CHECK(bytes != NULL);
  memset(bytes, 0x5a, size);
  return bytes;
}

static void set_field(void *config, size_t offset, uint32_t value) { memcpy((char *)config + offset, &value, sizeof value); }

/* The tokens of a short sequence, picked with a config and a pick of these sizes. */
static void tokens_with(uint32_t config_size, uint32_t pick_size, uint32_t tokens[8]) {
  argpick_config *config = exactly(config_size);
  OK(argpick_config_init(config, config_size));
  CHECK(config->struct_size == config_size);
  /* Fields of the first release. */
  config->seed = 11;
  config->top_k = 20;
  set_field(config, offsetof(argpick_config, no_repeat_window), 2);
  argpick_decoder *decoder = NULL;
  OK(argpick_decoder_new(config, VOCAB, &decoder));
  size_t size = 0;
  OK(argpick_decoder_size(config, VOCAB, &size));
  CHECK(size > 0);
  for (int i = 0; i < 8; i++) {
    argpick_pick *pick = exactly(pick_size);
    memcpy(pick, &pick_size, sizeof pick_size);
    OK(argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, pick));
    CHECK(pick->struct_size == pick_size && pick->token < VOCAB && pick->argmax < VOCAB);
    tokens[i] = pick->token;
    free(pick);
  }
  OK(argpick_decoder_reset(decoder, config));
  argpick_pick *pick = exactly(pick_size);
  memcpy(pick, &pick_size, sizeof pick_size);
  OK(argpick_evaluate(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, pick));
  CHECK(pick->token == tokens[0]);
  free(pick);
  argpick_decoder_free(decoder);
  free(config);
}

static void every_released_size(void) {
  uint32_t expected[8], tokens[8];
  tokens_with(sizeof(argpick_config), sizeof(argpick_pick), expected);
  size_t tried = 0;
  for (size_t i = 0; i < COUNT(config_sizes); i++) {
    for (size_t j = 0; j < COUNT(pick_sizes); j++) {
      tokens_with(config_sizes[i], pick_sizes[j], tokens);
      CHECK(memcmp(tokens, expected, sizeof tokens) == 0);
      tried += config_sizes[i] != sizeof(argpick_config) || pick_sizes[j] != sizeof(argpick_pick);
    }
  }
  /* There is an older release of each. */
  CHECK(COUNT(config_sizes) > 1 && COUNT(pick_sizes) > 1 && tried > 2);
}

/* Newer ones and those that never were: refused before anything is read past the size, or written at all. */
static void every_other_size(void) {
  argpick_config good = default_config();
  argpick_decoder *decoder = new_decoder(&good, VOCAB), *twin = new_decoder(&good, VOCAB), *made = NULL;
  for (uint32_t size = 4; size <= 2 * sizeof(argpick_config); size += 4) {
    if (!is_released(size, config_sizes, COUNT(config_sizes))) {
      unsigned char *config = exactly(size), *before = exactly(size);
      size_t needed = 7;
      ANSWERS(ARGPICK_ERR_STRUCT_SIZE, argpick_config_init((argpick_config *)(void *)config, size));
      CHECK(memcmp(config, before, size) == 0);
      memcpy(config, &size, sizeof size);
      memcpy(before, config, size);
      ANSWERS(ARGPICK_ERR_STRUCT_SIZE, argpick_decoder_new((argpick_config *)(void *)config, VOCAB, &made));
      SAYS("config.struct_size");
      check_detail(ARGPICK_ERR_STRUCT_SIZE, sizeof(argpick_config), size);
      ANSWERS(ARGPICK_ERR_STRUCT_SIZE, argpick_decoder_size((argpick_config *)(void *)config, VOCAB, &needed));
      ANSWERS(ARGPICK_ERR_STRUCT_SIZE, argpick_decoder_reset(decoder, (argpick_config *)(void *)config));
      CHECK(made == NULL && needed == 7 && memcmp(config, before, size) == 0);
      free(before);
      free(config);
    }
    if (!is_released(size, pick_sizes, COUNT(pick_sizes))) {
      unsigned char *pick = exactly(size), *before = exactly(size);
      memcpy(pick, &size, sizeof size);
      memcpy(before, pick, size);
      ANSWERS(ARGPICK_ERR_STRUCT_SIZE,
              argpick_decode(decoder, row, ARGPICK_F32, VOCAB, NULL, 0, (argpick_pick *)(void *)pick));
      SAYS("pick.struct_size");
      check_detail(ARGPICK_ERR_STRUCT_SIZE, sizeof(argpick_pick), size);
      CHECK(memcmp(pick, before, size) == 0);
      free(before);
      free(pick);
    }
  }
  /* Nothing of all this was recorded. */
  uint64_t position = 1;
  OK(argpick_decoder_position(decoder, &position));
  CHECK(position == 0 && decoded(decoder, row, VOCAB) == decoded(twin, row, VOCAB));
  argpick_decoder_free(decoder);
  argpick_decoder_free(twin);
}

int main(void) {
  CHECK(config_sizes[COUNT(config_sizes) - 1] == sizeof(argpick_config));
  CHECK(pick_sizes[COUNT(pick_sizes) - 1] == sizeof(argpick_pick));
  fill_row(row, VOCAB, 8);
  every_released_size();
  every_other_size();
  puts("structs of other releases: ok");
  return 0;
}
