//! What may be drawn: temperature and truncation of the row, stage by stage, to a run of the total order.
//!
//! Order contract (canon): temperature → top-k → top-p → min-p → typical → epsilon → eta → top-n-sigma → top-a → tail-free →
//! top-h → XTC; the plan has the order in force. Every filter keeps a run of the total order (higher logit first, then lower
//! id): most keep a prefix, whose last token is the [`Cut`]; typical and XTC may also remove tokens from the front, which
//! the view's band then leaves out. A small top-k also leaves the kept tokens as a short list, and the later stages work on
//! the list; otherwise they work on the row through its block maxima. The vocabulary is never sorted.

mod adaptive;
mod cut;
mod distance;
mod epsilon;
mod eta;
pub(crate) mod flip;
mod guess;
mod kept;
mod list;
mod min_p;
mod mirostat;
mod state;
mod tail_free;
mod temperature;
mod top_a;
mod top_h;
mod top_k;
mod top_n_sigma;
mod top_p;
mod typical;
mod xtc;

pub(crate) use adaptive::{Shaped, Target, update_adaptive};
pub(crate) use cut::first_tokens;
pub(crate) use mirostat::updated_mu;
pub(crate) use state::StepState;
pub(crate) use top_p::nucleus_cut;

use crate::kernels::{Band, Cut, Sums};
use crate::logits::Surface;
use crate::numeric::rank_key;
use crate::plan::{Metrics, Plan, Stage};

/// Scratch memory of the truncating stages.
pub(crate) struct Room<'a> {
    /// Rank keys of candidates, in ascending token order.
    pub keys: &'a mut [u64],
    /// A second list of the same capacity, for selection.
    pub work: &'a mut [u64],
    /// Masses of candidates, the same capacity.
    pub masses: &'a mut [u64],
    /// Logits of candidates, the same capacity.
    pub logits: &'a mut [f32],
}

/// What a stage may ask beside the row.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub plan: &'a Plan,
    pub state: &'a StepState,
    /// The step's position, for the random number of XTC.
    pub position: u64,
}

/// What the stages kept.
#[derive(Clone, Copy)]
pub(crate) struct Truncation<'a> {
    /// The row as the last stage left it: its view begins with the first token kept, its scale is relative to that token
    /// and has the temperature in force.
    pub surface: Surface<'a>,
    /// The last token kept.
    pub cut: Cut,
    /// If the kept tokens stand in `Room::keys`, how many they are.
    pub listed: Option<usize>,
    /// No change of the logits smaller than this makes the stages keep other tokens; +inf unless it was asked for.
    pub radius: f64,
}

impl<'a> Truncation<'a> {
    /// Everything is kept.
    pub fn none(surface: &Surface<'a>) -> Truncation<'a> {
        Truncation { surface: *surface, cut: Cut::ALL, listed: None, radius: f64::INFINITY }
    }

    /// The run of the order that is kept.
    pub fn band(&self) -> Band {
        Band { last: self.cut, ..self.surface.view.band.unwrap_or(Band::ALL) }
    }

    /// Whether nothing was removed.
    pub fn is_whole(&self) -> bool {
        self.cut == Cut::ALL && self.surface.view.band.is_none()
    }
}

/// A truncation under way.
struct Stages<'s, 'a, 'r> {
    context: Context<'s>,
    room: &'s mut Room<'r>,
    kept: Truncation<'a>,
    /// Sums of what is kept, if they are known for the scale in force.
    sums: Option<Sums>,
    /// What the stage under way keeps at least; 1 where the profile's stage does not know `min_keep`.
    min_keep: usize,
    /// The threshold of the stage that ran last, if it had one.
    threshold: Option<f32>,
    /// The radius of the stages so far, if it was asked for.
    radius: Option<f64>,
    /// Whether a stage makes what follows depend on the logits in a way that has no bound here.
    is_crude: bool,
}

/// Runs the plan's stages on `surface`, whose scale is that of the first stage. `sums` are those of the whole adjusted row
/// at that scale, masses included, if they are known already.
pub(crate) fn truncate<'a>(
    surface: &Surface<'a>,
    context: Context<'_>,
    sums: Option<&Sums>,
    room: &mut Room<'_>,
) -> Truncation<'a> {
    let mut stages = Stages {
        context,
        room,
        kept: Truncation::none(surface),
        sums: sums.copied(),
        min_keep: 1,
        threshold: None,
        radius: context.plan.config.metrics.contains(Metrics::FLIP).then_some(f64::INFINITY),
        is_crude: false,
    };
    for stage in context.plan.stages() {
        let before = stages.kept;
        stages.threshold = None;
        stages.min_keep = context.plan.min_keep_of(stage);
        match stage {
            Stage::Temperature => stages.set_temperature(context.plan.temperature),
            Stage::DynamicTemperature { low, high, exponent } => stages.dynamic_temperature(low, high, exponent),
            Stage::Argmax => stages.top_k(1, false),
            Stage::TopK { k, keep_ties } => stages.top_k(k, keep_ties),
            Stage::TopP(p) => stages.top_p(p),
            Stage::MinP(p) => stages.min_p(p),
            Stage::Typical(p) => stages.typical(p),
            Stage::Epsilon(epsilon) => stages.epsilon(epsilon),
            Stage::Eta(epsilon) => stages.eta(epsilon),
            Stage::TopNSigma(n) => stages.top_n_sigma(n),
            Stage::TopA(a) => stages.top_a(a),
            Stage::TailFree(z) => stages.tail_free(z),
            Stage::TopH(h) => stages.top_h(h),
            Stage::Xtc { probability, threshold } => stages.xtc(probability, threshold),
            Stage::Mirostat(version) => stages.mirostat(version),
        }
        stages.certify(stage, &before);
    }
    let radius = stages.radius.unwrap_or(f64::INFINITY);
    // A temperature that follows the logits leaves no bound for the draw either.
    Truncation { radius: if stages.is_crude { 0.0 } else { radius }, ..stages.kept }
}

/// The rank key of a cut: kept are the keys from it up.
pub(crate) fn cut_key(cut: Cut) -> u64 {
    rank_key(cut.logit, cut.token)
}
