//! Where runs with one prompt part.
//!
//! Runs with the same prompt go together until their texts differ. A parting is a step where a bundle of runs that had the same
//! text so far splits; the row was the same for all of them there (if it was one model), so its entropy and margin say why.

use super::run::{Run, Token};
use serde_json::{Value, json};

/// A step where a bundle of runs splits.
struct Parting {
    step: usize,
    /// The runs of each branch; the token they go on with, `None` where the text ends.
    branches: Vec<(Option<String>, Vec<usize>)>,
}

/// The groups of runs that share a prompt, two or more each, with their partings.
pub fn groups(runs: &[Run]) -> Value {
    let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let Some(context) = run.context.as_deref() else { continue };
        match groups.iter_mut().find(|(known, _)| *known == context) {
            Some((_, members)) => members.push(index),
            None => groups.push((context, vec![index])),
        }
    }
    let groups = groups.into_iter().filter(|(_, members)| members.len() > 1);
    let groups = groups.map(|(context, members)| {
        let partings = partings(runs, &members);
        json!({
            "context": context,
            "runs": members,
            "partings": partings.iter().map(|parting| parting_json(runs, parting)).collect::<Vec<_>>(),
        })
    });
    Value::Array(groups.collect())
}

/// The text of a token, the same for runs with and without a vocabulary.
fn text(run: &Run, token: &Token) -> String {
    match token {
        Token::Text(text) => text.clone(),
        Token::Id(id) => match run.words.as_ref().and_then(|words| words.get(*id)) {
            Some(word) => word.to_owned(),
            None => format!("#{id}"),
        },
    }
}

fn partings(runs: &[Run], members: &[usize]) -> Vec<Parting> {
    let mut partings = Vec::new();
    let mut bundles = vec![members.to_vec()];
    let mut step = 0;
    while !bundles.is_empty() {
        let mut next = Vec::new();
        for bundle in bundles {
            let mut branches: Vec<(Option<String>, Vec<usize>)> = Vec::new();
            for &member in &bundle {
                let run = &runs[member];
                let token = run.text.get(step).map(|(token, _)| text(run, token));
                match branches.iter_mut().find(|(known, _)| *known == token) {
                    Some((_, together)) => together.push(member),
                    None => branches.push((token, vec![member])),
                }
            }
            let going_on = branches.iter().filter(|(token, together)| token.is_some() && together.len() > 1);
            next.extend(going_on.map(|(_, together)| together.clone()));
            if branches.len() > 1 {
                partings.push(Parting { step, branches });
            }
        }
        bundles = next;
        step += 1;
    }
    partings
}

fn parting_json(runs: &[Run], parting: &Parting) -> Value {
    let branches = parting.branches.iter().map(|(token, together)| {
        json!({
            "token": token,
            "runs": together,
            // The numbers of the step are those of each run: temperature changes the entropy.
            "numbers": together.iter().map(|&member| {
                let run = &runs[member];
                let step = run.text.get(parting.step).and_then(|(_, step)| *step).map(|step| &run.steps[step]);
                step.map(|step| json!([step.numbers.entropy, step.numbers.margin, step.numbers.top1_probability]))
            }).collect::<Vec<_>>(),
        })
    });
    json!({ "step": parting.step, "branches": branches.collect::<Vec<_>>() })
}
