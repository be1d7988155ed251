//! How far the mean and the deviation of the logits can move.
//!
//! The mean of `x = (z - z_max) / T` under its softmax is above M exactly if the sum of `h(x) = e^x (x - M)` is above 0, and h
//! falls up to M - 1 and rises from there. So over all rows within x ± r the greatest sum takes the upper end of each token
//! above a point and the lower end of the others, the least one takes the nearest value to M - 1: both are sums over runs of
//! the order.

use super::{LOGIT_ROUNDING, ROUNDING, at_least_zero, greater, largest, lesser};
use crate::distribution::{Truncation, cut};
use crate::kernels::{Band, Cut, RowView};
use crate::logits::Surface;
use crate::numeric::{exponential, natural_logarithm, square_root};
use core::cell::Cell;
use core::f64::consts::LN_2;

/// The tokens that a stage got.
pub(super) struct Logits<'s, 'a> {
    surface: &'s Surface<'a>,
    band: Band,
    cut: Cut,
    temperature: f64,
    /// How many there are, once that is known.
    tokens: Cell<Option<f64>>,
}

/// Sums over tokens: their number, their weights, their weights times x.
#[derive(Clone, Copy)]
struct Sum {
    tokens: f64,
    weight: f64,
    product: f64,
}

impl Sum {
    /// The sum of `e^(x + by) (x + by - mean)`.
    fn moved(self, by: f64, mean: f64) -> f64 {
        exponential(by) * (self.product + (by - mean) * self.weight)
    }

    /// What rounding of the weights may take from it.
    fn rounding(self, by: f64, mean: f64) -> f64 {
        let size = greater(by - mean, mean - by) * self.weight - self.product;
        ROUNDING * exponential(by) * size
    }
}

impl<'s, 'a> Logits<'s, 'a> {
    pub fn new(before: &'s Truncation<'a>) -> Self {
        let surface = &before.surface;
        Logits {
            surface,
            band: before.band(),
            cut: before.cut,
            temperature: f64::from(surface.temperature),
            tokens: Cell::new(None),
        }
    }

    /// A logit in units of the temperature, relative to the first.
    pub fn relative(&self, logit: f64) -> f64 {
        (logit - f64::from(self.surface.scale.maximum)) / self.temperature
    }

    /// The sums over the tokens from `low` up to, not including, `high`.
    fn between(&self, low: f64, high: f64) -> Sum {
        let Surface { kernels, maxima, scale, .. } = *self.surface;
        let logit = |x: f64| (f64::from(scale.maximum) + self.temperature * x) as f32;
        let mut band = Band { last: self.cut, ..self.band };
        if low > 0.0 || high <= low {
            return Sum { tokens: 0.0, weight: 0.0, product: 0.0 };
        }
        if low > f64::NEG_INFINITY {
            band.last = self.cut.stricter(Cut::at_least(logit(low)));
        }
        if high <= 0.0 {
            let first = cut::below(logit(high));
            if first < self.cut.logit {
                return Sum { tokens: 0.0, weight: 0.0, product: 0.0 };
            }
            if first < band.first.logit {
                band = Band { first: Cut { logit: first, token: 0 }, last: band.last, ..Band::ALL };
            }
        }
        let view = RowView { band: Some(band), ..self.surface.view };
        let sums = kernels.sums(&view, maxima, scale, false);
        let tokens = f64::from(kernels.kept_count(&view, maxima, band.last));
        Sum { tokens, weight: sums.weight, product: LN_2 * sums.weight_exponent }
    }

    fn all(&self) -> Sum {
        self.between(f64::NEG_INFINITY, f64::INFINITY)
    }

    /// What tokens below 2^-40 may add to a sum of such terms, or take from it.
    fn hidden(&self, mean: f64, x: f64) -> f64 {
        let tokens = self.tokens.get().unwrap_or_else(|| self.all().tokens);
        self.tokens.set(Some(tokens));
        tokens * exponential(x - 27.7) * (30.0 + greater(mean, -mean) + x)
    }

    /// Whether the mean is above `mean` for all rows within x of this one.
    pub fn mean_stays_above(&self, mean: f64, x: f64) -> bool {
        let (low, high) = (mean - 1.0 - x, mean - 1.0 + x);
        let (below, at, above) =
            (self.between(f64::NEG_INFINITY, low), self.between(low, high), self.between(high, f64::INFINITY));
        let nearest = at.tokens * exponential(mean - 1.0);
        let rounding = below.rounding(x, mean) + above.rounding(-x, mean) + ROUNDING * nearest;
        below.moved(x, mean) - nearest + above.moved(-x, mean) > rounding + self.hidden(mean, x)
    }

    /// Whether the mean is below `mean` for all rows within x of this one.
    pub fn mean_stays_below(&self, mean: f64, x: f64) -> bool {
        // Where both ends of a token's range give the same: e^(2x) (u + x) = u - x for u = -x coth x from the mean.
        let square = exponential(2.0 * x);
        let point = mean - if x > 1e-6 { x * (square + 1.0) / (square - 1.0) } else { 1.0 };
        let (below, above) = (self.between(f64::NEG_INFINITY, point), self.between(point, f64::INFINITY));
        let rounding = below.rounding(-x, mean) + above.rounding(x, mean);
        below.moved(-x, mean) + above.moved(x, mean) < -rounding
    }

    /// The mean, in units of the temperature, relative to the first.
    pub fn mean(&self) -> f64 {
        let all = self.all();
        all.product / all.weight
    }

    /// The logit whose surprise is the entropy.
    pub fn centre(&self) -> f64 {
        f64::from(self.surface.scale.maximum) + self.temperature * self.mean()
    }

    /// The radius within which two distances from the centre that are so far apart keep their order: both move by what the
    /// logits and the centre do.
    pub fn radius_of_distances(&self, apart: f64) -> f64 {
        let maximum = f64::from(self.surface.scale.maximum);
        let apart = 0.5 * at_least_zero(apart - LOGIT_ROUNDING * greater(maximum, -maximum)) / self.temperature;
        let mean = self.mean();
        self.temperature
            * largest(lesser(apart, 16.0), 14, |x| {
                let left = apart - x;
                self.mean_stays_below(mean + left, x) && self.mean_stays_above(mean - left, x)
            })
    }

    /// The mean of the distances of the logits from their mean, or a little more; at most their standard deviation, which is
    /// what it answers where sums of logits say too little.
    pub fn mean_deviation(&self, deviation: f64) -> f64 {
        let Surface { kernels, scale, .. } = *self.surface;
        let view = RowView { band: Some(self.band), ..self.surface.view };
        let all = kernels.moments(&view, scale.maximum, 1.0);
        let (count, mean) = (f64::from(all.count), all.sum / f64::from(all.count));
        if deviation < -1e-3 * mean {
            return deviation;
        }
        let above = self.cut.stricter(Cut::at_least((f64::from(scale.maximum) + mean) as f32));
        let view = RowView { band: Some(Band { last: above, ..self.band }), ..self.surface.view };
        let higher = kernels.moments(&view, scale.maximum, 1.0);
        let found = 2.0 * (higher.sum - f64::from(higher.count) * mean) / count;
        lesser(deviation, found + 1e-3 * deviation)
    }

    /// How fast the mean can move with the logits, wherever they are: the standard deviation of the surprise of n tokens is
    /// nowhere larger than the second of the two terms.
    pub fn slope_of_mean(&self) -> f64 {
        let tokens = self.all().tokens;
        let ln = natural_logarithm(if tokens > 1.0 { tokens } else { 1.0 });
        1.0 + square_root(0.25 * ln * ln + 1.0)
    }
}
