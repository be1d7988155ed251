//! Corners of filters and profiles that a law decides and a user meets seldom: temperature 0 behind filters, mirostat's chain,
//! thresholds that rounding would move, temperatures that no scale can hold.

use argpick::{Candidate, Config, Decoder, Error, Metrics, Mirostat, Mode, Pick, Profile, StageReport};

fn llama(change: Config) -> Config {
    Config { profile: Profile::LlamaCpp, ..change }
}

fn kept(config: &Config, row: &[f32]) -> Vec<u32> {
    let mut decoder = Decoder::new(config, row.len()).unwrap();
    let mut list = vec![Candidate::default(); row.len()];
    let count = decoder.kept(row, None, &mut list).unwrap();
    list[..count].iter().map(|candidate| candidate.token).collect()
}

fn pick(config: &Config, row: &[f32]) -> Pick {
    Decoder::new(config, row.len()).unwrap().evaluate(row, None).unwrap()
}

/// Probabilities 0.5, 0.25, 0.15 and 0.1.
fn four() -> Vec<f32> {
    [0.5f32, 0.25, 0.15, 0.1].iter().map(|p| p.ln()).collect()
}

#[test]
fn llama_cpp_at_temperature_0_takes_the_best_of_what_its_filters_leave() {
    let cold = llama(Config { temperature: 0.0, metrics: Metrics::ALL, ..Config::default() });
    assert_eq!(kept(&cold, &four()), [0]);
    // XTC comes before the temperature: of three top choices the last stays, and it is the best of what is left.
    let xtc = Config { xtc_probability: 1.0, xtc_threshold: 0.12, ..cold.clone() };
    assert_eq!(kept(&xtc, &four()), [2]);
    let said = pick(&xtc, &four());
    assert_eq!((said.token, said.rank, said.kept, said.logprob), (2, 2, 1, 0.0));
    // Typical leaves out the argmax of a row of 70 others whose surprise is nearer to the entropy.
    let row: Vec<f32> = std::iter::once(0.3f32.ln()).chain((0..70).map(|_| 0.01f32.ln())).collect();
    let typical = Config { typical_p: 0.2, ..cold.clone() };
    let without = kept(&Config { temperature: 1.0, ..typical.clone() }, &row);
    assert!(!without.contains(&0), "{without:?}");
    assert_eq!(kept(&typical, &row), without[..1]);
    // The other profiles are greedy at 0, and so is every one in mode greedy.
    assert_eq!(kept(&Config { profile: Profile::Canon, ..xtc.clone() }, &four()), [0]);
    assert_eq!(kept(&Config { mode: Mode::Greedy, ..xtc.clone() }, &four()), [0]);
    // A threshold above 0.5 leaves XTC out.
    assert_eq!(kept(&Config { xtc_threshold: 0.51, ..xtc.clone() }, &four()), [0]);
    let mut decoder = Decoder::new(&xtc, 4).unwrap();
    let mut reports = [StageReport::EMPTY; StageReport::MOST];
    let count = decoder.explain(&four()[..], None, &mut reports).unwrap();
    let names: Vec<_> = reports[..count].iter().map(|report| (report.name, report.parameter, report.kept)).collect();
    assert_eq!(names[1..], [("xtc_probability", 1.0, 2), ("temperature", 0.0, 1)]);
}

#[test]
fn llama_cpp_lets_the_entropy_decide_before_it_asks_for_temperature_0() {
    let dynamic = llama(Config { temperature: 0.0, dynatemp_range: 0.5, metrics: Metrics::ALL, ..Config::default() });
    let said = pick(&dynamic, &four());
    let entropy: f64 = [0.5f64, 0.25, 0.15, 0.1].iter().map(|p| -p * p.ln()).sum();
    assert!((f64::from(said.temperature) - 0.5 * entropy / 4f64.ln()).abs() < 1e-6, "{}", said.temperature);
    assert_eq!(said.kept, 4);
    let canon = pick(&Config { profile: Profile::Canon, ..dynamic }, &four());
    assert_eq!((canon.kept, canon.temperature), (1, 1.0));
}

#[test]
fn llama_cpp_s_mirostat_has_biases_and_a_temperature_and_nothing_else() {
    let row: Vec<f32> = (0..50).map(|token| (token % 7) as f32 * 0.5).collect();
    for mirostat in [Mirostat::One, Mirostat::Two] {
        let plain = llama(Config { mirostat, temperature: 0.8, metrics: Metrics::ALL, seed: 3, ..Config::default() });
        let loaded = Config {
            repetition_penalty: 1.7,
            frequency_penalty: 0.4,
            presence_penalty: 0.3,
            dry_multiplier: 2.0,
            dynatemp_range: 0.4,
            ..plain.clone()
        };
        let prompt = [6, 13, 20, 6, 13, 20, 6, 13];
        let say = |config: &Config| -> Vec<String> {
            let mut decoder = Decoder::new(config, 50).unwrap();
            decoder.set_bias(&[(3, 1.5)]).unwrap();
            decoder.prompt(&prompt).unwrap();
            (0..12).map(|_| format!("{:?}", decoder.decode(&row, None).unwrap())).collect()
        };
        assert_eq!(say(&loaded), say(&plain), "{mirostat:?}");
        // In canon all of it applies.
        let canon = |config: &Config| say(&Config { profile: Profile::Canon, ..config.clone() });
        assert_ne!(canon(&loaded), canon(&plain), "{mirostat:?}");
        // One row cannot be shared by a configuration that penalises and one that does not.
        let filters = Config { mirostat: Mirostat::Off, ..loaded.clone() };
        let mut decoder = Decoder::new(&filters, 50).unwrap();
        let mut memory = vec![0; argpick::sweep_words(std::slice::from_ref(&loaded), 50).unwrap()];
        let mut results = [Ok(Pick::default())];
        decoder.sweep(&row, None, &[loaded], &mut memory, &mut results, &mut []).unwrap();
        let value = f64::from(mirostat as u32);
        assert_eq!(results[0], Err(Error::InvalidParameter { name: "mirostat", value }));
    }
}

/// A limit that no token reaches is not reached by rounding either: 3e38 and a few nats are one f32.
#[test]
fn no_rounding_makes_a_token_likely() {
    for logit in [3.0e38f32, -2.0e30, 1.0e9] {
        let row = vec![logit; 63];
        let count = |change: Config| kept(&change, &row).len();
        // Each has a probability of 1/63.
        assert_eq!(count(Config { xtc_probability: 1.0, xtc_threshold: 0.3, ..Config::default() }), 63, "{logit}");
        assert_eq!(count(Config { xtc_probability: 1.0, xtc_threshold: 0.01, ..Config::default() }), 1, "{logit}");
        assert_eq!(count(Config { epsilon_cutoff: 0.02, ..Config::default() }), 1, "{logit}");
        assert_eq!(count(Config { epsilon_cutoff: 0.01, ..Config::default() }), 63, "{logit}");
        let mirostat = Config { mirostat: Mirostat::Two, ..Config::default() };
        assert_eq!(count(Config { mirostat_tau: 2.9, ..mirostat.clone() }), 1, "{logit}");
        assert_eq!(count(Config { mirostat_tau: 3.1, ..mirostat }), 63, "{logit}");
    }
    // The same at a temperature beside which the logits are large.
    let row = [3.0f32, 3.0, 3.0, 3.0, 1.0];
    let xtc = Config { temperature: 1e-9, xtc_probability: 1.0, xtc_threshold: 0.3, ..Config::default() };
    assert_eq!(kept(&xtc, &row), [0, 1, 2, 3, 4]);
}

/// Tenths are no binary numbers: ten equal tokens are as likely as 0.1 says, to within the rounding of a logit.
#[test]
fn what_is_at_a_limit_is_kept_whatever_its_last_bit() {
    for count in [3u16, 5, 7, 10, 20, 30, 100] {
        let (row, limit) = (vec![8.0f32; count.into()], 1.0 / f32::from(count));
        let said = |change: Config| kept(&change, &row).len();
        assert_eq!(said(Config { epsilon_cutoff: limit, ..Config::default() }), row.len(), "{count}");
        assert_eq!(said(Config { xtc_probability: 1.0, xtc_threshold: limit, ..Config::default() }), 1, "{count}");
        assert_eq!(said(Config { eta_cutoff: 1.0, ..Config::default() }), row.len(), "{count}");
    }
}

/// Scales end at 2^-60 and 2^60; what follows from the weights follows from the temperature that they have.
#[test]
fn temperatures_that_no_scale_holds_agree_with_their_weights() {
    // All weigh the same within 1e-3, so each of 40 tokens has a probability of 1/40.
    let row: Vec<f32> = (0..40).map(|token| token as f32 * 1e13).collect();
    let hot = Config { temperature: 1e37, ..Config::default() };
    let likely = Config { xtc_probability: 1.0, xtc_threshold: 0.03, ..hot.clone() };
    assert_eq!(kept(&likely, &row).len(), 40);
    assert_eq!(kept(&Config { epsilon_cutoff: 0.02, ..hot.clone() }, &row).len(), 40);
    // Far below the least temperature that weights can have, weights still tell neighbours among the smallest numbers apart,
    // so the nearest token is that of the mean, not the maximum.
    let row: Vec<f32> = (0..9).map(|token| token as f32 * 4.0e-19).collect();
    let cold = Config { temperature: 1e-40, typical_p: 1e-6, ..Config::default() };
    let least = Config { temperature: std::f32::consts::LOG2_E / (1u64 << 60) as f32, ..cold.clone() };
    assert_eq!(kept(&cold, &row), kept(&least, &row));
    assert_ne!(kept(&cold, &row), [8]);
}

#[test]
fn mirostat_1_keeps_all_for_a_surprise_beyond_f64() {
    // Zipf's exponent is far above 1, but so is 2^mu.
    let row: Vec<f32> = (0..44).map(|token| if token == 22 { 20.0 } else { (token % 2) as f32 * 0.5 }).collect();
    let config = Config { mirostat: Mirostat::One, mirostat_tau: 1e30, temperature: 0.05, ..Config::default() };
    assert_eq!(kept(&config, &row).len(), 44);
    // Not where the exponent is as large.
    let row: Vec<f32> = (0..44).map(|token| token as f32 * 7.0e36).collect();
    assert_eq!(kept(&config, &row), [43]);
}

/// Tail-free looks at 4,096 tokens; `min_keep` holds beyond them, also where nothing bends.
#[test]
fn min_keep_goes_beyond_what_tail_free_looks_at() {
    let even = vec![1.0f32; 5000];
    let bent: Vec<f32> = (0..5000).map(|token| -(token as f32) * 0.01).collect();
    for row in [&even, &bent] {
        let config = Config { tfs_z: 0.5, min_keep: 4500, ..Config::default() };
        assert_eq!(kept(&config, row).len(), 4500);
    }
    assert_eq!(kept(&Config { tfs_z: 0.5, ..Config::default() }, &even).len(), 4096);
}

#[test]
fn a_dynamic_temperature_stays_finite() {
    let config = Config { temperature: 3.0e38, dynatemp_range: 1.0e38, ..Config::default() };
    let Err(Error::InvalidParameter { name, value }) = Decoder::new(&config, 5) else {
        panic!("an infinite temperature")
    };
    assert_eq!((name, value as f32), ("dynatemp_range", 1.0e38));
    assert!(Decoder::new(&Config { temperature: 2.0e38, ..config }, 5).is_ok());
}

/// Tokens that equal the k-th stay together only as long as they are equal.
#[test]
fn equals_of_the_kth_have_no_room_to_move() {
    let row = [3.0f32, 2.0, 2.0, 0.0];
    for profile in [Profile::Canon, Profile::HuggingFace, Profile::Vllm] {
        let config = Config { profile, top_k: 2, keep_ties: true, metrics: Metrics::ALL, ..Config::default() };
        let said = pick(&config, &row);
        assert_eq!((said.kept, said.flip_kept), (3, 0.0), "{profile:?}");
        let three = pick(&Config { top_k: 3, ..config }, &row);
        assert_eq!((three.kept, three.flip_kept), (3, 1.0), "{profile:?}");
    }
}
