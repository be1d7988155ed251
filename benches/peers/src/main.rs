//! Other samplers beside argpick: the same rows, the same work, the same run. `benches/peers/run` builds and runs it.
//!
//! Each party does what its user pays for a token: llama.cpp fills its array of candidates from the row first, as
//! `llama_sampler_sample` does; llm-samplers builds its list; candle gets its tensor as a model leaves it. In each round
//! each party is called twice and its second call is timed, so that nobody pays for the caches that another has filled.
//! Figures are the shortest and the median time; the ratio to the bare reading of the row in the same rounds is what can
//! be compared between machines.

#[path = "../../support/mod.rs"]
#[allow(dead_code)]
mod support;

mod argpick_party;
#[cfg(feature = "candle")]
mod candle;
#[cfg(feature = "llama_cpp")]
mod llama_cpp;
#[cfg(feature = "llm_samplers")]
mod llm_samplers;
mod report;

use std::path::Path;
use std::time::{Duration, Instant};
use support::machine::Machine;
use support::measure::{Statistics, nanoseconds};
use support::reader::Reader;
use support::rows;

/// What is asked of everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// The argmax.
    Greedy,
    /// A draw from the whole row at temperature 0.8.
    Draw,
    /// Top-k 40, top-p 0.95, min-p 0.05, temperature 0.8.
    Chain,
    /// Top-p 0.95 alone, temperature 0.8.
    TopP,
    /// Typical 0.9, temperature 0.8.
    Typical,
}

impl Task {
    const ALL: [Task; 5] = [Task::Greedy, Task::Draw, Task::Chain, Task::TopP, Task::Typical];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Task::Greedy => "greedy",
            Task::Draw => "draw, temperature 0.8",
            Task::Chain => "top-k 40, top-p 0.95, min-p 0.05, temperature 0.8",
            Task::TopP => "top-p 0.95, temperature 0.8",
            Task::Typical => "typical 0.9, temperature 0.8",
        }
    }
}

/// A call that picks a token from the row it was made for.
pub type Call<'a> = Box<dyn FnMut() -> u32 + 'a>;

/// Makes the call for a task, if the party has such a thing.
type Prepare = for<'a> fn(Task, &'a [f32]) -> Option<Call<'a>>;

/// Everyone who was built in; the first is argpick.
const PARTIES: &[(&str, Prepare)] = &[
    ("argpick", argpick_party::prepare),
    #[cfg(feature = "llama_cpp")]
    ("llama.cpp", llama_cpp::prepare),
    #[cfg(feature = "candle")]
    ("candle", candle::prepare),
    #[cfg(feature = "llm_samplers")]
    ("llm-samplers", llm_samplers::prepare),
];

/// Who was left out of this build.
const ABSENT: &[&str] = &[
    #[cfg(not(feature = "llama_cpp"))]
    "llama.cpp",
    #[cfg(not(feature = "candle"))]
    "candle",
    #[cfg(not(feature = "llm_samplers"))]
    "llm-samplers",
];

/// A row to measure on.
struct NamedRow {
    name: String,
    logits: Vec<f32>,
    original: Option<String>,
}

/// One line of the table.
pub struct Line {
    task: Task,
    row: String,
    original: Option<String>,
    vocab: usize,
    party: &'static str,
    time: Statistics,
    floor: Statistics,
}

fn all_rows() -> Vec<NamedRow> {
    let mut all: Vec<NamedRow> = [32_000, 262_144]
        .map(|vocab| NamedRow { name: "N(0,3)".to_owned(), logits: rows::gaussian(vocab), original: None })
        .into();
    let long = all[1].logits.clone();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/logits/gemma3_270m_16x262144_f32.npy");
    for index in [0, 13] {
        match rows::from_npy(&file, index) {
            Ok(logits) => all.push(NamedRow { name: format!("Gemma 3, row {index}"), logits, original: None }),
            Err(reason) => eprintln!("skipped: {reason}"),
        }
    }
    for (how, logits) in rows::rearranged(&long) {
        let original = Some("N(0,3)".to_owned());
        all.push(NamedRow { name: format!("N(0,3) {how}"), logits, original });
    }
    all
}

/// Times the floor and everyone, in turn; nobody is called for longer than `limit`.
fn measure(task: Task, row: &NamedRow, reader: Reader, rounds: usize, limit: Duration, lines: &mut Vec<Line>) {
    let logits = &row.logits[..];
    let mut calls: Vec<(&'static str, Call<'_>)> = Vec::new();
    for &(party, prepare) in PARTIES {
        if let Some(mut call) = prepare(task, logits) {
            check(task, logits, party, call());
            calls.push((party, call));
        }
    }
    let mut floors = Vec::new();
    let mut times: Vec<Vec<u64>> = vec![Vec::new(); calls.len()];
    let mut spent = vec![Duration::ZERO; calls.len()];
    for round in 0..rounds {
        for second in [false, true] {
            let begun = Instant::now();
            reader.read_bytes(bytemuck::cast_slice(logits));
            if second {
                floors.push(nanoseconds(begun.elapsed()));
            }
        }
        for (index, (_, call)) in calls.iter_mut().enumerate() {
            if spent[index] > limit && round >= 5 {
                continue;
            }
            let begun = Instant::now();
            std::hint::black_box(call());
            let first = begun.elapsed();
            let begun = Instant::now();
            std::hint::black_box(call());
            let second = begun.elapsed();
            times[index].push(nanoseconds(second));
            spent[index] += first + second;
        }
    }
    let floor = Statistics::of(floors);
    for ((party, _), durations) in calls.iter().zip(times) {
        let (row, original) = (row.name.clone(), row.original.clone());
        lines.push(Line { task, row, original, vocab: logits.len(), party, time: Statistics::of(durations), floor });
    }
}

/// Whether a party did the work at all: the argmax where that is asked for, else a token that could be drawn.
fn check(task: Task, logits: &[f32], party: &str, token: u32) {
    let logit = logits.get(token as usize).unwrap_or_else(|| panic!("{party} picks {token} of {}", logits.len()));
    let before = logits.iter().filter(|other| *other > logit).count();
    let most = match task {
        Task::Greedy => 1,
        Task::Chain => 40,
        _ => logits.len(),
    };
    assert!(before < most, "{party}: {before} tokens are likelier than its pick, for {task:?}");
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|argument| argument == name);
        at.map_or(default, |at| arguments.get(at + 1).and_then(|value| value.parse().ok()).expect("a number"))
    };
    let rounds = number("--rounds", 200);
    let limit = Duration::from_millis(number("--limit-ms", 1_500) as u64);
    let rows = all_rows();
    let longest = rows.iter().max_by_key(|row| row.logits.len()).expect("there is a row");
    let reader = Reader::fastest(&longest.logits).expect("the fastest level can run");
    let mut lines = Vec::new();
    for row in &rows {
        for task in Task::ALL {
            eprintln!("{}, {} tokens: {}", row.name, row.logits.len(), task.name());
            measure(task, row, reader, rounds, limit, &mut lines);
        }
    }
    println!("```text\n{}\nfloor      {}\n```\n", Machine::here(), reader.name());
    println!("{}", report::Report { lines: &lines, absent: ABSENT });
}
