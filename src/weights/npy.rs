//! NumPy's `.npy`: a magic, a version, and a header that is one Python dict, then the elements.
//!
//! ```text
//! \x93NUMPY major minor length { 'descr': '<f4', 'fortran_order': False, 'shape': (301, 1326), } spaces newline data
//! ```
//!
//! The dict is read by a strict parser of exactly this form, never as Python: the three keys once each in any order,
//! plain strings, plain decimal numbers. Formats 1.0, 2.0 and 3.0. Object arrays are pickles, and a pickle is a
//! program, so they are refused by name. bfloat16 has no NumPy dtype of its own; files made with the `ml_dtypes`
//! package say `V2`, two raw bytes, which is what is read and written here.

use super::read::{slice_at, u16_at, u32_at};
use super::tensor::{ArrayView, ElementType, MAX_DIMENSIONS, Order, Shape};
use crate::error::{Error, Label, Result};

/// The first bytes of a `.npy` file.
pub const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The longest header that is read, in bytes. NumPy itself stops at 10,000 unless told otherwise.
pub const MAX_HEADER: usize = 65_536;

/// The longest `<U` element, in code points.
pub const MAX_UNICODE: u32 = 1 << 20;

/// Reads one array; `bytes` is the whole `.npy` file or archive member, and `name` what errors call it.
///
/// Errors: [`Error::FileMalformed`] with the offset in `bytes`, [`Error::ArrayPickled`], [`Error::ArrayUnsupported`].
pub fn parse<'a>(name: &'a str, bytes: &'a [u8]) -> Result<ArrayView<'a>> {
    let malformed = |offset: usize, value: u64, reason| Error::FileMalformed {
        array: Label::new(name),
        offset: offset as u64,
        value,
        reason,
    };
    if !bytes.starts_with(MAGIC) {
        return Err(malformed(0, bytes.len() as u64, "it does not begin with the magic of a .npy file"));
    }
    let (major, minor) = match bytes.get(6..8) {
        Some(&[major, minor]) => (major, minor),
        _ => return Err(malformed(6, bytes.len() as u64, "the file ends within the format version")),
    };
    let cut = malformed(8, bytes.len() as u64, "the file ends within the length of the header");
    let (start, length) = match (major, minor) {
        (1, 0) => (10, usize::from(u16_at(bytes, 8).ok_or(cut)?)),
        (2 | 3, 0) => (12, u32_at(bytes, 8).ok_or(cut)? as usize),
        _ => return Err(malformed(6, u64::from(major), "the format version is not 1.0, 2.0 or 3.0")),
    };
    if length > MAX_HEADER {
        return Err(malformed(8, length as u64, "the header is longer than 65536 bytes"));
    }
    let header = slice_at(bytes, start, length)
        .ok_or_else(|| malformed(start, length as u64, "the header goes past the end of the file"))?;
    let fields = Header::parse(name, header, start)?;
    let element = element_type(name, fields.descr)?;
    let shape = Shape::new(&fields.dimensions[..fields.rank])
        .ok_or_else(|| malformed(start, fields.rank as u64, "the number of elements is beyond any memory"))?;
    let data = &bytes[start + length..];
    let expected = shape.elements().checked_mul(element.size());
    if expected != Some(data.len()) {
        let reason = "the data is not as long as dtype and shape say";
        return Err(malformed(start + length, data.len() as u64, reason));
    }
    let order = if fields.fortran_order { Order::ColumnMajor } else { Order::RowMajor };
    ArrayView::new(name, element, shape, order, data)
}

/// The element type that a NumPy dtype string stands for.
pub(super) fn element_type(name: &str, descr: &str) -> Result<ElementType> {
    let unsupported = |reason| Error::ArrayUnsupported { array: Label::new(name), reason, found: Label::new(descr) };
    let element = match descr {
        "<f8" => ElementType::F64,
        "<f4" => ElementType::F32,
        "<f2" => ElementType::F16,
        "<V2" | "|V2" => ElementType::Bf16,
        "|i1" | "<i1" => ElementType::I8,
        "<i2" => ElementType::I16,
        "<i4" => ElementType::I32,
        "<i8" => ElementType::I64,
        "|u1" | "<u1" => ElementType::U8,
        "<u2" => ElementType::U16,
        "<u4" => ElementType::U32,
        "<u8" => ElementType::U64,
        "|b1" | "<b1" => ElementType::Bool,
        _ => {
            let mut rest = descr.chars();
            let (byte_order, kind) = (rest.next(), rest.next());
            return match (byte_order, kind) {
                (_, Some('O')) => Err(Error::ArrayPickled { array: Label::new(name) }),
                (Some('>'), _) => Err(unsupported(
                    "big-endian arrays are not read: save it with a little-endian dtype, x.astype(x.dtype.newbyteorder('<'))",
                )),
                (Some('<'), Some('U')) => match decimal(rest.as_str()) {
                    Some(width @ 1..) if width <= u64::from(MAX_UNICODE) => Ok(ElementType::Unicode(width as u32)),
                    _ => Err(unsupported("the width of the text is not 1 to 1048576 code points")),
                },
                (_, Some('S' | 'T')) => {
                    Err(unsupported("this kind of text is not read: save it as np.array(x, dtype=str), which is <U"))
                }
                _ => Err(unsupported("this dtype is not read: f2, f4, f8, i1-i8, u1-u8, b1, U and V2 (bfloat16) are")),
            };
        }
    };
    Ok(element)
}

/// The NumPy dtype string of an element type.
#[cfg(feature = "std")]
pub(super) fn descr(element: ElementType) -> std::borrow::Cow<'static, str> {
    std::borrow::Cow::Borrowed(match element {
        ElementType::F64 => "<f8",
        ElementType::F32 => "<f4",
        ElementType::F16 => "<f2",
        ElementType::Bf16 => "<V2",
        ElementType::I8 => "|i1",
        ElementType::I16 => "<i2",
        ElementType::I32 => "<i4",
        ElementType::I64 => "<i8",
        ElementType::U8 => "|u1",
        ElementType::U16 => "<u2",
        ElementType::U32 => "<u4",
        ElementType::U64 => "<u8",
        ElementType::Bool => "|b1",
        ElementType::Unicode(width) => return format!("<U{width}").into(),
    })
}

/// A number of decimal digits without sign or leading zeros.
fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !(text.len() > 1 && text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// What the dict says.
struct Header<'a> {
    descr: &'a str,
    fortran_order: bool,
    dimensions: [usize; MAX_DIMENSIONS],
    rank: usize,
}

impl<'a> Header<'a> {
    fn parse(name: &'a str, header: &'a [u8], start: usize) -> Result<Header<'a>> {
        let mut literal = Literal { name, bytes: header, position: 0, start };
        let mut descr = None;
        let mut fortran_order = None;
        let mut shape = None;
        literal.spaces();
        literal.expect(b'{', "a dict is expected")?;
        loop {
            literal.spaces();
            if literal.accept(b'}') {
                break;
            }
            let key = literal.string()?;
            literal.spaces();
            literal.expect(b':', "a colon is expected after the key")?;
            literal.spaces();
            let repeated = match key {
                "descr" => descr.replace(literal.descr()?).is_some(),
                "fortran_order" => fortran_order.replace(literal.boolean()?).is_some(),
                "shape" => shape.replace(literal.shape()?).is_some(),
                _ => return Err(literal.malformed("the header has a key other than descr, fortran_order and shape")),
            };
            if repeated {
                return Err(literal.malformed("a key occurs twice in the header"));
            }
            literal.spaces();
            if !literal.accept(b',') {
                literal.expect(b'}', "a comma or a closing brace is expected")?;
                break;
            }
        }
        literal.spaces();
        literal.expect(b'\n', "the header does not end with spaces and a newline")?;
        if literal.position != header.len() {
            return Err(literal.malformed("the header goes on after its newline"));
        }
        let missing = || literal.malformed("the header lacks one of descr, fortran_order and shape");
        let (dimensions, rank) = shape.ok_or_else(missing)?;
        Ok(Header {
            descr: descr.ok_or_else(missing)?,
            fortran_order: fortran_order.ok_or_else(missing)?,
            dimensions,
            rank,
        })
    }
}

/// A reader of the few Python literals that a header may contain.
struct Literal<'a> {
    name: &'a str,
    bytes: &'a [u8],
    position: usize,
    // Where `bytes` begins in the member, for offsets in errors.
    start: usize,
}

impl<'a> Literal<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    fn malformed(&self, reason: &'static str) -> Error {
        let offset = (self.start + self.position) as u64;
        let value = self.peek().map_or(0, u64::from);
        Error::FileMalformed { array: Label::new(self.name), offset, value, reason }
    }

    fn spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.position += 1;
        }
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, reason: &'static str) -> Result<()> {
        if self.accept(byte) { Ok(()) } else { Err(self.malformed(reason)) }
    }

    fn string(&mut self) -> Result<&'a str> {
        let quote = match self.peek() {
            Some(quote @ (b'\'' | b'"')) => quote,
            _ => return Err(self.malformed("a quoted string is expected")),
        };
        self.position += 1;
        let start = self.position;
        loop {
            match self.peek() {
                Some(byte) if byte == quote => break,
                Some(b' '..=b'~') if self.peek() != Some(b'\\') => self.position += 1,
                _ => return Err(self.malformed("a string is cut off or has more than plain characters")),
            }
        }
        let text = &self.bytes[start..self.position];
        self.position += 1;
        core::str::from_utf8(text).map_err(|_| self.malformed("a string is not text"))
    }

    fn descr(&mut self) -> Result<&'a str> {
        if matches!(self.peek(), Some(b'[' | b'(')) {
            let reason = "structured dtypes are not read: save each field as an array of its own";
            return Err(Error::ArrayUnsupported {
                array: Label::new(self.name),
                reason,
                found: Label::new("structured"),
            });
        }
        self.string()
    }

    fn boolean(&mut self) -> Result<bool> {
        for (word, value) in [("True", true), ("False", false)] {
            if self.bytes[self.position..].starts_with(word.as_bytes()) {
                self.position += word.len();
                return Ok(value);
            }
        }
        Err(self.malformed("fortran_order is neither True nor False"))
    }

    fn shape(&mut self) -> Result<([usize; MAX_DIMENSIONS], usize)> {
        let mut dimensions = [0; MAX_DIMENSIONS];
        let mut rank = 0;
        self.expect(b'(', "the shape is not a tuple")?;
        loop {
            self.spaces();
            if self.accept(b')') {
                return Ok((dimensions, rank));
            }
            if rank == MAX_DIMENSIONS {
                return Err(self.malformed("the shape has more than 8 dimensions"));
            }
            dimensions[rank] = self.length()?;
            rank += 1;
            self.spaces();
            if !self.accept(b',') {
                // One number in parentheses is no tuple in Python: NumPy writes (3,).
                if rank == 1 {
                    return Err(self.malformed("a comma is expected after the only dimension"));
                }
                self.expect(b')', "a comma or a closing parenthesis is expected in the shape")?;
                return Ok((dimensions, rank));
            }
        }
    }

    fn length(&mut self) -> Result<usize> {
        if self.peek() == Some(b'-') {
            return Err(self.malformed("a dimension is negative"));
        }
        let start = self.position;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.position += 1;
        }
        let digits = core::str::from_utf8(&self.bytes[start..self.position]).unwrap_or("");
        match decimal(digits).and_then(|length| usize::try_from(length).ok()) {
            Some(length) => Ok(length),
            None => Err(self.malformed("a dimension is not a number that fits this machine")),
        }
    }
}
