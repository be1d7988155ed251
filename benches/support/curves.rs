//! How the time grows: with the vocabulary, with k and p, with the history, with the batch; each curve beside its floor.

use super::burden;
use super::measure::Measured;
use super::reader::Reader;
use super::rows;
use super::stages::{self, Action, STAGES, Stage};
use super::subject::Subject;
use argpick::{Config, Dtype, Level};

/// A point: where, and the shortest time in microseconds.
pub type Point = (f64, f64);

/// One curve and the floor that was timed in turn with it.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What was timed.
    pub name: String,
    /// The stage.
    pub times: Vec<Point>,
    /// The bare reading.
    pub floors: Vec<Point>,
}

/// One picture.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The first part of its file's name.
    pub file: &'static str,
    /// What it shows.
    pub title: String,
    /// What grows.
    pub axis: &'static str,
    /// Whether the axis counts in powers; both axes of times do.
    pub is_logarithmic: bool,
    /// The curves.
    pub curves: Vec<Curve>,
}

/// A row with a name.
pub type Named<'a> = (&'a str, &'a [f32]);

/// Measures curves at one level.
pub struct Curves {
    /// The level.
    pub level: Level,
    /// The bare reading.
    pub reader: Reader,
    /// Timed rounds of each point.
    pub rounds: usize,
}

/// The stages whose time is shown against the vocabulary.
const OVER_VOCABULARY: [&str; 7] = ["greedy", "chain", "min-p", "full", "top-p", "full-entropy", "softmax"];

/// Vocabularies from 1,000 on.
const SIZES: [usize; 11] = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 65_536, 131_072, 262_144, 524_288, 1_048_576];

impl Curves {
    /// Adds a point to a curve; returns the median time.
    fn point(
        &self,
        curve: &mut Curve,
        at: f64,
        per: usize,
        subject: Result<Subject, argpick::Error>,
        logits: &[f32],
    ) -> Result<f64, String> {
        let mut subject = subject.map_err(|error| format!("{}: {error}", curve.name))?;
        subject.check(logits)?;
        let measured = Measured::new(&mut subject, self.reader, self.rounds);
        let us = |nanoseconds: u64| nanoseconds as f64 / 1000.0 / per as f64;
        curve.times.push((at, us(measured.stage.minimum)));
        curve.floors.push((at, us(measured.floor.minimum)));
        Ok(us(measured.stage.median))
    }

    fn configured(&self, config: Config, logits: &[f32]) -> Result<Subject, argpick::Error> {
        let stage = Stage { name: "decode", action: Action::Decode, config: stages::sampling, dtype: Dtype::F32 };
        Subject::with_config(&stage, config, 0, logits, self.level, false)
    }

    /// Time against the vocabulary, made rows, up to `longest`.
    pub fn over_vocabulary(&self, longest: usize) -> Result<Figure, String> {
        let sizes: Vec<usize> = SIZES.into_iter().filter(|&size| size <= longest).collect();
        let made: Vec<Vec<f32>> = sizes.iter().map(|&size| rows::gaussian(size)).collect();
        let mut curves = Vec::new();
        for name in OVER_VOCABULARY {
            let stage = STAGES.iter().find(|stage| stage.name == name && stage.runs_at(self.level));
            let Some(stage) = stage else { continue };
            let mut curve = Curve::new(name);
            for logits in &made {
                let subject = Subject::new(stage, logits, self.level, false);
                self.point(&mut curve, logits.len() as f64, 1, subject, logits)?;
            }
            curves.push(curve);
        }
        let title = "Time of a step against the vocabulary, N(0,3)".to_owned();
        Ok(Figure { file: "vocabulary", title, axis: "tokens", is_logarithmic: true, curves })
    }

    /// Time against k.
    pub fn over_k(&self, rows: &[Named<'_>]) -> Result<Figure, String> {
        let mut curves = Vec::new();
        for (name, logits) in rows {
            let mut curve = Curve::new(format!("top-k, {name}"));
            for k in [1, 3, 10, 40, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000] {
                if k < logits.len() {
                    let config = Config { top_k: k as u32, ..stages::sampling() };
                    self.point(&mut curve, k as f64, 1, self.configured(config, logits), logits)?;
                }
            }
            curves.push(curve);
        }
        let title = format!("Time of top-k against k, {}", tokens(rows));
        Ok(Figure { file: "k", title, axis: "k", is_logarithmic: true, curves })
    }

    /// Time against p.
    pub fn over_p(&self, rows: &[Named<'_>]) -> Result<Figure, String> {
        let mut curves = Vec::new();
        for (name, logits) in rows {
            let mut top_p = Curve::new(format!("top-p, {name}"));
            // A lone nucleus has a fast way and a slow one: the fastest call alone would hide how often each is taken.
            let mut middle = Curve::new(format!("top-p, {name}, median"));
            let mut min_p = Curve::new(format!("min-p, {name}"));
            for p in [0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99] {
                let at = f64::from(p);
                let nucleus = Config { top_p: p, ..stages::sampling() };
                let median = self.point(&mut top_p, at, 1, self.configured(nucleus, logits), logits)?;
                middle.times.push((at, median));
                let threshold = Config { min_p: p, ..stages::sampling() };
                self.point(&mut min_p, at, 1, self.configured(threshold, logits), logits)?;
            }
            middle.floors.clone_from(&top_p.floors);
            curves.extend([top_p, middle, min_p]);
        }
        let title = format!("Time of top-p and min-p against p, {}", tokens(rows));
        Ok(Figure { file: "p", title, axis: "p", is_logarithmic: false, curves })
    }

    /// Time against the length of the history, with penalties, biases and a bitmask.
    pub fn over_history(&self, rows: &[Named<'_>]) -> Result<Figure, String> {
        let stage = stages::find("chain-penalties").ok_or("there is no stage with penalties")?;
        let mut curves = Vec::new();
        for (name, logits) in rows {
            let mut curve = Curve::new(format!("chain with penalties, {name}"));
            for length in [1, 4, 16, 64, 256, 1_024, 4_096, 16_384] {
                let config = Config { history_capacity: length as u32, ..stages::penalties() };
                let subject = Subject::with_config(stage, config, length, logits, self.level, false);
                self.point(&mut curve, length as f64, 1, subject, logits)?;
            }
            curves.push(curve);
        }
        let title =
            format!("Time of the chain with penalties, 300 biases and a bitmask against the history, {}", tokens(rows));
        Ok(Figure {
            file: "history",
            title,
            axis: "tokens of the history, at most 1,500 distinct",
            is_logarithmic: true,
            curves,
        })
    }

    /// Time of a row against the rows of a batch, on one thread and on two.
    pub fn over_batch(&self, rows: &[Named<'_>]) -> Result<Figure, String> {
        let mut curves = Vec::new();
        let (name, logits) = rows.first().copied().ok_or("there is no row")?;
        let most = if cfg!(feature = "parallel") { 2 } else { 1 };
        for threads in 1..=most {
            let mut curve = Curve::new(format!("chain on {threads} thread{}", if threads == 1 { "" } else { "s" }));
            for count in [1, 2, 4, 8, 16, 32] {
                let action = Action::Batch { rows: count, threads };
                let stage = Stage { name: "batch", action, config: stages::chain, dtype: Dtype::F32 };
                let subject = Subject::with_config(&stage, stages::chain(), burden::HISTORY, logits, self.level, false);
                self.point(&mut curve, count as f64, count, subject, logits)?;
            }
            curves.push(curve);
        }
        let title = format!("Time of one row against the rows of a batch, {name}, {}", tokens(rows));
        Ok(Figure { file: "batch", title, axis: "rows", is_logarithmic: true, curves })
    }
}

impl Curve {
    fn new(name: impl Into<String>) -> Curve {
        Curve { name: name.into(), times: Vec::new(), floors: Vec::new() }
    }
}

/// The length of the rows, for a title.
fn tokens(rows: &[Named<'_>]) -> String {
    format!("{} tokens", rows.first().map_or(0, |(_, logits)| logits.len()))
}
