//! Executing a trace again.

use super::recorder::{digests, valid};
use crate::decoder::{Decoder, Memory};
use crate::error::{Error, Result};
use crate::kernels::{Kernels, Source};
use crate::logits::column_sum;
use crate::trace::digest::mask_digest;
use crate::trace::{
    FieldDifference, FieldValue, Pick, Record, Records, StepRecord, Trace, first_difference, is_outcome,
};
use crate::types::Row;
use crate::weights::SparseHead;

/// Two digests that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digests {
    /// That of the trace.
    pub recorded: u64,
    /// That of what was given.
    pub found: u64,
}

/// What differs in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The step: how many steps of the trace stand before it.
    pub step: u64,
    /// Its position, as recorded.
    pub position: u64,
    /// Whether the row is another one.
    pub row: Option<Digests>,
    /// Whether the mask is another one; the row's digest differs then, too, if tokens took part that do not now.
    pub mask: Option<Digests>,
    /// The first field of the answer that came out differently.
    pub field: Option<FieldDifference>,
}

/// A trace being executed.
///
/// `Replay::next_step` does what the host did before a step, up to the next one, and tells which row it needs;
/// [`Replay::check`] runs the step on it. The decoder is that of the trace from its first record on; a difference changes
/// what follows, so the first one is the one to look at.
#[derive(Debug)]
pub struct Replay<'t, S = Memory, L = ListMemory> {
    records: Records<'t>,
    decoder: Decoder<S>,
    /// The last mask, then columns, then values, in memory of the caller's.
    lists: L,
    longest_mask: usize,
    longest_list: usize,
    mask: usize,
    columns: usize,
    has_values: bool,
    pending: Option<StepRecord>,
    steps: u64,
}

/// What a step found before it ran.
struct Found {
    row: u64,
    mask: u64,
    /// The digest of the mask that allows everything.
    everything: u64,
    position: u64,
}

impl Found {
    fn of<S>(decoder: &Decoder<S>, source: &Source<'_>, mask: Option<&[u32]>) -> Found {
        let (row, mask) = digests(decoder, source, mask);
        Found { row, mask, everything: mask_digest(None, valid(decoder)), position: decoder.position() }
    }
}

/// The memory for lists that nobody else provides.
#[cfg(feature = "alloc")]
pub type ListMemory = alloc::vec::Vec<u32>;
/// The memory for lists without a heap is the caller's.
#[cfg(not(feature = "alloc"))]
pub type ListMemory = &'static mut [u32];

#[cfg(feature = "alloc")]
impl<'t> Replay<'t> {
    /// A replay with memory of its own and the fastest kernels.
    ///
    /// # Errors
    /// As [`Replay::new_with_kernels`], and those of [`Kernels::detect`].
    pub fn new(trace: Trace<'t>) -> Result<Self> {
        Self::new_with_kernels(trace, Kernels::detect()?)
    }

    /// The same with chosen kernels: every level gives the same answers.
    ///
    /// # Errors
    /// Those of [`Decoder::new`].
    pub fn new_with_kernels(trace: Trace<'t>, kernels: Kernels) -> Result<Self> {
        let words = Decoder::<Memory>::storage_words(trace.config(), trace.vocab())?;
        let lists = alloc::vec![0; Self::list_words(&trace)];
        Self::new_in(trace, kernels, alloc::vec![0; words].into_boxed_slice(), lists)
    }

    /// [`Replay::advance`], with more memory where a later configuration needs it.
    ///
    /// # Errors
    /// Those of [`Replay::advance`] but [`Error::StorageTooSmall`].
    pub fn next_step(&mut self) -> Result<Option<StepRecord>> {
        loop {
            match self.advance() {
                Err(Error::StorageTooSmall { expected, .. }) => {
                    self.move_to(alloc::vec![0; expected].into_boxed_slice())?;
                }
                answer => return answer,
            }
        }
    }
}

impl<'t, S, L> Replay<'t, S, L> {
    /// The 32-bit words of memory that a replay of this trace needs beside the decoder's.
    pub fn list_words(trace: &Trace<'_>) -> usize {
        trace.longest_mask() + 2 * trace.longest_list()
    }

    /// The decoder as the trace has left it so far.
    pub fn decoder(&self) -> &Decoder<S> {
        &self.decoder
    }

    /// Steps that have been checked.
    pub fn steps(&self) -> u64 {
        self.steps
    }
}

impl<'t, S: AsRef<[u64]> + AsMut<[u64]>, L: AsMut<[u32]>> Replay<'t, S, L> {
    /// A replay in memory of the caller's: `storage` as for [`Decoder::new_in`] with the trace's configuration, `lists` of at
    /// least [`Replay::list_words`] words.
    ///
    /// # Errors
    /// Those of [`Decoder::new_in`]; [`Error::WrongLength`] if `lists` is too short.
    pub fn new_in(trace: Trace<'t>, kernels: Kernels, storage: S, mut lists: L) -> Result<Self> {
        let (expected, actual) = (Self::list_words(&trace), lists.as_mut().len());
        if actual < expected {
            return Err(Error::WrongLength { what: "the memory for the lists of a trace", expected, actual });
        }
        Ok(Replay {
            records: trace.records(),
            decoder: Decoder::new_in(trace.config(), trace.vocab(), kernels, storage)?,
            lists,
            longest_mask: trace.longest_mask(),
            longest_list: trace.longest_list(),
            mask: 0,
            columns: 0,
            has_values: false,
            pending: None,
            steps: 0,
        })
    }

    /// Goes on in other memory of the caller's, after [`Error::StorageTooSmall`].
    ///
    /// # Errors
    /// [`Error::StorageTooSmall`].
    pub fn move_to(&mut self, storage: S) -> Result<()> {
        self.decoder = self.decoder.copy_in(storage)?;
        Ok(())
    }

    /// Does what stands before the next step and returns that step, `None` at the end of the trace. Until the step is
    /// checked, it returns the same one.
    ///
    /// # Errors
    /// [`Error::StorageTooSmall`] where a later configuration needs more memory: after [`Replay::move_to`] the next call goes
    /// on. Others are those of the decoder for what the trace did to it, which then is none that a decoder could have
    /// written.
    pub fn advance(&mut self) -> Result<Option<StepRecord>> {
        while self.pending.is_none() {
            let mut after = self.records.clone();
            let Some(record) = after.next() else { return Ok(None) };
            self.apply(record)?;
            self.records = after;
        }
        Ok(self.pending)
    }

    fn apply(&mut self, record: Record<'t>) -> Result<()> {
        let (mask, lists) = self.lists.as_mut().split_at_mut(self.longest_mask);
        let (list, values) = lists.split_at_mut(self.longest_list);
        let mut listed = |tokens: &mut dyn ExactSizeIterator<Item = u32>| {
            let count = tokens.len();
            list.iter_mut().zip(tokens).for_each(|(to, token)| *to = token);
            count
        };
        match record {
            Record::Prompt(mut tokens) => {
                let count = listed(&mut tokens);
                self.decoder.prompt(&list[..count])?;
            }
            Record::Accept(mut tokens) => {
                let count = listed(&mut tokens);
                self.decoder.accept(&list[..count])?;
            }
            Record::Bans(mut tokens) => {
                let count = listed(&mut tokens);
                self.decoder.set_bans(&list[..count])?;
            }
            Record::Undo(count) => self.decoder.undo(usize::try_from(count).unwrap_or(usize::MAX))?,
            Record::Seek(position) => self.decoder.seek(position),
            Record::Reset => self.decoder.reset(None)?,
            Record::Configure(config) => self.decoder.reset(Some(&config))?,
            Record::Biases(biases) => self.decoder.set_bias_by(biases.len(), |i| biases.get(i))?,
            Record::State(bytes) => self.decoder.load(bytes)?,
            // What it answers only matters to a host; whether the sequence has ended shows in the next step.
            Record::Bytes(bytes) => {
                self.decoder.push_bytes(bytes);
            }
            Record::Columns(mut columns) => {
                self.columns = listed(&mut columns.columns);
                self.has_values = columns.values().is_some();
                let given = columns.values().into_iter().flatten();
                values.iter_mut().zip(given).for_each(|(to, value)| *to = value.to_bits());
            }
            Record::Mask(words) => {
                self.mask = words.iter().len();
                mask.iter_mut().zip(words.iter()).for_each(|(to, word)| *to = word);
            }
            Record::Note(_) => {}
            Record::Step(step) => self.pending = Some(step),
        }
        Ok(())
    }

    /// Runs the step that [`Replay::advance`] returned on its row. `mask` may be left out where the trace has it, or where
    /// the step had none. `None`: the row, the mask and every field of the answer are the same.
    ///
    /// # Errors
    /// [`Error::WrongLength`]: the row does not fit the trace. [`Error::Finished`] if no step is due.
    pub fn check<'r>(&mut self, row: impl Into<Row<'r>>, mask: Option<&[u32]>) -> Result<Option<Difference>> {
        let row = row.into();
        let step = self.due(row.len())?;
        let mask = mask.or(step.has_mask.then(|| &self.lists.as_mut()[..self.mask]));
        let place = Found::of(&self.decoder, &Source::Row(row), mask);
        let found = if step.is_recorded { self.decoder.decode(row, mask) } else { self.decoder.evaluate(row, mask) };
        self.compare(&step, place, found)
    }

    /// The same with the row that `head` makes of the columns in the trace.
    ///
    /// # Errors
    /// Those of [`Replay::check`] and [`Decoder::decode_sparse`]; [`Error::WrongLength`] if the trace has no columns for this
    /// step.
    pub fn check_sparse(&mut self, head: &SparseHead<'_>, mask: Option<&[u32]>) -> Result<Option<Difference>> {
        let step = self.due(head.vocab())?;
        if !step.has_columns {
            return Err(Error::WrongLength {
                what: "the trace's list of columns for this step",
                expected: 1,
                actual: 0,
            });
        }
        let (words, lists) = self.lists.as_mut().split_at(self.longest_mask);
        let (columns, values) = lists.split_at(self.longest_list);
        let columns = &columns[..self.columns];
        let values: Option<&[f32]> = self.has_values.then(|| bytemuck::cast_slice(&values[..self.columns]));
        let mask = mask.or(step.has_mask.then(|| &words[..self.mask]));
        let sum = column_sum(self.decoder.kernels(), head, columns, values)?;
        let place = Found::of(&self.decoder, &Source::Columns(sum), mask);
        let found = if step.is_recorded {
            self.decoder.decode_sparse(head, columns, values, mask)
        } else {
            self.decoder.evaluate_sparse(head, columns, values, mask)
        };
        self.compare(&step, place, found)
    }

    fn due(&self, length: usize) -> Result<StepRecord> {
        let expected = self.decoder.vocab();
        if length != expected {
            return Err(Error::WrongLength { what: "row", expected, actual: length });
        }
        self.pending.ok_or(Error::Finished)
    }

    fn compare(
        &mut self,
        step: &StepRecord,
        Found { row, mask, everything, position }: Found,
        found: Result<Pick>,
    ) -> Result<Option<Difference>> {
        let status = match &found {
            Ok(_) => 0,
            Err(error) if is_outcome(error.status()) => error.status(),
            Err(error) => return Err(*error),
        };
        let places = FieldDifference::of("position", FieldValue::Count(step.position), FieldValue::Count(position));
        let fields = match (step.outcome, found) {
            (Ok(recorded), Ok(found)) => first_difference(recorded, found, step.metrics, step.has_numbers),
            (recorded, _) => {
                let recorded = recorded.err().unwrap_or(0);
                FieldDifference::of("status", FieldValue::Count(recorded as u64), FieldValue::Count(status as u64))
            }
        };
        // No mask is the one that allows everything.
        let recorded_mask = step.mask.unwrap_or(everything);
        let differing = |recorded, found| (recorded != found).then_some(Digests { recorded, found });
        let difference = Difference {
            step: self.steps,
            position: step.position,
            row: differing(step.row, row),
            mask: differing(recorded_mask, mask),
            field: places.or(fields),
        };
        self.pending = None;
        self.steps += 1;
        let differs = difference.row.is_some() || difference.mask.is_some() || difference.field.is_some();
        Ok(differs.then_some(difference))
    }
}
