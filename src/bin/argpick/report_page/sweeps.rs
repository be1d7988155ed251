//! Runs from the results of a sweep.
//!
//! A result has the tokens and the numbers of each step, but no rows. Where the sweep was one of the model at hand, its rows are
//! made again and the run decoded with them; they are in the page if every token and every number comes out as in the result.

use super::Source;
use super::details::{look, numbers, with_metrics};
use super::recording::parameters;
use super::run::{Event, Numbers, Run, Step, Token};
use super::words::Words;
use argpick::lab::{Input, Model as _, RunRecord, SandboxModel, Termination};
use argpick::{Config, Decoder, Row};

/// A result as a run with its number in the sweep; `None` if it has no step, or there is no room for one.
pub fn run(name: &str, line: &str, source: &mut Source) -> Result<Option<(usize, Run)>, String> {
    let (_, result) = RunRecord::from_line(line)?;
    let config = config(&result)?;
    let mut run = Run {
        kind: "sweep",
        context: Some(result.prompt_text.clone().unwrap_or_else(|| result.prompt.1.clone())),
        label: format!("{}, seed {}", result.set.1, result.seed),
        parameters: parameters(&config),
        words: source.words.clone(),
        stop: Some(reason(result.finish).to_owned()),
        facts: facts(&result),
        ..Run::new(name)
    };
    if let Some(error) = &result.error {
        run.remarks.push(format!("The run ended with an error: {error}"));
    }
    for (index, &token) in result.steps.tokens.iter().enumerate() {
        if !source.budget.admit_step() {
            continue;
        }
        let token = match (&source.words, result.steps.pieces[index].as_str()) {
            (Some(_), _) => Token::Id(token),
            // An end token adds no text.
            (None, "") => Token::Text(format!("#{token}")),
            (None, piece) => Token::Text(piece.to_owned()),
        };
        run.text.push((token.clone(), Some(index)));
        run.steps.push(Step { token: Some(token), numbers: recorded(&result, index), ..Step::at(index as u64) });
    }
    if result.steps.tokens.is_empty() {
        let why = result.error.as_deref().unwrap_or(reason(result.finish));
        source.remarks.push(format!("{name}: run {} ({}) has no step: {why}.", result.run, run.label));
    }
    if run.steps.is_empty() {
        return Ok(None);
    }
    let budget = source.budget.clone();
    if let Err(reason) = with_rows(&mut run, &config, &result, source) {
        source.budget = budget;
        run.remarks.push(format!(
            "The results of a sweep have no rows, and they could not be made again: {reason}. So there is nothing for the sliders."
        ));
    }
    Ok(Some((result.run, run)))
}

/// The configuration of a run.
fn config(result: &RunRecord) -> Result<Config, String> {
    let mut config = Config { seed: result.seed, stream: result.stream, ..Config::default() };
    for (name, &number) in &result.parameters {
        match config.set_parameter(name, number) {
            Ok(true) => {}
            Ok(false) => return Err(format!("parameters.{name} is no parameter")),
            Err(error) => return Err(format!("parameters: {error}")),
        }
    }
    Ok(config)
}

fn reason(finish: Termination) -> &'static str {
    match finish {
        Termination::EndToken => "the end token",
        Termination::Stop => "a stop sequence",
        Termination::Length => "the number of tokens asked for",
        Termination::Loop => "a loop",
        Termination::MaskExhausted => "the rules: nothing was left to pick",
        Termination::Error => "an error",
    }
}

/// What a result says about its run as a whole.
fn facts(result: &RunRecord) -> Vec<(&'static str, String)> {
    let numbers = [
        ("mean entropy", result.mean_entropy()),
        ("mean margin", result.mean_margin()),
        ("loop score", f64::from(result.loop_score)),
    ];
    let counts = [("tokens in", result.input_tokens), ("tokens out", result.output_tokens)];
    let counts = counts.into_iter().map(|(name, count)| (name, count.to_string()));
    let numbers = numbers.into_iter().filter(|(_, value)| value.is_finite());
    counts.chain(numbers.map(|(name, value)| (name, format!("{value:.3}")))).collect()
}

/// The numbers of a step of a result.
fn recorded(result: &RunRecord, index: usize) -> Numbers {
    let steps = &result.steps;
    Numbers {
        margin: steps.margin[index],
        top1_probability: steps.top1_probability[index],
        entropy: steps.entropy[index],
        logprob: steps.logprob[index],
        rank: Some(steps.rank[index]),
        kept: Some(steps.kept[index]),
    }
}

/// Makes the rows of a run of the model at hand, and decodes it with them. The run has changed only if that comes out as the
/// result says.
fn with_rows(run: &mut Run, config: &Config, result: &RunRecord, source: &mut Source) -> Result<(), String> {
    let model = source.model.as_ref().ok_or("there is no model")?;
    let maker = SandboxModel::new(model, source.kernels);
    let prompt = result.prompt_text.clone().ok_or("its prompt was given as tokens")?;
    let unfit = |error: argpick::Error| format!("not with the model at hand ({error})");
    let mut begun = maker.begin(&Input::Text(prompt))?;
    let config = with_metrics(config);
    let mut decoder = Decoder::new_with_kernels(&config, maker.vocab(), source.kernels).map_err(unfit)?;
    let end = maker.end_tokens();
    decoder.set_end_tokens(&end).map_err(unfit)?;
    decoder.prompt(&begun.history).map_err(unfit)?;
    let mut events = vec![Event::EndTokens(end), Event::Prompt(begun.history)];
    let mut steps = Vec::new();
    let mut row = vec![0.0; maker.vocab()];
    // Those that the page has room for, which are the first.
    for (index, &token) in result.steps.tokens.iter().enumerate().take(run.steps.len()) {
        let mut refused = [None];
        maker.rows(&[&begun.state], &mut row, &mut refused);
        if let [Some(reason)] = refused {
            return Err(reason);
        }
        let (best, stages) = look(&mut decoder, Row::F32(&row), None, source.budget.top()).map_err(unfit)?;
        let logits = source.budget.logits(&mut decoder, Row::F32(&row), None).map_err(unfit)?;
        let pick = decoder.decode(&row, None).map_err(unfit)?;
        let found = numbers(&pick);
        if pick.token != token || !same(&found, &recorded(result, index)) {
            return Err(format!("the model at hand answers otherwise in step {index}"));
        }
        maker.advance(&mut begun.state, token);
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
    run.text = result
        .steps
        .tokens
        .iter()
        .enumerate()
        .take(steps.len())
        .map(|(i, &token)| (Token::Id(token), Some(i)))
        .collect();
    run.config = Some((config, maker.vocab()));
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
