//! Writing a trace: records one after the other, into whatever takes bytes.

use super::fields::{Fields, each_field};
use super::format::*;
use super::pick::Pick;
use crate::error::{Error, Result};
use crate::numeric::NUMERICS_VERSION;
use crate::plan::{CONFIG_WORDS, Config, Metrics};
use crate::types::TokenId;

/// Where the bytes of a trace go.
pub trait TraceSink {
    /// Takes all of these bytes.
    ///
    /// # Errors
    /// Whatever keeps it from taking them; the trace ends there.
    fn put(&mut self, bytes: &[u8]) -> Result<()>;
}

impl<T: TraceSink + ?Sized> TraceSink for &mut T {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        (**self).put(bytes)
    }
}

/// A trace in memory of the caller's.
#[derive(Debug)]
pub struct TraceBuffer<'a> {
    memory: &'a mut [u8],
    used: usize,
}

impl<'a> TraceBuffer<'a> {
    /// An empty trace that may fill `memory`.
    pub fn new(memory: &'a mut [u8]) -> Self {
        TraceBuffer { memory, used: 0 }
    }

    /// What has been written.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[..self.used]
    }
}

impl TraceSink for TraceBuffer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let capacity = self.memory.len();
        let actual = self.used.saturating_add(bytes.len());
        let room = self.memory.get_mut(self.used..actual);
        room.ok_or(Error::CapacityExceeded { what: "the trace", capacity, actual })?.copy_from_slice(bytes);
        self.used = actual;
        Ok(())
    }
}

#[cfg(feature = "alloc")]
impl TraceSink for alloc::vec::Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let full = Error::CapacityExceeded { what: "the trace", capacity: self.capacity(), actual: self.len() };
        self.try_reserve(bytes.len()).map_err(|_| full)?;
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// What a step leaves in a trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepParts {
    /// `shape` bits, without those of the metrics.
    pub shape: u32,
    pub metrics: Metrics,
    pub position: u64,
    pub row: u64,
    /// There where `SHAPE_MASK` is.
    pub mask: u64,
    pub outcome: core::result::Result<Pick, i32>,
}

/// Writes records and keeps the checksum. The first failure of the sink ends the trace: nothing is written after it.
#[derive(Debug)]
pub(crate) struct TraceWriter<K> {
    sink: K,
    checksum: Checksum,
    records: u64,
    failure: Option<Error>,
}

impl<K: TraceSink> TraceWriter<K> {
    /// Begins a trace with its header.
    pub fn new(sink: K, config: &Config, vocab: usize) -> Self {
        let mut writer = TraceWriter { sink, checksum: Checksum::new(), records: 0, failure: None };
        let head = [MAGIC, FORMAT, NUMERICS_VERSION, vocab as u32, CONFIG_WORDS as u32, 0];
        head.iter().for_each(|word| writer.put(&word.to_le_bytes()));
        writer.config(config);
        writer
    }

    pub fn failure(&self) -> Option<Error> {
        self.failure
    }

    fn put(&mut self, bytes: &[u8]) {
        if self.failure.is_some() {
            return;
        }
        match self.sink.put(bytes) {
            Ok(()) => self.checksum.add(bytes),
            Err(error) => self.failure = Some(error),
        }
    }

    fn varint(&mut self, value: u64) {
        let (bytes, length) = varint(value);
        self.put(&bytes[..length]);
    }

    fn config(&mut self, config: &Config) {
        config.to_words().iter().for_each(|word| self.put(&word.to_le_bytes()));
    }

    fn tag(&mut self, tag: u8) {
        self.records += 1;
        self.put(&[tag]);
    }

    /// A record that holds a list of tokens.
    pub fn tokens(&mut self, tag: u8, tokens: &[TokenId]) {
        self.tag(tag);
        self.varint(tokens.len() as u64);
        tokens.iter().for_each(|&token| self.varint(token.into()));
    }

    /// A record that holds one number.
    pub fn number(&mut self, tag: u8, value: u64) {
        self.tag(tag);
        self.varint(value);
    }

    /// A new sequence, with a configuration if it changes.
    pub fn reset(&mut self, config: Option<&Config>) {
        match config {
            None => self.tag(RESET),
            Some(config) => {
                self.tag(CONFIGURE);
                self.config(config);
            }
        }
    }

    pub fn biases(&mut self, count: usize, bias_at: impl Fn(usize) -> (TokenId, f32)) {
        self.tag(BIASES);
        self.varint(count as u64);
        for (token, bias) in (0..count).map(bias_at) {
            self.put(&token.to_le_bytes());
            self.put(&bias.to_bits().to_le_bytes());
        }
    }

    /// A record that holds bytes.
    pub fn bytes(&mut self, tag: u8, bytes: &[u8]) {
        self.tag(tag);
        self.varint(bytes.len() as u64);
        self.put(bytes);
    }

    pub fn mask(&mut self, mask: &[u32]) {
        self.tag(MASK);
        self.varint(mask.len() as u64);
        mask.iter().for_each(|word| self.put(&word.to_le_bytes()));
    }

    pub fn columns(&mut self, columns: &[u32], values: Option<&[f32]>) {
        self.tag(COLUMNS);
        self.varint(columns.len() as u64);
        self.put(&[u8::from(values.is_some())]);
        columns.iter().for_each(|&column| self.varint(column.into()));
        values.unwrap_or(&[]).iter().for_each(|value| self.put(&value.to_bits().to_le_bytes()));
    }

    pub fn step(&mut self, parts: &StepParts) {
        let refused = if parts.outcome.is_err() { SHAPE_REFUSED } else { 0 };
        let shape = parts.shape | refused | parts.metrics.bits() << SHAPE_METRICS;
        self.tag(STEP);
        self.varint(shape.into());
        self.varint(parts.position);
        self.put(&parts.row.to_le_bytes());
        if shape & SHAPE_MASK != 0 {
            self.put(&parts.mask.to_le_bytes());
        }
        match parts.outcome {
            Err(status) => self.varint(status as u64),
            Ok(mut pick) => {
                let _ = each_field(&mut pick, parts.metrics, shape & SHAPE_NUMBERS != 0, self);
            }
        }
    }

    /// Ends the trace: the sink, if it took everything.
    pub fn finish(mut self) -> Result<K> {
        let records = self.records;
        self.tag(END);
        self.varint(records);
        let sum = self.checksum.0;
        self.put(&sum.to_le_bytes());
        match self.failure {
            None => Ok(self.sink),
            Some(error) => Err(error),
        }
    }
}

impl<K: TraceSink> Fields for TraceWriter<K> {
    fn count(&mut self, _: &'static str, value: &mut u32) {
        self.varint((*value).into());
    }
    fn float(&mut self, _: &'static str, value: &mut f32) {
        let bits = if value.is_nan() { NAN_BITS } else { value.to_bits() };
        self.put(&bits.to_le_bytes());
    }
}
