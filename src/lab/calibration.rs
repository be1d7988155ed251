//! Whether a probability means what it says: of the rows that were sure with 0.8, 8 in 10 should be right.

use crate::error::{Error, Result};

/// The most bins.
pub const MOST_BINS: usize = 1000;

/// One bin of a reliability diagram.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// Rows in it.
    pub rows: u64,
    /// Of these, the ones that were right.
    pub hits: u64,
    /// The sum of their confidences.
    pub confidence_sum: f64,
}

impl Bin {
    /// The mean confidence; NaN for an empty bin.
    pub fn confidence(&self) -> f64 {
        self.confidence_sum / self.rows as f64
    }

    /// The fraction that was right; NaN for an empty bin.
    pub fn accuracy(&self) -> f64 {
        self.hits as f64 / self.rows as f64
    }
}

/// A reliability diagram in equal bins over 0 to 1, filled row by row (Guo et al. 2017).
#[derive(Clone, Debug, PartialEq)]
pub struct Reliability {
    bins: Vec<Bin>,
}

impl Reliability {
    /// A diagram of so many bins, 1 to [`MOST_BINS`]. Bin b of n has the confidences from b / n up to, but without,
    /// (b + 1) / n; the last has 1 as well.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] (`bins`).
    pub fn new(bins: usize) -> Result<Reliability> {
        if bins == 0 || bins > MOST_BINS {
            return Err(Error::InvalidParameter { name: "bins", value: bins as f64 });
        }
        Ok(Reliability { bins: vec![Bin::default(); bins] })
    }

    /// Adds a row that gave its answer this probability.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] (`confidence`) if that is not from 0 to 1; nothing has changed then.
    pub fn add(&mut self, confidence: f32, is_hit: bool) -> Result<()> {
        if !(0.0..=1.0).contains(&confidence) {
            return Err(Error::InvalidParameter { name: "confidence", value: confidence.into() });
        }
        let confidence = f64::from(confidence);
        let count = self.bins.len();
        let bin = &mut self.bins[((confidence * count as f64) as usize).min(count - 1)];
        bin.rows += 1;
        bin.hits += u64::from(is_hit);
        bin.confidence_sum += confidence;
        Ok(())
    }

    /// The bins, from 0 to 1.
    pub fn bins(&self) -> &[Bin] {
        &self.bins
    }

    /// Rows added.
    pub fn rows(&self) -> u64 {
        self.bins.iter().map(|bin| bin.rows).sum()
    }

    /// The expected calibration error: the mean over the rows of how far the accuracy of their bin is from its confidence; 0
    /// without rows.
    pub fn expected_error(&self) -> f64 {
        let rows = self.rows();
        if rows == 0 {
            return 0.0;
        }
        let gaps = self.filled().map(|bin| bin.rows as f64 * (bin.accuracy() - bin.confidence()).abs());
        gaps.sum::<f64>() / rows as f64
    }

    /// The largest distance in any bin that has a row; 0 without rows.
    pub fn largest_error(&self) -> f64 {
        self.filled().map(|bin| (bin.accuracy() - bin.confidence()).abs()).fold(0.0, f64::max)
    }

    /// Mean confidence less accuracy over all rows: above 0 is too sure, below 0 not sure enough; 0 without rows.
    pub fn overconfidence(&self) -> f64 {
        let rows = self.rows();
        if rows == 0 {
            return 0.0;
        }
        self.filled().map(|bin| bin.confidence_sum - bin.hits as f64).sum::<f64>() / rows as f64
    }

    fn filled(&self) -> impl Iterator<Item = &Bin> {
        self.bins.iter().filter(|bin| bin.rows > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors_are_those_of_the_definition() {
        let mut diagram = Reliability::new(4).unwrap();
        for (confidence, is_hit) in [(0.25, true), (0.3, false), (0.9, true), (1.0, true), (0.8, false), (0.0, false)] {
            diagram.add(confidence, is_hit).unwrap();
        }
        let rows: Vec<u64> = diagram.bins().iter().map(|bin| bin.rows).collect();
        assert_eq!(rows, [1, 2, 0, 3]);
        // |0/1 - 0|, |1/2 - 0.275|, |2/3 - 0.9|
        let expected = (0.0 + 2.0 * 0.225 + 3.0 * (0.9 - 2.0 / 3.0)) / 6.0;
        assert!((diagram.expected_error() - expected).abs() < 1e-7, "{}", diagram.expected_error());
        assert!((diagram.largest_error() - (0.9 - 2.0 / 3.0)).abs() < 1e-7);
        assert!((diagram.overconfidence() - (3.25 - 3.0) / 6.0).abs() < 1e-7);
        assert_eq!(Reliability::new(3).unwrap().expected_error(), 0.0);
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        let mut diagram = Reliability::new(2).unwrap();
        for confidence in [f32::NAN, -0.1, 1.5] {
            assert!(matches!(diagram.add(confidence, true), Err(Error::InvalidParameter { name: "confidence", .. })));
        }
        assert_eq!(diagram.rows(), 0);
        assert!(Reliability::new(0).is_err() && Reliability::new(MOST_BINS + 1).is_err());
    }
}
