//! The bytes of a trace. All numbers are little-endian; `n` is an unsigned LEB128 of at most 64 bits in its fewest bytes.
//!
//! ```text
//! "APKT", format (1), numerics version, vocabulary, CONFIG_WORDS, 0            6 x 4 bytes
//! the configuration: seed and stream, then each field                          CONFIG_WORDS x 4 bytes
//! records, each a tag of one byte and its content:
//!   1 prompt        n, tokens (n each)
//!   2 accept        n, tokens (n each)
//!   3 undo          n
//!   4 seek          position n
//!   5 reset         nothing: a new sequence, the same configuration
//!   6 configure     CONFIG_WORDS x 4 bytes: a new sequence with this configuration
//!   7 biases        n, (token of 4 bytes, bias f32) each
//!   8 bans          n, tokens (n each)
//!   9 state         n, bytes of Decoder::save: everything, other lists included
//!  10 bytes         n, bytes of the text, as Decoder::push_bytes takes them
//!  16 columns       n, 0 or 1, columns (n each), with 1 values (f32 each): of the next step's row
//!  17 mask          n, words (4 bytes each): of the steps from here on that say so
//!  18 note          n, text in UTF-8
//!  32 step          shape n, position n, digest of the row (8 bytes), digest of the mask (8 bytes, if it had one),
//!                   the status n if it was refused, else the pick: see below
//! 255 end           number of records before it n, checksum (8 bytes) of all bytes before the checksum
//! ```
//! Shape: bit 0 the pick was recorded (not only evaluated), 1 the row is that of the columns, 2 there was a mask, 3 it is the
//! last one recorded, 4 the step was refused, 5 the numbers are there; from bit 8 on the metrics asked for. A pick: token,
//! argmax and finish (n each), rank, kept, loop_period and loop_repeats (n each) where asked for; with the numbers, as f32,
//! margin and temperature, and where asked for top1_probability and entropy, logprob_raw, logprob and cumulative_logprob,
//! kept_mass, loop_score, the three of FLIP. A NaN is 0x7fc00000. The checksum is FNV-1a of 64 bits.

pub(crate) const MAGIC: u32 = u32::from_le_bytes(*b"APKT");
pub(crate) const FORMAT: u32 = 1;
/// Bytes before the configuration.
pub(crate) const HEAD: usize = 24;

pub(crate) const PROMPT: u8 = 1;
pub(crate) const ACCEPT: u8 = 2;
pub(crate) const UNDO: u8 = 3;
pub(crate) const SEEK: u8 = 4;
pub(crate) const RESET: u8 = 5;
pub(crate) const CONFIGURE: u8 = 6;
pub(crate) const BIASES: u8 = 7;
pub(crate) const BANS: u8 = 8;
pub(crate) const STATE: u8 = 9;
pub(crate) const BYTES: u8 = 10;
pub(crate) const COLUMNS: u8 = 16;
pub(crate) const MASK: u8 = 17;
pub(crate) const NOTE: u8 = 18;
pub(crate) const STEP: u8 = 32;
pub(crate) const END: u8 = 255;

pub(crate) const SHAPE_RECORDED: u32 = 1;
pub(crate) const SHAPE_COLUMNS: u32 = 2;
pub(crate) const SHAPE_MASK: u32 = 4;
pub(crate) const SHAPE_MASK_RECORDED: u32 = 8;
pub(crate) const SHAPE_REFUSED: u32 = 16;
pub(crate) const SHAPE_NUMBERS: u32 = 32;
/// Bits 6 and 7 mean nothing yet.
pub(crate) const SHAPE_RESERVED: u32 = 0xc0;
/// The first bit of the metrics.
pub(crate) const SHAPE_METRICS: u32 = 8;

pub(crate) const NAN_BITS: u32 = 0x7fc0_0000;

/// FNV-1a of 64 bits (Fowler, Noll and Vo 1991).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checksum(pub u64);

impl Checksum {
    pub fn new() -> Self {
        Checksum(0xcbf2_9ce4_8422_2325)
    }

    pub fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    }
}

/// A number in its fewest bytes of seven bits, the lowest first; all but the last have the eighth bit set.
pub(crate) fn varint(value: u64) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    let (mut rest, mut length) = (value, 0);
    loop {
        bytes[length] = rest as u8 & 0x7f;
        rest >>= 7;
        length += 1;
        if rest == 0 {
            return (bytes, length);
        }
        bytes[length - 1] |= 0x80;
    }
}

/// The number that the bytes begin with and how many it takes; `None` if they end first, `Some(Err)` if it is no number in
/// its fewest bytes.
pub(crate) fn read_varint(bytes: &[u8]) -> Option<Result<(u64, usize), ()>> {
    let mut value = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        let part = u64::from(byte & 0x7f);
        if i == 9 && byte > 1 {
            return Some(Err(()));
        }
        value |= part << (7 * i);
        if byte & 0x80 == 0 {
            return Some(if part == 0 && i > 0 { Err(()) } else { Ok((value, i + 1)) });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_have_one_form() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let (bytes, length) = varint(value);
                assert_eq!(read_varint(&bytes[..length]), Some(Ok((value, length))));
                assert_eq!(read_varint(&bytes[..length - 1]), None);
            }
        }
        assert_eq!(read_varint(&[0x80, 0]), Some(Err(())));
        assert_eq!(read_varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), Some(Err(())));
        assert_eq!(read_varint(&[0xff; 10]), Some(Err(())));
    }

    #[test]
    fn the_checksum_is_fnv_1a() {
        let mut sum = Checksum::new();
        sum.add(b"foobar");
        assert_eq!(sum.0, 0x8594_4171_f739_67e8);
    }
}
