//! A decoder as bytes: everything that decides its next tokens, so that a sequence can go on elsewhere or be kept.
//!
//! ```text
//! "APKS", format (2), numerics version, vocabulary                              4 x 4 bytes
//! position, tokens recorded, tokens generated, bytes since the stop string      4 x 8 bytes
//! the configuration: seed and stream, then each field                          CONFIG_WORDS x 4 bytes
//! state of mirostat, adaptive-p and the running sum                             6 x 4 bytes
//! why it ended, node of the text, stop string found, 0                          4 x 4 bytes
//! numbers: biases, bans, end tokens, forced tokens; tokens and sequences of
//!   stops, breakers, bad and biased sequences; bytes of stop strings, strings;
//!   entries of the ring, saved states, saved nodes, 0                           18 x 4 bytes
//! (token, bias) each; bans; end tokens; (position, token) each, 8 + 8 bytes
//! of each set: tokens; (0, first token, length, bias) of each sequence
//! end of each stop string; entries of the ring, oldest first
//! states (24 bytes) and nodes before the newest tokens, oldest first
//! bytes of stop strings
//! ```
//! All little-endian. Bytes from outside are not trusted: every number is checked before anything is changed.

use super::lists::{BREAKERS, SET_KINDS, Sizes};
use super::storage::{Forced, Layout};
use super::{Decoder, compile};
use crate::distribution::StepState;
use crate::error::{Error, Result};
use crate::history::text::TextState;
use crate::history::{Engine, PROMPT, RECURRENT, Sequence, Sequences, SetSize, TOKEN, sequences};
use crate::kernels::Override;
use crate::numeric::NUMERICS_VERSION;
use crate::plan::{CONFIG_WORDS, Config};
use crate::trace::Finish;
use crate::types::TokenId;

const MAGIC: u32 = u32::from_le_bytes(*b"APKS");
const FORMAT: u32 = 2;
const COUNTS: usize = 18;
const HEADER: usize = 16 + 32 + 4 * CONFIG_WORDS + 24 + 16 + 4 * COUNTS;
const STATE_WORDS: usize = size_of::<StepState>() / 4;

/// Writes little-endian words one after the other.
struct Writer<'a> {
    to: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn word(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }
    fn long(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }
    fn words(&mut self, values: &[u32]) {
        values.iter().for_each(|&value| self.word(value));
    }
    fn state(&mut self, state: &StepState) {
        self.words(&bytemuck::cast::<StepState, [u32; STATE_WORDS]>(*state));
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.to[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }
}

/// Reads them back; past the end it reads zeros, which the length check refuses.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn word(&mut self) -> u32 {
        let Some((head, tail)) = self.0.split_first_chunk::<4>() else { return 0 };
        self.0 = tail;
        u32::from_le_bytes(*head)
    }
    fn long(&mut self) -> u64 {
        u64::from(self.word()) | u64::from(self.word()) << 32
    }
    fn count(&mut self) -> usize {
        self.word() as usize
    }
    fn state(&mut self) -> StepState {
        let mut words = [0; STATE_WORDS];
        words.iter_mut().for_each(|word| *word = self.word());
        bytemuck::cast(words)
    }
    /// The next so many bytes, which the length check has promised.
    fn take(&mut self, bytes: usize) -> Reader<'a> {
        let (head, tail) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = tail;
        Reader(head)
    }
    fn words(self) -> impl ExactSizeIterator<Item = u32> + Clone + 'a {
        self.0.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word))
    }
}

/// The lists of a saved decoder, each still as bytes.
struct Saved<'a> {
    biases: Reader<'a>,
    bans: Reader<'a>,
    end_tokens: Reader<'a>,
    forced: Reader<'a>,
    sets: [(Reader<'a>, Reader<'a>); 4],
    string_ends: Reader<'a>,
    entries: Reader<'a>,
    states: Reader<'a>,
    nodes: Reader<'a>,
    string_bytes: Reader<'a>,
}

fn bad<T>(what: &'static str) -> Result<T> {
    Err(Error::BadState { what })
}

fn finish_of(number: u32) -> Option<Finish> {
    [Finish::None, Finish::Length, Finish::EndToken, Finish::Stop, Finish::Loop]
        .into_iter()
        .find(|finish| *finish as u32 == number)
}

/// What of a state a step relies on. The running sum may be NaN.
fn is_usable(state: &StepState, words: [u32; STATE_WORDS]) -> bool {
    state.mirostat_mu.is_finite()
        && state.adaptive_sum.is_finite()
        && state.adaptive_weight.is_finite()
        && words[STATE_WORDS - 1] == 0
}

fn states_are_usable(mut from: Reader<'_>) -> bool {
    while !from.0.is_empty() {
        let state = from.state();
        if !is_usable(&state, bytemuck::cast(state)) {
            return false;
        }
    }
    true
}

impl<S: AsRef<[u64]> + AsMut<[u64]>> Decoder<S> {
    /// How many states and nodes are saved, so that tokens can be undone afterwards.
    fn saved_records(&mut self) -> (usize, usize) {
        let available = self.undo_available();
        let (lists, _) = self.layout.split(self.storage.as_mut());
        let states = if lists.states.is_empty() { 0 } else { available };
        (states, if self.sizes.strings == 0 { 0 } else { available })
    }

    /// The bytes that [`Decoder::save`] writes now.
    pub fn saved_size(&mut self) -> usize {
        let (states, nodes) = self.saved_records();
        let Sizes { biases, bans, end_tokens, forced, sets, string_bytes, strings, .. } = self.sizes;
        let sets: usize = sets.iter().map(|set| 4 * set.tokens + 16 * set.sequences).sum();
        HEADER
            + 8 * biases
            + 4 * (bans + end_tokens)
            + 16 * forced
            + sets
            + 4 * (strings + self.history.extent.held)
            + 4 * STATE_WORDS * states
            + 4 * nodes
            + string_bytes
    }

    /// Writes the decoder's state (configuration, position, history, all that was set) to `bytes` and returns how many it
    /// took.
    ///
    /// # Errors
    /// [`Error::WrongLength`] with the length needed, if `bytes` is shorter; nothing is written then.
    pub fn save(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let expected = self.saved_size();
        if bytes.len() < expected {
            return Err(Error::WrongLength { what: "the memory for a saved decoder", expected, actual: bytes.len() });
        }
        let (states, nodes) = self.saved_records();
        let extent = self.history.extent;
        let Sizes { biases, bans, end_tokens, forced, sets, string_bytes, strings, .. } = self.sizes;
        let mut out = Writer { to: bytes, at: 0 };
        out.words(&[MAGIC, FORMAT, NUMERICS_VERSION, self.plan.vocab as u32]);
        for long in [self.position, extent.recorded, extent.generated, self.text.after] {
            out.long(long);
        }
        out.words(&self.plan.config.to_words());
        out.state(&self.state);
        out.words(&[self.ended as u32, self.text.node, self.text.stop, 0]);
        for count in [biases, bans, end_tokens, forced] {
            out.word(count as u32);
        }
        for set in sets {
            out.words(&[set.tokens as u32, set.sequences as u32]);
        }
        for count in [string_bytes, strings, extent.held, states, nodes, 0] {
            out.word(count as u32);
        }
        let (lists, _) = self.layout.split(self.storage.as_mut());
        for bias in &lists.biases[..biases] {
            out.words(&[bias.token, bias.logit.to_bits()]);
        }
        out.words(&lists.bans[..bans]);
        out.words(&lists.end_tokens[..end_tokens]);
        for forced in &lists.forced[..forced] {
            out.long(forced.position);
            out.long(forced.token);
        }
        for (memory, size) in lists.sets.iter().zip(sets) {
            out.words(&memory.tokens[..size.tokens]);
            for sequence in &memory.sequences[..size.sequences] {
                out.words(&[0, sequence.start, sequence.length, sequence.value.to_bits()]);
            }
        }
        out.words(&lists.string_ends[..strings]);
        let engine = Engine::new(&self.layout.shape, &mut self.history, lists.history);
        let ring = engine.ring();
        ring.held().for_each(|entry| out.word(entry));
        for position in extent.recorded - states as u64..extent.recorded {
            out.state(&lists.states[ring.slot(position)]);
        }
        for position in extent.recorded - nodes as u64..extent.recorded {
            out.word(lists.text_states[(position % lists.text_states.len() as u64) as usize]);
        }
        out.bytes(&lists.string_bytes[..string_bytes]);
        Ok(out.at)
    }

    /// Takes over a state that [`Decoder::save`] wrote, its configuration included: the next tokens are those that the
    /// saved decoder would have picked. Vocabulary and numerics version must be the same.
    ///
    /// # Errors
    /// [`Error::BadState`] with what is wrong, [`Error::InvalidParameter`], [`Error::StorageTooSmall`]. Nothing has
    /// changed then.
    pub fn load(&mut self, bytes: &[u8]) -> Result<()> {
        let mut from = Reader(bytes);
        if bytes.len() < HEADER || from.word() != MAGIC {
            return bad("it does not begin as one");
        }
        if from.word() != FORMAT {
            return bad("its format is not known");
        }
        if from.word() != NUMERICS_VERSION {
            return bad("it was made by another version of the numerics");
        }
        if from.word() as usize != self.plan.vocab {
            return bad("its vocabulary is another");
        }
        let (position, recorded, generated, after) = (from.long(), from.long(), from.long(), from.long());
        let mut fields = [0; CONFIG_WORDS];
        for word in &mut fields {
            *word = from.word();
        }
        let Ok(config) = Config::from_words(&fields) else { return bad("a choice in its configuration is not known") };
        let mut state_bytes = from.take(4 * STATE_WORDS);
        if !states_are_usable(state_bytes) {
            return bad("its numbers are not finite");
        }
        let state = state_bytes.state();
        let Some(ended) = finish_of(from.word()) else { return bad("why it ended is not known") };
        let mut text = TextState { node: from.word(), stop: from.word(), after };
        let reserved = from.word();
        let mut sizes = Sizes {
            biases: from.count(),
            bans: from.count(),
            end_tokens: from.count(),
            forced: from.count(),
            ..Sizes::default()
        };
        for set in &mut sizes.sets {
            *set = SetSize { tokens: from.count(), sequences: from.count(), singles: 0 };
        }
        (sizes.string_bytes, sizes.strings) = (from.count(), from.count());
        let (held, states, nodes) = (from.count(), from.count(), from.count());
        if reserved != 0 || from.word() != 0 {
            return bad("a reserved word is not 0");
        }
        let plan = compile(&config, self.plan.vocab)?;
        let layout = Layout::new(&plan);
        layout.check(self.storage.as_ref())?;
        if sizes.check(&plan, layout.sequence_capacity).is_err() || held > layout.shape.ring {
            return bad("its lists are longer than its capacities");
        }
        // Every sequence has a token, and every string a byte.
        if sizes.sets.iter().any(|set| set.sequences > set.tokens) || sizes.strings > sizes.string_bytes {
            return bad("its sequences are more than their tokens");
        }
        let has_states = layout.keeps_states();
        if states > if has_states { held } else { 0 } || nodes > held.min(layout.text_states) {
            return bad("it has more states than tokens");
        }
        let saved = Saved {
            biases: from.take(8 * sizes.biases),
            bans: from.take(4 * sizes.bans),
            end_tokens: from.take(4 * sizes.end_tokens),
            forced: from.take(16 * sizes.forced),
            sets: sizes.sets.map(|set| (from.take(4 * set.tokens), from.take(16 * set.sequences))),
            string_ends: from.take(4 * sizes.strings),
            entries: from.take(4 * held),
            states: from.take(4 * STATE_WORDS * states),
            nodes: from.take(4 * nodes),
            string_bytes: from.take(sizes.string_bytes),
        };
        let whole = HEADER
            + 8 * sizes.biases
            + 4 * (sizes.bans + sizes.end_tokens + sizes.strings + held + nodes)
            + 16 * sizes.forced
            + sizes.sets.iter().map(|set| 4 * set.tokens + 16 * set.sequences).sum::<usize>()
            + 4 * STATE_WORDS * states
            + sizes.string_bytes;
        if bytes.len() != whole {
            return bad("its length is wrong");
        }
        saved.check(self.plan.vocab as u32, sizes.string_bytes)?;
        let flags = |flag: u32| saved.entries.words().filter(move |entry| entry & flag != 0).count() as u64;
        let of_prompt = flags(PROMPT);
        let limit = u64::from(config.max_tokens);
        let gone = recorded.saturating_sub(held as u64);
        let generated_held = held as u64 - of_prompt;
        if (held as u64) > recorded
            || (gone > 0 && held < plan.history_capacity)
            || generated < generated_held
            || generated - generated_held > gone
            || (limit != 0 && generated > limit)
            || text.stop as usize > sizes.strings
            || text.node as usize > sizes.string_bytes
        {
            return bad("its counts contradict each other");
        }
        // From here on everything is known to fit.
        (self.plan, self.layout, self.position) = (plan, layout, position);
        saved.write_lists(self.layout.split(self.storage.as_mut()).0, &mut sizes);
        (self.sizes, self.state, self.ended) = (sizes, state, ended);
        self.build_matcher();
        if text.node as usize >= self.sizes.nodes {
            text.node = 0;
        }
        self.text = text;
        self.restore_history(recorded, generated, &saved, nodes);
        Ok(())
    }

    fn restore_history(&mut self, recorded: u64, generated: u64, saved: &Saved<'_>, nodes: usize) {
        let matcher_nodes = self.sizes.nodes as u32;
        let (lists, _) = self.layout.split(self.storage.as_mut());
        let set = &lists.sets[BREAKERS];
        let breakers = Sequences::new(set.tokens, set.sequences, self.sizes.sets[BREAKERS]);
        let mut engine = Engine::new(&self.layout.shape, &mut self.history, lists.history);
        engine.restore(recorded, generated, saved.entries.words(), &breakers);
        let ring = engine.ring();
        let mut from = saved.states;
        let states = from.0.len() / (4 * STATE_WORDS);
        for position in recorded - states as u64..recorded {
            lists.states[ring.slot(position)] = from.state();
        }
        lists.text_states.fill(0);
        let places = lists.text_states.len() as u64;
        for (position, node) in (recorded - nodes as u64..recorded).zip(saved.nodes.words()) {
            lists.text_states[(position % places) as usize] = if node < matcher_nodes { node } else { 0 };
        }
        self.text_held = nodes;
    }
}

impl Saved<'_> {
    fn check(&self, vocab: u32, string_bytes: usize) -> Result<()> {
        let ascending = |list: Reader<'_>| list.words().zip(list.words().skip(1)).all(|(a, b)| a < b);
        let known = |list: Reader<'_>| list.words().all(|token| token < vocab);
        let bias_words = || self.biases.words();
        let tokens = || bias_words().step_by(2);
        let usable = |bits: u32| !f32::from_bits(bits).is_nan() && f32::from_bits(bits) != f32::INFINITY;
        if !tokens().zip(tokens().skip(1)).all(|(a, b)| a < b)
            || tokens().any(|token| token >= vocab)
            || !bias_words().skip(1).step_by(2).all(usable)
        {
            return bad("its biases are out of order or out of range");
        }
        if ![self.bans, self.end_tokens].into_iter().all(|list| ascending(list) && known(list))
            || self.entries.words().any(|entry| entry & TOKEN >= vocab || entry & PROMPT != 0 && entry & RECURRENT != 0)
        {
            return bad("its tokens are out of order or out of range");
        }
        let mut forced = self.forced;
        let mut before = None;
        while !forced.0.is_empty() {
            let (position, token) = (forced.long(), forced.long());
            if token >= u64::from(vocab) || before.is_some_and(|before| before >= position) {
                return bad("its forced tokens are out of order or out of range");
            }
            before = Some(position);
        }
        for (tokens, sequences) in self.sets {
            let count = tokens.words().len();
            let entries = sequences.words();
            let mut all = (0..entries.len() / 4).map(|i| {
                let mut words = entries.clone().skip(4 * i);
                let mut next = || words.next().unwrap_or(0);
                [next(), next(), next(), next()]
            });
            let fits = |[zero, start, length, value]: [u32; 4]| {
                zero == 0 && length > 0 && u64::from(start) + u64::from(length) <= count as u64 && usable(value)
            };
            if !known(tokens) || !all.all(fits) {
                return bad("its sequences are out of range");
            }
        }
        let ends = self.string_ends;
        if !ascending(ends)
            || ends.words().next().is_some_and(|first| first == 0)
            || ends.words().last().unwrap_or(0) as usize != string_bytes
        {
            return bad("its stop strings are out of order");
        }
        if !states_are_usable(self.states) {
            return bad("its numbers are not finite");
        }
        Ok(())
    }

    fn write_lists(&self, lists: super::storage::Lists<'_>, sizes: &mut Sizes) {
        let mut biases = self.biases;
        for bias in &mut lists.biases[..sizes.biases] {
            *bias = Override { token: biases.word(), logit: f32::from_bits(biases.word()) };
        }
        for (list, from) in
            [(lists.bans, self.bans), (lists.end_tokens, self.end_tokens), (lists.string_ends, self.string_ends)]
        {
            list.iter_mut().zip(from.words()).for_each(|(to, token)| *to = token);
        }
        let mut forced = self.forced;
        for to in &mut lists.forced[..sizes.forced] {
            *to = Forced { position: forced.long(), token: forced.long() };
        }
        for (number, memory) in lists.sets.into_iter().enumerate() {
            let (tokens, mut entries) = self.sets[number];
            memory.tokens.iter_mut().zip(tokens.words()).for_each(|(to, token)| *to = token);
            let size = &mut sizes.sets[number];
            for entry in &mut memory.sequences[..size.sequences] {
                let [_, start, length, value] = [(); 4].map(|()| entries.word());
                *entry = Sequence { key: 0, start, length, value: f32::from_bits(value) };
            }
            size.singles = sequences::sort(SET_KINDS[number].1, memory.tokens, &mut memory.sequences[..size.sequences]);
        }
        lists.string_bytes[..sizes.string_bytes].copy_from_slice(self.string_bytes.0);
    }
}

/// A token is below 2^22 and its entry has no other bits.
const _: () = assert!(crate::types::MAX_VOCAB <= TOKEN as TokenId as usize);
