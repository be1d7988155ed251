// A row's configuration as the kernels use it, checked: what src/plan does on the CPU.
#pragma once

#include "numeric.cuh"

namespace argpick {

struct Failure {
  uint32_t status; // ARGPICK_ROW_OK if there is none
  uint32_t index;
  float value;
};

struct Plan {
  Failure failure;
  uint32_t valid;
  bool greedy;
  float temperature;
  uint32_t top_k;     // 0 is off
  uint64_t top_p;     // units of 2^-32; PROBABILITY_ONE is off
  float min_p;        // 0 is off
  uint64_t typical_p; // as top_p
  uint32_t metrics;
};

ARGPICK_DEVICE inline uint32_t valid_of(const argpick_device_row &row, uint32_t vocab) {
  return row.valid_vocab == 0 || row.valid_vocab > vocab ? vocab : row.valid_vocab;
}

// History tokens that the penalties look at; 0 where there are no penalties.
ARGPICK_DEVICE inline uint32_t window_of(const argpick_device_row &row) {
  const bool penalised =
      row.repetition_penalty != 1.0f || row.frequency_penalty != 0.0f || row.presence_penalty != 0.0f;
  if (!penalised || row.history == nullptr) {
    return 0;
  }
  uint32_t window = row.penalty_window == 0 ? row.history_capacity : row.penalty_window;
  window = window < row.history_capacity ? window : row.history_capacity;
  return row.history_recorded < window ? static_cast<uint32_t>(row.history_recorded) : window;
}

ARGPICK_DEVICE inline bool is_adjusted(const argpick_device_row &row) {
  return window_of(row) != 0 || row.bias_count != 0 || row.ban_count != 0;
}

ARGPICK_HD inline bool is_greedy(const argpick_device_row &row) {
  return row.mode == ARGPICK_DEVICE_GREEDY || row.temperature == 0.0f;
}

// Whether the row needs a pass of exponentials before its selection.
ARGPICK_HD inline bool needs_sums(const argpick_device_row &row) {
  const uint32_t wanted = ARGPICK_DEVICE_CONFIDENCE | ARGPICK_DEVICE_KEPT_MASS | ARGPICK_DEVICE_LOGPROB_RAW;
  return (row.metrics & wanted) != 0 || (!is_greedy(row) && row.typical_p < 1.0f);
}

// Whether it is sooner done with one: many blocks of threads find the mass of the row that selection would look for alone.
ARGPICK_HD inline bool likes_sums(const argpick_device_row &row) {
  const bool is_bounded = row.top_k != 0 || row.min_p > 0.0f;
  const bool asks_mass = (row.metrics & ARGPICK_DEVICE_LOGPROB) != 0;
  const bool asks_cut = (row.metrics & ARGPICK_DEVICE_KEPT) != 0 || row.min_p > 0.0f;
  return !is_greedy(row) && ((asks_mass && !is_bounded) || (row.top_k == 0 && row.top_p < 1.0f && asks_cut));
}

// Whether the pass is made for a row of a launch with these features.
ARGPICK_DEVICE inline bool has_sums(const argpick_device_row &row, uint32_t features) {
  return (features & ARGPICK_FEATURE_SUMS) != 0 && (needs_sums(row) || likes_sums(row));
}

// Whether that pass adds up integer masses, and exponents.
ARGPICK_DEVICE inline bool wants_masses(const argpick_device_row &row) {
  const bool draws = !is_greedy(row);
  return (row.metrics & ARGPICK_DEVICE_KEPT_MASS) != 0 ||
         (draws && ((row.metrics & ARGPICK_DEVICE_LOGPROB) != 0 || row.top_p < 1.0f || row.typical_p < 1.0f));
}
ARGPICK_DEVICE inline bool wants_exponents(const argpick_device_row &row) {
  return (row.metrics & ARGPICK_DEVICE_CONFIDENCE) != 0 || row.typical_p < 1.0f;
}

// Whether something outside its range, or unknown, stands in the row. `features` and `capacity` are the launch's.
ARGPICK_APART Failure check_row(const argpick_device_row &row, uint32_t vocab, uint32_t features,
                                        uint32_t capacity) {
  const uint32_t known = ARGPICK_DEVICE_CONFIDENCE | ARGPICK_DEVICE_LOGPROB | ARGPICK_DEVICE_LOGPROB_RAW |
                         ARGPICK_DEVICE_RANK | ARGPICK_DEVICE_KEPT | ARGPICK_DEVICE_KEPT_MASS;
  Failure failure{ARGPICK_ROW_OK, 0, 0.0f};
  const uint32_t window = window_of(row);
  const auto check = [&failure](bool holds, uint32_t parameter, float value) {
    if (!holds && failure.status == ARGPICK_ROW_OK) {
      failure = Failure{ARGPICK_ROW_INVALID_PARAMETER, parameter, value};
    }
  };
  const float most = LARGEST;
  check(row.mode <= ARGPICK_DEVICE_GREEDY, ARGPICK_PARAMETER_MODE, static_cast<float>(row.mode));
  check(row.temperature >= 0.0f && row.temperature <= most, ARGPICK_PARAMETER_TEMPERATURE, row.temperature);
  check(row.top_p >= 0.0f && row.top_p <= 1.0f, ARGPICK_PARAMETER_TOP_P, row.top_p);
  check(row.min_p >= 0.0f && row.min_p <= 1.0f, ARGPICK_PARAMETER_MIN_P, row.min_p);
  check(row.typical_p >= 0.0f && row.typical_p <= 1.0f, ARGPICK_PARAMETER_TYPICAL_P, row.typical_p);
  check(row.repetition_penalty > 0.0f && row.repetition_penalty <= most, ARGPICK_PARAMETER_REPETITION_PENALTY,
        row.repetition_penalty);
  check(row.frequency_penalty >= -most && row.frequency_penalty <= most, ARGPICK_PARAMETER_FREQUENCY_PENALTY,
        row.frequency_penalty);
  check(row.presence_penalty >= -most && row.presence_penalty <= most, ARGPICK_PARAMETER_PRESENCE_PENALTY,
        row.presence_penalty);
  check(row.valid_vocab <= vocab, ARGPICK_PARAMETER_VALID_VOCAB, static_cast<float>(row.valid_vocab));
  check(row.history == nullptr || row.history_capacity != 0, ARGPICK_PARAMETER_HISTORY_CAPACITY, 0.0f);
  check(row.history == nullptr || row.penalty_window <= row.history_capacity, ARGPICK_PARAMETER_PENALTY_WINDOW,
        static_cast<float>(row.penalty_window));
  check(row.penalty_generated <= 1 && window <= ARGPICK_DEVICE_MAX_WINDOW, ARGPICK_PARAMETER_PENALTY_WINDOW,
        static_cast<float>(window));
  check((row.metrics & ~known) == 0, ARGPICK_PARAMETER_METRICS, static_cast<float>(row.metrics));
  check(row.bias_count <= ARGPICK_DEVICE_MAX_ADJUSTMENTS && (row.bias_count == 0 || row.biases != nullptr),
        ARGPICK_PARAMETER_BIASES, static_cast<float>(row.bias_count));
  check(row.ban_count <= ARGPICK_DEVICE_MAX_ADJUSTMENTS && (row.ban_count == 0 || row.bans != nullptr),
        ARGPICK_PARAMETER_BANS, static_cast<float>(row.ban_count));
  const uint32_t missing = (is_adjusted(row) ? ARGPICK_FEATURE_ADJUSTMENTS : 0u) |
                           (needs_sums(row) ? ARGPICK_FEATURE_SUMS : 0u);
  if (failure.status == ARGPICK_ROW_OK && (missing & ~features) != 0) {
    failure = Failure{ARGPICK_ROW_MISSING_FEATURE, missing & ~features, 0.0f};
  }
  const uint32_t adjustments = window + row.bias_count + row.ban_count;
  check(adjustments == 0 || adjustments <= capacity, ARGPICK_PARAMETER_ADJUSTMENT_CAPACITY,
        static_cast<float>(adjustments));
  return failure;
}

ARGPICK_DEVICE inline Plan plan_of(const argpick_device_row &row, uint32_t vocab, uint32_t features,
                                   uint32_t capacity) {
  Plan plan;
  plan.failure = check_row(row, vocab, features, capacity);
  plan.valid = valid_of(row, vocab);
  plan.greedy = is_greedy(row);
  plan.temperature = row.temperature == 0.0f ? 1.0f : row.temperature;
  // What cannot remove anything is no filter.
  plan.top_k = row.top_k < plan.valid ? row.top_k : 0;
  plan.top_p = row.top_p < 1.0f ? fixed_probability(row.top_p) : PROBABILITY_ONE;
  plan.min_p = row.min_p;
  plan.typical_p = row.typical_p < 1.0f ? fixed_probability(row.typical_p) : PROBABILITY_ONE;
  plan.metrics = row.metrics;
  return plan;
}

} // namespace argpick
