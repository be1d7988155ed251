//! Rows and configurations that the device decodes, on the CPU and on the device.

use super::host::{Bias, DeviceDecode, DevicePick, DeviceRow, Host, Workspace};
use argpick::{Config, Decoder, Error, Metrics, Mode, PenaltyScope, Pick, Row};
use half::{bf16, f16};
use std::ffi::c_void;
use std::ptr::null;

/// The metrics that the device has.
pub const METRICS: u32 = 63;

/// Not a feature: see [`decode`].
pub const LEAN: u32 = 4;

/// A row of one element type, as bytes.
#[derive(Clone)]
pub enum Logits {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
}

impl Logits {
    pub fn new(row: &[f32], dtype: u32) -> Logits {
        match dtype {
            0 => Logits::F32(row.to_vec()),
            1 => Logits::F16(row.iter().map(|&z| f16::from_f32(z)).collect()),
            _ => Logits::Bf16(row.iter().map(|&z| bf16::from_f32(z)).collect()),
        }
    }
    pub fn row(&self) -> Row<'_> {
        match self {
            Logits::F32(row) => Row::F32(row),
            Logits::F16(row) => Row::F16(row),
            Logits::Bf16(row) => Row::Bf16(row),
        }
    }
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Logits::F32(row) => row.iter().flat_map(|z| z.to_ne_bytes()).collect(),
            Logits::F16(row) => row.iter().flat_map(|z| z.to_bits().to_ne_bytes()).collect(),
            Logits::Bf16(row) => row.iter().flat_map(|z| z.to_bits().to_ne_bytes()).collect(),
        }
    }
}

/// Everything about one row.
#[derive(Clone)]
pub struct Sequence {
    pub logits: Logits,
    pub config: Config,
    pub mask: Option<Vec<u32>>,
    pub bias: Vec<(u32, f32)>,
    pub bans: Vec<u32>,
    pub prompt: Vec<u32>,
    pub generated: Vec<u32>,
    pub position: u64,
}

impl Sequence {
    pub fn new(logits: Logits, config: Config) -> Sequence {
        let tokens = Vec::new;
        let (bans, prompt, generated) = (tokens(), tokens(), tokens());
        Sequence { logits, config, mask: None, bias: Vec::new(), bans, prompt, generated, position: 0 }
    }

    pub fn vocab(&self) -> usize {
        self.logits.row().len()
    }

    pub fn decoder(&self) -> Decoder {
        let config = Config { adjustment_capacity: 65_536.min(self.vocab() as u32), ..self.config.clone() };
        let mut decoder = Decoder::new(&config, self.vocab()).expect("a valid configuration");
        decoder.set_bias(&self.bias).expect("valid biases");
        decoder.set_bans(&self.bans).expect("valid bans");
        decoder.prompt(&self.prompt).expect("a valid prompt");
        decoder.accept(&self.generated).expect("valid tokens");
        decoder.seek(self.position);
        decoder
    }

    /// What the CPU makes of it, as the device reports.
    pub fn expected(&self) -> DevicePick {
        report(self.decoder().evaluate(self.logits.row(), self.mask.as_deref()))
    }

    /// The history as the device has it, in a ring of the configured capacity.
    fn history(&self) -> Vec<u32> {
        let capacity = capacity(&self.config);
        let mut ring = vec![u32::MAX; capacity];
        let tokens = self.prompt.iter().map(|&token| token | 1 << 31).chain(self.generated.iter().copied());
        for (i, token) in tokens.enumerate() {
            ring[i % capacity] = token;
        }
        ring
    }

    fn device_row(&self, history: &mut [u32], biases: &[Bias], bans: &[u32]) -> DeviceRow {
        let config = &self.config;
        DeviceRow {
            seed: config.seed,
            stream: config.stream,
            position: self.position,
            mask: self.mask.as_ref().map_or(null(), |mask| mask.as_ptr()),
            history: history.as_mut_ptr(),
            biases: biases.as_ptr(),
            bans: bans.as_ptr(),
            history_recorded: (self.prompt.len() + self.generated.len()) as u64,
            history_capacity: history.len() as u32,
            mask_words: self.mask.as_ref().map_or(0, |mask| mask.len() as u32),
            bias_count: biases.len() as u32,
            ban_count: bans.len() as u32,
            valid_vocab: config.valid_vocab,
            mode: u32::from(config.mode == Mode::Greedy),
            temperature: config.temperature,
            top_k: config.top_k,
            top_p: config.top_p,
            min_p: config.min_p,
            typical_p: config.typical_p,
            repetition_penalty: config.repetition_penalty,
            frequency_penalty: config.frequency_penalty,
            presence_penalty: config.presence_penalty,
            penalty_window: config.penalty_window,
            penalty_generated: u32::from(config.penalty_scope == PenaltyScope::Generated),
            metrics: config.metrics.bits(),
            skip: 0,
        }
    }
}

pub fn capacity(config: &Config) -> usize {
    if config.history_capacity == 0 { 4096 } else { config.history_capacity as usize }
}

/// A CPU's result in the device's terms.
pub fn report(result: Result<Pick, Error>) -> DevicePick {
    let nothing = DevicePick {
        status: 0,
        index: 0,
        value: 0.0,
        token: u32::MAX,
        argmax: u32::MAX,
        rank: u32::MAX,
        kept: u32::MAX,
        margin: f32::NAN,
        top1_probability: f32::NAN,
        entropy: f32::NAN,
        logprob_raw: f32::NAN,
        logprob: f32::NAN,
        kept_mass: f32::NAN,
        temperature: f32::NAN,
    };
    match result {
        Ok(pick) => DevicePick {
            token: pick.token,
            argmax: pick.argmax,
            rank: pick.rank,
            kept: pick.kept,
            margin: pick.margin,
            top1_probability: pick.top1_probability,
            entropy: pick.entropy,
            logprob_raw: pick.logprob_raw,
            logprob: pick.logprob,
            kept_mass: pick.kept_mass,
            temperature: pick.temperature,
            ..nothing
        },
        Err(Error::InvalidLogit { index, value }) => DevicePick { status: 1, index, value, ..nothing },
        Err(Error::EverythingMasked) => DevicePick { status: 2, ..nothing },
        Err(error) => panic!("the device has no such error: {error}"),
    }
}

/// A batch in the device's terms, with the memory that its rows point to.
pub struct Batch {
    histories: Vec<Vec<u32>>,
    biases: Vec<Vec<Bias>>,
    bans: Vec<Vec<u32>>,
    pub rows: Vec<DeviceRow>,
    pub picks: Vec<DevicePick>,
    pub features: u32,
    pub adjustments: u32,
    vocab: usize,
}

impl Batch {
    pub fn new(host: &Host, batch: &[&Sequence]) -> Batch {
        let mut histories: Vec<Vec<u32>> = batch.iter().map(|sequence| sequence.history()).collect();
        let (mut biases, mut bans) = (Vec::new(), Vec::new());
        for sequence in batch {
            let mut list: Vec<Bias> = sequence.bias.iter().map(|&(token, value)| Bias { token, value }).collect();
            list.sort_by_key(|bias| bias.token);
            biases.push(list);
            let mut list = sequence.bans.clone();
            list.sort_unstable();
            bans.push(list);
        }
        let mut rows = Vec::new();
        let (mut features, mut adjustments) = (0, 0);
        for (i, sequence) in batch.iter().enumerate() {
            let row = sequence.device_row(&mut histories[i], &biases[i], &bans[i]);
            // SAFETY: the row is valid.
            features |= unsafe { (host.features)(&row) };
            let recorded = (sequence.prompt.len() + sequence.generated.len()).min(capacity(&sequence.config));
            adjustments = adjustments.max((recorded + biases[i].len() + bans[i].len()) as u32);
            rows.push(row);
        }
        let picks = vec![DevicePick { status: 99, ..report(Err(Error::EverythingMasked)) }; batch.len()];
        Batch { histories, biases, bans, rows, picks, features, adjustments, vocab: batch[0].vocab() }
    }

    /// The description of a launch; workspace and the like are to be filled in.
    pub fn describe(&mut self, logits: *const c_void, stride: usize, dtype: u32) -> DeviceDecode {
        assert!(self.biases.len() == self.rows.len() && self.bans.len() == self.rows.len());
        DeviceDecode {
            logits,
            row_stride: stride as u64,
            rows: self.rows.as_mut_ptr(),
            picks: self.picks.as_mut_ptr(),
            workspace: std::ptr::null_mut(),
            workspace_size: 0,
            stream: std::ptr::null_mut(),
            row_count: self.rows.len() as u32,
            vocab: self.vocab as u32,
            dtype,
            features: self.features,
            flags: 0,
            adjustment_capacity: if self.features & 1 != 0 { self.adjustments } else { 0 },
        }
    }

    /// The tokens of a row's history, oldest first, as far as it holds them.
    pub fn history(&self, row: usize) -> Vec<u32> {
        let (recorded, capacity) = (self.rows[row].history_recorded as usize, self.histories[row].len());
        (recorded.saturating_sub(capacity)..recorded).map(|i| self.histories[row][i % capacity]).collect()
    }
}

/// Rows one behind the other, `stride` elements apart, the first `offset` bytes after a multiple of sixteen; not one byte more, and
/// what lies between them is NaN.
pub fn lay_out(batch: &[&Sequence], stride: usize, offset: usize) -> (Workspace, *const c_void) {
    let (vocab, size) = (batch[0].vocab(), batch[0].logits.row().dtype().size());
    let bytes = offset + ((batch.len() - 1) * stride + vocab) * size;
    let mut memory = Workspace::new(bytes as u64);
    let start = memory.pointer().cast::<u8>();
    // SAFETY: so many bytes were allocated, and all writes end within them.
    unsafe {
        start.write_bytes(0xff, bytes);
        for (i, sequence) in batch.iter().enumerate() {
            let row = sequence.logits.bytes();
            std::ptr::copy_nonoverlapping(row.as_ptr(), start.add(offset + i * stride * size), row.len());
        }
        (memory, start.add(offset).cast())
    }
}

/// Decodes a batch on the device: rows of one length and type. `extra` features are asked for though no row needs them; with
/// [`LEAN`] the pass of exponentials is left out where rows only like to have it.
pub fn decode(host: &Host, batch: &[&Sequence], stride: usize, offset: usize, extra: u32) -> Vec<DevicePick> {
    let (_memory, logits) = lay_out(batch, stride, offset);
    let mut rows = Batch::new(host, batch);
    let needs_sums = |sequence: &&Sequence| {
        let config = &sequence.config;
        let draws = config.mode == Mode::Sample && config.temperature != 0.0;
        config.metrics.bits() & 37 != 0 || draws && config.typical_p < 1.0
    };
    if extra == LEAN && !batch.iter().any(needs_sums) {
        rows.features &= !2;
    } else {
        rows.features |= extra & 3;
    }
    let mut decode = rows.describe(logits, stride, batch[0].logits.row().dtype() as u32);
    // SAFETY: a valid description.
    decode.workspace_size = unsafe { (host.decode_workspace)(&decode) };
    assert!(decode.workspace_size > 0);
    let mut workspace = Workspace::new(decode.workspace_size);
    decode.workspace = workspace.pointer();
    let mut detail = 0;
    // SAFETY: all pointers are to memory of the lengths given.
    let status = unsafe { (host.decode)(&decode, &mut detail) };
    assert_eq!((status, detail), (0, 0));
    rows.picks
}

pub fn metrics(bits: u32) -> Metrics {
    Metrics::from_bits(bits).expect("known metrics")
}
