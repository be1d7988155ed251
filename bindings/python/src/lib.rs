//! The extension module `argpick._argpick`: the core's Rust API for Python. `python/argpick/__init__.py` is what users import.
//!
//! | module | what it holds |
//! |---|---|
//! | `fault`, `gate` | errors as exceptions; one thread at a time |
//! | `memory`, `rows` | memory of Python objects where it lies (all of the `unsafe`); rows, masks and lists made of it |
//! | `config`, `pick`, `convert` | configurations, picks and other results as Python objects |
//! | `decoder`, `lists`, `query`, `batch` | `Decoder` and what asks one row or many |
//! | `beam`, `speculative`, `recorder`, `trace`, `weights` | the other conductors, and the sparse head |
//! | `sandbox` | `argpick.sandbox` |
//! | `lab` | `argpick.sweep` |
#![deny(unsafe_code)]
#![allow(clippy::needless_pass_by_value, reason = "PyO3 hands arguments over by value")]

mod batch;
mod beam;
mod config;
mod convert;
mod decoder;
mod fault;
mod gate;
mod lab;
mod lists;
#[allow(unsafe_code)]
mod memory;
mod pick;
mod query;
mod recorder;
mod rows;
mod sandbox;
mod speculative;
mod trace;
mod weights;

use argpick::{Kernels, Level};
use fault::Result;
use pyo3::prelude::*;

/// The kernel level in use: the fastest that this processor has, or the one that the environment variable ARGPICK_KERNEL
/// names. All levels give the same bits. Raises UnknownKernel or KernelUnavailable where that asks for what is not there.
#[pyfunction]
fn kernel() -> Result<&'static str> {
    Ok(Kernels::detect()?.level().name())
}

/// The kernel levels that this processor can run, from the slowest to the fastest.
#[pyfunction]
fn kernels() -> Vec<&'static str> {
    Level::ALL.into_iter().filter(|level| level.is_available()).map(Level::name).collect()
}

/// How many nanoseconds each of `rounds` steps takes in the library itself, without Python: what benchmarks/overhead.py
/// subtracts.
#[pyfunction]
#[pyo3(name = "_nanoseconds_of_decode")]
fn nanoseconds_of_decode(
    py: Python<'_>,
    decoder: &Bound<'_, decoder::PyDecoder>,
    row: &Bound<'_, PyAny>,
    rounds: usize,
) -> Result<Vec<u64>> {
    let memory = rows::RowMemory::of(row)?;
    let row = memory.row();
    decoder
        .get()
        .gate
        .enter(py, false, |decoder| -> argpick::Result<Vec<u64>> {
            let mut times = Vec::with_capacity(rounds);
            for _ in 0..rounds {
                let start = std::time::Instant::now();
                std::hint::black_box(decoder.decode(row, None)?);
                times.push(start.elapsed().as_nanos() as u64);
            }
            Ok(times)
        })?
        .map_err(Into::into)
}

#[pymodule]
mod _argpick {
    #[pymodule_export]
    use super::batch::decode_many;
    #[pymodule_export]
    use super::beam::{PyBeamSearch, normal_beam_config};
    #[pymodule_export]
    use super::config::{normal_config, parameter_names};
    #[pymodule_export]
    use super::decoder::PyDecoder;
    #[pymodule_export]
    use super::lab::{PyResults, PySweep};
    #[pymodule_export]
    use super::pick::PyPick;
    #[pymodule_export]
    use super::query::{score, score_batch, softmax};
    #[pymodule_export]
    use super::recorder::PyRecorder;
    #[pymodule_export]
    use super::sandbox::{PyModel, sandbox_find_loop, sandbox_texts, sandbox_tokens, sandbox_train};
    #[pymodule_export]
    use super::speculative::verify;
    #[pymodule_export]
    use super::trace::{PyReplay, PyTrace};
    #[pymodule_export]
    use super::weights::{PyWeights, inspect};
    #[pymodule_export]
    use super::{kernel, kernels, nanoseconds_of_decode};

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("NUMERICS_VERSION", argpick::numeric::NUMERICS_VERSION)?;
        module.add("MAX_VOCAB", argpick::MAX_VOCAB)?;
        module.add("MAX_DRAFT", argpick::MAX_DRAFT)?;
        module.add("MAX_SIBLINGS", argpick::MAX_SIBLINGS)?;
        module.add("ROOT", argpick::ROOT)?;
        Ok(())
    }
}
