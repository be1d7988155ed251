/*
 * Decodes a made-up row of logits: the whole of argpick's C interface that most hosts need, in C99.
 *
 *   cc examples/decode.c $(pkg-config --cflags --libs argpick) -o decode && ./decode
 */
#include <argpick.h>
#include <stdio.h>
#include <stdlib.h>

enum { VOCAB = 26, TOKENS = 24 };

/* Everything can be refused, and says why. */
static void check(argpick_status status) {
  if (status != ARGPICK_OK) {
    fprintf(stderr, "argpick: %s\n", argpick_last_error());
    exit(1);
  }
}

/* A model would compute these: letters near the last one are likely, in a circle. */
static void next_row(float *logits, unsigned last) {
  for (unsigned letter = 0; letter < VOCAB; letter++) {
    unsigned step = (letter + VOCAB - last) % VOCAB;
    logits[letter] = 4.0f - 0.5f * (float)(step < VOCAB - step ? step : VOCAB - step);
  }
}

static void decode(argpick_decoder *decoder, const char *name) {
  argpick_pick pick;
  float logits[VOCAB];
  double entropy = 0.0;
  unsigned count = 0;
  pick.struct_size = sizeof pick;
  pick.token = 0;
  printf("%-22s", name);
  do {
    next_row(logits, pick.token);
    check(argpick_decode(decoder, logits, ARGPICK_F32, VOCAB, NULL, 0, &pick));
    putchar('a' + (int)pick.token);
    entropy += pick.entropy;
    count++;
  } while (pick.finish == ARGPICK_FINISH_NONE);
  printf("  mean entropy %.2f nats\n", entropy / count);
}

int main(void) {
  argpick_config config;
  argpick_decoder *decoder;
  check(argpick_config_init(&config, sizeof config));
  config.seed = 7;
  config.max_tokens = TOKENS;
  config.metrics = ARGPICK_METRIC_CONFIDENCE;
  check(argpick_decoder_new(&config, VOCAB, &decoder));
  printf("argpick %s, kernels: %s\n", ARGPICK_VERSION_STRING, argpick_kernel());
  decode(decoder, "temperature 1");

  config.top_p = 0.9f;
  config.temperature = 0.7f;
  check(argpick_decoder_reset(decoder, &config));
  decode(decoder, "0.7, top-p 0.9");

  config.no_repeat_window = 5;
  check(argpick_decoder_reset(decoder, &config));
  decode(decoder, "the same, no repeats");

  config.mode = ARGPICK_MODE_GREEDY;
  check(argpick_decoder_reset(decoder, &config));
  decode(decoder, "greedy, no repeats");

  argpick_decoder_free(decoder);
  return 0;
}
