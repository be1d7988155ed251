//! The history engine against a naive one that looks at everything again: after any sequence of calls the adjusted row,
//! the end, the loop and the recurrence are the same.

mod support;

use argpick::{Config, Decoder, Error, Finish, Kernels, Metrics, Mode, PenaltyScope, Pick, Profile};
use proptest::prelude::{TestCaseError, any, prop_assert, prop_assert_eq};
use support::generators::Source;
use support::history_oracle::{End, Entry, Naive};

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
struct Pair {
    decoder: Decoder,
    naive: Naive,
    ended: End,
    /// The running sum before each recorded token.
    sums: Vec<f64>,
    sum: f64,
}

impl Pair {
    fn new(config: &Config, vocab: usize) -> Pair {
        let kernels = Kernels::detect().expect("kernels");
        let decoder = Decoder::new_with_kernels(config, vocab, kernels).expect("a valid configuration");
        Pair { decoder, naive: Naive::new(config, vocab), ended: End::No, sums: Vec::new(), sum: 0.0 }
    }

    fn push(&mut self, token: u32, prompt: bool, sum: f64) {
        self.naive.entries.push(Entry { token, prompt });
        self.sums.push(self.sum);
        self.sum = sum;
    }

    /// The row after adjustments, as both have it; with nothing left, as both say.
    fn check_row(&mut self, row: &[f32]) -> Result<bool, TestCaseError> {
        self.check_history()?;
        let expected = self.naive.adjust(row);
        let mut actual = row.to_vec();
        // In greedy mode `process` keeps the argmax only: the same decoder, asked as if it drew.
        let mut drawing = self.decoder.clone();
        let config = Config { mode: Mode::Sample, ..self.decoder.config().clone() };
        let mut bytes = vec![0; drawing.saved_size()];
        drawing.save(&mut bytes).expect("room");
        patch_mode(&mut bytes, &config);
        drawing.load(&bytes).expect("a saved decoder");
        match drawing.process(&mut actual, None) {
            Err(Error::EverythingMasked) => {
                prop_assert!(
                    expected.iter().all(|logit| logit.value == f64::NEG_INFINITY),
                    "nothing left: {:?}",
                    expected
                );
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
    match source.below(8) {
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

fn one_call(pair: &mut Pair, source: &mut Source, row: &[f32]) -> Result<(), TestCaseError> {
    match source.below(12) {
        0 => {
            let tokens: Vec<u32> = (0..source.below(6)).map(|_| any_token(source, &pair.naive)).collect();
            pair.decoder.prompt(&tokens).expect("tokens of the vocabulary");
            tokens.iter().for_each(|&token| pair.push(token, true, pair.sum));
            let max = u64::from(pair.naive.config.max_tokens);
            if !tokens.is_empty() {
                pair.ended = if max != 0 && pair.naive.generated() >= max { End::Length } else { End::No };
            }
        }
        1..=4 => {
            let tokens: Vec<u32> = (0..source.below(5)).map(|_| any_token(source, &pair.naive)).collect();
            let before = pair.naive.clone();
            let answer = pair.decoder.accept(&tokens);
            let mut end = pair.ended;
            for (i, &token) in tokens.iter().enumerate() {
                // A loop is judged at the last token only.
                let stopped = end != End::No && !(end == End::Loop && i > 0);
                if stopped {
                    prop_assert_eq!(answer, Err(Error::Finished));
                    pair.naive = before;
                    pair.sums.truncate(pair.naive.entries.len());
                    return Ok(());
                }
                end = pair.naive.end_with(token);
                pair.naive.entries.push(Entry { token, prompt: false });
            }
            prop_assert_eq!(answer, Ok(()), "{:?} after {:?}", tokens, before.entries);
            pair.naive = before;
            for &token in &tokens {
                pair.push(token, false, f64::NAN);
            }
            pair.ended = end;
        }
        5 | 6 => {
            let count = 1 + source.below(7);
            let run = pair.naive.run();
            match pair.decoder.undo(count) {
                Ok(()) => {
                    prop_assert!(count <= run, "{} of {}", count, run);
                    let left = pair.naive.entries.len() - count;
                    pair.naive.entries.truncate(left);
                    pair.sum = pair.sums[left];
                    pair.sums.truncate(left);
                    pair.ended = End::No;
                }
                Err(Error::UndoTooFar { requested, available }) => {
                    let recorded = pair.naive.entries.len();
                    prop_assert!(requested == count && available < count && available <= run);
                    // Only a history that was filled further than it holds may say so of tokens of the run.
                    prop_assert!(available == run || recorded > pair.naive.capacity(), "{} of {}", available, run);
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
        9 => {
            let words = Decoder::<Vec<u64>>::storage_words(pair.decoder.config(), pair.naive.vocab).expect("a size");
            let copy = pair.decoder.copy_in(vec![u64::MAX; words].into_boxed_slice()).expect("enough memory");
            pair.decoder = copy;
        }
        _ => {
            let left = pair.check_row_if_going(row)?;
            match (pair.decoder.decode(row, None), pair.ended) {
                (Ok(pick), End::No) => {
                    pair.check_pick(&pick)?;
                    prop_assert!(left);
                    pair.ended = pair.naive.end_with(pick.token);
                    let sum = pair.sum + f64::from(pick.logprob);
                    prop_assert!(same_sum(pick.cumulative_logprob, sum), "{} but {}", pick.cumulative_logprob, sum);
                    pair.push(pick.token, false, sum);
                }
                (Err(Error::EverythingMasked), End::No) => prop_assert!(!left),
                (Err(Error::Finished), ended) => prop_assert!(ended != End::No),
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            }
        }
    }
    Ok(())
}

fn same_sum(actual: f32, expected: f64) -> bool {
    (actual.is_nan() && expected.is_nan()) || (f64::from(actual) - expected).abs() <= 1e-6 * (1.0 + expected.abs())
}

impl Pair {
    fn check_row_if_going(&mut self, row: &[f32]) -> Result<bool, TestCaseError> {
        prop_assert_eq!(self.decoder.finish(), finish_of(self.ended));
        if self.ended == End::No { self.check_row(row) } else { Ok(false) }
    }
}

/// How often something was seen that the test is about.
#[derive(Debug, Default)]
struct Seen {
    repetitions: u32,
    loops: u32,
    recurrences: u32,
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
        let vocab = source.pick(&[2usize, 5, 30]);
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
            if pair.check_row_if_going(&row)? {
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
    let few = [seen.repetitions, seen.loops, seen.recurrences].into_iter().chain(seen.ends).min();
    assert!(few > Some(cases / 10), "something was hardly seen: {seen:?}");
}

fn decoder(config: &Config, vocab: usize) -> Decoder {
    Decoder::new(config, vocab).expect("a valid configuration")
}

/// Where a history repeats itself without end, DRY takes the lengths from one pass; the answer must not change.
#[test]
fn dry_does_not_mind_a_history_that_repeats_itself() {
    for (allowed, base, period) in [(1, 1.05f32, 1), (2, 1.02, 2), (2, 1.0, 3), (5, 1.75, 1), (0, 1.05, 4)] {
        let config = Config { dry_multiplier: 0.5, dry_base: base, dry_allowed_length: allowed, ..Config::default() };
        let mut pair = Pair::new(&config, 6);
        let mut source = Source::new(u64::from(allowed));
        for i in 0..500u32 {
            let token = if source.below(90) == 0 { 5 } else { i % period };
            pair.decoder.accept(&[token]).expect("a token");
            pair.push(token, false, f64::NAN);
            if i % 7 == 0 {
                let row = [1.0, 2.0, 3.0, -1.0, 0.5, 0.0];
                let expected = pair.naive.adjust(&row);
                let mut actual = row;
                pair.decoder.process(&mut actual, None).expect("a valid row");
                for (actual, expected) in actual.iter().zip(expected) {
                    let difference = (f64::from(*actual) - expected.value).abs();
                    assert!(difference <= 1e-6 * expected.magnitude + 1e-6, "{i}: {actual} but {expected:?}");
                }
            }
        }
    }
}

/// Long after the ring has turned over, 1,024 tokens can be taken back, and one more cannot.
#[test]
fn a_thousand_tokens_can_always_be_undone() {
    let config = Config { frequency_penalty: 0.5, no_repeat_ngram: 3, history_capacity: 2_000, ..Config::default() };
    let mut one = decoder(&config, 50);
    let mut other = decoder(&config, 50);
    let mut source = Source::new(3);
    let tokens: Vec<u32> = (0..9_000).map(|_| source.below(50) as u32).collect();
    one.accept(&tokens).expect("tokens");
    assert_eq!(one.undo(1_025), Err(Error::UndoTooFar { requested: 1_025, available: 1_024 }));
    one.undo(1_024).expect("tokens to undo");
    other.accept(&tokens[..9_000 - 1_024]).expect("tokens");
    let row: Vec<f32> = (0..50).map(|_| source.normal() as f32).collect();
    let (mut first, mut second) = (row.clone(), row.clone());
    one.process(&mut first, None).expect("a step");
    other.process(&mut second, None).expect("a step");
    assert_eq!(first, second);
    assert_ne!(first, row);
}

/// What mirostat has learnt comes back with the token; what was accepted teaches it nothing.
#[test]
fn the_state_of_mirostat_is_undone_and_saved() {
    for mirostat in [argpick::Mirostat::One, argpick::Mirostat::Two] {
        let config = Config { mirostat, mirostat_tau: 3.0, metrics: Metrics::ALL, seed: 5, ..Config::default() };
        let mut one = decoder(&config, 60);
        let mut source = Source::new(9);
        let rows: Vec<Vec<f32>> = (0..12).map(|_| (0..60).map(|_| (source.normal() * 3.0) as f32).collect()).collect();
        let bits = |pick: &Pick| (pick.token, pick.kept, pick.logprob.to_bits(), pick.cumulative_logprob.to_bits());
        let first: Vec<_> = rows.iter().map(|row| bits(&one.decode(row, None).expect("a step"))).collect();
        one.undo(7).expect("tokens to undo");
        let mut bytes = vec![0; one.saved_size()];
        one.save(&mut bytes).expect("room");
        let mut loaded = decoder(&config, 60);
        loaded.load(&bytes).expect("a saved decoder");
        loaded.undo(2).expect("tokens to undo");
        one.undo(2).expect("tokens to undo");
        for decoder in [&mut one, &mut loaded] {
            let again: Vec<_> = rows[3..].iter().map(|row| bits(&decoder.decode(row, None).expect("a step"))).collect();
            assert_eq!(again, first[3..]);
        }
        one.undo(4).expect("tokens to undo");
        let position = one.position();
        let before = one.evaluate(&rows[0], None).expect("a step");
        one.accept(&[1, 2]).expect("tokens");
        one.seek(position);
        let after = one.evaluate(&rows[0], None).expect("a step");
        assert_eq!((before.token, before.kept), (after.token, after.kept), "accepted tokens teach nothing");
        assert!(after.cumulative_logprob.is_nan());
        one.undo(1).expect("a token");
        assert!(one.evaluate(&rows[0], None).expect("a step").cumulative_logprob.is_nan());
        one.undo(1).expect("a token");
        one.seek(position);
        let pick = one.evaluate(&rows[0], None).expect("a step");
        assert_eq!(pick.cumulative_logprob.to_bits(), before.cumulative_logprob.to_bits());
    }
}

#[test]
fn stop_strings_end_a_sequence_and_are_undone() {
    let config = Config { min_tokens: 2, ..Config::default() };
    let mut decoder = decoder(&config, 9);
    decoder.set_stop_strings(&[b"\n\nHuman:", b"END", b"\n\nHu"]).expect("stop strings");
    let say = |decoder: &mut Decoder, bytes: &[u8]| {
        decoder.accept(&[1]).expect("a token");
        let found = decoder.push_bytes(bytes);
        (found.stop, found.held_back)
    };
    // Too early to count.
    assert_eq!(say(&mut decoder, b"END"), (None, 3));
    assert_eq!(say(&mut decoder, b" well\n"), (None, 1));
    assert_eq!(say(&mut decoder, b"\nH"), (None, 3));
    assert_eq!(decoder.finish(), Finish::None);
    assert_eq!(say(&mut decoder, b"umble"), (Some(2), 4 + 4 - 1 + 1));
    assert_eq!(decoder.finish(), Finish::Stop);
    assert_eq!(decoder.accept(&[1]), Err(Error::Finished));
    decoder.undo(1).expect("a token");
    assert_eq!(decoder.finish(), Finish::None);
    assert_eq!(say(&mut decoder, b"x"), (None, 0));
    decoder.undo(3).expect("tokens");
    let mut bytes = vec![0; decoder.saved_size()];
    decoder.save(&mut bytes).expect("room");
    assert_eq!(say(&mut decoder, b"..EN"), (None, 2));
    assert_eq!(say(&mut decoder, b"D and more"), (Some(1), 12));
    decoder.load(&bytes).expect("a saved decoder");
    assert_eq!(say(&mut decoder, b"\n\nHuman"), (Some(2), 7));
    // In the middle of a match, and back to before it.
    decoder.undo(1).expect("a token");
    assert_eq!(say(&mut decoder, b"E"), (None, 1));
    let mut bytes = vec![0; decoder.saved_size()];
    decoder.save(&mut bytes).expect("room");
    let mut loaded = Decoder::new(&config, 9).expect("a decoder");
    loaded.load(&bytes).expect("a saved decoder");
    assert_eq!(say(&mut loaded, b"ND"), (Some(1), 3));
    loaded.undo(2).expect("tokens");
    assert_eq!(say(&mut loaded, b"ND"), (None, 0));
}

/// A saved decoder that was damaged is refused, or is one that works; it never breaks anything.
#[test]
fn damaged_states_are_refused_or_harmless() {
    let config = Config {
        repetition_penalty: 1.2,
        dry_multiplier: 0.8,
        no_repeat_ngram: 3,
        metrics: Metrics::LOOP | Metrics::LOGPROB,
        history_capacity: 12,
        sequence_capacity: 32,
        adjustment_capacity: 8,
        ..Config::default()
    };
    let mut original = decoder(&config, 20);
    original.set_bias(&[(3, 1.0)]).expect("a bias");
    original.set_end_tokens(&[19, 2]).expect("end tokens");
    original.set_stops(&[&[1, 2], &[5]]).expect("stops");
    original.set_breakers(&[&[4], &[6, 7]]).expect("breakers");
    original.set_bad_sequences(&[&[8, 9, 10], &[11]]).expect("bad sequences");
    original.set_sequence_bias(&[(&[1, 1], 0.5)]).expect("biased sequences");
    original.set_forced(&[(40, 3)]).expect("forced tokens");
    original.set_stop_strings(&[b"abc", b"bd"]).expect("stop strings");
    original.prompt(&[0, 1, 0]).expect("a prompt");
    for i in 0..30u32 {
        original.accept(&[[0, 1, 3][i as usize % 3]]).expect("a token");
        original.push_bytes(b"ab");
    }
    let mut bytes = vec![0; original.saved_size()];
    original.save(&mut bytes).expect("room");
    let row: Vec<f32> = (0..20).map(|i| i as f32 / 7.0).collect();
    let mut source = Source::new(11);
    let (mut refused, mut loaded) = (0, 0);
    let mut target = decoder(&config, 20);
    for round in 0..40_000 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + source.below(3) {
            let at = source.below(damaged.len());
            damaged[at] =
                if source.below(2) == 0 { damaged[at] ^ (1 << source.below(8)) } else { source.below(256) as u8 };
        }
        if round % 16 == 0 {
            damaged.truncate(source.below(damaged.len()));
        }
        match target.load(&damaged) {
            Ok(()) => {
                loaded += 1;
                // Whatever it is now, it answers.
                let _ = target.decode(&row, None);
                target.push_bytes(b"abcabd");
                let _ = target.undo(1);
                let _ = target.accept(&[1, 2, 3]);
                let _ = target.undo(9);
                let _ = target.evaluate(&row, None);
            }
            Err(Error::BadState { .. } | Error::InvalidParameter { .. } | Error::StorageTooSmall { .. }) => {
                refused += 1
            }
            Err(Error::NotInProfile { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 1_000 && loaded > 1_000, "{refused} refused, {loaded} loaded");
}
