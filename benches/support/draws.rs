//! What single draws cost: a draw from a whole row proposes tokens until one is accepted, so that its work depends on its
//! random numbers.
//!
//! The blocks that a draw evaluates are counted by replaying it from its definition (`src/selection/envelope.rs`) with the
//! same random numbers and the library's kernels. A count only stands if the replay ends at the token that the decoder
//! picks at the same position.

use super::measure::{Statistics, nanoseconds};
use argpick::kernels::{Cut, RowView, Scale};
use argpick::numeric::{exponent_scale, fixed_probability, scale_number};
use argpick::rng::{Purpose, StepNumbers};
use argpick::{BLOCK, Config, Decoder, Error, Kernels, Level, Row, TokenId};
use std::hint::black_box;
use std::time::Instant;

/// How often each draw is timed; the fastest counts, so that noise does not pass for a slow draw.
const REPEATS: usize = 7;

/// Draws at positions 0, 1, 2, ...
#[derive(Clone, Debug)]
pub struct Draws {
    /// Draws timed.
    pub draws: usize,
    /// Blocks of the row.
    pub blocks: usize,
    /// Blocks evaluated, on average.
    pub mean_evaluated: f64,
    /// Most blocks evaluated by one draw.
    pub most_evaluated: usize,
    /// The draws whose evaluations include every block that can weigh anything: the cut of a nucleus, or eight rounds without
    /// an accepted proposal.
    pub whole_rows: usize,
    /// Of each draw the fastest of a few calls.
    pub time: Statistics,
    /// The slowest draw.
    pub worst: u64,
}

impl Draws {
    /// Times and counts draws from an f32 row by a configuration without filters, or with top-p alone.
    pub fn new(logits: &[f32], config: &Config, level: Level, draws: usize) -> Result<Draws, String> {
        let fail = |error: Error| error.to_string();
        let kernels = Kernels::new(level).map_err(fail)?;
        let mut decoder = Decoder::new_with_kernels(config, logits.len(), kernels).map_err(fail)?;
        let replay = Replay::new(logits, config, kernels);
        let (mut times, mut counts, mut whole_rows) = (Vec::new(), Vec::new(), 0);
        for position in 0..draws.max(1) as u64 {
            let mut least = u64::MAX;
            let mut token = 0;
            for _ in 0..REPEATS {
                decoder.seek(position);
                let begun = Instant::now();
                let pick = black_box(decoder.evaluate(black_box(logits), None).map_err(fail)?);
                least = least.min(nanoseconds(begun.elapsed()));
                token = pick.token;
            }
            let replayed = replay.draw(position);
            if replayed.token.is_some_and(|replayed| replayed != token) {
                return Err(format!("the replay of draw {position} ends at {:?}, not at {token}", replayed.token));
            }
            whole_rows += usize::from(replayed.whole_row);
            times.push(least);
            counts.push(replayed.evaluated);
        }
        Ok(Draws {
            draws: counts.len(),
            blocks: logits.len().div_ceil(BLOCK),
            mean_evaluated: counts.iter().sum::<usize>() as f64 / counts.len() as f64,
            most_evaluated: counts.iter().copied().max().unwrap_or(0),
            whole_rows,
            worst: times.iter().copied().max().unwrap_or(0),
            time: Statistics::of(times),
        })
    }
}

/// How a replayed draw ended.
struct Replayed {
    /// The token; `None` where the replay stops before the end (a cut, or draw (a)).
    token: Option<TokenId>,
    evaluated: usize,
    whole_row: bool,
}

/// What draws from one row share.
struct Replay<'a> {
    view: RowView<'a>,
    kernels: Kernels,
    config: Config,
    scale: Scale,
    maxima: Vec<f32>,
    argmax: TokenId,
}

impl<'a> Replay<'a> {
    fn new(logits: &'a [f32], config: &Config, kernels: Kernels) -> Replay<'a> {
        let view =
            RowView { source: Row::F32(logits).into(), words: None, valid: logits.len(), overrides: &[], band: None };
        let mut maxima = vec![f32::NEG_INFINITY; logits.len().div_ceil(BLOCK).next_multiple_of(16)];
        let maximum = kernels.block_maxima(&view, &mut maxima).maximum;
        let argmax = kernels.find_equal(logits, maximum).unwrap_or(0) as TokenId;
        let scale = Scale { maximum, scale: exponent_scale(config.temperature) };
        Replay { view, kernels, config: config.clone(), scale, maxima, argmax }
    }

    /// Blocks whose maximum reaches a logit.
    fn reaching(&self, logit: f32) -> usize {
        self.maxima.iter().filter(|&&maximum| maximum >= logit && maximum > f32::NEG_INFINITY).count()
    }

    fn draw(&self, position: u64) -> Replayed {
        let Replay { view, kernels, config, scale, maxima, .. } = self;
        let mut numbers = StepNumbers::new(config.seed, config.stream, position, Purpose::Draw);
        let mut bounds = vec![0; maxima.len()];
        let first_total = kernels.block_bounds(maxima, *scale, &mut bounds);
        let mut total = first_total;
        let mut evaluated = 0;
        let mut masses = [0; BLOCK];
        let mut evaluate = |block: usize| {
            evaluated += 1;
            let mass = kernels.block_masses(view, block, *scale, Cut::ALL, &mut masses);
            (mass, masses)
        };
        for (block, bound) in bounds.iter_mut().enumerate().filter(|(_, bound)| **bound > first_total / 256) {
            let (mass, _) = evaluate(block);
            total -= *bound - mass;
            *bound = mass;
        }
        for _ in 0..8 {
            let mut touched = [(0, 0); 32];
            for slot in &mut touched {
                let at = scale_number(numbers.next_number(), total);
                let (block, left) = walk(&bounds, at).unwrap_or((0, 0));
                let (mass, masses) = evaluate(block);
                if let Some((lane, _)) = walk(&masses, left) {
                    let token = (block * BLOCK + lane) as TokenId;
                    let (inside, blocks) = self.is_in_nucleus(token, masses[lane], &bounds, total);
                    let whole_row = !inside;
                    let token = inside.then_some(token);
                    return Replayed { token, evaluated: evaluated + blocks, whole_row };
                }
                *slot = (block, mass);
            }
            for (block, mass) in touched {
                total -= bounds[block] - mass;
                bounds[block] = mass;
            }
        }
        Replayed { token: None, evaluated: evaluated + self.reaching(f32::MIN), whole_row: true }
    }

    /// Whether a proposed token is kept, and how many blocks that took to find out. A proposal outside the nucleus makes the
    /// decoder find the cut, in the same pass over the whole row that makes sure of it.
    fn is_in_nucleus(&self, token: TokenId, own: u64, bounds: &[u64], total: u64) -> (bool, usize) {
        let Replay { view, kernels, scale, maxima, config, .. } = self;
        if config.top_p >= 1.0 || token == self.argmax {
            return (true, 0);
        }
        let p = fixed_probability(config.top_p);
        let below = |before: u64, whole: u64| (u128::from(before) << 32) < u128::from(p) * u128::from(whole);
        let upto = Cut { logit: view.logit(token), token };
        let few = self.reaching(f32::MIN) / 4;
        let mut evaluated = 0;
        if self.reaching(upto.logit) <= few {
            let (kept, loaded) = kernels.kept_and_total_mass(view, maxima, upto.logit, *scale, upto);
            evaluated += self.reaching(upto.logit);
            let others = bounds.iter().zip(maxima).filter(|(_, maximum)| **maximum < upto.logit);
            let others: u64 = others.map(|(&bound, _)| (bound >> 6).saturating_sub((bound >> 24) + 2)).sum();
            if below(kept - own, loaded + others) {
                return (true, evaluated);
            }
        }
        for exponent in [-8.0, -12.0, -16.0, -20.0, -24.0, -28.0] {
            let least = scale.maximum + exponent / scale.scale;
            let rest = kernels.bounds_below(maxima, least, bounds);
            if rest > total >> 6 {
                continue;
            }
            if self.reaching(least) > few {
                break;
            }
            evaluated += self.reaching(least);
            let (kept, whole) = kernels.kept_and_total_mass(view, maxima, least, *scale, upto);
            let before = if maxima[token as usize / BLOCK] >= least { kept - own } else { kept };
            if below(before + rest, whole) {
                return (true, evaluated);
            }
            if !below(before, whole + rest) {
                break;
            }
        }
        evaluated += self.reaching(f32::MIN);
        let (kept, whole) = kernels.kept_and_total_mass(view, maxima, f32::MIN, *scale, upto);
        (below(kept - own, whole), evaluated)
    }
}

/// Where the running sum passes `at`, and how far into that entry.
fn walk(entries: &[u64], mut at: u64) -> Option<(usize, u64)> {
    for (index, &entry) in entries.iter().enumerate() {
        if at < entry {
            return Some((index, at));
        }
        at -= entry;
    }
    None
}
