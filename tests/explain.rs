//! `Decoder::explain`: after each stage, what a decoder keeps that has only the stages so far.

use argpick::{Candidate, Config, Decoder, Mode, Profile, StageReport};

fn rows() -> Vec<Vec<f32>> {
    let mut state = 1;
    let mut next = || {
        state = argpick::rng::mix(state);
        (state >> 40) as f32 / 2_000_000.0 - 4.0
    };
    let mut rows: Vec<Vec<f32>> = (0..6).map(|_| (0..500).map(|_| next()).collect()).collect();
    // Equal logits at the boundaries, and masked ones.
    rows.push((0..500).map(|i| (i % 9) as f32).collect());
    rows.push((0..500).map(|i| if i % 3 == 0 { f32::NEG_INFINITY } else { next() }).collect());
    rows
}

/// The configurations of a profile with one stage more each time, and the name of the stage.
fn growing(profile: Profile) -> Vec<(&'static str, Config)> {
    type Change = fn(Config) -> Config;
    let temperature: (&str, Change) = ("temperature", |config| Config { temperature: 0.6, ..config });
    let top_k: (&str, Change) = ("top_k", |config| Config { top_k: 90, ..config });
    let top_p: (&str, Change) = ("top_p", |config| Config { top_p: 0.85, ..config });
    let min_p: (&str, Change) = ("min_p", |config| Config { min_p: 0.06, ..config });
    let typical: (&str, Change) = ("typical_p", |config| Config { typical_p: 0.9, ..config });
    let sigma: (&str, Change) = ("top_n_sigma", |config| Config { top_n_sigma: 1.6, ..config });
    let xtc: (&str, Change) =
        ("xtc_probability", |config| Config { xtc_probability: 1.0, xtc_threshold: 0.02, ..config });
    let top_a: (&str, Change) = ("top_a", |config| Config { top_a: 0.9, ..config });
    let order: Vec<(&str, Change)> = match profile {
        // Temperature comes first and is no stage of its own then.
        Profile::Canon => vec![top_k, top_p, min_p, typical, sigma, top_a, xtc],
        Profile::HuggingFace => vec![top_k, top_p, min_p, typical],
        Profile::LlamaCpp => vec![sigma, top_k, typical, top_p, min_p, xtc, temperature],
        Profile::Vllm => vec![min_p, top_k, top_p],
    };
    let mut config = Config { profile, seed: 4, ..Config::default() };
    if profile != Profile::LlamaCpp {
        config = temperature.1(config);
    }
    let mut found = vec![("row", config.clone())];
    for (name, change) in order {
        config = change(config);
        found.push((name, config.clone()));
    }
    found
}

#[test]
fn each_report_is_what_the_stages_so_far_keep() {
    let mut removed = 0;
    for profile in Profile::ALL {
        let configs = growing(profile);
        let (_, whole) = configs.last().unwrap();
        for (r, row) in rows().iter().enumerate() {
            let mut decoder = Decoder::new(whole, 500).unwrap();
            let mut reports = [StageReport::EMPTY; StageReport::MOST];
            let mask: Vec<u32> = (0..16).map(|i| 0xffff_fff7 ^ i).collect();
            let mask = (r % 2 == 1).then_some(&mask[..]);
            let before = format!("{:?}", decoder.evaluate(row, mask).unwrap());
            let count = decoder.explain(row, mask, &mut reports).unwrap();
            assert_eq!(format!("{:?}", decoder.evaluate(row, mask).unwrap()), before, "nothing has changed");
            let names: Vec<&str> = reports[..count].iter().map(|report| report.name).collect();
            let expected: Vec<&str> = configs.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, expected, "{}", profile.name());
            for (report, (name, config)) in reports[..count].iter().zip(&configs) {
                let place = format!("{}, row {r}, after {name}", profile.name());
                let mut only = Decoder::new(config, 500).unwrap();
                let mut kept = [Candidate::default(); 500];
                let found = only.kept(row, mask, &mut kept).unwrap();
                assert_eq!(report.kept as usize, found, "{place}");
                assert_eq!(report.temperature, config.temperature, "{place}");
                let (mut total, mut mass) = (0.0, 0.0);
                for (token, &logit) in row.iter().enumerate() {
                    let allowed = mask.is_none_or(|mask| mask[token / 32] >> (token % 32) & 1 != 0);
                    if !allowed || logit == f32::NEG_INFINITY {
                        continue;
                    }
                    let weight = ((f64::from(logit) - 10.0) / f64::from(config.temperature)).exp();
                    total += weight;
                    let is_kept = kept[..found].iter().any(|candidate| candidate.token == token as u32);
                    assert_eq!(report.keeps(token as u32, logit), is_kept, "{place}, token {token}");
                    mass += if is_kept { weight } else { 0.0 };
                }
                assert!((f64::from(report.kept_mass) - mass / total).abs() < 1e-5, "{place}: {report:?}");
            }
            removed += reports[..count].windows(2).filter(|pair| pair[1].kept < pair[0].kept).count();
        }
    }
    assert!(removed > 60, "only {removed} stages removed anything");
}

#[test]
fn parameters_room_and_greedy() {
    let row = &rows()[0];
    let config = Config { top_k: 7, top_p: 0.5, ..Config::default() };
    let mut decoder = Decoder::new(&config, 500).unwrap();
    let mut reports = [StageReport::EMPTY; 2];
    assert_eq!(decoder.explain(row, None, &mut reports), Ok(3), "more than there was room for");
    assert_eq!((reports[1].name, reports[1].parameter, reports[1].kept), ("top_k", 7.0, 7));
    assert!(reports[0].parameter.is_nan() && reports[0].kept == 500 && reports[0].kept_mass == 1.0);
    let greedy = Config { mode: Mode::Greedy, ..config };
    let mut decoder = Decoder::new(&greedy, 500).unwrap();
    assert_eq!(decoder.explain(row, None, &mut reports), Ok(2));
    let argmax = decoder.evaluate(row, None).unwrap().argmax;
    assert_eq!((reports[1].name, reports[1].kept), ("greedy", 1));
    assert!(reports[1].keeps(argmax, row[argmax as usize]));
    assert!(decoder.explain(&[0.0; 3][..], None, &mut reports).is_err());
    assert!(decoder.explain(row, Some(&[]), &mut reports).is_err());
}

#[test]
fn every_stage_fits_the_most() {
    let everything = Config {
        temperature: 0.9,
        top_k: 400,
        top_p: 0.99,
        min_p: 0.001,
        typical_p: 0.99,
        epsilon_cutoff: 0.0001,
        eta_cutoff: 0.0001,
        top_n_sigma: 3.0,
        top_a: 0.01,
        tfs_z: 0.99,
        top_h: 0.99,
        xtc_probability: 0.5,
        dynatemp_range: 0.3,
        ..Config::default()
    };
    let mut decoder = Decoder::new(&everything, 500).unwrap();
    let mut reports = [StageReport::EMPTY; StageReport::MOST];
    let count = decoder.explain(&rows()[1], None, &mut reports).unwrap();
    assert_eq!(count, 13, "{reports:?}");
    let mut names: Vec<&str> = reports[..count].iter().map(|report| report.name).collect();
    assert_eq!(names[1], "dynatemp_range");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 13);
    // Each name but the first is a parameter.
    assert!(names.iter().all(|name| *name == "row" || everything.parameters().any(|(known, _)| known == *name)));
}
