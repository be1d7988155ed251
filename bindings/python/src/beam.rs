//! `argpick.BeamSearch`.

use crate::batch::decoders_of;
use crate::config::{fields_into, long, real, shortest};
use crate::convert::{array, tokens as token_array, tuple};
use crate::decoder::{allocate, vocab_of};
use crate::fault::{Fault, Result};
use crate::gate::{Gate, LONG, Several};
use crate::pick::finish_object;
use crate::rows::{MasksMemory, RowsMemory, numbers};
use argpick::{BeamConfig, BeamSearch, Continuation, EarlyStopping, Error, Kernels, MAX_VOCAB, Profile};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyType};

/// The dataclass.
fn class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "argpick._beam", "BeamConfig")
}

fn whole(object: &Bound<'_, PyAny>, name: &'static str) -> Result<u32> {
    let value = real(&object.getattr(name)?, name)?;
    let number = value as u32;
    if f64::from(number) == value { Ok(number) } else { Err(Error::InvalidParameter { name, value }.into()) }
}

fn float(object: &Bound<'_, PyAny>, name: &'static str) -> Result<f32> {
    Ok(real(&object.getattr(name)?, name)? as f32)
}

/// The configuration that the attributes of an object say.
fn config_of(object: &Bound<'_, PyAny>) -> Result<BeamConfig<'static>> {
    let choice = |name: &'static str| whole(object, name);
    let unknown = |name, value: u32| Fault::Core(Error::InvalidParameter { name, value: value.into() });
    let (profile, stopping) = (choice("profile")?, choice("early_stopping")?);
    let known = [EarlyStopping::Never, EarlyStopping::Heuristic, EarlyStopping::Full];
    Ok(BeamConfig {
        profile: Profile::from_number(profile).ok_or_else(|| unknown("profile", profile))?,
        beams: whole(object, "beams")?,
        groups: whole(object, "groups")?,
        diversity_penalty: float(object, "diversity_penalty")?,
        length_penalty: float(object, "length_penalty")?,
        early_stopping: *known.get(stopping as usize).ok_or_else(|| unknown("early_stopping", stopping))?,
        temperature: float(object, "temperature")?,
        min_tokens: whole(object, "min_tokens")?,
        max_tokens: whole(object, "max_tokens")?,
        n_best: whole(object, "n_best")?,
        valid_vocab: whole(object, "valid_vocab")?,
        end_tokens: &[],
    })
}

/// The fields of a configuration for searches, checked; floats as the shortest double of their f32.
#[pyfunction]
#[pyo3(name = "_normal_beam_config")]
pub fn normal_beam_config<'py>(py: Python<'py>, values: &Bound<'py, PyAny>) -> Result<Bound<'py, PyDict>> {
    let config = config_of(values)?;
    BeamSearch::<argpick::Memory>::storage_words(&config, MAX_VOCAB)?;
    fields_of(py, &config)
}

fn fields_of<'py>(py: Python<'py>, config: &BeamConfig<'_>) -> Result<Bound<'py, PyDict>> {
    let fields = PyDict::new(py);
    let numbers = [
        ("profile", config.profile as u32),
        ("early_stopping", config.early_stopping as u32),
        ("beams", config.beams),
        ("groups", config.groups),
        ("min_tokens", config.min_tokens),
        ("max_tokens", config.max_tokens),
        ("n_best", config.n_best),
        ("valid_vocab", config.valid_vocab),
    ];
    for (name, value) in numbers {
        fields.set_item(name, value)?;
    }
    let floats = [
        ("diversity_penalty", config.diversity_penalty),
        ("length_penalty", config.length_penalty),
        ("temperature", config.temperature),
    ];
    for (name, value) in floats {
        fields.set_item(name, shortest(value))?;
    }
    Ok(fields)
}

/// What is in the gate.
struct Search {
    search: BeamSearch,
    config: BeamConfig<'static>,
    end_tokens: Vec<u32>,
}

/// The number of a live beam.
fn beam_of(beam: &Bound<'_, PyAny>) -> Result<usize> {
    // One that is too large for the machine is no beam either.
    Ok(usize::try_from(long(beam, "beam")?).unwrap_or(usize::MAX))
}

fn new_search(config: &BeamConfig<'static>, vocab: usize, end_tokens: Vec<u32>) -> Result<Search> {
    let kernels = Kernels::detect()?;
    let whole = BeamConfig { end_tokens: &end_tokens, ..*config };
    let words = BeamSearch::<argpick::Memory>::storage_words(&whole, vocab)?;
    let search = BeamSearch::new_in(&whole, vocab, kernels, allocate(words)?)?;
    Ok(Search { search, config: *config, end_tokens })
}

/// A beam search: rows of logits in, the best continuations out. It knows no model.
///
/// ``BeamSearch(vocab, config=None, *, end_tokens=(), **fields)``: `fields` are those of `argpick.BeamConfig`, by their names
/// in C. Hand it a row for each live beam (one at first) by `step`, reorder your own state by the parents it answers, and go on
/// until `is_finished`; `hypotheses()` are the best sequences at any time.
///
/// >>> import numpy, argpick
/// >>> search = argpick.BeamSearch(4, beams=2, max_tokens=8, end_tokens=[3])
/// >>> search.step(numpy.array([[1.0, 3.0, 2.5, -1.0]], numpy.float32)).live["token"].tolist()
/// [1, 2]
/// >>> while not search.is_finished:
/// ...     step = search.step(numpy.tile(numpy.array([0.0, 0.5, 0.0, 4.0], numpy.float32), (search.live, 1)))
/// >>> search.hypotheses()[0].tokens.tolist()
/// [1, 3]
#[pyclass(frozen, name = "BeamSearch", module = "argpick")]
pub struct PyBeamSearch {
    gate: Gate<Search>,
    vocab: usize,
}

impl PyBeamSearch {
    fn look<R: Send>(&self, py: Python<'_>, body: impl FnOnce(&mut Search) -> R + Send) -> Result<R> {
        self.gate.enter(py, false, body)
    }
}

/// The configuration of a call that takes one, or fields of one, or one with fields replaced.
pub fn config_from(
    py: Python<'_>,
    config: Option<&Bound<'_, PyAny>>,
    fields: Option<&Bound<'_, PyDict>>,
) -> Result<BeamConfig<'static>> {
    config_of(&fields_into(class(py)?, config, fields)?)
}

fn continuations<'py>(py: Python<'py>, entries: &[Continuation]) -> PyResult<Bound<'py, PyAny>> {
    let mut bytes = Vec::with_capacity(16 * entries.len());
    for entry in entries {
        bytes.extend_from_slice(&entry.parent.to_ne_bytes());
        bytes.extend_from_slice(&entry.token.to_ne_bytes());
        bytes.extend_from_slice(&entry.score.to_ne_bytes());
    }
    array(py, &bytes, "continuation")
}

#[pymethods]
impl PyBeamSearch {
    #[new]
    #[pyo3(signature = (vocab, config = None, *, end_tokens = None, **fields))]
    fn new(
        py: Python<'_>,
        vocab: &Bound<'_, PyAny>,
        config: Option<&Bound<'_, PyAny>>,
        end_tokens: Option<&Bound<'_, PyAny>>,
        fields: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self> {
        let vocab = vocab_of(vocab)?;
        let ends = end_tokens.map(|tokens| numbers(tokens, "token")).transpose()?.unwrap_or_default();
        let search = new_search(&config_from(py, config, fields)?, vocab, ends)?;
        Ok(PyBeamSearch { gate: Gate::new("beam search", search), vocab })
    }

    /// The length of the rows.
    #[getter]
    fn vocab(&self) -> usize {
        self.vocab
    }

    /// The configuration in force, an `argpick.BeamConfig`.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        let config = self.look(py, |inside| inside.config)?;
        Ok(class(py)?.call((), Some(&fields_of(py, &config)?))?)
    }

    /// The tokens that end a beam.
    #[getter]
    fn end_tokens<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        let ends = self.look(py, |inside| inside.end_tokens.clone())?;
        Ok(token_array(py, &ends)?)
    }

    /// Beams that go on: so many rows the next step takes. 1 before the first step, 0 when the search is finished.
    #[getter]
    fn live(&self, py: Python<'_>) -> Result<usize> {
        self.look(py, |inside| inside.search.live())
    }

    /// Tokens of each live beam.
    #[getter]
    fn length(&self, py: Python<'_>) -> Result<u32> {
        self.look(py, |inside| inside.search.length())
    }

    /// Entries that a step can answer at most.
    #[getter]
    fn outputs(&self, py: Python<'_>) -> Result<usize> {
        self.look(py, |inside| inside.search.outputs())
    }

    /// Whether there is nothing left to do.
    #[getter]
    fn is_finished(&self, py: Python<'_>) -> Result<bool> {
        self.look(py, |inside| inside.search.is_finished())
    }

    /// Takes a row for each live beam and chooses how the search goes on.
    ///
    /// `rows` and `masks` are as for `argpick.decode_batch`. Returns `argpick.BeamStep`: `live` and `ended`, arrays of
    /// `argpick.CONTINUATION` (parent, token, score), and `finished`. Beam i of the next step continues beam
    /// ``live["parent"][i]`` of this one with ``live["token"][i]``.
    ///
    /// With `decoders`, one for each beam of the configuration, row i is adjusted as decoder i would adjust it (biases, bans,
    /// windows, penalties); afterwards decoder i has the history of beam i. After an error everything is as it was; its `row`
    /// says which one is to blame.
    #[pyo3(signature = (rows, masks = None, decoders = None))]
    fn step<'py>(
        &self,
        py: Python<'py>,
        rows: &Bound<'py, PyAny>,
        masks: Option<&Bound<'py, PyAny>>,
        decoders: Option<&Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        let (rows_memory, masks_memory) = (RowsMemory::of(rows)?, MasksMemory::of(masks, self.vocab)?);
        let (rows, masks) = (rows_memory.rows(), masks_memory.masks());
        masks_memory.check(&masks, rows.len())?;
        let decoders = decoders.filter(|decoders| !decoders.is_none()).map(decoders_of).transpose()?;
        let mut company = match &decoders {
            Some(decoders) => Some(Several::enter(decoders.iter().map(|decoder| &decoder.get().gate))?),
            None => None,
        };
        let long = rows.len() * self.vocab >= LONG;
        let beside = company.as_mut().map(Several::values);
        let answer = self.gate.enter(py, long, |inside| {
            let search = &mut inside.search;
            let mut next = vec![Continuation::default(); search.outputs()];
            let step = match beside {
                Some(decoders) => search.step_with_decoders(decoders, &rows, &masks, &mut next),
                None => search.step(&rows, &masks, &mut next),
            };
            match step {
                Ok(step) => Ok((next, step)),
                Err(error) => Err(match search.failed_row() {
                    Some(row) => Fault::Row(row, error),
                    None => Fault::Core(error),
                }),
            }
        });
        if let (Err(Fault::Panic(_)), Some(company)) = (&answer, &mut company) {
            company.lose();
        }
        let (next, step) = answer??;
        let (live, rest) = next.split_at(step.live);
        let fields = (continuations(py, live)?, continuations(py, &rest[..step.ended])?, step.finished);
        Ok(tuple(py, "BeamStep", fields)?)
    }

    /// The tokens of a live beam.
    fn beam_tokens<'py>(&self, py: Python<'py>, beam: &Bound<'_, PyAny>) -> Result<Bound<'py, PyAny>> {
        let beam = beam_of(beam)?;
        let tokens = self.look(py, |inside| -> argpick::Result<Vec<u32>> {
            let mut tokens = vec![0; inside.search.length() as usize];
            inside.search.beam_tokens(beam, &mut tokens)?;
            Ok(tokens)
        })??;
        Ok(token_array(py, &tokens)?)
    }

    /// The sum of the log-probabilities of a live beam.
    fn beam_score(&self, py: Python<'_>, beam: &Bound<'_, PyAny>) -> Result<f64> {
        let beam = beam_of(beam)?;
        let score = self.look(py, |inside| inside.search.beam_score(beam))?;
        score.ok_or(Fault::Core(Error::InvalidParameter { name: "beam", value: beam as f64 }))
    }

    /// The best sequences that have ended, best first: a list of `argpick.Hypothesis`. Before the search is finished, the best
    /// so far.
    fn hypotheses<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyList>> {
        let found = self.look(py, |inside| -> argpick::Result<Vec<_>> {
            let search = &inside.search;
            let told = |rank| -> argpick::Result<_> {
                let missing = Error::InvalidParameter { name: "rank", value: rank as f64 };
                let hypothesis = search.hypothesis(rank).ok_or(missing)?;
                let mut tokens = vec![0; hypothesis.length as usize];
                search.hypothesis_tokens(rank, &mut tokens)?;
                Ok((hypothesis, tokens))
            };
            (0..search.hypotheses()).map(told).collect()
        })??;
        let tuples = found.into_iter().map(|(told, tokens)| {
            let finish = finish_object(py, told.finish)?;
            tuple(py, "Hypothesis", (token_array(py, &tokens)?, told.score, told.logprob, finish))
        });
        Ok(PyList::new(py, tuples.collect::<PyResult<Vec<_>>>()?)?)
    }

    /// Starts a search anew: with the configuration and the end tokens in force where they are left out.
    #[pyo3(signature = (config = None, *, end_tokens = None, **fields))]
    fn reset(
        &self,
        py: Python<'_>,
        config: Option<&Bound<'_, PyAny>>,
        end_tokens: Option<&Bound<'_, PyAny>>,
        fields: Option<&Bound<'_, PyDict>>,
    ) -> Result<()> {
        let ends = end_tokens.map(|tokens| numbers(tokens, "token")).transpose()?;
        let given = config.is_some_and(|config| !config.is_none());
        let changed = given || ends.is_some() || fields.is_some_and(|fields| !fields.is_empty());
        if !changed {
            return Ok(self.look(py, |inside| inside.search.reset(None))??);
        }
        let config = match config.filter(|_| given) {
            Some(config) => config_from(py, Some(config), fields)?,
            None => config_from(py, Some(&self.config(py)?), fields)?,
        };
        self.look(py, |inside| -> Result<()> {
            let ends = ends.unwrap_or_else(|| inside.end_tokens.clone());
            // The old one stays until there is a new one.
            *inside = new_search(&config, inside.search.vocab(), ends)?;
            Ok(())
        })?
    }

    /// A second search in the same state.
    fn copy(&self, py: Python<'_>) -> Result<PyBeamSearch> {
        let copy = self.look(py, |inside| Search {
            search: inside.search.clone(),
            config: inside.config,
            end_tokens: inside.end_tokens.clone(),
        })?;
        Ok(PyBeamSearch { gate: Gate::new("beam search", copy), vocab: self.vocab })
    }

    fn __repr__(&self, py: Python<'_>) -> Result<String> {
        let (live, length) = self.look(py, |inside| (inside.search.live(), inside.search.length()))?;
        Ok(format!("<argpick.BeamSearch of {} tokens, {live} live beams of length {length}>", self.vocab))
    }
}
