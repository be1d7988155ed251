//! Prints the hashes of the corpus, one line for each operation of each unit: `unit / operation cases hash`.
//!
//! ```text
//! bits [--level NAME] [--environment default|flush|flush-and-down] [--threads N] [--unit NAME] [--cases]
//! bits --levels                          the levels that this processor has
//! ```
//! With `--cases` every case is printed with the hash so far: two such outputs part at the first case that differs.

use argpick::{Error, Kernels, Level, decode_batch, decode_batch_parallel};
use argpick_cross::corpus::operations::{BATCH, batch_decoders, batch_rows, tell_batch};
use argpick_cross::corpus::rows::{Recipe, mask};
use argpick_cross::corpus::{self, Listener, Tally, Workspace};
use argpick_cross::environment::Environment;
use std::process::ExitCode;

/// Lines with the number of their unit, to be put in order.
struct Printer {
    cases: bool,
    unit: usize,
    lines: Vec<(usize, String)>,
}

impl Listener for Printer {
    fn case(&mut self, unit: &str, operation: &str, recipe: Recipe, dtype: argpick::Dtype, hash: u64) {
        if self.cases {
            let Recipe { vocab, shape } = recipe;
            // At once, so that a panic shows which case it was.
            println!("{unit} / {operation}: {shape:?} {vocab} {dtype} {hash:016x}");
        }
    }

    fn operation(&mut self, unit: &str, operation: &str, cases: u32, hash: u64) {
        self.lines.push((self.unit, format!("{unit} / {operation} {cases} {hash:016x}")));
    }
}

struct Options {
    level: Level,
    environment: Environment,
    threads: usize,
    unit: Option<String>,
    cases: bool,
}

fn options() -> Result<Options, String> {
    let level = Kernels::detect().map_err(|error| error.to_string())?.level();
    let mut options = Options { level, environment: Environment::Default, threads: 1, unit: None, cases: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--cases" {
            options.cases = true;
            continue;
        }
        let value = words.next().ok_or(format!("{word} needs a value, or is not known"))?;
        let bad = || format!("{word} cannot be {value}");
        match word.as_str() {
            "--level" => options.level = Level::from_name(&value).ok_or_else(bad)?,
            "--environment" => options.environment = Environment::from_name(&value).ok_or_else(bad)?,
            "--threads" => options.threads = value.parse().map_err(|_| bad())?,
            "--unit" => options.unit = Some(value),
            _ => return Err(format!("{word} is not known")),
        }
    }
    Ok(options)
}

/// The lines of every `threads`-th unit from `first` on, in the given float environment.
fn part(first: usize, options: &Options, kernels: Kernels) -> Vec<(usize, String)> {
    let mut words = vec![0; corpus::WORDS];
    let mut printer = Printer { cases: options.cases, unit: 0, lines: Vec::new() };
    // SAFETY: the corpus computes with integers and bit patterns only, until the default environment is back.
    assert!(unsafe { options.environment.set() }, "this target has no such float environment");
    for unit in (first..corpus::units()).step_by(options.threads) {
        if options.unit.as_ref().is_none_or(|name| corpus::name_of(unit) == name) {
            printer.unit = unit;
            corpus::run(unit, kernels, &mut Workspace::new(&mut words), &mut printer);
            assert!(options.environment.is_set(), "{} has changed the float environment", corpus::name_of(unit));
        }
    }
    // SAFETY: the environment in which everything else was compiled to run.
    unsafe { Environment::Default.set() };
    printer.lines
}

/// The unit `decode_batch` once more with its rows dealt out to threads: `threads` of our own, or rayon's if 0.
fn batch_on_threads(threads: usize, kernels: Kernels) -> Tally {
    let mut words = vec![0; corpus::WORDS];
    let workspace = Workspace::new(&mut words);
    let rows = batch_rows(workspace.row);
    let mask = mask(0, rows[0].len(), workspace.mask);
    let masks: [Option<&[u32]>; BATCH] = std::array::from_fn(|i| (i % 2 == 1).then_some(mask));
    let mut decoders = batch_decoders(kernels, workspace.storage);
    let mut tally = Tally::default();
    for _ in 0..3 {
        let mut results = [Err(Error::Finished); BATCH];
        if threads == 0 {
            decode_batch_parallel(&mut decoders, &rows, &masks, &mut results).expect("a batch of equal lengths");
            tell_batch(&mut tally, results);
            continue;
        }
        let share = BATCH.div_ceil(threads);
        std::thread::scope(|scope| {
            let parts = decoders.chunks_mut(share).zip(rows.chunks(share)).zip(masks.chunks(share));
            for (((decoders, rows), masks), results) in parts.zip(results.chunks_mut(share)) {
                scope.spawn(move || decode_batch(decoders, rows, masks, results).expect("a batch of equal lengths"));
            }
        });
        tell_batch(&mut tally, results);
    }
    tally
}

/// The hash of one unit, as `corpus::run` makes it.
struct Only(Option<(u32, u64)>);

impl Listener for Only {
    fn operation(&mut self, _: &str, _: &str, cases: u32, hash: u64) {
        self.0 = Some((cases, hash));
    }
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|word| word == "--levels") {
        Level::ALL.into_iter().filter(|level| level.is_available()).for_each(|level| println!("{level}"));
        return ExitCode::SUCCESS;
    }
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let kernels = match Kernels::new(options.level) {
        Ok(kernels) => kernels,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut lines: Vec<_> = std::thread::scope(|scope| {
        let options = &options;
        let parts: Vec<_> =
            (0..options.threads).map(|first| scope.spawn(move || part(first, options, kernels))).collect();
        parts.into_iter().flat_map(|part| part.join().expect("a thread of the corpus")).collect()
    });
    lines.sort_by_key(|(unit, _)| *unit);
    lines.iter().for_each(|(_, line)| println!("{line}"));
    if options.threads > 1 && options.unit.is_none() {
        let unit = (0..corpus::units()).find(|&unit| corpus::name_of(unit) == "decode_batch").expect("the batch");
        let mut only = Only(None);
        corpus::run(unit, kernels, &mut Workspace::new(&mut vec![0; corpus::WORDS]), &mut only);
        for threads in [options.threads, 0] {
            let dealt_out = batch_on_threads(threads, kernels);
            assert_eq!(only.0, Some(dealt_out.parts()), "a batch on {threads} threads (0: rayon's) differs");
        }
    }
    ExitCode::SUCCESS
}
