//! What is done to one logit, in the order of a profile. f32 operations in one order, so that the bits are the same
//! everywhere.

use crate::history::Slot;
use crate::numeric::whole_power;
use crate::plan::{PenaltyScope, Plan, Profile};

/// The arithmetic of a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    repetition: f32,
    frequency: f32,
    presence: f32,
    /// Frequency and presence count generated tokens only.
    counts_generated: bool,
    /// The repetition penalty counts generated tokens only.
    repeats_generated: bool,
    /// Biases come before penalties, as in all profiles but canon.
    bias_first: bool,
    /// vLLM keeps the biases of tokens within ±100.
    bias_limit: f32,
    /// Hugging Face drops end tokens from the bad sequences of one token.
    pub spares_end_tokens: bool,
    /// vLLM looks for bad sequences among generated tokens only.
    pub bad_in_generated: bool,
    /// Taken off each logit before all rules and added again after them: what makes it a log-probability, in beams of
    /// Hugging Face.
    pub shift: f64,
}

/// What a step does to end tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum EndRule {
    Free,
    /// Not so early.
    Masked,
    /// Raised by the absolute logit times this.
    Raised(f64),
}

/// What one token's logit is subject to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub counts: Option<Slot>,
    pub bias: Option<f32>,
    pub sequence_bias: Option<f32>,
    /// DRY; 0 is none.
    pub subtract: f32,
    pub is_end: bool,
    pub masked: bool,
}

impl Found {
    pub const NOTHING: Found =
        Found { counts: None, bias: None, sequence_bias: None, subtract: 0.0, is_end: false, masked: false };
}

impl Rules {
    pub fn new(plan: &Plan) -> Rules {
        let config = &plan.config;
        let vllm = config.profile == Profile::Vllm;
        let generated = config.penalty_scope == PenaltyScope::Generated;
        let penalises = !plan.ignores_penalties();
        Rules {
            repetition: if penalises { config.repetition_penalty } else { 1.0 },
            frequency: if penalises { config.frequency_penalty } else { 0.0 },
            presence: if penalises { config.presence_penalty } else { 0.0 },
            counts_generated: generated || vllm,
            repeats_generated: generated,
            bias_first: config.profile != Profile::Canon,
            bias_limit: if vllm { 100.0 } else { f32::INFINITY },
            spares_end_tokens: config.profile == Profile::HuggingFace,
            bad_in_generated: vllm,
            shift: 0.0,
        }
    }

    /// The repetition penalty; 1 is none.
    pub fn repetition(&self) -> f32 {
        self.repetition
    }

    /// Whether the repetition penalty looks at something else than the logit as given: a sum with a bias.
    pub fn penalises_sums(&self) -> bool {
        self.bias_first || self.shift != 0.0
    }

    /// The logit after everything but masks.
    #[inline]
    pub fn apply(&self, logit: f32, found: &Found, end: EndRule) -> f32 {
        if self.shift != 0.0 {
            let shifted = (f64::from(logit) - self.shift) as f32;
            return (f64::from(self.apply_as_given(shifted, found, end)) + self.shift) as f32;
        }
        self.apply_as_given(logit, found, end)
    }

    #[inline]
    fn apply_as_given(&self, logit: f32, found: &Found, end: EndRule) -> f32 {
        let mut logit = logit;
        if self.bias_first {
            logit = self.add_bias(logit, found);
        }
        if let Some(counts) = &found.counts {
            logit = self.penalise_as_given(logit, counts);
        }
        if found.subtract != 0.0 {
            logit -= found.subtract;
        }
        if !self.bias_first {
            logit = self.add_bias(logit, found);
        }
        if let EndRule::Raised(share) = end
            && found.is_end
            && logit.is_finite()
        {
            logit = raise(logit, share);
        }
        logit
    }

    /// The logit of a token that the history alone adjusts.
    #[inline(always)]
    pub fn penalise(&self, logit: f32, counts: &Slot) -> f32 {
        if self.shift != 0.0 {
            let shifted = (f64::from(logit) - self.shift) as f32;
            return (f64::from(self.penalise_as_given(shifted, counts)) + self.shift) as f32;
        }
        self.penalise_as_given(logit, counts)
    }

    /// Once per distinct token: the repetition penalty, then frequency and presence in one subtraction.
    #[inline(always)]
    fn penalise_as_given(&self, logit: f32, counts: &Slot) -> f32 {
        let mut logit = logit;
        let repeated = if self.repeats_generated { counts.generated } else { counts.all };
        if self.repetition != 1.0 && repeated != 0 {
            logit = if logit > 0.0 { logit / self.repetition } else { logit * self.repetition };
        }
        let count = if self.counts_generated { counts.generated } else { counts.all };
        if count != 0 && (self.frequency != 0.0 || self.presence != 0.0) {
            logit -= count as f32 * self.frequency + self.presence;
        }
        logit
    }

    /// The biases of a token and of sequences that wait for it add up before they are added.
    fn add_bias(&self, logit: f32, found: &Found) -> f32 {
        let own = found
            .bias
            .map(|bias| if self.bias_limit.is_finite() { bias.clamp(-self.bias_limit, self.bias_limit) } else { bias });
        match (own, found.sequence_bias) {
            (None, None) => logit,
            (Some(bias), None) | (None, Some(bias)) => logit + bias,
            (Some(own), Some(sequences)) => logit + (own + sequences),
        }
    }
}

impl EndRule {
    /// The rule for the token that comes after so many generated ones.
    pub fn new(plan: &Plan, generated: u64) -> EndRule {
        let config = &plan.config;
        if generated < u64::from(config.min_tokens) {
            return EndRule::Masked;
        }
        let past = generated.saturating_sub(config.length_decay_start.into());
        if config.length_decay_factor == 1.0 || past == 0 {
            return EndRule::Free;
        }
        let past = u32::try_from(past).unwrap_or(u32::MAX);
        EndRule::Raised(whole_power(config.length_decay_factor.into(), past) - 1.0)
    }
}

/// `logit + |logit| * share`, in f64, rounded once; what leaves f32 is its largest number.
fn raise(logit: f32, share: f64) -> f32 {
    let raised = f64::from(logit) + f64::from(logit.abs()) * share;
    if raised > f64::from(f32::MAX) { f32::MAX } else { raised as f32 }
}
