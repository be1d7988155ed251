//! Reading records: from bytes that nobody has checked.

use super::fields::{Fields, each_field};
use super::format::*;
use super::pick::Pick;
use super::record::{Biases, Columns, MaskWords, Record, StepRecord, Tokens};
use crate::error::Error;
use crate::plan::{CONFIG_WORDS, Config, Metrics};

/// Why a record cannot be read.
pub(super) enum Flaw {
    /// The bytes end within it.
    CutOff,
    /// It is none.
    Bad(&'static str),
}

pub(super) type Read<T> = core::result::Result<T, Flaw>;

/// A place in the bytes of a trace.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'t> {
    pub bytes: &'t [u8],
    pub at: usize,
    pub vocab: usize,
}

impl<'t> Cursor<'t> {
    fn take(&mut self, count: usize) -> Read<&'t [u8]> {
        let end = self.at.checked_add(count).ok_or(Flaw::CutOff)?;
        let taken = self.bytes.get(self.at..end).ok_or(Flaw::CutOff)?;
        self.at = end;
        Ok(taken)
    }

    fn chunks<const N: usize>(&mut self, count: usize) -> Read<&'t [[u8; N]]> {
        Ok(self.take(count.checked_mul(N).ok_or(Flaw::CutOff)?)?.as_chunks::<N>().0)
    }

    pub fn word(&mut self) -> Read<u32> {
        self.chunks::<4>(1).map(|word| u32::from_le_bytes(word[0]))
    }

    pub fn long(&mut self) -> Read<u64> {
        self.chunks::<8>(1).map(|word| u64::from_le_bytes(word[0]))
    }

    pub fn number(&mut self) -> Read<u64> {
        match read_varint(&self.bytes[self.at..]) {
            None => Err(Flaw::CutOff),
            Some(Err(())) => Err(Flaw::Bad("a number is not written in its fewest bytes")),
            Some(Ok((value, length))) => {
                self.at += length;
                Ok(value)
            }
        }
    }

    fn small(&mut self) -> Read<u32> {
        u32::try_from(self.number()?).map_err(|_| Flaw::Bad("a number is larger than 32 bits"))
    }

    fn length(&mut self) -> Read<usize> {
        // More elements than the address space has bytes are not there either.
        usize::try_from(self.number()?).map_err(|_| Flaw::CutOff)
    }

    pub fn config(&mut self) -> Read<Config> {
        let mut words = [0; CONFIG_WORDS];
        for word in &mut words {
            *word = self.word()?;
        }
        Config::from_words(&words).map_err(|_| Flaw::Bad("a choice in its configuration is not known"))
    }

    /// A list of numbers below `limit`.
    fn list(&mut self, count: usize, limit: usize) -> Read<Tokens<'t>> {
        let start = self.at;
        for _ in 0..count {
            if self.small()? as usize >= limit {
                return Err(Flaw::Bad("a token is not in the vocabulary"));
            }
        }
        Ok(Tokens { bytes: &self.bytes[start..self.at], left: count })
    }

    fn tokens(&mut self) -> Read<Tokens<'t>> {
        let count = self.length()?;
        self.list(count, self.vocab)
    }

    pub fn record(&mut self) -> Read<Record<'t>> {
        Ok(match self.take(1)?[0] {
            PROMPT => Record::Prompt(self.tokens()?),
            ACCEPT => Record::Accept(self.tokens()?),
            UNDO => Record::Undo(self.number()?),
            SEEK => Record::Seek(self.number()?),
            RESET => Record::Reset,
            CONFIGURE => Record::Configure(self.config()?),
            BIASES => {
                let count = self.length()?;
                Record::Biases(Biases(self.chunks(count)?))
            }
            BANS => Record::Bans(self.tokens()?),
            STATE => {
                let count = self.length()?;
                Record::State(self.take(count)?)
            }
            BYTES => {
                let count = self.length()?;
                Record::Bytes(self.take(count)?)
            }
            COLUMNS => {
                let count = self.length()?;
                let has_values = match self.take(1)?[0] {
                    0 => false,
                    1 => true,
                    _ => return Err(Flaw::Bad("columns have values or have none")),
                };
                // Which columns there are only the weights know.
                let columns = self.list(count, usize::MAX)?;
                Record::Columns(Columns { columns, values: has_values.then(|| self.chunks(count)).transpose()? })
            }
            MASK => {
                let count = self.length()?;
                if count > self.vocab.div_ceil(32) {
                    return Err(Flaw::Bad("a mask is longer than the vocabulary"));
                }
                Record::Mask(MaskWords(self.chunks(count)?))
            }
            NOTE => {
                let count = self.length()?;
                let text = core::str::from_utf8(self.take(count)?);
                Record::Note(text.map_err(|_| Flaw::Bad("a note is not UTF-8"))?)
            }
            STEP => Record::Step(self.step()?),
            _ => return Err(Flaw::Bad("there is no such record")),
        })
    }

    fn step(&mut self) -> Read<StepRecord> {
        let shape = self.small()?;
        let has = |bit: u32| shape & bit != 0;
        let metrics = Metrics::from_bits(shape >> SHAPE_METRICS).ok_or(Flaw::Bad("a step has unknown metrics"))?;
        if has(SHAPE_RESERVED) || has(SHAPE_MASK_RECORDED) && !has(SHAPE_MASK) {
            return Err(Flaw::Bad("a step has a shape that none has"));
        }
        let position = self.number()?;
        let row = self.long()?;
        let mask = if has(SHAPE_MASK) { Some(self.long()?) } else { None };
        let outcome = if has(SHAPE_REFUSED) {
            let status = self.small()?;
            let refusal = i32::try_from(status).ok().filter(|&status| is_outcome(status));
            Err(refusal.ok_or(Flaw::Bad("a step was refused for no reason"))?)
        } else {
            Ok(self.pick(metrics, has(SHAPE_NUMBERS))?)
        };
        Ok(StepRecord {
            position,
            row,
            mask,
            is_recorded: has(SHAPE_RECORDED),
            has_columns: has(SHAPE_COLUMNS),
            has_mask: has(SHAPE_MASK_RECORDED),
            has_numbers: has(SHAPE_NUMBERS),
            metrics,
            outcome,
        })
    }

    fn pick(&mut self, metrics: Metrics, numbers: bool) -> Read<Pick> {
        let mut pick = Pick::unknown(0, 0, f32::NAN);
        let mut fields = FieldReader { cursor: self, flaw: None };
        let known = each_field(&mut pick, metrics, numbers, &mut fields);
        match (fields.flaw, known) {
            (Some(flaw), _) => Err(flaw),
            (None, None) => Err(Flaw::Bad("there is no such reason to finish")),
            _ if pick.token as usize >= self.vocab || pick.argmax as usize >= self.vocab => {
                Err(Flaw::Bad("a token is not in the vocabulary"))
            }
            _ => Ok(pick),
        }
    }
}

/// The statuses of a step that are an answer to its row: a bad logit, nothing left, the end reached before.
pub(crate) fn is_outcome(status: i32) -> bool {
    let bad = Error::InvalidLogit { index: 0, value: 0.0 };
    [bad, Error::EverythingMasked, Error::Finished].iter().any(|error| error.status() == status)
}

/// Reads the fields of a pick; after the first flaw it reads nothing more.
struct FieldReader<'c, 't> {
    cursor: &'c mut Cursor<'t>,
    flaw: Option<Flaw>,
}

impl<'t> FieldReader<'_, 't> {
    fn read(&mut self, read: impl Fn(&mut Cursor<'t>) -> Read<u32>) -> u32 {
        if self.flaw.is_none() {
            match read(self.cursor) {
                Ok(value) => return value,
                Err(flaw) => self.flaw = Some(flaw),
            }
        }
        0
    }
}

impl Fields for FieldReader<'_, '_> {
    fn count(&mut self, _: &'static str, value: &mut u32) {
        *value = self.read(Cursor::small);
    }
    fn float(&mut self, _: &'static str, value: &mut f32) {
        *value = f32::from_bits(self.read(Cursor::word));
    }
}
