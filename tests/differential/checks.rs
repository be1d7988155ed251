//! One entry for each kernel: call it on a case in every way that its contract allows, and write down all it says, as bits.
//!
//! Outputs are filled with a pattern before the call, so that an entry that one level leaves unwritten is a difference.

use super::inputs::{COLUMN_TYPES, Case, Source, column_bytes};
use argpick::kernels::{
    Bracket, Collected, ColumnSum, ColumnType, Distances, Kernels, Rewrite, Rings, Span, distance_key,
};
use argpick::numeric;

/// Everything that a kernel said.
#[derive(Default)]
pub struct Said(pub Vec<u64>);

impl Said {
    fn float(&mut self, x: f32) {
        self.0.push(x.to_bits().into());
    }
    fn floats(&mut self, all: &[f32]) {
        self.0.extend(all.iter().map(|x| u64::from(x.to_bits())));
    }
    fn double(&mut self, x: f64) {
        self.0.push(x.to_bits());
    }
    fn rings(&mut self, rings: &Rings) {
        self.0.extend(rings.sums);
        self.0.extend(rings.nearest.map(u64::from));
        self.0.extend(rings.farthest.map(u64::from));
    }

    fn index(&mut self, index: Option<usize>) {
        self.0.push(index.map_or(u64::MAX, |index| index as u64));
    }
}

pub type Check = fn(Kernels, &Case, &mut Said);

const PAINT: u64 = 0xa5a5_5a5a_c3c3_3c3c;
const PAINT_FLOAT: f32 = -1234.5;

/// Name and check of each kernel that reads the row of a case; `tests/differential.rs` compares the names of both lists
/// with the list in `dispatch`.
pub const ROW_CHECKS: &[(&str, Check)] = &[
    ("block_maxima", block_maxima),
    ("block_maximum", block_maximum),
    ("fold_maxima", fold_maxima),
    ("largest", largest),
    ("largest_finite", largest_finite),
    ("find_equal", find_equal),
    ("find_at_least", find_at_least),
    ("count_at_least", count_at_least),
    ("bound_for_count", bound_for_count),
    ("runner_up", runner_up),
    ("sums", sums),
    ("kept_masses", kept_masses),
    ("kept_and_total_mass", kept_and_total_mass),
    ("kept_count", kept_count),
    ("kept_bits", kept_bits),
    ("block_masses", block_masses),
    ("block_bounds", block_bounds),
    ("bounds_below", bounds_below),
    ("list_masses", list_masses),
    ("collect", collect),
    ("bracket_histogram", bracket_histogram),
    ("nucleus_histogram", nucleus_histogram),
    ("distance_histogram", distance_histogram),
    ("moments", moments),
    ("nth_equal", nth_equal),
    ("write_logits", write_logits),
    ("write_weights", write_weights),
];

/// Likewise of each kernel that takes no more from a case than its length.
pub const COLUMN_CHECKS: &[(&str, Check)] =
    &[("write_sum", write_sum), ("add_scaled", add_scaled), ("multiply", multiply)];

fn block_maxima(kernels: Kernels, case: &Case, said: &mut Said) {
    // Exactly enough maxima, and sixteen more.
    for extra in [0, 16] {
        let mut maxima = vec![PAINT_FLOAT; case.maxima.len() + extra];
        let first = kernels.block_maxima(&case.view(), &mut maxima);
        said.0.push(first.has_nan.into());
        said.float(first.maximum);
        said.floats(&maxima);
    }
}

fn block_maximum(kernels: Kernels, case: &Case, said: &mut Said) {
    for block in 0..case.blocks() {
        said.float(kernels.block_maximum(&case.view(), &case.overrides, block));
    }
}

/// Values of any length for kernels over plain slices: the logits themselves, cut to a multiple of 16.
fn whole_vectors(case: &Case) -> &[f32] {
    &case.logits[..case.logits.len() / 16 * 16]
}

fn fold_maxima(kernels: Kernels, case: &Case, said: &mut Said) {
    for values in [&case.maxima[..], whole_vectors(case)] {
        let mut folded = vec![PAINT_FLOAT; (values.len() / 16).next_multiple_of(16)];
        said.float(kernels.fold_maxima(values, &mut folded));
        said.floats(&folded);
    }
}

fn largest(kernels: Kernels, case: &Case, said: &mut Said) {
    said.float(kernels.largest(&[]));
    said.float(kernels.largest(&case.logits));
    said.float(kernels.largest(&case.logits[case.logits.len() / 3..]));
}

fn largest_finite(kernels: Kernels, case: &Case, said: &mut Said) {
    for values in [&[], &case.logits[..], &case.logits[case.logits.len() / 3..]] {
        let found = kernels.largest_finite(values);
        said.0.push(found.is_some().into());
        said.float(found.unwrap_or(PAINT_FLOAT));
    }
    // One that is not finite anywhere.
    for (i, odd) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN].into_iter().enumerate() {
        let mut values: Vec<f32> = case.logits.iter().map(|&x| if x.is_finite() { x } else { 1.5 }).collect();
        said.0.push(kernels.largest_finite(&values).is_some().into());
        let at = (values.len() - 1) * i / 3;
        values[at] = odd;
        said.0.push(kernels.largest_finite(&values).is_some().into());
    }
}

fn find_equal(kernels: Kernels, case: &Case, said: &mut Said) {
    let last = case.logits.len() - 1;
    for wanted in [case.logits[last], case.logits[last / 2], f32::NEG_INFINITY, 0.0, -0.0, f32::NAN, 77.125] {
        said.index(kernels.find_equal(&case.logits, wanted));
    }
}

/// Logits of the case, and values around and beyond all of them.
fn thresholds(case: &Case) -> Vec<f32> {
    let last = case.logits.len() - 1;
    let mut all = vec![f32::NEG_INFINITY, f32::MIN, f32::MAX, 0.0, -0.0];
    all.extend([case.logits[0], case.logits[last / 2], case.logits[last]]);
    all.extend(case.scale.map(|scale| scale.maximum));
    all
}

fn find_at_least(kernels: Kernels, case: &Case, said: &mut Said) {
    for threshold in thresholds(case) {
        for first in [0, 1, case.blocks() / 2, case.blocks() - 1, case.blocks(), case.maxima.len()] {
            said.index(kernels.find_at_least(&case.maxima, first, threshold));
        }
    }
}

fn count_at_least(kernels: Kernels, case: &Case, said: &mut Said) {
    for threshold in thresholds(case) {
        for values in [&case.maxima[..], whole_vectors(case)] {
            said.0.push(kernels.count_at_least(values, threshold) as u64);
        }
    }
}

fn bound_for_count(kernels: Kernels, case: &Case, said: &mut Said) {
    for values in [&case.maxima[..], whole_vectors(case)] {
        for wanted in [1, 2, values.len() / 2 + 1, values.len()] {
            said.float(kernels.bound_for_count(values, wanted));
        }
    }
}

fn runner_up(kernels: Kernels, case: &Case, said: &mut Said) {
    for block in 0..case.blocks() {
        for within in [0, 15, 16, 40, 63] {
            let token = (block * 64 + within).min(case.valid - 1);
            said.float(kernels.runner_up(&case.view(), block, token as u32));
        }
    }
}

fn sums(kernels: Kernels, case: &Case, said: &mut Said) {
    let Some(scale) = case.scale else { return };
    for maxima in [&case.maxima[..], &[]] {
        for masses in [true, false] {
            let sums = kernels.sums(&case.view(), maxima, scale, masses);
            said.double(sums.weight);
            said.double(sums.weight_exponent);
            said.0.push(sums.mass);
        }
    }
}

fn kept_masses(kernels: Kernels, case: &Case, said: &mut Said) {
    let Some(scale) = case.scale else { return };
    for &cut in &case.cuts {
        let mut masses = vec![PAINT; case.blocks()];
        let kept = kernels.kept_masses(&case.view(), &case.maxima, scale, cut, &mut masses);
        said.0.extend([kept.count.into(), kept.mass]);
        said.0.extend(masses);
    }
}

fn kept_and_total_mass(kernels: Kernels, case: &Case, said: &mut Said) {
    let Some(scale) = case.scale else { return };
    for &cut in &case.cuts {
        for least in [f32::NEG_INFINITY, cut.logit, scale.maximum] {
            let (kept, total) = kernels.kept_and_total_mass(&case.view(), &case.maxima, least, scale, cut);
            said.0.extend([kept, total]);
        }
    }
}

fn kept_count(kernels: Kernels, case: &Case, said: &mut Said) {
    for &cut in &case.cuts {
        said.0.push(kernels.kept_count(&case.view(), &case.maxima, cut).into());
    }
}

fn kept_bits(kernels: Kernels, case: &Case, said: &mut Said) {
    for &cut in &case.cuts {
        let mut words = vec![0xdead_beef; case.view().valid.div_ceil(32)];
        kernels.kept_bits(&case.view(), &case.maxima, cut, &mut words);
        said.0.extend(words.into_iter().map(u64::from));
    }
}

fn block_masses(kernels: Kernels, case: &Case, said: &mut Said) {
    let Some(scale) = case.scale else { return };
    for &cut in &case.cuts {
        for block in [0, case.blocks() / 2, case.blocks() - 1] {
            let mut masses = [PAINT; 64];
            said.0.push(kernels.block_masses(&case.view(), block, scale, cut, &mut masses));
            said.0.extend(masses);
        }
    }
}

fn block_bounds(kernels: Kernels, case: &Case, said: &mut Said) {
    let Some(scale) = case.scale else { return };
    for maxima in [&case.bounded_maxima()[..], whole_vectors(case)] {
        let mut bounds = vec![PAINT; maxima.len() + 16];
        said.0.push(kernels.block_bounds(maxima, scale, &mut bounds));
        said.0.extend(bounds);
    }
}

fn bounds_below(kernels: Kernels, case: &Case, said: &mut Said) {
    for maxima in [&case.maxima[..], whole_vectors(case)] {
        // Numbers of all sizes, so that no lane can be taken for another, and more than there are maxima.
        let numbers: Vec<u64> = (0..maxima.len() as u64 + 16)
            .map(|i| (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (8 + i % 48))
            .collect();
        for threshold in thresholds(case) {
            said.0.push(kernels.bounds_below(maxima, threshold, &numbers));
        }
    }
}

fn list_masses(kernels: Kernels, case: &Case, said: &mut Said) {
    let Some(scale) = case.scale else { return };
    for logits in [&case.logits[..], &case.logits[..case.logits.len() / 2]] {
        let mut masses = vec![PAINT; logits.len()];
        said.0.push(kernels.list_masses(logits, scale, &mut masses));
        said.0.extend(masses);
    }
}

fn collect(kernels: Kernels, case: &Case, said: &mut Said) {
    for threshold in thresholds(case) {
        for strictly in [false, true] {
            // Room for two blocks at a time: the collection stops, is emptied and goes on.
            let mut keys = vec![PAINT; 128];
            let mut from = Collected { next_block: 0, filled: 0 };
            while from.next_block < case.blocks() {
                from = kernels.collect(&case.view(), &case.maxima, threshold, strictly, from, &mut keys);
                said.0.extend([from.next_block as u64, from.filled as u64]);
                said.0.extend(&keys[..from.filled]);
                from.filled = 0;
            }
        }
    }
}

fn bracket_histogram(kernels: Kernels, case: &Case, said: &mut Said) {
    let Some(scale) = case.scale else { return };
    let highest = numeric::ordered_key(scale.maximum);
    let lowest =
        case.logits.iter().filter(|x| x.is_finite()).map(|&x| numeric::ordered_key(x)).min().unwrap_or(highest);
    for (low, high) in [(lowest, highest + 1), (lowest + (highest - lowest) / 3, highest), (highest, highest + 1)] {
        if low >= high {
            continue;
        }
        let mut shift = 0;
        while (high - 1 - low) >> shift > 255 {
            shift += 1;
        }
        for weighted in [None, Some(scale)] {
            // The kernel adds to what is there.
            let mut bins = Rings { sums: [1; 256], ..Rings::EMPTY };
            kernels.bracket_histogram(&case.view(), &case.maxima, weighted, Bracket { low, high, shift }, &mut bins);
            said.rings(&bins);
        }
    }
}

fn nucleus_histogram(kernels: Kernels, case: &Case, said: &mut Said) {
    let Some(scale) = case.scale else { return };
    let highest = numeric::ordered_key(scale.maximum);
    for &cut in &case.cuts {
        let near = numeric::ordered_key(cut.logit).min(highest);
        for (below, above, shift) in [(0, 1, 0), (40_000, 80_000, 9), (1 << 22, 1 << 21, 16)] {
            let low = near.saturating_sub(below).max(numeric::ordered_key(f32::MIN));
            let high = (near + above).min(highest + 1);
            let mut bins = Rings { sums: [1; 256], ..Rings::EMPTY };
            let bracket = Bracket { low, high, shift };
            let (above, total) = kernels.nucleus_histogram(&case.view(), &case.maxima, scale, bracket, &mut bins);
            said.0.extend([above, total]);
            said.rings(&bins);
        }
    }
}

/// Brackets of distances from centres in, beside and far from the row, with the logits that they mean.
pub fn rings(case: &Case) -> Vec<Distances> {
    let Some(scale) = case.scale else { return Vec::new() };
    let taking_part: Vec<f32> = case.logits.iter().copied().filter(|logit| logit.is_finite()).collect();
    let middle = taking_part[taking_part.len() / 2];
    let mut all = Vec::new();
    for centre in [f64::from(scale.maximum), f64::from(middle) + 0.1, f64::from(middle) - 1e10] {
        let mut keys: Vec<u32> = taking_part.iter().map(|&logit| distance_key(logit, centre)).collect();
        keys.sort_unstable();
        let (least, most) = (keys[0], keys[keys.len() - 1]);
        for (low, high) in [(0, most + 1), (least, most + 1), (keys[keys.len() / 3], keys[2 * keys.len() / 3] + 1)] {
            let mut shift = 0;
            while (high - 1 - low) >> shift > 255 {
                shift += 1;
            }
            // The logits of the row are all the logits there are.
            let span = |limit: u32| {
                let mut near = taking_part.iter().copied().filter(|&logit| distance_key(logit, centre) < limit);
                let first = near.next();
                first.map_or(Span::NONE, |first| {
                    near.fold(Span { low: first, high: first }, |span, logit| Span {
                        low: span.low.min(logit),
                        high: span.high.max(logit),
                    })
                })
            };
            let bracket = Bracket { low, high, shift };
            all.push(Distances { centre, bracket, nearer: span(low), near: span(high) });
        }
    }
    all
}

fn distance_histogram(kernels: Kernels, case: &Case, said: &mut Said) {
    let Some(scale) = case.scale else { return };
    for distances in rings(case) {
        for (masses, wanted) in [(true, true), (true, false), (false, true)] {
            let mut rings = Rings::EMPTY;
            let view = &case.view();
            let inside = kernels.distance_histogram(view, &case.maxima, scale, masses, wanted, &distances, &mut rings);
            said.0.push(inside);
            said.rings(&rings);
        }
    }
}

fn moments(kernels: Kernels, case: &Case, said: &mut Said) {
    let Some(scale) = case.scale else { return };
    for unit in [1.0, 2f32.powi(-80), 2f32.powi(90)] {
        let moments = kernels.moments(&case.view(), scale.maximum, unit);
        said.0.push(moments.count.into());
        said.double(moments.sum);
        // An infinity times nothing is a NaN, whose bits are open.
        said.double(if moments.squares.is_nan() { f64::INFINITY } else { moments.squares });
    }
}

fn nth_equal(kernels: Kernels, case: &Case, said: &mut Said) {
    for cut in case.cuts.iter().skip(1) {
        let equal = case.logits[..case.valid].iter().filter(|&&logit| logit == cut.logit).count() as u64;
        for n in [0, equal / 2, equal - 1, equal] {
            let token = kernels.nth_equal(&case.view(), &case.maxima, 0, cut.logit, n);
            said.index(token.map(|token| token as usize));
        }
    }
}

/// Calls `each` with an f32 copy of the row as given and every way to rewrite it.
fn rewrites(case: &Case, mut each: impl FnMut(&mut [f32], &Rewrite<'_>)) {
    let Some(given) = case.row() else { return };
    for &cut in &case.cuts {
        for maxima in [&case.maxima[..], &[]] {
            let mut row = given.to_vec();
            let kept = case.kept(cut);
            let spec =
                Rewrite { words: case.words.as_deref(), valid: case.valid, overrides: &case.overrides, maxima, kept };
            each(&mut row, &spec);
        }
    }
}

fn write_logits(kernels: Kernels, case: &Case, said: &mut Said) {
    if case.scale.is_none() {
        return;
    }
    for temperature in [1.0, 0.7, 3.0] {
        rewrites(case, |row, spec| {
            kernels.write_logits(row, spec, temperature);
            said.floats(row);
        });
    }
}

fn write_weights(kernels: Kernels, case: &Case, said: &mut Said) {
    let Some(scale) = case.scale else { return };
    rewrites(case, |row, spec| {
        said.double(kernels.write_weights(row, spec, scale));
        said.floats(row);
    });
}

fn write_sum(kernels: Kernels, case: &Case, said: &mut Said) {
    let rows = case.logits.len();
    let mut source = Source(rows as u64);
    let features = 9;
    for kind in COLUMN_TYPES {
        // Any type of bias, any alignment.
        for (bias_kind, offset) in [(kind, 0), (ColumnType::F32, 1), (ColumnType::F16, 6)] {
            let mut weights = |count: usize| -> Vec<f32> {
                (0..count).map(|_| source.normal(1.0) * source.pick(&[1.0, 1.0, 1e-6, 100.0])).collect()
            };
            let bias = column_bytes(bias_kind, offset, weights(rows).into_iter());
            let matrix = column_bytes(kind, offset, weights(rows * features).into_iter());
            let values = [1.0, -0.37, 2.0, 1.5e-3, 1.0, 7.0, -1.0, 0.5];
            for count in [0, 1, 2, 3, 4, 5, 7, 8] {
                for values in [None, Some(&values[..count])] {
                    let sum = ColumnSum {
                        kernels,
                        weights: &matrix[offset..],
                        kind,
                        bias: &bias[offset..],
                        bias_kind,
                        rows,
                        columns: &[8, 0, 3, 3, 1, 7, 5, 2][..count],
                        values,
                    };
                    let mut output = vec![PAINT_FLOAT; rows];
                    kernels.write_sum(&sum, 0, &mut output);
                    said.floats(&output);
                }
            }
        }
    }
}

fn add_scaled(kernels: Kernels, case: &Case, said: &mut Said) {
    let mut source = Source(case.logits.len() as u64);
    let x: Vec<f32> = case.logits.iter().map(|_| source.normal(1.0)).collect();
    for scale in [1.0, -0.01, 3.3e-7] {
        let mut y: Vec<f32> = (0..x.len()).map(|i| (i % 251) as f32 * 0.37).collect();
        kernels.add_scaled(&mut y, scale, &x);
        said.floats(&y);
    }
}

fn multiply(kernels: Kernels, case: &Case, said: &mut Said) {
    for factor in [1.0, -0.37, 1e-30] {
        let mut values: Vec<f32> = (0..case.logits.len()).map(|i| (i % 251) as f32 * 0.37).collect();
        kernels.multiply(&mut values, factor);
        said.floats(&values);
    }
}
