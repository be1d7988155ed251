//! Rounds, statistics and the table.

use super::subject::{Reader, Subject};
use std::fmt;
use std::time::Duration;

/// Order statistics of a series of durations, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Statistics {
    /// The shortest.
    pub minimum: u64,
    /// Half are not longer.
    pub median: u64,
    /// Of a hundred, ninety-nine are not longer.
    pub p99: u64,
}

impl Statistics {
    /// Of at least one duration.
    pub fn of(mut durations: Vec<u64>) -> Statistics {
        durations.sort_unstable();
        let at = |numerator: usize, denominator: usize| durations[(durations.len() - 1) * numerator / denominator];
        Statistics { minimum: at(0, 1), median: at(1, 2), p99: at(99, 100) }
    }
}

/// A stage beside its floor, from the same rounds.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// The bare reading.
    pub floor: Statistics,
    /// The stage.
    pub stage: Statistics,
    /// Rounds timed.
    pub rounds: usize,
}

impl Measured {
    /// Times floor and stage in turn. Where the subject rotates over cold memory, the two read places half a rotation
    /// apart, so that neither warms the other's.
    pub fn new(subject: &mut Subject, reader: Reader, rounds: usize) -> Measured {
        let rounds = rounds.max(1);
        let apart = subject.rotation() / 2;
        for round in 0..rounds.div_ceil(20) {
            subject.floor(round, reader);
            subject.step(round);
        }
        let (mut floors, mut stages) = (Vec::with_capacity(rounds), Vec::with_capacity(rounds));
        for round in 0..rounds {
            floors.push(nanoseconds(subject.floor(round, reader)));
            stages.push(nanoseconds(subject.step(round + apart)));
        }
        Measured { floor: Statistics::of(floors), stage: Statistics::of(stages), rounds }
    }

    /// Minimum over minimum.
    pub fn minimum_ratio(&self) -> f64 {
        self.stage.minimum as f64 / self.floor.minimum.max(1) as f64
    }

    /// Median over median.
    pub fn median_ratio(&self) -> f64 {
        self.stage.median as f64 / self.floor.median.max(1) as f64
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Line {
    /// Name of the stage.
    pub stage: &'static str,
    /// Kernel level.
    pub level: &'static str,
    /// Tokens.
    pub vocab: usize,
    /// Name of the row.
    pub row: String,
    /// Whether the memory was cold.
    pub cold: bool,
    /// The figures.
    pub measured: Measured,
}

/// The table of all lines, as text that is also Markdown; times in microseconds, `x` is the ratio to the floor.
pub struct Table<'a>(pub &'a [Line]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rows of files have names of any length.
        let wide = self.0.iter().map(|line| line.row.chars().count()).max().unwrap_or(0).max(8);
        writeln!(
            f,
            "| {:<16} | {:<wide$} | {:>7} | {:<8} | {:<4} | {:>9} | {:>9} | {:>9} | {:>9} | {:>9} | {:>6} | {:>6} |",
            "stage",
            "row",
            "vocab",
            "level",
            "",
            "floor min",
            "median",
            "min us",
            "median us",
            "p99 us",
            "x min",
            "x med"
        )?;
        let (text, number, dashes) = (":--", "--:", wide + 2);
        writeln!(
            f,
            "|{text:-<18}|{text:-<dashes$}|{number:->9}|{text:-<10}|{text:-<6}|{number:->11}|{number:->11}|{number:->11}|\
             {number:->11}|{number:->11}|{number:->8}|{number:->8}|"
        )?;
        for line in self.0 {
            let Measured { floor, stage, .. } = line.measured;
            let us = |nanoseconds: u64| format!("{:.2}", nanoseconds as f64 / 1000.0);
            writeln!(
                f,
                "| {:<16} | {:<wide$} | {:>7} | {:<8} | {:<4} | {:>9} | {:>9} | {:>9} | {:>9} | {:>9} | {:>6.2} | {:>6.2} |",
                line.stage,
                line.row,
                line.vocab,
                line.level,
                if line.cold { "cold" } else { "hot" },
                us(floor.minimum),
                us(floor.median),
                us(stage.minimum),
                us(stage.median),
                us(stage.p99),
                line.measured.minimum_ratio(),
                line.measured.median_ratio(),
            )?;
        }
        Ok(())
    }
}

/// What must be known of the machine to compare figures.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The processor's name, as the system gives it.
    pub processor: String,
    /// Processors that this process may use, as the system lists them.
    pub allowed: String,
    /// Architecture and system of this build.
    pub target: String,
    /// Instruction sets that this build takes for granted.
    pub baseline: String,
    /// Whether this build is optimised.
    pub optimised: bool,
    /// The version of argpick.
    pub version: &'static str,
}

impl Machine {
    /// This machine.
    pub fn here() -> Machine {
        // Linux says it in two text files; elsewhere these are unknown.
        let field = |file: &str, key: &str| -> Option<String> {
            let text = std::fs::read_to_string(file).ok()?;
            let line = text.lines().find(|line| line.starts_with(key))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let unknown = || "unknown".to_owned();
        let features = [
            (cfg!(target_feature = "sse2"), "sse2"),
            (cfg!(target_feature = "avx2"), "avx2"),
            (cfg!(target_feature = "avx512f"), "avx512f"),
            (cfg!(target_feature = "neon"), "neon"),
            (cfg!(target_feature = "simd128"), "simd128"),
        ];
        let baseline: Vec<&str> = features.into_iter().filter(|&(has, _)| has).map(|(_, name)| name).collect();
        Machine {
            processor: field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            allowed: field("/proc/self/status", "Cpus_allowed_list").unwrap_or_else(unknown),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            baseline: if baseline.is_empty() { "plain".to_owned() } else { baseline.join(" ") },
            optimised: !cfg!(debug_assertions),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// Whether the process is bound to one processor, as far as is known.
    pub fn is_pinned(&self) -> bool {
        !self.allowed.is_empty() && self.allowed.chars().all(|c| c.is_ascii_digit())
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pinned = if self.is_pinned() { "pinned" } else { "not pinned" };
        writeln!(f, "processor  {}, processors {} ({pinned})", self.processor, self.allowed)?;
        let optimised = if self.optimised { "" } else { ", NOT OPTIMISED: these figures mean nothing" };
        write!(f, "build      argpick {}, {}, baseline {}{optimised}", self.version, self.target, self.baseline)
    }
}
