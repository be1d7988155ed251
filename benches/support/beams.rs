//! A beam search that is always ready for its next step.

use argpick::{BeamConfig, BeamSearch, BeamStep, Continuation, Kernels, Result, Row};

/// Tokens after which a search begins anew: a step then writes down more tokens than most texts have.
const MAX_TOKENS: u32 = 512;

/// A search and what its last step answered.
pub struct Beams {
    search: BeamSearch,
    next: Vec<Continuation>,
    told: usize,
}

impl Beams {
    /// A search with so many beams, nothing ends one.
    pub fn new(beams: usize, vocab: usize, kernels: Kernels) -> Result<Beams> {
        let config = BeamConfig { beams: beams as u32, max_tokens: MAX_TOKENS, ..BeamConfig::default() };
        let search = BeamSearch::new_with_kernels(&config, vocab, kernels)?;
        let next = vec![Continuation::default(); search.outputs()];
        Ok(Beams { search, next, told: 0 })
    }

    /// Sees to it that the next step takes a row for each beam and leaves as many.
    pub fn make_ready(&mut self, row: Row<'_>) -> Result<()> {
        if self.search.length() == 0 || self.search.length() + 1 >= MAX_TOKENS {
            self.search.reset(None)?;
            self.search.step(&[row], &[], &mut self.next)?;
        }
        Ok(())
    }

    /// One step: a row for each beam.
    pub fn step(&mut self, rows: &[Row<'_>]) -> Result<BeamStep> {
        // A vocabulary of less than so many tokens has fewer beams at first.
        let step = self.search.step(&rows[..self.search.live().min(rows.len())], &[], &mut self.next)?;
        self.told = step.live + step.ended;
        Ok(step)
    }

    /// What the last step answered, as bits.
    pub fn bits(&self) -> Vec<(u32, u32, u64)> {
        self.next[..self.told].iter().map(|entry| (entry.parent, entry.token, entry.score.to_bits())).collect()
    }
}
