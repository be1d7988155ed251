//! The judge of bits: the integer rules, the counter random numbers and both draws, in plain scalar code.
//!
//! Written from the text of the rules alone. One thing cannot be had independently: the last bit of the polynomial
//! that gives 2^t. The weight function is therefore an argument. With the library's public scalar definition every
//! token and every kept count must be *equal*, not close; that definition itself is held to the written error bound
//! against f64 in `tests/oracle.rs`.

use super::oracle::{Adjusted, Case, Refusal, total_order};

/// 2^t for t in [-126, 0] as f32 (0 where t < -40).
pub type Weight = fn(f32) -> f32;

/// The finaliser of SplitMix64 of `x` plus the golden gamma: the first output of that generator seeded with `x`.
pub fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// SplitMix64 (Steele, Lea, Flood 2014), as published.
pub struct SplitMix64(pub u64);

impl SplitMix64 {
    pub fn next(&mut self) -> u64 {
        let output = mix(self.0);
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        output
    }
}

/// xoshiro256++ 1.0 (Blackman, Vigna), as published.
pub struct Xoshiro256PlusPlus(pub [u64; 4]);

impl Xoshiro256PlusPlus {
    /// The state is four numbers of SplitMix64.
    pub fn seeded(seed: u64) -> Self {
        let mut fill = SplitMix64(seed);
        Xoshiro256PlusPlus([fill.next(), fill.next(), fill.next(), fill.next()])
    }

    pub fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let output = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        output
    }
}

/// The numbers of one step: a function of seed, stream, position and purpose alone.
pub fn numbers(seed: u64, stream: u64, position: u64, purpose: u64) -> Xoshiro256PlusPlus {
    let key = mix(mix(mix(seed).wrapping_add(stream)).wrapping_add(position)).wrapping_add(purpose);
    Xoshiro256PlusPlus::seeded(mix(key))
}

/// log2(e) / T divided in f64, rounded once, clamped.
pub fn exponent_scale(temperature: f32) -> f32 {
    let scale = (std::f64::consts::LOG2_E / f64::from(temperature)) as f32;
    scale.clamp(2f32.powi(-60), 2f32.powi(60))
}

/// `max(d * s, -126)` in f32.
fn exponent(logit: f32, max: f32, scale: f32) -> f32 {
    let t = (logit - max) * scale;
    if t < -126.0 { -126.0 } else { t }
}

/// trunc(w * 2^bits), exact: an f32 times a power of two is an f64.
fn fixed(weight: f32, bits: i32) -> u64 {
    (f64::from(weight) * 2f64.powi(bits)) as u64
}

/// The integer mass of a logit.
pub fn mass(logit: f32, max: f32, scale: f32, weight: Weight) -> u64 {
    fixed(weight(exponent(logit, max, scale)), 40)
}

/// How a token was drawn, so that tests can tell that every path has been walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    Greedy,
    /// Draw (a): inverse CDF over the kept masses.
    InverseCdf,
    /// Draw (b), accepted at this proposal (0-based, over all rounds).
    Envelope {
        proposal: usize,
    },
    /// Draw (b), no winner in eight rounds, then draw (a).
    Exhausted,
}

/// What the integer rules say about a step.
#[derive(Clone, Debug)]
pub struct Exact {
    pub token: u32,
    pub argmax: u32,
    pub rank: u32,
    pub kept: u32,
    pub path: Path,
    /// Mass of the picked token, of the kept tokens, of all tokens taking part.
    pub mass: u64,
    pub kept_mass: u64,
    pub total_mass: u64,
}

pub const BLOCK: usize = 64;
pub const ROUNDS: usize = 8;
pub const PROPOSALS: usize = 32;

/// One step by the integer rules.
pub fn step(case: &Case, weight: Weight) -> Result<Exact, Refusal> {
    let settings = &case.settings;
    Ok(Prepared::new(case, weight)?.draw(settings.seed, settings.stream, settings.position))
}

/// Everything about a step that does not depend on its random numbers, so that many draws cost little more than one.
pub struct Prepared {
    greedy: bool,
    by_inverse_cdf: bool,
    order: Vec<u32>,
    masses: Vec<u64>,
    bounds: Vec<u64>,
    is_kept: Vec<bool>,
    kept: usize,
}

impl Prepared {
    pub fn new(case: &Case, weight: Weight) -> Result<Prepared, Refusal> {
        let Adjusted { logits, .. } = case.adjust()?;
        let settings = &case.settings;
        let greedy = settings.is_greedy();
        let order = total_order(&logits);
        let max = logits[order[0] as usize];
        let scale = exponent_scale(settings.metric_temperature());
        let masses: Vec<u64> = logits
            .iter()
            .map(|&z| if z == f32::NEG_INFINITY { 0 } else { fixed(weight(exponent(z, max, scale)), 40) })
            .collect();
        let kept = if greedy { 1 } else { kept_count(case, &logits, &order, &masses) };
        let mut is_kept = vec![false; logits.len()];
        for &token in &order[..kept] {
            is_kept[token as usize] = true;
        }
        let by_inverse_cdf = settings.top_k_active(case.row.len()) || settings.min_p > 0.0;
        let bounds = block_bounds(&logits, max, scale, weight);
        Ok(Prepared { greedy, by_inverse_cdf, order, masses, bounds, is_kept, kept })
    }

    /// The mass of each token, 0 where it is not kept; in greedy mode only the argmax is.
    pub fn kept_masses(&self) -> Vec<u64> {
        self.masses.iter().zip(&self.is_kept).map(|(&mass, &kept)| if kept { mass } else { 0 }).collect()
    }

    /// The draw of one position.
    pub fn draw(&self, seed: u64, stream: u64, position: u64) -> Exact {
        let mut generator = numbers(seed, stream, position, 0);
        let (token, path) = if self.greedy {
            (self.order[0], Path::Greedy)
        } else if self.by_inverse_cdf {
            (inverse_cdf(&self.masses, &self.is_kept, generator.next()), Path::InverseCdf)
        } else {
            envelope(self.bounds.clone(), &self.masses, &self.masses, &self.is_kept, &mut generator)
        };
        let rank = self.order.iter().position(|&t| t == token).expect("a kept token is in the order") as u32;
        Exact {
            token,
            argmax: self.order[0],
            rank,
            kept: self.kept as u32,
            path,
            mass: self.masses[token as usize],
            kept_mass: self.order[..self.kept].iter().map(|&t| self.masses[t as usize]).sum(),
            total_mass: self.masses.iter().sum(),
        }
    }
}

fn kept_count(case: &Case, logits: &[f32], order: &[u32], masses: &[u64]) -> usize {
    let settings = &case.settings;
    let mut kept = order.len();
    if settings.top_k_active(case.row.len()) {
        kept = kept.min((settings.top_k as usize).max(settings.floor()));
    }
    if settings.top_p < 1.0 {
        let share = (f64::from(settings.top_p) * 2f64.powi(32)).round() as u128;
        let total: u128 = order[..kept].iter().map(|&t| u128::from(masses[t as usize])).sum();
        let mut mass = 0u128;
        let mut prefix = 0;
        while prefix < kept && (mass << 32) < share * total {
            mass += u128::from(masses[order[prefix] as usize]);
            prefix += 1;
        }
        kept = prefix.max(settings.floor()).min(kept);
    }
    if settings.min_p > 0.0 {
        let max = logits[order[0] as usize];
        let offset = f64::from(settings.metric_temperature()) * f64::from(settings.min_p).ln();
        let threshold = (f64::from(max) + offset) as f32;
        let above = order[..kept].iter().take_while(|&&t| logits[t as usize] >= threshold).count();
        kept = above.max(settings.floor()).min(kept);
    }
    kept
}

/// Draw (a): ascending token id, `r = (x * total) >> 64`.
fn inverse_cdf(masses: &[u64], is_kept: &[bool], x: u64) -> u32 {
    let kept = || (0..masses.len()).filter(|&t| is_kept[t]);
    let total: u64 = kept().map(|t| masses[t]).sum();
    let mut rest = scaled(x, total);
    for token in kept() {
        if rest < masses[token] {
            return token as u32;
        }
        rest -= masses[token];
    }
    unreachable!("r is below the total")
}

fn scaled(x: u64, total: u64) -> u64 {
    ((u128::from(x) * u128::from(total)) >> 64) as u64
}

/// The bound of each block of 64 tokens.
fn block_bounds(logits: &[f32], max: f32, scale: f32, weight: Weight) -> Vec<u64> {
    let block_max = |block: &[f32]| block.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.chunks(BLOCK).map(|block| block_bound(block_max(block), max, scale, weight)).collect()
}

/// 64 weights of a block's largest logit, with slack; 0 for a masked block or one below 2^-40.
pub fn block_bound(block_max: f32, max: f32, scale: f32, weight: Weight) -> u64 {
    let t = exponent(block_max, max, scale);
    if block_max == f32::NEG_INFINITY || t < -40.0 {
        return 0;
    }
    let e = fixed(weight(t), 46);
    e + (e >> 18) + 64
}

/// The draw from a kept set that was judged already: `kept` by token, at the temperature of the draw. Proposals of draw (b) are
/// by the masses of the whole row, draw (a) by masses relative to the first token kept.
pub fn draw_from(case: &Case, logits: &[f32], kept: &[bool], temperature: f32, inverse: bool, weight: Weight) -> u32 {
    let scale = exponent_scale(temperature);
    let masses = |among: &dyn Fn(usize) -> bool| -> Vec<u64> {
        let max = (0..logits.len()).filter(|&t| among(t)).map(|t| logits[t]).fold(f32::NEG_INFINITY, f32::max);
        let each =
            |t: usize| if among(t) && logits[t] > f32::NEG_INFINITY { mass(logits[t], max, scale, weight) } else { 0 };
        (0..logits.len()).map(each).collect()
    };
    let of_kept = masses(&|t| kept[t]);
    let mut generator = numbers(case.settings.seed, case.settings.stream, case.settings.position, 0);
    if inverse {
        return inverse_cdf(&of_kept, kept, generator.next());
    }
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let bounds = block_bounds(logits, max, scale, weight);
    envelope(bounds, &masses(&|_| true), &of_kept, kept, &mut generator).0
}

/// Adaptive-p's draw: kept tokens by their probability's distance from the target.
pub fn draw_adaptive(case: &Case, logits: &[f32], kept: &[bool], temperature: f32, target: f64, weight: Weight) -> u32 {
    let scale = exponent_scale(temperature);
    let all = || (0..logits.len()).filter(|&t| kept[t]);
    let max = all().map(|t| logits[t]).fold(f32::NEG_INFINITY, f32::max);
    let total: u64 = all().map(|t| mass(logits[t], max, scale, weight)).sum();
    let shaped = |t: usize| {
        let p = mass(logits[t], max, scale, weight) as f64 / total as f64;
        let d = (p - target).abs() / 0.3;
        -10.0 * d * d / (1.0 + d)
    };
    let best = all().map(shaped).fold(f64::NEG_INFINITY, f64::max);
    let each = |t: usize| {
        if kept[t] { fixed(weight(((shaped(t) - best) * std::f64::consts::LOG2_E) as f32), 40) } else { 0 }
    };
    let masses: Vec<u64> = (0..logits.len()).map(each).collect();
    let x = numbers(case.settings.seed, case.settings.stream, case.settings.position, 0).next();
    inverse_cdf(&masses, kept, x)
}

/// Draw (b): block-envelope rejection; what it does not decide is drawn from `rest`.
fn envelope(
    mut bounds: Vec<u64>,
    masses: &[u64],
    rest: &[u64],
    is_kept: &[bool],
    generator: &mut Xoshiro256PlusPlus,
) -> (u32, Path) {
    let block_mass = |block: usize| masses[block * BLOCK..masses.len().min((block + 1) * BLOCK)].iter().sum::<u64>();
    let sum: u64 = bounds.iter().sum();
    let mut exact_at_first = 0;
    for (block, bound) in bounds.iter_mut().enumerate() {
        if *bound > sum / 256 {
            *bound = block_mass(block);
            exact_at_first += 1;
        }
    }
    assert!(exact_at_first <= 255, "at most 255 blocks can exceed a 256th of the sum");
    for round in 0..ROUNDS {
        let sum: u64 = bounds.iter().sum();
        let mut touched = Vec::new();
        for proposal in 0..PROPOSALS {
            let mut rest = scaled(generator.next(), sum);
            let mut block = 0;
            while rest >= bounds[block] {
                rest -= bounds[block];
                block += 1;
            }
            touched.push(block);
            for token in block * BLOCK..masses.len().min((block + 1) * BLOCK) {
                if rest < masses[token] {
                    if is_kept[token] {
                        return (token as u32, Path::Envelope { proposal: round * PROPOSALS + proposal });
                    }
                    break;
                }
                rest -= masses[token];
            }
        }
        for block in touched {
            bounds[block] = block_mass(block);
        }
    }
    (inverse_cdf(rest, is_kept, generator.next()), Path::Exhausted)
}
