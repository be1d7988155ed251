//! The recorder: a decoder's calls, each with a record of it.

use crate::decoder::Decoder;
use crate::error::{Error, Result};
use crate::history::TextMatch;
use crate::kernels::{Source, with_default_environment};
use crate::logits::column_sum;
use crate::plan::Config;
use crate::trace::digest::{mask_digest, row_digest};
use crate::trace::{
    ACCEPT, BANS, BYTES, NOTE, PROMPT, Pick, SEEK, SHAPE_COLUMNS, SHAPE_MASK, SHAPE_MASK_RECORDED, SHAPE_NUMBERS,
    SHAPE_RECORDED, STATE, StepParts, TraceSink, TraceWriter, UNDO, is_outcome,
};
use crate::types::{Row, TokenId};
use crate::weights::SparseHead;

/// What a trace holds beside what every trace does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParts {
    /// The numbers of each pick that the metrics asked for, as bits: 8 bytes and more a step.
    pub numbers: bool,
    /// The masks themselves, each when it changes, so that a replay need not be given them: an eighth of a byte a token.
    pub masks: bool,
    /// The columns of steps with a sparse head, so that a replay needs only the head.
    pub columns: bool,
}

impl Default for TraceParts {
    /// Everything.
    fn default() -> Self {
        TraceParts { numbers: true, masks: true, columns: true }
    }
}

/// Records the run of one decoder.
///
/// Each method does to the decoder what the decoder's own of that name does, with the same answer, and then writes it down.
/// What is refused without a step (a token out of range, a row of the wrong length) has changed nothing and leaves no record;
/// a step that is refused for its row is one. A sink that fails does not disturb the run: the trace ends there,
/// [`Recorder::failure`] says why, and so does [`Recorder::finish`].
///
/// ```
/// use argpick::{Config, Decoder, Recorder, Replay, Trace, TraceParts};
///
/// let row = [0.5, 2.0, 1.5, -1.0];
/// let mut decoder = Decoder::new(&Config { seed: 3, ..Config::default() }, row.len())?;
/// let mut recorder = Recorder::new(Vec::new(), &decoder, TraceParts::default());
/// let pick = recorder.decode(&mut decoder, &row, None)?;
/// let bytes = recorder.finish()?;
///
/// let mut replay = Replay::new(Trace::open(&bytes)?)?;
/// let step = replay.next_step()?.expect("there is one step");
/// assert_eq!(step.outcome.unwrap().token, pick.token);
/// assert_eq!(replay.check(&row, None)?, None);
/// # Ok::<(), argpick::Error>(())
/// ```
#[derive(Debug)]
pub struct Recorder<K> {
    writer: TraceWriter<K>,
    parts: TraceParts,
    /// The digest of the last mask written.
    last_mask: Option<u64>,
    /// Whether the next step's row is that of columns written.
    has_columns: bool,
}

impl<K: TraceSink> Recorder<K> {
    /// Begins a trace of a decoder as it was made or reset. For one that is under way, [`Recorder::state`] comes next.
    pub fn new<S>(sink: K, decoder: &Decoder<S>, parts: TraceParts) -> Self {
        let writer = TraceWriter::new(sink, decoder.config(), decoder.vocab());
        Recorder { writer, parts, last_mask: None, has_columns: false }
    }

    /// What the sink answered when it failed; nothing has been written since.
    pub fn failure(&self) -> Option<Error> {
        self.writer.failure()
    }

    /// Ends the trace and hands back the sink.
    ///
    /// # Errors
    /// That of the sink. A trace without its end is told from a whole one when it is read.
    pub fn finish(self) -> Result<K> {
        self.writer.finish()
    }

    /// Writes the decoder's whole state, by [`Decoder::save`] through `buffer`: what was done to it without the recorder
    /// (other lists, a load) is in the trace then.
    ///
    /// # Errors
    /// [`Error::WrongLength`] with the length needed, if `buffer` is shorter than [`Decoder::saved_size`].
    pub fn state<S: AsRef<[u64]> + AsMut<[u64]>>(&mut self, decoder: &mut Decoder<S>, buffer: &mut [u8]) -> Result<()> {
        let written = decoder.save(buffer)?;
        self.writer.bytes(STATE, &buffer[..written]);
        Ok(())
    }

    /// The same through memory of its own.
    ///
    /// # Errors
    /// None: the buffer is large enough.
    #[cfg(feature = "alloc")]
    pub fn whole_state<S: AsRef<[u64]> + AsMut<[u64]>>(&mut self, decoder: &mut Decoder<S>) -> Result<()> {
        let mut buffer = alloc::vec![0; decoder.saved_size()];
        self.state(decoder, &mut buffer)
    }

    /// [`Decoder::push_bytes`].
    pub fn push_bytes<S: AsRef<[u64]> + AsMut<[u64]>>(&mut self, decoder: &mut Decoder<S>, bytes: &[u8]) -> TextMatch {
        self.writer.bytes(BYTES, bytes);
        decoder.push_bytes(bytes)
    }

    /// A remark for whoever reads the trace; it means nothing to a replay.
    pub fn note(&mut self, text: &str) {
        self.writer.bytes(NOTE, text.as_bytes());
    }

    /// Says that the next step's row is the one that a sparse head makes of these columns (see
    /// [`project`](crate::logits::project)): for hosts that write the row. Nothing is written where columns are not wanted.
    pub fn columns(&mut self, columns: &[u32], values: Option<&[f32]>) {
        if self.parts.columns {
            self.writer.columns(columns, values);
            self.has_columns = true;
        }
    }

    /// [`Decoder::prompt`].
    ///
    /// # Errors
    /// Those of the decoder's.
    pub fn prompt<S: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        decoder: &mut Decoder<S>,
        tokens: &[TokenId],
    ) -> Result<()> {
        decoder.prompt(tokens)?;
        self.writer.tokens(PROMPT, tokens);
        Ok(())
    }

    /// [`Decoder::accept`].
    ///
    /// # Errors
    /// Those of the decoder's.
    pub fn accept<S: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        decoder: &mut Decoder<S>,
        tokens: &[TokenId],
    ) -> Result<()> {
        decoder.accept(tokens)?;
        self.writer.tokens(ACCEPT, tokens);
        Ok(())
    }

    /// [`Decoder::undo`].
    ///
    /// # Errors
    /// Those of the decoder's.
    pub fn undo<S: AsRef<[u64]> + AsMut<[u64]>>(&mut self, decoder: &mut Decoder<S>, count: usize) -> Result<()> {
        decoder.undo(count)?;
        self.writer.number(UNDO, count as u64);
        Ok(())
    }

    /// [`Decoder::seek`].
    pub fn seek<S>(&mut self, decoder: &mut Decoder<S>, position: u64) {
        decoder.seek(position);
        self.writer.number(SEEK, position);
    }

    /// [`Decoder::reset`].
    ///
    /// # Errors
    /// Those of the decoder's.
    pub fn reset<S: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        decoder: &mut Decoder<S>,
        config: Option<&Config>,
    ) -> Result<()> {
        decoder.reset(config)?;
        self.was_reset(config);
        Ok(())
    }

    /// Writes down that the decoder was reset.
    pub(crate) fn was_reset(&mut self, config: Option<&Config>) {
        self.writer.reset(config);
    }

    /// [`Decoder::set_bias`].
    ///
    /// # Errors
    /// Those of the decoder's.
    pub fn set_bias<S: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        decoder: &mut Decoder<S>,
        biases: &[(TokenId, f32)],
    ) -> Result<()> {
        self.set_bias_by(decoder, biases.len(), |i| biases[i])
    }

    /// The same with the pair of each index below `count`.
    pub(crate) fn set_bias_by<S: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        decoder: &mut Decoder<S>,
        count: usize,
        bias_at: impl Fn(usize) -> (TokenId, f32),
    ) -> Result<()> {
        decoder.set_bias_by(count, &bias_at)?;
        self.writer.biases(count, bias_at);
        Ok(())
    }

    /// [`Decoder::set_bans`].
    ///
    /// # Errors
    /// Those of the decoder's.
    pub fn set_bans<S: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        decoder: &mut Decoder<S>,
        bans: &[TokenId],
    ) -> Result<()> {
        decoder.set_bans(bans)?;
        self.writer.tokens(BANS, bans);
        Ok(())
    }

    /// [`Decoder::decode`].
    ///
    /// # Errors
    /// Those of the decoder's.
    pub fn decode<'r, S: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        decoder: &mut Decoder<S>,
        row: impl Into<Row<'r>>,
        mask: Option<&[u32]>,
    ) -> Result<Pick> {
        let (row, position) = (row.into(), decoder.position());
        let picked = decoder.decode(row, mask);
        self.step(decoder, &Source::Row(row), mask, (SHAPE_RECORDED, position), &picked);
        picked
    }

    /// [`Decoder::evaluate`].
    ///
    /// # Errors
    /// Those of the decoder's.
    pub fn evaluate<'r, S: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        decoder: &mut Decoder<S>,
        row: impl Into<Row<'r>>,
        mask: Option<&[u32]>,
    ) -> Result<Pick> {
        let (row, position) = (row.into(), decoder.position());
        let picked = decoder.evaluate(row, mask);
        self.step(decoder, &Source::Row(row), mask, (0, position), &picked);
        picked
    }

    /// [`Decoder::decode_sparse`]. For its digest the row is computed once more.
    ///
    /// # Errors
    /// Those of the decoder's.
    pub fn decode_sparse<S: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        decoder: &mut Decoder<S>,
        head: &SparseHead<'_>,
        columns: &[u32],
        values: Option<&[f32]>,
        mask: Option<&[u32]>,
    ) -> Result<Pick> {
        let position = decoder.position();
        let picked = decoder.decode_sparse(head, columns, values, mask);
        self.sparse_step(decoder, head, (columns, values), mask, (SHAPE_RECORDED, position), &picked);
        picked
    }

    /// [`Decoder::evaluate_sparse`].
    ///
    /// # Errors
    /// Those of the decoder's.
    pub fn evaluate_sparse<S: AsRef<[u64]> + AsMut<[u64]>>(
        &mut self,
        decoder: &mut Decoder<S>,
        head: &SparseHead<'_>,
        columns: &[u32],
        values: Option<&[f32]>,
        mask: Option<&[u32]>,
    ) -> Result<Pick> {
        let position = decoder.position();
        let picked = decoder.evaluate_sparse(head, columns, values, mask);
        self.sparse_step(decoder, head, (columns, values), mask, (0, position), &picked);
        picked
    }

    fn sparse_step<S>(
        &mut self,
        decoder: &Decoder<S>,
        head: &SparseHead<'_>,
        (columns, values): (&[u32], Option<&[f32]>),
        mask: Option<&[u32]>,
        at: (u32, u64),
        picked: &Result<Pick>,
    ) {
        // Columns that are refused make no row: then there was no step.
        if let Ok(sum) = column_sum(decoder.kernels(), head, columns, values) {
            self.columns(columns, values);
            self.step(decoder, &Source::Columns(sum), mask, at, picked);
        }
    }

    fn step<S>(
        &mut self,
        decoder: &Decoder<S>,
        source: &Source<'_>,
        mask: Option<&[u32]>,
        (shape, position): (u32, u64),
        picked: &Result<Pick>,
    ) {
        let outcome = match picked {
            Ok(pick) => Ok(*pick),
            Err(error) if is_outcome(error.status()) => Err(error.status()),
            Err(_) => return,
        };
        let digests = digests(decoder, source, mask);
        let mut shape = shape;
        if self.parts.numbers {
            shape |= SHAPE_NUMBERS;
        }
        if core::mem::take(&mut self.has_columns) {
            shape |= SHAPE_COLUMNS;
        }
        if let Some(mask) = mask {
            shape |= SHAPE_MASK;
            if self.parts.masks {
                shape |= SHAPE_MASK_RECORDED;
                if self.last_mask != Some(digests.1) {
                    self.writer.mask(&mask[..mask.len().min(decoder.vocab().div_ceil(32))]);
                    self.last_mask = Some(digests.1);
                }
            }
        }
        let metrics = decoder.config().metrics;
        self.writer.step(&StepParts { shape, metrics, position, row: digests.0, mask: digests.1, outcome });
    }
}

/// The digests of a row and its mask under the decoder's configuration.
pub(super) fn digests<S>(decoder: &Decoder<S>, source: &Source<'_>, mask: Option<&[u32]>) -> (u64, u64) {
    let valid = valid(decoder);
    // The sparse head adds its columns up.
    with_default_environment(|| (row_digest(decoder.kernels(), source, mask, valid), mask_digest(mask, valid)))
}

/// Tokens that can take part.
pub(super) fn valid<S>(decoder: &Decoder<S>) -> usize {
    match decoder.config().valid_vocab {
        0 => decoder.vocab(),
        valid => valid as usize,
    }
}
