//! Sixteen real next-token rows (Gemma 3 270M, vocabulary 262,144): what the library says of them must agree with the
//! facts beside them, which another program computed, on every kernel level, and the levels among themselves bit for bit.

mod support;

use argpick::kernels::Kernels;
use argpick::{Metrics, Pick};
use support::oracle::{Case, Settings};
use support::report::{self, close};

fn evaluate(row: &[f32], settings: Settings, kernels: Kernels) -> Pick {
    let case = Case { settings, ..Case::new(row.to_vec()) };
    report::decoder(&case, kernels, Metrics::ALL).evaluate(row, None).expect("a valid row")
}

#[test]
fn the_facts_agree_on_every_level() {
    let Some((rows, facts)) = report::gemma("the_facts_agree_on_every_level") else { return };
    assert_eq!(rows.len(), 16);
    let levels = report::levels("gemma");
    let real =
        |fact: &serde_json::Value, name: &str| fact[name].as_f64().unwrap_or_else(|| panic!("{name} is missing"));
    let whole =
        |fact: &serde_json::Value, name: &str| fact[name].as_u64().unwrap_or_else(|| panic!("{name} is missing"));
    let plans = [
        ("full", Settings::default()),
        ("greedy", Settings { greedy: true, ..Settings::default() }),
        ("top-p 0.90", Settings { top_p: 0.90, ..Settings::default() }),
        ("top-p 0.95", Settings { top_p: 0.95, ..Settings::default() }),
        ("min-p 0.05", Settings { min_p: 0.05, ..Settings::default() }),
        (
            "top-k 40, top-p 0.95, min-p 0.05",
            Settings { top_k: 40, top_p: 0.95, min_p: 0.05, temperature: 0.8, ..Settings::default() },
        ),
    ];
    for (index, (row, fact)) in rows.iter().zip(&facts).enumerate() {
        for (name, settings) in &plans {
            let mut first: Option<Pick> = None;
            for &kernels in &levels {
                let place = format!("row {index}, {name}, {}", kernels.level().name());
                let pick = evaluate(row, settings.clone(), kernels);
                assert_eq!(u64::from(pick.argmax), whole(fact, "argmax"), "{place}: argmax");
                if settings.temperature == 1.0 {
                    let entropy = real(fact, "entropy_nats_T1");
                    assert!(
                        close(f64::from(pick.entropy), entropy, 1e-4, 0.0),
                        "{place}: entropy {} of {entropy}",
                        pick.entropy
                    );
                    let p_max = real(fact, "p_max");
                    assert!(
                        close(f64::from(pick.top1_probability), p_max, 1e-4, 0.0),
                        "{place}: {} of {p_max}",
                        pick.top1_probability
                    );
                }
                let logsumexp = f64::from(row[pick.token as usize]) - f64::from(pick.logprob_raw);
                let expected = real(fact, "logsumexp");
                assert!(close(logsumexp, expected, 1e-4, 0.0), "{place}: logsumexp {logsumexp} of {expected}");
                let count = match *name {
                    "top-p 0.90" => Some("top_p90_count"),
                    "top-p 0.95" => Some("top_p95_count"),
                    "min-p 0.05" => Some("min_p05_count"),
                    _ => None,
                };
                if let Some(count) = count {
                    assert_eq!(u64::from(pick.kept), whole(fact, count), "{place}: {count}");
                }
                match &first {
                    None => first = Some(pick),
                    Some(first) => {
                        if let Some(what) = report::first_difference(&pick, first) {
                            panic!("{place}: bits differ from {}: {what}", levels[0].level().name());
                        }
                    }
                }
            }
        }
    }
}

/// The same rows through `process` and `probabilities`: the levels leave the same bits.
#[test]
fn the_levels_leave_the_same_rows() {
    let Some((rows, _)) = report::gemma("the_levels_leave_the_same_rows") else { return };
    let levels = report::levels("gemma_rows");
    for (index, row) in rows.iter().enumerate().step_by(5) {
        let case = Case {
            settings: Settings { top_p: 0.95, temperature: 0.7, ..Settings::default() },
            ..Case::new(row.clone())
        };
        let mut first: Option<(Vec<f32>, Vec<f32>)> = None;
        for &kernels in &levels {
            let mut decoder = report::decoder(&case, kernels, Metrics::NONE);
            let (mut processed, mut probabilities) = (row.clone(), row.clone());
            decoder.process(&mut processed, None).expect("a valid row");
            decoder.probabilities(&mut probabilities, None).expect("a valid row");
            let Some((first_processed, first_probabilities)) = &first else {
                first = Some((processed, probabilities));
                continue;
            };
            for (what, a, b) in
                [("process", &processed, first_processed), ("probabilities", &probabilities, first_probabilities)]
            {
                if let Some(difference) = report::first_row_difference(a, b) {
                    panic!("row {index}, {what} on {}: {difference}", kernels.level().name());
                }
            }
        }
    }
}
