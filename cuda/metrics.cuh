// The numbers about a pick, as src/trace/metrics.rs.
#pragma once

#include "draw.cuh"

namespace argpick {

ARGPICK_DEVICE inline double weight_of_mass(uint64_t mass) {
  return static_cast<double>(mass) / 1099511627776.0;
}

ARGPICK_DEVICE inline float entropy_of(const Sums &sums) {
  return at_least_zero(natural_logarithm(sums.weight) - LN_2 * sums.exponent / sums.weight);
}

// ln of the probability of a logit among tokens of the mass `among`.
ARGPICK_DEVICE inline float logprob_among(Scale scale, float logit, uint64_t among) {
  const double exponent = static_cast<double>(logit - scale.maximum) * static_cast<double>(scale.factor);
  const double logprob = LN_2 * exponent - natural_logarithm(weight_of_mass(among));
  return -at_least_zero(-logprob) + 0.0f;
}

ARGPICK_DEVICE inline float raw_logprob(float logit, float maximum, double normaliser) {
  const double difference = static_cast<double>(logit) - static_cast<double>(maximum);
  const double logprob = difference - natural_logarithm(normaliser);
  return -at_least_zero(-logprob) + 0.0f;
}

ARGPICK_DEVICE inline argpick_device_pick unknown_pick() {
  argpick_device_pick pick;
  pick.status = ARGPICK_ROW_OK;
  pick.index = 0;
  pick.value = 0.0f;
  pick.token = NO_TOKEN;
  pick.argmax = NO_TOKEN;
  pick.rank = NO_TOKEN;
  pick.kept = NO_TOKEN;
  pick.margin = not_a_number();
  pick.top1_probability = not_a_number();
  pick.entropy = not_a_number();
  pick.logprob_raw = not_a_number();
  pick.logprob = not_a_number();
  pick.kept_mass = not_a_number();
  pick.temperature = not_a_number();
  return pick;
}

ARGPICK_DEVICE inline argpick_device_pick failed_pick(Failure failure) {
  argpick_device_pick pick = unknown_pick();
  pick.status = failure.status;
  pick.index = failure.index;
  pick.value = failure.value;
  return pick;
}

} // namespace argpick
