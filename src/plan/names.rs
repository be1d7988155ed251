//! What stages and parameters are called, for those who ask what a plan does.

use super::{Config, Plan, Stage};
use crate::plan::Mirostat;

/// A probability in units of 2^-32 as a number.
fn share(fixed: u64) -> f64 {
    fixed as f64 / (1u64 << 32) as f64
}

impl Stage {
    /// The name of the parameter in [`Config`] that puts the stage there.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Stage::Temperature | Stage::Argmax => "temperature",
            Stage::DynamicTemperature { .. } => "dynatemp_range",
            Stage::TopK { .. } => "top_k",
            Stage::TopP(_) => "top_p",
            Stage::MinP(_) => "min_p",
            Stage::Typical(_) => "typical_p",
            Stage::Epsilon(_) => "epsilon_cutoff",
            Stage::Eta(_) => "eta_cutoff",
            Stage::TopNSigma(_) => "top_n_sigma",
            Stage::TopA(_) => "top_a",
            Stage::TailFree(_) => "tfs_z",
            Stage::TopH(_) => "top_h",
            Stage::Xtc { .. } => "xtc_probability",
            Stage::Mirostat(_) => "mirostat",
        }
    }

    /// Its parameter as a step uses it.
    pub(crate) fn parameter(self, config: &Config) -> f64 {
        match self {
            Stage::Temperature | Stage::Argmax => config.temperature.into(),
            Stage::DynamicTemperature { .. } => config.dynatemp_range.into(),
            Stage::TopK { k, .. } => k as f64,
            Stage::TopP(p) | Stage::Typical(p) => share(p),
            Stage::MinP(x)
            | Stage::Epsilon(x)
            | Stage::Eta(x)
            | Stage::TopNSigma(x)
            | Stage::TopA(x)
            | Stage::TailFree(x)
            | Stage::TopH(x) => x.into(),
            Stage::Xtc { probability, .. } => share(probability),
            Stage::Mirostat(Mirostat::One) => 1.0,
            Stage::Mirostat(_) => 2.0,
        }
    }
}

impl Plan {
    /// The plan with its first `count` stages only. Temperatures and capacities stay what they are.
    pub(crate) fn first_stages(&self, count: usize) -> Plan {
        let mut plan = self.clone();
        plan.stages.iter_mut().skip(count).for_each(|stage| *stage = None);
        plan
    }
}
