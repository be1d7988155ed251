//! Top-p, the nucleus (Holtzman et al. 2020): the smallest prefix of the order that has this probability.
//!
//! Law: of what reached the filter, the smallest prefix with `mass 2^32 >= P Q` stays, `P = round(p 2^32)` and Q the whole
//! mass, all integers; the token that crosses the line is in.

use super::{Room, Stages, cut};
use crate::kernels::{Cut, Sums};
use crate::logits::Surface;
use crate::numeric::nucleus_target;

impl Stages<'_, '_, '_> {
    pub(super) fn top_p(&mut self, p: u64) {
        if let Some(count) = self.kept.listed {
            let last = self.nucleus_key(p, count);
            self.keep_keys(last, count);
            return;
        }
        let surface = &self.kept.surface;
        let cut = if self.kept.is_whole() {
            nucleus_cut(surface, p, self.sums.as_ref().filter(|sums| sums.mass != 0), f32::MIN)
        } else {
            let (total, _) = surface.kernels.kept_and_total_mass(
                &surface.view,
                surface.maxima,
                self.kept.cut.logit,
                surface.scale,
                self.kept.cut,
            );
            cut::first_mass(surface, nucleus_target(p, total).max(1), total, f32::MIN)
        };
        self.keep_to(cut);
    }

    /// The key of the last token of the list's nucleus, at least the first `min_keep` of the list.
    fn nucleus_key(&mut self, p: u64, count: usize) -> u64 {
        let total = self.sort_list_with_masses(count);
        let Room { work, masses, .. } = &*self.room;
        let target = nucleus_target(p, total);
        let mut mass = 0;
        for (i, &m) in masses[..count].iter().enumerate() {
            mass += m;
            if mass >= target && i + 1 >= self.min_keep {
                return work[i];
            }
        }
        work[count - 1]
    }
}

/// The cut of the nucleus of the whole row: the smallest prefix whose mass reaches `p` (units of 2^-32).
///
/// `least` is a logit that the last token is known to reach; the fewer reach it, the sooner it is found.
pub(crate) fn nucleus_cut(surface: &Surface<'_>, p: u64, sums: Option<&Sums>, least: f32) -> Cut {
    match sums {
        Some(sums) => cut::first_mass(surface, nucleus_target(p, sums.mass).max(1), sums.mass, least),
        None => cut::nucleus(surface, p),
    }
}
