//! Rounds and their statistics.

use super::reader::Reader;
use super::subject::Subject;
use std::time::Duration;

/// Order statistics of a series of durations, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Statistics {
    /// The shortest.
    pub minimum: u64,
    /// Half are not longer.
    pub median: u64,
    /// Of a hundred, ninety-nine are not longer.
    pub p99: u64,
    /// Of a thousand, 999 are not longer.
    pub p999: u64,
}

impl Statistics {
    /// Of at least one duration, shortest first.
    fn of_sorted(durations: &[u64]) -> Statistics {
        let at = |numerator: usize, denominator: usize| durations[(durations.len() - 1) * numerator / denominator];
        Statistics { minimum: at(0, 1), median: at(1, 2), p99: at(99, 100), p999: at(999, 1000) }
    }

    /// Of at least one duration.
    pub fn of(mut durations: Vec<u64>) -> Statistics {
        durations.sort_unstable();
        Statistics::of_sorted(&durations)
    }
}

/// A stage beside its floor, from the same rounds.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The bare reading.
    pub floor: Statistics,
    /// The stage.
    pub stage: Statistics,
    /// Rounds timed.
    pub rounds: usize,
    /// Every duration of the bare reading, shortest first.
    pub floors: Vec<u64>,
    /// Every duration of the stage, shortest first.
    pub stages: Vec<u64>,
    /// Bytes that the bare reading reads in one round.
    pub bytes: usize,
}

impl Measured {
    /// Times floor and stage in turn. Where the subject rotates over cold memory, the two read places half a rotation
    /// apart, so that neither warms the other's.
    pub fn new(subject: &mut Subject, reader: Reader, rounds: usize) -> Measured {
        let rounds = rounds.max(1);
        let apart = subject.rotation() / 2;
        for round in 0..rounds.div_ceil(20) {
            subject.floor(round, reader);
            subject.step(round);
        }
        // What that has warmed must be cold again: one walk over everything, which ends far from where the rounds begin.
        if subject.rotation() > 1 {
            for round in 0..subject.rotation() {
                subject.floor(round, reader);
            }
        }
        let (mut floors, mut stages) = (Vec::with_capacity(rounds), Vec::with_capacity(rounds));
        for round in 0..rounds {
            floors.push(nanoseconds(subject.floor(round, reader)));
            stages.push(nanoseconds(subject.step(round + apart)));
        }
        floors.sort_unstable();
        stages.sort_unstable();
        Measured {
            floor: Statistics::of_sorted(&floors),
            stage: Statistics::of_sorted(&stages),
            rounds,
            floors,
            stages,
            bytes: subject.bytes(),
        }
    }

    /// Minimum over minimum.
    pub fn minimum_ratio(&self) -> f64 {
        self.stage.minimum as f64 / self.floor.minimum.max(1) as f64
    }

    /// Median over median.
    pub fn median_ratio(&self) -> f64 {
        self.stage.median as f64 / self.floor.median.max(1) as f64
    }

    /// Gigabytes of the floor's memory that the fastest call of the stage gets through in a second.
    pub fn gigabytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.stage.minimum.max(1) as f64
    }
}

/// A duration as a whole number of nanoseconds.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #[test]
    fn order_statistics_are_those_of_the_definition() {
        use super::Statistics;
        let Statistics { minimum, median, p99, p999 } = Statistics::of((1..=1001).rev().collect());
        assert_eq!((minimum, median, p99, p999), (1, 501, 991, 1000));
    }
}
