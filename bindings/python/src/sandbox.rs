//! `argpick.sandbox`: a small n-gram model, its rules of text and its trainer, for whoever has no model at hand.

use crate::config::{config_from, real, shortest};
use crate::convert::{array, tokens as token_array, tuple};
use crate::fault::{Fault, Result};
use crate::gate::outside;
use crate::rows::{RowToWrite, bytes_of, number, numbers};
use argpick::sandbox::beams::{BeamOptions, search};
use argpick::sandbox::features::shift;
use argpick::sandbox::patterns;
use argpick::sandbox::rules::Rules;
use argpick::sandbox::session::{Options, Session, Stop, Transcript};
use argpick::sandbox::text::tokens;
use argpick::sandbox::train::{Progress, Report, Stage, TrainOptions, train_file};
use argpick::sandbox::{Error as SandboxError, Model, default, default_model};
use argpick::weights::SparseHead;
use argpick::{Config, Dtype, Error, Kernels, Mode, TraceParts};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyType};
use std::ops::ControlFlow;
use std::path::PathBuf;

impl From<SandboxError> for Fault {
    fn from(error: SandboxError) -> Self {
        let text = error.to_string();
        match error {
            SandboxError::Decode(error) => Fault::Core(error),
            SandboxError::Option { name, .. } => Fault::Value(name, text),
            SandboxError::File { source, .. } => {
                let code = source.raw_os_error().unwrap_or(0);
                Fault::File(text, code)
            }
            _ => Fault::Sandbox(text),
        }
    }
}

/// An additive n-gram model of words: a sparse head over the last three of them.
///
/// `Model.default()` is embedded in the package (181 words); `Model.open` takes a .npz that `train` has written.
///
/// >>> from argpick import sandbox
/// >>> model = sandbox.Model.default()
/// >>> print(model.run("The sea and the sky", no_repeat_window=5, mode="greedy")[0].text)
/// was blue and the sky is dark.
#[pyclass(frozen, name = "Model", module = "argpick.sandbox")]
pub struct PyModel {
    model: Model,
}

impl PyModel {
    pub fn head(&self) -> SparseHead<'_> {
        self.model.head()
    }

    /// The last three tokens of a text, the newest first.
    fn recent(&self, context: &Bound<'_, PyAny>) -> Result<[u32; 3]> {
        let space = self.model.space();
        if let Ok(text) = context.cast::<PyString>() {
            let text = text.to_cow()?;
            return Ok(tokens(&text).fold(space.start(), |recent, token| shift(recent, space.id(&token))));
        }
        let classes = numbers(context, "class")?;
        classes.iter().try_fold(space.start(), |recent, &class| match self.model.words().get(class as usize) {
            Some(word) => Ok(shift(recent, space.id(word))),
            None => Err(Error::TokenOutOfRange { token: class, vocab: self.model.vocab() }.into()),
        })
    }
}

/// The rules that an `argpick.sandbox.Rules` says.
fn rules_of(rules: Option<&Bound<'_, PyAny>>) -> Result<Rules> {
    let Some(rules) = rules.filter(|rules| !rules.is_none()) else { return Ok(Rules::default()) };
    let get = |name: &str| rules.getattr(name);
    Ok(Rules {
        min_steps: number(&get("min_steps")?, "min_steps")?,
        ban: get("ban")?.extract()?,
        no_repeat: get("no_repeat")?.extract()?,
        no_repeat_window: number(&get("no_repeat_window")?, "no_repeat_window")?,
        det_a_an: get("det_a_an")?.extract()?,
        topic_lock: get("topic_lock")?.extract()?,
        topic_keep: get("topic_keep")?.extract()?,
        topic_topn: number(&get("topic_topn")?, "topic_topn")?,
        no_dangling: get("no_dangling")?.extract()?,
        stop_punct: get("stop_punct")?.extract()?,
    })
}

fn contexts_of(contexts: &Bound<'_, PyAny>) -> Result<Vec<String>> {
    if let Ok(text) = contexts.cast::<PyString>() {
        return Ok(vec![text.to_cow()?.into_owned()]);
    }
    contexts.extract().map_err(|_| Fault::argument("contexts must be a text or a sequence of texts"))
}

fn transcript_tuple<'py>(py: Python<'py>, model: &Model, text: &Transcript) -> PyResult<Bound<'py, PyAny>> {
    let words = model.words();
    let steps = text.steps.iter().map(|step| {
        let top: Vec<(&str, f32)> =
            step.top.iter().map(|&(class, logit)| (words[class as usize].as_str(), logit)).collect();
        let word = words[step.class as usize].as_str();
        let numbers = (step.margin, step.top1_probability, step.entropy, step.logprob);
        let fields =
            (step.step, step.class, word, numbers.0, numbers.1, numbers.2, numbers.3, step.rank, step.allowed, top);
        tuple(py, "SandboxStep", fields)
    });
    let steps = PyList::new(py, steps.collect::<PyResult<Vec<_>>>()?)?;
    let error = match &text.stop {
        Stop::Refused(error) => Some(error.to_string()),
        _ => None,
    };
    let classes: Vec<u32> = text.generated().collect();
    let fields = (
        &text.context,
        &text.prompt,
        text.unknown,
        text.continuation(model),
        token_array(py, &classes)?,
        steps,
        text.stop.name(),
        error,
        text.stream,
    );
    tuple(py, "Transcript", fields)
}

#[pymethods]
impl PyModel {
    /// The model that is embedded in the package.
    #[classmethod]
    fn default(_class: &Bound<'_, PyType>) -> Result<Self> {
        Ok(PyModel { model: default_model()? })
    }

    /// Opens a model file (.npz) by mapping it into memory.
    #[classmethod]
    fn open(_class: &Bound<'_, PyType>, path: PathBuf) -> Result<Self> {
        Ok(PyModel { model: Model::open(path)? })
    }

    /// A model from the bytes of a file; `origin` names it in messages.
    #[classmethod]
    #[pyo3(signature = (data, origin = "the bytes"))]
    fn from_bytes(_class: &Bound<'_, PyType>, data: &Bound<'_, PyAny>, origin: &str) -> Result<Self> {
        Ok(PyModel { model: Model::from_bytes(origin, bytes_of(data, "data")?)? })
    }

    /// Where it came from.
    #[getter]
    fn origin(&self) -> &str {
        self.model.origin()
    }

    /// The number of classes, the length of a row of logits.
    #[getter]
    fn vocab(&self) -> usize {
        self.model.vocab()
    }

    /// The number of columns of its head.
    #[getter]
    fn features(&self) -> usize {
        self.model.head().features()
    }

    /// The word of each class.
    #[getter]
    fn words(&self) -> Vec<String> {
        self.model.words().to_vec()
    }

    /// The class of a word, or None if the model cannot say it.
    fn class_of(&self, word: &str) -> Option<u32> {
        self.model.class(word)
    }

    /// The three columns of a context: a text, or classes.
    fn columns<'py>(&self, py: Python<'py>, context: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>> {
        Ok(token_array(py, &self.model.space().columns(self.recent(context)?))?)
    }

    /// The row of logits after a context: a text, or classes. With `out`, an array of float32, it is written there.
    #[pyo3(signature = (context, out = None))]
    fn logits<'py>(
        &self,
        py: Python<'py>,
        context: &Bound<'py, PyAny>,
        out: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        let recent = self.recent(context)?;
        let out = match out.filter(|out| !out.is_none()) {
            Some(out) => out,
            None => array(py, &vec![0; 4 * self.model.vocab()], "float32")?,
        };
        let mut memory = RowToWrite::of(&out, "out")?;
        self.model.logits(Kernels::detect()?, recent, memory.values())?;
        Ok(out)
    }

    /// Continues texts, one after the other; each takes the next stream of random numbers. Returns a list of
    /// `argpick.sandbox.Transcript`, with ``record=True`` a pair of it and the bytes of a trace.
    ///
    /// `steps` tokens at most for each; `top` of the best logits are reported with each step; `rules` are an
    /// `argpick.sandbox.Rules`. The rest is the decoder's configuration; without any it is greedy.
    #[pyo3(signature = (contexts, config = None, *, steps = 20, top = 8, rules = None, record = false, **fields))]
    #[allow(clippy::too_many_arguments, reason = "what is asked of a session")]
    fn run<'py>(
        &self,
        py: Python<'py>,
        contexts: &Bound<'py, PyAny>,
        config: Option<&Bound<'py, PyAny>>,
        steps: u32,
        top: usize,
        rules: Option<&Bound<'py, PyAny>>,
        record: bool,
        fields: Option<&Bound<'py, PyDict>>,
    ) -> Result<Bound<'py, PyAny>> {
        let contexts = contexts_of(contexts)?;
        let is_given =
            config.is_some_and(|config| !config.is_none()) || fields.is_some_and(|fields| !fields.is_empty());
        let base = match is_given {
            true => config_from(py, config, fields)?,
            false => Config { mode: Mode::Greedy, ..Config::default() },
        };
        let options = Options {
            steps,
            mode: base.mode,
            temperature: shortest(base.temperature),
            top_k: base.top_k,
            top_p: base.top_p,
            min_p: base.min_p,
            seed: base.seed,
            stream: base.stream,
            base,
            rules: rules_of(rules)?,
            top,
            ..Options::default()
        };
        let kernels = Kernels::detect()?;
        let (texts, trace) = outside(py, true, || -> std::result::Result<_, SandboxError> {
            let mut session = Session::new(&self.model, options, kernels)?;
            if record {
                session.start_recording(TraceParts::default())?;
            }
            let texts =
                contexts.iter().map(|context| session.run(context)).collect::<std::result::Result<Vec<_>, _>>()?;
            Ok((texts, session.finish_recording()?))
        })??;
        let texts = texts.iter().map(|text| transcript_tuple(py, &self.model, text)).collect::<PyResult<Vec<_>>>()?;
        let texts = PyList::new(py, texts)?;
        match trace {
            Some(trace) => Ok((texts, PyBytes::new(py, &trace)).into_pyobject(py)?.into_any()),
            None => Ok(texts.into_any()),
        }
    }

    /// The best continuations of one text by beam search: a list of `argpick.sandbox.BeamText`, best first. `fields` are those of
    /// `argpick.BeamConfig`.
    #[pyo3(signature = (context, config = None, *, rules = None, **fields))]
    fn search<'py>(
        &self,
        py: Python<'py>,
        context: &str,
        config: Option<&Bound<'py, PyAny>>,
        rules: Option<&Bound<'py, PyAny>>,
        fields: Option<&Bound<'py, PyDict>>,
    ) -> Result<Bound<'py, PyList>> {
        let (config, rules) = (crate::beam::config_from(py, config, fields)?, rules_of(rules)?);
        let options = BeamOptions { config, rules, ..BeamOptions::default() };
        let kernels = Kernels::detect()?;
        let found = outside(py, true, || search(&self.model, &options, kernels, context))??;
        let texts = found.texts.iter().map(|text| {
            let classes = token_array(py, &text.classes)?;
            let fields =
                (text.continuation(&self.model), classes, text.score, text.logprob, text.length, text.stop.name());
            tuple(py, "BeamText", fields)
        });
        Ok(PyList::new(py, texts.collect::<PyResult<Vec<_>>>()?)?)
    }

    fn __repr__(&self) -> String {
        format!("<argpick.sandbox.Model of {} words from {}>", self.model.vocab(), self.model.origin())
    }
}

/// A text as the model sees it: words in lower case, and the marks . ! ?
#[pyfunction]
#[pyo3(name = "_sandbox_tokens")]
pub fn sandbox_tokens(text: &str) -> Vec<String> {
    tokens(text).collect()
}

/// The loop that a text ends in, as ``(start, period, length)`` in tokens; None if there is none.
#[pyfunction]
#[pyo3(name = "_sandbox_find_loop")]
pub fn sandbox_find_loop(classes: &Bound<'_, PyAny>) -> Result<Option<(usize, usize, usize)>> {
    let found = patterns::find_loop(&numbers(classes, "class")?);
    Ok(found.map(|found| (found.start, found.period, found.length)))
}

/// The story that the default model was trained on, and the prompts of a session without prompts.
#[pyfunction]
#[pyo3(name = "_sandbox_texts")]
pub fn sandbox_texts() -> (&'static str, Vec<&'static str>) {
    (default::TEXT, default::CONTEXTS.to_vec())
}

fn progress_tuple<'py>(py: Python<'py>, progress: &Progress) -> PyResult<Bound<'py, PyAny>> {
    let stage = match progress.stage {
        Stage::Counting => "counting",
        Stage::Learning => "learning",
        Stage::Measuring => "measuring",
    };
    let Progress { epoch, epochs, done, total, loss, .. } = *progress;
    tuple(py, "Progress", (stage, epoch, epochs, done, total, loss))
}

fn report_tuple<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyAny>> {
    let epochs = report.epochs.iter().map(|epoch| {
        let held_out = epoch
            .held_out
            .map(|held_out| tuple(py, "HeldOut", (held_out.tokens, held_out.perplexity, held_out.accuracy)));
        tuple(py, "Epoch", (shortest(epoch.learning_rate), epoch.loss, epoch.accuracy, held_out.transpose()?))
    });
    let epochs = PyList::new(py, epochs.collect::<PyResult<Vec<_>>>()?)?;
    let fields = (
        report.tokens,
        report.distinct_words,
        report.coverage,
        report.classes,
        report.features,
        report.unigram_perplexity,
        epochs,
        report.interrupted,
    );
    tuple(py, "TrainReport", fields)
}

/// Trains a model on a text file and writes it to `out`, a .npz, after every whole epoch; returns an
/// `argpick.sandbox.TrainReport`.
///
/// `progress` is called often with an `argpick.sandbox.Progress`; when it returns False the run ends, and `out` holds the last
/// whole epoch or is untouched; what it raises is raised. Ctrl-C does the same. The same text, options and seed give the same
/// file, bit for bit, everywhere.
#[pyfunction]
#[pyo3(name = "_sandbox_train", signature = (
    text, out, *, vocab, d2, d3, epochs, learning_rate, seed, hold_out, shuffle, dtype, progress
))]
#[allow(clippy::too_many_arguments, reason = "the options of a training")]
pub fn sandbox_train<'py>(
    py: Python<'py>,
    text: PathBuf,
    out: PathBuf,
    vocab: &Bound<'py, PyAny>,
    d2: &Bound<'py, PyAny>,
    d3: &Bound<'py, PyAny>,
    epochs: &Bound<'py, PyAny>,
    learning_rate: &Bound<'py, PyAny>,
    seed: &Bound<'py, PyAny>,
    hold_out: &Bound<'py, PyAny>,
    shuffle: &Bound<'py, PyAny>,
    dtype: &str,
    progress: Option<Py<PyAny>>,
) -> Result<Bound<'py, PyAny>> {
    let options = TrainOptions {
        vocab: number(vocab, "vocab")? as usize,
        d2: number(d2, "d2")?,
        d3: number(d3, "d3")?,
        epochs: number(epochs, "epochs")?,
        learning_rate: real(learning_rate, "learning_rate")? as f32,
        seed: crate::config::long(seed, "seed")?,
        hold_out: number(hold_out, "hold_out")?,
        shuffle: number(shuffle, "shuffle")? as usize,
        dtype: match dtype {
            "float32" | "f32" => Dtype::F32,
            "float16" | "f16" => Dtype::F16,
            other => return Err(Fault::Value("dtype", format!("dtype is {other:?}; it is float32 or float16"))),
        },
    };
    let kernels = Kernels::detect()?;
    let mut raised: Option<PyErr> = None;
    let report = outside(py, true, || {
        train_file(kernels, &text, &out, &options, &mut |seen| {
            let told = Python::attach(|py| -> PyResult<bool> {
                py.check_signals()?;
                match &progress {
                    None => Ok(true),
                    Some(progress) => {
                        let answer = progress.bind(py).call1((progress_tuple(py, seen)?,))?;
                        Ok(!answer.extract::<bool>().is_ok_and(|goes_on| !goes_on))
                    }
                }
            });
            match told {
                Ok(true) => ControlFlow::Continue(()),
                Ok(false) => ControlFlow::Break(()),
                Err(error) => {
                    raised = Some(error);
                    ControlFlow::Break(())
                }
            }
        })
    })?;
    match raised {
        Some(error) => Err(Fault::Python(error)),
        None => Ok(report_tuple(py, &report?)?),
    }
}
