//! Rows, masks and lists as Python hands them over, and the rules they are held to.

use crate::fault::{Fault, Result};
use crate::memory::{Element, Memory};
use argpick::{Error, Row};
use half::{bf16, f16};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyString};

/// A row of logits that lies in memory of Python's.
pub struct RowMemory(Memory);

impl RowMemory {
    /// Of one dimension, of float32, float16 or bfloat16, contiguous.
    pub fn of(object: &Bound<'_, PyAny>) -> Result<RowMemory> {
        let memory = Memory::of(object, "row")?;
        check_elements(&memory, "row")?;
        if memory.shape.len() == 1 {
            check_contiguous(&memory, 1, "row")?;
            return Ok(RowMemory(memory));
        }
        Err(Fault::argument(format!(
            "row has {} dimensions, shape {:?}; a row has one: pass row[0], or row.reshape(-1)",
            memory.shape.len(),
            memory.shape
        )))
    }

    /// The row.
    pub fn row(&self) -> Row<'_> {
        row_at(&self.0, 0, self.0.shape[0])
    }
}

/// A row to be rewritten in place: float32.
pub struct RowToWrite(Memory);

impl RowToWrite {
    pub fn of(object: &Bound<'_, PyAny>, what: &str) -> Result<RowToWrite> {
        let memory = Memory::of(object, what)?;
        if memory.element != Element::F32 {
            return Err(Fault::argument(format!(
                "{what} is {}; what is written in place is float32: convert it with {what}.astype(numpy.float32) (a tensor: {what}.float())",
                memory.element.name()
            )));
        }
        if memory.shape.len() != 1 {
            return Err(Fault::argument(format!("{what} has {} dimensions; it must have one", memory.shape.len())));
        }
        check_contiguous(&memory, 1, what)?;
        if !memory.writable {
            return Err(Fault::argument(format!("{what} is read-only; it is rewritten in place: pass {what}.copy()")));
        }
        Ok(RowToWrite(memory))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn values(&mut self) -> &mut [f32] {
        self.0.slice_mut()
    }

    /// Whether it shares memory with another.
    pub fn overlaps(&self, other: &Memory) -> bool {
        let (a, b) = (self.0.address(), other.address());
        a < b + 4 * other.len() && b < a + 4 * self.0.len()
    }

    /// Refuses a mask that lies in the row.
    pub fn apart_from(&self, mask: &MaskMemory) -> Result<()> {
        match mask {
            MaskMemory::Words(mask) if self.overlaps(mask) => Err(Fault::argument("row and mask are the same memory")),
            _ => Ok(()),
        }
    }
}

/// Several rows: those of one array, or one array each.
pub enum RowsMemory {
    One(Memory),
    Many(Vec<RowMemory>),
}

impl RowsMemory {
    /// An array of two dimensions, each row contiguous, or a sequence of rows.
    pub fn of(object: &Bound<'_, PyAny>) -> Result<RowsMemory> {
        if is_sequence(object) {
            let rows = object.try_iter()?.map(|row| RowMemory::of(&row?)).collect::<Result<_>>()?;
            return Ok(RowsMemory::Many(rows));
        }
        let memory = Memory::of(object, "rows")?;
        check_elements(&memory, "rows")?;
        if memory.shape.len() != 2 {
            return Err(Fault::argument(format!(
                "rows has {} dimensions, shape {:?}; it must have two, (rows, vocab), or be a sequence of rows",
                memory.shape.len(),
                memory.shape
            )));
        }
        check_contiguous(&memory, 1, "rows")?;
        Ok(RowsMemory::One(memory))
    }

    pub fn rows(&self) -> Vec<Row<'_>> {
        match self {
            RowsMemory::Many(rows) => rows.iter().map(RowMemory::row).collect(),
            RowsMemory::One(memory) => {
                let (stride, length) = (memory.row_stride(), memory.shape[1]);
                (0..memory.shape[0]).map(|i| row_at(memory, i as isize * stride, length)).collect()
            }
        }
    }
}

/// A list or tuple: one entry for each row.
fn is_sequence(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<pyo3::types::PyList>() || object.is_instance_of::<pyo3::types::PyTuple>()
}

fn row_at(memory: &Memory, offset: isize, length: usize) -> Row<'_> {
    match memory.element {
        Element::F16 => Row::F16(memory.slice::<f16>(offset, length)),
        Element::Bf16 => Row::Bf16(memory.slice::<bf16>(offset, length)),
        _ => Row::F32(memory.slice(offset, length)),
    }
}

fn check_elements(memory: &Memory, what: &str) -> Result<()> {
    match memory.element {
        Element::F32 | Element::F16 | Element::Bf16 => Ok(()),
        Element::F64 => Err(Fault::argument(format!(
            "{what} is float64; logits are float32, float16 or bfloat16: convert with {what}.astype(numpy.float32) \
             (a tensor: {what}.float())"
        ))),
        other => Err(Fault::argument(format!("{what} is {}; logits are float32, float16 or bfloat16", other.name()))),
    }
}

/// `dimensions` of the last ones are contiguous, and all begins at an address that suits the elements.
fn check_contiguous(memory: &Memory, dimensions: usize, what: &str) -> Result<()> {
    if !memory.is_contiguous(dimensions) {
        return Err(Fault::argument(format!(
            "{what} is not contiguous; its logits must lie one after the other: pass numpy.ascontiguousarray({what}) \
             (a tensor: {what}.contiguous())"
        )));
    }
    let strides_fit = memory.shape.len() < 2 || memory.row_stride() % element_size(memory.element) == 0;
    if !memory.is_aligned() || !strides_fit {
        return Err(Fault::argument(format!(
            "{what} is not aligned to its elements: pass {what}.copy() (it is a view of bytes at an odd place)"
        )));
    }
    Ok(())
}

fn element_size(element: Element) -> isize {
    match element {
        Element::F16 | Element::Bf16 => 2,
        _ => 4,
    }
}

/// A mask: packed words where they lie, or words packed here from one bool for each token.
pub enum MaskMemory {
    None,
    Words(Memory),
    Packed(Vec<u32>),
}

impl MaskMemory {
    /// `None`, an array of 32-bit words, or of `vocab` bools.
    pub fn of(object: Option<&Bound<'_, PyAny>>, vocab: usize) -> Result<MaskMemory> {
        let Some(object) = object.filter(|object| !object.is_none()) else { return Ok(MaskMemory::None) };
        let memory = Memory::of(object, "mask")?;
        if memory.shape.len() != 1 {
            return Err(Fault::argument(format!("mask has {} dimensions; it must have one", memory.shape.len())));
        }
        check_mask(&memory, 1, vocab)?;
        match memory.element {
            Element::Bool => Ok(MaskMemory::Packed(pack(memory.slice(0, vocab)))),
            _ => Ok(MaskMemory::Words(memory)),
        }
    }

    pub fn words(&self) -> Option<&[u32]> {
        match self {
            MaskMemory::None => None,
            MaskMemory::Words(memory) => Some(memory.slice(0, memory.len())),
            MaskMemory::Packed(words) => Some(words),
        }
    }
}

/// What holds for the last dimension of a mask.
fn check_mask(memory: &Memory, dimensions: usize, vocab: usize) -> Result<()> {
    let actual = memory.shape.last().copied().unwrap_or(0);
    match memory.element {
        Element::Bool if actual != vocab => Err(Error::WrongLength { what: "mask", expected: vocab, actual }.into()),
        Element::Bool | Element::Unsigned(4) | Element::Signed(4) => {
            let words_fit = memory.element == Element::Bool || memory.shape.len() < 2 || memory.row_stride() % 4 == 0;
            if !memory.is_contiguous(dimensions) || !memory.is_aligned() || !words_fit {
                return Err(Fault::argument("mask is not contiguous and aligned: pass numpy.ascontiguousarray(mask)"));
            }
            Ok(())
        }
        other => Err(Fault::argument(format!(
            "mask is {}; a mask is packed words of uint32 (bit t & 31 of word t >> 5 allows token t) or one bool for each \
             token",
            other.name()
        ))),
    }
}

/// Bit t & 31 of word t >> 5 for each byte that is not 0.
fn pack(flags: &[u8]) -> Vec<u32> {
    // Whole words four times eight bytes at once; what is left byte by byte.
    let (whole, rest) = flags.as_chunks::<32>();
    let word = |flags: &[u8; 32]| {
        let (eights, _) = flags.as_chunks::<8>();
        eights.iter().enumerate().fold(0, |word, (i, &eight)| word | bits_of(u64::from_le_bytes(eight)) << (8 * i))
    };
    let mut words: Vec<u32> = whole.iter().map(word).collect();
    if !rest.is_empty() {
        words.push(rest.iter().enumerate().fold(0, |word, (i, &flag)| word | u32::from(flag != 0) << i));
    }
    words
}

/// One bit for each of eight bytes: whether it is not 0.
fn bits_of(bytes: u64) -> u32 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    // The highest bit of each byte that is not 0, then as its lowest; the product gathers them in the highest byte.
    let set = (((bytes & LOW) + LOW) | bytes) & !LOW;
    ((set >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
}

/// The masks of several rows.
pub enum MasksMemory {
    None,
    One(Memory),
    Packed(Vec<Vec<u32>>),
    Many(Vec<MaskMemory>),
}

impl MasksMemory {
    /// `None`, an array of two dimensions (words or bools), or a sequence of masks, some of which may be `None`.
    pub fn of(object: Option<&Bound<'_, PyAny>>, vocab: usize) -> Result<MasksMemory> {
        let Some(object) = object.filter(|object| !object.is_none()) else { return Ok(MasksMemory::None) };
        if is_sequence(object) {
            let masks = object.try_iter()?.map(|mask| MaskMemory::of(Some(&mask?), vocab)).collect::<Result<_>>()?;
            return Ok(MasksMemory::Many(masks));
        }
        let memory = Memory::of(object, "masks")?;
        if memory.shape.len() != 2 {
            return Err(Fault::argument(format!(
                "masks has {} dimensions; it must have two, or be a sequence of masks",
                memory.shape.len()
            )));
        }
        check_mask(&memory, 1, vocab)?;
        if memory.element != Element::Bool {
            return Ok(MasksMemory::One(memory));
        }
        let packed = (0..memory.shape[0]).map(|i| pack(memory.slice(i as isize * memory.row_stride(), vocab)));
        Ok(MasksMemory::Packed(packed.collect()))
    }

    /// Refuses masks that are not as many as the rows. (None at all is no mask.)
    pub fn check(&self, masks: &[Option<&[u32]>], rows: usize) -> Result<()> {
        if matches!(self, MasksMemory::None) || masks.len() == rows {
            return Ok(());
        }
        Err(Error::WrongLength { what: "masks", expected: rows, actual: masks.len() }.into())
    }

    /// One for each row; empty if no row has one.
    pub fn masks(&self) -> Vec<Option<&[u32]>> {
        match self {
            MasksMemory::None => Vec::new(),
            MasksMemory::Packed(masks) => masks.iter().map(|mask| Some(&mask[..])).collect(),
            MasksMemory::Many(masks) => masks.iter().map(MaskMemory::words).collect(),
            MasksMemory::One(memory) => {
                let (stride, words) = (memory.row_stride(), memory.shape[1]);
                (0..memory.shape[0]).map(|i| Some(memory.slice(i as isize * stride, words))).collect()
            }
        }
    }
}

/// A list of numbers from 0 to 2^32 - 1: any sequence of integers, or an array of them.
pub fn numbers(object: &Bound<'_, PyAny>, what: &'static str) -> Result<Vec<u32>> {
    if object.is_instance_of::<PyString>() {
        return Err(Fault::argument(format!("{what} is text; it must be a sequence of integers")));
    }
    if object.hasattr(pyo3::intern!(object.py(), "__len__"))?
        && !is_sequence(object)
        && !is_bytes(object)
        && let Ok(memory) = Memory::of(object, what)
    {
        return numbers_of(&memory, what);
    }
    let items = object.try_iter().map_err(|_| {
        let given = object.get_type().name().map(|name| name.to_string()).unwrap_or_default();
        Fault::argument(format!("{what} is {given}; it must be a sequence of integers"))
    })?;
    items.map(|item| number(&item?, what)).collect()
}

/// One of them.
pub fn number(object: &Bound<'_, PyAny>, what: &'static str) -> Result<u32> {
    match object.extract::<u32>() {
        Ok(number) => Ok(number),
        Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => {
            let value = object.extract::<f64>().unwrap_or(f64::NAN);
            Err(Error::InvalidParameter { name: what, value }.into())
        }
        Err(_) => {
            let given = object.get_type().name()?;
            Err(Fault::argument(format!("{what}: an integer is needed, not {given}")))
        }
    }
}

fn numbers_of(memory: &Memory, what: &'static str) -> Result<Vec<u32>> {
    let (length, whole) = (memory.len(), memory.is_contiguous(memory.shape.len()) && memory.is_aligned());
    if memory.shape.len() != 1 {
        return Err(Fault::argument(format!("{what} has {} dimensions; it must have one", memory.shape.len())));
    }
    let refuse = |value: f64| Fault::from(Error::InvalidParameter { name: what, value });
    macro_rules! convert {
        ($type:ty) => {
            memory
                .slice::<$type>(0, length)
                .iter()
                .map(|&value| u32::try_from(value).map_err(|_| refuse(value as f64)))
                .collect()
        };
    }
    match memory.element {
        _ if !whole => Err(Fault::argument(format!("{what} is not contiguous: pass numpy.ascontiguousarray({what})"))),
        Element::Unsigned(4) => Ok(memory.slice(0, length).to_vec()),
        Element::Signed(4) => convert!(i32),
        Element::Signed(8) => convert!(i64),
        Element::Unsigned(8) => convert!(u64),
        Element::Signed(2) => convert!(i16),
        Element::Unsigned(2) => convert!(u16),
        Element::Signed(1) => convert!(i8),
        Element::Unsigned(1) => convert!(u8),
        other => Err(Fault::argument(format!("{what} is {}; it must be integers", other.name()))),
    }
}

/// Finite or infinite numbers of f32: any sequence of numbers, or an array of float32 or float64.
pub fn floats(object: &Bound<'_, PyAny>, what: &'static str) -> Result<Vec<f32>> {
    if !is_sequence(object)
        && let Ok(memory) = Memory::of(object, what)
    {
        if memory.shape.len() != 1 || !memory.is_contiguous(1) || !memory.is_aligned() {
            return Err(Fault::argument(format!("{what} must be contiguous and have one dimension")));
        }
        match memory.element {
            Element::F32 => return Ok(memory.slice(0, memory.len()).to_vec()),
            Element::F64 => {
                let values: &[f64] = memory.slice(0, memory.len());
                return Ok(values.iter().map(|&value| value as f32).collect());
            }
            _ => {}
        }
    }
    let items = object.try_iter().map_err(|_| Fault::argument(format!("{what} must be a sequence of numbers")))?;
    let float = |item: PyResult<Bound<'_, PyAny>>| -> Result<f32> {
        let value: f64 = item?.extract().map_err(|_| Fault::argument(format!("{what} must be numbers")))?;
        Ok(value as f32)
    };
    items.map(float).collect()
}

/// Sequences of tokens.
pub fn sequences(object: &Bound<'_, PyAny>, what: &'static str) -> Result<Vec<Vec<u32>>> {
    let items = object.try_iter().map_err(|_| Fault::argument(format!("{what} must be a sequence of sequences")))?;
    items.map(|item| numbers(&item?, what)).collect()
}

/// Bytes: `bytes`, `bytearray` or text, which is taken as UTF-8.
pub fn bytes_of(object: &Bound<'_, PyAny>, what: &str) -> Result<Vec<u8>> {
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(text.to_cow()?.as_bytes().to_vec());
    }
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    if is_bytes(object) {
        return Ok(object.extract()?);
    }
    if let Ok(memory) = Memory::of(object, what)
        && memory.element == Element::Unsigned(1)
        && memory.shape.len() == 1
        && memory.is_contiguous(1)
    {
        return Ok(memory.slice(0, memory.len()).to_vec());
    }
    let given = object.get_type().name()?;
    Err(PyTypeError::new_err(format!("{what} is {given}; it must be bytes or text")).into())
}

fn is_bytes(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyBytes>() || object.is_instance_of::<PyByteArray>()
}
