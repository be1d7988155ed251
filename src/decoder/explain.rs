//! Stage by stage: what each filter leaves of a row.
//!
//! The stages run as often as there are, one more each time: what a stage does depends on those before it alone, so the
//! hot path needs no hook.

use super::Decoder;
use super::step::Opened;
use crate::distribution::{Context, Findings, Truncation, truncate};
use crate::error::Result;
use crate::kernels::{Band, Cut};
use crate::trace::metrics::mass_kept;
use crate::types::{Row, TokenId};

/// What is left of a row after a stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StageReport {
    /// The parameter in [`Config`](crate::Config) that puts the stage there; `row` before the first stage, `greedy` in greedy
    /// mode.
    pub name: &'static str,
    /// Its value as the step uses it; NaN where there is none.
    pub parameter: f64,
    /// How many tokens are kept.
    pub kept: u32,
    /// Their probability in the whole row, after penalties, biases and masks, at the temperature in force.
    pub kept_mass: f32,
    /// The temperature in force after the stage.
    pub temperature: f32,
    band: Band,
}

impl StageReport {
    /// Nothing yet: to fill an array with.
    pub const EMPTY: StageReport = StageReport {
        name: "",
        parameter: f64::NAN,
        kept: 0,
        kept_mass: f32::NAN,
        temperature: f32::NAN,
        band: Band::ALL,
    };

    /// Reports that a row can have at most.
    pub const MOST: usize = 1 + crate::plan::MAX_STAGES;

    /// Where the run of the order that is kept begins: token and logit. The token need not be one of the row.
    pub fn first(&self) -> (TokenId, f32) {
        (self.band.first.token, self.band.first.logit)
    }

    /// Where it ends: nothing that stands after this in the order is kept.
    pub fn last(&self) -> (TokenId, f32) {
        (self.band.last.token, self.band.last.logit)
    }

    /// Whether a token that takes part, with this logit (after penalties and biases), is kept.
    pub fn keeps(&self, token: TokenId, logit: f32) -> bool {
        self.band.keeps(logit, token)
    }
}

impl<S: AsRef<[u64]> + AsMut<[u64]>> Decoder<S> {
    /// Writes what each stage in force leaves of a row, in the order in which they run, the row itself first. Returns how many
    /// reports there are, at most [`StageReport::MOST`], which may be more than were written. Nothing is picked or recorded;
    /// state and position are those of the next step. Costs many passes: it is for questions, not for steps.
    ///
    /// # Errors
    /// As [`Decoder::evaluate`].
    pub fn explain<'r>(
        &mut self,
        row: impl Into<Row<'r>>,
        mask: Option<&[u32]>,
        reports: &mut [StageReport],
    ) -> Result<usize> {
        self.with_row(row.into(), mask, |opened| {
            let plan = opened.plan;
            let mut count = 0;
            let mut report = |report: StageReport| {
                if let Some(slot) = reports.get_mut(count) {
                    *slot = report;
                }
                count += 1;
            };
            if plan.greedy {
                let whole = Truncation::none(&opened.surface);
                report(describe(opened, "row", f64::NAN, &whole));
                let kept = opened.truncate();
                report(describe(opened, "greedy", f64::NAN, &kept));
                return count;
            }
            let names = plan.stages().map(|stage| (stage.name(), stage.parameter(&plan.config)));
            for (stages, (name, parameter)) in [("row", f64::NAN)].into_iter().chain(names).enumerate() {
                let prefix = plan.first_stages(stages);
                let context = Context { plan: &prefix, state: &opened.state, position: opened.position };
                let first = opened.surface.at_temperature(plan.first_temperature);
                let kept = truncate(&first, context, None, &mut opened.room, &mut Findings::none());
                report(describe(opened, name, parameter, &kept));
            }
            count
        })
    }
}

fn describe(opened: &Opened<'_>, name: &'static str, parameter: f64, kept: &Truncation<'_>) -> StageReport {
    let whole = opened.surface.at_temperature(kept.surface.temperature);
    let row = crate::logits::Surface { view: kept.surface.view, ..whole };
    let mass = mass_kept(&row, kept.cut) as f64 / mass_kept(&whole, Cut::ALL) as f64;
    StageReport {
        name,
        parameter,
        kept: whole.kernels.kept_count(&kept.surface.view, whole.maxima, kept.cut),
        kept_mass: mass as f32,
        temperature: kept.surface.temperature,
        band: kept.band(),
    }
}
