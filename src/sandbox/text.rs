//! Text to tokens.
//!
//! Text is lower-cased and cut into runs of `[A-Za-z0-9']` or one of `.`, `!`, `?`; everything else separates. Two
//! readers share one state machine, so they agree on every text: [`Tokens`] over a `&str`, and [`TokenReader`] over
//! any [`BufRead`], which holds one token and never the text.
//!
//! ```text
//! for each character c of the text, lower-cased:
//!     c in [a-z0-9']  -> append to the run; a run of MAX_TOKEN_BYTES ends here
//!     c in .!?        -> end the run, then c is a token
//!     otherwise       -> end the run
//! ```
//!
//! Lower-casing is Unicode's, so the Kelvin sign is a `k`, and `İ` is an `i` followed by a separator. Text that is not
//! UTF-8 is refused with the offset of the first bad byte: decoding it in silence would train on something else.

use std::io::{self, BufRead};

/// A run longer than this is cut there, so that a file without separators cannot fill the memory.
pub const MAX_TOKEN_BYTES: usize = 1 << 16;

/// The state machine: characters in, tokens out.
#[derive(Clone, Debug, Default)]
struct Cutter {
    run: String,
    /// A `.`, `!` or `?` that ended a run and is the next token.
    mark: Option<char>,
    /// The run has been handed out and is to be cleared before the next character.
    spent: bool,
}

impl Cutter {
    /// Takes one character of the original text; true when a token is complete.
    fn push(&mut self, c: char) -> bool {
        if c.is_ascii() {
            return self.push_lower(c.to_ascii_lowercase());
        }
        let mut complete = false;
        for lower in c.to_lowercase() {
            // Only `İ` lowers to several characters, and its first one never completes a token that its second one
            // could complete again: an `i` extends the run, the dot above ends it.
            complete |= self.push_lower(lower);
        }
        complete
    }

    fn push_lower(&mut self, c: char) -> bool {
        self.clear_spent();
        match c {
            'a'..='z' | '0'..='9' | '\'' => {
                self.run.push(c);
                self.run.len() == MAX_TOKEN_BYTES
            }
            '.' | '!' | '?' => {
                if self.run.is_empty() {
                    self.run.push(c);
                } else {
                    self.mark = Some(c);
                }
                true
            }
            _ => !self.run.is_empty(),
        }
    }

    /// A token left over from the last character: the mark behind a run.
    fn pending(&mut self) -> bool {
        self.clear_spent();
        match self.mark.take() {
            Some(mark) => {
                self.run.push(mark);
                true
            }
            None => false,
        }
    }

    fn clear_spent(&mut self) {
        if self.spent {
            self.run.clear();
            self.spent = false;
        }
    }

    /// The complete token.
    fn token(&mut self) -> &str {
        self.spent = true;
        &self.run
    }

    /// Whether the end of the text completes a token.
    fn finish(&mut self) -> bool {
        self.clear_spent();
        !self.run.is_empty()
    }
}

/// The tokens of a text in memory. Made by [`tokens`].
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    rest: std::str::Chars<'a>,
    cutter: Cutter,
}

/// Iterates over the tokens of `text`.
pub fn tokens(text: &str) -> Tokens<'_> {
    Tokens { rest: text.chars(), cutter: Cutter::default() }
}

impl Iterator for Tokens<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.cutter.pending() {
            return Some(self.cutter.token().to_owned());
        }
        for c in self.rest.by_ref() {
            if self.cutter.push(c) {
                return Some(self.cutter.token().to_owned());
            }
        }
        self.cutter.finish().then(|| self.cutter.token().to_owned())
    }
}

/// The tokens of a stream of any size, one at a time.
///
/// Where the reader's chunks begin and end makes no difference, not even inside a character.
#[derive(Debug)]
pub struct TokenReader<R> {
    reader: R,
    cutter: Cutter,
    /// The beginning of a character that the last chunk cut in two.
    split: [u8; 4],
    split_len: usize,
    /// Bytes of the stream taken so far.
    position: u64,
    ended: bool,
}

impl<R: BufRead> TokenReader<R> {
    /// Starts at the reader's present position.
    pub fn new(reader: R) -> Self {
        TokenReader { reader, cutter: Cutter::default(), split: [0; 4], split_len: 0, position: 0, ended: false }
    }

    /// Bytes taken from the stream so far; for progress bars.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next token, lower-cased, or `None` at the end of the stream.
    ///
    /// # Errors
    /// Those of the reader; [`io::ErrorKind::InvalidData`] where the stream is not UTF-8, with the byte's offset. After
    /// an error the stream counts as ended.
    pub fn next_token(&mut self) -> io::Result<Option<&str>> {
        if self.cutter.pending() {
            return Ok(Some(self.cutter.token()));
        }
        while !self.ended {
            match self.advance() {
                Ok(true) => return Ok(Some(self.cutter.token())),
                Ok(false) => {}
                Err(error) => {
                    self.ended = true;
                    self.cutter = Cutter::default();
                    return Err(error);
                }
            }
        }
        Ok(if self.cutter.finish() { Some(self.cutter.token()) } else { None })
    }

    /// Feeds what the reader has at hand until a token is complete (true) or it has no more at hand (false).
    fn advance(&mut self) -> io::Result<bool> {
        let chunk = loop {
            match self.reader.fill_buf() {
                Ok(chunk) => break chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        if chunk.is_empty() {
            self.ended = true;
            return if self.split_len == 0 { Ok(false) } else { Err(not_utf8(self.position - self.split_len as u64)) };
        }
        if self.split_len > 0 {
            // Completes the split character byte by byte: at most three times in a row.
            self.split[self.split_len] = chunk[0];
            self.split_len += 1;
            self.reader.consume(1);
            self.position += 1;
            let start = self.position - self.split_len as u64;
            return match std::str::from_utf8(&self.split[..self.split_len]) {
                Ok(text) => {
                    self.split_len = 0;
                    Ok(text.chars().fold(false, |complete, c| complete | self.cutter.push(c)))
                }
                Err(error) if error.error_len().is_none() => Ok(false),
                Err(_) => Err(not_utf8(start)),
            };
        }

        // Most text is ASCII: byte by byte, no validation of the whole chunk for the sake of one token.
        let mut taken = 0;
        let mut complete = false;
        let mut failure = None;
        while taken < chunk.len() && !complete {
            let byte = chunk[taken];
            if byte.is_ascii() {
                complete = self.cutter.push(byte as char);
                taken += 1;
                continue;
            }
            let head = &chunk[taken..chunk.len().min(taken + 4)];
            let valid = match std::str::from_utf8(head) {
                Ok(text) => text,
                Err(error) if error.valid_up_to() > 0 => {
                    std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
                }
                Err(error) if error.error_len().is_none() => {
                    self.split[..head.len()].copy_from_slice(head);
                    self.split_len = head.len();
                    taken += head.len();
                    break;
                }
                Err(_) => {
                    failure = Some(not_utf8(self.position + taken as u64));
                    break;
                }
            };
            if let Some(c) = valid.chars().next() {
                complete = self.cutter.push(c);
                taken += c.len_utf8();
            }
        }
        self.reader.consume(taken);
        self.position += taken as u64;
        match failure {
            Some(error) => Err(error),
            None => Ok(complete),
        }
    }
}

fn not_utf8(offset: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the text is not UTF-8 at byte {offset}"))
}
