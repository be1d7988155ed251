//! What a step hands on to the next one beside the history.

use crate::kernels::with_default_environment;
use crate::plan::{Config, Mirostat};
use bytemuck::{Pod, Zeroable};

/// Numbers that each decoded token changes. The history keeps those before each generated token, so that undoing it brings
/// them back.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct StepState {
    /// Sum of the log-probabilities of the tokens generated so far; NaN once one was recorded without.
    pub cumulative_logprob: f64,
    /// Mirostat's current limit of surprise, in bits.
    pub mirostat_mu: f32,
    /// Adaptive-p: decayed sum of the probabilities of what was picked.
    pub adaptive_sum: f32,
    /// Adaptive-p: decayed number of picks.
    pub adaptive_weight: f32,
    reserved: u32,
}

impl StepState {
    /// The state at the start of a sequence.
    pub(crate) fn first(config: &Config) -> StepState {
        with_default_environment(|| Self::first_in_default_environment(config))
    }

    #[inline(never)]
    fn first_in_default_environment(config: &Config) -> StepState {
        let adaptive = config.adaptive_target >= 0.0;
        let weight = 1.0 / (1.0 - config.adaptive_decay);
        StepState {
            cumulative_logprob: 0.0,
            mirostat_mu: if config.mirostat == Mirostat::Off { 0.0 } else { 2.0 * config.mirostat_tau },
            // As if the target had been met for ever (llama.cpp starts so).
            adaptive_sum: if adaptive { config.adaptive_target * weight } else { 0.0 },
            adaptive_weight: if adaptive { weight } else { 0.0 },
            reserved: 0,
        }
    }
}
