//! What must be refused is refused: by the right error, naming the lowest place and the value, and without a trace.
//!
//! Every refusal is followed by five steps beside a twin that never saw it; the picks must be the same bits.

mod support;

use argpick::kernels::Kernels;
use argpick::{Config, Decoder, Error, Metrics, Pick, Result, Row, decode_batch};
use half::{bf16, f16};
use support::generators::{self, Shape, Source};
use support::oracle::Settings;
use support::report;

const VOCAB: usize = 1_100;

/// Places where a kernel may look twice or not at all: edges of lanes, blocks and tiles, and the last ones.
const PLACES: [usize; 14] = [0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 1_023, 1_024, VOCAB - 2, VOCAB - 1];

const INVALID: [f32; 3] = [f32::NAN, f32::INFINITY, -f32::NAN];

fn configs() -> Vec<(&'static str, Config)> {
    let base = Settings { seed: 42, temperature: 0.9, no_repeat_window: 3, ..Settings::default() };
    [
        ("full", base.clone()),
        ("greedy", Settings { greedy: true, ..base.clone() }),
        ("top-k", Settings { top_k: 20, ..base.clone() }),
        ("top-p", Settings { top_p: 0.9, ..base.clone() }),
        ("min-p", Settings { min_p: 0.05, ..base }),
    ]
    .map(|(name, settings)| (name, report::config(&settings, Metrics::ALL)))
    .into()
}

fn good_row(seed: u64) -> Vec<f32> {
    generators::row(&mut Source::new(seed), Shape::Normal, VOCAB)
}

/// A decoder in the middle of its work: a prompt, biases, bans and two tokens of history.
fn begun(config: &Config, kernels: Kernels) -> Decoder {
    let mut decoder = Decoder::new_with_kernels(config, VOCAB, kernels).expect("a valid configuration");
    decoder.prompt(&[3, 4]).expect("a prompt");
    decoder.set_bias(&[(5, 1.5), (64, -2.0)]).expect("biases");
    decoder.set_bans(&[7, 1_024]).expect("bans");
    for seed in 0..2 {
        decoder.decode(&good_row(seed), None).expect("a valid row");
    }
    decoder
}

/// The next five picks are those of a twin.
fn assert_unchanged(decoder: &mut Decoder, twin: &mut Decoder, what: &str) {
    assert_eq!(decoder.position(), twin.position(), "{what}: position");
    for step in 0..5 {
        let row = good_row(100 + step);
        let (ours, theirs) =
            (decoder.decode(&row, None).expect("a valid row"), twin.decode(&row, None).expect("a valid row"));
        if let Some(difference) = report::first_difference(&ours, &theirs) {
            panic!("{what}: step {step} afterwards differs from the twin: {difference}");
        }
    }
}

fn assert_invalid(result: Result<Pick>, index: usize, value: f32, what: &str) {
    match result {
        Err(Error::InvalidLogit { index: actual, value: named }) => {
            assert_eq!(actual as usize, index, "{what}: the lowest offending token");
            assert!(named == value || (named.is_nan() && value.is_nan()), "{what}: value {named}, expected {value}");
        }
        other => panic!("{what}: token {index} is {value}, but the answer is {other:?}"),
    }
}

#[test]
fn nan_and_infinity_are_refused_wherever_they_take_part() {
    for kernels in report::levels("nan_and_infinity") {
        let level = kernels.level().name();
        for (name, config) in configs() {
            let mut decoder = begun(&config, kernels);
            for place in PLACES {
                for value in INVALID {
                    let what = format!("{name} on {level}, token {place} is {value}");
                    let mut row = good_row(7);
                    row[place] = value;
                    assert_invalid(decoder.evaluate(&row, None), place, value, &what);
                    assert_invalid(decoder.decode(&row, None), place, value, &what);
                    // A second one further on does not hide the first, whatever it is.
                    row[VOCAB - 1] = if value.is_nan() { f32::INFINITY } else { f32::NAN };
                    if place != VOCAB - 1 {
                        assert_invalid(decoder.evaluate(&row, None), place, value, &what);
                    }
                    let mask = vec![u32::MAX; VOCAB.div_ceil(32)];
                    let expected = row[place];
                    assert_invalid(decoder.evaluate(&row, Some(&mask)), place, expected, &what);
                    // In place: refused, and the row stays as it was.
                    let before: Vec<u32> = row.iter().map(|z| z.to_bits()).collect();
                    let process = decoder.process(&mut row, None);
                    let probabilities = decoder.probabilities(&mut row, None);
                    assert!(process.is_err() && probabilities.is_err(), "{what}");
                    assert!(
                        row.iter().zip(&before).all(|(z, &bits)| z.to_bits() == bits),
                        "{what}: the row was written"
                    );
                }
            }
            assert_unchanged(&mut decoder, &mut begun(&config, kernels), &format!("{name} on {level}"));
        }
    }
}

#[test]
fn half_rows_are_checked_alike() {
    for kernels in report::levels("half_rows") {
        let config = Config::default();
        let mut decoder = Decoder::new_with_kernels(&config, VOCAB, kernels).expect("a decoder");
        for place in PLACES {
            for value in INVALID {
                let mut row = good_row(8);
                row[place] = value;
                let half: Vec<f16> = row.iter().map(|&z| f16::from_f32(z)).collect();
                let brain: Vec<bf16> = row.iter().map(|&z| bf16::from_f32(z)).collect();
                let what = format!("{}, token {place}", kernels.level().name());
                assert_invalid(decoder.evaluate(Row::F16(&half), None), place, value, &format!("f16, {what}"));
                assert_invalid(decoder.evaluate(Row::Bf16(&brain), None), place, value, &format!("bf16, {what}"));
            }
        }
    }
}

/// Excluded by the bitmask or by `valid_vocab`, NaN is nobody's business; at a banned token it is.
#[test]
fn only_what_takes_part_is_checked() {
    for kernels in report::levels("only_what_takes_part") {
        for (name, config) in configs() {
            for place in PLACES {
                let what = format!("{name} on {}, token {place}", kernels.level().name());
                let (mut clean, mut dirty) = (begun(&config, kernels), begun(&config, kernels));
                let mut row = good_row(9);
                let mut mask = vec![u32::MAX; VOCAB.div_ceil(32)];
                mask[place >> 5] &= !(1 << (place & 31));
                let expected = clean.decode(&row, Some(&mask)).expect("a valid row");
                row[place] = f32::NAN;
                let actual =
                    dirty.decode(&row, Some(&mask)).unwrap_or_else(|error| panic!("{what}: masked, but {error}"));
                assert!(report::first_difference(&actual, &expected).is_none(), "{what}: the masked NaN was seen");

                if place > 70 {
                    let config = Config { valid_vocab: place as u32, ..config.clone() };
                    let mut decoder = Decoder::new_with_kernels(&config, VOCAB, kernels).expect("a decoder");
                    let mut tail = good_row(9);
                    tail[place..].fill(f32::INFINITY);
                    decoder.decode(&tail, None).unwrap_or_else(|error| panic!("{what}: past valid_vocab, but {error}"));
                    tail[place - 1] = f32::NAN;
                    assert_invalid(decoder.decode(&tail, None), place - 1, f32::NAN, &what);
                }

                let mut banned = begun(&config, kernels);
                banned.set_bans(&[place as u32]).expect("a ban");
                assert_invalid(banned.decode(&row, None), place, f32::NAN, &format!("{what}, banned"));
            }
        }
    }
}

#[test]
fn an_adjustment_that_overflows_is_the_same_error() {
    for kernels in report::levels("an_adjustment_that_overflows") {
        for (name, config) in configs() {
            for place in PLACES {
                let what = format!("{name} on {}, token {place}", kernels.level().name());
                let fresh = || {
                    let mut decoder = begun(&config, kernels);
                    decoder.set_bias(&[(place as u32, 3.0e38)]).expect("a bias");
                    decoder
                };
                let mut decoder = fresh();
                let mut row = good_row(10);
                row[place] = 2.0e38;
                assert_invalid(decoder.decode(&row, None), place, f32::INFINITY, &what);
                // A bad logit before it comes first, one after it does not.
                if place > 0 {
                    row[place - 1] = f32::NAN;
                    assert_invalid(decoder.decode(&row, None), place - 1, f32::NAN, &what);
                    row[place - 1] = 0.0;
                }
                if place < VOCAB - 1 {
                    row[place + 1] = f32::NAN;
                    assert_invalid(decoder.decode(&row, None), place, f32::INFINITY, &what);
                }
                assert_unchanged(&mut decoder, &mut fresh(), &what);
                // Towards the other side an adjustment masks.
                decoder.set_bias(&[(place as u32, -3.0e38)]).expect("a bias");
                let mut row = good_row(10);
                row[place] = -3.0e38;
                let pick = decoder.evaluate(&row, None).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_ne!(pick.token as usize, place, "{what}");
            }
        }
    }
}

#[test]
fn nothing_left_is_refused() {
    for kernels in report::levels("nothing_left") {
        for (name, config) in configs() {
            let mut decoder = begun(&config, kernels);
            let what = format!("{name} on {}", kernels.level().name());
            let words = VOCAB.div_ceil(32);
            let row = good_row(11);
            let dead = vec![f32::NEG_INFINITY; VOCAB];
            // Only ids past the vocabulary are allowed: nobody.
            let mut past_the_end = vec![0; words + 2];
            past_the_end[words] = u32::MAX;
            past_the_end[VOCAB >> 5] |= !0 << (VOCAB & 31);
            let mut only_the_banned = vec![0; words];
            only_the_banned[7 >> 5] = 1 << 7;
            type Attempt<'a> = (&'a str, &'a [f32], Option<&'a [u32]>);
            let attempts: [Attempt<'_>; 6] = [
                ("a row of -inf", &dead, None),
                ("an empty mask", &row, Some(&[])),
                ("a mask of zeros", &row, Some(&[0])),
                ("ids past the vocabulary", &row, Some(&past_the_end)),
                ("only a banned token", &row, Some(&only_the_banned)),
                ("-inf where allowed", &dead, Some(&[u32::MAX])),
            ];
            for (kind, row, mask) in attempts {
                let mut scratch = row.to_vec();
                for answer in [
                    decoder.evaluate(row, mask).err(),
                    decoder.decode(row, mask).err(),
                    decoder.process(&mut scratch, mask).err(),
                    decoder.probabilities(&mut scratch, mask).err(),
                ] {
                    assert_eq!(answer, Some(Error::EverythingMasked), "{what}: {kind}");
                }
                assert!(report::first_row_difference(&scratch, row).is_none(), "{what}: {kind} was written to");
            }
            assert_unchanged(&mut decoder, &mut begun(&config, kernels), &what);
        }
    }
}

#[test]
fn the_no_repeat_window_may_leave_nothing() {
    let config = Config { no_repeat_window: 3, ..Config::default() };
    let mut decoder = Decoder::new(&config, 3).expect("a decoder");
    let row = [0.5f32, 0.25, 0.0];
    let mut seen: Vec<u32> = (0..3).map(|_| decoder.decode(&row, None).expect("a token is left").token).collect();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2], "each token once");
    assert_eq!(decoder.decode(&row, None), Err(Error::EverythingMasked));
    decoder.undo(1).expect("a token to undo");
    assert!(decoder.decode(&row, None).is_ok());
}

#[test]
fn wrong_lengths_are_refused() {
    let config = Config::default();
    let kernels = Kernels::detect().expect("a level");
    let mut decoder = begun(&config, kernels);
    for length in [0, 1, VOCAB - 1, VOCAB + 1] {
        let mut row = vec![0.0; length];
        let expected = |result: Option<Error>| match result {
            Some(Error::WrongLength { expected, actual, .. }) => assert_eq!((expected, actual), (VOCAB, length)),
            other => panic!("a row of {length}: {other:?}"),
        };
        expected(decoder.decode(&row[..], None).err());
        expected(decoder.evaluate(&row[..], None).err());
        expected(decoder.process(&mut row, None).err());
        expected(decoder.probabilities(&mut row, None).err());
    }
    assert_unchanged(&mut decoder, &mut begun(&config, kernels), "wrong lengths");

    let row = good_row(1);
    let mut decoders = vec![begun(&config, kernels), begun(&config, kernels)];
    let blank = || vec![Err(Error::EverythingMasked); 2];
    let mut results: Vec<Result<Pick>> = blank();
    let rows = [Row::from(&row), Row::from(&row)];
    for (rows, masks, count) in
        [(&rows[..1], &[None, None][..], 2), (&rows[..], &[None][..], 2), (&rows[..], &[None, None][..], 1)]
    {
        let answer = decode_batch(&mut decoders, rows, masks, &mut results[..count]);
        assert!(matches!(answer, Err(Error::WrongLength { .. })), "{answer:?}");
        assert_eq!(results, blank(), "nothing was written");
    }
    for decoder in &mut decoders {
        assert_unchanged(decoder, &mut begun(&config, kernels), "a batch of wrong lengths");
    }
}

/// One bad row of a batch is its own affair.
#[test]
fn a_bad_row_does_not_spoil_its_batch() {
    let kernels = Kernels::detect().expect("a level");
    let config = Config { seed: 5, metrics: Metrics::ALL, ..Config::default() };
    let (good, mut bad) = (good_row(3), good_row(4));
    bad[65] = f32::INFINITY;
    let mut decoders: Vec<Decoder> = (0..3).map(|_| begun(&config, kernels)).collect();
    let mut results = vec![Err(Error::EverythingMasked); 3];
    let rows = [Row::from(&good), Row::from(&bad), Row::from(&good)];
    decode_batch(&mut decoders, &rows, &[None, None, None], &mut results).expect("lengths agree");
    let expected = begun(&config, kernels).decode(&good, None).expect("a valid row");
    assert_eq!(results[1], Err(Error::InvalidLogit { index: 65, value: f32::INFINITY }));
    for i in [0, 2] {
        assert!(report::first_difference(results[i].as_ref().expect("a valid row"), &expected).is_none());
    }
    assert_unchanged(&mut decoders[1], &mut begun(&config, kernels), "the row with the infinity");
}

#[test]
fn parameters_outside_their_range_are_named() {
    let base = Config::default();
    let over = VOCAB as u32 + 1;
    let attempts: Vec<(&str, f64, Config)> = vec![
        ("temperature", -1.0, Config { temperature: -1.0, ..base.clone() }),
        ("temperature", f64::NAN, Config { temperature: f32::NAN, ..base.clone() }),
        ("temperature", f64::INFINITY, Config { temperature: f32::INFINITY, ..base.clone() }),
        ("top_p", -0.5, Config { top_p: -0.5, ..base.clone() }),
        ("top_p", 1.5, Config { top_p: 1.5, ..base.clone() }),
        ("top_p", f64::NAN, Config { top_p: f32::NAN, ..base.clone() }),
        ("min_p", -0.25, Config { min_p: -0.25, ..base.clone() }),
        ("min_p", 1.25, Config { min_p: 1.25, ..base.clone() }),
        ("min_p", f64::NAN, Config { min_p: f32::NAN, ..base.clone() }),
        ("valid_vocab", f64::from(over), Config { valid_vocab: over, ..base.clone() }),
        ("no_repeat_window", 5.0, Config { no_repeat_window: 5, history_capacity: 4, ..base.clone() }),
        ("history_capacity", f64::from(u32::MAX), Config { history_capacity: u32::MAX, ..base.clone() }),
        ("adjustment_capacity", f64::from(u32::MAX), Config { adjustment_capacity: u32::MAX, ..base.clone() }),
    ];
    let kernels = Kernels::detect().expect("a level");
    let mut decoder = begun(&base, kernels);
    for (parameter, value, config) in attempts {
        let answers = [
            Decoder::new(&config, VOCAB).err(),
            Decoder::<Box<[u64]>>::storage_words(&config, VOCAB).err(),
            decoder.reset(Some(&config)).err(),
        ];
        for answer in answers {
            let Some(Error::InvalidParameter { name, value: named }) = answer else {
                panic!("{parameter} {value}: {answer:?}")
            };
            assert_eq!(name, parameter);
            assert!(named == value || (named.is_nan() && value.is_nan()), "{parameter}: {named}, expected {value}");
            let message = Error::InvalidParameter { name, value: named }.to_string();
            assert!(message.contains(parameter) && message.contains(&value.to_string()), "{message}");
        }
    }
    assert_unchanged(&mut decoder, &mut begun(&base, kernels), "refused configurations");
    for vocab in [0, argpick::MAX_VOCAB + 1] {
        let answer = Decoder::new(&base, vocab).err();
        assert!(matches!(answer, Some(Error::InvalidParameter { value, .. }) if value == vocab as f64), "{answer:?}");
    }
    assert!(Decoder::new(&Config { history_capacity: 16, ..base }, argpick::MAX_VOCAB).is_ok());
}

#[test]
fn lists_are_taken_whole_or_not_at_all() {
    let config = Config { adjustment_capacity: 4, seed: 1, ..Config::default() };
    let kernels = Kernels::detect().expect("a level");
    let (mut decoder, mut twin) = (begun(&config, kernels), begun(&config, kernels));
    let outside = VOCAB as u32;
    for answer in [
        decoder.accept(&[1, 2, outside]),
        decoder.prompt(&[1, outside, 2]),
        decoder.set_bans(&[1, outside]),
        decoder.set_bias(&[(1, 5.0), (outside, 1.0)]),
    ] {
        assert_eq!(answer, Err(Error::TokenOutOfRange { token: outside, vocab: VOCAB }));
    }
    for bias in [f32::NAN, f32::INFINITY] {
        let answer = decoder.set_bias(&[(1, 9.0), (2, bias)]);
        assert!(matches!(answer, Err(Error::InvalidParameter { name: "bias", .. })), "{answer:?}");
    }
    assert_eq!(decoder.set_bias(&[(3, 1.0), (2, 0.0), (3, 2.0)]), Err(Error::DuplicateToken { token: 3 }));
    for answer in [decoder.set_bans(&[0, 1, 2, 3, 4]), decoder.set_bias(&[0, 1, 2, 3, 4].map(|token| (token, 0.5)))] {
        let expected = |what| Err(Error::CapacityExceeded { what, capacity: 4, actual: 5 });
        assert!(answer == expected("bans") || answer == expected("biases"), "{answer:?}");
    }
    let count = 1_000_000;
    assert!(matches!(decoder.undo(count), Err(Error::UndoTooFar { requested, available: 2 }) if requested == count));
    assert_unchanged(&mut decoder, &mut twin, "refused lists");
    // Empty lists take everything back.
    decoder.set_bans(&[]).expect("no bans");
    decoder.set_bias(&[]).expect("no biases");
    decoder.accept(&[]).expect("nothing");
    decoder.undo(0).expect("nothing");
    assert_eq!(decoder.position(), twin.position());
}

#[test]
fn too_little_memory_is_refused() {
    let config = Config { top_k: 40, ..Config::default() };
    let kernels = Kernels::detect().expect("a level");
    let words = Decoder::<Box<[u64]>>::storage_words(&config, VOCAB).expect("a size");
    let mut storage = vec![u64::MAX; words];
    let answer = Decoder::new_in(&config, VOCAB, kernels, &mut storage[1..]).err();
    assert_eq!(answer, Some(Error::StorageTooSmall { expected: words, actual: words - 1 }));
    // Whatever the memory contains, it is as good as new; one word in is as good as aligned.
    let row = good_row(5);
    let expected = Decoder::new(&config, VOCAB).expect("a decoder").decode(&row, None).expect("a valid row");
    let mut longer = vec![0xDEAD_BEEF_DEAD_BEEFu64; words + 1];
    for memory in [&mut storage[..], &mut longer[1..]] {
        let mut decoder = Decoder::new_in(&config, VOCAB, kernels, memory).expect("enough memory");
        let pick = decoder.decode(&row, None).expect("a valid row");
        assert!(report::first_difference(&pick, &expected).is_none());
    }
}

#[test]
fn after_the_last_token_decoding_is_refused() {
    let config = Config { max_tokens: 3, seed: 2, metrics: Metrics::ALL, ..Config::default() };
    let mut decoder = Decoder::new(&config, VOCAB).expect("a decoder");
    decoder.prompt(&[1, 2, 3, 4]).expect("a prompt");
    let row = good_row(6);
    let finishes: Vec<_> = (0..3).map(|_| decoder.decode(&row, None).expect("a token").finish).collect();
    use argpick::Finish;
    assert_eq!(finishes, [Finish::None, Finish::None, Finish::Length]);
    assert_eq!(decoder.decode(&row, None), Err(Error::Finished));
    assert_eq!(decoder.evaluate(&row, None), Err(Error::Finished));
    assert_eq!(decoder.accept(&[1]), Err(Error::Finished));
    assert_eq!(decoder.position(), 3);
    decoder.undo(1).expect("a token to undo");
    assert_eq!(decoder.accept(&[1, 2]), Err(Error::Finished), "all of them or none");
    assert_eq!(decoder.decode(&row, None).expect("one more").finish, Finish::Length);
    decoder.reset(None).expect("a reset");
    assert!(decoder.decode(&row, None).is_ok());
}

#[test]
fn softmax_refuses_like_a_step() {
    for place in [0, 17, 64, 99] {
        for value in INVALID {
            let mut row = vec![0.5; 100];
            row[place] = value;
            match argpick::softmax(&mut row, 1.0) {
                Err(Error::InvalidLogit { index, value: named }) => {
                    assert_eq!(index as usize, place);
                    assert!(named == value || (named.is_nan() && value.is_nan()));
                }
                other => panic!("token {place} is {value}: {other:?}"),
            }
            assert!(row.iter().enumerate().all(|(i, &z)| i == place || z == 0.5), "the row was written");
        }
    }
    assert_eq!(argpick::softmax(&mut [f32::NEG_INFINITY; 70], 1.0), Err(Error::EverythingMasked));
    for temperature in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let answer = argpick::softmax(&mut [1.0, 2.0], temperature);
        assert!(matches!(answer, Err(Error::InvalidParameter { name: "temperature", .. })), "{answer:?}");
    }
}

/// Lists are taken whole or not at all, and what is wrong is named.
#[test]
fn lists_are_set_whole_or_not_at_all() {
    for (name, config) in configs() {
        let config = Config { sequence_capacity: 8, dry_multiplier: 0.5, ..config };
        let mut decoder = begun(&config, Kernels::detect().expect("kernels"));
        let set = |decoder: &mut Decoder| {
            decoder.set_end_tokens(&[1_000]).expect("an end token");
            decoder.set_stops(&[&[900, 901]]).expect("a stop");
            decoder.set_bad_sequences(&[&[3, 4]]).expect("a bad sequence");
            decoder.set_sequence_bias(&[(&[6], 2.0)]).expect("a biased sequence");
            decoder.set_breakers(&[&[8]]).expect("a breaker");
            decoder.set_forced(&[(4, 17)]).expect("a forced token");
            decoder.set_stop_strings(&[b"stop"]).expect("a stop string");
        };
        set(&mut decoder);
        let outside = Error::TokenOutOfRange { token: VOCAB as u32, vocab: VOCAB };
        let full = |what| Error::CapacityExceeded { what, capacity: 8, actual: 9 };
        let empty = Error::InvalidParameter { name: "sequence_length", value: 0.0 };
        let bad = VOCAB as u32;
        assert_eq!(decoder.set_end_tokens(&[1, bad]), Err(outside), "{name}");
        assert_eq!(decoder.set_end_tokens(&[1; 9]), Err(full("end_tokens")));
        assert_eq!(decoder.set_stops(&[&[1], &[2, bad]]), Err(outside));
        assert_eq!(decoder.set_stops(&[&[1; 4], &[2; 5]]), Err(full("stops")));
        assert_eq!(decoder.set_stops(&[&[1], &[]]), Err(empty));
        assert_eq!(decoder.set_breakers(&[&[1; 9]]), Err(full("breakers")));
        assert_eq!(decoder.set_bad_sequences(&[&[bad]]), Err(outside));
        assert_eq!(decoder.set_bad_sequences(&[&[1; 9]]), Err(full("bad_sequences")));
        assert_eq!(decoder.set_sequence_bias(&[(&[1; 9], 0.0)]), Err(full("sequence_bias")));
        for bias in [f32::NAN, f32::INFINITY] {
            let answer = decoder.set_sequence_bias(&[(&[1], 0.0), (&[2], bias)]);
            assert!(matches!(answer, Err(Error::InvalidParameter { name: "bias", .. })), "{answer:?}");
        }
        assert_eq!(decoder.set_forced(&[(0, 1), (1, bad)]), Err(outside));
        let twice = Error::InvalidParameter { name: "forced_position", value: 7.0 };
        assert_eq!(decoder.set_forced(&[(7, 1), (7, 2)]), Err(twice));
        assert_eq!(decoder.set_forced(&[(1, 1); 9]).map_err(|error| error.status()), Err(full("forced").status()));
        assert_eq!(decoder.set_stop_strings(&[b"123456789"]), Err(full("stop_strings")));
        assert_eq!(decoder.set_stop_strings(&[b"1", b""]), Err(empty));
        let smaller = Config { sequence_capacity: 1, ..config.clone() };
        assert!(matches!(decoder.reset(Some(&smaller)), Err(Error::CapacityExceeded { what: "stops", .. })));
        assert_eq!(decoder.accept(&[1, 1_000, 2]), Err(Error::Finished), "an end token in the middle");
        assert_eq!(decoder.accept(&[900, 901, 2]), Err(Error::Finished), "a stop in the middle");
        let mut twin = begun(&config, Kernels::detect().expect("kernels"));
        set(&mut twin);
        assert_unchanged(&mut decoder, &mut twin, name);
    }
}

/// What an adjustment makes of a logit is checked like the logit: the lowest token, and the value it became.
#[test]
fn adjustments_that_leave_the_numbers_are_refused() {
    let kernels = Kernels::detect().expect("kernels");
    let mut row = good_row(3);
    (row[40], row[50]) = (-3e38, 3e38);
    let config = Config { repetition_penalty: 0.5, history_capacity: 8, ..Config::default() };
    let mut decoder = Decoder::new_with_kernels(&config, VOCAB, kernels).expect("a decoder");
    decoder.accept(&[50, 60]).expect("tokens");
    assert_invalid(decoder.evaluate(&row, None), 50, f32::INFINITY, "3e38 / 0.5");
    decoder.set_bans(&[50]).expect("a ban");
    assert_invalid(decoder.evaluate(&row, None), 50, f32::INFINITY, "banned all the same");
    row[60] = f32::NAN;
    row[50] = 1.0;
    assert_invalid(decoder.evaluate(&row, None), 60, f32::NAN, "NaN in the history");
    row[60] = 0.0;
    // -inf is masked, also where an adjustment leads there.
    let config = Config { repetition_penalty: 9.0, ..config };
    decoder.reset(Some(&config)).expect("room");
    decoder.accept(&[40]).expect("a token");
    let pick = decoder.evaluate(&row, None).expect("a valid step");
    let mut processed = row.clone();
    decoder.process(&mut processed, None).expect("a valid step");
    assert!(processed[40] == f32::NEG_INFINITY && pick.token != 40);
    // An end token rises to the largest number and no further.
    let config = Config { length_decay_factor: 3.0, length_decay_start: 0, ..Config::default() };
    let mut decoder = Decoder::new_with_kernels(&config, VOCAB, kernels).expect("a decoder");
    decoder.set_end_tokens(&[5]).expect("an end token");
    decoder.accept(&vec![1; 2_000]).expect("tokens");
    row[5] = 2.0;
    let pick = decoder.evaluate(&row, None).expect("a valid step");
    assert_eq!((pick.token, pick.finish), (5, argpick::Finish::EndToken));
}
