//! The model that `argpick decode` uses when it is given none, and the prompts it decodes then.
//!
//! `default.txt` is a story written for this crate: few words that come round again, so that a model of a few hundred
//! kilobytes learns sentences, and the limits of a context of three tokens are plain to see. `default.npz` is trained
//! from it and from nothing else; after a change of the text or of the trainer this command makes it anew, bit for bit
//! the same on every machine:
//!
//! ```text
//! cargo run --release --features cli -- train --text src/sandbox/default.txt --out src/sandbox/default.npz \
//!     --vocab 180 --d2 256 --d3 512 --epochs 24 --lr 0.15 --seed 1 --dtype f16
//! ```
//!
//! [`train_options`] says the same to a program, and a test compares the result with the file. What the prompts show,
//! in greedy mode:
//!
//! - loops: "round and round and ..." (period 2), "and the sky was blue ..." (period 5), "a loaf for her father and ..."
//!   (period 6). A context that comes back brings back its successor.
//! - attractors: different prompts run into the same loop and never part again.
//! - cliffs: picks whose margin is a few hundredths of a logit, where the least change would tell another story.
//! - the ways out: `--no-repeat-window 5` breaks periods up to 5 and cannot break 6; `--mode sample --temp 1` leaves
//!   them all, at the price of stranger sentences.

use super::error::Result;
use super::model::Model;
use super::train::TrainOptions;
use crate::types::Dtype;

/// The text of the default model.
pub const TEXT: &str = include_str!("default.txt");

/// The bytes of the default model, a NumPy archive.
pub const MODEL: &[u8] = include_bytes!("default.npz");

/// The prompts of a session without prompts.
pub const CONTEXTS: [&str; 8] = [
    "At night the light",
    "The bees went",
    "The sea and the sky",
    "In winter",
    "Every day the boats",
    "He gave her",
    "There is a village",
    "The old sailor said that",
];

/// Opens the embedded model. It was checked when the crate was tested; an error would mean a damaged build.
///
/// # Errors
/// As [`Model::from_bytes`].
pub fn default_model() -> Result<Model> {
    Model::from_bytes("the default model", MODEL.to_vec())
}

/// The options that [`MODEL`] was trained with.
pub fn train_options() -> TrainOptions {
    TrainOptions {
        vocab: 180,
        d2: 256,
        d3: 512,
        epochs: 24,
        learning_rate: 0.15,
        seed: 1,
        dtype: Dtype::F16,
        ..TrainOptions::default()
    }
}
