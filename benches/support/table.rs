//! The table of all lines, and what pairs of lines say together.

use super::measure::Measured;
use super::stages::{SWEEP_STAGES, THREAD_STAGES};
use std::fmt;

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
    /// The row that this one is a rearrangement of, if it is.
    pub original: Option<String>,
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
        let heads = ["floor min", "median", "min us", "median us", "p99 us", "p99.9 us"];
        write!(f, "| {:<22} | {:<wide$} | {:>7} | {:<8} | {:<4} |", "stage", "row", "vocab", "level", "")?;
        heads.iter().try_for_each(|head| write!(f, " {head:>9} |"))?;
        writeln!(f, " {:>6} | {:>6} | {:>6} |", "x min", "x med", "GB/s")?;
        let (text, number, dashes) = (":--", "--:", wide + 2);
        write!(f, "|{text:-<24}|{text:-<dashes$}|{number:->9}|{text:-<10}|{text:-<6}|")?;
        heads.iter().try_for_each(|_| write!(f, "{number:->11}|"))?;
        writeln!(f, "{number:->8}|{number:->8}|{number:->8}|")?;
        for line in self.0 {
            let Measured { floor, stage, .. } = line.measured;
            let memory = if line.cold { "cold" } else { "hot" };
            let Line { stage: name, row, vocab, level, .. } = line;
            write!(f, "| {name:<22} | {row:<wide$} | {vocab:>7} | {level:<8} | {memory:<4} |")?;
            for nanoseconds in [floor.minimum, floor.median, stage.minimum, stage.median, stage.p99, stage.p999] {
                write!(f, " {:>9.2} |", nanoseconds as f64 / 1000.0)?;
            }
            let Line { measured, .. } = line;
            let (minimum, median) = (measured.minimum_ratio(), measured.median_ratio());
            writeln!(f, " {minimum:>6.2} | {median:>6.2} | {:>6.1} |", measured.gigabytes_per_second())?;
        }
        Ok(())
    }
}

/// What two lines of the same run say together: one time over another, or one scaling over another.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What is compared.
    pub what: String,
    /// Name of the row.
    pub row: String,
    /// Tokens.
    pub vocab: usize,
    /// Kernel level.
    pub level: &'static str,
    /// Whether the memory was cold.
    pub cold: bool,
    /// The ratio of the shortest times.
    pub minimum: f64,
    /// The ratio of the median times.
    pub median: f64,
}

/// All comparisons that these lines allow: half precision over f32, sixteen configurations in one call over sixteen calls,
/// two threads over one, rearranged rows over the rows themselves.
pub fn comparisons(lines: &[Line]) -> Vec<Comparison> {
    let mut all = Vec::new();
    for line in lines {
        let like = |stage: &str, row: &str| {
            lines.iter().find(|other| {
                let place = (other.level, other.vocab, other.cold) == (line.level, line.vocab, line.cold);
                place && other.stage == stage && other.row == row
            })
        };
        let mut add = |what: String, minimum: f64, median: f64| {
            let Line { row, vocab, level, cold, .. } = line.clone();
            all.push(Comparison { what, row, vocab, level, cold, minimum, median });
        };
        let over = |other: &Line| {
            let ratio = |a: u64, b: u64| a as f64 / b.max(1) as f64;
            let (a, b) = (line.measured.stage, other.measured.stage);
            (ratio(a.minimum, b.minimum), ratio(a.median, b.median))
        };
        for suffix in ["f16", "bf16"] {
            let base = line.stage.strip_suffix(suffix).and_then(|stage| stage.strip_suffix('-'));
            let row = line.row.strip_suffix(suffix).map(str::trim_end);
            if let Some(other) = base.zip(row).and_then(|(stage, row)| like(stage, row)) {
                let (minimum, median) = over(other);
                add(format!("{} / {}", line.stage, other.stage), minimum, median);
            }
        }
        if let Some(other) = (line.stage == SWEEP_STAGES[0]).then(|| like(SWEEP_STAGES[1], &line.row)).flatten() {
            let (minimum, median) = over(other);
            add(format!("{} / {}", line.stage, other.stage), minimum, median);
        }
        if let Some(one) = (line.stage == THREAD_STAGES[1]).then(|| like(THREAD_STAGES[0], &line.row)).flatten() {
            // Of the batch: time on one thread over time on two; of the bare reading likewise; the first over the second.
            let (a, b) = (&one.measured, &line.measured);
            let what = "scaling of 2 threads / that of the floor".to_owned();
            add(what, a.minimum_ratio() / b.minimum_ratio(), a.median_ratio() / b.median_ratio());
        }
        if let Some(other) = line.original.as_ref().and_then(|row| like(line.stage, row)) {
            let (minimum, median) = over(other);
            add(format!("{}, {} / {}", line.stage, line.row, other.row), minimum, median);
        }
    }
    all
}

/// Comparisons as text that is also Markdown.
pub struct Comparisons<'a>(pub &'a [Comparison]);

impl fmt::Display for Comparisons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = |of: fn(&Comparison) -> &str| self.0.iter().map(|one| of(one).chars().count()).max().unwrap_or(0);
        let (what, row) = (wide(|one| &one.what).max(8), wide(|one| &one.row).max(8));
        let head = ("ratio", "row", "vocab", "level", "");
        writeln!(
            f,
            "| {:<what$} | {:<row$} | {:>7} | {:<8} | {:<4} | of min | of med |",
            head.0, head.1, head.2, head.3, head.4
        )?;
        let (text, number) = (":--", "--:");
        writeln!(
            f,
            "|{text:-<0$}|{text:-<1$}|{number:->9}|{text:-<10}|{text:-<6}|{number:->8}|{number:->8}|",
            what + 2,
            row + 2
        )?;
        for one in self.0 {
            let memory = if one.cold { "cold" } else { "hot" };
            let Comparison { vocab, level, minimum, median, .. } = one;
            write!(f, "| {:<what$} | {:<row$} | {vocab:>7} | {level:<8} | {memory:<4} |", one.what, one.row)?;
            writeln!(f, " {minimum:>6.2} | {median:>6.2} |")?;
        }
        Ok(())
    }
}
