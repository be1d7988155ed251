//! One step, top to bottom as the data flows: adjust and read the row, truncate, draw, describe.

use super::storage::Scratch;
use crate::constrain::Adjustments;
use crate::distribution::flip::{Stretching, lesser, radius_of_membership, radius_of_token};
use crate::distribution::{
    Context, Findings, Room, StepState, Target, Truncation, nucleus_cut, truncate, update_adaptive, updated_mu,
};
use crate::error::Result;
use crate::kernels::{Cut, Kernels, Rewrite, RowView, Scale, Source, Sums};
use crate::logits::{Surface, prepare};
use crate::numeric::MASS_BITS;
use crate::plan::{Metrics, Mirostat, Plan, Stage};
use crate::rng::{Purpose, StepNumbers};
use crate::selection::envelope::{Envelope, Filter, Proposed};
use crate::selection::{Drawn, envelope, inversion};
use crate::trace::{Pick, metrics};
use crate::types::{Row, TokenId};

/// Everything a step reads beside its row.
pub(crate) struct Inputs<'a> {
    pub plan: &'a Plan,
    pub kernels: Kernels,
    pub mask: Option<&'a [u32]>,
    pub lists: Adjustments<'a>,
    pub position: u64,
    pub state: StepState,
}

/// A row after its first pass, and the scratch memory that is left for the rest of the step.
pub(crate) struct Opened<'a> {
    pub plan: &'a Plan,
    pub surface: Surface<'a>,
    pub room: Room<'a>,
    pub envelope: Envelope<'a>,
    pub position: u64,
    pub state: StepState,
    stretching: Stretching,
}

/// Reads the row once, adjusted and checked.
pub(crate) fn open<'a>(source: Source<'a>, inputs: Inputs<'a>, scratch: Scratch<'a>) -> Result<Opened<'a>> {
    let Inputs { plan, kernels, mask, lists, position, state } = inputs;
    let Scratch { overrides, maxima, group_maxima, bounds, bound_sums, bound_sums_of_sums, .. } = scratch;
    let view = RowView { source, words: mask, valid: plan.valid, overrides: &[], band: None };
    let prepared = prepare(kernels, &view, &lists, overrides, maxima, group_maxima)?;
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
    let stretching = Stretching::new(&lists);
    Ok(Opened { plan, surface, room, envelope, position, state, stretching })
}

/// Sums of the whole row that a step has found and another one on the same row may use: those of the last few scales.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KnownSums {
    sums: [Option<(Scale, Sums)>; 8],
    /// Where the next ones go.
    next: usize,
    /// Whether more steps will come on the row, so that sums are worth more than what one step needs of them.
    is_shared: bool,
}

impl KnownSums {
    /// For many steps on one row.
    pub fn shared() -> Self {
        KnownSums { is_shared: true, ..KnownSums::default() }
    }

    /// The sums at this scale, masses included, for steps that share them: found now if they are not known.
    fn share(&mut self, surface: &Surface<'_>) {
        if self.is_shared && self.at(surface.scale, true).is_none() {
            self.note(surface.scale, metrics::sums(surface, true));
        }
    }

    /// The sums at this scale, if they are known.
    fn at(&self, scale: Scale, masses: bool) -> Option<Sums> {
        let known = |entry: &&(Scale, Sums)| entry.0 == scale && (entry.1.mass != 0 || !masses);
        self.sums.iter().flatten().find(known).map(|(_, sums)| *sums)
    }

    /// Takes note of sums, unless those of this scale are known with their masses.
    fn note(&mut self, scale: Scale, sums: Sums) {
        if self.at(scale, true).is_some() {
            return;
        }
        let same = self.sums.iter().position(|entry| entry.is_some_and(|(known, _)| known == scale));
        let at = same.unwrap_or(self.next % self.sums.len());
        self.next += usize::from(same.is_none());
        self.sums[at] = Some((scale, sums));
    }

    /// The sums that the plan's metrics and stages want of the whole row, if any.
    fn find(&mut self, surface: &Surface<'_>, plan: &Plan) -> Option<Sums> {
        let masses = metrics::wants_sums(plan)?;
        let known = self.at(surface.scale, masses);
        let sums = known.unwrap_or_else(|| metrics::sums(surface, masses));
        self.note(surface.scale, sums);
        Some(sums)
    }
}

impl<'a> Opened<'a> {
    /// The same row for another plan, which adjusts it alike.
    pub fn with_plan<'b>(&'b mut self, plan: &'b Plan, room: Room<'b>, state: StepState) -> Opened<'b> {
        let Envelope { bounds, sums, sums_of_sums } = &mut self.envelope;
        let envelope = Envelope { bounds, sums, sums_of_sums };
        let surface = self.surface.at_temperature(plan.temperature);
        Opened { plan, surface, room, envelope, position: self.position, state, stretching: self.stretching }
    }

    /// The row as the first stage gets it.
    fn first(&self) -> Surface<'a> {
        self.surface.at_temperature(self.plan.first_temperature)
    }

    /// What the configured stages keep; in greedy mode the argmax.
    pub fn truncate(&mut self) -> Truncation<'a> {
        self.truncate_with(None, &mut Findings::none())
    }

    /// The same. `sums` are those of the whole row as the first stage gets it, if they are known.
    fn truncate_with(&mut self, sums: Option<&Sums>, findings: &mut Findings<'a>) -> Truncation<'a> {
        let plan = self.plan;
        if plan.greedy {
            let cut = Cut { logit: self.surface.scale.maximum, token: self.surface.argmax() };
            return Truncation { cut, ..Truncation::none(&self.surface) };
        }
        let context = Context { plan, state: &self.state, position: self.position };
        truncate(&self.first(), context, sums, &mut self.room, findings)
    }
}

/// Picks a token. Nothing but scratch memory is written. Returns the pick, and the state of the next step.
pub(crate) fn pick(opened: &mut Opened<'_>, known: &mut KnownSums) -> (Pick, StepState) {
    let (pick, state, _) = pick_and_kept(opened, known);
    (pick, state)
}

/// The same with what was kept, unless the draw did without knowing it.
pub(crate) fn pick_and_kept<'a>(
    opened: &mut Opened<'a>,
    known: &mut KnownSums,
) -> (Pick, StepState, Option<Truncation<'a>>) {
    let plan = opened.plan;
    let argmax = opened.surface.argmax();
    let mut sums = known.find(&opened.surface, plan);
    let lone_nucleus = if plan.greedy { None } else { plan.lone_nucleus() };
    let mut findings = Findings::none();
    let kept = match lone_nucleus {
        Some(_) => Truncation::none(&opened.surface),
        None => {
            // A nucleus of the row is found sooner from a guess than from the row's mass: that is handed on only as a lone
            // step would.
            let of_first = match plan.stages().next() {
                Some(Stage::TopP(_)) => sums.filter(|_| plan.first_temperature == plan.temperature),
                _ => known.at(opened.first().scale, false),
            };
            opened.truncate_with(of_first.as_ref(), &mut findings)
        }
    };
    if let Some((scale, sums)) = findings.sums {
        known.note(scale, sums);
    }
    // A dynamic temperature is known only now.
    let surface = opened.surface.at_temperature(kept.surface.temperature);
    if surface.temperature != opened.surface.temperature {
        sums = known.find(&surface, plan);
    }
    if kept.is_whole() && sums.is_none() && plan.config.metrics.contains(Metrics::LOGPROB) {
        known.share(&surface);
        sums = known.at(surface.scale, true).filter(|_| known.is_shared);
    }
    let drawn = if plan.greedy {
        Drawn { token: argmax, count: Some(1), mass: Some(1 << MASS_BITS), shaped: None, radius: f64::INFINITY }
    } else {
        draw(opened, &surface, &kept, sums.as_ref(), lone_nucleus, &findings)
    };
    let (pick, state) = conclude(opened, &surface, argmax, sums.as_ref(), &kept, &drawn);
    (pick, state, lone_nucleus.is_none().then_some(kept))
}

/// The pick of a token that was chosen elsewhere among what is kept, as if it had been drawn here. `drawn` knows the mass
/// that is kept.
pub(crate) fn settle(opened: &Opened<'_>, kept: &Truncation<'_>, drawn: &Drawn) -> (Pick, StepState) {
    let surface = opened.surface.at_temperature(kept.surface.temperature);
    let sums = KnownSums::default().find(&surface, opened.plan);
    conclude(opened, &surface, opened.surface.argmax(), sums.as_ref(), kept, drawn)
}

/// Describes what was drawn, and learns from it. `surface` is the whole row at the temperature of the draw, `sums` are its.
fn conclude(
    opened: &Opened<'_>,
    surface: &Surface<'_>,
    argmax: TokenId,
    sums: Option<&Sums>,
    kept: &Truncation<'_>,
    drawn: &Drawn,
) -> (Pick, StepState) {
    let plan = opened.plan;
    let mut state = opened.state;
    let mut pick = metrics::describe(surface, plan, argmax, sums, kept, drawn, &opened.stretching);
    if plan.config.mirostat != Mirostat::Off && !plan.greedy {
        let logprob = metrics::drawn_logprob(surface, sums, kept, drawn);
        state.mirostat_mu = updated_mu(&plan.config, state.mirostat_mu, logprob.into());
    }
    if let Some(shaped) = drawn.shaped {
        update_adaptive(&plan.config, &mut state, shaped.probability);
    }
    if plan.config.metrics.contains(Metrics::LOGPROB) {
        state.cumulative_logprob += f64::from(pick.logprob);
        pick.cumulative_logprob = state.cumulative_logprob as f32;
    }
    (pick, state)
}

/// Draws from what is kept. `surface` is the whole row at the temperature of the draw.
fn draw(
    opened: &mut Opened<'_>,
    surface: &Surface<'_>,
    kept: &Truncation<'_>,
    sums: Option<&Sums>,
    lone_nucleus: Option<u64>,
    findings: &Findings<'_>,
) -> Drawn {
    let Opened { plan, room, envelope, position, state, .. } = opened;
    let config = &plan.config;
    let mut numbers = StepNumbers::new(config.seed, config.stream, *position, Purpose::Draw);
    let certify = config.metrics.contains(Metrics::FLIP);
    let first_number = numbers.clone().next_number();
    let drawn = match kept.listed {
        Some(count) if plan.adaptive => {
            inversion::from_shaped_list(kept, count, (config, state), numbers.next_number(), room)
        }
        None if plan.adaptive => inversion::from_shaped_row(kept, (config, state), numbers.next_number(), envelope),
        Some(count) => inversion::from_list(kept, count, numbers.next_number(), room),
        None if plan.draws_by_inversion => inversion::from_row(kept, numbers.next_number(), envelope),
        None => {
            let filter = match lone_nucleus {
                Some(p) => Filter::Nucleus { p, whole: sums.map(|sums| sums.mass) },
                None => Filter::Band(kept.band()),
            };
            let find_cut =
                |surface: &Surface<'_>, least: f32| nucleus_cut(surface, lone_nucleus.unwrap_or(0), sums, least);
            // It certifies itself: its layout is gone afterwards.
            let mut proposed = Proposed::default();
            let to = certify.then_some(&mut proposed);
            let drawn = envelope::draw(surface, kept, filter, &mut numbers, envelope, find_cut, to);
            if !certify {
                return drawn;
            }
            let known = kept.radius;
            let of_kept = match proposed {
                Proposed { ended_in_kept: false, refused } if drawn.radius > known => {
                    radius_of_membership(&findings.records, kept, drawn.token, refused, known)
                }
                _ => known,
            };
            return Drawn { radius: lesser(drawn.radius, of_kept), ..drawn };
        }
    };
    if !certify {
        return drawn;
    }
    let radius = match drawn.shaped {
        Some(_) => lesser(inversion::shaped_radius(kept, config, state, first_number, &drawn), kept.radius),
        None => {
            let of_draw = inversion::radius(kept, first_number, &drawn);
            if of_draw > kept.radius {
                radius_of_token(&findings.records, kept, drawn.token, first_number, kept.radius)
            } else {
                of_draw
            }
        }
    };
    Drawn { radius, ..drawn }
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
pub(crate) fn rewrite(row: &mut [f32], output: Output, inputs: Inputs<'_>, scratch: Scratch<'_>) -> Result<()> {
    let Inputs { plan, kernels, mask, state, .. } = inputs;
    let mut scratch = scratch;
    let (count, band, scale, temperature, target) = {
        // The row is borrowed until it is known what to write.
        let mut opened = open(Row::F32(row).into(), inputs, scratch.reborrow())?;
        let kept = opened.truncate();
        let temperature = kept.surface.temperature;
        let divides = output == Output::Logits && !plan.adaptive;
        if divides && kept.surface.scale.maximum / temperature == f32::INFINITY {
            // The division would make what is kept infinite: the lowest token it would happen to is named.
            let view = RowView { band: Some(kept.band()), ..kept.surface.view };
            return Err(Surface { view, ..kept.surface }.first_overflow());
        }
        let target = plan.adaptive.then(|| {
            let total = metrics::mass_kept(&kept.surface, kept.cut);
            inversion::target_of_row(&kept, (&plan.config, &state), total)
        });
        (opened.surface.view.overrides.len(), kept.band(), kept.surface.scale, temperature, target)
    };
    let overrides = &scratch.overrides[..count];
    let spec = Rewrite { words: mask, valid: plan.valid, overrides, maxima: scratch.maxima, kept: band };
    if let Some(target) = target {
        reshape(row, &spec, scale, &target, output);
        return Ok(());
    }
    match output {
        Output::Logits => kernels.write_logits(row, &spec, temperature),
        Output::Probabilities => kernels.write_probabilities(row, &spec, scale),
    }
    Ok(())
}

/// Writes the distribution reshaped around a target: token by token, since its formula has a division.
fn reshape(row: &mut [f32], spec: &Rewrite<'_>, scale: Scale, target: &Target, output: Output) {
    let overrides = spec.overrides;
    let adjusted = |token: usize, given: f32| {
        let at = overrides.binary_search_by_key(&(token as TokenId), |entry| entry.token);
        at.map_or(given, |at| overrides[at].logit)
    };
    let shaped = |token: usize, given: f32| {
        let allowed =
            spec.words.is_none_or(|words| words.get(token / 32).is_some_and(|word| word >> (token % 32) & 1 != 0));
        let logit = adjusted(token, given);
        let is_kept =
            allowed && token < spec.valid && logit > f32::NEG_INFINITY && spec.kept.keeps(logit, token as TokenId);
        is_kept.then(|| target.shape_logit(logit, scale))
    };
    let mut total = 0;
    if output == Output::Probabilities {
        total = row.iter().enumerate().filter_map(|(token, &logit)| shaped(token, logit)).map(|new| new.mass()).sum();
    }
    for (token, logit) in row.iter_mut().enumerate() {
        *logit = match (shaped(token, *logit), output) {
            (Some(new), Output::Logits) => new.logit as f32,
            (Some(new), Output::Probabilities) => (new.mass() as f64 / total as f64) as f32,
            (None, Output::Logits) => f32::NEG_INFINITY,
            (None, Output::Probabilities) => 0.0,
        };
    }
}
