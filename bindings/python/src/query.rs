//! Questions about a row that no token is picked for.

use crate::config::{Count, config_argument, real};
use crate::convert::{array, tuple};
use crate::decoder::{PyDecoder, allocate};
use crate::fault::{Fault, Result};
use crate::gate::outside;
use crate::pick::PyPick;
use crate::rows::{MaskMemory, RowMemory, RowToWrite, RowsMemory, number, numbers};
use argpick::{
    Candidate, DiagnosisLimits, Error, Kernels, Pick, RowDiagnosis, RowScore, StageReport, Verdict, sweep_words,
};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

/// The layout of `argpick.CANDIDATE`.
fn candidate_array<'py>(py: Python<'py>, candidates: &[Candidate]) -> PyResult<Bound<'py, PyAny>> {
    let words: Vec<u32> =
        candidates.iter().flat_map(|found| [found.token, found.logit.to_bits(), found.logprob.to_bits()]).collect();
    array(py, bytemuck::cast_slice(&words), "candidate")
}

impl PyDecoder {
    fn best<'py>(
        &self,
        py: Python<'py>,
        row: &Bound<'_, PyAny>,
        count: usize,
        mask: Option<&Bound<'_, PyAny>>,
        raw: bool,
    ) -> Result<Bound<'py, PyAny>> {
        let (row, mask) = (RowMemory::of(row)?, MaskMemory::of(mask, self.vocab)?);
        let (given, words) = (row.row(), mask.words());
        let best = self.gate.enter(py, self.is_long(), |decoder| -> argpick::Result<Vec<Candidate>> {
            let mut best = vec![Candidate::default(); count.min(decoder.vocab())];
            let found = match raw {
                true => decoder.top_raw(given, words, &mut best)?,
                false => decoder.top(given, words, &mut best)?,
            };
            best.truncate(found);
            Ok(best)
        })??;
        Ok(candidate_array(py, &best)?)
    }
}

#[pymethods]
impl PyDecoder {
    /// The first `count` tokens of the order (highest logit first, lower id first among equals) after biases and masks and
    /// before truncation: an array of `argpick.CANDIDATE` with fields token, logit, logprob. Costs a pass of exponentials.
    #[pyo3(signature = (row, count, mask = None))]
    fn top<'py>(
        &self,
        py: Python<'py>,
        row: &Bound<'_, PyAny>,
        count: Count,
        mask: Option<&Bound<'_, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        self.best(py, row, count.0, mask, false)
    }

    /// The same of the row as given, at temperature 1: without penalties, biases and bans.
    #[pyo3(signature = (row, count, mask = None))]
    fn top_raw<'py>(
        &self,
        py: Python<'py>,
        row: &Bound<'_, PyAny>,
        count: Count,
        mask: Option<&Bound<'_, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        self.best(py, row, count.0, mask, true)
    }

    /// The tokens that the filters keep, in ascending order of id: an array of `argpick.CANDIDATE`; logprob is among them.
    #[pyo3(signature = (row, mask = None))]
    fn kept<'py>(
        &self,
        py: Python<'py>,
        row: &Bound<'_, PyAny>,
        mask: Option<&Bound<'_, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        let (row, mask) = (RowMemory::of(row)?, MaskMemory::of(mask, self.vocab)?);
        let (given, words) = (row.row(), mask.words());
        let kept = self.gate.enter(py, self.is_long(), |decoder| -> argpick::Result<Vec<Candidate>> {
            let mut kept = vec![Candidate::default(); 256.min(decoder.vocab())];
            let count = decoder.kept(given, words, &mut kept)?;
            if count > kept.len() {
                kept.resize(count, Candidate::default());
                decoder.kept(given, words, &mut kept)?;
            }
            kept.truncate(count);
            Ok(kept)
        })??;
        Ok(candidate_array(py, &kept)?)
    }

    /// The probability with which `token` is picked from this row as configured: 0 if a filter removes it; in greedy mode 1 or
    /// 0.
    #[pyo3(signature = (row, token, mask = None))]
    fn probability_of(
        &self,
        py: Python<'_>,
        row: &Bound<'_, PyAny>,
        token: &Bound<'_, PyAny>,
        mask: Option<&Bound<'_, PyAny>>,
    ) -> Result<f64> {
        let (row, mask) = (RowMemory::of(row)?, MaskMemory::of(mask, self.vocab)?);
        let (given, words, token) = (row.row(), mask.words(), number(token, "token")?);
        let answer = self.gate.enter(py, self.is_long(), |decoder| decoder.probability_of(given, words, token))??;
        Ok(answer.into())
    }

    /// What each stage in force leaves of a row, in the order in which they run, the row itself first: a list of
    /// `argpick.Stage`. It is for questions, not for steps: it costs many passes.
    #[pyo3(signature = (row, mask = None))]
    fn explain<'py>(
        &self,
        py: Python<'py>,
        row: &Bound<'_, PyAny>,
        mask: Option<&Bound<'_, PyAny>>,
    ) -> Result<Bound<'py, PyList>> {
        let (row, mask) = (RowMemory::of(row)?, MaskMemory::of(mask, self.vocab)?);
        let (given, words) = (row.row(), mask.words());
        let reports = self.gate.enter(py, self.is_long(), |decoder| -> argpick::Result<Vec<StageReport>> {
            let mut reports = vec![StageReport::EMPTY; StageReport::MOST];
            let count = decoder.explain(given, words, &mut reports)?;
            reports.truncate(count);
            Ok(reports)
        })??;
        let stages = reports.iter().map(|report| {
            let (first, last) = (report.first(), report.last());
            let numbers = (report.kept_mass, report.temperature);
            let fields =
                (report.name, report.parameter, report.kept, numbers.0, numbers.1, first.0, first.1, last.0, last.1);
            tuple(py, "Stage", fields)
        });
        Ok(PyList::new(py, stages.collect::<PyResult<Vec<_>>>()?)?)
    }

    /// Picks a token for each of many configurations from one row, without recording any. The row is read once; each pick is
    /// that of a decoder with that configuration in the same state.
    ///
    /// The configurations may differ from the decoder's in all that comes after penalties, biases and masks. Returns a list
    /// with a Pick or an `argpick.Error` for each; with ``kept=True`` a pair of it and an array of uint32 words of shape
    /// ``(len(configs), (vocab + 31) // 32)``: the tokens that each configuration keeps. An error of the row is raised.
    #[pyo3(signature = (row, configs, mask = None, *, kept = false))]
    fn sweep<'py>(
        &self,
        py: Python<'py>,
        row: &Bound<'py, PyAny>,
        configs: &Bound<'py, PyAny>,
        mask: Option<&Bound<'py, PyAny>>,
        kept: bool,
    ) -> Result<Bound<'py, PyAny>> {
        let (row, mask) = (RowMemory::of(row)?, MaskMemory::of(mask, self.vocab)?);
        let (given, words) = (row.row(), mask.words());
        let configs = configs.try_iter()?.map(|config| config_argument(&config?)).collect::<Result<Vec<_>>>()?;
        // A configuration that no plan can be made of has a result of its own.
        let each = configs.iter().map(|config| sweep_words(std::slice::from_ref(config), self.vocab).unwrap_or(0));
        let mut memory = allocate(each.max().unwrap_or(0))?;
        let mut results = vec![Err(Error::Finished); configs.len()];
        let mut masks = vec![0; if kept { configs.len() * self.vocab.div_ceil(32) } else { 0 }];
        self.gate.enter(py, self.is_long(), |decoder| {
            decoder.sweep(given, words, &configs, &mut memory, &mut results, &mut masks)
        })??;
        let picks = results_list(py, results)?.into_any();
        if !kept {
            return Ok(picks);
        }
        let shape = (configs.len(), self.vocab.div_ceil(32));
        let masks = crate::convert::tokens(py, &masks)?.call_method1("reshape", shape)?;
        Ok(PyTuple::new(py, [picks, masks])?.into_any())
    }

    /// Tells a trainer what rows look like, each against its target: flat, saturated or healthy, and four ways of being right.
    ///
    /// Nothing is drawn and nothing recorded. Returns an `argpick.Diagnosis`; each figure is the mean over the rows, and
    /// `verdicts` has an `argpick.Verdict` for each row. `flat_entropy`: a row is flat from this fraction of the largest
    /// possible entropy on; `saturated_top1`: it is saturated from this probability of its argmax on; `top_k`: a target within
    /// so many tokens counts as a hit.
    #[pyo3(signature = (rows, targets, *, flat_entropy = None, saturated_top1 = None, top_k = None))]
    fn diagnose<'py>(
        &self,
        py: Python<'py>,
        rows: &Bound<'py, PyAny>,
        targets: &Bound<'py, PyAny>,
        flat_entropy: Option<&Bound<'py, PyAny>>,
        saturated_top1: Option<&Bound<'py, PyAny>>,
        top_k: Option<&Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        let mut limits = DiagnosisLimits::default();
        if let Some(value) = flat_entropy {
            limits.flat_entropy = real(value, "flat_entropy")? as f32;
        }
        if let Some(value) = saturated_top1 {
            limits.saturated_top1 = real(value, "saturated_top1")? as f32;
        }
        if let Some(value) = top_k {
            limits.top_k = number(value, "top_k")?;
        }
        let (memory, targets) = (RowsMemory::of(rows)?, numbers(targets, "token")?);
        let rows = memory.rows();
        let (totals, results) = self.gate.enter(py, self.is_long(), |decoder| -> argpick::Result<_> {
            let empty = RowDiagnosis { score: RowScore::default(), expected_accuracy: 0.0, verdict: Verdict::Healthy };
            let mut results = vec![empty; rows.len()];
            let totals = decoder.diagnose(&rows, &targets, &limits, &mut results)?;
            Ok((totals, results))
        })??;
        let class = py.import("argpick._enums")?.getattr("Verdict")?;
        let verdicts = results.iter().map(|row| class.call1((row.verdict as u32,))).collect::<PyResult<Vec<_>>>()?;
        let fields = [
            totals.flat,
            totals.saturated,
            totals.healthy,
            totals.loss,
            totals.entropy,
            totals.top1_probability,
            totals.greedy_accuracy,
            totals.top_k_accuracy,
            totals.expected_accuracy,
        ];
        let mut values = vec![totals.rows.into_pyobject(py)?.into_any()];
        for field in fields {
            values.push(f64::from(field).into_pyobject(py)?.into_any());
        }
        values.push(PyList::new(py, verdicts)?.into_any());
        let rows = results.iter().map(|row| {
            let score = &row.score;
            tuple(
                py,
                "RowDiagnosis",
                (
                    score.loss,
                    score.rank,
                    score.argmax,
                    score.entropy,
                    score.top1_probability,
                    score.tokens,
                    row.expected_accuracy,
                ),
            )
        });
        values.push(PyList::new(py, rows.collect::<PyResult<Vec<_>>>()?)?.into_any());
        Ok(tuple(py, "Diagnosis", PyTuple::new(py, values)?)?)
    }
}

/// A list with a pick or an exception for each result.
pub fn results_list<'py>(py: Python<'py>, results: Vec<argpick::Result<Pick>>) -> Result<Bound<'py, PyList>> {
    let object = |result: argpick::Result<Pick>| -> PyResult<Bound<'py, PyAny>> {
        match result {
            Ok(pick) => Ok(Bound::new(py, PyPick(pick))?.into_any()),
            Err(error) => Ok(Fault::Core(error).exception(py).into_value(py).into_bound(py).into_any()),
        }
    };
    Ok(PyList::new(py, results.into_iter().map(object).collect::<PyResult<Vec<_>>>()?)?)
}

/// Scores a row of logits against its target, without a decoder and without a draw: ``(loss, rank, argmax, entropy,
/// top1_probability, tokens)``.
///
/// `loss` is -ln of the target's probability at temperature 1, in nats (inf for a target at -inf); `rank` is how many tokens
/// stand before the target in the order of logits; `argmax` is the greedy pick.
#[pyfunction]
pub fn score<'py>(py: Python<'py>, row: &Bound<'py, PyAny>, target: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>> {
    let (row, target) = (RowMemory::of(row)?, number(target, "token")?);
    let (given, kernels) = (row.row(), Kernels::detect()?);
    let score = outside(py, given.len() >= crate::gate::LONG, || argpick::score(kernels, given, target))??;
    score_tuple(py, &score)
}

fn score_tuple<'py>(py: Python<'py>, score: &RowScore) -> Result<Bound<'py, PyAny>> {
    let fields = (score.loss, score.rank, score.argmax, score.entropy, score.top1_probability, score.tokens);
    Ok(tuple(py, "Score", fields)?)
}

/// Scores rows, each against its target: a list with an `argpick.Score` or an `argpick.Error` for each. A row that fails
/// leaves the others alone.
#[pyfunction]
pub fn score_batch<'py>(
    py: Python<'py>,
    rows: &Bound<'py, PyAny>,
    targets: &Bound<'py, PyAny>,
) -> Result<Bound<'py, PyList>> {
    let (memory, targets) = (RowsMemory::of(rows)?, numbers(targets, "token")?);
    let (rows, kernels) = (memory.rows(), Kernels::detect()?);
    if targets.len() != rows.len() {
        return Err(Error::WrongLength { what: "targets", expected: rows.len(), actual: targets.len() }.into());
    }
    let scores = outside(py, true, || -> Vec<argpick::Result<RowScore>> {
        rows.iter().zip(&targets).map(|(&row, &target)| argpick::score(kernels, row, target)).collect()
    })?;
    let object = |score: argpick::Result<RowScore>| -> Result<Bound<'py, PyAny>> {
        match score {
            Ok(score) => score_tuple(py, &score),
            Err(error) => Ok(Fault::Core(error).exception(py).into_value(py).into_bound(py).into_any()),
        }
    };
    Ok(PyList::new(py, scores.into_iter().map(object).collect::<Result<Vec<_>>>()?)?)
}

/// Turns a row of float32 logits into probabilities in place, at a temperature above 0, and returns it. -inf becomes 0.
#[pyfunction]
#[pyo3(signature = (row, temperature = 1.0))]
pub fn softmax<'py>(py: Python<'py>, row: Bound<'py, PyAny>, temperature: f64) -> Result<Bound<'py, PyAny>> {
    let mut memory = RowToWrite::of(&row, "row")?;
    let long = memory.len() >= crate::gate::LONG;
    let values = memory.values();
    outside(py, long, || argpick::softmax(values, temperature as f32))??;
    Ok(row)
}
