//! One node: its drafts are judged in order, and if none stands a token takes their place.

use super::Acceptance;
use super::masses::{Masses, measure};
use super::residual::Residual;
use crate::decoder::step::Opened;
use crate::distribution::StepState;
use crate::rng::{Purpose, StepNumbers};
use crate::trace::Pick;
use crate::types::TokenId;

/// What a node comes to.
pub(super) struct Judgement {
    /// The draft that stands.
    pub child: Option<usize>,
    /// It, or the token in its place, as the target picks it.
    pub pick: Pick,
    pub state: StepState,
    /// The same as the draft model picked it, if it did.
    pub drafted: Option<(Pick, StepState)>,
}

/// A draft that the draft model's distribution cannot give.
pub(super) struct Impossible(pub TokenId);

/// Judges the drafts at a node. Number i of the step (purpose 2) judges draft i, the next one draws from what is left.
pub(super) fn judge(
    target: &mut Opened<'_>,
    draft: Option<&mut Opened<'_>>,
    acceptance: Acceptance,
    children: impl Iterator<Item = (usize, TokenId)>,
) -> Result<Judgement, Impossible> {
    let config = &target.plan.config;
    let mut numbers = StepNumbers::new(config.seed, config.stream, target.position, Purpose::Speculative);
    let measured = measure(target);
    let p = Masses::new(target, measured);
    let q = draft.map(|draft| {
        let measured = measure(draft);
        Masses::new(draft, measured)
    });
    let mut left = Residual::new(&p, q.as_ref(), acceptance == Acceptance::WithoutReplacement);
    for (child, token) in children {
        if !left.is_possible(token) {
            return Err(Impossible(token));
        }
        if left.judge(token, numbers.next_number()) {
            let (pick, state) = p.settle(token);
            return Ok(Judgement { child: Some(child), pick, state, drafted: q.as_ref().map(|q| q.settle(token)) });
        }
    }
    let (pick, state) = p.settle(left.draw(numbers.next_number()));
    Ok(Judgement { child: None, pick, state, drafted: None })
}
