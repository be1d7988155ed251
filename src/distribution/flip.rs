//! How far the logits may move before a stage keeps something else: the flip certificate.
//!
//! A radius r of a stage says: whatever happens to the finite logits (after penalties, bias and masks), as long as each moves
//! by less than r, the stage keeps the same tokens, if the same reached it. The least radius of all stages is that of the
//! kept set. Each radius is a lower bound, exact for top-k, min-p and a lone top-p; where only a crude bound is known it is
//! smaller than it could be, never larger.
//!
//! | stage | what moves | radius |
//! |---|---|---|
//! | top-k | two logits | half the gap at the cut |
//! | min-p | logit and maximum | half the gap to the threshold |
//! | top-p | two groups of masses, against each other by e^(2r/T) | until the prefix, or the prefix without its last, crosses p; half the gap at the cut |
//! | epsilon, mirostat 2 | ln p, by 2r/T at most | half the gap to the threshold |
//! | eta | the entropy, too: by L r/T, L^2 = ln(n)^2 / 4 + 1 | gap / (2 + L) |
//! | top-a | ln p - 2 ln p_max, by 4r/T | gap / 4 |
//! | top-n-sigma | sigma, by r at most | gap / (2 + n) |
//! | typical | the centre, by (1 + L) r | gap of distances / (4 + 2 L); masses as top-p |
//! | tail-free, top-h | sorted masses, each by e^(2r/T) | until the sum can cross its limit; half the gap at the cut |
//! | XTC | ln p | half the gap to the threshold; half the gap to the token that stays |
//! | mirostat 1, what follows a dynamic temperature | | 0 |

use super::{Stages, cut};
use crate::kernels::{Cut, RowView, distance_key};
use crate::logits::Surface;
use crate::numeric::{exponential, natural_logarithm, square_root};
use crate::plan::{LIST_LIMIT, Mirostat, Stage, TOP_H_TOKENS};
use crate::types::BLOCK;

/// What rounding of weights and masses may take from ln of a ratio of masses.
const ROUNDING: f64 = 1e-5;

/// The radius within which a share `part / (part + rest)` cannot cross `limit` (0 to 1), where the parts are sums of weights
/// at this temperature. 0 if it is already there.
pub(crate) fn radius_of_share(part: f64, rest: f64, limit: f64, temperature: f32) -> f64 {
    if part <= 0.0 || rest <= 0.0 || limit <= 0.0 || limit >= 1.0 {
        return f64::INFINITY;
    }
    let odds = natural_logarithm(part) - natural_logarithm(rest);
    let wanted = natural_logarithm(limit) - natural_logarithm(1.0 - limit);
    let gap = if odds > wanted { odds - wanted } else { wanted - odds };
    let gap = gap - ROUNDING;
    if gap > 0.0 { 0.5 * f64::from(temperature) * gap } else { 0.0 }
}

/// The lesser of two radii.
pub(crate) fn lesser(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

fn gap(higher: f64, lower: f64) -> f64 {
    if higher > lower { higher - lower } else { 0.0 }
}

/// The largest r up to `most` for which `holds`, which holds up to some r; found to one part in 2^40.
fn largest(most: f64, holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, most);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The logits on both sides of the last token kept.
struct Edge {
    /// How many tokens of the row stand in the order up to the last kept one.
    count: usize,
    /// The lowest logit kept.
    last: f64,
    /// The highest logit after it; -inf if there is none.
    next: f64,
}

impl<'a> Stages<'_, 'a, '_> {
    /// Lowers the radius of the kept set by that of a stage which has just run on `before`.
    pub(super) fn certify(&mut self, stage: Stage, before: &super::Truncation<'a>) {
        let Some(known) = self.radius else { return };
        let radius = if self.is_crude { 0.0 } else { self.radius_of(stage, before) };
        self.radius = Some(lesser(known, radius));
        if matches!(stage, Stage::DynamicTemperature { .. }) {
            self.is_crude = true;
        }
    }

    /// The edge after `cut` among the tokens of `before`.
    fn edge(&self, before: &super::Truncation<'a>, cut: Cut) -> Edge {
        let surface = &before.surface;
        let count = surface.kernels.kept_count(&surface.view, surface.maxima, cut) as usize;
        let kept_before = surface.kernels.kept_count(&surface.view, surface.maxima, before.cut) as usize;
        let logit = |n: usize| f64::from(cut::nth_token(surface, n as u64).logit);
        let last = if count > 0 { logit(count) } else { f64::INFINITY };
        let next = if count < kept_before { logit(count + 1) } else { f64::NEG_INFINITY };
        Edge { count, last, next }
    }

    fn radius_of(&self, stage: Stage, before: &super::Truncation<'a>) -> f64 {
        match stage {
            Stage::Temperature | Stage::DynamicTemperature { .. } | Stage::Mirostat(Mirostat::Off) => f64::INFINITY,
            Stage::Mirostat(Mirostat::One) => 0.0,
            Stage::Argmax | Stage::TopK { .. } => {
                let edge = self.edge(before, self.kept.cut);
                if edge.next == f64::NEG_INFINITY { f64::INFINITY } else { 0.5 * gap(edge.last, edge.next) }
            }
            Stage::MinP(_) | Stage::Epsilon(_) | Stage::Mirostat(Mirostat::Two) => {
                self.radius_of_threshold(before, 2.0)
            }
            Stage::Eta(_) => self.radius_of_threshold(before, 2.0 + self.entropy_slope(before)),
            Stage::TopA(_) => self.radius_of_threshold(before, 4.0),
            Stage::TopNSigma(n) => self.radius_of_threshold(before, 2.0 + f64::from(n)),
            Stage::TopP(p) => self.radius_of_nucleus(before, p as f64 / 4_294_967_296.0),
            Stage::Typical(p) => self.radius_of_typical(before, p as f64 / 4_294_967_296.0),
            Stage::TailFree(z) => self.radius_of_prefix(before, LIST_LIMIT, |q, kept| tail_free_slack(q, kept, z)),
            Stage::TopH(h) => self.radius_of_prefix(before, TOP_H_TOKENS, |q, kept| top_h_slack(q, kept, h)),
            Stage::Xtc { .. } => self.radius_of_xtc(before),
        }
    }

    /// How fast the entropy can change with the logits, times the temperature: the standard deviation of the surprise of n
    /// tokens is nowhere larger.
    fn entropy_slope(&self, before: &super::Truncation<'a>) -> f64 {
        let surface = &before.surface;
        let count = surface.kernels.kept_count(&surface.view, surface.maxima, before.cut);
        let ln = natural_logarithm(f64::from(count.max(1)));
        square_root(0.25 * ln * ln + 1.0)
    }

    /// For a filter that keeps the logits from its threshold up, where logit minus threshold moves by `slope` r.
    fn radius_of_threshold(&self, before: &super::Truncation<'a>, slope: f64) -> f64 {
        let Some(threshold) = self.threshold.map(f64::from) else { return f64::INFINITY };
        let edge = self.edge(before, self.kept.cut);
        let mut radius = f64::INFINITY;
        if edge.next > f64::NEG_INFINITY {
            radius = gap(threshold, edge.next) / slope;
        }
        if edge.count > self.min_keep.max(1) {
            return lesser(radius, gap(edge.last, threshold) / slope);
        }
        // What min_keep (or the rule that one stays) holds is held by its rank.
        if edge.next > f64::NEG_INFINITY { lesser(radius, 0.5 * gap(edge.last, edge.next)) } else { radius }
    }

    fn radius_of_nucleus(&self, before: &super::Truncation<'a>, p: f64) -> f64 {
        let surface = &before.surface;
        let edge = self.edge(before, self.kept.cut);
        let mass = |cut: Cut| {
            let (kernels, view) = (surface.kernels, &surface.view);
            kernels.kept_and_total_mass(view, surface.maxima, cut.logit, surface.scale, cut).0 as f64
        };
        let (whole, prefix) = (mass(before.cut), mass(self.kept.cut));
        let mut radius = f64::INFINITY;
        if edge.next > f64::NEG_INFINITY {
            radius = lesser(
                0.5 * gap(edge.last, edge.next),
                radius_of_share(prefix, whole - prefix, p, surface.temperature),
            );
        }
        if edge.count > self.min_keep.max(1) {
            let shorter = prefix - surface.scale.mass(edge.last as f32) as f64;
            radius = lesser(radius, radius_of_share(shorter, whole - shorter, p, surface.temperature));
        }
        radius
    }

    fn radius_of_typical(&self, before: &super::Truncation<'a>, p: f64) -> f64 {
        let (surface, kept) = (&before.surface, self.kept.band());
        let view = RowView { band: Some(before.band()), ..surface.view };
        let sums = surface.kernels.sums(&view, surface.maxima, surface.scale, true);
        let mean = core::f64::consts::LN_2 * sums.weight_exponent / sums.weight;
        let centre = f64::from(surface.scale.maximum) + f64::from(surface.temperature) * mean;
        let distance_of = |logit: f32| f64::from(f32::from_bits(distance_key(logit, centre)));
        let tokens = || (0..view.valid as u32).map(|token| (token, view.logit(token)));
        // The farthest kept and the nearest removed token, how many share the farthest distance, and the mass.
        let (mut last, mut sharing, mut next, mut mass) = (-1.0, 0, f64::INFINITY, 0u64);
        for (token, logit) in tokens().filter(|&(_, logit)| logit > f32::NEG_INFINITY) {
            let distance = distance_of(logit);
            if !kept.keeps(logit, token) {
                next = lesser(next, distance);
                continue;
            }
            mass += surface.scale.mass(logit);
            if distance > last {
                (last, sharing) = (distance, 0);
            }
            sharing += u32::from(distance == last);
        }
        if sharing > 1 {
            // Tokens that stay together only because their distances are equal.
            return 0.0;
        }
        let slope = 4.0 + 2.0 * self.entropy_slope(before);
        let whole = sums.mass as f64;
        let share = |part: f64| radius_of_share(part, whole - part, p, surface.temperature);
        let mut radius = f64::INFINITY;
        if next < f64::INFINITY {
            radius = lesser(gap(next, last) / slope, share(mass as f64));
        }
        for (_, logit) in tokens().filter(|&(token, logit)| logit > f32::NEG_INFINITY && kept.keeps(logit, token)) {
            // One less is kept once this token is the farthest and the others are enough.
            let others = mass as f64 - surface.scale.mass(logit) as f64;
            let farthest = gap(last, distance_of(logit)) / slope;
            let enough = if others < p * whole { share(others) } else { 0.0 };
            radius = lesser(radius, if farthest > enough { farthest } else { enough });
        }
        radius
    }

    /// For a filter that counts tokens of a sorted prefix by a sum of their masses. `slack` answers whether the sums on both
    /// sides of the last kept token stay on their sides when every mass moves by a factor between `1 / g` and `g`.
    fn radius_of_prefix(
        &self,
        before: &super::Truncation<'a>,
        limit: usize,
        slack: impl Fn(&dyn Fn(usize) -> f64, usize) -> Option<PrefixSlack>,
    ) -> f64 {
        let surface = &before.surface;
        let edge = self.edge(before, self.kept.cut);
        let available = surface.kernels.kept_count(&surface.view, surface.maxima, before.cut) as usize;
        let count = available.min(limit);
        let mass = |i: usize| {
            if i < count { surface.scale.mass(cut::nth_token(surface, i as u64 + 1).logit) as f64 } else { 0.0 }
        };
        if count > 256 {
            // Searching the row for each of thousands of tokens would cost more than an answer is worth.
            return 0.0;
        }
        let order = if edge.next > f64::NEG_INFINITY { 0.5 * gap(edge.last, edge.next) } else { f64::INFINITY };
        let Some(slack) = slack(&mass, count) else { return order };
        if slack.whole.0 == 0.0 && count > 1 {
            return 0.0;
        }
        if edge.count <= self.min_keep.max(1) && self.min_keep > 1 {
            return 0.0;
        }
        let temperature = f64::from(surface.temperature);
        let within = largest(64.0, |x| slack.holds(edge.count, x)) - ROUNDING;
        lesser(order, if within > 0.0 { 0.5 * temperature * within } else { 0.0 })
    }

    fn radius_of_xtc(&self, before: &super::Truncation<'a>) -> f64 {
        let Some(threshold) = self.threshold.map(f64::from) else { return f64::INFINITY };
        let likely = before.cut.stricter(Cut::at_least(threshold as f32));
        let edge = self.edge(before, likely);
        let mut radius = f64::INFINITY;
        if edge.next > f64::NEG_INFINITY {
            radius = lesser(radius, 0.5 * gap(threshold, edge.next));
        }
        if edge.count > 0 {
            radius = lesser(radius, 0.5 * gap(edge.last, threshold));
        }
        if edge.count > 1 {
            let second = f64::from(cut::nth_token(&before.surface, edge.count as u64 - 1).logit);
            radius = lesser(radius, 0.5 * gap(second, edge.last));
        }
        radius
    }
}

/// The sums before each token of a prefix, and how much they can move.
pub(super) struct PrefixSlack {
    kind: PrefixKind,
    /// Sums in front of each token, and the masses that go into them.
    sums: [(f64, f64); 258],
    whole: (f64, f64),
    share: f64,
    count: usize,
}

#[derive(Clone, Copy)]
enum PrefixKind {
    TailFree,
    TopH,
}

impl PrefixSlack {
    /// Whether the cut after `kept` tokens holds when the logarithm of every share of the mass moves by at most `x`.
    fn holds(&self, kept: usize, x: f64) -> bool {
        let grow = exponential(x) - 1.0;
        let moved = |(sum, mass): (f64, f64)| match self.kind {
            PrefixKind::TailFree => grow * 4.0 * mass,
            // |f(p e^y) - f(p)| for f = -p ln p and |y| <= x.
            PrefixKind::TopH => grow * sum + exponential(x) * x * mass,
        };
        let limit = (self.share * self.whole.0, self.share * moved(self.whole));
        let stays = kept <= 1 || self.sums[kept - 1].0 + moved(self.sums[kept - 1]) <= limit.0 - limit.1;
        let goes = kept >= self.count || self.sums[kept].0 - moved(self.sums[kept]) > limit.0 + limit.1;
        stays && goes
    }
}

/// Tail-free: `sums[i]` is the curvature that decides about token i.
fn tail_free_slack(mass: &dyn Fn(usize) -> f64, count: usize, z: f32) -> Option<PrefixSlack> {
    if count < 3 {
        return None;
    }
    let mut slack = PrefixSlack {
        kind: PrefixKind::TailFree,
        sums: [(0.0, 0.0); 258],
        whole: (0.0, 0.0),
        share: f64::from(z),
        count: count - 1,
    };
    let (mut sum, mut masses) = (0.0, mass(0) + mass(1));
    for i in 1..count - 1 {
        let bend = (mass(i - 1) - mass(i)) - (mass(i) - mass(i + 1));
        sum += if bend < 0.0 { -bend } else { bend };
        masses += mass(i + 1);
        slack.sums[i] = (sum, masses);
    }
    slack.whole = (sum, masses);
    Some(slack)
}

/// Top-h: `sums[i]` is the entropy up to and with token i.
fn top_h_slack(mass: &dyn Fn(usize) -> f64, count: usize, h: f32) -> Option<PrefixSlack> {
    let total: f64 = (0..count).map(mass).sum();
    let mut slack =
        PrefixSlack { kind: PrefixKind::TopH, sums: [(0.0, 0.0); 258], whole: (0.0, 0.0), share: f64::from(h), count };
    let (mut sum, mut share) = (0.0, 0.0);
    for i in 0..count {
        let p = mass(i) / total;
        sum += if p > 0.0 { -p * natural_logarithm(p) } else { 0.0 };
        share += p;
        slack.sums[i] = (sum, share);
    }
    slack.whole = (sum, share);
    Some(slack)
}

/// A token's place in the cumulative masses of a draw (a): what stands before it, its own mass, the total, and the number
/// drawn below the total. The radius within which the same number finds the same token among the same tokens.
pub(crate) fn radius_of_draw(before: u64, own: u64, total: u64, drawn: u64, temperature: f32) -> f64 {
    let at = (drawn as f64 + 0.5) / total as f64;
    let part = |mass: u64| radius_of_share(mass as f64, (total - mass) as f64, at, temperature);
    lesser(part(before), part(before + own))
}

/// The mass of the kept tokens of lower id than `token`.
pub(crate) fn mass_before(surface: &Surface<'_>, cut: Cut, token: u32) -> u64 {
    let mut masses = [0; BLOCK];
    let mut sum = 0;
    for block in 0..=token as usize / BLOCK {
        if surface.maxima[block] < cut.logit {
            continue;
        }
        surface.kernels.block_masses(&surface.view, block, surface.scale, cut, &mut masses);
        let lanes = (token as usize - block * BLOCK).min(BLOCK);
        sum += masses[..lanes].iter().sum::<u64>();
    }
    sum
}

/// A boundary in the layout of draw (b): bounds of the blocks before, the mass inside the block before the boundary, the
/// block's bound, and the bounds of the blocks after.
#[derive(Clone, Copy)]
pub(crate) struct LayoutEdge {
    pub before: u64,
    pub inside: u64,
    pub bound: u64,
    pub after: u64,
}

impl LayoutEdge {
    /// The radius within which the boundary stays on its side of the share `at` of the whole layout.
    pub fn radius(&self, at: f64, temperature: f32) -> f64 {
        let LayoutEdge { before, inside, bound, after } = *self;
        let (left, inside, bound, after) = ((before + inside) as f64, inside as f64, bound as f64, after as f64);
        let is_below = left <= at * (left + (bound - inside) + after);
        // The worst that factors between 1 / g and g can do to the two sides of the boundary.
        let holds = |x: f64| {
            let g = exponential(x);
            if is_below {
                let rest = bound / g - inside * g;
                let right = after / g + if rest > 0.0 { rest } else { 0.0 };
                left * g <= at * (left * g + right)
            } else {
                let right = after * g + (bound * g - inside / g);
                left / g > at * (left / g + right)
            }
        };
        if left == 0.0 {
            return f64::INFINITY;
        }
        let within = largest(64.0, holds) - ROUNDING;
        if within > 0.0 { f64::from(temperature) * within } else { 0.0 }
    }
}

/// The radius within which a block's bound stays on its side of 1/256 of the sum of all bounds.
pub(crate) fn radius_of_selection(bound: u64, bounds: u64, temperature: f32) -> f64 {
    radius_of_share(bound as f64, (bounds - bound) as f64, 1.0 / 256.0, temperature)
}

/// What a radius for the reshaped logits of adaptive-p is for the logits before: a new logit moves by at most 10 / 0.3 times
/// its probability's change, which is at most `largest_probability (e^(2r/T) - 1)`.
pub(crate) fn radius_before_reshaping(reshaped: f64, largest_probability: f64, temperature: f32) -> f64 {
    0.5 * f64::from(temperature) * natural_logarithm(1.0 + reshaped * 0.3 / (10.0 * largest_probability))
}
