//! The law of the history: after any sequence of calls the decoder and a naive history, which looks at everything again, say
//! the same: the adjusted row, the end, the loop, the recurrence, the text, what mirostat and adaptive-p have learnt.

use crate::support;
use crate::support::generators::Source;
use crate::support::history_oracle::{End, Entry, Naive, Piece};
use argpick::{Config, Decoder, Error, Finish, Kernels, Metrics, Mirostat, Mode, PenaltyScope, Pick, Profile};
use proptest::prelude::{TestCaseError, any, prop_assert, prop_assert_eq};

/// A configuration of a profile with some of the rules that it knows, so small that windows fill and rings turn over.
fn any_config(source: &mut Source) -> Config {
    let profile = source.pick(&Profile::ALL);
    let capacity = source.pick(&[3u32, 9, 17, 40, 200]);
    let window =
        |source: &mut Source| if source.below(2) == 0 { 0 } else { 1 + source.below(capacity as usize) as u32 };
    let has = |profiles: &[Profile]| profile == Profile::Canon || profiles.contains(&profile);
    use Profile::{HuggingFace, LlamaCpp, Vllm};
    let mut config = Config {
        profile,
        mode: Mode::Greedy,
        history_capacity: capacity,
        sequence_capacity: 64,
        metrics: Metrics::LOOP | Metrics::LOGPROB,
        no_repeat_window: if source.below(4) == 0 { source.below(1 + capacity.min(4) as usize) as u32 } else { 0 },
        max_tokens: source.pick(&[0, 0, 6, 20]),
        loop_period: window(source),
        loop_repeats: source.pick(&[0, 0, 2, 3, 5]),
        ..Config::default()
    };
    if source.below(2) == 0 {
        config.repetition_penalty = source.pick(&[1.3f32, 0.8, 5.0]);
    }
    if has(&[LlamaCpp, Vllm]) && source.below(2) == 0 {
        config.frequency_penalty = source.pick(&[0.25f32, -0.5, 1.1]);
        config.presence_penalty = source.pick(&[0.0f32, 0.7, -0.3]);
    }
    if has(&[LlamaCpp]) {
        config.penalty_window = window(source);
    }
    if has(&[HuggingFace, LlamaCpp]) {
        config.penalty_scope = source.pick(&[PenaltyScope::Profile, PenaltyScope::All, PenaltyScope::Generated]);
    }
    if has(&[LlamaCpp]) && source.below(2) == 0 {
        config.dry_multiplier = source.pick(&[0.8f32, 0.01]);
        config.dry_base = source.pick(&[1.75f32, 1.0, 40.0]);
        config.dry_allowed_length = source.pick(&[0, 1, 2, 3]);
        config.dry_window = window(source);
    }
    if has(&[HuggingFace]) && source.below(2) == 0 {
        config.no_repeat_ngram = (1 + source.below(4) as u32).min(capacity);
    }
    if has(&[HuggingFace]) && source.below(2) == 0 {
        config.length_decay_start = source.pick(&[0, 5]);
        config.length_decay_factor = source.pick(&[1.01f32, 0.95, 1.5]);
    }
    if has(&[HuggingFace, Vllm]) {
        config.min_tokens = source.pick(&[0, 0, 3, 12]);
    }
    if has(&[LlamaCpp]) && source.below(4) == 0 {
        config.mode = Mode::Sample;
        match source.below(3) {
            0 => config.mirostat = Mirostat::One,
            1 => config.mirostat = Mirostat::Two,
            _ => config.adaptive_target = source.pick(&[0.1f32, 0.6]),
        }
        config.mirostat_tau = source.pick(&[0.5f32, 3.0]);
    }
    config
}

const ENDS: [(End, Finish); 5] = [
    (End::No, Finish::None),
    (End::Length, Finish::Length),
    (End::Token, Finish::EndToken),
    (End::Stop, Finish::Stop),
    (End::Loop, Finish::Loop),
];

fn finish_of(end: End) -> Finish {
    ENDS.iter().find(|(known, _)| *known == end).expect("every end").1
}

/// Both engines, the sequence's end, and how the decoder was at each undone place.
pub struct Pair {
    pub decoder: Decoder,
    pub naive: Naive,
    ended: End,
    /// What was learnt before each recorded token.
    before: Vec<Learnt>,
    learnt: Learnt,
    position: u64,
    /// The most tokens that were ever recorded.
    most: usize,
}

/// The running sum of log-probabilities, and the bits of mirostat's mu and of adaptive-p's target.
#[derive(Clone, Copy, Debug)]
struct Learnt {
    sum: f64,
    state: (u32, u32),
}

fn state_of(decoder: &Decoder) -> (u32, u32) {
    (decoder.mirostat_mu().to_bits(), decoder.adaptive_target().to_bits())
}

/// The bytes of a token: none, a few, more than one stop string's.
fn bytes_of(token: u32) -> &'static [u8] {
    let texts: [&[u8]; 9] = [b"a", b"b", b"", b"ab", b"ba", b"aab", b"c", b"abcab", b"bb"];
    texts[token as usize % texts.len()]
}

fn everything(decoder: &mut Decoder) -> Vec<u8> {
    let mut bytes = vec![0; decoder.saved_size()];
    decoder.save(&mut bytes).expect("room");
    bytes
}

impl Pair {
    pub fn new(config: &Config, vocab: usize) -> Pair {
        let kernels = Kernels::detect().expect("kernels");
        let decoder = Decoder::new_with_kernels(config, vocab, kernels).expect("a valid configuration");
        let learnt = Learnt { sum: 0.0, state: state_of(&decoder) };
        let naive = Naive::new(config, vocab);
        Pair { decoder, naive, ended: End::No, before: Vec::new(), learnt, position: 0, most: 0 }
    }

    /// Takes up a token that the decoder has recorded without picking it.
    pub fn push(&mut self, token: u32, prompt: bool) {
        let sum = if prompt { self.learnt.sum } else { f64::NAN };
        self.push_learnt(token, prompt, Learnt { sum, ..self.learnt });
    }

    fn push_learnt(&mut self, token: u32, prompt: bool, learnt: Learnt) {
        self.naive.entries.push(Entry { token, prompt });
        if prompt {
            self.naive.pieces.clear();
        }
        self.most = self.most.max(self.naive.entries.len());
        self.before.push(self.learnt);
        self.learnt = learnt;
        self.position = self.position.wrapping_add(u64::from(!prompt));
    }

    fn undo(&mut self, count: usize) {
        let left = self.naive.entries.len() - count;
        self.naive.entries.truncate(left);
        self.naive.pieces.retain(|piece| piece.entries <= left);
        self.learnt = self.before[left];
        self.before.truncate(left);
        self.position = self.position.saturating_sub(count as u64);
        self.ended = End::No;
    }

    /// Hands over the bytes of the newest token.
    fn push_bytes(&mut self, bytes: &[u8]) -> Result<(), TestCaseError> {
        let config = &self.naive.config;
        let counts = config.profile == Profile::HuggingFace || self.naive.generated() >= config.min_tokens.into();
        if !self.naive.strings.is_empty() {
            self.naive.pieces.push(Piece { entries: self.naive.entries.len(), bytes: bytes.to_vec(), counts });
        }
        let found = self.decoder.push_bytes(bytes);
        let expected = self.naive.text_match();
        prop_assert_eq!((found.stop, found.held_back), expected, "{:?}", self.naive.pieces);
        if expected.0.is_some() && self.ended != End::Token {
            self.ended = End::Stop;
        }
        Ok(())
    }

    /// The row after adjustments, as both have it; with nothing left, as both say.
    fn check_row(&mut self, row: &[f32], mask: Option<&[u32]>) -> Result<bool, TestCaseError> {
        self.check_history()?;
        let valid = match self.naive.config.valid_vocab {
            0 => row.len(),
            valid => valid as usize,
        };
        let allowed = |token: usize| {
            token < valid
                && mask.is_none_or(|mask| mask.get(token / 32).is_some_and(|word| word >> (token % 32) & 1 == 1))
        };
        let mut expected = self.naive.adjust(row);
        for (_, logit) in expected.iter_mut().enumerate().filter(|(token, _)| !allowed(*token)) {
            logit.value = f64::NEG_INFINITY;
        }
        let nothing = expected.iter().all(|logit| logit.value == f64::NEG_INFINITY);
        if self.naive.config.mode == Mode::Sample {
            // Truncated: only whether there is something to pick from.
            let answer = self.decoder.evaluate(row, mask);
            prop_assert_eq!(answer.is_err(), nothing, "{:?} of {:?}", answer, expected);
            return Ok(!nothing);
        }
        let mut actual = row.to_vec();
        // In greedy mode `process` keeps the argmax only: the same decoder, asked as if it drew.
        let mut drawing = self.decoder.clone();
        let config = Config { mode: Mode::Sample, ..self.decoder.config().clone() };
        let mut bytes = vec![0; drawing.saved_size()];
        drawing.save(&mut bytes).expect("room");
        patch_mode(&mut bytes, &config);
        drawing.load(&bytes).expect("a saved decoder");
        match drawing.process(&mut actual, mask) {
            Err(Error::EverythingMasked) => {
                prop_assert!(nothing, "nothing left: {:?}", expected);
                prop_assert_eq!(&actual, &row, "a row that was refused is as it was");
                return Ok(false);
            }
            other => prop_assert_eq!(other, Ok(())),
        }
        for (token, (&actual, expected)) in actual.iter().zip(&expected).enumerate() {
            let close = (f64::from(actual) - expected.value).abs() <= 1e-6 * (expected.magnitude + 1e-3);
            let same = f64::from(actual) == expected.value || close;
            prop_assert!(same, "token {} is {} but {:?}", token, actual, expected);
        }
        Ok(true)
    }

    /// What the history says it holds.
    fn check_history(&mut self) -> Result<(), TestCaseError> {
        let capacity = self.decoder.config().history_capacity as usize;
        let entries = &self.naive.entries;
        let newest = &entries[entries.len().saturating_sub(capacity)..];
        let expected: Vec<u32> = newest.iter().map(|entry| entry.token).collect();
        let mut tokens = vec![u32::MAX; expected.len()];
        prop_assert_eq!(self.decoder.history(&mut tokens), expected.len());
        prop_assert_eq!(&tokens, &expected);
        // As far as there is room.
        let mut first = [u32::MAX];
        prop_assert_eq!(self.decoder.history(&mut first[..expected.len().min(1)]), expected.len());
        prop_assert_eq!(expected.first().copied().unwrap_or(u32::MAX), first[0]);
        prop_assert_eq!(self.decoder.position(), self.position);
        prop_assert_eq!(state_of(&self.decoder), self.learnt.state, "what was learnt");
        Ok(())
    }

    fn check_pick(&self, pick: &Pick) -> Result<(), TestCaseError> {
        let mut next = self.naive.clone();
        next.entries.push(Entry { token: pick.token, prompt: false });
        prop_assert_eq!((pick.loop_period, pick.loop_repeats), next.exact_loop(), "the loop after {:?}", &next.entries);
        prop_assert!((f64::from(pick.loop_score) - next.recurrence()).abs() < 1e-6, "score {}", pick.loop_score);
        prop_assert_eq!(pick.finish, finish_of(self.naive.end_with(pick.token)));
        Ok(())
    }
}

/// Sets the mode of a saved decoder to sampling; it stands behind the header, seed, stream and profile.
fn patch_mode(bytes: &mut [u8], config: &Config) {
    assert_eq!(config.mode, Mode::Sample);
    let at = 16 + 32 + 16 + 4;
    assert_eq!(bytes[at..at + 4], (Mode::Greedy as u32).to_le_bytes());
    bytes[at..at + 4].copy_from_slice(&(Mode::Sample as u32).to_le_bytes());
}

fn any_sequences(source: &mut Source, vocab: usize, count: usize) -> Vec<Vec<u32>> {
    let count = source.below(count + 1);
    (0..count).map(|_| (0..1 + source.below(3)).map(|_| source.below(vocab) as u32).collect()).collect()
}

fn views(sequences: &[Vec<u32>]) -> Vec<&[u32]> {
    sequences.iter().map(Vec::as_slice).collect()
}

/// Sets one list to something else.
fn set_something(pair: &mut Pair, source: &mut Source) {
    let (vocab, naive, decoder) = (pair.naive.vocab, &mut pair.naive, &mut pair.decoder);
    let tokens = |source: &mut Source, count: usize| -> Vec<u32> {
        (0..source.below(count + 1)).map(|_| source.below(vocab) as u32).collect()
    };
    match source.below(9) {
        8 => {
            let texts: [&[u8]; 8] = [b"ab", b"aab", b"b", b"abc", b"caba", b"abcab", b"cc", b"aabaab"];
            naive.strings = (0..source.below(4)).map(|_| source.pick(&texts).to_vec()).collect();
            naive.pieces.clear();
            let strings: Vec<&[u8]> = naive.strings.iter().map(Vec::as_slice).collect();
            decoder.set_stop_strings(&strings).expect("stop strings");
        }
        0 => {
            let biases = tokens(source, 3).into_iter().map(|token| (token, source.pick(&[1.5f32, -2.25, 130.0])));
            naive.biases = biases.collect();
            naive.biases.sort_by_key(|bias| bias.0);
            naive.biases.dedup_by_key(|bias| bias.0);
            decoder.set_bias(&naive.biases).expect("biases");
        }
        1 => {
            naive.bans = tokens(source, 2);
            decoder.set_bans(&naive.bans).expect("bans");
        }
        2 => {
            naive.end_tokens = tokens(source, 2);
            decoder.set_end_tokens(&naive.end_tokens).expect("end tokens");
        }
        3 => {
            let places =
                (0..source.below(3)).map(|i| (3 * i as u64 + source.below(3) as u64, source.below(vocab) as u32));
            naive.forced = places.collect();
            decoder.set_forced(&naive.forced).expect("forced tokens");
        }
        4 => {
            naive.stops = any_sequences(source, vocab, 2).into_iter().filter(|stop| stop.len() > 1).collect();
            decoder.set_stops(&views(&naive.stops)).expect("stops");
        }
        5 => {
            naive.breakers = any_sequences(source, vocab, 4);
            decoder.set_breakers(&views(&naive.breakers)).expect("breakers");
        }
        6 => {
            naive.bad = any_sequences(source, vocab, 4);
            decoder.set_bad_sequences(&views(&naive.bad)).expect("bad sequences");
        }
        _ => {
            let sequences = any_sequences(source, vocab, 6);
            naive.biased = sequences.into_iter().map(|s| (s, source.pick(&[0.5f32, -1.0, 3.0]))).collect();
            let biased: Vec<_> = naive.biased.iter().map(|(sequence, bias)| (&sequence[..], *bias)).collect();
            decoder.set_sequence_bias(&biased).expect("biased sequences");
        }
    }
}

/// A token that likes to repeat what was said before.
fn any_token(source: &mut Source, naive: &Naive) -> u32 {
    let said = &naive.entries;
    if !said.is_empty() && source.below(3) > 0 {
        let back = 1 + source.below(said.len().min(5));
        return said[said.len() - back].token;
    }
    source.below(naive.vocab) as u32
}

/// Tokens to be accepted: a few, a circle that goes round for long, or many at once.
fn any_tokens(source: &mut Source, naive: &Naive) -> Vec<u32> {
    let said = &naive.entries;
    match source.below(12) {
        0 if !said.is_empty() => {
            let period = 1 + source.below(said.len().min(4));
            let unit = &said[said.len() - period..];
            (0..source.below(50)).map(|i| unit[i % period].token).collect()
        }
        1 => (0..source.below(60)).map(|_| source.below(naive.vocab) as u32).collect(),
        _ => (0..source.below(5)).map(|_| any_token(source, naive)).collect(),
    }
}

fn any_mask(source: &mut Source, vocab: usize) -> Option<Vec<u32>> {
    match source.below(6) {
        0 => Some((0..vocab.div_ceil(32)).map(|_| source.bits() as u32).collect()),
        // Shorter than the vocabulary, and nearly empty.
        1 => Some(vec![1 << source.below(32); source.below(2)]),
        _ => None,
    }
}

fn one_call(pair: &mut Pair, source: &mut Source, row: &[f32]) -> Result<(), TestCaseError> {
    match source.below(14) {
        0 => {
            let tokens: Vec<u32> = (0..source.below(6)).map(|_| any_token(source, &pair.naive)).collect();
            pair.decoder.prompt(&tokens).expect("tokens of the vocabulary");
            tokens.iter().for_each(|&token| pair.push(token, true));
            let max = u64::from(pair.naive.config.max_tokens);
            if !tokens.is_empty() {
                pair.ended = if max != 0 && pair.naive.generated() >= max { End::Length } else { End::No };
            }
        }
        1..=4 => {
            let tokens = any_tokens(source, &pair.naive);
            let before = pair.naive.clone();
            let answer = pair.decoder.accept(&tokens);
            let mut end = pair.ended;
            for (i, &token) in tokens.iter().enumerate() {
                // A loop is judged at the last token only.
                let stopped = end != End::No && !(end == End::Loop && i > 0);
                if stopped {
                    prop_assert_eq!(answer, Err(Error::Finished));
                    pair.naive = before;
                    return Ok(());
                }
                end = pair.naive.end_with(token);
                pair.naive.entries.push(Entry { token, prompt: false });
            }
            prop_assert_eq!(answer, Ok(()), "{:?} after {:?}", tokens, before.entries);
            pair.naive = before;
            for &token in &tokens {
                pair.push(token, false);
            }
            pair.ended = end;
            if let Some(&token) = tokens.last()
                && source.below(2) == 0
            {
                pair.push_bytes(bytes_of(token))?;
            }
        }
        5 | 6 => {
            let count = 1 + source.below(most_undone(pair));
            let run = pair.naive.run();
            match pair.decoder.undo(count) {
                Ok(()) => {
                    prop_assert!(count <= run, "{} of {}", count, run);
                    pair.undo(count);
                }
                Err(Error::UndoTooFar { requested, available }) => {
                    prop_assert!(requested == count && available < count && available <= run);
                    // Only a history that was filled further than it holds may say so of tokens of the run, and not of as many
                    // as it holds, counted from where it was filled farthest.
                    let (gone, held) = (pair.most - pair.naive.entries.len(), pair.naive.capacity());
                    prop_assert!(
                        available == run || (pair.most > held && available + gone >= run.min(held)),
                        "{} of {} after {}",
                        available,
                        run,
                        pair.most
                    );
                }
                Err(other) => return Err(TestCaseError::fail(other.to_string())),
            }
        }
        7 => set_something(pair, source),
        8 => {
            let mut bytes = vec![0; pair.decoder.saved_size()];
            let written = pair.decoder.save(&mut bytes).expect("room");
            prop_assert_eq!(written, bytes.len());
            let mut loaded = Decoder::new(pair.decoder.config(), pair.naive.vocab).expect("a decoder");
            loaded.accept(&[0, 0]).ok();
            loaded.load(&bytes).expect("what was saved");
            let mut again = vec![0; loaded.saved_size()];
            loaded.save(&mut again).expect("room");
            prop_assert_eq!(bytes, again, "saved, loaded and saved again");
            pair.decoder = loaded;
        }
        10 => {
            pair.position = source.bits() >> source.below(64);
            pair.decoder.seek(pair.position);
        }
        9 => {
            let words = Decoder::<Vec<u64>>::storage_words(pair.decoder.config(), pair.naive.vocab).expect("a size");
            let copy = pair.decoder.copy_in(vec![u64::MAX; words].into_boxed_slice()).expect("enough memory");
            pair.decoder = copy;
        }
        _ => {
            let mask = any_mask(source, row.len());
            let mask = mask.as_deref();
            let left = pair.check_row_if_going(row, mask)?;
            let saved = everything(&mut pair.decoder);
            match (pair.decoder.decode(row, mask), pair.ended) {
                (Ok(pick), End::No) => {
                    pair.check_pick(&pick)?;
                    prop_assert!(left);
                    pair.ended = pair.naive.end_with(pick.token);
                    let sum = pair.learnt.sum + f64::from(pick.logprob);
                    prop_assert!(same_sum(pick.cumulative_logprob, sum), "{} but {}", pick.cumulative_logprob, sum);
                    let learnt = Learnt { sum, state: state_of(&pair.decoder) };
                    pair.check_mu(&pick)?;
                    pair.push_learnt(pick.token, false, learnt);
                    if source.below(4) > 0 {
                        // In pieces, or whole.
                        let (first, second) = bytes_of(pick.token).split_at(bytes_of(pick.token).len() / 2);
                        pair.push_bytes(first)?;
                        pair.push_bytes(second)?;
                    }
                }
                (Err(error), ended) => {
                    match error {
                        Error::EverythingMasked => prop_assert!(!left && ended == End::No),
                        other => prop_assert!(other == Error::Finished && ended != End::No, "{}", other),
                    }
                    prop_assert_eq!(saved, everything(&mut pair.decoder), "a step that failed changed something");
                }
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            }
        }
    }
    Ok(())
}

fn same_sum(actual: f32, expected: f64) -> bool {
    (actual.is_nan() && expected.is_nan()) || (f64::from(actual) - expected).abs() <= 1e-6 * (1.0 + expected.abs())
}

/// Mostly a few tokens, sometimes all there are.
fn most_undone(pair: &Pair) -> usize {
    if pair.naive.entries.len().is_multiple_of(5) { pair.naive.run().max(1) } else { 7 }
}

impl Pair {
    fn check_row_if_going(&mut self, row: &[f32], mask: Option<&[u32]>) -> Result<bool, TestCaseError> {
        prop_assert_eq!(self.decoder.finish(), finish_of(self.ended));
        if self.ended == End::No { self.check_row(row, mask) } else { Ok(false) }
    }

    /// The loop alone.
    pub fn check_loop(&self, pick: &Pick) {
        let mut next = self.naive.clone();
        next.entries.push(Entry { token: pick.token, prompt: false });
        let expected = next.exact_loop();
        assert_eq!((pick.loop_period, pick.loop_repeats), expected, "{} tokens", next.entries.len());
    }

    /// Mirostat's rule, from what the pick says.
    fn check_mu(&self, pick: &Pick) -> Result<(), TestCaseError> {
        let config = &self.naive.config;
        if config.mirostat != Mirostat::Off {
            let surprise = -f64::from(pick.logprob) / std::f64::consts::LN_2;
            let before = f64::from(f32::from_bits(self.learnt.state.0));
            let expected = before - f64::from(config.mirostat_eta) * (surprise - f64::from(config.mirostat_tau));
            let mu = f64::from(self.decoder.mirostat_mu());
            prop_assert!((mu - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "mu {} but {}", mu, expected);
        }
        Ok(())
    }
}

/// How often something was seen that the test is about.
#[derive(Debug, Default)]
struct Seen {
    repetitions: u32,
    loops: u32,
    recurrences: u32,
    texts: u32,
    learnt: u32,
    nothing_left: u32,
    ends: [u32; 5],
}

/// The law: after any calls both say the same.
#[test]
fn the_engine_is_the_naive_history() {
    use proptest::test_runner::TestRunner;
    let cases = if cfg!(debug_assertions) { 300 } else { 3_000 };
    let mut runner = TestRunner::new(support::laws::config(cases));
    let seen = std::cell::RefCell::new(Seen::default());
    let outcome = runner.run(&any::<u64>(), |seed| {
        let mut source = Source::new(seed);
        let config = any_config(&mut source);
        let vocab = if source.below(16) == 0 { 150 } else { source.pick(&[2usize, 5, 30]) };
        let valid_vocab = if source.below(6) == 0 { 1 + source.below(vocab) as u32 } else { 0 };
        let config = Config { valid_vocab, ..config };
        let mut pair = Pair::new(&config, vocab);
        for _ in 0..3 {
            set_something(&mut pair, &mut source);
        }
        for _ in 0..60 {
            let row: Vec<f32> = (0..vocab).map(|_| (source.normal() * 3.0) as f32).collect();
            one_call(&mut pair, &mut source, &row)?;
            let row: Vec<f32> = (0..vocab).map(|_| (source.normal() * 3.0) as f32).collect();
            let mut seen = seen.borrow_mut();
            seen.ends[ENDS.iter().position(|(end, _)| *end == pair.ended).expect("every end")] += 1;
            seen.texts += u32::from(pair.naive.text_match().1 > 0);
            seen.learnt += u32::from(pair.learnt.state != state_of(&Pair::new(&config, vocab).decoder));
            let left = pair.check_row_if_going(&row, None)?;
            seen.nothing_left += u32::from(!left && pair.ended == End::No);
            if left {
                let pick = pair.decoder.evaluate(&row, None).expect("a valid step");
                pair.check_pick(&pick)?;
                let dry = config.dry_multiplier > 0.0;
                seen.repetitions += u32::from(dry && (0..vocab as u32).any(|t| pair.naive.repetition(t).is_some()));
                seen.loops += u32::from(pick.loop_repeats > 2);
                seen.recurrences += u32::from(pick.loop_score > 0.1);
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let seen = seen.into_inner();
    let counted = [seen.repetitions, seen.loops, seen.recurrences, seen.texts, seen.learnt, seen.nothing_left];
    let few = counted.into_iter().chain(seen.ends).min();
    assert!(few > Some(cases / 10), "something was hardly seen: {seen:?}");
}
