//! What has been said: the tokens so far and everything that is counted, chained and matched along with them.
//!
//! A token is recorded in O(1) on average and can be taken back in the same time; each structure keeps with the token what
//! it needs for that. Nothing depends on the vocabulary. [The page on the history](crate::docs::history) has the rules.
//!
//! | file | what it keeps |
//! |---|---|
//! | `ring` | the tokens, and whether they were prompt or generated |
//! | `tally` | how often each token stands in a window: penalties, the no-repeat window |
//! | `grams` | where an n-gram stood before: no-repeat n-grams, DRY, recurrence |
//! | `dry` | which repetitions the next token would prolong; the last breaker |
//! | `loops` | runs of each period, and the recurrence score |
//! | `sequences` | stops, breakers, bad and biased sequences |
//! | `text` | stop strings |
//! | `edits` | what all that asks of single tokens in a step |
//! | `shape` | which of it a plan needs, and where it lies in memory |

pub(crate) mod dry;
pub(crate) mod edits;
mod grams;
pub(crate) mod loops;
mod ring;
pub(crate) mod sequences;
mod shape;
mod tally;
pub(crate) mod text;

pub(crate) use edits::{Edit, EditKind, Edits};
pub(crate) use loops::Loop;
pub(crate) use ring::{Extent, PROMPT, RECURRENT, Ring, TOKEN};
pub(crate) use sequences::{Kind, Sequence, Sequences, SetSize};
pub(crate) use shape::{Parts, Shape, UNDO};
pub(crate) use tally::{Counted, Slot};
pub use text::TextMatch;

use crate::types::TokenId;
use dry::Search;
use grams::extend;
use loops::SCORE_GRAM;
use tally::TallyState;

/// Sizes and counters of a history; what it counts lies in the caller's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    pub extent: Extent,
    penalties: TallyState,
    no_repeat: TallyState,
    unigrams: TallyState,
}

/// A history in its memory.
pub(crate) struct Engine<'a> {
    pub shape: &'a Shape,
    pub state: &'a mut History,
    pub parts: Parts<'a>,
}

/// The sorted lists of distinct tokens that a step treats.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts<'a> {
    pub penalties: Counted<'a>,
    pub no_repeat: Counted<'a>,
    pub unigrams: Counted<'a>,
}

impl<'a> Engine<'a> {
    pub fn new(shape: &'a Shape, state: &'a mut History, memory: &'a mut [u64]) -> Self {
        Engine { shape, state, parts: Parts::split(shape, memory) }
    }

    /// The tokens as they are.
    pub fn ring(&self) -> Ring<'_> {
        Ring { entries: self.parts.entries, extent: self.state.extent }
    }

    /// Forgets everything; also makes memory of unknown contents usable.
    pub fn clear(&mut self) {
        let (state, parts) = (&mut *self.state, &mut self.parts);
        *state = History::default();
        let tallies = [
            parts.penalties.tally(&mut state.penalties),
            parts.no_repeat.tally(&mut state.no_repeat),
            parts.unigrams.tally(&mut state.unigrams),
        ];
        for mut tally in tallies.into_iter().flatten() {
            tally.clear();
        }
        for memory in [&mut parts.ngrams, &mut parts.occurrences, &mut parts.scored] {
            memory.heads.fill(0);
        }
        parts.loops.runs.fill(0);
    }

    /// Records a token.
    pub fn push(&mut self, token: TokenId, prompt: bool, breakers: &Sequences<'_>) {
        let recurs = if prompt { None } else { self.recurs(token) };
        let flags = if prompt { PROMPT } else { 0 } | if recurs == Some(true) { RECURRENT } else { 0 };
        self.push_entry(token | flags, breakers);
    }

    /// The same with an entry of the ring.
    fn push_entry(&mut self, entry: u32, breakers: &Sequences<'_>) {
        let (token, prompt) = (entry & TOKEN, entry & PROMPT != 0);
        self.turn_windows(token, prompt, true);
        if self.shape.dry > 0 {
            let ring = self.ring();
            let shortest = breakers.shortest_ending(&ring, &[], ring.seen(self.shape.capacity), token);
            let before = match ring.extent.held {
                0 => dry::NO_BREAKER,
                _ => self.parts.breakers[ring.slot(ring.extent.recorded - 1)],
            };
            let slot = ring.slot(ring.extent.recorded);
            self.parts.breakers[slot] = dry::next_breaker(before, shortest);
        }
        let hash = self.hash_with(token);
        let ring_length = self.shape.ring;
        let extent = &mut self.state.extent;
        let position = extent.recorded;
        let slot = (position % ring_length as u64) as usize;
        self.parts.entries[slot] = entry;
        if let Some(place) = self.parts.hashes.get_mut(slot) {
            *place = hash;
        }
        extent.recorded += 1;
        extent.held = (extent.held + 1).min(ring_length);
        extent.generated += u64::from(!prompt);
        extent.run = if prompt { 0 } else { (extent.run + 1).min(ring_length) };
        self.turn_chains(true);
        let ring = Ring { entries: self.parts.entries, extent: self.state.extent };
        self.parts.loops.push(&ring, (!prompt).then_some(token));
    }

    /// How many tokens can be taken back: generated ones since the last prompt, and the windows must stay filled.
    pub fn available(&self) -> usize {
        let Extent { recorded, held, run, .. } = self.state.extent;
        let spare = if recorded > held as u64 { held - self.shape.capacity } else { held };
        spare.min(run)
    }

    /// Takes back the newest token, which [`Engine::available`] has promised.
    pub fn pop(&mut self) {
        self.turn_chains(false);
        loops::pop(self.parts.loops.runs);
        let token = self.ring().token_back(0);
        self.turn_windows(token, false, false);
        let extent = &mut self.state.extent;
        extent.recorded -= 1;
        extent.held -= 1;
        extent.generated -= 1;
        extent.run -= 1;
    }

    /// Becomes the history of so many recorded and generated tokens that ends with these entries.
    pub fn restore(
        &mut self,
        recorded: u64,
        generated: u64,
        entries: impl ExactSizeIterator<Item = u32>,
        breakers: &Sequences<'_>,
    ) {
        self.clear();
        self.state.extent.recorded = recorded - entries.len() as u64;
        for entry in entries {
            self.push_entry(entry, breakers);
        }
        self.state.extent.generated = generated;
    }

    /// Finds the breakers of all tokens anew.
    pub fn rebuild_breakers(&mut self, breakers: &Sequences<'_>) {
        if self.shape.dry == 0 {
            return;
        }
        let whole = self.state.extent;
        let mut last = dry::NO_BREAKER;
        for back in (0..whole.held).rev() {
            // As if the tokens after this one had not been recorded.
            let extent = Extent { recorded: whole.recorded - 1 - back as u64, held: whole.held - 1 - back, ..whole };
            let ring = Ring { entries: self.parts.entries, extent };
            let slot = ring.slot(extent.recorded);
            let token = ring.entries[slot] & TOKEN;
            last = dry::next_breaker(last, breakers.shortest_ending(&ring, &[], ring.seen(self.shape.capacity), token));
            self.parts.breakers[slot] = last;
        }
    }

    /// Counts the newest token in and those that leave the windows out, or the other way round. Forwards the token is not
    /// recorded yet, backwards it still is.
    fn turn_windows(&mut self, token: TokenId, prompt: bool, forwards: bool) {
        let Engine { shape, state, parts } = self;
        let Parts { entries, penalties, no_repeat, unigrams, .. } = parts;
        let ring = Ring { entries, extent: state.extent };
        let tallies = [
            (penalties.tally(&mut state.penalties), shape.penalties, shape.penalties_of_generated),
            (no_repeat.tally(&mut state.no_repeat), shape.no_repeat, true),
            (unigrams.tally(&mut state.unigrams), shape.unigrams, false),
        ];
        for (tally, window, generated_only) in tallies {
            let Some(mut tally) = tally else { continue };
            let oldest = if forwards { window - 1 } else { window };
            let oldest = (oldest < ring.extent.held).then(|| ring.back(oldest));
            let oldest = oldest.filter(|entry| !generated_only || entry & PROMPT == 0);
            let counts = !generated_only || !prompt;
            if forwards {
                if let Some(entry) = oldest {
                    tally.leave(entry & TOKEN, entry & PROMPT != 0);
                }
                if counts {
                    tally.enter(token, prompt);
                }
            } else {
                if counts {
                    tally.leave(token, prompt);
                }
                if let Some(entry) = oldest {
                    tally.enter(entry & TOKEN, entry & PROMPT != 0);
                }
            }
        }
    }

    /// Puts the n-grams that end with the newest token into their chains, or takes them out.
    fn turn_chains(&mut self, forwards: bool) {
        let Engine { shape, state, parts } = self;
        let Parts { entries, hashes, ngrams, occurrences, scored, .. } = parts;
        let ring = Ring { entries, extent: state.extent };
        let all = [
            (ngrams.grams(shape.ngram.saturating_sub(1)), ring.extent.held),
            (occurrences.grams(1), ring.extent.held),
            // Only n-grams of generated tokens are looked for.
            (scored.grams(SCORE_GRAM), ring.extent.run),
        ];
        for (grams, held) in all {
            let Some(mut grams) = grams.filter(|grams| grams.length <= held) else { continue };
            let hash = gram_hash(&ring, hashes, grams.length, grams.power);
            let position = ring.extent.recorded - 1;
            if forwards {
                grams.push(&ring, position, hash);
            } else {
                grams.pop(&ring, position, hash);
            }
        }
    }

    /// The hash of everything and one token more.
    fn hash_with(&self, token: TokenId) -> u64 {
        extend(prefix_hash(&self.ring(), self.parts.hashes, 0), token)
    }

    /// Whether `token`, generated next, would complete an n-gram of generated tokens that stands in the history.
    pub fn recurs(&mut self, token: TokenId) -> Option<bool> {
        if !self.shape.score {
            return None;
        }
        let hash = self.hash_with(token);
        let ring = Ring { entries: self.parts.entries, extent: self.state.extent };
        if ring.extent.run < SCORE_GRAM - 1 {
            return None;
        }
        let before = prefix_hash(&ring, self.parts.hashes, SCORE_GRAM - 1);
        let grams = self.parts.scored.grams(SCORE_GRAM)?;
        let hash = hash.wrapping_sub(before.wrapping_mul(grams.power));
        loops::recurs(&grams, &ring, self.shape.capacity, hash, token)
    }

    /// The recurrence score with `token` generated next.
    pub fn score_ahead(&mut self, token: TokenId) -> f32 {
        let next = self.recurs(token);
        loops::score(&self.ring(), self.shape.capacity, next)
    }

    /// The loop at the end with `token` generated next.
    pub fn loop_ahead(&mut self, token: TokenId) -> Loop {
        let ring = Ring { entries: self.parts.entries, extent: self.state.extent };
        self.parts.loops.ahead(&ring, self.shape.capacity, token)
    }

    /// Masks what would complete an n-gram of the history.
    pub fn forbid_ngrams(&mut self, edits: &mut Edits<'_>) {
        let ring = Ring { entries: self.parts.entries, extent: self.state.extent };
        let context = self.shape.ngram.saturating_sub(1);
        let reach = ring.seen(self.shape.capacity);
        let Some(grams) = self.parts.ngrams.grams(context).filter(|_| context <= reach) else { return };
        let hash = gram_hash(&ring, self.parts.hashes, context, grams.power);
        // Where the tokens last found to be those of the end begin, and the period of the end if one is known. Places that
        // overlap by half or more are one period apart, and only the tokens that the one before did not have are compared:
        // all places together cost no more comparisons than a few for each token of the window.
        let (mut found, mut period) = (0, 0);
        for back in grams.chain(&ring, hash, reach) {
            if back == 0 || back + context > reach {
                continue;
            }
            let apart = back - found;
            let known = if apart == period { context - period } else { 0 };
            if grams::equal(&ring, known, back + known, context - known) {
                edits.push(ring.token_back(back - 1), EditKind::Mask, 0, 0.0);
                found = back;
                period = if apart < context { apart } else { 0 };
            }
        }
    }

    /// Subtracts DRY's penalties.
    pub fn penalise_repetitions(
        &mut self,
        (allowed, multiplier, base): (u32, f32, f32),
        breakers: &Sequences<'_>,
        edits: &mut Edits<'_>,
    ) {
        let ring = Ring { entries: self.parts.entries, extent: self.state.extent };
        let window = ring.seen(self.shape.dry);
        if window == 0 {
            return;
        }
        let newest = ring.slot(ring.extent.recorded - 1);
        let longest = dry::limit(self.parts.breakers[newest], window);
        let search = Search::new(window, longest, allowed, multiplier, base);
        let Some(grams) = self.parts.occurrences.grams(1) else { return };
        let hash = gram_hash(&ring, self.parts.hashes, 1, grams.power);
        let begun = edits.count();
        dry::repetitions(&ring, &grams, hash, &search, self.parts.lengths, edits);
        if breakers.singles().is_empty() {
            return;
        }
        edits.retain(begun, |token| !breakers.has_single(token));
    }

    /// The lists of distinct tokens, in order, and the tokens themselves.
    pub fn counts(self) -> (Counts<'a>, Ring<'a>) {
        let Engine { state, parts, .. } = self;
        let Parts { entries, penalties, no_repeat, unigrams, .. } = parts;
        let counts = Counts {
            penalties: penalties.counted(&mut state.penalties),
            no_repeat: no_repeat.counted(&mut state.no_repeat),
            unigrams: unigrams.counted(&mut state.unigrams),
        };
        (counts, Ring { entries, extent: state.extent })
    }
}

/// The hash of the tokens up to `back` tokens before the newest; nothing hashes to 0.
fn prefix_hash(ring: &Ring<'_>, hashes: &[u64], back: usize) -> u64 {
    if back >= ring.extent.held || hashes.is_empty() {
        return 0;
    }
    hashes[ring.slot(ring.extent.recorded - 1 - back as u64)]
}

/// The hash of the newest `length` tokens.
fn gram_hash(ring: &Ring<'_>, hashes: &[u64], length: usize, power: u64) -> u64 {
    prefix_hash(ring, hashes, 0).wrapping_sub(prefix_hash(ring, hashes, length).wrapping_mul(power))
}
