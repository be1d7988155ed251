//! What the decoder is told about words beside its configuration: biases, sequences, forced words, stops.
//!
//! A sequence is a text, cut into words as prompts are. Every word must be one that the model can say.

use super::error::{Error, Result};
use super::model::Model;
use super::text::tokens;
use crate::{Config, Decoder};

/// The lists; all are empty by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lists {
    /// What is added to the logits of words.
    pub bias: Vec<(String, f32)>,
    /// Words that end a text, beside the model's end of the text.
    pub end_words: Vec<String>,
    /// Sequences of words that end a text; they are part of it.
    pub stops: Vec<String>,
    /// Strings that end a text; it is shown up to them.
    pub stop_strings: Vec<String>,
    /// DRY's breakers.
    pub breakers: Vec<String>,
    /// Sequences that are never completed.
    pub bad_sequences: Vec<String>,
    /// Sequences whose last word is biased where the rest of them was said.
    pub sequence_bias: Vec<(String, f32)>,
    /// Words that are picked at their places: 0 is the first generated word.
    pub forced: Vec<(u64, String)>,
}

impl Lists {
    /// Whether no list has anything in it.
    pub fn is_empty(&self) -> bool {
        *self == Lists::default()
    }

    /// The classes of the end words.
    pub(super) fn end_classes(&self, model: &Model) -> Result<Vec<u32>> {
        self.end_words.iter().map(|text| word(model, "end-words", text)).collect()
    }

    /// `config` with room for the longest list: the decoder's own, unless more is asked for here.
    pub(super) fn with_room(&self, config: Config) -> Config {
        let room = match config.sequence_capacity {
            0 if self.most() > 256 => u32::try_from(self.most()).unwrap_or(u32::MAX),
            asked => asked,
        };
        Config { sequence_capacity: room, ..config }
    }

    /// Tokens, or bytes, that the longest of the lists can have.
    fn most(&self) -> usize {
        let bytes = |texts: &[String]| texts.iter().map(|text| text.len()).sum();
        let biased = self.sequence_bias.iter().map(|(text, _)| text.len()).sum();
        let sequences =
            [&self.stops, &self.stop_strings, &self.breakers, &self.bad_sequences].map(|texts| bytes(texts));
        let most = sequences.into_iter().max().unwrap_or(0);
        // The model's own end token joins the end words.
        most.max(biased).max(self.forced.len()).max(self.end_words.len() + 1)
    }

    /// Sets them on a decoder of this model; `ends` are the end tokens that it has anyway.
    ///
    /// # Errors
    /// [`Error::Option`] with the list's name.
    pub(super) fn set(&self, model: &Model, decoder: &mut Decoder, ends: &[u32]) -> Result<()> {
        let sequences = |name: &'static str, texts: &[String]| {
            texts.iter().map(|text| sequence(model, name, text)).collect::<Result<Vec<Vec<u32>>>>()
        };
        let named = |name: &'static str, answer: crate::Result<()>| {
            answer.map_err(|error| Error::Option {
                name,
                reason: match error {
                    crate::Error::DuplicateToken { token } => {
                        format!("{:?} stands twice", model.words()[token as usize])
                    }
                    crate::Error::InvalidParameter { name: "forced_position", value } => {
                        format!("place {value} stands twice")
                    }
                    crate::Error::InvalidParameter { name: "bias", value } => {
                        format!("{value} cannot be added: it must be finite, or -inf")
                    }
                    error => error.to_string(),
                },
            })
        };
        let bias = self.bias.iter().map(|(text, bias)| Ok((word(model, "bias", text)?, *bias)));
        named("bias", decoder.set_bias(&bias.collect::<Result<Vec<_>>>()?))?;
        let mut end_tokens = ends.to_vec();
        for class in self.end_classes(model)? {
            // Given twice is given once.
            if !end_tokens.contains(&class) {
                end_tokens.push(class);
            }
        }
        named("end-words", decoder.set_end_tokens(&end_tokens))?;
        named("stop", decoder.set_stops(&views(&sequences("stop", &self.stops)?)))?;
        named("breaker", decoder.set_breakers(&views(&sequences("breaker", &self.breakers)?)))?;
        let bad = sequences("bad-sequence", &self.bad_sequences)?;
        named("bad-sequence", decoder.set_bad_sequences(&views(&bad)))?;
        let biased: Vec<String> = self.sequence_bias.iter().map(|(text, _)| text.clone()).collect();
        let biased = sequences("sequence-bias", &biased)?;
        let pairs = biased.iter().zip(&self.sequence_bias).map(|(sequence, (_, bias))| (&sequence[..], *bias));
        named("sequence-bias", decoder.set_sequence_bias(&pairs.collect::<Vec<_>>()))?;
        let forced = self.forced.iter().map(|(place, text)| Ok((*place, word(model, "forced", text)?)));
        named("forced", decoder.set_forced(&forced.collect::<Result<Vec<_>>>()?))?;
        if self.stop_strings.iter().any(String::is_empty) {
            return Err(Error::Option { name: "stop-string", reason: "it must not be empty".to_owned() });
        }
        let strings: Vec<&[u8]> = self.stop_strings.iter().map(|string| string.as_bytes()).collect();
        named("stop-string", decoder.set_stop_strings(&strings))?;
        Ok(())
    }
}

fn views(sequences: &[Vec<u32>]) -> Vec<&[u32]> {
    sequences.iter().map(Vec::as_slice).collect()
}

/// The classes of a text's words.
fn sequence(model: &Model, name: &'static str, text: &str) -> Result<Vec<u32>> {
    if let Some(class) = model.class(text) {
        return Ok(vec![class]);
    }
    let find = |word: String| {
        model.class(&word).ok_or_else(|| Error::Option { name, reason: format!("the model has no word {word:?}") })
    };
    let classes = tokens(text).map(find).collect::<Result<Vec<u32>>>()?;
    if classes.is_empty() {
        Err(Error::Option { name, reason: format!("there is no word in {text:?}") })
    } else {
        Ok(classes)
    }
}

fn word(model: &Model, name: &'static str, text: &str) -> Result<u32> {
    match sequence(model, name, text)?[..] {
        [class] => Ok(class),
        _ => Err(Error::Option { name, reason: format!("{text:?} is more than one word") }),
    }
}
