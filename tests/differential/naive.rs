//! The scalar level against plain loops over tokens: what `argpick::numeric` and the contracts of the kernels say, written
//! a second time without lanes, blocks or maxima to steer by.

use super::checks::rings;
use super::inputs::{COLUMN_TYPES, Case, Source, column_bytes, column_element};
use argpick::Level;
use argpick::kernels::{
    Bracket, Collected, ColumnSum, Cut, Kernels, Rewrite, Rings, Scale, moments_of_tokens, sums_of_tokens,
};
use argpick::numeric::{self, exponent, ordered_key, rank_key, weight, weight_to_bound, weight_to_mass};

const MASKED: f32 = f32::NEG_INFINITY;

/// The fixed tree over sixteen lanes.
fn fold(lanes: [f32; 16]) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|i| lanes[i] + lanes[i + 8]);
    let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
    let two = [four[0] + four[2], four[1] + four[3]];
    two[0] + two[1]
}

/// A sum over tokens by the rule of float sums: sixteen lanes, tiles of 1,024, tiles added in f64.
fn tiled_sum(terms: impl Iterator<Item = f32>) -> f64 {
    let terms: Vec<f32> = terms.collect();
    let mut total = 0.0;
    for tile in terms.chunks(1024) {
        let mut lanes = [0.0f32; 16];
        for (token, term) in tile.iter().enumerate() {
            lanes[token % 16] += term;
        }
        total += f64::from(fold(lanes));
    }
    total
}

fn weight_of(logit: f32, scale: Scale) -> f32 {
    if logit == MASKED { 0.0 } else { weight(exponent(logit, scale.maximum, scale.scale)) }
}

fn mass_of(logit: f32, scale: Scale) -> u64 {
    weight_to_mass(weight_of(logit, scale))
}

fn keeps(cut: Cut, logit: f32, token: usize) -> bool {
    logit > MASKED && (logit > cut.logit || logit == cut.logit && token <= cut.token as usize)
}

fn bits(all: &[f32]) -> Vec<u32> {
    all.iter().map(|x| x.to_bits()).collect()
}

/// Holds the scalar kernels that look at a row against the loops.
pub fn check(case: &Case) {
    let kernels = Kernels::new(Level::Scalar).expect("the scalar level is everywhere");
    maxima(kernels, case);
    searches(kernels, case);
    if let Some(scale) = case.scale {
        masses(kernels, case, scale);
        candidates(kernels, case, scale);
        spread(kernels, case, scale);
        distances(kernels, case, scale);
        rewritten(kernels, case, scale);
    }
}

fn maxima(kernels: Kernels, case: &Case) {
    let name = &case.name;
    let given = case.view().as_given();
    let unadjusted: Vec<f32> = (0..case.valid as u32).map(|token| given.logit(token)).collect();
    let of = |logits: &[f32]| logits.iter().fold(MASKED, |largest, &x| if x > largest { x } else { largest }) + 0.0;
    let mut maxima = vec![1.0; case.maxima.len()];
    let first = kernels.block_maxima(&case.view(), &mut maxima);
    assert!(!first.has_nan, "{name}");
    assert_eq!(first.maximum.to_bits(), of(&unadjusted).to_bits(), "{name}");
    for (block, maximum) in maxima.iter().enumerate() {
        let tokens = unadjusted.chunks(64).nth(block).unwrap_or(&[]);
        assert_eq!(maximum.to_bits(), of(tokens).to_bits(), "block {block}: {name}");
    }
    for (block, tokens) in case.logits[..case.valid].chunks(64).enumerate() {
        assert_eq!(
            kernels.block_maximum(&case.view(), &case.overrides, block).to_bits(),
            of(tokens).to_bits(),
            "{block}: {name}"
        );
        for without in [0, tokens.len() / 2, tokens.len() - 1] {
            let mut others = tokens.to_vec();
            others.remove(without);
            let second = kernels.runner_up(&case.view(), block, (block * 64 + without) as u32);
            assert_eq!(second.to_bits(), of(&others).to_bits(), "{block}, {without}: {name}");
        }
    }
    let mut folded = vec![1.0; (case.maxima.len() / 16).next_multiple_of(16)];
    assert_eq!(kernels.fold_maxima(&case.maxima, &mut folded).to_bits(), of(&case.maxima).to_bits(), "{name}");
    for (run, maximum) in folded.iter().enumerate() {
        let values = case.maxima.chunks(16).nth(run).unwrap_or(&[]);
        assert_eq!(maximum.to_bits(), of(values).to_bits(), "run {run}: {name}");
    }
    assert_eq!(kernels.largest(&case.logits).to_bits(), of(&case.logits).to_bits(), "{name}");
    let finite = case.logits.iter().all(|logit| logit.is_finite()).then(|| of(&case.logits).to_bits());
    assert_eq!(kernels.largest_finite(&case.logits).map(f32::to_bits), finite, "{name}");
}

fn searches(kernels: Kernels, case: &Case) {
    let name = &case.name;
    let last = case.logits[case.logits.len() - 1];
    for wanted in [last, case.logits[0], 0.0, 77.125] {
        let expected = case.logits.iter().position(|&logit| logit == wanted);
        assert_eq!(kernels.find_equal(&case.logits, wanted), expected, "{wanted}: {name}");
        for first in [0, case.blocks() / 2, case.blocks()] {
            let found = kernels.find_at_least(&case.maxima, first, wanted);
            let expected = (first..case.maxima.len()).find(|&i| case.maxima[i] >= wanted && case.maxima[i] > MASKED);
            assert_eq!(found, expected, "{wanted} from {first}: {name}");
        }
    }
    let above = case.maxima.iter().filter(|&&maximum| maximum > MASKED).count();
    for wanted in [1, 2, above / 2 + 1, above + 1] {
        let bound = kernels.bound_for_count(&case.maxima, wanted);
        let reached = case.maxima.iter().filter(|&&maximum| maximum > MASKED && maximum >= bound).count();
        assert_eq!(bound == MASKED, above < wanted, "{wanted}: {name}");
        assert!(above < wanted || reached >= wanted, "{wanted}, {reached}: {name}");
        // Few more: a sixteenth, and ties of the last one.
        let beyond = case.maxima.iter().filter(|&&maximum| maximum > bound).count();
        assert!(above < wanted || reached <= wanted + wanted / 16 || beyond < wanted, "{wanted}, {reached}: {name}");
    }
}

fn masses(kernels: Kernels, case: &Case, scale: Scale) {
    let (name, view) = (&case.name, case.view());
    let logits = &case.logits[..case.valid];
    let exponents = logits.iter().map(|&logit| exponent(logit, scale.maximum, scale.scale));
    let weights: Vec<f32> = logits.iter().map(|&logit| weight_of(logit, scale)).collect();
    for maxima in [&case.maxima[..], &[]] {
        let sums = kernels.sums(&view, maxima, scale, true);
        assert_eq!(sums.weight, tiled_sum(weights.iter().copied()), "{name}");
        let products = weights.iter().zip(exponents.clone()).map(|(w, t)| w * t);
        assert_eq!(sums.weight_exponent, tiled_sum(products), "{name}");
        assert_eq!(sums.mass, weights.iter().map(|&w| weight_to_mass(w)).sum::<u64>(), "{name}");
    }
    let mut list = vec![7; logits.len()];
    assert_eq!(kernels.list_masses(logits, scale, &mut list), list.iter().sum::<u64>(), "{name}");
    assert_eq!(list, logits.iter().map(|&logit| mass_of(logit, scale)).collect::<Vec<_>>(), "{name}");
    let mut bounds = vec![7; case.maxima.len()];
    let maxima = case.bounded_maxima();
    assert_eq!(kernels.block_bounds(&maxima, scale, &mut bounds), bounds.iter().sum::<u64>(), "{name}");
    for (block, (&bound, &maximum)) in bounds.iter().zip(&maxima).enumerate() {
        let w = weight_of(maximum, scale);
        assert_eq!(bound, if w == 0.0 { 0 } else { weight_to_bound(w) }, "block {block}: {name}");
    }
    for cut in &case.cuts {
        let below = bounds.iter().zip(&maxima).filter(|(_, maximum)| **maximum < cut.logit);
        let sum: u64 = below.map(|(bound, _)| bound).sum();
        assert_eq!(kernels.bounds_below(&maxima, cut.logit, &bounds), sum, "{cut:?}: {name}");
    }
    for &cut in &case.cuts {
        let kept: Vec<u64> = (0..logits.len())
            .map(|token| if keeps(cut, logits[token], token) { mass_of(logits[token], scale) } else { 0 })
            .collect();
        let count = (0..logits.len()).filter(|&token| keeps(cut, logits[token], token)).count() as u32;
        assert_eq!(kernels.kept_count(&view, &case.maxima, cut), count, "{cut:?}: {name}");
        let (mut words, mut bits) = (vec![7; logits.len().div_ceil(32)], vec![0; logits.len().div_ceil(32)]);
        kernels.kept_bits(&view, &case.maxima, cut, &mut words);
        for token in (0..logits.len()).filter(|&token| keeps(cut, logits[token], token)) {
            bits[token / 32] |= 1u32 << (token % 32);
        }
        assert_eq!(words, bits, "{cut:?}: {name}");
        let mut by_block = vec![7; case.blocks()];
        let said = kernels.kept_masses(&view, &case.maxima, scale, cut, &mut by_block);
        assert_eq!((said.count, said.mass), (count, kept.iter().sum()), "{cut:?}: {name}");
        for least in [MASKED, cut.logit, scale.maximum] {
            let read = |block: usize| case.maxima[block] >= least && case.maxima[block] > MASKED;
            let over = |masses: &[u64]| -> u64 {
                masses.chunks(64).enumerate().filter(|&(block, _)| read(block)).flat_map(|(_, masses)| masses).sum()
            };
            let all: Vec<u64> = logits.iter().map(|&logit| mass_of(logit, scale)).collect();
            let said = kernels.kept_and_total_mass(&view, &case.maxima, least, scale, cut);
            assert_eq!(said, (over(&kept), over(&all)), "{cut:?}, {least}: {name}");
        }
        for (block, masses) in kept.chunks(64).enumerate() {
            assert_eq!(by_block[block], masses.iter().sum::<u64>(), "block {block}, {cut:?}: {name}");
            let mut each = [7; 64];
            assert_eq!(kernels.block_masses(&view, block, scale, cut, &mut each), by_block[block], "{name}");
            assert_eq!(&each[..masses.len()], masses, "block {block}, {cut:?}: {name}");
            assert!(each[masses.len()..].iter().all(|&mass| mass == 0), "block {block}, {cut:?}: {name}");
        }
    }
}

/// Sums over tokens one by one are those of the row, bit for bit.
fn spread(kernels: Kernels, case: &Case, scale: Scale) {
    let (name, view) = (&case.name, case.view());
    let logits = &case.logits[..case.valid];
    let tokens =
        || (0..).zip(logits).filter(|&(_, &logit)| logit > MASKED).map(|(token, &logit)| (token as u32, logit));
    let (sums, listed) = (kernels.sums(&view, &case.maxima, scale, true), sums_of_tokens(tokens(), scale));
    assert_eq!(listed.mass, sums.mass, "{name}");
    for (listed, sum) in [(listed.weight, sums.weight), (listed.weight_exponent, sums.weight_exponent)] {
        assert_eq!(listed.to_bits(), sum.to_bits(), "{name}");
    }
    for unit in [1.0, 2f32.powi(-80)] {
        let difference = |logit: &f32| if *logit == MASKED { 0.0 } else { logit * unit - scale.maximum * unit };
        let moments = kernels.moments(&view, scale.maximum, unit);
        assert_eq!(moments, moments_of_tokens(tokens(), scale.maximum, unit), "{name}");
        assert_eq!(moments.count as usize, tokens().count(), "{name}");
        assert_eq!(moments.sum, tiled_sum(logits.iter().map(difference)), "{name}");
        assert_eq!(moments.squares, tiled_sum(logits.iter().map(|z| difference(z) * difference(z))), "{name}");
    }
}

fn distances(kernels: Kernels, case: &Case, scale: Scale) {
    for distances in rings(case) {
        let bracket = distances.bracket;
        for masses in [true, false] {
            let (mut expected, mut inside, mut ends) = (Rings::EMPTY, 0, Ends::NONE);
            for &logit in case.logits.iter().filter(|&&logit| logit > MASKED) {
                let distance = ((f64::from(logit) - distances.centre).abs() as f32).to_bits();
                let amount = if masses { mass_of(logit, scale) } else { 1 };
                if distance < bracket.low {
                    inside += amount;
                } else if distance < bracket.high {
                    let bin = ((distance - bracket.low) >> bracket.shift) as usize;
                    expected.sums[bin] += amount;
                    ends.add(bin, distance, amount > 0);
                }
            }
            let mut rings = Rings::EMPTY;
            let view = &case.view();
            let said = kernels.distance_histogram(view, &case.maxima, scale, masses, true, &distances, &mut rings);
            assert_eq!((said, rings.sums), (inside, expected.sums), "{distances:?}: {}", case.name);
            ends.assert_hold(&rings, &case.name);
            // What is nearer can be left out.
            let mut same = Rings::EMPTY;
            let said = kernels.distance_histogram(view, &case.maxima, scale, masses, false, &distances, &mut same);
            assert_eq!((said, same), (0, rings), "{distances:?}: {}", case.name);
        }
    }
}

fn candidates(kernels: Kernels, case: &Case, scale: Scale) {
    let (name, view) = (&case.name, case.view());
    let logits = &case.logits[..case.valid];
    for cut in case.cuts.iter().skip(1) {
        for strictly in [false, true] {
            let taken = |logit: f32| if strictly { logit > cut.logit } else { logit >= cut.logit };
            let expected: Vec<u64> = (0..logits.len())
                .filter(|&token| taken(logits[token]))
                .map(|token| rank_key(logits[token], token as u32))
                .collect();
            let mut keys = vec![7; logits.len() + 64];
            let from = Collected { next_block: 0, filled: 0 };
            let end = kernels.collect(&view, &case.maxima, cut.logit, strictly, from, &mut keys);
            assert_eq!(end, Collected { next_block: case.blocks(), filled: expected.len() }, "{name}");
            assert_eq!(&keys[..end.filled], expected, "{cut:?}, strictly {strictly}: {name}");
        }
        let equal: Vec<u32> = (0..logits.len() as u32).filter(|&token| logits[token as usize] == cut.logit).collect();
        for n in [0, equal.len() / 2, equal.len() - 1, equal.len()] {
            let found = kernels.nth_equal(&view, &case.maxima, 0, cut.logit, n as u64);
            assert_eq!(found, equal.get(n).copied(), "{n} of {cut:?}: {name}");
        }
        let low = ordered_key(cut.logit);
        // Narrow bins keep their ends, wide ones do not.
        for (high, shift) in [(low + 200_000, 10), (low + 200_000, 13), (low + 50_000_000, 18)] {
            brackets(kernels, case, scale, Bracket { low, high, shift });
        }
        // The token of the cut has the last key, or the one past it.
        for high in [low, low + 1] {
            let low = high.saturating_sub(200_000).max(ordered_key(f32::MIN));
            if low < high {
                brackets(kernels, case, scale, Bracket { low, high, shift: 10 });
            }
        }
    }
}

/// The least and the greatest key of bins, over those tokens that must be looked at and over all that may be.
#[derive(Clone, Copy)]
struct Ends {
    must: Rings,
    may: Rings,
}

impl Ends {
    const NONE: Ends = Ends { must: Rings::EMPTY, may: Rings::EMPTY };

    fn add(&mut self, bin: usize, key: u32, must: bool) {
        for rings in if must { vec![&mut self.must, &mut self.may] } else { vec![&mut self.may] } {
            rings.nearest[bin] = rings.nearest[bin].min(key);
            rings.farthest[bin] = rings.farthest[bin].max(key);
        }
    }

    fn assert_hold(&self, rings: &Rings, name: &str) {
        for bin in 0..256 {
            let nearest = self.may.nearest[bin]..=self.must.nearest[bin];
            let farthest = self.must.farthest[bin]..=self.may.farthest[bin];
            assert!(nearest.contains(&rings.nearest[bin]), "{:#x} is not in {nearest:x?}: {name}", rings.nearest[bin]);
            assert!(farthest.contains(&rings.farthest[bin]), "{:#x}, not {farthest:x?}: {name}", rings.farthest[bin]);
        }
    }
}

fn brackets(kernels: Kernels, case: &Case, scale: Scale, bracket: Bracket) {
    // Keys past the largest finite logit are those of no number.
    if !numeric::key_to_logit(bracket.high - 1).is_finite() {
        return;
    }
    let (name, view) = (&case.name, case.view());
    for weighted in [None, Some(scale)] {
        let mut expected = Rings { sums: [3; 256], ..Rings::EMPTY };
        let (mut above, mut total, mut ends) = (0, 0, Ends::NONE);
        for &logit in case.logits[..case.valid].iter().filter(|&&logit| logit > MASKED) {
            let key = ordered_key(logit);
            let mass = weighted.map_or(1, |scale| mass_of(logit, scale));
            if (bracket.low..bracket.high).contains(&key) {
                let bin = ((key - bracket.low) >> bracket.shift) as usize;
                expected.sums[bin] += mass;
                ends.add(bin, key, mass > 0);
                if bracket.shift <= 12 {
                    expected.nearest[bin] = expected.nearest[bin].min(key);
                    expected.farthest[bin] = expected.farthest[bin].max(key);
                }
            }
            above += if key >= bracket.high { mass } else { 0 };
            total += mass;
        }
        let mut bins = Rings { sums: [3; 256], ..Rings::EMPTY };
        kernels.bracket_histogram(&view, &case.maxima, weighted, bracket, &mut bins);
        assert_eq!(bins, expected, "{bracket:?}: {name}");
        if let Some(scale) = weighted {
            let mut bins = Rings { sums: [3; 256], ..Rings::EMPTY };
            let around = kernels.nucleus_histogram(&view, &case.maxima, scale, bracket, &mut bins);
            assert_eq!(bins.sums, expected.sums, "{bracket:?}: {name}");
            assert_eq!(around, (above, total), "{bracket:?}: {name}");
            // Blocks that weigh nothing are not read.
            ends.assert_hold(&bins, name);
        }
    }
}

fn rewritten(kernels: Kernels, case: &Case, scale: Scale) {
    let Some(given) = case.row() else { return };
    for &cut in &case.cuts {
        let kept: Vec<bool> = (0..given.len()).map(|token| keeps(cut, case.logits[token], token)).collect();
        let with = |wanted: &dyn Fn(usize) -> f32, removed: f32| -> Vec<f32> {
            (0..given.len()).map(|token| if kept[token] { wanted(token) } else { removed }).collect()
        };
        let weights = with(&|token| weight_of(case.logits[token], scale), 0.0);
        let reciprocal = (1.0 / tiled_sum(weights[..case.valid].iter().copied())) as f32;
        let probabilities: Vec<f32> = weights.iter().map(|w| w * reciprocal).collect();
        let spec = Rewrite {
            words: case.words.as_deref(),
            valid: case.valid,
            overrides: &case.overrides,
            maxima: &case.maxima,
            kept: case.kept(cut),
        };
        let mut row = given.to_vec();
        kernels.write_probabilities(&mut row, &spec, scale);
        assert_eq!(bits(&row), bits(&probabilities), "{cut:?}: {}", case.name);
        for temperature in [1.0, 0.7] {
            let mut row = given.to_vec();
            kernels.write_logits(&mut row, &spec, temperature);
            let logits = with(&|token| case.logits[token] / temperature, MASKED);
            assert_eq!(bits(&row), bits(&logits), "{cut:?}, temperature {temperature}: {}", case.name);
        }
    }
}

/// The scalar sums of columns, element by element.
pub fn check_columns(rows: usize, seed: u64) {
    let kernels = Kernels::new(Level::Scalar).expect("the scalar level is everywhere");
    let mut source = Source(seed);
    for kind in COLUMN_TYPES {
        let mut weights = |count: usize| (0..count).map(|_| source.normal(1.0)).collect::<Vec<_>>().into_iter();
        let (bias, matrix) = (column_bytes(kind, 1, weights(rows)), column_bytes(kind, 3, weights(5 * rows)));
        let (bias, matrix) = (&bias[1..], &matrix[3..]);
        let columns = [4, 0, 2, 2, 1, 3];
        let activations = [0.5, 1.0, -3.0, 1e-3, 1.0, 2.0];
        for count in 0..=columns.len() {
            for values in [None, Some(&activations[..count])] {
                let columns = &columns[..count];
                let sum = ColumnSum { kernels, weights: matrix, kind, bias, bias_kind: kind, rows, columns, values };
                let mut output = vec![9.0; rows];
                kernels.write_sum(&sum, 0, &mut output);
                let expected: Vec<f32> = (0..rows)
                    .map(|row| {
                        let terms = columns.iter().enumerate().map(|(i, &column)| {
                            values.map_or(1.0, |values| values[i])
                                * column_element(kind, matrix, column as usize * rows + row)
                        });
                        terms.fold(column_element(kind, bias, row), |sum, term| sum + term)
                    })
                    .collect();
                assert_eq!(bits(&output), bits(&expected), "{count} of {kind:?}, {rows} rows, seed {seed}");
            }
        }
    }
    let x: Vec<f32> = (0..rows).map(|_| source.normal(1.0)).collect();
    let mut y: Vec<f32> = (0..rows).map(|_| source.normal(1.0)).collect();
    let expected: Vec<f32> = y.iter().zip(&x).map(|(y, x)| y + -0.3 * x).collect();
    kernels.add_scaled(&mut y, -0.3, &x);
    assert_eq!(bits(&y), bits(&expected), "{rows} rows, seed {seed}");
}
