//! Rows of logits by an exact recipe: integers, shifts and bit patterns, so that every target makes the same rows.

use argpick::{Dtype, Row, types::TokenId};
use half::{bf16, f16};

/// The longest row: more blocks of 64 than a draw replaces bounds, more tokens than a short list holds, and odd.
pub const LONGEST: usize = 20_011;

/// What the logits of a row look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// -8 to 8, all equally likely.
    Uniform,
    /// About normal with deviation 3: a sum of twelve integers.
    Normal,
    /// Multiples of 1/2 from -2 to 2: many ties.
    Ties,
    /// All equal.
    Equal,
    /// 0.0 and -0.0, and a few -1.
    Zeros,
    /// Subnormal numbers of both signs, and zeros.
    Subnormal,
    /// Finite numbers of any exponent and either sign, the greatest and the smallest among them.
    Extreme,
    /// Seven of eight tokens masked.
    Sparse,
    /// All but one masked.
    One,
    /// One logit 30 above the rest.
    Peaked,
    /// From -8 up, one step of 1/32 after the other.
    Ascending,
    /// The same downwards.
    Descending,
    /// Flat but for small noise: no bound tells the blocks apart.
    Flat,
    /// A NaN in the middle.
    NotANumber,
    /// +inf in the last place.
    Infinite,
    /// Everything masked.
    Masked,
}

/// A row of the corpus.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// The number of logits.
    pub vocab: usize,
    /// What they look like.
    pub shape: Shape,
}

const fn row(vocab: usize, shape: Shape) -> Recipe {
    Recipe { vocab, shape }
}

/// Rows that every configuration decodes. Lengths stand on and beside the boundaries of lanes (16), blocks (64), tiles
/// (1,024).
pub static ROWS: &[Recipe] = &[
    row(1, Shape::Uniform),
    row(2, Shape::Ties),
    row(15, Shape::Uniform),
    row(16, Shape::Ties),
    row(17, Shape::Normal),
    row(63, Shape::Uniform),
    row(64, Shape::Equal),
    row(65, Shape::Descending),
    row(127, Shape::Zeros),
    row(129, Shape::Subnormal),
    row(333, Shape::Extreme),
    row(515, Shape::Sparse),
    row(77, Shape::One),
    row(191, Shape::NotANumber),
    row(193, Shape::Infinite),
    row(70, Shape::Masked),
    row(509, Shape::Peaked),
    row(1000, Shape::Normal),
    row(1023, Shape::Ties),
    row(1025, Shape::Flat),
    row(1101, Shape::Ascending),
];

/// Rows that every configuration decodes once: they cost the most.
pub static LONG_ROWS: &[Recipe] = &[row(5003, Shape::Ties), row(LONGEST, Shape::Normal), row(8192, Shape::Flat)];

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Source(pub u64);

impl Source {
    /// The next number.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u32) -> u32 {
        (((self.next_number() >> 32) * u64::from(limit)) >> 32) as u32
    }
}

/// `numerator * 2^-shift` for a numerator below 2^24: the conversion and the product are exact, whatever the rounding.
fn dyadic(numerator: i32, shift: u32) -> f32 {
    numerator as f32 * f32::from_bits((127 - shift) << 23)
}

/// One logit.
fn logit(shape: Shape, token: usize, vocab: usize, source: &mut Source) -> f32 {
    let random = source.next_number();
    let uniform = dyadic((random >> 40) as i32 - (1 << 23), 20);
    match shape {
        Shape::Uniform => uniform,
        Shape::Normal => {
            // The sum of twelve numbers below 2^10 has the deviation 2^10.
            let sum: u32 = (0..12).map(|_| source.below(1 << 10)).sum();
            dyadic(3 * (sum as i32 - 6 * (1 << 10)), 10)
        }
        Shape::Ties => dyadic((random >> 61) as i32 - 4, 1),
        Shape::Equal => 1.5,
        Shape::Zeros if token % 31 == 5 => -1.0,
        Shape::Zeros => f32::from_bits((random as u32) & 0x8000_0000),
        Shape::Subnormal if token.is_multiple_of(13) => 0.0,
        Shape::Subnormal => f32::from_bits((random as u32) & 0x807f_ffff),
        Shape::Extreme => match token % 37 {
            3 => f32::MAX,
            5 => f32::MIN,
            7 => f32::MIN_POSITIVE,
            11 => f32::from_bits(1),
            13 => f32::NEG_INFINITY,
            _ if random as u32 & 0x7f80_0000 == 0x7f80_0000 => -0.0,
            _ => f32::from_bits(random as u32),
        },
        Shape::Sparse if !token.is_multiple_of(8) => f32::NEG_INFINITY,
        Shape::Sparse => uniform,
        Shape::One if token != vocab / 2 => f32::NEG_INFINITY,
        Shape::One => -3.25,
        Shape::Peaked if token == vocab / 3 => 30.0,
        Shape::Peaked => dyadic((random >> 48) as i32 - (1 << 15), 13),
        Shape::Ascending => dyadic(token as i32 - 256, 5),
        Shape::Descending => dyadic(-(token as i32), 5),
        Shape::Flat => dyadic((random >> 54) as i32, 14),
        Shape::NotANumber if token == vocab / 2 => f32::NAN,
        Shape::Infinite if token == vocab - 1 => f32::INFINITY,
        Shape::NotANumber | Shape::Infinite => uniform,
        Shape::Masked => f32::NEG_INFINITY,
    }
}

/// The logits of a recipe; `salt` makes another row of the same shape.
pub fn fill(recipe: Recipe, salt: u64, row: &mut [f32]) {
    let mut source = Source(recipe.vocab as u64 * 64 + recipe.shape as u64 + (salt << 40));
    for (token, to) in row.iter_mut().enumerate() {
        *to = logit(recipe.shape, token, recipe.vocab, &mut source);
    }
}

/// The bits of a logit cut off to binary16: no rounding, no arithmetic. Too large a number becomes the greatest.
fn half_bits(logit: f32) -> u16 {
    let bits = logit.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    let exponent = (magnitude >> 23) as i32 - 127 + 15;
    let mantissa = magnitude & 0x007f_ffff;
    let cut = match (magnitude, exponent) {
        (0x7f80_0001.., _) => 0x7e00,
        (0x7f80_0000, _) => 0x7c00,
        (_, 31..) => 0x7bff,
        (_, 1..) => (exponent as u32) << 10 | mantissa >> 13,
        (_, -10..) => (mantissa | 0x0080_0000) >> (14 - exponent) as u32,
        _ => 0,
    };
    sign | cut as u16
}

/// The row in an element type; what an f16 or bf16 cannot hold is cut off. `halves` is memory for it.
pub fn narrow<'a>(row: &'a [f32], dtype: Dtype, halves: &'a mut [u16]) -> Row<'a> {
    let halves = &mut halves[..row.len()];
    match dtype {
        Dtype::F32 => return Row::F32(row),
        Dtype::F16 => halves.iter_mut().zip(row).for_each(|(to, from)| *to = half_bits(*from)),
        Dtype::Bf16 => halves.iter_mut().zip(row).for_each(|(to, from)| *to = (from.to_bits() >> 16) as u16),
    }
    match dtype {
        Dtype::F16 => Row::F16(bytemuck::cast_slice::<u16, f16>(halves)),
        _ => Row::Bf16(bytemuck::cast_slice::<u16, bf16>(halves)),
    }
}

/// A bitmask: `none` of its words is zero for number 0; number 1 allows runs of words, and ends early.
pub fn mask(number: u32, vocab: usize, words: &mut [u32]) -> &[u32] {
    let len = vocab.div_ceil(32);
    let len = if number == 1 && len > 4 { len - 1 } else { len };
    let mut source = Source(0x6d61_736b + u64::from(number));
    for (i, word) in words[..len].iter_mut().enumerate() {
        let random = (source.next_number() >> 32) as u32;
        *word = match (number, i / 4 % 2) {
            (0, _) => random | 1,
            (_, 1) => 0,
            _ => random | source.next_number() as u32,
        };
    }
    &words[..len]
}

/// A history with repeats: tokens below `vocab`, a third of them one of three.
pub fn history(vocab: usize, tokens: &mut [TokenId]) {
    let mut source = Source(0x6869_7374);
    for i in 0..tokens.len() {
        let fresh = source.below(vocab as u32);
        // From the twentieth on the beginning comes again, so that n-grams repeat.
        tokens[i] = if i >= 20 {
            tokens[i - 20]
        } else if i % 3 == 0 {
            fresh % 3 % vocab as u32
        } else {
            fresh
        };
    }
}
