//! The sparse head and its training on the device, against the CPU.

use super::batches::{compare, device, metrics, rounded, row_bytes, words};
use super::memory::Memory;
use super::support::generators::Source;
use argpick::cuda::{Batch, DevicePick, DeviceScore, Head, Input, Needs, Row, Stream, TrainStep, Workspace};
use argpick::logits::project;
use argpick::logits::train::{Example, TrainableHead, train_step};
use argpick::weights::{Column, ColumnMatrix, ElementType, SparseHead};
use argpick::{Config, Decoder, Dtype, Error, Kernels};

const VOCAB: usize = 1_100;
const FEATURES: usize = 30;

fn element_of(dtype: Dtype) -> ElementType {
    match dtype {
        Dtype::F32 => ElementType::F32,
        Dtype::F16 => ElementType::F16,
        Dtype::Bf16 => ElementType::Bf16,
    }
}

fn normal(source: &mut Source, count: usize) -> Vec<f32> {
    (0..count).map(|_| source.normal() as f32).collect()
}

fn place_of(workspace: &Memory) -> Workspace {
    Workspace { address: workspace.address, bytes: workspace.bytes as u64 }
}

#[test]
fn rows_of_a_sparse_head_are_those_of_the_cpu() {
    let Some(_turn) = device("the sparse head on the device") else { return };
    let mut source = Source::new(64);
    let kernels = Kernels::detect().expect("kernels");
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
        let weights = rounded(&normal(&mut source, VOCAB * FEATURES), dtype);
        let bias = normal(&mut source, VOCAB);
        let (weight_bytes, bias_bytes) = (row_bytes(&weights, dtype), row_bytes(&bias, Dtype::F32));
        let matrix = ColumnMatrix::new(&weight_bytes, element_of(dtype), VOCAB, FEATURES).expect("a matrix");
        let column = Column { element: ElementType::F32, bytes: &bias_bytes };
        let on_host = SparseHead::new(matrix, column).expect("a head");
        let (device_weights, device_bias) = (Memory::of(&weight_bytes), Memory::of(&bias_bytes));
        let head = Head {
            weights: device_weights.address,
            bias: device_bias.address,
            vocab: VOCAB,
            columns: FEATURES,
            dtype,
            bias_dtype: Dtype::F32,
        };
        // No columns at all, one twice, and one that is not there.
        let columns: [Vec<u32>; 5] = [vec![], vec![3], vec![7, 7, 29], (0..20).collect(), vec![2, FEATURES as u32]];
        let values: Vec<Option<Vec<f32>>> =
            columns.iter().enumerate().map(|(i, list)| (i % 2 == 1).then(|| normal(&mut source, list.len()))).collect();
        let config = Config { top_p: 0.9, metrics: metrics(), seed: 5, ..Config::default() };
        let rows: Vec<Row> = (0..5).map(|i| Row::new(&config, VOCAB).expect("a row").at(i)).collect();
        let mut lists = Vec::new();
        let mut inputs = Vec::new();
        for (columns, values) in columns.iter().zip(&values) {
            let on_device = Memory::of(&words(columns));
            let of_values = values.as_ref().map(|values| Memory::of(&row_bytes(values, Dtype::F32)));
            let address = of_values.as_ref().map_or(0, |memory| memory.address);
            inputs.push(Input::new(on_device.address, address, columns.len()).expect("an input"));
            lists.push((on_device, of_values));
        }
        let logits = Memory::new(5 * VOCAB * 4);
        let (device_rows, device_inputs) = (Memory::of(Row::bytes(&rows)), Memory::of(Input::bytes(&inputs)));
        let mut picks = [DevicePick::EMPTY; 5];
        let device_picks = Memory::of(DevicePick::bytes(&picks));
        let batch = Batch {
            logits: logits.address,
            dtype: Dtype::F32,
            vocab: VOCAB,
            row_stride: VOCAB,
            row_count: 5,
            rows: device_rows.address,
            picks: device_picks.address,
            needs: Needs::of(&rows),
            record: false,
        };
        let workspace = Memory::new(batch.workspace_bytes().expect("a shape") as usize);
        // SAFETY: the memory is as large as the batch, the head and the inputs say.
        unsafe { batch.launch_sparse(&head, device_inputs.address, place_of(&workspace), Stream::default()) }
            .expect("a launch");
        device_picks.read(DevicePick::bytes_mut(&mut picks));
        for i in 0..4 {
            let mut row = vec![0.0; VOCAB];
            project(kernels, &on_host, &columns[i], values[i].as_deref(), &mut row).expect("a row");
            let mut decoder = Decoder::new(&config, VOCAB).expect("a decoder");
            decoder.seek(i as u64);
            compare(&format!("{dtype}, input {i}"), &picks[i].result(), &decoder.evaluate(&row, None));
        }
        assert!(picks[4].result().is_err(), "a column that is not there");
    }
}

#[test]
fn training_steps_are_those_of_the_cpu() {
    let Some(_turn) = device("training on the device") else { return };
    let mut source = Source::new(65);
    let kernels = Kernels::detect().expect("kernels");
    let (mut weights, mut bias) = (normal(&mut source, VOCAB * FEATURES), normal(&mut source, VOCAB));
    let device_weights = Memory::of(&row_bytes(&weights, Dtype::F32));
    let device_bias = Memory::of(&row_bytes(&bias, Dtype::F32));
    let (gradient, device_score) = (Memory::new(VOCAB * 4), Memory::of(DeviceScore::bytes(&[DeviceScore::EMPTY])));
    let mut scratch = vec![0.0; VOCAB];
    let mut workspace = Memory::new(256);
    for step in 0..12 {
        let count = source.below(6);
        let mut columns: Vec<u32> = (0..count).map(|_| source.below(FEATURES) as u32).collect();
        if step == 5 {
            columns = vec![4, 9, 4];
        }
        let values = (step % 2 == 1).then(|| normal(&mut source, columns.len()));
        let target = source.below(VOCAB) as u32;
        // The last but one would overflow, the last shows that nothing has changed.
        let learning_rate = if step == 10 { 3.0e38 } else { 0.1 };
        let values = if step == 10 { Some(vec![1.0e30; columns.len()]) } else { values };
        let (device_columns, device_values) =
            (Memory::of(&words(&columns)), values.as_ref().map(|values| Memory::of(&row_bytes(values, Dtype::F32))));
        let on_device = TrainStep {
            weights: device_weights.address,
            bias: device_bias.address,
            gradient: gradient.address,
            vocab: VOCAB,
            features: FEATURES,
            columns: device_columns.address,
            values: device_values.as_ref().map_or(0, |memory| memory.address),
            column_count: columns.len(),
            target,
            learning_rate,
            score: device_score.address,
        };
        let needed = on_device.workspace_bytes().expect("a shape") as usize;
        if needed > workspace.bytes {
            workspace = Memory::new(needed);
        }
        // SAFETY: the memory is as large as the step says.
        unsafe { on_device.launch(place_of(&workspace), Stream::default()) }.expect("a launch");
        let mut score = [DeviceScore::EMPTY];
        device_score.read(DeviceScore::bytes_mut(&mut score));

        let head = TrainableHead { weights: &mut weights, bias: &mut bias };
        let example = Example { columns: &columns, values: values.as_deref(), target };
        let expected = train_step(kernels, head, &example, learning_rate, &mut scratch);
        match (score[0].result(), expected) {
            (Ok(found), Ok(expected)) => {
                assert_eq!(found.loss.to_bits(), expected.loss.to_bits(), "step {step}: loss");
                assert_eq!((found.argmax, found.correct), (expected.argmax, expected.correct), "step {step}");
            }
            (Err(found), Err(expected)) => assert_eq!(format!("{found:?}"), format!("{expected:?}"), "step {step}"),
            (found, expected) => panic!("step {step}: the device says {found:?}, the CPU {expected:?}"),
        }
        if step == 10 {
            assert!(matches!(score[0].result(), Err(Error::UpdateOverflow { .. } | Error::InvalidLogit { .. })));
        }
        for (what, memory, expected) in [("W", &device_weights, &weights), ("b", &device_bias, &bias)] {
            let mut found = vec![0; expected.len() * 4];
            memory.read(&mut found);
            assert!(found == row_bytes(expected, Dtype::F32), "step {step}: {what} differs");
        }
    }
}
