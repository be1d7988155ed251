//! `argpick.Recorder`: a decoder's calls, each with a record of it.

use crate::config::{Count, long};
use crate::convert::tuple;
use crate::decoder::{PyDecoder, allocate};
use crate::fault::{Fault, Result};
use crate::gate::Gate;
use crate::lists::bias_pairs;
use crate::pick::PyPick;
use crate::rows::{MaskMemory, RowMemory, bytes_of, numbers};
use crate::weights::{Columns, HeadOf};
use argpick::{Error, Recorder, TraceFile, TraceParts, TraceSink};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Bytes on their way to Python; nothing is taken once it has failed.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    failed: bool,
}

/// Where the bytes of a trace go.
enum Sink {
    Waiting(Arc<Mutex<Waiting>>),
    File(TraceFile),
}

impl TraceSink for Sink {
    fn put(&mut self, bytes: &[u8]) -> argpick::Result<()> {
        match self {
            Sink::File(file) => file.put(bytes),
            Sink::Waiting(waiting) => {
                let mut waiting = waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if waiting.failed {
                    return Err(Error::File { operation: "write", code: 0 });
                }
                waiting.bytes.put(bytes)
            }
        }
    }
}

/// What is in the gate.
struct State {
    recorder: Option<Recorder<Sink>>,
    waiting: Arc<Mutex<Waiting>>,
    /// What the writer has raised.
    raised: Option<PyErr>,
}

impl State {
    fn recorder(&mut self) -> Result<&mut Recorder<Sink>> {
        self.recorder.as_mut().ok_or(Fault::Core(Error::Finished))
    }

    /// Hands over what has come. A writer that fails does not disturb the run: the trace ends there.
    fn hand_over(&mut self, py: Python<'_>, writer: Option<&Py<PyAny>>) {
        let Some(writer) = writer else { return };
        let mut waiting = self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let bytes = std::mem::take(&mut waiting.bytes);
        if bytes.is_empty() || waiting.failed {
            return;
        }
        drop(waiting);
        if let Err(error) = writer.bind(py).call1((PyBytes::new(py, &bytes),)) {
            self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner).failed = true;
            self.raised = Some(error);
        }
    }
}

/// Records the run of one decoder: each method does to the decoder what the decoder's own of that name does, with the same
/// answer, and then writes it down.
///
/// ``Recorder(decoder, sink=None, *, numbers=True, masks=True, columns=True)``: the decoder's whole state stands at the
/// beginning. `sink` is None (the trace is kept, and `finish` returns it), a path (the file appears whole at `finish`, or not at
/// all), or a function or binary file that takes the bytes as they come. A sink that fails does not disturb the run: the trace
/// ends there, and `finish` raises what it raised. As a context manager it finishes at the end.
///
/// `numbers` are those of each pick that the metrics asked for; `masks` are the masks themselves; `columns` those of sparse
/// steps. What is done to the decoder without the recorder must be followed by `state`.
#[pyclass(frozen, name = "Recorder", module = "argpick")]
pub struct PyRecorder {
    gate: Gate<State>,
    decoder: Py<PyDecoder>,
    /// Where the bytes are handed to; `None` keeps them.
    writer: Option<Py<PyAny>>,
}

impl PyRecorder {
    /// Runs `body` on recorder and decoder, and hands over what it wrote.
    fn both<R: Send>(
        &self,
        py: Python<'_>,
        body: impl FnOnce(&mut Recorder<Sink>, &mut argpick::Decoder) -> R + Send,
    ) -> Result<R> {
        let decoder = self.decoder.get();
        self.gate.with(|state| {
            let recorder = state.recorder()?;
            let answer = decoder.gate.enter(py, decoder.is_long(), |decoder| body(recorder, decoder))?;
            state.hand_over(py, self.writer.as_ref());
            Ok(answer)
        })
    }
}

#[pymethods]
impl PyRecorder {
    #[new]
    #[pyo3(signature = (decoder, sink = None, *, numbers = true, masks = true, columns = true))]
    fn new(
        py: Python<'_>,
        decoder: &Bound<'_, PyDecoder>,
        sink: Option<&Bound<'_, PyAny>>,
        numbers: bool,
        masks: bool,
        columns: bool,
    ) -> Result<Self> {
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let kept = || Sink::Waiting(waiting.clone());
        let (to, writer) = match sink.filter(|sink| !sink.is_none()) {
            None => (kept(), None),
            Some(sink) if sink.hasattr("write")? => (kept(), Some(sink.getattr("write")?.unbind())),
            Some(sink) if sink.is_callable() => (kept(), Some(sink.clone().unbind())),
            Some(sink) => {
                let path: PathBuf = sink.extract().map_err(|_| {
                    Fault::argument("sink must be None, a path, a function that takes bytes, or a binary file")
                })?;
                let file = TraceFile::create(&path);
                (Sink::File(file.map_err(|error| Fault::About(path.display().to_string(), error))?), None)
            }
        };
        let parts = TraceParts { numbers, masks, columns };
        let recorder = decoder.get().gate.enter(py, false, |decoder| -> argpick::Result<_> {
            let mut recorder = Recorder::new(to, decoder, parts);
            recorder.whole_state(decoder)?;
            Ok(recorder)
        })??;
        let mut state = State { recorder: Some(recorder), waiting, raised: None };
        state.hand_over(py, writer.as_ref());
        Ok(PyRecorder { gate: Gate::new("recorder", state), decoder: decoder.clone().unbind(), writer })
    }

    /// The decoder that is recorded.
    #[getter]
    fn decoder(&self, py: Python<'_>) -> Py<PyDecoder> {
        self.decoder.clone_ref(py)
    }

    /// Ends the trace: its last record, with the checksum. Returns its bytes, or None where a sink took them. Nothing can be
    /// recorded after it.
    fn finish<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyBytes>>> {
        self.gate.with(|state| {
            let recorder = state.recorder.take().ok_or(Fault::Core(Error::Finished))?;
            let finished = recorder.finish();
            state.hand_over(py, self.writer.as_ref());
            if let Some(error) = state.raised.take() {
                return Err(Fault::Python(error));
            }
            match finished? {
                Sink::File(file) => {
                    file.finish()?;
                    Ok(None)
                }
                Sink::Waiting(_) if self.writer.is_some() => Ok(None),
                Sink::Waiting(waiting) => {
                    let waiting = waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    Ok(Some(PyBytes::new(py, &waiting.bytes)))
                }
            }
        })
    }

    // A sink may hold the recorder.
    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        visit.call(&self.decoder)?;
        self.writer.as_ref().map_or(Ok(()), |writer| visit.call(writer))
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (kind, error, traceback))]
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: Option<&Bound<'_, PyAny>>,
        error: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> Result<bool> {
        let _ = (kind, error, traceback);
        let is_open = self.gate.with(|state| Ok(state.recorder.is_some()))?;
        if is_open {
            self.finish(py)?;
        }
        Ok(false)
    }

    /// Writes the decoder's whole state into the trace: after anything that was done to it without the recorder.
    fn state(&self, py: Python<'_>) -> Result<()> {
        Ok(self.both(py, |recorder, decoder| recorder.whole_state(decoder))??)
    }

    /// Writes a remark for whoever reads the trace; it means nothing to a replay.
    fn note(&self, py: Python<'_>, text: &str) -> Result<()> {
        self.both(py, |recorder, _| recorder.note(text))
    }

    /// Says that the next step's row is the one that a sparse head makes of these columns.
    #[pyo3(signature = (columns, values = None))]
    fn columns(&self, py: Python<'_>, columns: &Bound<'_, PyAny>, values: Option<&Bound<'_, PyAny>>) -> Result<()> {
        let given = Columns::of(columns, values)?;
        self.both(py, |recorder, _| recorder.columns(&given.columns, given.values()))
    }

    /// `Decoder.prompt`, recorded.
    fn prompt(&self, py: Python<'_>, tokens: &Bound<'_, PyAny>) -> Result<()> {
        let tokens = numbers(tokens, "token")?;
        Ok(self.both(py, |recorder, decoder| recorder.prompt(decoder, &tokens))??)
    }

    /// `Decoder.accept`, recorded.
    fn accept(&self, py: Python<'_>, tokens: &Bound<'_, PyAny>) -> Result<()> {
        let tokens = numbers(tokens, "token")?;
        Ok(self.both(py, |recorder, decoder| recorder.accept(decoder, &tokens))??)
    }

    /// `Decoder.undo`, recorded.
    #[pyo3(signature = (count = Count(1)), text_signature = "($self, count=1)")]
    fn undo(&self, py: Python<'_>, count: Count) -> Result<()> {
        Ok(self.both(py, |recorder, decoder| recorder.undo(decoder, count.0))??)
    }

    /// `Decoder.seek`, recorded.
    fn seek(&self, py: Python<'_>, position: &Bound<'_, PyAny>) -> Result<()> {
        let position = long(position, "position")?;
        self.both(py, |recorder, decoder| recorder.seek(decoder, position))
    }

    /// `Decoder.reset`, recorded.
    #[pyo3(signature = (config = None, **fields))]
    fn reset(
        &self,
        py: Python<'_>,
        config: Option<&Bound<'_, PyAny>>,
        fields: Option<&Bound<'_, PyDict>>,
    ) -> Result<()> {
        let config = self.decoder.get().config_for_reset(py, config, fields)?;
        self.both(py, |recorder, decoder| -> Result<()> {
            match recorder.reset(decoder, config.as_ref()) {
                Err(Error::StorageTooSmall { expected, .. }) => {
                    let mut larger = decoder.copy_in(allocate(expected)?)?;
                    recorder.reset(&mut larger, config.as_ref())?;
                    *decoder = larger;
                    Ok(())
                }
                answer => Ok(answer?),
            }
        })?
    }

    /// `Decoder.set_bias`, recorded.
    #[pyo3(signature = (tokens, biases = None))]
    fn set_bias(&self, py: Python<'_>, tokens: &Bound<'_, PyAny>, biases: Option<&Bound<'_, PyAny>>) -> Result<()> {
        let biases = bias_pairs(tokens, biases)?;
        Ok(self.both(py, |recorder, decoder| recorder.set_bias(decoder, &biases))??)
    }

    /// `Decoder.set_bans`, recorded.
    fn set_bans(&self, py: Python<'_>, tokens: &Bound<'_, PyAny>) -> Result<()> {
        let tokens = numbers(tokens, "token")?;
        Ok(self.both(py, |recorder, decoder| recorder.set_bans(decoder, &tokens))??)
    }

    /// `Decoder.push_bytes`, recorded.
    fn push_bytes<'py>(&self, py: Python<'py>, data: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>> {
        let bytes = bytes_of(data, "data")?;
        let found = self.both(py, |recorder, decoder| recorder.push_bytes(decoder, &bytes))?;
        Ok(tuple(py, "TextMatch", (found.stop, found.held_back))?)
    }

    /// `Decoder.decode`, recorded: the pick, and digests of the row and the mask. A row that is refused is recorded, too.
    #[pyo3(signature = (row, mask = None))]
    fn decode(&self, py: Python<'_>, row: &Bound<'_, PyAny>, mask: Option<&Bound<'_, PyAny>>) -> Result<PyPick> {
        let (row, mask) = (RowMemory::of(row)?, MaskMemory::of(mask, self.decoder.get().vocab)?);
        let (row, words) = (row.row(), mask.words());
        Ok(PyPick(self.both(py, |recorder, decoder| recorder.decode(decoder, row, words))??))
    }

    /// `Decoder.evaluate`, recorded.
    #[pyo3(signature = (row, mask = None))]
    fn evaluate(&self, py: Python<'_>, row: &Bound<'_, PyAny>, mask: Option<&Bound<'_, PyAny>>) -> Result<PyPick> {
        let (row, mask) = (RowMemory::of(row)?, MaskMemory::of(mask, self.decoder.get().vocab)?);
        let (row, words) = (row.row(), mask.words());
        Ok(PyPick(self.both(py, |recorder, decoder| recorder.evaluate(decoder, row, words))??))
    }

    /// `Decoder.decode_sparse`, recorded. For its digest the row is computed once more.
    #[pyo3(signature = (weights, columns, values = None, mask = None))]
    fn decode_sparse(
        &self,
        py: Python<'_>,
        weights: &Bound<'_, PyAny>,
        columns: &Bound<'_, PyAny>,
        values: Option<&Bound<'_, PyAny>>,
        mask: Option<&Bound<'_, PyAny>>,
    ) -> Result<PyPick> {
        self.sparse(py, weights, columns, values, mask, true)
    }

    /// `Decoder.evaluate_sparse`, recorded.
    #[pyo3(signature = (weights, columns, values = None, mask = None))]
    fn evaluate_sparse(
        &self,
        py: Python<'_>,
        weights: &Bound<'_, PyAny>,
        columns: &Bound<'_, PyAny>,
        values: Option<&Bound<'_, PyAny>>,
        mask: Option<&Bound<'_, PyAny>>,
    ) -> Result<PyPick> {
        self.sparse(py, weights, columns, values, mask, false)
    }
}

impl PyRecorder {
    fn sparse(
        &self,
        py: Python<'_>,
        weights: &Bound<'_, PyAny>,
        columns: &Bound<'_, PyAny>,
        values: Option<&Bound<'_, PyAny>>,
        mask: Option<&Bound<'_, PyAny>>,
        recorded: bool,
    ) -> Result<PyPick> {
        let given = Columns::of(columns, values)?;
        let (mask, source) = (MaskMemory::of(mask, self.decoder.get().vocab)?, HeadOf::of(weights)?);
        let (head, words) = (source.head()?, mask.words());
        let (columns, values) = (&given.columns, given.values());
        let pick = self.both(py, |recorder, decoder| match recorded {
            true => recorder.decode_sparse(decoder, &head, columns, values, words),
            false => recorder.evaluate_sparse(decoder, &head, columns, values, words),
        })??;
        Ok(PyPick(pick))
    }
}
