//! The options of `argpick decode` that name words: biases, sequences, forced words, stops. Beams take most of them, too.

use crate::args;
use argpick::sandbox::lists::Lists;
use serde_json::{Map, Value, json};

/// Lists of words.
#[derive(Clone, Debug, clap::Args)]
pub struct ListArgs {
    /// Add X to the logit of a word, -inf bans it; one option for each word
    #[arg(long, value_name = "WORD=X", value_parser = with_number, help_heading = "Words")]
    bias: Vec<(String, f32)>,
    /// Words that end a text, with commas between; they are not part of it
    #[arg(long, alias = "end_words", value_name = "WORDS", help_heading = "Words")]
    end_words: Vec<String>,
    /// End a text when it ends with these words, which stay in it; may be given again
    #[arg(long, value_name = "WORDS", help_heading = "Words")]
    stop: Vec<String>,
    /// End a text when this string is in it, and show it up to there; may be given again
    #[arg(long, alias = "stop_string", value_name = "TEXT", help_heading = "Words")]
    stop_string: Vec<String>,
    /// DRY: no repetition counts across these words; may be given again
    #[arg(long, value_name = "WORDS", help_heading = "Words")]
    breaker: Vec<String>,
    /// Never these words in a row; may be given again
    #[arg(long, alias = "bad_sequence", value_name = "WORDS", help_heading = "Words")]
    bad_sequence: Vec<String>,
    /// Add X to the logit of the last of these words where the others stand before it; may be given again
    #[arg(long, alias = "sequence_bias", value_name = "WORDS=X", value_parser = with_number, help_heading = "Words")]
    sequence_bias: Vec<(String, f32)>,
    /// Pick this word as the N-th, counted from 0, whatever the model says; one option for each place
    #[arg(long, value_name = "N=WORD", value_parser = with_place, help_heading = "Words")]
    forced: Vec<(u64, String)>,
}

impl ListArgs {
    /// The lists asked for.
    pub fn lists(&self) -> Lists {
        Lists {
            bias: self.bias.clone(),
            end_words: self.end_words.iter().flat_map(|list| args::word_list(list)).collect(),
            stops: self.stop.clone(),
            stop_strings: self.stop_string.clone(),
            breakers: self.breaker.clone(),
            bad_sequences: self.bad_sequence.clone(),
            sequence_bias: self.sequence_bias.clone(),
            forced: self.forced.clone(),
        }
    }
}

/// The lists as the options that make them, those that are not empty.
pub fn in_force(lists: &Lists) -> Vec<(&'static str, Vec<String>)> {
    let numbered = |pairs: &[(String, f32)]| pairs.iter().map(|(text, value)| format!("{text}={value}")).collect();
    let all: [(&str, Vec<String>); 8] = [
        ("bias", numbered(&lists.bias)),
        ("end-words", lists.end_words.clone()),
        ("stop", lists.stops.clone()),
        ("stop-string", lists.stop_strings.clone()),
        ("breaker", lists.breakers.clone()),
        ("bad-sequence", lists.bad_sequences.clone()),
        ("sequence-bias", numbered(&lists.sequence_bias)),
        ("forced", lists.forced.iter().map(|(place, word)| format!("{place}={word}")).collect()),
    ];
    all.into_iter().filter(|(_, list)| !list.is_empty()).collect()
}

/// The same as text.
pub fn in_force_text(lists: &Lists) -> Vec<String> {
    let quoted = |list: Vec<String>| list.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ");
    in_force(lists).into_iter().map(|(name, list)| format!("{name} {}", quoted(list))).collect()
}

/// The same for the documents: names with underscores.
pub fn words_json(lists: &Lists) -> Map<String, Value> {
    in_force(lists).into_iter().map(|(name, list)| (name.replace('-', "_"), json!(list))).collect()
}

fn with_number(text: &str) -> Result<(String, f32), String> {
    let (words, number) = text.rsplit_once('=').ok_or("it must be words, =, and a number: the=-1.5")?;
    let number: f32 = number.trim().parse().map_err(|_| format!("{number:?} is no number"))?;
    if number.is_nan() || number == f32::INFINITY {
        return Err("what is added must be finite, or -inf".to_owned());
    }
    Ok((words.to_owned(), number))
}

fn with_place(text: &str) -> Result<(u64, String), String> {
    let (place, word) = text.split_once('=').ok_or("it must be a place, =, and a word: 0=the")?;
    let place = place.parse().map_err(|error| format!("{place:?}: {error}"))?;
    Ok((place, word.to_owned()))
}
