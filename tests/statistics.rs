//! Draws in large numbers against the distribution they claim to come from. Meant for `cargo test --release`.
//!
//! Seeds are fixed, so a test answers the same every time; the limits (chi-square at alpha 1e-4 with at least ten
//! expected per cell, four sigma for single counts) say how surprised one should have been when it was written.
//! Cosine similarity and eyeballed histograms accept visibly wrong samplers and are not used.

mod support;

use argpick::{Decoder, Metrics};
use support::exact;
use support::filters::{Filters, Memory, outcome};
use support::generators::{self, Shape, Source};
use support::oracle::{Case, Reality, Settings};
use support::report;

/// Debug builds draw less: the same tests, blunter.
fn draws(release: usize) -> usize {
    if cfg!(debug_assertions) { release / 20 } else { release }
}

fn decoder(case: &Case) -> Decoder {
    let kernels = argpick::kernels::Kernels::detect().expect("a kernel level");
    report::decoder(case, kernels, Metrics::NONE)
}

/// Draws at consecutive positions and counts the tokens.
fn counts(case: &Case, draws: usize) -> Vec<u64> {
    let mut decoder = decoder(case);
    let mut counts = vec![0u64; case.row.len()];
    for position in 0..draws as u64 {
        decoder.seek(position);
        let pick = decoder.evaluate(&case.row, case.mask.as_deref()).expect("a valid step");
        counts[pick.token as usize] += 1;
    }
    counts
}

/// The distribution drawn from: real arithmetic over the kept tokens, their number by the integer rules.
fn expected(case: &Case) -> Vec<f64> {
    let kept = exact::step(case, argpick::numeric::weight).expect("a valid step").kept as usize;
    let reality = Reality::of(case).expect("a valid step");
    assert!(reality.kept.0 <= kept && kept <= reality.kept.1, "kept {kept}, real arithmetic says {:?}", reality.kept);
    reality.probabilities(kept)
}

fn test_against_distribution(label: &str, case: &Case, draws: usize) {
    let probabilities = expected(case);
    let (statistic, degrees) = report::chi_square(&counts(case, draws), &probabilities);
    let limit = report::chi_square_limit(degrees);
    println!("{label}: chi-square {statistic:.1} on {degrees} degrees, limit {limit:.1}, {draws} draws");
    assert!(statistic < limit, "{label}: chi-square {statistic:.1} on {degrees} degrees exceeds {limit:.1}");
}

/// The four ways to draw, each with a different route through the library.
fn plans() -> [(&'static str, Settings); 6] {
    let base = Settings { seed: 11, ..Settings::default() };
    [
        ("full", base.clone()),
        ("full at 1.7", Settings { temperature: 1.7, ..base.clone() }),
        ("top-k", Settings { top_k: 50, ..base.clone() }),
        ("top-p", Settings { top_p: 0.9, temperature: 0.8, ..base.clone() }),
        ("min-p", Settings { min_p: 0.02, ..base.clone() }),
        ("top-k, top-p, min-p", Settings { top_k: 60, top_p: 0.95, min_p: 0.01, temperature: 1.3, ..base }),
    ]
}

fn test_shape(shape: Shape, vocab: usize) {
    let mut source = Source::new(2024);
    let row = generators::row(&mut source, shape, vocab);
    for (name, settings) in plans() {
        let case = Case { settings, ..Case::new(row.clone()) };
        test_against_distribution(&format!("{shape:?}, {name}"), &case, draws(200_000));
    }
}

#[test]
fn flat_rows() {
    test_shape(Shape::Flat, 1_000);
}

#[test]
fn normal_rows() {
    test_shape(Shape::Normal, 4_097);
}

#[test]
fn peaked_rows() {
    let mut source = Source::new(77);
    // Two tokens share most of the mass, a third has some, a crowd the rest: each plan keeps at least two.
    let mut row: Vec<f32> = (0..3_000).map(|_| source.normal() as f32 * 0.5).collect();
    (row[5], row[1_700], row[2_999]) = (9.0, 8.6, 6.0);
    for (name, settings) in plans() {
        let case = Case { settings, ..Case::new(row.clone()) };
        test_against_distribution(&format!("peaked, {name}"), &case, draws(200_000));
    }
}

#[test]
fn zipf_rows() {
    test_shape(Shape::Zipf, 2_000);
}

#[test]
fn masked_and_biased_rows() {
    let mut source = Source::new(5);
    let mut case = Case::new(generators::row(&mut source, Shape::Normal, 2_500));
    case.mask = generators::mask(&mut source, generators::MaskKind::Runs, 2_500);
    case.bias = (0..40).map(|i| (i * 61, source.normal() as f32 * 2.0)).collect();
    case.bans = (0..20).map(|i| i * 97).collect();
    for (name, settings) in plans() {
        case.settings = settings;
        test_against_distribution(&format!("masked, {name}"), &case, draws(200_000));
    }
}

#[test]
fn rows_of_a_language_model() {
    let Some((rows, facts)) = report::gemma("rows_of_a_language_model") else { return };
    // The rows in falling order of entropy: the flattest, and two that are less so but still have something to draw.
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let entropy = |row: usize| facts[row]["entropy_nats_T1"].as_f64().expect("an entropy");
    order.sort_by(|&a, &b| entropy(b).total_cmp(&entropy(a)));
    for index in [order[0], order[3], order[6]] {
        for (name, settings) in plans() {
            let case = Case { settings, ..Case::new(rows[index].clone()) };
            let probabilities = expected(&case);
            if probabilities.iter().filter(|&&p| p * draws(12_000) as f64 > 10.0).count() < 2 {
                println!("row {index}, {name}: one token has nearly all the mass, nothing to compare");
                continue;
            }
            test_against_distribution(&format!("row {index}, {name}"), &case, draws(12_000));
        }
    }
}

/// The distribution of a chain of filters in real arithmetic. The row is chosen so that no boundary is near.
fn filtered(case: &Case, temperature: f32) -> Vec<f64> {
    let memory = Memory::first(&case.settings.filters);
    let found = outcome(case, &memory, temperature, argpick::numeric::weight).expect("a valid step");
    let kept = &found.sets.expect("few sets")[0];
    let scale = support::oracle::scale(found.temperature);
    let weights: Vec<f64> = kept.iter().map(|&r| ((found.logits[r] - found.logits[kept[0]]) * scale).exp2()).collect();
    let total: f64 = weights.iter().sum();
    let mut shares: Vec<f64> = weights.iter().map(|w| w / total).collect();
    if case.settings.filters.adaptive_target >= 0.0 {
        let target = memory.target(&case.settings.filters);
        let shaped = |p: &f64| {
            let d = (p - target).abs() / 0.3;
            (-10.0 * d * d / (1.0 + d)).exp()
        };
        let total: f64 = shares.iter().map(shaped).sum();
        shares.iter_mut().for_each(|p| *p = shaped(p) / total);
    }
    let mut all = vec![0.0; case.row.len()];
    for (&rank, p) in kept.iter().zip(shares) {
        all[found.order[rank] as usize] = p;
    }
    all
}

/// Every filter draws from the distribution of its law, by the kind of draw that is its own.
#[test]
fn filters_draw_from_their_laws() {
    let off = Filters::default;
    let plans: [(&str, Filters); 13] = [
        ("typical", Filters { typical_p: 0.6, ..off() }),
        ("typical, few", Filters { typical_p: 0.05, ..off() }),
        ("epsilon", Filters { epsilon_cutoff: 0.004, ..off() }),
        ("eta", Filters { eta_cutoff: 0.01, ..off() }),
        ("top-a", Filters { top_a: 0.2, ..off() }),
        ("xtc", Filters { xtc_probability: 1.0, xtc_threshold: 0.01, ..off() }),
        ("top-n-sigma", Filters { top_n_sigma: 1.5, ..off() }),
        ("tail-free", Filters { tfs_z: 0.9, ..off() }),
        ("top-h", Filters { top_h: 0.6, ..off() }),
        ("mirostat 1", Filters { mirostat: 1, mirostat_tau: 4.0, ..off() }),
        ("mirostat 2", Filters { mirostat: 2, mirostat_tau: 3.0, ..off() }),
        ("adaptive-p", Filters { adaptive_target: 0.05, ..off() }),
        ("dynamic temperature", Filters { dynatemp_range: 0.6, ..off() }),
    ];
    let mut source = Source::new(31);
    let zipf = generators::row(&mut source, Shape::Zipf, 1_500);
    let normal = generators::row(&mut source, Shape::Normal, 900);
    for (name, filters) in plans {
        for (shape, row) in [("zipf", &zipf), ("normal", &normal)] {
            let settings = Settings { seed: 19, filters: filters.clone(), ..Settings::default() };
            let case = Case { settings, ..Case::new(row.clone()) };
            let temperature = decoder(&case).evaluate(&case.row, None).expect("a valid step").temperature;
            let probabilities = filtered(&case, temperature);
            assert!(probabilities.iter().filter(|&&p| p > 0.0).count() > 1, "{name}, {shape}: nothing to compare");
            if name == "typical, few" || name == "xtc" {
                let argmax = exact::step(&case, argpick::numeric::weight).expect("a valid step").argmax;
                assert_eq!(probabilities[argmax as usize], 0.0, "{name}, {shape}: the first token is out");
            }
            let draws = draws(60_000);
            let (statistic, degrees) = report::chi_square(&counts(&case, draws), &probabilities);
            let limit = report::chi_square_limit(degrees);
            println!("{shape}, {name}: chi-square {statistic:.1} on {degrees} degrees, limit {limit:.1}");
            assert!(statistic < limit, "{shape}, {name}: chi-square {statistic:.1} on {degrees} exceeds {limit:.1}");
        }
    }
}

/// XTC acts as often as it is told.
#[test]
fn xtc_acts_as_often_as_it_should() {
    let row: Vec<f32> = vec![2.0, 1.9, 0.0, -1.0];
    for probability in [0.1f32, 0.5, 0.83] {
        let mut case = Case::new(row.clone());
        case.settings.filters = Filters { xtc_probability: probability, xtc_threshold: 0.3, ..Filters::default() };
        let mut decoder = report::decoder(&case, argpick::Kernels::detect().expect("a level"), Metrics::KEPT);
        let draws = draws(100_000) as u64;
        let mut acted = 0;
        for position in 0..draws {
            decoder.seek(position);
            acted += u64::from(decoder.evaluate(&row, None).expect("a valid step").kept == 3);
        }
        let p = f64::from(probability);
        let score = (acted as f64 - draws as f64 * p) / (draws as f64 * p * (1.0 - p)).sqrt();
        assert!(score.abs() < 4.0, "{probability}: acted {acted} times in {draws}: {score:.2} sigma");
    }
}

/// The surprise that mirostat controls settles at its target, and adaptive-p's mean probability near its own.
#[test]
fn controlled_draws_settle_at_their_targets() {
    let mut source = Source::new(77);
    let row = generators::row(&mut source, Shape::Zipf, 3_000);
    for version in [1, 2] {
        for tau in [2.0f32, 4.0] {
            let mut case = Case::new(row.clone());
            case.settings.filters =
                Filters { mirostat: version, mirostat_tau: tau, mirostat_eta: 0.1, ..Filters::default() };
            let kernels = argpick::Kernels::detect().expect("a level");
            let mut decoder = report::decoder(&case, kernels, Metrics::LOGPROB);
            let (mut sum, steps) = (0.0, draws(6_000));
            for step in 0..steps + 200 {
                let pick = decoder.decode(&row, None).expect("a valid step");
                sum += if step < 200 { 0.0 } else { -f64::from(pick.logprob) / std::f64::consts::LN_2 };
            }
            let mean = sum / steps as f64;
            println!("mirostat {version}, tau {tau}: mean surprise {mean:.3} bits");
            assert!((mean - f64::from(tau)).abs() < 0.12, "mirostat {version}, tau {tau}: mean surprise {mean}");
        }
    }
}

/// All tokens alike: where in a block, and in which part of the vocabulary, must not matter.
#[test]
fn a_uniform_vocabulary_has_no_favourite_place() {
    let vocab = 262_144;
    let mut case = Case::new(vec![1.25; vocab]);
    case.settings.seed = 3;
    let mut decoder = decoder(&case);
    let draws = draws(120_000);
    let (mut in_block, mut part) = ([0u64; 64], [0u64; 64]);
    for position in 0..draws as u64 {
        decoder.seek(position);
        let token = decoder.evaluate(&case.row, None).expect("a valid step").token as usize;
        in_block[token % 64] += 1;
        part[token / (vocab / 64)] += 1;
    }
    for (name, counts) in [("place in the block", in_block), ("part of the vocabulary", part)] {
        let (statistic, degrees) = report::chi_square(&counts, &[1.0 / 64.0; 64]);
        let limit = report::chi_square_limit(degrees);
        println!("uniform, {name}: chi-square {statistic:.1} on {degrees} degrees, limit {limit:.1}");
        assert!(statistic < limit, "uniform, {name}: {statistic:.1} exceeds {limit:.1}");
    }
}

/// The tail: 262,143 tokens at 1.25e-9 of the top one. Half-precision noise or a truncated mass would lose them.
#[test]
fn a_faint_tail_is_hit_as_often_as_it_should() {
    let (vocab, top) = (262_144, 123_456);
    let mut row = vec![-20.5; vocab];
    row[top] = 0.0;
    let mut case = Case::new(row);
    case.settings.seed = 205;
    let draws = draws(200_000);
    let mut decoder = decoder(&case);
    let mut hits = 0u64;
    for position in 0..draws as u64 {
        decoder.seek(position);
        hits += u64::from(decoder.evaluate(&case.row, None).expect("a valid step").token as usize != top);
    }
    let tail = (vocab - 1) as f64 * (-20.5f64).exp();
    let expected = draws as f64 * tail / (1.0 + tail);
    let score = (hits as f64 - expected) / expected.sqrt();
    println!("tail: {hits} hits in {draws} draws, {expected:.1} expected, {score:.2} sigma");
    assert!(score.abs() < 4.0, "{hits} hits, {expected:.1} expected: {score:.2} sigma");
}

/// Consecutive steps, streams and seeds know nothing of each other: pairs of neighbours fill a table evenly.
#[test]
fn neighbouring_draws_are_independent() {
    // Eight tokens of unlike probability, so that the table has corners to be wrong in.
    let row: Vec<f32> = [0.9f32, 0.1, -0.4, 0.6, 0.0, 1.2, -0.9, 0.3].to_vec();
    let draws = draws(200_000) as u64;
    type Place = fn(u64) -> (u64, u64, u64);
    let walks: [(&str, Place); 3] =
        [("positions", |n| (5, 0, n)), ("streams", |n| (5, n, 0)), ("seeds", |n| (n, 0, 0))];
    for (plan, top_k) in [("envelope", 0), ("inverse CDF", 7)] {
        let mut case = Case::new(row.clone());
        case.settings.top_k = top_k;
        let probabilities = expected(&case);
        for (walk, place) in walks {
            let mut table = vec![0u64; 64];
            let mut decoder = decoder(&case);
            let mut previous = None;
            for n in 0..draws {
                let (seed, stream, position) = place(n);
                if walk != "positions" {
                    let settings = Settings { seed, stream, ..case.settings.clone() };
                    decoder.reset(Some(&report::config(&settings, Metrics::NONE))).expect("a valid configuration");
                }
                decoder.seek(position);
                let token = decoder.evaluate(&row, None).expect("a valid step").token as usize;
                if let Some(previous) = previous {
                    table[previous * 8 + token] += 1;
                }
                previous = Some(token);
            }
            let pairs: Vec<f64> = (0..64).map(|cell| probabilities[cell / 8] * probabilities[cell % 8]).collect();
            let (statistic, degrees) = report::chi_square(&table, &pairs);
            let limit = report::chi_square_limit(degrees);
            println!("{plan}, consecutive {walk}: chi-square {statistic:.1} on {degrees} degrees, limit {limit:.1}");
            assert!(statistic < limit, "{plan}, consecutive {walk}: {statistic:.1} exceeds {limit:.1}");
        }
    }
}

/// The yardstick itself: the limit is that of the table, a fair die passes, a slightly loaded one does not.
#[test]
fn the_yardstick_can_fail() {
    // Points of the published tables: degrees, point, upper tail.
    for (degrees, point, tail) in [
        (1, 3.841, 0.05),
        (2, 9.210, 0.01),
        (5, 20.515, 0.001),
        (10, 29.588, 0.001),
        (99, 148.230, 0.001),
        (100, 149.449, 0.001),
    ] {
        let actual = report::chi_square_tail(degrees, point);
        assert!((actual / tail - 1.0).abs() < 2e-3, "{degrees} degrees: tail {actual} at {point}, published {tail}");
        assert!(report::chi_square_limit(degrees) > point, "the limit lies beyond the point of 0.001");
    }
    let (exact, approximate) = (report::chi_square_limit(200), report::chi_square_limit_of_many(200));
    assert!((approximate / exact - 1.0).abs() < 1e-3, "the two ways to the limit meet: {exact} and {approximate}");
    let mut source = Source::new(8);
    let mut roll = |loaded: f64| {
        let mut counts = [0u64; 6];
        for _ in 0..100_000 {
            let face = if source.chance(loaded) { 5 } else { source.below(6) };
            counts[face] += 1;
        }
        report::chi_square(&counts, &[1.0 / 6.0; 6]).0
    };
    assert!(roll(0.0) < report::chi_square_limit(5));
    assert!(roll(0.02) > report::chi_square_limit(5));
}
