//! The steps of `decode.json` with filters beyond top-k, top-p and min-p, and how their parameters stand in JSON.

use super::support::filters::{Filters, Whose};
use super::support::generators::{self, Shape, Source};
use super::support::oracle::{Case, Settings};
use super::whole;
use serde_json::Value;

/// Each filter alone, chains in the order of each profile, and what is easily got wrong about them.
pub fn filter_steps() -> Vec<(String, Case)> {
    let off = Filters::default;
    let base = || Settings { seed: 7, ..Settings::default() };
    let row = |seed: u64, shape, vocab| generators::row(&mut Source::new(seed), shape, vocab);
    let with = |row: Vec<f32>, settings| Case { settings, ..Case::new(row) };
    let mut steps = Vec::new();
    let alone: [(&str, Filters); 17] = [
        ("typical", Filters { typical_p: 0.7, ..off() }),
        ("typical 0", Filters { typical_p: 0.0, ..off() }),
        ("epsilon", Filters { epsilon_cutoff: 0.01, ..off() }),
        ("epsilon that nothing reaches", Filters { epsilon_cutoff: 1.0, ..off() }),
        ("eta", Filters { eta_cutoff: 0.05, ..off() }),
        ("top-n-sigma", Filters { top_n_sigma: 1.0, ..off() }),
        ("top-a", Filters { top_a: 0.3, ..off() }),
        ("tail-free", Filters { tfs_z: 0.9, ..off() }),
        ("top-h", Filters { top_h: 0.4, ..off() }),
        ("xtc", Filters { xtc_probability: 1.0, xtc_threshold: 0.02, ..off() }),
        ("xtc threshold 0", Filters { xtc_probability: 1.0, xtc_threshold: 0.0, ..off() }),
        ("xtc half the time", Filters { xtc_probability: 0.5, xtc_threshold: 0.01, ..off() }),
        ("dynamic temperature", Filters { dynatemp_range: 0.5, dynatemp_exponent: 1.5, ..off() }),
        ("mirostat 1", Filters { mirostat: 1, mirostat_tau: 2.0, ..off() }),
        ("mirostat 2", Filters { mirostat: 2, mirostat_tau: 2.0, ..off() }),
        ("adaptive-p", Filters { adaptive_target: 0.3, ..off() }),
        ("adaptive-p far from all", Filters { adaptive_target: 1.0, ..off() }),
    ];
    for (name, filters) in &alone {
        for (index, shape) in [Shape::Normal, Shape::Ties, Shape::Zipf].into_iter().enumerate() {
            let case = with(row(60 + index as u64, shape, 100), Settings { filters: filters.clone(), ..base() });
            steps.push((format!("{name}, {shape:?}"), case));
        }
        let settings = Settings { filters: filters.clone(), min_keep: 3, ..base() };
        steps.push((format!("{name}, equals, min_keep 3"), with(vec![0.5; 9], settings)));
    }
    let profiles = [
        (Whose::HuggingFace, Filters { top_h: 0.9, typical_p: 0.95, epsilon_cutoff: 0.001, eta_cutoff: 0.01, ..off() }),
        (
            Whose::LlamaCpp,
            Filters { top_n_sigma: 2.0, typical_p: 0.9, xtc_probability: 1.0, xtc_threshold: 0.05, ..off() },
        ),
        (Whose::Vllm, off()),
        (Whose::Canon, Filters { typical_p: 0.95, top_a: 0.05, top_n_sigma: 2.5, tfs_z: 0.99, top_h: 0.95, ..off() }),
    ];
    for (whose, filters) in profiles {
        for shape in [Shape::Normal, Shape::Ties, Shape::Flat] {
            let filters = Filters { whose, ..filters.clone() };
            let settings = Settings { top_k: 30, top_p: 0.95, min_p: 0.01, temperature: 1.3, filters, ..base() };
            steps.push((format!("chain of {whose:?}, {shape:?}"), with(row(70, shape, 120), settings)));
        }
    }
    let equals = vec![1.0, 3.0, 2.0, 3.0, 2.0, 2.0, 0.0];
    for (name, settings) in [
        ("top-k keeps ties", Settings { top_k: 3, filters: Filters { keep_ties: true, ..off() }, ..base() }),
        (
            "top-k of Hugging Face",
            Settings { top_k: 3, filters: Filters { whose: Whose::HuggingFace, ..off() }, ..base() },
        ),
        (
            "top-k of llama.cpp",
            Settings { top_k: 3, min_keep: 5, filters: Filters { whose: Whose::LlamaCpp, ..off() }, ..base() },
        ),
        (
            "vLLM's least temperature",
            Settings { temperature: 1e-6, filters: Filters { whose: Whose::Vllm, ..off() }, ..base() },
        ),
    ] {
        steps.push((name.to_string(), with(equals.clone(), settings)));
    }
    let single = |whose| Settings { filters: Filters { whose, typical_p: 0.4, ..off() }, ..base() };
    for whose in [Whose::Canon, Whose::HuggingFace, Whose::LlamaCpp] {
        steps.push((format!("typical among equals, {whose:?}"), with(vec![1.0; 10], single(whose))));
    }
    for (name, row) in [("huge", [3.0e38, -3.0e38, 1.0e38, 2.9e38]), ("subnormal", [1e-40, 4e-41, -1e-40, 9e-41])] {
        let filters = Filters { top_n_sigma: 0.5, ..off() };
        steps.push((format!("top-n-sigma, {name}"), with(row.to_vec(), Settings { filters, ..base() })));
    }
    steps
}

/// The parameters of filters that are not the default ones, by the names of the configuration.
pub fn filters_to_json(filters: &Filters) -> serde_json::Map<String, Value> {
    let (given, off) = (Value::from_iter(named(filters)), Value::from_iter(named(&Filters::default())));
    let fields = given.as_object().expect("an object").iter();
    fields
        .filter(|(name, value)| off[name.as_str()] != **value)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// All of them; f32 by their bits.
fn named(f: &Filters) -> [(&'static str, u32); 18] {
    [
        ("profile", f.whose as u32),
        ("typical_p", f.typical_p.to_bits()),
        ("epsilon_cutoff", f.epsilon_cutoff.to_bits()),
        ("eta_cutoff", f.eta_cutoff.to_bits()),
        ("top_n_sigma", f.top_n_sigma.to_bits()),
        ("top_a", f.top_a.to_bits()),
        ("tfs_z", f.tfs_z.to_bits()),
        ("top_h", f.top_h.to_bits()),
        ("xtc_probability", f.xtc_probability.to_bits()),
        ("xtc_threshold", f.xtc_threshold.to_bits()),
        ("keep_ties", f.keep_ties.into()),
        ("dynatemp_range", f.dynatemp_range.to_bits()),
        ("dynatemp_exponent", f.dynatemp_exponent.to_bits()),
        ("mirostat", f.mirostat),
        ("mirostat_tau", f.mirostat_tau.to_bits()),
        ("mirostat_eta", f.mirostat_eta.to_bits()),
        ("adaptive_target", f.adaptive_target.to_bits()),
        ("adaptive_decay", f.adaptive_decay.to_bits()),
    ]
}

pub fn filters_from_json(config: &Value) -> Filters {
    let given =
        |(name, off): (&'static str, u32)| if config[name].is_null() { off } else { whole(&config[name]) as u32 };
    let [whose, rest @ ..] = named(&Filters::default()).map(given);
    let whose = [Whose::Canon, Whose::HuggingFace, Whose::LlamaCpp, Whose::Vllm][whose as usize];
    let [typical_p, epsilon_cutoff, eta_cutoff, top_n_sigma, top_a, tfs_z, top_h, xtc_probability, xtc_threshold, ..] =
        rest.map(f32::from_bits);
    let [.., dynatemp_range, dynatemp_exponent, _, mirostat_tau, mirostat_eta, adaptive_target, adaptive_decay] =
        rest.map(f32::from_bits);
    Filters {
        whose,
        typical_p,
        epsilon_cutoff,
        eta_cutoff,
        top_n_sigma,
        top_a,
        tfs_z,
        top_h,
        xtc_probability,
        xtc_threshold,
        keep_ties: rest[9] != 0,
        dynatemp_range,
        dynatemp_exponent,
        mirostat: rest[12],
        mirostat_tau,
        mirostat_eta,
        adaptive_target,
        adaptive_decay,
    }
}
