//! Questions about a row that no token is picked for: the best tokens, the kept ones, the probability of one.

use super::Decoder;
use super::step::{Inputs, Opened, open};
use crate::constrain::{Adjustments, Rules};
use crate::distribution::{Target, Truncation, first_tokens};
use crate::error::Result;
use crate::kernels::{Cut, with_default_environment};
use crate::logits::Surface;
use crate::selection::inversion::target_of_row;
use crate::trace::metrics::{logprob_among, mass_kept};
use crate::types::{BLOCK, Row, TokenId};

/// A token of a row, with its logit and its probability among some of the row's tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Candidate {
    /// The token.
    pub token: TokenId,
    /// Its logit after biases and masks, before temperature.
    pub logit: f32,
    /// The natural logarithm of its probability at the configured temperature.
    pub logprob: f32,
}

impl<S: AsRef<[u64]> + AsMut<[u64]>> Decoder<S> {
    /// Writes the first `best.len()` tokens of the order (highest logit first, lower id first among equals) of the row
    /// after biases and masks, before truncation; `logprob` is among all tokens. Returns how many there are: fewer where
    /// fewer take part. Costs a pass of exponentials.
    ///
    /// # Errors
    /// As [`Decoder::evaluate`].
    pub fn top<'r>(&mut self, row: impl Into<Row<'r>>, mask: Option<&[u32]>, best: &mut [Candidate]) -> Result<usize> {
        self.with_row(row.into(), mask, |opened| list_best(&opened.surface, best))
    }

    /// The same of the row as given, at temperature 1: without penalties, biases and bans. `logprob` is then what
    /// `logprob_raw` is for the token picked.
    ///
    /// # Errors
    /// As [`Decoder::evaluate`].
    pub fn top_raw<'r>(
        &mut self,
        row: impl Into<Row<'r>>,
        mask: Option<&[u32]>,
        best: &mut [Candidate],
    ) -> Result<usize> {
        let row = row.into();
        self.check_row(row.len())?;
        with_default_environment(|| self.list_as_given(row, mask, best))
    }

    #[inline(never)]
    fn list_as_given(&mut self, row: Row<'_>, mask: Option<&[u32]>, best: &mut [Candidate]) -> Result<usize> {
        let (inputs, scratch) = self.inputs(None);
        let lists = Adjustments::none(Rules::new(inputs.plan));
        let opened = open(row.into(), Inputs { mask, lists, ..inputs }, scratch)?;
        Ok(list_best(&opened.surface.at_temperature(1.0), best))
    }

    /// Writes the tokens that the filters keep to `kept`, in ascending order of id, as far as there is room; `logprob` is
    /// among the kept tokens. Returns how many are kept, which may be more than were written.
    ///
    /// # Errors
    /// As [`Decoder::evaluate`].
    pub fn kept<'r>(&mut self, row: impl Into<Row<'r>>, mask: Option<&[u32]>, kept: &mut [Candidate]) -> Result<usize> {
        self.with_row(row.into(), mask, |opened| {
            let truncation = opened.truncate();
            let Truncation { ref surface, cut, .. } = truncation;
            let shares = Shares::new(opened, &truncation);
            list_kept(surface, cut, kept, |logit| shares.logprob(logit));
            surface.kernels.kept_count(&surface.view, surface.maxima, cut) as usize
        })
    }

    /// The probability with which `token` is picked from this row as configured: 0 if a filter removes it; in greedy mode
    /// 1 or 0.
    ///
    /// # Errors
    /// As [`Decoder::evaluate`], and [`Error::TokenOutOfRange`](crate::Error::TokenOutOfRange).
    pub fn probability_of<'r>(&mut self, row: impl Into<Row<'r>>, mask: Option<&[u32]>, token: TokenId) -> Result<f32> {
        self.check_tokens(&[token])?;
        self.with_row(row.into(), mask, |opened| {
            let truncation = opened.truncate();
            let Truncation { ref surface, cut, .. } = truncation;
            let logit = surface.view.logit(token);
            if logit == f32::NEG_INFINITY || !cut.keeps(logit, token) {
                return 0.0;
            }
            Shares::new(opened, &truncation).probability(logit)
        })
    }

    pub(crate) fn with_row<T>(
        &mut self,
        row: Row<'_>,
        mask: Option<&[u32]>,
        answer: impl FnMut(&mut Opened<'_>) -> T,
    ) -> Result<T> {
        self.with_shifted_row(row, mask, 0.0, answer)
    }

    /// Shows a row to `answer`. The rules that adjust it see each logit less `shift`: a normaliser makes logits
    /// log-probabilities.
    pub(crate) fn with_shifted_row<T>(
        &mut self,
        row: Row<'_>,
        mask: Option<&[u32]>,
        shift: f64,
        mut answer: impl FnMut(&mut Opened<'_>) -> T,
    ) -> Result<T> {
        self.check_row(row.len())?;
        with_default_environment(|| self.answer(row, mask, shift, &mut answer))
    }

    #[inline(never)]
    fn answer<T>(
        &mut self,
        row: Row<'_>,
        mask: Option<&[u32]>,
        shift: f64,
        answer: &mut impl FnMut(&mut Opened<'_>) -> T,
    ) -> Result<T> {
        let (mut inputs, scratch) = self.inputs(mask);
        inputs.lists.rules.shift = shift;
        Ok(answer(&mut open(row.into(), inputs, scratch)?))
    }
}

/// The first tokens of the order, best first, with their log-probabilities among all; returns how many there are.
fn list_best(surface: &Surface<'_>, best: &mut [Candidate]) -> usize {
    if best.is_empty() {
        return 0;
    }
    let cut = first_tokens(surface, best.len() as u64);
    let mass = mass_kept(surface, Cut::ALL);
    let count = list_kept(surface, cut, best, |logit| logprob_among(surface, logit, mass));
    best[..count].sort_unstable_by(|a, b| b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token)));
    count
}

/// The shares that kept tokens have in a draw.
struct Shares<'t, 'a> {
    surface: &'t Surface<'a>,
    mass: u64,
    /// Where the distribution is reshaped around a target.
    target: Option<Target>,
}

impl<'t, 'a> Shares<'t, 'a> {
    fn new(opened: &Opened<'_>, kept: &'t Truncation<'a>) -> Self {
        let mass = mass_kept(&kept.surface, kept.cut);
        let target = opened.plan.adaptive.then(|| target_of_row(kept, (&opened.plan.config, &opened.state), mass));
        let mut shares = Shares { surface: &kept.surface, mass, target };
        if let Some(target) = &shares.target {
            let mut total = 0;
            each_kept(&kept.surface, kept.cut, |_, logit| {
                total += target.shape_logit(logit, kept.surface.scale).mass();
                true
            });
            shares.mass = total;
        }
        shares
    }

    fn logprob(&self, logit: f32) -> f32 {
        match &self.target {
            Some(target) => target.shape_logit(logit, self.surface.scale).logprob(self.mass) as f32,
            None => logprob_among(self.surface, logit, self.mass),
        }
    }

    fn probability(&self, logit: f32) -> f32 {
        let scale = self.surface.scale;
        let own = match &self.target {
            Some(target) => target.shape_logit(logit, scale).mass(),
            None => scale.mass(logit),
        };
        (own as f64 / self.mass as f64) as f32
    }
}

/// Writes the tokens that a cut keeps, in ascending order, as far as there is room; returns how many were written.
fn list_kept(surface: &Surface<'_>, cut: Cut, list: &mut [Candidate], logprob: impl Fn(f32) -> f32) -> usize {
    let mut count = 0;
    each_kept(surface, cut, |token, logit| {
        let Some(slot) = list.get_mut(count) else { return false };
        // -0.0 and 0.0 are one logit.
        *slot = Candidate { token, logit: logit + 0.0, logprob: logprob(logit) };
        count += 1;
        true
    });
    count
}

/// Calls `each` for the tokens that a cut keeps, in ascending order, until it answers false.
fn each_kept(surface: &Surface<'_>, cut: Cut, mut each: impl FnMut(TokenId, f32) -> bool) {
    let mut next = surface.kernels.find_at_least(surface.maxima, 0, cut.logit);
    while let Some(block) = next {
        let first = block * BLOCK;
        for token in first..(first + BLOCK).min(surface.view.valid) {
            let token = token as TokenId;
            let logit = surface.view.logit(token);
            if logit > f32::NEG_INFINITY && cut.keeps(logit, token) && !each(token, logit) {
                return;
            }
        }
        next = surface.kernels.find_at_least(surface.maxima, block + 1, cut.logit);
    }
}
