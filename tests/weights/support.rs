//! A zip writer with every knob loose, so that tests can build what no honest writer would.

/// One member of a zip archive, as both headers will describe it.
#[derive(Clone)]
pub struct Member {
    pub name: Vec<u8>,
    pub data: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    /// What the local header says where it is to disagree with the directory: flags, method, checksum, sizes.
    pub local_flags: Option<u16>,
    pub local_method: Option<u16>,
    pub local_checksum: Option<u32>,
    pub local_size: Option<u32>,
    pub local_name: Option<Vec<u8>>,
    pub checksum: Option<u32>,
    pub size: Option<u32>,
    pub stored_size: Option<u32>,
    pub disk: u16,
    /// Where the directory says that the member starts.
    pub start: Option<u32>,
    pub central_extra: Vec<u8>,
}

pub fn member(name: &str, data: Vec<u8>) -> Member {
    Member {
        name: name.as_bytes().to_vec(),
        data,
        method: 0,
        flags: 0,
        local_flags: None,
        local_method: None,
        local_checksum: None,
        local_size: None,
        local_name: None,
        checksum: None,
        size: None,
        stored_size: None,
        disk: 0,
        start: None,
        central_extra: Vec::new(),
    }
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend(value.to_le_bytes());
}

fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend(value.to_le_bytes());
}

/// The archive, and where its directory and its end record begin.
pub fn zip_with_places(members: &[Member]) -> (Vec<u8>, usize, usize) {
    let mut out = Vec::new();
    let mut starts = Vec::new();
    for member in members {
        starts.push(out.len() as u32);
        let size = member.local_size.unwrap_or(member.data.len() as u32);
        let name = member.local_name.as_ref().unwrap_or(&member.name);
        put32(&mut out, 0x0403_4b50);
        put16(&mut out, 20);
        put16(&mut out, member.local_flags.unwrap_or(member.flags));
        put16(&mut out, member.local_method.unwrap_or(member.method));
        put32(&mut out, 0);
        put32(&mut out, member.local_checksum.or(member.checksum).unwrap_or_else(|| crc32(&member.data)));
        put32(&mut out, size);
        put32(&mut out, size);
        put16(&mut out, name.len() as u16);
        put16(&mut out, 0);
        out.extend(name);
        out.extend(&member.data);
    }
    let directory = out.len();
    for (member, start) in members.iter().zip(starts) {
        put32(&mut out, 0x0201_4b50);
        put16(&mut out, 20);
        put16(&mut out, 20);
        put16(&mut out, member.flags);
        put16(&mut out, member.method);
        put32(&mut out, 0);
        put32(&mut out, member.checksum.unwrap_or_else(|| crc32(&member.data)));
        put32(&mut out, member.stored_size.unwrap_or(member.data.len() as u32));
        put32(&mut out, member.size.unwrap_or(member.data.len() as u32));
        put16(&mut out, member.name.len() as u16);
        put16(&mut out, member.central_extra.len() as u16);
        put16(&mut out, 0);
        put16(&mut out, member.disk);
        put16(&mut out, 0);
        put32(&mut out, 0);
        put32(&mut out, member.start.unwrap_or(start));
        out.extend(&member.name);
        out.extend(&member.central_extra);
    }
    let end = out.len();
    put32(&mut out, 0x0605_4b50);
    put32(&mut out, 0);
    put16(&mut out, members.len() as u16);
    put16(&mut out, members.len() as u16);
    put32(&mut out, (end - directory) as u32);
    put32(&mut out, directory as u32);
    put16(&mut out, 0);
    (out, directory, end)
}

pub fn zip(members: &[Member]) -> Vec<u8> {
    zip_with_places(members).0
}

/// A `.npy` with this dict, whatever it says, and these data.
pub fn npy(dict: &str, data: &[u8]) -> Vec<u8> {
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    put16(&mut out, dict.len() as u16 + 1);
    out.extend(dict.as_bytes());
    out.push(b'\n');
    out.extend(data);
    out
}

/// A `.npy` of this dtype and shape with zeros, or as many bytes as given.
pub fn array(descr: &str, fortran: bool, shape: &str, bytes: usize) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    let data: Vec<u8> = (0..bytes).map(|index| (index % 61) as u8).collect();
    npy(&format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}"), &data)
}

/// A `.safetensors` with this header, whatever it says.
pub fn tensors(header: &str, data: &[u8]) -> Vec<u8> {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.as_bytes());
    out.extend(data);
    out
}

/// Bit by bit, so that it shares nothing with what it judges.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |mut crc: u32, &byte| {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ 0xedb8_8320 & (crc & 1).wrapping_neg();
        }
        crc
    })
}
