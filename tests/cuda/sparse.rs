//! The sparse head on the device: rows that are sums of columns, and training.

use super::cases::{Batch, Logits, Sequence, report};
use super::host::{DeviceHead, DeviceInput, DeviceScore, DeviceTrain, Host, Workspace};
use super::support::generators::Source;
use super::{assert_equal, some_sequence};
use argpick::Error;
use argpick::kernels::Kernels;
use argpick::logits::train::{Example, TrainableHead, train_step};
use argpick::weights::{Column, ColumnMatrix, ElementType, SparseHead};
use std::ptr::{null, null_mut};

fn bytes_of(values: &[f32], dtype: u32) -> Vec<u8> {
    Logits::new(values, dtype).bytes()
}

fn element(dtype: u32) -> ElementType {
    [ElementType::F32, ElementType::F16, ElementType::Bf16][dtype as usize]
}

/// Memory that begins at a multiple of 256, with these bytes and no more.
fn memory(bytes: &[u8]) -> Workspace {
    let mut memory = Workspace::new(bytes.len() as u64);
    // SAFETY: so many bytes were allocated.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), memory.pointer().cast(), bytes.len()) };
    memory
}

pub fn decodes_as_the_cpu(host: &Host, seed: u64) {
    let mut source = Source::new(seed ^ 0x5ba5);
    for round in 0..60 {
        let vocab = source.pick(&[1, 63, 64, 65, 500, 1023, 1024, 1025, 3001]);
        let features = 1 + source.below(40);
        let (dtype, bias_dtype) = (source.below(3) as u32, source.below(3) as u32);
        let weights: Vec<f32> = (0..vocab * features).map(|_| source.normal() as f32).collect();
        let bias: Vec<f32> = (0..vocab).map(|_| source.normal() as f32 * 2.0).collect();
        let (mut weights, mut bias) = (memory(&bytes_of(&weights, dtype)), memory(&bytes_of(&bias, bias_dtype)));
        let size = |dtype: u32| if dtype == 0 { 4 } else { 2 };
        // SAFETY: the memory has so many bytes and is not written.
        let (weight_bytes, bias_bytes) = unsafe {
            (
                std::slice::from_raw_parts(weights.pointer().cast::<u8>(), vocab * features * size(dtype)),
                std::slice::from_raw_parts(bias.pointer().cast::<u8>(), vocab * size(bias_dtype)),
            )
        };
        let matrix = ColumnMatrix::new(weight_bytes, element(dtype), vocab, features).expect("a matrix");
        let column = Column { bytes: bias_bytes, element: element(bias_dtype) };
        let head = SparseHead::new(matrix, column).expect("a head");
        let device_head = DeviceHead {
            weights: weights.pointer(),
            bias: bias.pointer(),
            vocab: vocab as u32,
            columns: features as u32,
            dtype,
            bias_dtype,
        };
        let count = 1 + source.below(4);
        let sequences: Vec<Sequence> = (0..count).map(|_| some_sequence(&mut source, vocab, 0)).collect();
        let mut columns: Vec<Vec<u32>> = Vec::new();
        let mut values: Vec<Option<Vec<f32>>> = Vec::new();
        for _ in 0..count {
            let active = source.pick(&[0, 1, 3, 8, 9, 33, 1500]);
            columns.push((0..active).map(|_| source.below(features) as u32).collect());
            let scaled = source.chance(0.5);
            values.push(scaled.then(|| (0..active).map(|_| source.normal() as f32 * 0.1).collect()));
        }
        // Now and then an input that must be refused.
        let refused = source.chance(0.2) && !columns[0].is_empty();
        if refused {
            let place = source.below(columns[0].len());
            columns[0][place] = features as u32;
        }
        let inputs: Vec<DeviceInput> = (0..count)
            .map(|i| DeviceInput {
                columns: columns[i].as_ptr(),
                values: values[i].as_ref().map_or(null(), |values| values.as_ptr()),
                count: columns[i].len() as u64,
            })
            .collect();
        let stride = vocab + source.below(3);
        let mut logits = Workspace::new((((count - 1) * stride + vocab) * 4) as u64);
        let all: Vec<&Sequence> = sequences.iter().collect();
        let mut batch = Batch::new(host, &all);
        batch.features |= source.pick(&[0, 1]);
        let mut decode = batch.describe(logits.pointer(), stride, 0);
        // SAFETY: a valid description.
        decode.workspace_size = unsafe { (host.decode_workspace)(&decode) };
        let mut workspace = Workspace::new(decode.workspace_size);
        decode.workspace = workspace.pointer();
        let mut detail = 0;
        // SAFETY: all pointers are to memory of the lengths given.
        let status = unsafe { (host.decode_sparse)(&decode, &device_head, inputs.as_ptr(), &mut detail) };
        assert_eq!((status, detail), (0, 0));
        for (i, sequence) in sequences.iter().enumerate() {
            let mut decoder = sequence.decoder();
            let found = decoder.evaluate_sparse(&head, &columns[i], values[i].as_deref(), sequence.mask.as_deref());
            if refused && i == 0 {
                assert!(matches!(found, Err(Error::ColumnOutOfRange { .. })), "{found:?}");
                let place = columns[0].iter().position(|&column| column as usize == features).expect("it is there");
                assert_eq!((batch.picks[0].status, batch.picks[0].index as usize), (4, place));
                continue;
            }
            assert_equal(&format!("sparse {round}.{i}"), &batch.picks[i], &report(found), sequence);
        }
    }
}

pub fn trains_as_the_cpu(host: &Host, seed: u64) {
    let mut source = Source::new(seed ^ 0x7a1);
    let kernels = Kernels::detect().expect("kernels");
    let (mut steps, mut failures) = (0, 0);
    for _ in 0..40 {
        let vocab = source.pick(&[1, 5, 64, 200, 1023, 1025, 2500]);
        let features = 1 + source.below(30);
        let mut weights: Vec<f32> = (0..vocab * features).map(|_| source.normal() as f32 * 0.3).collect();
        let mut bias: Vec<f32> = (0..vocab).map(|_| source.normal() as f32).collect();
        let (mut device_weights, mut device_bias) = (weights.clone(), bias.clone());
        for _ in 0..3 {
            let active = source.pick(&[0, 1, 4, 5, 30]);
            let columns: Vec<u32> = (0..active).map(|_| source.below(features) as u32).collect();
            let mut values: Option<Vec<f32>> =
                source.chance(0.5).then(|| (0..active).map(|_| source.normal() as f32).collect());
            let target = source.below(vocab);
            let rate = source.pick(&[0.01, 0.5, 3.0]);
            // What must leave everything as it was.
            match source.below(8) {
                0 => {
                    let (at, value) = (source.below(vocab), source.pick(&[f32::NAN, f32::NEG_INFINITY, f32::INFINITY]));
                    (bias[at], device_bias[at]) = (value, value);
                }
                1 => {
                    let value = source.pick(&[f32::MAX, -f32::MAX]);
                    (bias[target], device_bias[target]) = (value, value);
                }
                2 => {
                    let (at, value) = (source.below(weights.len()), f32::MAX);
                    (weights[at], device_weights[at]) = (value, value);
                    if let Some(values) = &mut values {
                        values.iter_mut().for_each(|value| *value *= 1.0e30);
                    }
                }
                _ => {}
            }
            let example = Example { columns: &columns, values: values.as_deref(), target: target as u32 };
            let mut scratch = vec![0.0; vocab];
            let head = TrainableHead { weights: &mut weights, bias: &mut bias };
            let expected = train_step(kernels, head, &example, rate, &mut scratch);
            let mut score = DeviceScore { status: 99, ..DeviceScore::default() };
            let mut gradient = vec![f32::NAN; vocab];
            let mut train = DeviceTrain {
                weights: device_weights.as_mut_ptr(),
                bias: device_bias.as_mut_ptr(),
                gradient: gradient.as_mut_ptr(),
                columns: columns.as_ptr(),
                values: values.as_ref().map_or(null(), |values| values.as_ptr()),
                score: &mut score,
                workspace: null_mut(),
                workspace_size: 0,
                stream: null_mut(),
                vocab: vocab as u32,
                features: features as u32,
                column_count: columns.len() as u32,
                target: target as u32,
                learning_rate: rate,
                reserved: 0,
            };
            // SAFETY: a valid description.
            train.workspace_size = unsafe { (host.train_workspace)(&train) };
            let mut workspace = Workspace::new(train.workspace_size);
            train.workspace = workspace.pointer();
            let mut detail = 0;
            // SAFETY: all pointers are to memory of the lengths given.
            let status = unsafe { (host.train)(&train, &mut detail) };
            assert_eq!((status, detail), (0, 0));
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            match expected {
                Ok(expected) => {
                    assert_eq!(score.status, 0, "{score:?}");
                    let found = (score.loss.to_bits(), score.argmax, score.correct == 1);
                    assert_eq!(found, (expected.loss.to_bits(), expected.argmax, expected.correct));
                    assert_eq!(bits(&gradient), bits(&scratch));
                    steps += 1;
                }
                Err(Error::InvalidLogit { index, value }) => {
                    assert_eq!((score.status, score.index, score.value.to_bits()), (1, index, value.to_bits()));
                    failures += 1;
                }
                Err(Error::UpdateOverflow { column, token }) => {
                    assert_eq!((score.status, score.index, score.column), (7, token, column.unwrap_or(u32::MAX)));
                    failures += 1;
                }
                Err(error) => panic!("{error}"),
            }
            assert_eq!(bits(&device_weights), bits(&weights));
            assert_eq!(bits(&device_bias), bits(&bias));
        }
    }
    println!("{steps} training steps, {failures} refused");
    assert!(steps > 50 && failures > 5);
}
