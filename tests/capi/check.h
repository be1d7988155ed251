/* What the C tests share: a check that says where it failed and why, and rows that are easy to reason about. */
#ifndef ARGPICK_TEST_CHECK_H
#define ARGPICK_TEST_CHECK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "argpick.h"

#define CHECK(condition)                                                                              \
  do {                                                                                                \
    if (!(condition)) {                                                                               \
      fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, #condition,         \
              argpick_last_error());                                                                  \
      exit(1);                                                                                        \
    }                                                                                                 \
  } while (0)

/* The call answers this status. */
#define ANSWERS(status, call) check_status((status), (call), #call, __FILE__, __LINE__)
#define OK(call) ANSWERS(ARGPICK_OK, call)
/* The last error's text contains this. */
#define SAYS(text) CHECK(strstr(argpick_last_error(), (text)) != NULL)

static inline void check_status(argpick_status expected, argpick_status actual, const char *call, const char *file,
                                int line) {
  if (expected != actual) {
    fprintf(stderr, "%s:%d: %s\n  answered %d (%s), not %d; last error: %s\n", file, line, call, (int)actual,
            argpick_status_message(actual), (int)expected, argpick_last_error());
    exit(1);
  }
}

/* The last error has this detail; a NaN stands for "no value". */
static inline void check_detail(argpick_status status, uint64_t index, double value) {
  argpick_status found_status;
  uint64_t found_index;
  double found_value;
  OK(argpick_error_detail(&found_status, &found_index, &found_value));
  CHECK(found_status == status);
  CHECK(found_index == index);
  CHECK(found_value == value || (isnan(value) && isnan(found_value)));
}

static inline argpick_config default_config(void) {
  argpick_config config;
  OK(argpick_config_init(&config, sizeof config));
  return config;
}

static inline argpick_decoder *new_decoder(const argpick_config *config, uint32_t vocab) {
  argpick_decoder *decoder = NULL;
  OK(argpick_decoder_new(config, vocab, &decoder));
  CHECK(decoder != NULL);
  return decoder;
}

/* A pick whose every field is recognisably untouched. */
static inline argpick_pick fresh_pick(void) {
  argpick_pick pick;
  memset(&pick, 0x5a, sizeof pick);
  pick.struct_size = sizeof pick;
  return pick;
}

static inline int is_fresh(const argpick_pick *pick) {
  argpick_pick fresh = fresh_pick();
  return memcmp(pick, &fresh, sizeof fresh) == 0;
}

/* Logits of about -8 to 8 from a linear congruential generator. */
static inline void fill_row(float *row, size_t count, uint64_t seed) {
  uint64_t state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
  for (size_t i = 0; i < count; i++) {
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    row[i] = (float)(state >> 40) / 1048576.0f - 8.0f;
  }
}

static inline uint32_t decoded(argpick_decoder *decoder, const float *row, size_t count) {
  argpick_pick pick = fresh_pick();
  OK(argpick_decode(decoder, row, ARGPICK_F32, count, NULL, 0, &pick));
  return pick.token;
}

#endif
