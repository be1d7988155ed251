//! Models that are tables: a row of logits is a function of the tokens before it.

use argpick::numeric::NUMERICS_VERSION;
use argpick::{BeamConfig, BeamSearch, BeamStep, Continuation, Kernels, Level, Memory, Row};

/// SplitMix64's finaliser of x plus the golden gamma.
pub fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Number i of the SplitMix64 stream of a seed.
pub fn word(seed: u64, i: u64) -> u64 {
    mix(seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

/// A row by its recipe; `tests/conformance/README.md` defines them.
pub fn recipe(kind: &str, seed: u64, vocab: usize) -> Vec<f32> {
    let entry = |i: usize| {
        let x = word(seed, i as u64);
        let sum = (0..4).map(|part| (x >> (16 * part) & 0xffff) as i64).sum::<i64>() - 131_070;
        match kind {
            "normal" => sum as f32 / 16_384.0,
            "flat" => sum as f32 / 131_072.0,
            "peaked" => {
                let zeros = word(seed ^ 0xA5A5_A5A5_A5A5_A5A5, i as u64).trailing_zeros();
                (sum + 40_960 * i64::from(zeros)) as f32 / 32_768.0
            }
            "ties" => sum.div_euclid(16_384) as f32 / 2.0,
            "bf16" => f32::from_bits((sum as f32 / 16_384.0).to_bits() & 0xffff_0000),
            other => panic!("no such kind of row: {other}"),
        }
    };
    (0..vocab).map(entry).collect()
}

pub fn levels() -> Vec<Kernels> {
    let found: Vec<Kernels> = Level::ALL.into_iter().filter_map(|level| Kernels::new(level).ok()).collect();
    assert!(found.len() >= 2 && NUMERICS_VERSION == 0);
    found
}

/// A search, and the tokens of its live beams as the host keeps them.
pub struct Host {
    pub search: BeamSearch<Memory>,
    pub beams: Vec<Vec<u32>>,
    pub next: Vec<Continuation>,
}

impl Host {
    pub fn new(config: &BeamConfig<'_>, vocab: usize, kernels: Kernels) -> Host {
        let search = BeamSearch::new_with_kernels(config, vocab, kernels).expect("a configuration");
        let next = vec![Continuation::default(); search.outputs()];
        Host { search, beams: vec![vec![]], next }
    }

    /// Takes over what a step answered.
    pub fn follow(&mut self, step: BeamStep) {
        let parents = std::mem::take(&mut self.beams);
        for entry in &self.next[..step.live] {
            let mut tokens = parents[entry.parent as usize].clone();
            tokens.push(entry.token);
            self.beams.push(tokens);
        }
    }

    /// One step on rows that are a function of the tokens.
    pub fn step(
        &mut self,
        row_of: impl Fn(&[u32]) -> Vec<f32>,
        mask_of: impl Fn(&[u32]) -> Option<Vec<u32>>,
    ) -> BeamStep {
        let rows: Vec<Vec<f32>> = self.beams.iter().map(|tokens| row_of(tokens)).collect();
        let rows: Vec<Row<'_>> = rows.iter().map(Row::from).collect();
        let masks: Vec<Option<Vec<u32>>> = self.beams.iter().map(|tokens| mask_of(tokens)).collect();
        let masks: Vec<Option<&[u32]>> = masks.iter().map(Option::as_deref).collect();
        let step = self.search.step(&rows, &masks, &mut self.next).expect("a step");
        self.follow(step);
        step
    }

    pub fn told(&self) -> Vec<(Vec<u32>, argpick::Hypothesis)> {
        let one = |rank| {
            let told = self.search.hypothesis(rank).expect("a hypothesis");
            let mut tokens = vec![u32::MAX; told.length as usize];
            assert_eq!(self.search.hypothesis_tokens(rank, &mut tokens), Ok(tokens.len()));
            (tokens, told)
        };
        (0..self.search.hypotheses()).map(one).collect()
    }
}
