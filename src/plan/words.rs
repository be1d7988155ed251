//! A configuration as 32-bit words, for what is saved: one list of the fields, read and written in the same order.

use super::config::{Config, Metrics, Mirostat, Mode, PenaltyScope, Profile};
use crate::error::{Error, Result};

/// A field's form as one word.
trait Word: Sized {
    fn to_word(&self) -> u32;
    fn from_word(word: u32) -> Option<Self>;
    fn to_number(&self) -> f64 {
        self.to_word().into()
    }
    /// The value of a number that is a whole one, as all but floats are.
    fn of_number(number: f64) -> Option<Self> {
        let word = number as u32;
        if f64::from(word) == number { Self::from_word(word) } else { None }
    }
}

impl Word for u32 {
    fn to_word(&self) -> u32 {
        *self
    }
    fn from_word(word: u32) -> Option<Self> {
        Some(word)
    }
}

impl Word for f32 {
    fn to_word(&self) -> u32 {
        self.to_bits()
    }
    fn from_word(word: u32) -> Option<Self> {
        Some(f32::from_bits(word))
    }
    fn to_number(&self) -> f64 {
        (*self).into()
    }
    fn of_number(number: f64) -> Option<Self> {
        Some(number as f32)
    }
}

impl Word for bool {
    fn to_word(&self) -> u32 {
        u32::from(*self)
    }
    fn from_word(word: u32) -> Option<Self> {
        [false, true].into_iter().find(|value| value.to_word() == word)
    }
}

impl Word for Metrics {
    fn to_word(&self) -> u32 {
        self.bits()
    }
    fn from_word(word: u32) -> Option<Self> {
        Metrics::from_bits(word)
    }
}

macro_rules! choice_words {
    ($($type:ident: $($choice:ident),*;)*) => {
        $(
            impl Word for $type {
                fn to_word(&self) -> u32 {
                    *self as u32
                }
                fn from_word(word: u32) -> Option<Self> {
                    [$($type::$choice),*].into_iter().find(|choice| *choice as u32 == word)
                }
            }

            impl $type {
                /// The choice of a number, as the C ABI has it.
                pub fn from_number(number: u32) -> Option<Self> {
                    Word::from_word(number)
                }
            }
        )*
    };
}
choice_words! {
    Mode: Sample, Greedy;
    Profile: Canon, HuggingFace, LlamaCpp, Vllm;
    PenaltyScope: Profile, All, Generated;
    Mirostat: Off, One, Two;
}

macro_rules! fields {
    ($($field:ident),* $(,)?) => {
        /// Words of a configuration.
        pub(crate) const CONFIG_WORDS: usize = 4 + [$(stringify!($field)),*].len();

        impl Config {
            /// The configuration as words.
            pub(crate) fn to_words(&self) -> [u32; CONFIG_WORDS] {
                // Without `..`: a new field must get its place in the list.
                let Config { seed, stream, $($field),* } = self;
                [*seed as u32, (*seed >> 32) as u32, *stream as u32, (*stream >> 32) as u32, $($field.to_word()),*]
            }

            /// The configuration of words; the name of the first field whose word means nothing otherwise. Ranges are
            /// checked where the configuration is compiled.
            pub(crate) fn from_words(words: &[u32; CONFIG_WORDS]) -> core::result::Result<Config, &'static str> {
                let long = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
                let mut rest = words[4..].iter();
                let mut next = || rest.next().copied().unwrap_or(0);
                Ok(Config {
                    seed: long(words[0], words[1]),
                    stream: long(words[2], words[3]),
                    $($field: Word::from_word(next()).ok_or(stringify!($field))?,)*
                })
            }

            /// Every parameter but `seed` and `stream`, by its name, with its value as a number: a flag is 0 or 1, a choice
            /// its number in the C ABI.
            pub fn parameters(&self) -> impl Iterator<Item = (&'static str, f64)> + use<> {
                [$((stringify!($field), self.$field.to_number())),*].into_iter()
            }

            /// Sets the parameter of this name to a number as [`Config::parameters`] tells it, floats rounded to f32; whether
            /// there is one. Ranges are checked where the configuration is used.
            ///
            /// # Errors
            /// [`Error::InvalidParameter`] with name and value if the number is no value of the parameter: not a whole
            /// number from 0 to 2^32 - 1, or no choice has it. Nothing has changed then.
            pub fn set_parameter(&mut self, name: &str, number: f64) -> Result<bool> {
                match name {
                    $(stringify!($field) => {
                        let unfit = Error::InvalidParameter { name: stringify!($field), value: number };
                        self.$field = Word::of_number(number).ok_or(unfit)?;
                    })*
                    _ => return Ok(false),
                }
                Ok(true)
            }

            /// Sets the parameter of this name to its default; whether there is one.
            pub fn set_default(&mut self, name: &str) -> bool {
                let standard = Config::default();
                match name {
                    $(stringify!($field) => self.$field = standard.$field,)*
                    _ => return false,
                }
                true
            }
        }
    };
}
fields! {
    profile, mode, temperature, top_k, top_p, min_p, typical_p, epsilon_cutoff, eta_cutoff, top_n_sigma, top_a, tfs_z,
    top_h, xtc_probability, xtc_threshold, min_keep, keep_ties, dynatemp_range, dynatemp_exponent, mirostat, mirostat_tau,
    mirostat_eta, adaptive_target, adaptive_decay, repetition_penalty, frequency_penalty, presence_penalty,
    penalty_window, penalty_scope, dry_multiplier, dry_base, dry_allowed_length, dry_window, no_repeat_window,
    no_repeat_ngram, min_tokens, max_tokens, length_decay_start, length_decay_factor, loop_period, loop_repeats,
    valid_vocab, history_capacity, adjustment_capacity, sequence_capacity, metrics,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_the_configuration() {
        let config = Config {
            profile: Profile::Vllm,
            seed: 0x0123_4567_89ab_cdef,
            stream: u64::MAX - 1,
            mirostat: Mirostat::Two,
            keep_ties: true,
            metrics: Metrics::ALL,
            loop_repeats: 7,
            ..Config::default()
        };
        assert_eq!(Config::from_words(&config.to_words()), Ok(config.clone()));
        let mut words = config.to_words();
        words[4] = 9;
        assert_eq!(Config::from_words(&words), Err("profile"));
    }

    #[test]
    fn parameters_have_names_and_can_be_set_back() {
        let mut config =
            Config { min_p: 0.25, mirostat: Mirostat::Two, keep_ties: true, top_k: 7, ..Config::default() };
        let value =
            |config: &Config, name| config.parameters().find(|(known, _)| *known == name).map(|(_, value)| value);
        assert_eq!(value(&config, "min_p"), Some(0.25));
        assert_eq!(value(&config, "mirostat"), Some(2.0));
        assert_eq!(value(&config, "keep_ties"), Some(1.0));
        assert_eq!(value(&config, "max_p"), None);
        for name in ["min_p", "mirostat", "keep_ties", "top_k"] {
            assert!(config.set_default(name));
        }
        assert_eq!(config, Config::default());
        assert!(!config.set_default("max_p"));
        let strange =
            Config { profile: Profile::Vllm, keep_ties: true, top_p: 0.3, top_k: u32::MAX, ..Config::default() };
        for (name, number) in strange.parameters() {
            assert_eq!(config.set_parameter(name, number), Ok(true));
        }
        assert_eq!(config, strange);
        assert_eq!(config.set_parameter("max_p", 1.0), Ok(false));
        for (name, value) in
            [("top_k", 0.5), ("top_k", -1.0), ("top_k", 4294967296.0), ("keep_ties", 2.0), ("mirostat", 3.0)]
        {
            assert_eq!(config.set_parameter(name, value), Err(Error::InvalidParameter { name, value }));
        }
        assert_eq!(config, strange);
        assert_eq!(config.parameters().count() + 4, CONFIG_WORDS);
    }
}
