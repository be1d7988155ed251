//! One answer, to be hashed: a corpus of cases that any build of the core can run, in memory of the caller, without std.
//!
//! The corpus is a table of units. Most are a configuration ([`configurations`]) decoding all rows ([`rows`]) in all three
//! element types by every operation of a decoder; the rest are what needs no decoder, or more than one ([`operations`]), what
//! a sequence has beside its rows ([`sequences`]), and beams and drafts ([`searches`]).
//! What comes out of an operation of a unit is folded into one hash: picks, numbers by their bits, rows, the texts of
//! errors. `tests/golden/bits.json` has the hashes of the scalar level.
//!
//! Only integers and bit patterns are computed here, so a hostile float environment changes nothing but what the library
//! lets it change.

pub mod configurations;
pub mod operations;
pub mod rows;
mod searches;
mod sequences;

use argpick::{BLOCK, Candidate, Config, Decoder, Dtype, Error, Kernels, Pick, Row, TokenId};
use configurations::CONFIGURATIONS;
pub use configurations::base;
use core::fmt::Write;
use operations::{OTHERS, Other};
use rows::{LONG_ROWS, LONGEST, ROWS, Recipe};
use searches::SEARCHES;
use sequences::SEQUENCES;

/// The element types of rows.
pub const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::Bf16];

/// Words of 64 bits that [`Workspace::new`] needs.
pub const WORDS: usize = STORAGE + 2 * (LONGEST + 1) / 2 + HALVES + MASK + SAVED;
/// For the decoder.
const STORAGE: usize = 1 << 17;
const HALVES: usize = LONGEST.div_ceil(4);
const MASK: usize = LONGEST.div_ceil(64);
const SAVED: usize = 1 << 10;

/// The memory of the corpus.
pub struct Workspace<'a> {
    /// For decoders.
    pub storage: &'a mut [u64],
    /// A row.
    pub row: &'a mut [f32],
    /// Another, to be rewritten.
    pub copy: &'a mut [f32],
    /// A row of f16 or bf16.
    pub halves: &'a mut [u16],
    /// A bitmask.
    pub mask: &'a mut [u32],
    /// A saved decoder.
    pub saved: &'a mut [u8],
}

impl<'a> Workspace<'a> {
    /// Cuts [`WORDS`] words into their parts; what they hold does not matter.
    pub fn new(words: &'a mut [u64]) -> Self {
        let (storage, rest) = words.split_at_mut(STORAGE);
        let (row, rest) = rest.split_at_mut(LONGEST.div_ceil(2));
        let (copy, rest) = rest.split_at_mut(LONGEST.div_ceil(2));
        let (halves, rest) = rest.split_at_mut(HALVES);
        let (mask, rest) = rest.split_at_mut(MASK);
        Workspace {
            storage,
            row: bytemuck::cast_slice_mut(row),
            copy: bytemuck::cast_slice_mut(copy),
            halves: bytemuck::cast_slice_mut(halves),
            mask: bytemuck::cast_slice_mut(mask),
            saved: bytemuck::cast_slice_mut(&mut rest[..SAVED]),
        }
    }
}

/// Who is told what came out.
pub trait Listener {
    /// One case: where it is, and the hash of the operation so far. To find the first case that differs.
    fn case(&mut self, _unit: &str, _operation: &str, _recipe: Recipe, _dtype: Dtype, _hash: u64) {}
    /// One operation of a unit, done: its number of cases and its hash.
    fn operation(&mut self, unit: &str, operation: &str, cases: u32, hash: u64);
}

/// A hash in the making. Each word is mixed by SplitMix64's finaliser, a bijection: a single difference always shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    hash: u64,
    cases: u32,
}

impl Tally {
    /// Takes in a word.
    pub fn word(&mut self, word: u64) {
        self.hash = argpick::rng::mix(self.hash ^ word);
    }

    /// Takes in numbers by their bits.
    pub fn floats(&mut self, numbers: &[f32]) {
        numbers.iter().for_each(|number| self.word(number.to_bits().into()));
    }

    /// Takes in a number of double precision by its bits.
    pub fn double(&mut self, number: f64) {
        self.word(number.to_bits());
    }

    /// Takes in the result of a call: what `value` says about it, or the text of the error.
    pub fn result<T>(&mut self, result: Result<T, Error>, value: impl FnOnce(&mut Self, T)) {
        self.cases += 1;
        match result {
            Ok(answer) => value(self, answer),
            // Memory is the corpus's own business: with too little it would prove nothing.
            Err(Error::StorageTooSmall { expected, .. }) => panic!("the corpus needs {expected} words for a decoder"),
            Err(error) => _ = write!(self, "{error}"),
        }
    }

    /// Takes in a pick.
    pub fn pick(&mut self, pick: Pick) {
        for number in [pick.token, pick.argmax, pick.rank, pick.kept, pick.finish as u32] {
            self.word(number.into());
        }
        self.floats(&[
            pick.margin,
            pick.top1_probability,
            pick.entropy,
            pick.logprob_raw,
            pick.logprob,
            pick.kept_mass,
        ]);
        self.floats(&[pick.cumulative_logprob, pick.temperature, pick.flip_argmax, pick.flip_kept, pick.flip_token]);
        self.word(pick.loop_period.into());
        self.word(pick.loop_repeats.into());
        self.floats(&[pick.loop_score]);
    }

    /// Takes in a listed token.
    pub fn candidate(&mut self, candidate: Candidate) {
        self.word(candidate.token.into());
        self.floats(&[candidate.logit, candidate.logprob]);
    }

    /// Its number of cases and its hash.
    pub fn parts(self) -> (u32, u64) {
        (self.cases, self.hash)
    }

    fn tell(self, unit: &str, operation: &str, listener: &mut dyn Listener) {
        listener.operation(unit, operation, self.cases, self.hash);
    }
}

impl Write for Tally {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        text.bytes().for_each(|byte| self.word(byte.into()));
        Ok(())
    }
}

/// The units that are no configuration, in their order.
fn others() -> impl Iterator<Item = &'static Other> {
    OTHERS.iter().chain(SEQUENCES).chain(SEARCHES)
}

/// The number of units: the configurations, then the others.
pub fn units() -> usize {
    CONFIGURATIONS.len() + others().count()
}

/// The unit that is so many after the configurations.
fn other(number: usize) -> Other {
    match others().nth(number) {
        Some(other) => *other,
        None => panic!("there are {} units", units()),
    }
}

/// The name of a unit.
pub fn name_of(unit: usize) -> &'static str {
    match CONFIGURATIONS.get(unit) {
        Some((name, _)) => name,
        None => other(unit - CONFIGURATIONS.len()).0,
    }
}

/// Runs one unit on the given kernels.
pub fn run(unit: usize, kernels: Kernels, workspace: &mut Workspace<'_>, listener: &mut dyn Listener) {
    match CONFIGURATIONS.get(unit) {
        Some((name, change)) => {
            let mut config = base();
            change(&mut config);
            run_configuration(name, &config, kernels, workspace, listener);
        }
        None => {
            let (name, work) = other(unit - CONFIGURATIONS.len());
            let mut tally = Tally::default();
            work(kernels, workspace, &mut tally);
            tally.tell(name, "all", listener);
        }
    }
}

/// The operations of a decoder, in the order in which they are told.
const OPERATIONS: [&str; 4] = ["decode", "query", "rewrite", "save"];

fn run_configuration(
    name: &str,
    config: &Config,
    kernels: Kernels,
    workspace: &mut Workspace<'_>,
    listener: &mut dyn Listener,
) {
    let mut tallies = [Tally::default(); OPERATIONS.len()];
    for &recipe in ROWS {
        for dtype in DTYPES {
            run_row(config, recipe, dtype, kernels, workspace, &mut tallies);
            for (operation, tally) in OPERATIONS.iter().zip(&tallies) {
                listener.case(name, operation, recipe, dtype, tally.hash);
            }
        }
    }
    for (&recipe, dtype) in LONG_ROWS.iter().zip(DTYPES) {
        run_long_row(config, recipe, dtype, kernels, workspace, &mut tallies[0]);
        listener.case(name, OPERATIONS[0], recipe, dtype, tallies[0].hash);
    }
    for (operation, tally) in OPERATIONS.iter().zip(tallies) {
        tally.tell(name, operation, listener);
    }
}

/// A decoder with a history, biases and bans, as far as the vocabulary has room for them.
pub fn prepared<'s>(
    config: &Config,
    vocab: usize,
    kernels: Kernels,
    storage: &'s mut [u64],
) -> Result<Decoder<&'s mut [u64]>, Error> {
    let config = Config { valid_vocab: config.valid_vocab.min(vocab as u32), ..config.clone() };
    let mut decoder = Decoder::new_in(&config, vocab, kernels, storage)?;
    let mut tokens = [0; 30];
    rows::history(vocab, &mut tokens);
    decoder.prompt(&tokens[..9])?;
    if config.max_tokens == 0 {
        decoder.accept(&tokens[9..])?;
    }
    if vocab > 4 {
        let at = |n: usize| (vocab * n / 8) as TokenId;
        // A bias that is subnormal, one that bans, and two that move something.
        decoder.set_bias(&[
            (at(7), 2.5),
            (at(1), -1.0),
            (at(3), f32::NEG_INFINITY),
            (at(5), f32::from_bits(0x8000_0007)),
        ])?;
        decoder.set_bans(&[at(6), at(2), at(6)])?;
    }
    Ok(decoder)
}

fn run_row(
    config: &Config,
    recipe: Recipe,
    dtype: Dtype,
    kernels: Kernels,
    workspace: &mut Workspace<'_>,
    tallies: &mut [Tally; OPERATIONS.len()],
) {
    let vocab = recipe.vocab;
    let [decode, query, rewrite, save] = tallies;
    let logits = &mut workspace.row[..vocab];
    rows::fill(recipe, 0, logits);
    let row = rows::narrow(logits, dtype, workspace.halves);
    let mut decoder = match prepared(config, vocab, kernels, workspace.storage) {
        Ok(decoder) => decoder,
        Err(error) => return decode.result(Err::<(), _>(error), |_, ()| {}),
    };
    let mut answers: [Candidate; 9];
    for step in 0..4u32 {
        let mask = (step % 2 == 1).then(|| rows::mask(step / 2, vocab, workspace.mask));
        // What is asked must not change what is picked afterwards.
        if step >= 2 {
            answers = [Candidate::default(); 9];
            query.result(decoder.top(row, mask, &mut answers), |tally, count| {
                tally.word(count as u64);
                answers[..count].iter().for_each(|answer| tally.candidate(*answer));
            });
            answers = [Candidate::default(); 9];
            query.result(decoder.kept(row, mask, &mut answers), |tally, count| {
                tally.word(count as u64);
                answers[..count.min(9)].iter().for_each(|answer| tally.candidate(*answer));
            });
            for token in [0, vocab / 3, vocab - 1] {
                query.result(decoder.probability_of(row, mask, token as TokenId), |tally, p| tally.floats(&[p]));
            }
            query.result(decoder.evaluate(row, mask), |tally, pick| tally.pick(pick));
            if dtype == Dtype::F32 {
                let copy = &mut workspace.copy[..vocab];
                rows::fill(recipe, 0, copy);
                let done = decoder.process(copy, mask);
                rewrite.result(done, |tally, ()| tally.floats(copy));
                rows::fill(recipe, 0, copy);
                let done = decoder.probabilities(copy, mask);
                rewrite.result(done, |tally, ()| tally.floats(copy));
            }
        }
        if step == 3 {
            let _ = decoder.undo(1);
            let size = decoder.save(workspace.saved);
            save.result(size, |tally, size| {
                let bytes = &workspace.saved[..size];
                bytes.iter().for_each(|byte| tally.word((*byte).into()));
                decoder.seek(1 << 40);
                tally.result(decoder.load(bytes), |_, ()| {});
                tally.word(decoder.position());
            });
        }
        decode.result(decoder.decode(row, mask), |tally, pick| tally.pick(pick));
    }
}

fn run_long_row(
    config: &Config,
    recipe: Recipe,
    dtype: Dtype,
    kernels: Kernels,
    workspace: &mut Workspace<'_>,
    tally: &mut Tally,
) {
    let logits = &mut workspace.row[..recipe.vocab];
    rows::fill(recipe, 0, logits);
    let row = rows::narrow(logits, dtype, workspace.halves);
    let mask = rows::mask(1, recipe.vocab, workspace.mask);
    let mut decoder = match prepared(config, recipe.vocab, kernels, workspace.storage) {
        Ok(decoder) => decoder,
        Err(error) => return tally.result(Err::<(), _>(error), |_, ()| {}),
    };
    for mask in [None, Some(mask)] {
        tally.result(decoder.decode(row, mask), |tally, pick| tally.pick(pick));
    }
}

/// A row of the corpus in the memory of a workspace.
pub fn row_in<'a>(recipe: Recipe, salt: u64, dtype: Dtype, row: &'a mut [f32], halves: &'a mut [u16]) -> Row<'a> {
    let row = &mut row[..recipe.vocab];
    rows::fill(recipe, salt, row);
    rows::narrow(row, dtype, halves)
}

// Lengths of the corpus were chosen around this.
const _: () = assert!(BLOCK == 64);
