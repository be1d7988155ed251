//! `argpick.sweep`: the lab's sweeps with a model that Python has.
//!
//! The lab does the work: it reads sweep files, runs batches, keeps results and compares them. Here a Python object becomes a
//! model of the lab's: rows are copied out of whatever memory its texts hand over.

use crate::fault::{Fault, Result};
use crate::rows::{RowMemory, numbers};
use argpick::lab::run::{Begun, TokenEnds, resolve, run};
use argpick::lab::{self, Fingerprint, Input, Model, Results, RunRecord, Sweep, summarise, to_json, write_text};
use argpick::{Kernels, MAX_VOCAB, Row};
use pyo3::exceptions::{PyException, PyOSError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `argpick._sweep.SweepError`, or an OSError for a file.
fn refused(py: Python<'_>, error: &lab::Error) -> Fault {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let text = error.to_string();
    if let lab::Error::File { source, .. } = error {
        return Fault::Python(match source.raw_os_error() {
            Some(code) => PyOSError::new_err((code, text)),
            None => PyOSError::new_err(text),
        });
    }
    let class = CLASS.import(py, "argpick._sweep", "SweepError");
    Fault::Python(match class.and_then(|class| class.call1((text,))) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    })
}

/// What an exception says, with the name of its class.
fn told(py: Python<'_>, error: &PyErr) -> String {
    let class = error.get_type(py).name().map_or_else(|_| "an exception".to_owned(), |name| name.to_string());
    format!("{class}: {}", error.value(py))
}

/// A text of a Python model.
struct Text {
    object: Py<PyAny>,
    /// Why it takes no more tokens.
    failed: Option<String>,
}

/// A Python object as a model of the lab's.
struct PythonModel<'py> {
    object: Bound<'py, PyAny>,
    identity: String,
    vocab: usize,
    /// Ids from here on have no text: their logits are not looked at.
    known: usize,
    end_tokens: Vec<u32>,
    /// An exception that is no error of a run: Ctrl-C, or the end of the interpreter.
    stop: RefCell<Option<PyErr>>,
}

impl<'py> PythonModel<'py> {
    fn of(object: &Bound<'py, PyAny>) -> Result<Self> {
        let vocab: usize = object.getattr("vocab")?.extract()?;
        if vocab == 0 || vocab > MAX_VOCAB {
            return Err(argpick::Error::InvalidParameter { name: "vocab", value: vocab as f64 }.into());
        }
        let known = match object.getattr_opt("known_vocab")? {
            Some(known) if !known.is_none() => known.extract::<usize>()?.min(vocab),
            _ => vocab,
        };
        Ok(PythonModel {
            identity: object.getattr("identity")?.extract()?,
            vocab,
            known,
            end_tokens: numbers(&object.getattr("end_tokens")?, "token")?,
            object: object.clone(),
            stop: RefCell::new(None),
        })
    }

    /// The message of an exception that ends a run; one that ends the sweep is kept.
    fn failure(&self, error: PyErr) -> String {
        let py = self.object.py();
        let text = told(py, &error);
        if !error.is_instance_of::<PyException>(py) {
            *self.stop.borrow_mut() = Some(error);
        }
        text
    }

    fn copy_row(&self, row: &Bound<'py, PyAny>, into: &mut [f32]) -> std::result::Result<(), String> {
        let memory = RowMemory::of(row).map_err(|fault| told(row.py(), &fault.exception(row.py())))?;
        let row = memory.row();
        if row.len() != into.len() {
            return Err(format!("a row has {} logits; the model's vocabulary has {}", row.len(), into.len()));
        }
        match row {
            Row::F32(values) => into.copy_from_slice(values),
            Row::F16(values) => into.iter_mut().zip(values).for_each(|(to, from)| *to = from.to_f32()),
            Row::Bf16(values) => into.iter_mut().zip(values).for_each(|(to, from)| *to = from.to_f32()),
        }
        into[self.known..].fill(f32::NEG_INFINITY);
        Ok(())
    }
}

impl Model for PythonModel<'_> {
    type State = Text;

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn vocab(&self) -> usize {
        self.vocab
    }

    fn end_tokens(&self) -> Vec<u32> {
        self.end_tokens.clone()
    }

    fn token(&self, text: &str) -> Option<u32> {
        self.object.call_method1("token", (text,)).ok()?.extract().ok()
    }

    fn begin(&self, input: &Input) -> std::result::Result<Begun<Text>, String> {
        let begun = || -> PyResult<(Py<PyAny>, Vec<u32>)> {
            let text = match input {
                Input::Text(text) => self.object.call_method1("begin", (text,))?,
                Input::Tokens(tokens) => self.object.call_method1("begin", (tokens.clone(),))?,
            };
            let tokens = text.getattr("tokens")?;
            Ok((text.unbind(), numbers(&tokens, "token")?))
        };
        let (object, history) = begun().map_err(|error| self.failure(error))?;
        Ok(Begun { state: Text { object, failed: None }, input_tokens: history.len(), history })
    }

    fn rows(&self, texts: &[&Text], rows: &mut [f32], refused: &mut [Option<String>]) {
        let py = self.object.py();
        for ((text, into), refused) in texts.iter().zip(rows.chunks_mut(self.vocab)).zip(refused) {
            if self.stop.borrow().is_some() {
                *refused = Some("stopped".to_owned());
                continue;
            }
            let made = match &text.failed {
                Some(reason) => Err(reason.clone()),
                None => text.object.bind(py).call_method0("row").map_err(|error| self.failure(error)),
            };
            *refused = made.and_then(|row| self.copy_row(&row, into)).err();
        }
    }

    fn advance(&self, text: &mut Text, token: u32) -> String {
        let answer = text.object.bind(self.object.py()).call_method1("advance", (token,));
        match answer.and_then(|piece| piece.extract()) {
            Ok(piece) => piece,
            Err(error) => {
                text.failed = Some(self.failure(error));
                String::new()
            }
        }
    }
}

/// A sweep as its file describes it.
#[pyclass(frozen, name = "SweepFile", module = "argpick")]
pub struct PySweep(Sweep);

#[pymethods]
impl PySweep {
    /// Reads a file, YAML or JSON.
    #[staticmethod]
    fn read(py: Python<'_>, path: PathBuf) -> Result<Self> {
        Sweep::read(&path).map(PySweep).map_err(|error| refused(py, &error))
    }

    /// Reads a text.
    #[staticmethod]
    fn parse(py: Python<'_>, origin: &str, text: &str, is_json: bool) -> Result<Self> {
        Sweep::parse(origin, text, is_json).map(PySweep).map_err(|error| refused(py, &error))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[getter]
    fn max_batch_size(&self) -> usize {
        self.0.max_batch_size
    }

    /// Checks that the sweep fits a model.
    fn check(&self, model: &Bound<'_, PyAny>) -> Result<()> {
        let model = PythonModel::of(model)?;
        resolve(&self.0, &model).map(drop).map_err(|error| refused(model.object.py(), &error))
    }

    /// Does runs, and hands the line of each to `done`.
    fn run(
        &self,
        py: Python<'_>,
        model: &Bound<'_, PyAny>,
        numbers: Vec<usize>,
        batch: usize,
        done: &Bound<'_, PyAny>,
    ) -> Result<()> {
        let model = PythonModel::of(model)?;
        let ends: TokenEnds = resolve(&self.0, &model).map_err(|error| refused(py, &error))?;
        let fingerprint = Fingerprint::new(&self.0, &model.identity);
        let stopped = || model.stop.borrow().is_some();
        let halt = || lab::Error::Model("stopped".to_owned());
        let mut keep = |record: RunRecord| {
            // What an interrupt has ended is not done.
            if stopped() {
                return Err(halt());
            }
            done.call1((record.to_line(fingerprint.as_str()),)).map(drop).map_err(|error| {
                *model.stop.borrow_mut() = Some(error);
                halt()
            })
        };
        let mut watch = |_: &lab::run::Progress| {
            if let Err(error) = py.check_signals() {
                *model.stop.borrow_mut() = Some(error);
            }
            if stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let answer = run(&model, (&self.0, &ends), Kernels::detect()?, batch, &numbers, &mut keep, &mut watch);
        if let Some(error) = model.stop.take() {
            return Err(Fault::Python(error));
        }
        answer.map(drop).map_err(|error| refused(py, &error))
    }
}

/// Results of a sweep, and the file that they are kept in.
#[pyclass(frozen, name = "SweepLog", module = "argpick")]
pub struct PyResults(Mutex<Option<Results>>);

impl PyResults {
    fn inside(&self) -> MutexGuard<'_, Option<Results>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look<R>(&self, body: impl FnOnce(&mut Results) -> R) -> Result<R> {
        match self.inside().as_mut() {
            Some(results) => Ok(body(results)),
            None => Err(Fault::argument("these results are closed")),
        }
    }
}

#[pymethods]
impl PyResults {
    /// Results in a file, taken up again if there are some, or in memory.
    #[new]
    fn new(py: Python<'_>, sweep: &PySweep, identity: &str, path: Option<PathBuf>) -> Result<Self> {
        let fingerprint = Fingerprint::new(&sweep.0, identity);
        let results = match path {
            Some(path) => Results::open(&path, &sweep.0, fingerprint).map_err(|error| refused(py, &error))?,
            None => Results::in_memory(&sweep.0, fingerprint),
        };
        Ok(PyResults(Mutex::new(Some(results))))
    }

    /// What the lines of this sweep carry.
    #[getter]
    fn fingerprint(&self) -> Result<String> {
        self.look(|results| results.fingerprint().as_str().to_owned())
    }

    /// Bytes of a line that was cut off when the file was last written.
    #[getter]
    fn torn(&self) -> Result<usize> {
        self.look(|results| results.torn())
    }

    /// Runs that are left to do; with `again`, also those that ended with an error.
    fn left(&self, again: bool) -> Result<Vec<usize>> {
        self.look(|results| results.left(again))
    }

    /// Keeps the result of a run.
    fn add(&self, py: Python<'_>, line: &str) -> Result<()> {
        self.look(|results| {
            let wrong = |text: String| refused(py, &lab::Error::Model(text));
            let (sweep, record) = RunRecord::from_line(line).map_err(|reason| wrong(format!("no result: {reason}")))?;
            if sweep != results.fingerprint().as_str() {
                return Err(wrong("this is the result of another sweep, or of another model".to_owned()));
            }
            results.add(record).map_err(|error| refused(py, &error))
        })?
    }

    /// The line of each run, None where it is not done.
    fn lines(&self) -> Result<Vec<Option<String>>> {
        self.look(|results| {
            let sweep = results.fingerprint().as_str();
            results.records().iter().map(|record| record.as_ref().map(|record| record.to_line(sweep))).collect()
        })
    }

    /// What sets the runs apart, as JSON and as text.
    fn summary(&self) -> Result<(String, String)> {
        self.look(|results| {
            let records: Vec<&RunRecord> = results.done().collect();
            let summary = summarise(records.iter().copied());
            let mut text = String::new();
            // Writing to a string cannot fail.
            let _ = write_text(&mut text, &summary, &records);
            (to_json(&summary).to_string(), text)
        })
    }

    /// Stores everything and gives the file up.
    fn close(&self, py: Python<'_>) -> Result<()> {
        match self.inside().take() {
            Some(results) => results.sync().map_err(|error| refused(py, &error)),
            None => Ok(()),
        }
    }
}
