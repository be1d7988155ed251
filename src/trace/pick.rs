//! The result of one step.

use crate::types::TokenId;

/// Why a sequence ended with this pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum Finish {
    /// It goes on.
    #[default]
    None = 0,
    /// `max_tokens` was reached.
    Length = 1,
    /// The token is one of the end tokens.
    EndToken = 2,
    /// The sequence now ends with a stop sequence.
    Stop = 3,
    /// The sequence runs in a circle: `loop_repeats` was reached.
    Loop = 4,
}

/// The token picked, and how sure the row was. What was not asked for by `Config::metrics` is NaN, or `u32::MAX`.
///
/// `margin`, `top1_probability` and `entropy` describe the row after biases and masks and before truncation; the
/// probabilities are at the configured temperature (1 if that is 0).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pick {
    /// The token picked.
    pub token: TokenId,
    /// The token with the highest logit, the lowest id among equals.
    pub argmax: TokenId,
    /// How many tokens stand before the picked one in the order of logits; 0 is the argmax. Asked for by `RANK`.
    pub rank: u32,
    /// How many tokens the filters kept; 1 in greedy mode. Asked for by `KEPT`.
    pub kept: u32,
    /// Whether the sequence ends with this token, and why.
    pub finish: Finish,
    /// Highest logit minus second highest, before temperature; +inf if only one token takes part.
    pub margin: f32,
    /// Probability of the argmax. Asked for by `CONFIDENCE`.
    pub top1_probability: f32,
    /// Entropy in nats. Asked for by `CONFIDENCE`.
    pub entropy: f32,
    /// Natural logarithm of the picked token's probability in the row as given, at temperature 1, among the tokens that
    /// take part (`valid_vocab`, bitmask). Asked for by `LOGPROB_RAW`.
    pub logprob_raw: f32,
    /// Natural logarithm of the picked token's probability among the tokens kept. Asked for by `LOGPROB`.
    pub logprob: f32,
    /// Probability of the tokens kept. Asked for by `KEPT_MASS`.
    pub kept_mass: f32,
    /// The sum of `logprob` over the tokens generated here, this one included. Asked for by `LOGPROB`; NaN if a token was
    /// recorded without one.
    pub cumulative_logprob: f32,
    /// The temperature in force: the configured one, or where the entropy led a dynamic one.
    pub temperature: f32,
    /// No change of the logits smaller than this changes the argmax: half the margin, unless a repetition penalty stretches
    /// changes. For which answers these three are the smallest change, and for which less, stands in
    /// [`docs::flips`](crate::docs::flips). Asked for by `FLIP`.
    pub flip_argmax: f32,
    /// No change of the logits smaller than this changes which tokens are kept. Asked for by `FLIP`.
    pub flip_kept: f32,
    /// No change of the logits smaller than this changes the token picked. Asked for by `FLIP`.
    pub flip_token: f32,
    /// The period of the loop that the sequence ends with, this token included; 0 if there is none. Asked for by `LOOP`.
    pub loop_period: u32,
    /// How many times that period stands at the end. Asked for by `LOOP`.
    pub loop_repeats: u32,
    /// How recurrent the recent tokens are, 0 (all new) to 1. Asked for by `LOOP`.
    pub loop_score: f32,
}

/// Nothing is known: a place for a pick to be written to.
impl Default for Pick {
    fn default() -> Self {
        Pick::unknown(TokenId::MAX, TokenId::MAX, f32::NAN)
    }
}

impl Pick {
    /// A pick of which nothing else is known.
    pub(crate) fn unknown(token: TokenId, argmax: TokenId, temperature: f32) -> Pick {
        Pick {
            token,
            argmax,
            rank: u32::MAX,
            kept: u32::MAX,
            finish: Finish::None,
            margin: f32::NAN,
            top1_probability: f32::NAN,
            entropy: f32::NAN,
            logprob_raw: f32::NAN,
            logprob: f32::NAN,
            kept_mass: f32::NAN,
            cumulative_logprob: f32::NAN,
            temperature,
            flip_argmax: f32::NAN,
            flip_kept: f32::NAN,
            flip_token: f32::NAN,
            loop_period: u32::MAX,
            loop_repeats: u32::MAX,
            loop_score: f32::NAN,
        }
    }
}
