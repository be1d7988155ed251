//! The records of a trace, as whoever reads one sees them.

use super::format::read_varint;
use super::pick::Pick;
use crate::plan::{Config, Metrics};
use crate::types::TokenId;

/// One step of a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepRecord {
    /// The position that its random numbers came from.
    pub position: u64,
    /// The digest of its row.
    pub row: u64,
    /// The digest of its mask, if it had one.
    pub mask: Option<u64>,
    /// Whether the pick was recorded, and not only evaluated.
    pub is_recorded: bool,
    /// Whether its row is that of the columns recorded for it.
    pub has_columns: bool,
    /// Whether its mask is in the trace, too.
    pub has_mask: bool,
    /// Whether the numbers of its pick are in the trace.
    pub has_numbers: bool,
    /// The numbers that were asked for.
    pub metrics: Metrics,
    /// The pick, or the status ([`Error::status`](crate::Error::status)) with which it was refused. What the trace does not have is unknown.
    pub outcome: core::result::Result<Pick, i32>,
}

/// One record of a trace.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is no heap to put the large ones on; one exists at a time")]
pub enum Record<'t> {
    /// Tokens of the prompt.
    Prompt(Tokens<'t>),
    /// Tokens recorded as generated.
    Accept(Tokens<'t>),
    /// So many generated tokens were taken back.
    Undo(u64),
    /// The position was set.
    Seek(u64),
    /// A new sequence with the same configuration.
    Reset,
    /// A new sequence with this configuration.
    Configure(Config),
    /// The biases were replaced.
    Biases(Biases<'t>),
    /// The bans were replaced.
    Bans(Tokens<'t>),
    /// The decoder's whole state: bytes of `Decoder::save`.
    State(&'t [u8]),
    /// Bytes of the text of generated tokens, for the stop strings.
    Bytes(&'t [u8]),
    /// The columns that make the next step's row.
    Columns(Columns<'t>),
    /// A mask, for the steps from here on that say so.
    Mask(MaskWords<'t>),
    /// A remark of who recorded it.
    Note(&'t str),
    /// A step.
    Step(StepRecord),
}

/// A list of tokens in a trace.
#[derive(Clone, Debug)]
pub struct Tokens<'t> {
    pub(super) bytes: &'t [u8],
    pub(super) left: usize,
}

impl Iterator for Tokens<'_> {
    type Item = TokenId;

    fn next(&mut self) -> Option<TokenId> {
        self.left = self.left.checked_sub(1)?;
        let (value, length) = read_varint(self.bytes)?.ok()?;
        self.bytes = &self.bytes[length..];
        Some(value as TokenId)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Tokens<'_> {}

/// Biases in a trace.
#[derive(Clone, Debug)]
pub struct Biases<'t>(pub(super) &'t [[u8; 8]]);

impl Biases<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Token and bias of this index, which is below the length.
    pub fn get(&self, index: usize) -> (TokenId, f32) {
        let [a, b, c, d, e, f, g, h] = self.0[index];
        (u32::from_le_bytes([a, b, c, d]), f32::from_bits(u32::from_le_bytes([e, f, g, h])))
    }
}

/// The words of a mask in a trace.
#[derive(Clone, Debug)]
pub struct MaskWords<'t>(pub(super) &'t [[u8; 4]]);

impl MaskWords<'_> {
    /// The words in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.0.iter().map(|word| u32::from_le_bytes(*word))
    }
}

/// Columns of a sparse head in a trace.
#[derive(Clone, Debug)]
pub struct Columns<'t> {
    /// The columns.
    pub columns: Tokens<'t>,
    pub(super) values: Option<&'t [[u8; 4]]>,
}

impl<'t> Columns<'t> {
    /// Their values, where they are not all 1.
    pub fn values(&self) -> Option<impl ExactSizeIterator<Item = f32> + use<'t>> {
        Some(self.values?.iter().map(|value| f32::from_bits(u32::from_le_bytes(*value))))
    }
}
