//! The training step: against finite differences of a float64 loss, its refusals, its bits on every kernel level.

use argpick::Error;
use argpick::kernels::{Kernels, Level};
use argpick::logits::train::{Example, TrainableHead, score, train_step};
use argpick::weights::{Column, ColumnMatrix, ElementType, SparseHead};

/// Moves one weight or bias by a little: (W, b, by how much).
type Change<'a> = &'a mut dyn FnMut(&mut [f64], &mut [f64], f64);

fn kernels() -> Kernels {
    Kernels::detect().expect("kernels")
}

/// The kernel levels of this machine; the missing ones are printed.
fn levels() -> Vec<Kernels> {
    let mut found = Vec::new();
    for level in Level::ALL {
        match Kernels::new(level) {
            Ok(kernels) => found.push(kernels),
            Err(error) => println!("skipped: {error}"),
        }
    }
    assert!(found.len() >= 2, "a comparison needs two levels");
    found
}

/// Numbers in [-1, 1) from a linear congruential generator of the test's own.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn vector(&mut self, length: usize, scale: f32) -> Vec<f32> {
        (0..length).map(|_| self.next() * scale).collect()
    }
}

/// -ln softmax(b + sum a_j W[:, c_j])[target] in float64.
fn loss(weights: &[f64], bias: &[f64], columns: &[u32], values: &[f64], target: usize) -> f64 {
    let vocab = bias.len();
    let z: Vec<f64> = (0..vocab)
        .map(|i| bias[i] + columns.iter().zip(values).map(|(&c, a)| a * weights[c as usize * vocab + i]).sum::<f64>())
        .collect();
    let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    z.iter().map(|x| (x - top).exp()).sum::<f64>().ln() + top - z[target]
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

#[test]
fn a_step_follows_the_finite_differences_of_the_loss() {
    const RATE: f32 = 0.25;
    let mut numbers = Numbers(7);
    for vocab in [1, 2, 3, 15, 16, 17, 63, 64, 65, 127, 200] {
        let features = 6;
        // The last two have a column twice, which counts twice.
        let lists: [(&[u32], Option<&[f32]>); 5] = [
            (&[], None),
            (&[4], None),
            (&[0, 5, 2], Some(&[1.5, -0.75, 0.125])),
            (&[3, 3], None),
            (&[1, 4, 1], Some(&[0.5, 2.0, -1.25])),
        ];
        for (columns, values) in lists {
            let weights = numbers.vector(vocab * features, 1.0);
            let bias = numbers.vector(vocab, 2.0);
            let target = vocab * 2 / 3;
            let (mut new_weights, mut new_bias, mut scratch) = (weights.clone(), bias.clone(), vec![0.0; vocab]);
            let head = TrainableHead { weights: &mut new_weights, bias: &mut new_bias };
            let example = Example { columns, values, target: target as u32 };
            let score = train_step(kernels(), head, &example, RATE, &mut scratch).expect("a step");

            let (w, b) = (widen(&weights), widen(&bias));
            let a = values.map_or(vec![1.0; columns.len()], widen);
            let exact = loss(&w, &b, columns, &a, target);
            assert!((f64::from(score.loss) - exact).abs() < 2e-6 * (1.0 + exact), "loss {} is not {exact}", score.loss);

            let half_step = 1e-5;
            let slope = |change: Change<'_>| {
                let (mut up, mut up_bias) = (w.clone(), b.clone());
                change(&mut up, &mut up_bias, half_step);
                let (mut down, mut down_bias) = (w.clone(), b.clone());
                change(&mut down, &mut down_bias, -half_step);
                (loss(&up, &up_bias, columns, &a, target) - loss(&down, &down_bias, columns, &a, target))
                    / (2.0 * half_step)
            };
            for i in 0..vocab * features {
                let expected = w[i] - f64::from(RATE) * slope(&mut |w, _, h| w[i] += h);
                let actual = f64::from(new_weights[i]);
                assert!((actual - expected).abs() < 3e-6, "W[{i}] of {vocab}, {columns:?}: {actual} not {expected}");
            }
            for i in 0..vocab {
                let slope = slope(&mut |_, b, h| b[i] += h);
                let (actual, expected) = (f64::from(new_bias[i]), b[i] - f64::from(RATE) * slope);
                assert!((actual - expected).abs() < 3e-6, "b[{i}] of {vocab}, {columns:?}: {actual} not {expected}");
                assert!((f64::from(scratch[i]) - slope).abs() < 1e-6, "gradient {i}: {} not {slope}", scratch[i]);
            }
        }
    }
}

#[test]
fn the_score_names_the_argmax_and_the_lowest_id_on_ties() {
    let mut weights = [];
    let mut bias = [0.5, 2.0, -0.0, 2.0, 1.0];
    for (target, correct) in [(1, true), (3, false)] {
        let mut copy = bias;
        let head = TrainableHead { weights: &mut weights, bias: &mut copy };
        let example = Example { columns: &[], values: None, target };
        let score = train_step(kernels(), head, &example, 0.1, &mut [0.0; 5]).expect("a step");
        assert_eq!((score.argmax, score.correct), (1, correct));
    }
    // A target that is far below the best has no probability left in f32, and still a loss.
    bias = [0.0, 0.0, 0.0, 0.0, 300.0];
    let head = TrainableHead { weights: &mut weights, bias: &mut bias };
    let example = Example { columns: &[], values: None, target: 0 };
    let score = train_step(kernels(), head, &example, 0.1, &mut [0.0; 5]).expect("a step");
    assert_eq!(score.loss, 300.0);
}

#[test]
fn scoring_a_stored_head_agrees_with_the_step() {
    let mut numbers = Numbers(11);
    let (vocab, features) = (77, 5);
    let (mut weights, mut bias) = (numbers.vector(vocab * features, 1.0), numbers.vector(vocab, 1.0));
    let weight_bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
    let bias_bytes: Vec<u8> = bias.iter().flat_map(|b| b.to_le_bytes()).collect();
    let matrix = ColumnMatrix::new(&weight_bytes, ElementType::F32, vocab, features).expect("a matrix");
    let head = SparseHead::new(matrix, Column { bytes: &bias_bytes, element: ElementType::F32 }).expect("a head");
    let example = Example { columns: &[4, 0, 4], values: Some(&[0.5, -2.0, 1.0]), target: 30 };
    let mut scratch = vec![0.0; vocab];
    let measured = score(kernels(), &head, &example, &mut scratch).expect("a score");
    assert!((scratch.iter().map(|&p| f64::from(p)).sum::<f64>() - 1.0).abs() < 1e-5, "scratch holds probabilities");
    let trainable = TrainableHead { weights: &mut weights, bias: &mut bias };
    let learned = train_step(kernels(), trainable, &example, 0.1, &mut scratch).expect("a step");
    assert_eq!(measured, learned, "project and the step must add in the same order");
}

#[test]
fn every_kernel_level_learns_the_same_bits() {
    let mut expected: Option<(Vec<u32>, Vec<u32>, Vec<u32>)> = None;
    for kernels in levels() {
        let mut numbers = Numbers(3);
        let (vocab, features) = (1_283, 9);
        let (mut weights, mut bias) = (numbers.vector(vocab * features, 3.0), numbers.vector(vocab, 3.0));
        let mut scratch = vec![0.0; vocab];
        let mut losses = Vec::new();
        for step in 0..60u32 {
            let columns = [step % 9, step * 5 % 9, step * step % 9];
            let values = [numbers.next(), numbers.next(), numbers.next()];
            let example = Example { columns: &columns, values: Some(&values), target: step * 37 % vocab as u32 };
            let head = TrainableHead { weights: &mut weights, bias: &mut bias };
            losses.push(train_step(kernels, head, &example, 0.3, &mut scratch).expect("a step").loss.to_bits());
        }
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
        let found = (bits(&weights), bits(&bias), losses);
        match &expected {
            None => expected = Some(found),
            Some(expected) => assert!(*expected == found, "{:?} differs", kernels.level()),
        }
    }
}

#[test]
fn a_step_over_many_tiles_is_that_of_each_element() {
    let (vocab, features) = (9_001, 4);
    let columns = [2, 0, 2, 3, 1, 2];
    let values = [0.5, -2.0, 1.0, 0.25, 1.5, -0.75];
    // The last rate makes steps that are first tried without being stored.
    for (rate, target) in [(0.3, 0), (0.3, 4_096), (0.01, 8_999), (2e30, 5_000)] {
        let mut numbers = Numbers(13);
        let (mut weights, mut bias) = (numbers.vector(vocab * features, 3.0), numbers.vector(vocab, 3.0));
        let (mut new_weights, mut new_bias) = (weights.clone(), bias.clone());
        let mut scratch = vec![0.0; vocab];
        let example = Example { columns: &columns, values: Some(&values), target };
        let head = TrainableHead { weights: &mut new_weights, bias: &mut new_bias };
        train_step(kernels(), head, &example, rate, &mut scratch).expect("a step");

        let matrix = ColumnMatrix::new(bytemuck::cast_slice(&weights), ElementType::F32, vocab, features);
        let stored = Column { bytes: bytemuck::cast_slice(&bias), element: ElementType::F32 };
        let head = SparseHead::new(matrix.expect("a matrix"), stored).expect("a head");
        let mut slopes = vec![0.0; vocab];
        score(kernels(), &head, &example, &mut slopes).expect("a score");
        slopes[target as usize] -= 1.0;
        for (token, &slope) in slopes.iter().enumerate() {
            bias[token] += -rate * slope;
            for (&column, value) in columns.iter().zip(values) {
                weights[column as usize * vocab + token] += -(rate * value) * slope;
            }
        }
        assert!(scratch == slopes, "rate {rate}, target {target}: the gradient");
        assert!(new_bias == bias, "rate {rate}, target {target}: the bias");
        assert!(new_weights == weights, "rate {rate}, target {target}: the weights");
    }
}

#[test]
fn a_refused_step_changes_nothing() {
    // Token i of column c has the weight 10 c + i.
    let weights: Vec<f32> = (0..3).flat_map(|c| (0..4).map(move |i| (10 * c + i) as f32)).collect();
    let bias = vec![0.0f32; 4];
    let huge = vec![-3e38f32; 4];
    let infinite = |column: usize, at: usize| {
        let mut changed = weights.clone();
        changed[column * 4 + at] = f32::INFINITY;
        changed
    };
    let nan_bias = vec![0.0, 0.0, f32::NAN, f32::NAN];
    type Case<'a> = (&'a str, Vec<f32>, Vec<f32>, Example<'a>, f32, usize, Error);
    let example = |columns, target| Example { columns, values: None, target };
    let with = |columns, values| Example { columns, values: Some(values), target: 0 };
    let good = example(&[0, 2], 1);
    let parameter = |name, value| Error::InvalidParameter { name, value };
    let length = |what, expected, actual| Error::WrongLength { what, expected, actual };
    let cases: Vec<Case<'_>> = vec![
        ("rate 0", weights.clone(), bias.clone(), good, 0.0, 4, parameter("learning_rate", 0.0)),
        ("rate -1", weights.clone(), bias.clone(), good, -1.0, 4, parameter("learning_rate", -1.0)),
        ("rate inf", weights.clone(), bias.clone(), good, f32::INFINITY, 4, parameter("learning_rate", f64::INFINITY)),
        (
            "target",
            weights.clone(),
            bias.clone(),
            example(&[0], 4),
            0.1,
            4,
            Error::TokenOutOfRange { token: 4, vocab: 4 },
        ),
        ("no vocabulary", vec![], vec![], example(&[], 0), 0.1, 0, Error::TokenOutOfRange { token: 0, vocab: 0 }),
        (
            "column",
            weights.clone(),
            bias.clone(),
            example(&[0, 3], 1),
            0.1,
            4,
            Error::ColumnOutOfRange { column: 3, columns: 3 },
        ),
        ("scratch", weights.clone(), bias.clone(), good, 0.1, 3, length("scratch", 4, 3)),
        ("ragged", weights[..11].to_vec(), bias.clone(), good, 0.1, 4, length("weights", 8, 11)),
        ("values short", weights.clone(), bias.clone(), with(&[0, 1], &[1.0]), 0.1, 4, length("values", 2, 1)),
        (
            "value inf",
            weights.clone(),
            bias.clone(),
            with(&[0], &[f32::INFINITY]),
            0.1,
            4,
            parameter("values", f64::INFINITY),
        ),
        (
            "logit inf",
            infinite(2, 3),
            bias.clone(),
            good,
            0.1,
            4,
            Error::InvalidLogit { index: 3, value: f32::INFINITY },
        ),
        (
            "logit too large",
            huge.repeat(3),
            huge.clone(),
            good,
            0.1,
            4,
            Error::InvalidLogit { index: 0, value: f32::NEG_INFINITY },
        ),
        (
            "bias overflows",
            weights.clone(),
            huge.clone(),
            example(&[], 1),
            f32::MAX,
            4,
            Error::UpdateOverflow { column: None, token: 0 },
        ),
        (
            "scale overflows",
            vec![0.0; 12],
            bias.clone(),
            with(&[1], &[2.0]),
            f32::MAX,
            4,
            Error::UpdateOverflow { column: Some(1), token: 0 },
        ),
        // Once would fit: 0.25 of the largest number for each token but the target; five times would not.
        (
            "repeats overflow",
            vec![0.0; 12],
            bias.clone(),
            example(&[2, 2, 2, 2, 2], 1),
            f32::MAX,
            4,
            Error::UpdateOverflow { column: Some(2), token: 0 },
        ),
    ];
    for (name, mut weights, mut bias, example, rate, scratch, expected) in cases {
        let before = (weights.clone(), bias.clone());
        let head = TrainableHead { weights: &mut weights, bias: &mut bias };
        let error = train_step(kernels(), head, &example, rate, &mut vec![0.0; scratch]).expect_err(name);
        assert_eq!(error, expected, "{name}");
        assert!(before.0.iter().zip(&weights).all(|(a, b)| a.to_bits() == b.to_bits()), "{name} changed W");
        assert!(before.1.iter().zip(&bias).all(|(a, b)| a.to_bits() == b.to_bits()), "{name} changed b");
    }
    let (mut weights, mut bias) = (weights, nan_bias);
    let head = TrainableHead { weights: &mut weights, bias: &mut bias };
    match train_step(kernels(), head, &good, 0.1, &mut [0.0; 4]) {
        Err(Error::InvalidLogit { index: 2, value }) if value.is_nan() => {}
        other => panic!("a NaN bias gave {other:?}"),
    }
}
