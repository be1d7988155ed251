//! What texts show when they are read together: cliffs, loops and attractors.
//!
//! A **cliff** is a step whose margin is small: a change in the last bits of a logit, another word of the prompt, or
//! another machine would have picked the runner-up, and the text would have gone elsewhere.
//!
//! A **loop** is an exact period at the end of a text. The model sees three tokens, so once three tokens in a row
//! have come back, a greedy text without memory goes on for ever; only such a text counts as a loop.
//!
//! An **attractor** is a run of words that several texts have in common: different prompts, one continuation.

use super::session::Transcript;
use std::collections::{BTreeMap, BTreeSet};

/// Margins below this are cliffs: at temperature 1 the runner-up is then within 5 % of the best one's probability.
pub const CLIFF_MARGIN: f32 = 0.05;

/// The shortest run of tokens that makes an attractor: one more than the model remembers.
pub const ATTRACTOR_TOKENS: usize = 4;

/// The longest run reported; a loop would otherwise be reported for as long as it was watched.
const LONGEST_RUN: usize = 24;

/// The tokens that decide what a model of this kind says next.
const MEMORY: usize = 3;

/// A step at which the runner-up was as good.
#[derive(Clone, Debug, PartialEq)]
pub struct Cliff {
    /// Which text, from 0.
    pub text: usize,
    /// Which step of it.
    pub step: u32,
    /// The best class.
    pub best: u32,
    /// The runner-up.
    pub second: u32,
    /// How far apart their logits are.
    pub margin: f32,
}

/// The steps with a margin below `limit`, the smallest margin first.
pub fn cliffs(texts: &[Transcript], limit: f32) -> Vec<Cliff> {
    let mut found: Vec<Cliff> = texts
        .iter()
        .enumerate()
        .flat_map(|(text, transcript)| transcript.steps.iter().map(move |step| (text, step)))
        .filter(|(_, step)| step.margin < limit)
        .filter_map(|(text, step)| match step.top[..] {
            [(best, _), (second, _), ..] => Some(Cliff { text, step: step.step, best, second, margin: step.margin }),
            _ => None,
        })
        .collect();
    found.sort_by(|a, b| a.margin.total_cmp(&b.margin).then(a.text.cmp(&b.text)).then(a.step.cmp(&b.step)));
    found
}

/// A period at the end of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loop {
    /// Where the repeated part begins, as an index into the generated tokens.
    pub start: usize,
    /// Tokens after which it comes back.
    pub period: usize,
    /// Tokens from `start` to the end of the text.
    pub length: usize,
}

/// The loop that `generated` ends in: the smallest period that holds for the last `period + max(period, 3)` tokens.
pub fn find_loop(generated: &[u32]) -> Option<Loop> {
    let length = generated.len();
    (1..=length / 2).find_map(|period| {
        let matching = (period..length).rev().take_while(|&i| generated[i] == generated[i - period]).count();
        (matching >= period.max(MEMORY)).then(|| Loop {
            start: length - matching - period,
            period,
            length: matching + period,
        })
    })
}

/// A run of tokens that several texts have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attractor {
    /// The run.
    pub tokens: Vec<u32>,
    /// The texts it is part of, from 0, ascending.
    pub texts: Vec<usize>,
}

/// Where a run of tokens occurs: which text, and the index of its first token there.
type Place = (usize, usize);

/// The runs of at least [`ATTRACTOR_TOKENS`] tokens that two or more texts generated, the most shared first, each as
/// long as all those texts have it; at most `limit`. A run that overlaps one before it and is shared by no other texts is
/// left out: it is another way into the same continuation.
pub fn attractors(generated: &[Vec<u32>], limit: usize) -> Vec<Attractor> {
    // Where each run of the shortest length occurs: text and position.
    let mut windows: BTreeMap<&[u32], Vec<Place>> = BTreeMap::new();
    for (text, tokens) in generated.iter().enumerate() {
        for (position, window) in tokens.windows(ATTRACTOR_TOKENS).enumerate() {
            windows.entry(window).or_default().push((text, position));
        }
    }
    let texts_of = |places: &[Place]| places.iter().map(|&(text, _)| text).collect::<BTreeSet<_>>();
    let mut shared: Vec<(BTreeSet<usize>, Vec<Place>)> =
        windows.into_values().map(|places| (texts_of(&places), places)).filter(|(texts, _)| texts.len() > 1).collect();
    shared.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then(a.1.cmp(&b.1)));

    let mut covered: BTreeSet<Place> = BTreeSet::new();
    let mut found = Vec::new();
    for (texts, places) in shared {
        if found.len() == limit {
            break;
        }
        if places.iter().all(|place| covered.contains(place)) {
            continue;
        }
        // Longer as long as every text of the set has the longer run somewhere; the occurrences that do go on.
        let mut starts = places;
        let mut length = ATTRACTOR_TOKENS;
        while length < LONGEST_RUN {
            let extended = most_shared(&starts, |&(text, start)| generated[text].get(start + length).copied());
            match extended {
                Some(places) if texts_of(&places) == texts => starts = places,
                _ => break,
            }
            length += 1;
        }
        while length < LONGEST_RUN {
            let extended =
                most_shared(&starts, |&(text, start)| start.checked_sub(1).map(|before| generated[text][before]));
            match extended {
                Some(places) if texts_of(&places) == texts => {
                    starts = places.into_iter().map(|(text, start)| (text, start - 1)).collect();
                }
                _ => break,
            }
            length += 1;
        }
        let (text, start) = starts[0];
        let tokens = generated[text][start..start + length].to_vec();
        // Another way into what has been reported already is no attractor of its own.
        let known = |one: &Attractor| {
            let part = texts.iter().all(|text| one.texts.contains(text));
            part && one.tokens.windows(ATTRACTOR_TOKENS).any(|a| tokens.windows(ATTRACTOR_TOKENS).any(|b| a == b))
        };
        if found.iter().any(known) {
            continue;
        }
        for window in tokens.windows(ATTRACTOR_TOKENS) {
            for &text in &texts {
                for (position, other) in generated[text].windows(ATTRACTOR_TOKENS).enumerate() {
                    if other == window {
                        covered.insert((text, position));
                    }
                }
            }
        }
        found.push(Attractor { tokens, texts: texts.into_iter().collect() });
    }
    found
}

/// The places that continue alike, for the continuation that most texts have (the lowest token on ties).
fn most_shared(places: &[Place], next: impl Fn(&Place) -> Option<u32>) -> Option<Vec<Place>> {
    let mut groups: BTreeMap<u32, Vec<Place>> = BTreeMap::new();
    for place in places {
        if let Some(token) = next(place) {
            groups.entry(token).or_default().push(*place);
        }
    }
    let distinct = |places: &[Place]| places.iter().map(|&(text, _)| text).collect::<BTreeSet<_>>().len();
    groups.into_iter().rev().max_by_key(|(_, places)| distinct(places)).map(|(_, places)| places)
}
