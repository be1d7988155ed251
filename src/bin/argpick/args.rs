//! Options that commands share, and how their values are read.

use crate::Failure;
use argpick::sandbox::trace;
use argpick::{Kernels, Level};
use std::path::Path;

/// A yes or no given as a word: `--stop-punct 0`.
pub fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("it must be 0 or 1".to_owned()),
    }
}

/// A temperature: finite, not negative, and in f32's range.
pub fn temperature(text: &str) -> Result<f64, String> {
    let value: f64 = number(text)?;
    let rounded = value as f32;
    if !(value >= 0.0 && rounded.is_finite()) {
        return Err("it must be a number from 0 (greedy) up".to_owned());
    }
    if rounded == 0.0 && value != 0.0 {
        return Err("it is too small to be told from 0 (greedy)".to_owned());
    }
    Ok(value)
}

/// A probability from 0 to 1.
pub fn probability(text: &str) -> Result<f32, String> {
    let value: f32 = number(text)?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("it must be from 0 to 1".to_owned()) }
}

fn number<T: std::str::FromStr<Err = std::num::ParseFloatError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: std::num::ParseFloatError| error.to_string())
}

/// A kernel level by name.
pub fn level(text: &str) -> Result<Level, String> {
    Level::from_name(text).ok_or_else(|| {
        let names: Vec<&str> = Level::ALL.iter().map(|level| level.name()).collect();
        format!("the levels are {}", names.join(", "))
    })
}

/// The kernels of the level asked for, else the best there are (or what ARGPICK_KERNEL says).
pub fn choose(level: Option<Level>) -> argpick::Result<Kernels> {
    match level {
        Some(level) => Kernels::new(level),
        None => Kernels::detect(),
    }
}

/// Words given as one list with commas; blanks around them do not count.
pub fn word_list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(String::from).collect()
}

/// Refuses, before any work is done, files to be written that cannot be, that are one of the inputs, or that are one file twice.
pub fn check_outputs<'p>(
    outputs: impl IntoIterator<Item = &'p Path>,
    inputs: impl IntoIterator<Item = &'p Path>,
) -> Result<(), Failure> {
    let inputs: Vec<&Path> = inputs.into_iter().collect();
    let mut known: Vec<&Path> = Vec::new();
    for path in outputs {
        let refuse = |what: &str| Failure::Message(format!("{}: {what}", path.display()));
        if inputs.iter().any(|input| is_same_file(path, input)) {
            return Err(refuse("it is an input, and would be overwritten; give another file to write to"));
        }
        if known.iter().any(|other| is_same_file(path, other)) {
            return Err(refuse("two outputs would be written to it; give each a file of its own"));
        }
        trace::check_writable(path)?;
        known.push(path);
    }
    Ok(())
}

/// Whether both are names of one file. A pipe or a device takes whatever is written to it.
fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other && one.is_file(),
        (Err(_), Err(_)) => one == other,
        _ => false,
    }
}
