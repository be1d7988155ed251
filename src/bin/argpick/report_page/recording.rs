//! Runs from a recording: its records, and its rows where they are at hand.
//!
//! The recording is executed again as `argpick replay` would, so a page never shows rows that are not those of the run. A
//! second decoder goes along that computes what the page shows and the run did not ask for.

use super::Source;
use super::details::{finish, look, numbers, with_metrics};
use super::run::{Event, NO_NUMBERS, Run, Step, Token};
use super::words::Words;
use crate::Failure;
use crate::rows::{OwnedRow, Rows};
use crate::sampling_args::in_force_text;
use argpick::logits::project;
use argpick::{Config, Decoder, Error, Record, Replay, StepRecord, Trace};

/// Where "tokens recorded" stands in the bytes of a saved decoder.
const SAVED_RECORDED: std::ops::Range<usize> = 24..32;

/// Adds the runs of a recording.
pub fn read(name: &str, bytes: &[u8], source: &mut Source, runs: &mut Vec<Run>) -> Result<(), Failure> {
    let failed = |reason: String| Failure::Message(format!("{name}: {reason}"));
    let trace = Trace::open(bytes).map_err(|error| failed(error.to_string()))?;
    if trace.steps() == 0 {
        return Err(failed("it has no steps".to_owned()));
    }
    let vocab = trace.vocab();
    if let Some(words) = &source.words
        && words.len() > vocab
    {
        return Err(failed(format!("{} texts of tokens are given, its rows have {vocab} logits", words.len())));
    }
    let mut remarks = Vec::new();
    if !trace.is_complete() {
        remarks.push("The recording was cut off; this is what there is of it.".to_owned());
    }
    let has_columns = trace.steps_with_columns() == trace.steps();
    let model_fits = source.model.as_ref().is_some_and(|model| model.vocab() == vocab);
    let first = runs.len();
    let is_asked = source.is_asked || source.rows.is_some();
    let reason = if let Some(rows) = source.rows.as_ref().filter(|rows| rows.length != vocab) {
        Some(format!("rows of {} logits are given, the recording has {vocab}", rows.length))
    } else if let Some(rows) = source.rows.as_ref().filter(|rows| (rows.count as u64) < trace.steps()) {
        Some(format!("{} rows are given for {} steps", rows.count, trace.steps()))
    } else if source.rows.is_none() && !has_columns {
        Some("its rows are not there: the recording has no columns, and no --rows are given".to_owned())
    } else if source.rows.is_none() && !model_fits {
        Some(format!("the model has another number of tokens than the recording, {vocab}"))
    } else {
        None
    };
    let budget = source.budget.clone();
    let reason = match reason {
        Some(reason) => Some(reason),
        None => Reader::new(name, &trace, source, true)?.all(runs)?.err(),
    };
    if let Some(reason) = reason {
        if is_asked {
            return Err(failed(reason));
        }
        remarks.push(format!(
            "The page has the numbers of this recording, but not its rows, so there is nothing for the sliders: {reason}."
        ));
        runs.truncate(first);
        source.budget = budget;
        Reader::new(name, &trace, source, false)?.all(runs)?.map_err(failed)?;
    }
    for run in &mut runs[first..] {
        run.remarks.splice(0..0, remarks.iter().cloned());
    }
    Ok(())
}

/// What a page can and cannot be made of: the outer error is final, the inner one says why rows cannot be used.
type Read<T> = Result<Result<T, String>, Failure>;

struct Reader<'r, 't> {
    name: &'r str,
    trace: &'r Trace<'t>,
    source: &'r mut Source,
    masks: Option<Rows>,
    /// Whether its rows are used.
    with_rows: bool,
    /// The decoder that computes what the page shows.
    decoder: Decoder,
    replay: Replay<'t>,
    /// Whether anything was set that outlives a reset.
    has_lists: bool,
    note: Option<String>,
    run: Option<Run>,
    mask: Vec<u32>,
    columns: (Vec<u32>, Option<Vec<f32>>),
}

impl<'r, 't> Reader<'r, 't> {
    fn new(name: &'r str, trace: &'r Trace<'t>, source: &'r mut Source, with_rows: bool) -> Result<Self, Failure> {
        let config = with_metrics(trace.config());
        let decoder = Decoder::new_with_kernels(&config, trace.vocab(), source.kernels)?;
        let replay = Replay::new_with_kernels(trace.clone(), source.kernels)?;
        let masks = source.masks.as_deref().map(|path| Rows::masks(path, trace.vocab())).transpose()?;
        Ok(Reader {
            name,
            trace,
            source,
            masks,
            with_rows,
            decoder,
            replay,
            has_lists: false,
            note: None,
            run: None,
            mask: Vec::new(),
            columns: (Vec::new(), None),
        })
    }

    /// Adds every run with a step.
    fn all(mut self, runs: &mut Vec<Run>) -> Read<()> {
        let (mut index, mut is_full) = (0, false);
        for record in self.trace.records() {
            if let Record::Step(step) = record {
                is_full |= !self.source.budget.admit_step();
                if is_full {
                    continue;
                }
                let read = if self.with_rows { self.step_with_row(&step, index)? } else { Ok(self.plain_step(&step)) };
                match read {
                    Ok(step) => self.add(step),
                    Err(reason) => return Ok(Err(reason)),
                }
                index += 1;
            } else if is_full {
                // It belongs to steps that are left out; a decoder that has not made them cannot follow.
            } else if let Err(error) = self.apply(record, runs) {
                return Err(Failure::Message(format!("{}: {error}", self.name)));
            }
        }
        self.close(runs);
        Ok(Ok(()))
    }

    /// What stands between steps.
    fn apply(&mut self, record: Record<'t>, runs: &mut Vec<Run>) -> argpick::Result<()> {
        match record {
            Record::Note(text) => self.note = Some(text.to_owned()),
            Record::Mask(words) => self.mask = words.iter().collect(),
            Record::Columns(columns) => {
                self.columns = (columns.columns.clone().collect(), columns.values().map(Iterator::collect));
            }
            Record::Reset => self.begin(None, runs)?,
            Record::Configure(config) => self.begin(Some(with_metrics(&config)), runs)?,
            Record::Prompt(tokens) => {
                let tokens: Vec<u32> = tokens.collect();
                let done = self.decoder.prompt(&tokens);
                self.follow(done)?;
                self.run().events.push(Event::Prompt(tokens));
            }
            Record::Accept(tokens) => {
                let tokens: Vec<u32> = tokens.collect();
                let done = self.decoder.accept(&tokens);
                self.follow(done)?;
                let run = self.run();
                run.text.extend(tokens.iter().map(|&token| (Token::Id(token), None)));
                run.events.push(Event::Accept(tokens));
            }
            Record::Undo(count) => {
                let number = usize::try_from(count).unwrap_or(usize::MAX);
                let done = self.decoder.undo(number);
                self.follow(done)?;
                let run = self.run();
                run.text.truncate(run.text.len().saturating_sub(number));
                run.events.push(Event::Undo(count));
            }
            Record::Seek(position) => {
                self.decoder.seek(position);
                self.run().events.push(Event::Seek(position));
            }
            Record::Biases(biases) => {
                let biases: Vec<(u32, f32)> = (0..biases.len()).map(|i| biases.get(i)).collect();
                let done = self.decoder.set_bias(&biases);
                self.follow(done)?;
                self.run().events.push(Event::Biases(biases));
                self.has_lists = true;
            }
            Record::Bans(tokens) => {
                let tokens: Vec<u32> = tokens.collect();
                let done = self.decoder.set_bans(&tokens);
                self.follow(done)?;
                self.run().events.push(Event::Bans(tokens));
                self.has_lists = true;
            }
            Record::Bytes(bytes) => {
                self.decoder.push_bytes(bytes);
                self.run().events.push(Event::Bytes(bytes.to_vec()));
            }
            Record::State(bytes) => {
                let done = self.decoder.load(bytes);
                self.follow(done)?;
                self.has_lists = true;
                // Nobody has checked the state where no rows are: it may be too short to be one.
                let is_fresh = bytes.get(SAVED_RECORDED).is_some_and(|count| count.iter().all(|&byte| byte == 0));
                if is_fresh {
                    // It came with its own configuration; what was set stays.
                    let config = with_metrics(self.decoder.config());
                    self.decoder.reset(Some(&config))?;
                }
                let run = self.run();
                if is_fresh && run.events.is_empty() {
                    run.events.push(Event::State(bytes.to_vec()));
                } else {
                    run.remarks.push(
                        "The recording takes over the state of a decoder that was under way, which cannot be given other \
                         parameters: there is nothing for the sliders."
                            .to_owned(),
                    );
                    run.config = None;
                }
            }
            Record::Step(_) => {}
        }
        Ok(())
    }

    /// A decoder that sees no rows cannot follow everywhere, and nothing is asked of it.
    fn follow(&self, done: argpick::Result<()>) -> argpick::Result<()> {
        if self.with_rows { done } else { Ok(()) }
    }

    /// A new sequence, with other parameters if they are given.
    fn begin(&mut self, config: Option<Config>, runs: &mut Vec<Run>) -> argpick::Result<()> {
        self.close(runs);
        match self.decoder.reset(config.as_ref()) {
            Err(Error::StorageTooSmall { expected, .. }) => {
                self.decoder = self.decoder.copy_in(vec![0; expected].into_boxed_slice())?;
                self.decoder.reset(config.as_ref())?;
            }
            reset => reset?,
        }
        // What was set stays, and the page must know it.
        if self.has_lists {
            let mut state = vec![0; self.decoder.saved_size()];
            let written = self.decoder.save(&mut state)?;
            state.truncate(written);
            self.run().events.push(Event::State(state));
        }
        Ok(())
    }

    /// The run in progress, begun if there is none. A remark before its first step is its prompt.
    fn run(&mut self) -> &mut Run {
        let words = match (&self.source.words, &self.source.model) {
            (Some(words), _) => Some(words.clone()),
            // Without its rows nobody knows that a recording is of this model.
            (None, Some(model)) if self.with_rows && self.source.rows.is_none() => Some(Words::of(model)),
            _ => None,
        };
        let run = self.run.get_or_insert_with(|| {
            let config = self.decoder.config();
            Run {
                kind: "recording",
                label: self.name.to_owned(),
                parameters: parameters(config),
                config: self.with_rows.then(|| (config.clone(), self.trace.vocab())),
                words,
                ..Run::new(self.name)
            }
        });
        if run.context.is_none() && run.steps.is_empty() {
            run.context = self.note.take();
        }
        run
    }

    fn close(&mut self, runs: &mut Vec<Run>) {
        if let Some(mut run) = self.run.take()
            && !run.steps.is_empty()
        {
            run.stop = run.steps.iter().rev().find_map(|step| step.finish).map(str::to_owned);
            runs.push(run);
        }
    }

    fn add(&mut self, step: Step) {
        let run = self.run();
        let index = run.steps.len();
        if let (Some(token), true) = (&step.token, step.is_recorded) {
            run.text.push((token.clone(), Some(index)));
        }
        run.events.push(Event::Step(index));
        run.steps.push(step);
    }

    fn plain_step(&mut self, record: &StepRecord) -> Step {
        let picked = record.outcome;
        let error = picked.err().map(|status| match status {
            1 => "a logit was NaN or +infinity",
            2 => "everything was masked",
            _ => "the sequence had ended",
        });
        Step {
            token: picked.ok().map(|pick| Token::Id(pick.token)),
            error: error.map(str::to_owned),
            is_recorded: record.is_recorded,
            finish: picked.ok().and_then(|pick| finish(&pick)),
            numbers: picked.map_or(NO_NUMBERS, |pick| numbers(&pick)),
            ..Step::at(record.position)
        }
    }

    fn step_with_row(&mut self, record: &StepRecord, index: usize) -> Read<Step> {
        let vocab = self.trace.vocab();
        let row = match (&self.source.rows, &self.source.model) {
            (Some(rows), _) => rows.row(index)?,
            (None, Some(model)) => {
                let mut row = vec![0.0; vocab];
                let (columns, values) = &self.columns;
                if let Err(error) = project(self.source.kernels, &model.head(), columns, values.as_deref(), &mut row) {
                    return Ok(Err(format!("the model cannot make the row of step {index}: {error}")));
                }
                OwnedRow::F32(row)
            }
            (None, None) => return Ok(Err("there is no model".to_owned())),
        };
        let mask = match (record.mask, record.has_mask, &self.masks) {
            (None, _, _) => None,
            (Some(_), _, Some(masks)) => Some(masks.mask(index)?),
            (Some(_), true, None) => Some(self.mask.clone()),
            (Some(_), false, None) => {
                return Ok(Err(format!("step {index} had a mask, which is not in the recording (--masks)")));
            }
        };
        self.replay.next_step()?;
        if let Some(found) = self.replay.check(row.row(), mask.as_deref())? {
            let what = match (found.row, found.mask) {
                (Some(_), _) => "its row is another one than was recorded",
                (None, Some(_)) => "its mask is another one than was recorded",
                (None, None) => "it does not come out as recorded",
            };
            return Ok(Err(format!("step {index}: {what}")));
        }
        let position = self.decoder.position();
        let mut step = Step { position, ..self.plain_step(record) };
        match self.decoder.evaluate(row.row(), mask.as_deref()) {
            Ok(pick) => {
                step.numbers = numbers(&pick);
                let top = self.source.budget.top();
                (step.best, step.stages) = look(&mut self.decoder, row.row(), mask.as_deref(), top)?;
                step.logits = Some(self.source.budget.logits(&mut self.decoder, row.row(), mask.as_deref())?);
            }
            Err(error) => {
                step.error = Some(error.to_string());
            }
        }
        if record.is_recorded && record.outcome.is_ok() {
            self.decoder.decode(row.row(), mask.as_deref())?;
        }
        step.mask = mask;
        Ok(Ok(step))
    }
}

/// What is in force, for readers: every parameter that is not at its default, and the seed of the draws.
pub fn parameters(config: &Config) -> Vec<(String, String)> {
    let mut parts: Vec<(String, String)> = Vec::new();
    let greedy = config.mode == argpick::Mode::Greedy;
    if greedy {
        parts.push(("mode".to_owned(), "greedy".to_owned()));
    }
    for text in in_force_text(config) {
        if let Some((name, value)) = text.split_once(' ').filter(|(name, _)| *name != "mode") {
            parts.push((name.to_owned(), value.to_owned()));
        }
    }
    if !greedy {
        parts.push(("seed".to_owned(), config.seed.to_string()));
        parts.push(("stream".to_owned(), config.stream.to_string()));
    }
    parts
}
