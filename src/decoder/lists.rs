//! What can be set on a decoder: lists of tokens, of token sequences, of bytes. Each call replaces its list whole, or
//! nothing.

use super::Decoder;
use super::storage::{Forced, LISTS};
use crate::error::{Error, Result};
use crate::history::text::{self, TextState};
use crate::history::{Engine, Kind, Sequences, SetSize, sequences};
use crate::kernels::Override;
use crate::plan::Plan;
use crate::types::TokenId;

/// The sets of token sequences, by their place in memory.
pub(crate) const STOPS: usize = 0;
pub(crate) const BREAKERS: usize = 1;
pub(crate) const BAD: usize = 2;
pub(crate) const BIASED: usize = 3;

/// Name and kind of each set.
pub(crate) const SET_KINDS: [(&str, Kind); 4] = [
    ("stops", Kind::Ending),
    ("breakers", Kind::Ending),
    ("bad_sequences", Kind::Pending),
    ("sequence_bias", Kind::Pending),
];

/// How much is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub biases: usize,
    pub bans: usize,
    pub end_tokens: usize,
    pub forced: usize,
    pub sets: [SetSize; 4],
    pub string_bytes: usize,
    pub strings: usize,
    /// Nodes of the matcher of stop strings.
    pub nodes: usize,
}

impl Sizes {
    /// Words used of each part of the memory.
    pub fn words(&self) -> [usize; LISTS] {
        let [stops, breakers, bad, biased] = self.sets;
        [
            self.biases,
            self.bans.div_ceil(2),
            self.end_tokens.div_ceil(2),
            2 * self.forced,
            stops.tokens.div_ceil(2),
            2 * stops.sequences,
            breakers.tokens.div_ceil(2),
            2 * breakers.sequences,
            bad.tokens.div_ceil(2),
            2 * bad.sequences,
            biased.tokens.div_ceil(2),
            2 * biased.sequences,
            self.string_bytes.div_ceil(8),
            self.strings.div_ceil(2),
        ]
    }

    /// Refuses capacities that what is set does not fit into.
    pub fn check(&self, plan: &Plan, sequences: usize) -> Result<()> {
        let adjustments = plan.adjustment_capacity;
        let set = |number: usize| (SET_KINDS[number].0, self.sets[number].tokens, sequences);
        let rooms = [
            ("biases", self.biases, adjustments),
            ("bans", self.bans, adjustments),
            ("end_tokens", self.end_tokens, sequences),
            ("forced", self.forced, sequences),
            set(STOPS),
            set(BREAKERS),
            set(BAD),
            set(BIASED),
            ("stop_strings", self.string_bytes, sequences),
        ];
        match rooms.into_iter().find(|(_, actual, capacity)| actual > capacity) {
            Some((what, actual, capacity)) => Err(Error::CapacityExceeded { what, capacity, actual }),
            None => Ok(()),
        }
    }
}

/// Sorts a list and drops what stands in it twice; returns how many are left.
fn sort_unique(list: &mut [TokenId]) -> usize {
    list.sort_unstable();
    let mut unique = 0;
    for i in 0..list.len() {
        if unique == 0 || list[i] != list[unique - 1] {
            list[unique] = list[i];
            unique += 1;
        }
    }
    unique
}

fn room(what: &'static str, capacity: usize, actual: usize) -> Result<()> {
    if actual > capacity { Err(Error::CapacityExceeded { what, capacity, actual }) } else { Ok(()) }
}

impl<S: AsRef<[u64]> + AsMut<[u64]>> Decoder<S> {
    /// Replaces the biases: each is added to its token's logit. A bias of -inf bans. Under the vLLM profile biases are kept
    /// within ±100, as that engine does.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`], [`Error::DuplicateToken`], [`Error::InvalidParameter`] (a bias that is NaN or +inf),
    /// [`Error::CapacityExceeded`]. The old biases stay then.
    pub fn set_bias(&mut self, biases: &[(TokenId, f32)]) -> Result<()> {
        self.set_bias_by(biases.len(), |i| biases[i])
    }

    /// The same with the pair of each index below `count`: for callers whose pairs lie elsewhere.
    pub(crate) fn set_bias_by(&mut self, count: usize, bias_at: impl Fn(usize) -> (TokenId, f32)) -> Result<()> {
        room("biases", self.plan.adjustment_capacity, count)?;
        for (token, bias) in (0..count).map(&bias_at) {
            self.check_tokens(&[token])?;
            if bias.is_nan() || bias == f32::INFINITY {
                return Err(Error::InvalidParameter { name: "bias", value: bias.into() });
            }
        }
        let (lists, scratch) = self.layout.split(self.storage.as_mut());
        let sorted = &mut scratch.overrides[..count];
        for (to, (token, logit)) in sorted.iter_mut().zip((0..count).map(bias_at)) {
            *to = Override { token, logit };
        }
        sorted.sort_unstable_by_key(|entry| entry.token);
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0].token == pair[1].token) {
            return Err(Error::DuplicateToken { token: pair[0].token });
        }
        lists.biases[..count].copy_from_slice(sorted);
        self.sizes.biases = count;
        Ok(())
    }

    /// Replaces the bans: these tokens are masked. A token may stand in the list more than once.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`], [`Error::CapacityExceeded`]. The old bans stay then.
    pub fn set_bans(&mut self, bans: &[TokenId]) -> Result<()> {
        room("bans", self.plan.adjustment_capacity, bans.len())?;
        self.check_tokens(bans)?;
        let (lists, _) = self.layout.split(self.storage.as_mut());
        let list = &mut lists.bans[..bans.len()];
        list.copy_from_slice(bans);
        self.sizes.bans = sort_unique(list);
        Ok(())
    }

    /// Replaces the end tokens: each ends the sequence when it is generated ([`Finish::EndToken`](crate::Finish)), unless
    /// `min_tokens` forbids. A token may stand in the list more than once.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`], [`Error::CapacityExceeded`] (`sequence_capacity`). The old ones stay then.
    pub fn set_end_tokens(&mut self, tokens: &[TokenId]) -> Result<()> {
        room("end_tokens", self.layout.sequence_capacity, tokens.len())?;
        self.check_tokens(tokens)?;
        let (lists, _) = self.layout.split(self.storage.as_mut());
        let list = &mut lists.end_tokens[..tokens.len()];
        list.copy_from_slice(tokens);
        self.sizes.end_tokens = sort_unique(list);
        Ok(())
    }

    /// Replaces the stop sequences: the sequence ends when generated tokens end with one of them
    /// ([`Finish::Stop`](crate::Finish)).
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`], [`Error::CapacityExceeded`] (tokens of all of them: `sequence_capacity`),
    /// [`Error::InvalidParameter`] (`sequence_length` 0). The old ones stay then.
    pub fn set_stops(&mut self, stops: &[&[TokenId]]) -> Result<()> {
        self.set_sequences(STOPS, stops.iter().map(|&stop| (stop, 0.0)))
    }

    /// Replaces DRY's breakers: no repetition counts across one of them, and a token that is one alone is never penalised.
    ///
    /// # Errors
    /// As [`Decoder::set_stops`].
    pub fn set_breakers(&mut self, breakers: &[&[TokenId]]) -> Result<()> {
        self.set_sequences(BREAKERS, breakers.iter().map(|&breaker| (breaker, 0.0)))
    }

    /// Replaces the bad sequences: where the history ends with all of one but its last token, that token is masked.
    ///
    /// # Errors
    /// As [`Decoder::set_stops`].
    pub fn set_bad_sequences(&mut self, sequences: &[&[TokenId]]) -> Result<()> {
        self.set_sequences(BAD, sequences.iter().map(|&sequence| (sequence, 0.0)))
    }

    /// Replaces the biased sequences: where the history ends with all of one but its last token, the bias is added to the
    /// logit of that token; several add up.
    ///
    /// # Errors
    /// As [`Decoder::set_stops`], and [`Error::InvalidParameter`] for a bias that is NaN or +inf.
    pub fn set_sequence_bias(&mut self, sequences: &[(&[TokenId], f32)]) -> Result<()> {
        self.set_sequences(BIASED, sequences.iter().copied())
    }

    pub(crate) fn set_sequences<'t>(
        &mut self,
        set: usize,
        items: impl Iterator<Item = (&'t [TokenId], f32)> + Clone,
    ) -> Result<()> {
        let (what, kind) = SET_KINDS[set];
        let (mut lists, _) = self.layout.split(self.storage.as_mut());
        let memory = &mut lists.sets[set];
        self.sizes.sets[set] = sequences::write((what, kind, self.plan.vocab), items, memory.tokens, memory.sequences)?;
        if set == BREAKERS {
            let breakers = Sequences::new(memory.tokens, memory.sequences, self.sizes.sets[set]);
            Engine::new(&self.layout.shape, &mut self.history, lists.history).rebuild_breakers(&breakers);
        }
        Ok(())
    }

    /// Replaces the forced tokens: pairs of a place in the generated sequence (0 is the first generated token) and the
    /// token that is picked there. The step is then one under a bitmask that allows this token alone: no other rule of the
    /// decoder applies, its margin is +inf, its probability 1. Where the row has it at -inf, or the caller's bitmask
    /// excludes it, nothing is left.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`], [`Error::InvalidParameter`] (`forced_position`, a place that is named twice),
    /// [`Error::CapacityExceeded`] (`sequence_capacity`). The old ones stay then.
    pub fn set_forced(&mut self, forced: &[(u64, TokenId)]) -> Result<()> {
        self.set_forced_by(forced.len(), |i| forced[i])
    }

    /// The same with the pair of each index below `count`.
    pub(crate) fn set_forced_by(&mut self, count: usize, forced_at: impl Fn(usize) -> (u64, TokenId)) -> Result<()> {
        room("forced", self.layout.sequence_capacity, count)?;
        for i in 0..count {
            let (position, token) = forced_at(i);
            self.check_tokens(&[token])?;
            // There are few, and they are set once: no memory to sort them in before it is known that all are good.
            if (0..i).any(|before| forced_at(before).0 == position) {
                return Err(Error::InvalidParameter { name: "forced_position", value: position as f64 });
            }
        }
        let (lists, _) = self.layout.split(self.storage.as_mut());
        let list = &mut lists.forced[..count];
        for (i, to) in list.iter_mut().enumerate() {
            let (position, token) = forced_at(i);
            *to = Forced { position, token: token.into() };
        }
        list.sort_unstable_by_key(|forced| forced.position);
        self.sizes.forced = count;
        Ok(())
    }

    /// Replaces the stop strings, which [`Decoder::push_bytes`] looks for; the text begins anew.
    ///
    /// # Errors
    /// [`Error::CapacityExceeded`] (bytes of all of them: `sequence_capacity`), [`Error::InvalidParameter`]
    /// (`sequence_length` 0). The old ones stay then.
    pub fn set_stop_strings(&mut self, strings: &[&[u8]]) -> Result<()> {
        self.set_stop_strings_by(strings.iter().copied())
    }

    /// The same with strings that lie anywhere.
    pub(crate) fn set_stop_strings_by<'t>(&mut self, strings: impl Iterator<Item = &'t [u8]> + Clone) -> Result<()> {
        let (bytes, count) = text::check(strings.clone(), self.layout.sequence_capacity)?;
        let (lists, _) = self.layout.split(self.storage.as_mut());
        let mut end = 0;
        for (string, to) in strings.clone().zip(lists.string_ends.iter_mut()) {
            lists.string_bytes[end..end + string.len()].copy_from_slice(string);
            end += string.len();
            *to = end as u32;
        }
        (self.sizes.string_bytes, self.sizes.strings) = (bytes, count);
        self.build_matcher();
        self.text = TextState::default();
        let (lists, _) = self.layout.split(self.storage.as_mut());
        lists.text_states.fill(0);
        // The text is empty before every token there is, so all of them can be undone.
        self.text_held = self.history.extent.run.min(lists.text_states.len());
        Ok(())
    }

    /// Builds the matcher of stop strings from what is set.
    pub(super) fn build_matcher(&mut self) {
        let (lists, _) = self.layout.split(self.storage.as_mut());
        let (bytes, ends) = (&*lists.string_bytes, &lists.string_ends[..self.sizes.strings]);
        let strings = (0..ends.len()).map(|i| {
            let begin = if i == 0 { 0 } else { ends[i - 1] };
            &bytes[begin as usize..ends[i] as usize]
        });
        self.sizes.nodes = text::build(strings, lists.nodes);
    }
}
