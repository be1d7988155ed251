//! The draw: one token from what the filters kept, by integers and counter-based random numbers.

pub(crate) mod envelope;
pub(crate) mod inversion;

use crate::distribution::Shaped;
use crate::types::TokenId;

/// A drawn token, and what the draw already knows about the kept set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawn {
    pub token: TokenId,
    /// Tokens kept, if the draw had to count them.
    pub count: Option<u32>,
    /// Their mass, if the draw had to sum it, at the scale of what was kept.
    pub mass: Option<u64>,
    /// The token's new form, if the distribution was reshaped around a target; `mass` is then that of the new forms.
    pub shaped: Option<Shaped>,
    /// No change of the logits smaller than this makes the same numbers draw another token; of what was drawn from the kept
    /// tokens, another of these. +inf unless it was asked for.
    pub radius: f64,
}

/// The index in `masses` where the running sum first exceeds `at`, and what is left of `at` there.
pub(crate) fn walk(masses: &[u64], at: u64) -> Option<(usize, u64)> {
    let mut left = at;
    for (i, &mass) in masses.iter().enumerate() {
        if left < mass {
            return Some((i, left));
        }
        left -= mass;
    }
    None
}
