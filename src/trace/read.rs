//! Reading a trace: bytes from outside, hostile until checked, and checked as a whole before anything is believed.

use super::cursor::{Cursor, Flaw};
use super::format::*;
use super::record::Record;
use crate::error::{Error, Label, Result};
use crate::kernels::with_default_environment;
use crate::numeric::NUMERICS_VERSION;
use crate::plan::{CONFIG_WORDS, Config, Plan};
use crate::types::MAX_VOCAB;

/// A trace whose bytes have been checked.
#[derive(Clone, Debug)]
pub struct Trace<'t> {
    bytes: &'t [u8],
    /// Where the last whole record ends.
    end: usize,
    config: Config,
    vocab: usize,
    records: u64,
    steps: u64,
    steps_with_columns: u64,
    longest_list: usize,
    longest_mask: usize,
    is_complete: bool,
}

const FIRST_RECORD: usize = HEAD + 4 * CONFIG_WORDS;

impl<'t> Trace<'t> {
    /// Checks a trace from its first byte to its last. One that was cut off can be read up to there: see
    /// [`Trace::is_complete`].
    ///
    /// # Errors
    /// [`Error::FileMalformed`] with the place and what is wrong: not a trace, of another format, release or version of the
    /// numerics, records that cannot be, a wrong checksum. [`Error::InvalidParameter`] and [`Error::NotInProfile`] for a
    /// configuration that no decoder would take.
    pub fn open(bytes: &'t [u8]) -> Result<Trace<'t>> {
        let mut cursor = Cursor { bytes, at: 0, vocab: 0 };
        let mut head = [0; HEAD / 4];
        for (i, word) in head.iter_mut().enumerate() {
            *word = cursor.word().map_err(|_| malformed(bytes.len(), 0, "it is too short for a trace"))?;
            // What it is comes first: the rest of another kind of file means nothing.
            if i == 0 && *word != MAGIC {
                return Err(malformed(0, (*word).into(), "it does not begin as a trace"));
            }
        }
        let [_, format, numerics, vocab, words, reserved] = head;
        let rules = [
            (4, format, format == FORMAT, "the format of this trace is not known here"),
            (8, numerics, numerics == NUMERICS_VERSION, "it was recorded with another version of the numerics"),
            (12, vocab, vocab != 0 && vocab as usize <= MAX_VOCAB, "there is no such vocabulary"),
            (16, words, words as usize == CONFIG_WORDS, "its configuration is that of another release"),
            (20, reserved, reserved == 0, "a reserved word is not 0"),
        ];
        for (offset, value, holds, reason) in rules {
            if !holds {
                return Err(malformed(offset, value.into(), reason));
            }
        }
        cursor.vocab = vocab as usize;
        let config = match cursor.config() {
            Ok(config) => config,
            Err(Flaw::CutOff) => return Err(malformed(bytes.len(), 0, "it is too short for a trace")),
            Err(Flaw::Bad(reason)) => return Err(malformed(HEAD, 0, reason)),
        };
        check(&config, cursor.vocab)?;
        let mut trace = Trace {
            bytes,
            end: FIRST_RECORD,
            config,
            vocab: cursor.vocab,
            records: 0,
            steps: 0,
            steps_with_columns: 0,
            longest_list: 0,
            longest_mask: 0,
            is_complete: false,
        };
        trace.check_records(cursor)?;
        Ok(trace)
    }

    fn check_records(&mut self, mut cursor: Cursor<'t>) -> Result<()> {
        let (mut columns, mut mask) = (false, false);
        while cursor.at < self.bytes.len() {
            let start = cursor.at;
            if self.bytes[start] == END {
                return self.check_end(cursor);
            }
            let record = match cursor.record() {
                Ok(record) => record,
                Err(Flaw::CutOff) => return Ok(()),
                Err(Flaw::Bad(reason)) => return Err(malformed(start, self.bytes[start].into(), reason)),
            };
            match &record {
                Record::Prompt(tokens) | Record::Accept(tokens) | Record::Bans(tokens) => {
                    self.longest_list = self.longest_list.max(tokens.len());
                }
                Record::Configure(config) => {
                    check(config, self.vocab)?;
                }
                Record::Columns(list) => {
                    self.longest_list = self.longest_list.max(list.columns.len());
                    columns = true;
                }
                Record::Mask(words) => {
                    self.longest_mask = self.longest_mask.max(words.0.len());
                    mask = true;
                }
                Record::Step(step) => {
                    if step.has_columns && !columns || step.has_mask && !mask {
                        return Err(malformed(start, STEP.into(), "a step names columns or a mask that it lacks"));
                    }
                    columns = false;
                    self.steps += 1;
                    self.steps_with_columns += u64::from(step.has_columns);
                }
                _ => {}
            }
            self.records += 1;
            self.end = cursor.at;
        }
        Ok(())
    }

    fn check_end(&mut self, mut cursor: Cursor<'t>) -> Result<()> {
        let start = cursor.at;
        cursor.at += 1;
        let (records, sum_at) = match cursor.number() {
            Ok(records) => (records, cursor.at),
            Err(Flaw::CutOff) => return Ok(()),
            Err(Flaw::Bad(reason)) => return Err(malformed(start, END.into(), reason)),
        };
        let Ok(sum) = cursor.long() else { return Ok(()) };
        if cursor.at != self.bytes.len() {
            return Err(malformed(cursor.at, 0, "bytes follow the end of the trace"));
        }
        let mut checksum = Checksum::new();
        checksum.add(&self.bytes[..sum_at]);
        if checksum.0 != sum || records != self.records {
            return Err(malformed(sum_at, sum, "the checksum is wrong: the trace is damaged"));
        }
        self.is_complete = true;
        Ok(())
    }

    /// The configuration at the beginning.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The length of its rows.
    pub fn vocab(&self) -> usize {
        self.vocab
    }

    /// How many steps it has.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// How many of them have their columns in the trace.
    pub fn steps_with_columns(&self) -> u64 {
        self.steps_with_columns
    }

    /// Whether it has its end, with the right checksum. One that has not was cut off: a crash, a full disk.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Where its last whole record ends, in bytes from its beginning: what follows in a trace without its end cannot be read.
    pub fn whole_bytes(&self) -> usize {
        if self.is_complete { self.bytes.len() } else { self.end }
    }

    /// The longest list of tokens or columns in it.
    pub fn longest_list(&self) -> usize {
        self.longest_list
    }

    /// The words of the longest mask in it.
    pub fn longest_mask(&self) -> usize {
        self.longest_mask
    }

    /// Its records in order.
    pub fn records(&self) -> Records<'t> {
        Records(Cursor { bytes: &self.bytes[..self.end], at: FIRST_RECORD, vocab: self.vocab })
    }
}

/// The records of a trace.
#[derive(Clone, Debug)]
pub struct Records<'t>(Cursor<'t>);

impl<'t> Iterator for Records<'t> {
    type Item = Record<'t>;

    fn next(&mut self) -> Option<Record<'t>> {
        if self.0.at >= self.0.bytes.len() { None } else { self.0.record().ok() }
    }
}

/// Refuses a configuration that no decoder takes, whatever the host's float environment.
fn check(config: &Config, vocab: usize) -> Result<()> {
    // Not inlined: no float operation may move out of the default environment around the call.
    #[inline(never)]
    fn check_in_default_environment(config: &Config, vocab: usize) -> Result<()> {
        Plan::compile(config, vocab).map(|_| ())
    }
    with_default_environment(|| check_in_default_environment(config, vocab))
}

fn malformed(offset: usize, value: u64, reason: &'static str) -> Error {
    Error::FileMalformed { array: Label::EMPTY, offset: offset as u64, value, reason }
}
