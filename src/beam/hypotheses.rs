//! Hypotheses: sequences that have ended, and the lists of the best of them.

use super::candidates::Candidate;
use super::config::{EarlyStopping, Plan};
use super::storage::{Group, Node};
use crate::numeric::power;
use crate::plan::Profile;
use crate::trace::Finish;
use crate::types::TokenId;
use bytemuck::{Pod, Zeroable};

/// A sequence that has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hypothesis {
    /// What it is ranked by: the sum of log-probabilities divided by the length to the power `length_penalty`.
    pub score: f64,
    /// The sum of the log-probabilities of its tokens, in nats.
    pub logprob: f64,
    /// Generated tokens, the end token included.
    pub length: u32,
    /// Why it ended: `EndToken`, `Length` for `max_tokens`; with decoders beside the beams also `Stop` and `Loop`.
    pub finish: Finish,
}

/// A hypothesis as it lies in memory: its last token, and the beam that it goes back to.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Hypothesized {
    pub score: f64,
    pub logprob: f64,
    pub length: u32,
    pub parent: u32,
    pub token: TokenId,
    pub finish: u32,
}

impl Hypothesized {
    pub fn told(&self) -> Hypothesis {
        let Hypothesized { score, logprob, length, finish, .. } = *self;
        let known = [Finish::Length, Finish::EndToken, Finish::Stop, Finish::Loop];
        let finish = known.into_iter().find(|known| *known as u32 == finish).unwrap_or_default();
        Hypothesis { score, logprob, length, finish }
    }
}

/// The sum of log-probabilities of so many generated tokens, an end token among them, divided by the length to the power
/// `length_penalty`.
fn divided(plan: &Plan, logprob: f64, length: u32) -> f64 {
    let length = f64::from(length);
    // Exactly the length for 1, which everybody uses.
    logprob / if plan.length_penalty == 1.0 { length } else { power(length, plan.length_penalty) }
}

/// Puts a hypothesis into a group's list if it is among the best; among equals the earlier one stands first.
pub(super) fn insert(list: &mut [Hypothesized], group: &mut Group, new: Hypothesized) {
    let count = group.finished as usize;
    let at = list[..count].iter().take_while(|old| old.score >= new.score).count();
    if at == list.len() {
        return;
    }
    let end = (count + 1).min(list.len());
    list.copy_within(at..end - 1, at + 1);
    list[at] = new;
    group.finished = end as u32;
}

/// Whether a group needs no further step: `length` tokens are generated, `best` is the highest sum of log-probabilities
/// of its beams.
pub(super) fn is_over(plan: &Plan, list: &[Hypothesized], group: Group, length: u32, best: f64) -> bool {
    if group.live == 0 || length == plan.max_tokens {
        return true;
    }
    let is_full = group.finished as usize == list.len();
    if !is_full || plan.profile == Profile::Vllm {
        return false;
    }
    let hoped = match plan.early_stopping {
        EarlyStopping::Full => return true,
        EarlyStopping::Never if plan.length_penalty > 0.0 => plan.max_tokens,
        _ => length,
    };
    divided(plan, best, hoped) <= list[list.len() - 1].score
}

/// Orders the hypotheses of all groups: higher score first, then the earlier group. Returns how many there are.
pub(super) fn set_order(lists: &[Hypothesized], groups: &[Group], width: usize, order: &mut [u32]) -> usize {
    let mut count = 0;
    for (i, group) in groups.iter().enumerate() {
        for at in i * width..i * width + group.finished as usize {
            let score = lists[at].score;
            let place = order[..count].iter().take_while(|&&other| lists[other as usize].score >= score).count();
            order.copy_within(place..count, place + 1);
            order[place] = at as u32;
            count += 1;
        }
    }
    count
}

/// Writes the tokens that lead up to the beam with the index `beam` after `tokens.len()` tokens, its own token last.
pub(super) fn trace(nodes: &[Node], beams: usize, beam: u32, tokens: &mut [TokenId]) {
    let mut beam = beam as usize;
    for (step, token) in tokens.iter_mut().enumerate().rev() {
        let node = nodes[step * beams + beam];
        *token = node.token;
        beam = node.parent as usize;
    }
}

/// What a candidate becomes when it ends.
pub(super) fn hypothesized(plan: &Plan, candidate: &Candidate, length: u32) -> Hypothesized {
    let &Candidate { score: logprob, parent, finish, .. } = candidate;
    let score = divided(plan, logprob, length);
    Hypothesized { score, logprob, length, parent, token: candidate.token(), finish }
}
