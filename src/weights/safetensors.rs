//! `.safetensors`: eight bytes of header length, a JSON header, then the tensors without gaps.
//!
//! ```text
//! length { "name": {"dtype": "F32", "shape": [301, 64], "data_offsets": [0, 77056]}, ..., "__metadata__": {text} } data
//! ```
//! The parser knows exactly this form and no other JSON: no recursion, no heap, no number but a plain integer, no
//! escape in a tensor's name. The tensors must cover the data exactly once. Arrays are row-major by definition, so:
//! - a weight matrix whose columns are contiguous is stored transposed, under the name `W.T` with shape
//!   (features, vocabulary), and used in place;
//! - text has no dtype here, so it is stored as NumPy holds it: a `U32` tensor of code points whose last dimension is
//!   the width, and a metadata entry `NAME.dtype` = `<U12`. It is then listed and read like NumPy's.

use super::archive::Entry;
use super::npy;
use super::read::{MAX_ARRAYS, MAX_NAME, NameFilter, slice_at, u64_at};
use super::tensor::{ArrayView, ElementType, MAX_DIMENSIONS, Order, Shape};
use crate::error::{Error, Label, Result};

/// The longest header that is read, in bytes.
pub const MAX_HEADER: usize = 4 << 20;

/// The longest `__metadata__` object in which the dtypes of text are looked up, in bytes.
pub const MAX_METADATA: usize = 256 << 10;

/// The most header bytes that are read again to tell names apart that look alike. Files that writers make need a few
/// kilobytes of it.
const MAX_WORK: usize = 256 << 20;

/// How many tensors are brought into order at a time: two kilobytes of stack.
const WINDOW: usize = 128;

pub(super) const METADATA: &str = "__metadata__";

/// A checked safetensors file.
#[derive(Clone, Copy, Debug)]
pub struct Safetensors<'a> {
    header: &'a str,
    data: &'a [u8],
    // Where `data` begins in the file.
    data_start: usize,
    count: usize,
    // The object of `__metadata__` in the header.
    metadata: Option<(usize, usize)>,
}

/// One tensor as the header describes it.
#[derive(Clone, Copy, Debug)]
struct Tensor<'a> {
    name: &'a str,
    dtype: &'a str,
    shape: Shape,
    begin: u64,
    end: u64,
}

enum Item<'a> {
    Tensor(Tensor<'a>),
    // Where its object begins and ends.
    Metadata(usize, usize),
}

impl<'a> Safetensors<'a> {
    /// Checks the header: syntax, ranges, sizes, names, no overlap, no hole.
    pub fn parse(bytes: &'a [u8]) -> Result<Safetensors<'a>> {
        let file = |value: u64, reason| Error::FileMalformed { array: Label::EMPTY, offset: 0, value, reason };
        let length =
            u64_at(bytes, 0).ok_or_else(|| file(bytes.len() as u64, "the file ends within the header's length"))?;
        if length > MAX_HEADER as u64 {
            return Err(file(length, "the header is longer than 4 MiB"));
        }
        let header = slice_at(bytes, 8, length as usize)
            .ok_or_else(|| file(length, "the header goes past the end of the file"))?;
        let header = core::str::from_utf8(header).map_err(|error| Error::FileMalformed {
            array: Label::EMPTY,
            offset: 8 + error.valid_up_to() as u64,
            value: length,
            reason: "the header is not UTF-8",
        })?;
        let data_start = 8 + length as usize;
        let mut file = Safetensors { header, data: &bytes[data_start..], data_start, count: 0, metadata: None };
        let total = file.check_items()?;
        file.check_cover(total)?;
        Ok(file)
    }

    /// Every item by itself; the answer is the sum of the tensors' lengths.
    fn check_items(&mut self) -> Result<u64> {
        let mut names = NameFilter::new();
        let mut items = Items::new(self.header)?;
        let mut total = 0u64;
        let mut work = 0;
        while let Some(item) = items.next()? {
            let tensor = match item {
                Item::Tensor(tensor) => tensor,
                Item::Metadata(start, end) => {
                    if self.metadata.replace((start, end)).is_some() {
                        return Err(items.json.malformed("there are two __metadata__ objects"));
                    }
                    continue;
                }
            };
            let wrong = |value: u64, reason| {
                let offset = 8 + items.json.position as u64;
                Error::FileMalformed { array: Label::new(tensor.name), offset, value, reason }
            };
            if names.insert(tensor.name) {
                work += items.json.position;
                if work > MAX_WORK {
                    return Err(wrong(self.count as u64, "the header is too long to look for names that occur twice"));
                }
                if self.tensors().take(self.count).any(|other| other.name == tensor.name) {
                    return Err(wrong(self.count as u64, "the name occurs twice in the header"));
                }
            }
            self.count += 1;
            if self.count > MAX_ARRAYS {
                return Err(wrong(self.count as u64, "the file has more than 4096 tensors"));
            }
            if tensor.begin > tensor.end || tensor.end > self.data.len() as u64 {
                return Err(wrong(tensor.end, "the data offsets are outside the file or reversed"));
            }
            let length = tensor.end - tensor.begin;
            if let Some(element) = element_type(tensor.dtype) {
                let bytes = tensor.shape.elements().checked_mul(element.size()).map(|bytes| bytes as u64);
                if bytes != Some(length) {
                    return Err(wrong(length, "the data is not as long as dtype and shape say"));
                }
            }
            // At most 4096 lengths, each at most that of a slice: no overflow.
            total += length;
        }
        items.json.spaces();
        if items.json.position != self.header.len() {
            return Err(items.json.malformed("something follows the header's object"));
        }
        Ok(total)
    }

    /// Each byte of the data belongs to exactly one tensor: a chain of tensors from 0 to the end, and no byte more.
    fn check_cover(&self, total: u64) -> Result<()> {
        let length = self.data.len() as u64;
        let wrong = |offset: u64, value: u64, reason| {
            let offset = self.data_start as u64 + offset;
            Err(Error::FileMalformed { array: Label::EMPTY, offset, value, reason })
        };
        if total > length {
            return wrong(0, total, "the tensors overlap");
        }
        if total < length {
            return wrong(0, total, "the tensors leave a hole, or something follows them");
        }
        // Usually the header lists the tensors as they lie, and this is all.
        let mut covered = 0;
        for tensor in self.tensors() {
            if tensor.begin == covered {
                covered = tensor.end;
            }
        }
        while covered < length {
            let (window, count) = self.next_ranges(covered);
            if count == 0 {
                return wrong(covered, total, "the tensors overlap");
            }
            for &(begin, end) in &window[..count] {
                if begin != covered {
                    return wrong(covered, begin, "the tensors overlap");
                }
                covered = end;
            }
        }
        Ok(())
    }

    /// The first ranges that begin at `from` or later, in order; those of empty tensors left out.
    fn next_ranges(&self, from: u64) -> ([(u64, u64); WINDOW], usize) {
        let mut window = [(0, 0); WINDOW];
        let mut count = 0;
        for tensor in self.tensors().filter(|tensor| tensor.begin >= from && tensor.begin < tensor.end) {
            let range = (tensor.begin, tensor.end);
            let place = window[..count].partition_point(|other| *other <= range);
            if place < WINDOW {
                count = (count + 1).min(WINDOW);
                window.copy_within(place..count - 1, place + 1);
                window[place] = range;
            }
        }
        (window, count)
    }

    /// The number of tensors.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no tensor.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The tensors in header order.
    pub fn entries(&self) -> Entries<'a> {
        Entries { file: *self, items: Items::new(self.header).ok() }
    }

    /// The tensor of this name, if there is one.
    pub fn entry(&self, name: &str) -> Option<Entry<'a>> {
        self.tensors().find(|tensor| tensor.name == name).and_then(|tensor| self.view(tensor))
    }

    /// A value of `__metadata__`: the text between its quotes, escapes as they stand. `None` if there is no such key
    /// or if it occurs twice.
    pub fn metadata(&self, key: &str) -> Option<&'a str> {
        self.metadata_where(|name| name == key)
    }

    fn metadata_where(&self, wanted: impl Fn(&str) -> bool) -> Option<&'a str> {
        let (start, end) = self.metadata?;
        Json { text: self.header.get(start..end)?, position: 0 }.metadata(wanted).ok()?
    }

    /// The dtype that the metadata give a tensor. Only U32 has one, and only short metadata are searched, so that
    /// listing a hostile file stays quick.
    fn text_dtype(&self, tensor: &Tensor<'_>, element: ElementType) -> Option<&'a str> {
        let short = self.metadata.is_some_and(|(start, end)| end - start <= MAX_METADATA);
        if element != ElementType::U32 || !short {
            return None;
        }
        self.metadata_where(|key| key.strip_suffix(".dtype") == Some(tensor.name))
    }

    fn tensors(&self) -> impl Iterator<Item = Tensor<'a>> + use<'a> {
        let mut items = Items::new(self.header).ok();
        core::iter::from_fn(move || {
            loop {
                match items.as_mut()?.next().ok()?? {
                    Item::Tensor(tensor) => return Some(tensor),
                    Item::Metadata(..) => continue,
                }
            }
        })
    }

    fn view(&self, tensor: Tensor<'a>) -> Option<Entry<'a>> {
        let (begin, end) = (tensor.begin as usize, tensor.end as usize);
        let data = self.data.get(begin..end)?;
        Some(Entry::new(tensor.name, self.array(tensor, data), data, self.data_start + begin, None))
    }

    fn array(&self, tensor: Tensor<'a>, data: &'a [u8]) -> Result<ArrayView<'a>> {
        let array = Label::new(tensor.name);
        let element = element_type(tensor.dtype).ok_or_else(|| {
            let reason = "this dtype is not read: BOOL, U8-U64, I8-I64, F16, BF16, F32 and F64 are";
            Error::ArrayUnsupported { array, reason, found: Label::new(tensor.dtype) }
        })?;
        let (mut element, mut shape) = (element, tensor.shape);
        if let Some(dtype) = self.text_dtype(&tensor, element) {
            let text = npy::element_type(tensor.name, dtype)?;
            match (text, element, shape.dimensions().split_last()) {
                (ElementType::Unicode(width), ElementType::U32, Some((&last, outer))) if last == width as usize => {
                    shape = Shape::new(outer).unwrap_or(shape);
                }
                _ => {
                    let reason = "its dtype in __metadata__ does not fit the tensor, which should be U32 code points";
                    return Err(Error::ArrayUnsupported { array, reason, found: Label::new(dtype) });
                }
            }
            element = text;
        }
        ArrayView::new(tensor.name, element, shape, Order::RowMajor, data)
    }
}

/// The tensors of a file.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    file: Safetensors<'a>,
    items: Option<Items<'a>>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            // The header was checked when the file was parsed.
            match self.items.as_mut()?.next().ok()?? {
                Item::Tensor(tensor) => return self.file.view(tensor),
                Item::Metadata(..) => continue,
            }
        }
    }
}

fn element_type(dtype: &str) -> Option<ElementType> {
    Some(match dtype {
        "F64" => ElementType::F64,
        "F32" => ElementType::F32,
        "F16" => ElementType::F16,
        "BF16" => ElementType::Bf16,
        "I8" => ElementType::I8,
        "I16" => ElementType::I16,
        "I32" => ElementType::I32,
        "I64" => ElementType::I64,
        "U8" => ElementType::U8,
        "U16" => ElementType::U16,
        "U32" => ElementType::U32,
        "U64" => ElementType::U64,
        "BOOL" => ElementType::Bool,
        _ => return None,
    })
}

/// The dtype of an element type; that of text is the dtype of its code points.
#[cfg(feature = "std")]
pub(super) fn dtype(element: ElementType) -> &'static str {
    match element {
        ElementType::F64 => "F64",
        ElementType::F32 => "F32",
        ElementType::F16 => "F16",
        ElementType::Bf16 => "BF16",
        ElementType::I8 => "I8",
        ElementType::I16 => "I16",
        ElementType::I32 => "I32",
        ElementType::I64 => "I64",
        ElementType::U8 => "U8",
        ElementType::U16 => "U16",
        ElementType::U32 | ElementType::Unicode(_) => "U32",
        ElementType::U64 => "U64",
        ElementType::Bool => "BOOL",
    }
}

/// The items of the header's object, one after the other.
#[derive(Clone, Debug)]
struct Items<'a> {
    json: Json<'a>,
    first: bool,
}

impl<'a> Items<'a> {
    fn new(header: &'a str) -> Result<Items<'a>> {
        let mut json = Json { text: header, position: 0 };
        json.expect(b'{', "the header does not begin with an object")?;
        Ok(Items { json, first: true })
    }

    fn next(&mut self) -> Result<Option<Item<'a>>> {
        let Some(name) = self.json.key(&mut self.first)? else { return Ok(None) };
        if name == METADATA {
            let start = self.json.position;
            self.json.metadata(|_| false)?;
            return Ok(Some(Item::Metadata(start, self.json.position)));
        }
        if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(self.json.malformed("a tensor's name is not 1 to 256 bytes of plain text"));
        }
        self.tensor(name).map(|tensor| Some(Item::Tensor(tensor)))
    }

    fn tensor(&mut self, name: &'a str) -> Result<Tensor<'a>> {
        let json = &mut self.json;
        let (mut dtype, mut shape, mut offsets) = (None, None, None);
        json.expect(b'{', "a tensor is not described by an object")?;
        let mut first = true;
        while let Some(key) = json.key(&mut first)? {
            let repeated = match key {
                "dtype" => dtype.replace(json.plain_string()?).is_some(),
                "shape" => shape.replace(json.integers::<MAX_DIMENSIONS>()?).is_some(),
                "data_offsets" => offsets.replace(json.integers::<2>()?).is_some(),
                _ => return Err(json.malformed("a tensor has a key other than dtype, shape and data_offsets")),
            };
            if repeated {
                return Err(json.malformed("a key occurs twice in a tensor"));
            }
        }
        let (Some(dtype), Some((shape, rank)), Some((offsets, 2))) = (dtype, shape, offsets) else {
            return Err(json.malformed("a tensor lacks one of dtype, shape and two data_offsets"));
        };
        let mut dimensions = [0; MAX_DIMENSIONS];
        for (dimension, &length) in dimensions.iter_mut().zip(&shape[..rank]) {
            *dimension =
                usize::try_from(length).map_err(|_| json.malformed("a dimension does not fit this machine"))?;
        }
        let shape = Shape::new(&dimensions[..rank])
            .ok_or_else(|| json.malformed("the number of elements is beyond any memory"))?;
        Ok(Tensor { name, dtype, shape, begin: offsets[0], end: offsets[1] })
    }
}

/// A reader of the JSON that a header may contain.
#[derive(Clone, Debug)]
struct Json<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Json<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn malformed(&self, reason: &'static str) -> Error {
        let value = self.peek().map_or(0, u64::from);
        Error::FileMalformed { array: Label::EMPTY, offset: 8 + self.position as u64, value, reason }
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.position += 1;
        }
    }

    fn accept(&mut self, byte: u8) -> bool {
        self.spaces();
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, reason: &'static str) -> Result<()> {
        if self.accept(byte) { Ok(()) } else { Err(self.malformed(reason)) }
    }

    /// The next key of an object, past its colon; `None` past the closing brace.
    fn key(&mut self, first: &mut bool) -> Result<Option<&'a str>> {
        if self.accept(b'}') {
            return Ok(None);
        }
        if !core::mem::replace(first, false) {
            self.expect(b',', "a comma or a closing brace is expected")?;
        }
        let key = self.plain_string()?;
        self.expect(b':', "a colon is expected after the key")?;
        Ok(Some(key))
    }

    /// A string with no escape in it.
    fn plain_string(&mut self) -> Result<&'a str> {
        let (text, escaped) = self.string()?;
        if escaped {
            return Err(self.malformed("names with escapes are not read"));
        }
        Ok(text)
    }

    /// The text between the quotes as it stands, and whether it has escapes.
    fn string(&mut self) -> Result<(&'a str, bool)> {
        self.expect(b'"', "a string is expected")?;
        let start = self.position;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.position += 1;
                    self.escape()?;
                }
                Some(b' '..) => self.position += 1,
                _ => return Err(self.malformed("a string is cut off or has a control character")),
            }
        }
        self.position += 1;
        Ok((&self.text[start..self.position - 1], escaped))
    }

    fn escape(&mut self) -> Result<()> {
        let digits = match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 0,
            Some(b'u') => 4,
            _ => return Err(self.malformed("a string has an unknown escape")),
        };
        self.position += 1;
        for _ in 0..digits {
            if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                return Err(self.malformed("a \\u escape has not four hexadecimal digits"));
            }
            self.position += 1;
        }
        Ok(())
    }

    /// A list of at most `N` integers.
    fn integers<const N: usize>(&mut self) -> Result<([u64; N], usize)> {
        let mut values = [0; N];
        let mut count = 0;
        self.expect(b'[', "a list is expected")?;
        while !self.accept(b']') {
            if count > 0 {
                self.expect(b',', "a comma or a closing bracket is expected")?;
            }
            if count == N {
                return Err(self.malformed("a list is too long: 8 dimensions and 2 offsets are allowed"));
            }
            values[count] = self.integer()?;
            count += 1;
        }
        Ok((values, count))
    }

    fn integer(&mut self) -> Result<u64> {
        self.spaces();
        let start = self.position;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.position += 1;
        }
        let digits = &self.text[start..self.position];
        if digits.len() > 1 && digits.starts_with('0') {
            return Err(self.malformed("a number has leading zeros"));
        }
        digits.parse().map_err(|_| self.malformed("a whole number from 0 to 2^64 - 1 is expected"))
    }

    /// The object of texts under `__metadata__`; the answer is the value whose key is wanted, if that has no escape.
    fn metadata(&mut self, wanted: impl Fn(&str) -> bool) -> Result<Option<&'a str>> {
        self.expect(b'{', "__metadata__ is not an object")?;
        let mut first = true;
        let mut found = None;
        loop {
            if self.accept(b'}') {
                return Ok(found);
            }
            if !core::mem::replace(&mut first, false) {
                self.expect(b',', "a comma or a closing brace is expected")?;
            }
            let (key, escaped) = self.string()?;
            self.expect(b':', "a colon is expected after the key")?;
            let (value, _) = self.string()?;
            if !escaped && wanted(key) && found.replace(value).is_some() {
                return Err(self.malformed("a key occurs twice in __metadata__"));
            }
        }
    }
}
