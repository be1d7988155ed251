//! `argpick_weights`: a sparse linear head, from a file, from bytes in memory, or of the caller's arrays to be trained.

use super::fault::Fault;
#[cfg(feature = "std")]
use super::guard::call_about;
use super::guard::{Gate, call, readable, slice, writable};
use super::memory::{Block, Home, check_memory, end};
use super::status::argpick_status;
use crate::MAX_VOCAB;
use crate::error::Error;
use crate::kernels::Kernels;
use crate::weights::{Archive, Column, ColumnMatrix, ElementType, HeadSource, SparseHead};
use core::cell::UnsafeCell;
#[cfg(feature = "std")]
use core::ffi::c_char;
use core::ffi::c_void;
use core::ptr::NonNull;

/// Read the whole file into memory instead of mapping it: for hosts that cannot promise that nobody shortens or overwrites
/// the file while the weights are open (a mapped file that shrinks ends the process by a signal).
pub const ARGPICK_WEIGHTS_COPY: u32 = 1;
/// Read everything once and compare the checksums of the arrays (only .npz has them).
pub const ARGPICK_WEIGHTS_VERIFY: u32 = 2;

/// A NumPy archive, W column-major.
pub const ARGPICK_FORMAT_NPZ: u32 = 0;
/// safetensors, the transposed weights as W.T.
pub const ARGPICK_FORMAT_SAFETENSORS: u32 = 1;

/// A sparse linear head: z = b + sum_j a_j * W[:, c_j], W of shape (vocab, features), columns contiguous.
///
/// Any number of threads may read the same weights at once. Training changes them and needs them alone: whoever comes
/// meanwhile gets ARGPICK_ERR_BUSY.
#[repr(align(16))]
pub struct argpick_weights {
    gate: Gate,
    home: Home,
    inner: UnsafeCell<Store>,
}

const _: () = assert!(align_of::<argpick_weights>() == super::abi::ARGPICK_MEMORY_ALIGNMENT as usize);

/// Where the numbers are.
enum Source {
    /// A file, or a copy of one.
    #[cfg(feature = "std")]
    File(crate::weights::Weights),
    /// The bytes of a file in memory of the caller's.
    InPlace(SparseHead<'static>),
    /// f32 that can be trained.
    Trainable { weights: Block<f32>, bias: Block<f32> },
}

/// Weights and the kernels that read them.
pub(super) struct Store {
    source: Source,
    pub(super) kernels: Kernels,
}

impl Store {
    fn new(source: Source) -> Result<Store, Fault> {
        Ok(Store { source, kernels: Kernels::detect()? })
    }

    /// The head.
    pub(super) fn head(&self) -> Result<SparseHead<'_>, Fault> {
        Ok(match &self.source {
            #[cfg(feature = "std")]
            Source::File(weights) => weights.head(),
            Source::InPlace(head) => *head,
            Source::Trainable { weights, bias } => {
                let (weights, bias) = (weights.as_ref(), bias.as_ref());
                let matrix = ColumnMatrix::new(
                    bytemuck::cast_slice(weights),
                    ElementType::F32,
                    bias.len(),
                    weights.len() / bias.len(),
                )?;
                SparseHead::new(matrix, Column { bytes: bytemuck::cast_slice(bias), element: ElementType::F32 })?
            }
        })
    }

    /// Weights and bias, if they can be trained.
    pub(super) fn trainable(&mut self) -> Result<(&mut [f32], &mut [f32]), Fault> {
        match &mut self.source {
            Source::Trainable { weights, bias } => Ok((weights.as_mut(), bias.as_mut())),
            _ => Err(Fault::ReadOnly),
        }
    }
}

// The arrays of trainable weights are read as bytes, which are little-endian by definition.
#[cfg(target_endian = "big")]
compile_error!("the C ABI of argpick has been written for little-endian processors");

impl argpick_weights {
    fn new(home: Home, store: Store) -> Self {
        argpick_weights { gate: Gate::new("weights"), home, inner: UnsafeCell::new(store) }
    }
}

/// Runs `body` on weights that others may read meanwhile.
///
/// # Safety
/// `weights`, unless NULL, is a live handle.
pub(super) unsafe fn enter_shared<R>(
    weights: *const argpick_weights,
    body: impl FnOnce(&Store) -> Result<R, Fault>,
) -> Result<R, Fault> {
    readable(weights, "weights")?;
    // SAFETY: not NULL and aligned, and a live handle by the caller's word.
    let handle = unsafe { &*weights };
    let pass = handle.gate.shared()?;
    // SAFETY: while readers are inside, the gate lets in nobody who writes.
    let result = body(unsafe { &*handle.inner.get() });
    pass.leave();
    result
}

/// Runs `body` on weights, alone.
///
/// # Safety
/// `weights`, unless NULL, is a live handle.
pub(super) unsafe fn enter_alone<R>(
    weights: *const argpick_weights,
    body: impl FnOnce(&mut Store) -> Result<R, Fault>,
) -> Result<R, Fault> {
    readable(weights, "weights")?;
    // SAFETY: not NULL and aligned, and a live handle by the caller's word.
    let handle = unsafe { &*weights };
    let pass = handle.gate.exclusive()?;
    // SAFETY: the gate lets in one at a time.
    let result = body(unsafe { &mut *handle.inner.get() });
    pass.leave();
    result
}

/// Puts a handle on the heap and writes it out.
///
/// # Safety
/// `out` has been checked and can be written.
#[cfg(feature = "alloc")]
unsafe fn deliver(source: Source, out: *mut *mut argpick_weights) -> Result<(), Fault> {
    let handle = super::memory::place_on_heap(argpick_weights::new(Home::Heap, Store::new(source)?))?;
    // SAFETY: the caller's part is the same.
    unsafe { out.write(handle) };
    Ok(())
}

/// Puts a handle into memory of the caller's and writes it out.
///
/// # Safety
/// `memory` has `size` bytes of the caller's that nobody else uses; `out` has been checked and can be written.
unsafe fn place(source: Source, memory: *mut c_void, size: usize, out: *mut *mut argpick_weights) -> Result<(), Fault> {
    check_memory(memory, size, size_of::<argpick_weights>())?;
    let handle = memory.cast::<argpick_weights>();
    // SAFETY: not NULL, aligned and long enough, as `check_memory` has seen; the rest is the caller's part.
    unsafe {
        handle.write(argpick_weights::new(Home::Caller, Store::new(source)?));
        out.write(handle);
    }
    Ok(())
}

#[cfg(feature = "alloc")]
fn check_flags(flags: u32, known: u32) -> Result<(), Fault> {
    if flags & !known != 0 {
        return Err(Fault::Reserved { what: "flags", value: flags });
    }
    Ok(())
}

/// A path of the caller's, and its bytes for messages.
///
/// # Safety
/// `path`, unless NULL, is a text that ends with a zero.
#[cfg(feature = "std")]
unsafe fn path_of<'a>(path: *const c_char) -> (Result<&'a std::path::Path, Fault>, &'a [u8]) {
    if path.is_null() {
        return (Err(Fault::Null("path")), &[]);
    }
    // SAFETY: not NULL, and ends with a zero by the caller's word.
    let bytes = unsafe { core::ffi::CStr::from_ptr(path) }.to_bytes();
    match core::str::from_utf8(bytes) {
        Ok(text) => (Ok(std::path::Path::new(text)), bytes),
        Err(error) => (Err(Fault::Text { what: "path", offset: error.valid_up_to() }), bytes),
    }
}

/// Opens a weight file, .npz or .safetensors with arrays W and b; the bytes decide which, not the name.
///
/// path is UTF-8. The file is mapped: a large one opens in milliseconds, and only the columns used are read. Weights whose
/// columns are not contiguous (NumPy's default order) are transposed once into memory; `argpick pack` writes a file that
/// needs none. Every file is taken for hostile until checked; nothing is unpickled. flags: ARGPICK_WEIGHTS_COPY,
/// ARGPICK_WEIGHTS_VERIFY. Freed by argpick_weights_free. Not in a library without the standard library.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_TEXT, ARGPICK_ERR_RESERVED (flags), ARGPICK_ERR_FILE,
/// ARGPICK_ERR_FILE_FORMAT, ARGPICK_ERR_FILE_MALFORMED, ARGPICK_ERR_ARRAY_..., ARGPICK_ERR_OUT_OF_MEMORY, and those of the
/// kernels (see argpick_kernel). argpick_last_error names the file, the array and the reason.
///
/// # Safety
/// - path ends with a zero; out can be written; without ARGPICK_WEIGHTS_COPY nobody shortens or overwrites the file.
#[cfg(feature = "std")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_weights_open(
    path: *const c_char,
    flags: u32,
    out: *mut *mut argpick_weights,
) -> argpick_status {
    // SAFETY: the caller's part is the same.
    let (path, about) = unsafe { path_of(path) };
    call_about("argpick_weights_open", about, || {
        writable(out, "out")?;
        check_flags(flags, ARGPICK_WEIGHTS_COPY | ARGPICK_WEIGHTS_VERIFY)?;
        let open = crate::weights::Open {
            copy: flags & ARGPICK_WEIGHTS_COPY != 0,
            verify: flags & ARGPICK_WEIGHTS_VERIFY != 0,
        };
        let weights = crate::weights::Weights::open(path?, open)?;
        // SAFETY: `out` was checked; that it can be written is the caller's part.
        unsafe { deliver(Source::File(weights), out) }
    })
}

/// Weights from the bytes of a file that is in memory already: flash, an archive, the network.
///
/// The bytes may have any alignment. They are used where they lie and must stay there, unchanged, until
/// argpick_weights_free; with ARGPICK_WEIGHTS_COPY they are copied. Weights whose columns are not contiguous are transposed
/// into memory (without the standard library: ARGPICK_ERR_ARRAY_UNSUPPORTED). flags as for argpick_weights_open. Not in a
/// library without a heap: see argpick_weights_init_from_memory.
///
/// Statuses: those of argpick_weights_open but for files; ARGPICK_ERR_WRONG_LENGTH (an impossible size).
///
/// # Safety
/// - bytes points to size bytes that nobody writes as long as the weights are in use; out can be written.
#[cfg(feature = "alloc")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_weights_from_memory(
    bytes: *const c_void,
    size: usize,
    flags: u32,
    out: *mut *mut argpick_weights,
) -> argpick_status {
    call("argpick_weights_from_memory", || {
        writable(out, "out")?;
        check_flags(flags, ARGPICK_WEIGHTS_COPY | ARGPICK_WEIGHTS_VERIFY)?;
        readable(bytes.cast::<u8>(), "bytes")?;
        // SAFETY: the caller's part is the same, for as long as the handle lives.
        let bytes: &'static [u8] = unsafe { slice(bytes.cast(), size, "bytes") }?;
        let source = from_bytes(bytes, flags)?;
        // SAFETY: `out` was checked; that it can be written is the caller's part.
        unsafe { deliver(source, out) }
    })
}

#[cfg(feature = "std")]
fn from_bytes(bytes: &'static [u8], flags: u32) -> Result<Source, Fault> {
    let archive = Archive::parse(bytes)?;
    if flags & ARGPICK_WEIGHTS_VERIFY != 0 {
        archive.entries().try_for_each(|entry| entry.verify().map(drop))?;
    }
    let head = HeadSource::find(&archive)?;
    if flags & ARGPICK_WEIGHTS_COPY == 0 && head.columns_are_contiguous {
        return Ok(Source::InPlace(head.in_place()?));
    }
    let mut copy = std::vec::Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(|_| Fault::OutOfMemory { bytes: bytes.len() })?;
    copy.extend_from_slice(bytes);
    Ok(Source::File(crate::weights::Weights::from_bytes(copy)?))
}

// Without the standard library there are no copies and no checksums.
#[cfg(all(feature = "alloc", not(feature = "std")))]
fn from_bytes(bytes: &'static [u8], flags: u32) -> Result<Source, Fault> {
    check_flags(flags, 0)?;
    in_place(bytes)
}

fn in_place(bytes: &'static [u8]) -> Result<Source, Fault> {
    Ok(Source::InPlace(HeadSource::find(&Archive::parse(bytes)?)?.in_place()?))
}

/// The memory in bytes that a handle needs in argpick_weights_init_from_memory and argpick_weights_init_from_arrays.
#[unsafe(no_mangle)]
pub extern "C" fn argpick_weights_size() -> usize {
    size_of::<argpick_weights>()
}

/// As argpick_weights_from_memory, with the handle in memory of the caller's: no heap is used.
///
/// memory is aligned to ARGPICK_MEMORY_ALIGNMENT and has memory_size bytes, at least argpick_weights_size(); it is the
/// handle's until argpick_weights_free. The columns must be contiguous.
///
/// Statuses: those of argpick_weights_from_memory; ARGPICK_ERR_STORAGE_TOO_SMALL, ARGPICK_ERR_ARRAY_UNSUPPORTED.
///
/// # Safety
/// - memory points to memory_size bytes that nobody else uses; bytes and out as for argpick_weights_from_memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_weights_init_from_memory(
    memory: *mut c_void,
    memory_size: usize,
    bytes: *const c_void,
    size: usize,
    out: *mut *mut argpick_weights,
) -> argpick_status {
    call("argpick_weights_init_from_memory", || {
        writable(out, "out")?;
        readable(bytes.cast::<u8>(), "bytes")?;
        // SAFETY: the caller's part is the same, for as long as the handle lives.
        let source = in_place(unsafe { slice(bytes.cast(), size, "bytes") }?)?;
        // SAFETY: `out` was checked; the rest is the caller's part.
        unsafe { place(source, memory, memory_size, out) }
    })
}

/// The number of elements of W, if the shape is one.
fn elements(vocab: u32, features: u32) -> Result<(usize, usize), Fault> {
    let invalid = |name, value: u32| Err(Fault::Core(Error::InvalidParameter { name, value: value.into() }));
    if vocab == 0 || vocab as usize > MAX_VOCAB {
        return invalid("vocab", vocab);
    }
    if features == 0 {
        return invalid("features", features);
    }
    match (vocab as usize).checked_mul(features as usize) {
        Some(count) if count <= isize::MAX as usize / 4 => Ok((count, vocab as usize)),
        _ => Err(Fault::OutOfMemory { bytes: usize::MAX }),
    }
}

/// New weights to be trained: zeros, in memory of the library's. Freed by argpick_weights_free.
///
/// vocab is 1 to 2^22, features at least 1. argpick_weights_arrays tells where the numbers are, to initialise or read them.
/// Not in a library without a heap: see argpick_weights_init_from_arrays.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_INVALID_PARAMETER, ARGPICK_ERR_OUT_OF_MEMORY, and those of
/// the kernels (see argpick_kernel).
///
/// # Safety
/// - out can be written.
#[cfg(feature = "alloc")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_weights_new(
    vocab: u32,
    features: u32,
    out: *mut *mut argpick_weights,
) -> argpick_status {
    call("argpick_weights_new", || {
        writable(out, "out")?;
        let (count, vocab) = elements(vocab, features)?;
        let source = Source::Trainable { weights: Block::allocate(count)?, bias: Block::allocate(vocab)? };
        // SAFETY: `out` was checked; that it can be written is the caller's part.
        unsafe { deliver(source, out) }
    })
}

/// The caller's arrays as weights to be trained.
///
/// # Safety
/// The arrays have as many elements as the shape says, and are the handle's alone.
unsafe fn arrays(weights: *mut f32, bias: *mut f32, vocab: u32, features: u32) -> Result<Source, Fault> {
    let (count, vocab) = elements(vocab, features)?;
    writable(weights, "weights")?;
    writable(bias, "bias")?;
    // SAFETY: not NULL and aligned; the rest is the caller's part.
    unsafe {
        Ok(Source::Trainable {
            weights: Block::borrow(NonNull::new_unchecked(weights), count),
            bias: Block::borrow(NonNull::new_unchecked(bias), vocab),
        })
    }
}

/// Arrays of the caller's as weights to be trained: column c of W is weights[c * vocab] to weights[c * vocab + vocab - 1].
///
/// They stay the caller's: they must stay where they are until argpick_weights_free, which leaves them alone. Between calls
/// the caller may read and write them; while a call on the handle runs nobody else may. Not in a library without a heap.
///
/// Statuses: those of argpick_weights_new.
///
/// # Safety
/// - weights points to vocab * features floats, bias to vocab; out can be written.
#[cfg(feature = "alloc")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_weights_from_arrays(
    weights: *mut f32,
    bias: *mut f32,
    vocab: u32,
    features: u32,
    out: *mut *mut argpick_weights,
) -> argpick_status {
    call("argpick_weights_from_arrays", || {
        writable(out, "out")?;
        // SAFETY: the caller's part is the same; `out` was checked.
        unsafe { deliver(arrays(weights, bias, vocab, features)?, out) }
    })
}

/// As argpick_weights_from_arrays, with the handle in memory of the caller's: no heap is used.
///
/// memory as for argpick_weights_init_from_memory.
///
/// Statuses: those of argpick_weights_from_arrays; ARGPICK_ERR_STORAGE_TOO_SMALL.
///
/// # Safety
/// - memory points to memory_size bytes that nobody else uses; the others as for argpick_weights_from_arrays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_weights_init_from_arrays(
    memory: *mut c_void,
    memory_size: usize,
    weights: *mut f32,
    bias: *mut f32,
    vocab: u32,
    features: u32,
    out: *mut *mut argpick_weights,
) -> argpick_status {
    call("argpick_weights_init_from_arrays", || {
        writable(out, "out")?;
        // SAFETY: the caller's part is the same; `out` was checked.
        unsafe { place(arrays(weights, bias, vocab, features)?, memory, memory_size, out) }
    })
}

/// Tells where the numbers of trainable weights are: W (vocab * features floats, column after column) and b (vocab).
///
/// The pointers are valid until argpick_weights_free. Between calls the caller may read and write through them.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED, ARGPICK_ERR_READ_ONLY (the
/// weights are those of a file).
///
/// # Safety
/// - weights is a live handle; matrix and bias can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_weights_arrays(
    weights: *mut argpick_weights,
    matrix: *mut *mut f32,
    bias: *mut *mut f32,
) -> argpick_status {
    call("argpick_weights_arrays", || {
        writable(matrix, "matrix")?;
        writable(bias, "bias")?;
        // SAFETY: the caller's part is the same; the outputs were checked.
        unsafe {
            enter_alone(weights, |store| match &mut store.source {
                Source::Trainable { weights, bias: offsets } => {
                    matrix.write(weights.as_mut_ptr());
                    bias.write(offsets.as_mut_ptr());
                    Ok(())
                }
                _ => Err(Fault::ReadOnly),
            })
        }
    })
}

/// Tells the shape of W: vocab logits, features columns.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED.
///
/// # Safety
/// - weights is a live handle; vocab and features can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_weights_shape(
    weights: *const argpick_weights,
    vocab: *mut u32,
    features: *mut u32,
) -> argpick_status {
    call("argpick_weights_shape", || {
        writable(vocab, "vocab")?;
        writable(features, "features")?;
        // SAFETY: the caller's part is the same; the outputs were checked. Neither number is past u32, by the limits.
        unsafe {
            enter_shared(weights, |store| {
                let head = store.head()?;
                vocab.write(head.vocab() as u32);
                features.write(head.features() as u32);
                Ok(())
            })
        }
    })
}

/// Asks the system to start reading these columns, so that they are there when the next step wants them.
///
/// Does nothing for weights that are not a mapped file.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_WRONG_LENGTH (an impossible count), ARGPICK_ERR_BUSY,
/// ARGPICK_ERR_POISONED, ARGPICK_ERR_COLUMN_OUT_OF_RANGE.
///
/// # Safety
/// - weights is a live handle; columns points to count columns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_weights_prefetch(
    weights: *const argpick_weights,
    columns: *const u32,
    count: usize,
) -> argpick_status {
    call("argpick_weights_prefetch", || {
        // SAFETY: the caller's part is the same.
        unsafe {
            enter_shared(weights, |store| {
                let columns = slice(columns, count, "columns")?;
                let features = store.head()?.features();
                if let Some(&column) = columns.iter().find(|&&column| column as usize >= features) {
                    return Err(Fault::Core(Error::ColumnOutOfRange { column, columns: features }));
                }
                #[cfg(feature = "std")]
                if let Source::File(weights) = &store.source {
                    weights.prefetch(columns)?;
                }
                Ok(())
            })
        }
    })
}

/// Writes W and b to a file that can be opened without a copy: format is ARGPICK_FORMAT_NPZ or ARGPICK_FORMAT_SAFETENSORS.
///
/// The file appears whole or not at all: it is written beside path and renamed. Not in a library without the standard
/// library.
///
/// Statuses: ARGPICK_ERR_NULL, ARGPICK_ERR_ALIGNMENT, ARGPICK_ERR_TEXT, ARGPICK_ERR_BUSY, ARGPICK_ERR_POISONED,
/// ARGPICK_ERR_INVALID_PARAMETER (format), ARGPICK_ERR_FILE.
///
/// # Safety
/// - weights is a live handle; path ends with a zero.
#[cfg(feature = "std")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_weights_save(
    weights: *const argpick_weights,
    path: *const c_char,
    format: u32,
) -> argpick_status {
    // SAFETY: the caller's part is the same.
    let (path, about) = unsafe { path_of(path) };
    call_about("argpick_weights_save", about, || {
        // SAFETY: the caller's part is the same.
        unsafe { enter_shared(weights, |store| save(&store.head()?, path?, format)) }
    })
}

#[cfg(feature = "std")]
fn save(head: &SparseHead<'_>, path: &std::path::Path, format: u32) -> Result<(), Fault> {
    use crate::weights::head::{BIAS, WEIGHTS, WEIGHTS_TRANSPOSED};
    use crate::weights::{ArrayView, Format, Order, Shape};
    let (vocab, features) = (head.vocab(), head.features());
    let (format, name, dimensions, order) = match format {
        ARGPICK_FORMAT_NPZ => (Format::Npz, WEIGHTS, [vocab, features], Order::ColumnMajor),
        ARGPICK_FORMAT_SAFETENSORS => (Format::Safetensors, WEIGHTS_TRANSPOSED, [features, vocab], Order::RowMajor),
        other => return Err(Fault::Core(Error::InvalidParameter { name: "format", value: other.into() })),
    };
    let wrong = Error::WrongLength { what: "the weights", expected: usize::MAX, actual: features };
    let shape = Shape::new(&dimensions).ok_or(wrong)?;
    let bias_shape = Shape::new(&[vocab]).ok_or(wrong)?;
    let arrays = [
        ArrayView::new(name, head.weights.element(), shape, order, head.weights.bytes())?,
        ArrayView::new(BIAS, head.bias.element, bias_shape, Order::RowMajor, head.bias.bytes)?,
    ];
    Ok(crate::weights::write::save(path, format, &arrays)?)
}

/// Ends weights; NULL is allowed and does nothing. Memory that is the caller's is left alone and may be used again.
///
/// Weights that another thread is using are not freed: they leak, and argpick_last_error says so (ARGPICK_ERR_BUSY).
///
/// # Safety
/// - weights is NULL or a live handle; it is not used after this call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn argpick_weights_free(weights: *mut argpick_weights) {
    if weights.is_null() {
        return;
    }
    call("argpick_weights_free", || {
        readable(weights, "weights")?;
        // SAFETY: a live handle by the caller's word.
        let handle = unsafe { &*weights };
        handle.gate.last()?;
        let home = handle.home;
        // SAFETY: the gate let us in for good, so nobody else is in the handle, and the caller will not use it again.
        unsafe { end(weights, home) };
        Ok(())
    });
}
