//! A row of a batch: what a configuration says of it, and the sequence it belongs to.

use super::device::{self, RawRow};
use super::{Address, bytes_of, bytes_of_mut, check_address};
use crate::error::{Error, Result};
use crate::plan::{Config, Metrics, Mirostat, PenaltyScope, Plan, Profile};
use crate::types::TokenId;

/// A bias of one token, as the device reads it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeviceBias {
    /// The token.
    pub token: TokenId,
    /// What is added to its logit: finite, or negative infinity.
    pub value: f32,
}

impl DeviceBias {
    /// The bytes to copy to the device.
    pub fn bytes(biases: &[DeviceBias]) -> &[u8] {
        // SAFETY: two numbers of four bytes.
        unsafe { bytes_of(biases) }
    }
}

/// One row of a batch, in the form that the device reads (136 bytes). An array of these is copied to device memory.
///
/// The addresses in it are those of device memory that stays as it is while a launch runs; the host does not follow them.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row(pub(super) RawRow);

impl Row {
    /// The row of a configuration, for logits of `vocab` tokens, at position 0.
    ///
    /// The device knows top-k, top-p, min-p and typical, greedy, the three penalties over a history, `valid_vocab`, and all
    /// metrics but `LOOP` and `FLIP`. `max_tokens` must be 0: whoever runs the loop counts. Capacities are not looked at.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] as for a decoder; [`Error::NotInProfile`] with profile `cuda` for what the device does not have.
    pub fn new(config: &Config, vocab: usize) -> Result<Row> {
        let plan = Plan::compile(config, vocab)?;
        refuse_what_is_not_here(config)?;
        Ok(Row(RawRow {
            seed: config.seed,
            stream: config.stream,
            position: 0,
            mask: 0,
            history: 0,
            biases: 0,
            bans: 0,
            history_recorded: 0,
            history_capacity: 0,
            mask_words: 0,
            bias_count: 0,
            ban_count: 0,
            valid_vocab: plan.config.valid_vocab,
            mode: config.mode as u32,
            temperature: config.temperature,
            top_k: config.top_k,
            top_p: config.top_p,
            min_p: config.min_p,
            typical_p: config.typical_p,
            repetition_penalty: config.repetition_penalty,
            frequency_penalty: config.frequency_penalty,
            presence_penalty: config.presence_penalty,
            penalty_window: config.penalty_window,
            penalty_generated: u32::from(config.penalty_scope == PenaltyScope::Generated),
            metrics: config.metrics.bits(),
            skip: 0,
        }))
    }

    /// At this position of the random numbers: the number of tokens generated so far.
    #[must_use]
    pub fn at(mut self, position: u64) -> Row {
        self.0.position = position;
        self
    }

    /// Under a bitmask of `words` words of 32 bits: bit `t & 31` of word `t >> 5` allows token t, words past the end allow none.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`]: the address is 0 or not aligned to 4 bytes.
    pub fn with_mask(mut self, mask: Address, words: usize) -> Result<Row> {
        check_address!(mask, 4, "mask")?;
        self.0.mask = mask;
        self.0.mask_words = count("mask", words, crate::types::MAX_VOCAB)?;
        Ok(self)
    }

    /// With biases: an array of [`DeviceBias`] in ascending order of tokens, none twice.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] (address), [`Error::CapacityExceeded`] (more than 65,536).
    pub fn with_biases(mut self, biases: Address, entries: usize) -> Result<Row> {
        check_address!(biases, 4, "biases")?;
        self.0.biases = biases;
        self.0.bias_count = count("biases", entries, device::MAX_ADJUSTMENTS)?;
        Ok(self)
    }

    /// With bans: an array of tokens in ascending order, none twice.
    ///
    /// # Errors
    /// As [`Row::with_biases`].
    pub fn with_bans(mut self, bans: Address, entries: usize) -> Result<Row> {
        check_address!(bans, 4, "bans")?;
        self.0.bans = bans;
        self.0.ban_count = count("bans", entries, device::MAX_ADJUSTMENTS)?;
        Ok(self)
    }

    /// With a history that the penalties see: a ring of `capacity` words, in which the token recorded as number i stands at
    /// `i % capacity`, with [`Row::PROMPT`] set if it was prompt; `recorded` tokens were recorded since the start.
    ///
    /// The result is that of a CPU decoder whose `history_capacity` is `capacity`.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`]: the address; a capacity of 0, or above 2^24; `penalty_window` is larger; the penalties
    /// would look at more than 8,192 tokens.
    pub fn with_history(mut self, history: Address, capacity: usize, recorded: u64) -> Result<Row> {
        check_address!(history, 4, "history")?;
        let invalid = |name, value: usize| Err(Error::InvalidParameter { name, value: value as f64 });
        if capacity == 0 || capacity > 1 << 24 {
            return invalid("history_capacity", capacity);
        }
        let window = self.0.penalty_window as usize;
        if window > capacity {
            return invalid("penalty_window", window);
        }
        if self.penalises() && (if window == 0 { capacity } else { window }) > device::MAX_WINDOW {
            return invalid(if window == 0 { "history_capacity" } else { "penalty_window" }, window.max(capacity));
        }
        self.0.history = history;
        self.0.history_capacity = capacity as u32;
        self.0.history_recorded = recorded;
        Ok(self)
    }

    /// Left out of a launch, or not: a graph can be replayed with fewer sequences than it was captured with.
    #[must_use]
    pub fn skipped(mut self, skip: bool) -> Row {
        self.0.skip = skip.into();
        self
    }

    /// Set in a word of the history whose token was prompt.
    pub const PROMPT: u32 = 1 << 31;

    /// The position; [`Batch::record`](super::Batch::record) moves it on in the device's copy.
    pub fn position(&self) -> u64 {
        self.0.position
    }

    /// Tokens recorded since the start, the prompt included.
    pub fn history_recorded(&self) -> u64 {
        self.0.history_recorded
    }

    /// The bytes to copy to the device.
    pub fn bytes(rows: &[Row]) -> &[u8] {
        // SAFETY: the size of a row is the sum of its fields' sizes.
        unsafe { bytes_of(rows) }
    }

    /// The place to copy the device's rows to.
    pub fn bytes_mut(rows: &mut [Row]) -> &mut [u8] {
        // SAFETY: the same; a row is numbers, and any bits are a number.
        unsafe { bytes_of_mut(rows) }
    }

    fn penalises(&self) -> bool {
        self.0.repetition_penalty != 1.0 || self.0.frequency_penalty != 0.0 || self.0.presence_penalty != 0.0
    }

    /// Adjustments that the row has at most: tokens the penalties see, biases and bans.
    pub(super) fn adjustments(&self) -> usize {
        let window = match self.0.penalty_window {
            0 => self.0.history_capacity,
            window => window,
        };
        let seen = if self.penalises() { window as usize } else { 0 };
        seen + self.0.bias_count as usize + self.0.ban_count as usize
    }
}

fn count(what: &'static str, actual: usize, capacity: usize) -> Result<u32> {
    if actual > capacity {
        return Err(Error::CapacityExceeded { what, capacity, actual });
    }
    Ok(actual as u32)
}

/// Refuses what the device has no code for; what it would do is not defined.
fn refuse_what_is_not_here(config: &Config) -> Result<()> {
    let standard = Config::default();
    let rules = [
        ("profile", config.profile != Profile::Canon),
        ("epsilon_cutoff", config.epsilon_cutoff != 0.0),
        ("eta_cutoff", config.eta_cutoff != 0.0),
        ("top_n_sigma", config.top_n_sigma != 0.0),
        ("top_a", config.top_a != 0.0),
        ("tfs_z", config.tfs_z != standard.tfs_z),
        ("top_h", config.top_h != 0.0),
        ("xtc_probability", config.xtc_probability != 0.0),
        ("min_keep", config.min_keep > 1),
        ("keep_ties", config.keep_ties),
        ("dynatemp_range", config.dynatemp_range != 0.0),
        ("mirostat", config.mirostat != Mirostat::Off),
        ("adaptive_target", config.adaptive_target >= 0.0),
        ("dry_multiplier", config.dry_multiplier != 0.0),
        ("no_repeat_window", config.no_repeat_window != 0),
        ("no_repeat_ngram", config.no_repeat_ngram != 0),
        ("min_tokens", config.min_tokens != 0),
        ("max_tokens", config.max_tokens != 0),
        ("length_decay_factor", config.length_decay_factor != 1.0),
        ("loop_repeats", config.loop_repeats != 0),
        ("metrics", config.metrics.intersects(Metrics::LOOP | Metrics::FLIP)),
    ];
    match rules.iter().find(|(_, used)| *used) {
        Some(&(name, _)) => Err(Error::NotInProfile { name, profile: "cuda" }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_device_does_not_have_is_refused_by_name() {
        let refused = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            Row::new(&config, 100).unwrap_err()
        };
        let not_here = |name| Error::NotInProfile { name, profile: "cuda" };
        assert_eq!(refused(|config| config.top_a = 0.5), not_here("top_a"));
        assert_eq!(refused(|config| config.max_tokens = 5), not_here("max_tokens"));
        assert_eq!(refused(|config| config.metrics = Metrics::ALL), not_here("metrics"));
        assert_eq!(refused(|config| config.profile = Profile::Vllm), not_here("profile"));
        assert!(refused(|config| config.top_a = 0.5).to_string().contains("the profile cuda has no top_a"));
        let nan = refused(|config| config.top_p = f32::NAN);
        assert!(matches!(nan, Error::InvalidParameter { name: "top_p", value } if value.is_nan()));
        assert_eq!(
            refused(|config| config.valid_vocab = 101),
            Error::InvalidParameter { name: "valid_vocab", value: 101.0 }
        );
    }

    #[test]
    fn lists_are_bounded_and_addresses_aligned() {
        let config = Config { repetition_penalty: 1.1, penalty_window: 64, ..Config::default() };
        let row = Row::new(&config, 100).unwrap();
        assert_eq!(row.with_mask(0, 4).unwrap_err(), Error::InvalidParameter { name: "mask", value: 0.0 });
        let odd = row.with_biases(4098, 4).unwrap_err();
        assert_eq!(odd, Error::InvalidParameter { name: "biases modulo its alignment", value: 2.0 });
        let many = row.with_bans(4096, 65537).unwrap_err();
        assert_eq!(many, Error::CapacityExceeded { what: "bans", capacity: 65536, actual: 65537 });
        let short = row.with_history(4096, 63, 0).unwrap_err();
        assert_eq!(short, Error::InvalidParameter { name: "penalty_window", value: 64.0 });
        assert!(row.with_history(4096, 1 << 20, 0).is_ok());
        let unbounded = Row::new(&Config { penalty_window: 0, ..config }, 100).unwrap();
        assert!(unbounded.with_history(4096, 8192, 0).is_ok());
        let long = unbounded.with_history(4096, 8193, 0).unwrap_err();
        assert_eq!(long, Error::InvalidParameter { name: "history_capacity", value: 8193.0 });
        let full = row.with_history(4096, 100, 7).unwrap().with_bans(4096, 3).unwrap().with_biases(8192, 2).unwrap();
        assert_eq!(full.adjustments(), 64 + 3 + 2);
        assert_eq!(Row::bytes(&[full, row]).len(), 272);
    }
}
