//! Single cases of the history.

use crate::law::Pair;
use crate::support::generators::Source;
use argpick::{Config, Decoder, Error, Finish, Metrics, Pick};

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
            pair.push(token, false);
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
    // Too early to count; and nothing goes on from it.
    assert_eq!(say(&mut decoder, b"END"), (None, 0));
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

/// Strings can be set on a sequence under way, also on one that was loaded without any: its tokens can still be undone.
#[test]
fn stop_strings_set_late_leave_the_way_back() {
    let config = Config::default();
    let mut first = decoder(&config, 9);
    first.accept(&[1, 2, 3, 4]).expect("tokens");
    let mut bytes = vec![0; first.saved_size()];
    first.save(&mut bytes).expect("room");
    let mut loaded = decoder(&config, 9);
    loaded.load(&bytes).expect("a saved decoder");
    for decoder in [&mut first, &mut loaded] {
        decoder.set_stop_strings(&[b"xy"]).expect("stop strings");
        assert_eq!(decoder.push_bytes(b"x").held_back, 1);
        decoder.undo(4).expect("tokens");
        // The text began anew: what came before it is empty.
        assert_eq!(decoder.push_bytes(b"y").stop, None);
    }
}

/// Each way in which nothing can be left answers the same status, and leaves the decoder and the row as they were.
#[test]
fn whatever_masks_everything_says_so_and_changes_nothing() {
    const VOCAB: usize = 4;
    type Setup = fn(&mut Decoder);
    let row = [0.5f32, 1.0, 2.0, -1.0];
    let base = Config { history_capacity: 16, ..Config::default() };
    let said = [0u32, 1, 2, 3];
    let ways: [(&str, Config, Setup, Option<&[u32]>); 10] = [
        ("bans", base.clone(), |decoder| decoder.set_bans(&[0, 1, 2, 3]).expect("bans"), None),
        ("bitmask", base.clone(), |_| {}, Some(&[0xffff_fff0])),
        ("no bitmask words", base.clone(), |_| {}, Some(&[])),
        (
            "biases",
            base.clone(),
            |decoder| decoder.set_bias(&[0, 1, 2, 3].map(|token| (token, f32::NEG_INFINITY))).expect("biases"),
            None,
        ),
        (
            "bad sequences",
            base.clone(),
            |decoder| decoder.set_bad_sequences(&[&[3, 0], &[1], &[2, 3, 2], &[3]]).expect("bad sequences"),
            None,
        ),
        ("n-grams of one", Config { no_repeat_ngram: 1, ..base.clone() }, |_| {}, None),
        ("window", Config { no_repeat_window: 4, ..base.clone() }, |_| {}, None),
        (
            "minimum length, end tokens only",
            Config { min_tokens: 9, ..base.clone() },
            |decoder| decoder.set_end_tokens(&[0, 1, 2, 3]).expect("end tokens"),
            None,
        ),
        (
            "valid vocabulary and bans",
            Config { valid_vocab: 2, ..base.clone() },
            |decoder| decoder.set_bans(&[0, 1]).expect("bans"),
            None,
        ),
        (
            "forced past the bitmask",
            base.clone(),
            |decoder| decoder.set_forced(&[(4, 2)]).expect("forced"),
            Some(&[0b1011]),
        ),
    ];
    for (way, config, set, mask) in ways {
        for mode in [argpick::Mode::Sample, argpick::Mode::Greedy] {
            let mut decoder = decoder(&Config { mode, ..config.clone() }, VOCAB);
            set_up(&mut decoder, &said, set);
            let before = saved(&mut decoder);
            let mut written = row;
            let unwritten = written;
            assert_eq!(decoder.decode(&row, mask), Err(Error::EverythingMasked), "{way}");
            assert_eq!(decoder.evaluate(&row, mask), Err(Error::EverythingMasked), "{way}");
            assert_eq!(decoder.process(&mut written, mask), Err(Error::EverythingMasked), "{way}");
            assert_eq!(decoder.probabilities(&mut written, mask), Err(Error::EverythingMasked), "{way}");
            assert_eq!(decoder.probability_of(&row, mask, 1), Err(Error::EverythingMasked), "{way}");
            assert_eq!(written, unwritten, "{way}: the row");
            assert_eq!(saved(&mut decoder), before, "{way}: the decoder");
            assert_eq!(decoder.finish(), Finish::None, "{way}");
            // With one token more there is a pick again.
            decoder.set_bans(&[]).expect("bans");
            decoder.set_bias(&[]).expect("biases");
            decoder.set_bad_sequences(&[]).expect("bad sequences");
            decoder.set_end_tokens(&[]).expect("end tokens");
            decoder.set_forced(&[]).expect("forced tokens");
            let same = Config { mode, history_capacity: 16, ..Config::default() };
            decoder.reset(Some(&same)).expect("a reset");
            decoder.decode(&row, None).expect("a step");
        }
    }
}

fn set_up(decoder: &mut Decoder, said: &[u32], set: fn(&mut Decoder)) {
    decoder.accept(said).expect("tokens");
    set(decoder);
}

fn saved(decoder: &mut Decoder) -> Vec<u8> {
    let mut bytes = vec![0; decoder.saved_size()];
    decoder.save(&mut bytes).expect("room");
    bytes
}

/// A loop that is broken and taken up again by undo: runs that are longer than what is measured come back whole.
#[test]
fn a_long_loop_survives_undo() {
    for (unit, loop_period) in
        [(&[5u32][..], 4), (&[5, 6], 4), (&[5, 6, 5], 3), (&[5, 5, 6, 7, 8], 6), (&[5, 6, 5, 7], 0)]
    {
        let config = Config {
            history_capacity: 900,
            loop_period,
            metrics: Metrics::LOOP,
            mode: argpick::Mode::Greedy,
            ..Config::default()
        };
        let mut pair = Pair::new(&config, 12);
        let mut source = Source::new(7);
        let mut next = 0;
        for round in 0..700 {
            let token = unit[next % unit.len()];
            next += 1;
            pair.decoder.accept(&[token]).expect("a token");
            pair.push(token, false);
            if round % 11 == 0 {
                // Breaks, one or more, taken back with some of what was before.
                let breaks = 1 + source.below(3);
                pair.decoder.accept(&vec![source.below(12) as u32; breaks]).expect("tokens");
                let more = source.below(pair.naive.entries.len().min(9));
                pair.decoder.undo(breaks + more).expect("tokens");
                pair.naive.entries.truncate(pair.naive.entries.len() - more);
                next -= more;
            }
            for token in [unit[next % unit.len()], 11] {
                let mut row = [0.0; 12];
                row[token as usize] = 9.0;
                let pick = pair.decoder.evaluate(&row, None).expect("a step");
                pair.check_loop(&pick);
            }
        }
        assert!(pair.naive.exact_loop().1 > 50, "{unit:?}");
    }
}
