//! `argpick.Trace` and `argpick.Replay`: a run that was written down, read and executed again.

use crate::config::config_object;
use crate::convert::{array, tokens as token_array, tuple};
use crate::decoder::{PyDecoder, allocate};
use crate::fault::{Fault, Result};
use crate::gate::Gate;
use crate::memory::Kept;
use crate::pick::PyPick;
use crate::rows::{MaskMemory, RowMemory, bytes_of};
use crate::weights::HeadOf;
use argpick::{Difference, Digests, Error, FieldValue, Pick, Record, Replay, StepRecord, Trace};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use std::path::PathBuf;

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
