//! `argpick.Weights`: a sparse linear head, from a file, from bytes, or of NumPy arrays to be trained.

use crate::convert::{array, tuple};
use crate::decoder::PyDecoder;
use crate::fault::{Fault, Result};
use crate::gate::outside;
use crate::memory::{Element, Memory};
use crate::pick::PyPick;
use crate::rows::{MaskMemory, RowToWrite, bytes_of, floats, number, numbers};
use crate::sandbox::PyModel;
use argpick::logits::train::{Example, TrainableHead, score, train_step};
use argpick::weights::head::{BIAS, WEIGHTS, WEIGHTS_TRANSPOSED};
use argpick::weights::{
    Archive, ArrayView, Column, ColumnMatrix, ElementType, Format, Open, Order, Shape, SparseHead, Weights, write,
};
use argpick::{Error, Kernels, MAX_VOCAB};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use std::path::PathBuf;
use std::sync::{RwLock, RwLockReadGuard, TryLockError};

/// Where the numbers are.
pub enum Source {
    File(Weights),
    Arrays { matrix: Memory, bias: Memory },
}

impl Source {
    /// The head, columns contiguous.
    pub fn head(&self) -> Result<SparseHead<'_>> {
        match self {
            Source::File(weights) => Ok(weights.head()),
            Source::Arrays { matrix, bias } => {
                let (vocab, features) = (matrix.shape[0], matrix.shape[1]);
                let elements: &[f32] = matrix.slice(0, matrix.len());
                let weights = ColumnMatrix::new(bytemuck::cast_slice(elements), ElementType::F32, vocab, features)?;
                let offsets: &[f32] = bias.slice(0, bias.len());
                let bias = Column { bytes: bytemuck::cast_slice(offsets), element: ElementType::F32 };
                Ok(SparseHead::new(weights, bias)?)
            }
        }
    }

    /// Refuses memory that lies in the weights' own.
    fn apart_from(&self, other: &RowToWrite) -> Result<()> {
        let Source::Arrays { matrix, bias } = self else { return Ok(()) };
        match other.overlaps(matrix) || other.overlaps(bias) {
            true => Err(Fault::argument("out lies in the memory of the weights")),
            false => Ok(()),
        }
    }
}

/// A sparse linear head: ``z = b + sum_j a_j * W[:, c_j]``, W of shape (vocab, features), columns contiguous.
///
/// ``Weights(vocab, features)`` makes zeros to be trained; `from_arrays` takes NumPy arrays where they lie; `open` maps a file
/// (.npz or .safetensors with arrays W and b). Any number of threads may read the same weights; training needs them alone, and
/// whoever comes meanwhile gets `argpick.Busy`.
///
/// >>> import argpick
/// >>> weights = argpick.Weights(3, 2)
/// >>> step = weights.train_step([1], target=2, learning_rate=0.5)
/// >>> round(step.loss, 4), weights.logits([1]).argmax()
/// (1.0986, np.int64(2))
#[pyclass(frozen, name = "Weights", module = "argpick")]
pub struct PyWeights {
    source: RwLock<Source>,
    arrays: Option<(Py<PyAny>, Py<PyAny>)>,
    vocab: usize,
    features: usize,
}

/// Columns and their values as Python hands them over.
pub struct Columns {
    pub columns: Vec<u32>,
    pub values: Option<Vec<f32>>,
}

impl Columns {
    pub fn of(columns: &Bound<'_, PyAny>, values: Option<&Bound<'_, PyAny>>) -> Result<Columns> {
        let values = values.filter(|values| !values.is_none()).map(|values| floats(values, "values")).transpose()?;
        Ok(Columns { columns: numbers(columns, "column")?, values })
    }

    pub fn values(&self) -> Option<&[f32]> {
        self.values.as_deref()
    }
}

/// A head of Python's: weights, or those of a model of the sandbox.
pub enum HeadOf<'p> {
    Weights(RwLockReadGuard<'p, Source>),
    Model(&'p PyModel),
}

impl<'p> HeadOf<'p> {
    pub fn of(object: &'p Bound<'_, PyAny>) -> Result<HeadOf<'p>> {
        if let Ok(weights) = object.cast::<PyWeights>() {
            return Ok(HeadOf::Weights(weights.get().read()?));
        }
        if let Ok(model) = object.cast::<PyModel>() {
            return Ok(HeadOf::Model(model.get()));
        }
        let given = object.get_type().name()?;
        Err(Fault::argument(format!("weights must be argpick.Weights, not {given}")))
    }

    pub fn head(&self) -> Result<SparseHead<'_>> {
        match self {
            HeadOf::Weights(source) => source.head(),
            HeadOf::Model(model) => Ok(model.head()),
        }
    }
}

impl PyWeights {
    fn read(&self) -> Result<RwLockReadGuard<'_, Source>> {
        match self.source.try_read() {
            Ok(source) => Ok(source),
            Err(TryLockError::WouldBlock) => Err(Fault::Busy("weights")),
            Err(TryLockError::Poisoned(source)) => Ok(source.into_inner()),
        }
    }

    fn of_file(weights: Weights) -> Self {
        let (vocab, features) = (weights.vocab(), weights.features());
        PyWeights { source: RwLock::new(Source::File(weights)), arrays: None, vocab, features }
    }

    fn of_arrays(matrix: &Bound<'_, PyAny>, bias: &Bound<'_, PyAny>) -> Result<Self> {
        let (matrix_memory, bias_memory) = (Memory::of(matrix, "W")?, Memory::of(bias, "b")?);
        for (memory, what, rank) in [(&matrix_memory, "W", 2), (&bias_memory, "b", 1)] {
            if memory.element != Element::F32 {
                let found = memory.element.name();
                return Err(Fault::argument(format!("{what} is {found}; weights that are trained are float32")));
            }
            if memory.shape.len() != rank {
                return Err(Fault::argument(format!("{what} has {} dimensions, not {rank}", memory.shape.len())));
            }
            if !memory.writable || !memory.is_aligned() {
                return Err(Fault::argument(format!("{what} is read-only or not aligned: pass {what}.copy()")));
            }
        }
        if !matrix_memory.is_column_major() || !bias_memory.is_contiguous(1) {
            return Err(Fault::argument(
                "the columns of W and b must be contiguous: pass numpy.asfortranarray(W), numpy.ascontiguousarray(b)",
            ));
        }
        let (vocab, features) = (matrix_memory.shape[0], matrix_memory.shape[1]);
        check_shape(vocab, features)?;
        if bias_memory.len() != vocab {
            return Err(Error::WrongLength { what: "b", expected: vocab, actual: bias_memory.len() }.into());
        }
        Ok(PyWeights {
            source: RwLock::new(Source::Arrays { matrix: matrix_memory, bias: bias_memory }),
            arrays: Some((matrix.clone().unbind(), bias.clone().unbind())),
            vocab,
            features,
        })
    }
}

fn check_shape(vocab: usize, features: usize) -> Result<()> {
    for (name, value, most) in [("vocab", vocab, MAX_VOCAB), ("features", features, u32::MAX as usize)] {
        if value == 0 || value > most {
            return Err(Error::InvalidParameter { name, value: value as f64 }.into());
        }
    }
    Ok(())
}

#[pymethods]
impl PyWeights {
    #[new]
    fn new(py: Python<'_>, vocab: &Bound<'_, PyAny>, features: &Bound<'_, PyAny>) -> Result<Self> {
        let (vocab, features) = (number(vocab, "vocab")? as usize, number(features, "features")? as usize);
        check_shape(vocab, features)?;
        let zeros = py.import("argpick._arrays")?.getattr("zeros")?;
        let matrix = zeros.call1(((features, vocab),))?.getattr("T")?;
        PyWeights::of_arrays(&matrix, &zeros.call1((vocab,))?)
    }

    /// Opens a weight file, .npz or .safetensors with arrays W and b; the bytes decide which, not the name.
    ///
    /// The file is mapped: a large one opens in milliseconds, and only the columns used are read. Weights whose columns are not
    /// contiguous are transposed once into memory, and `notes` says so. ``copy=True`` reads the whole file instead, for hosts
    /// that cannot promise that nobody shortens or overwrites it; ``verify=True`` compares the checksums of a .npz.
    #[classmethod]
    #[pyo3(signature = (path, *, copy = false, verify = false))]
    fn open(_class: &Bound<'_, PyType>, py: Python<'_>, path: PathBuf, copy: bool, verify: bool) -> Result<Self> {
        let weights = outside(py, true, || Weights::open(&path, Open { copy, verify }))?;
        Ok(PyWeights::of_file(weights.map_err(|error| Fault::About(path.display().to_string(), error))?))
    }

    /// Weights from the bytes of a file, which are copied.
    #[classmethod]
    #[pyo3(signature = (data, *, verify = false))]
    fn from_bytes(_class: &Bound<'_, PyType>, py: Python<'_>, data: &Bound<'_, PyAny>, verify: bool) -> Result<Self> {
        let bytes = bytes_of(data, "data")?;
        let weights = outside(py, true, || -> argpick::Result<Weights> {
            if verify {
                Archive::parse(&bytes)?.entries().try_for_each(|entry| entry.verify().map(drop))?;
            }
            Weights::from_bytes(bytes)
        })??;
        Ok(PyWeights::of_file(weights))
    }

    /// Arrays as weights to be trained, where they lie: W of shape (vocab, features), float32, column-major
    /// (``numpy.asfortranarray``), and b of shape (vocab,). Between calls they may be read and written.
    #[classmethod]
    #[allow(non_snake_case, reason = "the names of the model")]
    #[pyo3(signature = (W, b))]
    fn from_arrays(_class: &Bound<'_, PyType>, W: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> Result<Self> {
        PyWeights::of_arrays(W, b)
    }

    /// The number of logits.
    #[getter]
    fn vocab(&self) -> usize {
        self.vocab
    }

    /// The number of columns.
    #[getter]
    fn features(&self) -> usize {
        self.features
    }

    /// ``(vocab, features)``.
    #[getter]
    fn shape(&self) -> (usize, usize) {
        (self.vocab, self.features)
    }

    /// Whether `train_step` can be called: the weights are arrays, not a file.
    #[getter]
    fn is_trainable(&self) -> bool {
        self.arrays.is_some()
    }

    /// Whether the weights are used where they lie, in the file or in the arrays.
    #[getter]
    fn is_in_place(&self) -> Result<bool> {
        Ok(match &*self.read()? {
            Source::File(weights) => weights.is_in_place(),
            Source::Arrays { .. } => true,
        })
    }

    /// What a user may want to be told about a file: that W had to be transposed, that it is rounded.
    #[getter]
    fn notes(&self) -> Result<Vec<String>> {
        Ok(match &*self.read()? {
            Source::File(weights) => weights.notes().to_vec(),
            Source::Arrays { .. } => Vec::new(),
        })
    }

    /// Whether the file is no longer what it was when it was opened; False for weights that are no file.
    fn has_changed(&self) -> Result<bool> {
        Ok(match &*self.read()? {
            Source::File(weights) => weights.has_changed(),
            Source::Arrays { .. } => false,
        })
    }

    /// W, the array itself: shape (vocab, features). Raises ReadOnly for the weights of a file.
    #[getter]
    fn matrix(&self, py: Python<'_>) -> Result<Py<PyAny>> {
        self.arrays.as_ref().map(|(matrix, _)| matrix.clone_ref(py)).ok_or(Fault::ReadOnly)
    }

    /// b, the array itself: shape (vocab,). Raises ReadOnly for the weights of a file.
    #[getter]
    fn bias(&self, py: Python<'_>) -> Result<Py<PyAny>> {
        self.arrays.as_ref().map(|(_, bias)| bias.clone_ref(py)).ok_or(Fault::ReadOnly)
    }

    /// Asks the system to start reading these columns of a mapped file.
    fn prefetch(&self, columns: &Bound<'_, PyAny>) -> Result<()> {
        let columns = numbers(columns, "column")?;
        if let Some(&column) = columns.iter().find(|&&column| column as usize >= self.features) {
            return Err(Error::ColumnOutOfRange { column, columns: self.features }.into());
        }
        if let Source::File(weights) = &*self.read()? {
            weights.prefetch(&columns)?;
        }
        Ok(())
    }

    /// Writes W and b to a file that can be opened without a copy: .npz or .safetensors, by the name's ending or `format`. The
    /// file appears whole or not at all.
    #[pyo3(signature = (path, format = None))]
    fn save(&self, py: Python<'_>, path: PathBuf, format: Option<&str>) -> Result<()> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("");
        let (format, name, dimensions, order) = match format.unwrap_or(ending) {
            "npz" => (Format::Npz, WEIGHTS, [self.vocab, self.features], Order::ColumnMajor),
            "safetensors" => (Format::Safetensors, WEIGHTS_TRANSPOSED, [self.features, self.vocab], Order::RowMajor),
            other => {
                return Err(Fault::Value("format", format!("format is {other:?}; it is npz or safetensors")));
            }
        };
        let source = self.read()?;
        let head = source.head()?;
        let wrong = Error::WrongLength { what: "the weights", expected: usize::MAX, actual: self.features };
        let shape = Shape::new(&dimensions).ok_or(wrong)?;
        let bias_shape = Shape::new(&[self.vocab]).ok_or(wrong)?;
        let arrays = [
            ArrayView::new(name, head.weights.element(), shape, order, head.weights.bytes())?,
            ArrayView::new(BIAS, head.bias.element, bias_shape, Order::RowMajor, head.bias.bytes)?,
        ];
        outside(py, true, || write::save(&path, format, &arrays))?
            .map_err(|error| Fault::About(path.display().to_string(), error))
    }

    /// The row ``b + sum_j values[j] * W[:, columns[j]]``, one column after the other; without values each is 1. With `out`,
    /// an array of float32, it is written there, and `out` returned. The same bits on every processor.
    #[pyo3(signature = (columns, values = None, out = None))]
    fn logits<'py>(
        &self,
        py: Python<'py>,
        columns: &Bound<'py, PyAny>,
        values: Option<&Bound<'py, PyAny>>,
        out: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        let columns = Columns::of(columns, values)?;
        let out = match out.filter(|out| !out.is_none()) {
            Some(out) => out,
            None => array(py, &vec![0; 4 * self.vocab], "float32")?,
        };
        let mut memory = RowToWrite::of(&out, "out")?;
        let source = self.read()?;
        source.apart_from(&memory)?;
        let (head, kernels, row) = (source.head()?, Kernels::detect()?, memory.values());
        let long = row.len() >= crate::gate::LONG;
        outside(py, long, || argpick::logits::project(kernels, &head, &columns.columns, columns.values(), row))??;
        Ok(out)
    }

    /// One step of online training: softmax cross-entropy against a target by stochastic gradient descent.
    ///
    /// With z the row that `logits` computes, p its softmax and ``g = p - onehot(target)``: ``b -= learning_rate * g`` and
    /// ``W[:, columns[j]] -= learning_rate * values[j] * g``. Returns `argpick.TrainStep`: the loss and the argmax before the
    /// update, whether the argmax was the target, and g. After an error the weights are as they were.
    #[pyo3(signature = (columns, target, learning_rate, values = None))]
    fn train_step<'py>(
        &self,
        py: Python<'py>,
        columns: &Bound<'py, PyAny>,
        target: &Bound<'py, PyAny>,
        learning_rate: f64,
        values: Option<&Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        let (columns, target) = (Columns::of(columns, values)?, number(target, "token")?);
        let example = Example { columns: &columns.columns, values: columns.values(), target };
        let mut gradient = vec![0.0; self.vocab];
        let kernels = Kernels::detect()?;
        let mut source = match self.source.try_write() {
            Ok(source) => source,
            Err(TryLockError::WouldBlock) => return Err(Fault::Busy("weights")),
            Err(TryLockError::Poisoned(source)) => source.into_inner(),
        };
        let Source::Arrays { matrix, bias } = &mut *source else { return Err(Fault::ReadOnly) };
        let (weights, bias) = Memory::pair_mut(matrix, bias);
        let learned = outside(py, self.vocab >= crate::gate::LONG, || {
            train_step(kernels, TrainableHead { weights, bias }, &example, learning_rate as f32, &mut gradient)
        })??;
        let gradient = array(py, bytemuck::cast_slice(&gradient), "float32")?;
        Ok(tuple(py, "TrainStep", (learned.loss, learned.argmax, learned.correct, gradient))?)
    }

    /// How the head does on an example, without learning from it: ``(loss, argmax, correct)``.
    #[pyo3(signature = (columns, target, values = None))]
    fn score<'py>(
        &self,
        py: Python<'py>,
        columns: &Bound<'py, PyAny>,
        target: &Bound<'py, PyAny>,
        values: Option<&Bound<'py, PyAny>>,
    ) -> Result<(f64, u32, bool)> {
        let (columns, target) = (Columns::of(columns, values)?, number(target, "token")?);
        let example = Example { columns: &columns.columns, values: columns.values(), target };
        let (source, kernels) = (self.read()?, Kernels::detect()?);
        let head = source.head()?;
        let mut scratch = vec![0.0; self.vocab];
        let found = outside(py, self.vocab >= crate::gate::LONG, || score(kernels, &head, &example, &mut scratch))??;
        Ok((found.loss.into(), found.argmax, found.correct))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>, py: Python<'py>) -> Result<Bound<'py, PyTuple>> {
        let (matrix, bias) =
            slf.get().arrays.as_ref().ok_or_else(|| {
                Fault::argument("the weights of a file cannot be pickled: pickle its path, or its bytes")
            })?;
        let restore = slf.get_type().getattr("from_arrays")?;
        Ok((restore, (matrix.clone_ref(py), bias.clone_ref(py))).into_pyobject(py)?)
    }

    fn __repr__(&self) -> String {
        let kind = if self.arrays.is_some() { "trainable" } else { "of a file" };
        format!("<argpick.Weights of {} logits and {} columns, {kind}>", self.vocab, self.features)
    }
}

#[pymethods]
impl PyDecoder {
    /// Head and pick in one: a step on the row that `Weights.logits` would compute, which is not written. The pick is that of
    /// `decode` on the written row, bit for bit.
    #[pyo3(signature = (weights, columns, values = None, mask = None))]
    fn decode_sparse(
        &self,
        py: Python<'_>,
        weights: &Bound<'_, PyAny>,
        columns: &Bound<'_, PyAny>,
        values: Option<&Bound<'_, PyAny>>,
        mask: Option<&Bound<'_, PyAny>>,
    ) -> Result<PyPick> {
        let (columns, mask) = (Columns::of(columns, values)?, MaskMemory::of(mask, self.vocab)?);
        let (source, words) = (HeadOf::of(weights)?, mask.words());
        let head = source.head()?;
        let pick = self.gate.enter(py, self.is_long(), |decoder| {
            decoder.decode_sparse(&head, &columns.columns, columns.values(), words)
        })??;
        Ok(PyPick(pick))
    }

    /// Picks a token as `decode_sparse` would and does not record it.
    #[pyo3(signature = (weights, columns, values = None, mask = None))]
    fn evaluate_sparse(
        &self,
        py: Python<'_>,
        weights: &Bound<'_, PyAny>,
        columns: &Bound<'_, PyAny>,
        values: Option<&Bound<'_, PyAny>>,
        mask: Option<&Bound<'_, PyAny>>,
    ) -> Result<PyPick> {
        let (columns, mask) = (Columns::of(columns, values)?, MaskMemory::of(mask, self.vocab)?);
        let (source, words) = (HeadOf::of(weights)?, mask.words());
        let head = source.head()?;
        let pick = self.gate.enter(py, self.is_long(), |decoder| {
            decoder.evaluate_sparse(&head, &columns.columns, columns.values(), words)
        })??;
        Ok(PyPick(pick))
    }
}

/// The names and shapes of the arrays of a weight file, with their element types: what `argpick inspect` lists.
#[pyfunction]
pub fn inspect<'py>(py: Python<'py>, path: PathBuf) -> Result<Bound<'py, PyDict>> {
    let about = |error| Fault::About(path.display().to_string(), error);
    let (bytes, _) = argpick::weights::map::Bytes::map(&path).map_err(about)?;
    let archive = Archive::parse(&bytes).map_err(about)?;
    let found = PyDict::new(py);
    for entry in archive.entries() {
        let value = match entry.array() {
            Ok(view) => {
                (view.element().name(), PyTuple::new(py, view.shape().dimensions())?).into_pyobject(py)?.into_any()
            }
            Err(error) => Fault::Core(error).exception(py).into_value(py).into_bound(py).into_any(),
        };
        found.set_item(entry.name().to_string(), value)?;
    }
    Ok(found)
}
