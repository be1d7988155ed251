//! One step, top to bottom as the data flows: adjust and read the row, truncate, draw, describe.

use super::storage::Scratch;
use crate::constrain::adjust::Adjustments;
use crate::distribution::{Room, Truncation, nucleus_cut, truncate};
use crate::error::Result;
use crate::kernels::{Cut, Kernels, Rewrite, RowView, Scale, Source};
use crate::logits::{Prepared, Surface, prepare};
use crate::plan::Plan;
use crate::rng::{Purpose, StepNumbers};
use crate::selection::envelope::Filter;
use crate::selection::{Drawn, envelope, inversion};
use crate::trace::{Pick, metrics};
use crate::types::{Row, TokenId};

/// Everything a step reads beside its row.
pub(crate) struct Inputs<'a, W> {
    pub plan: &'a Plan,
    pub kernels: Kernels,
    pub mask: Option<&'a [u32]>,
    pub lists: Adjustments<'a>,
    /// Tokens masked by the no-repeat window.
    pub window: W,
    pub position: u64,
}

/// Picks a token. Nothing but scratch memory is written.
pub(crate) fn pick<W: Iterator<Item = TokenId>>(
    source: Source<'_>,
    inputs: Inputs<'_, W>,
    scratch: Scratch<'_>,
) -> Result<Pick> {
    let Inputs { plan, kernels, mask, lists, window, position } = inputs;
    let Scratch { overrides, maxima, group_maxima, .. } = scratch;
    let view = RowView { source, words: mask, valid: plan.valid, overrides: &[] };
    let prepared = prepare(kernels, &view, &lists, window, overrides, maxima, group_maxima)?;
    let surface = Surface {
        kernels,
        view: RowView { overrides: &overrides[..prepared.overrides], ..view },
        maxima,
        group_maxima,
        raw_maximum: prepared.raw_maximum,
        scale: Scale { maximum: prepared.maximum, scale: plan.scale },
        temperature: plan.temperature,
    };
    let argmax = surface.argmax();
    let sums = metrics::sums_for(&surface, plan.config.metrics);
    let mut room = Room { keys: scratch.keys, work: scratch.work, masses: scratch.masses, logits: scratch.logits };
    let (kept, drawn) = if plan.greedy {
        let kept = Truncation { cut: Cut { logit: prepared.maximum, token: argmax }, listed: None };
        (kept, Drawn { token: argmax, count: Some(1), mass: Some(1 << crate::numeric::MASS_BITS) })
    } else {
        let lazy = plan.lone_nucleus();
        let kept = match lazy {
            Some(_) => Truncation { cut: Cut::ALL, listed: None },
            None => truncate(&surface, plan, sums.as_ref(), &mut room),
        };
        let mut numbers = StepNumbers::new(plan.config.seed, plan.config.stream, position, Purpose::Draw);
        let drawn = match kept.listed {
            Some(count) => inversion::from_list(&surface, count, numbers.next_number(), &mut room),
            None if plan.draws_by_inversion => {
                let block_masses = &mut scratch.bounds[..surface.view.blocks()];
                inversion::from_row(&surface, kept.cut, numbers.next_number(), block_masses)
            }
            None => {
                let mut envelope = envelope::Envelope {
                    bounds: scratch.bounds,
                    sums: scratch.bound_sums,
                    sums_of_sums: scratch.bound_sums_of_sums,
                };
                let filter = lazy.map_or(Filter::Cut(kept.cut), Filter::Nucleus);
                let find_cut = |surface: &Surface<'_>| nucleus_cut(surface, lazy.unwrap_or(0), sums.as_ref());
                envelope::draw(&surface, filter, &mut numbers, &mut envelope, find_cut)
            }
        };
        (kept, drawn)
    };
    Ok(metrics::describe(&surface, plan, argmax, sums.as_ref(), kept, drawn))
}

/// How an in-place call rewrites the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Kept logits divided by temperature, -inf elsewhere.
    Logits,
    /// Probabilities.
    Probabilities,
}

/// Rewrites the row in place as the distribution drawn from. On an error the row is as it was.
pub(crate) fn rewrite<W: Iterator<Item = TokenId>>(
    row: &mut [f32],
    output: Output,
    inputs: Inputs<'_, W>,
    scratch: Scratch<'_>,
) -> Result<()> {
    let Inputs { plan, kernels, mask, lists, window, .. } = inputs;
    let Scratch { overrides, maxima, group_maxima, .. } = scratch;
    let view = RowView { source: Row::F32(row).into(), words: mask, valid: plan.valid, overrides: &[] };
    let prepared: Prepared = prepare(kernels, &view, &lists, window, overrides, maxima, group_maxima)?;
    let overrides = &overrides[..prepared.overrides];
    let scale = Scale { maximum: prepared.maximum, scale: plan.scale };
    let surface = Surface {
        kernels,
        view: RowView { overrides, ..view },
        maxima,
        group_maxima,
        raw_maximum: prepared.raw_maximum,
        scale,
        temperature: plan.temperature,
    };
    if output == Output::Logits && prepared.maximum / plan.temperature == f32::INFINITY {
        // The division would make what is kept infinite: the lowest token it would happen to is named.
        return Err(surface.first_overflow());
    }
    let cut = if plan.greedy {
        Cut { logit: prepared.maximum, token: surface.argmax() }
    } else {
        let Scratch { keys, work, masses, logits, .. } = scratch;
        truncate(&surface, plan, None, &mut Room { keys, work, masses, logits }).cut
    };
    let spec = Rewrite { words: mask, valid: plan.valid, overrides, maxima, cut };
    match output {
        Output::Logits => kernels.write_logits(row, &spec, plan.temperature),
        Output::Probabilities => kernels.write_probabilities(row, &spec, scale),
    }
    Ok(())
}
