//! `argpick pack`: a weight file to one that is used in place.

use crate::Failure;
use argpick::weights::Format;
use argpick::weights::pack::{PackOptions, pack};
use argpick::{Dtype, Error};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The options of `argpick pack`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "W is written with contiguous columns, aligned to 64 bytes, so that it is used where it lies in \
    the mapped file. All other arrays are kept. In .safetensors it is stored as W.T, (features, vocabulary)."
)]
pub struct Args {
    /// The file to read: .npz or .safetensors
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
    /// The file to write: .npz or .safetensors, by its extension; may be the one that is read
    #[arg(long = "out", value_name = "FILE", value_parser = output_format)]
    output: (PathBuf, OutputFormat),
    /// Element type of W in the new file [default: as it is, f64 becomes f32]
    #[arg(long, value_name = "TYPE")]
    dtype: Option<WeightType>,
    /// Leave this array out (repeatable)
    #[arg(long = "drop", value_name = "NAME")]
    drop: Vec<String>,
    /// Leave all pickled arrays out instead of refusing the file
    #[arg(long)]
    skip_pickled: bool,
    /// One JSON document instead of the text
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug)]
struct OutputFormat(Format);

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum WeightType {
    F32,
    F16,
    Bf16,
}

fn output_format(text: &str) -> Result<(PathBuf, OutputFormat), String> {
    let format = match Path::new(text).extension().and_then(|extension| extension.to_str()) {
        Some("npz") => Format::Npz,
        Some("safetensors") => Format::Safetensors,
        _ => return Err("the name must end in .npz or .safetensors".into()),
    };
    Ok((text.into(), OutputFormat(format)))
}

/// Runs the command.
pub fn run(args: Args, out: &mut dyn Write) -> Result<(), Failure> {
    let (output, OutputFormat(format)) = &args.output;
    let options = PackOptions {
        dtype: args.dtype.map(|dtype| match dtype {
            WeightType::F32 => Dtype::F32,
            WeightType::F16 => Dtype::F16,
            WeightType::Bf16 => Dtype::Bf16,
        }),
        drop: args.drop,
        skip_pickled: args.skip_pickled,
    };
    let stopped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stopped);
    // Without a handler Ctrl-C would leave the unfinished file behind; nothing worse comes of it.
    let _ = ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed));
    // Hidden by itself where stderr is no terminal.
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec}") {
        bar.set_style(style);
    }
    let result = pack(&args.input, output, *format, &options, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
        !stopped.load(Ordering::Relaxed)
    });
    bar.finish_and_clear();
    let report = result.map_err(|error| {
        // Writing concerns the new file, everything else the old one.
        let path = if matches!(error, Error::File { operation: "write", .. }) { output } else { &args.input };
        let advice = match error {
            Error::ArrayPickled { .. } => ", or leave it out: --drop NAME, --skip-pickled",
            Error::ArrayUnsupported { .. } => ", or leave it out: --drop NAME",
            _ => "",
        };
        Failure::Message(format!("{}: {error}{advice}", path.display()))
    })?;
    if args.json {
        let document = serde_json::json!({
            "file": output.to_string_lossy(),
            "format": format.name(),
            "bytes": report.bytes,
            "vocab": report.vocab,
            "features": report.features,
            "from": report.from.name(),
            "to": report.to.name(),
            "dropped": report.dropped,
        });
        writeln!(out, "{document:#}")?;
    } else {
        writeln!(
            out,
            "{}: {}, {} bytes, {} logits from {} columns, {} to {}, used in place",
            output.display(),
            format.name(),
            report.bytes,
            report.vocab,
            report.features,
            report.from,
            report.to
        )?;
        for name in &report.dropped {
            writeln!(out, "left out: {name}")?;
        }
    }
    Ok(())
}
