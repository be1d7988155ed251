//! `argpick.Decoder`: making one, stepping, recording, saving.

use crate::config::{Count, config_from, config_object, long};
use crate::convert::tokens as token_array;
use crate::fault::{Fault, Result};
use crate::gate::{Gate, LONG};
use crate::pick::{PyPick, finish_object};
use crate::rows::{MaskMemory, RowMemory, RowToWrite, bytes_of, numbers};
use argpick::{Config, Decoder, Error, Kernels, MAX_VOCAB};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyType};

/// A sequence being decoded: a configuration, a position, a history, and what was set: biases, bans, end tokens, stops and
/// other lists.
///
/// ``Decoder(vocab, config=None, **fields)``: `vocab` is the length of the rows, 1 to 2^22; `fields` are those of
/// `argpick.Config`, by their names in C, and replace those of `config`.
///
/// A row is a NumPy array, a CPU tensor (DLPack) or another buffer of float32, float16 or bfloat16, contiguous, of one
/// dimension; it is read where it lies. A mask is None, packed words of uint32 (bit ``t & 31`` of word ``t >> 5`` allows token
/// t; tokens past the last word are not allowed), or an array of `vocab` bools, which is packed first. Nobody may write to
/// them during the call.
///
/// Every error is an `argpick.Error` (or a TypeError for what is no row), and leaves the decoder as it was. Steps on rows of
/// 1,024 tokens and more give the interpreter away meanwhile. A decoder is for one thread at a time: a second one gets
/// `argpick.Busy`.
///
/// >>> import numpy, argpick
/// >>> decoder = argpick.Decoder(4, temperature=0.8, top_k=2, seed=7)
/// >>> pick = decoder.decode(numpy.array([1.0, 3.0, 2.5, -1.0], numpy.float32))
/// >>> pick.token in (1, 2), pick.argmax, pick.margin
/// (True, 1, 0.5)
#[pyclass(frozen, subclass, weakref, name = "Decoder", module = "argpick")]
pub struct PyDecoder {
    pub gate: Gate<Decoder>,
    pub vocab: usize,
}

/// Words of memory for a decoder.
pub fn allocate(words: usize) -> Result<Box<[u64]>> {
    let mut memory = Vec::new();
    memory.try_reserve_exact(words).map_err(|_| Fault::OutOfMemory(words.saturating_mul(8)))?;
    memory.resize(words, 0);
    Ok(memory.into_boxed_slice())
}

/// A decoder on the heap.
pub fn new_decoder(config: &Config, vocab: usize) -> Result<Decoder> {
    let kernels = Kernels::detect()?;
    let words = Decoder::<argpick::Memory>::storage_words(config, vocab)?;
    Ok(Decoder::new_in(config, vocab, kernels, allocate(words)?)?)
}

/// Runs what may want more memory, and gives it that.
pub fn with_room(decoder: &mut Decoder, body: impl Fn(&mut Decoder) -> std::result::Result<(), Error>) -> Result<()> {
    match body(decoder) {
        Err(Error::StorageTooSmall { expected, .. }) => {
            // The old one stays until the new one has done it.
            let mut larger = decoder.copy_in(allocate(expected)?)?;
            body(&mut larger)?;
            *decoder = larger;
            Ok(())
        }
        answer => Ok(answer?),
    }
}

/// A vocabulary from Python.
pub fn vocab_of(vocab: &Bound<'_, PyAny>) -> Result<usize> {
    let given = long(vocab, "vocab")?;
    match usize::try_from(given) {
        Ok(vocab) if vocab <= MAX_VOCAB => Ok(vocab),
        _ => Err(Error::InvalidParameter { name: "vocab", value: given as f64 }.into()),
    }
}

impl PyDecoder {
    pub fn from_decoder(decoder: Decoder) -> Self {
        PyDecoder { vocab: decoder.vocab(), gate: Gate::new("decoder", decoder) }
    }

    /// Whether its steps are long enough to let others run meanwhile.
    pub fn is_long(&self) -> bool {
        self.vocab >= LONG
    }

    fn copied(&self, py: Python<'_>) -> Result<PyDecoder> {
        let copy = self.gate.enter(py, self.is_long(), |decoder| -> Result<Decoder> {
            Ok(decoder.copy_in(allocate(decoder.storage().len())?)?)
        })??;
        Ok(PyDecoder::from_decoder(copy))
    }

    fn saved(&self, py: Python<'_>) -> Result<Vec<u8>> {
        self.gate.enter(py, false, |decoder| -> Result<Vec<u8>> {
            let mut bytes = vec![0; decoder.saved_size()];
            let written = decoder.save(&mut bytes)?;
            bytes.truncate(written);
            Ok(bytes)
        })?
    }
}

#[pymethods]
impl PyDecoder {
    #[new]
    #[pyo3(signature = (vocab, config = None, **fields))]
    fn new(
        py: Python<'_>,
        vocab: &Bound<'_, PyAny>,
        config: Option<&Bound<'_, PyAny>>,
        fields: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self> {
        let vocab = vocab_of(vocab)?;
        Ok(PyDecoder::from_decoder(new_decoder(&config_from(py, config, fields)?, vocab)?))
    }

    /// The length of the rows.
    #[getter]
    fn vocab(&self) -> usize {
        self.vocab
    }

    /// The configuration in force, an `argpick.Config`.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        let config = self.gate.enter(py, false, |decoder| decoder.config().clone())?;
        Ok(config_object(py, &config)?)
    }

    /// Generated tokens recorded, the prompt excluded, unless `seek` has set it. The next draw takes its numbers from it.
    #[getter]
    fn position(&self, py: Python<'_>) -> Result<u64> {
        self.gate.enter(py, false, |decoder| decoder.position())
    }

    /// Mirostat's mu for the next step, in bits; NaN if `mirostat` is off. It starts at 2 `mirostat_tau`, each decoded token
    /// moves it, and `undo` brings it back.
    #[getter]
    fn mirostat_mu(&self, py: Python<'_>) -> Result<f32> {
        self.gate.enter(py, false, |decoder| decoder.mirostat_mu())
    }

    /// The probability that adaptive-p prefers in the next step, 0 to 1; NaN if it is off. Each decoded token moves it, and
    /// `undo` brings it back.
    #[getter]
    fn adaptive_target(&self, py: Python<'_>) -> Result<f32> {
        self.gate.enter(py, false, |decoder| decoder.adaptive_target())
    }

    /// The tokens that the history holds, oldest first, prompt included: an array of uint32. Past `history_capacity` the
    /// oldest have left it.
    #[getter]
    fn history<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        let tokens = self.gate.enter(py, false, |decoder| {
            let mut tokens = vec![0; decoder.history(&mut [])];
            decoder.history(&mut tokens);
            tokens
        })?;
        Ok(token_array(py, &tokens)?)
    }

    /// Why the sequence has ended, as far as tokens and bytes were recorded; `Finish.NONE` if it goes on.
    #[getter]
    fn finish(&self, py: Python<'_>) -> Result<Py<PyAny>> {
        let finish = self.gate.enter(py, false, |decoder| decoder.finish())?;
        Ok(finish_object(py, finish)?)
    }

    /// Picks a token from a row of logits and records it. The row is not modified.
    ///
    /// -inf masks a token. Raises InvalidLogit (NaN or +inf that takes part), EverythingMasked, WrongLength, Finished.
    #[pyo3(signature = (row, mask = None))]
    fn decode(&self, py: Python<'_>, row: &Bound<'_, PyAny>, mask: Option<&Bound<'_, PyAny>>) -> Result<PyPick> {
        let (row, mask) = (RowMemory::of(row)?, MaskMemory::of(mask, self.vocab)?);
        let (given, words) = (row.row(), mask.words());
        Ok(PyPick(self.gate.enter(py, self.is_long(), |decoder| decoder.decode(given, words))??))
    }

    /// Picks a token as `decode` would and does not record it: the next call sees the same state.
    #[pyo3(signature = (row, mask = None))]
    fn evaluate(&self, py: Python<'_>, row: &Bound<'_, PyAny>, mask: Option<&Bound<'_, PyAny>>) -> Result<PyPick> {
        let (row, mask) = (RowMemory::of(row)?, MaskMemory::of(mask, self.vocab)?);
        let (given, words) = (row.row(), mask.words());
        Ok(PyPick(self.gate.enter(py, self.is_long(), |decoder| decoder.evaluate(given, words))??))
    }

    /// Rewrites a row of float32 in place, and returns it: the logits that are drawn from.
    ///
    /// Removed tokens become -inf, kept ones their adjusted logit divided by the temperature, so that the softmax of the
    /// result is the distribution drawn from; in greedy mode only the argmax stays. Nothing is recorded: see `accept`.
    #[pyo3(signature = (row, mask = None))]
    fn process<'py>(
        &self,
        py: Python<'py>,
        row: Bound<'py, PyAny>,
        mask: Option<&Bound<'_, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        let (mut memory, mask) = (RowToWrite::of(&row, "row")?, MaskMemory::of(mask, self.vocab)?);
        memory.apart_from(&mask)?;
        let (values, words) = (memory.values(), mask.words());
        self.gate.enter(py, self.is_long(), |decoder| decoder.process(values, words))??;
        Ok(row)
    }

    /// Rewrites a row of float32 in place, and returns it: the probabilities that are drawn from; removed tokens become 0.
    #[pyo3(signature = (row, mask = None))]
    fn probabilities<'py>(
        &self,
        py: Python<'py>,
        row: Bound<'py, PyAny>,
        mask: Option<&Bound<'_, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        let (mut memory, mask) = (RowToWrite::of(&row, "row")?, MaskMemory::of(mask, self.vocab)?);
        memory.apart_from(&mask)?;
        let (values, words) = (memory.values(), mask.words());
        self.gate.enter(py, self.is_long(), |decoder| decoder.probabilities(values, words))??;
        Ok(row)
    }

    /// Records tokens of the prompt: they enter the history but are not counted as generated. All of them or none.
    fn prompt(&self, py: Python<'_>, tokens: &Bound<'_, PyAny>) -> Result<()> {
        let tokens = numbers(tokens, "token")?;
        Ok(self.gate.enter(py, false, |decoder| decoder.prompt(&tokens))??)
    }

    /// Records tokens as generated, as if they had been picked here: for hosts that pick for themselves. All of them or none.
    ///
    /// Raises Finished if the sequence has ended or would end before the last of them.
    fn accept(&self, py: Python<'_>, tokens: &Bound<'_, PyAny>) -> Result<()> {
        let tokens = numbers(tokens, "token")?;
        Ok(self.gate.enter(py, false, |decoder| decoder.accept(&tokens))??)
    }

    /// Takes back the last `count` generated tokens, as if they had not been recorded; a sequence that had ended goes on.
    #[pyo3(signature = (count = Count(1)), text_signature = "($self, count=1)")]
    fn undo(&self, py: Python<'_>, count: Count) -> Result<()> {
        Ok(self.gate.enter(py, false, |decoder| decoder.undo(count.0))??)
    }

    /// Starts a new sequence: history, text and position are cleared; biases, bans and all other lists stay.
    ///
    /// With `config`, that one is in force from now on; with fields, these are replaced in it, or in the one in force.
    #[pyo3(signature = (config = None, **fields))]
    fn reset(
        &self,
        py: Python<'_>,
        config: Option<&Bound<'_, PyAny>>,
        fields: Option<&Bound<'_, PyDict>>,
    ) -> Result<()> {
        let config = self.config_for_reset(py, config, fields)?;
        self.gate.enter(py, false, |decoder| with_room(decoder, |decoder| decoder.reset(config.as_ref())))?
    }

    /// Sets the position that the next draw takes its random numbers from; the history stays. So any step can be replayed
    /// alone.
    fn seek(&self, py: Python<'_>, position: &Bound<'_, PyAny>) -> Result<()> {
        let position = long(position, "position")?;
        self.gate.enter(py, false, |decoder| decoder.seek(position))
    }

    /// The decoder's state as bytes: configuration, position, history, biases, bans and all other lists. The same on every
    /// processor.
    fn save<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.saved(py)?))
    }

    /// Takes over a state that `save` wrote, its configuration included; the vocabulary must be the same. Raises BadState.
    fn load(&self, py: Python<'_>, saved: &Bound<'_, PyAny>) -> Result<()> {
        let bytes = bytes_of(saved, "saved")?;
        self.gate.enter(py, false, |decoder| with_room(decoder, |decoder| decoder.load(&bytes)))?
    }

    /// A decoder from bytes that `save` wrote, of their vocabulary.
    #[classmethod]
    fn from_saved<'py>(
        class: &Bound<'py, PyType>,
        py: Python<'py>,
        saved: &Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyAny>> {
        let bytes = bytes_of(saved, "saved")?;
        // The fourth word; the rest is checked by `load`.
        let vocab = bytes.get(12..16).map_or(0, |word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        if vocab == 0 || vocab as usize > MAX_VOCAB {
            return Err(Error::BadState { what: "it does not begin as one" }.into());
        }
        let decoder = class.call1((vocab,))?;
        decoder.call_method1("load", (PyBytes::new(py, &bytes),))?;
        Ok(decoder)
    }

    /// A second decoder in the same state. From then on the two have nothing in common.
    fn copy(&self, py: Python<'_>) -> Result<PyDecoder> {
        self.copied(py)
    }

    fn __copy__(&self, py: Python<'_>) -> Result<PyDecoder> {
        self.copied(py)
    }

    fn __deepcopy__(&self, py: Python<'_>, _memo: &Bound<'_, PyAny>) -> Result<PyDecoder> {
        self.copied(py)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> Result<Bound<'py, PyTuple>> {
        let py = slf.py();
        let restore = slf.get_type().getattr("from_saved")?;
        Ok((restore, (slf.get().save(py)?,)).into_pyobject(py)?)
    }

    fn __repr__(&self, py: Python<'_>) -> Result<String> {
        match self.gate.enter(py, false, |decoder| decoder.position()) {
            Ok(position) => Ok(format!("<argpick.Decoder of {} tokens at position {position}>", self.vocab)),
            Err(Fault::Busy(_)) => Ok(format!("<argpick.Decoder of {} tokens, in use>", self.vocab)),
            Err(_) => Ok(format!("<argpick.Decoder of {} tokens, poisoned>", self.vocab)),
        }
    }
}

impl PyDecoder {
    /// The configuration that a reset is about; `None` leaves the one in force.
    pub fn config_for_reset(
        &self,
        py: Python<'_>,
        config: Option<&Bound<'_, PyAny>>,
        fields: Option<&Bound<'_, PyDict>>,
    ) -> Result<Option<Config>> {
        let fields = fields.filter(|fields| !fields.is_empty());
        match (config.filter(|config| !config.is_none()), fields) {
            (None, None) => Ok(None),
            (None, Some(fields)) => Ok(Some(config_from(py, Some(&self.config(py)?), Some(fields))?)),
            (config, fields) => Ok(Some(config_from(py, config, fields)?)),
        }
    }
}
