//! The literal cases of llama.cpp's own sampler tests (`../shared/data/vectors/llama_cpp_sampling.json`), under its profile.

use argpick::{Candidate, Config, Decoder, Profile};
use serde_json::Value;
use std::collections::BTreeMap;

/// What came out for one sampler: cases, and what is wrong.
pub type Results = BTreeMap<String, (usize, Vec<String>)>;

fn real(params: &Value, name: &str) -> f32 {
    params[name].as_f64().unwrap_or_else(|| panic!("{name} is missing")) as f32
}

fn count(params: &Value, name: &str) -> u32 {
    params[name].as_u64().unwrap_or_else(|| panic!("{name} is missing")) as u32
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().map_or(Vec::new(), |list| list.iter().map(|id| id.as_u64().expect("an id") as u32).collect())
}

/// Runs every case of the file's text.
pub fn run(text: &str) -> Results {
    let file: Value = serde_json::from_str(text).expect("the vectors");
    let mut results = Results::new();
    for (index, case) in file["cases"].as_array().expect("cases").iter().enumerate() {
        let sampler = case["sampler"].as_str().expect("sampler");
        let (cases, wrong) = results.entry(sampler.to_string()).or_default();
        *cases += 1;
        if let Err(text) = if sampler == "queue" { queue(case) } else { single(sampler, case) } {
            wrong.push(format!("case {index}: {text}"));
        }
    }
    results
}

fn single(sampler: &str, case: &Value) -> Result<(), String> {
    let params = &case["params"];
    let mut config = Config { profile: Profile::LlamaCpp, ..Config::default() };
    let history = ids(&case["last_tokens"]);
    let mut breakers: Vec<Vec<u32>> = Vec::new();
    match sampler {
        "temp" => config.temperature = real(params, "temp"),
        "temp_ext" => {
            config.temperature = real(params, "temp");
            config.dynatemp_range = real(params, "delta");
            config.dynatemp_exponent = real(params, "exponent");
        }
        "top_k" => config.top_k = count(params, "k"),
        "top_p" => config.top_p = real(params, "p"),
        "min_p" => config.min_p = real(params, "p"),
        "typical" => config.typical_p = real(params, "p"),
        "top_n_sigma" => config.top_n_sigma = real(params, "n"),
        "xtc" => {
            // The engine's own coin falls so that it acts at 0.99; a probability of 1 needs no coin.
            config.xtc_probability = 1.0;
            config.xtc_threshold = real(params, "threshold");
        }
        "penalties" => {
            config.repetition_penalty = real(params, "repeat");
            config.frequency_penalty = real(params, "freq");
            config.presence_penalty = real(params, "present");
            config.penalty_window = history.len() as u32;
        }
        "dry" => {
            config.dry_multiplier = real(params, "multiplier");
            config.dry_base = real(params, "base");
            config.dry_allowed_length = count(params, "allowed_length");
            config.dry_window = count(params, "last_n");
            breakers = params["breakers"].as_array().expect("breakers").iter().map(ids).collect();
        }
        other => panic!("no such sampler: {other}"),
    }
    let given: Vec<f64> = case["probs"].as_array().expect("probs").iter().map(|p| p.as_f64().expect("p")).collect();
    let row: Vec<f32> = given.iter().map(|p| p.ln() as f32).collect();
    let made = Decoder::new(&config, row.len());
    if config.min_p > 1.0 {
        // llama.cpp then keeps one token; here it is no valid parameter.
        return made.is_err().then_some(()).ok_or_else(|| "min_p above 1 is accepted".to_string());
    }
    let mut decoder = made.map_err(|error| error.to_string())?;
    super::set_breakers(&mut decoder, &breakers)?;
    decoder.accept(&history).map_err(|error| error.to_string())?;
    let kept = super::kept(&mut decoder, &row, None)?;
    let whole = matches!(sampler, "xtc" | "typical");
    let p = |kept: &Candidate| if whole { given[kept.token as usize] } else { f64::from(kept.logprob).exp() };
    let mut want: Vec<f64> =
        case["expected"].as_array().expect("expected").iter().map(|p| p.as_f64().expect("p")).collect();
    let mut have = vec![0.0; row.len()];
    kept.iter().for_each(|kept| have[kept.token as usize] = p(kept));
    want.resize(row.len(), 0.0);
    // The engine lists what it kept in an order of its own, unless it keeps the whole list and masks.
    if !matches!(sampler, "temp" | "temp_ext" | "penalties" | "dry" | "top_n_sigma") {
        [&mut have, &mut want].into_iter().for_each(|list| list.sort_by(|a, b| b.total_cmp(a)));
    }
    let same = have.iter().zip(&want).all(|(a, b)| (a - b).abs() <= 1e-5);
    same.then_some(()).ok_or_else(|| format!("{sampler} {params}: {have:?}, expected {want:?}"))
}

/// Filters one after the other in any order, on the logits ln(id): the probability of an id is proportional to it, so what
/// is kept is a range of ids that whole numbers tell.
fn queue(case: &Value) -> Result<(), String> {
    let vocab = case["n_vocab"].as_u64().expect("n_vocab") as usize;
    let (top_k, top_p, min_p) = (count(case, "top_k"), real(case, "top_p"), real(case, "min_p"));
    let sequence = case["seq"].as_str().expect("seq");
    let mut row: Vec<f32> = (0..vocab).map(|id| (id as f32).ln()).collect();
    // Token 0 has probability 0.
    let mut lowest = 1;
    for filter in sequence.chars() {
        let mut config = Config { profile: Profile::LlamaCpp, ..Config::default() };
        match filter {
            'k' => {
                config.top_k = top_k;
                lowest = lowest.max(vocab.saturating_sub(top_k as usize));
            }
            'p' => {
                config.top_p = top_p;
                let total: usize = (lowest..vocab).sum();
                let mut mass = 0;
                let line = f64::from(top_p) * total as f64;
                lowest = (lowest..vocab)
                    .rev()
                    .find(|id| {
                        mass += id;
                        mass as f64 >= line
                    })
                    .unwrap_or(lowest);
            }
            'm' => {
                config.min_p = min_p;
                let line = f64::from(min_p) * (vocab - 1) as f64;
                lowest = (lowest..vocab).find(|&id| id as f64 >= line).unwrap_or(vocab - 1);
            }
            other => panic!("no such filter: {other}"),
        }
        let mut decoder = Decoder::new(&config, vocab).map_err(|error| error.to_string())?;
        decoder.process(&mut row, None).map_err(|error| error.to_string())?;
        let kept = row.iter().filter(|logit| **logit > f32::NEG_INFINITY).count();
        let first = row.iter().position(|logit| *logit > f32::NEG_INFINITY);
        if (kept, first) != (vocab - lowest, Some(lowest)) {
            return Err(format!("{case}: after {filter} {kept} are kept from {first:?} on, expected from {lowest} on"));
        }
    }
    Ok(())
}
