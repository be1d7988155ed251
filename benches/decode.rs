//! What a token costs, beside the bare reading of its row.
//!
//! ```text
//! cargo bench                          the default subset: fastest level, 32,000 and 262,144 tokens; below five minutes
//! cargo bench -- greedy/               everything whose identifier matches, of all levels, vocabularies and rows
//! ARGPICK_BENCH=all cargo bench        everything (about an hour)
//! cargo test --release --bench decode  each benchmark of the subset once, nothing measured: only the checks
//! ```
//!
//! Identifiers are `room/stage/level/vocabulary`, as in `decode/greedy/avx512/262144`; a stage on a real row is
//! `stage@gemma0`. Rows are normal with deviation 3 and, where `../shared/data/logits` is present, two rows of a language
//! model: a confident one and a doubtful one.
//!
//! Criterion prints times; behind it stands a table of ours with the floor: the shortest and the median time of the bare
//! reading of the same memory, timed in turn with the stage, hot (the same row again and again) and cold (rows rotating
//! over 256 MB). On a noisy machine only the ratios mean something. Before anything is timed its result is held against
//! the scalar level, bit for bit.

// One implementation for these benchmarks and for `argpick bench`; each uses a part of it.
#[allow(dead_code)]
mod support;

use argpick::Level;
use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use std::path::Path;
use std::time::Duration;
use support::machine::Machine;
use support::measure::Measured;
use support::reader::Reader;
use support::rows::{self, VOCABULARIES};
use support::stages::{STAGES, Stage};
use support::subject::{Subject, dtype_suffix};
use support::table::{Comparisons, Line, Table, comparisons};

/// Timed rounds of one line of the table, hot.
const ROUNDS: usize = 300;

/// Real rows: name, and number in the file. Entropies 0.76 and 6.34 nats; the nucleus of 0.95 holds 12 and 2,326 tokens.
const REAL_ROWS: [(&str, usize); 2] = [("gemma0", 0), ("gemma13", 13)];

struct NamedRow {
    name: &'static str,
    logits: Vec<f32>,
}

/// The rows of all vocabularies, the real ones where they are.
fn all_rows() -> Vec<NamedRow> {
    let made = VOCABULARIES.into_iter().map(|vocab| NamedRow { name: "gaussian", logits: rows::gaussian(vocab) });
    let mut all: Vec<NamedRow> = made.collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/logits/gemma3_270m_16x262144_f32.npy");
    for (name, index) in REAL_ROWS {
        match rows::from_npy(&file, index) {
            Ok(logits) => all.push(NamedRow { name, logits }),
            Err(reason) => eprintln!("skipped: row {name} ({reason})"),
        }
    }
    all
}

fn best_level() -> Level {
    Level::ALL.into_iter().rev().find(|level| level.is_available()).unwrap_or(Level::Scalar)
}

/// Whether a benchmark belongs to the subset that `cargo bench` runs when nothing is asked for.
fn is_default(stage: &Stage, row: &NamedRow, level: Level) -> bool {
    let common = [32_000, 262_144].contains(&row.logits.len());
    level == best_level() && common && (row.name == "gaussian" || stage.room() == "decode")
}

/// The identifier within the group of its room.
fn identifier(stage: &Stage, row: &NamedRow, level: Level) -> String {
    let at = if row.name == "gaussian" { String::new() } else { format!("@{}", row.name) };
    format!("{}{at}/{level}/{}", stage.name, row.logits.len())
}

/// A subject whose results have been checked.
fn checked(stage: &'static Stage, row: &NamedRow, level: Level, cold: bool) -> Subject {
    let mut subject = Subject::new(stage, &row.logits, level, cold).expect("the stages are valid");
    subject.check(&row.logits).unwrap_or_else(|message| panic!("{message}"));
    subject
}

/// Runs one benchmark, if criterion's filter lets it, and adds its lines to the table.
fn run(
    group: &mut BenchmarkGroup<'_, WallTime>,
    stage: &'static Stage,
    row: &NamedRow,
    level: Level,
    reader: Option<Reader>,
    lines: &mut Vec<Line>,
) {
    let mut hot: Option<Subject> = None;
    group.bench_function(identifier(stage, row, level), |bencher| {
        let subject = hot.get_or_insert_with(|| checked(stage, row, level, false));
        bencher.iter_custom(|calls| (0..calls as usize).map(|round| subject.step(round)).sum());
    });
    let (Some(mut subject), Some(reader)) = (hot, reader) else { return };
    let vocab = row.logits.len();
    let mut add = |subject: &mut Subject, rounds: usize, cold: bool| {
        let measured = Measured::new(subject, reader, rounds);
        let row = format!("{}{}", row.name, dtype_suffix(stage.dtype));
        let level = level.name();
        lines.push(Line { stage: stage.name, level, vocab, row, original: None, cold, measured });
    };
    add(&mut subject, ROUNDS, false);
    // Only where a row, or a column, is large.
    if !stage.is_in_place() && vocab == 262_144 {
        let mut subject = checked(stage, row, level, true);
        let rounds = subject.rotation();
        add(&mut subject, rounds, true);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // As criterion sees it: only `cargo bench` says --bench.
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    let only_test = !has("--bench") || has("--test") || has("--list");
    // An argument that is no option filters; whoever filters chooses from everything.
    let filtered = arguments.iter().any(|argument| !argument.starts_with('-'));
    let everything = filtered || std::env::var_os("ARGPICK_BENCH").is_some_and(|value| value == "all");

    let rows = all_rows();
    let longest = &rows[VOCABULARIES.len() - 1].logits;
    let reader = (!only_test).then(|| Reader::fastest(longest).expect("the fastest level can run"));
    let mut criterion = Criterion::default()
        .sample_size(20)
        .nresamples(2_000)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300))
        .without_plots()
        .configure_from_args();
    let mut lines = Vec::new();
    for row in &rows {
        for stage in STAGES {
            let mut group = criterion.benchmark_group(stage.room());
            for level in Level::ALL.into_iter().filter(|&level| level.is_available() && stage.runs_at(level)) {
                if everything || is_default(stage, row, level) {
                    run(&mut group, stage, row, level, reader, &mut lines);
                }
            }
            group.finish();
        }
    }
    if let (Some(reader), false) = (reader, lines.is_empty()) {
        println!("\n{}", Machine::here());
        println!("floor      {}\n", reader.name());
        println!("{}", Table(&lines));
        println!("{}", Comparisons(&comparisons(&lines)));
    }
    criterion.final_summary();
}
