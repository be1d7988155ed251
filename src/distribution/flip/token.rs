//! The radius of a token drawn from what is kept, beyond the radius of the kept set.
//!
//! Where the kept set may change, the token need not: as long as the first n tokens stay kept and nothing after the first m
//! comes in, the shares before and after the token lie between those of the two prefixes. Some prefixes on both sides of the
//! kept one are tried, and the best pair counts.

use super::stages::{Records, Run, mass_of};
use super::{Part, greater, lesser, mass_before, radius_of_share_among};
use crate::distribution::Truncation;
use crate::kernels::Cut;
use crate::plan::Stage;
use crate::types::TokenId;

/// How many tokens fewer and more the prefixes have.
const STEPS: [usize; 6] = [0, 1, 2, 4, 8, 16];

/// A prefix, and the radius within which it holds, or nothing after it comes in.
#[derive(Clone, Copy)]
struct Prefix {
    radius: f64,
    /// Its tokens before the one drawn, and after it.
    before: Part,
    after: Part,
    /// The token drawn alone.
    own: Part,
}

/// The filters, if they each keep a prefix of what they get.
fn run_of<'r, 'a>(records: &'r Records<'a>, kept: &Truncation<'_>) -> Option<Run<'r, 'a>> {
    let is_prefix =
        |stage: Stage| !matches!(stage, Stage::Typical(_) | Stage::Xtc { .. } | Stage::DynamicTemperature { .. });
    if kept.has_loose_temperature || !records.iter().flatten().all(|record| is_prefix(record.stage)) {
        return None;
    }
    let count = records.iter().flatten().count();
    let run = records.get(..count).and_then(Run::new)?;
    // Beyond so many tokens each place in the order costs passes over the row.
    (run.kept + STEPS[STEPS.len() - 1] <= kept.surface.maxima.len()).then_some(run)
}

/// The radius within which this token stays kept, and none of those refused comes in, of which one is the first in the
/// order; at least `known`.
pub(crate) fn radius_of_membership(
    records: &Records<'_>,
    kept: &Truncation<'_>,
    token: TokenId,
    refused: Option<Cut>,
    known: f64,
) -> f64 {
    let Some(run) = run_of(records, kept) else { return known };
    let logit = kept.surface.view.logit(token);
    let (mut stays, mut out) = (known, if refused.is_none() { f64::INFINITY } else { known });
    for step in STEPS {
        if step < run.kept {
            let edge = run.edge_at(run.kept - step);
            stays = if edge.cut.keeps(logit, token) { greater(stays, run.holds(&edge)) } else { stays };
        }
        if let Some(refused) = refused {
            let edge = run.edge_at((run.kept + step).min(run.available));
            let is_outside = !edge.cut.keeps(refused.logit, refused.token);
            out = if is_outside { greater(out, run.closes(&edge)) } else { out };
        }
    }
    lesser(stays, out)
}

/// The radius within which `number` draws this token (draw a) from what the stages keep, at least `known`.
pub(crate) fn radius_of_token(
    records: &Records<'_>,
    kept: &Truncation<'_>,
    token: TokenId,
    number: u64,
    known: f64,
) -> f64 {
    let Some(run) = run_of(records, kept) else { return known };
    let surface = &kept.surface;
    let logit = surface.view.logit(token);
    let prefix = |count: usize, radius: f64, cut: Cut| {
        let (before, whole) = (mass_before(surface, cut, token), mass_of(surface, cut));
        let own = surface.scale.mass(logit);
        // At most so many tokens stand on either side.
        let sides = ((count - 1).min(token as usize), (count - 1).min(surface.view.valid - 1 - token as usize));
        Prefix {
            radius,
            before: Part::new(before, sides.0),
            after: Part::new(whole - before - own, sides.1),
            own: Part::new(own, 1),
        }
    };
    let (mut narrow, mut wide) = ([None; STEPS.len()], [None; STEPS.len()]);
    for (i, &step) in STEPS.iter().enumerate() {
        if step < run.kept {
            let edge = run.edge_at(run.kept - step);
            let radius = if edge.cut.keeps(logit, token) { run.holds(&edge) } else { 0.0 };
            if radius > known {
                narrow[i] = Some(prefix(edge.count, radius, edge.cut));
            }
        }
        let edge = run.edge_at((run.kept + step).min(run.available));
        let radius = run.closes(&edge);
        if radius > known {
            wide[i] = Some(prefix(edge.count, radius, edge.cut));
        }
    }
    let mut best = known;
    for narrow in narrow.iter().flatten() {
        for wide in wide.iter().flatten() {
            let share = radius_of_share_among(
                (wide.before, narrow.own.with(narrow.after)),
                (narrow.before.with(narrow.own), wide.after),
                number,
                surface.temperature,
            );
            best = greater(best, lesser(share, lesser(narrow.radius, wide.radius)));
        }
    }
    best
}
