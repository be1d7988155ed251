//! The sparse head against an f64 oracle, and all kernel levels against the scalar one, bit for bit.

use argpick::kernels::Kernels;
use argpick::logits::project;
use argpick::weights::{Column, ColumnMatrix, ElementType, SparseHead};
use argpick::{Config, Decoder, Error, Level, Mode};
use half::{bf16, f16};

const ELEMENTS: [ElementType; 4] = [ElementType::F64, ElementType::F32, ElementType::F16, ElementType::Bf16];

/// Not a random number, but no pattern either: weights in (-2, 2).
fn weight(index: usize) -> f64 {
    let mixed = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (index as u64) << 21;
    ((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11) as f64 / (1u64 << 51) as f64 - 2.0
}

/// Weights `first..first + count` as bytes behind `offset` others, and as the f64 that those bytes mean.
fn encoded(element: ElementType, offset: usize, first: usize, count: usize) -> (Vec<u8>, Vec<f64>) {
    let (mut bytes, mut meant) = (vec![0xdd; offset], Vec::new());
    for index in first..first + count {
        let exact = weight(index);
        match element {
            // f64 weights are used as f32.
            ElementType::F64 => {
                bytes.extend(exact.to_le_bytes());
                meant.push(f64::from(exact as f32));
            }
            ElementType::F32 => {
                bytes.extend((exact as f32).to_le_bytes());
                meant.push(f64::from(exact as f32));
            }
            ElementType::F16 => {
                bytes.extend(f16::from_f64(exact).to_le_bytes());
                meant.push(f16::from_f64(exact).to_f64());
            }
            _ => {
                bytes.extend(bf16::from_f64(exact).to_le_bytes());
                meant.push(bf16::from_f64(exact).to_f64());
            }
        }
    }
    (bytes, meant)
}

/// A head of `features` columns whose bytes begin anywhere.
struct Head {
    element: ElementType,
    bias_element: ElementType,
    offset: usize,
    rows: usize,
    features: usize,
    weights: (Vec<u8>, Vec<f64>),
    bias: (Vec<u8>, Vec<f64>),
}

impl Head {
    fn new(element: ElementType, bias_element: ElementType, offset: usize, rows: usize, features: usize) -> Head {
        Head {
            element,
            bias_element,
            offset,
            rows,
            features,
            weights: encoded(element, offset, 0, rows * features),
            bias: encoded(bias_element, offset, rows * features, rows),
        }
    }

    fn view(&self) -> SparseHead<'_> {
        let weights = ColumnMatrix::new(&self.weights.0[self.offset..], self.element, self.rows, self.features);
        let bias = Column { bytes: &self.bias.0[self.offset..], element: self.bias_element };
        SparseHead::new(weights.expect("a matrix"), bias).expect("a head")
    }

    /// The sums in f64, and for each row the sum of magnitudes that bounds the rounding.
    fn oracle(&self, columns: &[u32], values: Option<&[f32]>) -> Vec<(f64, f64)> {
        (0..self.rows)
            .map(|row| {
                let mut sum = self.bias.1[row];
                let mut magnitude = sum.abs();
                for (i, &column) in columns.iter().enumerate() {
                    let value = values.map_or(1.0, |values| f64::from(values[i]));
                    let term = value * self.weights.1[column as usize * self.rows + row];
                    sum += term;
                    magnitude += term.abs();
                }
                (sum, magnitude)
            })
            .collect()
    }
}

fn levels() -> Vec<Kernels> {
    Level::ALL
        .into_iter()
        .filter_map(|level| match Kernels::new(level) {
            Ok(kernels) => Some(kernels),
            Err(error) => {
                println!("skipped: {level} ({error})");
                None
            }
        })
        .collect()
}

#[test]
fn sums_agree_with_f64_and_among_levels() {
    let levels = levels();
    assert!(levels.len() >= 2, "the scalar and the portable level are everywhere");
    let columns = [6u32, 0, 3, 3, 1, 5, 2, 4, 6];
    let values = [0.5f32, -2.25, 1.0, 1e-3, 3.0, -1.0, 0.0, 17.5, 0.1];
    for element in ELEMENTS {
        for bias_element in [element, ElementType::F32] {
            for (offset, rows) in
                [(0, 1), (1, 15), (3, 16), (7, 17), (2, 63), (5, 301), (1, 1023), (9, 1025), (6, 2049)]
            {
                let head = Head::new(element, bias_element, offset, rows, 7);
                for count in [0, 1, 2, 3, 4, 5, 8, 9] {
                    for values in [None, Some(&values[..count])] {
                        let case = format!("{element}, bias {bias_element}, {rows} rows at {offset}, {count} columns");
                        let oracle = head.oracle(&columns[..count], values);
                        let mut scalar: Option<Vec<u32>> = None;
                        for &kernels in &levels {
                            let mut logits = vec![f32::NAN; rows];
                            project(kernels, &head.view(), &columns[..count], values, &mut logits).expect(&case);
                            for (row, (&logit, &(sum, magnitude))) in logits.iter().zip(&oracle).enumerate() {
                                // Each of the operations rounds by at most half a unit of the magnitudes so far.
                                let bound = magnitude * 1.2e-7 * (count + 1) as f64;
                                let level = kernels.level();
                                assert!(
                                    (f64::from(logit) - sum).abs() <= bound,
                                    "row {row}: {logit}, {sum}; {level}, {case}"
                                );
                            }
                            let bits: Vec<u32> = logits.iter().map(|logit| logit.to_bits()).collect();
                            let first = scalar.get_or_insert_with(|| bits.clone());
                            assert_eq!(*first, bits, "{}, {case}", kernels.level());
                        }
                    }
                }
            }
        }
    }
}

/// The order of the columns is part of the result: it is that of the list, not that of the file.
#[test]
fn columns_are_added_in_the_order_given() {
    let columns: Vec<u8> = [1e8f32, -1e8, 1.0].iter().flat_map(|weight| weight.to_le_bytes()).collect();
    let weights = ColumnMatrix::new(&columns, ElementType::F32, 1, 3).expect("a matrix");
    let bias = [0.0f32.to_le_bytes()].concat();
    let head = SparseHead::new(weights, Column { bytes: &bias, element: ElementType::F32 }).expect("a head");
    for kernels in levels() {
        for (order, expected) in [([0, 1, 2], 1.0), ([0, 2, 1], 0.0), ([2, 0, 1], 0.0)] {
            let mut logits = [f32::NAN];
            project(kernels, &head, &order, None, &mut logits).expect("a sum");
            assert_eq!(logits[0], expected, "{order:?}, {}", kernels.level());
        }
    }
}

/// Decoding from the head is decoding the row that it makes.
#[test]
fn a_pick_from_the_head_is_the_pick_from_its_row() {
    for element in ELEMENTS {
        let head = Head::new(element, ElementType::F32, 3, 2_771, 5);
        for kernels in levels() {
            for mode in [Mode::Greedy, Mode::Sample] {
                let config = Config { mode, seed: 5, temperature: 0.9, ..Config::default() };
                let mut from_row = Decoder::new_with_kernels(&config, head.rows, kernels).expect("a decoder");
                let mut from_head = from_row.clone();
                for step in 0..6u32 {
                    let (columns, values) = ([step % 5, 4, step % 3], [1.0, 0.5, step as f32]);
                    let mut row = vec![0.0; head.rows];
                    project(kernels, &head.view(), &columns, Some(&values), &mut row).expect("a row");
                    let expected = from_row.decode(&row, None).expect("a pick");
                    let pick = from_head.decode_sparse(&head.view(), &columns, Some(&values), None).expect("a pick");
                    assert_eq!((pick.token, pick.margin), (expected.token, expected.margin), "{element}, {mode:?}");
                }
            }
        }
    }
}

#[test]
fn bad_input_is_refused_and_writes_nothing() {
    let head = Head::new(ElementType::F32, ElementType::F32, 0, 20, 7);
    for kernels in levels() {
        let refuse = |columns: &[u32], values: Option<&[f32]>, rows: usize| {
            let mut logits = vec![-7.5f32; rows];
            let error = project(kernels, &head.view(), columns, values, &mut logits).expect_err("refused");
            assert!(logits.iter().all(|&logit| logit == -7.5), "{error}");
            error
        };
        assert_eq!(refuse(&[1], None, 19), Error::WrongLength { what: "logits", expected: 20, actual: 19 });
        assert_eq!(refuse(&[1], None, 21), Error::WrongLength { what: "logits", expected: 20, actual: 21 });
        assert_eq!(refuse(&[1], None, 0), Error::WrongLength { what: "logits", expected: 20, actual: 0 });
        let values = [1.0; 2];
        assert_eq!(refuse(&[1], Some(&values), 20), Error::WrongLength { what: "values", expected: 1, actual: 2 });
        assert_eq!(refuse(&[1, 2], Some(&[]), 20), Error::WrongLength { what: "values", expected: 2, actual: 0 });
        assert_eq!(refuse(&[0, 7, 9], None, 20), Error::ColumnOutOfRange { column: 7, columns: 7 });
        assert_eq!(refuse(&[u32::MAX], None, 20), Error::ColumnOutOfRange { column: u32::MAX, columns: 7 });
        for bad in [f32::INFINITY, f32::NEG_INFINITY] {
            let refused = refuse(&[1, 2], Some(&[1.0, bad]), 20);
            assert_eq!(refused, Error::InvalidParameter { name: "values", value: bad.into() });
        }
        let refused = refuse(&[1, 2], Some(&[f32::NAN, 1.0]), 20);
        assert!(matches!(refused, Error::InvalidParameter { name: "values", value } if value.is_nan()), "{refused}");
    }
    // No column at all is the bias.
    let mut logits = vec![0.0; 20];
    project(levels()[0], &head.view(), &[], Some(&[]), &mut logits).expect("the bias");
    assert!(logits.iter().zip(&head.bias.1).all(|(&logit, &bias)| f64::from(logit) == bias));
}

/// Head and greedy pick in one need no row: the decoder's memory and a small stack could not hold one.
#[test]
fn a_fused_greedy_pick_has_no_room_for_a_row() {
    const VOCAB: usize = 262_144;
    const STACK: usize = 256 << 10;
    let head = Head::new(ElementType::Bf16, ElementType::F32, 0, VOCAB, 3);
    for kernels in Level::ALL.into_iter().filter_map(|level| Kernels::new(level).ok()) {
        let config = Config { mode: Mode::Greedy, history_capacity: 64, adjustment_capacity: 16, ..Config::default() };
        let words = Decoder::<&mut [u64]>::storage_words(&config, VOCAB).expect("a configuration");
        assert!(8 * words + STACK < 4 * VOCAB, "{words} words have room for a row");
        let mut storage = vec![0; words];
        let columns = [2, 0, 1];
        let mut row = vec![0.0; VOCAB];
        project(kernels, &head.view(), &columns, None, &mut row).expect("a row");
        let mut decoder = Decoder::new_in(&config, VOCAB, kernels, &mut storage[..]).expect("a decoder");
        let expected = decoder.evaluate(&row, None).expect("a pick");
        drop(row);
        let picked = std::thread::scope(|scope| {
            // Nothing is allocated in a step (`no_allocation.rs`), so what is left is the stack.
            let thread = std::thread::Builder::new().stack_size(STACK);
            let thread = thread.spawn_scoped(scope, || decoder.decode_sparse(&head.view(), &columns, None, None));
            thread.expect("a thread").join().expect("a pick")
        });
        let picked = picked.expect("a pick");
        assert_eq!((picked.token, picked.margin.to_bits()), (expected.token, expected.margin.to_bits()));
    }
}
