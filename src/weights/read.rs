//! Little-endian numbers at checked places of a byte slice, and a set of names small enough for any stack.

/// The two bytes at `offset`, if they are there.
pub(super) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(array_at(bytes, offset)?))
}

/// The four bytes at `offset`, if they are there.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(array_at(bytes, offset)?))
}

/// The eight bytes at `offset`, if they are there.
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(array_at(bytes, offset)?))
}

/// `length` bytes at `offset`, if they are there.
pub(super) fn slice_at(bytes: &[u8], offset: usize, length: usize) -> Option<&[u8]> {
    bytes.get(offset..offset.checked_add(length)?)
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    slice_at(bytes, offset, N)?.try_into().ok()
}

/// The most arrays a file may hold, so that checks between pairs stay cheap.
pub const MAX_ARRAYS: usize = 4096;

/// The longest name of an array, in bytes.
pub const MAX_NAME: usize = 256;

/// Remembers names by one bit of their hash: says "surely new" or "perhaps seen", and the latter is looked up.
///
/// Four kilobytes, so that finding duplicates needs neither a heap nor a comparison of all pairs.
pub(super) struct NameFilter {
    bits: [u64; 512],
}

impl NameFilter {
    pub(super) const fn new() -> Self {
        NameFilter { bits: [0; 512] }
    }

    /// Adds a name; false if it is surely new.
    pub(super) fn insert(&mut self, name: &str) -> bool {
        // FNV-1a, offset basis and prime of its authors.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for &byte in name.as_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        // Its last characters have not reached the upper bits yet: multiply once more, by 2^64 over the golden ratio.
        hash = (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bit = (hash >> 49) as usize;
        let seen = self.bits[bit / 64] >> (bit % 64) & 1 == 1;
        self.bits[bit / 64] |= 1 << (bit % 64);
        seen
    }
}
