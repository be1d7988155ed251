//! The options that are lists of words, for the decoders beside the beams of a search.

use crate::args;
use argpick::sandbox::beams::WordLists;

/// Lists of words. Several words of one sequence have blanks between them.
#[derive(Clone, Debug, clap::Args)]
pub struct ListArgs {
    /// Add X to the logit of a word; of several, to that of the last where the others end the text; may be given again
    #[arg(long, value_name = "WORDS=X", value_parser = bias, requires = "beams", help_heading = "Beam search")]
    bias: Vec<(Words, f32)>,
    /// Never these words in a row; may be given again
    #[arg(long, alias = "bad_sequence", value_name = "WORDS", value_parser = words, requires = "beams",
          help_heading = "Beam search")]
    bad_sequence: Vec<Words>,
    /// These words in a row end a text; may be given again
    #[arg(long, value_name = "WORDS", value_parser = words, requires = "beams", help_heading = "Beam search")]
    stop: Vec<Words>,
    /// Words that end a text, with commas between
    #[arg(long, alias = "end_words", value_name = "WORDS", requires = "beams", help_heading = "Beam search")]
    end_words: Vec<String>,
    /// DRY: no repetition counts across these words; may be given again
    #[arg(long, alias = "dry_breaker", value_name = "WORDS", value_parser = words, requires = "beams",
          help_heading = "Beam search")]
    dry_breaker: Vec<Words>,
}

/// A sequence of words. A type of its own, since a list as an option's value would be taken for many values.
#[derive(Clone, Debug, PartialEq)]
struct Words(Vec<String>);

fn words(text: &str) -> Result<Words, String> {
    let found: Vec<String> = text.split_whitespace().map(String::from).collect();
    if found.is_empty() { Err("it must be one word or more".to_owned()) } else { Ok(Words(found)) }
}

fn bias(text: &str) -> Result<(Words, f32), String> {
    // The last one: a word may have a = in it.
    let (before, number) = text.rsplit_once('=').ok_or("it must be words, =, and a number")?;
    let number: f32 = number.trim().parse().map_err(|_| format!("{number:?} is no number"))?;
    if number.is_nan() || number == f32::INFINITY {
        return Err("a bias is finite, or -inf, which bans".to_owned());
    }
    Ok((words(before)?, number))
}

impl ListArgs {
    /// The lists, each word as `known` has it: the name of the option in, too.
    pub fn lists(&self, known: impl Fn(&str, Vec<String>) -> Vec<String>) -> WordLists {
        let each = |option: &str, list: &[Words]| list.iter().map(|words| known(option, words.0.clone())).collect();
        WordLists {
            bias: self.bias.iter().map(|(words, bias)| (known("--bias", words.0.clone()), *bias)).collect(),
            bad_sequences: each("--bad-sequence", &self.bad_sequence),
            stops: each("--stop", &self.stop),
            end_words: known("--end-words", self.end_words.iter().flat_map(|list| args::word_list(list)).collect()),
            breakers: each("--dry-breaker", &self.dry_breaker),
        }
    }
}

/// The lists as text, those that are empty left out.
pub fn in_words(lists: &WordLists) -> Vec<String> {
    // Without `..`: a new list must get its place here.
    let WordLists { bias, bad_sequences, stops, end_words, breakers } = lists;
    let each = |name: &'static str, list: &[Vec<String>]| {
        list.iter().map(move |words| format!("{name} {:?}", words.join(" "))).collect::<Vec<_>>()
    };
    let mut parts: Vec<String> =
        bias.iter().map(|(words, bias)| format!("bias {:?} {bias}", words.join(" "))).collect();
    parts.extend(each("bad-sequence", bad_sequences));
    parts.extend(each("stop", stops));
    if !end_words.is_empty() {
        parts.push(format!("end-words {}", end_words.join(",")));
    }
    parts.extend(each("dry-breaker", breakers));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bias_is_words_and_a_number() {
        let found = |text| bias(text).map(|(words, bias)| (words.0.join("|"), bias));
        assert_eq!(found("the=1.5"), Ok(("the".to_owned(), 1.5)));
        assert_eq!(found(" the  cat = -2"), Ok(("the|cat".to_owned(), -2.0)));
        assert_eq!(found("a=b=-inf"), Ok(("a=b".to_owned(), f32::NEG_INFINITY)));
        for bad in ["the", "=1", "the=", "the=x", "the=nan", "the=inf", " = "] {
            assert!(bias(bad).is_err(), "{bad}");
        }
    }
}
