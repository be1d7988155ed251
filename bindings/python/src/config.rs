//! Configurations: a dataclass in Python, the core's struct here. Fields go by their names in the core's own list.

use crate::fault::{Fault, Result};
use argpick::{Config, Decoder, Error, MAX_VOCAB, Memory};
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyType};

/// The dataclass.
fn class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "argpick._config", "Config")
}

/// The double of fewest digits that rounds to this f32: 0.1 for the f32 nearest 0.1. So what a user wrote comes back.
pub fn shortest(value: f32) -> f64 {
    // Whole numbers are their own shortest form.
    if value.fract() == 0.0 && value.abs() < 1.0e6 {
        return value.into();
    }
    format!("{value:?}").parse().unwrap_or(f64::from(value))
}

/// What a parameter is in Python.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Float,
    Whole,
    Flag,
}

/// A parameter's name, also as Python's own string, and what it is.
struct Parameter {
    name: &'static str,
    key: Py<PyString>,
    kind: Kind,
}

/// All parameters but `seed` and `stream`, in the library's order.
fn parameters(py: Python<'_>) -> &'static [Parameter] {
    static PARAMETERS: PyOnceLock<Vec<Parameter>> = PyOnceLock::new();
    PARAMETERS.get_or_init(py, || {
        let kind_of = |name| match Config::default().set_parameter(name, 0.5) {
            _ if name == "keep_ties" => Kind::Flag,
            // Only a float can be a half.
            Ok(true) => Kind::Float,
            _ => Kind::Whole,
        };
        let parameter = |(name, _)| Parameter { name, key: PyString::intern(py, name).unbind(), kind: kind_of(name) };
        Config::default().parameters().map(parameter).collect()
    })
}

/// A parameter of Python's as a number.
pub fn real(value: &Bound<'_, PyAny>, name: &str) -> Result<f64> {
    match value.extract::<f64>() {
        Ok(number) => Ok(number),
        // An integer beyond all doubles is outside every range.
        Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => Ok(f64::INFINITY),
        Err(_) => {
            let given = value.get_type().name()?;
            Err(Fault::argument(format!("{name} must be a number, not {given}")))
        }
    }
}

/// A parameter that is a whole number of 64 bits.
pub fn long(value: &Bound<'_, PyAny>, name: &'static str) -> Result<u64> {
    match value.extract::<u64>() {
        Ok(number) => Ok(number),
        Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => {
            Err(Error::InvalidParameter { name, value: value.extract().unwrap_or(f64::NAN) }.into())
        }
        Err(_) => {
            let given = value.get_type().name()?;
            Err(Fault::argument(format!("{name} must be an integer, not {given}")))
        }
    }
}

/// How many, from Python.
pub struct Count(pub usize);

impl<'a, 'py> FromPyObject<'a, 'py> for Count {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Count> {
        // More than there can be is as good as the most.
        Ok(Count(usize::try_from(long(&object, "count")?).unwrap_or(usize::MAX)))
    }
}

/// The configuration that the attributes of an object say.
pub fn config_of(object: &Bound<'_, PyAny>) -> Result<Config> {
    let mut config = Config {
        seed: long(&object.getattr("seed")?, "seed")?,
        stream: long(&object.getattr("stream")?, "stream")?,
        ..Config::default()
    };
    for Parameter { name, key, .. } in parameters(object.py()) {
        config.set_parameter(name, real(&object.getattr(key)?, name)?)?;
    }
    Ok(config)
}

/// A configuration object, refused where it is none.
pub fn config_argument(object: &Bound<'_, PyAny>) -> Result<Config> {
    if !object.is_instance(class(object.py())?)? {
        let given = object.get_type().name()?;
        return Err(Fault::argument(format!("config must be an argpick.Config, not {given}")));
    }
    config_of(object)
}

/// The configuration of a call that takes one, or fields of one, or one with fields replaced.
pub fn config_from(
    py: Python<'_>,
    config: Option<&Bound<'_, PyAny>>,
    fields: Option<&Bound<'_, PyDict>>,
) -> Result<Config> {
    if config.is_none() && fields.is_none() {
        return Ok(Config::default());
    }
    config_of(&fields_into(class(py)?, config, fields)?)
}

/// An object of `class` from one given, fields of one, or one given with fields replaced.
pub fn fields_into<'py>(
    class: &Bound<'py, PyType>,
    config: Option<&Bound<'py, PyAny>>,
    fields: Option<&Bound<'py, PyDict>>,
) -> Result<Bound<'py, PyAny>> {
    let fields = fields.filter(|fields| !fields.is_empty());
    let Some(config) = config.filter(|config| !config.is_none()) else { return Ok(class.call((), fields)?) };
    if !config.is_instance(class)? {
        let (wanted, given) = (class.name()?, config.get_type().name()?);
        return Err(Fault::argument(format!("config must be an argpick.{wanted}, not {given}")));
    }
    match fields {
        None => Ok(config.clone()),
        Some(fields) => Ok(config.call_method("replace", (), Some(fields))?),
    }
}

/// The configuration as an object of the dataclass.
pub fn config_object<'py>(py: Python<'py>, config: &Config) -> PyResult<Bound<'py, PyAny>> {
    class(py)?.call((), Some(&fields_of(py, config)?))
}

fn fields_of<'py>(py: Python<'py>, config: &Config) -> PyResult<Bound<'py, PyDict>> {
    let fields = PyDict::new(py);
    fields.set_item("seed", config.seed)?;
    fields.set_item("stream", config.stream)?;
    for (Parameter { key, kind, .. }, (_, value)) in parameters(py).iter().zip(config.parameters()) {
        match kind {
            Kind::Flag => fields.set_item(key, value != 0.0)?,
            Kind::Float => fields.set_item(key, shortest(value as f32))?,
            Kind::Whole => fields.set_item(key, value as u64)?,
        }
    }
    Ok(fields)
}

/// Checks the fields of a configuration, and returns those which the library has in another form: floats that are not the
/// shortest double of their f32, numbers of other types than Python's own. `values` has all fields as attributes.
#[pyfunction]
#[pyo3(name = "_normal_config")]
pub fn normal_config<'py>(py: Python<'py>, values: &Bound<'py, PyAny>) -> Result<Bound<'py, PyDict>> {
    let config = config_of(values)?;
    // Ranges; that valid_vocab fits is known when there is a vocabulary.
    Decoder::<Memory>::storage_words(&config, MAX_VOCAB)?;
    let normal = fields_of(py, &config)?;
    for (key, value) in normal.copy()?.iter() {
        let given = values.getattr(key.cast::<PyString>().map_err(PyErr::from)?)?;
        if given.get_type().is(value.get_type()) && given.eq(&value)? {
            normal.del_item(key)?;
        }
    }
    Ok(normal)
}

/// The names of the parameters in the library's order, `seed` and `stream` first.
#[pyfunction]
#[pyo3(name = "_parameter_names")]
pub fn parameter_names() -> Vec<&'static str> {
    ["seed", "stream"].into_iter().chain(Config::default().parameters().map(|(name, _)| name)).collect()
}
