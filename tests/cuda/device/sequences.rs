//! Step after step on the device: positions and histories that it moves on itself, against a decoder on the CPU.

use super::batches::{self, device, metrics, words};
use super::memory::Memory;
use super::support::generators::{self, Shape, Source};
use argpick::cuda::{Batch, DevicePick, Needs, Row};
use argpick::{Config, Decoder, Dtype, PenaltyScope};

const VOCAB: usize = 300;
const CAPACITY: usize = 24;
const STEPS: usize = 40;

/// Penalties of every kind and reach; the histories wrap around.
fn configurations() -> Vec<Config> {
    let base = Config { history_capacity: CAPACITY as u32, metrics: metrics(), seed: 9, ..Config::default() };
    let generated = PenaltyScope::Generated;
    vec![
        Config { repetition_penalty: 1.3, ..base.clone() },
        Config { frequency_penalty: 0.7, presence_penalty: 0.4, stream: 1, top_p: 0.9, ..base.clone() },
        Config { repetition_penalty: 1.2, penalty_window: 7, top_k: 20, stream: 2, ..base.clone() },
        Config {
            repetition_penalty: 0.8,
            frequency_penalty: -0.5,
            penalty_scope: generated,
            stream: 3,
            ..base.clone()
        },
        Config { presence_penalty: 1.5, temperature: 0.0, stream: 4, ..base.clone() },
        Config { min_p: 0.1, temperature: 0.7, stream: 5, ..base },
    ]
}

#[test]
fn sequences_that_the_device_records_are_those_of_the_cpu() {
    let Some(_turn) = device("sequences on the device") else { return };
    let mut source = Source::new(63);
    let configs = configurations();
    let count = configs.len();
    let mut decoders: Vec<Decoder> =
        configs.iter().map(|config| Decoder::new(config, VOCAB).expect("a decoder")).collect();
    let (mut rows, mut histories) = (Vec::new(), Vec::new());
    for (i, (config, decoder)) in configs.iter().zip(&mut decoders).enumerate() {
        // Prompts of 0 to 30 tokens: the longest is longer than the ring.
        let prompt: Vec<u32> = (0..6 * i).map(|_| source.below(40) as u32).collect();
        decoder.prompt(&prompt).expect("tokens");
        let mut ring = vec![0u32; CAPACITY];
        for (number, token) in prompt.iter().enumerate() {
            ring[number % CAPACITY] = token | Row::PROMPT;
        }
        let history = Memory::of(&words(&ring));
        let row = Row::new(config, VOCAB).expect("a row");
        rows.push(row.with_history(history.address, CAPACITY, prompt.len() as u64).expect("a history"));
        histories.push(history);
    }
    let logits = Memory::new(count * VOCAB * 4);
    let device_rows = Memory::of(Row::bytes(&rows));
    let mut picks = vec![DevicePick::EMPTY; count];
    let device_picks = Memory::of(DevicePick::bytes(&picks));
    let batch = Batch {
        logits: logits.address,
        dtype: Dtype::F32,
        vocab: VOCAB,
        row_stride: VOCAB,
        row_count: count,
        rows: device_rows.address,
        picks: device_picks.address,
        needs: Needs::of(&rows),
        record: true,
    };
    let workspace = Memory::new(batch.workspace_bytes().expect("a shape") as usize);
    for step in 0..STEPS {
        let given: Vec<Vec<f32>> = (0..count).map(|_| generators::row(&mut source, Shape::Normal, VOCAB)).collect();
        logits.write(&batches::row_bytes(&given.concat(), Dtype::F32));
        batches::launch(&batch, &workspace);
        device_picks.read(DevicePick::bytes_mut(&mut picks));
        for (i, (decoder, row)) in decoders.iter_mut().zip(&given).enumerate() {
            let expected = decoder.decode(row, None);
            batches::compare(&format!("step {step}, sequence {i}"), &picks[i].result(), &expected);
        }
    }
    device_rows.read(Row::bytes_mut(&mut rows));
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(row.position(), STEPS as u64, "sequence {i}");
        assert_eq!(row.history_recorded(), (6 * i + STEPS) as u64, "sequence {i}");
    }
}
