//! What a change of a logit as given becomes by what adjusts it.

use crate::constrain::{EndRule, Rules};
use crate::logits::Surface;
use crate::types::TokenId;

/// How much farther an adjusted logit can move than the logit as given: a repetition penalty multiplies, a length decay
/// raises by a share of the logit; all else only adds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretching {
    repetition: f64,
    raise: f64,
}

impl Stretching {
    /// That of a step's rules.
    pub fn new(rules: &Rules, end: EndRule) -> Stretching {
        let repetition = f64::from(rules.repetition());
        // `z + |z| share` moves by 1 + share above 0 and by 1 - share below.
        let raise = match end {
            EndRule::Raised(share) => 1.0 + if share < 0.0 { -share } else { share },
            EndRule::Free | EndRule::Masked => 1.0,
        };
        Stretching { repetition: if repetition < 1.0 { 1.0 / repetition } else { repetition }, raise }
    }

    /// The most that any adjusted token of the row stretches a change; at least 1.
    pub fn of_row(&self, surface: &Surface<'_>) -> f64 {
        let adjusted = surface.view.overrides.iter().any(|entry| entry.logit > f32::NEG_INFINITY);
        if adjusted { self.repetition * self.raise } else { 1.0 }
    }

    /// That of one token.
    pub fn of_token(&self, surface: &Surface<'_>, token: TokenId) -> f64 {
        let found = surface.view.overrides.binary_search_by_key(&token, |entry| entry.token);
        if found.is_ok() { self.repetition * self.raise } else { 1.0 }
    }
}
