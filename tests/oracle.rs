//! The library against two judges on thousands of random steps, on every kernel level.
//!
//! Values (metrics, probabilities) are compared with real arithmetic; tokens, ranks and kept counts must be exactly
//! what the integer rules give; and every level must answer with the same bits.

mod support;

use argpick::{Error, Metrics, Pick, kernels, numeric};
use support::exact::{self, Exact, Path};
use support::generators::{self, LENGTHS, MASKS, SHAPES, Shape, Source};
use support::oracle::{self, Case, Reality, Refusal};
use support::report::{self, close};

/// The library's refusal as the judge would put it.
fn same_refusal(error: &Error, refusal: &Refusal) -> bool {
    match (error, refusal) {
        (Error::InvalidLogit { index, value }, Refusal::InvalidLogit { index: i, value: v }) => {
            index == i && (value == v || (value.is_nan() && v.is_nan()))
        }
        (Error::EverythingMasked, Refusal::EverythingMasked) => true,
        _ => false,
    }
}

/// Compares a pick with both judges; an answer is the first disagreement in words.
fn disagreement(case: &Case, pick: &Pick, exact: &Exact, reality: &Reality) -> Option<String> {
    let temperature = case.settings.metric_temperature();
    let kept = pick.kept as usize;
    for (name, actual, expected) in [
        ("token", pick.token, exact.token),
        ("argmax", pick.argmax, exact.argmax),
        ("rank", pick.rank, exact.rank),
        ("kept", pick.kept, exact.kept),
    ] {
        if actual != expected {
            return Some(format!("{name} is {actual}, by the integer rules {expected} ({:?})", exact.path));
        }
    }
    if pick.argmax != reality.argmax() {
        return Some(format!("argmax is {}, in real arithmetic {}", pick.argmax, reality.argmax()));
    }
    if kept < reality.kept.0 || kept > reality.kept.1 {
        return Some(format!("kept is {kept}, in real arithmetic {:?}", reality.kept));
    }
    let Some(rank) = reality.rank(pick.token).filter(|&rank| rank < kept) else {
        return Some(format!("token {} is not among the {kept} kept", pick.token));
    };
    // A mass of few units is known to one unit only, and so are the numbers made of it.
    let unit = 2.0 / exact.mass.max(1) as f64;
    let lost = case.row.len() as f64 * 2f64.powi(-40);
    let numbers = [
        ("margin", pick.margin, reality.margin, 0.0, 1e-6),
        ("top1_probability", pick.top1_probability, reality.top1_probability(), 0.0, 1e-5),
        ("entropy", pick.entropy, reality.entropy, 2e-6 + 40.0 * lost, 1e-5),
        ("logprob_raw", pick.logprob_raw, reality.logprob_raw(pick.token), 1e-5, 1e-5),
        ("logprob", pick.logprob, reality.logprob(rank, kept, temperature), 1e-5 + unit, 1e-5),
        ("kept_mass", pick.kept_mass, reality.kept_mass(kept), lost, 1e-5),
    ];
    for (name, actual, expected, absolute, relative) in numbers {
        // What f32 cannot hold is reported as an infinity.
        let expected = f64::from(expected as f32);
        if !close(f64::from(actual), expected, absolute, relative) {
            return Some(format!("{name} is {actual:e}, in real arithmetic {expected:e}"));
        }
    }
    None
}

/// Compares what `process` and `probabilities` leave in the row with real arithmetic.
fn row_disagreement(
    case: &Case,
    processed: &[f32],
    probabilities: &[f32],
    kept: usize,
    reality: &Reality,
) -> Option<String> {
    let temperature = f64::from(case.settings.metric_temperature());
    let expected = reality.probabilities(kept);
    let mut is_kept = vec![false; case.row.len()];
    for &token in &reality.order[..kept] {
        is_kept[token as usize] = true;
    }
    let lost = case.row.len() as f64 * 2f64.powi(-40);
    for token in 0..case.row.len() {
        let probability = probabilities[token];
        // A refused `process` has nothing to compare.
        let scaled = processed.get(token).copied();
        let logit = f64::from(reality.adjusted.logits[token]) / temperature;
        if is_kept[token] {
            // A quotient beyond f32 has no agreed value here; the probability has.
            let in_range = logit.abs() <= f64::from(f32::MAX) && (logit == 0.0 || logit.abs() >= 2f64.powi(-126));
            if in_range && scaled.is_some_and(|scaled| !close(f64::from(scaled), logit, 0.0, 2.4e-7)) {
                return Some(format!("process: token {token} is {scaled:?}, {logit:e} is expected"));
            }
            if !close(f64::from(probability), expected[token], lost + 1e-12, 2e-5) {
                return Some(format!(
                    "probabilities: token {token} is {probability:e}, {:e} is expected",
                    expected[token]
                ));
            }
        } else if scaled.is_some_and(|scaled| scaled != f32::NEG_INFINITY) || probability.to_bits() != 0 {
            return Some(format!("token {token} is not kept, but processed {scaled:?}, probability {probability:e}"));
        }
    }
    None
}

/// `process` divides by the temperature; where that makes a kept logit infinite it must refuse and name the lowest token.
fn overflow(case: &Case, reality: &Reality, kept: usize) -> Option<Refusal> {
    let divided = |token: u32| reality.adjusted.logits[token as usize] / case.settings.metric_temperature();
    let index = reality.order[..kept].iter().copied().filter(|&token| divided(token) == f32::INFINITY).min()?;
    Some(Refusal::InvalidLogit { index, value: divided(index) })
}

/// One step on every level, against the judges and among themselves. Returns the path of the draw.
fn judge(case: &Case, levels: &[argpick::kernels::Kernels], label: &str) -> Option<Path> {
    let fail = |level: &str, what: String| -> ! { panic!("{label} on {level}: {what}\n  {}", report::describe(case)) };
    let judged = exact::step(case, numeric::weight).and_then(|exact| Ok((exact, Reality::of(case)?)));
    let mut first: Option<(Pick, Vec<f32>, Vec<f32>)> = None;
    for &kernels in levels {
        let level = kernels.level().name();
        let mut decoder = report::decoder(case, kernels, Metrics::ALL);
        let answer = decoder.evaluate(&case.row, case.mask.as_deref());
        let (pick, (exact, reality)) = match (answer, &judged) {
            (Err(error), Err(refusal)) if same_refusal(&error, refusal) => continue,
            (Ok(pick), Ok(judged)) => (pick, judged),
            (answer, judged) => {
                let judged = judged.as_ref().map(|(exact, _)| exact);
                fail(level, format!("the library answers {answer:?}, the judge {judged:?}"))
            }
        };
        if let Some(what) = disagreement(case, &pick, exact, reality) {
            fail(level, what);
        }
        // Without metrics the library may take other routes; the pick is the same.
        let mut bare = report::decoder(case, kernels, Metrics::NONE);
        let bare = bare.evaluate(&case.row, case.mask.as_deref()).unwrap_or_else(|e| fail(level, format!("bare: {e}")));
        if (bare.token, bare.argmax, bare.margin.to_bits()) != (pick.token, pick.argmax, pick.margin.to_bits()) {
            fail(level, format!("without metrics the pick is {bare:?}, with them {pick:?}"));
        }
        let mut processed = case.row.clone();
        let mut probabilities = case.row.clone();
        let outcome = decoder.process(&mut processed, case.mask.as_deref());
        match (outcome, overflow(case, reality, exact.kept as usize)) {
            (Ok(()), None) => {}
            (Err(error), Some(refusal)) if same_refusal(&error, &refusal) => {
                if let Some(what) = report::first_row_difference(&processed, &case.row) {
                    fail(level, format!("process was refused, but wrote {what}"));
                }
                processed.clear();
            }
            (outcome, expected) => fail(level, format!("process answers {outcome:?}, the judge {expected:?}")),
        }
        decoder
            .probabilities(&mut probabilities, case.mask.as_deref())
            .unwrap_or_else(|e| fail(level, format!("probabilities: {e}")));
        if let Some(what) = row_disagreement(case, &processed, &probabilities, exact.kept as usize, reality) {
            fail(level, what);
        }
        match &first {
            None => first = Some((pick, processed, probabilities)),
            Some((first_pick, first_processed, first_probabilities)) => {
                let difference = report::first_difference(&pick, first_pick)
                    .or_else(|| {
                        report::first_row_difference(&processed, first_processed).map(|d| format!("process: {d}"))
                    })
                    .or_else(|| {
                        report::first_row_difference(&probabilities, first_probabilities)
                            .map(|d| format!("probabilities: {d}"))
                    });
                if let Some(what) = difference {
                    fail(level, format!("bits differ from {}: {what}", levels[0].level().name()));
                }
            }
        }
    }
    judged.ok().map(|(exact, _)| exact.path)
}

#[test]
fn random_steps_agree_with_both_judges_on_every_level() {
    let levels = report::levels("random_steps");
    let rounds = if cfg!(debug_assertions) { 400 } else { 12_000 };
    let (mut greedy, mut inverse, mut envelope, mut refused) = (0, 0, 0, 0);
    for round in 0..rounds {
        let mut source = Source::new(round);
        let shape = SHAPES[round as usize % SHAPES.len()];
        // The two largest lengths cost as much as all others together; they take one turn in forty.
        let small = LENGTHS.len() - 2;
        let vocab = if round % 40 == 39 { LENGTHS[small + source.below(2)] } else { LENGTHS[source.below(small)] };
        let kind = source.pick(&MASKS);
        let case = generators::case(&mut source, shape, vocab, kind);
        match judge(&case, &levels, &format!("seed {round}, {shape:?}, {kind:?}")) {
            Some(Path::Greedy) => greedy += 1,
            Some(Path::InverseCdf) => inverse += 1,
            Some(Path::Envelope { .. } | Path::Exhausted) => envelope += 1,
            None => refused += 1,
        }
    }
    println!("{rounds} steps: {greedy} greedy, {inverse} by inverse CDF, {envelope} by envelope, {refused} refused");
    let least = rounds / 100;
    assert!(greedy > least && inverse > least && envelope > least && refused > 0, "every path must have been walked");
}

/// Every length from one block's edge to the next, so that no tail is missed.
#[test]
fn every_length_up_to_three_blocks() {
    let levels = report::levels("every_length");
    for vocab in 1..=193 {
        let mut source = Source::new(vocab as u64 + 50_000);
        let shape = source.pick(&SHAPES);
        let kind = source.pick(&MASKS);
        let case = generators::case(&mut source, shape, vocab, kind);
        judge(&case, &levels, &format!("length {vocab}, {shape:?}, {kind:?}"));
    }
}

/// Rows made for the envelope: later rounds and the end after eight of them are reached and agree.
#[test]
fn the_envelope_is_walked_to_its_end() {
    let levels = report::levels("envelope_rounds");
    let (mut first_round, mut later_rounds, mut exhausted) = (0, 0, 0);
    for seed in 0..if cfg!(debug_assertions) { 24 } else { 160 } {
        let mut source = Source::new(seed + 90_000);
        // One spike in every block: each bound is 64 times too large, so most proposals fail.
        let nucleus = seed % 2 == 0;
        let blocks = if nucleus { 1_200 } else { 300 } + source.below(200);
        let mut row: Vec<f32> = (0..blocks * 64).map(|_| -30.0 + source.normal() as f32).collect();
        for block in 0..blocks {
            row[block * 64 + source.below(64)] = 1.0 + 0.01 * source.normal() as f32;
        }
        let mut case = Case::new(row);
        case.settings.seed = seed;
        // A nucleus of a few tokens among many leads to the end of the eighth round, and leaves something to draw there.
        if nucleus {
            case.settings.top_p = 0.004;
        }
        match judge(&case, &levels, &format!("spikes, seed {seed}")) {
            Some(Path::Envelope { proposal }) if proposal < exact::PROPOSALS => first_round += 1,
            Some(Path::Envelope { .. }) => later_rounds += 1,
            Some(Path::Exhausted) => exhausted += 1,
            other => panic!("seed {seed}: {other:?} is not an envelope draw"),
        }
    }
    println!("first round {first_round}, later rounds {later_rounds}, exhausted {exhausted}");
    assert!(first_round > 0 && later_rounds > 0 && exhausted > 0, "every end of the envelope must have been reached");
}

/// Large vocabularies, where nearly everything is decided from bounds: many draws from one row, token for token.
#[test]
fn many_draws_from_large_rows_agree_token_for_token() {
    let levels = report::levels("many_draws");
    let rounds = if cfg!(debug_assertions) { 3 } else { 28 };
    let draws = if cfg!(debug_assertions) { 10 } else { 80 };
    let shapes = [Shape::Normal, Shape::Zipf, Shape::Ties, Shape::Flat, Shape::Peaked, Shape::Wide, Shape::Holes];
    let (mut envelopes, mut exhausted) = (0, 0);
    for round in 0..rounds {
        let mut source = Source::new(round + 200_000);
        let shape = shapes[round as usize % shapes.len()];
        let vocab = source.pick(&[32_000, 50_257, 128_256, 151_936, 262_144, 300_001]);
        let mut case = Case::new(generators::row(&mut source, shape, vocab));
        case.settings.temperature = source.pick(&[0.6, 1.0, 1.5]);
        case.settings.top_p = source.pick(&[1.0, 0.1, 0.5, 0.9, 0.95, 0.99]);
        if round % 4 == 3 {
            case.settings.top_k = source.pick(&[5, 40, 1_000, 6_000]);
        }
        if round % 5 == 4 {
            case.settings.min_p = source.pick(&[0.05, 0.3]);
        }
        let prepared = exact::Prepared::new(&case, numeric::weight).expect("a valid row");
        let mut decoders: Vec<_> = levels.iter().map(|&k| report::decoder(&case, k, Metrics::NONE)).collect();
        for position in 0..draws {
            let exact = prepared.draw(case.settings.seed, case.settings.stream, position);
            envelopes += u32::from(matches!(exact.path, Path::Envelope { .. }));
            exhausted += u32::from(exact.path == Path::Exhausted);
            for decoder in &mut decoders {
                decoder.seek(position);
                let pick = decoder.evaluate(&case.row, None).expect("a valid row");
                assert_eq!(
                    pick.token,
                    exact.token,
                    "seed {round}, {shape:?}, vocab {vocab}, position {position}, {:?}, {}: {:?}",
                    case.settings,
                    decoder.kernels().level().name(),
                    exact
                );
            }
        }
    }
    println!("{envelopes} draws accepted by the envelope, {exhausted} not");
    assert!(envelopes > 0, "the envelope must have drawn");
}

/// 2^22 tokens, all alike: every sum is as large as it can get, and must not overflow.
#[test]
fn the_largest_vocabulary_does_not_overflow() {
    let levels = report::levels("the_largest_vocabulary");
    let levels = if cfg!(debug_assertions) { &levels[levels.len() - 1..] } else { &levels[..] };
    let mut case = Case::new(vec![-7.5; argpick::MAX_VOCAB]);
    let plans: &[f32] = if cfg!(debug_assertions) { &[0.75] } else { &[1.0, 0.75] };
    for &top_p in plans {
        case.settings.top_p = top_p;
        let prepared = exact::Prepared::new(&case, numeric::weight).expect("a valid row");
        for &kernels in levels {
            let mut decoder = report::decoder(&case, kernels, Metrics::ALL);
            for position in 0..2 {
                let exact = prepared.draw(0, 0, position);
                decoder.seek(position);
                let pick = decoder.evaluate(&case.row, None).expect("a valid row");
                let place = format!("top-p {top_p}, position {position}, {}", kernels.level().name());
                assert_eq!((pick.token, pick.kept, pick.rank), (exact.token, exact.kept, exact.rank), "{place}");
                assert!(close(f64::from(pick.entropy), 22.0 * std::f64::consts::LN_2, 0.0, 1e-5), "{place}: {pick:?}");
                assert!(close(f64::from(pick.kept_mass), f64::from(top_p), 1e-6, 0.0), "{place}: {pick:?}");
            }
        }
    }
}

/// The library's scalar weight, the one definition the judge of bits borrows, against real arithmetic.
#[test]
fn the_weight_is_within_its_written_error() {
    for step in 0..=400_000u32 {
        let t = -41.0 * step as f32 / 400_000.0;
        let weight = f64::from(numeric::weight(t));
        if t < -40.0 {
            assert_eq!(weight, 0.0, "2^{t}");
        } else {
            let exact = f64::from(t).exp2();
            assert!((weight / exact - 1.0).abs() <= 1e-6, "2^{t} is {weight:e}, {exact:e} is expected");
        }
    }
    assert_eq!(numeric::weight(0.0), 1.0);
    assert_eq!(numeric::weight(-0.0), 1.0);
}

#[test]
fn the_scale_is_divided_in_f64_and_clamped() {
    let mut source = Source::new(3);
    for _ in 0..10_000 {
        let temperature = f32::from_bits(1 + source.below(0x7F7F_FFFF) as u32);
        let (actual, expected) = (numeric::exponent_scale(temperature), exact::exponent_scale(temperature));
        assert_eq!(actual.to_bits(), expected.to_bits(), "scale of temperature {temperature:e}");
    }
}

#[test]
fn masses_and_thresholds_are_those_of_the_text() {
    let mut source = Source::new(4);
    for _ in 0..100_000 {
        let weight = numeric::weight((-41.0 * source.unit()) as f32);
        assert_eq!(numeric::weight_to_mass(weight), (f64::from(weight) * 2f64.powi(40)) as u64, "mass of {weight:e}");
    }
    for _ in 0..10_000 {
        let max = (source.normal() * 20.0) as f32;
        let temperature = (0.01 + 3.0 * source.unit()) as f32;
        let min_p = (1e-6 + source.unit()).min(1.0) as f32;
        let expected = f64::from(max) + f64::from(temperature) * f64::from(min_p).ln();
        let actual = f64::from(numeric::min_p_threshold(max, temperature, min_p));
        assert!(close(actual, expected, 0.0, 6.1e-8), "threshold {actual:e}, {expected:e} is expected");
    }
}

/// The bounds of the envelope are part of the rules to their last unit, and too small to be seen in a draw.
#[test]
fn the_bounds_of_blocks_are_those_of_the_text() {
    for kernels in report::levels("the_bounds_of_blocks") {
        for round in 0..40 {
            let mut source = Source::new(round + 300_000);
            let temperature = source.pick(&[0.3f32, 1.0, 2.0]);
            let scale = kernels::Scale { maximum: source.normal() as f32, scale: exact::exponent_scale(temperature) };
            let mut maxima: Vec<f32> = (0..320).map(|_| scale.maximum - (60.0 * source.unit()) as f32).collect();
            maxima[source.below(320)] = f32::NEG_INFINITY;
            maxima[source.below(320)] = scale.maximum;
            let mut bounds = vec![u64::MAX; maxima.len()];
            let sum = kernels.block_bounds(&maxima, scale, &mut bounds);
            let level = kernels.level().name();
            for (block, &maximum) in maxima.iter().enumerate() {
                let expected = exact::block_bound(maximum, scale.maximum, scale.scale, numeric::weight);
                assert_eq!(bounds[block], expected, "{level}, seed {round}: block {block}, maximum {maximum}");
            }
            assert_eq!(sum, bounds.iter().sum::<u64>(), "{level}, seed {round}: the sum");
        }
    }
}

#[test]
fn softmax_alone_agrees_with_real_arithmetic() {
    for round in 0..300 {
        let mut source = Source::new(round + 70_000);
        let shape = SHAPES[round as usize % SHAPES.len()];
        let vocab = LENGTHS[source.below(LENGTHS.len() - 2)];
        let row = generators::row(&mut source, shape, vocab);
        let temperature = source.pick(&[0.1f32, 0.7, 1.0, 5.0]);
        let expected = oracle::softmax(&row, temperature);
        let mut actual = row.clone();
        argpick::softmax(&mut actual, temperature).unwrap_or_else(|error| panic!("seed {round}, {shape:?}: {error}"));
        for token in 0..vocab {
            assert!(
                close(f64::from(actual[token]), expected[token], 1e-12 + vocab as f64 * 2f64.powi(-40), 2e-5),
                "seed {round}, {shape:?}, vocab {vocab}, temperature {temperature}: token {token} is {:e}, {:e} is expected",
                actual[token],
                expected[token]
            );
        }
    }
}
