//! What sets the runs of a sweep apart: for each prompt which texts are the same and where they part, for each parameter set
//! how its texts are.

use super::compare::{Branch, distinct, identical, partings};
use super::record::{RunRecord, Termination};
use crate::numeric::exponential;
use crate::plan::Profile;
use crate::types::TokenId;
use std::collections::BTreeMap;

/// A number about a step, and where it was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extreme {
    /// The number.
    pub value: f32,
    /// The step.
    pub step: usize,
    /// The run.
    pub run: usize,
}

/// Runs of one prompt that generated the same tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The runs, by number.
    pub runs: Vec<usize>,
    /// The largest entropy at any step of any of them, in nats.
    pub largest_entropy: Option<Extreme>,
    /// The smallest margin, in logits.
    pub smallest_margin: Option<Extreme>,
    /// The smallest probability, over the runs that draw, with which a run draws exactly these tokens: the product of the
    /// probabilities its filters left them. `None` if none of the runs draws.
    pub probability: Option<f64>,
    /// Whether every pick of every run was the best token.
    pub is_greedy: bool,
}

/// How one run goes on where runs part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The run.
    pub run: usize,
    /// Entropy at the step, in nats, as the run's parameters make it; NaN at the end of a text.
    pub entropy: f32,
    /// Margin at the step, in logits; NaN at the end of a text.
    pub margin: f32,
    /// Probability of the best token; NaN at the end of a text.
    pub top1_probability: f32,
}

/// One way that runs go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// The token; `None` at the end of a text.
    pub token: Option<TokenId>,
    /// The text that it adds.
    pub piece: String,
    /// The runs that take it.
    pub choices: Vec<Choice>,
}

/// A place where runs part.
#[derive(Clone, Debug, PartialEq)]
pub struct Fork {
    /// The step.
    pub step: usize,
    /// The text that the runs share.
    pub shared: String,
    /// The ways that they go on.
    pub ways: Vec<Way>,
}

/// One prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptSummary {
    /// Its place in the sweep.
    pub prompt: usize,
    /// Its name.
    pub name: String,
    /// Its runs that ended without an error, by what they generated.
    pub groups: Vec<Group>,
    /// Where they part.
    pub forks: Vec<Fork>,
    /// Its runs that ended with an error.
    pub failed: Vec<usize>,
}

/// One parameter set over all its runs that ended without an error.
#[derive(Clone, Debug, PartialEq)]
pub struct SetSummary {
    /// Its place in the sweep.
    pub set: usize,
    /// Its name.
    pub name: String,
    /// The runs.
    pub runs: usize,
    /// Distinct-1, -2 and -3 over the texts of the runs together.
    pub distinct: [f64; 3],
    /// Mean entropy over all steps, in nats.
    pub mean_entropy: f64,
    /// Mean of the finite margins over all steps, in logits.
    pub mean_margin: f64,
    /// Mean of the runs' loop scores.
    pub mean_loop_score: f64,
    /// Seconds a token over all steps.
    pub seconds_per_token: f64,
    /// How often each reason ended a run; of all runs.
    pub finishes: Vec<(Termination, usize)>,
}

/// The summary of a sweep, or of the part of it that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Runs that are done.
    pub done: usize,
    /// Of these, runs that ended with an error.
    pub failed: usize,
    /// The prompts that have a run.
    pub prompts: Vec<PromptSummary>,
    /// The parameter sets that have a run.
    pub sets: Vec<SetSummary>,
}

/// Sums up the results of runs, in any order.
pub fn summarise<'r>(records: impl IntoIterator<Item = &'r RunRecord>) -> Summary {
    let mut records: Vec<&RunRecord> = records.into_iter().collect();
    records.sort_by_key(|record| record.run);
    let mut by_prompt: BTreeMap<usize, Vec<&RunRecord>> = BTreeMap::new();
    let mut by_set: BTreeMap<usize, Vec<&RunRecord>> = BTreeMap::new();
    for &record in &records {
        by_prompt.entry(record.prompt.0).or_default().push(record);
        by_set.entry(record.set.0).or_default().push(record);
    }
    Summary {
        done: records.len(),
        failed: records.iter().filter(|record| record.finish == Termination::Error).count(),
        prompts: by_prompt.into_values().map(|records| of_prompt(&records)).collect(),
        sets: by_set.into_values().map(|records| of_set(&records)).collect(),
    }
}

impl RunRecord {
    /// Whether the run draws: it is neither in greedy mode nor at temperature 0, which under llama.cpp's profile follows XTC's coin
    /// and a temperature that follows the entropy.
    pub fn draws(&self) -> bool {
        let number = |name: &str| self.parameters.get(name).copied();
        let is_set = |name: &str| number(name).is_some_and(|value| value > 0.0);
        let has_chance_at_zero = number("profile") == Some(f64::from(Profile::LlamaCpp as u32))
            && (is_set("xtc_probability") || is_set("dynatemp_range"));
        number("mode") != Some(1.0) && (number("temperature") != Some(0.0) || has_chance_at_zero)
    }

    /// The tokens of the text: the steps without the end token.
    pub fn text_tokens(&self) -> &[TokenId] {
        &self.steps.tokens[..self.output_tokens.min(self.steps.tokens.len())]
    }

    /// The probability with which the run, as configured, draws exactly its tokens.
    pub fn probability(&self) -> f64 {
        exponential(self.steps.logprob.iter().map(|&logprob| f64::from(logprob)).sum::<f64>().min(0.0))
    }
}

fn of_prompt(records: &[&RunRecord]) -> PromptSummary {
    let whole: Vec<&RunRecord> = records.iter().copied().filter(|record| record.finish != Termination::Error).collect();
    let sequences: Vec<&[TokenId]> = whole.iter().map(|record| &record.steps.tokens[..]).collect();
    let group = |members: Vec<usize>| {
        let runs: Vec<&RunRecord> = members.iter().map(|&member| whole[member]).collect();
        let drawn = runs.iter().filter(|run| run.draws()).map(|run| run.probability());
        Group {
            runs: runs.iter().map(|run| run.run).collect(),
            largest_entropy: extreme(&runs, |run| &run.steps.entropy, |new, old| new > old),
            smallest_margin: extreme(&runs, |run| &run.steps.margin, |new, old| new < old),
            probability: drawn.reduce(f64::min),
            is_greedy: runs.iter().all(|run| run.steps.rank.iter().all(|&rank| rank == 0)),
        }
    };
    let fork = |(step, branches): (usize, Vec<Branch>)| {
        let ways = branches.into_iter().map(|branch| {
            let choice = |&member: &usize| {
                let run = whole[member];
                let at = |values: &[f32]| values.get(step).copied().unwrap_or(f32::NAN);
                Choice {
                    run: run.run,
                    entropy: at(&run.steps.entropy),
                    margin: at(&run.steps.margin),
                    top1_probability: at(&run.steps.top1_probability),
                }
            };
            let piece = whole[branch.members[0]].steps.pieces.get(step).cloned().unwrap_or_default();
            Way { token: branch.token, piece, choices: branch.members.iter().map(choice).collect() }
        });
        let ways: Vec<Way> = ways.collect();
        let first = records.iter().find(|record| record.run == ways[0].choices[0].run);
        let shared = first.map_or(String::new(), |run| run.steps.pieces[..step].concat());
        Fork { step, shared, ways }
    };
    PromptSummary {
        prompt: records[0].prompt.0,
        name: records[0].prompt.1.clone(),
        groups: identical(&sequences).into_iter().map(group).collect(),
        forks: partings(&sequences).into_iter().map(|parting| fork((parting.step, parting.branches))).collect(),
        failed: records.iter().filter(|run| run.finish == Termination::Error).map(|run| run.run).collect(),
    }
}

/// The first value of all steps of all runs that no other is better than.
fn extreme(
    runs: &[&RunRecord],
    values: impl Fn(&RunRecord) -> &Vec<f32>,
    is_better: impl Fn(f32, f32) -> bool,
) -> Option<Extreme> {
    let mut best: Option<Extreme> = None;
    for run in runs {
        for (step, &value) in values(run).iter().enumerate() {
            if best.is_none_or(|best| is_better(value, best.value)) {
                best = Some(Extreme { value, step, run: run.run });
            }
        }
    }
    best
}

fn of_set(records: &[&RunRecord]) -> SetSummary {
    let whole: Vec<&RunRecord> = records.iter().copied().filter(|record| record.finish != Termination::Error).collect();
    let steps = |values: fn(&RunRecord) -> &Vec<f32>| {
        let all = whole.iter().flat_map(move |run| values(run)).map(|&value| f64::from(value));
        mean(all.filter(|value| value.is_finite()))
    };
    let count = whole.iter().map(|run| run.steps.tokens.len()).sum::<usize>();
    let timed = whole.iter().filter(|run| run.seconds_per_token.is_finite());
    let seconds = timed.map(|run| f64::from(run.seconds_per_token) * run.steps.tokens.len() as f64).sum::<f64>();
    let finishes = Termination::ALL.map(|reason| (reason, records.iter().filter(|run| run.finish == reason).count()));
    SetSummary {
        set: records[0].set.0,
        name: records[0].set.1.clone(),
        runs: whole.len(),
        distinct: [1, 2, 3].map(|n| distinct(whole.iter().map(|run| run.text_tokens()), n).ratio()),
        mean_entropy: steps(|run| &run.steps.entropy),
        mean_margin: steps(|run| &run.steps.margin),
        mean_loop_score: mean(whole.iter().map(|run| f64::from(run.loop_score)).filter(|score| score.is_finite())),
        seconds_per_token: seconds / count as f64,
        finishes: finishes.into_iter().filter(|(_, count)| *count > 0).collect(),
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0u64, 0.0), |(count, sum), value| (count + 1, sum + value));
    sum / count as f64
}
