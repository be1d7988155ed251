//! The tables.

use super::Line;
use std::fmt;

/// All lines, with ratios; then what a rearranged row costs beside the row itself.
pub struct Report<'a> {
    /// What was measured.
    pub lines: &'a [Line],
    /// Who was not built.
    pub absent: &'a [&'a str],
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for party in self.absent {
            writeln!(f, "{party}: not run, since it could not be built here.\n")?;
        }
        writeln!(f, "| row | tokens | task | party | min us | median us | x floor | x argpick |")?;
        writeln!(f, "|:--|--:|:--|:--|--:|--:|--:|--:|")?;
        let us = |nanoseconds: u64| nanoseconds as f64 / 1000.0;
        let ratio = |a: u64, b: u64| a as f64 / b.max(1) as f64;
        for line in self.lines {
            let Line { row, vocab, party, time, floor, .. } = line;
            let of = |other: &&Line| (other.task, &other.row, other.vocab) == (line.task, &line.row, line.vocab);
            let first = self.lines.iter().find(of).unwrap_or(line);
            let least = time.minimum;
            write!(f, "| {row} | {vocab} | {} | {party} | {:.2} | ", line.task.name(), us(least))?;
            let (floor, argpick) = (ratio(least, floor.minimum), ratio(least, first.time.minimum));
            writeln!(f, "{:.2} | {floor:.2} | {argpick:.2} |", us(time.median))?;
        }
        writeln!(
            f,
            "\nThe same numbers in another range or order: the shortest time over that of the row as it is.\n"
        )?;
        writeln!(f, "| row | task | party | x of min | x of median |\n|:--|:--|:--|--:|--:|")?;
        for line in self.lines {
            let Some(original) = &line.original else { continue };
            let of = |other: &&Line| {
                (&other.row, other.vocab, other.task, other.party) == (original, line.vocab, line.task, line.party)
            };
            let Some(other) = self.lines.iter().find(of) else { continue };
            let (least, median) =
                (ratio(line.time.minimum, other.time.minimum), ratio(line.time.median, other.time.median));
            writeln!(f, "| {} | {} | {} | {least:.2} | {median:.2} |", line.row, line.task.name(), line.party)?;
        }
        Ok(())
    }
}
