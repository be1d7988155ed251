//! What goes back to Python: NumPy arrays, and the small named tuples of `argpick._types`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyDict, PyTuple};

/// A NumPy array of its own memory; `kind` names its element type in `argpick._arrays`.
pub fn array<'py>(py: Python<'py>, bytes: &[u8], kind: &str) -> PyResult<Bound<'py, PyAny>> {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let make =
        MAKE.get_or_try_init(py, || Ok::<_, PyErr>(py.import("argpick._arrays")?.getattr("array")?.unbind()))?.bind(py);
    make.call1((PyByteArray::new(py, bytes), kind))
}

/// An array of uint32.
pub fn tokens<'py>(py: Python<'py>, tokens: &[u32]) -> PyResult<Bound<'py, PyAny>> {
    array(py, bytemuck::cast_slice(tokens), "uint32")
}

/// A named tuple of `argpick._types`.
pub fn tuple<'py, T>(py: Python<'py>, name: &str, fields: T) -> PyResult<Bound<'py, PyAny>>
where
    T: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>>,
    PyErr: From<T::Error>,
{
    static TYPES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let types = TYPES.get_or_try_init(py, || Ok::<_, PyErr>(py.import("argpick._types")?.dict().unbind()))?;
    let class = types.bind(py).as_any().get_item(name)?;
    class.call1(fields.into_pyobject(py)?)
}
