//! An adversary against the flip certificate: on small rows every corner of the cube of changes is tried, below each radius,
//! where nothing may change, and above it, where what is called exact must.

use argpick::{Candidate, Config, Decoder, Metrics, Mirostat, Profile};

mod support;
use support::generators::Source;

/// What a row answers.
#[derive(Clone, Debug, PartialEq)]
struct Answer {
    argmax: u32,
    kept: Vec<u32>,
    token: u32,
}

/// A configuration as the adversary sees it: a name, what is set beside it, and whether the radius of the kept set is claimed
/// to be exact.
struct Case {
    name: &'static str,
    config: Config,
    history: Vec<u32>,
    bias: Vec<(u32, f32)>,
    is_exact: bool,
}

fn case(name: &'static str, is_exact: bool, config: Config) -> Case {
    Case { name, config, history: Vec::new(), bias: Vec::new(), is_exact }
}

fn cases() -> Vec<Case> {
    let base = Config::default;
    let two = || Config { mirostat: Mirostat::Two, ..Config::default() };
    let vllm = || Config { profile: Profile::Vllm, ..Config::default() };
    let hf = || Config { profile: Profile::HuggingFace, ..Config::default() };
    let llama = || Config { profile: Profile::LlamaCpp, ..Config::default() };
    let penalised = |repetition_penalty: f32, config: Config| Config { repetition_penalty, ..config };
    let mut cases = vec![
        case("none", true, base()),
        case("greedy", true, Config { temperature: 0.0, ..base() }),
        case("top_k", true, Config { top_k: 3, ..base() }),
        case("keep_ties", true, Config { top_k: 3, keep_ties: true, ..base() }),
        case("top_p", true, Config { top_p: 0.8, ..base() }),
        case("cold top_p", true, Config { top_p: 0.95, temperature: 0.4, ..base() }),
        case("min_p", true, Config { min_p: 0.15, temperature: 1.5, ..base() }),
        case("min_p, min_keep", true, Config { min_p: 0.6, min_keep: 3, ..base() }),
        case("top_p, min_keep", true, Config { top_p: 0.5, min_keep: 3, ..base() }),
        case("epsilon", true, Config { epsilon_cutoff: 0.08, ..base() }),
        case("epsilon, min_keep", true, Config { epsilon_cutoff: 0.3, min_keep: 2, ..base() }),
        case("epsilon, hf", true, Config { epsilon_cutoff: 0.3, min_keep: 2, ..hf() }),
        case("mirostat 2", true, Config { mirostat_tau: 1.5, ..two() }),
        // Exact, but the worst change is no corner.
        case("eta", false, Config { eta_cutoff: 0.05, ..base() }),
        case("large eta", false, Config { eta_cutoff: 0.4, ..base() }),
        case("top_a", false, Config { top_a: 0.4, ..base() }),
        case("top_n_sigma", false, Config { top_n_sigma: 0.8, ..base() }),
        case("typical", false, Config { typical_p: 0.7, ..base() }),
        case("typical, min_keep", false, Config { typical_p: 0.3, min_keep: 3, ..base() }),
        case("typical, hf", false, Config { typical_p: 0.7, ..hf() }),
        case("tail_free", false, Config { tfs_z: 0.8, ..base() }),
        case("top_h", false, Config { top_h: 0.6, ..base() }),
        case("xtc", false, Config { xtc_probability: 1.0, xtc_threshold: 0.15, ..base() }),
        case("xtc, high", false, Config { xtc_probability: 1.0, xtc_threshold: 0.45, ..base() }),
        case("xtc, min_keep", false, Config { xtc_probability: 1.0, xtc_threshold: 0.05, min_keep: 3, ..base() }),
        case("mirostat 1", false, Config { mirostat: Mirostat::One, mirostat_tau: 1.5, ..base() }),
        case("chain", true, Config { top_k: 5, top_p: 0.85, min_p: 0.1, temperature: 0.8, ..base() }),
        case("loose chain", true, Config { top_k: 4, top_p: 0.97, min_p: 0.02, temperature: 1.2, ..base() }),
        case("vllm", false, Config { top_k: 4, top_p: 0.9, min_p: 0.1, ..vllm() }),
        case("hf", false, Config { top_k: 4, top_p: 0.9, min_p: 0.1, ..hf() }),
        case("llama.cpp", true, Config { top_k: 5, top_p: 0.9, min_p: 0.08, temperature: 0.7, ..llama() }),
        case("long chain", false, Config { top_k: 6, typical_p: 0.9, top_p: 0.9, min_p: 0.02, ..llama() }),
        case(
            "everything",
            false,
            Config {
                top_k: 7,
                top_p: 0.97,
                min_p: 0.02,
                epsilon_cutoff: 0.01,
                top_n_sigma: 2.0,
                xtc_probability: 1.0,
                xtc_threshold: 0.3,
                ..base()
            },
        ),
        case("min_keep after n-sigma", false, Config { top_n_sigma: 0.5, min_p: 0.9, min_keep: 4, ..llama() }),
        case("min_keep after top-h", false, Config { top_h: 0.4, min_p: 0.9, min_keep: 4, ..hf() }),
        case("coldest of typical", false, Config { typical_p: 0.6, temperature: 0.0, ..llama() }),
        case(
            "coldest of xtc",
            false,
            Config { xtc_probability: 1.0, xtc_threshold: 0.15, temperature: 0.0, ..llama() },
        ),
        case("dynamic", false, Config { dynatemp_range: 0.5, top_k: 4, ..base() }),
        case("dynamic, top_p", false, Config { dynatemp_range: 0.5, top_p: 0.9, min_p: 0.05, ..base() }),
        case("adaptive", false, Config { adaptive_target: 0.3, min_p: 0.05, ..base() }),
    ];
    let history = vec![0, 1, 2, 4, 1];
    for (name, config) in [
        ("penalised", penalised(1.4, Config { top_p: 0.8, frequency_penalty: 0.1, ..base() })),
        ("penalised greedy", penalised(1.6, Config { temperature: 0.0, ..base() })),
        ("rewarded", penalised(0.6, Config { min_p: 0.1, ..base() })),
        ("penalised, hf", penalised(1.5, Config { top_k: 3, ..hf() })),
    ] {
        let bias = vec![(1, 0.5), (3, -0.25)];
        cases.push(Case { name, config, history: history.clone(), bias, is_exact: false });
    }
    cases
}

fn decoder(case: &Case, metrics: Metrics, seed: u64, vocab: usize) -> Decoder {
    let config = Config { metrics, seed, ..case.config.clone() };
    let mut decoder = Decoder::new(&config, vocab).unwrap();
    let history: Vec<u32> = case.history.iter().map(|&token| token % vocab as u32).collect();
    decoder.prompt(&history).unwrap();
    let bias: Vec<_> = case.bias.iter().filter(|(token, _)| (*token as usize) < vocab).copied().collect();
    decoder.set_bias(&bias).unwrap();
    decoder
}

fn answer(decoder: &mut Decoder, row: &[f32]) -> Answer {
    let pick = decoder.evaluate(row, None).unwrap();
    let mut list = vec![Candidate::default(); row.len()];
    let count = decoder.kept(row, None, &mut list).unwrap();
    Answer { argmax: pick.argmax, kept: list[..count].iter().map(|entry| entry.token).collect(), token: pick.token }
}

/// The row with each logit moved by `by` times its part, rounded towards where it was.
fn moved(row: &[f32], parts: &[f64], by: f64) -> Vec<f32> {
    let one = |(&logit, &part): (&f32, &f64)| {
        let to = (f64::from(logit) + part * by) as f32;
        if (f64::from(to) - f64::from(logit)).abs() < by || part == 0.0 {
            return to;
        }
        if to > logit { to.next_down() } else { to.next_up() }
    };
    row.iter().zip(parts).map(one).collect()
}

/// Directions to try: all corners of small cubes, else random ones, and ones that leave some logits nearly as they are.
fn directions(vocab: usize, source: &mut Source) -> Vec<Vec<f64>> {
    let corners = 1usize << vocab.min(8);
    let mut found: Vec<Vec<f64>> = (0..corners)
        .map(|bits| (0..vocab).map(|i| if bits >> (i % 8) & 1 == 1 { 1.0 } else { -1.0 }).collect())
        .collect();
    for _ in 0..96 {
        found.push(
            (0..vocab)
                .map(|_| [-1.0, 1.0, -1.0, 1.0, 2.0 * source.unit() - 1.0][(5.0 * source.unit()) as usize])
                .collect(),
        );
    }
    found
}

const NAMES: [&str; 3] = ["argmax", "kept", "token"];

fn differs(what: usize, one: &Answer, other: &Answer) -> bool {
    match what {
        0 => one.argmax != other.argmax,
        1 => one.kept != other.kept,
        _ => one.token != other.token,
    }
}

fn rows(source: &mut Source, count: usize) -> Vec<Vec<f32>> {
    (0..count)
        .map(|i| {
            let vocab = 2 + i % 7;
            let spread = [0.7, 2.0, 5.0][i / 7 % 3];
            let row = (0..vocab).map(|_| (source.normal() * spread) as f32);
            // Some rows have ties.
            if i % 5 == 4 { row.map(|logit| (2.0 * logit).round() / 2.0).collect() } else { row.collect() }
        })
        .collect()
}

#[test]
fn no_corner_of_a_smaller_change_answers_otherwise_and_exact_radii_are_the_least() {
    let mut source = Source::new(77);
    let mut failures = Vec::new();
    for case in cases() {
        let (mut shares, mut flips) = ([0.0; 3], [0u32; 3]);
        for (number, row) in rows(&mut source, 42).into_iter().enumerate() {
            let seed = number as u64;
            let mut plain = decoder(&case, Metrics::KEPT, seed, row.len());
            let pick = decoder(&case, Metrics::FLIP, seed, row.len()).evaluate(&row, None).unwrap();
            let given = answer(&mut plain, &row);
            assert_eq!(pick.token, given.token, "{}", case.name);
            let radii = [pick.flip_argmax, pick.flip_kept, pick.flip_token].map(f64::from);
            let directions = directions(row.len(), &mut source);
            for (what, &radius) in radii.iter().enumerate() {
                let mut least = f64::INFINITY;
                let most = if radius.is_finite() { radius } else { 12.0 };
                let tries = [0.3, 0.9, 0.9999, 1.002, 1.02, 1.1, 1.3, 1.6, 2.0, 3.0, 5.0, 10.0, 30.0];
                for factor in tries {
                    let by = if factor > 1.0 { most * factor + 2e-4 } else { most * factor };
                    if least.is_finite() || factor > 1.0 && !radius.is_finite() || by == 0.0 {
                        continue;
                    }
                    for parts in &directions {
                        let row = moved(&row, parts, by);
                        if differs(what, &given, &answer(&mut plain, &row)) {
                            least = by;
                            break;
                        }
                    }
                }
                let context = || format!("{}: {} {radius} but {least} in {row:?} seed {seed}", case.name, NAMES[what]);
                if least < most {
                    failures.push(format!("NOT SOUND {}", context()));
                }
                let is_exact = match what {
                    0 => case.history.is_empty(),
                    1 => case.is_exact,
                    _ => false,
                };
                // What is lost of light tokens is allowed for, which shows where the logits lie far apart.
                let lowest = row.iter().copied().fold(f32::INFINITY, f32::min);
                let is_wide = row[pick.argmax as usize] - lowest > 12.0 * pick.temperature;
                if is_exact && !is_wide && radius.is_finite() && least > 1.002 * radius + 2.001e-4 {
                    failures.push(format!("NOT EXACT {}", context()));
                }
                if radius.is_finite() && least.is_finite() {
                    shares[what] += radius / least;
                    flips[what] += 1;
                }
            }
        }
        let mean = |what: usize| shares[what] / f64::from(flips[what].max(1));
        println!("{:<20} radius / least change found: kept {:.3}, token {:.3}", case.name, mean(1), mean(2));
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures[..failures.len().min(40)].join("\n"));
}
