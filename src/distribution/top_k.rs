//! Top-k (Fan et al. 2018): the k highest logits.
//!
//! Law: exactly `min(k, kept before)` tokens, equal logits by lower id; with `keep_ties` also every token that equals the
//! k-th, which is what comparing values with the k-th largest does (Hugging Face, vLLM).

use super::{Stages, cut, cut_key};
use crate::kernels::Cut;
use crate::plan::LIST_LIMIT;
use crate::types::TokenId;

impl Stages<'_, '_, '_> {
    pub(super) fn top_k(&mut self, k: usize, keep_ties: bool) {
        let listed_before = self.kept.listed;
        let before = self.kept.cut;
        if listed_before.is_some() || k <= LIST_LIMIT {
            self.list_first_with_ties(k, keep_ties, before);
            return;
        }
        let mut cut = cut::first_tokens(&self.kept.surface, k as u64);
        if keep_ties {
            cut.token = TokenId::MAX;
        }
        self.set_cut(cut);
    }

    fn list_first_with_ties(&mut self, k: usize, keep_ties: bool, before: Cut) {
        if let Some(count) = self.kept.listed
            && keep_ties
        {
            let last = super::list::nth_key_or_last(k, count, self.room);
            // The lowest key of that logit has the highest id.
            self.keep_keys(last & !0xffff_ffff, count);
            return;
        }
        self.list_first(k);
        if !keep_ties || self.kept.listed != Some(k) {
            return;
        }
        let surface = &self.kept.surface;
        let with_ties = before.stricter(Cut { token: TokenId::MAX, ..self.kept.cut });
        if surface.kernels.kept_count(&surface.view, surface.maxima, with_ties) as usize > k {
            // More than the list may take: the later stages work on the row.
            debug_assert!(cut_key(with_ties) <= cut_key(self.kept.cut), "ties come later");
            self.kept.cut = with_ties;
            self.kept.listed = None;
            self.sums = None;
        }
    }
}
