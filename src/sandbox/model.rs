//! The additive n-gram model: a sparse head over the three columns of a context, with the words of its two vocabularies.
//!
//! A model is an archive (`.npz` or `.safetensors`) with the arrays `W` (C, D), `b` (C), `classes` (C, each an index
//! into `out_vocab`), `in_vocab`, `out_vocab`, `d2` and `d3`, where D = |in_vocab| + d2 + d3. All of it is checked when
//! the model is opened, so that nothing is left to fail at a step but the numbers themselves.

use super::error::{Error, Result};
use super::features::FeatureSpace;
use crate::Kernels;
use crate::logits::project;
use crate::weights::{Open, SparseHead, Weights};
use std::collections::HashMap;
use std::path::Path;

/// An opened model.
#[derive(Debug)]
pub struct Model {
    origin: String,
    weights: Weights,
    space: FeatureSpace,
    words: Vec<String>,
    class_of: HashMap<String, u32>,
}

impl Model {
    /// Opens a model file by mapping it into memory; the file must not shrink while the model lives.
    ///
    /// # Errors
    /// A file that cannot be read, an array that is missing, compressed, pickled or of the wrong shape or type, and
    /// vocabularies that do not fit the weights: each with the array's name, what was expected and what was found.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let origin = path.display().to_string();
        match Weights::open(path, Open::default()) {
            Ok(weights) => Self::new(origin, weights),
            Err(error) => Err(Error::content(origin, error.to_string())),
        }
    }

    /// Takes a model from the bytes of a file; `origin` names it in messages.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_bytes(origin: &str, bytes: Vec<u8>) -> Result<Self> {
        match Weights::from_bytes(bytes) {
            Ok(weights) => Self::new(origin.to_owned(), weights),
            Err(error) => Err(Error::content(origin, error.to_string())),
        }
    }

    fn new(origin: String, weights: Weights) -> Result<Self> {
        let refuse = |reason: String| Error::content(origin.as_str(), reason);
        let strings = |name: &str| weights.strings(name).map_err(|error| refuse(error.to_string()));
        let integer = |name: &str| weights.scalar_integer(name).map_err(|error| refuse(error.to_string()));
        let (in_vocab, out_vocab) = (strings("in_vocab")?, strings("out_vocab")?);
        let (d2, d3) = (integer("d2")?, integer("d3")?);
        let classes = weights.integers("classes").map_err(|error| refuse(error.to_string()))?;

        let inputs = in_vocab.len();
        let space = FeatureSpace::new(&origin, in_vocab, d2, d3)?;
        if space.dimension() != weights.features() {
            return Err(refuse(format!(
                "array 'W' has {} columns, but |in_vocab| + d2 + d3 = {inputs} + {d2} + {d3} = {} are needed",
                weights.features(),
                space.dimension()
            )));
        }
        if classes.len() != weights.vocab() {
            return Err(refuse(format!(
                "array 'classes' has {} entries, but 'W' has {} rows",
                classes.len(),
                weights.vocab()
            )));
        }
        let mut words = Vec::with_capacity(classes.len());
        let mut class_of = HashMap::with_capacity(classes.len());
        for (class, &index) in classes.iter().enumerate() {
            let word = usize::try_from(index).ok().and_then(|index| out_vocab.get(index)).ok_or_else(|| {
                refuse(format!("array 'classes' has {index} at {class}, but 'out_vocab' has {} words", out_vocab.len()))
            })?;
            if let Some(first) = class_of.insert(word.clone(), class as u32) {
                return Err(refuse(format!("classes {first} and {class} are both {word:?}")));
            }
            words.push(word.clone());
        }
        Ok(Model { origin, weights, space, words, class_of })
    }

    /// Where the model came from: a path, or the name given to [`Model::from_bytes`].
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// C: the number of classes, the length of a row of logits.
    pub fn vocab(&self) -> usize {
        self.words.len()
    }

    /// The word of each class.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The class of a word, if the model can say it.
    pub fn class(&self, word: &str) -> Option<u32> {
        self.class_of.get(word).copied()
    }

    /// The input vocabulary and the columns of a context.
    pub fn space(&self) -> &FeatureSpace {
        &self.space
    }

    /// The weights as the core sees them.
    pub fn head(&self) -> SparseHead<'_> {
        self.weights.head()
    }

    /// The archive the model was opened from.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The logits of a context, given as [`FeatureSpace::columns`] takes it, into `row` of [`Model::vocab`] elements.
    ///
    /// # Errors
    /// A row of the wrong length.
    pub fn logits(&self, kernels: Kernels, recent: [u32; 3], row: &mut [f32]) -> Result<()> {
        Ok(project(kernels, &self.weights.head(), &self.space.columns(recent), None, row)?)
    }
}
