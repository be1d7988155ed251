//! The judge of bits: the written laws of acceptance with every mass in a vector and every product by schoolbook.

use super::support::exact::{self, Prepared};
use super::support::oracle::{Case, Refusal};
use argpick::{Acceptance, ROOT};

/// `floor(number * total / 2^64)` in 32-bit digits.
fn scaled(number: u64, total: u128) -> u128 {
    let digits = |x: u128| (0..4).map(|i| (x >> (32 * i)) as u64 & 0xffff_ffff).collect::<Vec<_>>();
    let (a, b) = (digits(number.into()), digits(total));
    let mut product = [0u64; 9];
    for (i, &x) in a.iter().enumerate() {
        let mut carry = 0;
        for (j, &y) in b.iter().enumerate() {
            let sum = product[i + j] + x * y + carry;
            product[i + j] = sum & 0xffff_ffff;
            carry = sum >> 32;
        }
        product[i + 4] += carry;
    }
    assert_eq!(product[6..], [0, 0, 0], "64 and 128 bits make 192");
    (2..6).rev().fold(0, |value, i| value << 32 | u128::from(product[i]))
}

/// A model's side of a verification: what its decoder is configured as and has seen, and its row for each node.
pub struct Side<'a> {
    pub case: Case,
    pub rows: &'a [Vec<f32>],
}

impl Side<'_> {
    /// The step after node `row - 1` (0: the root), with `path` recorded since the root.
    pub fn at(&self, row: usize, path: &[u32]) -> Case {
        let mut case = Case { row: self.rows[row].clone(), ..self.case.clone() };
        case.generated.extend_from_slice(path);
        case.settings.position += path.len() as u64;
        case
    }

    pub fn masses(&self, row: usize, path: &[u32]) -> Result<Vec<u64>, Refusal> {
        Ok(Prepared::new(&self.at(row, path), argpick::numeric::weight)?.kept_masses())
    }
}

pub fn parent(parents: &[u32], node: usize) -> u32 {
    if parents.is_empty() { (node as u32).wrapping_sub(1) } else { parents[node] }
}

/// The nodes that stand and the tokens emitted.
pub fn verify(
    target: &Side<'_>,
    draft: Option<&Side<'_>>,
    tokens: &[u32],
    parents: &[u32],
    acceptance: Acceptance,
) -> Result<(Vec<usize>, Vec<u32>), Refusal> {
    let (mut nodes, mut path) = (Vec::new(), Vec::new());
    loop {
        let row = nodes.last().map_or(0, |node| node + 1);
        let here = if row == 0 { ROOT } else { row as u32 - 1 };
        let children: Vec<usize> = (0..tokens.len()).filter(|&node| parent(parents, node) == here).collect();
        let case = target.at(row, &path);
        if children.is_empty() || acceptance == Acceptance::Match || case.settings.is_greedy() {
            let token = exact::step(&case, argpick::numeric::weight)?.token;
            path.push(token);
            match children.into_iter().find(|&child| tokens[child] == token) {
                Some(child) => nodes.push(child),
                None => return Ok((nodes, path)),
            }
            continue;
        }
        let mut p: Vec<u128> = target.masses(row, &path)?.into_iter().map(u128::from).collect();
        let mut q: Option<Vec<u128>> = None;
        if let Some(draft) = draft {
            let mut masses: Vec<u128> = draft.masses(row, &path)?.into_iter().map(u128::from).collect();
            masses.resize(p.len(), 0);
            q = Some(masses);
        }
        let mut numbers = exact::numbers(case.settings.seed, case.settings.stream, case.settings.position, 2);
        let mut stands = None;
        for &child in &children {
            let token = tokens[child] as usize;
            let total: u128 = p.iter().sum();
            if total > u128::from(u64::MAX) {
                // The last residual becomes masses again.
                let shift = 128 - total.leading_zeros() - 64;
                p.iter_mut().for_each(|mass| *mass >>= shift);
            }
            let total: u128 = p.iter().sum();
            let drafted = q.clone().unwrap_or_else(|| (0..p.len()).map(|i| u128::from(i == token)).collect());
            let drafted_total: u128 = drafted.iter().sum();
            if scaled(numbers.next(), drafted[token] * total) < p[token] * drafted_total {
                stands = Some(child);
                break;
            }
            if q.is_none() {
                p[token] = 0;
                continue;
            }
            for (mass, &drafted) in p.iter_mut().zip(&drafted) {
                *mass = (*mass * drafted_total).saturating_sub(drafted * total);
            }
            if acceptance == Acceptance::WithoutReplacement {
                q.as_mut().expect("a draft model")[token] = 0;
            }
        }
        if let Some(child) = stands {
            path.push(tokens[child]);
            nodes.push(child);
            continue;
        }
        let mut rest = scaled(numbers.next(), p.iter().sum());
        let token = p.iter().position(|&mass| {
            let here = rest < mass;
            rest = rest.saturating_sub(mass);
            here
        });
        path.push(token.expect("something is left") as u32);
        return Ok((nodes, path));
    }
}

/// `floor(number * total / 2^64)` where u128 suffices, for the schoolbook to be judged by.
#[test]
fn the_schoolbook_multiplies() {
    for number in [0, 1, 0x1234_5678_9abc_def0, u64::MAX] {
        for total in [0, 1, 99, u64::MAX] {
            assert_eq!(scaled(number, total.into()), (u128::from(number) * u128::from(total)) >> 64);
        }
        assert_eq!(scaled(number, 1 << 64), number.into());
        assert_eq!(scaled(number, 1 << 100), u128::from(number) << 36);
    }
    assert_eq!(scaled(u64::MAX, u128::MAX), u128::MAX - (1 << 64));
}
