//! The rules of the numbers, and their only home: weights, integer masses, keys, thresholds, logarithms.
//!
//! What is written here in scalar form is the definition; the kernels compute the same operations on sixteen lanes at a
//! time and must agree bit for bit. Only IEEE additions, subtractions, multiplications, divisions, comparisons and
//! truncations are used, never a fused multiply-add and never a function of the system's mathematics library, because
//! those differ between processors and systems.

/// Version of the rules below and of the draws: the tokens of a seed stay the same as long as it does. At 0 they may still
/// change, until the CUDA path has agreed on a GPU.
pub const NUMERICS_VERSION: u32 = 0;

/// Base-2 logarithm of e, the factor between nats and powers of two.
pub const LOG2_E: f64 = core::f64::consts::LOG2_E;

/// Weights below 2^-40 of the largest one are zero.
pub const WEIGHT_CUTOFF: f32 = -40.0;

/// The least exponent handed to the polynomial: 2^-126 is the smallest normal number.
pub const EXPONENT_FLOOR: f32 = -126.0;

/// 1.5 * 2^23: adding it rounds a small f32 to the nearest integer, which then stands in the low bits.
pub const ROUND_MAGIC: f32 = 12_582_912.0;

/// Coefficients of 2^f = 1 + f (C1 + f (C2 + ...)) on [-0.5, 0.5]: minimax in relative error with the constant term held
/// at 1, so that the largest weight is exactly 1. Largest relative error in f32 arithmetic 1.8e-7 (2,000,001 points).
pub const EXP2_COEFFICIENTS: [f32; 5] = [
    f32::from_bits(0x3f31_7215), // 0.693147
    f32::from_bits(0x3e75_fcde), // 0.2402224
    f32::from_bits(0x3d63_5b8f), // 0.05550724
    f32::from_bits(0x3c1e_755b), // 0.009671534
    f32::from_bits(0x3aad_dd0a), // 0.0013264727
];

/// Bits of a mass after the binary point: a token at the maximum has the mass 2^40.
pub const MASS_BITS: u32 = 40;

/// Bits of a block's bound: 64 times a mass.
pub const BOUND_BITS: u32 = 46;

/// The scale `s = log2(e) / T` that turns a logit difference into an exponent of two: divided in f64, rounded once to f32,
/// clamped to [2^-60, 2^60]. `temperature` is finite and above 0.
pub fn exponent_scale(temperature: f32) -> f32 {
    const LOW: f32 = 1.0 / (1u64 << 60) as f32;
    const HIGH: f32 = (1u64 << 60) as f32;
    ((LOG2_E / f64::from(temperature)) as f32).clamp(LOW, HIGH)
}

/// The exponent `t = max((logit - maximum) * scale, -126)`; `maximum` is finite, `logit` finite or -inf.
pub fn exponent(logit: f32, maximum: f32, scale: f32) -> f32 {
    let t = (logit - maximum) * scale;
    if t > EXPONENT_FLOOR { t } else { EXPONENT_FLOOR }
}

/// The weight `2^t` of a token whose exponent is `t` (-126 to 0); 0 where `t < -40`.
pub fn weight(t: f32) -> f32 {
    if t < WEIGHT_CUTOFF {
        return 0.0;
    }
    let rounded = t + ROUND_MAGIC;
    let f = t - (rounded - ROUND_MAGIC);
    let [c1, c2, c3, c4, c5] = EXP2_COEFFICIENTS;
    let mut p = c5;
    p = p * f + c4;
    p = p * f + c3;
    p = p * f + c2;
    p = p * f + c1;
    p = p * f + 1.0;
    f32::from_bits(p.to_bits().wrapping_add(rounded.to_bits() << 23))
}

/// The integer mass `trunc(weight * 2^40)`.
pub fn weight_to_mass(weight: f32) -> u64 {
    (weight * (1u64 << MASS_BITS) as f32) as u64
}

/// The bound of a block of 64 tokens whose largest weight is `weight`: never below the sum of its masses. The slack of
/// 2^-18 covers a polynomial that is not monotone in its last bits.
pub fn weight_to_bound(weight: f32) -> u64 {
    let e = (weight * (1u64 << BOUND_BITS) as f32) as u64;
    e + (e >> 18) + 64
}

/// An unsigned key that orders like the logit: a higher logit has a higher key, `-0.0` and `0.0` share one.
pub fn ordered_key(logit: f32) -> u32 {
    // Adding zero turns -0.0 into 0.0 and changes nothing else.
    let bits = (logit + 0.0).to_bits();
    if bits & 0x8000_0000 != 0 { !bits } else { bits | 0x8000_0000 }
}

/// The logit of a key made by [`ordered_key`].
pub fn key_to_logit(key: u32) -> f32 {
    if key & 0x8000_0000 != 0 { f32::from_bits(key & 0x7fff_ffff) } else { f32::from_bits(!key) }
}

/// A key over (logit, token) whose descending order is the total order: higher logit first, then lower token id.
pub fn rank_key(logit: f32, token: u32) -> u64 {
    u64::from(ordered_key(logit)) << 32 | u64::from(!token)
}

/// The logit and the token of a [`rank_key`].
pub fn rank_key_parts(key: u64) -> (f32, u32) {
    (key_to_logit((key >> 32) as u32), !(key as u32))
}

/// The prefix mass that a nucleus must reach: the least integer m with `m * 2^32 >= round(top_p * 2^32) * total`.
pub fn nucleus_target(top_p_fixed: u64, total: u64) -> u64 {
    let product = u128::from(top_p_fixed) * u128::from(total);
    ((product + 0xffff_ffff) >> 32) as u64
}

/// `round(p * 2^32)` for a probability in [0, 1]; exact halves (which no f32 gives) would round up.
pub fn fixed_probability(p: f32) -> u64 {
    (f64::from(p) * 4_294_967_296.0 + 0.5) as u64
}

/// The lowest logit that min-p keeps: `f32(maximum + T ln(min_p))`, in f64, rounded once.
pub fn min_p_threshold(maximum: f32, temperature: f32, min_p: f32) -> f32 {
    (f64::from(maximum) + f64::from(temperature) * natural_logarithm(f64::from(min_p))) as f32
}

/// A draw from `[0, total)` by one 64-bit random number: `(number * total) >> 64`.
pub fn scale_number(number: u64, total: u64) -> u64 {
    ((u128::from(number) * u128::from(total)) >> 64) as u64
}

/// Natural logarithm of a positive finite number, from additions, multiplications and one division, within 2 units in the
/// last place: x = m 2^e with m in [1/sqrt 2, sqrt 2], ln m = 2 artanh((m - 1) / (m + 1)) by its odd series.
pub fn natural_logarithm(x: f64) -> f64 {
    const LN_2_HIGH: f64 = 0.693_147_180_369_123_8; // the upper 33 bits, so that a product with the exponent is exact
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let (x, bias) = if x < f64::MIN_POSITIVE { (x * 18_014_398_509_481_984.0, -54) } else { (x, 0) };
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023 + bias;
    let mut m = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000);
    if m > core::f64::consts::SQRT_2 {
        m *= 0.5;
        exponent += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    // The remainder after the term in z^10 is below 1e-18 of the sum.
    let mut series = 1.0 / 21.0;
    let mut k = 19.0;
    while k > 1.5 {
        series = series * z + 1.0 / k;
        k -= 2.0;
    }
    let tail = 2.0 * s * series * z + f64::from(exponent) * LN_2_LOW;
    f64::from(exponent) * LN_2_HIGH + (2.0 * s + tail)
}

/// `base` to the power of a whole number, by squaring: for each bit of `exponent` from the lowest up, the result takes the
/// square that belongs to the bit. `base` is finite and at least 0; what would overflow is the largest finite number.
pub fn whole_power(base: f64, exponent: u32) -> f64 {
    let (mut result, mut square, mut rest) = (1.0, base, exponent);
    while rest != 0 {
        if rest & 1 == 1 {
            result *= square;
        }
        rest >>= 1;
        if rest != 0 {
            square *= square;
        }
    }
    if result > f64::MAX { f64::MAX } else { result }
}

/// The largest exponent that DRY raises its base to: `trunc(88.7228391 / ln base)`, past which the power leaves f32; without
/// a limit for bases up to 1.000001 (llama.cpp). `base` is at least 1.
pub fn dry_exponent_limit(base: f32) -> u32 {
    const LN_LARGEST_F32: f64 = 88.722_839_1;
    if base > 1.000_001 { (LN_LARGEST_F32 / natural_logarithm(f64::from(base))) as u32 } else { u32::MAX }
}

/// `2^x` for a finite x, within 2 units in the last place; 0 below 2^-1022, +inf from 2^1024 up. The nearest integer goes
/// into the exponent, the rest (at most 1/2) through the Taylor series of exp.
pub fn exponential2(x: f64) -> f64 {
    if x >= 1024.0 {
        return f64::INFINITY;
    }
    if x < -1022.0 {
        return 0.0;
    }
    // 1.5 * 2^52: adding it rounds to the nearest integer.
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    let whole = (x + MAGIC) - MAGIC;
    let y = (x - whole) * core::f64::consts::LN_2;
    // The remainder after y^17 is below 1e-20 of the sum.
    let mut series = 1.0;
    let mut k = 17.0;
    while k > 0.5 {
        series = 1.0 + series * y / k;
        k -= 1.0;
    }
    let exponent = whole as i64;
    // Two factors, because 2^1024 and 2^-1022 times a mantissa below 1 have no single one.
    let half = exponent / 2;
    let power = |e: i64| f64::from_bits(((e + 1023) as u64) << 52);
    series * power(half) * power(exponent - half)
}

/// `e^x`.
pub fn exponential(x: f64) -> f64 {
    exponential2(x * LOG2_E)
}

/// `base^exponent` for a base of at least 0, by logarithm and exponential; `0^0` is 1.
pub fn power(base: f64, exponent: f64) -> f64 {
    if exponent == 0.0 {
        return 1.0;
    }
    if base <= 0.0 {
        return if exponent > 0.0 { 0.0 } else { f64::INFINITY };
    }
    exponential2(exponent * (natural_logarithm(base) * LOG2_E))
}

/// The square root of a number of at least 0, by Newton's iteration from a guess of the right exponent; exact to the last
/// place but one.
pub fn square_root(x: f64) -> f64 {
    if !(x > 0.0 && x < f64::INFINITY) {
        return x;
    }
    let mut root = f64::from_bits((x.to_bits() >> 1) + (1023 << 51));
    for _ in 0..6 {
        root = 0.5 * (root + x / root);
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm_is_within_two_units_in_the_last_place() {
        let mut x = 1e-310f64;
        while x < 1e300 {
            let (ours, theirs) = (natural_logarithm(x), x.ln());
            assert!((ours - theirs).abs() <= 4.5e-16 * theirs.abs().max(0.35), "ln({x:e}) = {ours} but {theirs}");
            x *= 1.37;
        }
        assert_eq!(natural_logarithm(1.0), 0.0);
    }

    #[test]
    fn exponentials_powers_and_roots_are_near_the_library_functions() {
        let mut x = -1021.5f64;
        while x < 1023.9 {
            let (ours, theirs) = (exponential2(x), x.exp2());
            assert!((ours / theirs - 1.0).abs() < 1e-15 * (2.0 + x.abs() / 64.0), "2^{x} = {ours:e} but {theirs:e}");
            x += 0.317;
        }
        assert_eq!((exponential2(0.0), exponential2(10.0), exponential2(-1.0)), (1.0, 1024.0, 0.5));
        assert_eq!((exponential2(1024.0), exponential2(-1100.0)), (f64::INFINITY, 0.0));
        for (base, exponent) in [(1.75, 40.0), (0.3, 2.5), (10.0, -3.0), (0.999, 1000.0)] {
            assert!((power(base, exponent) / base.powf(exponent) - 1.0).abs() < 1e-13, "{base}^{exponent}");
        }
        assert_eq!((power(0.0, 0.0), power(0.0, 2.0), power(5.0, 0.0)), (1.0, 0.0, 1.0));
        for x in [1e-300, 2.0, 0.25, 1e300, 3.7e-5, f64::MIN_POSITIVE] {
            assert!((square_root(x) / x.sqrt() - 1.0).abs() < 4e-16, "sqrt {x:e}");
        }
        assert_eq!((square_root(0.0), square_root(4.0)), (0.0, 2.0));
    }

    #[test]
    fn weights_are_within_the_promised_error() {
        for step in 0..=400_000 {
            let t = -40.0 * step as f32 / 400_000.0;
            let exact = f64::from(t).exp2();
            assert!((f64::from(weight(t)) / exact - 1.0).abs() < 1e-6, "2^{t}");
        }
        assert_eq!(weight(0.0), 1.0);
        assert_eq!(weight(-0.0), 1.0);
        assert_eq!(weight(-40.001), 0.0);
        assert_eq!(weight_to_mass(1.0), 1 << 40);
    }

    #[test]
    fn powers_are_near_those_of_the_library_and_stop_at_the_largest_number() {
        for base in [0.0, 0.5, 0.999, 1.0, 1.000_001, 1.05, 1.75, 3.0f64] {
            for exponent in [0, 1, 2, 3, 10, 63, 64, 150, 4_095] {
                let (ours, theirs) = (whole_power(base, exponent), base.powi(exponent as i32).min(f64::MAX));
                assert!((ours - theirs).abs() <= 1e-12 * theirs, "{base}^{exponent} = {ours:e} but {theirs:e}");
            }
        }
        assert_eq!(whole_power(2.0, u32::MAX), f64::MAX);
        assert_eq!(whole_power(0.5, u32::MAX), 0.0);
        assert_eq!(
            (dry_exponent_limit(1.75), dry_exponent_limit(1.0), dry_exponent_limit(f32::MAX)),
            (158, u32::MAX, 1)
        );
    }

    #[test]
    fn keys_order_like_logits_and_come_back() {
        let logits = [f32::NEG_INFINITY, f32::MIN, -1.5, -f32::MIN_POSITIVE, -1e-45, 0.0, 1e-45, 1.0, f32::MAX];
        for pair in logits.windows(2) {
            assert!(ordered_key(pair[0]) < ordered_key(pair[1]), "{pair:?}");
        }
        for logit in logits {
            assert_eq!(key_to_logit(ordered_key(logit)), logit);
        }
        assert_eq!(ordered_key(-0.0), ordered_key(0.0));
        assert!(rank_key(1.0, 3) > rank_key(1.0, 4));
        assert_eq!(rank_key_parts(rank_key(-2.5, 77)), (-2.5, 77));
    }

    #[test]
    fn a_block_bound_covers_its_masses() {
        let mut t = 0.0f32;
        while t > -41.0 {
            let bound = weight_to_bound(weight(t));
            // Neighbours below t may weigh a little more than t itself: the polynomial is rounded.
            let mut below = t;
            for _ in 0..4 {
                assert!(64 * weight_to_mass(weight(below)) <= bound, "{t}");
                below = if below == 0.0 { -f32::MIN_POSITIVE } else { f32::from_bits(below.to_bits() + 1) };
            }
            t -= 0.000_73;
        }
    }
}
