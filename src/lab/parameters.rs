//! Parameters of a configuration by name: what each may be, the presets, and how a value from a file becomes one.

use super::tree::{Node, Value};
use crate::{Config, Mode, Profile};

/// A parameter set with a name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Always the best token: `mode: greedy`.
    Greedy,
    /// Close to the best tokens: `temperature: 0.2, top_k: 50, top_p: 0.9`.
    Careful,
    /// Room for surprise: `temperature: 0.9, top_k: 100, top_p: 0.95`.
    Creative,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Preset; 3] = [Preset::Greedy, Preset::Careful, Preset::Creative];

    /// Its name: `greedy`, `careful`, `creative`.
    pub const fn name(self) -> &'static str {
        match self {
            Preset::Greedy => "greedy",
            Preset::Careful => "careful",
            Preset::Creative => "creative",
        }
    }

    /// The preset of a name.
    pub fn from_name(name: &str) -> Option<Preset> {
        Preset::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Puts its parameters into `config`; all others stay.
    pub fn apply(self, config: &mut Config) {
        match self {
            Preset::Greedy => config.mode = Mode::Greedy,
            Preset::Careful => (config.temperature, config.top_k, config.top_p) = (0.2, 50, 0.9),
            Preset::Creative => (config.temperature, config.top_k, config.top_p) = (0.9, 100, 0.95),
        }
    }
}

/// The parameters of a configuration that are not at their defaults, by name, without `seed`, `stream` and `metrics`.
pub fn in_force(config: &Config) -> Vec<(&'static str, f64)> {
    let both = config.parameters().zip(Config::default().parameters());
    both.filter(|(ours, theirs)| ours != theirs && ours.0 != "metrics").map(|(ours, _)| ours).collect()
}

/// The same in words: `temperature 0.2`, `mode greedy`; and the stream, if it is not 0.
pub fn in_words(config: &Config) -> Vec<String> {
    let word = |(name, value): (&str, f64)| match name {
        "profile" => format!("profile {}", config.profile.name()),
        "mode" => "mode greedy".to_owned(),
        _ => format!("{name} {}", number(value)),
    };
    let mut words: Vec<String> = in_force(config).into_iter().map(word).collect();
    if config.stream != 0 {
        words.push(format!("stream {}", config.stream));
    }
    words
}

/// A parameter's number: whole ones as they are, others, which are f32, in the fewest digits that read back the same.
pub(super) fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 9e15 { format!("{value:.0}") } else { format!("{:?}", value as f32) }
}

/// What a parameter may be, for messages; `None` if there is no such parameter.
pub fn allowed(name: &str) -> Option<&'static str> {
    Some(match name {
        "profile" => "canon, huggingface, llama_cpp or vllm",
        "mode" => "sample or greedy",
        "keep_ties" => "true or false",
        "mirostat" => "0 (off), 1 or 2",
        "penalty_scope" => "profile, all or generated",
        "temperature" => "a finite number from 0 (greedy, but for some filters of llama_cpp) up",
        "top_p" | "min_p" | "typical_p" | "epsilon_cutoff" | "eta_cutoff" | "top_a" | "tfs_z" | "top_h"
        | "xtc_probability" | "xtc_threshold" => "a number from 0 to 1",
        "top_n_sigma" | "dynatemp_range" | "dynatemp_exponent" | "mirostat_tau" | "mirostat_eta" | "dry_multiplier" => {
            "a finite number from 0 up"
        }
        "adaptive_target" => "a finite number up to 1; negative is off",
        "adaptive_decay" => "a number from 0 to 0.99",
        "repetition_penalty" | "length_decay_factor" => "a finite number above 0",
        "frequency_penalty" | "presence_penalty" => "a finite number",
        "dry_base" => "a finite number from 1 up",
        "top_k" | "min_keep" | "dry_allowed_length" | "min_tokens" | "length_decay_start" | "loop_repeats" => {
            "a whole number from 0 to 4294967295"
        }
        "max_tokens" => "a whole number from 1 to 1000000",
        "penalty_window" | "dry_window" | "no_repeat_window" | "no_repeat_ngram" | "loop_period" => {
            "a whole number from 0 to history_capacity (4096 unless set)"
        }
        "valid_vocab" => "a whole number from 0 (all) to the model's vocabulary",
        "history_capacity" => "a whole number from 0 (4096) to 16777216",
        "adjustment_capacity" => "a whole number from 0 (1024) to 4194304",
        "sequence_capacity" => "a whole number from 0 (256) to 65536",
        "groups" => "a divisor of beams",
        "stream" => "a whole number from 0 to 18446744073709551615",
        _ => return None,
    })
}

/// The names that a parameter set may have, in the order of [`Config`].
pub(super) fn names() -> Vec<&'static str> {
    let parameters = Config::default().parameters().map(|(name, _)| name).filter(|name| *name != "metrics");
    parameters.chain(["stream"]).collect()
}

/// The name of the list that is nearest to a mistyped one, if one is near.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let wanted = name.to_ascii_lowercase().replace(['-', ' '], "_");
    let ranked = known.iter().map(|&known| (changes(&wanted, known), known));
    ranked
        .filter(|&(changes, known)| changes <= 1 + known.len() / 5)
        .min_by_key(|&(changes, _)| changes)
        .map(|best| best.1)
}

/// How many letters have to be put in, taken out or replaced to make one word of the other.
fn changes(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &theirs) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != theirs);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

/// Sets the parameter of a known name from a file's value. The reason if it is none of the parameter's.
pub(super) fn set(config: &mut Config, name: &str, node: &Node) -> Result<(), String> {
    let unfit = || format!("is {}; allowed: {}", node.shown(), allowed(name).unwrap_or_default());
    if name == "stream" {
        let Value::Whole(stream) = node.value else { return Err(unfit()) };
        config.stream = stream;
        return Ok(());
    }
    let number = match (name, &node.value) {
        ("profile", Value::Text(text)) => f64::from(Profile::from_name(text).ok_or_else(unfit)? as u32),
        ("mode", Value::Text(text)) => choice(&["sample", "greedy"], text).ok_or_else(unfit)?,
        ("penalty_scope", Value::Text(text)) => choice(&["profile", "all", "generated"], text).ok_or_else(unfit)?,
        ("mirostat", Value::Text(text)) if text == "off" => 0.0,
        ("keep_ties", Value::Flag(flag)) => f64::from(u8::from(*flag)),
        (_, Value::Whole(number)) => *number as f64,
        (_, Value::Real(number)) => *number,
        _ => return Err(unfit()),
    };
    if name == "temperature" && number > 0.0 && number as f32 == 0.0 {
        // Rounding must not turn a set that draws into a greedy one.
        return Err(format!("is {}, too small to be told from 0 (greedy)", node.shown()));
    }
    match config.set_parameter(name, number) {
        Ok(true) => Ok(()),
        _ => Err(unfit()),
    }
}

fn choice(names: &[&str], text: &str) -> Option<f64> {
    names.iter().position(|name| *name == text).map(|number| number as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_says_what_is_allowed() {
        for name in names() {
            assert!(allowed(name).is_some(), "{name}");
        }
        assert_eq!(allowed("metrics"), None);
        assert_eq!(names().len(), Config::default().parameters().count());
    }

    #[test]
    fn mistyped_names_are_recognised() {
        for (typed, meant) in
            [("temprature", Some("temperature")), ("top-k", Some("top_k")), ("Top_P", Some("top_p")), ("colour", None)]
        {
            assert_eq!(nearest(typed, &names()), meant, "{typed}");
        }
    }
}
