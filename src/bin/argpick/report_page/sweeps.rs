//! Runs from the results of a sweep.
//!
//! A result has the tokens and the numbers of each step, but no rows. Where the sweep was one of the model at hand, its rows are
//! made again and the run decoded with them; they are in the page if every token and every number comes out as in the result.

use super::Source;
use super::details::{look, numbers, with_metrics};
use super::lines::Fields;
use super::recording::parameters;
use super::run::{Event, Numbers, Run, Step, Token};
use super::words::Words;
use argpick::sandbox::features::shift;
use argpick::sandbox::rules::END;
use argpick::sandbox::text::tokens;
use argpick::{Config, Decoder, Row};
use serde_json::Value;

/// A result as a run; `None` if it has no step, or there is no room for one.
pub fn run(name: &str, fields: &Fields<'_>, source: &mut Source) -> Result<Option<Run>, String> {
    let config = config(fields)?;
    let result = Steps::read(fields)?;
    let mut run = Run {
        kind: "sweep",
        context: Some(match fields.get("prompt_text") {
            Some(_) => fields.text("prompt_text")?,
            None => fields.text("prompt_name")?,
        }),
        label: format!("{}, seed {}", fields.text("parameter_set_name")?, config.seed),
        parameters: parameters(&config),
        stop: Some(reason(&fields.text("finish")?)),
        facts: facts(fields)?,
        ..Run::new(name)
    };
    if let Some(error) = fields.get("error") {
        run.remarks.push(format!("The run ended with an error: {}", error.as_str().unwrap_or("unknown")));
    }
    let mut left_out = 0;
    for index in 0..result.tokens.len() {
        if !source.budget.admit_step() {
            left_out += 1;
            continue;
        }
        let token = match &source.words {
            Some(_) => Token::Id(result.tokens[index]),
            None => Token::Text(result.word(index)),
        };
        run.text.push((token.clone(), Some(index)));
        run.steps.push(Step { token: Some(token), numbers: result.numbers[index], ..Step::at(index as u64) });
    }
    run.words = source.words.clone();
    if run.steps.is_empty() {
        return Ok(None);
    }
    // Of a text that was cut off for the page nobody can say how it went on.
    if left_out == 0 {
        let budget = source.budget.clone();
        match with_rows(&mut run, &config, &result, fields, source) {
            Ok(()) => return Ok(Some(run)),
            Err(reason) => {
                source.budget = budget;
                run.remarks.push(format!(
                    "The results of a sweep have no rows, so there is nothing for the sliders: {reason}."
                ));
            }
        }
    }
    Ok(Some(run))
}

/// The configuration of a run.
fn config(fields: &Fields<'_>) -> Result<Config, String> {
    let (seed, stream) = (fields.count("seed")?, fields.count("stream")?);
    let mut config = Config { seed, stream, ..Config::default() };
    let given = fields.get("parameters").and_then(Value::as_object).ok_or("parameters is no object")?;
    for (name, value) in given {
        let number = value.as_f64().ok_or_else(|| format!("parameters.{name} is no number"))?;
        match config.set_parameter(name, number) {
            Ok(true) => {}
            Ok(false) => return Err(format!("parameters.{name} is no parameter")),
            Err(error) => return Err(format!("parameters: {error}")),
        }
    }
    Ok(config)
}

fn reason(finish: &str) -> String {
    match finish {
        "end_token" => "the end token".to_owned(),
        "stop" => "a stop sequence".to_owned(),
        "length" => "the number of tokens asked for".to_owned(),
        "loop" => "a loop".to_owned(),
        "mask_exhausted" => "the rules: nothing was left to pick".to_owned(),
        "error" => "an error".to_owned(),
        other => other.to_owned(),
    }
}

/// What a result says about its run as a whole.
fn facts(fields: &Fields<'_>) -> Result<Vec<(&'static str, String)>, String> {
    let mut facts = vec![
        ("tokens in", fields.count("input_tokens")?.to_string()),
        ("tokens out", fields.count("output_tokens")?.to_string()),
    ];
    let optional = [
        ("mean entropy", "mean_entropy"),
        ("mean margin", "mean_margin"),
        ("loop score", "loop_score"),
        ("seconds per token", "seconds_per_token"),
    ];
    for (title, name) in optional {
        if let Some(value) = fields.get(name).and_then(Value::as_f64) {
            facts.push((title, format!("{value:.4}")));
        }
    }
    Ok(facts)
}

/// The steps of a result.
struct Steps {
    tokens: Vec<u32>,
    pieces: Vec<String>,
    numbers: Vec<Numbers>,
}

impl Steps {
    fn read(fields: &Fields<'_>) -> Result<Steps, String> {
        let whole = |value: &Value| value.as_u64().and_then(|value| u32::try_from(value).ok());
        let real = |value: &Value| match value {
            Value::Null => Some(f32::NAN),
            value => value.as_f64().map(|value| value as f32),
        };
        let tokens = fields.list("tokens", whole)?;
        let pieces = fields.list("pieces", |value| value.as_str().map(str::to_owned))?;
        let reals = ["entropy", "margin", "top1_probability", "logprob"].map(|name| fields.list(name, real));
        let [entropy, margin, top1, logprob] = reals;
        let (entropy, margin, top1, logprob) = (entropy?, margin?, top1?, logprob?);
        let (rank, kept) = (fields.list("rank", whole)?, fields.list("kept", whole)?);
        let lengths = [pieces.len(), entropy.len(), margin.len(), top1.len(), logprob.len(), rank.len(), kept.len()];
        if lengths.iter().any(|&length| length != tokens.len()) {
            return Err("the lists of its steps are not equally long".to_owned());
        }
        let numbers = (0..tokens.len()).map(|i| Numbers {
            margin: if margin[i].is_nan() { f32::INFINITY } else { margin[i] },
            top1_probability: top1[i],
            entropy: entropy[i],
            logprob: logprob[i],
            rank: Some(rank[i]),
            kept: Some(kept[i]),
        });
        Ok(Steps { numbers: numbers.collect(), tokens, pieces })
    }

    /// What a token adds to the text, as a word of its own; an end token adds nothing and is named by its id.
    fn word(&self, index: usize) -> String {
        match self.pieces[index].as_str() {
            "" => format!("#{}", self.tokens[index]),
            piece => piece.to_owned(),
        }
    }
}

/// Makes the rows of a run of the model at hand, and decodes it with them. The run has changed only if that comes out as the
/// result says.
fn with_rows(
    run: &mut Run,
    config: &Config,
    result: &Steps,
    fields: &Fields<'_>,
    source: &mut Source,
) -> Result<(), String> {
    let model = source.model.as_ref().ok_or("there is no model")?;
    let prompt = fields.text("prompt_text").map_err(|_| "its prompt was given as tokens".to_owned())?;
    let unfit = |_| "it was not made with the model at hand".to_owned();
    let words: Vec<String> = tokens(&prompt).collect();
    let space = model.space();
    let mut recent = words.iter().fold(space.start(), |recent, word| shift(recent, space.id(word)));
    let history: Vec<u32> = words.iter().filter_map(|word| model.class(word)).collect();
    let config = with_metrics(config);
    let mut decoder = Decoder::new_with_kernels(&config, model.vocab(), source.kernels).map_err(unfit)?;
    let end: Vec<u32> = model.class(END).into_iter().collect();
    decoder.set_end_tokens(&end).map_err(unfit)?;
    decoder.prompt(&history).map_err(unfit)?;
    let mut events = vec![Event::EndTokens(end), Event::Prompt(history)];
    let mut steps = Vec::new();
    let mut row = vec![0.0; model.vocab()];
    for (index, &token) in result.tokens.iter().enumerate() {
        model.logits(source.kernels, recent, &mut row).map_err(|_| "the model cannot make its rows".to_owned())?;
        let (best, stages) = look(&mut decoder, Row::F32(&row), None, source.budget.top()).map_err(unfit)?;
        let logits = source.budget.logits(&mut decoder, Row::F32(&row), None).map_err(unfit)?;
        let pick = decoder.decode(&row, None).map_err(unfit)?;
        let found = numbers(&pick);
        if pick.token != token || !same(&found, &result.numbers[index]) {
            return Err(format!("the model at hand picks otherwise in step {index}"));
        }
        recent = shift(recent, space.id(&model.words()[token as usize]));
        events.push(Event::Step(index));
        steps.push(Step {
            token: Some(Token::Id(token)),
            numbers: found,
            best,
            stages,
            logits: Some(logits),
            ..Step::at(index as u64)
        });
    }
    run.words = Some(source.words.clone().unwrap_or_else(|| Words::of(model)));
    run.text =
        steps.iter().enumerate().map(|(i, step)| (step.token.clone().unwrap_or(Token::Id(0)), Some(i))).collect();
    run.config = Some((config, model.vocab()));
    (run.events, run.steps) = (events, steps);
    Ok(())
}

/// Whether the numbers of a step are those of a result, which has each in the digits that read back the same.
fn same(found: &Numbers, recorded: &Numbers) -> bool {
    let bits = |numbers: &Numbers| {
        [numbers.margin, numbers.top1_probability, numbers.entropy, numbers.logprob].map(f32::to_bits)
    };
    bits(found) == bits(recorded) && found.rank == recorded.rank && found.kept == recorded.kept
}
