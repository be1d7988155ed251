//! The conductor: owns plan, history and memory, and runs one step after the other.
//!
//! A decoder works in memory that the caller gives (any `AsRef<[u64]> + AsMut<[u64]>`: a borrowed slice, an array, a
//! `Box`), and allocates nothing in a step. A call that fails changes nothing.

pub(crate) mod ahead;
mod batch;
mod copy;
mod explain;
pub(crate) mod lists;
mod query;
mod record;
mod saved;
pub(crate) mod score;
pub(crate) mod step;
mod storage;
mod sweep;

pub use batch::decode_batch;
#[cfg(feature = "parallel")]
pub use batch::decode_batch_parallel;
pub use explain::StageReport;
pub use query::Candidate;
pub use score::{Diagnosis, DiagnosisLimits, RowDiagnosis, RowScore, Verdict, score};
pub use sweep::sweep_words;
#[cfg(feature = "capi")]
pub(crate) use sweep::words_for as sweep_words_for;

use crate::constrain::{Adjustments, EndRule, Rules};
use crate::distribution::{StepState, target_probability};
use crate::error::{Error, Result};
use crate::history::text::TextState;
use crate::history::{EditKind, Edits, Engine, History, Sequences};
use crate::kernels::{Band, Kernels, Rewrite, RowView, Scale, Source, with_default_environment};
use crate::logits::column_sum;
use crate::numeric::exponent_scale;
use crate::plan::{Config, Mirostat, Plan};
use crate::trace::{Finish, Pick};
use crate::types::{BLOCK, Row, TokenId};
use crate::weights::SparseHead;
use lists::{BAD, BIASED, BREAKERS, Sizes};
use step::{Inputs, KnownSums, Output};
use storage::{Layout, Scratch};

/// A sequence being decoded: a configuration, a position, a history, and what was set: biases, bans, end tokens, stops and
/// other lists.
///
/// ```
/// use argpick::{Config, Decoder};
///
/// let config = Config { temperature: 0.8, top_k: 2, seed: 7, ..Config::default() };
/// let mut decoder = Decoder::new(&config, 4)?;
/// let pick = decoder.decode(&[1.0, 3.0, 2.5, -1.0], None)?;
/// assert!(pick.token == 1 || pick.token == 2);
/// assert_eq!(pick.argmax, 1);
/// # Ok::<(), argpick::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Decoder<S = Memory> {
    plan: Plan,
    layout: Layout,
    kernels: Kernels,
    history: History,
    position: u64,
    sizes: Sizes,
    state: StepState,
    /// Why the sequence has ended.
    ended: Finish,
    text: TextState,
    /// How many of the newest tokens have their state of the text kept.
    text_held: usize,
    storage: S,
}

/// The memory of a decoder that nobody else provides: on the heap where there is one.
#[cfg(feature = "alloc")]
pub type Memory = alloc::boxed::Box<[u64]>;
/// The memory of a decoder without a heap is the caller's.
#[cfg(not(feature = "alloc"))]
pub type Memory = &'static mut [u64];

#[cfg(feature = "alloc")]
impl Decoder<Memory> {
    /// A decoder with memory of its own and the fastest kernels ([`Kernels::detect`]). `vocab` is the length of the rows,
    /// 1 to 2^22.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] with name and value; [`Error::KernelUnavailable`] or [`Error::UnknownKernel`] if
    /// `ARGPICK_KERNEL` asks for what is not there.
    pub fn new(config: &Config, vocab: usize) -> Result<Self> {
        Self::new_with_kernels(config, vocab, Kernels::detect()?)
    }

    /// The same with chosen kernels.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] with name and value.
    pub fn new_with_kernels(config: &Config, vocab: usize, kernels: Kernels) -> Result<Self> {
        let words = Self::storage_words(config, vocab)?;
        Self::new_in(config, vocab, kernels, alloc::vec![0; words].into_boxed_slice())
    }
}

impl<S> Decoder<S> {
    /// The 64-bit words of memory that a decoder needs.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] with name and value.
    pub fn storage_words(config: &Config, vocab: usize) -> Result<usize> {
        Ok(Layout::new(&compile(config, vocab)?).words())
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.plan.config
    }

    /// The length of the rows.
    pub fn vocab(&self) -> usize {
        self.plan.vocab
    }

    /// The kernels in use.
    pub fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// Generated tokens recorded, the prompt excluded, unless it was set by [`Decoder::seek`].
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Mirostat's mu for the next step, in bits: version 2 keeps the tokens whose surprise is at most that much. It starts at
    /// 2 `mirostat_tau`, each decoded token moves it, and [`Decoder::undo`] brings it back. NaN if `mirostat` is off or the mode
    /// greedy.
    pub fn mirostat_mu(&self) -> f32 {
        if self.plan.config.mirostat == Mirostat::Off || self.plan.greedy { f32::NAN } else { self.state.mirostat_mu }
    }

    /// The probability that adaptive-p prefers in the next step, 0 to 1: `adaptive_target`, moved away from the mean of what
    /// was picked. Each decoded token moves it, and [`Decoder::undo`] brings it back. NaN if adaptive-p is off: a negative
    /// `adaptive_target`, mirostat, greedy mode.
    pub fn adaptive_target(&self) -> f32 {
        if !self.plan.adaptive {
            return f32::NAN;
        }
        with_default_environment(|| target_in_default_environment(&self.plan.config, &self.state))
    }

    /// The memory it works in.
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// Sets the position that the next draw takes its random numbers from; the history stays.
    pub fn seek(&mut self, position: u64) {
        self.position = position;
    }
}

impl<S: AsRef<[u64]> + AsMut<[u64]>> Decoder<S> {
    /// A decoder that works in `storage`, which holds at least [`Decoder::storage_words`] words, whatever they contain.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] with name and value; [`Error::StorageTooSmall`].
    pub fn new_in(config: &Config, vocab: usize, kernels: Kernels, storage: S) -> Result<Self> {
        let plan = compile(config, vocab)?;
        let layout = Layout::new(&plan);
        layout.check(storage.as_ref())?;
        let state = StepState::first(config);
        let (history, sizes, text) = (History::default(), Sizes::default(), TextState::default());
        let ended = Finish::None;
        let mut decoder =
            Decoder { plan, layout, kernels, history, position: 0, sizes, state, ended, text, text_held: 0, storage };
        decoder.engine().clear();
        Ok(decoder)
    }

    /// Picks a token from a row of `vocab` logits and records it.
    ///
    /// `mask` is a bitmask of allowed tokens: bit `t & 31` of word `t >> 5`; tokens past its last word are not allowed.
    ///
    /// # Errors
    /// [`Error::InvalidLogit`] (NaN or +inf that takes part), [`Error::EverythingMasked`], [`Error::WrongLength`],
    /// [`Error::Finished`]. Nothing has changed then.
    pub fn decode<'r>(&mut self, row: impl Into<Row<'r>>, mask: Option<&[u32]>) -> Result<Pick> {
        let row = row.into();
        self.check_row(row.len())?;
        let (pick, state) = with_default_environment(|| self.evaluate_checked(row.into(), mask))?;
        self.record_pick(&pick, state);
        Ok(pick)
    }

    /// Picks a token without recording it: the next call sees the same state.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn evaluate<'r>(&mut self, row: impl Into<Row<'r>>, mask: Option<&[u32]>) -> Result<Pick> {
        let row = row.into();
        self.check_row(row.len())?;
        Ok(with_default_environment(|| self.evaluate_checked(row.into(), mask))?.0)
    }

    /// As [`Decoder::decode`] with the row that `head` makes of `columns` (see [`project`](crate::logits::project)): head
    /// and pick in one, no row is written, and the result is that of the written row, bit for bit.
    ///
    /// # Errors
    /// Those of [`Decoder::decode`] and of `project`. Nothing has changed then.
    pub fn decode_sparse(
        &mut self,
        head: &SparseHead<'_>,
        columns: &[u32],
        values: Option<&[f32]>,
        mask: Option<&[u32]>,
    ) -> Result<Pick> {
        let (pick, state) = self.evaluate_sparse_state(head, columns, values, mask)?;
        self.record_pick(&pick, state);
        Ok(pick)
    }

    /// As [`Decoder::evaluate`] with the row that `head` makes of `columns`.
    ///
    /// # Errors
    /// As [`Decoder::decode_sparse`].
    pub fn evaluate_sparse(
        &mut self,
        head: &SparseHead<'_>,
        columns: &[u32],
        values: Option<&[f32]>,
        mask: Option<&[u32]>,
    ) -> Result<Pick> {
        Ok(self.evaluate_sparse_state(head, columns, values, mask)?.0)
    }

    fn evaluate_sparse_state(
        &mut self,
        head: &SparseHead<'_>,
        columns: &[u32],
        values: Option<&[f32]>,
        mask: Option<&[u32]>,
    ) -> Result<(Pick, StepState)> {
        self.check_row(head.vocab())?;
        let sum = column_sum(self.kernels, head, columns, values)?;
        with_default_environment(|| self.evaluate_checked(Source::Columns(sum), mask))
    }

    // Not inlined: no float operation of the step may move out of the default environment around the call.
    #[inline(never)]
    fn evaluate_checked(&mut self, source: Source<'_>, mask: Option<&[u32]>) -> Result<(Pick, StepState)> {
        let (inputs, scratch) = self.inputs(mask);
        let (mut pick, state) = step::pick(&mut step::open(source, inputs, scratch)?, &mut KnownSums::default());
        self.describe_sequence(&mut pick);
        Ok((pick, state))
    }

    /// What a step reads beside its row, and the memory it may scribble on.
    fn inputs<'a>(&'a mut self, mask: Option<&'a [u32]>) -> (Inputs<'a>, Scratch<'a>) {
        let generated = self.history.extent.generated;
        let (plan, sizes) = (&self.plan, &self.sizes);
        let (lists, mut scratch) = self.layout.split(self.storage.as_mut());
        let mut mask = mask;
        let mut adjustments = Adjustments::none(Rules::new(plan));
        let forced = &lists.forced[..sizes.forced];
        if let Ok(at) = forced.binary_search_by_key(&generated, |forced| forced.position) {
            // A step under a bitmask of one token, and nothing else. It lies where no overrides will be.
            let token = forced[at].token as TokenId;
            let words = token as usize / 32 + 1;
            let (lent, rest) =
                core::mem::take(&mut scratch.overrides).split_at_mut(words.div_ceil(2).min(plan.valid.div_ceil(64)));
            scratch.overrides = rest;
            let bits: &mut [u32] = bytemuck::cast_slice_mut(lent);
            bits.fill(0);
            let allowed = mask.is_none_or(|mask| mask.get(words - 1).is_some_and(|word| word >> (token % 32) & 1 != 0));
            if let Some(word) = bits.get_mut(words - 1).filter(|_| allowed) {
                *word = 1 << (token % 32);
            }
            mask = Some(bits);
        } else {
            let [_, breakers, bad, biased] = lists.sets;
            let breakers = Sequences::new(breakers.tokens, breakers.sequences, sizes.sets[BREAKERS]);
            let bad = Sequences::new(bad.tokens, bad.sequences, sizes.sets[BAD]);
            let biased = Sequences::new(biased.tokens, biased.sequences, sizes.sets[BIASED]);
            let config = &plan.config;
            let mut edits = Edits::new(lists.edits);
            let mut engine = Engine::new(&self.layout.shape, &mut self.history, lists.history);
            engine.forbid_ngrams(&mut edits);
            let dry = (config.dry_allowed_length, config.dry_multiplier, config.dry_base);
            engine.penalise_repetitions(dry, &breakers, &mut edits);
            let (counts, ring) = engine.counts();
            let reach = ring.seen(self.layout.shape.capacity);
            let bad_reach = if adjustments.rules.bad_in_generated { ring.extent.run.min(reach) } else { reach };
            for sequence in bad.pending(&ring, bad_reach) {
                edits.push(bad.last_token(sequence), EditKind::Mask, 0, 0.0);
            }
            for sequence in biased.pending(&ring, reach) {
                edits.push(biased.last_token(sequence), EditKind::Add, sequence.start, sequence.value);
            }
            adjustments = Adjustments {
                counts,
                biases: &lists.biases[..sizes.biases],
                bans: &lists.bans[..sizes.bans],
                bad_tokens: bad.singles(),
                biased_tokens: biased.singles(),
                end_tokens: &lists.end_tokens[..sizes.end_tokens],
                end_rule: EndRule::new(plan, generated),
                edits: edits.sorted(),
                ..adjustments
            };
        }
        let inputs = Inputs {
            plan,
            kernels: self.kernels,
            mask,
            lists: adjustments,
            position: self.position,
            state: self.state,
        };
        (inputs, scratch)
    }

    /// Rewrites the row in place: removed tokens become -inf, kept ones their adjusted logit divided by the temperature,
    /// so that the softmax of the result is the distribution that is drawn from. In greedy mode only the argmax stays.
    ///
    /// # Errors
    /// As [`Decoder::decode`], and [`Error::InvalidLogit`] if the division overflows. The row has not changed then.
    pub fn process(&mut self, row: &mut [f32], mask: Option<&[u32]>) -> Result<()> {
        self.rewrite(row, mask, Output::Logits)
    }

    /// Rewrites the row in place as the probabilities that are drawn from; removed tokens become 0.
    ///
    /// # Errors
    /// As [`Decoder::decode`]. The row has not changed then.
    pub fn probabilities(&mut self, row: &mut [f32], mask: Option<&[u32]>) -> Result<()> {
        self.rewrite(row, mask, Output::Probabilities)
    }

    fn rewrite(&mut self, row: &mut [f32], mask: Option<&[u32]>, output: Output) -> Result<()> {
        self.check_row(row.len())?;
        with_default_environment(|| self.rewrite_checked(row, mask, output))
    }

    #[inline(never)]
    fn rewrite_checked(&mut self, row: &mut [f32], mask: Option<&[u32]>, output: Output) -> Result<()> {
        let (inputs, scratch) = self.inputs(mask);
        step::rewrite(row, output, inputs, scratch)
    }

    /// Starts a new sequence: history, text and position are cleared; biases, bans and all other lists stay. With a
    /// configuration, that one is in force from now on; the memory must be large enough for it.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`], [`Error::StorageTooSmall`], [`Error::CapacityExceeded`] if it leaves no room for what
    /// is set. Nothing has changed then.
    pub fn reset(&mut self, config: Option<&Config>) -> Result<()> {
        if let Some(config) = config {
            let plan = compile(config, self.plan.vocab)?;
            let layout = Layout::new(&plan);
            layout.check(self.storage.as_ref())?;
            self.sizes.check(&plan, layout.sequence_capacity)?;
            layout.move_lists(&self.layout, self.storage.as_mut(), &self.sizes.words());
            self.plan = plan;
            self.layout = layout;
        }
        self.begin();
        Ok(())
    }

    /// The state before the first token; what was set is in its place.
    fn begin(&mut self) {
        self.position = 0;
        self.state = StepState::first(&self.plan.config);
        self.ended = Finish::None;
        (self.text, self.text_held) = (TextState::default(), 0);
        self.build_matcher();
        self.engine().clear();
    }

    fn check_row(&self, len: usize) -> Result<()> {
        if len != self.plan.vocab {
            return Err(Error::WrongLength { what: "row", expected: self.plan.vocab, actual: len });
        }
        if !self.goes_on() {
            return Err(Error::Finished);
        }
        Ok(())
    }

    fn check_tokens(&self, tokens: &[TokenId]) -> Result<()> {
        match tokens.iter().find(|&&token| token as usize >= self.plan.vocab) {
            Some(&token) => Err(Error::TokenOutOfRange { token, vocab: self.plan.vocab }),
            None => Ok(()),
        }
    }
}

#[inline(never)]
fn target_in_default_environment(config: &Config, state: &StepState) -> f32 {
    target_probability(config, state) as f32
}

/// The plan of a configuration. Parameters are compared and divided like logits are: not in the host's float environment,
/// where a subnormal one may be 0.
fn compile(config: &Config, vocab: usize) -> Result<Plan> {
    with_default_environment(|| compile_checked(config, vocab))
}

#[inline(never)]
fn compile_checked(config: &Config, vocab: usize) -> Result<Plan> {
    Plan::compile(config, vocab)
}

/// Turns a row of logits into probabilities in place, at a temperature above 0; a masked (-inf) logit becomes 0.
///
/// Without memory of its own it walks the row in pieces; the result is that of [`Decoder::probabilities`] with nothing
/// else configured, bit for bit.
///
/// # Errors
/// [`Error::InvalidParameter`] (temperature, or an empty or too long row), [`Error::InvalidLogit`],
/// [`Error::EverythingMasked`], and those of [`Kernels::detect`]. The row has not changed then.
pub fn softmax(row: &mut [f32], temperature: f32) -> Result<()> {
    let kernels = Kernels::detect()?;
    with_default_environment(|| softmax_checked(kernels, row, temperature))
}

#[inline(never)]
fn softmax_checked(kernels: Kernels, row: &mut [f32], temperature: f32) -> Result<()> {
    if !(temperature > 0.0 && temperature.is_finite()) {
        return Err(Error::InvalidParameter { name: "temperature", value: temperature.into() });
    }
    if row.is_empty() || row.len() > crate::types::MAX_VOCAB {
        return Err(Error::InvalidParameter { name: "vocab", value: row.len() as f64 });
    }
    let mut maximum = f32::NEG_INFINITY;
    let mut maxima = [0.0; 16];
    for tile in row.chunks(16 * BLOCK) {
        let view =
            RowView { source: Row::F32(tile).into(), words: None, valid: tile.len(), overrides: &[], band: None };
        let first = kernels.block_maxima(&view, &mut maxima);
        if first.has_nan || first.maximum == f32::INFINITY {
            let bad = row.iter().position(|logit| logit.is_nan() || *logit == f32::INFINITY).unwrap_or(0);
            return Err(Error::InvalidLogit { index: bad as TokenId, value: row[bad] });
        }
        maximum = if first.maximum > maximum { first.maximum } else { maximum };
    }
    if maximum == f32::NEG_INFINITY {
        return Err(Error::EverythingMasked);
    }
    let scale = Scale { maximum, scale: exponent_scale(temperature) };
    let spec = Rewrite { words: None, valid: row.len(), overrides: &[], maxima: &[], kept: Band::ALL };
    kernels.write_probabilities(row, &spec, scale);
    Ok(())
}
