//! Beam search: several sequences side by side, of which the best continuations live on.
//!
//! A [`BeamSearch`] knows no model. It takes a row of logits for each of its beams and answers which beam goes on with
//! which token; the host reorders its own state (a key-value cache) accordingly, computes the next rows, and so on until
//! the search is finished. What has ended meanwhile are hypotheses; the best of them can be read at any time. It works in
//! memory that the caller gives, allocates nothing in a step, and a call that fails changes nothing.

mod candidates;
mod company;
mod config;
mod gather;
mod hypotheses;
mod step;
mod storage;

pub use config::{BeamConfig, EarlyStopping};
pub use hypotheses::Hypothesis;
pub use step::{BeamStep, Continuation};

pub(crate) use company::Company;
pub(crate) use step::Given;

use crate::decoder::{Decoder, Memory};
use crate::error::{Error, Result};
use crate::kernels::{Kernels, with_default_environment};
use crate::types::{Row, TokenId};
use company::Alone;
use config::Plan;
use storage::{Group, Layout};

/// A beam search under way.
///
/// ```
/// use argpick::{BeamConfig, BeamSearch, Continuation, Row};
///
/// let config = BeamConfig { beams: 2, max_tokens: 8, end_tokens: &[3], ..BeamConfig::default() };
/// let mut search = BeamSearch::new(&config, 4)?;
/// let mut next = vec![Continuation::default(); search.outputs()];
/// // The first row is that of the prompt; later there is one for each beam.
/// let mut step = search.step(&[Row::from(&[1.0, 3.0, 2.5, -1.0])], &[], &mut next)?;
/// assert_eq!((next[0].token, next[1].token), (1, 2));
/// while !step.finished {
///     // A model would look at the tokens of each beam; this one always wants to end.
///     let rows = vec![Row::from(&[0.0, 0.5, 0.0, 4.0]); search.live()];
///     step = search.step(&rows, &[], &mut next)?;
/// }
/// let best = search.hypothesis(0).unwrap();
/// let mut tokens = vec![0; best.length as usize];
/// search.hypothesis_tokens(0, &mut tokens)?;
/// assert_eq!(tokens, [1, 3]);
/// # Ok::<(), argpick::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BeamSearch<S = Memory> {
    plan: Plan,
    layout: Layout,
    kernels: Kernels,
    /// Tokens generated so far.
    length: u32,
    live: usize,
    /// Hypotheses of all groups.
    finished: usize,
    failed_row: Option<usize>,
    storage: S,
}

#[cfg(feature = "alloc")]
impl BeamSearch<Memory> {
    /// A search with memory of its own and the fastest kernels ([`Kernels::detect`]). `vocab` is the length of the rows, 1
    /// to 2^22.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] with name and value, [`Error::TokenOutOfRange`] and [`Error::DuplicateToken`] (end
    /// tokens), [`Error::CapacityExceeded`]; [`Error::KernelUnavailable`] or [`Error::UnknownKernel`] if `ARGPICK_KERNEL`
    /// asks for what is not there.
    pub fn new(config: &BeamConfig<'_>, vocab: usize) -> Result<Self> {
        Self::new_with_kernels(config, vocab, Kernels::detect()?)
    }

    /// The same with chosen kernels.
    ///
    /// # Errors
    /// Those of [`BeamSearch::new`] about the configuration.
    pub fn new_with_kernels(config: &BeamConfig<'_>, vocab: usize, kernels: Kernels) -> Result<Self> {
        let words = Self::storage_words(config, vocab)?;
        Self::new_in(config, vocab, kernels, alloc::vec![0; words].into_boxed_slice())
    }
}

impl<S> BeamSearch<S> {
    /// The 64-bit words of memory that a search needs: mostly `beams * max_tokens`, and a 64th of the vocabulary.
    ///
    /// # Errors
    /// Those of `BeamSearch::new` about the configuration.
    pub fn storage_words(config: &BeamConfig<'_>, vocab: usize) -> Result<usize> {
        Ok(Layout::new(&Plan::compile(config, vocab)?).words())
    }

    /// The length of the rows.
    pub fn vocab(&self) -> usize {
        self.plan.vocab
    }

    /// The most beams there can be.
    pub fn beams(&self) -> usize {
        self.plan.beams
    }

    /// Beams that go on: so many rows the next step takes. One before the first step (the prompt's row, for all groups);
    /// none when the search is finished.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Tokens of each live beam.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Whether there is nothing left to do.
    pub fn is_finished(&self) -> bool {
        self.live == 0
    }

    /// Entries that a step may write.
    pub fn outputs(&self) -> usize {
        self.plan.outputs()
    }

    /// The row that the last step failed at, if it was one row.
    pub fn failed_row(&self) -> Option<usize> {
        self.failed_row
    }

    /// The kernels in use.
    pub fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// The memory it works in.
    pub fn storage(&self) -> &S {
        &self.storage
    }
}

impl<S: AsRef<[u64]> + AsMut<[u64]>> BeamSearch<S> {
    /// A search that works in `storage`, which holds at least [`BeamSearch::storage_words`] words, whatever they contain.
    ///
    /// # Errors
    /// Those of `BeamSearch::new` about the configuration; [`Error::StorageTooSmall`].
    pub fn new_in(config: &BeamConfig<'_>, vocab: usize, kernels: Kernels, storage: S) -> Result<Self> {
        let plan = Plan::compile(config, vocab)?;
        let layout = Layout::new(&plan);
        layout.check(storage.as_ref())?;
        let mut search =
            BeamSearch { plan, layout, kernels, length: 0, live: 1, finished: 0, failed_row: None, storage };
        search.begin(Some(config.end_tokens));
        Ok(search)
    }

    /// Starts anew; with a configuration, that one is in force from now on, and the memory must be large enough for it.
    ///
    /// # Errors
    /// Those of [`BeamSearch::new_in`]. Nothing has changed then.
    pub fn reset(&mut self, config: Option<&BeamConfig<'_>>) -> Result<()> {
        if let Some(config) = config {
            let plan = Plan::compile(config, self.plan.vocab)?;
            let layout = Layout::new(&plan);
            layout.check(self.storage.as_ref())?;
            (self.plan, self.layout) = (plan, layout);
        }
        self.begin(config.map(|config| config.end_tokens));
        Ok(())
    }

    fn begin(&mut self, end_tokens: Option<&[TokenId]>) {
        let (state, _) = self.layout.split(self.storage.as_mut(), self.plan.end_tokens);
        if let Some(end_tokens) = end_tokens {
            state.end_tokens.copy_from_slice(end_tokens);
        }
        state.groups.fill(Group { live: 1, finished: 0 });
        state.scores.fill(0.0);
        (self.length, self.live, self.finished, self.failed_row) = (0, 1, 0, None);
    }

    /// Takes one row of `vocab` logits for each live beam and chooses how the search goes on. `masks` is empty (no row has
    /// one) or has one entry for each row: a bitmask as in [`Decoder::decode`].
    ///
    /// `next` is at least [`BeamSearch::outputs`] long. First come the beams that go on, best first (of each group, group
    /// after group): beam i of the next step continues beam `next[i].parent` of this one. Then come those that ended with
    /// this step.
    ///
    /// A beam whose row has no token left is given up, unless that is so for all of them.
    ///
    /// # Errors
    /// [`Error::WrongLength`], [`Error::InvalidLogit`] (NaN or +inf that takes part; [`BeamSearch::failed_row`] says where),
    /// [`Error::EverythingMasked`] (no beam has a token left), [`Error::Finished`]. Nothing has changed then.
    pub fn step(&mut self, rows: &[Row<'_>], masks: &[Option<&[u32]>], next: &mut [Continuation]) -> Result<BeamStep> {
        let (mask_at, row_at) = (|i: usize| masks.get(i).copied().flatten(), |i: usize| rows[i]);
        self.check_masks(masks.len())?;
        self.step_beside(&mut Alone, &Given { count: rows.len(), row_at: &row_at, mask_at: &mask_at }, next)
    }

    /// As [`BeamSearch::step`] with a decoder for each beam: row i is adjusted as `decoders[i]` would adjust it (biases,
    /// bans, windows, penalties), but neither truncated nor divided by its temperature. Afterwards `decoders[i]` has the
    /// history of beam i of the next step: the state of the decoder of its parent, which has then accepted its token.
    ///
    /// There are as many decoders as `beams`, of equal capacities, for the same vocabulary and `valid_vocab`. Before the
    /// first step only the first is looked at.
    ///
    /// # Errors
    /// Those of [`BeamSearch::step`]; [`Error::WrongLength`] and [`Error::InvalidParameter`] if the decoders do not fit,
    /// [`Error::Finished`] if one of them has ended. Nothing has changed then, in the decoders either.
    pub fn step_with_decoders<T: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        mut decoders: &mut [Decoder<T>],
        rows: &[Row<'_>],
        masks: &[Option<&[u32]>],
        next: &mut [Continuation],
    ) -> Result<BeamStep> {
        let (mask_at, row_at) = (|i: usize| masks.get(i).copied().flatten(), |i: usize| rows[i]);
        self.check_masks(masks.len())?;
        self.step_beside(&mut decoders, &Given { count: rows.len(), row_at: &row_at, mask_at: &mask_at }, next)
    }

    fn check_masks(&self, actual: usize) -> Result<()> {
        if actual != 0 && actual != self.live && !self.is_finished() {
            return Err(Error::WrongLength { what: "masks", expected: self.live, actual });
        }
        Ok(())
    }

    pub(crate) fn step_beside(
        &mut self,
        company: &mut impl Company,
        given: &Given<'_>,
        next: &mut [Continuation],
    ) -> Result<BeamStep> {
        self.failed_row = None;
        if self.is_finished() {
            return Err(Error::Finished);
        }
        if given.count != self.live {
            return Err(Error::WrongLength { what: "rows", expected: self.live, actual: given.count });
        }
        if next.len() < self.outputs() {
            return Err(Error::WrongLength { what: "next", expected: self.outputs(), actual: next.len() });
        }
        for i in 0..given.count {
            let (expected, actual) = (self.plan.vocab, (given.row_at)(i).len());
            if actual != expected {
                self.failed_row = Some(i);
                return Err(Error::WrongLength { what: "row", expected, actual });
            }
        }
        with_default_environment(|| self.step_checked(company, given, next))
    }

    /// The sum of the log-probabilities of a live beam; `None` if there is no such beam.
    pub fn beam_score(&self, beam: usize) -> Option<f64> {
        let (_, _, _, scores) = self.layout.read(self.storage.as_ref());
        (beam < self.live).then(|| scores[beam])
    }

    /// Writes the [`BeamSearch::length`] tokens of a live beam.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if there is no such beam; [`Error::WrongLength`] if `tokens` is shorter.
    pub fn beam_tokens(&self, beam: usize, tokens: &mut [TokenId]) -> Result<usize> {
        if beam >= self.live {
            return Err(Error::InvalidParameter { name: "beam", value: beam as f64 });
        }
        let tokens = room_for(tokens, self.length)?;
        let (_, _, nodes, _) = self.layout.read(self.storage.as_ref());
        hypotheses::trace(nodes, self.plan.beams, beam as u32, tokens);
        Ok(tokens.len())
    }

    /// Hypotheses that can be read now, at most `n_best`.
    pub fn hypotheses(&self) -> usize {
        self.finished.min(self.plan.n_best)
    }

    /// The hypothesis of this rank, 0 the best; `None` if there are not so many. Before the search is finished it is the
    /// best so far.
    pub fn hypothesis(&self, rank: usize) -> Option<Hypothesis> {
        let (lists, order, _, _) = self.layout.read(self.storage.as_ref());
        (rank < self.hypotheses()).then(|| lists[order[rank] as usize].told())
    }

    /// Writes the tokens of the hypothesis of this rank, its end token included; returns how many they are.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if there is no such hypothesis; [`Error::WrongLength`] if `tokens` is shorter.
    pub fn hypothesis_tokens(&self, rank: usize, tokens: &mut [TokenId]) -> Result<usize> {
        if rank >= self.hypotheses() {
            return Err(Error::InvalidParameter { name: "rank", value: rank as f64 });
        }
        let (lists, order, nodes, _) = self.layout.read(self.storage.as_ref());
        let told = &lists[order[rank] as usize];
        let tokens = room_for(tokens, told.length)?;
        if let Some((last, before)) = tokens.split_last_mut() {
            *last = told.token;
            hypotheses::trace(nodes, self.plan.beams, told.parent, before);
        }
        Ok(tokens.len())
    }
}

/// The first `length` of `tokens`.
fn room_for(tokens: &mut [TokenId], length: u32) -> Result<&mut [TokenId]> {
    let (expected, actual) = (length as usize, tokens.len());
    tokens.get_mut(..expected).ok_or(Error::WrongLength { what: "tokens", expected, actual })
}
