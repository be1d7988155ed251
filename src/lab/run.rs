//! Running a sweep: several runs side by side through the batch call, one step of all of them after the other.
//!
//! ```text
//! repeat:
//!     fill the batch up from the runs that are left      a prompt that the model refuses  -> error
//!     rows = model(batch)                                a row that it cannot make        -> error
//!     decode_batch(decoders, rows)                       nothing left to pick             -> mask exhausted
//!                                                        any other refusal                -> error
//!     the text of each grows by its pick; end token, stop, length, loop as the decoder says
//!     a run that has ended goes to its result; its place is free
//! ```
//!
//! A run knows nothing of its neighbours: each has a decoder of its own. So the results do not depend on how many runs are
//! decoded together, but for the time they took.

use super::error::{Error, Result};
use super::record::{RunRecord, Termination};
use super::sweep::{Input, Sweep, TokenName};
use crate::types::TokenId;
use crate::{Decoder, Finish, Kernels, Memory, Pick, Row, decode_batch};
use std::ops::ControlFlow;
use std::time::Instant;

/// What makes rows of logits for a sweep.
pub trait Model {
    /// What the model knows about one text.
    type State;

    /// Identifies the model: the same text for the same rows.
    fn identity(&self) -> String;

    /// The length of a row.
    fn vocab(&self) -> usize;

    /// The tokens that end a text where the sweep does not name any.
    fn end_tokens(&self) -> Vec<TokenId>;

    /// The token of a text, if it is exactly one.
    fn token(&self, text: &str) -> Option<TokenId>;

    /// Begins a text.
    ///
    /// # Errors
    /// Why the model cannot take the prompt; its runs end with it.
    fn begin(&self, input: &Input) -> std::result::Result<Begun<Self::State>, String>;

    /// Writes the next row of each text, one after the other, [`Model::vocab`] logits each. What cannot be made is told in
    /// `refused`, one entry for each text, `None` when this is called.
    fn rows(&self, texts: &[&Self::State], rows: &mut [f32], refused: &mut [Option<String>]);

    /// Takes up a token, and says which text it adds.
    fn advance(&self, text: &mut Self::State, token: TokenId) -> String;
}

/// A text that has begun.
#[derive(Clone, Debug)]
pub struct Begun<S> {
    /// What the model knows about it.
    pub state: S,
    /// Tokens of the prompt.
    pub input_tokens: usize,
    /// Those of them that penalties and repetition rules see.
    pub history: Vec<TokenId>,
}

/// How far a sweep is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Runs that have ended here.
    pub runs: usize,
    /// Tokens generated here.
    pub tokens: u64,
}

/// The ends of a sweep as tokens of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenEnds {
    /// End tokens.
    pub end_tokens: Vec<TokenId>,
    /// Stop sequences.
    pub stop_tokens: Vec<Vec<TokenId>>,
}

/// Checks that a sweep fits a model, and finds the tokens of its ends.
///
/// # Errors
/// [`Error::Model`] with the place in the sweep file: a token that the model does not have, a configuration that does not fit
/// its vocabulary.
pub fn resolve<M: Model>(sweep: &Sweep, model: &M) -> Result<TokenEnds> {
    let vocab = model.vocab();
    let refused = |place: String, reason: String| Error::Model(format!("{place} {reason}"));
    let below = |id: TokenId| format!("is {id}; allowed: ids below the model's vocabulary of {vocab}");
    let find = |place: String, token: &TokenName| match token {
        TokenName::Id(id) if (*id as usize) < vocab => Ok(*id),
        TokenName::Id(id) => Err(refused(place, below(*id))),
        TokenName::Text(text) => model.token(text).ok_or_else(|| {
            refused(place, format!("is {text:?}; allowed: ids, and texts that are one token of the model"))
        }),
    };
    let list = |place: &str, tokens: &[TokenName]| {
        let find = |(index, token)| find(format!("{place}[{index}]"), token);
        tokens.iter().enumerate().map(find).collect::<Result<Vec<_>>>()
    };
    for (number, prompt) in sweep.prompts.iter().enumerate() {
        if let Input::Tokens(tokens) = &prompt.input
            && let Some(index) = tokens.iter().position(|&token| token as usize >= vocab)
        {
            let place = format!("prompts[{number}].tokens[{index}]");
            return Err(refused(place, below(tokens[index])));
        }
    }
    let end_tokens = match &sweep.ends.end_tokens {
        Some(tokens) => list("end_tokens", tokens)?,
        None => model.end_tokens(),
    };
    let stops = sweep.ends.stop_tokens.iter().enumerate();
    let stop_tokens = stops.map(|(index, stop)| list(&format!("stop_tokens[{index}]"), stop)).collect::<Result<_>>()?;
    let ends = TokenEnds { end_tokens, stop_tokens };
    for (number, set) in sweep.sets.iter().enumerate() {
        // A kernel cannot be what is wrong: the scalar one is everywhere.
        let tried = Kernels::new(crate::Level::Scalar)
            .and_then(|kernels| Decoder::new_with_kernels(&set.config, vocab, kernels))
            .and_then(|mut decoder| set_ends(&mut decoder, sweep, &ends));
        if let Err(error) = tried {
            return Err(refused(format!("parameter_sets[{number}]"), format!("({}): {error}", set.name)));
        }
    }
    Ok(ends)
}

fn set_ends(decoder: &mut Decoder, sweep: &Sweep, ends: &TokenEnds) -> crate::Result<()> {
    decoder.set_end_tokens(&ends.end_tokens)?;
    decoder.set_stops(&ends.stop_tokens.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    decoder.set_stop_strings(&sweep.ends.stop_strings.iter().map(String::as_bytes).collect::<Vec<_>>())
}

/// A run in the batch.
struct Active<S> {
    state: S,
    record: RunRecord,
    seconds: f64,
}

/// Does the runs of these numbers, at most `batch` of them together, and hands each result to `done` as soon as it is there.
/// `watch` sees the progress after every step and may stop the sweep; runs that have not ended then have no result. `ends`
/// are those of [`resolve`].
///
/// # Errors
/// Those of `done`. What a single run cannot do ends that run and is told in its result.
pub fn run<M: Model>(
    model: &M,
    (sweep, ends): (&Sweep, &TokenEnds),
    kernels: Kernels,
    batch: usize,
    numbers: &[usize],
    done: &mut dyn FnMut(RunRecord) -> Result<()>,
    watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let vocab = model.vocab();
    let batch = batch.clamp(1, numbers.len().max(1));
    let mut rows = vec![0.0f32; batch * vocab];
    let mut decoders: Vec<Decoder<Memory>> = Vec::with_capacity(batch);
    let mut active: Vec<Active<M::State>> = Vec::with_capacity(batch);
    let mut progress = Progress::default();
    let mut left = numbers.iter();
    loop {
        while active.len() < batch
            && let Some(&number) = left.next()
        {
            match begin(model, sweep, ends, kernels, number) {
                Ok((decoder, run)) => {
                    decoders.push(decoder);
                    active.push(run);
                }
                Err(record) => {
                    progress.runs += 1;
                    done(*record)?;
                }
            }
        }
        if watch(&progress).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if active.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let started = Instant::now();
        let count = active.len();
        let mut refused = vec![None; count];
        let states: Vec<&M::State> = active.iter().map(|run| &run.state).collect();
        model.rows(&states, &mut rows[..count * vocab], &mut refused);
        let views: Vec<Row<'_>> = rows[..count * vocab].chunks(vocab).map(Row::F32).collect();
        let mut picks = vec![Ok(Pick::default()); count];
        // A row that could not be made still holds old numbers: its decoder's answer is not looked at.
        decode_batch(&mut decoders, &views, &[], &mut picks)
            .map_err(|error| Error::Model(format!("the batch was refused: {error}")))?;
        let mut ended: Vec<Option<(Termination, Option<String>)>> = vec![None; count];
        for (i, (run, pick)) in active.iter_mut().zip(picks).enumerate() {
            ended[i] = match (refused[i].take(), pick) {
                (Some(reason), _) => Some((Termination::Error, Some(reason))),
                (None, Ok(pick)) => {
                    progress.tokens += 1;
                    take_up(model, run, &mut decoders[i], &pick).map(|reason| (reason, None))
                }
                (None, Err(crate::Error::EverythingMasked)) => Some((Termination::MaskExhausted, None)),
                (None, Err(error)) => Some((Termination::Error, Some(error.to_string()))),
            };
        }
        let share = started.elapsed().as_secs_f64() / count as f64;
        active.iter_mut().for_each(|run| run.seconds += share);
        // From the back, so that what takes a free place has been looked at.
        for i in (0..count).rev() {
            if let Some((reason, error)) = ended[i].take() {
                decoders.swap_remove(i);
                progress.runs += 1;
                let Active { mut record, seconds, .. } = active.swap_remove(i);
                record.end(reason, error, seconds);
                done(record)?;
            }
        }
    }
}

/// Sets a run up, or tells with a result why that is not possible.
fn begin<M: Model>(
    model: &M,
    sweep: &Sweep,
    ends: &TokenEnds,
    kernels: Kernels,
    number: usize,
) -> std::result::Result<(Decoder, Active<M::State>), Box<RunRecord>> {
    let run = sweep.run(number);
    let mut record = RunRecord::begin(sweep, &run);
    let begun = model.begin(&sweep.prompts[run.prompt].input).and_then(|begun| {
        let mut decoder =
            Decoder::new_with_kernels(&run.config, model.vocab(), kernels).map_err(|error| error.to_string())?;
        set_ends(&mut decoder, sweep, ends).map_err(|error| error.to_string())?;
        decoder.prompt(&begun.history).map_err(|error| error.to_string())?;
        Ok((decoder, begun))
    });
    match begun {
        Ok((decoder, begun)) => {
            record.input_tokens = begun.input_tokens;
            Ok((decoder, Active { state: begun.state, record, seconds: 0.0 }))
        }
        Err(reason) => {
            record.end(Termination::Error, Some(reason), 0.0);
            Err(Box::new(record))
        }
    }
}

/// Takes up a pick; the reason if the run ends with it.
fn take_up<M: Model>(model: &M, run: &mut Active<M::State>, decoder: &mut Decoder, pick: &Pick) -> Option<Termination> {
    let piece = if pick.finish == Finish::EndToken { String::new() } else { model.advance(&mut run.state, pick.token) };
    decoder.push_bytes(piece.as_bytes());
    run.record.push(pick, piece);
    Termination::from_finish(decoder.finish())
}
