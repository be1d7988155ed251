//! Beam search over the model: one prompt in, the best continuations out.
//!
//! ```text
//! one beam: the prompt
//! repeat:
//!     row i = model(the last three tokens of beam i);  mask i = rules(beam i)
//!     BeamSearch chooses which beam goes on with which word, and which end
//!     no word left for any beam   -> exhausted
//!     finished                    -> its hypotheses, best first
//! ```
//!
//! The rules of the text game hold for each beam as for a text of its own; `<EOS>` ends a beam, with `stop_punct` also a
//! `.`, `!` or `?`. So one beam without a length penalty is greedy decoding. What a decoder does about repetition, and its
//! lists, hold for each beam too: then a decoder goes along with each ([`BeamSearch::step_with_decoders`]).

use super::error::{Error, Result};
use super::features::shift;
use super::lists::Lists;
use super::model::Model;
use super::rules::{ClassSet, END, PUNCTUATION, RuleSets, Rules, Situation};
use super::session::{Stop, join};
use super::text::tokens;
use crate::{BeamConfig, BeamSearch, Config, Continuation, Decoder, Finish, Kernels, Row, TokenId};

/// What is asked of a search.
#[derive(Clone, Debug, Default)]
pub struct BeamOptions {
    /// The search. `end_tokens` come from the model and the lists.
    pub config: BeamConfig<'static>,
    /// The rules of the text game.
    pub rules: Rules,
    /// The decoder beside each beam: what it does about repetition, its `min_tokens`. The words of the prompt that the model can
    /// say count as its prompt. Its profile is that of the search; its temperature, filters and draws are not used.
    pub beside: Config,
    /// The lists of these decoders. A search knows neither stop strings nor forced words.
    pub lists: Lists,
}

/// One of the best continuations.
#[derive(Debug)]
pub struct BeamText {
    /// The classes generated; `<EOS>` or an end word is not one of them.
    pub classes: Vec<u32>,
    /// What it is ranked by: the sum of log-probabilities divided by the length to the power of the length penalty.
    pub score: f64,
    /// The sum of the log-probabilities, in nats.
    pub logprob: f64,
    /// Tokens generated, `<EOS>` included.
    pub length: u32,
    /// Why it ended.
    pub stop: Stop,
}

impl BeamText {
    /// What was generated as running text.
    pub fn continuation(&self, model: &Model) -> String {
        join(self.classes.iter().map(|&class| model.words()[class as usize].as_str()))
    }
}

/// What a search found after one prompt.
#[derive(Debug)]
pub struct Found {
    /// The prompt as given.
    pub context: String,
    /// Its tokens.
    pub prompt: Vec<String>,
    /// How many of them the input vocabulary lacks.
    pub unknown: usize,
    /// The best texts, best first.
    pub texts: Vec<BeamText>,
    /// Steps taken.
    pub steps: u32,
    /// Whether the rules left no word to any beam before the search was finished. Only what had ended is told then.
    pub exhausted: bool,
}

/// A beam on its way.
#[derive(Clone, Debug)]
struct Beam {
    recent: [u32; 3],
    classes: Vec<u32>,
}

/// Searches for the best continuations of one prompt.
///
/// # Errors
/// A configuration outside its range, by the core's name for it; a row that the search refuses.
pub fn search(model: &Model, options: &BeamOptions, kernels: Kernels, context: &str) -> Result<Found> {
    for (name, is_given) in
        [("stop-string", !options.lists.stop_strings.is_empty()), ("forced", !options.lists.forced.is_empty())]
    {
        if is_given {
            return Err(Error::Option { name, reason: "a beam search has no use for it".to_owned() });
        }
    }
    let prompt: Vec<String> = tokens(context).collect();
    let (space, vocab) = (model.space(), model.vocab());
    let stops: &[&str] = if options.rules.stop_punct { &PUNCTUATION } else { &[] };
    let mut ends: Vec<TokenId> = options.lists.end_classes(model)?;
    ends.extend([END].into_iter().chain(stops.iter().copied()).filter_map(|word| model.class(word)));
    // Given twice is given once.
    ends.sort_unstable();
    ends.dedup();
    let config = BeamConfig { end_tokens: &ends, ..options.config };
    let mut search = BeamSearch::new_with_kernels(&config, vocab, kernels)?;
    let mut decoders = decoders(model, options, kernels, &prompt)?;
    let mut rules = RuleSets::new(options.rules.clone(), model);
    let topic = rules.topic(&prompt, model);

    let recent = prompt.iter().fold(space.start(), |recent, token| shift(recent, space.id(token)));
    let mut beams = vec![Beam { recent, classes: Vec::new() }];
    let mut rows = vec![vec![0.0; vocab]; search.beams()];
    let mut masks = vec![ClassSet::empty(vocab); search.beams()];
    let mut next = vec![Continuation::default(); search.outputs()];
    let mut exhausted = false;
    while !search.is_finished() {
        for ((beam, row), mask) in beams.iter().zip(&mut rows).zip(&mut masks) {
            model.logits(kernels, beam.recent, row)?;
            let newest = match beam.classes.last() {
                Some(&class) => Some(model.words()[class as usize].as_str()),
                None => prompt.last().map(String::as_str),
            };
            let situation = Situation { step: search.length(), generated: &beam.classes, newest, topic: &topic };
            rules.apply(situation, row, mask);
        }
        let given: Vec<Row<'_>> = rows[..beams.len()].iter().map(|row| Row::from(&row[..])).collect();
        let allowed: Vec<Option<&[u32]>> = masks[..beams.len()].iter().map(|mask| Some(mask.words())).collect();
        let taken = match &mut decoders[..] {
            [] => search.step(&given, &allowed, &mut next),
            decoders => search.step_with_decoders(decoders, &given, &allowed, &mut next),
        };
        let step = match taken {
            Ok(step) => step,
            Err(crate::Error::EverythingMasked) => {
                exhausted = true;
                break;
            }
            Err(error) => return Err(error.into()),
        };
        beams = next[..step.live]
            .iter()
            .map(|chosen| {
                let mut beam = beams[chosen.parent as usize].clone();
                beam.recent = shift(beam.recent, space.id(&model.words()[chosen.token as usize]));
                beam.classes.push(chosen.token);
                beam
            })
            .collect();
    }
    let listed = options.lists.end_classes(model)?;
    let texts = (0..search.hypotheses()).map(|rank| told(model, &search, &listed, rank)).collect::<Result<_>>()?;
    let unknown = prompt.iter().filter(|token| !space.contains(token)).count();
    Ok(Found { context: context.to_owned(), prompt, unknown, texts, steps: search.length(), exhausted })
}

/// A decoder for each beam, or none if there is nothing for them to do.
fn decoders(model: &Model, options: &BeamOptions, kernels: Kernels, prompt: &[String]) -> Result<Vec<Decoder>> {
    let BeamOptions { config, beside, lists, .. } = options;
    let beside = Config { profile: config.profile, ..beside.clone() };
    if lists.is_empty() && beside == (Config { profile: config.profile, ..Config::default() }) {
        return Ok(Vec::new());
    }
    let mut first = Decoder::new_with_kernels(&lists.with_room(beside), model.vocab(), kernels)?;
    // As for one text: `min_tokens` holds these back, `min_steps` of the rules punctuation too.
    lists.set(model, &mut first, &model.class(END).into_iter().collect::<Vec<_>>())?;
    first.prompt(&prompt.iter().filter_map(|word| model.class(word)).collect::<Vec<_>>())?;
    Ok(vec![first; config.beams as usize])
}

/// The hypothesis of a rank that there is.
fn told(model: &Model, search: &BeamSearch, end_words: &[TokenId], rank: usize) -> Result<BeamText> {
    let missing = crate::Error::InvalidParameter { name: "rank", value: rank as f64 };
    let hypothesis = search.hypothesis(rank).ok_or(missing)?;
    let mut classes = vec![0; hypothesis.length as usize];
    search.hypothesis_tokens(rank, &mut classes)?;
    let stop = match (hypothesis.finish, classes.last()) {
        (Finish::EndToken, Some(last))
            if PUNCTUATION.contains(&model.words()[*last as usize].as_str()) && !end_words.contains(last) =>
        {
            Stop::Punctuation
        }
        (Finish::EndToken, _) => Stop::EndToken,
        (Finish::Stop, _) => Stop::StopSequence,
        (Finish::Loop, _) => Stop::Loop,
        (Finish::Length | Finish::None, _) => Stop::Steps,
    };
    if matches!(stop, Stop::EndToken) {
        classes.pop();
    }
    let crate::Hypothesis { score, logprob, length, .. } = hypothesis;
    Ok(BeamText { classes, score, logprob, length, stop })
}
