//! Traces: one record per step, as JSON lines and as a CSV curve.
//!
//! ```text
//! {"context_start": "It is", "step": 0, "picked": "of", "mode": "greedy", "temp": 1.0, "margin": 0.7, "p_top1": 0.2,
//!  "entropy": 3.6, "top": [["of", 6.0], ["which", 5.3]]}                                            (on one line)
//! context_start,step,picked,mode,temp,margin,p_top1,entropy
//! "It is",0,of,greedy,1.0,0.7,0.2,3.6
//! ```
//!
//! Numbers are the f32 values as doubles, in the fewest digits that read back the same. What is no number in JSON (the
//! margin of a step with one choice is +inf) is `null`, in CSV an empty field. `top` holds only what could be picked.
//!
//! A file is written beside its target and renamed at the end: the target is the old file or the whole new one.

use super::error::{Error, Result};
use super::model::Model;
use super::session::{Options, Transcript};
use crate::Mode;
use crate::weights::PendingFile;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// The name of a mode in traces.
pub fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Greedy => "greedy",
        Mode::Sample => "sample",
    }
}

/// Writes the steps of `texts` as JSON lines.
///
/// # Errors
/// Those of the writer.
pub fn write_jsonl(out: &mut dyn Write, model: &Model, options: &Options, texts: &[Transcript]) -> io::Result<()> {
    let (mode, temperature) = (mode_name(options.mode), number(options.temperature));
    for text in texts {
        let context = json_string(&text.context);
        for step in &text.steps {
            let picked = json_string(&model.words()[step.class as usize]);
            write!(
                out,
                "{{\"context_start\": {context}, \"step\": {}, \"picked\": {picked}, \"mode\": \"{mode}\", \
                 \"temp\": {temperature}, \"margin\": {}, \"p_top1\": {}, \"entropy\": {}, \"top\": [",
                step.step,
                json_number(step.margin),
                json_number(step.top1_probability),
                json_number(step.entropy)
            )?;
            for (index, &(class, logit)) in step.top.iter().enumerate() {
                let comma = if index > 0 { ", " } else { "" };
                write!(out, "{comma}[{}, {}]", json_string(&model.words()[class as usize]), json_number(logit))?;
            }
            writeln!(out, "]}}")?;
        }
    }
    Ok(())
}

/// Writes the curves of `texts` as CSV with a header line.
///
/// # Errors
/// Those of the writer.
pub fn write_csv(out: &mut dyn Write, model: &Model, options: &Options, texts: &[Transcript]) -> io::Result<()> {
    writeln!(out, "context_start,step,picked,mode,temp,margin,p_top1,entropy")?;
    let (mode, temperature) = (mode_name(options.mode), number(options.temperature));
    for text in texts {
        let context = csv_quoted(&text.context);
        for step in &text.steps {
            writeln!(
                out,
                "{context},{},{},{mode},{temperature},{},{},{}",
                step.step,
                csv_field(&model.words()[step.class as usize]),
                csv_number(step.margin),
                csv_number(step.top1_probability),
                csv_number(step.entropy)
            )?;
        }
    }
    Ok(())
}

/// The fewest digits that read back the same, always with a point or an exponent.
fn number(value: f64) -> String {
    format!("{value:?}")
}

fn json_number(value: f32) -> String {
    if value.is_finite() { number(f64::from(value)) } else { "null".to_owned() }
}

fn csv_number(value: f32) -> String {
    if value.is_finite() { number(f64::from(value)) } else { String::new() }
}

/// A JSON string in ASCII.
fn json_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            ' '..='~' => quoted.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    quoted.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    quoted.push('"');
    quoted
}

fn csv_quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { csv_quoted(text) } else { text.to_owned() }
}

/// Whether a file can be written at `path`, found out by beginning one and leaving it. For an early, clear refusal
/// before long work.
///
/// # Errors
/// The folder is missing or closed, or `path` is a folder.
pub fn check_writable(path: &Path) -> Result<()> {
    if is_special(path) { Ok(()) } else { begin(path).map(drop) }
}

/// Writes a file: beside its target first, renamed over it when all is written. What is not a regular file (a pipe, a
/// device) is written to directly.
///
/// # Errors
/// Whatever keeps the file from being whole; then the target is as it was.
pub fn write_file(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let refuse = |error| Error::file("write", path, error);
    if is_special(path) {
        let mut out = BufWriter::new(OpenOptions::new().write(true).open(path).map_err(refuse)?);
        return content(&mut out).and_then(|()| out.flush()).map_err(refuse);
    }
    let mut out = BufWriter::new(begin(path)?);
    content(&mut out).map_err(refuse)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error).map_err(refuse)?;
    file.finish().map_err(|error| Error::content(path.display().to_string(), error.to_string()))
}

fn begin(path: &Path) -> Result<PendingFile> {
    PendingFile::create(path).map_err(|error| Error::content(path.display().to_string(), error.to_string()))
}

/// Whether there is something at `path` that is neither a file nor a folder.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}
