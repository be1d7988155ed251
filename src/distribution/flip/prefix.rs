//! What the stages that count by a sorted list say of their counts, while they have it.

use super::{ROUNDING, at_least_zero, greater, largest, lesser};
use crate::numeric::{exponential, natural_logarithm};

/// Tail-free: `masses` are sorted, the first `kept` of them stay, a share `z` of the curvature decides. Every mass moves by a
/// factor between 1/g and g, g = e^(r/T), so each curvature by at most g - 1 times its masses.
pub(in crate::distribution) fn radius_of_tail_free(masses: &[u64], kept: usize, z: f32, temperature: f32) -> f64 {
    // Sums up to the last kept, up to the next, and the whole; each with the masses that went into it.
    let (mut before, mut upto, mut whole) = ((0.0, 0.0), (0.0, 0.0), (0.0, 0.0));
    for (i, q) in masses.windows(3).enumerate() {
        let [a, b, c] = [q[0] as f64, q[1] as f64, q[2] as f64];
        let bend = greater(a + c - 2.0 * b, 2.0 * b - a - c);
        whole = (whole.0 + bend, whole.1 + a + 2.0 * b + c);
        if i + 1 < kept {
            before = whole;
        }
        if i < kept {
            upto = whole;
        }
    }
    // Of each mass up to one unit is lost, and each is in three curvatures.
    let lost = 4.0 * masses.len() as f64;
    let share = f64::from(z);
    let within = largest(64.0, 60, |x| {
        let grow = exponential(x) - 1.0 + ROUNDING;
        let moved = |(_, masses): (f64, f64)| grow * masses + lost * (1.0 + grow);
        let stays = kept <= 1 || before.0 + moved(before) <= share * (whole.0 - moved(whole));
        // The last that is measured goes whatever happens.
        let goes = kept + 2 > masses.len() || upto.0 - moved(upto) > share * (whole.0 + moved(whole));
        stays && goes
    });
    f64::from(temperature) * at_least_zero(within - ROUNDING)
}

/// Top-h: `masses` are those measured, sorted; the first `kept` of them stay, a share `h` of the entropy decides. Every
/// probability moves by a factor between 1/g and g, g = e^(2r/T).
pub(in crate::distribution) fn radius_of_top_h(masses: &[u64], kept: usize, h: f32, temperature: f32) -> f64 {
    let total = masses.iter().sum::<u64>() as f64;
    let (mut before, mut upto, mut whole) = ((0.0, 0.0), (0.0, 0.0), (0.0, 0.0));
    for (i, &mass) in masses.iter().enumerate() {
        let p = mass as f64 / total;
        whole = (whole.0 + if mass > 0 { -p * natural_logarithm(p) } else { 0.0 }, whole.1 + p);
        if i + 1 == kept {
            before = whole;
        }
        if i < kept + 1 {
            upto = whole;
        }
    }
    if whole.0 == 0.0 && masses.len() > 1 {
        return 0.0;
    }
    let share = f64::from(h);
    // A unit of mass less is that much of an entropy at the most.
    let lost = masses.len() as f64 * 30.0 / total;
    let within = largest(64.0, 60, |x| {
        let g = exponential(x);
        // |f(p e^y) - f(p)| for f = -p ln p and |y| <= x.
        let moved = |(entropy, mass): (f64, f64)| (g - 1.0) * entropy + g * x * mass + lost * g;
        let stays = kept <= 1 || before.0 + moved(before) <= share * (whole.0 - moved(whole));
        let goes = kept >= masses.len() || upto.0 - moved(upto) > share * (whole.0 + moved(whole));
        stays && goes
    });
    0.5 * f64::from(temperature) * at_least_zero(within - ROUNDING)
}

/// Mirostat 1: the count `f(s)^(1/s)` of the exponent `s`, with `f = (s - 1) 2^mu / (1 - V^(1-s))`, which grows with s. The
/// exponent is linear in the sorted logits; their factors add up to `2 t_0 / (sum of t^2)` in absolute value. `ln_base` is
/// ln f at an exponent, `count` is what it gives.
pub(in crate::distribution) fn radius_of_mirostat_count(
    (exponent, squares): (f64, f64),
    count: usize,
    vocab: usize,
    temperature: f32,
    ln_base: impl Fn(f64) -> f64,
) -> f64 {
    if !(exponent > 0.0 && squares > 0.0) {
        return 0.0;
    }
    let rate = 2.0 * core::f64::consts::LN_2 / (squares * f64::from(temperature));
    let (lowest, beyond) = (natural_logarithm(count as f64) + ROUNDING, natural_logarithm(count as f64 + 1.0) - ROUNDING);
    largest(0.999 * exponent / rate, 60, |r| {
        let (low, high) = (exponent - rate * r, exponent + rate * r);
        let (least, most) = (ln_base(low), ln_base(high));
        // f only grows; its root lies between the extremes of both.
        let least = lesser(least / low, least / high);
        let most = greater(most / low, most / high);
        (count <= 1 || count >= vocab || least >= lowest)
            && (count >= vocab && least >= natural_logarithm(vocab as f64) + ROUNDING || count < vocab && most < beyond)
    })
}
