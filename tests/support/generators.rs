//! Inputs: rows, masks, biases and configurations, each a function of a seed.
//!
//! Shapes and lengths are chosen for what breaks decoders: ties, blocks without a token, lengths one off every
//! boundary of lanes (16), blocks (64), super-blocks and tiles (1,024), zeros of both signs, subnormals, rows whose
//! differences overflow.

use super::exact::SplitMix64;
use super::filters::{Filters, Whose};
use super::oracle::{Case, Settings};

/// A seeded source of everything random in the tests.
pub struct Source(SplitMix64);

impl Source {
    pub fn new(seed: u64) -> Source {
        Source(SplitMix64(seed ^ 0x5EED_0F7E_5700_0000))
    }

    pub fn bits(&mut self) -> u64 {
        self.0.next()
    }

    /// Uniform in 0..bound.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * 2f64.powi(-53)
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// What a row looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// N(0, 3), as the first step of an untrained or the tail of a trained model.
    Normal,
    /// N(0, 0.05): nearly every token is as likely as any other.
    Flat,
    /// Every logit the same.
    AllEqual,
    /// One token far above a N(0, 1) crowd, and a few near it.
    Peaked,
    /// Log-probabilities falling as a power of the rank, in shuffled order, with noise: what trained models give.
    Zipf,
    /// N(0, 3) rounded to bfloat16: many exact ties.
    Ties,
    /// N(0, 3) with runs and sprinkles of negative infinity.
    Holes,
    /// Zeros of both signs over a negative crowd.
    Zeros,
    /// Multiples of the smallest positive f32, both signs.
    Subnormal,
    /// Values around +-3e38: differences overflow to infinity.
    Huge,
    /// All at negative infinity but one.
    OneLeft,
    /// N(0, 40): most tokens are below the 2^-40 the masses resolve.
    Wide,
}

pub const SHAPES: [Shape; 12] = [
    Shape::Normal,
    Shape::Flat,
    Shape::AllEqual,
    Shape::Peaked,
    Shape::Zipf,
    Shape::Ties,
    Shape::Holes,
    Shape::Zeros,
    Shape::Subnormal,
    Shape::Huge,
    Shape::OneLeft,
    Shape::Wide,
];

/// Vocabulary sizes on every boundary, one off it, and a few real ones.
pub const LENGTHS: [usize; 31] = [
    1, 2, 3, 15, 16, 17, 31, 33, 63, 64, 65, 100, 127, 128, 129, 255, 257, 777, 1023, 1024, 1025, 1087, 1089, 2047,
    2049, 4095, 4096, 4097, 5003, 32_001, 50_257,
];

/// Rounds to bfloat16, ties to even, and widens again.
pub fn round_to_bf16(value: f32) -> f32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + ((bits >> 16) & 1)) & 0xFFFF_0000;
    f32::from_bits(rounded)
}

pub fn row(source: &mut Source, shape: Shape, vocab: usize) -> Vec<f32> {
    let normal = |source: &mut Source, sigma: f64| (source.normal() * sigma) as f32;
    let mut row: Vec<f32> = match shape {
        Shape::Normal | Shape::Holes => (0..vocab).map(|_| normal(source, 3.0)).collect(),
        Shape::Flat => (0..vocab).map(|_| normal(source, 0.05)).collect(),
        Shape::Wide => (0..vocab).map(|_| normal(source, 40.0)).collect(),
        Shape::AllEqual => vec![normal(source, 10.0); vocab],
        Shape::Peaked => (0..vocab).map(|_| normal(source, 1.0)).collect(),
        Shape::Ties => (0..vocab).map(|_| round_to_bf16(normal(source, 3.0))).collect(),
        Shape::Zipf => {
            let mut ranks: Vec<usize> = (1..=vocab).collect();
            for i in (1..vocab).rev() {
                ranks.swap(i, source.below(i + 1));
            }
            let power = 1.0 + source.unit();
            ranks.iter().map(|&r| (20.0 - power * (r as f64).ln() + 0.3 * source.normal()) as f32).collect()
        }
        Shape::Zeros => (0..vocab).map(|_| source.pick(&[0.0, -0.0, -0.0, -1.0, -2.5])).collect(),
        Shape::Subnormal => (0..vocab)
            .map(|_| {
                f32::from_bits(source.below(0x0080_0000) as u32 | if source.chance(0.5) { 0x8000_0000 } else { 0 })
            })
            .collect(),
        Shape::Huge => {
            (0..vocab).map(|_| source.pick(&[3.0e38, -3.0e38, f32::MAX, f32::MIN, 1.0e38, 2.9e38, 0.0])).collect()
        }
        Shape::OneLeft => {
            let mut row = vec![f32::NEG_INFINITY; vocab];
            row[source.below(vocab)] = normal(source, 5.0);
            row
        }
    };
    match shape {
        Shape::Peaked => {
            let peaks = 1 + source.below(4);
            for peak in 0..peaks {
                let at = source.below(vocab);
                row[at] = 15.0 - peak as f32 * source.unit() as f32;
            }
        }
        Shape::Holes => {
            let survivor = source.below(vocab);
            let kept = row[survivor];
            let mut token = 0;
            while token < vocab {
                let run = 1 + source.below(150);
                if source.chance(0.5) {
                    let end = vocab.min(token + run);
                    row[token..end].fill(f32::NEG_INFINITY);
                }
                token += run;
            }
            for value in row.iter_mut() {
                if source.chance(0.1) {
                    *value = f32::NEG_INFINITY;
                }
            }
            row[survivor] = kept;
        }
        _ => {}
    }
    row
}

/// What a bitmask looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskKind {
    /// No mask at all.
    None,
    /// Every bit set, past the end of the vocabulary too.
    All,
    /// Half the bits.
    Random,
    /// One bit in fifty.
    Sparse,
    /// Alternating allowed and disallowed runs.
    Runs,
    /// Ends early; the ids past it are disallowed.
    Short,
    /// Whole blocks of 64 disallowed.
    EmptyBlocks,
    /// One token allowed.
    One,
    /// More words than the vocabulary needs, garbage past its end.
    Long,
}

pub const MASKS: [MaskKind; 9] = [
    MaskKind::None,
    MaskKind::All,
    MaskKind::Random,
    MaskKind::Sparse,
    MaskKind::Runs,
    MaskKind::Short,
    MaskKind::EmptyBlocks,
    MaskKind::One,
    MaskKind::Long,
];

pub fn mask(source: &mut Source, kind: MaskKind, vocab: usize) -> Option<Vec<u32>> {
    let words = vocab.div_ceil(32);
    let mut mask = vec![0u32; words];
    match kind {
        MaskKind::None => return None,
        MaskKind::All => mask.fill(u32::MAX),
        MaskKind::Random => mask.iter_mut().for_each(|word| *word = source.bits() as u32),
        MaskKind::Sparse => {
            for token in 0..vocab {
                if source.chance(0.02) {
                    mask[token >> 5] |= 1 << (token & 31);
                }
            }
        }
        MaskKind::Runs => {
            let mut token = 0;
            while token < vocab {
                let run = 1 + source.below(130);
                if source.chance(0.5) {
                    for allowed in token..vocab.min(token + run) {
                        mask[allowed >> 5] |= 1 << (allowed & 31);
                    }
                }
                token += run;
            }
        }
        MaskKind::Short => {
            mask.truncate(1 + source.below(words));
            mask.iter_mut().for_each(|word| *word = source.bits() as u32 | source.bits() as u32);
        }
        MaskKind::EmptyBlocks => {
            for block in mask.chunks_mut(2) {
                block.fill(if source.chance(0.5) { u32::MAX } else { 0 });
            }
        }
        MaskKind::One => {}
        MaskKind::Long => {
            mask.extend([source.bits() as u32, u32::MAX]);
            mask.iter_mut().for_each(|word| *word = source.bits() as u32 | source.bits() as u32);
        }
    }
    // One token at least, except that a random mask may turn out to exclude what the row has: that is an error to test.
    let allowed = source.below(vocab.min(mask.len() * 32));
    mask[allowed >> 5] |= 1 << (allowed & 31);
    Some(mask)
}

/// A configuration: each filter is off half the time, and takes values at the edges of its range as well as inside.
pub fn settings(source: &mut Source, vocab: usize) -> Settings {
    let half = |source: &mut Source| source.chance(0.5);
    Settings {
        seed: source.bits(),
        stream: source.pick(&[0, 1, 7, u64::MAX]),
        position: source.pick(&[0, 1, 2, 1000, u64::MAX / 3]),
        greedy: source.chance(0.1),
        temperature: match source.below(8) {
            0 => 0.0,
            1 => 1.0,
            2 => 0.05,
            3 => 30.0,
            _ => (0.2 + 1.8 * source.unit()) as f32,
        },
        top_k: if half(source) {
            0
        } else {
            let largest = source.pick(&[1, 2, 8, 40, 64, 300, 5000]);
            1 + source.below(largest) as u32
        },
        top_p: if half(source) { 1.0 } else { source.pick(&[0.05f32, 0.3, 0.5, 0.9, 0.95, 0.99, 0.999_999]) },
        min_p: if half(source) { 0.0 } else { source.pick(&[1e-4f32, 0.01, 0.05, 0.3, 0.9, 1.0]) },
        no_repeat_window: if half(source) { 0 } else { source.below(6) as u32 },
        min_keep: if source.chance(0.75) { 0 } else { source.below(12) as u32 },
        valid_vocab: if source.chance(0.75) { 0 } else { 1 + source.below(vocab) as u32 },
        filters: Filters::default(),
    }
}

/// A whole step: shape, length and mask kind given, the rest drawn.
pub fn case(source: &mut Source, shape: Shape, vocab: usize, kind: MaskKind) -> Case {
    let row = row(source, shape, vocab);
    let mask = mask(source, kind, vocab);
    let mut case = Case { mask, settings: settings(source, vocab), ..Case::new(row) };
    if source.chance(0.4) {
        let mut biased = Vec::new();
        for _ in 0..source.below(20) {
            let token = source.below(vocab) as u32;
            if !biased.contains(&token) {
                biased.push(token);
                let amount = match source.below(10) {
                    0 => f32::NEG_INFINITY,
                    1 => 0.0,
                    _ => (source.normal() * 4.0) as f32,
                };
                case.bias.push((token, amount));
            }
        }
    }
    if source.chance(0.4) {
        case.bans = (0..source.below(10)).map(|_| source.below(vocab) as u32).collect();
    }
    if case.settings.no_repeat_window > 0 {
        case.generated = (0..source.below(10)).map(|_| source.below(vocab) as u32).collect();
    }
    // Now and then a step that must be refused.
    if source.chance(0.03) {
        let token = source.below(vocab);
        case.row[token] = source.pick(&[f32::NAN, f32::INFINITY, -f32::NAN]);
    }
    if source.chance(0.02) && case.bias.is_empty() {
        let token = source.below(vocab);
        case.row[token] = 3.0e38;
        case.bias.push((token as u32, 2.0e38));
    }
    // Poison what takes no part: NaN and +inf there must not be seen.
    if source.chance(0.3) {
        for token in 0..vocab {
            if !case.takes_part(token) && source.chance(0.5) {
                case.row[token] = source.pick(&[f32::NAN, f32::INFINITY, f32::MAX]);
            }
        }
    }
    case
}

/// Some of the filters of a profile, each with a parameter inside or at the edge of its range.
pub fn filters(source: &mut Source, settings: &mut Settings, chance: f64) {
    let whose =
        source.pick(&[Whose::Canon, Whose::Canon, Whose::Canon, Whose::HuggingFace, Whose::LlamaCpp, Whose::Vllm]);
    let mut filters = Filters { whose, ..Filters::default() };
    let known = |profiles: &[Whose]| whose == Whose::Canon || profiles.contains(&whose);
    let (face, llama) = (known(&[Whose::HuggingFace]), known(&[Whose::LlamaCpp]));
    if !face && !llama {
        settings.min_keep = 0;
        settings.temperature = source.pick(&[settings.temperature, settings.temperature, 1e-6, 0.009]);
    }
    if (face || llama) && source.chance(chance) {
        filters.typical_p = source.pick(&[0.0, 0.05, 0.2, 0.5, 0.9, 0.95, 0.999]);
    }
    if face {
        if source.chance(chance) {
            filters.epsilon_cutoff = source.pick(&[1e-6, 3e-4, 0.01, 0.2, 1.0]);
        }
        if source.chance(chance) {
            filters.eta_cutoff = source.pick(&[1e-6, 3e-4, 0.01, 0.2, 1.0]);
        }
        if source.chance(chance) {
            filters.top_h = source.pick(&[0.01, 0.2, 0.4, 0.8, 1.0]);
        }
    }
    if llama {
        if source.chance(chance) {
            filters.top_n_sigma = source.pick(&[0.01, 0.5, 1.0, 2.0, 5.0, 1e30]);
        }
        if source.chance(chance) {
            filters.xtc_probability = source.pick(&[0.5, 1.0]);
            filters.xtc_threshold = source.pick(&[0.0, 1e-6, 0.001, 0.02, 0.1, 0.3, 0.5]);
        }
        if source.chance(0.5 * chance) {
            filters.dynatemp_range = source.pick(&[0.1, 0.5, 2.0]);
            filters.dynatemp_exponent = source.pick(&[0.0, 0.5, 1.0, 3.0]);
        }
        if source.chance(0.3 * chance) {
            filters.mirostat = source.pick(&[1, 2, 2]);
            filters.mirostat_tau = source.pick(&[0.0, 0.5, 2.0, 5.0, 9.0]);
            filters.mirostat_eta = source.pick(&[0.0, 0.1, 1.0]);
        }
        if source.chance(0.4 * chance) {
            filters.adaptive_target = source.pick(&[0.0, 0.05, 0.3, 0.7, 1.0]);
            filters.adaptive_decay = source.pick(&[0.0, 0.5, 0.9, 0.99]);
        }
    }
    if whose == Whose::Canon {
        if source.chance(chance) {
            filters.top_a = source.pick(&[1e-5, 0.01, 0.2, 1.0]);
        }
        if source.chance(chance) {
            filters.tfs_z = source.pick(&[0.0, 0.3, 0.9, 0.95, 0.999]);
        }
        filters.keep_ties = source.chance(0.3);
    }
    settings.filters = filters;
}
