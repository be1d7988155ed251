//! A run as the page shows it, whichever input it comes from.

use super::words::Words;
use argpick::Config;
use serde_json::{Value, json};

/// Base64 of RFC 4648 with padding, as a browser's `atob` reads it.
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            let is_there = i <= group.len();
            text.push(if is_there { ALPHABET[(word >> (18 - 6 * i)) as usize & 63] as char } else { '=' });
        }
    }
    text
}

/// A token of a step, by id where the run has a vocabulary, else by its text.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    Id(u32),
    Text(String),
}

impl Token {
    fn json(&self) -> Value {
        match self {
            Token::Id(id) => json!(id),
            Token::Text(text) => json!(text),
        }
    }
}

/// What happens to a decoder between steps, in the words of the wrappers for JavaScript.
#[derive(Clone, Debug)]
pub enum Event {
    Prompt(Vec<u32>),
    Accept(Vec<u32>),
    Undo(u64),
    Seek(u64),
    Biases(Vec<(u32, f32)>),
    Bans(Vec<u32>),
    Bytes(Vec<u8>),
    State(Vec<u8>),
    EndTokens(Vec<u32>),
    /// The step of this number in the run.
    Step(usize),
}

impl Event {
    fn json(&self) -> Value {
        match self {
            Event::Prompt(tokens) => json!(["prompt", tokens]),
            Event::Accept(tokens) => json!(["accept", tokens]),
            Event::Undo(count) => json!(["undo", count]),
            // As text: it may have 64 bits.
            Event::Seek(position) => json!(["seek", position.to_string()]),
            Event::Biases(biases) => {
                let tokens: Vec<u32> = biases.iter().map(|bias| bias.0).collect();
                let values: Vec<u8> = biases.iter().flat_map(|bias| bias.1.to_le_bytes()).collect();
                json!(["biases", tokens, base64(&values)])
            }
            Event::Bans(tokens) => json!(["bans", tokens]),
            Event::Bytes(bytes) => json!(["bytes", base64(bytes)]),
            Event::State(bytes) => json!(["state", base64(bytes)]),
            Event::EndTokens(tokens) => json!(["endTokens", tokens]),
            Event::Step(index) => json!(["step", index]),
        }
    }
}

/// One of the best tokens of a step.
#[derive(Clone, Debug)]
pub struct Best {
    pub token: Token,
    pub logit: f32,
    /// At the temperature, before truncation.
    pub before: Option<f64>,
    /// The probability it is drawn with.
    pub after: Option<f32>,
}

/// What a stage leaves.
#[derive(Clone, Debug)]
pub struct Stage {
    pub name: &'static str,
    pub parameter: f64,
    pub kept: u32,
    pub kept_mass: f32,
    pub temperature: f32,
}

/// The logits of a step that are in the page.
#[derive(Clone, Debug)]
pub enum Logits {
    /// All of them, in the type they were given in.
    Row { dtype: &'static str, bytes: Vec<u8> },
    /// The best of them; the page takes all others for masked.
    Best { tokens: Vec<u32>, values: Vec<f32> },
}

/// Numbers about a pick; what is not known is NaN or `None`.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    pub margin: f32,
    pub top1_probability: f32,
    pub entropy: f32,
    pub logprob: f32,
    pub rank: Option<u32>,
    pub kept: Option<u32>,
}

/// Nothing is known.
pub const NO_NUMBERS: Numbers = Numbers {
    margin: f32::NAN,
    top1_probability: f32::NAN,
    entropy: f32::NAN,
    logprob: f32::NAN,
    rank: None,
    kept: None,
};

/// A step.
#[derive(Clone, Debug)]
pub struct Step {
    pub position: u64,
    /// `None` if the step was refused.
    pub token: Option<Token>,
    pub error: Option<String>,
    /// Whether the token was recorded as generated, and not only evaluated.
    pub is_recorded: bool,
    pub finish: Option<&'static str>,
    pub numbers: Numbers,
    pub best: Vec<Best>,
    pub stages: Vec<Stage>,
    pub logits: Option<Logits>,
    pub mask: Option<Vec<u32>>,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The file it is from.
    pub source: String,
    /// `recording`, `steps` or `sweep`.
    pub kind: &'static str,
    /// The prompt as text, where it is known.
    pub context: Option<String>,
    /// What tells it from others with its prompt: its file, its parameter set.
    pub label: String,
    /// What is in force, for readers.
    pub parameters: Vec<(String, String)>,
    /// The configuration to decode anew with, and the length of its rows.
    pub config: Option<(Config, usize)>,
    pub words: Option<Words>,
    pub stop: Option<String>,
    pub events: Vec<Event>,
    pub steps: Vec<Step>,
    /// The text in order: tokens, and the step that picked each.
    pub text: Vec<(Token, Option<usize>)>,
    pub facts: Vec<(&'static str, String)>,
    pub remarks: Vec<String>,
}

impl Run {
    /// An empty run of a file.
    pub fn new(source: &str) -> Run {
        Run {
            source: source.to_owned(),
            kind: "",
            context: None,
            label: String::new(),
            parameters: Vec::new(),
            config: None,
            words: None,
            stop: None,
            events: Vec::new(),
            steps: Vec::new(),
            text: Vec::new(),
            facts: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Whether sliders can decode it anew.
    pub fn has_rows(&self) -> bool {
        self.config.is_some() && self.steps.iter().any(|step| step.logits.is_some())
    }

    /// What the page shows of it; `vocabulary` is the place of its words.
    pub fn json(&self, vocabulary: Option<usize>) -> Value {
        json!({
            "source": self.source,
            "kind": self.kind,
            "context": self.context,
            "label": self.label,
            "parameters": self.parameters,
            "config": self.config.as_ref().map(|(config, _)| config_json(config)),
            "vocab": self.config.as_ref().map(|(_, vocab)| vocab),
            "words": vocabulary,
            "stop": self.stop,
            "events": self.events.iter().map(Event::json).collect::<Vec<_>>(),
            "steps": self.steps.iter().map(Step::json).collect::<Vec<_>>(),
            "text": self.text.iter().map(|(token, step)| json!([token.json(), step])).collect::<Vec<_>>(),
            "facts": self.facts,
            "remarks": self.remarks,
        })
    }
}

impl Step {
    /// A recorded step at a position, of which nothing else is known.
    pub fn at(position: u64) -> Step {
        Step {
            position,
            token: None,
            error: None,
            is_recorded: true,
            finish: None,
            numbers: NO_NUMBERS,
            best: Vec::new(),
            stages: Vec::new(),
            logits: None,
            mask: None,
        }
    }

    fn json(&self) -> Value {
        let Numbers { margin, top1_probability, entropy, logprob, rank, kept } = self.numbers;
        // JSON has no infinity: the margin of a step with one choice.
        let margin = if margin == f32::INFINITY { json!("inf") } else { json!(margin) };
        json!({
            "position": self.position.to_string(),
            "token": self.token.as_ref().map(Token::json),
            "error": self.error,
            "recorded": self.is_recorded,
            "finish": self.finish,
            "margin": margin,
            "top1": top1_probability,
            "entropy": entropy,
            "logprob": logprob,
            "rank": rank,
            "kept": kept,
            "best": self.best.iter()
                .map(|best| json!([best.token.json(), best.logit, best.before, best.after]))
                .collect::<Vec<_>>(),
            "stages": self.stages.iter()
                .map(|stage| json!([stage.name, stage.parameter, stage.kept, stage.kept_mass, stage.temperature]))
                .collect::<Vec<_>>(),
            "logits": self.logits.as_ref().map(|logits| match logits {
                Logits::Row { dtype, bytes } => json!({ "dtype": dtype, "row": base64(bytes) }),
                Logits::Best { tokens, values } => {
                    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                    json!({ "dtype": "f32", "tokens": tokens, "values": base64(&bytes) })
                }
            }),
            "mask": self.mask.as_ref().map(|words| {
                base64(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>())
            }),
        })
    }
}

/// Every parameter that is not at its default, by its C name. Seed and stream are texts: they may have 64 bits.
fn config_json(config: &Config) -> Value {
    let mut fields: serde_json::Map<String, Value> = crate::sampling_args::in_force(config)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    fields.remove("metrics");
    fields.insert("seed".to_owned(), json!(config.seed.to_string()));
    fields.insert("stream".to_owned(), json!(config.stream.to_string()));
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (bytes, text) in pairs {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
    }
}
