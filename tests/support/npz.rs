//! Writes NumPy archives byte by byte, so that tests of the readers share no code with the library.

/// One array: its name, its NumPy type, its shape as NumPy prints it, its bytes.
pub struct Array {
    name: &'static str,
    descr: String,
    shape: String,
    fortran: bool,
    bytes: Vec<u8>,
}

pub fn floats(name: &'static str, shape: &str, values: &[f32]) -> Array {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Array { name, descr: "<f4".into(), shape: shape.into(), fortran: false, bytes }
}

pub fn integers(name: &'static str, shape: &str, values: &[i64]) -> Array {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Array { name, descr: "<i8".into(), shape: shape.into(), fortran: false, bytes }
}

pub fn strings(name: &'static str, values: &[&str]) -> Array {
    let longest = values.iter().map(|value| value.chars().count()).max().unwrap_or(0).max(1);
    let mut bytes = Vec::new();
    for value in values {
        let mut units: Vec<u32> = value.chars().map(u32::from).collect();
        units.resize(longest, 0);
        bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
    }
    Array { name, descr: format!("<U{longest}"), shape: format!("({},)", values.len()), fortran: false, bytes }
}

impl Array {
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn fortran(mut self) -> Self {
        self.fortran = true;
        self
    }

    fn npy(&self) -> Vec<u8> {
        let order = if self.fortran { "True" } else { "False" };
        let mut header = format!("{{'descr': '{}', 'fortran_order': {order}, 'shape': {}, }}", self.descr, self.shape);
        while (10 + header.len() + 1) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let mut npy = b"\x93NUMPY\x01\x00".to_vec();
        npy.extend((header.len() as u16).to_le_bytes());
        npy.extend(header.as_bytes());
        npy.extend(&self.bytes);
        npy
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1)))
    })
}

/// A stored zip of the arrays.
pub fn npz(arrays: &[Array]) -> Vec<u8> {
    let mut file: Vec<u8> = Vec::new();
    let mut directory: Vec<u8> = Vec::new();
    for array in arrays {
        let (name, data) = (format!("{}.npy", array.name), array.npy());
        let offset = file.len() as u32;
        let mut common: Vec<u8> = Vec::new();
        for half in [20u16, 0, 0, 0, 0x21] {
            common.extend(half.to_le_bytes());
        }
        for word in [crc32(&data), data.len() as u32, data.len() as u32] {
            common.extend(word.to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        common.extend(0u16.to_le_bytes());
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        file.extend(name.as_bytes());
        file.extend(&data);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = file.len() as u32;
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    for _ in 0..2 {
        file.extend((arrays.len() as u16).to_le_bytes());
    }
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend(0u16.to_le_bytes());
    file
}

/// The words that the model of [`model`] can say, with the logits it always gives them: the columns are all zero.
pub const WORDS: [(&str, f32); 16] = [
    (".", 1.0),
    ("!", 0.5),
    ("?", 0.25),
    ("<EOS>", 0.75),
    ("cat", 6.0),
    ("apple", 5.0),
    ("sat", 4.0),
    ("is", 3.5),
    ("a", 3.0),
    ("an", 2.5),
    ("the", 2.0),
    ("of", 1.75),
    ("7up", 8.0),
    ("ink", -1.0),
    ("'tis", 7.0),
    ("dog", -2.0),
];

/// The arrays of a model that says [`WORDS`], whatever came before; `logits` replaces those there.
pub fn model(logits: Option<&[f32]>) -> Vec<Array> {
    let words: Vec<&str> = WORDS.iter().map(|&(word, _)| word).collect();
    let own: Vec<f32> = WORDS.iter().map(|&(_, logit)| logit).collect();
    let inputs: Vec<&str> = ["<BOS>", "<UNK>"].iter().copied().chain(words.iter().copied()).collect();
    let features = inputs.len() + 2 + 3;
    let classes: Vec<i64> = (0..words.len() as i64).collect();
    vec![
        floats("W", &format!("({}, {features})", words.len()), &vec![0.0; words.len() * features]),
        floats("b", &format!("({},)", words.len()), logits.unwrap_or(&own)),
        integers("classes", &format!("({},)", words.len()), &classes),
        strings("in_vocab", &inputs),
        strings("out_vocab", &words),
        integers("d2", "()", &[2]),
        integers("d3", "()", &[3]),
    ]
}
