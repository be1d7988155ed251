//! The flip certificate: no change of the logits below a radius changes what it speaks of, and where the radius is exact, a
//! change just above it does.

use argpick::{Candidate, Config, Decoder, Metrics, Mirostat, Profile};

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
    fn normal(&mut self, deviation: f64) -> f32 {
        let (a, b) = (1.0 - self.unit(), self.unit());
        ((-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos() * deviation) as f32
    }
}

fn kept(config: &Config, row: &[f32]) -> Vec<u32> {
    let mut decoder = Decoder::new(config, row.len()).unwrap();
    let mut list = vec![Candidate::default(); row.len()];
    let count = decoder.kept(row, None, &mut list).unwrap();
    list[..count].iter().map(|candidate| candidate.token).collect()
}

struct Answer {
    token: u32,
    argmax: u32,
    kept: Vec<u32>,
    flip_argmax: f32,
    flip_kept: f32,
    flip_token: f32,
}

fn answer(config: &Config, row: &[f32]) -> Answer {
    let pick = Decoder::new(config, row.len()).unwrap().evaluate(row, None).unwrap();
    let kept = if pick.flip_kept.is_nan() { Vec::new() } else { kept(config, row) };
    Answer {
        token: pick.token,
        argmax: pick.argmax,
        kept,
        flip_argmax: pick.flip_argmax,
        flip_kept: pick.flip_kept,
        flip_token: pick.flip_token,
    }
}

fn base() -> Config {
    Config { metrics: Metrics::FLIP, ..Config::default() }
}

fn configurations() -> Vec<(&'static str, Config)> {
    let filters: Vec<(&str, Config)> = vec![
        ("none", base()),
        ("top_k", Config { top_k: 7, ..base() }),
        ("top_p", Config { top_p: 0.9, ..base() }),
        ("min_p", Config { min_p: 0.05, ..base() }),
        ("typical", Config { typical_p: 0.8, ..base() }),
        ("epsilon", Config { epsilon_cutoff: 0.01, ..base() }),
        ("eta", Config { eta_cutoff: 0.05, ..base() }),
        ("top_n_sigma", Config { top_n_sigma: 1.2, ..base() }),
        ("top_a", Config { top_a: 0.3, ..base() }),
        ("tail_free", Config { tfs_z: 0.9, ..base() }),
        ("top_h", Config { top_h: 0.6, ..base() }),
        ("xtc", Config { xtc_probability: 1.0, xtc_threshold: 0.08, ..base() }),
        ("mirostat 2", Config { mirostat: Mirostat::Two, mirostat_tau: 2.0, ..base() }),
        ("adaptive", Config { adaptive_target: 0.2, min_p: 0.05, ..base() }),
        ("min_keep", Config { min_p: 0.9, min_keep: 5, ..base() }),
        ("chain", Config { top_k: 12, top_p: 0.95, min_p: 0.02, temperature: 0.8, ..base() }),
        ("dynamic", Config { dynatemp_range: 0.5, top_p: 0.9, ..base() }),
        (
            "llama.cpp",
            Config { profile: Profile::LlamaCpp, top_k: 20, top_p: 0.9, min_p: 0.05, temperature: 1.3, ..base() },
        ),
        ("greedy", Config { temperature: 0.0, ..base() }),
    ];
    filters
}

#[test]
fn nothing_changes_below_a_radius() {
    let mut numbers = Numbers(11);
    for (name, config) in configurations() {
        let (mut sum, mut positive, mut rows) = (0.0, 0, 0);
        for case in 0..60u64 {
            let vocab = [5, 40, 333][case as usize % 3];
            let deviation = [1.0, 3.0][case as usize % 2];
            let row: Vec<f32> = (0..vocab).map(|_| numbers.normal(deviation)).collect();
            let config = Config { seed: case, ..config.clone() };
            let given = answer(&config, &row);
            assert!(given.flip_kept >= 0.0 && given.flip_token >= 0.0, "{name}");
            rows += 1;
            positive += u32::from(given.flip_token > 0.0);
            sum += f64::from(given.flip_token.min(10.0));
            for (what, radius) in
                [("argmax", given.flip_argmax), ("kept", given.flip_kept), ("token", given.flip_token)]
            {
                let radius = if radius.is_finite() { radius } else { 1.0 };
                for direction in 0..12u64 {
                    // Corners of the cube, where the worst happens: at random, towards and away from what was picked or
                    // kept, and by the order of ids.
                    let sign = |token: usize, numbers: &mut Numbers| match direction {
                        0 => token as u32 == given.token,
                        1 => token as u32 != given.token,
                        2 => given.kept.contains(&(token as u32)),
                        3 => !given.kept.contains(&(token as u32)),
                        4 => token as u32 <= given.token,
                        5 => token as u32 >= given.token,
                        6 => (token as u32) < given.token,
                        7 => (token as u32) > given.token,
                        _ => numbers.next() & 1 == 1,
                    };
                    let moved: Vec<f32> = row
                        .iter()
                        .enumerate()
                        .map(|(token, logit)| {
                            let by = 0.995 * radius;
                            let moved = logit + if sign(token, &mut numbers) { by } else { -by };
                            // Rounding may move it farther than asked.
                            if (f64::from(moved) - f64::from(*logit)).abs() < f64::from(radius) {
                                moved
                            } else {
                                *logit
                            }
                        })
                        .collect();
                    let other = answer(&config, &moved);
                    let context = format!("{name}, case {case}, direction {direction}, radius {radius} of the {what}");
                    match what {
                        "argmax" => assert_eq!(other.argmax, given.argmax, "{context}"),
                        "kept" => assert_eq!(other.kept, given.kept, "{context}"),
                        _ => assert_eq!(other.token, given.token, "{context}"),
                    }
                }
            }
        }
        println!("{name}: {positive} of {rows} tokens with a radius above 0, mean {:.4}", sum / f64::from(rows));
        if !["dynamic"].contains(&name) {
            assert!(positive * 2 > rows, "{name}: {positive} of {rows} radii are of any use");
        }
    }
}

/// Where the radius is exact, the worst change just above it does change the kept set.
#[test]
fn the_radius_of_simple_filters_is_exact() {
    let mut numbers = Numbers(5);
    let exact = [
        ("top_k", Config { top_k: 7, ..base() }),
        ("min_p", Config { min_p: 0.05, ..base() }),
        ("top_p", Config { top_p: 0.9, ..base() }),
    ];
    for (name, config) in exact {
        for case in 0..100 {
            let row: Vec<f32> = (0..60).map(|_| numbers.normal(2.0)).collect();
            let given = answer(&config, &row);
            let by = given.flip_kept * 1.01 + 1e-4;
            let last = *given.kept.iter().min_by(|&&a, &&b| row[a as usize].total_cmp(&row[b as usize])).unwrap();
            let removed = |token: usize| !given.kept.contains(&(token as u32));
            let changes = (0..5).any(|way| {
                let moved: Vec<f32> = row
                    .iter()
                    .enumerate()
                    .map(|(token, logit)| {
                        let up = match way {
                            // The cut opens: kept down, removed up, or the first down alone.
                            0 => removed(token),
                            // The cut closes: all but the last of the kept up.
                            1 => !removed(token) && token as u32 != last,
                            2 => token as u32 != last,
                            3 => token as u32 == given.argmax,
                            _ => token as u32 != given.argmax,
                        };
                        logit + if up { by } else { -by }
                    })
                    .collect();
                kept(&config, &moved) != given.kept
            });
            assert!(changes, "{name}, case {case}: nothing changed at {by}");
        }
    }
}

#[test]
fn what_was_not_asked_for_is_nan() {
    let pick = Decoder::new(&Config::default(), 3).unwrap().evaluate(&[1.0, 2.0, 0.0], None).unwrap();
    assert!(pick.flip_argmax.is_nan() && pick.flip_kept.is_nan() && pick.flip_token.is_nan());
    let pick = Decoder::new(&base(), 3).unwrap().evaluate(&[1.0, 2.5, 0.0], None).unwrap();
    assert_eq!(pick.flip_argmax, 0.75);
    assert_eq!(pick.flip_kept, f32::INFINITY, "no filter");
}
