//! One step: every row to candidates, candidates to beams that go on and beams that end; then, when nothing can fail any
//! more, the new state.

use super::BeamSearch;
use super::candidates::{Best, Candidate};
use super::company::{Company, check, finish_with, follow, look};
use super::config::Plan;
use super::gather::{Beam, Diversity, Normaliser, Seen, gather, see};
use super::hypotheses::{hypothesized, insert, is_over, set_order};
use super::storage::{Node, Scratch, State};
use crate::error::{Error, Result};
use crate::kernels::Kernels;
use crate::plan::Profile;
use crate::trace::Finish;
use crate::types::{Row, TokenId};

/// A beam and the token it goes on with, or ends with.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Continuation {
    /// The index of the beam among the rows of the step.
    pub parent: u32,
    /// Its token.
    pub token: TokenId,
    /// The sum of the log-probabilities of its tokens, this one included, in nats.
    pub score: f64,
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BeamStep {
    /// Beams that go on: the first so many entries. The next step takes a row for each.
    pub live: usize,
    /// Beams that ended with this step: so many entries after those. Only the best of them are hypotheses.
    pub ended: usize,
    /// Whether the search is finished. What was still going on is no hypothesis then: it could not have become one of
    /// the best, or `early_stopping` gave it up.
    pub finished: bool,
}

/// The rows of a step and their masks, wherever they lie.
pub(crate) struct Given<'a> {
    /// Rows.
    pub count: usize,
    /// The row of an index below the count.
    pub row_at: &'a dyn Fn(usize) -> Row<'a>,
    /// Its mask.
    pub mask_at: &'a dyn Fn(usize) -> Option<&'a [u32]>,
}

/// What the rows are looked at with.
#[derive(Clone, Copy)]
struct Looks<'a, 'g> {
    plan: &'a Plan,
    kernels: Kernels,
    end_tokens: &'a [TokenId],
    given: &'a Given<'g>,
    /// End tokens are masked.
    too_short: bool,
}

impl<S: AsRef<[u64]> + AsMut<[u64]>> BeamSearch<S> {
    // Not inlined: no float operation of the step may move out of the default environment around the call.
    #[inline(never)]
    pub(super) fn step_checked(
        &mut self,
        company: &mut impl Company,
        given: &Given<'_>,
        next: &mut [Continuation],
    ) -> Result<BeamStep> {
        check(company, &self.plan, self.live)?;
        let Self { plan, layout, storage, .. } = self;
        let (state, mut scratch) = layout.split(storage.as_mut(), plan.end_tokens);
        let too_short = self.length < plan.min_tokens;
        let looks = Looks { plan, kernels: self.kernels, end_tokens: state.end_tokens, given, too_short };
        let is_last = self.length + 1 == plan.max_tokens;
        let (mut survivors, mut ended, mut first, mut is_dead) = (0, 0, 0, true);
        for g in 0..plan.groups {
            // Before the first step all groups have the one row of the prompt.
            let live = state.groups[g].live as usize;
            let beams = if self.length == 0 { 0..1 } else { first..first + live };
            first += live;
            let mut chosen = Chosen { plan, end_tokens: state.end_tokens, is_last, survivors: 0, ended: 0 };
            let outcome =
                choose_group(&looks, company, beams, state.scores, &mut scratch, survivors, ended, &mut chosen);
            is_dead &= outcome.inspect_err(|&(row, _)| self.failed_row = Some(row)).map_err(|(_, error)| error)?;
            scratch.ended_of_group[g] = [chosen.ended as u32, chosen.survivors as u32];
            survivors += chosen.survivors;
            ended += chosen.ended;
        }
        if is_dead {
            return Err(Error::EverythingMasked);
        }
        self.commit(company, next)
    }

    /// Takes over what was chosen. `follow` cannot fail: the decoders have been checked.
    fn commit(&mut self, company: &mut impl Company, next: &mut [Continuation]) -> Result<BeamStep> {
        let Self { plan, layout, storage, .. } = self;
        let (state, scratch) = layout.split(storage.as_mut(), plan.end_tokens);
        let State { groups, scores, hypotheses, order, nodes, .. } = state;
        let Scratch { survivors, ended, ended_of_group, sources, .. } = scratch;
        let length = self.length + 1;
        let (mut live, mut survivor, mut end) = (0, 0, 0);
        let row = &mut nodes[self.length as usize * plan.beams..][..plan.beams];
        for (g, group) in groups.iter_mut().enumerate() {
            let list = &mut hypotheses[g * plan.width..(g + 1) * plan.width];
            let [ending, surviving] = ended_of_group[g];
            for candidate in &ended[end..end + ending as usize] {
                insert(list, group, hypothesized(plan, candidate, length));
            }
            end += ending as usize;
            let going_on = survivor..survivor + surviving as usize;
            survivor = going_on.end;
            group.live = surviving;
            let best = survivors.get(going_on.start).map_or(0.0, |best| best.score);
            if is_over(plan, list, *group, length, best) {
                group.live = 0;
                continue;
            }
            for candidate in &survivors[going_on] {
                row[live] = Node { parent: candidate.parent, token: candidate.token() };
                scores[live] = candidate.score;
                sources[live] = candidate.parent;
                next[live] = told(candidate);
                live += 1;
            }
        }
        for (entry, candidate) in next[live..].iter_mut().zip(&ended[..end]) {
            *entry = told(candidate);
        }
        follow(company, &mut sources[..live], |i| row[i].token)?;
        self.finished = set_order(hypotheses, groups, plan.width, order);
        self.length = length;
        self.live = live;
        Ok(BeamStep { live, ended: end, finished: live == 0 })
    }
}

fn told(candidate: &Candidate) -> Continuation {
    Continuation { parent: candidate.parent, token: candidate.token(), score: candidate.score }
}

/// Chooses for one group; the chosen are appended to the survivors and to the ended. Answers whether no beam of it had a
/// token left, or fails at a row.
#[expect(clippy::too_many_arguments, reason = "the parts of a search that are borrowed apart")]
fn choose_group(
    looks: &Looks<'_, '_>,
    company: &mut impl Company,
    beams: core::ops::Range<usize>,
    scores: &[f64],
    scratch: &mut Scratch<'_>,
    survivors_before: usize,
    ended_before: usize,
    chosen: &mut Chosen<'_>,
) -> core::result::Result<bool, (usize, Error)> {
    let plan = looks.plan;
    let Scratch { mask, maxima, group_maxima, keys, candidates, survivors, ended, .. } = scratch;
    let (earlier, survivors) = survivors.split_at_mut(survivors_before);
    let ended = &mut ended[ended_before..];
    let diversity = Diversity { penalty: plan.diversity_penalty, survivors: earlier };
    let mut is_dead = true;
    let mut room = Room { mask, maxima, group_maxima, keys };
    if plan.profile == Profile::Vllm {
        // Chosen among the best of each beam.
        let mut of_all = Best::new(&mut survivors[..plan.width]);
        for index in beams {
            let mut of_beam = Best::new(candidates);
            let beam = Beam { index: index as u32, score: scores[index] };
            is_dead &= offer_row(looks, company, beam, &diversity, &mut room, &mut of_beam).map_err(|e| (index, e))?;
            for candidate in of_beam.into_sorted() {
                if chosen.is_end(candidate) {
                    chosen.end(ended, candidate, Finish::EndToken);
                } else {
                    of_all.offer(*candidate);
                }
            }
        }
        chosen.take(company, of_all.into_sorted().len(), survivors, ended);
    } else {
        // Chosen among the best of all beams.
        let mut of_all = Best::new(candidates);
        for index in beams {
            let beam = Beam { index: index as u32, score: scores[index] };
            is_dead &= offer_row(looks, company, beam, &diversity, &mut room, &mut of_all).map_err(|e| (index, e))?;
        }
        chosen.walk(company, of_all.into_sorted(), survivors, ended);
    }
    Ok(is_dead)
}

/// Scratch memory of reading rows.
struct Room<'a> {
    mask: &'a mut [u32],
    maxima: &'a mut [f32],
    group_maxima: &'a mut [f32],
    keys: &'a mut [u64],
}

/// Offers the tokens of one beam's row. Answers whether it has none.
fn offer_row(
    looks: &Looks<'_, '_>,
    company: &mut impl Company,
    beam: Beam,
    diversity: &Diversity<'_>,
    room: &mut Room<'_>,
    best: &mut Best<'_>,
) -> Result<bool> {
    let Looks { plan, kernels, end_tokens, given, too_short } = *looks;
    let Room { mask, maxima, group_maxima, keys } = room;
    let index = beam.index as usize;
    let row = (given.row_at)(index);
    let mut words = (given.mask_at)(index);
    if too_short && !end_tokens.is_empty() {
        without(end_tokens, words, mask);
        words = Some(&mask[..]);
    }
    let has_decoder = company.count().is_some();
    let normaliser_of = |seen: &Seen<'_>| Normaliser::of(seen, plan.scale, plan.temperature);
    let dead = |error| if error == Error::EverythingMasked { Ok(true) } else { Err(error) };
    let mut normaliser = None;
    if plan.normalises_as_given() && (words.is_some() || has_decoder) {
        match see(kernels, row, None, plan.valid, maxima, group_maxima) {
            Ok(seen) => normaliser = Some(normaliser_of(&seen)),
            Err(error) => return dead(error),
        }
    }
    let mut answer = |seen: &Seen<'_>| {
        let normaliser = normaliser.unwrap_or_else(|| normaliser_of(seen));
        gather(seen, &normaliser, beam, diversity, keys, best);
    };
    let looked = if has_decoder {
        // Processors of transformers work on log-probabilities.
        let shift = normaliser.filter(|_| plan.profile == Profile::HuggingFace).map_or(0.0, |found| found.shift());
        look(company.decoder(index), row, words, shift, answer)
    } else {
        see(kernels, row, words, plan.valid, maxima, group_maxima).map(|seen| answer(&seen))
    };
    match looked {
        Ok(()) => Ok(false),
        Err(error) => dead(error),
    }
}

/// Writes the mask less some tokens.
fn without(tokens: &[TokenId], given: Option<&[u32]>, mask: &mut [u32]) {
    match given {
        None => mask.fill(u32::MAX),
        Some(given) => {
            let count = given.len().min(mask.len());
            mask[..count].copy_from_slice(&given[..count]);
            mask[count..].fill(0);
        }
    }
    for &token in tokens {
        mask[token as usize / 32] &= !(1 << (token % 32));
    }
}

/// What is chosen from the candidates of one group.
struct Chosen<'a> {
    plan: &'a Plan,
    end_tokens: &'a [TokenId],
    /// Every beam ends with this step.
    is_last: bool,
    survivors: usize,
    ended: usize,
}

impl Chosen<'_> {
    fn is_end(&self, candidate: &Candidate) -> bool {
        self.end_tokens.contains(&candidate.token())
    }

    fn end(&mut self, ended: &mut [Candidate], candidate: &Candidate, why: Finish) {
        ended[self.ended] = Candidate { finish: why as u32, ..*candidate };
        self.ended += 1;
    }

    /// Why a beam ends with this candidate, if it does.
    fn finish_of(&self, company: &mut impl Company, candidate: &Candidate) -> Finish {
        if self.is_end(candidate) {
            return Finish::EndToken;
        }
        finish_with(company, candidate.parent, candidate.token())
    }

    /// Walks the candidates in order, until there are as many beams as the group is wide.
    ///
    /// Canon: each candidate that is met before the last beam is found and ends its beam is a hypothesis. Hugging Face: only
    /// those among the first `width` candidates are, and with the last step those are all that end, whatever their token.
    fn walk(
        &mut self,
        company: &mut impl Company,
        candidates: &[Candidate],
        survivors: &mut [Candidate],
        ended: &mut [Candidate],
    ) {
        let width = self.plan.width;
        let is_hugging_face = self.plan.profile == Profile::HuggingFace;
        let mut found = 0;
        for (rank, candidate) in candidates.iter().enumerate() {
            if found == width || (is_hugging_face && self.is_last && rank == width) {
                break;
            }
            let finish = self.finish_of(company, candidate);
            if finish != Finish::None {
                if !is_hugging_face || rank < width {
                    self.end(ended, candidate, finish);
                }
                continue;
            }
            found += 1;
            if self.is_last {
                self.end(ended, candidate, Finish::Length);
            } else {
                survivors[self.survivors] = *candidate;
                self.survivors += 1;
            }
        }
    }

    /// Takes the first `count` survivors, which stand in their place already, less those that end.
    fn take(&mut self, company: &mut impl Company, count: usize, survivors: &mut [Candidate], ended: &mut [Candidate]) {
        for i in 0..count {
            let candidate = survivors[i];
            match finish_with(company, candidate.parent, candidate.token()) {
                Finish::None if !self.is_last => {
                    survivors[self.survivors] = candidate;
                    self.survivors += 1;
                }
                Finish::None => self.end(ended, &candidate, Finish::Length),
                finish => self.end(ended, &candidate, finish),
            }
        }
    }
}
