//! What the stages that count by a sorted list say of their counts, while they have it.

use super::{ROUNDING, at_least_zero, greater, largest, lesser};
use crate::numeric::{exponential, natural_logarithm};

/// Tail-free: `masses` are sorted, the first `kept` of them stay, a share `z` of the curvature decides. Every mass moves by a
/// factor between 1/g and g, g = e^(r/T). As long as no bend changes its direction the sums are linear in the masses, and
/// most of them cancel; a bend that may adds what it can reach on the other side, twice.
pub(in crate::distribution) fn radius_of_tail_free(masses: &[u64], kept: usize, z: f32, temperature: f32) -> f64 {
    let bends = masses.len() - 2;
    let mass = |i: usize| masses[i] as f64;
    // Bend i stands between the tokens i and i + 2; it decides about token i + 1.
    let parts = |i: usize| (mass(i) + mass(i + 2), 2.0 * mass(i + 1));
    let sign = |i: usize| {
        let (ends, middle) = parts(i);
        if ends >= middle { 1.0 } else { -1.0 }
    };
    // Of each mass up to one unit is lost, and each is in three curvatures.
    let lost = 8.0 * masses.len() as f64;
    let share = f64::from(z);
    // The greatest or the least that the first `front` curvatures less z times all can become.
    let extreme = |front: usize, is_greatest: bool, x: f64| {
        let (up, down) = (exponential(x + ROUNDING), exponential(-x - ROUNDING));
        let factor = |i: usize| (if i < front { 1.0 - share } else { -share }) * sign(i);
        let mut sum = 0.0;
        for j in 0..masses.len() {
            let mut factor_of_mass = 0.0;
            if j < bends {
                factor_of_mass += factor(j);
            }
            if j >= 1 && j - 1 < bends {
                factor_of_mass -= 2.0 * factor(j - 1);
            }
            if j >= 2 {
                factor_of_mass += factor(j - 2);
            }
            let grows = (factor_of_mass > 0.0) == is_greatest;
            sum += factor_of_mass * mass(j) * if grows { up } else { down };
        }
        for i in 0..bends {
            let (ends, middle) = parts(i);
            let other_side = if ends >= middle { middle * up - ends * down } else { ends * up - middle * down };
            let counts = if is_greatest { i < front } else { i >= front };
            if counts && other_side > 0.0 {
                let weight = if is_greatest { 2.0 * (1.0 - share) } else { -2.0 * share };
                sum += weight * other_side;
            }
        }
        sum
    };
    let within = largest(64.0, 48, |x| {
        let slack = lost * exponential(x);
        let stays = kept <= 1 || extreme(kept - 1, true, x) + slack <= 0.0;
        // The last that is measured goes whatever happens.
        let goes = kept > bends || extreme(kept, false, x) - slack > 0.0;
        stays && goes
    });
    f64::from(temperature) * at_least_zero(within - ROUNDING)
}

/// Top-h: `masses` are those measured, sorted; the first `kept` of them stay, a share `h` of the entropy decides. Every
/// probability moves by a factor between 1/g and g, g = e^(2r/T), and `f = -p ln p` takes its extremes at the ends of that
/// or at 1/e.
pub(in crate::distribution) fn radius_of_top_h(masses: &[u64], kept: usize, h: f32, temperature: f32) -> f64 {
    let total = masses.iter().sum::<u64>() as f64;
    if masses.len() > 1 && masses[1] == 0 {
        return 0.0;
    }
    let share = f64::from(h);
    // A unit of mass less is that much of an entropy at the most.
    let lost = masses.len() as f64 * 30.0 / total;
    let entropy = |p: f64| if p > 0.0 { -p * natural_logarithm(p) } else { 0.0 };
    let peak = exponential(-1.0);
    // The greatest or the least that the entropy of the first `front` less h times all can become.
    let extreme = |front: usize, is_greatest: bool, x: f64| {
        let (up, down) = (exponential(x), exponential(-x));
        let mut sum = 0.0;
        for (i, &mass) in masses.iter().enumerate() {
            let p = mass as f64 / total;
            let (low, high) = (p * down, lesser(p * up, 1.0));
            let ends = (entropy(low), entropy(high));
            let most = if low < peak && high > peak { peak } else { greater(ends.0, ends.1) };
            let least = lesser(ends.0, ends.1);
            let factor = if i < front { 1.0 - share } else { -share };
            sum += factor * if (factor > 0.0) == is_greatest { most } else { least };
        }
        sum
    };
    let within = largest(32.0, 40, |x| {
        let slack = lost * exponential(x);
        // A token's own part is in the sum that decides about it.
        let stays = kept <= 1 || extreme(kept, true, x) + slack <= 0.0;
        let goes = kept >= masses.len() || extreme(kept + 1, false, x) - slack > 0.0;
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
    let (lowest, beyond) =
        (natural_logarithm(count as f64) + ROUNDING, natural_logarithm(count as f64 + 1.0) - ROUNDING);
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
