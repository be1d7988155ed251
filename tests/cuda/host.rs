//! The device code built for the CPU: compiled with the system's C++ compiler, loaded, and called as the device's host
//! would.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;

/// `argpick_device_bias`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bias {
    pub token: u32,
    pub value: f32,
}

/// `argpick_device_row`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DeviceRow {
    pub seed: u64,
    pub stream: u64,
    pub position: u64,
    pub mask: *const u32,
    pub history: *mut u32,
    pub biases: *const Bias,
    pub bans: *const u32,
    pub history_recorded: u64,
    pub history_capacity: u32,
    pub mask_words: u32,
    pub bias_count: u32,
    pub ban_count: u32,
    pub valid_vocab: u32,
    pub mode: u32,
    pub temperature: f32,
    pub top_k: u32,
    pub top_p: f32,
    pub min_p: f32,
    pub typical_p: f32,
    pub repetition_penalty: f32,
    pub frequency_penalty: f32,
    pub presence_penalty: f32,
    pub penalty_window: u32,
    pub penalty_generated: u32,
    pub metrics: u32,
    pub skip: u32,
}

/// `argpick_device_pick`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DevicePick {
    pub status: u32,
    pub index: u32,
    pub value: f32,
    pub token: u32,
    pub argmax: u32,
    pub rank: u32,
    pub kept: u32,
    pub margin: f32,
    pub top1_probability: f32,
    pub entropy: f32,
    pub logprob_raw: f32,
    pub logprob: f32,
    pub kept_mass: f32,
    pub temperature: f32,
}

impl DevicePick {
    /// As bits, any NaN as the same one: what was not asked for.
    pub fn bits(&self) -> [u32; 14] {
        let float = |x: f32| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() };
        [
            self.status,
            self.index,
            float(self.value),
            self.token,
            self.argmax,
            self.rank,
            self.kept,
            float(self.margin),
            float(self.top1_probability),
            float(self.entropy),
            float(self.logprob_raw),
            float(self.logprob),
            float(self.kept_mass),
            float(self.temperature),
        ]
    }
}

/// `argpick_device_decode`.
#[repr(C)]
pub struct DeviceDecode {
    pub logits: *const c_void,
    pub row_stride: u64,
    pub rows: *mut DeviceRow,
    pub picks: *mut DevicePick,
    pub workspace: *mut c_void,
    pub workspace_size: u64,
    pub stream: *mut c_void,
    pub row_count: u32,
    pub vocab: u32,
    pub dtype: u32,
    pub features: u32,
    pub flags: u32,
    pub adjustment_capacity: u32,
}

/// `argpick_device_head`.
#[repr(C)]
pub struct DeviceHead {
    pub weights: *const c_void,
    pub bias: *const c_void,
    pub vocab: u32,
    pub columns: u32,
    pub dtype: u32,
    pub bias_dtype: u32,
}

/// `argpick_device_input`.
#[repr(C)]
pub struct DeviceInput {
    pub columns: *const u32,
    pub values: *const f32,
    pub count: u64,
}

/// `argpick_device_score`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceScore {
    pub status: u32,
    pub index: u32,
    pub value: f32,
    pub column: u32,
    pub loss: f32,
    pub argmax: u32,
    pub correct: u32,
    pub reserved: u32,
}

/// `argpick_device_train`.
#[repr(C)]
pub struct DeviceTrain {
    pub weights: *mut f32,
    pub bias: *mut f32,
    pub gradient: *mut f32,
    pub columns: *const u32,
    pub values: *const f32,
    pub score: *mut DeviceScore,
    pub workspace: *mut c_void,
    pub workspace_size: u64,
    pub stream: *mut c_void,
    pub vocab: u32,
    pub features: u32,
    pub column_count: u32,
    pub target: u32,
    pub learning_rate: f32,
    pub reserved: u32,
}

const _: () = assert!(size_of::<Bias>() == 8 && size_of::<DeviceRow>() == 136 && size_of::<DevicePick>() == 56);
const _: () = assert!(size_of::<DeviceDecode>() == 80 && size_of::<DeviceHead>() == 32);
const _: () = assert!(size_of::<DeviceInput>() == 24 && size_of::<DeviceScore>() == 32);
const _: () = assert!(size_of::<DeviceTrain>() == 96);

pub const RECORD: u32 = 1;

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
}

type Features = unsafe extern "C" fn(*const DeviceRow) -> u32;
type DecodeWorkspace = unsafe extern "C" fn(*const DeviceDecode) -> u64;
type Decode = unsafe extern "C" fn(*const DeviceDecode, *mut i32) -> i32;
type DecodeSparse = unsafe extern "C" fn(*const DeviceDecode, *const DeviceHead, *const DeviceInput, *mut i32) -> i32;
type TrainWorkspace = unsafe extern "C" fn(*const DeviceTrain) -> u64;
type Train = unsafe extern "C" fn(*const DeviceTrain, *mut i32) -> i32;

/// The loaded library.
pub struct Host {
    pub features: Features,
    pub decode_workspace: DecodeWorkspace,
    pub decode: Decode,
    pub decode_sparse: DecodeSparse,
    pub train_workspace: TrainWorkspace,
    pub train: Train,
}

fn cuda() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cuda")
}

/// Compiles the device code for the CPU; `None`, and a line that says so, without a compiler. With a number of threads, blocks
/// have so many, which is quicker, and rows that are read twice go in waves of a few KiB; else both are as on a device.
///
/// `ARGPICK_CUDA_HOST_FLAGS` adds options, sanitizers for instance.
pub fn build(threads: Option<u32>) -> Option<Host> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "g++".into());
    if Command::new(&compiler).arg("--version").output().is_err() {
        println!("skipped: no C++ compiler ({compiler})");
        return None;
    }
    let extra = std::env::var("ARGPICK_CUDA_HOST_FLAGS").unwrap_or_default();
    let name = format!("cuda_host_{}_{}.so", threads.unwrap_or(0), std::process::id());
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut command = Command::new(&compiler);
    command.args(["-std=c++17", "-O2", "-ffp-contract=off", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror"]);
    command.args(extra.split_whitespace());
    if let Some(threads) = threads {
        for name in ["SELECT", "READ", "SUM", "ADJUST", "TRAIN"] {
            command.arg(format!("-DARGPICK_{name}_THREADS={threads}"));
        }
        command.arg("-DARGPICK_WAVE_BYTES=8000u");
    }
    command.arg("-x").arg("c++");
    for source in ["decode.cu", "device.cu", "train.cu", "host/shim.cpp"] {
        command.arg(cuda().join(source));
    }
    let output = command.arg("-o").arg(&out).output().expect("the compiler starts");
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    let path = CString::new(out.to_str().expect("a path in UTF-8")).expect("a path without NUL");
    const NOW: c_int = 2;
    // SAFETY: a library that was just built; its initialisers do nothing unusual.
    let library = unsafe { dlopen(path.as_ptr(), NOW) };
    if library.is_null() {
        // SAFETY: the message of the call that just failed.
        let message = unsafe { std::ffi::CStr::from_ptr(dlerror()) };
        panic!("{}: {message:?}", out.display());
    }
    let _ = std::fs::remove_file(&out);
    let symbol = |name: &str| {
        let name = CString::new(name).expect("no NUL");
        // SAFETY: the library is loaded and the name ends with NUL.
        let found = unsafe { dlsym(library, name.as_ptr()) };
        assert!(!found.is_null(), "{name:?}");
        found
    };
    // SAFETY: the functions have these signatures: argpick_cuda.h.
    unsafe {
        Some(Host {
            features: std::mem::transmute::<*mut c_void, Features>(symbol("argpick_device_features")),
            decode_workspace: std::mem::transmute::<*mut c_void, DecodeWorkspace>(symbol(
                "argpick_device_decode_workspace",
            )),
            decode: std::mem::transmute::<*mut c_void, Decode>(symbol("argpick_device_decode_launch")),
            decode_sparse: std::mem::transmute::<*mut c_void, DecodeSparse>(symbol(
                "argpick_device_decode_sparse_launch",
            )),
            train_workspace: std::mem::transmute::<*mut c_void, TrainWorkspace>(symbol(
                "argpick_device_train_workspace",
            )),
            train: std::mem::transmute::<*mut c_void, Train>(symbol("argpick_device_train_launch")),
        })
    }
}

/// Memory of so many bytes at a multiple of 256, full of rubbish, and not one byte more.
pub struct Workspace {
    pointer: *mut u8,
    layout: std::alloc::Layout,
}

impl Workspace {
    pub fn new(bytes: u64) -> Workspace {
        let layout = std::alloc::Layout::from_size_align((bytes as usize).max(1), 256).expect("a size");
        // SAFETY: the size is not 0.
        let pointer = unsafe { std::alloc::alloc(layout) };
        assert!(!pointer.is_null());
        // SAFETY: so many bytes were just allocated.
        unsafe { pointer.write_bytes(0x5a, layout.size()) };
        Workspace { pointer, layout }
    }
    pub fn pointer(&mut self) -> *mut c_void {
        self.pointer.cast()
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { std::alloc::dealloc(self.pointer, self.layout) }
    }
}
