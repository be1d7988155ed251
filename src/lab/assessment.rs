//! The diagnosis of rows that come one after the other, too many to be listed: sums over them, and the two reliability
//! diagrams.

use super::calibration::Reliability;
use crate::error::{Error, Result};
use crate::{RowDiagnosis, Verdict};

/// What rows with targets look like, added up row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    top_k: Vec<u32>,
    rows: u64,
    flat: u64,
    saturated: u64,
    greedy_hits: u64,
    top_k_hits: Vec<u64>,
    loss: f64,
    infinite_losses: u64,
    entropy: f64,
    top1_probability: f64,
    expected_accuracy: f64,
    raw: Reliability,
    configured: Reliability,
}

impl Assessment {
    /// Nothing yet. `top_k` are the k of top-k accuracy, each at least 1; `bins` those of the reliability diagrams.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] (`top_k`, `bins`).
    pub fn new(top_k: &[u32], bins: usize) -> Result<Assessment> {
        if top_k.contains(&0) {
            return Err(Error::InvalidParameter { name: "top_k", value: 0.0 });
        }
        Ok(Assessment {
            top_k: top_k.to_vec(),
            rows: 0,
            flat: 0,
            saturated: 0,
            greedy_hits: 0,
            top_k_hits: vec![0; top_k.len()],
            loss: 0.0,
            infinite_losses: 0,
            entropy: 0.0,
            top1_probability: 0.0,
            expected_accuracy: 0.0,
            raw: Reliability::new(bins)?,
            configured: Reliability::new(bins)?,
        })
    }

    /// Adds a row. `configured` is the probability with which the decoder as configured picks the row's argmax.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] (`confidence`) if a probability is none; nothing has changed then.
    pub fn add(&mut self, row: &RowDiagnosis, configured: f32) -> Result<()> {
        let is_hit = row.score.rank == 0;
        if !(0.0..=1.0).contains(&configured) {
            return Err(Error::InvalidParameter { name: "confidence", value: configured.into() });
        }
        self.raw.add(row.score.top1_probability, is_hit)?;
        self.configured.add(configured, is_hit)?;
        self.rows += 1;
        self.flat += u64::from(row.verdict == Verdict::Flat);
        self.saturated += u64::from(row.verdict == Verdict::Saturated);
        self.greedy_hits += u64::from(is_hit);
        for (hits, &k) in self.top_k_hits.iter_mut().zip(&self.top_k) {
            *hits += u64::from(row.score.rank < k);
        }
        if row.score.loss.is_finite() {
            self.loss += f64::from(row.score.loss);
        } else {
            self.infinite_losses += 1;
        }
        self.entropy += f64::from(row.score.entropy);
        self.top1_probability += f64::from(row.score.top1_probability);
        self.expected_accuracy += f64::from(row.expected_accuracy);
        Ok(())
    }

    /// Rows added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows of each verdict.
    pub fn count(&self, verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Flat => self.flat,
            Verdict::Saturated => self.saturated,
            Verdict::Healthy => self.rows - self.flat - self.saturated,
        }
    }

    /// Fraction of the rows whose argmax is the target. This and all that follow are NaN without rows.
    pub fn greedy_accuracy(&self) -> f64 {
        self.mean(self.greedy_hits as f64)
    }

    /// The accuracy that draws as configured have on average.
    pub fn expected_accuracy(&self) -> f64 {
        self.mean(self.expected_accuracy)
    }

    /// Each k with the fraction of rows whose target is among the first k.
    pub fn top_k_accuracy(&self) -> impl Iterator<Item = (u32, f64)> {
        self.top_k.iter().zip(&self.top_k_hits).map(|(&k, &hits)| (k, self.mean(hits as f64)))
    }

    /// Mean loss over the rows whose target is not masked, in nats.
    pub fn loss(&self) -> f64 {
        self.loss / (self.rows - self.infinite_losses) as f64
    }

    /// Rows whose target is masked, so that their loss is infinite.
    pub fn infinite_losses(&self) -> u64 {
        self.infinite_losses
    }

    /// Mean entropy at temperature 1, in nats.
    pub fn entropy(&self) -> f64 {
        self.mean(self.entropy)
    }

    /// Mean probability of the argmax at temperature 1.
    pub fn top1_probability(&self) -> f64 {
        self.mean(self.top1_probability)
    }

    /// Confidence at temperature 1 against accuracy of the argmax: the model's own calibration.
    pub fn raw(&self) -> &Reliability {
        &self.raw
    }

    /// Confidence as configured against accuracy of the argmax: what temperature and filters make of it.
    pub fn configured(&self) -> &Reliability {
        &self.configured
    }

    fn mean(&self, sum: f64) -> f64 {
        sum / self.rows as f64
    }
}
