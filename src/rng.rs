//! Counter-based random numbers: every step of every stream has its own generator, reachable without the steps before it.
//!
//! `m(x)` is the finaliser of SplitMix64 applied to `x + 0x9E3779B97F4A7C15`. The key of a step is
//! `m(m(m(seed) + stream) + position) + purpose`, and its numbers are those of
//! `Xoshiro256PlusPlus::seed_from_u64(m(key))` in order. So a step can be replayed alone, may use several numbers without
//! disturbing the next, and knows nothing of batches, threads or hardware.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// What the numbers of a step are for; different purposes never share numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// The draw of the token.
    Draw = 0,
    /// Whether XTC removes the top choices.
    Xtc = 1,
    /// Whether speculative tokens are accepted, and what takes their place.
    Speculative = 2,
}

/// SplitMix64's step from the state `x` (Steele, Lea and Flood 2014): adds the golden gamma and finalises.
pub const fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The random numbers of one step.
#[derive(Clone, Debug)]
pub struct StepNumbers(Xoshiro256PlusPlus);

impl StepNumbers {
    /// The numbers of the step at `position` of `stream` under `seed`.
    pub fn new(seed: u64, stream: u64, position: u64, purpose: Purpose) -> Self {
        let key = mix(mix(mix(seed).wrapping_add(stream)).wrapping_add(position)).wrapping_add(purpose as u64);
        StepNumbers(Xoshiro256PlusPlus::seed_from_u64(mix(key)))
    }

    /// The next number.
    pub fn next_number(&mut self) -> u64 {
        self.0.next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mix_is_splitmix64() {
        // The first outputs of the reference splitmix64.c for the state 1477776061723855037.
        assert_eq!(mix(1477776061723855037), 1985237415132408290);
        assert_eq!(mix(1477776061723855037u64.wrapping_add(0x9E37_79B9_7F4A_7C15)), 2979275885539914483);
    }

    #[test]
    fn steps_and_streams_have_their_own_numbers() {
        let first = |seed, stream, position| StepNumbers::new(seed, stream, position, Purpose::Draw).next_number();
        let base = first(1, 2, 3);
        assert_eq!(base, first(1, 2, 3));
        assert!(base != first(2, 2, 3) && base != first(1, 3, 3) && base != first(1, 2, 4));
    }
}
