//! A text file as training examples, read as a stream: it may be larger than the memory.
//!
//! A text is one or more paragraphs, separated by lines that are empty or hold only blanks. Every paragraph begins
//! anew, with a context of three [`BEGIN`], and ends with the token [`END`]. A sentence goes up to `.`, `!` or `?`
//! (with what follows before the next word: more marks, the end of the paragraph) or to the end of its paragraph. The
//! last of every `hold_out` sentences is held out: not learned, only measured. The choice depends on the text alone, so
//! models with different options and seeds are measured on the same sentences.
//!
//! ```text
//! survey:   every word with how often it occurs, in the order of first appearance    (one pass; memory: distinct words)
//! lexicon:  the N most frequent words, ties by first appearance
//! examples: (t1, t2, t3) -> next token, for each next token that the lexicon has      (one pass an epoch; no memory)
//! ```

use super::error::{Error, Result};
use super::features::{BEGIN, FeatureSpace, UNKNOWN, shift};
use super::text::TokenReader;
use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::Path;

/// Ends a text: the last entry of `out_vocab`.
pub const END: &str = "<EOS>";

/// How much is read from a file at once.
const READ_BYTES: usize = 1 << 16;

/// Passes bytes on and notices lines without content between the tokens that are read through it.
struct ParagraphReader<'a, R> {
    reader: R,
    /// Only blanks since the last line feed.
    at_line_start: bool,
    /// A line without content has been passed on.
    blank_line: &'a Cell<bool>,
}

impl<R: BufRead> Read for ParagraphReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let chunk = self.fill_buf()?;
        let count = chunk.len().min(buffer.len());
        buffer[..count].copy_from_slice(&chunk[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for ParagraphReader<'_, R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // What was handed out is still in the reader's buffer until it is consumed, so this reads no further.
        if let Ok(chunk) = self.reader.fill_buf() {
            for &byte in &chunk[..amount] {
                match byte {
                    b'\n' if self.at_line_start => self.blank_line.set(true),
                    b'\n' => self.at_line_start = true,
                    b' ' | b'\t' | b'\r' => {}
                    _ => self.at_line_start = false,
                }
            }
        }
        self.reader.consume(amount);
    }
}

/// One piece of the stream.
enum Piece<'a> {
    Word(&'a str),
    EndOfParagraph,
}

/// Reads a text file once: hands every piece to `take` with whether it is held out.
fn read_pieces(
    path: &Path,
    hold_out: u32,
    mut take: impl FnMut(Piece<'_>, bool) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    let file = File::open(path).map_err(|source| Error::file("read", path, source))?;
    let blank_line = Cell::new(false);
    let reader = BufReader::with_capacity(READ_BYTES, file);
    // A blank line before the first word separates nothing; it is noticed and forgotten below.
    let mut tokens = TokenReader::new(ParagraphReader { reader, at_line_start: true, blank_line: &blank_line });
    let mut sentence = 0u64;
    let (mut anything, mut sentence_ended) = (false, false);
    let is_held_out = |sentence: u64| hold_out > 0 && sentence % u64::from(hold_out) == u64::from(hold_out) - 1;
    while let Some(word) = tokens.next_token().map_err(|source| Error::file("read", path, source))? {
        // A token ends before the line feed behind it has become a blank line, so a blank line lies before this token.
        let new_paragraph = blank_line.replace(false) && anything;
        if new_paragraph && take(Piece::EndOfParagraph, is_held_out(sentence))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let mark = matches!(word, "." | "!" | "?");
        if new_paragraph || (sentence_ended && !mark) {
            sentence += 1;
        }
        sentence_ended = mark;
        anything = true;
        if take(Piece::Word(word), is_held_out(sentence))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    if anything { take(Piece::EndOfParagraph, is_held_out(sentence)) } else { Ok(ControlFlow::Continue(())) }
}

/// How often one token occurs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// In the whole text.
    pub total: u64,
    /// In the sentences that are learned.
    pub learned: u64,
}

impl Count {
    fn add(&mut self, held_out: bool) {
        self.total += 1;
        self.learned += u64::from(!held_out);
    }
}

/// What one pass over a text finds.
#[derive(Clone, Debug)]
pub struct Survey {
    words: Vec<(String, Count)>,
    paragraphs: Count,
    tokens: u64,
}

/// Counts the words of a text file; the memory needed grows with the number of distinct words only. `progress` is
/// called now and then with the tokens so far and may stop the pass, which then gives `None`.
///
/// # Errors
/// A file that cannot be read, is not UTF-8 or has no words.
pub fn survey(path: &Path, hold_out: u32, mut progress: impl FnMut(u64) -> ControlFlow<()>) -> Result<Option<Survey>> {
    let mut index: HashMap<String, usize> = HashMap::new();
    let mut survey = Survey { words: Vec::new(), paragraphs: Count::default(), tokens: 0 };
    let flow = read_pieces(path, hold_out, |piece, held_out| {
        match piece {
            Piece::EndOfParagraph => survey.paragraphs.add(held_out),
            Piece::Word(word) => {
                let position = match index.get(word) {
                    Some(&position) => position,
                    None => {
                        survey.words.push((word.to_owned(), Count::default()));
                        index.insert(word.to_owned(), survey.words.len() - 1);
                        survey.words.len() - 1
                    }
                };
                survey.words[position].1.add(held_out);
                survey.tokens += 1;
            }
        }
        Ok(if survey.tokens.is_multiple_of(65_536) { progress(survey.tokens) } else { ControlFlow::Continue(()) })
    })?;
    if flow.is_break() {
        return Ok(None);
    }
    if survey.words.is_empty() {
        return Err(Error::content(path.display().to_string(), "there are no words in this text"));
    }
    Ok(Some(survey))
}

impl Survey {
    /// The number of different words, marks included.
    pub fn distinct_words(&self) -> usize {
        self.words.len()
    }

    /// The number of words and marks in the text.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The `size` most frequent words and marks; of equally frequent ones those that appear first.
    ///
    /// # Errors
    /// A text, named `origin`, with fewer different words than that.
    pub fn lexicon(&self, origin: &str, size: usize) -> Result<Lexicon> {
        if size > self.words.len() {
            let reason =
                format!("the text has {} different words, too few for a vocabulary of {size}", self.words.len());
            return Err(Error::content(origin, reason));
        }
        let mut order: Vec<usize> = (0..self.words.len()).collect();
        order.sort_by_key(|&position| (core::cmp::Reverse(self.words[position].1.total), position));
        order.truncate(size);
        let words: Vec<String> = order.iter().map(|&position| self.words[position].0.clone()).collect();
        let mut counts: Vec<Count> = order.iter().map(|&position| self.words[position].1).collect();
        counts.push(self.paragraphs);
        Ok(Lexicon { words, counts })
    }
}

/// The words a model knows.
///
/// `in_vocab` is [`BEGIN`], [`UNKNOWN`] and the words; `out_vocab` is the words and [`END`]; class i is `out_vocab[i]`.
#[derive(Clone, Debug)]
pub struct Lexicon {
    words: Vec<String>,
    counts: Vec<Count>,
}

impl Lexicon {
    /// The input vocabulary, the most frequent words first.
    pub fn in_vocab(&self) -> Vec<String> {
        [BEGIN, UNKNOWN].into_iter().map(str::to_owned).chain(self.words.iter().cloned()).collect()
    }

    /// The output vocabulary.
    pub fn out_vocab(&self) -> Vec<String> {
        self.words.iter().cloned().chain([END.to_owned()]).collect()
    }

    /// The number of classes: the words and [`END`].
    pub fn classes(&self) -> usize {
        self.counts.len()
    }

    /// How often each class is a target.
    pub fn counts(&self) -> &[Count] {
        &self.counts
    }
}

/// A context and the class that followed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The last three tokens as indices into `in_vocab`, the newest first.
    pub recent: [u32; 3],
    /// The class that came next.
    pub target: u32,
    /// Whether its sentence is held out.
    pub held_out: bool,
}

/// Reads a text file once and hands every observation to `take`, in the order of the text. A next token that the model
/// does not know is no observation, only a context for those behind it. `space` is that of [`Lexicon::in_vocab`].
///
/// # Errors
/// A file that cannot be read or is not UTF-8, and what `take` returns.
pub fn observe(
    path: &Path,
    hold_out: u32,
    space: &FeatureSpace,
    mut take: impl FnMut(Observation) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    // in_vocab begins with the two specials, out_vocab does not; END follows the words.
    let first_word = 2;
    let end = space.words().len() as u32 - first_word;
    let mut recent = space.start();
    read_pieces(path, hold_out, |piece, held_out| match piece {
        Piece::EndOfParagraph => {
            let before = core::mem::replace(&mut recent, space.start());
            take(Observation { recent: before, target: end, held_out })
        }
        Piece::Word(word) => {
            let id = space.id(word);
            let before = recent;
            recent = shift(recent, id);
            if id < first_word {
                return Ok(ControlFlow::Continue(()));
            }
            take(Observation { recent: before, target: id - first_word, held_out })
        }
    })
}
