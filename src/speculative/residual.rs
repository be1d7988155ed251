//! What is left of p while drafts are rejected one after the other.
//!
//! With p and q as masses, a rejected draft leaves `m(i) = max(p(i) Q - q(i) P, 0)`. The next sibling is judged by that in
//! the place of p, and so on. Nothing is stored for each token: masses are computed anew from those of the rows and two
//! numbers for each rejection.

use super::MAX_SIBLINGS;
use super::arithmetic::{Share, accepts, residual, scale_wide, shift_of};
use super::masses::Masses;
use crate::types::{BLOCK, TokenId};

/// One rejection: the totals that it was made with, and the shift that its residual has had.
#[derive(Clone, Copy, Default)]
struct Level {
    p_total: u64,
    q_total: u64,
    shift: u32,
}

/// Parts of the row whose residuals are summed up apart, so that a draw need not walk the whole row again.
const PARTS: usize = 64;

/// The masses of one block at a time of the draft's row.
struct Cached<'m, 'o, 'a> {
    q: &'m Masses<'o, 'a>,
    block: usize,
    masses: [u64; BLOCK],
}

impl Cached<'_, '_, '_> {
    fn mass(&mut self, token: TokenId) -> u64 {
        let block = token as usize / BLOCK;
        if block != self.block {
            self.q.block(block, &mut self.masses);
            self.block = block;
        }
        self.masses[token as usize % BLOCK]
    }
}

/// The target's distribution at a node while its drafts are judged.
pub(super) struct Residual<'m, 'o, 'p, 'r, 'q> {
    p: &'m Masses<'o, 'p>,
    /// The draft's distribution; without one, each draft was certain.
    q: Option<&'m Masses<'r, 'q>>,
    without_replacement: bool,
    levels: [Level; MAX_SIBLINGS],
    rejected: [TokenId; MAX_SIBLINGS],
    count: usize,
    /// Mass of what is left of p; `None` where the last residual has not been shifted yet.
    p_total: Option<u64>,
    /// Mass of what is left of q.
    q_total: u64,
    /// Total of the last residual before its shift.
    raw_total: u128,
    /// The same part by part, where p is a row and not a list.
    parts: [u128; PARTS],
}

impl<'m, 'o, 'p, 'r, 'q> Residual<'m, 'o, 'p, 'r, 'q> {
    /// Nothing has been rejected yet.
    pub fn new(p: &'m Masses<'o, 'p>, q: Option<&'m Masses<'r, 'q>>, without_replacement: bool) -> Self {
        Residual {
            p,
            q,
            without_replacement,
            levels: [Level::default(); MAX_SIBLINGS],
            rejected: [0; MAX_SIBLINGS],
            count: 0,
            p_total: Some(p.total()),
            q_total: q.map_or(1, |q| q.total()),
            raw_total: 0,
            parts: [0; PARTS],
        }
    }

    /// Whether the draft could have been drawn at all.
    pub fn is_possible(&self, token: TokenId) -> bool {
        self.q.is_none_or(|q| self.q_at(self.count, token, q.mass(token)) != 0)
    }

    /// Judges the next draft by a random number. A rejected one leaves its residual.
    pub fn judge(&mut self, token: TokenId, number: u64) -> bool {
        let p_total = self.p_total();
        let q_mass = self.q.map_or(1, |q| q.mass(token));
        let p = Share { mass: self.mass_at(self.count, token, self.p.mass(token), q_mass), total: p_total };
        match self.q {
            Some(_) => {
                let q = Share { mass: self.q_at(self.count, token, q_mass), total: self.q_total };
                if accepts(number, p, q) {
                    return true;
                }
                self.levels[self.count] = Level { p_total, q_total: self.q_total, shift: 0 };
                self.rejected[self.count] = token;
                self.count += 1;
                if self.without_replacement {
                    self.q_total -= q_mass;
                }
                let total = self.sum_up();
                debug_assert!(total > 0, "a rejection leaves something");
                self.raw_total = total;
                self.p_total = None;
            }
            None => {
                if accepts(number, p, Share { mass: 1, total: 1 }) {
                    return true;
                }
                // What the siblings before it left is p without them; only this one goes. One that is gone already stays so.
                if p.mass != 0 {
                    self.rejected[self.count] = token;
                    self.count += 1;
                    self.p_total = Some(p_total - p.mass);
                }
            }
        }
        false
    }

    /// Draws from what is left, by inversion in ascending token id.
    pub fn draw(&self, number: u64) -> TokenId {
        if self.q.is_none() || self.count == 0 {
            let total = self.p_total.unwrap_or(0);
            return self.p.token_at(crate::numeric::scale_number(number, total), &self.rejected[..self.count]);
        }
        let mut left = scale_wide(number, self.raw_total);
        let mut found = 0;
        let mut walk = |token: TokenId, mass: u128| {
            let here = left < mass;
            if here {
                found = token;
            } else {
                left -= mass;
            }
            !here
        };
        let Some(blocks) = self.p.blocks() else {
            self.each_left(walk);
            return found;
        };
        // The token 0 of a part stands for all of it: only where the draw falls into it is it walked through.
        let part = self.parts.iter().position(|&mass| !walk(0, mass)).unwrap_or(PARTS - 1);
        self.each_block_left(part_of(part, blocks), |block, masses, _| {
            masses.iter().enumerate().all(|(lane, &mass)| walk((block * BLOCK + lane) as TokenId, mass))
        });
        found
    }

    /// Sums up what the last rejection left, part by part where p is a row.
    fn sum_up(&mut self) -> u128 {
        let mut total = 0;
        let Some(blocks) = self.p.blocks() else {
            self.each_left(|_, left| {
                total += left;
                true
            });
            return total;
        };
        for part in 0..PARTS {
            let mut sum = 0;
            self.each_block_left(part_of(part, blocks), |_, _, left| {
                sum += left;
                true
            });
            self.parts[part] = sum;
            total += sum;
        }
        total
    }

    /// The total of what is left as masses; finds and applies the shift of the last residual if need be.
    fn p_total(&mut self) -> u64 {
        if let Some(total) = self.p_total {
            return total;
        }
        let shift = shift_of(self.raw_total);
        let mut total = self.raw_total as u64;
        if shift > 0 {
            let mut sum = 0;
            self.each_left(|_, left| {
                sum += (left >> shift) as u64;
                true
            });
            total = sum;
        }
        self.levels[self.count - 1].shift = shift;
        self.p_total = Some(total);
        total
    }

    /// The draft's mass of a token after so many rejections.
    fn q_at(&self, rejections: usize, token: TokenId, mass: u64) -> u64 {
        if self.without_replacement && self.rejected[..rejections].contains(&token) { 0 } else { mass }
    }

    /// The mass of a token after so many rejections, from its masses in the two rows.
    fn mass_at(&self, rejections: usize, token: TokenId, p_mass: u64, q_mass: u64) -> u64 {
        if self.q.is_none() {
            return if self.rejected[..rejections].contains(&token) { 0 } else { p_mass };
        }
        let mut mass = p_mass;
        for k in 0..rejections {
            if mass == 0 {
                break;
            }
            mass = (self.residual_at(k, token, mass, q_mass) >> self.levels[k].shift) as u64;
        }
        mass
    }

    /// What rejection number `k` leaves of a token that had `mass` before it.
    fn residual_at(&self, k: usize, token: TokenId, mass: u64, q_mass: u64) -> u128 {
        let Level { p_total, q_total, .. } = self.levels[k];
        let q = Share { mass: self.q_at(k, token, q_mass), total: q_total };
        residual(Share { mass, total: p_total }, q)
    }

    /// Calls `each` for the tokens that the last rejection left, with their masses before the shift.
    fn each_left(&self, mut each: impl FnMut(TokenId, u128) -> bool) {
        let (Some(q), Some(last)) = (self.q, self.count.checked_sub(1)) else { return };
        let mut cached = Cached { q, block: usize::MAX, masses: [0; BLOCK] };
        self.p.each(|token, p_mass| {
            let left = self.left_at(last, token, p_mass, cached.mass(token));
            left == 0 || each(token, left)
        });
    }

    /// What is left of a token after rejection number `last`, before the shift.
    fn left_at(&self, last: usize, token: TokenId, p_mass: u64, q_mass: u64) -> u128 {
        let mass = self.mass_at(last, token, p_mass, q_mass);
        if mass == 0 { 0 } else { self.residual_at(last, token, mass, q_mass) }
    }

    /// The same block by block, for a row: the masses of a block and their sum.
    fn each_block_left(
        &self,
        blocks: core::ops::Range<usize>,
        mut each: impl FnMut(usize, &[u128; BLOCK], u128) -> bool,
    ) {
        let (Some(q), Some(last)) = (self.q, self.count.checked_sub(1)) else { return };
        let (mut p_masses, mut q_masses, mut left) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
        for block in blocks {
            if !self.p.block(block, &mut p_masses) {
                continue;
            }
            q.block(block, &mut q_masses);
            let mut sum = 0;
            if last == 0 {
                // Most residuals are those of one rejection.
                let Level { p_total, q_total, .. } = self.levels[0];
                for lane in 0..BLOCK {
                    let p = Share { mass: p_masses[lane], total: p_total };
                    left[lane] = residual(p, Share { mass: q_masses[lane], total: q_total });
                    sum += left[lane];
                }
            } else {
                for lane in 0..BLOCK {
                    let token = (block * BLOCK + lane) as TokenId;
                    left[lane] = self.left_at(last, token, p_masses[lane], q_masses[lane]);
                    sum += left[lane];
                }
            }
            if !each(block, &left, sum) {
                return;
            }
        }
    }
}

/// The blocks of a part of a row of so many.
fn part_of(part: usize, blocks: usize) -> core::ops::Range<usize> {
    part * blocks / PARTS..(part + 1) * blocks / PARTS
}
