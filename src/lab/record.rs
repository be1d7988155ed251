//! What one run left behind, and its form as a line of JSON.

use super::parameters::{self, in_force};
use super::sweep::{Input, Run, Sweep};
use crate::types::TokenId;
use crate::{Finish, Pick};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Termination {
    /// An end token.
    EndToken,
    /// A stop sequence of tokens, or a stop string.
    Stop,
    /// `max_tokens`.
    Length,
    /// The end of the text stood `loop_repeats` times in a row.
    Loop,
    /// Masks and bans left nothing to pick.
    MaskExhausted,
    /// An error, which the record tells.
    Error,
}

impl Termination {
    /// Every reason.
    pub const ALL: [Termination; 6] = [
        Termination::EndToken,
        Termination::Stop,
        Termination::Length,
        Termination::Loop,
        Termination::MaskExhausted,
        Termination::Error,
    ];

    /// Its name in results: `end_token`, `stop`, `length`, `loop`, `mask_exhausted`, `error`.
    pub const fn name(self) -> &'static str {
        match self {
            Termination::EndToken => "end_token",
            Termination::Stop => "stop",
            Termination::Length => "length",
            Termination::Loop => "loop",
            Termination::MaskExhausted => "mask_exhausted",
            Termination::Error => "error",
        }
    }

    /// The reason of a name.
    pub fn from_name(name: &str) -> Option<Termination> {
        Termination::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// The reason that a pick gives; `None` if the sequence goes on.
    pub fn from_finish(finish: Finish) -> Option<Termination> {
        match finish {
            Finish::None => None,
            Finish::Length => Some(Termination::Length),
            Finish::EndToken => Some(Termination::EndToken),
            Finish::Stop => Some(Termination::Stop),
            Finish::Loop => Some(Termination::Loop),
        }
    }
}

/// The steps of a run, one entry each in every list; as plain numbers, whoever decoded them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    /// The tokens picked, an end token among them.
    pub tokens: Vec<TokenId>,
    /// The text that each token added; empty for an end token.
    pub pieces: Vec<String>,
    /// Entropy in nats, at the set's temperature, before truncation.
    pub entropy: Vec<f32>,
    /// Best minus second best logit, before temperature; +inf where one token took part.
    pub margin: Vec<f32>,
    /// Probability of the best token, at the set's temperature, before truncation.
    pub top1_probability: Vec<f32>,
    /// Natural logarithm of the probability that the token was drawn with.
    pub logprob: Vec<f32>,
    /// 0 if the best token was picked, 1 for the second, and so on.
    pub rank: Vec<u32>,
    /// How many tokens the filters left.
    pub kept: Vec<u32>,
}

impl Steps {
    /// Adds a step.
    pub fn push(&mut self, pick: &Pick, piece: String) {
        self.tokens.push(pick.token);
        self.pieces.push(piece);
        self.entropy.push(pick.entropy);
        self.margin.push(pick.margin);
        self.top1_probability.push(pick.top1_probability);
        self.logprob.push(pick.logprob);
        self.rank.push(pick.rank);
        self.kept.push(pick.kept);
    }
}

/// The result of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// The run's number in its sweep.
    pub run: usize,
    /// The place of its prompt, and the prompt's name.
    pub prompt: (usize, String),
    /// The place of its parameter set, and the set's name.
    pub set: (usize, String),
    /// The prompt's text; `None` if it was given as tokens.
    pub prompt_text: Option<String>,
    /// The seed of its draws.
    pub seed: u64,
    /// The stream of its draws.
    pub stream: u64,
    /// Every parameter that is not at its default, by name, as a number.
    pub parameters: BTreeMap<String, f64>,
    /// What was generated.
    pub text: String,
    /// Tokens of the prompt.
    pub input_tokens: usize,
    /// Tokens of the text: the steps without the end token.
    pub output_tokens: usize,
    /// Why it ended.
    pub finish: Termination,
    /// What the error said.
    pub error: Option<String>,
    /// Wall time for each step: the run's share of the time that the runs decoded with it took; NaN without a step.
    pub seconds_per_token: f32,
    /// How recurrent the last tokens are, 0 (all new) to 1; NaN without a step.
    pub loop_score: f32,
    /// The period of the loop that the text ends with; 0 if there is none.
    pub loop_period: u32,
    /// How many times that period stands at the end.
    pub loop_repeats: u32,
    /// The steps.
    pub steps: Steps,
}

impl RunRecord {
    /// A record of a run in which nothing has happened yet.
    pub fn begin(sweep: &Sweep, run: &Run) -> RunRecord {
        let prompt = &sweep.prompts[run.prompt];
        RunRecord {
            run: run.number,
            prompt: (run.prompt, prompt.name.clone()),
            set: (run.set, sweep.sets[run.set].name.clone()),
            prompt_text: match &prompt.input {
                Input::Text(text) => Some(text.clone()),
                Input::Tokens(_) => None,
            },
            seed: run.seed,
            stream: run.config.stream,
            parameters: in_force(&run.config).into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            text: String::new(),
            input_tokens: 0,
            output_tokens: 0,
            finish: Termination::Length,
            error: None,
            seconds_per_token: f32::NAN,
            loop_score: f32::NAN,
            loop_period: 0,
            loop_repeats: 0,
            steps: Steps::default(),
        }
    }

    /// Adds a step: what was picked, and the text that it added.
    pub fn push(&mut self, pick: &Pick, piece: String) {
        self.text.push_str(&piece);
        self.steps.push(pick, piece);
        (self.loop_score, self.loop_period, self.loop_repeats) = (pick.loop_score, pick.loop_period, pick.loop_repeats);
    }

    /// Ends the run, after its last step: why, what the error said if it was one, and the seconds that all steps took.
    pub fn end(&mut self, reason: Termination, error: Option<String>, seconds: f64) {
        let steps = self.steps.tokens.len();
        (self.finish, self.error) = (reason, error);
        self.output_tokens = steps.saturating_sub(usize::from(reason == Termination::EndToken));
        if steps > 0 {
            self.seconds_per_token = (seconds / steps as f64) as f32;
        }
    }

    /// The mean of the entropy over the steps, in nats; NaN without a step.
    pub fn mean_entropy(&self) -> f64 {
        mean(self.steps.entropy.iter().copied())
    }

    /// The mean of the margins that are finite; NaN without one.
    pub fn mean_margin(&self) -> f64 {
        mean(self.steps.margin.iter().copied().filter(|margin| margin.is_finite()))
    }

    /// The record as one line of JSON without a newline. `sweep` is the fingerprint of its sweep. What is no number in JSON
    /// (an infinite margin) is null.
    pub fn to_line(&self, sweep: &str) -> String {
        let mut line = Line::new();
        line.text("sweep", sweep);
        line.raw("run", &self.run.to_string());
        line.raw("prompt", &self.prompt.0.to_string());
        line.text("prompt_name", &self.prompt.1);
        line.optional_text("prompt_text", self.prompt_text.as_deref());
        line.raw("parameter_set", &self.set.0.to_string());
        line.text("parameter_set_name", &self.set.1);
        line.raw("seed", &self.seed.to_string());
        line.raw("stream", &self.stream.to_string());
        let parameters =
            self.parameters.iter().map(|(name, value)| format!("{}: {}", quoted(name), parameters::number(*value)));
        line.raw("parameters", &format!("{{{}}}", parameters.collect::<Vec<_>>().join(", ")));
        line.text("text", &self.text);
        line.raw("input_tokens", &self.input_tokens.to_string());
        line.raw("output_tokens", &self.output_tokens.to_string());
        line.text("finish", self.finish.name());
        line.optional_text("error", self.error.as_deref());
        line.raw("seconds_per_token", &short(self.seconds_per_token));
        line.raw("mean_entropy", &number(self.mean_entropy()));
        line.raw("mean_margin", &number(self.mean_margin()));
        line.raw("loop_score", &short(self.loop_score));
        line.raw("loop_period", &self.loop_period.to_string());
        line.raw("loop_repeats", &self.loop_repeats.to_string());
        let steps = &self.steps;
        line.list("tokens", steps.tokens.iter().map(TokenId::to_string));
        line.list("pieces", steps.pieces.iter().map(|piece| quoted(piece)));
        line.list("entropy", steps.entropy.iter().map(|&value| short(value)));
        line.list("margin", steps.margin.iter().map(|&value| short(value)));
        line.list("top1_probability", steps.top1_probability.iter().map(|&value| short(value)));
        line.list("logprob", steps.logprob.iter().map(|&value| short(value)));
        line.list("rank", steps.rank.iter().map(u32::to_string));
        line.list("kept", steps.kept.iter().map(u32::to_string));
        line.finish()
    }

    /// Reads a line as [`RunRecord::to_line`] writes it: the fingerprint of the sweep, and the record.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn from_line(line: &str) -> Result<(String, RunRecord), String> {
        let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let fields = Fields(&value);
        let parameters = fields.get("parameters")?.as_object().ok_or("parameters is no object")?;
        let parameters = parameters.iter().map(|(name, value)| match value.as_f64() {
            Some(value) if value.fract() == 0.0 => Ok((name.clone(), value)),
            // An f32 in the fewest digits.
            Some(value) => Ok((name.clone(), f64::from(value as f32))),
            None => Err(format!("parameters.{name} is no number")),
        });
        let finish = fields.text("finish")?;
        let steps = Steps {
            tokens: fields.list("tokens", whole)?,
            pieces: fields.list("pieces", |value| value.as_str().map(str::to_owned))?,
            entropy: fields.list("entropy", real)?,
            margin: fields.list("margin", |value| if value.is_null() { Some(f32::INFINITY) } else { real(value) })?,
            top1_probability: fields.list("top1_probability", real)?,
            logprob: fields.list("logprob", real)?,
            rank: fields.list("rank", whole)?,
            kept: fields.list("kept", whole)?,
        };
        let lengths = [
            steps.pieces.len(),
            steps.entropy.len(),
            steps.margin.len(),
            steps.top1_probability.len(),
            steps.logprob.len(),
            steps.rank.len(),
            steps.kept.len(),
        ];
        if lengths.iter().any(|&length| length != steps.tokens.len()) {
            return Err("the lists of its steps are not equally long".to_owned());
        }
        let record = RunRecord {
            run: fields.count("run")?,
            prompt: (fields.count("prompt")?, fields.text("prompt_name")?),
            set: (fields.count("parameter_set")?, fields.text("parameter_set_name")?),
            prompt_text: fields.optional_text("prompt_text")?,
            seed: fields.get("seed")?.as_u64().ok_or("seed is no whole number")?,
            stream: fields.get("stream")?.as_u64().ok_or("stream is no whole number")?,
            parameters: parameters.collect::<Result<_, _>>()?,
            text: fields.text("text")?,
            input_tokens: fields.count("input_tokens")?,
            output_tokens: fields.count("output_tokens")?,
            finish: Termination::from_name(&finish).ok_or_else(|| format!("finish is {finish:?}"))?,
            error: fields.optional_text("error")?,
            seconds_per_token: real(fields.get("seconds_per_token")?).unwrap_or(f32::NAN),
            loop_score: real(fields.get("loop_score")?).unwrap_or(f32::NAN),
            loop_period: whole(fields.get("loop_period")?).ok_or("loop_period is no whole number")?,
            loop_repeats: whole(fields.get("loop_repeats")?).ok_or("loop_repeats is no whole number")?,
            steps,
        };
        Ok((fields.text("sweep")?, record))
    }
}

fn mean(values: impl Iterator<Item = f32>) -> f64 {
    let (count, sum) = values.fold((0u64, 0.0), |(count, sum), value| (count + 1, sum + f64::from(value)));
    if count == 0 { f64::NAN } else { sum / count as f64 }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// An f32 in the fewest digits that read back the same.
fn short(value: f32) -> String {
    if value.is_finite() { format!("{value:?}") } else { "null".to_owned() }
}

fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:?}") } else { "null".to_owned() }
}

fn whole(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|value| u32::try_from(value).ok())
}

fn real(value: &Value) -> Option<f32> {
    value.as_f64().map(|value| value as f32)
}

/// A JSON object with its fields in the order they are given.
struct Line(String);

impl Line {
    fn new() -> Line {
        Line(String::from("{"))
    }
    fn raw(&mut self, name: &str, value: &str) {
        let comma = if self.0.len() > 1 { ", " } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{comma}\"{name}\": {value}");
    }
    fn text(&mut self, name: &str, value: &str) {
        self.raw(name, &quoted(value));
    }
    fn optional_text(&mut self, name: &str, value: Option<&str>) {
        self.raw(name, &value.map_or("null".to_owned(), quoted));
    }
    fn list(&mut self, name: &str, values: impl Iterator<Item = String>) {
        self.raw(name, &format!("[{}]", values.collect::<Vec<_>>().join(", ")));
    }
    fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

struct Fields<'v>(&'v Value);

impl<'v> Fields<'v> {
    fn get(&self, name: &str) -> Result<&'v Value, String> {
        self.0.get(name).ok_or_else(|| format!("it has no field {name:?}"))
    }
    fn text(&self, name: &str) -> Result<String, String> {
        self.get(name)?.as_str().map(str::to_owned).ok_or_else(|| format!("{name} is no text"))
    }
    fn optional_text(&self, name: &str) -> Result<Option<String>, String> {
        if self.get(name)?.is_null() { Ok(None) } else { self.text(name).map(Some) }
    }
    fn count(&self, name: &str) -> Result<usize, String> {
        let count = self.get(name)?.as_u64().and_then(|count| usize::try_from(count).ok());
        count.ok_or_else(|| format!("{name} is no whole number"))
    }
    fn list<T>(&self, name: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>, String> {
        let list = self.get(name)?.as_array().ok_or_else(|| format!("{name} is no list"))?;
        list.iter().map(read).collect::<Option<_>>().ok_or_else(|| format!("{name} has something else than it should"))
    }
}
