//! The results as a JSON document, and the table of draws.

use super::DrawLine;
use super::support::machine::Machine;
use super::support::measure::Statistics;
use super::support::reader::Reader;
use super::support::table::{Comparison, Line};
use serde_json::{Value, json};
use std::fmt;

/// Everything, for a program.
pub fn document(
    machine: &Machine,
    reader: Reader,
    lines: &[Line],
    comparisons: &[Comparison],
    draws: &[DrawLine],
) -> Value {
    let memory = |cold: bool| if cold { "cold" } else { "hot" };
    let statistics =
        |of: Statistics| json!({ "min_ns": of.minimum, "median_ns": of.median, "p99_ns": of.p99, "p999_ns": of.p999 });
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "stage": line.stage,
                "row": line.row,
                "vocab": line.vocab,
                "level": line.level,
                "memory": memory(line.cold),
                "rounds": line.measured.rounds,
                "floor": statistics(line.measured.floor),
                "time": statistics(line.measured.stage),
                "min_ratio": line.measured.minimum_ratio(),
                "median_ratio": line.measured.median_ratio(),
                "gigabytes_per_second": line.measured.gigabytes_per_second(),
            })
        })
        .collect();
    let comparisons: Vec<Value> = comparisons
        .iter()
        .map(|one| {
            json!({
                "ratio": one.what,
                "row": one.row,
                "vocab": one.vocab,
                "level": one.level,
                "memory": memory(one.cold),
                "of_min": one.minimum,
                "of_median": one.median,
            })
        })
        .collect();
    let draws: Vec<Value> = draws
        .iter()
        .map(|line| {
            let draws = &line.draws;
            json!({
                "stage": line.stage,
                "row": line.row,
                "vocab": line.vocab,
                "level": line.level,
                "draws": draws.draws,
                "blocks": draws.blocks,
                "mean_evaluated": draws.mean_evaluated,
                "most_evaluated": draws.most_evaluated,
                "whole_rows": draws.whole_rows,
                "time": statistics(draws.time),
                "worst_ns": draws.worst,
            })
        })
        .collect();
    json!({
        "machine": {
            "processor": machine.processor,
            "processors_allowed": machine.allowed,
            "pinned": machine.is_pinned(),
            "target": machine.target,
            "baseline": machine.baseline,
            "optimised": machine.optimised,
        },
        "version": machine.version,
        "floor": reader.name(),
        "lines": lines,
        "comparisons": comparisons,
        "draws": draws,
    })
}

/// The table of draws, as text that is also Markdown. Each draw counts with the fastest of a few calls.
pub struct Draws<'a>(pub &'a [DrawLine]);

impl fmt::Display for Draws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = self.0.iter().map(|line| line.row.chars().count()).max().unwrap_or(0).max(8);
        write!(f, "| {:<6} | {:<wide$} | {:>7} | {:<8} | {:>7} |", "draws", "row", "vocab", "level", "count")?;
        write!(f, " {:>8} | {:>8} | {:>8} | {:>8} |", "blocks", "eval avg", "eval max", "whole")?;
        writeln!(f, " {:>8} | {:>9} | {:>8} |", "min us", "median us", "worst us")?;
        let (text, number, dashes) = (":--", "--:", wide + 2);
        write!(f, "|{text:-<8}|{text:-<dashes$}|{number:->9}|{text:-<10}|{number:->9}|")?;
        writeln!(f, "{0:->10}|{0:->10}|{0:->10}|{0:->10}|{0:->10}|{0:->11}|{0:->10}|", number)?;
        for line in self.0 {
            let DrawLine { stage, row, level, vocab, draws } = line;
            let us = |nanoseconds: u64| nanoseconds as f64 / 1000.0;
            write!(f, "| {stage:<6} | {row:<wide$} | {vocab:>7} | {level:<8} | {:>7} |", draws.draws)?;
            let (mean, most) = (draws.mean_evaluated, draws.most_evaluated);
            write!(f, " {:>8} | {mean:>8.1} | {most:>8} | {:>8} |", draws.blocks, draws.whole_rows)?;
            let (least, median, worst) = (us(draws.time.minimum), us(draws.time.median), us(draws.worst));
            writeln!(f, " {least:>8.2} | {median:>9.2} | {worst:>8.2} |")?;
        }
        Ok(())
    }
}
