//! The laws, each on what reached its stage, in f64 and by sorting.

use argpick::numeric::{exponent, exponent_scale, weight, weight_to_mass};
use argpick::rng::{Purpose, StepNumbers};
use argpick::{Config, Mirostat, Profile};

/// A token of the order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    pub token: u32,
    pub logit: f32,
}

/// What reached a stage, and what follows from it.
pub struct Before<'a> {
    config: &'a Config,
    valid: usize,
    position: u64,
    mu: f64,
    temperature: f32,
    /// That of the weights.
    t: f64,
    pub z: Vec<Ranked>,
    p: Vec<f64>,
    ln_z: f64,
    entropy: f64,
}

impl<'a> Before<'a> {
    pub fn new(context: (&'a Config, usize, u64, f64), temperature: f32, z: Vec<Ranked>) -> Before<'a> {
        let (config, valid, position, mu) = context;
        // Weights have temperatures of 2^-60 to 2^60 times log2 e.
        let held = |power: i32| 2f64.powi(power) * std::f64::consts::LOG2_E;
        let t = f64::from(temperature).clamp(held(-60), held(60));
        let first = f64::from(z[0].logit);
        let weights: Vec<f64> = z.iter().map(|r| ((f64::from(r.logit) - first) / t).exp()).collect();
        let total: f64 = weights.iter().rev().sum();
        let p: Vec<f64> = weights.iter().map(|w| w / total).collect();
        let entropy = p.iter().rev().filter(|&&p| p > 0.0).map(|p| -p * p.ln()).sum();
        Before { config, valid, position, mu, temperature, t, z, p, ln_z: total.ln(), entropy }
    }

    fn first(&self) -> f64 {
        f64::from(self.z[0].logit)
    }

    /// The mass that integers may lose.
    fn lost(&self) -> f64 {
        self.z.len() as f64 * 2f64.powi(-40)
    }

    /// What the stage keeps at least.
    fn least(&self, stage: &str) -> usize {
        let asks = match self.config.profile {
            Profile::Canon => true,
            Profile::HuggingFace => stage != "top_h",
            Profile::LlamaCpp => !["top_k", "top_n_sigma", "mirostat", "temperature"].contains(&stage),
            Profile::Vllm => false,
        };
        let least = if asks { (self.config.min_keep as usize).max(1) } else { 1 };
        least.min(self.z.len())
    }

    /// The number of a prefix; the error if what is kept is none.
    fn prefix(&self, kept: &[Ranked]) -> Result<usize, String> {
        if kept == &self.z[..kept.len()] {
            Ok(kept.len())
        } else {
            Err("what is kept is no prefix of the order".to_owned())
        }
    }

    /// What a threshold keeps: `value` falls along the order; `error` is what rounding may move one of the two by.
    fn threshold(
        &self,
        kept: &[Ranked],
        least: usize,
        limit: f64,
        value: impl Fn(usize) -> f64,
        error: f64,
    ) -> Result<f64, String> {
        let n = self.prefix(kept)?;
        let exact = (0..self.z.len()).take_while(|&i| value(i) >= limit).count().max(least);
        if n == exact {
            return Ok(0.0);
        }
        // The tokens on which the two disagree are all as near to the limit as this.
        let (from, to) = (n.min(exact), n.max(exact));
        let off = (from..to).map(|i| (value(i) - limit).abs()).fold(0.0, f64::max);
        if n < least || off > error {
            return Err(format!("keeps {n}, by the law {exact}; off by {off:e}, {error:e} is allowed"));
        }
        Ok(off / error)
    }

    /// Half a unit in the last place of a threshold, which is rounded to f32 once.
    fn rounding(&self, threshold: f64) -> f64 {
        threshold.abs() * 2f64.powi(-23) + 1.5e-45
    }

    /// A filter with a threshold of ln p: as a logit.
    fn by_probability(&self, kept: &[Ranked], least: usize, ln_limit: f64, error: f64) -> Result<f64, String> {
        let t = self.t;
        let limit = self.first() + t * (ln_limit + self.ln_z);
        let error = t * (error + 2.0 * self.lost()) + self.rounding(limit);
        self.threshold(kept, least, limit, |i| f64::from(self.z[i].logit), error)
    }

    fn with_equals(&self, least: usize) -> usize {
        let mut least = least;
        while self.config.profile == Profile::HuggingFace
            && least < self.z.len()
            && self.z[least].logit == self.z[least - 1].logit
        {
            least += 1;
        }
        least
    }

    /// Judges what a stage has kept; the answer is how much of the allowed error it used.
    pub fn judge(&self, stage: &str, kept: &[Ranked], after: f32) -> Result<f64, String> {
        let (config, least, count) = (self.config, self.least(stage), self.z.len());
        let t = f64::from(self.temperature);
        if stage != "temperature" && stage != "dynatemp_range" && after != self.temperature {
            return Err(format!("changes the temperature to {after}"));
        }
        let exactly = |expected: usize| match self.prefix(kept)? {
            n if n == expected => Ok(0.0),
            n => Err(format!("keeps {n}, by the law {expected}")),
        };
        match stage {
            "temperature" if config.temperature == 0.0 => exactly(1),
            "temperature" if after == config.temperature => exactly(count),
            "dynatemp_range" => {
                exactly(count)?;
                self.dynamic(after)
            }
            "top_k" => {
                let mut n = (config.top_k as usize).max(least).min(count);
                let ties = config.keep_ties || matches!(config.profile, Profile::HuggingFace | Profile::Vllm);
                while ties && n < count && self.z[n].logit == self.z[n - 1].logit {
                    n += 1;
                }
                exactly(n)
            }
            "top_p" => {
                let n = self.prefix(kept)?;
                let mass = |n: usize| self.p[..n].iter().sum::<f64>();
                let (limit, error) = (f64::from(config.top_p), 1e-6 + self.lost());
                let (short, long) = (limit - mass(n), if n > least { mass(n - 1) - limit } else { f64::MIN });
                // The crossing token is in, so without it the mass is below the limit.
                let off = if n < least { f64::MAX } else { short.max(long) };
                if off > error && (n < count || long > error) {
                    return Err(format!("keeps {n} with a mass of {}; {off:e} off", mass(n)));
                }
                Ok((off / error).clamp(0.0, 1.0))
            }
            "min_p" => {
                let limit = self.first() + t * f64::from(config.min_p).ln();
                self.threshold(kept, least, limit, |i| f64::from(self.z[i].logit), self.rounding(limit))
            }
            "typical_p" => self.typical(kept, least),
            "epsilon_cutoff" => {
                let ln = f64::from(config.epsilon_cutoff).ln();
                self.by_probability(kept, self.with_equals(least), ln, 1e-6)
            }
            "eta_cutoff" => {
                let epsilon = f64::from(config.eta_cutoff).ln();
                let ln = epsilon.min(0.5 * epsilon - self.entropy);
                self.by_probability(kept, self.with_equals(least), ln, 2e-6 * (1.0 + self.entropy) + 40.0 * self.lost())
            }
            "top_a" => self.by_probability(kept, least, f64::from(config.top_a).ln() - 2.0 * self.ln_z, 2e-6),
            "top_n_sigma" => {
                let below = |r: &Ranked| self.first() - f64::from(r.logit);
                let mean = self.z.iter().map(below).sum::<f64>() / count as f64;
                let spread = self.z.iter().map(|r| (below(r) - mean).powi(2)).sum::<f64>() / count as f64;
                let square = self.z.iter().map(|r| below(r).powi(2)).sum::<f64>() / count as f64;
                let n = f64::from(config.top_n_sigma);
                let limit = self.first() - n * spread.sqrt();
                // The variance is a difference of sums of f32 squares.
                let known = (2e-6 * square / spread.sqrt().max(1e-300)).min(2e-3 * square.sqrt());
                let error = n * known + self.rounding(limit);
                self.threshold(kept, least, limit, |i| f64::from(self.z[i].logit), error)
            }
            "tfs_z" => exactly(self.tail_free(least)),
            "top_h" => self.top_h(kept, least),
            "xtc_probability" => self.xtc(kept, least),
            "mirostat" if config.mirostat == Mirostat::Two => {
                self.by_probability(kept, least, -self.mu * std::f64::consts::LN_2, 1e-6 + self.mu.abs() * 1e-6)
            }
            "mirostat" => self.mirostat_one(kept, least),
            "greedy" => exactly(1),
            _ => Err("is no stage".to_owned()),
        }
    }

    fn dynamic(&self, after: f32) -> Result<f64, String> {
        let config = self.config;
        let low = f64::from((config.temperature - config.dynatemp_range).max(0.0));
        let high = f64::from(config.temperature + config.dynatemp_range);
        let at = |entropy: f64| {
            let share = (entropy / (self.z.len() as f64).ln()).clamp(0.0, 1.0);
            (low + (high - low) * share.powf(f64::from(config.dynatemp_exponent))).max(2f64.powi(-10))
        };
        let after = f64::from(after);
        if self.z.len() == 1 {
            let configured = if config.temperature == 0.0 { 1.0 } else { f64::from(config.temperature) };
            return if after == configured.max(2f64.powi(-10)) { Ok(0.0) } else { Err(format!("gives {after}")) };
        }
        let blur = 2e-6 * (1.0 + self.entropy) + 80.0 * self.lost();
        let (least, most) = (at(self.entropy - blur) * (1.0 - 1e-6), at(self.entropy + blur) * (1.0 + 1e-6));
        if after < least || after > most { Err(format!("gives {after}, not {least} to {most}")) } else { Ok(0.0) }
    }

    fn typical(&self, kept: &[Ranked], least: usize) -> Result<f64, String> {
        let below: f64 = (0..self.z.len())
            .rev()
            .map(|i| self.p[i] * (self.first() - f64::from(self.z[i].logit)))
            .filter(|x| x.is_finite())
            .sum();
        let centre = self.first() - below;
        let blur = 2e-6 * below + 1e-6 * self.t + 40.0 * self.lost() * below.min(1.0);
        let distance = |r: &Ranked| (f64::from(r.logit) - centre).abs();
        let mut is_kept = vec![false; self.z.len()];
        let mut next = 0;
        for (i, r) in self.z.iter().enumerate() {
            if kept.get(next) == Some(r) {
                is_kept[i] = true;
                next += 1;
            }
        }
        if next != kept.len() || kept.is_empty() || kept.len() < least {
            return Err(format!("keeps {}, {} of them in the order", kept.len(), next));
        }
        let (mut farthest, mut nearest, mut mass, mut last) = (0.0f64, f64::INFINITY, 0.0, 0.0f64);
        for (i, r) in self.z.iter().enumerate() {
            if is_kept[i] {
                farthest = farthest.max(distance(r));
                mass += self.p[i];
            } else {
                nearest = nearest.min(distance(r));
            }
            // Of equal logits the lower ids stay.
            if i > 0 && is_kept[i] && !is_kept[i - 1] && self.z[i - 1].logit == r.logit {
                return Err(format!("keeps {r:?}, but not {:?}", self.z[i - 1]));
            }
        }
        let rounding = farthest * 2f64.powi(-23) + 1.5e-45;
        let over = farthest - nearest;
        if over > 2.0 * blur + 2.0 * rounding {
            return Err(format!("keeps a distance of {farthest}, but not one of {nearest}"));
        }
        let (limit, error) = (f64::from(self.config.typical_p), 1e-6 + 2.0 * self.lost());
        if kept.len() < self.z.len() && limit - mass > error {
            return Err(format!("keeps a mass of {mass}"));
        }
        // Without those of the largest distance it must be short of the mass, but for what min_keep holds.
        let mut equals = 0;
        for (i, r) in self.z.iter().enumerate() {
            if is_kept[i] && distance(r) >= farthest - 2.0 * blur - 2.0 * rounding {
                last = last.max(self.p[i]);
                equals += 1;
            }
        }
        let whole = self.config.profile == Profile::HuggingFace;
        let spare = if whole { last * f64::from(equals) } else { last };
        if kept.len() > least && mass - spare - limit > error && kept.len() > 1 {
            return Err(format!("keeps {} with {mass}, of which {spare} was not needed", kept.len()));
        }
        Ok(0.0)
    }

    /// In the integers of the law: curvatures are made of the last bits of nearly equal masses.
    fn tail_free(&self, least: usize) -> usize {
        let (listed, scale) = (self.z.len().min(4096), exponent_scale(self.temperature));
        if listed < 3 {
            return listed.max(least);
        }
        let q: Vec<i128> = self.z[..listed]
            .iter()
            .map(|r| i128::from(weight_to_mass(weight(exponent(r.logit, self.z[0].logit, scale)))))
            .collect();
        let bends: Vec<i128> = q.windows(3).map(|q| (q[0] - 2 * q[1] + q[2]).abs()).collect();
        let whole: i128 = bends.iter().sum();
        if whole == 0 {
            return listed.max(least);
        }
        let share = (f64::from(self.config.tfs_z) * 2f64.powi(32)).round() as i128;
        let mut sum = 0;
        let fitting = bends.iter().take_while(|&&bend| {
            sum += bend;
            sum << 32 <= share * whole
        });
        (1 + fitting.count()).max(least)
    }

    fn top_h(&self, kept: &[Ranked], least: usize) -> Result<f64, String> {
        let n = self.prefix(kept)?;
        let measured = self.z.len().min(100);
        let among: f64 = self.p[..measured].iter().sum();
        let parts: Vec<f64> =
            self.p[..measured].iter().map(|p| p / among).map(|p| if p > 0.0 { -p * p.ln() } else { 0.0 }).collect();
        let whole: f64 = parts.iter().sum();
        let limit = f64::from(self.config.top_h) * whole;
        let sum = |n: usize| parts[..n].iter().sum::<f64>();
        let error = 2e-6 * (whole + 1.0) + 1e-9;
        let (n, held) = (n.min(measured), n.max(measured));
        let fits = n <= least.max(1) || sum(n) <= limit + error;
        let full = n == measured || sum(n + 1) > limit - error;
        let beyond = held <= measured.max(least);
        if fits && full && beyond && kept.len() >= least {
            return Ok(0.0);
        }
        Err(format!("keeps {} with {} of {whole}; the limit is {limit}", kept.len(), sum(n)))
    }

    fn xtc(&self, kept: &[Ranked], least: usize) -> Result<f64, String> {
        let config = self.config;
        let number = StepNumbers::new(config.seed, config.stream, self.position, Purpose::Xtc).next_number();
        let acts = ((number >> 32) as f64) < (f64::from(config.xtc_probability) * 2f64.powi(32)).round();
        let removed = self.z.len() - kept.len();
        if kept != &self.z[removed..] {
            return Err("removes others than the first".to_owned());
        }
        let threshold = f64::from(config.xtc_threshold);
        let likely = |limit: f64| self.p.iter().take_while(|&&p| p >= limit).count();
        let expected = |count: usize| match count {
            _ if !acts || count < 2 || self.z.len() - (count - 1) < least => 0,
            count => count - 1,
        };
        let all = self.z.len();
        let (low, high) = match threshold {
            0.0 => (all, all),
            _ => (likely(threshold * (1.0 + 4e-6)), likely(threshold * (1.0 - 4e-6))),
        };
        let near = (low..=high).any(|count| expected(count) == removed);
        if near { Ok(0.0) } else { Err(format!("removes {removed}, by the law {}", expected(likely(threshold)))) }
    }

    fn mirostat_one(&self, kept: &[Ranked], least: usize) -> Result<f64, String> {
        let n = self.prefix(kept)?;
        let (mut products, mut squares) = (0.0, 0.0);
        for i in 1..self.z.len().min(100) {
            let t = ((i as f64 + 1.0) / i as f64).ln();
            let b = f64::from(self.z[i - 1].logit) - f64::from(self.z[i].logit);
            products += t * b / self.t;
            squares += t * t;
        }
        let s = if squares > 0.0 { products / squares } else { 1.0 };
        let (e, v) = (s - 1.0, self.valid as f64);
        // By logarithms, so that no large mu overflows.
        let tokens = |mu: f64| {
            let factor = if e.abs() < 1e-9 { 1.0 / v.ln() } else { e / (1.0 - v.powf(-e)) };
            let ratio = mu + factor.log2();
            let k = if s > 0.0 {
                (ratio / s).exp2()
            } else if ratio < 0.0 {
                0.0
            } else {
                f64::INFINITY
            };
            if k < v { k.max(1.0) } else { v }
        };
        let slack = 1e-6 * (1.0 + self.mu.abs());
        let low = (tokens(self.mu - slack) * (1.0 - 1e-6)).floor() as usize;
        let high = (tokens(self.mu + slack) * (1.0 + 1e-6)).floor() as usize;
        let (low, high) = (low.max(least).min(self.z.len()), high.max(least).min(self.z.len()));
        if (low..=high).contains(&n) { Ok(0.0) } else { Err(format!("keeps {n}, by the law {low} to {high}")) }
    }
}
