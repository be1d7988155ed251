//! Runs beside each other: which are the same, where they part, how many different n-grams they have. Plain lists of tokens
//! in, whoever made them.

use crate::types::TokenId;
use std::collections::{HashMap, HashSet};

/// A place where sequences that were the same so far go on differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parting {
    /// The step, which is the number of tokens that they share.
    pub step: usize,
    /// How they go on, at least two ways, in the order of their first members.
    pub branches: Vec<Branch>,
}

/// One way to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The next token; `None` where the sequence is at its end.
    pub token: Option<TokenId>,
    /// The sequences that take it, by their places in the list.
    pub members: Vec<usize>,
}

/// Groups of equal sequences, by their places in the list; every sequence is in one group. Ordered by first members.
pub fn identical(sequences: &[&[TokenId]]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut group_of: HashMap<&[TokenId], usize> = HashMap::with_capacity(sequences.len());
    for (place, &sequence) in sequences.iter().enumerate() {
        let group = *group_of.entry(sequence).or_insert(groups.len());
        match groups.get_mut(group) {
            Some(members) => members.push(place),
            None => groups.push(vec![place]),
        }
    }
    groups
}

/// Every place where some of the sequences part: the branchings of the tree of their beginnings. Two sequences part first at
/// the last of these places that has both. Ordered by step, then by first members.
pub fn partings(sequences: &[&[TokenId]]) -> Vec<Parting> {
    let mut found = Vec::new();
    let mut waiting = vec![(0, (0..sequences.len()).collect::<Vec<usize>>())];
    while let Some((mut step, members)) = waiting.pop() {
        if members.len() < 2 {
            continue;
        }
        let next = |member: usize, step: usize| sequences[member].get(step).copied();
        // Together as long as all agree and go on.
        let first = members[0];
        while next(first, step).is_some() && members.iter().all(|&member| next(member, step) == next(first, step)) {
            step += 1;
        }
        let mut branches: Vec<Branch> = Vec::new();
        let mut branch_of: HashMap<Option<TokenId>, usize> = HashMap::new();
        for &member in &members {
            let token = next(member, step);
            let branch = *branch_of.entry(token).or_insert(branches.len());
            match branches.get_mut(branch) {
                Some(branch) => branch.members.push(member),
                None => branches.push(Branch { token, members: vec![member] }),
            }
        }
        if branches.len() < 2 {
            // All are at their ends.
            continue;
        }
        let going_on = branches.iter().filter(|branch| branch.token.is_some());
        waiting.extend(going_on.map(|branch| (step + 1, branch.members.clone())));
        found.push(Parting { step, branches });
    }
    found.sort_by_key(|parting| (parting.step, parting.branches[0].members[0]));
    found
}

/// Different n-grams and all n-grams of sequences; none goes across the end of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distinct {
    /// Different ones.
    pub different: usize,
    /// All.
    pub all: usize,
}

impl Distinct {
    /// Distinct-n (Li et al. 2016): different n-grams over all n-grams; NaN without any.
    pub fn ratio(self) -> f64 {
        self.different as f64 / self.all as f64
    }
}

/// Counts the n-grams of the sequences taken together.
pub fn distinct<'t>(sequences: impl IntoIterator<Item = &'t [TokenId]>, n: usize) -> Distinct {
    let mut seen: HashSet<&[TokenId]> = HashSet::new();
    let mut all = 0;
    if n > 0 {
        for gram in sequences.into_iter().flat_map(|sequence| sequence.windows(n)) {
            all += 1;
            seen.insert(gram);
        }
    }
    Distinct { different: seen.len(), all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_part_where_their_beginnings_branch() {
        let sequences: [&[TokenId]; 6] = [&[1, 2, 3], &[1, 2, 4], &[1, 2, 3], &[1, 5], &[1, 2], &[1, 2, 4, 7]];
        assert_eq!(identical(&sequences), [vec![0, 2], vec![1], vec![3], vec![4], vec![5]]);
        let branch = |token: Option<TokenId>, members: &[usize]| Branch { token, members: members.to_vec() };
        assert_eq!(
            partings(&sequences),
            [
                Parting { step: 1, branches: vec![branch(Some(2), &[0, 1, 2, 4, 5]), branch(Some(5), &[3])] },
                Parting {
                    step: 2,
                    branches: vec![branch(Some(3), &[0, 2]), branch(Some(4), &[1, 5]), branch(None, &[4])]
                },
                Parting { step: 3, branches: vec![branch(None, &[1]), branch(Some(7), &[5])] },
            ]
        );
        assert_eq!(partings(&[&[1, 2], &[1, 2]]), []);
        assert_eq!(partings(&[]), []);
        assert_eq!(partings(&[&[], &[3]])[0].step, 0);
    }

    #[test]
    fn n_grams_end_with_their_sequence() {
        let sequences: [&[TokenId]; 2] = [&[1, 2, 1, 2], &[2, 1]];
        let counts = |n| {
            let found = distinct(sequences, n);
            (found.different, found.all)
        };
        assert_eq!((counts(1), counts(2), counts(3), counts(9), counts(0)), ((2, 6), (2, 4), (2, 2), (0, 0), (0, 0)));
        assert!(distinct([], 1).ratio().is_nan());
    }
}
