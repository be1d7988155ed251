//! `argpick_pick`: the result of a step.

use super::abi::{Growing, assert_layout};
use crate::trace::{Finish, Pick};

/// The sequence goes on.
pub const ARGPICK_FINISH_NONE: u32 = 0;
/// The sequence ends with this token: max_tokens was reached.
pub const ARGPICK_FINISH_LENGTH: u32 = 1;
/// The sequence ends with this token: it is one of the end tokens.
pub const ARGPICK_FINISH_END_TOKEN: u32 = 2;
/// The sequence ends with this token: it completes a stop sequence.
pub const ARGPICK_FINISH_STOP: u32 = 3;
/// The sequence ends with this token: it runs in a circle, loop_repeats times.
pub const ARGPICK_FINISH_LOOP: u32 = 4;

/// The token picked, and how sure the row was. Set struct_size = sizeof(argpick_pick) before the call.
///
/// What metrics did not ask for is NaN, or UINT32_MAX. margin, top1_probability and entropy describe the row after biases
/// and masks and before truncation; probabilities are at the configured temperature.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct argpick_pick {
    /// sizeof(argpick_pick); the caller sets it.
    pub struct_size: u32,
    /// The token picked.
    pub token: u32,
    /// The token with the highest logit, the lowest id among equals.
    pub argmax: u32,
    /// How many tokens stand before the picked one in the order of logits; 0 is the argmax. ARGPICK_METRIC_RANK.
    pub rank: u32,
    /// How many tokens the filters kept; 1 in greedy mode. ARGPICK_METRIC_KEPT.
    pub kept: u32,
    /// Whether the sequence ends here, and why: ARGPICK_FINISH_.
    pub finish: u32,
    /// Highest logit minus second highest, before temperature; +inf if only one token takes part.
    pub margin: f32,
    /// Probability of the argmax. ARGPICK_METRIC_CONFIDENCE.
    pub top1_probability: f32,
    /// Entropy in nats. ARGPICK_METRIC_CONFIDENCE.
    pub entropy: f32,
    /// ln of the picked token's probability in the row as given, at temperature 1. ARGPICK_METRIC_LOGPROB_RAW.
    pub logprob_raw: f32,
    /// ln of the picked token's probability among the tokens kept. ARGPICK_METRIC_LOGPROB.
    pub logprob: f32,
    /// Probability of the tokens kept, together. ARGPICK_METRIC_KEPT_MASS.
    pub kept_mass: f32,
    /// Sum of logprob over the generated tokens, this one included. ARGPICK_METRIC_LOGPROB.
    pub cumulative_logprob: f32,
    /// The temperature in force.
    pub temperature: f32,
    /// No change of the logits smaller than this changes argmax. ARGPICK_METRIC_FLIP.
    pub flip_argmax: f32,
    /// No change of the logits smaller than this changes which tokens are kept. ARGPICK_METRIC_FLIP.
    pub flip_kept: f32,
    /// No change of the logits smaller than this changes the token. ARGPICK_METRIC_FLIP.
    pub flip_token: f32,
    /// Period of the loop that the sequence ends with; 0: none. ARGPICK_METRIC_LOOP.
    pub loop_period: u32,
    /// How many times that period stands at the end. ARGPICK_METRIC_LOOP.
    pub loop_repeats: u32,
    /// How recurrent the recent tokens are, 0 to 1. ARGPICK_METRIC_LOOP.
    pub loop_score: f32,
}

// SAFETY: repr(C); `assert_layout` proves that there is no padding; numbers only.
unsafe impl Growing for argpick_pick {
    const NAME: &'static str = "pick";
    const RELEASED: &'static [u32] = &[48, 80];
    const DEFAULT: Self = argpick_pick {
        struct_size: size_of::<Self>() as u32,
        token: u32::MAX,
        argmax: u32::MAX,
        rank: u32::MAX,
        kept: u32::MAX,
        finish: ARGPICK_FINISH_NONE,
        margin: f32::NAN,
        top1_probability: f32::NAN,
        entropy: f32::NAN,
        logprob_raw: f32::NAN,
        logprob: f32::NAN,
        kept_mass: f32::NAN,
        cumulative_logprob: f32::NAN,
        temperature: f32::NAN,
        flip_argmax: f32::NAN,
        flip_kept: f32::NAN,
        flip_token: f32::NAN,
        loop_period: u32::MAX,
        loop_repeats: u32::MAX,
        loop_score: f32::NAN,
    };
}

assert_layout!(argpick_pick {
    struct_size: 4,
    token: 4,
    argmax: 4,
    rank: 4,
    kept: 4,
    finish: 4,
    margin: 4,
    top1_probability: 4,
    entropy: 4,
    logprob_raw: 4,
    logprob: 4,
    kept_mass: 4,
    cumulative_logprob: 4,
    temperature: 4,
    flip_argmax: 4,
    flip_kept: 4,
    flip_token: 4,
    loop_period: 4,
    loop_repeats: 4,
    loop_score: 4,
});

/// The C constant.
pub(super) fn finish_number(finish: Finish) -> u32 {
    match finish {
        Finish::None => ARGPICK_FINISH_NONE,
        Finish::Length => ARGPICK_FINISH_LENGTH,
        Finish::EndToken => ARGPICK_FINISH_END_TOKEN,
        Finish::Stop => ARGPICK_FINISH_STOP,
        Finish::Loop => ARGPICK_FINISH_LOOP,
    }
}

impl From<Pick> for argpick_pick {
    fn from(pick: Pick) -> Self {
        // Without `..`: a new field of the core must get its place here.
        let Pick {
            token,
            argmax,
            rank,
            kept,
            finish,
            margin,
            top1_probability,
            entropy,
            logprob_raw,
            logprob,
            kept_mass,
            cumulative_logprob,
            temperature,
            flip_argmax,
            flip_kept,
            flip_token,
            loop_period,
            loop_repeats,
            loop_score,
        } = pick;
        let finish = finish_number(finish);
        argpick_pick {
            struct_size: size_of::<Self>() as u32,
            token,
            argmax,
            rank,
            kept,
            finish,
            margin,
            top1_probability,
            entropy,
            logprob_raw,
            logprob,
            kept_mass,
            cumulative_logprob,
            temperature,
            flip_argmax,
            flip_kept,
            flip_token,
            loop_period,
            loop_repeats,
            loop_score,
        }
    }
}
