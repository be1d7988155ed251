//! `argpick inspect`: what is in a weight file, how it lies there, and what cannot be used.

use crate::Failure;
use argpick::Error;
use argpick::weights::map::Bytes;
use argpick::weights::{Archive, Entry, HeadSource};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

/// The options of `argpick inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A .npz, .npy or .safetensors file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// One JSON document instead of the table
    #[arg(long)]
    json: bool,
    /// Read all the data and compare their checksums (only .npz has them)
    #[arg(long)]
    verify: bool,
}

/// What the table and the document say of one array.
struct Line {
    name: String,
    dtype: String,
    shape: String,
    order: &'static str,
    bytes: usize,
    offset: usize,
    // The greatest power of two, up to a page, that divides the offset.
    alignment: usize,
    remark: String,
    problem: Option<String>,
    // Whether a checksum was compared and agreed; None if there was none to compare.
    verified: Option<bool>,
}

impl Line {
    fn new(entry: &Entry<'_>, head: &Result<HeadSource<'_>, Error>, verify: bool) -> Line {
        let offset = entry.offset();
        let mut line = Line {
            name: printable(entry.name()),
            dtype: "-".into(),
            shape: "-".into(),
            order: "-",
            bytes: entry.data().len(),
            offset,
            alignment: 1 << offset.trailing_zeros().min(12),
            remark: String::new(),
            problem: None,
            verified: None,
        };
        match entry.array() {
            Ok(array) => {
                line.dtype = array.element().to_string();
                line.shape = array.shape().to_string();
                line.order = if array.shape().rank() > 1 { array.order().name() } else { "-" };
                line.bytes = array.bytes().len();
                line.remark = match head {
                    Ok(head) if head.weights.name() == entry.name() && !head.columns_are_contiguous => {
                        "copied: transposed when opened".into()
                    }
                    _ => "in place".into(),
                };
            }
            Err(error) => line.problem = Some(error.to_string()),
        }
        if verify {
            match entry.verify() {
                Ok(true) => line.verified = Some(true),
                Ok(false) => {}
                Err(error) => {
                    line.verified = Some(false);
                    line.problem = Some(error.to_string());
                }
            }
        }
        line
    }

    fn to_json(&self, entry: &Entry<'_>) -> Value {
        let array = entry.array().ok();
        json!({
            "name": entry.name(),
            "dtype": array.map(|array| array.element().to_string()),
            "shape": array.map(|array| array.shape().dimensions().to_vec()),
            "order": array.map(|array| array.order().name()),
            "bytes": self.bytes,
            "offset": self.offset,
            "alignment": self.alignment,
            "in_place": array.is_some() && self.remark == "in place",
            "verified": self.verified,
            "problem": self.problem,
        })
    }
}

/// Runs the command.
pub fn run(args: Args, out: &mut dyn Write) -> Result<(), Failure> {
    let failed = |error: Error| Failure::Message(format!("{}: {error}", args.file.display()));
    let (bytes, state) = Bytes::map(&args.file).map_err(failed)?;
    let archive = Archive::parse(&bytes).map_err(failed)?;
    let head = HeadSource::find(&archive);
    let lines: Vec<(Entry<'_>, Line)> =
        archive.entries().map(|entry| (entry, Line::new(&entry, &head, args.verify))).collect();
    if args.json {
        let document = json!({
            "file": args.file.to_string_lossy(),
            "format": archive.format().name(),
            "bytes": state.length,
            "arrays": lines.iter().map(|(entry, line)| line.to_json(entry)).collect::<Vec<_>>(),
            "head": head.as_ref().ok().map(|head| json!({
                "vocab": head.vocab,
                "features": head.features,
                "dtype": head.element().name(),
                "in_place": head.columns_are_contiguous,
            })),
            "problem": head.as_ref().err().map(ToString::to_string),
        });
        writeln!(out, "{document:#}")?;
    } else {
        writeln!(out, "{}: {}, {} bytes", args.file.display(), archive.format().name(), state.length)?;
        table(&lines, out)?;
        match &head {
            Ok(head) if head.columns_are_contiguous => writeln!(
                out,
                "head: {} logits from {} columns of {}, used in place",
                head.vocab,
                head.features,
                head.element()
            )?,
            Ok(head) => writeln!(
                out,
                "head: {} logits from {} columns of {}, transposed once into memory; `argpick pack` writes a file that \
                 needs no copy",
                head.vocab,
                head.features,
                head.element()
            )?,
            Err(error) => writeln!(out, "head: none: {error}")?,
        }
    }
    match lines.iter().find(|(_, line)| line.verified == Some(false)) {
        Some((_, line)) => {
            let problem = line.problem.as_deref().unwrap_or_default();
            Err(Failure::Message(format!("{}: {problem}", args.file.display())))
        }
        None => Ok(()),
    }
}

fn table(lines: &[(Entry<'_>, Line)], out: &mut dyn Write) -> Result<(), Failure> {
    let width = |of: fn(&Line) -> &str, title: &str| {
        lines.iter().map(|(_, line)| of(line).chars().count()).chain([title.len()]).max().unwrap_or(0)
    };
    let name = width(|line| &line.name, "array");
    let dtype = width(|line| &line.dtype, "dtype");
    let shape = width(|line| &line.shape, "shape");
    let order = width(|line| line.order, "order");
    writeln!(
        out,
        "{:name$}  {:dtype$}  {:shape$}  {:order$}  {:>12}  {:>12}  {:>5}  use",
        "array", "dtype", "shape", "order", "bytes", "offset", "align"
    )?;
    for (_, line) in lines {
        let verified = if line.verified == Some(true) { ", checksum agrees" } else { "" };
        let remark = line.problem.as_deref().unwrap_or(&line.remark);
        writeln!(
            out,
            "{:name$}  {:dtype$}  {:shape$}  {:order$}  {:>12}  {:>12}  {:>5}  {remark}{verified}",
            line.name, line.dtype, line.shape, line.order, line.bytes, line.offset, line.alignment
        )?;
    }
    Ok(())
}

/// The name, or what a bare `.npy` is called that has none. Names have no control characters: the parser refuses them.
fn printable(name: &str) -> String {
    if name.is_empty() { "(the array)".into() } else { name.into() }
}
