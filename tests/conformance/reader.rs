//! Reads `tests/golden/*.jsonl`. The format is in `tests/conformance/README.md`. A field that it does not know is refused:
//! a case that is not understood whole must not pass.

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

/// Refuses an object with other fields than these.
pub fn only(value: &Value, what: &str, known: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("{what} is no object: {value}"));
    for name in object.keys() {
        assert!(known.contains(&name.as_str()), "{what} has a field that nobody reads: {name}");
    }
}

/// The fields of a case.
const FIELDS: [&str; 22] = [
    "id",
    "profile",
    "stages",
    "params",
    "row",
    "logits",
    "prompt",
    "history",
    "bias",
    "bans",
    "allowed",
    "forced",
    "end_tokens",
    "sequence_bias",
    "bad_sequences",
    "breakers",
    "tolerance",
    "count",
    "skip",
    "expect_each",
    "steps",
    "expect",
];

/// A row: its logits, or a recipe.
#[derive(Clone, Debug)]
pub enum Logits {
    Literal(Vec<f32>),
    Recipe(Recipe),
}

impl Logits {
    fn read(case: &Value) -> Logits {
        match (case.get("logits"), case.get("row")) {
            (Some(values), None) => Logits::Literal(list(values).iter().map(number).collect()),
            (None, Some(recipe)) => Logits::Recipe(Recipe::read(recipe)),
            _ => panic!("either logits or row"),
        }
    }

    /// The row of number `offset` of a sweep.
    pub fn row(&self, offset: u64) -> Vec<f32> {
        match self {
            Logits::Literal(values) => values.clone(),
            Logits::Recipe(recipe) => recipe.row(offset),
        }
    }

    pub fn vocab(&self) -> usize {
        match self {
            Logits::Literal(values) => values.len(),
            Logits::Recipe(recipe) => recipe.vocab,
        }
    }
}

/// A recipe of a row.
#[derive(Clone, Debug)]
pub struct Recipe {
    kind: String,
    seed: u64,
    vocab: usize,
    patch: Vec<(usize, f32)>,
}

impl Recipe {
    fn read(value: &Value) -> Recipe {
        only(value, "row", &["kind", "seed", "vocab", "patch"]);
        Recipe {
            kind: value["kind"].as_str().expect("kind").to_string(),
            seed: value["seed"].as_u64().expect("seed"),
            vocab: whole(&value["vocab"]),
            patch: list(&value["patch"]).iter().map(|pair| (whole(&pair[0]), number(&pair[1]))).collect(),
        }
    }

    fn row(&self, offset: u64) -> Vec<f32> {
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
    /// What is picked at temperature 0, if that is told.
    pub token: Option<u32>,
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
    pub logits: Logits,
    /// Added to the seed of the row.
    pub offset: u64,
    pub prompt: Vec<u32>,
    pub history: Vec<u32>,
    pub bias: Vec<(u32, f32)>,
    pub bans: Vec<u32>,
    /// The only ones that are allowed, unless there are none.
    pub allowed: Vec<u32>,
    pub forced: Vec<(u64, u32)>,
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
    let mut known = FIELDS.to_vec();
    if id.starts_with("llama_cpp-exception-") {
        // What the engine does instead; it stands beside the rule for whoever asks.
        known.push("engine");
        only(&value["engine"], "engine", &["version", "reason", "kept", "probabilities"]);
    }
    only(&value, id, &known);
    let kinds = ["steps", "expect", "expect_each"].map(|name| usize::from(!value[name].is_null()));
    assert_eq!(kinds.iter().sum::<usize>(), 1, "{id}: one kind of expectation");
    assert_eq!(value["count"].is_null(), value["expect_each"].is_null(), "{id}: a sweep has both");
    let at = |offset: u64, steps: Vec<Step>| Case {
        id: if value["count"].is_null() { id.to_string() } else { format!("{id}+{offset}") },
        stage: value["stages"][0].as_str().expect("stages").to_string(),
        config: config(&value),
        logits: Logits::read(&value),
        offset,
        prompt: tokens(&value["prompt"], offset),
        history: tokens(&value["history"], offset),
        bias: list(&value["bias"]).iter().map(|pair| (token(&pair[0]), number(&pair[1]))).collect(),
        bans: tokens(&value["bans"], 0),
        allowed: tokens(&value["allowed"], 0),
        forced: list(&value["forced"]).iter().map(|pair| (whole(&pair[0]) as u64, token(&pair[1]))).collect(),
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
            .map(|step| Step { token: token(&step[0]), expected: summary(&step.as_array().expect("a step")[1..5]) });
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
    let listed = value["count"].is_null();
    let few = ["token", "kept", "probabilities"];
    let many = ["token", "count", "digest", "first", "last", "probabilities"];
    only(value, "expect", if listed { &few } else { &many });
    let picked = value.get("token").map(token);
    let probabilities = list(&value["probabilities"]).iter().map(|p| p.as_f64().expect("a probability")).collect();
    if listed {
        let kept = tokens(&value["kept"], 0);
        let (token, count) = (picked, kept.len());
        return Expected { token, count, digest: None, kept, last: Vec::new(), probabilities, squares: None };
    }
    Expected {
        token: picked,
        count: whole(&value["count"]),
        digest: Some(token(&value["digest"])),
        kept: tokens(&value["first"], 0),
        last: tokens(&value["last"], 0),
        probabilities,
        squares: None,
    }
}

fn summary(entry: &[Value]) -> Expected {
    assert_eq!(entry.len(), 4, "count, digest, probability, sum of squares");
    Expected {
        token: None,
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
        // Read only where a parameter counts.
        let whole = || token(value);
        match name.as_str() {
            "temperature" => config.temperature = real,
            "top_k" => config.top_k = whole(),
            "top_p" => config.top_p = real,
            "min_p" => config.min_p = real,
            "typical_p" => config.typical_p = real,
            "epsilon_cutoff" => config.epsilon_cutoff = real,
            "eta_cutoff" => config.eta_cutoff = real,
            "top_n_sigma" => config.top_n_sigma = real,
            "top_h" => config.top_h = real,
            "xtc_probability" => config.xtc_probability = real,
            "xtc_threshold" => config.xtc_threshold = real,
            "min_keep" => config.min_keep = whole(),
            "dynatemp_range" => config.dynatemp_range = real,
            "dynatemp_exponent" => config.dynatemp_exponent = real,
            "mirostat" => {
                config.mirostat = match whole() {
                    1 => Mirostat::One,
                    2 => Mirostat::Two,
                    other => panic!("no such mirostat: {other}"),
                };
            }
            "mirostat_tau" => config.mirostat_tau = real,
            "mirostat_eta" => config.mirostat_eta = real,
            "adaptive_target" => config.adaptive_target = real,
            "adaptive_decay" => config.adaptive_decay = real,
            "repetition_penalty" => config.repetition_penalty = real,
            "frequency_penalty" => config.frequency_penalty = real,
            "presence_penalty" => config.presence_penalty = real,
            "penalty_window" => config.penalty_window = whole(),
            "penalty_scope" => {
                assert_eq!(whole(), 2, "penalty_scope");
                config.penalty_scope = PenaltyScope::Generated;
            }
            "dry_multiplier" => config.dry_multiplier = real,
            "dry_base" => config.dry_base = real,
            "dry_allowed_length" => config.dry_allowed_length = whole(),
            "dry_window" => config.dry_window = whole(),
            "no_repeat_ngram" => config.no_repeat_ngram = whole(),
            "min_tokens" => config.min_tokens = whole(),
            "length_decay_start" => config.length_decay_start = whole(),
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
            only(value, "a recipe of tokens", &["seed", "length", "below"]);
            let seed = recipe["seed"].as_u64().expect("seed").wrapping_add(offset);
            let below = recipe["below"].as_u64().expect("below");
            (0..whole(&recipe["length"]) as u64).map(|i| (word(seed, i) % below) as u32).collect()
        }
    }
}

/// The elements of a list; none where it is absent.
fn list(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        value => value.as_array().unwrap_or_else(|| panic!("no list: {value}")),
    }
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
