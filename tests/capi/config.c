/* argpick_config: defaults, sizes of other releases, ranges. */
#include "check.h"

static argpick_config changed(void) { return default_config(); }

#define REFUSED(field, bad, name)                                                     \
  do {                                                                                \
    argpick_config config = changed();                                                \
    argpick_decoder *decoder = (argpick_decoder *)&config;                            \
    config.field = (bad);                                                             \
    ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_decoder_new(&config, 8, &decoder)); \
    SAYS("argpick_decoder_new");                                                      \
    SAYS(name);                                                                       \
    check_detail(ARGPICK_ERR_INVALID_PARAMETER, UINT64_MAX, (double)(bad));           \
    CHECK(decoder == (argpick_decoder *)&config);                                     \
  } while (0)

int main(void) {
  argpick_config config;
  memset(&config, 0x5a, sizeof config);
  OK(argpick_config_init(&config, sizeof config));
  CHECK(config.struct_size == sizeof config && config.profile == ARGPICK_PROFILE_CANON);
  CHECK(config.seed == 0 && config.stream == 0 && config.mode == ARGPICK_MODE_SAMPLE);
  CHECK(config.temperature == 1.0f && config.top_k == 0 && config.top_p == 1.0f && config.min_p == 0.0f);
  CHECK(config.history_capacity == 0 && config.no_repeat_window == 0 && config.max_tokens == 0);
  CHECK(config.min_keep == 0 && config.valid_vocab == 0 && config.metrics == 0 && config.adjustment_capacity == 0);

  /* A size that no release had: refused, and nothing is written. */
  static const uint32_t sizes[] = {0, 4, 8, 64, 71, 73, 80, 4096, UINT32_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    argpick_config untouched = config, given = config;
    ANSWERS(ARGPICK_ERR_STRUCT_SIZE, argpick_config_init(&given, sizes[i]));
    check_detail(ARGPICK_ERR_STRUCT_SIZE, sizeof given, sizes[i]);
    CHECK(memcmp(&given, &untouched, sizeof given) == 0);
    argpick_decoder *decoder = NULL;
    given.struct_size = sizes[i];
    ANSWERS(ARGPICK_ERR_STRUCT_SIZE, argpick_decoder_new(&given, 8, &decoder));
    SAYS("config.struct_size");
    CHECK(decoder == NULL);
  }

  REFUSED(profile, 1u, "profile");
  REFUSED(mode, 2u, "mode");
  REFUSED(metrics, 64u, "metrics");
  REFUSED(temperature, -1.0f, "temperature");
  REFUSED(temperature, NAN, "temperature");
  REFUSED(temperature, INFINITY, "temperature");
  REFUSED(top_p, 1.5f, "top_p");
  REFUSED(top_p, NAN, "top_p");
  REFUSED(min_p, -0.5f, "min_p");
  REFUSED(valid_vocab, 9u, "valid_vocab");
  REFUSED(history_capacity, (1u << 24) + 1, "history_capacity");
  REFUSED(no_repeat_window, 4097u, "no_repeat_window");
  REFUSED(adjustment_capacity, (1u << 22) + 1, "adjustment_capacity");

  argpick_decoder *decoder = NULL;
  static const uint32_t vocabs[] = {0, (1u << 22) + 1, UINT32_MAX};
  for (size_t i = 0; i < 3; i++) {
    size_t size = 7;
    ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_decoder_new(&config, vocabs[i], &decoder));
    ANSWERS(ARGPICK_ERR_INVALID_PARAMETER, argpick_decoder_size(&config, vocabs[i], &size));
    SAYS("vocab");
    CHECK(decoder == NULL && size == 7);
  }
  puts("configurations: ok");
  return 0;
}
