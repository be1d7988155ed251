//! A stage on a row at a level: set up, checked, and called once at a time.

use super::beams::Beams;
use super::burden;
use super::head::Head;
use super::reader::Reader;
use super::rows::Buffer;
use super::stages::{self, Action, Stage};
use argpick::logits::project;
use argpick::logits::train::{Example, TrainableHead, train_step};
use argpick::{Config, Decoder, Dtype, Error, Kernels, Level, Pick, Result, Row, decode_batch, softmax, sweep_words};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// More memory than the caches of any common processor hold.
pub const COLD_BYTES: usize = 256 << 20;

/// A rate at which a head hardly changes while it is timed.
const LEARNING_RATE: f32 = 1e-6;

/// What one call said, as bits.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Picks(Vec<[u32; 11]>),
    /// Parents, tokens and scores.
    Beams(Vec<(u32, u32, u64)>),
    Row(Vec<u32>),
}

/// Where the answer of a call is.
enum Answer {
    /// Here.
    Pick(Pick),
    /// In `results`.
    Results,
    /// In `work`.
    Work,
    /// In `beams`.
    Beams,
}

/// A stage, ready to be called.
pub struct Subject {
    stage: Stage,
    config: Config,
    history: usize,
    kernels: Kernels,
    decoders: Vec<Decoder>,
    rows: Vec<Buffer>,
    mask: Option<Vec<u32>>,
    head: Option<Head>,
    beams: Option<Beams>,
    work: Vec<f32>,
    configs: Vec<Config>,
    memory: Vec<u64>,
    results: Vec<Result<Pick>>,
    #[cfg(feature = "parallel")]
    pool: Option<rayon::ThreadPool>,
}

impl Subject {
    /// A stage on `logits`. When `cold`, the calls rotate over [`COLD_BYTES`] of copies.
    pub fn new(stage: &Stage, logits: &[f32], level: Level, cold: bool) -> Result<Subject> {
        Subject::with_config(stage, (stage.config)(), burden::HISTORY, logits, level, cold)
    }

    /// The same with another configuration and another length of the history, where the stage has one.
    pub fn with_config(
        stage: &Stage,
        config: Config,
        history: usize,
        logits: &[f32],
        level: Level,
        cold: bool,
    ) -> Result<Subject> {
        let stage = *stage;
        let kernels = Kernels::new(level)?;
        let vocab = logits.len();
        let configs = match stage.action {
            Action::Sweep | Action::Singles => stages::sixteen(),
            Action::Batch { rows, .. } => (0..rows as u64).map(|stream| Config { stream, ..config.clone() }).collect(),
            _ => vec![config.clone()],
        };
        // A sweep needs one decoder, whose own configuration does not matter.
        let owned = if stage.action == Action::Sweep { 1 } else { configs.len() };
        let made = configs[..owned].iter().map(|config| Decoder::new_with_kernels(config, vocab, kernels));
        let mut decoders = made.collect::<Result<Vec<Decoder>>>()?;
        if stage.action == Action::Burdened {
            burden::give_history(&mut decoders[0], logits, history)?;
            burden::give_biases(&mut decoders[0])?;
        }
        let is_row = stage.columns() == 0;
        let read = stage.dtype.size() * vocab * stage.rows();
        let sets = if cold && is_row { COLD_BYTES.div_ceil(read).max(2) } else { 1 };
        // A head needs no row.
        let mut rows = vec![Buffer::new(logits, stage.dtype); if is_row { sets * stage.rows() } else { 0 }];
        let beams = match stage.action {
            Action::Beams(beams) => Some(Beams::new(beams, vocab, kernels)?),
            _ => None,
        };
        if beams.is_some() {
            // What beams want differs: the same logits at other tokens.
            for (i, row) in rows.iter_mut().enumerate() {
                row.floats_mut().rotate_left(i % stage.rows() * 977 % vocab);
            }
        }
        let mask = matches!(stage.action, Action::Masked | Action::Burdened).then(|| burden::mask(vocab));
        let head = (!is_row).then(|| Head::new(logits, stage.columns(), stage.dtype, cold));
        let words = if stage.action == Action::Sweep { sweep_words(&configs, vocab)? } else { 0 };
        let answers = configs.len();
        Ok(Subject {
            stage,
            config,
            history,
            kernels,
            decoders,
            rows,
            mask,
            head,
            beams,
            work: vec![0.0; vocab],
            configs,
            memory: vec![0; words],
            results: vec![Err(Error::Finished); answers],
            #[cfg(feature = "parallel")]
            pool: pool_of(stage.action),
        })
    }

    /// Holds a few calls against the scalar level.
    pub fn check(&mut self, logits: &[f32]) -> core::result::Result<(), String> {
        let name = self.stage.name;
        let fail = |error: Error| format!("{name}: {error}");
        let reference = stages::reference(self.stage);
        let scalar = Subject::with_config(&reference, self.config.clone(), self.history, logits, Level::Scalar, false);
        let mut scalar = scalar.map_err(fail)?;
        for round in 0..4 {
            let expected = scalar.call().map_err(fail)?;
            let actual = self.call().map_err(fail)?;
            if actual != expected {
                let level = self.kernels.level();
                return Err(format!("{name}: {level} does not say what scalar says at call {round}: nothing is timed"));
            }
        }
        Ok(())
    }

    /// One call on the row number `round`, and how long it took.
    pub fn step(&mut self, round: usize) -> Duration {
        let (_, duration) = self.time(round).expect("the same call succeeded when it was checked");
        duration
    }

    /// One call with all that it said.
    fn call(&mut self) -> Result<Said> {
        let (answer, _) = self.time(0)?;
        Ok(match answer {
            Answer::Pick(pick) => Said::Picks(vec![bits_of(&pick)]),
            Answer::Results => {
                let picks = self.results.iter().map(|result| result.map(|pick| bits_of(&pick)));
                Said::Picks(picks.collect::<Result<_>>()?)
            }
            Answer::Beams => Said::Beams(self.beams.as_ref().map_or_else(Vec::new, Beams::bits)),
            Answer::Work => Said::Row(self.work.iter().map(|x| x.to_bits()).collect()),
        })
    }

    /// One call.
    fn time(&mut self, round: usize) -> Result<(Answer, Duration)> {
        let Subject { stage, kernels, decoders, rows, mask, head, beams, work, configs, memory, results, .. } = self;
        let count = stage.rows();
        let first = if rows.is_empty() { 0 } else { round * count % rows.len() };
        let row = rows.get(first).map_or(Row::F32(&[]), Buffer::row);
        if let (true, Row::F32(logits)) = (stage.is_in_place(), row) {
            work.copy_from_slice(logits);
        }
        if let (Action::Train(_), Some(head)) = (stage.action, head.as_mut()) {
            let (weights, bias, columns) = head.trainable(round);
            let example = Example { columns, values: None, target: 1 % bias.len() as u32 };
            let begun = Instant::now();
            let head = TrainableHead { weights, bias };
            black_box(train_step(*kernels, head, black_box(&example), LEARNING_RATE, work)?);
            return Ok((Answer::Work, begun.elapsed()));
        }
        // Outside of what is timed: a view of the rows, or of the head.
        let batch: Vec<Row<'_>> = rows.iter().skip(first).take(count).map(Buffer::row).collect();
        let sparse = head.as_ref().map(|head| (head.view(), head.columns(round)));
        if let Some(beams) = beams.as_mut() {
            beams.make_ready(row)?;
        }
        let decoder = &mut decoders[0];
        let begun = Instant::now();
        let answer = match (stage.action, sparse) {
            (Action::Masked | Action::Burdened, _) => Answer::Pick(decoder.decode(black_box(row), mask.as_deref())?),
            (Action::Process, _) => decoder.process(black_box(work), None).map(|()| Answer::Work)?,
            (Action::Probabilities, _) => decoder.probabilities(black_box(work), None).map(|()| Answer::Work)?,
            (Action::Softmax, _) => softmax(black_box(work), 0.8).map(|()| Answer::Work)?,
            (Action::Project(_), Some((head, columns))) => {
                project(*kernels, black_box(&head), columns, None, work).map(|()| Answer::Work)?
            }
            (Action::Sparse(_), Some((head, columns))) => {
                Answer::Pick(decoder.decode_sparse(black_box(&head), columns, None, None)?)
            }
            #[cfg(feature = "parallel")]
            (Action::Batch { threads: 2.., .. }, _) => {
                let mut run = || argpick::decode_batch_parallel(decoders, black_box(&batch), &[], results);
                match &self.pool {
                    Some(pool) => pool.install(run),
                    None => run(),
                }
                .map(|()| Answer::Results)?
            }
            (Action::Batch { .. }, _) => {
                decode_batch(decoders, black_box(&batch), &[], results).map(|()| Answer::Results)?
            }
            (Action::Beams(_), _) => match beams {
                Some(beams) => beams.step(black_box(&batch)).map(|_| Answer::Beams)?,
                None => Answer::Beams,
            },
            (Action::Sweep, _) => {
                let swept = decoder.sweep(black_box(row), None, configs, memory, results, &mut []);
                swept.map(|()| Answer::Results)?
            }
            (Action::Singles, _) => {
                for (decoder, result) in decoders.iter_mut().zip(results.iter_mut()) {
                    *result = decoder.evaluate(black_box(row), None);
                }
                Answer::Results
            }
            _ => Answer::Pick(decoder.decode(black_box(row), None)?),
        };
        let answer = black_box(answer);
        let duration = begun.elapsed();
        black_box((&*work, &*results));
        Ok((answer, duration))
    }

    /// The bare reading of the memory that call `round` reads, on as many threads, and how long it took.
    pub fn floor(&self, round: usize, reader: Reader) -> Duration {
        let count = self.stage.rows();
        let begun = Instant::now();
        match &self.head {
            Some(head) => head.read(round, reader),
            None => {
                let first = round * count % self.rows.len();
                let rows = &self.rows[first..first + count];
                #[cfg(feature = "parallel")]
                if let Some(pool) = &self.pool {
                    use rayon::prelude::*;
                    pool.install(|| rows.par_iter().for_each(|row| reader.read_bytes(row.bytes())));
                    return begun.elapsed();
                }
                for row in rows {
                    reader.read_bytes(row.bytes());
                }
            }
        }
        begun.elapsed()
    }

    /// How many different sets of rows or columns the calls rotate over.
    pub fn rotation(&self) -> usize {
        self.head.as_ref().map_or(self.rows.len() / self.stage.rows(), Head::rotation)
    }

    /// Bytes that the bare reading reads.
    pub fn bytes(&self) -> usize {
        let row = || self.work.len() * self.stage.dtype.size() * self.stage.rows();
        self.head.as_ref().map_or_else(row, Head::bytes)
    }
}

/// A pool where the action wants threads.
#[cfg(feature = "parallel")]
fn pool_of(action: Action) -> Option<rayon::ThreadPool> {
    match action {
        Action::Batch { threads: threads @ 2.., .. } => {
            Some(rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started"))
        }
        _ => None,
    }
}

fn bits_of(pick: &Pick) -> [u32; 11] {
    let floats = [pick.margin, pick.top1_probability, pick.entropy, pick.logprob_raw, pick.logprob, pick.kept_mass];
    let [a, b, c, d, e, f] = floats.map(f32::to_bits);
    [pick.token, pick.argmax, pick.rank, pick.kept, pick.finish as u32, a, b, c, d, e, f]
}

/// The name of an element type beside a row's name; nothing for f32.
pub fn dtype_suffix(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "",
        Dtype::F16 => " f16",
        Dtype::Bf16 => " bf16",
    }
}
