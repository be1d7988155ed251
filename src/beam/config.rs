//! What a beam search does: its configuration, and the plan that is compiled from it.

use crate::error::{Error, Result};
use crate::kernels::with_default_environment;
use crate::numeric::exponent_scale;
use crate::plan::Profile;
use crate::types::{MAX_VOCAB, TokenId};

/// When a search ends before `max_tokens`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum EarlyStopping {
    /// When no beam can get into the n-best list any more, whatever its next tokens are. Nothing is lost by it.
    #[default]
    Never = 0,
    /// When no beam would get into the n-best list if it ended at its present length: `early_stopping=False` of
    /// transformers. With a length penalty above 0 it may end too soon.
    Heuristic = 1,
    /// As soon as as many hypotheses have ended as there are beams: `early_stopping=True` of transformers.
    Full = 2,
}

/// Everything that decides what a beam search does.
///
/// | field | range | off |
/// |---|---|---|
/// | `beams` | 1 to 1,024 | |
/// | `groups` | a divisor of `beams`; 0 is 1 | 1 |
/// | `diversity_penalty` | finite, >= 0 | 0 |
/// | `length_penalty` | -16 to 16 | 0 |
/// | `temperature` | finite, > 0; 1 where the profile is not canon | 1 |
/// | `min_tokens` | any; from `max_tokens` on no end token ends a beam | 0 |
/// | `max_tokens` | 1 to 2^20 | |
/// | `n_best` | up to `beams`; 0 is `beams` | |
/// | `valid_vocab` | up to the vocabulary | 0 |
/// | `end_tokens` | up to 64, below the vocabulary, each once | none |
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BeamConfig<'a> {
    /// Whose rules hold.
    pub profile: Profile,
    /// Sequences that are followed side by side.
    pub beams: u32,
    /// Groups that the beams are divided into; later groups avoid the tokens of earlier ones (Vijayakumar et al. 2016).
    pub groups: u32,
    /// Taken off a candidate's score, when it is chosen and then no more, for each beam of an earlier group that goes on
    /// with the same token.
    pub diversity_penalty: f32,
    /// The score of a hypothesis is its sum of log-probabilities divided by its length to this power.
    pub length_penalty: f32,
    /// When the search ends before `max_tokens`.
    pub early_stopping: EarlyStopping,
    /// Divides the logits.
    pub temperature: f32,
    /// End tokens are masked until so many tokens are generated.
    pub min_tokens: u32,
    /// Beams that are so long are hypotheses.
    pub max_tokens: u32,
    /// Hypotheses that are told about.
    pub n_best: u32,
    /// Only ids below this take part.
    pub valid_vocab: u32,
    /// A beam that generates one of these becomes a hypothesis.
    pub end_tokens: &'a [TokenId],
}

impl Default for BeamConfig<'_> {
    /// Four beams, up to 256 tokens, nothing else.
    fn default() -> Self {
        BeamConfig {
            profile: Profile::Canon,
            beams: 4,
            groups: 1,
            diversity_penalty: 0.0,
            length_penalty: 0.0,
            early_stopping: EarlyStopping::Never,
            temperature: 1.0,
            min_tokens: 0,
            max_tokens: 256,
            n_best: 0,
            valid_vocab: 0,
            end_tokens: &[],
        }
    }
}

/// The most beams of a search.
pub(crate) const MAX_BEAMS: u32 = 1024;
/// The most end tokens.
pub(crate) const MAX_END_TOKENS: usize = 64;
/// The most tokens of a hypothesis.
pub(crate) const MAX_TOKENS: u32 = 1 << 20;

/// A compiled configuration.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub profile: Profile,
    pub vocab: usize,
    /// Tokens that can take part: ids below this.
    pub valid: usize,
    pub beams: usize,
    pub groups: usize,
    /// Beams of one group.
    pub width: usize,
    pub diversity_penalty: f64,
    pub length_penalty: f64,
    pub early_stopping: EarlyStopping,
    pub temperature: f32,
    /// `exponent_scale(temperature)`.
    pub scale: f32,
    pub min_tokens: u32,
    pub max_tokens: u32,
    pub n_best: usize,
    pub end_tokens: usize,
}

impl Plan {
    /// Parameters are compared and divided like logits are: not in the host's float environment, where a subnormal one may be 0.
    pub fn compile(config: &BeamConfig<'_>, vocab: usize) -> Result<Plan> {
        with_default_environment(|| Self::compile_checked(config, vocab))
    }

    // Not inlined: no float operation may move out of the default environment around the call.
    #[inline(never)]
    fn compile_checked(config: &BeamConfig<'_>, vocab: usize) -> Result<Plan> {
        let invalid = |name, value: f64| Err(Error::InvalidParameter { name, value });
        if vocab == 0 || vocab > MAX_VOCAB {
            return invalid("vocab", vocab as f64);
        }
        let BeamConfig { profile, beams, diversity_penalty, length_penalty, temperature, max_tokens, .. } = *config;
        if profile == Profile::LlamaCpp {
            return Err(Error::NotInProfile { name: "beams", profile: profile.name() });
        }
        if beams == 0 || beams > MAX_BEAMS {
            return invalid("beams", beams.into());
        }
        let groups = config.groups.max(1);
        if !beams.is_multiple_of(groups) {
            return invalid("groups", groups.into());
        }
        if !(diversity_penalty >= 0.0 && diversity_penalty.is_finite()) {
            return invalid("diversity_penalty", diversity_penalty.into());
        }
        if !(-16.0..=16.0).contains(&length_penalty) {
            return invalid("length_penalty", length_penalty.into());
        }
        if !(temperature > 0.0 && temperature.is_finite()) {
            return invalid("temperature", temperature.into());
        }
        // What the profile's engine has no rule for.
        let strange = [
            ("groups", groups > 1 && profile != Profile::Canon),
            ("diversity_penalty", diversity_penalty > 0.0 && profile != Profile::Canon),
            ("temperature", temperature != 1.0 && profile != Profile::Canon),
            ("early_stopping", config.early_stopping != EarlyStopping::Never && profile == Profile::Vllm),
        ];
        if let Some((name, _)) = strange.into_iter().find(|(_, used)| *used) {
            return Err(Error::NotInProfile { name, profile: profile.name() });
        }
        if max_tokens == 0 || max_tokens > MAX_TOKENS {
            return invalid("max_tokens", max_tokens.into());
        }
        if config.n_best > beams {
            return invalid("n_best", config.n_best.into());
        }
        if config.valid_vocab as usize > vocab {
            return invalid("valid_vocab", config.valid_vocab.into());
        }
        let end_tokens = config.end_tokens;
        if end_tokens.len() > MAX_END_TOKENS {
            let (capacity, actual) = (MAX_END_TOKENS, end_tokens.len());
            return Err(Error::CapacityExceeded { what: "end tokens", capacity, actual });
        }
        for (i, &token) in end_tokens.iter().enumerate() {
            if token as usize >= vocab {
                return Err(Error::TokenOutOfRange { token, vocab });
            }
            if end_tokens[..i].contains(&token) {
                return Err(Error::DuplicateToken { token });
            }
        }
        Ok(Plan {
            profile,
            vocab,
            valid: if config.valid_vocab == 0 { vocab } else { config.valid_vocab as usize },
            beams: beams as usize,
            groups: groups as usize,
            width: (beams / groups) as usize,
            diversity_penalty: diversity_penalty.into(),
            length_penalty: length_penalty.into(),
            early_stopping: config.early_stopping,
            temperature,
            scale: exponent_scale(temperature),
            min_tokens: config.min_tokens,
            max_tokens,
            n_best: if config.n_best == 0 { beams as usize } else { config.n_best as usize },
            end_tokens: end_tokens.len(),
        })
    }

    /// Whether log-probabilities are those of the row as given, and adjustments are added to them without normalising
    /// anew.
    pub fn normalises_as_given(&self) -> bool {
        self.profile != Profile::Canon
    }

    /// Candidates that are collected: of all beams of a group together, for vLLM of each beam.
    pub fn candidates(&self) -> usize {
        match self.profile {
            Profile::HuggingFace => self.width * (1 + self.end_tokens).max(2),
            Profile::Vllm => 2 * self.width,
            _ => self.width * (1 + self.end_tokens),
        }
    }

    /// Entries that a step can report. Each beam goes on, and each ends with each of the end tokens; with the rules of Hugging
    /// Face, decoders beside the beams may end as many as go on although the search has no end token.
    pub fn outputs(&self) -> usize {
        match self.profile {
            Profile::HuggingFace => self.beams * (1 + self.end_tokens).max(2),
            _ => self.beams * (1 + self.end_tokens),
        }
    }
}
