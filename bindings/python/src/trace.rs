//! `argpick.Recorder`, `argpick.Trace` and `argpick.Replay`.

use crate::config::{config_object, long};
use crate::convert::{array, tokens as token_array, tuple};
use crate::decoder::{PyDecoder, allocate};
use crate::fault::{Fault, Result};
use crate::gate::Gate;
use crate::lists::bias_pairs;
use crate::memory::Kept;
use crate::pick::PyPick;
use crate::rows::{MaskMemory, RowMemory, bytes_of, numbers};
use crate::weights::{Columns, HeadOf};
use argpick::{
    Difference, Digests, Error, FieldValue, Pick, Record, Recorder, Replay, StepRecord, Trace, TraceFile, TraceParts,
    TraceSink,
};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
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
    #[pyo3(signature = (count = 1))]
    fn undo(&self, py: Python<'_>, count: usize) -> Result<()> {
        Ok(self.both(py, |recorder, decoder| recorder.undo(decoder, count))??)
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

/// Bytes of a trace, or the file of a path.
fn trace_bytes(data: &Bound<'_, PyAny>) -> Result<Vec<u8>> {
    if data.is_instance_of::<PyString>() || data.hasattr("__fspath__")? {
        let path: PathBuf = data.extract()?;
        return std::fs::read(&path).map_err(|error| {
            let code = error.raw_os_error().unwrap_or(0);
            Fault::About(path.display().to_string(), Error::File { operation: "read", code })
        });
    }
    bytes_of(data, "data")
}

fn step_tuple<'py>(py: Python<'py>, step: u64, record: &StepRecord) -> PyResult<Bound<'py, PyAny>> {
    let class = py.import("argpick._enums")?;
    let metrics = class.getattr("Metrics")?.call1((record.metrics.bits(),))?;
    let status = class.getattr("Status")?.call1((record.outcome.err().unwrap_or(0),))?;
    let pick = record.outcome.ok().map(|pick: Pick| Bound::new(py, PyPick(pick))).transpose()?;
    let digests = (record.row, record.mask);
    let fields = (
        step,
        record.position,
        digests.0,
        digests.1,
        record.is_recorded,
        record.has_columns,
        record.has_mask,
        record.has_numbers,
        metrics,
        status,
        pick,
    );
    tuple(py, "StepRecord", fields)
}

fn record_tuple<'py>(py: Python<'py>, step: u64, record: Record<'_>) -> PyResult<Bound<'py, PyAny>> {
    let tokens = |tokens: argpick::Tokens<'_>| token_array(py, &tokens.collect::<Vec<u32>>());
    let (kind, value) = match record {
        Record::Prompt(list) => ("prompt", tokens(list)?),
        Record::Accept(list) => ("accept", tokens(list)?),
        Record::Bans(list) => ("bans", tokens(list)?),
        Record::Undo(count) => ("undo", count.into_pyobject(py)?.into_any()),
        Record::Seek(position) => ("seek", position.into_pyobject(py)?.into_any()),
        Record::Reset => ("reset", py.None().into_bound(py)),
        Record::Configure(config) => ("configure", config_object(py, &config)?),
        Record::Biases(biases) => {
            let pairs = PyDict::new(py);
            for (token, bias) in (0..biases.len()).map(|i| biases.get(i)) {
                pairs.set_item(token, crate::config::shortest(bias))?;
            }
            ("biases", pairs.into_any())
        }
        Record::State(bytes) => ("state", PyBytes::new(py, bytes).into_any()),
        Record::Bytes(bytes) => ("bytes", PyBytes::new(py, bytes).into_any()),
        Record::Note(text) => ("note", PyString::new(py, text).into_any()),
        Record::Mask(words) => ("mask", token_array(py, &words.iter().collect::<Vec<u32>>())?),
        Record::Columns(columns) => {
            let values = columns.values().map(|values| values.collect::<Vec<f32>>());
            let values = match values {
                Some(values) => array(py, bytemuck::cast_slice(&values), "float32")?,
                None => py.None().into_bound(py),
            };
            ("columns", (tokens(columns.columns)?, values).into_pyobject(py)?.into_any())
        }
        Record::Step(record) => ("step", step_tuple(py, step, &record)?),
    };
    tuple(py, "Record", (kind, value))
}

/// A trace that was recorded, checked from its first byte to its last: ``Trace(data)`` of bytes or a path.
///
/// Raises FileMalformed for what is none or is damaged. One that was cut off can be read up to there: see `is_complete`.
#[pyclass(frozen, name = "Trace", module = "argpick")]
pub struct PyTrace(Kept<Trace<'static>>);

#[pymethods]
impl PyTrace {
    #[new]
    fn new(data: &Bound<'_, PyAny>) -> Result<Self> {
        Ok(PyTrace(Kept::new(trace_bytes(data)?, |bytes| Ok(Trace::open(bytes)?))?))
    }

    /// The configuration at the beginning, an `argpick.Config`.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        Ok(config_object(py, self.0.value().config())?)
    }

    /// The length of its rows.
    #[getter]
    fn vocab(&self) -> usize {
        self.0.value().vocab()
    }

    /// How many steps it has.
    #[getter]
    fn steps(&self) -> u64 {
        self.0.value().steps()
    }

    /// How many of them have their columns in the trace.
    #[getter]
    fn steps_with_columns(&self) -> u64 {
        self.0.value().steps_with_columns()
    }

    /// Whether it has its end, with the right checksum.
    #[getter]
    fn is_complete(&self) -> bool {
        self.0.value().is_complete()
    }

    /// Everything in it, in order: a list of `argpick.Record`, pairs of kind and value.
    fn records<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyList>> {
        let mut step = 0;
        let records = self.0.value().records().map(|record| {
            let is_step = matches!(record, Record::Step(_));
            let object = record_tuple(py, step, record);
            step += u64::from(is_step);
            object
        });
        Ok(PyList::new(py, records.collect::<PyResult<Vec<_>>>()?)?)
    }

    fn __repr__(&self) -> String {
        let trace = self.0.value();
        format!("<argpick.Trace of {} steps on {} tokens>", trace.steps(), trace.vocab())
    }
}

/// A trace being executed again: ``Replay(data)`` of bytes or a path.
///
/// `next_step` does what the host did before a step and tells which one it is; `check` runs it on its row and tells what
/// differs. ``for step in replay`` stops at each step; it must be checked before the next one.
#[pyclass(frozen, name = "Replay", module = "argpick")]
pub struct PyReplay {
    gate: Gate<Kept<Replay<'static>>>,
    steps: u64,
    complete: bool,
    vocab: usize,
}

fn difference_tuple<'py>(py: Python<'py>, found: Option<Difference>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(found) = found else { return Ok(None) };
    let digests = |pair: Option<Digests>| pair.map(|pair| (pair.recorded, pair.found));
    let value = |value: FieldValue| match value {
        FieldValue::Count(count) => count as f64,
        FieldValue::Float(float) => float.into(),
    };
    let field = found.field.map(|field| (field.name, value(field.recorded), value(field.found)));
    tuple(py, "Difference", (found.step, found.position, digests(found.row), digests(found.mask), field)).map(Some)
}

#[pymethods]
impl PyReplay {
    #[new]
    fn new(data: &Bound<'_, PyAny>) -> Result<Self> {
        let (mut steps, mut complete, mut vocab) = (0, false, 0);
        let kept = Kept::new(trace_bytes(data)?, |bytes| {
            let trace = Trace::open(bytes)?;
            (steps, complete, vocab) = (trace.steps(), trace.is_complete(), trace.vocab());
            Ok(Replay::new(trace)?)
        })?;
        Ok(PyReplay { gate: Gate::new("replay", kept), steps, complete, vocab })
    }

    /// How many steps the trace has.
    #[getter]
    fn steps(&self) -> u64 {
        self.steps
    }

    /// Whether the trace has its end; one that was cut off is executed up to there.
    #[getter]
    fn is_complete(&self) -> bool {
        self.complete
    }

    /// The length of its rows.
    #[getter]
    fn vocab(&self) -> usize {
        self.vocab
    }

    /// A copy of the decoder as the trace has left it so far.
    fn decoder(&self, py: Python<'_>) -> Result<PyDecoder> {
        let copy = self.gate.enter(py, false, |kept| -> Result<argpick::Decoder> {
            let decoder = kept.value().decoder();
            Ok(decoder.copy_in(allocate(decoder.storage().len())?)?)
        })??;
        Ok(PyDecoder::from_decoder(copy))
    }

    /// Does what the host did before the next step, and returns that step, an `argpick.StepRecord`; None at the end of the
    /// trace. Until the step is checked, it returns the same one.
    fn next_step<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyAny>>> {
        let (number, step) = self.gate.enter(py, false, |kept| -> argpick::Result<_> {
            let replay = kept.value_mut();
            Ok((replay.steps(), replay.next_step()?))
        })??;
        Ok(step.map(|step| step_tuple(py, number, &step)).transpose()?)
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyAny>>> {
        self.next_step(py)
    }

    /// Runs the step on its row. Returns None if row, mask and every field of the answer are those recorded, bit for bit; else
    /// an `argpick.Difference`. The mask may be left out where the trace has it.
    #[pyo3(signature = (row, mask = None))]
    fn check<'py>(
        &self,
        py: Python<'py>,
        row: &Bound<'py, PyAny>,
        mask: Option<&Bound<'py, PyAny>>,
    ) -> Result<Option<Bound<'py, PyAny>>> {
        let (row, mask) = (RowMemory::of(row)?, MaskMemory::of(mask, self.vocab)?);
        let (given, words) = (row.row(), mask.words());
        let found = self.gate.enter(py, true, |kept| kept.value_mut().check(given, words))??;
        Ok(difference_tuple(py, found)?)
    }

    /// The same with the row that weights make of the columns in the trace.
    #[pyo3(signature = (weights, mask = None))]
    fn check_sparse<'py>(
        &self,
        py: Python<'py>,
        weights: &Bound<'py, PyAny>,
        mask: Option<&Bound<'py, PyAny>>,
    ) -> Result<Option<Bound<'py, PyAny>>> {
        let (mask, source) = (MaskMemory::of(mask, self.vocab)?, HeadOf::of(weights)?);
        let (head, words) = (source.head()?, mask.words());
        let found = self.gate.enter(py, true, |kept| kept.value_mut().check_sparse(&head, words))??;
        Ok(difference_tuple(py, found)?)
    }

    fn __repr__(&self) -> String {
        format!("<argpick.Replay of {} steps on {} tokens>", self.steps, self.vocab)
    }
}
