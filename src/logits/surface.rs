//! The first pass over a row, and the argmax and margin that fall out of it.

use crate::constrain::{Adjustments, adjust, first_invalid};
use crate::error::{Error, Result};
use crate::kernels::{Band, Kernels, Override, RowView, Scale};
use crate::numeric::{LOG2_E, exponent_scale};
use crate::types::{BLOCK, TokenId};

/// A row after its first pass: checked, adjusted, with the maxima of its blocks.
#[derive(Clone, Copy)]
pub(crate) struct Surface<'a> {
    pub kernels: Kernels,
    pub view: RowView<'a>,
    /// Maxima of the blocks of 64 tokens, after adjustments; a multiple of 16, filled up with -inf.
    pub maxima: &'a [f32],
    /// Maxima of 16 blocks each, filled up likewise.
    pub group_maxima: &'a [f32],
    /// The largest logit as given.
    pub raw_maximum: f32,
    /// The largest logit after adjustments, and the scale of the configured temperature.
    pub scale: Scale,
    pub temperature: f32,
}

/// What the first pass leaves in the scratch memory, by value, so that an in-place call can let go of the row.
#[derive(Clone, Copy)]
pub(crate) struct Prepared {
    pub overrides: usize,
    pub raw_maximum: f32,
    pub maximum: f32,
}

/// Reads the row once: checks it, applies penalties, biases and masks, finds the maxima. `overrides`, `maxima` and `group_maxima` are
/// filled. Fails on a bad logit and on a row with nothing left.
pub(crate) fn prepare(
    kernels: Kernels,
    view: &RowView<'_>,
    lists: &Adjustments<'_>,
    overrides: &mut [Override],
    maxima: &mut [f32],
    group_maxima: &mut [f32],
) -> Result<Prepared> {
    let first = kernels.block_maxima(view, maxima);
    let bad = if first.has_nan || first.maximum == f32::INFINITY { first_invalid(view) } else { None };
    let count = adjust(kernels, view, lists, bad, overrides, maxima)?;
    let maximum = kernels.fold_maxima(maxima, group_maxima);
    if maximum == f32::NEG_INFINITY {
        return Err(Error::EverythingMasked);
    }
    Ok(Prepared { overrides: count, raw_maximum: first.maximum, maximum })
}

impl<'a> Surface<'a> {
    /// The token with the highest logit, the lowest id among equals.
    pub fn argmax(&self) -> TokenId {
        let maximum = self.scale.maximum;
        let group = self.kernels.find_equal(self.group_maxima, maximum).unwrap_or(0);
        let within = self.kernels.find_equal(&self.maxima[16 * group..16 * group + 16], maximum).unwrap_or(0);
        let block = 16 * group + within;
        let found = self.kernels.nth_equal(&self.view, self.maxima, block, maximum, 0);
        found.unwrap_or((block * BLOCK) as TokenId)
    }

    /// The highest logit minus the second highest; +inf if only one token takes part. `argmax` is [`Surface::argmax`].
    pub fn margin(&self, argmax: TokenId) -> f32 {
        let block = argmax as usize / BLOCK;
        let group = block / 16;
        let group_blocks = &self.maxima[16 * group..16 * group + 16];
        let within = block % 16;
        let candidates = [
            self.kernels.runner_up(&self.view, block, argmax),
            self.kernels.largest(&group_blocks[..within]),
            self.kernels.largest(&group_blocks[within + 1..]),
            self.kernels.largest(&self.group_maxima[..group]),
            self.kernels.largest(&self.group_maxima[group + 1..]),
        ];
        let second = candidates.into_iter().fold(f32::NEG_INFINITY, |second, x| if x > second { x } else { second });
        self.scale.maximum - second
    }

    /// The largest logit in a band of the order, among the tokens that the view has; -inf if there is none.
    pub fn largest_in(&self, band: Band) -> f32 {
        let view = RowView { band: Some(band), ..self.view };
        let mut largest = f32::NEG_INFINITY;
        let mut next = self.kernels.find_at_least(self.maxima, 0, band.last.logit);
        while let Some(block) = next {
            let found = self.kernels.block_maximum(&view, view.overrides, block);
            largest = if found > largest { found } else { largest };
            let least = if largest > band.last.logit { largest } else { band.last.logit };
            next = self.kernels.find_at_least(self.maxima, block + 1, least);
        }
        largest
    }

    /// The temperature that the weights have: the one in force, unless the scale cannot hold it.
    pub fn temperature_of_weights(&self) -> f64 {
        let temperature = f64::from(self.temperature);
        if self.temperature > 1e-18 && self.temperature < 1e18 {
            temperature
        } else {
            LOG2_E / f64::from(self.scale.scale)
        }
    }

    /// The same row at another temperature.
    pub fn at_temperature(&self, temperature: f32) -> Surface<'a> {
        if temperature == self.temperature {
            return *self;
        }
        let scale = Scale { scale: exponent_scale(temperature), ..self.scale };
        Surface { scale, temperature, ..*self }
    }

    /// The error for a row whose largest logit overflows when it is divided by the temperature.
    pub fn first_overflow(&self) -> Error {
        let overflowing = (0..self.view.valid as TokenId)
            .map(|token| (token, self.view.logit(token) / self.temperature))
            .find(|&(_, scaled)| scaled == f32::INFINITY);
        let (index, value) = overflowing.unwrap_or((0, f32::INFINITY));
        Error::InvalidLogit { index, value }
    }
}
