/* The tokens that every host must get: 24 steps over rows that are exact in float, with top-k, a bias, a ban and a mask.
   bindings/lua/example.lua and bindings/csharp/Example.cs do the same and have to print the same line. */
#include <stdio.h>

#include "argpick.h"

enum { VOCAB = 1000, STEPS = 24 };

static int failed(const char *what) {
  fprintf(stderr, "%s: %s\n", what, argpick_last_error());
  return 1;
}

int main(void) {
  argpick_config config;
  argpick_decoder *decoder = NULL;
  argpick_pick pick = {0};
  const uint32_t banned[] = {7, 500}, biased[] = {11, 13};
  const float biases[] = {2.0f, -1.5f};
  uint32_t mask[(VOCAB + 31) / 32];
  float row[VOCAB];
  int step, i;

  if (argpick_config_init(&config, sizeof config) != ARGPICK_OK) return failed("config");
  config.seed = 2024;
  config.stream = 3;
  config.temperature = 0.75f;
  config.top_k = 40;
  config.no_repeat_window = 4;
  config.metrics = ARGPICK_METRIC_RANK;
  if (argpick_decoder_new(&config, VOCAB, &decoder) != ARGPICK_OK) return failed("decoder");
  if (argpick_decoder_set_bans(decoder, banned, 2) != ARGPICK_OK) return failed("bans");
  if (argpick_decoder_set_bias(decoder, biased, biases, 2) != ARGPICK_OK) return failed("bias");
  for (i = 0; i < (VOCAB + 31) / 32; i++) mask[i] = i % 5 == 4 ? 0u : 0xffffffffu;
  pick.struct_size = sizeof pick;
  for (step = 0; step < STEPS; step++) {
    for (i = 0; i < VOCAB; i++) row[i] = (float)((i * 7919 + step * 104729) % 1009) / 64.0f;
    if (argpick_decode(decoder, row, ARGPICK_F32, VOCAB, mask, (VOCAB + 31) / 32, &pick) != ARGPICK_OK) {
      return failed("decode");
    }
    printf("%s%u:%u", step == 0 ? "" : " ", (unsigned)pick.token, (unsigned)pick.rank);
  }
  printf("\n");
  argpick_decoder_free(decoder);
  return 0;
}
