//! The radius of the kept set, from what each stage kept.

use super::mean::Logits;
use super::{
    LOGIT_ROUNDING, Part, ROUNDING, at_least_zero, gap, greater, largest, lesser, radius_to_leave, radius_to_reach,
};
use crate::distribution::{Truncation, cut};
use crate::kernels::{Band, Cut, RowView, distance_key};
use crate::logits::Surface;
use crate::numeric::{MASS_BITS, exponential, exponential2, natural_logarithm, square_root};
use crate::plan::{MAX_STAGES, Mirostat, Stage};

/// The mass of a token at the maximum.
const ONE: f64 = (1u64 << MASS_BITS) as f64;

/// The mass of the tokens that a cut keeps.
pub(super) fn mass_of(surface: &Surface<'_>, cut: Cut) -> u64 {
    surface.kernels.kept_and_total_mass(&surface.view, surface.maxima, cut.logit, surface.scale, cut).0
}

/// A stage that has run.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub stage: Stage,
    pub before: Truncation<'a>,
    /// The run of the order that it left.
    pub after: Band,
    /// How many tokens it got, and how many it left.
    pub counts: (usize, usize),
    pub min_keep: usize,
    /// The lowest logit that it keeps, where it has one.
    pub threshold: Option<f32>,
    /// What the stage itself says about its count, while it has its tokens in a sorted list.
    pub own: f64,
    /// Mirostat's limit of surprise, in bits.
    pub surprise: f32,
}

/// The stages of a step, in their order.
pub(crate) type Records<'a> = [Option<Record<'a>>; MAX_STAGES];

/// The place in the order after the last of some tokens.
#[derive(Clone, Copy)]
pub(super) struct Edge {
    pub count: usize,
    pub cut: Cut,
    /// The logit of the last of them.
    last: f64,
    /// The logit after it; -inf if there is none.
    next: f64,
}

/// The radius within which the stages keep the same tokens. `records` are in their order.
pub(in crate::distribution) fn radius_of_kept(records: &Records<'_>) -> f64 {
    let mut radius = f64::INFINITY;
    let mut first = 0;
    let count = records.iter().flatten().count();
    let at = |i: usize| records.get(i).and_then(Option::as_ref);
    // Typical and XTC may remove tokens from the front: between them lie runs of filters that keep a prefix.
    for i in 0..count {
        let Some(record) = at(i) else { break };
        let own = match record.stage {
            Stage::Typical(p) => record.typical(p as f64 / 4_294_967_296.0),
            Stage::Xtc { threshold, .. } => record.xtc(threshold.into()),
            _ => continue,
        };
        let own = if record.before.has_loose_temperature { 0.0 } else { own };
        radius = lesser(radius, lesser(own, radius_of_prefix(&records[first..i])));
        first = i + 1;
    }
    lesser(radius, radius_of_prefix(&records[first..count]))
}

/// The same of filters that each keep a prefix of what the first of them got.
fn radius_of_prefix(records: &[Option<Record<'_>>]) -> f64 {
    let Some(run) = Run::new(records) else { return f64::INFINITY };
    let edge = run.edge_at(run.kept);
    lesser(run.holds(&edge), run.closes(&edge))
}

/// Filters that each keep a prefix of what the first of them got.
pub(super) struct Run<'r, 'a> {
    records: &'r [Option<Record<'a>>],
    surface: &'r Surface<'a>,
    /// Tokens that the first of them got, and that the last of them left.
    pub available: usize,
    pub kept: usize,
    /// The radius within which each of them gets as many tokens as it got.
    steady: [f64; MAX_STAGES],
}

impl<'r, 'a> Run<'r, 'a> {
    /// `None` if there is no filter.
    pub fn new(records: &'r [Option<Record<'a>>]) -> Option<Self> {
        let mut all = records.iter().flatten();
        let (first, last) = (all.clone().next()?, all.clone().last()?);
        let (available, kept) = (first.counts.0, last.counts.1);
        let surface = &first.before.surface;
        let mut run = Run { records, surface, available, kept, steady: [f64::INFINITY; MAX_STAGES] };
        let mut steady = f64::INFINITY;
        for (i, record) in all.by_ref().enumerate() {
            run.steady[i] = steady;
            if i + 1 == records.len() {
                break;
            }
            let (got, left) = record.counts;
            let edge = run.edge_at(left);
            let own = run.holds_at(i, record, &edge);
            steady = lesser(steady, if got > left { lesser(own, record.let_in(&edge)) } else { own });
        }
        Some(run)
    }

    /// The edge after the first `count` tokens.
    pub fn edge_at(&self, count: usize) -> Edge {
        let token = |n: usize| cut::nth_token(self.surface, n as u64);
        let cut = if count == 0 { Cut::at_least(f32::MAX) } else { token(count) };
        let last = if count == 0 { f64::INFINITY } else { f64::from(cut.logit) };
        let next = if count < self.available { f64::from(token(count + 1).logit) } else { f64::NEG_INFINITY };
        Edge { count, cut, last, next }
    }

    /// Within this what a filter says holds: most of them measure what they get.
    fn limit(&self, i: usize, record: &Record<'_>) -> f64 {
        match record.stage {
            Stage::Argmax | Stage::TopK { .. } | Stage::MinP(_) => f64::INFINITY,
            _ => self.steady[i],
        }
    }

    /// The radius within which no token after the edge passes one before it.
    fn order(edge: &Edge) -> f64 {
        if edge.next > f64::NEG_INFINITY { 0.5 * gap(edge.last, edge.next) } else { f64::INFINITY }
    }

    /// The radius within which every token before the edge, which is no wider than what is kept, stays kept: every filter
    /// keeps the last of them.
    pub fn holds(&self, edge: &Edge) -> f64 {
        let all = self.records.iter().flatten().enumerate();
        all.map(|(i, record)| self.holds_at(i, record, edge)).fold(Self::order(edge), lesser)
    }

    /// The radius within which one filter keeps the last token before the edge.
    fn holds_at(&self, i: usize, record: &Record<'_>, edge: &Edge) -> f64 {
        if record.always_keeps(edge.count) {
            return f64::INFINITY;
        }
        lesser(self.limit(i, record), record.put_out(edge))
    }

    /// The radius within which no token after the edge, which is no narrower than what is kept, comes in: some filter keeps
    /// the next one out.
    pub fn closes(&self, edge: &Edge) -> f64 {
        if edge.count == self.available {
            return f64::INFINITY;
        }
        let mut closed = 0.0;
        for (i, record) in self.records.iter().flatten().enumerate() {
            let (got, left) = record.counts;
            // Top-k and min-p say of any token whether they let it in; the others only of those that they got.
            let says = match record.stage {
                Stage::Argmax => true,
                // With fewer than `min_keep` it lets in whatever it gets.
                Stage::MinP(_) => edge.count >= record.min_keep,
                Stage::TopK { k, .. } => k <= edge.count,
                _ => got > edge.count,
            };
            if left <= edge.count && says {
                closed = greater(closed, lesser(self.limit(i, record), record.let_in(edge)));
            }
        }
        lesser(Self::order(edge), closed)
    }
}

impl<'a> Record<'a> {
    fn temperature(&self) -> f32 {
        self.before.surface.temperature
    }

    /// The mass of what the stage got.
    fn whole(&self) -> Part {
        Part::new(mass_of(&self.before.surface, self.before.cut), self.counts.0)
    }

    /// The weight of one logit as a part of the mass.
    fn part_of(&self, logit: f64) -> Part {
        let maximum = f64::from(self.before.surface.scale.maximum);
        Part { mass: ONE * exponential((logit - maximum) / f64::from(self.temperature())), tokens: 0.0 }
    }

    /// How much farther than `slope` r two logits must be apart, less what rounding takes.
    fn apart(&self, higher: f64, lower: f64, slope: f64) -> f64 {
        let maximum = f64::from(self.before.surface.scale.maximum);
        let size = greater(greater(maximum, -maximum), greater(lower, -lower));
        at_least_zero(higher - lower - LOGIT_ROUNDING * size) / slope
    }

    fn needs_temperature(&self) -> bool {
        !matches!(
            self.stage,
            Stage::Temperature
                | Stage::DynamicTemperature { .. }
                | Stage::Argmax
                | Stage::TopK { .. }
                | Stage::TopNSigma(_)
        )
    }

    /// Whether the stage keeps so many of whatever it gets.
    fn always_keeps(&self, count: usize) -> bool {
        match self.stage {
            Stage::Temperature | Stage::DynamicTemperature { .. } | Stage::Mirostat(Mirostat::Off) => true,
            Stage::Argmax => count <= 1,
            Stage::TopK { k, .. } => count <= k,
            _ => count <= self.min_keep.max(1),
        }
    }

    /// The radius within which the stage, if it gets as many tokens as it got, keeps number `edge.count`.
    fn put_out(&self, edge: &Edge) -> f64 {
        if self.always_keeps(edge.count) {
            return f64::INFINITY;
        }
        if self.before.has_loose_temperature && self.needs_temperature() {
            return 0.0;
        }
        let (last, temperature) = (edge.last, self.temperature());
        let threshold = self.threshold.map_or(f64::NEG_INFINITY, f64::from);
        match self.stage {
            Stage::Temperature | Stage::DynamicTemperature { .. } | Stage::Mirostat(Mirostat::Off) => f64::INFINITY,
            Stage::Typical(_) | Stage::Xtc { .. } => f64::INFINITY,
            // Beyond k by equal logits.
            Stage::Argmax | Stage::TopK { .. } => 0.0,
            Stage::MinP(_) => self.apart(last, threshold, 2.0),
            Stage::TopP(p) => {
                let (whole, own) = (self.whole(), self.before.surface.scale.mass(last as f32));
                let prefix = mass_of(&self.before.surface, edge.cut);
                let shorter = Part::new(prefix - own, edge.count - 1);
                radius_to_reach(shorter, whole.without(shorter), share(p), temperature)
            }
            Stage::Epsilon(epsilon) => self.leaves(last, epsilon.into()),
            Stage::Mirostat(Mirostat::Two) => self.leaves(last, exponential2(-f64::from(self.surprise))),
            Stage::Eta(epsilon) => greater(self.leaves(last, epsilon.into()), self.eta(last, epsilon.into(), false)),
            Stage::TopA(a) => self.top_a(last, a.into(), false),
            Stage::TopNSigma(n) => self.top_n_sigma(last, threshold, n.into(), false),
            Stage::TailFree(_) | Stage::TopH(_) | Stage::Mirostat(Mirostat::One) => self.own,
        }
    }

    /// The radius within which the stage, if it gets as many tokens as it got, keeps the next token out.
    fn let_in(&self, edge: &Edge) -> f64 {
        if self.before.has_loose_temperature && self.needs_temperature() {
            return 0.0;
        }
        let (next, temperature) = (edge.next, self.temperature());
        let threshold = self.threshold.map_or(f64::NEG_INFINITY, f64::from);
        match self.stage {
            Stage::Temperature | Stage::DynamicTemperature { .. } | Stage::Mirostat(Mirostat::Off) => 0.0,
            Stage::Typical(_) | Stage::Xtc { .. } => 0.0,
            Stage::Argmax => f64::INFINITY,
            Stage::TopK { keep_ties, .. } => {
                if keep_ties {
                    0.5 * gap(edge.last, next)
                } else {
                    f64::INFINITY
                }
            }
            Stage::MinP(_) => self.apart(threshold, next, 2.0),
            Stage::TopP(p) => {
                let (whole, prefix) = (self.whole(), Part::new(mass_of(&self.before.surface, edge.cut), edge.count));
                radius_to_leave(prefix, whole.without(prefix), share(p), temperature)
            }
            Stage::Epsilon(epsilon) => self.reaches(next, epsilon.into()),
            Stage::Mirostat(Mirostat::Two) => self.reaches(next, exponential2(-f64::from(self.surprise))),
            Stage::Eta(epsilon) => lesser(self.reaches(next, epsilon.into()), self.eta(next, epsilon.into(), true)),
            Stage::TopA(a) => self.top_a(next, a.into(), true),
            Stage::TopNSigma(n) => self.top_n_sigma(next, threshold, n.into(), true),
            Stage::TailFree(_) | Stage::TopH(_) | Stage::Mirostat(Mirostat::One) => self.own,
        }
    }

    /// The radius within which the probability of a token of this logit stays below `limit`.
    fn reaches(&self, logit: f64, limit: f64) -> f64 {
        let part = self.part_of(logit);
        radius_to_reach(part, self.whole().without(part), limit, self.temperature())
    }

    /// The same at `limit` or above.
    fn leaves(&self, logit: f64, limit: f64) -> f64 {
        let part = self.part_of(logit);
        radius_to_leave(part, self.whole().without(part), limit, self.temperature())
    }

    /// For the limit `sqrt(epsilon) exp(-H)`: `ln p + H` is the distance of a logit from the mean, in units of T.
    fn eta(&self, logit: f64, epsilon: f64, comes_in: bool) -> f64 {
        let logits = Logits::new(&self.before);
        let (half, own, mean) = (0.5 * natural_logarithm(epsilon), logits.relative(logit), logits.mean());
        // A shift of all tokens but this one against it is one of the changes, so half the distance is the most there is.
        let apart = if comes_in { mean + half - own } else { own - mean - half };
        largest(0.5 * at_least_zero(apart), 14, |x| {
            if comes_in {
                logits.mean_stays_above(own + x - half, x)
            } else {
                logits.mean_stays_below(own - x - half, x)
            }
        }) * f64::from(self.temperature())
    }

    /// `ln p - 2 ln p_max = x - 2 x_max + ln Z` against ln a, at the worst.
    fn top_a(&self, logit: f64, a: f64, comes_in: bool) -> f64 {
        let (whole, limit) = (self.whole(), natural_logarithm(a));
        let own = Logits::new(&self.before).relative(logit);
        let others = at_least_zero(whole.mass / ONE - 1.0);
        let hidden = whole.tokens / ONE;
        let within = largest(64.0, 60, |x| {
            let g = exponential(x);
            if comes_in {
                own + 3.0 * x + natural_logarithm(1.0 / g + (others + hidden) * g) < limit
            } else {
                own - 3.0 * x + natural_logarithm(g + at_least_zero(others / g - hidden)) > limit
            }
        });
        f64::from(self.temperature()) * at_least_zero(within - ROUNDING)
    }

    /// Highest logit, sigma and the token's own logit move together.
    fn top_n_sigma(&self, logit: f64, threshold: f64, n: f64, comes_in: bool) -> f64 {
        if threshold == f64::NEG_INFINITY {
            return 0.0;
        }
        let deviation = (f64::from(self.before.surface.scale.maximum) - threshold) / n;
        let mean_deviation = Logits::new(&self.before).mean_deviation(deviation);
        let slack = 4.0 * LOGIT_ROUNDING * n * deviation;
        if !comes_in {
            let slope = if deviation > 0.0 { mean_deviation / deviation } else { 0.0 };
            return at_least_zero(self.apart(logit, threshold, 1.0) - slack) / (2.0 + n * slope);
        }
        let distance = at_least_zero(self.apart(threshold, logit, 1.0) - slack);
        largest(0.5 * distance, 60, |r| {
            let grown = square_root(deviation * deviation + 2.0 * r * mean_deviation + r * r);
            2.0 * r + n * (grown - deviation) < distance
        })
    }

    fn typical(&self, p: f64) -> f64 {
        let (surface, kept) = (&self.before.surface, self.after);
        let view = RowView { band: Some(self.before.band()), ..surface.view };
        let logits = Logits::new(&self.before);
        let centre = logits.centre();
        let distance_of = |logit: f32| f64::from(f32::from_bits(distance_key(logit, centre)));
        let tokens = || {
            let all = (0..view.valid as u32).map(|token| (token, view.logit(token)));
            all.filter(|&(_, logit)| logit > f32::NEG_INFINITY)
        };
        // The farthest kept and the nearest removed token, how many share the farthest distance, and the mass.
        let (mut last, mut sharing, mut next, mut mass, mut count) = (-1.0, 0, f64::INFINITY, 0u64, 0);
        for (token, logit) in tokens() {
            let distance = distance_of(logit);
            if !kept.keeps(logit, token) {
                next = lesser(next, distance);
                continue;
            }
            (mass, count) = (mass + surface.scale.mass(logit), count + 1);
            if distance > last {
                (last, sharing) = (distance, 0);
            }
            sharing += u32::from(distance == last);
        }
        if sharing > 1 {
            // Tokens that stay together only because their distances are equal.
            return 0.0;
        }
        let whole = self.whole();
        let share = |part: Part| radius_to_reach(part, whole.without(part), p, self.temperature());
        let mut radius = f64::INFINITY;
        if next < f64::INFINITY {
            let all = Part::new(mass, count);
            let left = radius_to_leave(all, whole.without(all), p, self.temperature());
            radius = lesser(logits.radius_of_distances(gap(next, last)), left);
        }
        if count <= self.min_keep.max(1) {
            return radius;
        }
        // One less is kept once some token is the farthest and the others are enough.
        let slope = 2.0 + 2.0 * logits.slope_of_mean();
        for (_, logit) in tokens().filter(|&(token, logit)| kept.keeps(logit, token)) {
            let farthest = gap(last, distance_of(logit)) / slope;
            if farthest < radius {
                let enough = share(Part::new(mass - surface.scale.mass(logit), count - 1));
                radius = lesser(radius, greater(farthest, enough));
            }
        }
        radius
    }

    fn xtc(&self, threshold: f64) -> f64 {
        let Some(lowest) = self.threshold else { return f64::INFINITY };
        let (surface, available) = (&self.before.surface, self.counts.0);
        let most = (available + 1).saturating_sub(self.min_keep.max(1));
        if available < 2 || most < 2 {
            return f64::INFINITY;
        }
        let likely = self.before.cut.stricter(Cut::at_least(lowest));
        let count = surface.kernels.kept_count(&surface.view, surface.maxima, likely) as usize;
        let logit = |n: usize| f64::from(cut::nth_token(surface, n as u64).logit);
        if count > most {
            return self.leaves(logit(most + 1), threshold);
        }
        if count < 2 {
            return self.second_reaches((logit(1), logit(2)), threshold);
        }
        let mut radius = lesser(self.leaves(logit(count), threshold), 0.5 * gap(logit(count - 1), logit(count)));
        if count < available {
            radius = lesser(radius, self.reaches(logit(count + 1), threshold));
        }
        radius
    }

    /// The radius within which not both of the first two tokens have a probability of `limit`: the first falls as far as it
    /// can without falling behind.
    fn second_reaches(&self, (first, second): (f64, f64), limit: f64) -> f64 {
        let (first, second) = (self.part_of(first), self.part_of(second));
        let rest = self.whole().without(first).without(second).mass;
        let within = largest(64.0, 60, |x| {
            let g = exponential(x);
            let risen = second.mass * g;
            risen < limit * (greater(first.mass / g, risen) + risen + at_least_zero(rest - self.counts.0 as f64) / g)
        });
        f64::from(self.temperature()) * at_least_zero(within - ROUNDING)
    }
}

/// A probability in units of 2^-32.
fn share(fixed: u64) -> f64 {
    fixed as f64 / 4_294_967_296.0
}
