//! Reads `tests/golden/*.jsonl`. The format is in `tests/conformance/README.md`.

use argpick::{Config, Mirostat, PenaltyScope, Profile};
use serde_json::Value;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const PEAK: u64 = 0xa5a5_a5a5_a5a5_a5a5;

/// Number `index` of the SplitMix64 stream of a seed.
pub fn word(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add((index + 1).wrapping_mul(GOLDEN));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A recipe of a row.
#[derive(Clone, Debug)]
pub struct Recipe {
    kind: String,
    seed: u64,
    pub vocab: usize,
    patch: Vec<(usize, f32)>,
}

impl Recipe {
    fn read(value: &Value) -> Recipe {
        Recipe {
            kind: value["kind"].as_str().expect("kind").to_string(),
            seed: value["seed"].as_u64().expect("seed"),
            vocab: whole(&value["vocab"]),
            patch: list(&value["patch"]).iter().map(|pair| (whole(&pair[0]), number(&pair[1]))).collect(),
        }
    }

    /// The row of number `offset` of a sweep.
    pub fn row(&self, offset: u64) -> Vec<f32> {
        let seed = self.seed.wrapping_add(offset);
        let mut row: Vec<f32> = (0..self.vocab as u64)
            .map(|i| {
                let x = word(seed, i);
                let s = (0..4).map(|part| (x >> (16 * part) & 0xffff) as i64).sum::<i64>() - 131_070;
                match self.kind.as_str() {
                    "normal" => s as f32 / 16_384.0,
                    "flat" => s as f32 / 131_072.0,
                    "peaked" => {
                        let zeros = i64::from(word(seed ^ PEAK, i).trailing_zeros());
                        (s + 40_960 * zeros) as f32 / 32_768.0
                    }
                    "ties" => (s >> 14) as f32 / 2.0,
                    "bf16" => f32::from_bits((s as f32 / 16_384.0).to_bits() & 0xffff_0000),
                    kind => panic!("no such kind of row: {kind}"),
                }
            })
            .collect();
        for &(token, value) in &self.patch {
            row[token] = value;
        }
        row
    }
}

/// What is expected of one row.
#[derive(Clone, Debug)]
pub struct Expected {
    pub count: usize,
    /// FNV-1a of all kept ids, where they are not listed.
    pub digest: Option<u32>,
    /// Kept ids in order, all or the first.
    pub kept: Vec<u32>,
    /// The last kept ids, where not all are listed.
    pub last: Vec<u32>,
    /// Probabilities of the first kept ids.
    pub probabilities: Vec<f64>,
    /// The sum of all squared probabilities.
    pub squares: Option<f64>,
}

/// A step of a sequence whose sampler remembers what was picked.
#[derive(Clone, Debug)]
pub struct Step {
    pub expected: Expected,
    pub token: u32,
}

/// One row with all that was set before it; or several, as steps of one sequence.
#[derive(Clone, Debug)]
pub struct Case {
    pub id: String,
    pub stage: String,
    pub config: Config,
    pub recipe: Recipe,
    /// Added to the seed of the row.
    pub offset: u64,
    pub prompt: Vec<u32>,
    pub history: Vec<u32>,
    pub bias: Vec<(u32, f32)>,
    pub bans: Vec<u32>,
    pub end_tokens: Vec<u32>,
    pub bad_sequences: Vec<Vec<u32>>,
    pub sequence_bias: Vec<(Vec<u32>, f32)>,
    pub breakers: Vec<Vec<u32>>,
    pub tolerance: f64,
    /// One, or the steps.
    pub steps: Vec<Step>,
}

/// All cases of a line: one, or the rows of a sweep.
pub fn cases(line: &str) -> Vec<Case> {
    let value: Value = serde_json::from_str(line).expect("a line of JSON");
    let id = value["id"].as_str().expect("id");
    let at = |offset: u64, steps: Vec<Step>| Case {
        id: if value["count"].is_null() { id.to_string() } else { format!("{id}+{offset}") },
        stage: value["stages"][0].as_str().expect("stages").to_string(),
        config: config(&value),
        recipe: Recipe::read(&value["row"]),
        offset,
        prompt: tokens(&value["prompt"], offset),
        history: tokens(&value["history"], offset),
        bias: list(&value["bias"]).iter().map(|pair| (token(&pair[0]), number(&pair[1]))).collect(),
        bans: tokens(&value["bans"], 0),
        end_tokens: tokens(&value["end_tokens"], 0),
        bad_sequences: list(&value["bad_sequences"]).iter().map(|ids| tokens(ids, 0)).collect(),
        sequence_bias: list(&value["sequence_bias"])
            .iter()
            .map(|pair| (tokens(&pair[0], 0), number(&pair[1])))
            .collect(),
        breakers: list(&value["breakers"]).iter().map(|ids| tokens(ids, 0)).collect(),
        tolerance: value["tolerance"].as_f64().expect("tolerance"),
        steps,
    };
    if let Some(steps) = value["steps"].as_array() {
        let steps = steps
            .iter()
            .map(|step| Step { token: token(&step[0]), expected: summary(&step.as_array().expect("a step")[1..]) });
        return vec![at(0, steps.collect())];
    }
    if value["count"].is_null() {
        return vec![at(0, vec![Step { token: 0, expected: expected(&value["expect"]) }])];
    }
    let skip: Vec<u64> = list(&value["skip"]).iter().map(|x| x.as_u64().expect("skip")).collect();
    let offsets = (0..value["count"].as_u64().expect("count")).filter(|offset| !skip.contains(offset));
    let each = list(&value["expect_each"]);
    let offsets: Vec<u64> = offsets.collect();
    assert_eq!(offsets.len(), each.len(), "{id}: rows and expectations");
    offsets
        .into_iter()
        .zip(each)
        .map(|(offset, entry)| at(offset, vec![Step { token: 0, expected: summary(list(entry)) }]))
        .collect()
}

fn expected(value: &Value) -> Expected {
    let probabilities = list(&value["probabilities"]).iter().map(|p| p.as_f64().expect("a probability")).collect();
    if value["count"].is_null() {
        let kept = tokens(&value["kept"], 0);
        return Expected { count: kept.len(), digest: None, kept, last: Vec::new(), probabilities, squares: None };
    }
    Expected {
        count: whole(&value["count"]),
        digest: Some(token(&value["digest"])),
        kept: tokens(&value["first"], 0),
        last: tokens(&value["last"], 0),
        probabilities,
        squares: None,
    }
}

fn summary(entry: &[Value]) -> Expected {
    Expected {
        count: whole(&entry[0]),
        digest: Some(token(&entry[1])),
        kept: Vec::new(),
        last: Vec::new(),
        probabilities: vec![entry[2].as_f64().expect("a probability")],
        squares: Some(entry[3].as_f64().expect("a sum")),
    }
}

fn config(case: &Value) -> Config {
    let mut config = Config {
        profile: match case["profile"].as_str().expect("profile") {
            "canon" => Profile::Canon,
            "huggingface" => Profile::HuggingFace,
            "llama_cpp" => Profile::LlamaCpp,
            "vllm" => Profile::Vllm,
            other => panic!("no such profile: {other}"),
        },
        ..Config::default()
    };
    for (name, value) in case["params"].as_object().expect("params") {
        let real = value.as_f64().expect("a parameter") as f32;
        let count = value.as_u64().unwrap_or(u64::MAX) as u32;
        match name.as_str() {
            "temperature" => config.temperature = real,
            "top_k" => config.top_k = count,
            "top_p" => config.top_p = real,
            "min_p" => config.min_p = real,
            "typical_p" => config.typical_p = real,
            "epsilon_cutoff" => config.epsilon_cutoff = real,
            "eta_cutoff" => config.eta_cutoff = real,
            "top_n_sigma" => config.top_n_sigma = real,
            "top_h" => config.top_h = real,
            "xtc_probability" => config.xtc_probability = real,
            "xtc_threshold" => config.xtc_threshold = real,
            "min_keep" => config.min_keep = count,
            "dynatemp_range" => config.dynatemp_range = real,
            "dynatemp_exponent" => config.dynatemp_exponent = real,
            "mirostat" => config.mirostat = if count == 1 { Mirostat::One } else { Mirostat::Two },
            "mirostat_tau" => config.mirostat_tau = real,
            "mirostat_eta" => config.mirostat_eta = real,
            "adaptive_target" => config.adaptive_target = real,
            "adaptive_decay" => config.adaptive_decay = real,
            "repetition_penalty" => config.repetition_penalty = real,
            "frequency_penalty" => config.frequency_penalty = real,
            "presence_penalty" => config.presence_penalty = real,
            "penalty_window" => config.penalty_window = count,
            "penalty_scope" => {
                assert_eq!(count, 2, "penalty_scope");
                config.penalty_scope = PenaltyScope::Generated;
            }
            "dry_multiplier" => config.dry_multiplier = real,
            "dry_base" => config.dry_base = real,
            "dry_allowed_length" => config.dry_allowed_length = count,
            "dry_window" => config.dry_window = count,
            "no_repeat_ngram" => config.no_repeat_ngram = count,
            "min_tokens" => config.min_tokens = count,
            "length_decay_start" => config.length_decay_start = count,
            "length_decay_factor" => config.length_decay_factor = real,
            other => panic!("no such parameter: {other}"),
        }
    }
    config
}

/// A list of ids, or a recipe of one; number `offset` of a sweep.
fn tokens(value: &Value, offset: u64) -> Vec<u32> {
    match value.as_object() {
        None => list(value).iter().map(token).collect(),
        Some(recipe) => {
            let seed = recipe["seed"].as_u64().expect("seed").wrapping_add(offset);
            let below = recipe["below"].as_u64().expect("below");
            (0..whole(&recipe["length"]) as u64).map(|i| (word(seed, i) % below) as u32).collect()
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn token(value: &Value) -> u32 {
    value.as_u64().and_then(|x| u32::try_from(x).ok()).expect("32 bits")
}

fn whole(value: &Value) -> usize {
    value.as_u64().expect("a whole number") as usize
}

fn number(value: &Value) -> f32 {
    match value.as_str() {
        Some("-inf") => f32::NEG_INFINITY,
        Some(other) => panic!("no such number: {other}"),
        None => value.as_f64().expect("a number") as f32,
    }
}
