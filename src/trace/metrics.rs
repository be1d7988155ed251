//! The numbers about a pick.

use super::pick::Pick;
use crate::distribution::Truncation;
use crate::distribution::flip::Stretching;
use crate::kernels::{Cut, Scale, Sums};
use crate::logits::Surface;
use crate::numeric::{LOG2_E, MASS_BITS, exponent_scale, natural_logarithm};
use crate::plan::{Metrics, Plan};
use crate::selection::Drawn;
use crate::types::TokenId;

/// Nats per power of two.
const LN_2: f64 = core::f64::consts::LN_2;

/// A mass in units of the largest weight.
fn weight_of(mass: u64) -> f64 {
    mass as f64 / (1u64 << MASS_BITS) as f64
}

/// Whether the metrics need an exponential pass over the adjusted row, and if so, whether the masses are to be summed as
/// well, for the metrics or the plan's nucleus.
pub(crate) fn wants_sums(plan: &Plan) -> Option<bool> {
    let wanted = plan.config.metrics;
    let masses = wanted.intersects(Metrics::KEPT_MASS | Metrics::LOGPROB) || plan.has_nucleus_of_row();
    wanted.intersects(Metrics::CONFIDENCE | Metrics::KEPT_MASS).then_some(masses)
}

/// The exponential pass over the adjusted row.
pub(crate) fn sums(surface: &Surface<'_>, masses: bool) -> Sums {
    surface.kernels.sums(&surface.view, surface.maxima, surface.scale, masses)
}

/// Everything about a pick that was asked for. `surface` is the whole row at the temperature of the draw, and `sums` are
/// its sums.
pub(crate) fn describe(
    surface: &Surface<'_>,
    plan: &Plan,
    argmax: TokenId,
    sums: Option<&Sums>,
    kept: &Truncation<'_>,
    drawn: &Drawn,
    stretching: &Stretching,
) -> Pick {
    let wanted = plan.config.metrics;
    let Surface { kernels, view, maxima, .. } = *surface;
    let mut pick = Pick { margin: surface.margin(argmax), ..Pick::unknown(drawn.token, argmax, surface.temperature) };
    if wanted.contains(Metrics::CONFIDENCE)
        && let Some(sums) = sums
    {
        pick.top1_probability = (1.0 / sums.weight) as f32;
        pick.entropy = entropy(sums);
    }
    let logit = view.logit(drawn.token);
    if wanted.contains(Metrics::RANK) {
        let ahead = Cut { logit, token: drawn.token };
        pick.rank = if drawn.token == argmax { 0 } else { kernels.kept_count(&view, maxima, ahead) - 1 };
    }
    if wanted.contains(Metrics::KEPT) {
        pick.kept = drawn.count.unwrap_or_else(|| kernels.kept_count(&kept.surface.view, maxima, kept.cut));
    }
    if wanted.contains(Metrics::LOGPROB) {
        pick.logprob = drawn_logprob(surface, sums, kept, drawn);
    }
    if wanted.contains(Metrics::KEPT_MASS)
        && let Some(sums) = sums
    {
        // Relative to the row's maximum, which need not be among the kept.
        let known = drawn.mass.filter(|_| drawn.shaped.is_none() && kept.surface.scale == surface.scale);
        let known = known.or((kept.is_whole()).then_some(sums.mass));
        let mass = known.unwrap_or_else(|| {
            let row = Surface { view: kept.surface.view, ..*surface };
            mass_kept(&row, kept.cut)
        });
        pick.kept_mass = (mass as f64 / sums.mass as f64) as f32;
    }
    if wanted.contains(Metrics::FLIP) {
        // What the logits as given may do: an adjusted one may move farther than they.
        let argmax_radius = stretching.radius_of_argmax(surface, argmax, pick.margin);
        let kept_radius = if plan.greedy { argmax_radius } else { stretching.radius(surface, kept.radius) };
        let is_loose = kept.has_loose_temperature && kept.listed != Some(1);
        let token_radius = match plan.greedy {
            true => argmax_radius,
            false if is_loose => 0.0,
            false => stretching.radius(surface, drawn.radius),
        };
        pick.flip_argmax = rounded_down(argmax_radius);
        pick.flip_kept = rounded_down(kept_radius);
        pick.flip_token = rounded_down(token_radius);
    }
    if wanted.contains(Metrics::LOGPROB_RAW) {
        pick.logprob_raw = raw_logprob(surface, sums, drawn.token);
    }
    pick
}

/// The natural logarithm of the probability with which the token was drawn from what was kept.
pub(crate) fn drawn_logprob(surface: &Surface<'_>, sums: Option<&Sums>, kept: &Truncation<'_>, drawn: &Drawn) -> f32 {
    let whole = kept.is_whole() && kept.surface.scale == surface.scale;
    let known = drawn.mass.or(sums.filter(|sums| whole && sums.mass != 0).map(|sums| sums.mass));
    let mass = known.unwrap_or_else(|| mass_kept(&kept.surface, kept.cut));
    match drawn.shaped {
        Some(shaped) => -at_least_zero(-shaped.logprob(mass)) + 0.0,
        None => logprob_among(&kept.surface, surface.view.logit(drawn.token), mass),
    }
}

/// The next f32 below, but for 0 and infinity: a radius must not be rounded up.
fn rounded_down(radius: f64) -> f32 {
    let rounded = radius as f32;
    if f64::from(rounded) > radius { f32::from_bits(rounded.to_bits() - 1) } else { rounded }
}

/// A number that is 0 or more but for rounding; never -0.0.
///
/// The sum with zero is not idle: compilers make the comparison one instruction, and those of some processors answer -0.0
/// for the lesser of two zeros.
pub(crate) fn at_least_zero(x: f64) -> f32 {
    (if x > 0.0 { x as f32 } else { 0.0 }) + 0.0
}

/// Entropy in nats: H = ln Z - sum(w ln w) / Z. Rounding may leave a peaked row a hair below zero.
pub(crate) fn entropy(sums: &Sums) -> f32 {
    let entropy = natural_logarithm(sums.weight) - LN_2 * sums.weight_exponent / sums.weight;
    at_least_zero(entropy)
}

/// The mass a cut keeps.
pub(crate) fn mass_kept(surface: &Surface<'_>, cut: Cut) -> u64 {
    surface.kernels.kept_and_total_mass(&surface.view, surface.maxima, cut.logit, surface.scale, cut).0
}

/// The natural logarithm of the probability of a logit among tokens of the mass `among`.
///
/// The token's own weight enters by its exponent, not by its truncated mass, so that it is as exact for a rare token.
pub(crate) fn logprob_among(surface: &Surface<'_>, logit: f32, among: u64) -> f32 {
    let exponent = f64::from(logit - surface.scale.maximum) * f64::from(surface.scale.scale);
    let logprob = LN_2 * exponent - natural_logarithm(weight_of(among));
    -at_least_zero(-logprob) + 0.0
}

/// ln softmax of the row as given, among the tokens that take part, at temperature 1.
fn raw_logprob(surface: &Surface<'_>, sums: Option<&Sums>, token: TokenId) -> f32 {
    let raw = surface.view.as_given();
    let scale = Scale { maximum: surface.raw_maximum, scale: exponent_scale(1.0) };
    let normaliser = match sums {
        Some(sums) if surface.view.overrides.is_empty() && surface.temperature == 1.0 => sums.weight,
        // The maxima are those of the adjusted row: where they differ, every block is read.
        _ => {
            let maxima = if surface.view.overrides.is_empty() { surface.maxima } else { &[] };
            surface.kernels.sums(&raw, maxima, scale, false).weight
        }
    };
    let logit = f64::from(raw.logit(token)) - f64::from(scale.maximum);
    let logprob = logit - natural_logarithm(normaliser);
    -at_least_zero(-logprob) + 0.0
}

// The scale and the logarithm speak of the same base.
const _: () = assert!(LOG2_E * LN_2 > 0.999_999_999_999_999 && LOG2_E * LN_2 < 1.000_000_000_000_001);
