//! One step, top to bottom as the data flows: adjust and read the row, truncate, draw, describe.

use super::storage::Scratch;
use crate::constrain::adjust::Adjustments;
use crate::distribution::{Room, Truncation, nucleus_cut, truncate};
use crate::error::Result;
use crate::kernels::{Cut, Kernels, Rewrite, RowView, Scale, Source, Sums};
use crate::logits::{Prepared, Surface, prepare};
use crate::numeric::MASS_BITS;
use crate::plan::Plan;
use crate::rng::{Purpose, StepNumbers};
use crate::selection::envelope::{Envelope, Filter};
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

/// A row after its first pass, and the scratch memory that is left for the rest of the step.
pub(crate) struct Opened<'a> {
    pub plan: &'a Plan,
    pub surface: Surface<'a>,
    pub room: Room<'a>,
    pub envelope: Envelope<'a>,
    pub position: u64,
}

/// Reads the row once, adjusted and checked.
pub(crate) fn open<'a, W: Iterator<Item = TokenId>>(
    source: Source<'a>,
    inputs: Inputs<'a, W>,
    scratch: Scratch<'a>,
) -> Result<Opened<'a>> {
    let Inputs { plan, kernels, mask, lists, window, position } = inputs;
    let Scratch { overrides, maxima, group_maxima, bounds, bound_sums, bound_sums_of_sums, .. } = scratch;
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
    let Scratch { keys, work, masses, logits, .. } = scratch;
    let room = Room { keys, work, masses, logits };
    let envelope = Envelope { bounds, sums: bound_sums, sums_of_sums: bound_sums_of_sums };
    Ok(Opened { plan, surface, room, envelope, position })
}

impl Opened<'_> {
    /// What the configured stages keep; in greedy mode the argmax.
    pub fn truncate(&mut self, sums: Option<&Sums>) -> Truncation {
        if self.plan.greedy {
            let cut = Cut { logit: self.surface.scale.maximum, token: self.surface.argmax() };
            return Truncation { cut, listed: None };
        }
        truncate(&self.surface, self.plan, sums, &mut self.room)
    }
}

/// Picks a token. Nothing but scratch memory is written.
pub(crate) fn pick(mut opened: Opened<'_>) -> Pick {
    let Opened { plan, surface, position, .. } = opened;
    let argmax = surface.argmax();
    let sums = metrics::sums_for(&surface, plan);
    if plan.greedy {
        let kept = opened.truncate(None);
        let drawn = Drawn { token: argmax, count: Some(1), mass: Some(1 << MASS_BITS) };
        return metrics::describe(&surface, plan, argmax, sums.as_ref(), kept, drawn);
    }
    let lone_nucleus = plan.lone_nucleus();
    let kept = match lone_nucleus {
        Some(_) => Truncation { cut: Cut::ALL, listed: None },
        None => opened.truncate(sums.as_ref()),
    };
    let mut numbers = StepNumbers::new(plan.config.seed, plan.config.stream, position, Purpose::Draw);
    let Opened { mut room, mut envelope, .. } = opened;
    let drawn = match kept.listed {
        Some(count) => inversion::from_list(&surface, count, numbers.next_number(), &mut room),
        None if plan.draws_by_inversion => {
            inversion::from_row(&surface, kept.cut, numbers.next_number(), &mut envelope)
        }
        None => {
            let filter = match lone_nucleus {
                Some(p) => Filter::Nucleus { p, whole: sums.map(|sums| sums.mass) },
                None => Filter::Cut(kept.cut),
            };
            let find_cut = |surface: &Surface<'_>| nucleus_cut(surface, lone_nucleus.unwrap_or(0), sums.as_ref());
            envelope::draw(&surface, filter, &mut numbers, &mut envelope, find_cut)
        }
    };
    metrics::describe(&surface, plan, argmax, sums.as_ref(), kept, drawn)
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
