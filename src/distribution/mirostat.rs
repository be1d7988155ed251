//! Mirostat (Basu et al. 2020): truncation that holds the surprise of what is picked near a target, in bits.
//!
//! Version 1 estimates Zipf's exponent s from the first 100 tokens, `s = sum t b / sum t^2` with `b = ln(p_i / p_(i+1))` and
//! `t = ln((i+2)/(i+1))`, and keeps the first `k = ((e 2^mu) / (1 - V^-e))^(1/s)` tokens, `e = s - 1`. Version 2 keeps the
//! tokens whose surprise `-log2 p` is at most mu. Both keep at least one token (`min_keep`), and both then learn from the pick:
//! `mu <- mu - eta (surprise - tau)`, the surprise among what was kept; mu starts at 2 tau. (llama.cpp's rules, here in f64.)

use super::Stages;
use super::flip::radius_of_mirostat_count;
use crate::numeric::{LOG2_E, exponential2, natural_logarithm, power, rank_key_parts};
use crate::plan::{Config, MIROSTAT_TOKENS, Mirostat};

const LN_2: f64 = core::f64::consts::LN_2;

impl Stages<'_, '_, '_> {
    pub(super) fn mirostat(&mut self, version: Mirostat) {
        let mu = f64::from(self.context.state.mirostat_mu);
        match version {
            Mirostat::Off => {}
            Mirostat::One => {
                let k = self.mirostat_count(mu).max(self.min_keep);
                if k <= self.list_room() {
                    self.list_first(k);
                } else {
                    self.keep_first(k);
                }
            }
            Mirostat::Two => {
                let threshold = self.logit_of_probability(-mu * LN_2);
                self.keep_from(threshold);
            }
        }
    }

    /// How many tokens version 1 keeps. Leaves what is kept as it was, but for the list's memory.
    fn mirostat_count(&mut self, mu: f64) -> usize {
        let before = self.kept;
        self.list_first(MIROSTAT_TOKENS);
        let count = self.kept.listed.unwrap_or(0);
        self.sort_list(count);
        let temperature = self.kept.surface.temperature_of_weights();
        let logit = |key: u64| f64::from(rank_key_parts(key).0);
        let (mut products, mut squares) = (0.0, 0.0);
        for (i, pair) in self.room.work[..count].windows(2).enumerate() {
            let t = natural_logarithm((i as f64 + 2.0) / (i as f64 + 1.0));
            products += t * ((logit(pair[0]) - logit(pair[1])) / temperature);
            squares += t * t;
        }
        self.kept = before;
        let vocab = self.context.plan.valid;
        let exponent = if squares > 0.0 { products / squares } else { 1.0 };
        let ratio = |exponent: f64| {
            let (excess, surprise) = (exponent - 1.0, power(2.0, mu));
            if excess > -1e-9 && excess < 1e-9 {
                // The limit for an exponent of 1.
                surprise / natural_logarithm(vocab as f64)
            } else {
                excess * surprise / (1.0 - power(vocab as f64, -excess))
            }
        };
        // An even row has the exponent 0: its limit is all tokens or the first.
        let k = match ratio(exponent) {
            // 2^mu alone is more than f64 holds, and all else is nothing beside it.
            f64::INFINITY if exponent > 0.0 => exponential2(mu / exponent),
            ratio if exponent > 0.0 => power(ratio, 1.0 / exponent),
            few if few < 1.0 => 0.0,
            _ => f64::INFINITY,
        };
        let k = if k < vocab as f64 { (k as usize).max(1) } else { vocab };
        if self.certifies {
            let temperature = self.kept.surface.temperature;
            let ln_ratio = |exponent: f64| natural_logarithm(ratio(exponent));
            self.own_radius = radius_of_mirostat_count((exponent, squares), k, vocab, temperature, ln_ratio);
        }
        k
    }
}

/// Mu after a pick whose natural log-probability among what was kept is `logprob`.
pub(crate) fn updated_mu(config: &Config, mu: f32, logprob: f64) -> f32 {
    let surprise = -logprob * LOG2_E;
    (f64::from(mu) - f64::from(config.mirostat_eta) * (surprise - f64::from(config.mirostat_tau))) as f32
}
