//! Which parts of the history a plan needs, how long they are, and where they lie in the caller's memory.

use super::grams::{self, Grams, base_power};
use super::loops::Runs;
use super::tally::{self, Counted, Slot, Tally, TallyState};
use crate::plan::{Metrics, PenaltyScope, Plan, Profile, is_set};
use bytemuck::cast_slice_mut;

/// So many tokens can be undone whatever has been recorded before, or all that the history holds if that is fewer.
pub(crate) const UNDO: usize = 1024;

/// The longest period of a loop that is looked for where the configuration does not say.
const LOOP_PERIOD: usize = 64;

/// What is kept. 0 is "not needed".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Tokens that windows can see.
    pub capacity: usize,
    /// Tokens that the ring holds: those and room to undo.
    pub ring: usize,
    pub vocab: usize,
    /// Window of the penalties.
    pub penalties: usize,
    /// Whether the penalties look at generated tokens only.
    pub penalties_of_generated: bool,
    /// Window in which no generated token comes again.
    pub no_repeat: usize,
    /// Window in which no token at all comes again: n-grams of length 1.
    pub unigrams: usize,
    /// Length of the n-grams that do not come again, from 2 up.
    pub ngram: usize,
    /// Window of DRY.
    pub dry: usize,
    /// The longest period of a loop.
    pub periods: usize,
    /// Whether the recurrence of n-grams is scored.
    pub score: bool,
}

fn window(asked: u32, capacity: usize) -> usize {
    if asked == 0 { capacity } else { asked as usize }
}

impl Shape {
    pub fn new(plan: &Plan) -> Shape {
        let config = &plan.config;
        let capacity = plan.history_capacity;
        let penalised = !plan.ignores_penalties()
            && (config.repetition_penalty != 1.0
                || is_set(config.frequency_penalty)
                || is_set(config.presence_penalty));
        let has_dry = !plan.ignores_penalties() && is_set(config.dry_multiplier);
        let scored = config.metrics.contains(Metrics::LOOP);
        let looped = scored || config.loop_repeats != 0;
        let ngram = config.no_repeat_ngram as usize;
        let period = if config.loop_period == 0 { LOOP_PERIOD } else { config.loop_period as usize };
        Shape {
            capacity,
            ring: capacity + capacity.min(UNDO),
            vocab: plan.vocab,
            penalties: if penalised { window(config.penalty_window, capacity) } else { 0 },
            // vLLM's repetition penalty counts the prompt, whatever the others do.
            penalties_of_generated: config.penalty_scope == PenaltyScope::Generated
                || (config.profile == Profile::Vllm && config.repetition_penalty == 1.0),
            no_repeat: plan.no_repeat_window,
            unigrams: if ngram == 1 { capacity } else { 0 },
            ngram: if ngram > 1 { ngram } else { 0 },
            dry: if has_dry { window(config.dry_window, capacity) } else { 0 },
            periods: if looped { period.min(capacity) } else { 0 },
            score: scored,
        }
    }

    fn hashes(&self) -> usize {
        if self.ngram > 0 || self.dry > 0 || self.score { self.ring } else { 0 }
    }

    fn stretches(&self) -> usize {
        if self.periods > 0 { self.ring } else { 0 }
    }

    /// Entries of a step's list that the history can ask for.
    pub fn edits(&self) -> usize {
        self.dry + if self.ngram > 0 { self.capacity } else { 0 }
    }

    /// Distinct tokens that counts can ask a step to treat.
    pub fn counted(&self) -> usize {
        [self.penalties, self.no_repeat, self.unigrams].map(|window| window.min(self.vocab)).iter().sum()
    }

    fn tally_words(&self, window: usize) -> usize {
        let slots = tally::capacity(window, self.vocab);
        3 * slots + tally::heads(window, self.vocab).div_ceil(2)
    }

    fn gram_words(&self, used: bool) -> usize {
        if used { self.ring.div_ceil(2) + grams::heads(self.ring) / 2 } else { 0 }
    }

    /// 64-bit words of memory.
    pub fn words(&self) -> usize {
        self.ring.div_ceil(2)
            + self.hashes()
            + self.tally_words(self.penalties)
            + self.tally_words(self.no_repeat)
            + self.tally_words(self.unigrams)
            + self.gram_words(self.ngram > 0)
            + self.gram_words(self.dry > 0)
            + self.gram_words(self.score)
            + if self.dry > 0 { self.ring + self.dry.div_ceil(2) } else { 0 }
            + self.periods.div_ceil(2)
            + self.stretches().div_ceil(2)
    }
}

/// The memory of a history, cut into its parts.
pub(crate) struct Parts<'a> {
    pub entries: &'a mut [u32],
    /// Hashes of prefixes, along the ring.
    pub hashes: &'a mut [u64],
    pub penalties: TallyMemory<'a>,
    pub no_repeat: TallyMemory<'a>,
    pub unigrams: TallyMemory<'a>,
    pub ngrams: GramMemory<'a>,
    pub occurrences: GramMemory<'a>,
    pub scored: GramMemory<'a>,
    /// The last breaker, along the ring.
    pub breakers: &'a mut [u64],
    /// Scratch memory of DRY.
    pub lengths: &'a mut [u32],
    pub loops: Runs<'a>,
}

/// The memory of one tally.
pub(crate) struct TallyMemory<'a> {
    slots: &'a mut [Slot],
    order: &'a mut [u64],
    heads: &'a mut [u32],
}

/// The memory of the chains of one length.
pub(crate) struct GramMemory<'a> {
    links: &'a mut [u32],
    pub heads: &'a mut [u32],
}

impl<'a> Parts<'a> {
    /// Cuts `words`, which are [`Shape::words`] long.
    pub fn split(shape: &Shape, words: &'a mut [u64]) -> Parts<'a> {
        let mut rest = words;
        let mut take = |words: usize| {
            let (part, tail) = core::mem::take(&mut rest).split_at_mut(words);
            rest = tail;
            part
        };
        let ring = shape.ring;
        let entries = &mut cast_slice_mut(take(ring.div_ceil(2)))[..ring];
        let hashes = take(shape.hashes());
        let mut tally = |window: usize| {
            let slots = tally::capacity(window, shape.vocab);
            let heads = tally::heads(window, shape.vocab);
            TallyMemory {
                slots: cast_slice_mut(take(2 * slots)),
                order: take(slots),
                heads: &mut cast_slice_mut(take(heads.div_ceil(2)))[..heads],
            }
        };
        let (penalties, no_repeat, unigrams) = (tally(shape.penalties), tally(shape.no_repeat), tally(shape.unigrams));
        let mut grams = |used: bool| {
            let (links, heads) = if used { (ring, grams::heads(ring)) } else { (0, 0) };
            GramMemory {
                links: &mut cast_slice_mut(take(links.div_ceil(2)))[..links],
                heads: cast_slice_mut(take(heads / 2)),
            }
        };
        let (ngrams, occurrences, scored) = (grams(shape.ngram > 0), grams(shape.dry > 0), grams(shape.score));
        Parts {
            entries,
            hashes,
            penalties,
            no_repeat,
            unigrams,
            ngrams,
            occurrences,
            scored,
            breakers: take(if shape.dry > 0 { ring } else { 0 }),
            lengths: &mut cast_slice_mut(take(shape.dry.div_ceil(2)))[..shape.dry],
            loops: Runs {
                runs: &mut cast_slice_mut(take(shape.periods.div_ceil(2)))[..shape.periods],
                stretches: &mut cast_slice_mut(take(shape.stretches().div_ceil(2)))[..shape.stretches()],
            },
        }
    }
}

impl TallyMemory<'_> {
    /// The tally in this memory; `None` where no plan needs it.
    pub fn tally<'s>(&'s mut self, state: &'s mut TallyState) -> Option<Tally<'s>> {
        let TallyMemory { slots, order, heads } = self;
        if slots.is_empty() { None } else { Some(Tally { state, slots, order, heads }) }
    }
}

impl<'a> TallyMemory<'a> {
    /// The distinct tokens in ascending order.
    pub fn counted(self, state: &mut TallyState) -> Counted<'a> {
        let TallyMemory { slots, order, heads } = self;
        if slots.is_empty() {
            return Counted::default();
        }
        Tally { state, slots: &mut *slots, order: &mut *order, heads }.sort();
        Counted::new(slots, &order[..state.used()])
    }
}

impl GramMemory<'_> {
    /// The chains of n-grams of this length; `None` where no plan needs them.
    pub fn grams(&mut self, length: usize) -> Option<Grams<'_>> {
        let GramMemory { links, heads } = self;
        if links.is_empty() { None } else { Some(Grams { length, power: base_power(length), links, heads }) }
    }
}
