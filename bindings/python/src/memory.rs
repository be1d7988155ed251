//! Memory of Python objects, by the buffer protocol, DLPack or NumPy's array interface. The only place with `unsafe`.
//!
//! A [`Memory`] holds its object and the object's promise that the memory stays where it is. Nobody can keep another Python
//! thread from writing into it meanwhile; hosts are told not to, and all that such a race can do is change numbers.

use crate::fault::{Fault, Result};
use bytemuck::{AnyBitPattern, NoUninit};
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::ffi::{CStr, c_char, c_int, c_void};

/// The type of an element, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    F32,
    F16,
    Bf16,
    F64,
    Bool,
    Signed(usize),
    Unsigned(usize),
    Other,
}

impl Element {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Element::F32 => "float32",
            Element::F16 => "float16",
            Element::Bf16 => "bfloat16",
            Element::F64 => "float64",
            Element::Bool => "bool",
            Element::Signed(1) => "int8",
            Element::Signed(2) => "int16",
            Element::Signed(4) => "int32",
            Element::Signed(_) => "int64",
            Element::Unsigned(1) => "uint8",
            Element::Unsigned(2) => "uint16",
            Element::Unsigned(4) => "uint32",
            Element::Unsigned(_) => "uint64",
            Element::Other => "of another type (float8, complex, text, objects, records, or big-endian)",
        }
    }

    fn size(self) -> usize {
        match self {
            Element::F64 => 8,
            Element::F32 => 4,
            Element::F16 | Element::Bf16 => 2,
            Element::Bool | Element::Other => 1,
            Element::Signed(size) | Element::Unsigned(size) => size,
        }
    }
}

/// How the memory is given back.
enum Hold {
    Buffer(Box<ffi::Py_buffer>),
    DlPack(*mut DlManaged),
    DlPackVersioned(*mut DlManagedVersioned),
    Object(#[allow(dead_code, reason = "it is held, not looked at")] Py<PyAny>),
}

/// Memory of an object, for as long as this lives. It is made and dropped by a thread that is attached to the interpreter.
pub struct Memory {
    pointer: *mut u8,
    pub element: Element,
    pub shape: Vec<usize>,
    /// In bytes.
    strides: Vec<isize>,
    pub writable: bool,
    hold: Hold,
}

/// At most so many dimensions are looked at; NumPy has at most 64.
const MOST_DIMENSIONS: usize = 64;

/// Whether it is an array of `numpy.ma`, whose buffer is that of all its elements.
fn is_masked(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    static PLAIN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static MASKED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = object.py();
    let class = |module, name| Ok::<_, PyErr>(py.import(module)?.getattr(name)?.unbind());
    if object.get_type().is(PLAIN.get_or_try_init(py, || class("numpy", "ndarray"))?) {
        return Ok(false);
    }
    object.is_instance(MASKED.get_or_try_init(py, || class("numpy.ma", "MaskedArray"))?.bind(py))
}

impl Memory {
    /// The memory of an object. `what` names it in messages.
    pub fn of(object: &Bound<'_, PyAny>, what: &str) -> Result<Memory> {
        let speaks_dlpack = || object.hasattr(intern!(object.py(), "__dlpack__"));
        // SAFETY: the object is alive.
        let has_buffer = unsafe { ffi::PyObject_CheckBuffer(object.as_ptr()) } != 0;
        if !has_buffer && speaks_dlpack()? {
            return Memory::by_dlpack(object, what);
        }
        if has_buffer && is_masked(object)? {
            return Err(Fault::argument(format!(
                "{what} is a masked array, and what it hides would be read all the same: pass {what}.filled(-numpy.inf), or \
                 {what}.data and a mask"
            )));
        }
        if has_buffer && let Some(memory) = Memory::by_buffer(object) {
            return Ok(memory);
        }
        if let Some(memory) = Memory::by_array_interface(object) {
            return Ok(memory);
        }
        if has_buffer && speaks_dlpack()? {
            return Memory::by_dlpack(object, what);
        }
        let given = object.get_type().name()?;
        Err(Fault::argument(format!(
            "{what}: {given} is no array; it must be a NumPy array, a CPU tensor with __dlpack__, or have the buffer protocol \
             (numpy.asarray(..., numpy.float32) makes one)"
        )))
    }

    fn by_buffer(object: &Bound<'_, PyAny>) -> Option<Memory> {
        let mut view = Box::new(ffi::Py_buffer::new());
        let flags = ffi::PyBUF_FORMAT | ffi::PyBUF_STRIDES;
        // SAFETY: the object is alive, and the view is ours to fill.
        let refused = unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut *view, flags) } != 0;
        if refused {
            // NumPy has no format for bfloat16, say; another way may be open.
            drop(PyErr::take(object.py()));
            return None;
        }
        let rank = (view.ndim.max(0) as usize).min(MOST_DIMENSIONS);
        // SAFETY: the exporter has filled the view: `shape` and `strides` have `ndim` entries, and `format`, unless NULL, ends
        // with a zero.
        let (shape, strides, format) = unsafe {
            let shape: Vec<usize> = (0..rank).map(|i| (*view.shape.add(i)).max(0) as usize).collect();
            let strides: Vec<isize> = (0..rank).map(|i| *view.strides.add(i)).collect();
            let format = if view.format.is_null() { &b"B"[..] } else { CStr::from_ptr(view.format).to_bytes() };
            (shape, strides, format)
        };
        let element = element_of(format, view.itemsize.max(0) as usize);
        let (pointer, writable) = (view.buf.cast::<u8>(), view.readonly == 0);
        Some(Memory { pointer, element, shape, strides, writable, hold: Hold::Buffer(view) })
    }

    /// NumPy arrays of bfloat16 (the package ml_dtypes) have no buffer; their interface says where they are.
    fn by_array_interface(object: &Bound<'_, PyAny>) -> Option<Memory> {
        let py = object.py();
        let name: String =
            object.getattr(intern!(py, "dtype")).ok()?.getattr(intern!(py, "name")).ok()?.extract().ok()?;
        if name != "bfloat16" {
            return None;
        }
        let interface = object.getattr(intern!(py, "__array_interface__")).ok()?;
        let (address, read_only): (usize, bool) = interface.get_item("data").ok()?.extract().ok()?;
        let shape: Vec<usize> = interface.get_item("shape").ok()?.extract().ok()?;
        let strides = interface.get_item("strides").ok()?;
        let strides = if strides.is_none() { contiguous_strides(&shape, 2) } else { strides.extract().ok()? };
        let hold = Hold::Object(object.clone().unbind());
        Some(Memory { pointer: address as *mut u8, element: Element::Bf16, shape, strides, writable: !read_only, hold })
    }

    fn by_dlpack(object: &Bound<'_, PyAny>, what: &str) -> Result<Memory> {
        let py = object.py();
        let unreadable = |error: PyErr| {
            let clearer = PyTypeError::new_err(format!("{what} cannot be read by DLPack: {}", error.value(py)));
            clearer.set_cause(py, Some(error));
            Fault::Python(clearer)
        };
        let device = object.call_method0(intern!(py, "__dlpack_device__"));
        let (device, number): (i32, i32) = device.and_then(|device| device.extract()).map_err(unreadable)?;
        if !HOST_DEVICES.contains(&device) {
            return Err(Fault::argument(format!(
                "{what} is on device {}:{number}; argpick reads memory of the CPU: pass {what}.cpu()",
                device_name(device)
            )));
        }
        let capsule = capsule_of(object).map_err(unreadable)?;
        let raw = capsule.as_ptr();
        // SAFETY: a capsule of one of these names holds such a struct, which becomes ours when the capsule is renamed; its
        // tensor has `ndim` entries of `shape`, and of `strides` unless that is NULL.
        unsafe {
            let (tensor, hold, read_only);
            if ffi::PyCapsule_IsValid(raw, DLTENSOR.as_ptr()) != 0 {
                let managed = ffi::PyCapsule_GetPointer(raw, DLTENSOR.as_ptr()).cast::<DlManaged>();
                ffi::PyCapsule_SetName(raw, USED_DLTENSOR.as_ptr());
                (tensor, hold, read_only) = (&(*managed).tensor, Hold::DlPack(managed), false);
            } else if ffi::PyCapsule_IsValid(raw, DLTENSOR_VERSIONED.as_ptr()) != 0 {
                let managed = ffi::PyCapsule_GetPointer(raw, DLTENSOR_VERSIONED.as_ptr()).cast::<DlManagedVersioned>();
                if (*managed).major != 1 {
                    return Err(Fault::argument(format!("{what}: DLPack version {} is not known", (*managed).major)));
                }
                ffi::PyCapsule_SetName(raw, USED_DLTENSOR_VERSIONED.as_ptr());
                (tensor, hold) = (&(*managed).tensor, Hold::DlPackVersioned(managed));
                read_only = (*managed).flags & 1 != 0;
            } else {
                return Err(Fault::argument(format!("{what}: __dlpack__ has returned no DLPack capsule")));
            }
            let rank = (tensor.rank.max(0) as usize).min(MOST_DIMENSIONS);
            let shape: Vec<usize> = (0..rank).map(|i| (*tensor.shape.add(i)).max(0) as usize).collect();
            let element = match (tensor.code, tensor.bits, tensor.lanes) {
                (2, 16, 1) => Element::F16,
                (2, 32, 1) => Element::F32,
                (2, 64, 1) => Element::F64,
                (4, 16, 1) => Element::Bf16,
                (6, 8, 1) => Element::Bool,
                (0, bits @ (8 | 16 | 32 | 64), 1) => Element::Signed(bits as usize / 8),
                (1, bits @ (8 | 16 | 32 | 64), 1) => Element::Unsigned(bits as usize / 8),
                _ => Element::Other,
            };
            let strides = if tensor.strides.is_null() {
                contiguous_strides(&shape, element.size())
            } else {
                (0..rank).map(|i| *tensor.strides.add(i) as isize * element.size() as isize).collect()
            };
            let pointer = tensor.data.cast::<u8>().wrapping_add(tensor.byte_offset as usize);
            Ok(Memory { pointer, element, shape, strides, writable: !read_only, hold })
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the elements of the last `dimensions` dimensions lie one after the other in row-major order.
    pub fn is_contiguous(&self, dimensions: usize) -> bool {
        let mut expected = self.element.size() as isize;
        let pairs = self.shape.iter().zip(&self.strides).rev().take(dimensions);
        pairs.into_iter().all(|(&length, &stride)| {
            let fits = length <= 1 || stride == expected;
            expected *= length as isize;
            fits
        })
    }

    /// The same in column-major order, of two dimensions.
    pub fn is_column_major(&self) -> bool {
        let size = self.element.size() as isize;
        match (&self.shape[..], &self.strides[..]) {
            (&[rows, columns], &[down, right]) => {
                (rows <= 1 || down == size) && (columns <= 1 || right == size * rows as isize)
            }
            _ => false,
        }
    }

    /// The bytes from one row to the next, where there are two dimensions.
    pub fn row_stride(&self) -> isize {
        self.strides[0]
    }

    /// Whether the address is a multiple of the size of an element.
    pub fn is_aligned(&self) -> bool {
        self.pointer.addr().is_multiple_of(self.element.size())
    }

    /// Where it begins.
    pub fn address(&self) -> usize {
        self.pointer.addr()
    }

    /// `length` elements that begin `offset` bytes after the first one. They have been found to lie in the memory,
    /// contiguous, aligned and of this type's size.
    pub fn slice<T: AnyBitPattern>(&self, offset: isize, length: usize) -> &[T] {
        if length == 0 {
            return &[];
        }
        let pointer = self.pointer.wrapping_offset(offset);
        assert!(pointer.addr().is_multiple_of(align_of::<T>()) && size_of::<T>() == self.element.size());
        // SAFETY: not NULL, since there are elements; aligned; in the memory by the caller's word, which is of this module's
        // callers alone; every bit pattern is a value. The memory stays as long as `self`.
        unsafe { std::slice::from_raw_parts(pointer.cast::<T>(), length) }
    }

    /// All elements of contiguous memory, to be written.
    pub fn slice_mut<T: AnyBitPattern + NoUninit>(&mut self) -> &mut [T] {
        let length = self.len();
        if length == 0 {
            return &mut [];
        }
        assert!(self.writable && self.is_aligned() && size_of::<T>() == self.element.size());
        // SAFETY: as above; writable by the exporter's word.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.cast::<T>(), length) }
    }

    /// Two memories as slices to be written, for weights that are trained.
    pub fn pair_mut<'m>(first: &'m mut Memory, second: &'m mut Memory) -> (&'m mut [f32], &'m mut [f32]) {
        (first.slice_mut(), second.slice_mut())
    }
}

// SAFETY: a thread that holds a `Memory` reads through its pointer, which is not bound to a thread; it is dropped by a thread
// that is attached to the interpreter (`Drop` sees to it).
unsafe impl Send for Memory {}
// SAFETY: `&Memory` only reads.
unsafe impl Sync for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        let hold = &mut self.hold;
        let release = |_: Python<'_>| match hold {
            // SAFETY: each was filled by its exporter and is released once, by an attached thread.
            Hold::Buffer(view) => unsafe { ffi::PyBuffer_Release(&raw mut **view) },
            // SAFETY: as above.
            Hold::DlPack(managed) => unsafe {
                if let Some(delete) = (**managed).deleter {
                    delete(*managed);
                }
            },
            // SAFETY: as above.
            Hold::DlPackVersioned(managed) => unsafe {
                if let Some(delete) = (**managed).deleter {
                    delete(*managed);
                }
            },
            Hold::Object(_) => {}
        };
        Python::attach(release);
    }
}

/// A value that borrows bytes which are kept beside it, where nobody changes them.
pub struct Kept<T> {
    // Dropped first.
    value: T,
    #[allow(dead_code, reason = "it is held, not looked at")]
    bytes: Box<[u8]>,
}

impl<T> Kept<T> {
    /// What `make` makes of the bytes. It must not hand out references to them that outlive the value.
    pub fn new(bytes: Vec<u8>, make: impl FnOnce(&'static [u8]) -> Result<T>) -> Result<Self> {
        let bytes = bytes.into_boxed_slice();
        // SAFETY: the heap block stays where it is and as it is until `bytes` is dropped, which is after `value`; the caller
        // hands out nothing that lives longer.
        let forever: &'static [u8] = unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) };
        Ok(Kept { value: make(forever)?, bytes })
    }

    pub fn value(&self) -> &T {
        &self.value
    }

    pub fn value_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// The steps of row-major memory, in bytes.
fn contiguous_strides(shape: &[usize], size: usize) -> Vec<isize> {
    let mut strides = vec![0; shape.len()];
    let mut step = size as isize;
    for (stride, &length) in strides.iter_mut().zip(shape).rev() {
        *stride = step;
        step *= length as isize;
    }
    strides
}

/// The element of a buffer's format, in the syntax of the module struct.
fn element_of(format: &[u8], size: usize) -> Element {
    let (order, code) = match format {
        [order @ (b'@' | b'=' | b'<' | b'>' | b'!'), code @ ..] => (*order, code),
        code => (b'@', code),
    };
    let foreign = if cfg!(target_endian = "little") { matches!(order, b'>' | b'!') } else { order == b'<' };
    match (code, size) {
        _ if foreign && size > 1 => Element::Other,
        (b"f", 4) => Element::F32,
        (b"e", 2) => Element::F16,
        (b"d", 8) => Element::F64,
        (b"?", 1) => Element::Bool,
        (b"b" | b"h" | b"i" | b"l" | b"q" | b"n", 1 | 2 | 4 | 8) => Element::Signed(size),
        (b"B" | b"H" | b"I" | b"L" | b"Q" | b"N", 1 | 2 | 4 | 8) => Element::Unsigned(size),
        _ => Element::Other,
    }
}

const DLTENSOR: &CStr = c"dltensor";
const USED_DLTENSOR: &CStr = c"used_dltensor";
const DLTENSOR_VERSIONED: &CStr = c"dltensor_versioned";
const USED_DLTENSOR_VERSIONED: &CStr = c"used_dltensor_versioned";

/// The CPU, and memory of the host that a GPU sees, too (CUDA, ROCm).
const HOST_DEVICES: [i32; 3] = [1, 3, 11];

fn device_name(device: i32) -> String {
    match device {
        2 => "cuda".into(),
        4 => "opencl".into(),
        7 => "vulkan".into(),
        8 => "metal".into(),
        10 => "rocm".into(),
        13 => "cuda (managed)".into(),
        14 => "oneapi".into(),
        other => format!("number {other} of DLPack"),
    }
}

/// The capsule, of the version that says whether the memory may be written where the object knows it.
fn capsule_of<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let name = intern!(py, "__dlpack__");
    let options = pyo3::types::PyDict::new(py);
    options.set_item("max_version", (1, 0))?;
    match object.call_method(name, (), Some(&options)) {
        Err(error) if error.is_instance_of::<PyTypeError>(py) => object.call_method0(name),
        answer => answer,
    }
}

/// `DLTensor` of DLPack (github.com/dmlc/dlpack).
#[repr(C)]
struct DlTensor {
    data: *mut c_void,
    device: c_int,
    device_number: c_int,
    rank: c_int,
    code: u8,
    bits: u8,
    lanes: u16,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

/// `DLManagedTensor`.
#[repr(C)]
struct DlManaged {
    tensor: DlTensor,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut DlManaged)>,
}

/// `DLManagedTensorVersioned`.
#[repr(C)]
struct DlManagedVersioned {
    major: u32,
    minor: u32,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut DlManagedVersioned)>,
    flags: u64,
    tensor: DlTensor,
}

const _: () = assert!(size_of::<c_char>() == 1);
