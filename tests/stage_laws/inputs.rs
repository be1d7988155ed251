//! Rows, masks and configurations, each a function of a seed.

use argpick::{Config, Metrics, Mirostat, Profile};

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Source(pub u64);

impl Source {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        argpick::rng::mix(self.0)
    }
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

pub const SHAPES: [&str; 18] = [
    "normal",
    "constant",
    "two values",
    "two neighbours",
    "zeros",
    "subnormal",
    "extreme",
    "far apart",
    "rising",
    "falling",
    "steps",
    "powers of two",
    "spikes",
    "one above",
    "few below",
    "bfloat16",
    "holes",
    "model",
];

pub fn row(source: &mut Source, shape: &str, vocab: usize) -> Vec<f32> {
    let mut each = |make: &mut dyn FnMut(&mut Source, usize) -> f32| -> Vec<f32> {
        (0..vocab).map(|token| make(source, token)).collect()
    };
    let bf16 = |x: f64| f32::from_bits((x as f32).to_bits() & 0xffff_0000);
    match shape {
        "normal" => each(&mut |s, _| (3.0 * s.normal()) as f32),
        "constant" => {
            let value = source.pick(&[0.0, -0.0, 1.5, -7.25, 3.0e38, -3.0e38, 1.0e-45]);
            vec![value; vocab]
        }
        "two values" => {
            let (high, low) = source.pick(&[(1.0, 0.0), (0.0, -30.0), (5.0, f32::NEG_INFINITY), (88.0, -88.0)]);
            let share = source.pick(&[2, 10, 300]);
            (0..vocab).map(|_| if source.one_in(share) { high } else { low }).collect()
        }
        "two neighbours" => each(&mut |s, _| s.pick(&[1.0, 1.000_000_1])),
        "zeros" => each(&mut |s, _| s.pick(&[0.0, -0.0, -0.0, -1.0, -2.5])),
        "subnormal" => each(&mut |s, _| f32::from_bits((s.bits() & 0x8000_ffff) as u32)),
        "extreme" => each(&mut |s, _| s.pick(&[3.0e38, -3.0e38, f32::MAX, f32::MIN, 1.0e38, 0.0])),
        "far apart" => each(&mut |s, _| (s.normal() * 1.0e30) as f32),
        "rising" => each(&mut |_, token| token as f32 * 0.01),
        "falling" => each(&mut |_, token| -(token as f32) * 0.01),
        "steps" => each(&mut |s, _| (2.0 * s.normal()).floor() as f32),
        "powers of two" => each(&mut |_, token| -((token % 24) as f32) * std::f32::consts::LN_2),
        "spikes" => each(&mut |s, token| if token % 64 == 7 { 4.0 } else { -9.0 + s.normal() as f32 }),
        "one above" => each(&mut |s, token| if token == vocab / 2 { 20.0 } else { s.pick(&[0.0, 0.5]) }),
        "few below" => each(&mut |s, _| if s.one_in(50) { -12.0 } else { 2.0 }),
        "bfloat16" => each(&mut |s, _| bf16(3.0 * s.normal())),
        "holes" => each(&mut |s, _| if s.one_in(2) { f32::NEG_INFINITY } else { s.normal() as f32 }),
        _ => each(&mut |s, token| (24.0 - 1.3 * ((token * 7919 % vocab + 1) as f64).ln() + 0.5 * s.normal()) as f32),
    }
}

/// A parameter of a filter, and which profiles have it.
pub type Setter = (fn(&mut Source, &mut Config), &'static [Profile]);

pub const FILTERS: [Setter; 12] = {
    use Profile::{Canon, HuggingFace, LlamaCpp};
    [
        (|s, c| c.top_k = s.pick(&[1, 2, 3, 17, 64, 65, 100, 300, 4095, 4096, 4097, 9000]), &Profile::ALL),
        (|s, c| c.top_p = s.pick(&[0.0, 1e-9, 0.05, 0.5, 0.9, 0.95, 0.999, 0.999_999_9]), &Profile::ALL),
        (|s, c| c.min_p = s.pick(&[1e-45, 1e-12, 1e-4, 0.05, 0.5, 0.999_999_9, 1.0]), &Profile::ALL),
        (|s, c| c.typical_p = s.pick(&[0.0, 1e-6, 0.1, 0.5, 0.9, 0.95, 0.999_99]), &[Canon, HuggingFace, LlamaCpp]),
        (|s, c| c.epsilon_cutoff = s.pick(&[1e-12, 1e-6, 3e-4, 0.02, 0.3, 1.0]), &[Canon, HuggingFace]),
        (|s, c| c.eta_cutoff = s.pick(&[1e-12, 1e-6, 3e-4, 0.02, 0.3, 1.0]), &[Canon, HuggingFace]),
        (|s, c| c.top_n_sigma = s.pick(&[1e-6, 0.3, 1.0, 2.0, 4.0, 1e30]), &[Canon, LlamaCpp]),
        (|s, c| c.top_a = s.pick(&[1e-9, 0.01, 0.2, 1.0]), &[Canon]),
        (|s, c| c.tfs_z = s.pick(&[0.0, 0.2, 0.9, 0.97, 0.999_99]), &[Canon]),
        (|s, c| c.top_h = s.pick(&[1e-6, 0.2, 0.5, 0.9, 1.0]), &[Canon, HuggingFace]),
        (
            |s, c| {
                c.xtc_probability = s.pick(&[0.5, 1.0]);
                c.xtc_threshold = s.pick(&[0.0, 1e-9, 0.003, 0.05, 0.1, 0.3, 0.5]);
            },
            &[Canon, LlamaCpp],
        ),
        (
            |s, c| {
                c.dynatemp_range = s.pick(&[1e-6, 0.3, 1.0, 5.0]);
                c.dynatemp_exponent = s.pick(&[0.0, 0.5, 1.0, 3.0]);
            },
            &[Canon, LlamaCpp],
        ),
    ]
};

pub fn config(source: &mut Source, vocab: usize, chance: usize) -> Config {
    let profile = source.pick(&Profile::ALL);
    let mut config = Config {
        profile,
        seed: source.bits(),
        temperature: source.pick(&[1.0, 1.0, 0.7, 1.5, 0.05, 30.0, 1e-38, 1e-45, 1e4, 1e37, 0.0]),
        metrics: Metrics::LOGPROB | Metrics::KEPT,
        ..Config::default()
    };
    let alone = source.below(FILTERS.len());
    for (number, (set, profiles)) in FILTERS.iter().enumerate() {
        let wanted = if chance == 0 { number == alone } else { source.one_in(chance) };
        if wanted && (*profiles).contains(&profile) {
            set(source, &mut config);
        }
    }
    if profile != Profile::Vllm && source.one_in(3) {
        let most = vocab as u32;
        config.min_keep = source.pick(&[1, 2, 3, 5, 64, 100, 101, 4096, 4097, most, most + 1, u32::MAX]);
    }
    config.keep_ties = profile == Profile::Canon && source.one_in(4);
    if source.one_in(5) {
        config.valid_vocab = 1 + source.below(vocab) as u32;
    }
    if matches!(profile, Profile::Canon | Profile::LlamaCpp) && source.one_in(8) {
        config.mirostat = source.pick(&[Mirostat::One, Mirostat::Two]);
        config.mirostat_tau = source.pick(&[0.0, 0.5, 3.0, 8.0, 1e30]);
        config.mirostat_eta = source.pick(&[0.0, 0.1, 2.0]);
    }
    config
}

pub fn mask(source: &mut Source, vocab: usize) -> Option<Vec<u32>> {
    if !source.one_in(4) {
        return None;
    }
    let words = vocab.div_ceil(32);
    let sparse = source.one_in(2);
    Some((0..words).map(|_| (source.bits() & if sparse { source.bits() } else { u64::MAX }) as u32).collect())
}
