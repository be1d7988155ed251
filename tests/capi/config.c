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

  REFUSED(profile, 4u, "profile");
  REFUSED(mode, 2u, "mode");
  REFUSED(metrics, 256u, "metrics");
  REFUSED(temperature, -1.0f, "temperature");
  REFUSED(temperature, NAN, "temperature");
  REFUSED(temperature, INFINITY, "temperature");
  REFUSED(top_p, 1.5f, "top_p");
  REFUSED(top_p, NAN, "top_p");
  REFUSED(min_p, -0.5f, "min_p");
  REFUSED(typical_p, 1.5f, "typical_p");
  REFUSED(epsilon_cutoff, -0.1f, "epsilon_cutoff");
  REFUSED(eta_cutoff, NAN, "eta_cutoff");
  REFUSED(top_n_sigma, -1.0f, "top_n_sigma");
  REFUSED(top_a, 2.0f, "top_a");
  REFUSED(tfs_z, NAN, "tfs_z");
  REFUSED(top_h, 1.5f, "top_h");
  REFUSED(xtc_probability, 1.5f, "xtc_probability");
  REFUSED(xtc_threshold, -0.5f, "xtc_threshold");
  REFUSED(keep_ties, 2u, "keep_ties");
  REFUSED(dynatemp_range, INFINITY, "dynatemp_range");
  REFUSED(dynatemp_exponent, -1.0f, "dynatemp_exponent");
  REFUSED(mirostat, 3u, "mirostat");
  REFUSED(mirostat_tau, -1.0f, "mirostat_tau");
  REFUSED(mirostat_eta, NAN, "mirostat_eta");
  REFUSED(adaptive_target, 1.5f, "adaptive_target");
  REFUSED(adaptive_decay, 1.0f, "adaptive_decay");
  REFUSED(repetition_penalty, 0.0f, "repetition_penalty");
  REFUSED(frequency_penalty, INFINITY, "frequency_penalty");
  REFUSED(presence_penalty, NAN, "presence_penalty");
  REFUSED(penalty_window, 4097u, "penalty_window");
  REFUSED(penalty_scope, 3u, "penalty_scope");
  REFUSED(dry_multiplier, -1.0f, "dry_multiplier");
  REFUSED(dry_base, 0.5f, "dry_base");
  REFUSED(dry_window, 4097u, "dry_window");
  REFUSED(no_repeat_ngram, 4097u, "no_repeat_ngram");
  REFUSED(length_decay_factor, 0.0f, "length_decay_factor");
  REFUSED(loop_period, 4097u, "loop_period");
  REFUSED(sequence_capacity, (1u << 16) + 1, "sequence_capacity");
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
