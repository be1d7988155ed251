//! The integers of acceptance and residual. [The page on speculative decoding](crate::docs::speculative) has the laws.
//!
//! A distribution is a mass for each token and their total, all u64. Products of two masses are u128; nothing is rounded
//! but by the one random number, whose unit is 2^-64 of what it is scaled to.

/// `floor(number * total / 2^64)`: a draw from `[0, total)` by one 64-bit random number, as `numeric::scale_number` makes it.
pub(super) fn scale_wide(number: u64, total: u128) -> u128 {
    let (high, low) = (total >> 64, total & u128::from(u64::MAX));
    let number = u128::from(number);
    number * high + ((number * low) >> 64)
}

/// A token's mass, and the total that it is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub mass: u64,
    pub total: u64,
}

/// Whether a drafted token is accepted: with probability `min(1, (p / P) / (q / Q))`, at most 2^-64 more.
pub(super) fn accepts(number: u64, p: Share, q: Share) -> bool {
    let range = u128::from(q.mass) * u128::from(p.total);
    scale_wide(number, range) < u128::from(p.mass) * u128::from(q.total)
}

/// What is left of p where q has been rejected, in units of `1 / (P Q)`: `max(p Q - q P, 0)`.
pub(super) fn residual(p: Share, q: Share) -> u128 {
    (u128::from(p.mass) * u128::from(q.total)).saturating_sub(u128::from(q.mass) * u128::from(p.total))
}

/// By how many bits residual masses of this total are shifted down to be masses again: the least that makes the total fit.
pub(super) fn shift_of(total: u128) -> u32 {
    64u32.saturating_sub(total.leading_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ceil(a 2^64 / b)` for `a < b`, bit by bit: nothing of the above in it.
    fn quotient(a: u128, b: u128) -> u128 {
        let (mut rest, mut result) = (a, 0u128);
        for _ in 0..64 {
            let carry = rest >> 127;
            rest <<= 1;
            result <<= 1;
            if carry == 1 || rest >= b {
                rest = rest.wrapping_sub(b);
                result |= 1;
            }
        }
        result + u128::from(rest != 0)
    }

    /// How many of the 2^64 numbers accept: acceptance falls with the number, so the last that accepts is searched for.
    fn accepting(p: Share, q: Share) -> u128 {
        let (mut low, mut high) = (0u128, 1u128 << 64);
        while low < high {
            let middle = low + (high - low) / 2;
            if accepts(middle as u64, p, q) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    #[test]
    fn the_numbers_that_accept_are_counted_exactly() {
        let masses = [1u64, 2, 3, 7, 1 << 20, (1 << 40) - 1, 1 << 40];
        let totals = [1u64 << 40, (1 << 40) + 12_345, (1 << 62) - 1, 1 << 62, u64::MAX];
        for p_mass in masses.into_iter().chain([0]) {
            for q_mass in masses {
                for p_total in totals {
                    for q_total in totals {
                        let (p, q) = (Share { mass: p_mass, total: p_total }, Share { mass: q_mass, total: q_total });
                        let (a, b) =
                            (u128::from(p_mass) * u128::from(q_total), u128::from(q_mass) * u128::from(p_total));
                        let expected = if a >= b { 1 << 64 } else { quotient(a, b) };
                        assert_eq!(accepting(p, q), expected, "{p:?} {q:?}");
                    }
                }
            }
        }
    }

    /// Every pair of distributions of small integer masses over three tokens, drafts and numbers counted out: each token
    /// comes with its probability under p, to 2^-62.
    #[test]
    fn accepted_and_residual_tokens_together_are_p() {
        let mut pairs = 0;
        let all = |most: u64| {
            (0..(most + 1).pow(3)).map(move |i| [i % (most + 1), i / (most + 1) % (most + 1), i / (most + 1).pow(2)])
        };
        for p in all(4).filter(|p| p.iter().sum::<u64>() > 0) {
            for q in all(3).filter(|q| q.iter().sum::<u64>() > 0) {
                let (p_total, q_total) = (p.iter().sum::<u64>(), q.iter().sum::<u64>());
                let shares = |i: usize| (Share { mass: p[i], total: p_total }, Share { mass: q[i], total: q_total });
                let left = [0, 1, 2].map(|i| residual(shares(i).0, shares(i).1));
                let total: u128 = left.iter().sum();
                // In units of 2^-64 / Q: accepted as drafted, and what the rejected drafts leave over.
                let accepted = [0, 1, 2]
                    .map(|i| if q[i] == 0 { 0 } else { u128::from(q[i]) * accepting(shares(i).0, shares(i).1) });
                let rejected = (u128::from(q_total) << 64) - accepted.iter().sum::<u128>();
                assert!(total > 0 || rejected == 0, "{p:?} {q:?}: rejected with nothing left");
                for i in 0..3 {
                    let drawn = (rejected * left[i]).checked_div(total).unwrap_or(0);
                    let expected = ((u128::from(p[i]) * u128::from(q_total)) << 64) / u128::from(p_total);
                    let difference = (accepted[i] + drawn).abs_diff(expected);
                    assert!(difference <= 4 * u128::from(q_total), "{p:?} {q:?}: token {i} is off by {difference}");
                }
                pairs += 1;
            }
        }
        assert_eq!(pairs, 124 * 63);
    }

    const EACH: [usize; 3] = [0, 1, 2];

    /// Adds to `emitted` what a node emits whose siblings are judged in turn, `left` of them to come, reached with `weight`.
    fn judge_siblings(p: [u64; 3], q: [u64; 3], left: usize, replaced: bool, weight: f64, emitted: &mut [f64; 3]) {
        let (p_total, q_total) = (p.iter().sum::<u64>(), q.iter().sum::<u64>());
        if left == 0 || q_total == 0 {
            EACH.iter().for_each(|&i| emitted[i] += weight * p[i] as f64 / p_total as f64);
            return;
        }
        for draft in EACH.into_iter().filter(|&i| q[i] > 0) {
            let share = |i: usize| (Share { mass: p[i], total: p_total }, Share { mass: q[i], total: q_total });
            let weight = weight * q[draft] as f64 / q_total as f64;
            let accepted = accepting(share(draft).0, share(draft).1) as f64 / 2f64.powi(64);
            emitted[draft] += weight * accepted;
            if accepted < 1.0 {
                let raw = EACH.map(|i| residual(share(i).0, share(i).1));
                let shift = shift_of(raw.iter().sum());
                let mut next = q;
                next[draft] = if replaced { q[draft] } else { 0 };
                let p = raw.map(|mass| (mass >> shift) as u64);
                judge_siblings(p, next, left - 1, replaced, weight * (1.0 - accepted), emitted);
            }
        }
    }

    /// Up to three siblings, drawn independently or without replacement, all of them and all decisions counted out: p comes
    /// out, also for masses so large that residuals are shifted.
    #[test]
    fn siblings_judged_in_turn_emit_p() {
        for scale in [1u64, 1 << 38] {
            for case in 0..3u64.pow(6) {
                let [p, q] =
                    [case % 27, case / 27].map(|i| [i % 3, i / 3 % 3, i / 9].map(|mass| mass * (scale + mass)));
                let (p_total, q_total) = (p.iter().sum::<u64>(), q.iter().sum::<u64>());
                if p_total == 0 || q_total == 0 {
                    continue;
                }
                for siblings in 1..=3 {
                    for replaced in [true, false] {
                        let mut emitted = [0.0; 3];
                        judge_siblings(p, q, siblings, replaced, 1.0, &mut emitted);
                        for i in EACH {
                            let expected = p[i] as f64 / p_total as f64;
                            let difference = (emitted[i] - expected).abs();
                            assert!(difference < 1e-14, "{p:?} {q:?} {siblings} {replaced}: {emitted:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_wide_draw_is_the_narrow_one_and_shifts_fit() {
        for number in [0, 1, u64::MAX / 3, u64::MAX] {
            for total in [1u64, 77, 1 << 40, u64::MAX] {
                assert_eq!(scale_wide(number, total.into()), u128::from(crate::numeric::scale_number(number, total)));
            }
        }
        assert_eq!(scale_wide(u64::MAX, u128::MAX), u128::MAX - (1 << 64));
        assert_eq!([1, u128::from(u64::MAX), 1 << 64, u128::MAX].map(shift_of), [0, 0, 1, 64]);
    }
}
