//! Candidates: a beam and a token it might go on with; and the short list of the best of them.

use crate::numeric::rank_key_parts;
use crate::types::TokenId;
use bytemuck::{Pod, Zeroable};

/// A beam that might go on with a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Candidate {
    /// What it is chosen by: the score, less what diversity takes off.
    pub merit: f64,
    /// The sum of the log-probabilities, this token's included.
    pub score: f64,
    /// `rank_key` of its logit and token.
    pub rank: u64,
    /// The index of the beam.
    pub parent: u32,
    /// Why it ends: the number of a `Finish`.
    pub finish: u32,
}

impl Candidate {
    pub fn token(&self) -> TokenId {
        rank_key_parts(self.rank).1
    }

    pub fn logit(&self) -> f32 {
        rank_key_parts(self.rank).0
    }

    /// The total order of candidates: higher merit, then the earlier beam, then the order of that beam's row (higher
    /// logit, then lower token id).
    pub fn is_before(&self, other: &Candidate) -> bool {
        if self.merit != other.merit {
            return self.merit > other.merit;
        }
        if self.parent != other.parent {
            return self.parent < other.parent;
        }
        self.rank > other.rank
    }
}

/// The best candidates offered so far, at most as many as there is room for: a heap with the last of them at its root.
pub(crate) struct Best<'a> {
    heap: &'a mut [Candidate],
    count: usize,
}

impl<'a> Best<'a> {
    pub fn new(room: &'a mut [Candidate]) -> Self {
        Best { heap: room, count: 0 }
    }

    /// How many it keeps.
    pub fn limit(&self) -> usize {
        self.heap.len()
    }

    /// The last one, if no other can come in without driving it out.
    pub fn last(&self) -> Option<Candidate> {
        (self.count == self.heap.len()).then(|| self.heap[0])
    }

    /// Takes a candidate in if it is among the best.
    pub fn offer(&mut self, candidate: Candidate) {
        if self.count < self.heap.len() {
            let mut at = self.count;
            self.count += 1;
            self.heap[at] = candidate;
            while at > 0 && self.heap[(at - 1) / 2].is_before(&self.heap[at]) {
                self.heap.swap(at, (at - 1) / 2);
                at = (at - 1) / 2;
            }
        } else if candidate.is_before(&self.heap[0]) {
            self.heap[0] = candidate;
            let mut at = 0;
            loop {
                let mut last = at;
                for child in [2 * at + 1, 2 * at + 2] {
                    if child < self.count && self.heap[last].is_before(&self.heap[child]) {
                        last = child;
                    }
                }
                if last == at {
                    break;
                }
                self.heap.swap(at, last);
                at = last;
            }
        }
    }

    /// All of them in order.
    pub fn into_sorted(self) -> &'a [Candidate] {
        let list = &mut self.heap[..self.count];
        list.sort_unstable_by(|a, b| b.is_before(a).cmp(&a.is_before(b)));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::rank_key;

    #[test]
    fn the_best_are_kept_in_the_total_order() {
        let make = |i: u64| {
            let x = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let (merit, logit) = (f64::from((x >> 60) as u32), ((x >> 50) & 3) as f32);
            Candidate {
                merit,
                score: merit,
                rank: rank_key(logit, i as u32),
                parent: ((x >> 40) & 3) as u32,
                ..Candidate::default()
            }
        };
        let all: Vec<Candidate> = (0..500).map(make).collect();
        let mut sorted = all.clone();
        sorted.sort_by(|a, b| {
            let key = |c: &Candidate| (-c.merit, c.parent, -c.logit(), c.token());
            key(a).partial_cmp(&key(b)).unwrap()
        });
        for limit in [1, 2, 3, 7, 64, 499, 500, 600] {
            let mut room = vec![Candidate::default(); limit];
            let mut best = Best::new(&mut room);
            for &candidate in &all {
                best.offer(candidate);
            }
            assert_eq!(best.last().is_some(), limit <= 500);
            assert_eq!(best.into_sorted(), &sorted[..limit.min(500)]);
        }
    }
}
