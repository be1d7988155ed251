// The rules of the numbers, as src/numeric.rs has them: weights, integer masses, keys, thresholds, the logarithm.
//
// The same IEEE operations in the same order, so the bits are those of the CPU. The compiler must not fuse a multiplication
// with an addition (--fmad=false, -ffp-contract=off) nor flush subnormal numbers.
#pragma once

#include "platform.cuh"

namespace argpick {

constexpr uint32_t BLOCK = 64;            // tokens that share a maximum
constexpr uint32_t TILE = 1024;           // tokens whose weights are added before the sum is widened
constexpr uint32_t NO_TOKEN = 0xffffffffu;
constexpr float LARGEST = 3.40282346638528859812e+38f;
constexpr float MASS_ONE = 1099511627776.0f;    // 2^40: the mass of a token at the maximum
constexpr float BOUND_ONE = 70368744177664.0f;  // 2^46: 64 of them
constexpr double LN_2 = 0.693147180559945309417232121458;
constexpr double LOG2_E = 1.44269504088896340735992468100;
constexpr uint64_t PROBABILITY_ONE = uint64_t(1) << 32;

ARGPICK_DEVICE inline float infinity() { return float_of(0x7f800000u); }
ARGPICK_DEVICE inline float not_a_number() { return float_of(0x7fc00000u); }
ARGPICK_DEVICE inline bool is_nan(float x) { return x != x; }
// NaN or +inf: what no logit that takes part may be.
ARGPICK_DEVICE inline bool is_invalid(float x) { return !(x < infinity()); }

// How logits become exponents of two.
struct Scale {
  float maximum;
  float factor; // log2(e) / temperature
};

ARGPICK_DEVICE inline float exponent_factor(float temperature) {
  const float low = 8.67361737988403547206e-19f; // 2^-60
  const float high = 1152921504606846976.0f;     // 2^60
  const float factor = static_cast<float>(LOG2_E / static_cast<double>(temperature));
  return factor < low ? low : factor > high ? high : factor;
}

// The temperature that the weights have: the one in force, unless the factor cannot hold it.
ARGPICK_DEVICE inline double temperature_of_weights(Scale scale, float temperature) {
  const bool is_held = temperature > 1e-18f && temperature < 1e18f;
  return is_held ? static_cast<double>(temperature) : LOG2_E / static_cast<double>(scale.factor);
}

// max((logit - maximum) * factor, -126)
ARGPICK_DEVICE inline float exponent_of(float logit, Scale scale) {
  const float t = (logit - scale.maximum) * scale.factor;
  return t > -126.0f ? t : -126.0f;
}

// 2^t by the one polynomial; 0 below 2^-40.
ARGPICK_DEVICE inline float weight_of_exponent(float t) {
  const float magic = 12582912.0f;
  const float rounded = t + magic;
  const float f = t - (rounded - magic);
  float p = float_of(0x3aaddd0au);
  p = p * f + float_of(0x3c1e755bu);
  p = p * f + float_of(0x3d635b8fu);
  p = p * f + float_of(0x3e75fcdeu);
  p = p * f + float_of(0x3f317215u);
  p = p * f + 1.0f;
  const float w = float_of(bits_of(p) + (bits_of(rounded) << 23));
  return t >= -40.0f ? w : 0.0f;
}

ARGPICK_DEVICE inline uint64_t mass_of_weight(float weight) { return static_cast<uint64_t>(weight * MASS_ONE); }

ARGPICK_DEVICE inline uint64_t mass_of(float logit, Scale scale) {
  return mass_of_weight(weight_of_exponent(exponent_of(logit, scale)));
}

// Never below the mass of a block with this maximum; 0 where that is 0.
ARGPICK_DEVICE inline uint64_t bound_of(float maximum, Scale scale) {
  const uint64_t e = static_cast<uint64_t>(weight_of_exponent(exponent_of(maximum, scale)) * BOUND_ONE);
  return e == 0 ? 0 : e + (e >> 18) + 64;
}

// Whether a block with this maximum weighs nothing.
ARGPICK_DEVICE inline bool is_negligible(float maximum, Scale scale) {
  return (maximum - scale.maximum) * scale.factor < -40.0f;
}

// Orders like the logit; -0.0 and 0.0 share a key.
ARGPICK_DEVICE inline uint32_t key_of(float logit) {
  const uint32_t bits = bits_of(logit + 0.0f);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}
ARGPICK_DEVICE inline float logit_of(uint32_t key) {
  return (key & 0x80000000u) != 0 ? float_of(key & 0x7fffffffu) : float_of(~key);
}
// Descending order is the total order: higher logit, then lower token.
ARGPICK_DEVICE inline uint64_t rank_key(float logit, uint32_t token) {
  return static_cast<uint64_t>(key_of(logit)) << 32 | static_cast<uint32_t>(~token);
}
ARGPICK_DEVICE inline float logit_of_rank(uint64_t key) { return logit_of(static_cast<uint32_t>(key >> 32)); }
ARGPICK_DEVICE inline uint32_t token_of_rank(uint64_t key) { return ~static_cast<uint32_t>(key); }

// The key of a distance from `centre`, rounded to f32 once.
ARGPICK_DEVICE inline uint32_t distance_key(float logit, double centre) {
  const double distance = static_cast<double>(logit) - centre;
  return bits_of(static_cast<float>(distance < 0.0 ? -distance : distance) + 0.0f);
}

// round(p 2^32)
ARGPICK_DEVICE inline uint64_t fixed_probability(float p) {
  return static_cast<uint64_t>(static_cast<double>(p) * 4294967296.0 + 0.5);
}

// The least m with m 2^32 >= p total; p at most 2^32.
ARGPICK_DEVICE inline uint64_t nucleus_target(uint64_t p, uint64_t total) {
  const uint64_t low = p * total;
  const uint64_t sum = low + 0xffffffffu;
  const uint64_t high = multiply_high(p, total) + (sum < low ? 1 : 0);
  return high << 32 | sum >> 32;
}

// before 2^32 < p whole
ARGPICK_DEVICE inline bool is_below_share(uint64_t before, uint64_t p, uint64_t whole) {
  const uint64_t left_high = before >> 32;
  const uint64_t left_low = before << 32;
  const uint64_t right_high = multiply_high(p, whole);
  const uint64_t right_low = p * whole;
  return left_high < right_high || (left_high == right_high && left_low < right_low);
}

// From additions, multiplications and divisions alone, as natural_logarithm of the CPU; x is positive and finite.
ARGPICK_APART double natural_logarithm(double x) {
  const double ln2_high = 0.6931471803691238;
  const double ln2_low = 1.9082149292705877e-10;
  int bias = 0;
  if (x < 2.2250738585072014e-308) {
    x *= 18014398509481984.0;
    bias = -54;
  }
  const uint64_t bits = bits_of(x);
  int exponent = static_cast<int>(bits >> 52) - 1023 + bias;
  double m = double_of((bits & 0x000fffffffffffffu) | 0x3ff0000000000000u);
  if (m > 1.41421356237309504880) {
    m *= 0.5;
    exponent += 1;
  }
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double series = 1.0 / 21.0;
  for (int k = 19; k > 1; k -= 2) {
    series = series * z + 1.0 / static_cast<double>(k);
  }
  const double tail = 2.0 * s * series * z + static_cast<double>(exponent) * ln2_low;
  return static_cast<double>(exponent) * ln2_high + (2.0 * s + tail);
}

ARGPICK_DEVICE inline float min_p_threshold(float maximum, float temperature, float min_p) {
  return static_cast<float>(static_cast<double>(maximum) +
                            static_cast<double>(temperature) * natural_logarithm(static_cast<double>(min_p)));
}

// A number that is 0 or more but for rounding; never -0.0.
ARGPICK_DEVICE inline float at_least_zero(double x) { return (x > 0.0 ? static_cast<float>(x) : 0.0f) + 0.0f; }

// A token's place in the order.
struct Cut {
  float logit;
  uint32_t token;
};
ARGPICK_DEVICE inline Cut cut_of_all() { return Cut{-LARGEST, NO_TOKEN}; }
ARGPICK_DEVICE inline Cut cut_at_least(float logit) { return Cut{logit > -LARGEST ? logit : -LARGEST, NO_TOKEN}; }
ARGPICK_DEVICE inline bool is_before_or_at(Cut cut, float logit, uint32_t token) {
  return logit > cut.logit || (logit == cut.logit && token <= cut.token);
}
ARGPICK_DEVICE inline Cut stricter(Cut a, Cut b) { return is_before_or_at(a, b.logit, b.token) ? b : a; }

// A run of the order: up to `last`, and from the logit `first` down; of the tokens that have that logit only those up to
// `first_until`.
struct Band {
  float first;
  uint32_t first_until;
  Cut last;
};
ARGPICK_DEVICE inline Band band_of_all() { return Band{infinity(), NO_TOKEN, cut_of_all()}; }
ARGPICK_DEVICE inline bool is_in_band(const Band &band, float logit, uint32_t token) {
  const bool is_removed = logit > band.first || (logit == band.first && token > band.first_until);
  return !is_removed && is_before_or_at(band.last, logit, token);
}

} // namespace argpick
