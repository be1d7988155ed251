//! Runs from files of JSON lines: traces of steps (`argpick decode --trace-out`) and results of sweeps.

use super::Source;
use super::run::{Best, NO_NUMBERS, Numbers, Run, Step, Token};
use super::sweeps;
use crate::Failure;
use serde_json::Value;

/// Adds the runs of a file.
pub fn read(name: &str, bytes: &[u8], source: &mut Source, runs: &mut Vec<Run>) -> Result<(), Failure> {
    let failed = |reason: String| Failure::Message(format!("{name}: {reason}"));
    let text = std::str::from_utf8(bytes)
        .map_err(|error| failed(format!("neither a recording nor text in UTF-8 (byte {})", error.valid_up_to())))?;
    let mut steps = StepLines::default();
    let mut of_sweeps = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let refuse = |reason: String| failed(format!("line {}: {reason}", index + 1));
        let value: Value = serde_json::from_str(line).map_err(|error| {
            refuse(format!("no JSON ({error}); an input is a recording, a trace of steps or the results of a sweep"))
        })?;
        let fields = Fields(&value);
        if fields.has("parameter_set_name") {
            of_sweeps.extend(sweeps::run(name, line, source).map_err(refuse)?);
        } else if fields.has("context_start") && fields.has("picked") {
            if source.budget.admit_step() {
                steps.add(name, &fields, source.budget.top(), runs).map_err(refuse)?;
            }
        } else {
            return Err(refuse("neither a step of a trace nor a run of a sweep".to_owned()));
        }
    }
    steps.close(runs);
    // Results stand in the order in which runs ended.
    of_sweeps.sort_by_key(|(number, _)| *number);
    runs.extend(of_sweeps.into_iter().map(|(_, run)| run));
    Ok(())
}

/// The run that the lines of a trace of steps are adding to.
#[derive(Default)]
struct StepLines {
    run: Option<Run>,
    /// The number of its last step.
    last: u64,
}

impl StepLines {
    fn add(&mut self, name: &str, fields: &Fields<'_>, top: usize, runs: &mut Vec<Run>) -> Result<(), String> {
        let (context, number) = (fields.text("context_start")?, fields.count("step")?);
        let goes_on =
            self.run.as_ref().is_some_and(|run| run.context.as_deref() == Some(&context) && number > self.last);
        if !goes_on {
            self.close(runs);
        }
        self.last = number;
        let picked = fields.text("picked")?;
        let best = fields.list("top", |pair| {
            let pair = pair.as_array().filter(|pair| pair.len() == 2)?;
            let (word, logit) = (pair[0].as_str()?, pair[1].as_f64()? as f32);
            Some(Best { token: Token::Text(word.to_owned()), logit, before: None, after: None })
        })?;
        let numbers = Numbers {
            margin: fields.margin("margin")?,
            top1_probability: fields.real("p_top1")?,
            entropy: fields.real("entropy")?,
            ..NO_NUMBERS
        };
        let greedy = fields.get("mode").is_some_and(|mode| mode == "greedy");
        let temperature = fields.real("temp")?;
        let run = self.run.get_or_insert_with(|| Run {
            kind: "steps",
            context: Some(context),
            label: name.to_owned(),
            parameters: vec![
                ("mode".to_owned(), if greedy { "greedy" } else { "sample" }.to_owned()),
                ("temperature".to_owned(), temperature.to_string()),
            ],
            remarks: vec![
                "A trace of steps has the best logits of each step and no rows, so there is nothing for the sliders. \
                 A recording has (argpick decode --record)."
                    .to_owned(),
            ],
            ..Run::new(name)
        });
        let index = run.steps.len();
        run.text.push((Token::Text(picked.clone()), Some(index)));
        run.steps.push(Step {
            token: Some(Token::Text(picked)),
            numbers,
            best: best.into_iter().take(top).collect(),
            ..Step::at(number)
        });
        Ok(())
    }

    fn close(&mut self, runs: &mut Vec<Run>) {
        runs.extend(self.run.take());
    }
}

/// An object of JSON, with a reason where it has not what is asked for.
struct Fields<'v>(&'v Value);

impl Fields<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<String, String> {
        let text = self.get(name).and_then(Value::as_str);
        text.map(str::to_owned).ok_or_else(|| format!("{name} is no text"))
    }

    fn count(&self, name: &str) -> Result<u64, String> {
        self.get(name).and_then(Value::as_u64).ok_or_else(|| format!("{name} is no number from 0 on"))
    }

    /// A number; null is one that JSON does not have.
    fn real(&self, name: &str) -> Result<f32, String> {
        match self.0.get(name) {
            Some(Value::Null) => Ok(f32::NAN),
            Some(value) => value.as_f64().map(|value| value as f32).ok_or_else(|| format!("{name} is no number")),
            None => Err(format!("{name} is missing")),
        }
    }

    /// A margin; null is that of a step with one choice.
    fn margin(&self, name: &str) -> Result<f32, String> {
        self.real(name).map(|margin| if margin.is_nan() { f32::INFINITY } else { margin })
    }

    fn list<T>(&self, name: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>, String> {
        let list = self.get(name).and_then(Value::as_array).ok_or_else(|| format!("{name} is no list"))?;
        let read = list.iter().enumerate().map(|(i, value)| read(value).ok_or(i));
        read.collect::<Result<_, usize>>().map_err(|i| format!("{name}[{i}] is not what it should be"))
    }
}
