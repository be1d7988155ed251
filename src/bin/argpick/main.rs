//! argpick, the command line: decode text with a small model, train one, look into files and at the processor.
//!
//! Standard output carries results, standard error everything else. Exit codes: 0 done, 1 failed, 2 bad usage.

mod args;
mod beams;
mod bench;
mod decode;
mod diagnose;
mod diagnose_plot;
mod document;
mod explain;
mod inspect;
mod kernels;
mod lab;
mod list_args;
mod pack;
mod plot;
mod repetition_args;
mod replay;
mod report;
mod report_page;
mod rows;
mod sampling_args;
mod sequence_args;
mod sweep;
mod train;
mod verify;

use clap::{Parser, Subcommand};
use std::io::{self, Write};
use std::process::ExitCode;

/// An embeddable token decoder: logits in, token out.
#[derive(Debug, Parser)]
#[command(name = "argpick", version, about, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

// A command is one line here and one in `run`.
#[derive(Debug, Subcommand)]
enum Command {
    /// What a token costs on this machine, beside the bare reading of its row
    Bench(bench::Args),
    /// Continue texts and show every step: the choices, the pick, and how sure it was
    Decode(Box<decode::Args>),
    /// Execute a recorded run again and name the first difference
    Replay(replay::Args),
    /// One page from recorded runs, traces of steps and sweeps
    Report(report_page::Args),
    /// What each filter leaves of a row, and where two profiles part
    Explain(explain::Args),
    /// Many configurations: over prompts, with what sets their texts apart, or over one row
    Sweep(sweep::Args),
    /// Whether rows with targets are flat, saturated or healthy, how accurate, and how well calibrated
    Diagnose(diagnose::Args),
    /// Which drafted tokens stand, and what comes after them
    Verify(verify::Args),
    /// Train a small model on a text file
    Train(train::Args),
    /// Turn a weight file into one that is used in place, without a copy
    Pack(pack::Args),
    /// List what is in a weight file, and what is wrong with it
    Inspect(inspect::Args),
    /// What the processor offers, which kernels are compiled, which are used and why
    Kernels(kernels::Args),
}

fn run(command: Command, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        Command::Bench(args) => bench::run(args, out),
        Command::Decode(args) => decode::run(*args, out),
        Command::Replay(args) => replay::run(args, out),
        Command::Report(args) => report_page::run(args, out),
        Command::Explain(args) => explain::run(args, out),
        Command::Sweep(args) => sweep::run(args, out),
        Command::Diagnose(args) => diagnose::run(args, out),
        Command::Verify(args) => verify::run(args, out),
        Command::Train(args) => train::run(args, out),
        Command::Pack(args) => pack::run(args, out),
        Command::Inspect(args) => inspect::run(args, out),
        Command::Kernels(args) => kernels::run(args, out),
    }
}

/// The error; of a parameter outside its range with the range.
fn with_range(error: argpick::Error) -> String {
    let range = match error {
        argpick::Error::InvalidParameter { name, .. } => argpick::lab::allowed(name),
        _ => None,
    };
    range.map_or_else(|| error.to_string(), |range| format!("{error}: {range}"))
}

/// Why a command failed.
#[derive(Debug)]
enum Failure {
    /// One line for standard error.
    Message(String),
    /// Options that do not go together.
    Usage(String),
    /// Standard output could not be written.
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Failure::Message(message)
    }
}

impl From<argpick::sandbox::Error> for Failure {
    fn from(error: argpick::sandbox::Error) -> Self {
        match error {
            argpick::sandbox::Error::Decode(error) => error.into(),
            // Its options have the names of those here.
            argpick::sandbox::Error::Option { name, reason } => Failure::Message(format!("--{name}: {reason}")),
            error => Failure::Message(error.to_string()),
        }
    }
}

impl From<argpick::lab::Error> for Failure {
    fn from(error: argpick::lab::Error) -> Self {
        Failure::Message(error.to_string())
    }
}

impl From<argpick::Error> for Failure {
    fn from(error: argpick::Error) -> Self {
        Failure::Message(with_range(error))
    }
}

/// A remark on standard error; nobody may be listening, which is no failure.
fn remark(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "argpick: {line}");
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let done = run(cli.command, &mut out).and_then(|()| Ok(out.flush()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            // The reader has seen enough (`| head`). What is still buffered has nowhere to go.
            drop(out.into_parts());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            // Results that were reached before the failure come first.
            let _ = out.flush();
            match failure {
                Failure::Message(message) => remark(message),
                Failure::Usage(message) => {
                    remark(message);
                    return ExitCode::from(2);
                }
                Failure::Output(error) => remark(format_args!("cannot write to standard output: {error}")),
            }
            ExitCode::FAILURE
        }
    }
}
