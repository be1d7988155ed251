//! `argpick_config`: everything that decides what a decoder does with a row.

use super::abi::{Growing, assert_layout, check_size, read, write};
use super::fault::Fault;
use super::guard::{call, writable};
use super::status::argpick_status;
use crate::error::Error;
use crate::plan::{Config, Metrics, Mode};

/// The order and the rules of the stages: bias, bans and masks, temperature, top-k, top-p, min-p, draw.
pub const ARGPICK_PROFILE_CANON: u32 = 0;

/// Pick by a random draw from what the filters keep.
pub const ARGPICK_MODE_SAMPLE: u32 = 0;
/// Pick the highest logit, the lowest id among equals; filters do not run.
pub const ARGPICK_MODE_GREEDY: u32 = 1;

/// Report top1_probability and entropy.
pub const ARGPICK_METRIC_CONFIDENCE: u32 = 1;
/// Report logprob.
pub const ARGPICK_METRIC_LOGPROB: u32 = 2;
/// Report logprob_raw.
pub const ARGPICK_METRIC_LOGPROB_RAW: u32 = 4;
/// Report rank.
pub const ARGPICK_METRIC_RANK: u32 = 8;
/// Report kept.
pub const ARGPICK_METRIC_KEPT: u32 = 16;
/// Report kept_mass.
pub const ARGPICK_METRIC_KEPT_MASS: u32 = 32;
/// Report everything.
pub const ARGPICK_METRIC_ALL: u32 = 63;

/// Everything that decides what a decoder does with a row. Fill it by argpick_config_init, then set what you want.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_config {
    /// sizeof(argpick_config), set by argpick_config_init.
    pub struct_size: u32,
    /// The order and rules of the stages: ARGPICK_PROFILE_CANON.
    pub profile: u32,
    /// Seed of the random numbers.
    pub seed: u64,
    /// Stream of the random numbers: one for each sequence that shares a seed.
    pub stream: u64,
    /// ARGPICK_MODE_SAMPLE or ARGPICK_MODE_GREEDY.
    pub mode: u32,
    /// Divides the logits: finite, at least 0. 1 leaves them; 0 means mode greedy with metrics at temperature 1.
    pub temperature: f32,
    /// Keeps the so many highest logits, the lower id first among equals. 0, or at least the vocabulary: off.
    pub top_k: u32,
    /// Keeps the smallest prefix of the order with this much probability, 0 to 1; the token that crosses stays. 1: off.
    pub top_p: f32,
    /// Keeps what is at least this likely relative to the likeliest, 0 to 1. 0: off.
    pub min_p: f32,
    /// Tokens that the history holds, up to 2^24; past it the oldest leave. 0: 4096.
    pub history_capacity: u32,
    /// Masks the last so many generated tokens, up to history_capacity. 0: off.
    pub no_repeat_window: u32,
    /// Ends the sequence after so many generated tokens. 0: no limit.
    pub max_tokens: u32,
    /// Each filter keeps at least so many, the first of its order. 0: 1.
    pub min_keep: u32,
    /// Only ids below this take part, up to the vocabulary; the row may be longer. 0: all.
    pub valid_vocab: u32,
    /// What to report beside token, argmax, margin and finish: ARGPICK_METRIC_ flags. Each costs up to a pass of the row.
    pub metrics: u32,
    /// Room for so many biases, and as many bans, up to 2^22. 0: 1024.
    pub adjustment_capacity: u32,
}

// SAFETY: repr(C); `assert_layout` proves that there is no padding; numbers only.
unsafe impl Growing for argpick_config {
    const NAME: &'static str = "config";
    const RELEASED: &'static [u32] = &[72];
    const DEFAULT: Self = argpick_config {
        struct_size: size_of::<Self>() as u32,
        profile: ARGPICK_PROFILE_CANON,
        seed: 0,
        stream: 0,
        mode: ARGPICK_MODE_SAMPLE,
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        history_capacity: 0,
        no_repeat_window: 0,
        max_tokens: 0,
        min_keep: 0,
        valid_vocab: 0,
        metrics: 0,
        adjustment_capacity: 0,
    };
}

assert_layout!(argpick_config {
    struct_size: 4,
    profile: 4,
    seed: 8,
    stream: 8,
    mode: 4,
    temperature: 4,
    top_k: 4,
    top_p: 4,
    min_p: 4,
    history_capacity: 4,
    no_repeat_window: 4,
    max_tokens: 4,
    min_keep: 4,
    valid_vocab: 4,
    metrics: 4,
    adjustment_capacity: 4,
});

const _: () = {
    assert!(ARGPICK_MODE_SAMPLE == Mode::Sample as u32 && ARGPICK_MODE_GREEDY == Mode::Greedy as u32);
    assert!(ARGPICK_METRIC_CONFIDENCE == Metrics::CONFIDENCE.bits());
    assert!(ARGPICK_METRIC_LOGPROB == Metrics::LOGPROB.bits());
    assert!(ARGPICK_METRIC_LOGPROB_RAW == Metrics::LOGPROB_RAW.bits());
    assert!(ARGPICK_METRIC_RANK == Metrics::RANK.bits());
    assert!(ARGPICK_METRIC_KEPT == Metrics::KEPT.bits());
    assert!(ARGPICK_METRIC_KEPT_MASS == Metrics::KEPT_MASS.bits());
    assert!(ARGPICK_METRIC_ALL == Metrics::ALL.bits());
};

/// The core's configuration of a C one. Ranges are checked where the core compiles it.
///
/// # Safety
/// `config`, unless NULL or misaligned, points to a config that is as long as its `struct_size` says.
pub(super) unsafe fn config_of(config: *const argpick_config) -> Result<Config, Fault> {
    // SAFETY: the caller's part is the same.
    let given = unsafe { read(config) }?;
    let invalid = |name, value: u32| Fault::Core(Error::InvalidParameter { name, value: value.into() });
    if given.profile != ARGPICK_PROFILE_CANON {
        return Err(invalid("profile", given.profile));
    }
    let mode = match given.mode {
        ARGPICK_MODE_SAMPLE => Mode::Sample,
        ARGPICK_MODE_GREEDY => Mode::Greedy,
        other => return Err(invalid("mode", other)),
    };
    let metrics = Metrics::from_bits(given.metrics).ok_or(invalid("metrics", given.metrics))?;
    // Without `..`: a new field of the core must get its place here.
    Ok(Config {
        seed: given.seed,
        stream: given.stream,
        mode,
        temperature: given.temperature,
        top_k: given.top_k,
        top_p: given.top_p,
        min_p: given.min_p,
        history_capacity: given.history_capacity,
        no_repeat_window: given.no_repeat_window,
        max_tokens: given.max_tokens,
        min_keep: given.min_keep,
        valid_vocab: given.valid_vocab,
        adjustment_capacity: given.adjustment_capacity,
        metrics,
    })
}

/// Fills a configuration with "off" everywhere: draw from the softmax of the row as it is.
///
/// struct_size is sizeof(argpick_config) as the caller's header has it; a smaller size of an earlier release works.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_STRUCT_SIZE.
///
/// # Safety
/// - config points to struct_size bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_config_init(config: *mut argpick_config, struct_size: u32) -> argpick_status {
    call("argpick_config_init", || {
        writable(config, "config")?;
        check_size::<argpick_config>(struct_size)?;
        // SAFETY: not NULL, aligned and of a released size; that so many bytes can be written is the caller's part.
        unsafe { write(config, struct_size, &argpick_config::DEFAULT) };
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_cores() {
        let config = argpick_config::DEFAULT;
        // SAFETY: `config` is one.
        assert_eq!(unsafe { config_of(&raw const config) }.ok(), Some(Config::default()));
    }
}
