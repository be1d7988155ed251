//! The naive filters: each law in real arithmetic (f64) over the sorted row, in the order of each profile.
//!
//! What is kept is a list of ranks of the total order. Rounded arithmetic may fall on either side of a boundary within the
//! tolerances of the documentation; a filter therefore answers every set that it may leave, the one of real arithmetic first,
//! and a chain of filters the sets that a chain may leave. What the library keeps must be one of them.
//!
//! Tolerances: 1e-6 of the mass where a mass decides (and 2^-40 for each token); 1e-6 nat where a logarithm of the normaliser
//! does, 1e-6 (1 + H) for the entropy; half a unit in the last place of a threshold, which is rounded to f32 once.

use super::exact::{self, Weight};
use super::oracle::{Adjusted, Case, Refusal, scale, total_order};

/// Whose order and rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Canon,
    HuggingFace,
    LlamaCpp,
    Vllm,
}

/// The filters beyond top-k, top-p and min-p; the fields mean what they mean in the library's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Filters {
    pub whose: Whose,
    pub typical_p: f32,
    pub epsilon_cutoff: f32,
    pub eta_cutoff: f32,
    pub top_n_sigma: f32,
    pub top_a: f32,
    pub tfs_z: f32,
    pub top_h: f32,
    pub xtc_probability: f32,
    pub xtc_threshold: f32,
    pub keep_ties: bool,
    pub dynatemp_range: f32,
    pub dynatemp_exponent: f32,
    pub mirostat: u32,
    pub mirostat_tau: f32,
    pub mirostat_eta: f32,
    pub adaptive_target: f32,
    pub adaptive_decay: f32,
}

impl Default for Filters {
    fn default() -> Self {
        Filters {
            whose: Whose::Canon,
            typical_p: 1.0,
            epsilon_cutoff: 0.0,
            eta_cutoff: 0.0,
            top_n_sigma: 0.0,
            top_a: 0.0,
            tfs_z: 1.0,
            top_h: 0.0,
            xtc_probability: 0.0,
            xtc_threshold: 0.1,
            keep_ties: false,
            dynatemp_range: 0.0,
            dynatemp_exponent: 1.0,
            mirostat: 0,
            mirostat_tau: 5.0,
            mirostat_eta: 0.1,
            adaptive_target: -1.0,
            adaptive_decay: 0.9,
        }
    }
}

/// What the steps before left behind.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Mirostat's mu, and how far rounding may have moved it.
    pub mu: (f64, f64),
    /// Adaptive-p: decayed sum of probabilities and decayed number of picks.
    pub adaptive: (f64, f64),
}

impl Memory {
    pub fn first(filters: &Filters) -> Memory {
        let weight = 1.0 / (1.0 - f64::from(filters.adaptive_decay));
        let mu = 2.0 * f64::from(filters.mirostat_tau);
        Memory { mu: (mu, 0.0), adaptive: (f64::from(filters.adaptive_target) * weight, weight) }
    }

    /// The target probability of a step.
    pub fn target(&self, filters: &Filters) -> f64 {
        (2.0 * f64::from(filters.adaptive_target) - self.adaptive.0 / self.adaptive.1).clamp(0.0, 1.0)
    }

    /// After a pick of this log-probability among what was kept, and of this probability before adaptive-p reshaped it.
    pub fn learn(&mut self, filters: &Filters, logprob: f64, probability: f64) {
        let eta = f64::from(filters.mirostat_eta);
        let surprise = -logprob / std::f64::consts::LN_2;
        let mu = self.mu.0 - eta * (surprise - f64::from(filters.mirostat_tau));
        self.mu = (mu, self.mu.1 + eta * 4e-6 * (1.0 + surprise.abs()) + mu.abs() * 2f64.powi(-24));
        let decay = f64::from(filters.adaptive_decay);
        self.adaptive = (probability + decay * self.adaptive.0, 1.0 + decay * self.adaptive.1);
    }
}

/// A run of what reached a filter: from the first up to, not including, the second.
type Run = (usize, usize);

/// Ranks that are kept, ascending.
pub type Kept = Vec<usize>;

/// What a chain may leave.
pub struct Outcome {
    /// Tokens that take part, in the total order, and their logits.
    pub order: Vec<u32>,
    pub logits: Vec<f64>,
    pub adjusted: Adjusted,
    /// The sets it may keep; the first is that of real arithmetic. None if there were too many to tell.
    pub sets: Option<Vec<Kept>>,
    /// The temperature at the end.
    pub temperature: f32,
}

/// More alternatives than this are not told apart.
const MOST: usize = 400;

/// Runs all stages. `reported` is the temperature that the library says a dynamic one took: it is held to the law, and then
/// used, because later stages depend on it.
pub fn outcome(case: &Case, memory: &Memory, reported: f32, weight: Weight) -> Result<Outcome, Refusal> {
    let adjusted = case.adjust()?;
    let order = total_order(&adjusted.logits);
    let z: Vec<f64> = order.iter().map(|&t| f64::from(adjusted.logits[t as usize])).collect();
    let settings = &case.settings;
    let mut temperature = settings.metric_temperature();
    if settings.is_greedy() {
        return Ok(Outcome { order, logits: z, adjusted, sets: Some(vec![vec![0]]), temperature });
    }
    let stages = stages(case);
    if stages[0] != "temperature" {
        temperature = 1.0;
    }
    if settings.filters.dynatemp_range > 0.0 {
        temperature = 1.0;
    }
    let mut chain = Chain { case, z: &z, memory, temperature: f64::from(temperature), reported, weight };
    let mut sets: Option<Vec<Kept>> = Some(vec![(0..z.len()).collect()]);
    for &stage in stages {
        let mut next: Vec<Kept> = Vec::new();
        let mut unknown = false;
        for kept in sets.iter().flatten() {
            let reached: Vec<f64> = kept.iter().map(|&rank| z[rank]).collect();
            match (Chain { z: &reached, ..chain }).sets(stage) {
                Some(found) => {
                    for within in found {
                        assert!(!within.is_empty(), "{stage} keeps nothing");
                        let left: Kept = within.into_iter().map(|i| kept[i]).collect();
                        if !next.contains(&left) {
                            next.push(left);
                        }
                    }
                }
                None => unknown = true,
            }
        }
        sets = sets.filter(|_| !unknown && next.len() <= MOST).map(|_| next);
        if stage == "temperature" {
            chain.temperature = f64::from(chain.final_temperature());
        }
    }
    let temperature = chain.final_temperature();
    Ok(Outcome { order, logits: z, adjusted, sets, temperature })
}

/// The stages of the profile, in its order.
fn stages(case: &Case) -> &'static [&'static str] {
    if case.settings.filters.mirostat != 0 {
        return &["temperature", "mirostat"];
    }
    match case.settings.filters.whose {
        Whose::Canon => &[
            "temperature",
            "top_k",
            "top_p",
            "min_p",
            "typical",
            "epsilon",
            "eta",
            "top_n_sigma",
            "top_a",
            "tail_free",
            "top_h",
            "xtc",
        ],
        Whose::HuggingFace => &["temperature", "top_h", "top_k", "top_p", "min_p", "typical", "epsilon", "eta"],
        Whose::LlamaCpp => &["top_n_sigma", "top_k", "typical", "top_p", "min_p", "xtc", "temperature"],
        Whose::Vllm => &["temperature", "min_p", "top_k", "top_p"],
    }
}

#[derive(Clone, Copy)]
struct Chain<'a> {
    case: &'a Case,
    z: &'a [f64],
    memory: &'a Memory,
    temperature: f64,
    reported: f32,
    weight: Weight,
}

/// Weights of a run relative to its first token, and what follows from them.
struct Shares {
    p: Vec<f64>,
    ln_z: f64,
    entropy: f64,
    /// Tolerance of the entropy, in nats.
    blur: f64,
}

impl Chain<'_> {
    fn is_dynamic(&self) -> bool {
        self.case.settings.filters.dynatemp_range > 0.0
    }

    fn final_temperature(&self) -> f32 {
        if self.is_dynamic() { self.reported } else { self.case.settings.metric_temperature() }
    }

    /// The sets that a stage may leave of what reached it, by places in that.
    fn sets(&self, stage: &'static str) -> Option<Vec<Vec<usize>>> {
        let whole = (0, self.z.len());
        if stage == "typical" && self.case.settings.filters.typical_p < 1.0 {
            return self.typical(whole, self.floor(stage));
        }
        self.apply(stage, whole, self.floor(stage))
            .map(|runs| runs.into_iter().map(|(a, b)| (a..b).collect()).collect())
    }

    /// What a stage keeps at least: some engines do not ask.
    fn floor(&self, stage: &str) -> usize {
        let asks = match self.case.settings.filters.whose {
            Whose::Canon => true,
            Whose::HuggingFace => stage != "top_h",
            Whose::LlamaCpp => !["top_k", "top_n_sigma", "mirostat"].contains(&stage),
            Whose::Vllm => false,
        };
        if asks { self.case.settings.floor() } else { 1 }
    }

    fn shares(&self, run: Run) -> Shares {
        let z = &self.z[run.0..run.1];
        let s = scale(self.temperature as f32);
        let weights: Vec<f64> = z.iter().map(|z| ((z - self.z[run.0]) * s).exp2()).collect();
        let total: f64 = weights.iter().rev().sum();
        let p: Vec<f64> = weights.iter().map(|w| w / total).collect();
        let entropy: f64 = p.iter().rev().filter(|&&p| p > 0.0).map(|p| -p * p.ln()).sum();
        let lost = z.len() as f64 * 2f64.powi(-40);
        Shares { p, ln_z: total.ln(), entropy, blur: 1e-6 * (1.0 + entropy) + 40.0 * lost }
    }

    /// Every run that a threshold may leave: tokens of one logit go together, and at least `floor` stay.
    fn above(&self, run: Run, threshold: f64, tolerance: f64, floor: usize) -> Option<Vec<Run>> {
        let z = &self.z[run.0..run.1];
        let count = |limit: f64| z.iter().take_while(|&&z| z >= limit).count();
        let tolerance = tolerance + threshold.abs() * 2f64.powi(-24) + 1e-45;
        let rounded = f64::from(threshold as f32);
        let (low, nominal, high) = (count(threshold + tolerance), count(rounded), count(threshold - tolerance));
        let mut runs = vec![nominal];
        runs.extend((low..=high).filter(|&n| n == 0 || n == z.len() || z[n - 1] != z[n]));
        (runs.len() <= MOST).then(|| runs.into_iter().map(|n| (run.0, run.0 + n.max(floor).min(z.len()))).collect())
    }

    /// `floor`, and in Hugging Face's epsilon and eta all that equal the last of it.
    fn floor_with_equals(&self, run: Run, floor: usize) -> usize {
        let mut floor = floor.min(run.1 - run.0);
        if self.case.settings.filters.whose == Whose::HuggingFace {
            while run.0 + floor < run.1 && self.z[run.0 + floor] == self.z[run.0 + floor - 1] {
                floor += 1;
            }
        }
        floor
    }

    fn apply(&self, stage: &str, run: Run, floor: usize) -> Option<Vec<Run>> {
        let (settings, filters, t) = (&self.case.settings, &self.case.settings.filters, self.temperature);
        let count = run.1 - run.0;
        let first = self.z[run.0];
        let same = Some(vec![run]);
        match stage {
            "temperature" if !self.dynamic_agrees(run) => return Some(Vec::new()),
            "temperature" if settings.temperature == 0.0 && !self.is_dynamic() => {
                return Some(vec![(run.0, run.0 + 1)]);
            }
            "temperature" => return same,
            "top_k" if settings.top_k_active(self.case.row.len()) => {
                let k = floor.max(settings.top_k as usize);
                let mut end = run.1.min(run.0 + k);
                let ties = filters.keep_ties || matches!(filters.whose, Whose::HuggingFace | Whose::Vllm);
                while ties && end < run.1 && self.z[end] == self.z[end - 1] {
                    end += 1;
                }
                return Some(vec![(run.0, end)]);
            }
            "top_p" if settings.top_p < 1.0 => {
                let p = self.shares(run).p;
                let tolerance = 1e-6 + count as f64 * 2f64.powi(-40);
                let prefix = |limit: f64| {
                    let mut mass = 0.0;
                    let crossing = p.iter().position(|p| {
                        mass += p;
                        mass >= limit
                    });
                    crossing.map_or(count, |rank| rank + 1).max(floor).min(count)
                };
                let top_p = f64::from(settings.top_p);
                let (low, high) = (prefix(top_p - tolerance), prefix(top_p + tolerance));
                let mut ends = vec![prefix(top_p)];
                ends.extend(low..=high);
                return (ends.len() <= MOST).then(|| ends.into_iter().map(|n| (run.0, run.0 + n)).collect());
            }
            "min_p" if settings.min_p > 0.0 => {
                let threshold = first + t * f64::from(settings.min_p).ln();
                return self.above(run, threshold, 0.0, floor);
            }
            "epsilon" if filters.epsilon_cutoff > 0.0 => {
                let shares = self.shares(run);
                let threshold = first + t * (f64::from(filters.epsilon_cutoff).ln() + shares.ln_z);
                return self.above(run, threshold, t * 1e-6, self.floor_with_equals(run, floor));
            }
            "eta" if filters.eta_cutoff > 0.0 => {
                let shares = self.shares(run);
                let epsilon = f64::from(filters.eta_cutoff);
                let eta = epsilon.min(epsilon.sqrt() * (-shares.entropy).exp());
                let threshold = first + t * (eta.ln() + shares.ln_z);
                return self.above(run, threshold, t * (1e-6 + shares.blur), self.floor_with_equals(run, floor));
            }
            "top_n_sigma" if filters.top_n_sigma > 0.0 => {
                let z = &self.z[run.0..run.1];
                let mean = z.iter().map(|z| z - first).sum::<f64>() / count as f64;
                let variance = z.iter().map(|z| (z - first - mean).powi(2)).sum::<f64>() / count as f64;
                let square = z.iter().map(|z| (z - first).powi(2)).sum::<f64>() / count as f64;
                let sigma = variance.sqrt();
                // The variance is a difference of sums that are known to about 1e-6.
                let error = if sigma > 0.0 { (1e-6 * square / sigma).min(1e-3 * square.sqrt()) } else { 0.0 };
                let n = f64::from(filters.top_n_sigma);
                return self.above(run, first - n * sigma, n * error, floor);
            }
            "top_a" if filters.top_a > 0.0 => {
                let threshold = first + t * (f64::from(filters.top_a).ln() - self.shares(run).ln_z);
                return self.above(run, threshold, t * 1e-6, floor);
            }
            "tail_free" if filters.tfs_z < 1.0 => return Some(vec![self.tail_free(run, floor)]),
            "top_h" if filters.top_h > 0.0 => return self.top_h(run, floor),
            "xtc" if filters.xtc_probability > 0.0 && filters.xtc_threshold <= 0.5 => return self.xtc(run, floor),
            "mirostat" => return self.mirostat(run, floor),
            _ => {}
        }
        same
    }

    /// Whether the reported temperature is that of the law.
    fn dynamic_agrees(&self, run: Run) -> bool {
        let (settings, filters) = (&self.case.settings, &self.case.settings.filters);
        let configured = settings.metric_temperature();
        if !self.is_dynamic() {
            return self.reported == configured;
        }
        let count = run.1 - run.0;
        if count == 1 {
            return self.reported == configured.max(2f32.powi(-10));
        }
        let shares = self.shares(run);
        let largest = (count as f64).ln();
        let low = f64::from((settings.temperature - filters.dynatemp_range).max(0.0));
        let high = f64::from(settings.temperature + filters.dynatemp_range);
        let at = |entropy: f64| {
            let share = (entropy / largest).clamp(0.0, 1.0).powf(f64::from(filters.dynatemp_exponent));
            (low + (high - low) * share).max(2f64.powi(-10))
        };
        let reported = f64::from(self.reported);
        let blur = 2.0 * shares.blur;
        reported >= at(shares.entropy - blur) * (1.0 - 2e-7) && reported <= at(shares.entropy + blur) * (1.0 + 2e-7)
    }

    fn typical(&self, run: Run, floor: usize) -> Option<Vec<Vec<usize>>> {
        let (filters, shares) = (&self.case.settings.filters, self.shares(run));
        let (z, count) = (self.z, self.z.len());
        // The logit whose surprise is the entropy: ln Z - H is the mean of what Z sums up.
        let below: f64 = (0..count).rev().map(|i| shares.p[i] * (z[0] - z[i])).filter(|x| x.is_finite()).sum();
        let centre = z[0] - below;
        let blur = 2e-6 * below + self.temperature * 40.0 * count as f64 * 2f64.powi(-40).min(below);
        let tolerance = 1e-6 + count as f64 * 2f64.powi(-40);
        let p = f64::from(filters.typical_p);
        let mut sets = Vec::new();
        for shift in [0.0, -1.0, 1.0, -0.5, 0.5, -0.25, 0.25, -0.75, 0.75] {
            let centre = centre + shift * blur;
            let distance = |i: usize| ((z[i] - centre).abs()) as f32;
            let above = |i: usize| z[i] > centre;
            // Nearer first; of one distance those above first, the nearer logit first, equal ones by lower id.
            let mut near: Vec<usize> = (0..count).collect();
            near.sort_by(|&a, &b| {
                // Zeros of both signs are equal.
                let rising = z[a].partial_cmp(&z[b]).expect("no NaN is left");
                let logit = if above(a) { rising } else { rising.reverse() };
                distance(a).total_cmp(&distance(b)).then(above(b).cmp(&above(a))).then(logit).then(a.cmp(&b))
            });
            let crossing = |limit: f64| {
                let mut mass = 0.0;
                near.iter()
                    .position(|&i| {
                        mass += shares.p[i];
                        mass >= limit
                    })
                    .map_or(count, |at| at + 1)
            };
            let (low, high) = (crossing(p - tolerance), crossing(p + tolerance));
            if high - low > MOST / 9 {
                return None;
            }
            for mut n in [crossing(p)].into_iter().chain(low..=high) {
                while filters.whose == Whose::HuggingFace && n < count && distance(near[n]) == distance(near[n - 1]) {
                    n += 1;
                }
                let mut kept = near[..n.max(floor).min(count)].to_vec();
                kept.sort_unstable();
                if !sets.contains(&kept) {
                    sets.push(kept);
                }
            }
        }
        Some(sets)
    }

    /// In the integers of the rule: curvatures of nearly equal masses are made of their last bits.
    fn tail_free(&self, run: Run, floor: usize) -> Run {
        let count = (run.1 - run.0).min(4096);
        if count < 3 {
            return (run.0, run.0 + count);
        }
        let (first, s) = (self.z[run.0] as f32, exact::exponent_scale(self.temperature as f32));
        let q: Vec<i128> =
            (0..count).map(|i| i128::from(exact::mass(self.z[run.0 + i] as f32, first, s, self.weight))).collect();
        let bend = |i: usize| ((q[i] - q[i + 1]) - (q[i + 1] - q[i + 2])).abs();
        let whole: i128 = (0..count - 2).map(bend).sum();
        if whole == 0 {
            return (run.0, run.0 + count);
        }
        let z = (f64::from(self.case.settings.filters.tfs_z) * 2f64.powi(32)).round() as i128;
        let mut kept = 1;
        let mut sum = 0;
        for i in 0..count - 2 {
            sum += bend(i);
            if sum << 32 > z * whole {
                break;
            }
            kept += 1;
        }
        (run.0, run.1.min(run.0 + kept.max(floor)))
    }

    fn top_h(&self, run: Run, floor: usize) -> Option<Vec<Run>> {
        let measured = (run.0, run.1.min(run.0 + 100));
        let p = self.shares(measured).p;
        let parts: Vec<f64> = p.iter().map(|&p| if p > 0.0 { -p * p.ln() } else { 0.0 }).collect();
        let whole: f64 = parts.iter().sum();
        let limit = f64::from(self.case.settings.filters.top_h) * whole;
        let count = |limit: f64| {
            let mut sum = 0.0;
            let fitting = parts.iter().take_while(|&&part| {
                sum += part;
                sum <= limit
            });
            fitting.count()
        };
        let tolerance = 2e-6 * whole + 100.0 * 40.0 * 2f64.powi(-40);
        let mut ends = vec![count(limit)];
        ends.extend(count(limit - tolerance)..=count(limit + tolerance));
        Some(ends.into_iter().map(|n| (run.0, run.1.min(run.0 + n.max(floor)))).collect())
    }

    fn xtc(&self, run: Run, floor: usize) -> Option<Vec<Run>> {
        let (settings, filters) = (&self.case.settings, &self.case.settings.filters);
        let number = exact::numbers(settings.seed, settings.stream, settings.position, 1).next();
        if (number >> 32) as f64 >= (f64::from(filters.xtc_probability) * 2f64.powi(32)).round() {
            return Some(vec![run]);
        }
        let above_first = self.temperature * (f64::from(filters.xtc_threshold).ln() + self.shares(run).ln_z);
        if above_first > 2f64.powi(-18) + self.temperature * 1e-6 {
            // Nothing reaches it, also where the first logit is so large that adding this to it is lost.
            return Some(vec![run]);
        }
        let limit = self.z[run.0] + above_first;
        let likely = self.above(run, limit, self.temperature * 1e-6, 0)?;
        let without = |(_, end): Run| {
            let removed = (end - run.0).saturating_sub(1);
            if run.1 - run.0 - removed < floor { run } else { (run.0 + removed, run.1) }
        };
        Some(likely.into_iter().map(without).collect())
    }

    fn mirostat(&self, run: Run, floor: usize) -> Option<Vec<Run>> {
        let (mu, blur) = self.memory.mu;
        let (count, ln_2) = (run.1 - run.0, std::f64::consts::LN_2);
        if self.case.settings.filters.mirostat == 2 {
            let threshold = self.z[run.0] + self.temperature * (self.shares(run).ln_z - mu * ln_2);
            return self.above(run, threshold, self.temperature * (1e-6 + blur * ln_2), floor);
        }
        let measured = count.min(100);
        let (mut products, mut squares) = (0.0, 0.0);
        for i in 0..measured - 1 {
            let b = (self.z[run.0 + i] - self.z[run.0 + i + 1]) / self.temperature;
            let t = ((i as f64 + 2.0) / (i as f64 + 1.0)).ln();
            products += t * b;
            squares += t * t;
        }
        let s = if squares > 0.0 { products / squares } else { 1.0 };
        let valid = match self.case.settings.valid_vocab {
            0 => self.case.row.len(),
            valid => valid as usize,
        } as f64;
        let tokens = |mu: f64| {
            let e = s - 1.0;
            let bits = mu.exp2();
            let ratio = if e.abs() < 1e-9 { bits / valid.ln() } else { e * bits / (1.0 - valid.powf(-e)) };
            // An exponent of 0 asks for everything or for one, as its limit does.
            let k = if s > 0.0 {
                ratio.powf(1.0 / s)
            } else if ratio < 1.0 {
                0.0
            } else {
                f64::INFINITY
            };
            if k < valid { k.max(1.0) } else { valid }
        };
        let (low, high) = (tokens(mu - blur - 1e-9) * (1.0 - 1e-6), tokens(mu + blur + 1e-9) * (1.0 + 1e-6));
        let mut ends = vec![tokens(mu) as usize];
        if high - low > MOST as f64 {
            return None;
        }
        ends.extend(low as usize..=high as usize);
        Some(ends.into_iter().map(|n| (run.0, run.0 + n.max(floor).min(count))).collect())
    }
}
