//! Cases of the other tests as rows of a batch on the device, and the CPU's answer to each.

use super::memory::Memory;
use super::support::oracle::Case;
use super::support::report;
use argpick::cuda::{Batch, DeviceBias, DevicePick, Needs, Row, Stream, Workspace};
use argpick::{Decoder, Dtype, Error, Kernels, Metrics, Pick, Result};
use half::{bf16, f16};
use std::sync::{Mutex, MutexGuard};

/// All that the device computes.
pub fn metrics() -> Metrics {
    Metrics::from_bits(63).expect("flags")
}

/// Whether there is a device, and nobody else on it: one test at a time. None is printed as skipped.
pub fn device(test: &str) -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    match argpick::cuda::devices() {
        Ok(_) => Some(turn),
        // The host build has no device to find, and needs none.
        Err(_) if cfg!(argpick_cuda_host) => Some(turn),
        Err(error @ Error::CudaUnavailable { .. }) => {
            println!("skipped: {test}: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// One of a few on the host, all on a GPU.
pub fn of_many(all: usize) -> usize {
    if cfg!(argpick_cuda_host) { all.div_ceil(20) } else { all }
}

/// The bytes of a row in an element type. The values must be exact in it for the CPU to see the same.
pub fn row_bytes(row: &[f32], dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F32 => row.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Dtype::F16 => row.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect(),
        Dtype::Bf16 => row.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect(),
    }
}

/// The row rounded to an element type.
pub fn rounded(row: &[f32], dtype: Dtype) -> Vec<f32> {
    match dtype {
        Dtype::F32 => row.to_vec(),
        Dtype::F16 => row.iter().map(|&x| f16::from_f32(x).to_f32()).collect(),
        Dtype::Bf16 => row.iter().map(|&x| bf16::from_f32(x).to_f32()).collect(),
    }
}

/// Bytes of words.
pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A row on the device, with the memory that it points to.
pub struct Placed {
    pub row: Row,
    _lists: Vec<Memory>,
}

/// A case as a row; the error where the device does not have what it asks for.
pub fn place(case: &Case) -> Result<Placed> {
    let mut row = Row::new(&report::config(&case.settings, metrics()), case.row.len())?.at(case.settings.position);
    let mut lists = Vec::new();
    let mut keep = |bytes: &[u8]| {
        let memory = Memory::of(bytes);
        let address = memory.address;
        lists.push(memory);
        address
    };
    if let Some(mask) = &case.mask {
        row = row.with_mask(keep(&words(mask)), mask.len())?;
    }
    if !case.bias.is_empty() {
        let mut biases: Vec<DeviceBias> = case.bias.iter().map(|&(token, value)| DeviceBias { token, value }).collect();
        biases.sort_by_key(|bias| bias.token);
        row = row.with_biases(keep(DeviceBias::bytes(&biases)), biases.len())?;
    }
    if !case.bans.is_empty() {
        let mut bans = case.bans.clone();
        bans.sort_unstable();
        bans.dedup();
        row = row.with_bans(keep(&words(&bans)), bans.len())?;
    }
    Ok(Placed { row, _lists: lists })
}

/// The results of cases as one batch, whose rows are `gap` elements longer than they must be.
pub fn decode(cases: &[&Case], dtype: Dtype, gap: usize) -> Vec<Result<Option<Pick>>> {
    let vocab = cases[0].row.len();
    let placed: Vec<Placed> = cases.iter().map(|case| place(case).expect("a case for the device")).collect();
    let rows: Vec<Row> = placed.iter().map(|placed| placed.row).collect();
    let mut logits = Vec::new();
    for case in cases {
        logits.extend(row_bytes(&case.row, dtype));
        // What stands between the rows is nobody's.
        logits.extend(std::iter::repeat_n(0xFF, gap * dtype.size()));
    }
    let logits = Memory::of(&logits);
    let device_rows = Memory::of(Row::bytes(&rows));
    let mut picks = vec![DevicePick::EMPTY; cases.len()];
    let device_picks = Memory::of(DevicePick::bytes(&picks));
    let batch = Batch {
        logits: logits.address,
        dtype,
        vocab,
        row_stride: vocab + gap,
        row_count: cases.len(),
        rows: device_rows.address,
        picks: device_picks.address,
        needs: Needs::of(&rows),
        record: false,
    };
    let workspace = Memory::new(batch.workspace_bytes().expect("a shape") as usize);
    launch(&batch, &workspace);
    device_picks.read(DevicePick::bytes_mut(&mut picks));
    picks.iter().map(DevicePick::result).collect()
}

/// Queues a batch that must be accepted.
pub fn launch(batch: &Batch, workspace: &Memory) {
    let place = Workspace { address: workspace.address, bytes: workspace.bytes as u64 };
    // SAFETY: the memory is as large as the batch says, and nobody else uses it.
    unsafe { batch.launch(place, Stream::default()) }.expect("a launch");
}

/// What the CPU makes of a case.
pub fn on_the_cpu(case: &Case) -> Result<Pick> {
    let mut decoder: Decoder = report::decoder(case, Kernels::detect().expect("kernels"), metrics());
    decoder.evaluate(&case.row, case.mask.as_deref())
}

/// Fails unless the device's answer is the CPU's, bit for bit.
pub fn compare(what: &str, device: &Result<Option<Pick>>, cpu: &Result<Pick>) {
    match (device, cpu) {
        (Ok(Some(device)), Ok(cpu)) => {
            let difference = report::first_difference(device, cpu);
            assert!(difference.is_none(), "{what}: device against CPU: {}", difference.unwrap_or_default());
            assert_eq!(device.temperature.to_bits(), cpu.temperature.to_bits(), "{what}: temperature");
        }
        // NaN is a value of an error, too.
        (Err(device), Err(cpu)) => assert_eq!(format!("{device:?}"), format!("{cpu:?}"), "{what}"),
        _ => panic!("{what}: the device says {device:?}, the CPU {cpu:?}"),
    }
}
