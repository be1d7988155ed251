//! Everything a call can be refused for, and the Python exception that says so.

use argpick::Error;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Why a call was refused. The numbers are the statuses of the C ABI.
#[derive(Debug)]
pub enum Fault {
    /// The core said no.
    Core(Error),
    /// The same about one row of several.
    Row(usize, Error),
    /// The same about a file.
    About(String, Error),
    /// A value of Python's own that is not one of those allowed, by the name of its parameter.
    Value(&'static str, String),
    /// The system said no, with its number.
    File(String, i32),
    /// The sandbox said no.
    Sandbox(String),
    /// Another thread is in the object.
    Busy(&'static str),
    /// The call itself is in the object: it was given twice.
    Twice(&'static str),
    /// An earlier call on the object has panicked.
    Poisoned(&'static str),
    /// This call has panicked.
    Panic(String),
    /// No memory.
    OutOfMemory(usize),
    /// The weights cannot be trained.
    ReadOnly,
    /// An argument is none that can be used.
    Argument(String),
    /// Python has raised an exception of its own.
    Python(PyErr),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Core(error)
    }
}

impl From<PyErr> for Fault {
    fn from(error: PyErr) -> Self {
        Fault::Python(error)
    }
}

impl From<std::convert::Infallible> for Fault {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// What a call answers.
pub type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    /// A `TypeError`.
    pub fn argument(text: impl Into<String>) -> Fault {
        Fault::Argument(text.into())
    }

    fn status(&self) -> i32 {
        match self {
            Fault::Core(error) | Fault::Row(_, error) | Fault::About(_, error) => error.status(),
            Fault::Value(..) => 4,
            Fault::Sandbox(_) => 110,
            Fault::File(..) => 112,
            Fault::Panic(_) => 201,
            Fault::Poisoned(_) => 202,
            Fault::Busy(_) | Fault::Twice(_) => 203,
            Fault::OutOfMemory(_) => 207,
            Fault::ReadOnly => 208,
            Fault::Argument(_) | Fault::Python(_) => 0,
        }
    }

    fn message(&self) -> String {
        match self {
            Fault::Core(error) => text_of(error),
            Fault::Row(row, error) => format!("row {row}: {error}"),
            Fault::About(path, error) => format!("{path}: {}", text_of(error)),
            Fault::Sandbox(text) | Fault::Argument(text) | Fault::Value(_, text) | Fault::File(text, _) => text.clone(),
            Fault::Busy(what) => format!("another thread is in a call on this {what}"),
            Fault::Twice(what) => format!("the same {what} is given twice; each place needs one of its own"),
            Fault::Poisoned(what) => format!("this {what} is poisoned: an earlier call on it broke"),
            Fault::Panic(text) => format!("the library broke: {text}"),
            Fault::OutOfMemory(bytes) => format!("out of memory: {bytes} bytes were asked for"),
            Fault::ReadOnly => "these weights are read-only: they are those of a file".to_owned(),
            Fault::Python(error) => error.to_string(),
        }
    }

    /// The exception, which is an object of `argpick.Error` but for wrong types and for what Python itself has raised.
    pub fn exception(self, py: Python<'_>) -> PyErr {
        match self {
            Fault::Python(error) => error,
            Fault::Argument(text) => PyTypeError::new_err(text),
            fault => {
                let (index, value) = match &fault {
                    Fault::Core(error) | Fault::Row(_, error) | Fault::About(_, error) => detail(error),
                    Fault::File(_, code) => (None, Some(f64::from(*code))),
                    Fault::OutOfMemory(bytes) => (Some(*bytes as u64), None),
                    _ => (None, None),
                };
                let row = if let Fault::Row(row, _) = &fault { Some(*row) } else { None };
                let make = || -> PyResult<Bound<'_, PyAny>> {
                    maker(py)?.call1((fault.status(), fault.message(), index, value, parameter(&fault), row))
                };
                match make() {
                    Ok(error) => PyErr::from_value(error),
                    Err(error) => error,
                }
            }
        }
    }
}

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> PyErr {
        Python::attach(|py| fault.exception(py))
    }
}

/// The message of the core, with the system's own where there is one.
fn text_of(error: &Error) -> String {
    match error {
        Error::File { operation, code } if *code != 0 => {
            format!("cannot {operation} the file: {}", std::io::Error::from_raw_os_error(*code))
        }
        error => error.to_string(),
    }
}

/// `argpick._errors.make`.
fn maker(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    Ok(MAKE.get_or_try_init(py, || Ok::<_, PyErr>(py.import("argpick._errors")?.getattr("make")?.unbind()))?.bind(py))
}

/// The name of what is wrong, where there is one.
fn parameter(fault: &Fault) -> Option<String> {
    let error = match fault {
        Fault::Core(error) | Fault::Row(_, error) | Fault::About(_, error) => error,
        Fault::Value(name, _) => return Some((*name).to_owned()),
        _ => return None,
    };
    match *error {
        Error::InvalidParameter { name, .. } | Error::NotInProfile { name, .. } => Some(name.to_owned()),
        Error::WrongLength { what, .. } | Error::CapacityExceeded { what, .. } => Some(what.to_owned()),
        Error::KernelUnavailable { level } => Some(level.to_owned()),
        Error::ArrayMissing { array }
        | Error::ArrayPickled { array }
        | Error::ArrayCompressed { array }
        | Error::ArrayUnsupported { array, .. }
        | Error::ArrayDtype { array, .. }
        | Error::ArrayRank { array, .. }
        | Error::ArrayLength { array, .. }
        | Error::ArraySize { array, .. }
        | Error::ArrayValue { array, .. }
        | Error::ArrayChecksum { array, .. }
        | Error::FileMalformed { array, .. } => (!array.is_empty()).then(|| array.to_string()),
        _ => None,
    }
}

/// Index and value, as `argpick_error_detail` has them in C.
fn detail(error: &Error) -> (Option<u64>, Option<f64>) {
    let both = |index: u64, value: f64| (Some(index), Some(value));
    match *error {
        Error::InvalidLogit { index, value } => both(index.into(), value.into()),
        Error::WrongLength { expected, actual, .. } => both(expected as u64, actual as f64),
        Error::InvalidParameter { value, .. } => (None, Some(value)),
        Error::TokenOutOfRange { token, vocab } => both(token.into(), vocab as f64),
        Error::CapacityExceeded { capacity, actual, .. } => both(capacity as u64, actual as f64),
        Error::StorageTooSmall { expected, actual } => both(8 * expected as u64, 8.0 * actual as f64),
        Error::UndoTooFar { requested, available } => both(available as u64, requested as f64),
        Error::ColumnOutOfRange { column, columns } => both(column.into(), columns as f64),
        Error::DuplicateToken { token } => (Some(token.into()), None),
        Error::UpdateOverflow { column, token } => (Some(token.into()), column.map(f64::from)),
        Error::ArrayRank { expected, actual, .. } | Error::ArrayLength { expected, actual, .. } => {
            both(expected as u64, actual as f64)
        }
        Error::ArraySize { maximum, actual, .. } => both(maximum as u64, actual as f64),
        Error::ArrayValue { index, .. } => (Some(index as u64), None),
        Error::FileMalformed { offset, value, .. } => both(offset, value as f64),
        Error::File { code, .. } => (None, Some(code.into())),
        _ => (None, None),
    }
}
