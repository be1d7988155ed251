//! The result of a step as a Python object.

use argpick::{Finish, Pick};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

/// The token picked, and how sure the row was.
///
/// The fields are those of `argpick_pick` in C. What `metrics` did not ask for is NaN, or None where it would be an integer.
/// `margin`, `top1_probability` and `entropy` describe the row after biases and masks and before truncation; probabilities are
/// at the configured temperature. Two picks are equal if all fields are, a NaN equal to a NaN.
#[pyclass(frozen, name = "Pick", module = "argpick")]
#[derive(Clone, Copy)]
pub struct PyPick(pub Pick);

/// The member of `argpick.Finish`.
pub fn finish_object(py: Python<'_>, finish: Finish) -> PyResult<Py<PyAny>> {
    static MEMBERS: PyOnceLock<Vec<Py<PyAny>>> = PyOnceLock::new();
    let members = MEMBERS.get_or_try_init(py, || {
        let class = py.import("argpick._enums")?.getattr("Finish")?;
        (0..5).map(|number| Ok(class.call1((number,))?.unbind())).collect::<PyResult<Vec<_>>>()
    })?;
    Ok(members[finish as usize].clone_ref(py))
}

pub fn finish_from(number: u32) -> Option<Finish> {
    [Finish::None, Finish::Length, Finish::EndToken, Finish::Stop, Finish::Loop]
        .into_iter()
        .find(|&finish| finish as u32 == number)
}

fn known(value: u32) -> Option<u32> {
    (value != u32::MAX).then_some(value)
}

macro_rules! picks {
    ({ $($whole:ident, $whole_doc:literal;)* } { $($float:ident, $float_doc:literal;)* }) => {
        #[pymethods]
        impl PyPick {
            /// The token picked.
            #[getter]
            fn token(&self) -> u32 {
                self.0.token
            }
            /// The token with the highest logit, the lowest id among equals.
            #[getter]
            fn argmax(&self) -> u32 {
                self.0.argmax
            }
            /// Whether the sequence ends here, and why: an `argpick.Finish`, which is false for `Finish.NONE`.
            #[getter]
            fn finish(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
                finish_object(py, self.0.finish)
            }
            $(
                #[doc = $whole_doc]
                #[getter]
                fn $whole(&self) -> Option<u32> {
                    known(self.0.$whole)
                }
            )*
            $(
                #[doc = $float_doc]
                #[getter]
                fn $float(&self) -> f64 {
                    self.0.$float.into()
                }
            )*

            /// A pick from its fields; what is left out is unknown.
            #[new]
            #[pyo3(signature = (token, argmax, *, finish = 0, $($whole = None,)* $($float = f64::NAN,)*))]
            #[allow(clippy::too_many_arguments, reason = "the fields of a pick")]
            fn new(
                token: u32, argmax: u32, finish: u32, $($whole: Option<u32>,)* $($float: f64,)*
            ) -> PyResult<Self> {
                let finish = finish_from(finish)
                    .ok_or_else(|| PyTypeError::new_err(format!("{finish} is no argpick.Finish")))?;
                Ok(PyPick(Pick {
                    token,
                    argmax,
                    finish,
                    $($whole: $whole.unwrap_or(u32::MAX),)*
                    $($float: $float as f32,)*
                }))
            }

            /// All fields by name, in the order of the C struct's kinds: token, argmax, finish, integers, floats.
            #[allow(clippy::wrong_self_convention, reason = "it is a method of an object, and small")]
            fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
                let fields = PyDict::new(py);
                fields.set_item("token", self.0.token)?;
                fields.set_item("argmax", self.0.argmax)?;
                fields.set_item("finish", self.finish(py)?)?;
                $(fields.set_item(stringify!($whole), self.$whole())?;)*
                $(fields.set_item(stringify!($float), self.$float())?;)*
                Ok(fields)
            }

            fn __repr__(&self) -> String {
                let pick = &self.0;
                let mut text = format!("Pick(token={}, argmax={}", pick.token, pick.argmax);
                if pick.finish != Finish::None {
                    text += &format!(", finish={}", pick.finish as u32);
                }
                $(if let Some(value) = self.$whole() {
                    text += &format!(", {}={value}", stringify!($whole));
                })*
                $(if !pick.$float.is_nan() {
                    text += &format!(", {}={}", stringify!($float), float_text(pick.$float));
                })*
                text + ")"
            }
        }

        fn words(pick: &Pick) -> [u32; 3 + [$(stringify!($whole),)* $(stringify!($float),)*].len()] {
            let bits = |value: f32| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() };
            [pick.token, pick.argmax, pick.finish as u32, $(pick.$whole,)* $(bits(pick.$float),)*]
        }

        /// The fields that a pickle needs.
        fn pickled<'py>(py: Python<'py>, pick: &PyPick) -> PyResult<Bound<'py, PyDict>> {
            let fields = pick.to_dict(py)?;
            fields.set_item("finish", pick.0.finish as u32)?;
            Ok(fields)
        }
    };
}
picks! {
    {
    rank, "How many tokens stand before the picked one in the order of logits; 0 is the argmax. Asked for by `Metrics.RANK`.";
    kept, "How many tokens the filters kept; 1 in greedy mode. Asked for by `Metrics.KEPT`.";
    loop_period, "Period of the loop that the sequence ends with; 0: none. Asked for by `Metrics.LOOP`.";
    loop_repeats, "How many times that period stands at the end. Asked for by `Metrics.LOOP`.";
    }
    {
    margin, "Highest logit minus second highest, before temperature; inf if only one token takes part.";
    top1_probability, "Probability of the argmax. Asked for by `Metrics.CONFIDENCE`.";
    entropy, "Entropy in nats. Asked for by `Metrics.CONFIDENCE`.";
    logprob_raw, "ln of the picked token's probability in the row as given, at temperature 1. Asked for by `Metrics.LOGPROB_RAW`.";
    logprob, "ln of the picked token's probability among the tokens kept. Asked for by `Metrics.LOGPROB`.";
    kept_mass, "Probability of the tokens kept, together. Asked for by `Metrics.KEPT_MASS`.";
    cumulative_logprob, "Sum of logprob over the generated tokens, this one included. Asked for by `Metrics.LOGPROB`.";
    temperature, "The temperature in force.";
    flip_argmax, "No change of the logits smaller than this changes argmax. Asked for by `Metrics.FLIP`.";
    flip_kept, "No change of the logits smaller than this changes which tokens are kept. Asked for by `Metrics.FLIP`.";
    flip_token, "No change of the logits smaller than this changes the token. Asked for by `Metrics.FLIP`.";
    loop_score, "How recurrent the recent tokens are, 0 to 1. Asked for by `Metrics.LOOP`.";
    }
}

/// A number that Python reads back as the same f32.
fn float_text(value: f32) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "float('inf')".into() } else { "float('-inf')".into() };
    }
    format!("{value:?}")
}

#[pymethods]
impl PyPick {
    fn __eq__(&self, other: &PyPick) -> bool {
        words(&self.0) == words(&other.0)
    }

    fn __hash__(&self) -> u64 {
        words(&self.0)
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |sum, &word| (sum ^ u64::from(word)).wrapping_mul(0x0100_0000_01b3))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let restore = py.import("argpick._restore")?.getattr("pick")?;
        (restore, (pickled(py, self)?,)).into_pyobject(py)
    }
}
