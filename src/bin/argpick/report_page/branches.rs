//! Where runs with one prompt part.
//!
//! Runs with the same prompt go together until their texts differ. A parting is a step where a bundle of runs that had the same
//! text so far splits; the row was the same for all of them there (if it was one model), so its entropy and margin say why.

use super::run::{Run, Token};
use argpick::lab::compare::{Parting, partings};
use serde_json::{Value, json};
use std::collections::HashMap;

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
        let (partings, texts) = parted(runs, &members);
        let partings: Vec<Value> =
            partings.iter().map(|parting| parting_json(runs, &members, parting, &texts)).collect();
        json!({ "context": context, "runs": members, "partings": partings })
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

/// The texts as numbers, equal for equal tokens, and where they part. Members are places in the list.
fn parted(runs: &[Run], members: &[usize]) -> (Vec<Parting>, Vec<String>) {
    let mut texts: Vec<String> = Vec::new();
    let mut number_of: HashMap<String, u32> = HashMap::new();
    let sequences: Vec<Vec<u32>> = members
        .iter()
        .map(|&member| {
            let run = &runs[member];
            let number = |(token, _): &(Token, Option<usize>)| {
                let text = text(run, token);
                *number_of.entry(text).or_insert_with_key(|text| {
                    texts.push(text.clone());
                    texts.len() as u32 - 1
                })
            };
            run.text.iter().map(number).collect()
        })
        .collect();
    let sequences: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    (partings(&sequences), texts)
}

fn parting_json(runs: &[Run], members: &[usize], parting: &Parting, texts: &[String]) -> Value {
    let branches = parting.branches.iter().map(|branch| {
        let together = branch.members.iter().map(|&place| members[place]);
        json!({
            // `None` where the text ends.
            "token": branch.token.map(|token| &texts[token as usize]),
            "runs": together.clone().collect::<Vec<_>>(),
            // The numbers of the step are those of each run: temperature changes the entropy.
            "numbers": together.map(|member| {
                let run = &runs[member];
                let step = run.text.get(parting.step).and_then(|(_, step)| *step).map(|step| &run.steps[step]);
                step.map(|step| json!([step.numbers.entropy, step.numbers.margin, step.numbers.top1_probability]))
            }).collect::<Vec<_>>(),
        })
    });
    json!({ "step": parting.step, "branches": branches.collect::<Vec<_>>() })
}
