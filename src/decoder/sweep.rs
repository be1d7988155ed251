//! A sweep: one row, many configurations, one first pass.
//!
//! The row is read, checked and adjusted once, as the decoder itself would; then each configuration truncates and draws on
//! the same block maxima, and configurations of one temperature share the sums of the row's weights (of the last eight
//! temperatures). Every pick is, bit for bit, that of a decoder with that configuration in the same state.

use super::step::{KnownSums, Opened, open, pick_and_kept};
use super::{Decoder, compile};
use crate::distribution::{Room, StepState, Truncation};
use crate::error::{Error, Result};
use crate::kernels::with_default_environment;
use crate::plan::{Config, Plan};
use crate::trace::Pick;
use crate::types::Row;
use bytemuck::cast_slice_mut;

/// Words of 64 bits for lists of this capacity: three lists of keys or masses, one of logits.
const fn list_words(capacity: usize) -> usize {
    3 * capacity + capacity.div_ceil(2)
}

/// The 64-bit words of memory that [`Decoder::sweep`] needs for these configurations and rows of `vocab` logits; 0 if none
/// of them keeps a short list.
///
/// # Errors
/// [`Error::InvalidParameter`] and [`Error::NotInProfile`] for the first configuration that has one.
pub fn sweep_words(configs: &[Config], vocab: usize) -> Result<usize> {
    configs.iter().try_fold(0, |words, config| Ok(words.max(words_for(config, vocab)?)))
}

/// The same for one configuration.
pub(crate) fn words_for(config: &Config, vocab: usize) -> Result<usize> {
    Ok(list_words(compile(config, vocab)?.list_capacity))
}

impl<S: AsRef<[u64]> + AsMut<[u64]>> Decoder<S> {
    /// Picks a token for each configuration from one row, without recording any.
    ///
    /// The configurations may differ from the decoder's own in everything that comes after penalties, biases and masks: seed,
    /// stream, mode, temperature, filters, mirostat and adaptive-p (both in their first state), metrics. Each gets a result
    /// of its own, which says nothing about the end of the sequence. `memory` has [`sweep_words`] words or more, whatever they
    /// contain. `kept`, unless empty, takes a bitmask of the tokens each configuration keeps: `vocab.div_ceil(32)` words each,
    /// bit `t & 31` of word `t >> 5`.
    ///
    /// # Errors
    /// Those of [`Decoder::evaluate`] for the row; [`Error::WrongLength`] if the slices do not match, [`Error::StorageTooSmall`]
    /// for the memory. A result is [`Error::InvalidParameter`] with the name of the field where its configuration is
    /// invalid or differs in what comes before: also `mirostat` where llama.cpp's profile leaves out the decoder's penalties.
    pub fn sweep<'r>(
        &mut self,
        row: impl Into<Row<'r>>,
        mask: Option<&[u32]>,
        configs: &[Config],
        memory: &mut [u64],
        results: &mut [Result<Pick>],
        kept: &mut [u32],
    ) -> Result<()> {
        let count = configs.len();
        if results.len() != count {
            return Err(Error::WrongLength { what: "results", expected: count, actual: results.len() });
        }
        self.sweep_by(
            row.into(),
            mask,
            count,
            |i| Ok(configs[i].clone()),
            memory,
            kept,
            |i, result| results[i] = result,
        )
    }

    /// The same with the configuration of each index below `count`, and a place for each result: for callers whose
    /// configurations and results lie elsewhere.
    #[expect(clippy::too_many_arguments, reason = "what goes in, and where each part of the answer goes")]
    pub(crate) fn sweep_by(
        &mut self,
        row: Row<'_>,
        mask: Option<&[u32]>,
        count: usize,
        config_at: impl Fn(usize) -> Result<Config>,
        memory: &mut [u64],
        kept: &mut [u32],
        mut result_of: impl FnMut(usize, Result<Pick>),
    ) -> Result<()> {
        let words = self.plan.vocab.div_ceil(32);
        if !kept.is_empty() && kept.len() != count * words {
            return Err(Error::WrongLength { what: "kept", expected: count * words, actual: kept.len() });
        }
        self.check_row(row.len())?;
        with_default_environment(|| {
            self.sweep_checked(row, mask, &mut |opened, own, known| {
                for i in 0..count {
                    let config = config_at(i).and_then(|config| same_adjustments(own, &config).map(|()| config));
                    let kept = if kept.is_empty() { None } else { Some(&mut kept[i * words..(i + 1) * words]) };
                    result_of(i, config.and_then(|config| one(opened, &config, known, memory, kept)));
                }
            })
        })
    }

    /// Opens the row, and lets `each` pick from it. Not inlined: no float operation may leave the environment around it.
    #[inline(never)]
    fn sweep_checked(
        &mut self,
        row: Row<'_>,
        mask: Option<&[u32]>,
        each: &mut dyn FnMut(&mut Opened<'_>, &Config, &mut KnownSums),
    ) -> Result<()> {
        let own = self.plan.config.clone();
        let (inputs, scratch) = self.inputs(mask);
        each(&mut open(row.into(), inputs, scratch)?, &own, &mut KnownSums::shared());
        Ok(())
    }
}

/// The pick of one configuration, and what it keeps.
fn one(
    opened: &mut Opened<'_>,
    config: &Config,
    known: &mut KnownSums,
    memory: &mut [u64],
    kept: Option<&mut [u32]>,
) -> Result<Pick> {
    let plan = Plan::compile(config, opened.plan.vocab)?;
    if plan.ignores_penalties() != opened.plan.ignores_penalties() {
        return Err(Error::InvalidParameter { name: "mirostat", value: f64::from(config.mirostat as u32) });
    }
    let (expected, actual) = (list_words(plan.list_capacity), memory.len());
    let list = memory.get_mut(..expected).ok_or(Error::StorageTooSmall { expected, actual })?;
    let state = StepState::first(&plan.config);
    let mut part = opened.with_plan(&plan, room_in(list, plan.list_capacity), state);
    let (pick, _, truncation) = pick_and_kept(&mut part, known);
    if let Some(words) = kept {
        let Truncation { surface, cut, .. } = truncation.unwrap_or_else(|| part.truncate());
        surface.kernels.kept_bits(&surface.view, surface.maxima, cut, words);
    }
    Ok(pick)
}

/// The room of a list of this capacity.
fn room_in(memory: &mut [u64], capacity: usize) -> Room<'_> {
    let (keys, rest) = memory.split_at_mut(capacity);
    let (work, rest) = rest.split_at_mut(capacity);
    let (masses, logits) = rest.split_at_mut(capacity);
    Room { keys, work, masses, logits: cast_slice_mut(logits) }
}

/// Refuses a configuration that would adjust the row otherwise, by the name of the first field that differs.
fn same_adjustments(own: &Config, other: &Config) -> Result<()> {
    let differs =
        |name, same: bool, value: f64| if same { Ok(()) } else { Err(Error::InvalidParameter { name, value }) };
    macro_rules! floats {
        ($($field:ident),*) => {
            $(differs(stringify!($field), own.$field.to_bits() == other.$field.to_bits(), other.$field.into())?;)*
        };
    }
    macro_rules! numbers {
        ($($field:ident),*) => { $(differs(stringify!($field), own.$field == other.$field, other.$field.into())?;)* };
    }
    differs("profile", own.profile == other.profile, f64::from(other.profile as u32))?;
    differs("penalty_scope", own.penalty_scope == other.penalty_scope, f64::from(other.penalty_scope as u32))?;
    floats!(repetition_penalty, frequency_penalty, presence_penalty, dry_multiplier, dry_base, length_decay_factor);
    numbers!(
        penalty_window,
        dry_allowed_length,
        dry_window,
        no_repeat_window,
        no_repeat_ngram,
        min_tokens,
        max_tokens,
        length_decay_start,
        loop_period,
        loop_repeats,
        valid_vocab,
        history_capacity,
        adjustment_capacity,
        sequence_capacity
    );
    Ok(())
}
